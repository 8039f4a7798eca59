"""The raster layers of a study area: their files against the grid."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from headscarp.areas.check.files import Located, at_hand, wanted
from headscarp.areas.check.findings import ERROR, NOTE, OK, WARNING, Checked
from headscarp.areas.check.values import judge_classes, judge_values
from headscarp.errors import HeadscarpError
from headscarp.geo.layer import CLASSES, CONTINUOUS, Layer, grid_of, open_raster
from headscarp.geo.rasters import MINIMUM_COVER, cell_size, cover_of
from headscarp.site.layer_names import OPTICAL_UNITS
from headscarp.site.layers import has_data, raster_layer


def check_raster(
    checked: Checked, layer: str, raster: Mapping[str, Any], located: Mapping[str, Located | str]
) -> None:
    """One raster layer: its files against the grid, its values against what they are said to be."""
    for date, file in raster.get("files", {None: raster.get("file")}).items():
        place = wanted(checked, located, file, f"{layer} reads it but it is")
        if place is None:
            continue
        name = f"{layer} {date}" if date else layer
        masks = raster.get("mask", {})
        hidden = at_hand(located, masks.get("files", {}).get(date, masks.get("file", "")))
        try:
            made, _, notes = raster_layer(
                layer,
                dict(raster),
                place.path,
                hidden.path if hidden else None,
                checked.view,
                MINIMUM_COVER if date is None else 0.0,
            )
        except HeadscarpError as error:
            tell_unfit(checked, file, place, error)
            continue
        for note in notes:
            checked.tell(NOTE, "files", file, note)
        values = values_of(made)
        if file not in checked.files:
            tell_file(checked, file, place, values)
        judge = judge_classes if raster.get("kind", CONTINUOUS) == CLASSES else judge_values
        judge(checked, name, raster, values[checked.outline])
        checked.layers[name], checked.units[name] = values, raster["units"]
    shown = [name for name in checked.layers if name.split(" ")[0] == layer]
    if shown and raster["units"] in OPTICAL_UNITS:
        checked.images.append(shown[-1])


def values_of(layer: Layer) -> np.ndarray:
    """Values of a layer, float32 (row, col), NaN = no data."""
    values = layer.values.astype(np.float32)
    values[~has_data(layer)] = np.nan
    return values


def tell_unfit(checked: Checked, file: str, place: Located, error: HeadscarpError) -> None:
    """That a file cannot be used, once."""
    if not any(one.subject == file and one.level == ERROR for one in checked.findings):
        checked.tell(ERROR, "files", file, str(error))
        checked.files[file] = {"path": place.origin, "state": "unfit"}


def tell_file(checked: Checked, file: str, place: Located, values: np.ndarray) -> None:
    """What a file is, and how much of the outline its `values` (row, col) on the view leave without data."""
    missing = float(np.mean(np.isnan(values[checked.outline])))
    if Path(file).suffix == ".gpkg":
        checked.files[file] = {"path": place.origin, "no_data": round(missing, 4)}
        checked.tell(
            WARNING if missing > 0.2 else OK, "files", file, f"{missing:.1%} of the outline without data"
        )
        return
    with open_raster(place.path) as source:
        size, cover = cell_size(source, checked.grid), cover_of(source, checked.grid)
        crs, dtype = grid_of(source).crs, source.dtypes[0]
    resolution = float(f"{size:.4g}")
    checked.files[file] = {
        "path": place.origin,
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
            f"; coarser than the grid ({checked.grid.resolution:g} m): it shows no more than its own cells do"
        )
    elif ratio < 1 / 1.5:
        text += f"; finer than the grid ({checked.grid.resolution:g} m): cells are averaged"
    checked.tell(
        WARNING if missing > 0.2 or cover < 0.9 else NOTE if missing > 0.01 or ratio > 1.5 else OK,
        "files",
        file,
        text,
    )
