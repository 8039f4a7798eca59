"""Scores per image against scikit-learn window by window, cases worked by hand, and their bootstrap against a
direct one."""

import json
import warnings

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

import score_run as rule
from headscarp.codes import TEST, UNUSED
from headscarp.errors import HeadscarpError
from headscarp.files import write_json
from headscarp.geo.grid import Grid
from headscarp.mapping.map_files import write_map_rasters
from headscarp.samples.windows import Window, write_windows
from headscarp.scoring.audit.implied import is_possible_row
from headscarp.scoring.bootstrap import intervals, paired_difference
from headscarp.scoring.images import ImageScores, image_scores, scores_of_image
from headscarp.scoring.metric_names import IMAGE_METRICS
from headscarp.scoring.score import score_run, write_scores

SIZE = 16
NAN = float("nan")


def by_scikit_learn(probability: np.ndarray, truth: np.ndarray, threshold: float) -> dict[str, float]:
    """The metrics of one window; NaN where the contract leaves them out."""
    predicted = probability >= threshold
    both = np.union1d(truth, predicted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "image_f1": sk.f1_score(truth, predicted, zero_division=np.nan),
            "image_miou": sk.jaccard_score(truth, predicted, average="macro", labels=both),
            "image_auc": sk.roc_auc_score(truth, probability) if 0 < truth.sum() < truth.size else np.nan,
            "image_f1_with_empty": sk.f1_score(truth, predicted, zero_division=1),
        }


def scene(seed: int = 0) -> dict:
    """A scene of 6 x 8 windows: crowded, empty and all-landslide ones, and unmapped pixels; the map is better
    in the west."""
    rng = np.random.default_rng(seed)
    label = (
        rng.random((96, 128))
        < np.repeat(rng.choice([0.0, 0.05, 0.4], 48), SIZE).reshape(6, -1).repeat(SIZE, 0)
    ).astype(np.uint8)
    label[:SIZE, :SIZE], label[:SIZE, SIZE : 2 * SIZE] = 1, 0
    label[50:60, 30:45] = 255
    truth = label == 1
    west = np.linspace(3, 1, 128)[None, :]
    probability = (1 / (1 + np.exp(2.2 - west * 1.5 * truth - rng.normal(size=label.shape)))).astype(
        np.float32
    )
    probability[:SIZE, SIZE : 2 * SIZE] = 0.1
    regions = np.where(label == 255, UNUSED, TEST).astype(np.uint8)
    regions[:, 112:] = 1
    row, col = np.indices(label.shape) // SIZE
    windows = [Window(r, c, SIZE, 4, "test") for r in range(0, 81, 8) for c in range(0, 113, 8)]
    windows += [Window(0, 0, SIZE, 4, "train"), Window(8, 0, SIZE, 4, "validation")]
    return {
        "probability": probability,
        "label": label,
        "instances": truth.astype(np.int32),
        "regions": regions,
        "blocks": (row * 8 + col).astype(np.int32),
        "windows": windows,
    }


def score(parts: dict, protocol: str = "published") -> tuple[dict, dict]:
    return score_run(**parts, pixel_area=900.0, protocol=protocol, data="twin", seed=0)


def expected(parts: dict, threshold: float) -> list[dict[str, float]]:
    scored = (parts["regions"] == TEST) & (parts["label"] != 255)
    rows = []
    for window in (window for window in parts["windows"] if window.split == "test"):
        pixels = [
            (r, c)
            for r in range(window.row, window.row + SIZE)
            for c in range(window.col, window.col + SIZE)
            if scored[r, c]
        ]
        if pixels:
            chosen = tuple(np.array(pixels).T)
            rows.append(by_scikit_learn(parts["probability"][chosen], parts["label"][chosen] == 1, threshold))
    return rows


@settings(max_examples=60, deadline=None)
@given(
    pixels=st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=40),
    threshold=st.sampled_from([0.25, 0.5, 0.9]),
)
def test_scores_of_a_window_equal_scikit_learn(pixels, threshold):
    probability = np.array([p for p, _ in pixels], dtype=np.float32) / 12
    truth = np.array([t for _, t in pixels])
    ours = dict(zip(IMAGE_METRICS, scores_of_image(probability, truth, threshold), strict=True))
    assert ours == pytest.approx(by_scikit_learn(probability, truth, threshold), nan_ok=True)


