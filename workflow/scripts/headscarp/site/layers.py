"""All layers of a site on its grid: co-registered rasters, terrain, indices, distances to lines, labels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from headscarp.codes import UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path, write_json
from headscarp.geo.grid import Grid, cropped, grid_for, part_of, require_metric_grid
from headscarp.geo.lattice import TURN, steps_at
from headscarp.geo.layer import (
    ANGLE,
    CLASSES,
    CONTINUOUS,
    Layer,
    grid_of,
    notes_of,
    open_raster,
    read_layer,
    write_layer,
)
from headscarp.geo.outline import grid_around
from headscarp.geo.rasters import BILINEAR, MINIMUM_COVER, align, flagged, resolution_m
from headscarp.geo.vectors import read_vectors
from headscarp.site.checks import check_record
from headscarp.site.dates import common_dates, files_of, rising_dates
from headscarp.site.distances import distance_to_lines
from headscarp.site.indices import INDICES
from headscarp.site.label_rasters import SLIDE_NAMES, meaning_of
from headscarp.site.labels import Labels, align_labels, bounds_text, rasterise_labels
from headscarp.site.layer_names import ELEVATION_MODEL, IMAGE_UNITS
from headscarp.site.polygon_layers import rasterise_attribute

SLIDE_MEANING = SLIDE_NAMES | {UNMAPPED: "unmapped"}
PART_KEYS = ("axis", "from", "to")


@dataclass
class LayerFolder:
    """A folder of layers on one grid while it is filled, and its manifest."""

    path: Path
    grid: Grid
    citation: str = ""
    records: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(
        self,
        layer: Layer,
        classes: dict[int, str] | None = None,
        effective_m: float | None = None,
        date: str | None = None,
        derived_from: str | dict[str, str] | None = None,
    ) -> None:
        """Write a layer and note where it has no data.

        Args:
            classes: {code: name} of a class layer.
            effective_m: cell size of what the layer came from, where that is larger than the grid's.
            date: ISO date of a dated layer, whose file is then `<name>_<date>.tif`; a static layer has none.
                Dates of a name come rising.
            derived_from: what else gives the layer at another place: ELEVATION_MODEL, or the layers that an
                index is computed from, by its bands. None: a raster of its own.
        """
        source = f"{layer.source}. {self.citation}" if self.citation else layer.source
        title, file = (
            (f"{layer.name} {date}", f"{layer.name}_{date}.tif")
            if date
            else (layer.name, f"{layer.name}.tif")
        )
        write_layer(self.path / file, replace(layer, source=source))
        record = {
            "name": layer.name,
            "path": file,
            "units": layer.units,
            "source": source,
            "kind": layer.kind,
            "nodata": "nan" if np.isnan(layer.nodata) else int(layer.nodata),
            "resolution_m": resolution_m(self.grid),
            "effective_resolution_m": effective_m or resolution_m(self.grid),
        }
        record |= {"classes": {str(code): name for code, name in classes.items()}} if classes else {}
        record |= {"derived_from": derived_from} if derived_from else {}
        self.records.append(record | ({"date": date} if date else {}))
        missing = float(np.mean(~has_data(layer)))
        if missing and layer.name not in ("label", "instances"):
            self.notes.append(f"{title}: no data on {missing:.2%} of the site")

    def write_manifest(self, site: str, data: str, dates: Sequence[str], masked: Sequence[str] = ()) -> None:
        """Write `layers.json`, in which layers from which clouds are taken out (`masked`) say so; that of
        several dates tells how much of the site each shows (see `describe_series`)."""
        for record in self.records:
            record |= {"masked": True} if record["name"] in masked else {}
        described = describe_series(self, dates, masked) if len(dates) > 1 else {}
        manifest = {
            "site": site,
            "data": data,
            "grid": self.grid.to_record(),
            "layers": self.records,
            "dates": list(dates),
        } | ({"citation": self.citation} if self.citation else {})
        write_json(self.path / "layers.json", manifest | {"notes": self.notes} | described)

    def records_by_date(self, name: str) -> dict[str | None, dict[str, Any]]:
        """The records of a layer by date; a static layer has one, at None."""
        return {record.get("date"): record for record in self.records if record["name"] == name}


def build_layers(
    record: dict[str, Any], raw_folder: str | Path, terrain_folder: str | Path | None, out_folder: str | Path
) -> None:
    """Write every layer of a site as a COG on its grid, and `layers.json`; `out_folder` appears whole or not
    at all.

    Args:
        record: how raw files become layers, the part `layers` of a card's site, with the site's `name` and
            `data` (twin or real): `grid`: {like: raw raster} takes that raster's grid; with {crs,
            resolution_m} too, a grid in that CRS over its footprint; with {within: vector file} too, only the
            part under that file's bounding box, in whole cells; with {part: {axis, from, to}} too, only that
            between two shares of its width (axis x, from the west) or height (axis y, from the north).
            {around: vector file, crs, resolution_m} takes the box of an outline in that CRS, its edges
            multiples of the resolution. `dates`: list of dates (ISO texts, rising); landslides are those of
            the last. `citation`: appended to every layer's source (optional). `rasters`: {layer: {file (the
            same at all dates) or files ({date: file}; a date without one is missing), band (number or
            description, default 1), kind (continuous or classes), units, scale (factor on the values, default
            1), classes ({code: name}, for kind classes), resampling (bilinear, the default, or cubic, for
            others), mask ({file or files, values: codes}; cells with one of these codes, of clouds for
            example, become no data; optional)}}; or of polygons, {layer: {file (vectors), attribute, kind,
            units, scale, classes, mask}}: the attribute's value at cell centres, where classes given as text
            are numbered from 1 in alphabetical order unless `classes` gives their codes (see
            `polygon_layers.rasterise_attribute`). `terrain`: names of layers of `terrain_folder` to take, see
            `terrain_names` (optional); `terrain_resampling`: bilinear (default) or cubic. `indices`: {ndvi:
            {nir, red}, mndwi: {green, swir1}}, names of layers (optional); at every date that has all of
            them. `lines`: {layer: vector file of lines or polygons}, distances in metres, 0 inside polygons
            (optional). `labels`: {landslides: vector file, area: vector file (optional)}, or of a raster
            {classes: raster file, values: {value of it: class name or unlabelled}, names: {code: name} of
            the classes, of which 1 is landslides (optional; those of `label_rasters.SLIDE_NAMES`), area:
            vector file (optional)}, where the values are the codes unless `values` says what they mean;
            without `labels` every cell is unmapped. `layers.json` gives for each layer
            `resolution_m`, the grid's, and `effective_resolution_m`, that of the raster that it came from
            where it is coarser; for one of `files` its `date`. That of several dates has `series` (see
            `describe_series`).

    Raises:
        HeadscarpError: a key is unknown or missing, or any raw file is unfit; the message names it and the
            remedy.
    """
    check_record(record)
    raw, terrain, rasters = Path(raw_folder), Path(terrain_folder or ""), record["rasters"]
    dates = rising_dates(record["dates"], "dates")
    grid = site_grid(record["grid"], raw)
    with atomic_path(out_folder) as path:
        path.mkdir()
        folder = LayerFolder(path, grid, record.get("citation", ""), notes=turn_notes(grid))
        covered = add_rasters(folder, rasters, raw, dates)
        add_terrain(folder, record.get("terrain", []), terrain, record.get("terrain_resampling", BILINEAR))
        for name, inputs in record.get("indices", {}).items():
            add_index(folder, name, inputs)
        for name, file in record.get("lines", {}).items():
            distance = distance_to_lines(raw / file, grid)
            folder.add(
                Layer(
                    name, distance, grid, "m", f"Euclidean distance to the nearest line or polygon of {file}"
                )
            )
        add_labels(folder, record.get("labels"), raw, covered)
        masked = masked_with_indices(
            [name for name, entry in rasters.items() if "mask" in entry], record.get("indices", {})
        )
        folder.write_manifest(record["name"], record["data"], dates, masked)


def add_rasters(
    folder: LayerFolder, rasters: dict[str, dict[str, Any]], raw: Path, dates: Sequence[str]
) -> np.ndarray:
    """Co-register the raw rasters, date by date, without what their masks hide.

    Returns:
        Where at least one image (one continuous raster where there are no images) has data at one date or
        more (everywhere if there is neither), bool (row, col).
    """
    continuous = {name for name, entry in rasters.items() if entry.get("kind", CONTINUOUS) == CONTINUOUS}
    telling = {name for name in continuous if rasters[name]["units"] in IMAGE_UNITS} or continuous
    covered = np.full(folder.grid.shape, not telling)
    for name, entry in rasters.items():
        files, mask = files_of(entry, dates, name), entry.get("mask", {})
        hidden = files_of(mask, dates, name) if mask else {}
        of_polygons = "attribute" in entry
        own_grids = (hidden,) if of_polygons else (files, hidden)
        folder.notes += [
            note for part in own_grids for note in grid_notes(raw, part) if note not in folder.notes
        ]
        for date, file in files.items():
            concealing = hidden.get(date, hidden.get(None))
            cover = MINIMUM_COVER if date is None else 0.0
            layer, classes, notes = raster_layer(
                name, entry, raw / file, raw / concealing if concealing else None, folder.grid, cover
            )
            folder.notes += notes
            if mask and not concealing:
                folder.notes.append(f"{name} {date}: its mask has no file for this date; nothing is hidden")
            effective = None if of_polygons else resolution_m(folder.grid, raw / file)
            folder.add(layer, classes, effective, date)
            if name in telling:
                covered |= has_data(layer)
    return covered


def raster_layer(
    name: str, entry: dict[str, Any], path: Path, concealing: Path | None, grid: Grid, minimum_cover: float
) -> tuple[Layer, dict[int, str] | None, list[str]]:
    """One file of a raster, or an attribute of its polygons, on a grid, scaled, without what its mask hides.

    Args:
        concealing: file of the mask, if there is one for this file's date.

    Returns:
        The layer, {code: name} of a class layer, and notes.

    Raises:
        HeadscarpError: a file is unfit.
    """
    if "attribute" in entry:
        layer, classes, notes = attribute_layer(path, name, entry, grid)
    else:
        layer, classes, notes = coregister(path, name, entry, grid, minimum_cover), entry.get("classes"), []
    if concealing:
        codes = entry["mask"]["values"]
        layer = masked_layer(layer, flagged(concealing, codes, grid), concealing.name, codes)
    return layer, classes, notes


def coregister(path: Path, name: str, entry: dict[str, Any], grid: Grid, minimum_cover: float) -> Layer:
    """One file of a raster on the site's grid, scaled."""
    band, kind, scale = entry.get("band", 1), entry.get("kind", CONTINUOUS), entry.get("scale", 1)
    layer = align(path, band, grid, kind, minimum_cover, entry.get("resampling", BILINEAR))
    return scaled_layer(
        replace(layer, source=layer.source + (f", band {band}" if band != 1 else "")),
        name,
        entry["units"],
        scale,
    )


