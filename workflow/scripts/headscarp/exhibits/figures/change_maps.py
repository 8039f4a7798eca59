"""Landslides between dates (xia2021, Figs 17 and 18)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from headscarp.errors import HeadscarpError
from headscarp.exhibits.layers import site_grid
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.figure import panel_letter, sign
from headscarp.exhibits.panels.ground import band_limits, stretch
from headscarp.exhibits.panels.legend import legend_at_foot
from headscarp.exhibits.panels.marks import scale_bar, show
from headscarp.exhibits.panels.page import Page
from headscarp.exhibits.panels.vectors import border_handle, draw_border, halo, raw_vectors, rings_of
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.spec import ExhibitSpec, RunFiles, SiteFiles
from headscarp.exhibits.tidy import frame_of, of_seed, record
from headscarp.geo.grid import Grid
from headscarp.geo.layer import grid_of, open_raster
from headscarp.vocabulary import require_known

STATUS = {"new": "#D55E00", "grown": "#F0E442", "shrunk": "#CC79A7", "unchanged": "#56B4E9"}
# areas shown; rim as a share of an area's length; least side in metres
AREAS, AREA_RIM, SMALLEST_M = 2, 0.5, 60.0
AREA_COLUMN = re.compile(r"area_(.+)_m2")


@dataclass(frozen=True)
class Area:
    """A place shown at every date: name, square bounds (west, south, east, north) and the rings (vertex, 2)
    in km that mark it."""

    name: str
    bounds: tuple[float, float, float, float]
    rings: list[np.ndarray]


def change_maps(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Images of every date of two areas with the outlines of new, grown, shrunk and unchanged landslides, a
    block for each run.

    A slide is outlined solid from the date of its first mapped pixels on, and dotted before. The images are
    `rgb_<date>.tif` among the raw files of the site or, of runs on a collage, of the exhibit's target, in
    which bands 1 to 3 are red, green and blue; dates are
    those of the columns `area_<date>_m2` of the run's change/landslides.gpkg. The numbers behind it are, for
    each area, how many slides of each status it shows, and their area at every date. Options: `dates` ({date:
    what people read}; default the dates of the columns); `areas` (names of vector files among the raw files,
    without .gpkg; filled up to two with the largest new slides, then grown, shrunk and unchanged ones
    outside them).
    """
    site = spec.target or spec.only_site()
    runs = spec.first_runs(*spec.protocols)
    slides = {run.folder: read_change(run, site) for run in runs}
    dates = dates_of(spec, slides)
    areas = {run.folder: areas_of(spec, site, slides[run.folder]) for run in runs}
    images = {date: dated_image(site, date) for date in dates}
    page = Page.grid(max(map(len, areas.values())), len(dates), len(runs), heading=0.42, footer=0.6)
    figure, lines = page.figure(), []
    for block, run in enumerate(runs):
        page.head(figure, block, f"{run.label}, protocol {run.protocol}")
        for row, area in enumerate(areas[run.folder]):
            inside = slides[run.folder].cx[area.bounds[0] : area.bounds[2], area.bounds[1] : area.bounds[3]]
            page.write_caption(figure, block, row, area.name)
            for column, (date, text) in enumerate(dates.items()):
                axes = page.axes(figure, block, row, column)
                images[date].draw(axes, area)
                draw_change(axes, inside, date, area)
                if row == 0:
                    axes.set_title(
                        f"{panel_letter(column)} {text}", fontsize=7.5 if page.side > 1.2 else 6, pad=3
                    )
                if column == 0:
                    scale_bar(axes, (area.bounds[2] - area.bounds[0]) / 1000)
            lines += change_records(spec, run, area, inside, dates)
    handles = [
        Line2D([], [], color=colour, lw=1.8, label=f"{status.capitalize()} landslide")
        for status, colour in STATUS.items()
    ]
    handles.append(Line2D([], [], color=palette.MUTED, lw=1.4, ls=":", label="Not yet mapped at this date"))
    if any(area.rings for found in areas.values() for area in found):
        handles.append(border_handle("Named area"))
    legend_at_foot(figure, handles, 3)
    sign(figure, spec, "Post-classification comparison by the first seed of each network.")
    return figure, frame_of(lines)


def read_change(run: RunFiles, site: SiteFiles) -> Any:
    """The landslides of all dates that a run's comparison gives, in the CRS of the site's grid.

    Raises:
        HeadscarpError: the file is missing, has no column `status` or no area of any date, or a status is
        unknown.
    """
    from headscarp.geo.vectors import read_vectors

    path = run.folder / "change" / "landslides.gpkg"
    slides = read_vectors(path, site_grid(site).crs)
    if "status" not in slides or not any(AREA_COLUMN.fullmatch(column) for column in slides):
        raise HeadscarpError(f"{path} has no columns status and area_<date>_m2; compare the dates again")
    for status in set(slides["status"]):
        require_known(status, STATUS, f"{path}: status")
    return slides


