"""The baseline without context: a random forest on single pixels."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from sklearn.ensemble import RandomForestClassifier

from headscarp import __version__
from headscarp.codes import BLOCKED, LANDSLIDE, NOT_LANDSLIDE, TRAIN, UNMAPPED, UNUSED
from headscarp.errors import HeadscarpError
from headscarp.files import read_json, write_json
from headscarp.mapping.map_files import grid_of_maps, write_map_rasters, write_map_record
from headscarp.provenance import files_read_by_run, run_provenance
from headscarp.training.windows import (
    NormalisedCube,
    Samples,
    open_normalised,
    open_samples,
    require_dates,
    with_dates_of_cube,
)
from headscarp.vocabulary import require_known

DEFAULTS = {"n_estimators": 100, "min_samples_leaf": 5, "max_features": "sqrt"}
STRIP_PIXELS = 1 << 18


def run_forest(
    cube_folder: str | Path,
    samples_folder: str | Path,
    run_folder: str | Path,
    out_folder: str | Path,
    spec: dict[str, Any],
    threads: int = 1,
    date: int = -1,
    maximum_pixels: int = 50_000,
) -> None:
    """Train a forest and map its own site: `run.json` (with Gini importances by plane, adding up to 1) in
    `run_folder`; `probability.tif`, `classes.tif` and `map.json` in `out_folder`.

    Args:
        spec: {network: {params: of scikit-learn's RandomForestClassifier}, channels: [names], classes: how
            many it tells apart (1: landslides from all else), seed}, and `dates` where all are read, as for
            `training.trainer.train_run`. The planes are the channels; of all dates those of each date, and
            whether it was observed.
        maximum_pixels: size of the random sample of training pixels.

    Raises:
        HeadscarpError: an unknown channel or parameter, a missing file, or training pixels of one class only.
    """
    started, run_folder = time.time(), Path(run_folder)
    spec = with_dates_of_cube(spec, cube_folder)
    samples = open_samples(cube_folder, samples_folder, spec["channels"], dates=spec.get("dates"))
    began = time.perf_counter()
    forest, labels = grow_forest(samples, spec, samples_folder, threads, date, maximum_pixels)
    write_json(
        run_folder / "run.json",
        {
            "spec": spec,
            "seed": spec["seed"],
            "protocol": samples.protocol,
            "versions": {
                "scikit-learn": sklearn.__version__,
                "numpy": np.__version__,
                "headscarp": __version__,
            },
            "device": "cpu",
            "threads": threads,
            "pixels": len(labels),
            "landslide_share": float((labels == LANDSLIDE).mean()),
            "importances": dict(zip(planes_of(spec), forest.feature_importances_.tolist(), strict=True)),
            "seconds": round(time.perf_counter() - began, 3),
        }
        | run_provenance(started, files_read_by_run(cube_folder, samples_folder)),
    )
    map_with_forest(forest, samples.cube, Path(cube_folder), Path(out_folder), spec, date)


def run_forest_elsewhere(
    run_folder: str | Path,
    home_folder: str | Path,
    samples_folder: str | Path,
    cube_folder: str | Path,
    out_folder: str | Path,
    threads: int = 1,
    date: int = -1,
    maximum_pixels: int = 50_000,
) -> None:
    """Map another place with the forest of a run: `probability.tif`, `classes.tif` and `map.json` in
    `out_folder`.

    The forest is grown again, the same from the same seed on the same pixels of the cube in `home_folder`:
    that takes seconds, a stored one a hundred megabytes. Values of the place are normalised as in training.

    Raises:
        HeadscarpError: the run is not there, a file of the cubes or the samples is missing, or the cube of
            the place lacks a channel or has another number of dates than the forest reads.
    """
    run_folder, cube_folder = Path(run_folder), Path(cube_folder)
    spec = read_json(run_folder / "run.json")["spec"]
    require_dates(spec, cube_folder, run_folder)
    channels, dates = spec["channels"], spec.get("dates")
    samples = open_samples(home_folder, samples_folder, channels, dates=dates)
    forest, _ = grow_forest(samples, spec, samples_folder, threads, date, maximum_pixels)
    cube = open_normalised(cube_folder, samples_folder, channels, dates=dates)
    map_with_forest(forest, cube, cube_folder, Path(out_folder), spec, date)


def grow_forest(
    samples: Samples, spec: dict[str, Any], folder: str | Path, threads: int, date: int, maximum_pixels: int
) -> tuple[RandomForestClassifier, np.ndarray]:
    """A forest fitted to a random sample of training pixels, and their classes (pixel,); `folder` is that of
    the samples, for messages."""
    forest = make_forest(spec["network"]["params"], spec["seed"], threads)
    values, labels = sample_pixels(samples, date, maximum_pixels, spec["seed"])
    slides = labels == LANDSLIDE
    if slides.all() or not slides.any():
        raise HeadscarpError(
            f"{folder}: the training pixels hold only landslides "
            "or only background; use other blocks or another seed"
        )
    forest.fit(values, labels if spec.get("classes", 1) > 1 else slides)
    return forest, labels


def map_with_forest(
    forest: RandomForestClassifier,
    cube: NormalisedCube,
    cube_folder: Path,
    out_folder: Path,
    spec: dict[str, Any],
    date: int,
) -> None:
    began = time.perf_counter()
    grid = grid_of_maps(read_json(cube_folder / "cube.json"))
    strips = predict_strips(forest, cube, date, spec.get("classes", 1))
    write_map_rasters(out_folder, strips, grid, f"headscarp: random forest, seed {spec['seed']}")
    write_map_record(out_folder, time.perf_counter() - began, cube.shape, "cpu")


def planes_of(spec: dict[str, Any]) -> list[str]:
    """Names of what a forest reads of a pixel."""
    if "dates_read" not in spec:
        return spec["channels"]
    return [f"{name} {date}" for date in spec["dates_read"] for name in (*spec["channels"], "observed")]


def make_forest(params: dict[str, Any], seed: int, threads: int) -> RandomForestClassifier:
    for name in params:
        require_known(name, RandomForestClassifier().get_params(), "random forest: parameter")
    return RandomForestClassifier(**DEFAULTS | params, random_state=seed, n_jobs=threads)


def sample_pixels(samples: Samples, date: int, maximum: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A random sample of training pixels: standardised values (pixel, plane), no data as 0 (the mean), and
    the class of each."""
    pixels = np.flatnonzero(training_pixels(samples))
    if len(pixels) > maximum:
        pixels = np.sort(np.random.default_rng(seed).choice(pixels, maximum, replace=False))
    rows, cols = np.unravel_index(pixels, samples.label.shape)
    values = samples.cube.read_pixels(date, rows, cols)
    some = samples.cube.has_data(values.T[..., None])[:, 0]
    return np.nan_to_num(values[some]), samples.label[rows, cols][some]


def training_pixels(samples: Samples) -> np.ndarray:
    """Mapped pixels (row, col) bool of the training region; under protocol published, which has none, those
    inside training windows."""
    mapped = (samples.label != UNMAPPED) & (samples.regions != UNUSED)
    if samples.protocol == BLOCKED:
        return mapped & (samples.regions == TRAIN)
    inside = np.zeros(samples.label.shape, bool)
    for row, col, size, _ in samples.windows["train"]:
        inside[row : row + size, col : col + size] = True
    return mapped & inside


def predict_strips(
    forest: RandomForestClassifier, cube: NormalisedCube, date: int, classes: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Probability of landslides (of one class), or of each of several classes by code, strip by strip (first
    row, (classes, rows, cols) float32); NaN where there are no data, 0 for a class that training lacked.

    What a forest that learnt from labels in part takes for ground of no landslide and no told class goes to
    the classes other than landslides, in proportion to what it gives them itself.
    """
    codes = np.asarray(forest.classes_, int)  # of one class: False and True, of which True is kept
    height, width = cube.shape
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        values = cube.read(date, slice(top, top + rows), slice(0, width))
        some = cube.has_data(values)
        by_code = np.zeros((max(classes, 2), some.sum()), np.float32)
        if some.any():
            found = forest.predict_proba(np.nan_to_num(values[:, some]).T).T
            told = codes != NOT_LANDSLIDE
            by_code[codes[told]] = found[told]
            if not told.all():
                share_among_others(by_code, found[~told][0])
        probability = np.full((classes, *some.shape), np.nan, np.float32)
        probability[:, some] = by_code[-classes:]
        yield top, probability


def share_among_others(by_code: np.ndarray, rest: np.ndarray) -> None:
    """Add the probability `rest` (pixel,) to those of all classes (class, pixel) but landslides, in place, in
    proportion to them; evenly where they are all 0."""
    others = np.flatnonzero(np.arange(len(by_code)) != LANDSLIDE)
    known = by_code[others].sum(axis=0)
    even = np.full_like(by_code[others], 1 / len(others))
    by_code[others] += rest * np.divide(by_code[others], known, out=even, where=known > 0)
