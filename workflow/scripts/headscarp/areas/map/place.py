"""A user's rasters as the cube that a trained network reads, made by the stations of any study area."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import geopandas
import shapely

from headscarp.areas.guess.rasters import Band, scale_of
from headscarp.areas.init.rasters import DEM_MARGIN_M
from headscarp.areas.map.bands import Inputs, text_of
from headscarp.delivery.trained_model import TrainedModel
from headscarp.errors import HeadscarpError
from headscarp.files import read_json, write_json
from headscarp.geo.grid import Grid, utm_crs
from headscarp.geo.lattice import MOST_TURN, place_of, steps_at, why_unfit
from headscarp.geo.layer import CLASSES, grid_of, open_raster
from headscarp.geo.rasters import COARSER
from headscarp.site.layer_names import OPTICAL_UNITS
from headscarp.site.layers import build_layers
from headscarp.site.stack import build_cube
from headscarp.site.terrain import derive_terrain
from headscarp.site.terrain_names import names_over_windows
from headscarp.sources.imports import import_file

SAME = 0.01  # share by which the size of pixels may differ from that of training and count as the same
MOST_COARSER = 4  # times: beyond, the smallest landslides that training showed are less than a pixel
UNKNOWN_DATE = "1900-01-01"  # what layers are dated where no file's name tells a date
DEM_FILE, OUTLINE_FILE = "dem.tif", "outline.gpkg"
EDGE_PIECES = 16  # of each edge of a footprint, which another CRS bends


@dataclass(frozen=True)
class Place:
    """The ground that is mapped: the folders of its layers and its cube, how each channel came about, and
    what the reader should know."""

    layers: Path
    cube: Path
    samples: Path
    channels: Mapping[str, str]
    notes: list[str]


@contextmanager
def made_place(
    model: TrainedModel, inputs: Inputs, scales: Mapping[str, float], name: str, folder: Path
) -> Iterator[Place]:
    """The place that bands show, in a folder within `folder` for the time of the block.

    Args:
        scales: {layer: factor on its values}; of others that of `scale_of` for light, else 1.
        name: of the place, for messages.

    Raises:
        HeadscarpError: a file is unfit, or its pixels are far coarser than those of training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".map-", dir=folder) as scratch:
        work = Path(scratch)
        files, notes = import_bands(inputs, work / "raw")
        record, channels = record_of_layers(model, inputs, files, scales, name)
        grid, of_grid = grid_record(model, work / "raw" / files[inputs.bands[0].path])
        with named_as_given(files, work / "raw"):
            if inputs.dem:
                derive_terrain(work / "raw" / DEM_FILE, work / "terrain", names_over_windows(model.terrain))
            build_layers(record | {"grid": grid}, work / "raw", work / "terrain", work / "layers")
        build_cube(work / "layers", work / "cube")
        normalisation = {channel["name"]: channel["normalisation"] for channel in model.channels}
        write_json(work / "samples" / "samples.json", {"normalisation": normalisation})
        notes += read_json(work / "layers" / "layers.json")["notes"]
        worth = [note for note in dict.fromkeys(notes) if not note.startswith("label:")]
        yield Place(work / "layers", work / "cube", work / "samples", channels, [*of_grid, *worth])


@contextmanager
def named_as_given(files: Mapping[Path, str], raw: Path) -> Iterator[None]:
    """A block whose errors call the raw files of a folder as the user does."""
    try:
        yield
    except HeadscarpError as error:
        text = str(error)
        for path, file in files.items():
            text = text.replace(str(raw / file), str(path))
        raise HeadscarpError(text) from None


def import_bands(inputs: Inputs, raw: Path) -> tuple[dict[Path, str], list[str]]:
    """Take the files of bands over as those of any area, within the footprint of the first: the names of the
    raw files, and notes."""
    raw.mkdir()
    with open_raster(inputs.bands[0].path) as source:
        footprint = grid_of(source)
    box = shapely.box(*footprint.bounds)
    pieces = max(box.bounds[2] - box.bounds[0], box.bounds[3] - box.bounds[1]) / EDGE_PIECES
    outline = geopandas.GeoDataFrame(geometry=[shapely.segmentize(box, pieces)], crs=footprint.crs)
    outline.to_file(raw / OUTLINE_FILE)
    files: dict[Path, str] = {}
    notes: list[str] = []
    for band in inputs.bands:
        if band.path in files:
            continue
        of_dem = band is inputs.dem
        files[band.path] = DEM_FILE if of_dem else f"image_{len(files)}.tif"
        spec = band.spec | ({"margin_m": DEM_MARGIN_M} if of_dem else {})
        told = import_file(spec, band.path, raw / OUTLINE_FILE, raw / files[band.path])
        notes += [f"{band.path.name}: {note}" for note in band.notes]
        # How much of the box it covers is no news: layers tell where they have no data.
        notes += [note for note in told[1:] if "outline's box" not in note]
    return files, notes


