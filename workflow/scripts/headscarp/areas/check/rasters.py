"""The raster layers of a study area: their files against the grid."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from headscarp.areas.check.files import Located, wanted
from headscarp.areas.check.findings import ERROR, NOTE, OK, WARNING, Checked
from headscarp.areas.check.values import judge_classes, judge_values
from headscarp.errors import HeadscarpError
from headscarp.geo.layer import CLASSES, CONTINUOUS, open_raster
from headscarp.geo.rasters import MINIMUM_COVER, align, cell_size, cover_of
from headscarp.site.layers import has_data


def check_raster(
    checked: Checked, layer: str, raster: Mapping[str, Any], located: Mapping[str, Located | str]
) -> None:
    """One raster layer: its files against the grid, its values against what they are said to be."""
    for date, file in raster.get("files", {None: raster.get("file")}).items():
        place = wanted(checked, located, file, f"{layer} reads it but it is")
        if place is None:
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
