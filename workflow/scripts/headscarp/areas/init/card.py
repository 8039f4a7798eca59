"""From what was found to the text of a card."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from headscarp.areas.guess.files import Found
from headscarp.areas.guess.names import DEM, LABEL, date_in
from headscarp.areas.guess.rasters import Band
from headscarp.areas.guess.vectors import first_label
from headscarp.areas.init.draft import PLACEHOLDER, Draft, Entry, place, record_of_origin
from headscarp.areas.init.event_slides import shown_until, with_dates
from headscarp.areas.init.images import add_fetched_images, add_images, fetched_windows
from headscarp.areas.init.outline import LOOK_M, Outline
from headscarp.areas.init.rasters import add_elevation_that_fits, add_fetched_cover, add_other_rasters
from headscarp.areas.init.resolution import cells_for
from headscarp.areas.init.satellites import satellite_for
from headscarp.areas.init.study import (
    TERRAIN,
    TERRAIN_CHANNELS,
    best_map_of,
    composite_of,
    experiments_of,
    indices_of,
    inputs_of,
    sampling_of,
    scales_of,
)
from headscarp.areas.init.vectors import add_vectors
from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.templating import fill


def drafted(
    name: str,
    outline: Outline,
    found: Found,
    event: str | None,
    series: list[str],
    resolution: float | None,
    folder: Path,
    is_placeless: bool = False,
) -> Draft:
    """What the card will say.

    Args:
        found: what the user's files hold.
        is_placeless: the place of the outline is made up, so that nothing can be fetched.

    Raises:
        HeadscarpError: as `dates_of` and `satellite_for`, no landslide of a dated inventory is of the event,
            or without a place there is no image.
    """
    images = [band for band in found.bands if band.is_optical]
    if is_placeless and not images:
        raise HeadscarpError(
            "none of the files is a picture of red, green and blue, and without a place none can be fetched"
            + "".join(f"; not used: {reason}" for reason in found.unused)
        )
    dates, why_dates = dates_of(images, event, series, outline.path, found.unused)
    satellite = None if images else satellite_for(fetched_windows(dates).values())
    label = first_label([one for one in found.vectors if one.on_site], dates[-1])
    if label:
        until = shown_until(event, series, images) if event else None
        dated = with_dates(label, event, until, outline.grid(LOOK_M))
        found = replace(found, vectors=[dated if one is label else one for one in found.vectors])
        label = dated
    cells = cells_for(outline, resolution, images, satellite, label.median_m2 if label else None)
    draft = Draft(
        name=name,
        grid=cells.grid,
        dates=dates,
        why_dates=why_dates,
        resolution=cells.told,
        is_resolution_guess=cells.is_guess,
        is_placeless=is_placeless,
        unused=list(found.unused),
        outline_notes=outline.notes,
    )
    origin = record_of_origin(place(outline.path, folder), {"layer": outline.layer})
    comment = "; ".join(("the study area; the grid lies around it", *outline.notes[1:]))
    draft.files.append(("outline.gpkg", origin, comment))
    if images:
        add_images(draft, images, folder)
    else:
        add_fetched_images(draft, satellite)
    add_elevation_that_fits(draft, [band for band in found.bands if band.role == DEM], folder)
    add_other_rasters(
        draft, [band for band in found.bands if not band.is_optical and band.role not in (DEM, LABEL)], folder
    )
    if not images and not draft.cover:
        add_fetched_cover(draft)
    add_vectors(draft, found, label, folder)
    return draft


def dates_of(
    images: Sequence[Band], event: str | None, dates: list[str], outline: Path, unused: Sequence[str] = ()
) -> tuple[list[str], str]:
    """The dates of the site, and how they are known.

    Raises:
        HeadscarpError: there is neither an image nor a date.
    """
    if dates:
        return dates, "as given; landslides are those of the last"
    if event:
        return [event], "the event"
    named = sorted({band.date for band in images if band.date})
    if named:
        return [named[-1]], "GUESS the latest date in the names of the images; put that of the landslides"
    if date := date_in(outline.stem):
        return [date], "GUESS from the name of the outline; put that of the landslides"
    if images:
        return [PLACEHOLDER], "PLACEHOLDER no file tells a date; put that of the landslides (or give --event)"
    raise HeadscarpError(
        "neither an image nor a date is given, so nothing says which images to fetch; give the date of "
        "the landslides as --event 2018-09-06" + "".join(f"; not used: {reason}" for reason in unused)
    )


def card_text(draft: Draft) -> str:
    """The whole card."""
    composite, experiments = composite_of(draft), experiments_of(draft)
    sampling, why_sampling = sampling_of(draft.grid)
    rows = [name for name, _, _ in experiments]
    best_map, why_smallest = best_map_of(draft, rows)
    return fill(
        "areas/templates/card.yaml",
        flow=flow,
        block=block,
        draft=draft,
        title=draft.name.replace("_", " ").capitalize(),
        composite=composite,
        ground={"composite": composite} if composite else {"background": "relief"},
        distances=[name for name, _, _ in draft.lines],
        grid=grid_record(draft.grid),
        terrain=list(TERRAIN),
        terrain_channels=list(TERRAIN_CHANNELS),
        indices=indices_of(draft),
        inputs=[(name, channels, "") for name, channels in inputs_of(draft).items()],
        experiments=experiments,
        rows=rows,
        drawn=["random_forest+terrain", "unet+terrain"] if draft.has_elevation else ["random_forest", "unet"],
        best_map=best_map,
        why_smallest=why_smallest,
        trained_by_epoch=[row for row in rows if not row.startswith("random_forest")],
        sampling=sampling,
        why_sampling=why_sampling,
        scales=scales_of(draft.grid, sampling["window"] if draft.labels else 64),
        sites=flow([draft.name]),
        one_date=len(draft.dates) == 1,
    )


def grid_record(grid: Grid) -> dict[str, Any]:
    size = int(grid.resolution) if grid.resolution == int(grid.resolution) else grid.resolution
    return {"around": "outline.gpkg", "crs": grid.crs, "resolution_m": size}


def flow(value: Any) -> str:
    """A value as YAML on one line."""
    text = yaml.safe_dump(
        [value], default_flow_style=True, width=10**9, allow_unicode=True, sort_keys=False
    ).strip()
    return text[1:-1]


def block(entries: Sequence[Entry], indent: int) -> str:
    """Lines `name: value  # comment` of a mapping, each after a line break, the comments below each other
    where that is easily done."""
    texts = [f"\n{' ' * indent}{flow(name)}: {flow(value)}" for name, value, _ in entries]
    column = max((len(text) for text in texts if len(text) <= 111), default=0)
    return "".join(
        f"{text.ljust(column)}  # {comment}" if comment else text
        for text, (_, _, comment) in zip(texts, entries, strict=True)
    )