def attribute_layer(
    path: Path, name: str, entry: dict[str, Any], grid: Grid
) -> tuple[Layer, dict[int, str] | None, list[str]]:
    """An attribute of polygons on the site's grid, scaled, {code: name} of its classes, and notes."""
    layer, classes, notes = rasterise_attribute(
        path, entry["attribute"], grid, entry.get("kind", CONTINUOUS), entry.get("classes")
    )
    return scaled_layer(layer, name, entry["units"], entry.get("scale", 1)), classes, notes


def scaled_layer(layer: Layer, name: str, units: str, scale: float) -> Layer:
    """A layer under its name at the site, its values (not those of classes) times a factor."""
    values = layer.values if layer.kind == CLASSES else layer.values * np.float32(scale)
    return replace(
        layer,
        name=name,
        values=values,
        units=units,
        source=layer.source + (f", times {scale:g}" if scale != 1 else ""),
    )


def masked_layer(layer: Layer, hidden: np.ndarray, file: str, codes: Sequence[int]) -> Layer:
    """A layer without data where `hidden` (row, col), as its source tells."""
    values = np.where(hidden, layer.values.dtype.type(layer.nodata), layer.values)
    return replace(
        layer, values=values, source=f"{layer.source}, no data where {file} is {' or '.join(map(str, codes))}"
    )


