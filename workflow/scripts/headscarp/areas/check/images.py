"""The images of a study area: whether their bands are what they are called, and where they are empty."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import ndimage

from headscarp.areas.check.findings import WARNING, Checked
from headscarp.areas.guess.colours import doubts
from headscarp.areas.guess.names import OPTICAL
from headscarp.site.layer_names import OPTICAL_UNITS

VOID = 3  # cells a side of the squares in which an image is the same in all bands
LEAST_VOID = 0.001  # share of the outline from which they are told


def check_images(checked: Checked, rasters: Mapping[str, Mapping[str, Any]]) -> None:
    """Each image: its bands against the colours of plants and bare ground, and where all have one value."""
    for name, bands in images_of(checked, rasters).items():
        for doubt in doubts({band: values[checked.outline] for band, values in bands.items()}):
            checked.tell(WARNING, "values", name, doubt)
        tell_voids(checked, name, bands)


def images_of(checked: Checked, rasters: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, np.ndarray]]:
    """{image: {spectral band: values (row, col)}}, an image being the layers of one time."""
    images: dict[str, dict[str, np.ndarray]] = {}
    for layer, values in checked.layers.items():
        plain, _, date = layer.partition(" ")
        if rasters[plain]["units"] not in OPTICAL_UNITS:
            continue
        time, _, band = plain.rpartition("_") if plain.rpartition("_")[2] in OPTICAL else ("", "", plain)
        image = " ".join(part for part in (time, date) if part) or "image"
        images.setdefault(image, {})[band if band in OPTICAL else plain] = values
    return images


def tell_voids(checked: Checked, name: str, bands: Mapping[str, np.ndarray]) -> None:
    """Where all bands of an image are 0, or all at their greatest value: as beyond a swath whose file
    declares no value for it."""
    for what, value in (("0", 0.0), ("at their greatest value", None)):
        same = np.all(
            [values == (np.nanmax(values) if value is None else value) for values in bands.values()], axis=0
        )
        void = ndimage.binary_opening(same & checked.outline, np.ones((VOID, VOID)))
        share = float(void.sum() / checked.outline.sum())
        if share >= LEAST_VOID and not void[checked.outline].all():
            checked.tell(
                WARNING,
                "values",
                name,
                f"{share:.1%} of the outline is {what} in {', '.join(bands)} alike; if that is no data, say "
                "so by `nodata: …` (the number in the file) in the entries of its files",
            )
