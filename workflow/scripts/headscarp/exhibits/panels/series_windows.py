"""Windows of a series that are worth showing: test windows by the shapes of their slides, and the window with
slides of the most ages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headscarp.arrays import open_array
from headscarp.codes import LANDSLIDE, TEST, UNMAPPED
from headscarp.exhibits.panels.scene import nothing_to_show, samples_of
from headscarp.exhibits.panels.series import true_colour
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.panels.windows import Window, slices
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles
from headscarp.files import read_json
from headscarp.geo.grid import Grid
from headscarp.samples.windows import counts_in_windows, grid_corners, read_windows
from headscarp.site.cube import Cube, open_cube

LEAST = 4  # pixels of a slide that counts as one in a window
SHOWN = 20  # pixels of slides of an age that a window shows


@dataclass(frozen=True)
class Shapes:
    """The slides in a window: pixels of each inside it, ratio of the axes of each, and what each counts:
    half, if the window cuts it."""

    sizes: np.ndarray
    ratios: np.ndarray
    counts: np.ndarray


# What the four images of the paper stand for ("several major landslide scales and morphologies"): how a
# window is rated, given the median size of the slides of all windows. The window rated highest is shown.
RULES: dict[str, Callable[[Shapes, float], float]] = {
    "largest slide": lambda slides, typical: float((slides.sizes * slides.counts).max()),
    "several slides": lambda slides, typical: float(slides.counts.sum()),
    "small slides": lambda slides, typical: float(
        slides.counts.sum() if slides.sizes.max() <= typical else -slides.sizes.max()
    ),
    "long slide": lambda slides, typical: float(
        (slides.ratios * slides.counts)[slides.sizes >= min(typical, slides.sizes.max())].max()
    ),
}


@dataclass(frozen=True)
class Series:
    """A site as `scene_grid` shows it under a protocol: its cube, the channels of its image, its samples and
    their regions (row, col)."""

    site: SiteFiles
    cube: Cube
    channels: Sequence[int]
    samples: Path
    regions: np.ndarray

    @classmethod
    def of(cls, spec: ExhibitSpec, protocol: str) -> "Series":
        site = spec.only_site()
        cube, samples = open_cube(site.folder / "cube"), samples_of(site, protocol)
        return cls(site, cube, true_colour(spec, cube), samples, open_array(samples / "regions.npy"))

    def scored(self, window: Window) -> np.ndarray:
        """The evaluated pixels (row, col) in a window."""
        part = slices(window)
        return (self.regions[part] == TEST) & (self.cube.label[part] != UNMAPPED)

    def slides(self, window: Window) -> np.ndarray:
        """The label (row, col) of a window as a mask of slides."""
        return self.cube.label[slices(window)] == LANDSLIDE

    @property
    def grid(self) -> Grid:
        return Grid.from_record(self.cube.header["grid"])

    def scene_at(self, window: Window) -> tuple[str, View]:
        """Name of the scene of a collage (of the site, where it is no collage) that holds a window, and the
        window's view there."""
        for scene in self.cube.header.get("scenes", []):
            if scene["row"] <= window[0] < scene["row"] + scene["height"]:
                there = (window[0] - scene["row"], *window[1:])
                return scene["name"], View.of(Grid.from_record(scene["grid"]), window=there)
        return self.site.name, View.of(self.grid, window=window)


def chosen_windows(spec: ExhibitSpec, series: Series, protocol: str) -> list[tuple[str, Window]]:
    """(rule, window) of the test windows to show: each rule in turn takes the window that it rates highest,
    of those that overlap no earlier one; of equals, the first.

    Raises:
        HeadscarpError: samples are missing, or no test window holds an evaluated slide.
    """
    shapes = {
        window: slides for window in test_windows(series) if (slides := shapes_in(series, window)) is not None
    }
    if not shapes:
        raise nothing_to_show(spec, protocol)
    typical = float(np.median(np.concatenate([slides.sizes for slides in shapes.values()])))
    rules, chosen = list(RULES), []
    for number in range(int(spec.options.get("count", len(RULES)))):
        free = [window for window in shapes if not any(overlap(window, taken) for _, taken in chosen)]
        free = free or [window for window in shapes if window not in [taken for _, taken in chosen]]
        if not free:
            break
        rule = rules[number % len(rules)]
        chosen.append((rule, max(free, key=lambda window: RULES[rule](shapes[window], typical))))
    return chosen


def test_windows(series: Series) -> list[Window]:
    """Test windows of a protocol, each place once; those of the regular grid where it evaluates the whole
    area."""
    windows = read_windows(series.samples / "windows.csv")
    squares = dict.fromkeys((one.row, one.col, one.size, one.size) for one in windows if one.split == "test")
    if squares:
        return list(squares)
    sampling = read_json(series.samples / "samples.json")
    size = sampling["window"]
    return [
        (int(row), int(col), size, size)
        for row, col in grid_corners(series.grid.shape, size, sampling["stride"])
    ]


def shapes_in(series: Series, window: Window) -> Shapes | None:
    """The evaluated slides in a window; None where there is none."""
    shown, instances = series.scored(window) & series.slides(window), series.cube.instances[slices(window)]
    numbers, sizes = np.unique(instances[shown], return_counts=True)
    kept = (numbers > 0) & (sizes >= LEAST)
    if not kept.any():
        return None
    masks = [shown & (instances == number) for number in numbers[kept]]
    cut = [mask[[0, -1]].any() or mask[:, [0, -1]].any() for mask in masks]
    return Shapes(sizes[kept], np.array([axis_ratio(mask) for mask in masks]), np.where(cut, 0.5, 1.0))


def axis_ratio(mask: np.ndarray) -> float:
    """Length over width of a mask (row, col): ratio of the axes of the ellipse with its second moments,
    pixels being squares."""
    moments = np.cov(np.array(np.nonzero(mask), float), bias=True) + np.eye(2) / 12
    narrow, wide = np.linalg.eigvalsh(moments)
    return float(np.sqrt(wide / narrow))


def overlap(one: Window, other: Window) -> bool:
    """Whether two windows share a pixel."""
    return all(
        one[axis] < other[axis] + other[axis + 2] and other[axis] < one[axis] + one[axis + 2]
        for axis in (0, 1)
    )


def telling_window(ages: np.ndarray, cube: Cube, side: int) -> Window:
    """The square window that shows slides of the most ages, and of those the one that is clearest through the
    dates; the first of equals.

    A window shows slides of an age with `SHOWN` pixels of them, an eighth of its side or more from its edge.
    Windows start at every eighth.
    """
    side = min(side, *ages.shape)
    rim = side // 8
    corners = grid_corners(ages.shape, side, max(1, rim))
    inner = [
        counts_in_windows(ages == age, corners + rim, side - 2 * rim) for age in np.unique(ages[ages > 0])
    ]
    shown = sum((count >= SHOWN).astype(float) for count in inner)
    optical = cube.values[:, cube.positions(["red"])[0]] if "red" in cube.channels else cube.values[:, 0]
    clear = sum(counts_in_windows(np.isfinite(values), corners, side) for values in optical) / (
        len(optical) * side**2
    )
    row, col = corners[np.argmax(shown + clear / 2)]
    return int(row), int(col), side, side
