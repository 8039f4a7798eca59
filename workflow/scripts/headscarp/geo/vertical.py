"""The unit of elevations, from what a raster's band and its CRS say."""

import re
from dataclasses import dataclass

from pyproj import CRS

from headscarp.errors import HeadscarpError

FOOT, SURVEY_FOOT = 0.3048, 1200 / 3937
SPELLINGS = {
    "m mtr mtrs metre metres meter meters metro metros metri": 1.0,
    "ft foot feet intft ftintl": FOOT,
    "usft ftus": SURVEY_FOOT,
    "km kilometre kilometres kilometer kilometers": 1000.0,
    "dm decimetre decimetres decimeter decimeters": 0.1,
    "cm centimetre centimetres centimeter centimeters": 0.01,
    "mm millimetre millimetres millimeter millimeters": 0.001,
}
METRES = {word: metres for words, metres in SPELLINGS.items() for word in words.split()}
SURVEY = {"us", "usa", "survey"}
# What stands beside a unit and does not change it.
BESIDE_WORDS = (
    "above over mean sea level asl amsl msl masl mamsl the of in and unit units elevation elevations height "
    "heights altitude orthometric geoid ellipsoid ellipsoidal vertical datum international intl int linear "
    "navd88 navd ngvd29 ngvd egm96 egm2008 evrf2007 wgs84 grs80 nap nn nhn"
)
BESIDE = set(BESIDE_WORDS.split())
UNTOLD = {"", "unknown", "undefined", "none", "unspecified", "n/a", "-"}
DIFFERENT = 1e-3  # share by which two units differ that are not one; both feet are one by this
REMEDY = "give the right one as the key `units` of its entry in the card (m, ft, us-ft, km, dm, cm or mm)"


@dataclass(frozen=True)
class HeightUnit:
    """Metres in a unit of height, its name, and whether it counts downwards; `told` where the file says
    it."""

    metres: float = 1.0
    name: str = "metre"
    downward: bool = False
    told: bool = False


def metres_of(text: str) -> float | None:
    """Metres in a unit of length given as text, in one of its usual spellings (`ft (US)`, `[m]`, `Meters
    above sea level`); None where it is not understood."""
    plain = re.sub(r"\ba\.?\s?(m\.?\s?)?s\.?\s?l\b\.?", " asl ", text.strip().lower().replace("u.s.", "us"))
    words = [word for word in re.split(r"[\s_\-()\[\]{}.,;:=]+", plain) if word]
    lengths = {METRES[word] for word in words if word in METRES}
    if words and words[0] in ("masl", "mamsl"):
        lengths.add(1.0)
    if len(lengths) != 1 or not set(words) <= METRES.keys() | SURVEY | BESIDE:
        return None
    length = lengths.pop()
    if SURVEY & set(words):
        return SURVEY_FOOT if length in (FOOT, SURVEY_FOOT) else None
    return length


def vertical_of(crs: CRS | str) -> HeightUnit | None:
    """What the vertical axis of a compound or three-dimensional CRS says, or None where there is none."""
    axes = [axis for axis in CRS.from_user_input(crs).axis_info if axis.direction in ("up", "down")]
    if not axes:
        return None
    return HeightUnit(
        axes[0].unit_conversion_factor, axes[0].unit_name, downward=axes[0].direction == "down", told=True
    )


def height_unit(text: str | None, crs: CRS | str, place: str) -> HeightUnit:
    """The unit of the elevations of a band with the unit `text`, metres where neither it nor the CRS says
    any.

    Raises:
        HeadscarpError: the text is not understood, or it and the CRS disagree.
    """
    text, vertical = (text or "").strip(), vertical_of(crs)
    if text.lower() in UNTOLD:
        return vertical or HeightUnit()
    metres = metres_of(text)
    if metres is None:
        raise HeadscarpError(f"{place}: its elevations are in '{text}', which is no known length; {REMEDY}")
    if vertical is None:
        return HeightUnit(metres, text, told=True)
    if differ(metres, vertical.metres):
        raise HeadscarpError(
            f"{place}: its elevations are in {text} by the band's unit but in {vertical.name} by the "
            f"vertical part of its CRS; {REMEDY}"
        )
    return vertical


def differ(one: float, other: float) -> bool:
    """Whether two units (metres in each) are not the same."""
    return abs(one / other - 1) > DIFFERENT