def grid_notes(raw: Path, files: dict[str | None, str]) -> list[str]:
    """Notes on the dates whose file lies on another grid than those of most dates."""
    grids = {}
    for date, file in files.items():
        with open_raster(raw / file) as source:
            grids[date] = grid_of(source)
    usual = max(
        grids.values(), key=lambda grid: sum(same_grid(grid, other) for other in grids.values()), default=None
    )
    return [
        f"{files[date]} ({date}) lies on another grid ({grid_text(grid)}) than "
        f"the files of other dates ({grid_text(usual)}); it was co-registered"
        for date, grid in grids.items()
        if not same_grid(grid, usual)
    ]


def same_grid(one: Grid, other: Grid) -> bool:
    """Whether two grids have the same CRS, shape and (to a hundredth of a cell) corners."""
    corners = [(0, 0), (one.width, 0), (0, one.height)]
    near = all(
        math.dist(one.transform @ corner, other.transform @ corner) <= 0.01 * one.resolution
        for corner in corners
    )
    return one.crs == other.crs and one.shape == other.shape and near


def grid_text(grid: Grid) -> str:
    return (
        f"{grid.crs}, cells of {grid.resolution:.6g}, from {grid.bounds[0]:.9g}, "
        f"{grid.bounds[3]:.9g} on, {grid.height} x {grid.width}"
    )


