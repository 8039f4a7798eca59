"""The lines and polygons that distances are measured to."""

from collections.abc import Mapping

import shapely

from headscarp.areas.check.files import Located, at_hand, vectors_of
from headscarp.areas.check.findings import ERROR, OK, WARNING, Checked
from headscarp.errors import HeadscarpError


def check_lines(checked: Checked, layer: str, file: str, located: Mapping[str, Located | str]) -> None:
    """A file of lines or polygons that distances are measured to."""
    place = at_hand(located, file)
    if place is None:
        return
    try:
        shapes = vectors_of(place, checked.grid.crs)
    except HeadscarpError as error:
        checked.tell(ERROR, "files", file, str(error))
        return
    kinds = shapes.geometry.geom_type.str.removeprefix("Multi")
    usable = int(kinds.isin(["LineString", "Polygon"]).sum())
    inside = int(shapely.intersects(shapes.geometry.to_numpy(), shapely.box(*checked.grid.bounds)).sum())
    checked.files[file] = {"path": str(place.path), "features": len(shapes), "on_grid": inside}
    text = f"{usable} lines and polygons, {inside} on the grid"
    if not usable:
        checked.tell(ERROR, "files", file, f"holds no lines and no polygons; {layer} needs them")
    else:
        far = "" if inside else ": distances will come from features outside it; is it the right region?"
        checked.tell(OK if inside else WARNING, "files", file, text + far)
