"""Where the cells of a user's raster hold data: nodata values, masks, alpha, and borders of one value."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.windows import Window
from scipy import ndimage

# Beyond it no quantity that maps hold lies; what does is a value for no data that the file declares rounded,
# or not at all (such as -3.4e38).
GREATEST = 1e30
# Share of an alpha band's cells that are fully clear or fully opaque; GDAL calls the fourth band of any file
# of bytes alpha, and a near infrared band has all values.
CLEAR_CUT = 0.9
LOSSY = ("JPEG", "WEBP", "JP2", "JPEG2000", "ECW", "MRSID")
# Lossy compression blurs the border of no data: values up to so far from it, in so many cells beside it.
BLURRED_BY, BLURRED_CELLS = 15, 16


@dataclass(frozen=True)
class Validity:
    """What says where one open raster holds data.

    `spec` is the file's entry in a card, whose `nodata` counts where all bands have it (one band may be 0 in
    a shadow); `glances` are windows of the file from which its alpha band is judged. `told` counts what the
    reader should know of: cells of all bands.
    """

    source: rasterio.DatasetReader
    spec: Mapping[str, Any]
    glances: tuple[Window, ...]
    told: Counter = field(default_factory=Counter)

    @cached_property
    def alpha(self) -> int | None:
        """Number of the band that is alpha by its values too, or None."""
        for band, meaning in zip(self.source.indexes, self.source.colorinterp, strict=True):
            if meaning == ColorInterp.alpha and self.source.count > 1:
                values = np.concatenate(
                    [self.source.read(band, window=part).ravel() for part in self.glances]
                )
                if np.mean((values == 0) | (values == opaque(values.dtype))) >= CLEAR_CUT:
                    return band
        return None

    @cached_property
    def bands(self) -> list[int]:
        """Numbers of the bands that are no alpha."""
        return [band for band in self.source.indexes if band != self.alpha]

    @cached_property
    def has_mask(self) -> bool:
        """Whether the file brings a mask of its own, inside it or beside it."""
        flags = self.source.mask_flag_enums[0]
        return MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags

    @cached_property
    def is_lossy(self) -> bool:
        """Whether the file's compression changes values."""
        words = {str(self.source.tags(ns="IMAGE_STRUCTURE").get("COMPRESSION", "")), self.source.driver}
        return any(kind in word.upper() for word in words for kind in LOSSY)

    @cached_property
    def border(self) -> float | None:
        """The value that is no data where all bands have it: the card's, or that of a lossy file."""
        if "nodata" in self.spec:
            return float(self.spec["nodata"])
        return self.source.nodata if self.is_lossy else None

    @property
    def is_partial(self) -> bool:
        """Whether more than the nodata values of the bands says where there is data."""
        return self.alpha is not None or self.has_mask or "nodata" in self.spec or self.border is not None

    def known(self, window: Window, cells: np.ndarray) -> np.ndarray:
        """Where `cells` (band, row, col), the stored values of a window, are data, bool of their shape."""
        known = np.ones(cells.shape, bool)
        for band, nodata in enumerate(self.source.nodatavals):
            if nodata is not None:
                known[band] = cells[band] != nodata
        if np.issubdtype(cells.dtype, np.floating):
            beyond = known & (np.abs(cells) > GREATEST)  # infinite ones too
            self.told["beyond"] += int(beyond.any(axis=0).sum())
            known &= ~beyond & ~np.isnan(cells)
        if self.has_mask:
            known &= self.source.read_masks(1, window=window) > 0
        if self.alpha is not None:
            clear = cells[self.alpha - 1] < opaque(cells.dtype) / 2
            self.told["clear"] += int(clear.sum())
            known &= ~clear
        if self.border is not None:
            empty = self._border_in(window)
            self.told["border"] += int(empty.sum())
            known &= ~empty
        return known

    def notes(self, name: str, total: int) -> list[str]:
        """What was found in all windows that were read, of `total` cells."""
        texts = {
            "beyond": f"hold values beyond {GREATEST:g}, which stand for no data",
            "clear": f"are transparent (band {self.alpha} is alpha): no data",
            "border": f"are {self.border:g} in all bands"
            + (" or blurred by compression beside such" if self.is_lossy else "")
            + (": no data, as the key `nodata` says" if "nodata" in self.spec else ": no data")
            if self.border is not None
            else "",
        }
        return [
            f"{name}: {count} cells ({count / total:.1%}) {texts[kind]}"
            for kind, count in self.told.items()
            if count
        ]

    def _border_in(self, window: Window) -> np.ndarray:
        """Where a window (row, col) has the border's value in all bands; with what is nearly of it and hangs
        together with it in a lossy file of bytes."""
        blurred = self.is_lossy and self.source.dtypes[0] == "uint8"
        reach = BLURRED_CELLS if blurred else 0
        top, left = min(reach, window.row_off), min(reach, window.col_off)
        bottom = min(reach, self.source.height - window.row_off - window.height)
        right = min(reach, self.source.width - window.col_off - window.width)
        wider = Window(
            window.col_off - left,
            window.row_off - top,
            window.width + left + right,
            window.height + top + bottom,
        )
        cells = self.source.read(self.bands, window=wider)
        empty = (cells == self.border).all(axis=0)
        if blurred and empty.any():
            near = (np.abs(cells.astype(np.int16) - self.border) <= BLURRED_BY).all(axis=0)
            empty = ndimage.binary_dilation(empty, iterations=BLURRED_CELLS, mask=near) | empty
        return empty[top : top + window.height, left : left + window.width]


def opaque(dtype: np.dtype) -> float:
    """The value of an alpha band where it is opaque."""
    return float(np.iinfo(dtype).max) if np.issubdtype(dtype, np.integer) else 1.0
