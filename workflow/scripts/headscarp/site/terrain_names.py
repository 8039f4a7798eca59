"""Names of the terrain layers; those over windows say how many cells of the elevation model a side has:
`slope_9`, `relief_27`, `tpi_9`."""

import re
from collections.abc import Iterable

from headscarp.errors import HeadscarpError
from headscarp.vocabulary import require_known

TERRAIN = (
    "elevation",
    "slope",
    "aspect",
    "curvature",
    "plan_curvature",
    "profile_curvature",
    "flow_accumulation",
    "twi",
    "relief",
    "roughness",
)
OVER_WINDOWS = ("slope", "relief", "tpi")
WINDOWED = re.compile(rf"({'|'.join(OVER_WINDOWS)})_(\d+)")


def names_over_windows(names: Iterable[str]) -> list[str]:
    """Those of the names that are of layers over windows."""
    return [name for name in names if WINDOWED.fullmatch(name)]


def parse_windowed(name: str) -> tuple[str, int]:
    """What a layer over windows is (slope, relief or tpi), and the side of its windows in cells.

    Raises:
        HeadscarpError: it is not over windows, or a window has no cell in its middle or is that cell alone.
    """
    found = WINDOWED.fullmatch(name)
    side = int(found[2]) if found else 0
    if side < 3 or side % 2 == 0:
        raise HeadscarpError(
            f"terrain layer '{name}' cannot be: a window is centred on a cell; name "
            "slope, relief or tpi with an odd number of cells, 3 or more, such as slope_9"
        )
    return found[1], side


def check_terrain(name: str, place: str) -> None:
    """Refuse a name that no terrain layer has.

    Raises:
        HeadscarpError: the nearest name that exists is named, or why a window cannot be.
    """
    if WINDOWED.fullmatch(name):
        parse_windowed(name)
    else:
        side = re.sub(r"\D", "", name) or "9"
        over_windows = [f"{kind}_{side}" for kind in OVER_WINDOWS]
        require_known(name, [*TERRAIN, *over_windows], f"{place}: layer")