def record_of_layers(
    model: TrainedModel,
    inputs: Inputs,
    files: Mapping[Path, str],
    scales: Mapping[str, float],
    name: str,
) -> tuple[dict[str, Any], dict[str, str]]:
    """The part `layers` of a card's site that makes the layers of training, but for its grid, and {layer:
    how it came about}."""
    rasters, told = {}, {}
    for layer, dated in inputs.layers.items():
        entry = model.rasters[layer]
        first, *others = dated.values()
        if any(band.number != first.number for band in others):
            raise HeadscarpError(
                f"{layer} is {' and '.join(text_of(band) for band in dated.values())}; bring the bands of "
                "all dates into one order"
            )
        factor, why = scale_of_layer(layer, entry, first, scales)
        rasters[layer] = {"units": entry["units"], "band": first.number}
        rasters[layer] |= {"scale": factor} if factor != 1 else {}
        rasters[layer] |= (
            {"kind": CLASSES, "classes": classes_of(layer, model)} if entry["kind"] == CLASSES else {}
        )
        rasters[layer] |= (
            {"file": files[first.path]}
            if None in dated
            else {"files": {date: files[band.path] for date, band in dated.items()}}
        )
        told[layer] = ", ".join(text_of(band) for band in dated.values()) + (f", {why}" if why else "")
    record = {
        "name": name,
        "data": "real",
        "dates": list(inputs.dates) or [UNKNOWN_DATE],
        "rasters": rasters,
        "indices": model.indices,
        "terrain": model.terrain,
    }
    if inputs.dem:
        record |= {"dem": DEM_FILE}
        told |= {layer: f"derived from {text_of(inputs.dem)}" for layer in model.terrain}
    told |= {index: f"of {', '.join(of.values())}" for index, of in model.indices.items()}
    return record, told


def scale_of_layer(
    layer: str, entry: Mapping[str, Any], band: Band, scales: Mapping[str, float]
) -> tuple[float, str]:
    """Factor on the values of a layer's band, and why."""
    if layer in scales:
        return scales[layer], f"times {scales[layer]:g} (--scale)"
    if entry["units"] not in OPTICAL_UNITS:
        return 1.0, ""
    factor, why = scale_of(band)
    return float(f"{factor:.7g}"), (f"times {factor:.7g} ({why})" if factor != 1 else "")


def classes_of(layer: str, model: TrainedModel) -> dict[int, str]:
    """The codes of a class layer that the network knows, with a name."""
    codes = [channel["name"].removeprefix(f"{layer}_") for channel in model.layers[layer]]
    return {int(code): f"{layer} {code}" for code in codes if code.isdigit()} or {0: layer}


def grid_record(model: TrainedModel, image: Path) -> tuple[dict[str, Any], list[str]]:
    """The grid to map on: that of the image where its pixels are square, north-up, in metres and of the size
    of training; else one of that size over its footprint.

    Raises:
        HeadscarpError: the image is far coarser.
    """
    with open_raster(image) as source:
        grid = grid_of(source)
    own = ground_resolution(grid)
    wanted = model.resolution
    unfit = why_unfit(grid.crs, grid.transform, grid.shape, MOST_TURN)
    notes = []
    if wanted is None:
        notes.append(
            "WARNING the network was trained on pictures whose pixels have no known size; whether those of "
            f"{own:g} m suit it nobody can tell"
        )
        wanted = own
    if own >= MOST_COARSER * wanted:
        raise HeadscarpError(
            f"the image has pixels of {own:g} m, and the network was trained on {wanted:g} m: at "
            f"{own / wanted:.1f} times the size most landslides that it knows are less than a pixel; take a "
            "finer image, or a network that was trained on such"
        )
    if own >= COARSER * wanted:
        notes.append(
            f"WARNING the image has pixels of {own:g} m, the network was trained on {wanted:g} m: it is "
            "interpolated, and blurred for this network"
        )
    if unfit is None and abs(own - wanted) <= SAME * wanted:
        return {"like": image.name}, notes
    if own < wanted * (1 - SAME):
        notes.append(f"the image has pixels of {own:g} m and is mapped at {wanted:g} m, those of training")
    middle = grid.width / 2, grid.height / 2
    crs = grid.crs if unfit is None else utm_crs(*place_of(grid.crs, grid.transform, *middle))
    return {"like": image.name, "crs": crs, "resolution_m": wanted}, notes


def ground_resolution(grid: Grid) -> float:
    """Size of a raster's cells on the ground in metres, to three digits: of oblong ones the longer side."""
    steps = steps_at(grid.crs, grid.transform, grid.width / 2, grid.height / 2)
    return float(f"{max(steps.across, steps.down):.3g}")