def dates_of(spec: ExhibitSpec, slides: Mapping[Path, Any]) -> dict[str, str]:
    """{date: what people read} of the columns `area_<date>_m2`, in their order.

    Raises:
        HeadscarpError: the option `dates` names one that there is not.
    """
    columns = next(iter(slides.values())).columns
    found = [match[1] for column in columns if (match := AREA_COLUMN.fullmatch(column))]
    chosen = spec.options.get("dates") or {date: date.capitalize() for date in found}
    return {
        require_known(date, found, f"exhibit '{spec.name}', options, dates: date"): str(text)
        for date, text in chosen.items()
    }


def areas_of(spec: ExhibitSpec, site: SiteFiles, slides: Any) -> list[Area]:
    """The places that change maps show: named ones, then the largest slides in the order of `STATUS`, else
    the whole site."""
    grid = site_grid(site)
    areas = []
    for name in spec.options.get("areas", []):
        frame = raw_vectors(site, f"{name}.gpkg")
        if not len(frame):
            raise HeadscarpError(
                f"{site.raw / name}.gpkg holds no area; leave '{name}' out of the exhibit's option `areas`"
            )
        areas.append(
            Area(
                name.replace("_", " ").capitalize(),
                square_bounds(frame.total_bounds, grid.bounds),
                rings_of(frame),
            )
        )
    order = {status: rank for rank, status in enumerate(STATUS)}
    for slide in sorted(slides.itertuples(), key=lambda slide: (order[slide.status], -slide.geometry.area)):
        if len(areas) >= AREAS:
            break
        x, y = slide.geometry.representative_point().coords[0]
        if not any(
            west <= x <= east and south <= y <= north
            for west, south, east, north in (area.bounds for area in areas)
        ):
            number = 1 + sum(not area.rings for area in areas)
            name = f"Area {number} ({slide.status} landslide)"
            areas.append(Area(name, square_bounds(slide.geometry.bounds, grid.bounds), []))
    return areas or [Area("Whole site, no landslide mapped", square_bounds(grid.bounds, grid.bounds), [])]


def square_bounds(
    bounds: Sequence[float], within: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    """A square with a rim around bounds (west, south, east, north), moved to lie inside `within`, no wider
    than it."""
    wide = max(bounds[2] - bounds[0], bounds[3] - bounds[1])
    side = min(max(wide * (1 + 2 * AREA_RIM), SMALLEST_M), within[2] - within[0], within[3] - within[1])
    west, south = (
        min(max((bounds[axis] + bounds[axis + 2] - side) / 2, within[axis]), within[axis + 2] - side)
        for axis in (0, 1)
    )
    return west, south, west + side, south + side


@dataclass(frozen=True)
class DatedImage:
    """A raw image of one date with bands red, green and blue, and how it is stretched."""

    path: Path
    grid: Grid
    limits: np.ndarray

    def read(self, view: View) -> np.ndarray:
        return np.stack([view.read(self.path, band=band) for band in (1, 2, 3)], axis=-1)

    def draw(self, axes: Axes, area: Area) -> None:
        view = View.under(self.grid, area.bounds)
        show(axes, stretch(self.read(view), self.limits), view)
        west, south, east, north = (bound / 1000 for bound in area.bounds)
        axes.set(xlim=(west, east), ylim=(south, north))


def dated_image(site: SiteFiles, date: str) -> DatedImage:
    """The raw image of a date.

    Raises:
        HeadscarpError: it is missing or unreadable, has fewer than three bands, or another CRS than the site.
    """
    path = site.raw / f"rgb_{date}.tif"
    with open_raster(path) as source:
        grid, count = grid_of(source), source.count
    if count < 3:
        raise HeadscarpError(f"{path} has {count} bands but an image needs red, green and blue")
    if grid.crs != site_grid(site).crs:
        raise HeadscarpError(
            f"{path} is in {grid.crs}, site '{site.name}' in {site_grid(site).crs}; reproject the image"
        )
    image = DatedImage(path, grid, np.empty(0))
    return replace(image, limits=band_limits(image.read(View.of(grid))))


def draw_change(axes: Axes, slides: Any, date: str, area: Area) -> None:
    """Outlines of slides at a date in a dark rim; those of later dates dotted; the border of a named area
    dashed."""
    for status, colour in STATUS.items():
        of_status = slides[slides["status"] == status]
        present = of_status[f"area_{date}_m2"] > 0
        for part, line, width in ((of_status[present], "-", 1.3), (of_status[~present], (0, (1, 1.2)), 1.1)):
            rings = rings_of(part) if len(part) else []
            lines = LineCollection(
                rings, colors=colour, linewidths=width, linestyles=line, path_effects=halo(width)
            )
            axes.add_collection(lines, autolim=False)
    draw_border(axes, area.rings)


def change_records(
    spec: ExhibitSpec, run: RunFiles, area: Area, slides: Any, dates: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Tidy records of the slides that touch an area: how many of each status, and their summed area at each
    date in m2."""
    west, south, east, north = area.bounds
    where = f"{west:.0f}..{east:.0f} m east, {south:.0f}..{north:.0f} m north"
    rest = of_seed(run, spec.only_site(), f", slides that touch {where}")
    for status in STATUS:
        of_status = slides[slides["status"] == status]
        row = f"{run.row}:{area.name}:{status}"
        yield record(spec, row, "landslides", float(len(of_status)), **rest)
        for date in dates:
            yield record(spec, row, f"area_{date}_m2", float(of_status[f"area_{date}_m2"].sum()), **rest)
