"""Windows of a cube for training: slices of memory maps, never a whole scene."""

import mmap
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from headscarp.arrays import open_array
from headscarp.codes import BLOCKED, NOT_LANDSLIDE, SPLITS, TEST, TRAIN, UNMAPPED, UNUSED, VALIDATION
from headscarp.errors import HeadscarpError
from headscarp.files import read_json
from headscarp.samples.windows import Window, read_windows
from headscarp.site.layer_names import ANGLES
from headscarp.vocabulary import require_known

REGION_CODES = dict(zip(SPLITS, (TRAIN, VALIDATION, TEST), strict=True))
RELEASE_BYTES = 64 << 20
LAST_DATE, ALL_DATES, SHUFFLED_DATES = DATE_CHOICES = ("last", "all", "shuffled")
SYMMETRIES = range(8)  # of a square; 0 is none
# Cosine and sine of no, one, two and three quarter turns, exactly.
QUARTER_TURNS = ((1, 0), (0, 1), (-1, 0), (0, -1))


class Direction(NamedTuple):
    """Where an azimuth (clockwise from north) stands among the channels read: as degrees (negative where the
    ground is flat), as sine and cosine (0 there); None where it is not read so."""

    name: str
    degrees: int | None
    sine: int | None
    cosine: int | None


class NormalisedCube:
    """Chosen channels of a cube (time, channel, row, col), z-scored as they are read, one date at a time.

    Args:
        values: of the cube, float32, usually a memory map; NaN is no data.
        channels: positions of the chosen channels in the cube.
        mean, sd: one number for each chosen channel, or one for each date and channel, in its units; sd 0 (a
            constant channel) counts as 1.
        observed_by: which of the chosen channels show by a value that a date was observed; none if not given.
        directions: the azimuths among the chosen channels.
    """

    # Planes of what is read that hold no values of channels.
    flag_planes = slice(0)

    def __init__(
        self,
        values: np.ndarray,
        channels: list[int],
        mean: list,
        sd: list,
        observed_by: list[bool] | None = None,
        directions: tuple[Direction, ...] = (),
    ) -> None:
        self.values = values
        self.channels = channels
        self.directions = directions
        self.observed_by = np.array(observed_by or [False] * len(channels))
        by_date = (len(values), len(channels), 1, 1)
        spread = np.asarray(sd, np.float32)
        self.mean = np.broadcast_to(np.asarray(mean, np.float32)[..., None, None], by_date)
        self.sd = np.broadcast_to(np.where(spread == 0, np.float32(1), spread)[..., None, None], by_date)
        self._unreleased = 0

    @property
    def shape(self) -> tuple[int, int]:
        return self.values.shape[2:]

    @property
    def planes(self) -> int:
        """How many planes `read` gives."""
        return len(self.channels)

    def part(self, rows: slice, cols: slice) -> "NormalisedCube":
        """The same of a part of the ground."""
        part = copy(self)
        part.values = self.values[..., rows, cols]
        return part

    def read(self, date: int, rows: slice, cols: slice, symmetry: int = 0) -> np.ndarray:
        """Standardised values (channel, row, col) float32 of one date; NaN stays NaN.

        The window is turned by a `symmetry`, see `apply_symmetry`, and azimuths with it: what is read is what
        would be derived from a turned elevation model.
        """
        values = np.stack([self.values[date, channel, rows, cols] for channel in self.channels])
        self._release(values.nbytes)
        values = apply_symmetry(values, symmetry)
        if symmetry:
            turn_directions(values, self.directions, symmetry)
        values -= self.mean[date]
        values /= self.sd[date]
        return values

    def read_channel(self, date: int, place: int, rows: slice, cols: slice) -> np.ndarray:
        """Values (row, col) float32 of the chosen channel at `place`, in its units."""
        values = np.array(self.values[date, self.channels[place], rows, cols])
        self._release(values.nbytes)
        return values

    def read_pixels(self, date: int, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Standardised values (pixel, channel) float32 of single pixels; NaN stays NaN."""
        values = np.stack([self.values[date, channel, rows, cols] for channel in self.channels])
        return ((values - self.mean[date, :, 0]) / self.sd[date, :, 0]).T

    def has_data(self, values: np.ndarray) -> np.ndarray:
        """Where (row, col) bool what `read` gave can be mapped: at least one channel has a value."""
        return ~np.isnan(values).all(0)

    def is_trainable(self, values: np.ndarray) -> np.ndarray:
        """Where (row, col) bool what `read` gave may count in a loss: in a cube of several dates not under
        the clouds of the date read."""
        return self._is_observed(values) if len(self.values) > 1 else np.ones(values.shape[1:], bool)

    def _is_observed(self, values: np.ndarray) -> np.ndarray:
        """Where (row, col) bool at least one channel of `observed_by` has a value at a date; everywhere if
        there is none."""
        return (
            ~np.isnan(values[self.observed_by]).all(0)
            if self.observed_by.any()
            else np.ones(values.shape[1:], bool)
        )

    def _release(self, count: int) -> None:
        """Give pages of the map that were read back to the system now and then, or they would count as memory
        of this process."""
        self._unreleased += count
        mapped = getattr(self.values, "_mmap", None)
        if self._unreleased > RELEASE_BYTES and mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)
            self._unreleased = 0


class NormalisedSeries(NormalisedCube):
    """The same, all dates of the cube at once.

    `read` gives (dates x (channels + 1), row, col) float32: date by date the standardised channels, NaN where
    they have no data, and then a plane that is 1 where at least one channel of `observed_by` has a value at
    that date, else 0 (1 everywhere if there is none).
    """

    @property
    def planes(self) -> int:
        return len(self.values) * (len(self.channels) + 1)

    @property
    def flag_planes(self) -> slice:
        return slice(len(self.channels), None, len(self.channels) + 1)

    def read(self, date: int, rows: slice, cols: slice, symmetry: int = 0) -> np.ndarray:
        """All dates, whichever is asked for: the window of a label holds them all."""
        planes = []
        for each in range(len(self.values)):
            values = super().read(each, rows, cols, symmetry)
            planes += [values, self._is_observed(values)[None].astype(np.float32)]
        return np.concatenate(planes)

    def read_pixels(self, date: int, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """The same planes (pixel, plane) of single pixels."""
        planes = []
        for each in range(len(self.values)):
            values = super().read_pixels(each, rows, cols)
            planes += [values, self._is_observed(values.T)[:, None].astype(np.float32)]
        return np.concatenate(planes, axis=1)

    def has_data(self, values: np.ndarray) -> np.ndarray:
        """Where (row, col) bool at least one date was observed."""
        by_date = values.reshape(len(self.values), -1, *values.shape[1:])
        return ((by_date[:, -1] > 0) & ~np.isnan(by_date[:, :-1]).all(1)).any(0)

    def is_trainable(self, values: np.ndarray) -> np.ndarray:
        return self.has_data(values)


def directions_of(channels: list[str]) -> tuple[Direction, ...]:
    """The azimuths among channels: the angles that layers hold, in degrees or as sine and cosine."""
    places = {name: place for place, name in enumerate(channels)}
    found = [
        Direction(name, *(places.get(name + ending) for ending in ("", "_sin", "_cos"))) for name in ANGLES
    ]
    return tuple(one for one in found if any(place is not None for place in one[1:]))


def apply_symmetry(array: np.ndarray, symmetry: int) -> np.ndarray:
    """One of the eight symmetries of a square (0 is none): `symmetry` % 4 quarter turns, counter-clockwise
    where rows run to the south, then from 4 on a flip of east and west, of the last two axes."""
    turned = np.rot90(array, symmetry % 4, axes=(-2, -1))
    return turned[..., ::-1] if symmetry >= 4 else turned


def undo_symmetry(array: np.ndarray, symmetry: int) -> np.ndarray:
    """What `apply_symmetry` turned, as it was."""
    unflipped = array[..., ::-1] if symmetry >= 4 else array
    return np.rot90(unflipped, -(symmetry % 4), axes=(-2, -1))


def turn_directions(values: np.ndarray, directions: tuple[Direction, ...], symmetry: int) -> None:
    """Turn the azimuths of a window (channel, row, col), in their own units and in place, as `apply_symmetry`
    turned its ground; flat and missing cells stay so.

    Raises:
        HeadscarpError: of sine and cosine only one is read, which does not tell where the other turns.
    """
    cosine_of_turn, sine_of_turn = QUARTER_TURNS[symmetry % 4]
    mirrored = -1 if symmetry >= 4 else 1
    for one in directions:
        if one.degrees is not None:
            azimuth = values[one.degrees]
            turned = mirrored * (azimuth - 90 * (symmetry % 4)) % 360
            values[one.degrees] = np.where(azimuth < 0, azimuth, turned)
        require_both_components(one)
        if one.sine is not None:
            sine, cosine = values[one.sine], values[one.cosine]
            values[one.sine], values[one.cosine] = (
                mirrored * (sine * cosine_of_turn - cosine * sine_of_turn),
                cosine * cosine_of_turn + sine * sine_of_turn,
            )


def require_both_components(one: Direction) -> None:
    """Refuse an azimuth of which only the sine or the cosine is read."""
    if (one.sine is None) != (one.cosine is None):
        raise HeadscarpError(
            f"windows are turned (augment: true), but of {one.name}_sin and {one.name}_cos only one is "
            "read, and turned ground needs both; read both, or set `augment: false`"
        )


def open_normalised(
    cube_folder: str | Path,
    samples_folder: str | Path,
    channels: list[str],
    statistics: str | Path | None = None,
    dates: str | None = None,
) -> NormalisedCube:
    """Open the cube's memory map with the normalisation of a set of samples, or that of another samples.json,
    `statistics`.

    `dates` is `last` (or None): one date at a time, normalised by statistics over all dates, or `all` or
    `shuffled`: a `NormalisedSeries`, each date normalised by its own statistics where the samples have them
    (a channel without a value at a date: by those over all dates). What tells that a date was observed are
    the chosen channels out of which clouds were taken (a rain gauge works under them), or else all dated
    ones.

    Raises:
        HeadscarpError: a file is missing or truncated; a channel is not in the cube (the nearest name is
            told) or has no normalisation; `dates` is none of these; statistics by date are of another number
            of dates than the cube.
    """
    header, samples = (
        Path(cube_folder) / "cube.json",
        Path(statistics or Path(samples_folder) / "samples.json"),
    )
    entries = {channel["name"]: channel for channel in read_json(header)["channels"]}
    names = list(entries)
    normalisation = read_json(samples)["normalisation"]
    for name in channels:
        require_known(name, names, f"{header}: channel")
        require_known(name, normalisation, f"{samples}: normalisation of channel")
    cube = open_array(Path(cube_folder) / "cube.npy")
    positions = [names.index(name) for name in channels]
    dated = [entries[name].get("dated", False) for name in channels]
    masked = [entries[name].get("masked", False) for name in channels]
    cloud_free = [changes and hidden for changes, hidden in zip(dated, masked, strict=True)]
    observed_by = cloud_free if any(cloud_free) else dated
    directions = directions_of(channels)
    if not reads_series(dates):
        scale = [normalisation[name] for name in channels]
        return NormalisedCube(
            cube, positions, [s["mean"] for s in scale], [s["sd"] for s in scale], observed_by, directions
        )
    by_channel = [
        scale_by_date(normalisation[name], len(cube), f"{samples}: channel '{name}'") for name in channels
    ]
    by_date = list(zip(*by_channel, strict=True))
    means = [[scale["mean"] for scale in scales] for scales in by_date]
    sds = [[scale["sd"] for scale in scales] for scales in by_date]
    return NormalisedSeries(cube, positions, means, sds, observed_by, directions)


def reads_series(dates: str | None) -> bool:
    """Whether `dates` of a specification means all dates of a place.

    Raises:
        HeadscarpError: it is none of last, all and shuffled.
    """
    return require_known(dates or LAST_DATE, DATE_CHOICES, "dates") != LAST_DATE


def scale_by_date(scale: dict[str, Any], dates: int, name: str) -> list[dict[str, float]]:
    """Mean and sd of a channel at each date: its own where there are such, else those over all dates."""
    by_date = scale.get("by_date") or [None] * dates
    if len(by_date) != dates:
        raise HeadscarpError(
            f"{name} is normalised at {len(by_date)} dates, but "
            f"the cube has {dates}; use samples of as many dates"
        )
    return [own or scale for own in by_date]


def with_dates_of_cube(spec: dict[str, Any], cube_folder: str | Path) -> dict[str, Any]:
    """A run's or a search's specification with `dates_read`, the ISO dates of the cube, if it reads them
    all."""
    return (
        spec | {"dates_read": read_json(Path(cube_folder) / "cube.json")["dates"]}
        if reads_series(spec.get("dates"))
        else spec
    )


def require_dates(spec: dict[str, Any], cube_folder: Path, run_folder: Path) -> None:
    """Refuse a cube of another number of dates than the network of a run's specification reads."""
    read, there = spec.get("dates_read"), with_dates_of_cube(spec, cube_folder).get("dates_read")
    if read and len(there) != len(read):
        raise HeadscarpError(
            f"{cube_folder / 'cube.json'} has {len(there)} date(s) ({', '.join(there)}), but "
            f"the network in {run_folder} reads {len(read)} ({', '.join(read)}); give the site "
            f"as many dates, or map it with an experiment without `dates: {spec['dates']}`"
        )


@dataclass(frozen=True)
class Samples:
    """Windows of a cube with labels: `windows` maps a split to an int array (window, [row, col, size,
    date])."""

    cube: NormalisedCube
    label: np.ndarray
    regions: np.ndarray
    protocol: str
    windows: dict[str, np.ndarray]

    @property
    def in_part(self) -> bool:
        """Whether labels say of some ground only that it is no landslide."""
        return bool((self.label == NOT_LANDSLIDE).any())

    def read(self, split: str, index: int, symmetry: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One window: image (plane, row, col) float32 with no data as 0 (the mean), target uint8 and mask
        bool, both (row, col); all turned by a `symmetry` of `apply_symmetry`.

        The planes are the channels, or those of a `NormalisedSeries`. The mask leaves out pixels that are
        unmapped or never used; under protocol blocked, those outside the split's region; and, in a cube of
        several dates, those that are observed at none of the dates read.
        """
        row, col, size, date = (int(n) for n in self.windows[split][index])
        rows, cols = slice(row, row + size), slice(col, col + size)
        image = self.cube.read(date, rows, cols, symmetry)
        target, mask = (apply_symmetry(part, symmetry) for part in self._target(rows, cols, split))
        mask = mask & self.cube.is_trainable(image)
        np.nan_to_num(image, copy=False)
        return image, target, mask

    def _target(self, rows: slice, cols: slice, split: str) -> tuple[np.ndarray, np.ndarray]:
        label, region = self.label[rows, cols], self.regions[rows, cols]
        mask = (label != UNMAPPED) & (
            region == REGION_CODES[split] if self.protocol == BLOCKED else region != UNUSED
        )
        return np.where(mask, label, 0), mask

    def with_share(self, share: float, seed: int) -> "Samples":
        """The same with a share of the training windows, drawn by the seed: at least one, and all of a
        smaller share in a larger.

        Raises:
            HeadscarpError: the share is not above 0 and at most 1.
        """
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise HeadscarpError(
                f"the share of training windows is {share!r}; it must be a number above 0 and at most 1"
            )
        train = self.windows["train"]
        drawn = np.random.default_rng([seed, len(train), 3]).permutation(len(train))[
            : max(1, round(share * len(train)))
        ]
        return replace(self, windows=self.windows | {"train": train[np.sort(drawn)]})

    def with_windows(self, side: int) -> "Samples":
        """The same with windows of `side` pixels around the middle of those of training and validation, moved
        as little as needed to lie in the scene; of equal ones one is left.

        Masks keep labels to a subset's own ground; images beyond it are seen, as a map's windows see them.

        Raises:
            HeadscarpError: the scene is smaller than such a window.
        """
        height, width = self.label.shape
        if min(height, width) < side:
            raise HeadscarpError(
                f"the scene has {height} x {width} pixels, less than a window of {side}; make the "
                "experiment's `window` smaller"
            )
        return replace(
            self,
            windows={split: enlarged(found, side, (height, width)) for split, found in self.windows.items()},
        )

    def balanced_weights(self, classes: int) -> np.ndarray:
        """Weights (class) float32 with which all classes of the training windows count the same: pixels /
        (classes found x pixels of the class), as scikit-learn's `balanced`; 0 for a class without pixels.
        Pixels whose class is not told count for none."""
        counts = np.zeros(classes, np.int64)
        for index in range(len(self.windows["train"])):
            _, target, mask = self.read("train", index)
            counts += np.bincount(target[mask & (target < classes)], minlength=classes)
        weights = counts.sum() / (np.count_nonzero(counts) or 1) / counts.clip(min=1)
        return np.where(counts, weights, 0).astype(np.float32)


def enlarged(windows: np.ndarray, side: int, shape: tuple[int, int]) -> np.ndarray:
    """Windows (n, [row, col, size, date]) of another `side` around the same middles, inside a scene."""
    corners = windows[:, :2] + (windows[:, 2:3] - side) // 2
    corners = np.clip(corners, 0, np.array(shape) - side)
    return np.unique(np.column_stack([corners, np.full(len(windows), side), windows[:, 3]]), axis=0)


def open_samples(
    cube_folder: str | Path,
    samples_folder: str | Path,
    channels: list[str],
    statistics: str | Path | None = None,
    dates: str | None = None,
) -> Samples:
    """Open a cube with the windows of one protocol; for `statistics`, `dates` and errors see
    `open_normalised`."""
    cube_folder, samples_folder = Path(cube_folder), Path(samples_folder)
    return Samples(
        cube=open_normalised(cube_folder, samples_folder, channels, statistics, dates),
        label=open_array(cube_folder / "label.npy"),
        regions=open_array(samples_folder / "regions.npy"),
        protocol=read_json(samples_folder / "samples.json")["protocol"],
        windows=windows_by_split(read_windows(samples_folder / "windows.csv")),
    )


def windows_by_split(windows: Iterable[Window]) -> dict[str, np.ndarray]:
    """Windows as int arrays (window, [row, col, size, date]), one for each split."""
    found: dict[str, list[tuple[int, ...]]] = {split: [] for split in SPLITS}
    for window in windows:
        found[window.split].append(window[:4])
    return {split: np.array(corners, np.int64).reshape(-1, 4) for split, corners in found.items()}
