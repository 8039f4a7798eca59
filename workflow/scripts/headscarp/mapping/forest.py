"""The baseline without context: a random forest on single pixels."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from sklearn.ensemble import RandomForestClassifier

from headscarp import __version__
from headscarp.codes import LANDSLIDE, TRAIN, UNMAPPED, UNUSED
from headscarp.errors import HeadscarpError
from headscarp.files import read_json, write_json
from headscarp.geo.grid import Grid
from headscarp.mapping.network_map import write_map_rasters, write_map_record
from headscarp.provenance import files_read_by_run, run_provenance
from headscarp.training.windows import BLOCKED, NormalisedCube, Samples, open_samples, with_dates_of_cube
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
    forest = make_forest(spec["network"]["params"], spec["seed"], threads)
    began = time.perf_counter()
    classes = spec.get("classes", 1)
    values, labels = sample_pixels(samples, date, maximum_pixels, spec["seed"])
    slides = labels == LANDSLIDE
    if slides.all() or not slides.any():
        raise HeadscarpError(
            f"{samples_folder}: the training pixels hold only landslides "
            "or only background; use other blocks or another seed"
        )
    forest.fit(values, labels if classes > 1 else slides)
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
            "landslide_share": float(slides.mean()),
            "importances": dict(zip(planes_of(spec), forest.feature_importances_.tolist(), strict=True)),
            "seconds": round(time.perf_counter() - began, 3),
        }
        | run_provenance(started, files_read_by_run(cube_folder, samples_folder)),
    )
    began = time.perf_counter()
    grid = Grid.from_record(read_json(Path(cube_folder) / "cube.json")["grid"])
    write_map_rasters(
        Path(out_folder),
        predict_strips(forest, samples.cube, date, classes),
        grid,
        f"headscarp: random forest, seed {spec['seed']}",
    )
    write_map_record(Path(out_folder), time.perf_counter() - began, samples.cube.shape, "cpu")


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
    """
    codes = np.asarray(forest.classes_, int)  # of one class: False and True, of which True is kept
    height, width = cube.shape
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        values = cube.read(date, slice(top, top + rows), slice(0, width))
        nothing = ~cube.has_data(values)
        pixels = np.nan_to_num(values).reshape(len(values), -1).T
        by_code = np.zeros((max(classes, 2), len(pixels)), np.float32)
        by_code[codes] = forest.predict_proba(pixels).T
        probability = by_code[-classes:].reshape(classes, *nothing.shape)
        yield top, np.where(nothing, np.float32(np.nan), probability)