@pytest.mark.parametrize(
    ("truth", "mapped", "scores"),
    [
        ([0, 0, 0, 0], [0, 0, 0, 0], (NAN, 1, NAN, 1)),  # nothing there, nothing mapped
        ([0, 0, 0, 0], [1, 0, 0, 0], (0, 0.375, NAN, 0)),  # a false alarm
        ([1, 1, 1, 1], [1, 1, 1, 1], (1, 1, NAN, 1)),  # landslide everywhere, all of it found
        ([1, 1, 1, 1], [1, 1, 1, 0], (6 / 7, 0.375, NAN, 6 / 7)),
        ([1, 1, 1, 1], [0, 0, 0, 0], (0, 0, NAN, 0)),
        ([1, 0, 0, 0], [1, 0, 0, 0], (1, 1, 1, 1)),
        ([1, 0, 0, 0], [0, 0, 0, 0], (0, 0.375, 0.5, 0)),
    ],
)
def test_windows_by_hand(truth, mapped, scores):
    assert scores_of_image(np.array(mapped, np.float32), np.array(truth, bool), 0.5) == pytest.approx(
        scores, nan_ok=True
    )


@pytest.mark.parametrize("protocol", ["published", "blocked"])
def test_scores_of_a_run_are_means_over_its_test_windows(protocol):
    parts = scene()
    if protocol == "blocked":
        # validates; windows that reach into it lose those pixels
        parts["regions"][80:] = np.where(parts["label"][80:] == 255, UNUSED, 2)
    scores, cells = score(parts, protocol)
    rows = expected(parts, scores["threshold"])
    assert len(rows) == scores["images"]["windows"] == len(cells["image_scores"])
    for metric in IMAGE_METRICS:
        values = np.array([row[metric] for row in rows])
        assert scores["metrics"][metric] == pytest.approx(np.nanmean(values)), metric
        assert scores["images"]["defined"][metric] == np.isfinite(values).sum()
        low, high = scores["intervals"][metric]
        assert low < scores["metrics"][metric] < high
    assert scores["images"]["defined"]["image_auc"] < scores["images"]["defined"]["image_f1"] < len(rows)
    assert scores["images"]["without_landslide"] == (cells["image_pixels"][:, 0] == 0).sum() > 0
    assert scores["metrics"]["image_f1_with_empty"] > scores["metrics"]["image_f1"]


def test_pooled_scores_do_not_change_with_windows():
    parts = scene()
    scores, cells = score(parts)
    plain, plain_cells = score(parts | {"windows": []})
    for key in ("metrics", "intervals"):
        assert {name: value for name, value in scores[key].items() if name not in IMAGE_METRICS} == plain[key]
    assert set(scores) - set(plain) == {"images"}
    assert all(np.array_equal(cells[name], plain_cells[name]) for name in plain_cells) and set(
        plain_cells
    ) == {"positive", "negative", "centres", "mapped"}


def test_a_run_without_test_windows_or_landslides_has_no_scores_per_image():
    parts = scene()
    scores, cells = score(
        parts | {"windows": [window for window in parts["windows"] if window.split != "test"]}
    )
    assert "images" not in scores and "image_scores" not in cells
    scored = np.zeros(parts["label"].shape, bool)
    assert image_scores(parts["probability"], parts["label"], scored, parts["windows"], 0.5) is None
    parts["label"][parts["label"] == 1] = 0
    scores, _ = score(parts)
    assert "images" not in scores and scores["metrics"]["f1"] is None


def test_a_map_may_have_holes_only_where_nothing_is_scored():
    parts = scene()
    whole, _ = score(parts)
    parts["probability"] = np.where(parts["regions"] == TEST, parts["probability"], np.nan)
    assert score(parts)[0]["metrics"] == whole["metrics"]
    parts["probability"][0, 0] = np.nan
    with pytest.raises(HeadscarpError, match=r"1 of .* pixels of the evaluated region have no probability"):
        score(parts)


def test_the_bootstrap_draws_whole_cells_of_windows():
    scores = np.array([[0.2], [0.4], [NAN], [0.9]]).repeat(len(IMAGE_METRICS), axis=1)
    images = ImageScores(scores, np.array([[3, 13], [1, 15], [0, 16], [16, 0]]), np.array([7, 7, 2, 9]))
    assert images.per_cell.tolist() == [[0, 16], [4, 28], [16, 0]]
    assert images.metrics(np.ones(3))["image_f1"] == pytest.approx(0.5)
    assert images.metrics(np.array([[0, 2, 1], [3, 0, 0]]))["image_f1"] == pytest.approx(
        [(4 * 0.3 + 0.9) / 5, NAN], nan_ok=True
    )
    rng = np.random.default_rng(3)
    drawn = rng.multinomial(3, np.full(3, 1 / 3), size=4000)
    means = [sum(w[1] * v for v in (0.2, 0.4)) + w[2] * 0.9 for w in drawn] / np.maximum(
        2 * drawn[:, 1] + drawn[:, 2], 1
    )
    direct = np.percentile(means[2 * drawn[:, 1] + drawn[:, 2] > 0], [2.5, 97.5])
    assert intervals([images], seed=1, draws=4000)["image_f1"] == pytest.approx(direct, abs=0.02)


