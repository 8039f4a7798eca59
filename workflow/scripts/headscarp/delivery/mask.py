"""A map of landslides and other ground, from a probability map."""

from pathlib import Path

import numpy as np

from headscarp.codes import UNMAPPED
from headscarp.delivery.styles import BINARY_COLOURS, rgb
from headscarp.geo.layer import grid_of, open_raster, strips_of_rows
from headscarp.mapping.raster import class_raster


def write_binary(probability_path: str | Path, threshold: float, target: str | Path) -> None:
    """Write a COG uint8 with a colour table: 1 where the probability reaches `threshold`, 0 where it does
    not, 255 = no data.

    The map is read strip by strip.

    Raises:
        HeadscarpError: the probability map is missing or unreadable.
        DiskFullError: there is no room for it.
    """
    with open_raster(probability_path) as source:
        colours = {code: rgb(colour) for code, colour in BINARY_COLOURS.items()}
        why = f"{source.tags().get('SOURCE', '')}; landslide where the probability is {threshold:g} or more"
        with class_raster(target, grid_of(source), why.removeprefix("; "), colours) as write:
            for strip in strips_of_rows(*source.shape):
                probability = source.read(1, window=strip)
                classes = np.where(np.isnan(probability), UNMAPPED, probability >= threshold).astype(np.uint8)
                write(strip.row_off, classes)
