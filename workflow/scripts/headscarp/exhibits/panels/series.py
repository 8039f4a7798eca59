"""Images and masks of a cube of several dates."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from headscarp.errors import HeadscarpError
from headscarp.exhibits.panels.ground import TRUE_COLOUR, paint, stretch
from headscarp.exhibits.panels.marks import hatch, show
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.panels.windows import Window
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.site.cube import Cube

# of masks: ground and slide; of images: where they have no data
GROUND, SLIDE, NOTHING = "#E4E4E4", "#222222", "#BDBDBD"


def true_colour(spec: ExhibitSpec, cube: Cube) -> list[int]:
    """Positions of the channels that are shown as red, green and blue."""
    channels = list(spec.options.get("composite", TRUE_COLOUR))
    if len(channels) != 3:
        raise HeadscarpError(
            f"an image needs three channels for red, green and blue but the exhibit's options name {channels}"
        )
    return cube.positions(channels)


def image_at(cube: Cube, time: int, channels: Sequence[int], window: Window) -> np.ndarray:
    """Three channels of a cube at a date as red, green, blue in a window, (row, col, 3), unstretched, NaN
    where there is no data."""
    row, col, rows, cols = window
    return np.stack(
        [cube.values[time, channel, row : row + rows, col : col + cols] for channel in channels], axis=-1
    )


def draw_image(axes: Axes, image: np.ndarray, limits: np.ndarray, view: View) -> None:
    """A true-colour image, grey and hatched where there is no data."""
    picture, missing = stretch(image, limits), ~np.isfinite(image).all(axis=-1)
    paint(picture, missing, NOTHING)
    show(axes, picture, view)
    hatch(axes, missing, view, "/////", "#6E6E6E")


def draw_masks(axes: Axes, view: View, known: np.ndarray, masks: Mapping[str, np.ndarray]) -> None:
    """{colour: mask (row, col)} on plain ground, hatched where nothing is known."""
    picture = np.ones((*view.shape, 3))
    paint(picture, known, GROUND)
    for colour, mask in masks.items():
        paint(picture, mask, colour)
    paint(picture, ~known, NOTHING)
    show(axes, picture, view)
    hatch(axes, ~known, view, "/////", "#6E6E6E")
