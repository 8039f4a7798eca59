"""The inventory of a study area: number, areas, place and share of the landslides."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from headscarp.areas.check.files import Located, wanted
from headscarp.areas.check.findings import ERROR, NOTE, OK, WARNING, Checked
from headscarp.areas.slide_areas import power_law_tail
from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.site.label_rasters import meaning_of
from headscarp.site.labels import Labels, align_labels, rasterise_labels, read_polygons


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
    place = wanted(checked, located, file, "is the inventory but")
    area = wanted(checked, located, labels["area"], "is the mapped area but") if "area" in labels else None
    if place is None or ("area" in labels and area is None):
        return
    try:
        brought = labels_on_view(checked, labels, place.path, area.path if area else None)
    except HeadscarpError as error:
        checked.tell(ERROR, "landslides", file, str(error))
        return
    checked.label = brought.label
    for note in brought.notes:
        checked.tell(NOTE, "landslides", file, note.removeprefix(f"{place.path.name}: "))
    if "landslides" in labels:
        tell_polygons(checked, file, read_polygons(place.path, checked.grid, []).geometry.to_numpy())
    else:
        cell_m2 = abs(checked.view.transform.a * checked.view.transform.e)
        checked.areas = np.bincount(brought.instances.ravel())[1:] * cell_m2
        checked.landslides |= {"connected_parts": len(checked.areas)}
    tell_share(checked, file, labels)
    if len(checked.areas):
        tell_areas(checked, file)


def labels_on_view(checked: Checked, labels: Mapping[str, Any], path: Path, area: Path | None) -> Labels:
    """The labels as the pipeline makes them, on the view.

    Raises:
        HeadscarpError: as `rasterise_labels` and `align_labels`.
    """
    if "landslides" in labels:
        return rasterise_labels(path, checked.view, area, checked.image_seen())
    return align_labels(path, meaning_of(labels), checked.view, area, checked.image_seen())


def tell_polygons(checked: Checked, file: str, polygons: np.ndarray) -> None:
    """Areas of the polygons of an inventory on the grid, and where they lie."""
    on_grid = shapely.intersects(polygons, shapely.box(*checked.grid.bounds))
    checked.landslides |= {"polygons": len(polygons), "on_grid": int(on_grid.sum())}
    polygons = polygons[on_grid]
    checked.areas = shapely.area(polygons)
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
    tell_outside(checked, file, shapely.point_on_surface(polygons), len(on_grid))


def tell_outside(checked: Checked, file: str, points: np.ndarray, total: int) -> None:
    """How many slides lie outside the grid, the outline, and where the image has data."""
    col, row = ~checked.view.transform @ (shapely.get_x(points), shapely.get_y(points))
    row = np.clip(np.floor(row).astype(int), 0, checked.view.height - 1)
    col = np.clip(np.floor(col).astype(int), 0, checked.view.width - 1)
    outside = int(np.sum(~checked.outline[row, col]))
    seen = checked.image_seen()
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


def tell_share(checked: Checked, file: str, labels: Mapping[str, Any]) -> None:
    """The share of mapped land that is landslide; there must be landslides and background."""
    mapped, slide = checked.label != UNMAPPED, checked.label == LANDSLIDE
    if not mapped.any():
        checked.tell(
            ERROR, "landslides", file, "no cell of the grid lies in the mapped area; check `labels.area`"
        )
        return
    share = float(slide.sum() / mapped.sum())
    checked.landslides |= {"share": round(share, 6), "mapped_share": round(float(mapped.mean()), 4)}
    text = f"{share:.2%} of the mapped land is landslide; {mapped.mean():.0%} of the grid is mapped"
    level, hint = level_of_share(share, remedy_of_share(share, labels))
    checked.tell(level, "landslides", file, text + hint)


def level_of_share(share: float, remedy: str) -> tuple[str, str]:
    """How bad a share of landslides is, and what to say of it.

    Args:
        remedy: where there are no landslides, or nothing else.
    """
    if share in (0, 1):
        return ERROR, f"; nothing can be learnt or scored: {remedy}"
    if share < 0.001:
        return WARNING, "; few cells to learn from"
    return (WARNING, "; are landslides and background swapped?") if share > 0.5 else (OK, "")


def remedy_of_share(share: float, labels: Mapping[str, Any]) -> str:
    """What to do where there is no landslide (share 0) or no background."""
    area = f"`labels.area` ({labels['area']})" if "area" in labels else "`labels.area`"
    if share == 0:
        return (
            "say in `labels.values` which value landslides have" if "classes" in labels else f"check {area}"
        )
    searched = f"{area} must be all land that was searched for landslides, not these themselves"
    return (
        f"say in `labels.values` which value background has, or {searched}"
        if "classes" in labels
        else searched
    )


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
