"""What is wrong with the files of a study area, told before any training: a report, a record and a page."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely
from affine import Affine

from headscarp.areas.alignment import Alignment, direction, edge_alignment
from headscarp.areas.guess import date_in
from headscarp.areas.init import PLACEHOLDER
from headscarp.areas.slide_areas import Tail, power_law_tail
from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.files import write_json
from headscarp.geo.grid import Grid, covering, part_of
from headscarp.geo.layer import CLASSES, CONTINUOUS, open_raster
from headscarp.geo.outline import grid_around
from headscarp.geo.rasters import MINIMUM_COVER, align, cell_size, cover_of
from headscarp.geo.vectors import read_table, read_vectors, repaired
from headscarp.plan.read_sites import origins_of, own_sites
from headscarp.plan.schema import check as check_schema
from headscarp.samples.splits import SamplingSpec, blocked_split
from headscarp.samples.windows import SPLITS
from headscarp.site.labels import connected_labels, rasterise_numbers
from headscarp.site.layers import PART_KEYS, has_data, site_grid
from headscarp.vocabulary import require_known
from headscarp.yaml_files import merge, read_yaml

OK, NOTE, WARNING, ERROR = "ok", "note", "warning", "error"
LEVELS = (OK, NOTE, WARNING, ERROR)
WORKFLOW = Path(__file__).resolve().parents[3]
# of the grid on which values are looked at and the split is tried; a larger one is thinned and not split
MOST_CELLS = 4_000_000
REFLECTANCE = (-0.05, 1.6)
ELEVATION = (-500.0, 9000.0)
SCALES = {
    1e-4: "1.0e-4 (reflectance times 10000)",
    1 / 255: "0.00392157 (bytes)",
    1 / 65535: "1.525902e-5 (16 bits)",
}
READ_AT_IMPORT = ("variable", "time", "crs")  # what only the import of a file knows how to read
TREADS = range(2, 11)  # factors of enlargement that are looked for in an elevation model
MODEL_SIDE = 1500  # pixels a side of the part of an elevation model that is looked at for treads


@dataclass(frozen=True)
class Finding:
    """One line of the report: how bad it is, what part of the check (`topic`), what it is about (`subject`),
    and what was found."""

    level: str
    topic: str
    subject: str
    text: str


@dataclass
class Checked:
    """All that was found about a site.

    `grid` is the site's; `view` the one, thinned where that is large, of the arrays (row, col): `outline`
    bool, `layers` float32 NaN = no data (classes as codes), `label` uint8. `areas` are those of the slides in
    m2.
    """

    name: str
    title: str
    card: str
    grid: Grid
    view: Grid
    outline: np.ndarray
    findings: list[Finding] = field(default_factory=list)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    layers: dict[str, np.ndarray] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    images: list[str] = field(default_factory=list)
    elevation: np.ndarray | None = None
    label: np.ndarray | None = None
    areas: np.ndarray | None = None
    tail: Tail | None = None
    alignment: Alignment | None = None
    landslides: dict[str, Any] = field(default_factory=dict)
    split: dict[str, Any] = field(default_factory=dict)

    def tell(self, level: str, topic: str, subject: str, text: str) -> None:
        self.findings.append(Finding(level, topic, subject, text))

    @property
    def status(self) -> str:
        """The worst of all findings."""
        return max((finding.level for finding in self.findings), key=LEVELS.index, default=OK)

    def record(self) -> dict[str, Any]:
        """The content of check.json."""
        aligned = self.alignment
        return {
            "site": self.name,
            "card": self.card,
            "status": self.status,
            "grid": self.grid.to_record(),
            "findings": [vars(finding) for finding in self.findings],
            "files": self.files,
            "landslides": self.landslides,
            "alignment": None
            if aligned is None
            else {
                "rows_south_px": round(aligned.rows, 2),
                "cols_east_px": round(aligned.cols, 2),
                "metres": round(aligned.pixels * self.view.resolution, 2),
                "correlation": round(float(aligned.surface.max()), 4),
                "agreement": round(aligned.agreement, 3),
                "clearness": round(aligned.clearness, 2),
                "is_told": aligned.is_told,
            },
            "split": self.split,
        }


def check_card(name: str, folder: str | Path = ".") -> list[Checked]:
    """Check every site of a card, and write `results/sites/<site>/check.json` and `check.png` of each below
    `folder`, the working folder.

    Raises:
        HeadscarpError: as `examine_card`.
    """
    from headscarp.areas.check_page import draw_page  # here, since the page reads this module

    results = examine_card(name, folder)
    for checked in results:
        place = Path(folder) / "results" / "sites" / checked.name
        write_json(place / "check.json", checked.record())
        draw_page(checked, place / "check.png")
    return results


def examine_card(name: str, folder: str | Path = ".") -> list[Checked]:
    """Check every site of a card; nothing is written and nothing fetched.

    Args:
        name: of a card in `areas/` below `folder` or of the workflow, or the path of one.

    Raises:
        HeadscarpError: there is no such card, it is invalid, or a site has no grid: its outline is missing or
        unfit.
    """
    folder = Path(folder)
    path = card_path(name, folder)
    record = check_schema(read_yaml(path), WORKFLOW / "schemas" / "card.schema.yaml", str(path))
    results = []
    for site, entry in own_sites(record).items():
        layers = entry.get("layers", {})
        if not isinstance(layers.get("rasters"), dict) or "grid" not in layers:
            raise HeadscarpError(
                f"{path}: site {site} is a collage, a series or patches, not rasters on one grid; check "
                f"cannot read it"
            )
        sampling = merge(record.get("sampling", {}), entry.get("sampling", {}))
        results.append(check_site(site, entry, sampling, str(path), folder))
    return results


def card_path(name: str, folder: Path) -> Path:
    """Where a card lies.

    Raises:
        HeadscarpError: nowhere; the nearest name is given.
    """
    if Path(name).suffix in (".yaml", ".yml"):
        path = folder / name
        if not path.is_file():
            raise HeadscarpError(
                f"{path} does not exist; give the path of a card or the name of one in areas/"
            )
        return path
    places = [folder / "areas", WORKFLOW / "cards"]
    cards = {path.stem: path for place in reversed(places) for path in sorted(place.glob("*.yaml"))}
    return cards[require_known(name, cards, "card")]


def check_site(
    name: str, entry: Mapping[str, Any], sampling: Mapping[str, Any], card: str, folder: Path
) -> Checked:
    """Check one site; `entry` is its part of the card, `sampling` that of the card with the site's own
    changes.

    Raises:
        HeadscarpError: it has no grid.
    """
    located = locate(name, entry, card, folder)
    layers = entry["layers"]
    grid = grid_of_site(layers["grid"], located, f"site {name}")
    view = thinned(grid)
    checked = Checked(name, entry["title"], card, grid, view, outline_mask(layers, located, view))
    check_dates(checked, entry)
    for file, place in located.items():
        if isinstance(place, str):
            checked.tell(NOTE, "files", file, place)
            checked.files[file] = {"state": place}
    for layer, raster in layers["rasters"].items():
        check_raster(checked, layer, raster, located)
    if "dem" in layers:
        check_elevation(checked, layers["dem"], located)
    for layer, file in layers.get("lines", {}).items():
        check_lines(checked, layer, file, located)
    check_labels(checked, layers.get("labels"), located)
    check_alignment(checked, layers, located)
    check_split(checked, sampling, entry.get("seed", 0))
    return checked


# --- where the files are


@dataclass(frozen=True)
class Located:
    """A file at hand, and what of it is meant (`layer` and `where` of a vector file)."""

    path: Path
    selection: dict[str, Any]


def locate(name: str, entry: Mapping[str, Any], card: str, folder: Path) -> dict[str, Located | str]:
    """Each raw file of a site: where it is, or a sentence why it cannot be read yet. Nothing is fetched."""
    raw = folder / "results" / "sites" / entry.get("raw", name) / "raw"
    files = entry.get("files", [])
    origins = origins_of(dict(entry), f"{card}, site {name}, files") if isinstance(files, dict) else {}
    if not files:  # a simulated site, whose card does not list them, or one that reads the files of another
        files = sorted(path.name for path in raw.glob("*")) if raw.is_dir() else []
    located: dict[str, Located | str] = {}
    for file in files:
        origin = origins.get(file, {})
        if "path" in origin and not any(key in origin for key in READ_AT_IMPORT):
            selection = {key: origin[key] for key in ("layer", "where") if key in origin}
            located[file] = Located(folder / origin["path"], selection)
        elif entry["source"] == "local":
            located[file] = Located(
                Path(os.environ.get("HEADSCARP_DATA", folder)) / entry.get("folder", name) / file, {}
            )
        elif (raw / file).exists():
            located[file] = Located(raw / file, {})
        elif "path" in origin:
            how = ", ".join(key for key in READ_AT_IMPORT if key in origin)
            located[file] = f"is read by the import ({how}): run `snakemake {raw / file}`, then check again"
        else:
            located[file] = (
                f"to be fetched ({origin_text(origin)}): `snakemake --cores 1 {raw / file}` does so"
            )
    return located


def origin_text(origin: Mapping[str, Any]) -> str:
    """Where a file will come from, in words."""
    if "stac" in origin:
        span = f" {origin['from']} to {origin['to']}" if "from" in origin and "to" in origin else ""
        return f"{origin['stac']}{span}"
    return f"data set {origin['dataset']}" if "dataset" in origin else str(origin.get("url", "archive"))


def at_hand(located: Mapping[str, Located | str], file: str) -> Located | None:
    """The place of a file that can be read now."""
    place = located.get(file)
    return place if isinstance(place, Located) else None


def vectors_of(place: Located, crs: str) -> geopandas.GeoDataFrame:
    """Features of a file at hand in a CRS, valid, those without geometry left out.

    Raises:
        HeadscarpError: the file is missing, unreadable or has no CRS.
    """
    if not place.selection:
        return repaired(read_vectors(place.path, crs))[0]
    table = read_table(place.path, **place.selection)
    if table.crs is None:
        raise HeadscarpError(
            f'{place.path} has no CRS; find out which it is and add `crs: "EPSG:…"` to its entry'
        )
    return repaired(table[table.geometry.notna()].to_crs(crs))[0]


# --- the grid and the outline


def grid_of_site(record: Mapping[str, Any], located: Mapping[str, Located | str], place: str) -> Grid:
    """The grid of a site from files at hand.

    Raises:
        HeadscarpError: the file that sets it is not at hand, or unfit.
    """
    file = record.get("around", record.get("like"))
    known = at_hand(located, file) if file else None
    if known is None:
        raise HeadscarpError(
            f"{place}: its grid lies on {file}, which is not at hand; "
            f"{located.get(file, 'name it among the files')}"
        )
    if "around" not in record:
        return site_grid(dict(record), known.path.parent)
    crs, resolution = record["crs"], float(record["resolution_m"])
    if known.selection:
        grid = covering(tuple(vectors_of(known, crs).total_bounds), crs, resolution)
    else:
        grid = grid_around(known.path, crs, resolution)
    return part_of(grid, *(record["part"][key] for key in PART_KEYS)) if "part" in record else grid


def thinned(grid: Grid) -> Grid:
    """A grid of at most MOST_CELLS cells over the same ground."""
    factor = max(1.0, np.sqrt(grid.height * grid.width / MOST_CELLS))
    if factor == 1:
        return grid
    height, width = round(grid.height / factor), round(grid.width / factor)
    scale = Affine.scale(grid.width / width, grid.height / height)
    return Grid(grid.crs, grid.transform @ scale, height, width)


def outline_mask(layers: Mapping[str, Any], located: Mapping[str, Located | str], view: Grid) -> np.ndarray:
    """Cells (row, col) inside the outline; all of them where the site has none."""
    place = at_hand(located, layers["grid"].get("around", ""))
    if place is None:
        return np.ones(view.shape, bool)
    shapes = vectors_of(place, view.crs).geometry.to_numpy()
    shapes = shapes[shapely.area(shapes) > 0]
    inside = rasterise_numbers(shapes, 1, view) == 1 if len(shapes) else np.zeros(view.shape, bool)
    return inside if inside.any() else np.ones(view.shape, bool)


# --- dates


def check_dates(checked: Checked, entry: Mapping[str, Any]) -> None:
    """Dates of the card against the windows of what is fetched and the names of the files."""
    dates = entry["layers"]["dates"]
    if isinstance(dates, str):
        return
    event = str(dates[-1])
    if event == PLACEHOLDER:
        checked.tell(
            WARNING,
            "card",
            "dates",
            f"{event} stands for a date that `headscarp init` could not tell; put that of the landslides",
        )
        return
    checked.tell(OK, "card", "dates", ", ".join(map(str, dates)))
    origins = entry["files"] if isinstance(entry.get("files"), dict) else {}
    for layer, raster in entry["layers"]["rasters"].items():
        time = layer.split("_")[0]
        origin = origins.get(raster.get("file"), {})
        dated = date_in(Path(origin.get("path", "")).stem)
        first, last = str(origin.get("from", dated or "")), str(origin.get("to", dated or ""))
        if not first or not last or time not in ("pre", "post"):
            continue
        if time == "pre" and last >= event:
            problem = f"{layer} is to be from before the event of {event} but is of {first} to {last}"
        elif time == "post" and first < event:
            problem = f"{layer} is to be from after the event of {event} but is of {first} to {last}"
        else:
            continue
        if not any(finding.subject == raster["file"] for finding in checked.findings):
            checked.tell(WARNING, "card", raster["file"], f"{problem}; check the dates")


# --- rasters


def check_raster(
    checked: Checked, layer: str, raster: Mapping[str, Any], located: Mapping[str, Located | str]
) -> None:
    """One raster layer: its files against the grid, its values against what they are said to be."""
    for date, file in raster.get("files", {None: raster.get("file")}).items():
        place = at_hand(located, file)
        if place is None:
            if file not in located:
                checked.tell(
                    ERROR, "files", str(file), f"{layer} reads it but it is not among the files; add it there"
                )
            continue
        name = f"{layer} {date}" if date else layer
        kind = raster.get("kind", CONTINUOUS)
        values = read_values(
            checked, name, file, place, raster.get("band", 1), kind, MINIMUM_COVER if date is None else 0.0
        )
        if values is None:
            continue
        if kind != CLASSES:
            values = values * np.float32(raster.get("scale", 1))
            judge_values(checked, name, raster, values[checked.outline])
        else:
            judge_classes(checked, name, raster, values[checked.outline])
        checked.layers[name], checked.units[name] = values, raster["units"]
    shown = [name for name in checked.layers if name.split(" ")[0] == layer]
    if shown and raster["units"] in ("reflectance", "brightness"):
        checked.images.append(shown[-1])


def read_values(
    checked: Checked, name: str, file: str, place: Located, band: int | str, kind: str, minimum_cover: float
) -> np.ndarray | None:
    """A band on the view, float32 NaN = no data; findings on its file. None where it cannot be used."""
    try:
        with open_raster(place.path) as source:
            size, cover = cell_size(source, checked.grid), cover_of(source, checked.grid)
            crs, dtype = source.crs.to_string(), source.dtypes[0]
        aligned = align(place.path, band, checked.view, kind, minimum_cover)
    except HeadscarpError as error:
        told = any(one.subject == file and one.level == ERROR for one in checked.findings)
        if not told:
            checked.tell(ERROR, "files", file, str(error))
            checked.files[file] = {"path": str(place.path), "state": "unfit"}
        return None
    values = aligned.values.astype(np.float32)
    values[~has_data(aligned)] = np.nan
    missing = float(np.mean(np.isnan(values[checked.outline])))
    if file not in checked.files:
        resolution = float(f"{size:.4g}")
        checked.files[file] = {
            "path": str(place.path),
            "crs": crs,
            "dtype": dtype,
            "resolution_m": resolution,
            "cover": round(cover, 4),
            "no_data": round(missing, 4),
        }
        text = (
            f"{crs}, {dtype}, cells of {resolution:g} m, covers {cover:.0%} of the grid, {missing:.1%} "
            f"of the outline without data"
        )
        ratio = resolution / checked.grid.resolution
        if cover < 0.995:
            text += "; land beyond it stays without data"
        if ratio > 1.5:
            text += (
                f"; coarser than the grid ({checked.grid.resolution:g} m): it shows no more than its "
                f"own cells do"
            )
        elif ratio < 1 / 1.5:
            text += f"; finer than the grid ({checked.grid.resolution:g} m): cells are averaged"
        checked.tell(
            WARNING if missing > 0.2 or cover < 0.9 else NOTE if missing > 0.01 or ratio > 1.5 else OK,
            "files",
            file,
            text,
        )
    return values


def judge_values(checked: Checked, name: str, raster: Mapping[str, Any], values: np.ndarray) -> None:
    """Values of a continuous layer against the physics of what it is said to be."""
    values = values[np.isfinite(values)]
    if not values.size:
        checked.tell(ERROR, "values", name, "holds no data inside the outline; take another file")
        return
    low, high = (float(np.percentile(values, q)) for q in (0.5, 99.5))
    seen = f"{low:.4g} to {high:.4g} {raster['units']}"
    if low == high:
        checked.tell(WARNING, "values", name, f"is {low:.4g} everywhere; a constant tells nothing")
    elif raster["units"] == "reflectance":
        checked.tell(*reflectance_finding(name, values, low, high, float(raster.get("scale", 1))))
    elif bounds := bounds_of_layer(name, raster["units"]):
        fits = bounds[0] <= low and high <= bounds[1]
        hint = "" if fits else hint_of(name, raster["units"], high)
        checked.tell(
            OK if fits else ERROR,
            "values",
            name,
            seen + (f"; {bounds[0]:g} to {bounds[1]:g} can be{hint}" if not fits else ""),
        )
    else:
        checked.tell(OK, "values", name, seen)


def bounds_of_layer(name: str, units: str) -> tuple[float, float] | None:
    """What values can be, by the name of a layer and its units."""
    plain = name.split(" ")[0].removeprefix("pre_").removeprefix("post_")
    known = {
        "elevation": ELEVATION,
        "slope": (0.0, 90.0),
        "aspect": (-1.0, 360.0),
        "ndvi": (-1.0, 1.0),
        "mndwi": (-1.0, 1.0),
    }
    return known.get(plain) or {"brightness": (0.0, 1.0), "degree": (-360.0, 360.0)}.get(units)


def hint_of(name: str, units: str, high: float) -> str:
    """What a value out of range may come from."""
    if "slope" in name:
        return "; is it in percent?"
    if "ndvi" in name or "mndwi" in name:
        return (
            "; give the factor to -1..1 as `scale`, 1.0e-4 for integers times 10000"
            if high > 100
            else "; check its source"
        )
    return (
        "; give `scale: 0.00392157` (bytes to 0..1)"
        if units == "brightness" and high <= 255
        else "; check units and scale"
    )


def reflectance_finding(
    name: str, values: np.ndarray, low: float, high: float, scale: float
) -> tuple[str, str, str, str]:
    """Whether values can be reflectances, and the scale that would make them so."""
    seen = f"{low:.4g} to {high:.4g} reflectance"
    raw = values / scale
    fitting = [text for factor, text in SCALES.items() if fits_reflectance(raw * factor) and factor != scale]
    if high > REFLECTANCE[1]:
        hint = f"give `scale: {fitting[0]}`" if fitting else "check `scale`"
        if np.median(values) > REFLECTANCE[1]:
            unscaled = "; is it brightness from 0 to 255?" if scale == 1 and 100 < high <= 255 else ""
            return (
                ERROR,
                "values",
                name,
                f"{seen} is beyond {REFLECTANCE[0]:g} to {REFLECTANCE[1]:g}: {hint}{unscaled}",
            )
        return (
            WARNING,
            "values",
            name,
            f"{seen}: bright cells (clouds, snow, glints) exceed {REFLECTANCE[1]:g}, or the scale is "
            f"wrong: {hint}",
        )
    if low < REFLECTANCE[0]:
        return (
            WARNING,
            "values",
            name,
            f"{seen}: below {REFLECTANCE[0]:g}; an offset may have been taken off twice, or nodata is "
            f"not declared",
        )
    if high < 0.01:
        hint = (
            f"give `scale: {fitting[0]}`"
            if fitting
            else "give a larger `scale`, or leave it out if the file is scaled already"
        )
        return ERROR, "values", name, f"{seen} is darker than any ground: {hint}"
    return OK, "values", name, seen


def fits_reflectance(values: np.ndarray) -> bool:
    low, middle, high = np.percentile(values, [0.5, 50, 99.5])
    return bool(REFLECTANCE[0] <= low and 0.02 <= high <= REFLECTANCE[1] and middle >= 0.005)


def judge_classes(checked: Checked, name: str, raster: Mapping[str, Any], values: np.ndarray) -> None:
    """Codes of a class layer against the names that the card gives."""
    codes = np.unique(values[np.isfinite(values)]).astype(int)
    unnamed = [int(code) for code in codes if code not in {int(known) for known in raster.get("classes", {})}]
    text = f"classes {', '.join(map(str, codes[:12]))}"
    checked.tell(
        WARNING if unnamed else OK,
        "values",
        name,
        text + (f"; {unnamed[:12]} have no name: add them to `classes`" if unnamed else ""),
    )


# --- elevation, lines


def check_elevation(checked: Checked, file: str, located: Mapping[str, Located | str]) -> None:
    """The elevation model: range, whole metres, treads of a model that was enlarged."""
    place = at_hand(located, file)
    if place is None:
        if file not in located:
            checked.tell(ERROR, "files", file, "is the elevation model but not among the files; add it there")
        return
    values = read_values(checked, "elevation", file, place, 1, CONTINUOUS, 0.0)
    if values is None:
        return
    checked.elevation = values
    inside = values[checked.outline & np.isfinite(values)]
    if not inside.size:
        checked.tell(ERROR, "values", "elevation", "holds no data inside the outline; take another file")
        return
    low, high = float(inside.min()), float(inside.max())
    seen = f"{low:.4g} to {high:.4g} m"
    if low < ELEVATION[0] or high > ELEVATION[1]:
        checked.tell(
            ERROR,
            "values",
            "elevation",
            f"{seen} is not on Earth; declare the value of no data (gdal_edit.py -a_nodata), or check units",
        )
    elif high - low < 5:
        checked.tell(
            WARNING,
            "values",
            "elevation",
            f"{seen}: hardly any relief; is it in other units, or another quantity?",
        )
    else:
        checked.tell(OK, "values", "elevation", seen)
    with open_raster(place.path) as source:
        window = ((0, min(source.height, MODEL_SIDE)), (0, min(source.width, MODEL_SIDE)))
        model = source.read(1, window=window, masked=True).astype(np.float64).filled(np.nan)
        size = cell_size(source, checked.grid)
    factor = enlarged_by(model)
    if factor:
        checked.tell(
            WARNING,
            "values",
            "elevation",
            f"its values stand in treads of {factor} x {factor} cells: a model of about "
            f"{factor * size:.3g} m was enlarged without "
            "interpolation, so slopes and curvatures will show steps; take the original",
        )
    known = model[np.isfinite(model)]
    if known.size and np.array_equal(known, np.round(known)):
        step = np.degrees(np.arctan(1 / (2 * size)))
        text = (
            f"whole metres: slopes come in steps of about {step:.1f}° on cells of {size:.3g} m, and "
            f"gentle ground in terraces"
        )
        checked.tell(NOTE, "values", "elevation", text)


def enlarged_by(model: np.ndarray) -> int | None:
    """The factor by which an elevation model (row, col) was enlarged by repeating its cells, or None.

    Where it was, values change only at every k-th column and row; whole metres on gentle ground change
    rarely, but anywhere.
    """
    largest = None
    for factor in TREADS:
        if all(changes_every(model if axis else model.T, factor) for axis in (0, 1)):
            largest = factor
    return largest


def changes_every(model: np.ndarray, factor: int) -> bool:
    """Whether values change from column to column only at every `factor`-th border, wherever the first one
    is."""
    steps = np.diff(model, axis=1)
    changed = (np.isfinite(steps) & (steps != 0)).sum(axis=0)
    if changed.sum() < 100 or len(changed) < 4 * factor:
        return False
    phases = [changed[phase::factor].sum() for phase in range(factor)]
    return bool(max(phases) >= 0.98 * changed.sum())


def check_lines(checked: Checked, layer: str, file: str, located: Mapping[str, Located | str]) -> None:
    """A file of lines or polygons that distances are measured to."""
    place = at_hand(located, file)
    if place is None:
        return
    try:
        shapes = vectors_of(place, checked.grid.crs)
    except HeadscarpError as error:
        checked.tell(ERROR, "files", file, str(error))
        return
    kinds = shapes.geometry.geom_type.str.removeprefix("Multi")
    usable = int(kinds.isin(["LineString", "Polygon"]).sum())
    inside = int(shapely.intersects(shapes.geometry.to_numpy(), shapely.box(*checked.grid.bounds)).sum())
    checked.files[file] = {"path": str(place.path), "features": len(shapes), "on_grid": inside}
    text = f"{usable} lines and polygons, {inside} on the grid"
    if not usable:
        checked.tell(ERROR, "files", file, f"holds no lines and no polygons; {layer} needs them")
    else:
        far = "" if inside else ": distances will come from features outside it; is it the right region?"
        checked.tell(OK if inside else WARNING, "files", file, text + far)


# --- landslides


def check_labels(
    checked: Checked, labels: Mapping[str, Any] | None, located: Mapping[str, Located | str]
) -> None:
    """The inventory: number, areas, place and share of the landslides."""
    if not labels:
        checked.tell(
            NOTE,
            "landslides",
            "labels",
            "none are given: the area can be mapped by a network trained elsewhere, not trained or scored on",
        )
        return
    file = labels.get("landslides", labels.get("classes"))
    place = at_hand(located, file)
    if place is None:
        if file not in located:
            checked.tell(ERROR, "files", file, "is the inventory but not among the files; add it there")
        return
    try:
        mapped = mapped_mask(labels, located, checked.view)
        if "landslides" in labels:
            slides_from_polygons(checked, file, vectors_of(place, checked.grid.crs), mapped)
        else:
            slides_from_raster(checked, file, place, labels, mapped)
    except HeadscarpError as error:
        checked.tell(ERROR, "landslides", file, str(error))
        return
    if checked.label is not None:
        tell_share(checked, file)
    if checked.areas is not None and len(checked.areas):
        tell_areas(checked, file)


def mapped_mask(labels: Mapping[str, Any], located: Mapping[str, Located | str], view: Grid) -> np.ndarray:
    """Cells (row, col) where landslides were looked for."""
    place = at_hand(located, labels.get("area", ""))
    if place is None:
        return np.ones(view.shape, bool)
    shapes = vectors_of(place, view.crs).geometry.to_numpy()
    shapes = shapes[shapely.area(shapes) > 0]
    if not len(shapes):
        raise HeadscarpError(
            f"{place.path} holds no polygons of the mapped area; take another file or leave `area` out"
        )
    return rasterise_numbers(shapes, 1, view) == 1


def slides_from_polygons(
    checked: Checked, file: str, table: geopandas.GeoDataFrame, mapped: np.ndarray
) -> None:
    """Label and areas from polygons, and where these lie."""
    shapes = table.geometry.to_numpy()
    polygons = shapes[shapely.area(shapes) > 0]
    if not len(polygons):
        checked.tell(
            ERROR,
            "landslides",
            file,
            f"holds no polygons among its {len(table)} features; landslides are needed as areas",
        )
        return
    on_grid = shapely.intersects(polygons, shapely.box(*checked.grid.bounds))
    checked.landslides |= {"polygons": len(polygons), "on_grid": int(on_grid.sum())}
    if not on_grid.any():
        bounds = ", ".join(f"{edge:.0f}" for edge in shapely.total_bounds(polygons))
        checked.tell(
            ERROR,
            "landslides",
            file,
            f"none of its {len(polygons)} polygons is on the grid (they cover {bounds}); check its CRS",
        )
        return
    polygons = polygons[on_grid]
    checked.areas = shapely.area(polygons)
    checked.label = np.where(
        mapped, (rasterise_numbers(polygons, 1, checked.view) > 0).astype(np.uint8), np.uint8(UNMAPPED)
    )
    union = shapely.area(shapely.union_all(polygons))
    overlap = max(0.0, 1 - union / checked.areas.sum())
    checked.landslides["overlap"] = round(float(overlap), 4)
    if overlap > 0.02:
        checked.tell(
            WARNING,
            "landslides",
            file,
            f"{overlap:.1%} of the polygons' area is covered twice; are some drawn in two layers?",
        )
    points = shapely.point_on_surface(polygons)
    tell_outside(checked, file, points, len(on_grid))


def tell_outside(checked: Checked, file: str, points: np.ndarray, total: int) -> None:
    """How many slides lie outside the grid, the outline, and where the image has data."""
    col, row = ~checked.view.transform @ (shapely.get_x(points), shapely.get_y(points))
    row = np.clip(np.floor(row).astype(int), 0, checked.view.height - 1)
    col = np.clip(np.floor(col).astype(int), 0, checked.view.width - 1)
    outside = int(np.sum(~checked.outline[row, col]))
    seen = image_seen(checked)
    unseen = int(np.sum(~seen[row, col])) if seen is not None else 0
    checked.landslides |= {
        "off_grid": total - len(points),
        "outside_outline": outside,
        "without_image": unseen,
    }
    text = (
        f"{len(points)} of {total} polygons on the grid, {outside} of them outside the outline, {unseen} "
        f"where no image has data"
    )
    checked.tell(WARNING if unseen > 0.05 * len(points) else OK, "landslides", file, text)


def image_seen(checked: Checked) -> np.ndarray | None:
    """Cells where at least one band of an image has data; None where there is no image at hand."""
    images = [np.isfinite(checked.layers[name]) for name in checked.images]
    return np.any(images, axis=0) if images else None


def slides_from_raster(
    checked: Checked, file: str, place: Located, labels: Mapping[str, Any], mapped: np.ndarray
) -> None:
    """Label and areas from a raster of codes."""
    layer = align(place.path, 1, checked.view, CLASSES, minimum_cover=0.0)
    known = {int(code) for code in labels["names"]}
    codes = set(np.unique(layer.values[has_data(layer)]).tolist())
    if codes - known:
        checked.tell(
            ERROR,
            "landslides",
            file,
            f"holds the codes {sorted(codes - known)[:12]}, which `labels.names` does not name; add them",
        )
        return
    checked.label = np.where(mapped & has_data(layer), layer.values, UNMAPPED).astype(np.uint8)
    instances = connected_labels(checked.label, file, []).instances
    cells = np.bincount(instances.ravel())[1:]
    cell_m2 = abs(checked.view.transform.a * checked.view.transform.e)
    checked.areas = cells * cell_m2
    checked.landslides |= {"connected_parts": len(cells)}
    if not len(cells):
        checked.tell(ERROR, "landslides", file, f"no cell is a landslide (code {LANDSLIDE}); check the codes")


def tell_share(checked: Checked, file: str) -> None:
    """The share of mapped land that is landslide."""
    mapped, slide = checked.label != UNMAPPED, checked.label == LANDSLIDE
    if not mapped.any():
        checked.tell(
            ERROR, "landslides", file, "no cell of the grid lies in the mapped area; check `labels.area`"
        )
        return
    share = float(slide.sum() / mapped.sum())
    checked.landslides |= {"share": round(share, 6), "mapped_share": round(float(mapped.mean()), 4)}
    text = f"{share:.2%} of the mapped land is landslide; {mapped.mean():.0%} of the grid is mapped"
    level = ERROR if share == 0 else WARNING if share < 0.001 or share > 0.5 else OK
    checked.tell(level, "landslides", file, text + ("; few cells to learn from" if 0 < share < 0.001 else ""))


def tell_areas(checked: Checked, file: str) -> None:
    """The distribution of the slides' areas."""
    areas, cell = checked.areas, checked.grid.resolution**2
    small = float(np.mean(areas < cell))
    low, middle, high = float(areas.min()), float(np.median(areas)), float(areas.max())
    checked.tail = power_law_tail(areas)
    checked.landslides |= {
        "count": len(areas),
        "area_m2": {
            "min": round(low, 2),
            "median": round(middle, 2),
            "max": round(high, 2),
            "sum": round(float(areas.sum()), 1),
        },
        "share_below_a_pixel": round(small, 4),
        "tail": None
        if checked.tail is None
        else {
            "exponent": round(checked.tail.exponent, 3),
            "error": round(checked.tail.error, 3),
            "cutoff_m2": round(checked.tail.cutoff, 1),
            "count": checked.tail.count,
        },
    }
    span = f"{rounded(low)} to {rounded(high)} m², median {rounded(middle)} m²"
    text = f"{len(areas)} slides of {span}; {small:.1%} are smaller than a cell ({cell:g} m²)"
    checked.tell(
        WARNING if small > 0.3 else OK,
        "landslides",
        file,
        text + ("; a finer grid would show more of them" if small > 0.3 else ""),
    )
    if checked.tail:
        exponent = f"power-law tail of exponent {checked.tail.exponent:.2f} ± {checked.tail.error:.2f}"
        # The range of 27 inventories in Van Den Eeckhaut et al. 2007, doi 10.1016/j.geomorph.2006.09.011.
        usual = 1.4 <= checked.tail.exponent <= 3.4
        hint = (
            ""
            if usual
            else "; inventories have 1.4 to 3.4: slides may be drawn together, or the largest be left out"
        )
        place_of_tail = f"from {rounded(checked.tail.cutoff)} m² on ({checked.tail.count} slides)"
        checked.tell(OK if usual else NOTE, "landslides", file, f"{exponent} {place_of_tail}{hint}")


