"""Landslides that appear and grow between dates: post-classification comparison of class maps (Xia et al.
2021, section 4.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
from rasterio.features import shapes
from scipy import ndimage
from shapely import MultiPolygon
from shapely.geometry import shape

from headscarp.codes import LAND_COVER_KEYS, LANDSLIDE, SLIDE_NUMBER, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path, write_json
from headscarp.geo.grid import Grid
from headscarp.geo.layer import CLASSES, grid_of, open_raster
from headscarp.geo.rasters import align
from headscarp.geo.vectors import read_vectors
from headscarp.site.labels import rasterise_numbers, slide_numbers

NEW, GROWN, SHRUNK, UNCHANGED, GONE = "new", "grown", "shrunk", "unchanged", "gone"
# What a landslide of the last date can be; GONE ones are of earlier dates alone.
STATUSES = (NEW, GROWN, SHRUNK, UNCHANGED)
CLASS_COUNT = len(LAND_COVER_KEYS)
FOUND_OVERLAP = 0.5  # share of a change that must be mapped, or true, as in the objects of scores.json


@dataclass(frozen=True)
class ChangeRule:
    """What counts as change: `minimum_area_m2`, the smallest landslide of a date that is kept; a landslide
    has grown, or shrunk, when its area is up, or down, by more than `growth_share` of what it was and by more
    than `growth_pixels` of the common grid too. What shrinks is greening over, or an error of the maps.

    Raises:
        HeadscarpError: a number is negative.
    """

    minimum_area_m2: float = 25.0
    growth_share: float = 0.2
    growth_pixels: int = 10

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < 0:
                raise HeadscarpError(f"change: {name} is {value}; give 0 or more")

    def status(self, before: float, after: float, pixel_area: float) -> str:
        """Status of a landslide by its first and last area in m2."""
        if not after:
            return GONE
        if not before:
            return NEW
        up, least = after - before, max(self.growth_share * before, self.growth_pixels * pixel_area)
        if abs(up) <= least:
            return UNCHANGED
        return GROWN if up > 0 else SHRUNK


@dataclass(frozen=True)
class TrackedLandslides:
    """Landslides followed through time, numbered from 1: `objects` int32 (date, row, col), 0 none; `pixels`
    (landslides, dates)."""

    objects: np.ndarray
    pixels: np.ndarray


def compare_dates(
    maps: Mapping[str, str | Path],
    out_gpkg: str | Path,
    out_json: str | Path,
    rule: ChangeRule,
    truth: Mapping[str, str | Path] | None = None,
) -> None:
    """Write the landslides of the last of several dates with what became of them, and the record of the
    comparison.

    All maps come on the coarsest of their grids, by the commonest class, and only pixels with a class at
    every date are compared. The landslides of a date are groups of pixels (sharing sides) of
    `minimum_area_m2` or more; what touches or overlaps over all dates is one landslide, followed through
    time. It is `new` when there was none at the first date, else `grown`, `shrunk` or `unchanged` (neither)
    from the first date to the last. The polygons (layer `landslides`, the largest first) are those of the
    last date, with status, first_seen (date) and area_<date>_m2. Landslides that the last date lacks are
    counted in the record as `gone`.

    Args:
        maps: {date: classes.tif}, the earliest first.
        truth: {date: vector file of true slides whose column SLIDE_NUMBER is the number from 1 that a slide
            keeps over the dates}; with it the record says how many true changes were found and how many
            mapped ones are false.

    Raises:
        HeadscarpError: fewer than two dates, a file is missing or unreadable, maps do not cover each other,
            or no truth for the first or the last date.
    """
    dates = list(maps)
    if len(dates) < 2:
        raise HeadscarpError(
            "a comparison needs the maps of two dates or more, "
            f"but got {len(dates)}: {', '.join(dates) or 'none'}"
        )
    grid = max((read_grid(path) for path in maps.values()), key=lambda grid: grid.resolution)
    codes = np.stack([read_classes_on(path, grid) for path in maps.values()])
    known = (codes != UNMAPPED).all(axis=0)
    if not known.any():
        raise HeadscarpError(
            f"the maps of {', '.join(dates)} have no pixel in common; check that they are of one place"
        )
    pixel_area = abs(grid.transform.determinant)
    followed = track_landslides((codes == LANDSLIDE) & known, rule.minimum_area_m2 / pixel_area)
    slides = describe_changes(followed, dates, rule, pixel_area)
    record = {
        "dates": dates,
        "resolution_m": grid.resolution,
        "rule": asdict(rule),
        "compared_share": float(known.mean()),
        "landslide_area_m2": {date: float(slides[area_column(date)].sum()) for date in dates},
        "by_status": {
            status: status_record(slides[slides["status"] == status], dates) for status in STATUSES
        },
        "gone": status_record(slides[slides["status"] == GONE], dates),
        "transitions": transitions(codes[:, known], dates, pixel_area),
        "truth": None
        if truth is None
        else score_changes(followed, slides["status"], known, truth, dates, rule, grid),
    }
    write_changes(out_gpkg, followed.objects[-1], slides[slides["status"] != GONE], grid)
    write_json(out_json, record)


def read_grid(path: str | Path) -> Grid:
    with open_raster(path) as source:
        return grid_of(source)


def read_classes_on(path: str | Path, grid: Grid) -> np.ndarray:
    """Class codes (row, col) uint8 of a map on a grid, the commonest of each pixel, 255 = no data."""
    layer = align(path, 1, grid, CLASSES)
    return np.where(layer.values == layer.nodata, UNMAPPED, layer.values).astype(np.uint8)


def track_landslides(landslide: np.ndarray, minimum_pixels: float) -> TrackedLandslides:
    """Follow the landslides of masks (date, row, col) bool, without groups of fewer than `minimum_pixels` at
    a date."""
    kept = np.stack([without_small(mask, minimum_pixels) for mask in landslide])
    together, count = ndimage.label(kept.any(axis=0))
    objects = np.where(kept, together, 0).astype(np.int32)
    return TrackedLandslides(
        objects, np.stack([np.bincount(each.ravel(), minlength=count + 1)[1:] for each in objects], axis=1)
    )


def without_small(mask: np.ndarray, minimum_pixels: float) -> np.ndarray:
    """A mask (row, col) without its groups of pixels (sharing sides) smaller than `minimum_pixels`."""
    groups, count = ndimage.label(mask)
    large = np.bincount(groups.ravel(), minlength=count + 1) >= minimum_pixels
    large[0] = False
    return large[groups]


def area_column(date: str) -> str:
    return f"area_{date}_m2"


def describe_changes(
    followed: TrackedLandslides, dates: Sequence[str], rule: ChangeRule, pixel_area: float
) -> pd.DataFrame:
    """Status, date first seen and area in m2 at each date of landslides, in the order of their numbers (the
    index)."""
    areas = followed.pixels * pixel_area
    columns: dict[str, Any] = {
        "status": [rule.status(area[0], area[-1], pixel_area) for area in areas],
        "first_seen": [dates[int(np.argmax(area > 0))] for area in areas],
    }
    columns |= {area_column(date): areas[:, index] for index, date in enumerate(dates)}
    return pd.DataFrame(columns, index=np.arange(1, len(areas) + 1))


def status_record(slides: pd.DataFrame, dates: Sequence[str]) -> dict[str, float]:
    """Number of landslides, their area at the last date and by how much it is up from the first, m2."""
    first, last = (float(slides[area_column(date)].sum()) for date in (dates[0], dates[-1]))
    return {"count": len(slides), "area_m2": last, "change_m2": last - first}


def transitions(codes: np.ndarray, dates: Sequence[str], pixel_area: float) -> list[dict[str, Any]]:
    """Areas in m2 (from class, to class) between neighbouring dates, and from the first to the last, of codes
    (date, pixel)."""
    pairs = list(dict.fromkeys([*pairwise(range(len(dates))), (0, len(dates) - 1)]))
    counts = [
        np.bincount(codes[a].astype(int) * CLASS_COUNT + codes[b], minlength=CLASS_COUNT**2) for a, b in pairs
    ]
    return [
        {
            "from": dates[a],
            "to": dates[b],
            "area_m2": (count.reshape(CLASS_COUNT, CLASS_COUNT) * pixel_area).tolist(),
        }
        for (a, b), count in zip(pairs, counts, strict=True)
    ]


def score_changes(
    followed: TrackedLandslides,
    statuses: pd.Series,
    known: np.ndarray,
    truth: Mapping[str, str | Path],
    dates: Sequence[str],
    rule: ChangeRule,
    grid: Grid,
) -> dict[str, Any]:
    """By status `new` and `grown`: true slides, how many were found, mapped landslides, and how many of them
    are false.

    The change of a slide is where it is at the last date and no slide was at the first. A true slide is found
    where at least half of its change is mapped as change; a mapped one is false where less than half of its
    change is true change. The same smallest landslide and the same growth as in the maps hold for true
    slides.
    """
    for date in (dates[0], dates[-1]):
        if date not in truth:
            raise HeadscarpError(
                f"no true slides are given for {date}; give a file "
                "for the first and the last date, or none at all"
            )
    first, last = (
        np.where(known, rasterise_instances(truth[date], grid), 0) for date in (dates[0], dates[-1])
    )
    pixel_area = abs(grid.transform.determinant)
    before, after = (
        np.bincount(numbers.ravel(), minlength=max(first.max(), last.max()) + 1)[1:] * pixel_area
        for numbers in (first, last)
    )
    large = after >= max(rule.minimum_area_m2, pixel_area)
    true_status = np.array(
        [
            rule.status(*areas, pixel_area) if keep else GONE
            for *areas, keep in zip(before, after, large, strict=True)
        ]
    )
    true_change, mapped_change = (
        (last > 0) & (first == 0),
        (followed.objects[-1] > 0) & (followed.objects[0] == 0),
    )
    found = share_of_change_inside(last, true_change, mapped_change, len(true_status)) >= FOUND_OVERLAP
    false = (
        share_of_change_inside(followed.objects[-1], mapped_change, true_change, len(statuses))
        < FOUND_OVERLAP
    )
    record: dict[str, Any] = {"overlap": FOUND_OVERLAP}
    for status in (NEW, GROWN):
        true, mapped = true_status == status, (statuses == status).to_numpy()
        record[status] = {
            "slides": int(true.sum()),
            "found": int((true & found).sum()),
            "mapped": int(mapped.sum()),
            "false": int((mapped & false).sum()),
        }
    return record


def rasterise_instances(path: str | Path, grid: Grid) -> np.ndarray:
    """Numbers (row, col) int32 of the slides of a vector file whose column SLIDE_NUMBER holds them, 0 none.

    Raises:
        HeadscarpError: the file is missing or unreadable, or lacks the column; its numbers are unfit (see
            `slide_numbers`).
    """
    slides = read_vectors(path, grid.crs)
    if SLIDE_NUMBER not in slides:
        raise HeadscarpError(
            f"{path} has no column '{SLIDE_NUMBER}', the whole number from 1 that a slide keeps over the "
            f"dates; add it, or rename your own"
        )
    return rasterise_numbers(slides.geometry.to_numpy(), slide_numbers(slides, path), grid)


def share_of_change_inside(
    objects: np.ndarray, change: np.ndarray, other: np.ndarray, count: int
) -> np.ndarray:
    """Share (objects,) of the changed pixels of each object 1 to `count` that lie in `other`, (row, col) all;
    0 where it has none."""
    changed, inside = (
        np.bincount(objects[mask], minlength=count + 1)[1:] for mask in (change, change & other)
    )
    return np.divide(inside, changed, out=np.zeros(count), where=changed > 0)


def write_changes(path: str | Path, objects: np.ndarray, slides: pd.DataFrame, grid: Grid) -> None:
    """Write landslides, which may be none, with the outlines of their pixels in `objects` (row, col), the
    largest first."""
    parts: dict[int, list[Any]] = {number: [] for number in slides.index}
    for part, number in shapes(objects, mask=objects > 0, connectivity=4, transform=grid.transform):
        parts[int(number)].append(shape(part))
    polygons = geopandas.GeoDataFrame(
        slides, geometry=[MultiPolygon(of_one) for of_one in parts.values()], crs=grid.crs
    )
    polygons = polygons.sort_values(slides.columns[-1], ascending=False, kind="stable", ignore_index=True)
    with atomic_path(path) as temporary:
        polygons.to_file(temporary, driver="GPKG", layer="landslides", geometry_type="MultiPolygon")
