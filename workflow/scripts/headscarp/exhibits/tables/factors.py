"""Tables of the factors of a site: ranges, shares of the classes of a layer, natural breaks."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.exhibits.layers import (
    BREAKS_SEED,
    CLASSES,
    DIRECTIONS,
    class_names,
    is_classed,
    layer_record,
    units_of,
    values_of,
)
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles
from headscarp.exhibits.tidy import UNIT, frame_of, record, text_record
from headscarp.geo.layer import ANGLE
from headscarp.samples.cell_table import read_cells
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
    landslides, and frequency ratio (share of landslides over share of area); and what the paper says of it
    (`era` and `description` of the published row of the class's code). Options: `layer` (a layer of classes).
    """
    layer = spec.options["layer"]
    lines = []
    for one in spec.sites:
        names, values, label = class_names(one, layer), values_of(one, layer), values_of(one, "label")
        mapped = label != UNMAPPED
        lines += share_records(spec, one, names, values[mapped], label[mapped] == LANDSLIDE)
    return frame_of(lines)


def recognised_shares(spec: ExhibitSpec) -> pd.DataFrame:
    """How area and the landslides that label the cells of susceptibility, which a network recognised, are
    shared among the classes of a layer, under each protocol; rows and options as in `class_shares`.

    zhang2024, section 4.1.4, names the units in which recognised landslides lie for the most part (metric
    `predominant` of the published row of the class's code).
    """
    one, layer = spec.only_site(), spec.options["layer"]
    names, values = class_names(one, layer), values_of(one, layer)
    lines: list[dict[str, Any]] = []
    for protocol, folder in one.samples.items():
        cells = read_cells(folder)
        lines += share_records(
            spec, one, names, values[cells.row, cells.col], cells.label == LANDSLIDE, protocol=protocol
        )
    return frame_of(lines)


PRINTED_OF_CLASS = ("era", "description", "predominant")


def share_records(
    spec: ExhibitSpec,
    site: SiteFiles,
    names: Mapping[int, str],
    values: np.ndarray,
    slides: np.ndarray,
    **same: Any,
) -> Iterator[dict[str, Any]]:
    """Tidy records of how cells and landslides are shared among classes; `values` and `slides` are the class
    and whether there is a landslide, of each cell, flat. What the paper prints of a class stands beside."""
    known = np.isin(values, list(names))
    for code, name in names.items():
        row, of_class = f"{site.name}:{code} {name}", values == code
        measured = share_of_class(of_class[known], slides[known])
        note = "" if of_class.any() else "no cell of the study area is of this class"
        for metric, value in to_python(measured).items():
            yield record(spec, row, metric, value, data=site.data, note=note, **same)
        for metric in PRINTED_OF_CLASS:
            printed = spec.published_text(str(code), metric)
            if printed:
                yield text_record(spec, row, metric, "", printed, data=site.data, **same)


def share_of_class(of_class: np.ndarray, slides: np.ndarray) -> dict[str, float]:
    """What share of all cells and of landslide cells is of a class, how dense landslides are in it (percent),
    and the frequency ratio, from bool of each cell; NaN where there is none to count."""
    area, landslides = np.count_nonzero(of_class), np.count_nonzero(of_class & slides)
    shares = ratio(area, of_class.size), ratio(landslides, np.count_nonzero(slides))
    return {
        "area_percent": 100 * shares[0],
        "landslide_percent": 100 * shares[1],
        "density_percent": 100 * ratio(landslides, area),
        "frequency_ratio": ratio(shares[1], shares[0]),
    }


def factor_classes(spec: ExhibitSpec) -> pd.DataFrame:
    """Factors with their classes, source and resolution, beside the published ones (zhang2024, Table 2); row
    = factor.

    Continuous factors are in natural breaks inside the study area, aspect in eight directions and layers of
    classes in these (`categories`). Options: `factors` (layers), `classes` (of natural breaks, default 5),
    `published_rows` ({factor: row of the published table}, where the names differ). The published metric of
    breaks is `natural_breaks`, numbers parted by spaces; where there are not `classes` + 1 of them they are
    shown as printed.
    """
    one, classes = spec.only_site(), spec.options.get("classes", CLASSES)
    mapped = values_of(one, "label") != UNMAPPED
    lines = []
    for factor in spec.options["factors"]:
        named = categories_of(one, factor)
        if named is None:
            breaks = natural_breaks(values_of(one, factor)[mapped], classes, BREAKS_SEED, factor)
            lines += break_records(spec, one, factor, breaks)
        lines += description_records(spec, one, factor, named)
    return frame_of(lines)


def categories_of(site: SiteFiles, factor: str) -> str | None:
    """The classes of a layer that has such, in words; None of a continuous one."""
    if is_classed(site, factor):
        return ", ".join(class_names(site, factor).values())
    if layer_record(site, factor).get("kind") == ANGLE:
        return ", ".join(("flat", *DIRECTIONS))
    return None


def description_records(
    spec: ExhibitSpec, site: SiteFiles, factor: str, named: str | None
) -> Iterator[dict[str, Any]]:
    """Tidy records of what a factor is, in text: its categories where it is `named` ones, source and
    resolution of ours and of the paper, and what the paper says it stands for."""
    made, row = layer_record(site, factor), spec.options.get("published_rows", {}).get(factor, factor)
    resolution = made.get("effective_resolution_m")
    texts = {
        "categories": named,
        "source": made.get("source", ""),
        "resolution": f"{resolution:g} m" if resolution else "",
        "description": "",
    }
    for metric, text in texts.items():
        printed = spec.published_text(row, metric)
        if text or printed:
            yield text_record(spec, factor, metric, text or "", printed, data=site.data)


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