def add_terrain(folder: LayerFolder, names: Sequence[str], terrain: Path, resampling: str = BILINEAR) -> None:
    """Bring layers of a folder that `site.terrain.derive_terrain` wrote onto the grid, and its notes into the
    folder."""
    folder.notes += notes_of(terrain / "elevation.tif") if names else []
    for name in names:
        layer = align(
            terrain / f"{name}.tif",
            1,
            folder.grid,
            ANGLE if name == "aspect" else CONTINUOUS,
            resampling=resampling,
        )
        folder.add(
            replace(layer, name=name),
            effective_m=resolution_m(folder.grid, terrain / f"{name}.tif"),
            derived_from=ELEVATION_MODEL,
        )


def add_index(folder: LayerFolder, name: str, inputs: dict[str, str]) -> None:
    """Compute a spectral index from layers of the folder, at every date that has them all (once where all are
    static)."""
    compute, bands = INDICES[name]
    layers = [folder.records_by_date(inputs[band]) for band in bands]
    for date in common_dates(layers):
        records = [layer.get(date, layer.get(None)) for layer in layers]
        values = compute(*(read_layer(folder.path / record["path"]).values for record in records))
        source = f"{name} of {', '.join(inputs[band] for band in bands)}"
        effective = max(record["effective_resolution_m"] for record in records)
        folder.add(
            Layer(name, values, folder.grid, "1", source),
            effective_m=effective,
            date=date,
            derived_from={band: inputs[band] for band in bands},
        )


def masked_with_indices(masked: Sequence[str], indices: dict[str, dict[str, str]]) -> list[str]:
    """The masked layers and the indices of one or more of them."""
    return [*masked, *(name for name, inputs in indices.items() if set(inputs.values()) & set(masked))]


def describe_series(folder: LayerFolder, dates: Sequence[str], masked: Sequence[str] = ()) -> dict[str, Any]:
    """How much of the site each date shows, from the layers in the folder; notes tell it in words.

    Args:
        masked: layers from which clouds are taken out; where there are any, they alone say what is clear.

    Returns:
        {series: [{date, clear_share: share of the grid's cells where a dated layer has a value, missing:
        dated layers without that
        date}], never_clear_share: share of the cells that are clear at no date}.
    """
    names = list(dict.fromkeys(record["name"] for record in folder.records if "date" in record))
    layers, telling = (
        {name: folder.records_by_date(name) for name in names},
        [name for name in names if name in masked] or names,
    )
    ever, series = np.zeros(folder.grid.shape, bool), []
    for date in dates:
        clear = np.zeros(folder.grid.shape, bool)
        for name in telling:
            if date in layers[name]:
                clear |= has_data(read_layer(folder.path / layers[name][date]["path"]))
        ever |= clear
        series.append(
            {
                "date": date,
                "clear_share": float(clear.mean()),
                "missing": [name for name in names if date not in layers[name]],
            }
        )
    never = float(np.mean(~ever))
    gaps: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        gaps.setdefault(tuple(date for date in dates if date not in layers[name]), []).append(name)
    folder.notes += [
        f"{', '.join(group)}: missing at {', '.join(missing)}" for missing, group in gaps.items() if missing
    ]
    shown = ", ".join(f"{entry['date']} {entry['clear_share']:.2%}" for entry in series)
    folder.notes.append(
        f"share of the site that is clear: {shown}; {never:.2%} of the site is clear at no date"
    )
    return {"series": series, "never_clear_share": never}


