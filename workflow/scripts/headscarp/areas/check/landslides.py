"""The inventory of a study area: number, areas, place and share of the landslides."""

from collections.abc import Mapping
from typing import Any

import geopandas
import numpy as np
import shapely

from headscarp.areas.check.files import Located, at_hand, polygons_of, vectors_of, wanted
from headscarp.areas.check.findings import ERROR, NOTE, OK, WARNING, Checked
from headscarp.areas.slide_areas import power_law_tail
from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.geo.layer import CLASSES
from headscarp.geo.rasters import align
from headscarp.site.labels import connected_labels, rasterise_numbers
from headscarp.site.layers import has_data


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
    if place is None:
        return
    try:
        mapped = mapped_mask(labels, located, checked.view)
        if "landslides" in labels:
            slides_from_polygons(checked, file, vectors_of(place, checked.grid.crs), mapped)
        else:
            slides_from_raster(checked, file, place, labels, mapped)
    except HeadscarpError as error:
        checked.tell(ERROR, "landslides", file, str(error))
        return
    if checked.label is not None:
        tell_share(checked, file)
    if checked.areas is not None and len(checked.areas):
        tell_areas(checked, file)


def mapped_mask(labels: Mapping[str, Any], located: Mapping[str, Located | str], view: Grid) -> np.ndarray:
    """Cells (row, col) where landslides were looked for."""
    place = at_hand(located, labels.get("area", ""))
    if place is None:
        return np.ones(view.shape, bool)
    shapes = polygons_of(place, view.crs)
    if not len(shapes):
        raise HeadscarpError(
            f"{place.path} holds no polygons of the mapped area; take another file or leave `area` out"
        )
    return rasterise_numbers(shapes, 1, view) == 1


def slides_from_polygons(
    checked: Checked, file: str, table: geopandas.GeoDataFrame, mapped: np.ndarray
) -> None:
    """Label and areas from polygons, and where these lie."""
    shapes = table.geometry.to_numpy()
    polygons = shapes[shapely.area(shapes) > 0]
    if not len(polygons):
        checked.tell(
            ERROR,
            "landslides",
            file,
            f"holds no polygons among its {len(table)} features; landslides are needed as areas",
        )
        return
    on_grid = shapely.intersects(polygons, shapely.box(*checked.grid.bounds))
    checked.landslides |= {"polygons": len(polygons), "on_grid": int(on_grid.sum())}
    if not on_grid.any():
        bounds = ", ".join(f"{edge:.0f}" for edge in shapely.total_bounds(polygons))
        checked.tell(
            ERROR,
            "landslides",
            file,
            f"none of its {len(polygons)} polygons is on the grid (they cover {bounds}); check its CRS",
        )
        return
    polygons = polygons[on_grid]
    checked.areas = shapely.area(polygons)
    checked.label = np.where(
        mapped, (rasterise_numbers(polygons, 1, checked.view) > 0).astype(np.uint8), np.uint8(UNMAPPED)
    )
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
    points = shapely.point_on_surface(polygons)
    tell_outside(checked, file, points, len(on_grid))


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


def slides_from_raster(
    checked: Checked, file: str, place: Located, labels: Mapping[str, Any], mapped: np.ndarray
) -> None:
    """Label and areas from a raster of codes."""
    layer = align(place.path, 1, checked.view, CLASSES, minimum_cover=0.0)
    known = {int(code) for code in labels["names"]}
    codes = set(np.unique(layer.values[has_data(layer)]).tolist())
    if codes - known:
        checked.tell(
            ERROR,
            "landslides",
            file,
            f"holds the codes {sorted(codes - known)[:12]}, which `labels.names` does not name; add them",
        )
        return
    checked.label = np.where(mapped & has_data(layer), layer.values, UNMAPPED).astype(np.uint8)
    instances = connected_labels(checked.label, file, []).instances
    cells = np.bincount(instances.ravel())[1:]
    cell_m2 = abs(checked.view.transform.a * checked.view.transform.e)
    checked.areas = cells * cell_m2
    checked.landslides |= {"connected_parts": len(cells)}
    if not len(cells):
        checked.tell(ERROR, "landslides", file, f"no cell is a landslide (code {LANDSLIDE}); check the codes")


def tell_share(checked: Checked, file: str) -> None:
    """The share of mapped land that is landslide."""
    mapped, slide = checked.label != UNMAPPED, checked.label == LANDSLIDE
    if not mapped.any():
        checked.tell(
            ERROR, "landslides", file, "no cell of the grid lies in the mapped area; check `labels.area`"
        )
        return
    share = float(slide.sum() / mapped.sum())
    checked.landslides |= {"share": round(share, 6), "mapped_share": round(float(mapped.mean()), 4)}
    text = f"{share:.2%} of the mapped land is landslide; {mapped.mean():.0%} of the grid is mapped"
    level = ERROR if share == 0 else WARNING if share < 0.001 or share > 0.5 else OK
    checked.tell(level, "landslides", file, text + ("; few cells to learn from" if 0 < share < 0.001 else ""))


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
