"""The values of layers against the physics of what they are said to be."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from headscarp.areas.check.findings import ERROR, OK, WARNING, Checked
from headscarp.site.voids import ELEVATION

REFLECTANCE = (-0.05, 1.6)
SCALES = {
    1e-4: "1.0e-4 (reflectance times 10000)",
    1 / 255: "0.00392157 (bytes)",
    1 / 65535: "1.525902e-5 (16 bits)",
}


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
