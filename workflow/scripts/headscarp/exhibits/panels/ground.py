"""What maps are drawn on: shaded relief and images, as arrays (row, col, 3)."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LightSource, LinearSegmentedColormap, to_rgb

from headscarp.codes import UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.exhibits.layers import has_layer, layer_path
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.spec import SiteFiles

ELEVATION = LinearSegmentedColormap.from_list(
    "hypsometric", ["#7A9A7E", "#B5C69A", "#EBDFB0", "#D3B48A", "#A98467", "#CFC4BC", "#FAFAFA"]
)
TRUE_COLOUR = ("red", "green", "blue")


def tone(view: View, site: SiteFiles) -> np.ndarray:
    """Light and dark 0..1 of a site's ground, (row, col): its relief or, of a site without elevations, the
    brightness of its image in true colour; even where it has neither."""
    if has_layer(site, "elevation"):
        return hillshade(view, site)
    if has_image(site, TRUE_COLOUR):
        return composite(view, site, TRUE_COLOUR).mean(axis=-1)
    return np.ones(view.shape)


def hillshade(view: View, site: SiteFiles) -> np.ndarray:
    """Illumination 0..1 of a site's relief from the north-west at 45 degrees, (row, col)."""
    elevation = view.read(layer_path(site, "elevation"))
    return shade(elevation, view)


def shade(elevation: np.ndarray, view: View) -> np.ndarray:
    filled = np.where(np.isfinite(elevation), elevation, np.nanmedian(elevation))
    dx, dy = view.cell_m
    return LightSource(315, 45).hillshade(filled, vert_exag=1.2, dx=dx, dy=dy)


def grey_relief(relief: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Light grey relief (row, col, 3) as a ground for colours; unmapped land paler still."""
    image = np.repeat(0.55 + 0.42 * relief[..., None], 3, axis=-1)
    paint(image, label == UNMAPPED, "white", 0.8)
    return image


def composite(
    view: View, site: SiteFiles, channels: Sequence[str], limits: np.ndarray | None = None
) -> np.ndarray:
    """Three layers as red, green and blue, (row, col, 3), stretched between `limits` (those of the view
    itself unless given)."""
    return stretch(image_bands(view, site, channels), limits)


def stretch(bands: np.ndarray, limits: np.ndarray | None = None) -> np.ndarray:
    """Bands (row, col, 3) as an image 0..1 between `limits` (2, 3), those of the bands themselves unless
    given; white where no data."""
    low, high = band_limits(bands) if limits is None else limits
    stretched = np.clip((bands - low) / np.maximum(high - low, 1e-9), 0, 1) ** 0.85
    return np.where(np.isfinite(stretched), stretched, 1.0)


def has_image(site: SiteFiles, channels: Sequence[str]) -> bool:
    """Whether a site has all layers of an image."""
    return all(has_layer(site, channel) for channel in channels)


def left_out(site: SiteFiles, panel: str, *layers: str) -> str:
    """What a figure says below of a panel that it does not show, since a site lacks layers."""
    missing = ", ".join(layer for layer in layers if not has_layer(site, layer))
    return f"{panel} left out: {site.title} has no layer {missing}."


def image_bands(view: View, site: SiteFiles, channels: Sequence[str]) -> np.ndarray:
    """Three layers, (row, col, 3), unstretched."""
    if len(channels) != 3:
        raise HeadscarpError(
            f"an image needs three layers for red, green and blue but the exhibit's options name "
            f"{list(channels)}"
        )
    return np.stack([view.read(layer_path(site, channel)) for channel in channels], axis=-1)


def band_limits(bands: np.ndarray) -> np.ndarray:
    """2nd and 98th percentile (2, 3) of three bands (row, col, 3): what an image is stretched between."""
    return np.nanpercentile(bands, [2, 98], axis=(0, 1))


def shared_limits(images: Sequence[np.ndarray]) -> np.ndarray:
    """What several images (row, col, 3) of one place are stretched between, (2, 3); 0 and 1 where none has
    data."""
    pixels = np.concatenate([image.reshape(-1, 1, 3) for image in images])
    seen = pixels[np.isfinite(pixels).all(axis=-1)]
    return band_limits(seen[:, None]) if seen.size else np.array([[0.0] * 3, [1.0] * 3])


def mapped_area(view: View, site: SiteFiles) -> np.ndarray:
    """Pixels (row, col) of a view inside the study area: everywhere, where the site has no labels or only
    unmapped ones."""
    path = site.folder / "layers" / "label.tif"
    mapped = view.read(path, classes=True) != UNMAPPED if path.exists() else np.zeros(view.shape, bool)
    return mapped if mapped.any() else np.ones(view.shape, bool)


def paint(base: np.ndarray, mask: np.ndarray, colour: str, opacity: float = 1.0) -> None:
    """Lay a colour over the pixels of `mask` of an image (row, col, 3), in place."""
    base[mask] = (1 - opacity) * base[mask] + opacity * np.asarray(to_rgb(colour))
