"""Which satellite of the catalogues has images of the days that are asked for, and how coarse what they give
out is."""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from headscarp.errors import HeadscarpError

Window = tuple[str, str]  # first and last day, ISO
ELEVATION_M, LAND_COVER_M = 30.0, 10.0  # cells of Copernicus GLO-30 and of ESA WorldCover
# From these cells on, in which the source's own are enlarged six times, a fetched raster is flat or stepped.
MOST_ENLARGED = 6
# Between the last image of Landsat 5 and the first ones of Landsat 8, stripes of Landsat 7's are missing.
STRIPES = ("2011-11-18", "2013-04-10")


@dataclass(frozen=True)
class Satellite:
    """A kind of images: its name in `stac:` of a card, the first day of its surface reflectance, and its
    pixels."""

    stac: str
    title: str
    begins: str
    pixel_m: float


SENTINEL2 = Satellite("sentinel2", "Sentinel-2", "2015-07-01", 10.0)
LANDSAT = Satellite("landsat", "Landsat", "1982-08-22", 30.0)
SATELLITES = {one.stac: one for one in (SENTINEL2, LANDSAT)}


def satellite_for(windows: Iterable[Window]) -> Satellite:
    """The finest satellite that was there in all windows from their first day on, since images that are
    compared must be alike; Landsat where none was.

    Raises:
        HeadscarpError: a window ends before Landsat's surface reflectance begins.
    """
    windows = list(windows)
    if min(first for first, _ in windows) >= SENTINEL2.begins:
        return SENTINEL2
    for first, last in windows:
        if last < LANDSAT.begins:
            raise HeadscarpError(
                f"no image of {first} to {last} can be fetched: surface reflectance begins with Landsat on "
                f"{LANDSAT.begins}; give images of your own (scanned air photos, for example), or correct "
                "the date"
            )
    return LANDSAT


def remarks_on(satellite: Satellite, window: Window) -> list[str]:
    """What a reader of the card must know of a satellite's images in a window."""
    first, last = window
    remarks = []
    if satellite is LANDSAT:
        remarks.append(f"Landsat, since Sentinel-2 begins in {month_of(SENTINEL2.begins)}")
        if first < LANDSAT.begins:
            remarks.append(f"its surface reflectance begins on {LANDSAT.begins}")
        if first <= STRIPES[1] and last >= STRIPES[0]:
            remarks.append(
                f"WARNING from {STRIPES[0]} to {STRIPES[1]} there is Landsat 7 only, with stripes without "
                "data (SLC off): a median of many days fills them, a longer window more so"
            )
    return remarks


def month_of(day: str) -> str:
    return datetime.date.fromisoformat(day).strftime("%B %Y")


def is_too_fine(resolution: float, source_m: float) -> bool:
    """Whether cells are so fine that a raster of `source_m` metres tells nothing of one from the next."""
    return resolution < source_m / MOST_ENLARGED