def rounded(area: float) -> str:
    """An area to three digits, without powers of ten."""
    return f"{float(f'{area:.3g}'):,.0f}" if area >= 10 else f"{area:.2g}"


# --- alignment and split


def check_alignment(
    checked: Checked, layers: Mapping[str, Any], located: Mapping[str, Located | str]
) -> None:
    """Whether the landslides lie where the image shows them."""
    if checked.label is None or not (checked.label == LANDSLIDE).any():
        return
    names = image_after(checked)
    if not names:
        checked.tell(NOTE, "alignment", "labels", "no image at hand to compare the landslides with")
        return
    aligned = checked.alignment = edge_alignment([checked.layers[name] for name in names], checked.label)
    if aligned is None:
        checked.tell(
            NOTE, "alignment", "labels", "too few outlines of landslides on the image to compare them"
        )
        return
    cell = checked.view.resolution
    against = (
        f"of {', '.join(names)} (correlation {aligned.surface.max():.2f}, same within a pixel in "
        f"{aligned.agreement:.0%} of resamples)"
    )
    if not aligned.is_told:
        checked.tell(
            NOTE,
            "alignment",
            "labels",
            f"the edges {against} do not tell where the landslides lie; look at them in a GIS",
        )
    elif max(abs(aligned.rows), abs(aligned.cols)) < 1.5:
        checked.tell(
            OK,
            "alignment",
            "labels",
            f"line up with the edges {against}: off by {direction(aligned.rows, aligned.cols)}",
        )
    else:
        where = direction(aligned.rows, aligned.cols)
        checked.tell(
            WARNING,
            "alignment",
            "labels",
            f"seem shifted {where} ({aligned.pixels * cell:.0f} m) against the edges {against}; check "
            f"the CRS and datum of both",
        )


