"""Layers and maps in classes: their colours, hatches and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex, to_rgb

from headscarp.errors import HeadscarpError
from headscarp.exhibits.spec import ExhibitSpec

NOT_MAPPED = "#FFFFFF"
# Tints of seven hues that stay apart with deuteranopia and protanopia; hatches make three classes of each.
TINTS = ["#9CC9E8", "#F2B179", "#8FCFB4", "#E3B4CF", "#F3E08A", "#5E8FB8", "#BDBDBD"]
HATCHES = ["", "/////", "....."]


@dataclass(frozen=True)
class ClassStyle:
    """How a class is drawn."""

    colour: str
    hatch: str


def class_styles(codes: Sequence[int], layer: str) -> dict[int, ClassStyle]:
    """{code: style} for up to 21 classes, neighbours in order never of one hue.

    Raises:
        HeadscarpError: there are more classes than can be told apart.
    """
    room = len(TINTS) * len(HATCHES)
    if len(codes) > room:
        raise HeadscarpError(
            f"layer '{layer}' has {len(codes)} classes but a map can tell {room} apart; merge classes, "
            f"or leave it out of the exhibit"
        )
    return {
        code: ClassStyle(TINTS[place % len(TINTS)], HATCHES[place // len(TINTS)])
        for place, code in enumerate(sorted(codes))
    }


@dataclass(frozen=True)
class Classed:
    """A factor in classes: class numbers 0 … n-1 (row, col), -1 outside; n colours; n names, or n + 1
    bounds."""

    codes: np.ndarray
    colours: list[str]
    names: list[str]
    bounds: np.ndarray


def class_image(classed: Classed) -> np.ndarray:
    """The picture (row, col, 3) of a factor in classes."""
    colours = np.array([to_rgb(colour) for colour in (*classed.colours, NOT_MAPPED)])
    return colours[classed.codes]  # -1 is the last colour


def breaks_codes(values: np.ndarray, inside: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Class 0 … n-1 of each value (row, col) between n + 1 bounds, upper bound included; -1 where there is
    none."""
    return np.where(inside & np.isfinite(values), np.digitize(values, bounds[1:-1], right=True), -1)


def ramp(name: str, count: int) -> list[str]:
    """`count` colours of a sequential map, darkest first."""
    return [to_hex(colour) for colour in colormaps[name](np.linspace(0.02, 0.97, count))]


def options_of(spec: ExhibitSpec, key: str) -> list[str]:
    """The layers that an option names.

    Raises:
        HeadscarpError: the option is missing or empty.
    """
    names = list(spec.options.get(key) or [])
    if not names:
        raise HeadscarpError(
            f"exhibit '{spec.name}' of card '{spec.card}' ({spec.kind}) needs the option `{key}`: a "
            f"list of layers"
        )
    return names
