"""The size of the cells of a new area's grid: what its images show, as far as that stays workable."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from headscarp.areas.guess.rasters import Band
from headscarp.areas.init.outline import Outline
from headscarp.areas.init.satellites import Satellite
from headscarp.geo.grid import Grid

MOST_CELLS = 4_000_000
# Pixels that a landslide of median size is wide: of fewer a network sees no shape, and more than a window of
# training has show it the inside of a landslide only.
FEWEST_PIXELS, MOST_PIXELS = 5, 64
ROUND = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9, 10)


@dataclass(frozen=True)
class Cells:
    """A grid, whether its resolution is a guess, and in words what it is, why, and what others would cost."""

    grid: Grid
    is_guess: bool
    told: str


def cells_for(
    outline: Outline,
    given: float | None,
    images: Sequence[Band],
    satellite: Satellite | None,
    slide_m2: float | None,
) -> Cells:
    """The grid of an area: of a given resolution, or else of the pixels of its finest image, coarser where
    these are too many or too small for the landslides.

    Args:
        given: resolution in metres.
        images: the user's, if there are any; else `satellite` is what is fetched.
        slide_m2: median area of the landslides, if they are known.
    """
    width = math.sqrt(slide_m2) if slide_m2 else None
    if given is not None:
        return Cells(outline.grid(given), False, told_of(outline.grid(given), ", as given", width))
    if images:
        finest = min(images, key=lambda band: band.pixel_m)
        pixel, what = rounded(finest.pixel_m), finest.path.name
    else:
        pixel, what = satellite.pixel_m, satellite.title
    size, why = coarsened(outline, pixel, what, width)
    grid = outline.grid(size)
    return Cells(grid, True, told_of(grid, why, width))


def coarsened(outline: Outline, pixel: float, what: str, width: float | None) -> tuple[float, str]:
    """The resolution in metres that suits an image of pixels of `pixel` metres, and why that.

    Args:
        what: the name of the image.
        width: of the median landslide in metres.
    """
    west, south, east, north = outline.box.bounds
    of_cells = math.sqrt((east - west) * (north - south) / MOST_CELLS)
    of_window = width / MOST_PIXELS if width else 0.0
    still_seen = width / FEWEST_PIXELS if width else math.inf
    wanted = max(of_cells, of_window)
    size = pixel
    if wanted > pixel < still_seen:
        size = max(pixel, min([rounded_up(wanted), *([rounded_down(still_seen)] if width else [])]))
    if size == pixel:
        why = f", the pixels of {what}"
    elif of_cells >= of_window:
        fine = outline.grid(pixel)
        millions = fine.height * fine.width / 1e6
        why = f", as at the {pixel:g} m of {what} there are {millions:,.{int(millions < 10)}f} million cells"
    else:
        why = f", as at the {pixel:g} m of {what} the median landslide is {pixels(width / pixel)} wide"
    held = f"; no coarser, so that the median landslide is {FEWEST_PIXELS} pixels wide if it can be"
    return size, why + (held if of_cells > size else "")


def told_of(grid: Grid, why: str, width: float | None) -> str:
    """A resolution in words: why it is that, the cells, and what a finer and a coarser one cost. Time and
    memory of training windows, and of the map, go with the number of cells."""
    size = grid.resolution
    then = f" (the median landslide is then {pixels(width / (2 * size))} wide)" if width else ""
    small = (
        f"; WARNING the median landslide is only {pixels(width / size)} wide: expect small ones to be missed"
        if width and width / size < FEWEST_PIXELS
        else ""
    )
    return (
        f"resolution {size:g} m{why}: {grid.height:,} x {grid.width:,} cells; at {size / 2:g} m four times "
        f"the time and memory, at {size * 2:g} m a quarter{then}{small}"
    )


def pixels(number: float) -> str:
    text = f"{number:.0f}" if number >= 10 else f"{number:.1f}".removesuffix(".0")
    return f"{text} pixel{'' if text == '1' else 's'}"


def rounded(size: float) -> float:
    """The nearest round number of metres: that by which it differs least, as a ratio."""
    return min(round_sizes(size), key=lambda one: abs(math.log(one / size)))


def rounded_up(size: float) -> float:
    return min(one for one in round_sizes(size) if one >= size * (1 - 1e-9))


def rounded_down(size: float) -> float:
    return max(one for one in round_sizes(size) if one <= size * (1 + 1e-9))


def round_sizes(size: float) -> list[float]:
    """Round numbers below and above a size."""
    power = math.floor(math.log10(size))
    return [float(f"{one * 10.0**power:.6g}") for one in ROUND]
