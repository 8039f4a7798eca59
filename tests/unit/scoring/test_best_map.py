"""The choice among maps: average precision against scikit-learn, scores on ground that chose nothing."""

import json

import numpy as np
import pytest
from affine import Affine
from sklearn.metrics import average_precision_score, recall_score

from headscarp.codes import TEST, TRAIN, UNMAPPED, VALIDATION
from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.mapping.map_files import write_map_rasters
from headscarp.scoring.best_map import choose_map

SIDE = 60
GRID = Grid("EPSG:32654", Affine(10, 0, 500000, 0, -10, 4700000), SIDE, SIDE)


@pytest.fixture
def site(tmp_path):
    """A cube with labels, two folds of samples, and maps of three models by two seeds: `good`, `bad` and
    `lucky`, which is right on test ground alone."""
    random = np.random.default_rng(0)
    label = (random.random((SIDE, SIDE)) < 0.2).astype(np.uint8)
    label[:, -3:] = UNMAPPED
    cube = tmp_path / "cube"
    cube.mkdir()
    np.save(cube / "label.npy", label)
    (cube / "cube.json").write_text(json.dumps({"data": "real"}))
    thirds = np.repeat([TRAIN, VALIDATION, TEST], SIDE // 3)
    candidates = []
    for name, of_region in (("good", (3, 3)), ("bad", (0.2, 0.2)), ("lucky", (0, 9))):
        maps = []
        for seed in (0, 1):
            samples = tmp_path / f"fold{seed}"
            samples.mkdir(exist_ok=True)
            regions = np.broadcast_to(np.roll(thirds, 20 * seed)[:, None], label.shape).astype(np.uint8)
            np.save(samples / "regions.npy", regions)
            np.save(samples / "blocks.npy", (np.indices(label.shape) // 10 * [[[6]], [[1]]]).sum(0))
            (samples / "samples.json").write_text(json.dumps({"protocol": "blocked", "fold": seed}))
            skill = np.select([regions == VALIDATION, regions == TEST], of_region, 1.0)
            noise = random.normal(0, 1, label.shape)
            probability = 1 / (1 + np.exp(-(skill * (label == 1) + noise - 1)))
            run = tmp_path / name / f"seed{seed}"
            run.mkdir(parents=True)
            strips = [(0, probability[None].astype(np.float32))]
            write_map_rasters(run, strips, GRID, "test")
            (run / "run.json").write_text(json.dumps({"converged": name != "bad"}))
            maps.append(
                {
                    "seed": seed,
                    "probability": run / "probability.tif",
                    "samples": samples,
                    "run": run / "run.json",
                }
            )
        candidates.append({"experiment": name, "label": name.title(), "maps": maps})
    return candidates, cube


def ground(one, region, cube):
    import rasterio

    label, regions = np.load(cube / "label.npy"), np.load(one["samples"] / "regions.npy")
    known = (regions == region) & (label != UNMAPPED)
    with rasterio.open(one["probability"]) as source:
        return source.read(1)[known], label[known] == 1


def test_the_best_on_validation_ground_is_chosen(site):
    candidates, cube = site
    choice, scores = choose_map(candidates, cube, "f1", "platt")
    assert (choice["experiment"], choice["label"], choice["seeds"]) == ("good", "Good", [0, 1])
    for candidate, listed in zip(candidates, choice["candidates"], strict=True):
        expected = [
            average_precision_score(*reversed(ground(one, VALIDATION, cube))) for one in candidate["maps"]
        ]
        assert listed["by_seed"] == pytest.approx(expected)
        assert listed["average_precision"] == pytest.approx(np.mean(expected))
    assert [one["converged"] for one in choice["candidates"]] == [True, False, True]
    assert scores["converged"] and scores["protocol"] == "blocked" and scores["data"] == "real"


def test_scores_are_of_test_ground_at_the_threshold(site):
    candidates, cube = site
    choice, scores = choose_map(candidates, cube, {"recall": 0.9}, "none")
    tested = [ground(one, TEST, cube) for one in candidates[0]["maps"]]
    probability, truth = (np.concatenate(parts) for parts in zip(*tested, strict=True))
    mapped = probability >= choice["threshold"]
    assert scores["metrics"]["recall"] == pytest.approx(recall_score(truth, mapped))
    assert scores["n_pixels"] == len(truth)
    tuned = [ground(one, VALIDATION, cube) for one in candidates[0]["maps"]]
    probability, truth = (np.concatenate(parts) for parts in zip(*tuned, strict=True))
    assert recall_score(truth, probability >= choice["threshold"]) >= 0.9


def test_calibration_is_shown_before_and_after(site):
    choice, _ = choose_map(*site, "f1", "platt")
    error = {
        when: np.average(
            [abs(one["probability"] - one["observed"]) for one in points],
            weights=[one["pixels"] for one in points],
        )
        for when, points in choice["reliability"].items()
    }
    assert error["after"] < error["before"] and error["after"] < 0.06


def test_without_landslides_on_validation_ground_nothing_is_chosen(site):
    candidates, cube = site
    label = np.load(cube / "label.npy")
    np.save(cube / "label.npy", np.where(label == 1, 0, label))
    with pytest.raises(HeadscarpError, match=r"no validation ground of this site has a landslide.*`split`"):
        choose_map(candidates, cube, "f1", "platt")
