"""Do the landslides lie where the image shows them? Edges of the labels against edges of the image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from headscarp.codes import LANDSLIDE, UNMAPPED

REACH = 10  # pixels: the longest shift that is looked for, in each direction
SMOOTHING = 1.0  # pixels: standard deviation of the smoothing before gradients are taken
MARGIN = 3  # pixels beside no data, or beside unmapped land, whose gradients are not those of the ground
CLIP = 3.0  # standard deviations beyond which contrast counts no more: glints and clouds
TILE = 64  # pixels: side of the tiles that are resampled
RESAMPLES = 200
MOST_EDGE_CELLS = 20_000
FEWEST_EDGE_CELLS = 200
# gradient of the smoothed label (of 0.4 at a straight border) below which a cell is no edge
FAINTEST_EDGE = 0.05
SURE = 0.9  # share of the resamples that must agree within one pixel
CLEAR = 6.0  # how far the peak must stand above the surface, in robust standard deviations of the surface
FAINTEST = 0.06  # correlation below which a peak tells nothing: relief alone gives as much


@dataclass(frozen=True)
class Alignment:
    """How labels lie on an image.

    `surface` (2 REACH + 1, 2 REACH + 1) is the correlation of the edges of the labels with those of the image
    when the labels are moved by (rows, cols) of -REACH to REACH pixels. `rows`, `cols`: by how much the
    labels lie too far south and east, in pixels; `agreement`: share of resamples with a peak within one
    pixel; `clearness`: height of the peak over the surface, in robust standard deviations.
    """

    surface: np.ndarray
    rows: float
    cols: float
    agreement: float
    clearness: float

    @property
    def is_told(self) -> bool:
        """Whether the shift can be told from the image at all."""
        row, col = np.unravel_index(np.argmax(self.surface), self.surface.shape)
        inside = 0 < row < 2 * REACH and 0 < col < 2 * REACH
        return bool(
            inside and self.agreement >= SURE and self.clearness >= CLEAR and self.surface.max() >= FAINTEST
        )

    @property
    def pixels(self) -> float:
        """Length of the shift."""
        return float(np.hypot(self.rows, self.cols))


def edge_alignment(bands: Sequence[np.ndarray], label: np.ndarray, seed: int = 0) -> Alignment | None:
    """Correlate the edges of labels with those of an image; None where there are too few edges on it.

    Edges are gradients with their direction: strength alone would be drawn to ridges and shadows, whose edges
    are as sharp as those of slides but turn elsewhere. The image is what tells slides from other ground best
    (Fisher's linear discriminant of its bands), so that its gradient points into slides as that of the labels
    does. The cross-correlation over shifts of up to REACH pixels each way has its peak where both fit best,
    refined by a parabola in each direction. Tiles of the scene are resampled to see whether another sample of
    slides had given the same peak.

    Args:
        bands: float arrays (row, col), NaN = no data.
        label: uint8 (row, col), 1 landslide, 255 unmapped.
        seed: of the sample of edge cells and of the resamples.
    """
    contrast = slide_contrast(bands, label)
    if contrast is None:
        return None
    rng = np.random.default_rng(seed)
    image, known = gradient(np.nan_to_num(contrast), ~np.isfinite(contrast))
    slides, mapped = gradient((label == LANDSLIDE).astype(np.float64), label == UNMAPPED)
    image[:, ~known] = np.nan
    rows, cols = np.nonzero(mapped & known & (np.hypot(*slides) > FAINTEST_EDGE))
    if len(rows) > MOST_EDGE_CELLS:
        chosen = np.sort(rng.choice(len(rows), MOST_EDGE_CELLS, replace=False))
        rows, cols = rows[chosen], cols[chosen]
    if len(rows) < FEWEST_EDGE_CELLS:
        return None
    sums = sums_by_tile(image, slides, rows, cols)
    surface = correlation(sums.sum(axis=1))
    weights = rng.multinomial(sums.shape[1], np.full(sums.shape[1], 1 / sums.shape[1]), RESAMPLES)
    peaks = np.array(
        [peak_of(correlation(resample)) for resample in np.tensordot(weights, sums, axes=(1, 1))]
    )
    best = peak_of(surface)
    agreement = float(np.mean(np.abs(peaks - best).max(axis=1) <= 1))
    middle = np.median(surface)
    spread = 1.4826 * np.median(np.abs(surface - middle))
    clearness = float((surface.max() - middle) / spread) if spread > 0 else 0.0
    row, col = (refined(surface, best, axis) - REACH for axis in (0, 1))
    # The peak says how the labels would have to move: they lie off by as much in the other direction.
    return Alignment(surface, -row, -col, agreement, clearness)


def slide_contrast(bands: Sequence[np.ndarray], label: np.ndarray) -> np.ndarray | None:
    """The combination of bands (row, col) that differs most between landslides and other mapped ground, mean
    0, standard deviation 1, NaN where a band lacks data; None where there is no data on one of both."""
    pixels = np.stack(bands, axis=-1).astype(np.float64)
    known = np.isfinite(pixels).all(axis=-1) & (label != UNMAPPED)
    slide, other = pixels[known & (label == LANDSLIDE)], pixels[known & (label != LANDSLIDE)]
    if not len(slide) or not len(other):
        return None
    covariance = np.atleast_2d(np.cov(pixels[known].T))
    covariance += 1e-6 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    contrast = pixels @ np.linalg.lstsq(covariance, slide.mean(axis=0) - other.mean(axis=0), rcond=None)[0]
    spread = contrast[known].std()
    return np.clip((contrast - contrast[known].mean()) / (spread if spread > 0 else 1.0), -CLIP, CLIP)


def gradient(values: np.ndarray, unknown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smoothed gradient (2, row, col) southwards and eastwards, and where it is of the ground and not of the
    rim of `unknown` cells."""
    parts = [ndimage.gaussian_filter(values, SMOOTHING, order=order) for order in ((1, 0), (0, 1))]
    return np.stack(parts), ~ndimage.binary_dilation(unknown, iterations=MARGIN)


def sums_by_tile(image: np.ndarray, slides: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Products of both gradients, squares of the image's and squares of the labels', summed by tile for each
    shift: (3, tile, shift, shift), shifts from -REACH to REACH rows and cols."""
    side = 2 * REACH + 1
    padded = np.pad(image, ((0, 0), (REACH, REACH), (REACH, REACH)), constant_values=np.nan)
    of_labels = slides[:, rows, cols]
    squares = (of_labels**2).sum(axis=0)
    _, tile = np.unique(rows // TILE * -(-image.shape[2] // TILE) + cols // TILE, return_inverse=True)
    sums = np.zeros((3, int(tile.max()) + 1, side, side))
    for row in range(side):
        for col in range(side):
            of_image = padded[:, rows + row, cols + col]
            seen = np.isfinite(of_image[0])
            for part, values in enumerate(
                ((of_image * of_labels).sum(axis=0), (of_image**2).sum(axis=0), squares)
            ):
                sums[part, :, row, col] = np.bincount(tile[seen], values[seen], sums.shape[1])
    return sums


def correlation(sums: np.ndarray) -> np.ndarray:
    """Correlation for each shift from sums (3, shift, shift); 0 where there is no edge."""
    products, of_image, of_labels = sums
    norm = np.sqrt(of_image * of_labels)
    return np.divide(products, norm, out=np.zeros_like(products), where=norm > 0)


def peak_of(surface: np.ndarray) -> np.ndarray:
    return np.array(np.unravel_index(np.argmax(surface), surface.shape))


def refined(surface: np.ndarray, best: np.ndarray, axis: int) -> float:
    """Place of a peak along an axis, by a parabola through it and its neighbours."""
    at = int(best[axis])
    if not 0 < at < surface.shape[axis] - 1:
        return float(at)
    before, peak, after = (surface[:, best[1]] if axis == 0 else surface[best[0]])[at - 1 : at + 2]
    bend = before - 2 * peak + after
    return at + (0.5 * (before - after) / bend if bend < 0 else 0.0)


def direction(rows: float, cols: float) -> str:
    """A shift in words, such as 2.0 px south and 1.0 px east; parts under a quarter of a pixel are left
    out."""
    parts = [(rows, "south", "north"), (cols, "east", "west")]
    told = [
        f"{abs(value):.1f} px {plus if value > 0 else minus}"
        for value, plus, minus in parts
        if abs(value) >= 0.25
    ]
    return " and ".join(told) or "less than a quarter of a pixel"
