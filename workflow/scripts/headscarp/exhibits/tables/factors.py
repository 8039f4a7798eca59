"""Tables of the factors of a site: ranges, shares of the classes of a layer, natural breaks."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.exhibits.layers import (
    BREAKS_SEED,
    CLASSES,
    class_names,
    is_classed,
    layer_record,
    units_of,
    values_of,
)
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles
from headscarp.exhibits.tidy import UNIT, frame_of, record, text_record
from headscarp.scoring.breaks import natural_breaks
from headscarp.scoring.pixel import ratio, to_python

# Classes of aspect as gao2021 (Table II) and ArcGIS have them: flat, then sectors of 45 degrees.
COMPASS = ("flat", "north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest")
RANGE_FACTORS = ("elevation", "slope", "curvature", "ndvi", "mndwi", "distance_to_river", "distance_to_fault")


def factor_ranges(spec: ExhibitSpec) -> pd.DataFrame:
    """Least and greatest value of factors inside each study area, or the classes that are found there
    (gao2021, Table II); rows such as `zigui:elevation`.

    Options: `factors` (layers).
    """
    lines = []
    for one in spec.sites:
        mapped = values_of(one, "label") != UNMAPPED
        for factor in spec.options.get("factors", RANGE_FACTORS):
            values = values_of(one, factor)[mapped]
            values = values[np.isfinite(values)]
            row = f"{one.name}:{factor}"
            if (found := classes_found(one, factor, values)) is not None:
                printed = spec.published_text(row, "classes")
                lines.append(text_record(spec, row, "classes", ", ".join(found), printed, data=one.data))
                continue
            bounds = (float(values.min()), float(values.max())) if values.size else (None, None)
            note = f"{UNIT}{units_of(one, factor)}" if values.size else "no data inside the study area"
            for metric, value in zip(("min", "max"), bounds, strict=True):
                lines.append(record(spec, row, metric, value, data=one.data, note=note))
    return frame_of(lines)


def classes_found(site: SiteFiles, factor: str, values: np.ndarray) -> list[str] | None:
    """Names of the classes of a layer, or of the compass for an angle, that occur among its values; None for
    a continuous layer."""
    if is_classed(site, factor):
        return [name for code, name in class_names(site, factor).items() if (values == code).any()]
    if layer_record(site, factor).get("kind") != "angle":
        return None
    sector = np.where(values < 0, -1, np.round(values / 45).astype(int) % 8)
    return [name for number, name in enumerate(COMPASS, start=-1) if (sector == number).any()]


def class_shares(spec: ExhibitSpec) -> pd.DataFrame:
    """How area and landslides are shared among the classes of a layer (zhang2024, Table 1); rows such as
    `city:6 T3 sandstone`.

    Per class: percent of the study area and of its landslide cells, percent of the class's own cells that are
    landslides, and frequency ratio (share of landslides over share of area). Options: `layer` (a layer of
    classes).
    """
    layer = spec.options["layer"]
    lines = []
    for one in spec.sites:
        names, values, label = class_names(one, layer), values_of(one, layer), values_of(one, "label")
        mapped = (label != UNMAPPED) & np.isin(values, list(names))
        slides = mapped & (label == LANDSLIDE)
        for code, name in names.items():
            area, landslides = (np.count_nonzero(cells & (values == code)) for cells in (mapped, slides))
            shares = ratio(area, mapped.sum()), ratio(landslides, slides.sum())
            measured = {
                "area_percent": 100 * shares[0],
                "landslide_percent": 100 * shares[1],
                "density_percent": 100 * ratio(landslides, area),
                "frequency_ratio": ratio(shares[1], shares[0]),
            }
            note = "" if area else "no cell of the study area is of this class"
            for metric, value in to_python(measured).items():
                lines.append(
                    record(spec, f"{one.name}:{code} {name}", metric, value, data=one.data, note=note)
                )
    return frame_of(lines)


def factor_classes(spec: ExhibitSpec) -> pd.DataFrame:
    """Natural breaks of continuous factors inside the study area, beside the published ones (zhang2024, Table
    2); row = factor.

    Options: `factors` (continuous layers), `classes` (default 5), `published_rows` ({factor: row of the
    published table}, where the names differ). The published metric is `natural_breaks`, numbers parted by
    spaces; where there are not `classes` + 1 of them they are shown as printed.
    """
    one, classes = spec.only_site(), spec.options.get("classes", CLASSES)
    mapped = values_of(one, "label") != UNMAPPED
    lines = []
    for factor in spec.options["factors"]:
        breaks = natural_breaks(values_of(one, factor)[mapped], classes, BREAKS_SEED, factor)
        lines += break_records(spec, one, factor, breaks)
    return frame_of(lines)


def break_records(
    spec: ExhibitSpec, site: SiteFiles, factor: str, breaks: np.ndarray
) -> Iterator[dict[str, Any]]:
    """Tidy records `break_0` (minimum) to `break_n` (maximum) of one factor."""
    text = spec.published_text(spec.options.get("published_rows", {}).get(factor, factor), "natural_breaks")
    printed = [float(number) for number in str(text).split()] if text is not None else []
    complete = len(printed) == len(breaks)
    for number, value in enumerate(breaks):
        note = f"{UNIT}{units_of(site, factor)}"
        if printed and not complete and number == len(breaks) - 1:
            note = f"published breaks are damaged; as printed: {text}"
        beside = printed[number] if complete else None
        yield record(
            spec, factor, f"break_{number}", float(value), published=beside, data=site.data, note=note
        )
