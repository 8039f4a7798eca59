"""What an image's values say of the order of its bands: plants are bright in the near infrared, and bare
ground is redder than they."""

from collections.abc import Mapping, Sequence

import numpy as np

SENTINEL2 = ("coastal", "blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir_narrow")
# Bands of a file that names none, by their number: the usual order of products that are delivered so.
BY_COUNT = {
    3: ("red", "green", "blue"),
    4: ("blue", "green", "red", "nir"),
    6: ("blue", "green", "red", "nir", "swir1", "swir2"),
    10: (*SENTINEL2[1:7], "nir", "nir_narrow", "swir1", "swir2"),
    12: (*SENTINEL2, None, "swir1", "swir2"),
    13: (*SENTINEL2, None, None, "swir1", "swir2"),
}
# The same where the file's name tells the sensor.
BY_SENSOR = {
    ("superdove", "planetscope", "psscene", "8b"): {
        8: ("coastal", None, None, "green", None, "red", "rededge1", "nir")
    },
    ("worldview", "worldview2", "worldview3", "wv2", "wv3", "wv02", "wv03"): {
        8: ("coastal", "blue", "green", None, "red", "rededge1", "nir", "nir_narrow")
    },
    ("rapideye",): {5: ("blue", "green", "red", "rededge1", "nir")},
    ("landsat", "landsat8", "landsat9", "lc08", "lc09"): {
        7: ("coastal", "blue", "green", "red", "nir", "swir1", "swir2")
    },
}
CLEAR = 1.0  # standard deviations (robust) of plants' redness from which bare ground differs from plants
FEWEST = 500  # cells that must be seen
LAND = 0.05  # share of land cells that must be brighter in the near infrared than in red
# Share of the visible that the near infrared has at least over land that is neither cloud, snow nor water
# (three equal bands and the same in the near infrared would be 0.33).
WHITE = 0.45
BAREST = 2  # percent of land cells that are taken for bare ground
GREENER = 1.5  # by which factor plants must be brighter in the near infrared, as a share of the visible


def redness_of_bare_ground(bands: Mapping[str, np.ndarray]) -> float | None:
    """How much redder, minus bluer, the barest ground is than plants, in robust standard deviations of the
    plants; None where too little is seen, it is all of one kind, or one of four bands is missing.

    Chlorophyll absorbs blue and red alike, while the reflectance of soil and rock rises with the wavelength
    (Bowker et al. 1985, Spectral reflectances of natural targets, NASA RP-1139), whatever haze adds to blue
    everywhere. Where red and blue were exchanged the sign turns. Photographs without near infrared do not
    tell: their contrast is stretched for the eye.

    Args:
        bands: values (n) of the same cells, by name, of any one scale; NaN where no data.
    """
    if not {"red", "green", "blue", "nir"} <= bands.keys():
        return None
    red, green, blue, nir = (np.asarray(bands[name], np.float64) for name in ("red", "green", "blue", "nir"))
    visible = red + green + blue
    seen = np.isfinite(visible + nir) & (visible > 0) & (nir > WHITE * visible)
    if np.count_nonzero(seen) < FEWEST:
        return None
    plants, redness = nir[seen] / visible[seen], (red - blue)[seen] / visible[seen]
    bare = plants <= np.percentile(plants, BAREST)
    if np.median(plants) < GREENER * np.median(plants[bare]):
        return None
    usual = redness[plants >= np.median(plants)]
    middle = np.median(usual)
    spread = max(1.4826 * np.median(np.abs(usual - middle)), np.finfo(np.float32).eps)
    return float((np.median(redness[bare]) - middle) / spread)


def has_land(bands: Mapping[str, np.ndarray]) -> bool | None:
    """Whether some cells are brighter in the near infrared than in red, as all land is; None where it cannot
    be seen."""
    if not {"red", "nir"} <= bands.keys():
        return None
    red, nir = (np.asarray(bands[name], np.float64) for name in ("red", "nir"))
    seen = np.isfinite(red) & np.isfinite(nir)
    return bool(np.mean(nir[seen] > red[seen]) >= LAND) if np.count_nonzero(seen) >= FEWEST else None


def doubts(bands: Mapping[str, np.ndarray]) -> list[str]:
    """What speaks against the names of an image's bands (values (n) of the same cells by name), in
    sentences."""
    found = []
    if has_land(bands) is False:
        found.append(
            "nir is above red nowhere, though plants and bare ground are brighter in the near infrared: are "
            "the bands in another order?"
        )
    redness = redness_of_bare_ground(bands)
    if redness is not None and redness <= -CLEAR:
        found.append(
            f"bare ground is bluer than plants (by {-redness:.1f} standard deviations), while soil and rock "
            "are redder: red and blue seem exchanged"
        )
    return found


def order_of_bands(
    values: np.ndarray, sensor: Sequence[str], told: Sequence[str | None]
) -> tuple[list[str | None], str]:
    """The spectral bands of a file that does not name them, and why, as a GUESS.

    Args:
        values: (band, n), values of the same cells.
        sensor: words of the file's name.
        told: what colour tags say of each band, None where nothing.
    """
    count = len(values)
    named = next((orders for words, orders in BY_SENSOR.items() if set(words) & set(sensor)), {})
    if {"red", "green", "blue"} <= set(told):
        names, why = list(told), "by the file's colours"
        if count == 4 and None in names and "nir" not in names:
            names[names.index(None)] = "nir"
    elif order := named.get(count, BY_COUNT.get(count)):
        names, why = list(order), f"by the usual order of {count} bands"
    else:
        return [None] * count, ""
    bands = {name: values[number] for number, name in enumerate(names) if name}
    redness = redness_of_bare_ground(bands)
    if redness is not None and redness <= -CLEAR:
        names = [{"red": "blue", "blue": "red"}.get(name, name) for name in names]
        bands |= {"red": bands["blue"], "blue": bands["red"]}
        why += ", red and blue exchanged since bare ground is redder than plants"
    elif redness is not None and redness >= CLEAR:
        why += "; bare ground is redder than plants, as it should be"
    else:
        why += "; red and blue may be exchanged, its values do not tell"
    if has_land(bands) is False:
        return [None] * count, f"{why}, but its nir is above red nowhere"
    return names, f"GUESS {why}"
