"""All layers of a site on its grid: co-registered rasters, terrain, indices, distances to lines, labels."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path, write_json
from headscarp.site.distances import distance_to_lines
from headscarp.site.grid import Grid, cropped, grid_for
from headscarp.site.indices import INDICES
from headscarp.site.labels import UNMAPPED, Labels, align_labels, bounds_text, rasterise_labels
from headscarp.site.layer import ANGLE, CLASSES, CONTINUOUS, Layer, grid_of, open_raster, write_layer
from headscarp.site.rasters import BILINEAR, RESAMPLINGS, align, resolution_m
from headscarp.site.vectors import read_vectors
from headscarp.vocabulary import require_known

RECORD_KEYS = ("name", "data", "dem", "grid", "dates", "citation", "rasters", "terrain", "terrain_resampling", "indices", "lines", "labels")
RASTER_KEYS = ("file", "band", "kind", "units", "scale", "classes", "resampling")
LABEL_KEYS = ("landslides", "classes", "names", "area")
TERRAIN = (
    "elevation",
    "slope",
    "aspect",
    "curvature",
    "plan_curvature",
    "profile_curvature",
    "flow_accumulation",
    "twi",
    "relief",
    "roughness",
)


@dataclass
class LayerFolder:
    """A folder of layers on one grid while it is filled, and its manifest."""

    path: Path
    grid: Grid
    citation: str = ""
    records: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, layer: Layer, classes: dict[int, str] | None = None, effective_m: float | None = None) -> None:
        """Write a layer and note where it has no data; `effective_m` is the cell size of what it came from, where that is larger."""
        source = f"{layer.source}. {self.citation}" if self.citation else layer.source
        write_layer(self.path / f"{layer.name}.tif", replace(layer, source=source))
        record = {
            "name": layer.name, "path": f"{layer.name}.tif", "units": layer.units, "source": source, "kind": layer.kind,
            "nodata": "nan" if np.isnan(layer.nodata) else int(layer.nodata), "resolution_m": resolution_m(self.grid),
            "effective_resolution_m": effective_m or resolution_m(self.grid),
        }  # fmt: skip
        self.records.append(record | ({"classes": {str(code): name for code, name in classes.items()}} if classes else {}))
        missing = float(np.mean(~has_data(layer)))
        if missing and layer.name not in ("label", "instances"):
            self.notes.append(f"{layer.name}: no data on {missing:.2%} of the site")


def build_layers(record: dict[str, Any], raw_folder: str | Path, terrain_folder: str | Path | None, out_folder: str | Path) -> None:
    """Write every layer of a site as a COG on its grid, and `layers.json`; `out_folder` appears whole or not at all.

    Args:
        record: how raw files become layers, the part `layers` of a card's site, with the site's `name` and `data` (twin or real):
            `grid`: {like: raw raster} takes that raster's grid; with {crs, resolution_m} too, a grid in that CRS over its footprint;
            with {within: vector file} too, only the part under that file's bounding box, in whole cells.
            `dates`: list of one date (text).
            `citation`: appended to every layer's source (optional).
            `rasters`: {layer: {file, band (number or description, default 1), kind (continuous or classes), units, scale (factor on the
            values, default 1), classes ({code: name}, for kind classes), resampling (bilinear, the default, or cubic, for others)}}.
            `terrain`: names of layers of `terrain_folder` to take (optional); `terrain_resampling`: bilinear (default) or cubic.
            `indices`: {ndvi: {nir, red}, mndwi: {green, swir1}}, names of layers (optional).
            `lines`: {layer: vector file of lines or polygons}, distances in metres, 0 inside polygons (optional).
            `labels`: {landslides: vector file, area: vector file (optional)}, or for several classes {classes: raster file of codes,
            of which 1 is landslides, names: {code: name}, area: vector file (optional)}; without it every cell is unmapped.
            `layers.json` gives for each layer `resolution_m`, the grid's, and `effective_resolution_m`, that of the raster that it came
            from where it is coarser.

    Raises:
        HeadscarpError: a key is unknown or missing, or any raw file is unfit; the message names it and the remedy.
    """
    check_record(record)
    raw, terrain = Path(raw_folder), Path(terrain_folder or "")
    grid = site_grid(record["grid"], raw)
    with atomic_path(out_folder) as path:
        path.mkdir()
        folder = LayerFolder(path, grid, record.get("citation", ""))
        images = add_rasters(folder, record["rasters"], raw)
        for name in record.get("terrain", []):
            kind, how = ANGLE if name == "aspect" else CONTINUOUS, record.get("terrain_resampling", BILINEAR)
            layer = align(terrain / f"{name}.tif", 1, grid, kind, resampling=how)
            folder.add(replace(layer, name=name), effective_m=resolution_m(grid, terrain / f"{name}.tif"))
        for name, inputs in record.get("indices", {}).items():
            effective = max(resolution_m(grid, raw / record["rasters"][band]["file"]) for band in inputs.values())
            add_index(folder, name, inputs, images, effective)
        for name, file in record.get("lines", {}).items():
            distance = distance_to_lines(raw / file, grid)
            folder.add(Layer(name, distance, grid, "m", f"Euclidean distance to the nearest line or polygon of {file}"))
        add_labels(folder, record.get("labels"), raw, covered=imaged(images.values(), grid))
        manifest = {
            "site": record["name"], "data": record["data"], "grid": grid.to_record(), "layers": folder.records,
            "dates": [str(date) for date in record["dates"]], "notes": folder.notes,
        }  # fmt: skip
        write_json(path / "layers.json", manifest)


def add_rasters(folder: LayerFolder, rasters: dict[str, dict[str, Any]], raw: Path) -> dict[str, Layer]:
    """Co-register the raw rasters; returns the layers by name."""
    layers = {}
    for name, entry in rasters.items():
        band, kind, scale = entry.get("band", 1), entry.get("kind", CONTINUOUS), entry.get("scale", 1)
        layer = align(raw / entry["file"], band, folder.grid, kind, resampling=entry.get("resampling", BILINEAR))
        origin = layer.source + (f", band {band}" if band != 1 else "") + (f", times {scale:g}" if scale != 1 else "")
        values = layer.values if kind == CLASSES else layer.values * np.float32(scale)
        layers[name] = replace(layer, name=name, values=values, units=entry["units"], source=origin)
        folder.add(layers[name], entry.get("classes"), resolution_m(folder.grid, raw / entry["file"]))
    return layers


def add_index(folder: LayerFolder, name: str, inputs: dict[str, str], images: dict[str, Layer], effective_m: float) -> None:
    """Compute a spectral index from co-registered rasters, whose coarsest has cells of `effective_m`."""
    compute, bands = INDICES[name]
    arrays = [images[inputs[band]].values for band in bands]
    source = f"{name} of {', '.join(inputs[band] for band in bands)}"
    folder.add(Layer(name, compute(*arrays), folder.grid, "1", source), effective_m=effective_m)


def add_labels(folder: LayerFolder, files: dict[str, Any] | None, raw: Path, covered: np.ndarray) -> None:
    """Bring the landslides or classes onto the grid; cells without any image are unmapped, and all of them where there is no label."""
    meaning, effective = {0: "not a landslide", 1: "landslide", UNMAPPED: "unmapped"}, None
    area = raw / files["area"] if files and "area" in files else None
    within = f"; mapped area of {files['area']}" if area else ""
    if files is None:
        shape = folder.grid.shape
        labels = Labels(np.full(shape, UNMAPPED, np.uint8), np.zeros(shape, np.int32), ["label: no polygons, every cell is unmapped"])
        origin = "no polygons of landslides"
    elif "classes" in files:
        names = {int(code): name for code, name in files["names"].items()}
        labels = align_labels(raw / files["classes"], names, folder.grid, area, covered)
        origin, effective = f"classes of {files['classes']}{within}", resolution_m(folder.grid, raw / files["classes"])
        meaning = names | {UNMAPPED: "unmapped"}
    else:
        labels = rasterise_labels(raw / files["landslides"], folder.grid, area, covered)
        origin = f"polygons of {files['landslides']}, cell centre inside{within}"
    folder.notes += labels.notes
    folder.add(Layer("label", labels.label, folder.grid, "class", origin, CLASSES, UNMAPPED), meaning, effective)
    folder.add(Layer("instances", labels.instances, folder.grid, "number of the slide", origin, CLASSES, 0), effective_m=effective)


def has_data(layer: Layer) -> np.ndarray:
    """Where a layer has data, bool (row, col)."""
    return layer.values != layer.nodata if layer.kind == CLASSES else ~np.isnan(layer.values)


def imaged(layers: Iterable[Layer], grid: Grid) -> np.ndarray:
    """Where at least one continuous raster has data (everywhere if there is none), bool (row, col)."""
    images = [has_data(layer) for layer in layers if layer.kind == CONTINUOUS]
    return np.any(images, axis=0) if images else np.ones(grid.shape, bool)


def site_grid(record: dict[str, Any], raw: Path) -> Grid:
    """The grid of a site: that of a raw raster, or one in another CRS and resolution over its footprint; whole, or under a vector file.

    Raises:
        HeadscarpError: a file is missing or unreadable, the CRS is unfit, or the vector file lies beside the raster.
    """
    with open_raster(raw / record["like"]) as source:
        grid = grid_of(source)
    if "crs" in record:
        grid = grid_for(grid, record["crs"], float(record["resolution_m"]))
    if "within" not in record:
        return grid
    bounds = tuple(read_vectors(raw / record["within"], grid.crs).total_bounds)
    part = cropped(grid, bounds)
    if part is None:
        raise HeadscarpError(
            f"{raw / record['within']} ({bounds_text(bounds)}) lies beside {record['like']} ({bounds_text(grid.bounds)} in {grid.crs}); "
            "check its CRS or take the outline that belongs to the raster"
        )
    return part


def check_record(record: dict[str, Any]) -> None:
    """Check the names in a site's record before any work is done.

    Raises:
        HeadscarpError: a key or name is unknown (the nearest is named) or missing.
    """
    place = f"site {record.get('name', '?')}, layers"
    check_keys(record, RECORD_KEYS, ("name", "data", "grid", "dates", "rasters"), place)
    check_keys(
        record["grid"],
        ("like", "crs", "resolution_m", "within"),
        ("like", "resolution_m") if "crs" in record["grid"] else ("like",),
        f"{place}, grid",
    )
    if record.get("labels") is not None:
        check_label_keys(record["labels"], f"{place}, labels")
    if len(record["dates"]) != 1:
        raise HeadscarpError(f"{place}: dates must list one date, it lists {len(record['dates'])}")
    for name, entry in record["rasters"].items():
        check_keys(entry, RASTER_KEYS, ("file", "units"), f"{place}, rasters, {name}")
        if require_known(entry.get("kind", CONTINUOUS), (CONTINUOUS, CLASSES), f"{place}, rasters, {name}: kind") == CLASSES:
            check_keys(entry, RASTER_KEYS, ("classes",), f"{place}, rasters, {name}")
            if "resampling" in entry:
                raise HeadscarpError(f"{place}, rasters, {name}: classes go by the nearest cell; remove the key 'resampling'")
        require_known(entry.get("resampling", BILINEAR), RESAMPLINGS, f"{place}, rasters, {name}: resampling")
    if record.get("terrain") and "dem" not in record:
        raise HeadscarpError(f"{place}: terrain layers need an elevation model and none is named; give its file as `dem`")
    require_known(record.get("terrain_resampling", BILINEAR), RESAMPLINGS, f"{place}: terrain_resampling")
    for name in record.get("terrain", []):
        require_known(name, TERRAIN, f"{place}, terrain: layer")
    for name, inputs in record.get("indices", {}).items():
        bands = INDICES[require_known(name, INDICES, f"{place}, indices: index")][1]
        check_keys(inputs, bands, bands, f"{place}, indices, {name}")
        for band in bands:
            require_known(inputs[band], record["rasters"], f"{place}, indices, {name}: raster layer")


def check_label_keys(labels: dict[str, Any], place: str) -> None:
    """Check the names in the part `labels` of a site's record: polygons of landslides, or a raster of classes and their names.

    Raises:
        HeadscarpError: a key is unknown or missing, both kinds are given, or a code is not a number from 0 to 254.
    """
    check_keys(labels, LABEL_KEYS, ("names",) if "classes" in labels else ("landslides",), place)
    if "landslides" in labels and ("classes" in labels or "names" in labels):
        raise HeadscarpError(f"{place}: landslides (polygons) and classes (a raster with names) exclude each other; keep one of them")
    for code in labels.get("names", {}):
        if not str(code).isdecimal() or int(code) >= UNMAPPED:
            raise HeadscarpError(f"{place}, names: the code '{code}' is no whole number from 0 to {UNMAPPED - 1}; {UNMAPPED} is unmapped")


def check_keys(record: dict[str, Any], known: Iterable[str], required: Iterable[str], place: str) -> None:
    """Refuse unknown and missing keys."""
    for key in record:
        require_known(key, known, f"{place}: key")
    for key in required:
        if key not in record:
            raise HeadscarpError(f"{place}: the key '{key}' is missing; add it")