def image_after(checked: Checked) -> list[str]:
    """Bands of one image, after the event where there are two, of the last date of a series."""
    for prefix in ("post_", ""):
        names = [
            name
            for name in checked.images
            if name.startswith(prefix) and (prefix or not name.startswith("pre_"))
        ]
        if names:
            return names
    return checked.images


def check_split(checked: Checked, sampling: Mapping[str, Any], seed: int) -> None:
    """Whether the area can be split into training, validation and test land without leakage, and how many
    windows each gets."""
    if checked.label is None or not (checked.label == LANDSLIDE).any() or checked.view != checked.grid:
        return
    seen = image_seen(checked)
    label = checked.label if seen is None else np.where(seen, checked.label, UNMAPPED).astype(np.uint8)
    try:
        split = blocked_split(label, SamplingSpec.from_record(sampling), seed)
    except HeadscarpError as error:
        checked.tell(WARNING, "split", "blocked", str(error))
        return
    counts = {name: sum(window.split == name for window in split.windows) for name in SPLITS}
    slides = {
        name: int(np.sum((split.regions == code) & (label == LANDSLIDE)))
        for code, name in enumerate(SPLITS, start=1)
    }
    checked.split = {"windows": counts, "landslide_cells": slides}
    text = ", ".join(f"{name} {counts[name]} windows with {slides[name]} landslide cells" for name in SPLITS)
    few = counts["train"] < 20 or slides["test"] < 100
    checked.tell(
        WARNING if few else OK,
        "split",
        "blocked",
        text + ("; few to learn from or to score on" if few else ""),
    )


# --- the report


def report(checked: Checked) -> str:
    """Findings for people, topic by topic."""
    grid = checked.grid
    lines = [
        f"{checked.title} ({checked.card}): {grid.height} x {grid.width} cells of {grid.resolution:g} "
        f"m, {grid.crs}"
    ]
    topics = dict.fromkeys(finding.topic for finding in checked.findings)
    width = max((len(finding.subject) for finding in checked.findings), default=0)
    for topic in topics:
        lines.append(topic)
        lines += [
            f"  {finding.level.ljust(7)}  {finding.subject.ljust(width)}  {finding.text}"
            for finding in checked.findings
            if finding.topic == topic
        ]
    counts = {
        level: sum(finding.level == level for finding in checked.findings) for level in (ERROR, WARNING, NOTE)
    }
    lines.append(", ".join(f"{count} {level}{'' if count == 1 else 's'}" for level, count in counts.items()))
    return "\n".join(lines)
