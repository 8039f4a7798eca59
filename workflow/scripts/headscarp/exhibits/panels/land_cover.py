"""The classes of very-high-resolution scenes on maps and charts."""

from collections.abc import Mapping

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from headscarp.codes import NOT_LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.exhibits.layers import class_names
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.legend import swatches
from headscarp.exhibits.spec import SiteFiles

BUILDING, ROAD = 2, 5


def names_of_classes(site: SiteFiles) -> dict[int, str]:
    """{code: name} of the classes of a site's labels, all of which have a colour.

    Raises:
        HeadscarpError: the site has no labels, they have no names, or a code has no colour.
    """
    names = {code: name for code, name in class_names(site, "label").items() if code != UNMAPPED}
    unknown = sorted(set(names) - set(palette.LAND_COVER))
    if unknown:
        raise HeadscarpError(
            f"the labels of site '{site.name}' have classes {unknown} but maps know "
            f"{sorted(palette.LAND_COVER)}; "
            "give the classes of its labels these codes in the card"
        )
    return names


def class_picture(codes: np.ndarray) -> np.ndarray:
    """Classes (row, col) in their colours (row, col, 3); white where there is none."""
    colours = np.ones((256, 3))
    colours[NOT_LANDSLIDE] = to_rgb(palette.NOT_A_LANDSLIDE)
    for code, colour in palette.LAND_COVER.items():
        colours[code] = to_rgb(colour)
    return colours[codes]


def class_handles(names: Mapping[int, str]) -> list[Rectangle]:
    """Legend handles of the classes."""
    return swatches(
        (palette.LAND_COVER[code], name[:1].upper() + name[1:]) for code, name in sorted(names.items())
    )


BARE = 0
# darker: a line needs more contrast to white than an area
INKS = palette.LAND_COVER | {BARE: "#A08A3C", BUILDING: "#C45A9A"}