def add_labels(folder: LayerFolder, files: dict[str, Any] | None, raw: Path, covered: np.ndarray) -> None:
    """Bring the landslides or classes onto the grid; cells without any image are unmapped, and all of them
    where there is no label."""
    meaning, effective = SLIDE_MEANING, None
    area = raw / files["area"] if files and "area" in files else None
    within = f"; mapped area of {files['area']}" if area else ""
    if files is None:
        shape = folder.grid.shape
        labels = Labels(
            np.full(shape, UNMAPPED, np.uint8),
            np.zeros(shape, np.int32),
            ["label: no polygons, every cell is unmapped"],
        )
        origin = "no polygons of landslides"
    elif "classes" in files:
        said = meaning_of(files)
        labels = align_labels(raw / files["classes"], said, folder.grid, area, covered)
        origin, effective = (
            f"classes of {files['classes']}{within}",
            resolution_m(folder.grid, raw / files["classes"]),
        )
        meaning = dict(said.names) | {UNMAPPED: "unmapped"}
    else:
        labels = rasterise_labels(raw / files["landslides"], folder.grid, area, covered)
        origin = f"polygons of {files['landslides']}, cell centre inside{within}"
    write_labels(folder, labels, origin, meaning, effective)


def write_labels(
    folder: LayerFolder,
    labels: Labels,
    origin: str,
    meaning: dict[int, str] = SLIDE_MEANING,
    effective: float | None = None,
) -> None:
    """Add the layers `label`, whose codes have a `meaning`, and `instances`, and their notes."""
    folder.notes += labels.notes
    folder.add(
        Layer(
            name="label",
            values=labels.label,
            grid=folder.grid,
            units="class",
            source=origin,
            kind=CLASSES,
            nodata=UNMAPPED,
        ),
        meaning,
        effective,
    )
    folder.add(
        Layer(
            name="instances",
            values=labels.instances,
            grid=folder.grid,
            units="number of the slide",
            source=origin,
            kind=CLASSES,
            nodata=0,
        ),
        effective_m=effective,
    )


def has_data(layer: Layer) -> np.ndarray:
    """Where a layer has data, bool (row, col)."""
    return layer.values != layer.nodata if layer.kind == CLASSES else ~np.isnan(layer.values)


def site_grid(record: dict[str, Any], raw: Path) -> Grid:
    """The grid of a site: that of a raw raster, or one in another CRS and resolution over its footprint;
    whole, or under a vector file; or one around an outline; or a part of any.

    Raises:
        HeadscarpError: a file is missing or unreadable, the CRS is unfit, or the vector file lies beside the
            raster.
    """
    if "around" in record:
        grid = grid_around(raw / record["around"], record["crs"], float(record["resolution_m"]))
    else:
        grid = grid_like(record, raw)
    return part_of(grid, *(record["part"][key] for key in PART_KEYS)) if "part" in record else grid


def grid_like(record: dict[str, Any], raw: Path) -> Grid:
    """The grid of a raw raster or one over its footprint, whole or under a vector file."""
    with open_raster(raw / record["like"]) as source:
        grid = grid_of(source)
    if "crs" in record:
        grid = grid_for(grid, record["crs"], float(record["resolution_m"]))
    else:
        require_metric_grid(grid, raw / record["like"], "the site")
    return grid_within(grid, record, raw) if "within" in record else grid


def turn_notes(grid: Grid) -> list[str]:
    """A note where a grid's north is not true north."""
    turn = steps_at(grid.crs, grid.transform, grid.width / 2, grid.height / 2).turn
    if abs(turn) <= TURN:
        return []
    return [
        f"the grid's north ({grid.crs}) is {abs(turn):.0f} degrees off true north; "
        "aspects count from the grid's"
    ]


def grid_within(grid: Grid, record: dict[str, Any], raw: Path) -> Grid:
    """The part of a grid under the bounding box of the vector file that the record names, in whole cells.

    Raises:
        HeadscarpError: it lies beside the grid.
    """
    bounds = tuple(read_vectors(raw / record["within"], grid.crs).total_bounds)
    part = cropped(grid, bounds)
    if part is None:
        raise HeadscarpError(
            f"{raw / record['within']} ({bounds_text(bounds)}) lies beside {record['like']} "
            f"({bounds_text(grid.bounds)} in {grid.crs}); "
            "check its CRS or take the outline that belongs to the raster"
        )
    return part
