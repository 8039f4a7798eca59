"""The unit of a raster's elevations where the card gives it."""

from dataclasses import replace

from headscarp.geo.lattice import horizontal
from headscarp.geo.vertical import differ, metres_of, vertical_of
from headscarp.sources.parts import RasterPart


def with_unit(part: RasterPart, given: str | None, name: str) -> tuple[RasterPart, list[str]]:
    """A part whose first band has the unit `given` (None: its own), and a note where the file says another; a
    vertical CRS of another unit is dropped then."""
    if given is None:
        return part, []
    metres, said, vertical = metres_of(given), part.units[0], vertical_of(part.crs)
    others = [said] if said and ((known := metres_of(said)) is None or differ(known, metres)) else []
    part = replace(part, units=[given, *part.units[1:]])
    if vertical and differ(vertical.metres, metres):
        others.append(vertical.name)
        # Which way heights count must not be lost: a CRS of depths stays, and the unit is refused later.
        part = part if vertical.downward else replace(part, crs=horizontal(part.crs).to_wkt())
    if not others:
        return part, []
    listed = " and ".join(dict.fromkeys(others))
    return part, [f"{name}: its elevations are in {given}, as the key `units` says; the file says {listed}"]