def test_paired_runs_need_the_same_windows():
    parts = scene()
    first, second = (
        ImageScores.from_arrays(score(one)[1])
        for one in (parts, parts | {"probability": scene(0)["probability"] ** 2})
    )
    effect = paired_difference([first], [second], seed=0)["image_f1"]
    assert effect.size == pytest.approx(
        float(np.nanmean(first.scores[:, 0]) - np.nanmean(second.scores[:, 0]))
    )
    assert effect.interval[0] < effect.size < effect.interval[1]
    other = ImageScores.from_arrays(score(parts | {"windows": parts["windows"][5:]})[1])
    with pytest.raises(HeadscarpError, match="different cells"):
        paired_difference([first], [other], seed=0)


def test_means_over_images_can_stand_together_as_no_pooled_scores_can():
    # Half of the windows are mapped perfectly, half badly but on few pixels: the arithmetic of the paper's
    # impossible row.
    label, probability = np.zeros((20, 40), np.uint8), np.zeros((20, 40), np.float32)
    label[0, :4], label[0, 20:24] = 1, 1
    probability[0, :4], probability[0, 20:22] = 0.9, 0.9
    images = image_scores(
        probability, label, label < 255, [Window(0, c, 20, 0, "test") for c in (0, 20)], 0.5
    )
    means = {
        name.removeprefix("image_"): value
        for name, value in images.metrics(np.ones(len(images.per_cell))).items()
    }
    assert means["f1"] == pytest.approx((1 + 2 / 3) / 2) and means["miou"] == pytest.approx(
        (1 + (0.5 + 396 / 398) / 2) / 2
    )
    assert not is_possible_row({"f1": float(means["f1"]), "miou": float(means["miou"])})
    mapped, truth = probability.ravel() >= 0.5, label.ravel() == 1
    assert is_possible_row(
        {"f1": sk.f1_score(truth, mapped), "miou": sk.jaccard_score(truth, mapped, average="macro")}, 1e-9
    )


def test_scores_and_windows_go_through_files(tmp_path):
    parts = scene()
    scores, cells = score(parts)
    write_scores(tmp_path, scores, cells)
    assert json.loads((tmp_path / "scores.json").read_text()) == scores
    with np.load(tmp_path / "counts.npz") as stored:
        again = ImageScores.from_arrays(stored)
    assert np.array_equal(again.scores, cells["image_scores"], equal_nan=True) and np.array_equal(
        again.cell, cells["image_cell"]
    )


def test_the_rule_reads_the_windows_of_the_samples(tmp_path):
    parts = scene()
    folder, grid = (
        tmp_path / "samples",
        Grid("EPSG:32643", Affine(30, 0, 460_000, 0, -30, 4_000_000), 96, 128),
    )
    for part in ("samples", "cube"):
        (tmp_path / part).mkdir()
    for name, where in (
        ("label", "cube"),
        ("instances", "cube"),
        ("regions", "samples"),
        ("blocks", "samples"),
    ):
        np.save(tmp_path / where / f"{name}.npy", parts[name])
    write_json(tmp_path / "cube" / "cube.json", {"data": "twin"})
    write_json(folder / "samples.json", {"window": SIZE, "fold": 0})
    write_windows(folder / "windows.csv", parts["windows"])
    write_map_rasters(tmp_path, [(0, parts["probability"][None])], grid, "test")
    files = str(tmp_path / "probability.tif"), None, tmp_path / "cube", folder
    write_json(tmp_path / "run.json", {})  # as of a forest, which has no steps of training
    trained = str(tmp_path / "run.json")
    rule.score(*files, tmp_path / "run", "published", 0, trained)
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    # maps are quantised
    assert scores["metrics"]["image_f1"] == pytest.approx(score(parts)[0]["metrics"]["image_f1"], abs=0.005)
    rule.score(*files, tmp_path / "there", "published", 0, trained, str(tmp_path / "run" / "scores.json"))
    assert "images" not in json.loads((tmp_path / "there" / "scores.json").read_text())
