"""Pixel and object metrics, the block bootstrap and the score of a run, against scikit-learn and cases worked
by hand."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from headscarp.errors import HeadscarpError
from headscarp.files import write_json
from headscarp.geo.grid import Grid
from headscarp.geo.layer import write_cog
from headscarp.samples.cell_table import Cells as SampledCells
from headscarp.scoring.bootstrap import intervals, paired_difference, pooled_metrics, repeats_of
from headscarp.scoring.histograms import CellHistograms, read_cell_histograms
from headscarp.scoring.metric_names import CONFUSION_METRICS, METRICS
from headscarp.scoring.objects import (
    object_scores,
    pooled_objects,
    predicted_objects,
    quarter_edges,
    reference_slides,
    size_recall,
)
from headscarp.scoring.pixel import best_threshold, crowds_at, pixel_metrics, to_python
from headscarp.scoring.score import score_run, write_scores
from headscarp.scoring.susceptibility import score_cells, write_cell_scores


def simulated(n, seed=0, share=0.2, sharpness=2.0):
    """Truth and overlapping probabilities (float32) of n pixels."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < share
    return (1 / (1 + np.exp(-(sharpness * (truth - 0.5) + rng.normal(size=n))))).astype(np.float32), truth


def scikit_learn(probability, truth, threshold):
    prediction = probability >= threshold
    precision, recall, f1, _ = sk.precision_recall_fscore_support(
        truth, prediction, average="binary", zero_division=np.nan
    )
    macro = sk.precision_recall_fscore_support(truth, prediction, average="macro", zero_division=0)
    return {
        "macro_precision": macro[0],
        "macro_recall": macro[1],
        "macro_f1": macro[2],
        "accuracy": sk.accuracy_score(truth, prediction),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "kappa": sk.cohen_kappa_score(truth, prediction),
        "iou": sk.jaccard_score(truth, prediction),
        "miou": sk.jaccard_score(truth, prediction, average="macro"),
        "mcc": sk.matthews_corrcoef(truth, prediction),
        "average_precision": sk.average_precision_score(truth, probability),
        "auc": sk.roc_auc_score(truth, probability),
        "brier": sk.brier_score_loss(truth, probability),
    }


@settings(max_examples=80, deadline=None)
@given(
    pixels=st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=2, max_size=60),
    threshold=st.sampled_from([0.25, 0.5, 0.7]),
)
def test_pixel_metrics_equal_scikit_learn(pixels, threshold):
    probability = np.array([p for p, _ in pixels], dtype=np.float32) / 12
    truth = np.array([t for _, t in pixels])
    ours = pixel_metrics(probability, truth, threshold)
    assert set(ours) == set(METRICS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if truth.all() or not truth.any():
            assert ours["auc"] is None
            return
        theirs = scikit_learn(probability, truth, threshold)
    for name, value in theirs.items():
        if ours[name] is None:
            # scikit-learn answers 0 or NaN where a metric is not defined.
            assert np.isnan(value) or value == 0
            assert name in ("precision", "mcc", "kappa") and len(set(probability >= threshold)) == 1
        else:
            assert ours[name] == pytest.approx(value, abs=1e-6), name


def test_undefined_is_none_and_never_zero():
    nothing = pixel_metrics(np.zeros(10, dtype=np.float32), np.zeros(10, dtype=bool), 0.5)
    assert {name for name, value in nothing.items() if value is None} == set(METRICS) - {
        "accuracy",
        "brier",
        "ece",
    }
    silent = pixel_metrics(np.zeros(10, dtype=np.float32), np.arange(10) < 3, 0.5)
    assert silent["precision"] is None and silent["mcc"] is None
    assert silent["recall"] == silent["f1"] == silent["kappa"] == 0
    # The means over both classes take the precision of a class that is never predicted as 0.
    assert (silent["macro_precision"], silent["macro_recall"]) == (0.35, 0.5)
    assert silent["macro_f1"] == pytest.approx(0.7 / 1.7)


def test_calibration_error_on_a_case_by_hand():
    probability = np.array([0.1, 0.1, 0.1, 0.1, 0.9, 0.9], dtype=np.float32)
    truth = np.array([1, 0, 0, 0, 1, 1], dtype=bool)
    # Four pixels say 0.1 where a quarter is landslide, two say 0.9 where all are.
    assert pixel_metrics(probability, truth, 0.5)["ece"] == pytest.approx((4 * 0.15 + 2 * 0.1) / 6, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 300))
def test_best_threshold_has_the_highest_f1(seed, n):
    probability, truth = simulated(n, seed)
    if not truth.any():
        assert best_threshold(probability, truth) is None
        return
    levels = np.unique(probability).astype(np.float64)
    midway = np.append(levels[:1], (levels[1:] + levels[:-1]) / 2)
    f1 = np.array([sk.f1_score(truth, probability >= level) for level in levels])
    found = best_threshold(probability, truth)
    assert sk.f1_score(truth, probability >= found) == pytest.approx(f1.max())
    best = midway[np.isclose(f1, f1.max(), rtol=1e-12)]
    assert abs(found - 0.5) == pytest.approx(np.abs(best - 0.5).min(), abs=1e-6)


@pytest.mark.parametrize(("crowd", "expected"), [("spread", False), ("about 0.48", True), ("near 0", False)])
def test_a_threshold_in_the_crowd_is_seen(crowd, expected):
    rng = np.random.default_rng(0)
    truth = rng.random(5000) < 0.3
    probability = CROWDS[crowd](rng.normal(size=truth.size) + 2 * truth - 1)
    assert crowds_at(0.48 if crowd == "about 0.48" else 0.5, probability, truth) == expected


def test_histograms_keep_every_pixel_in_its_cell():
    probability = np.array([0, 0.499, 0.5, 1, 1], dtype=np.float32)
    truth = np.array([0, 1, 1, 0, 1], dtype=bool)
    cells = CellHistograms.of(probability, truth, np.array([9, 4, 4, 4, 9]), 0.5)
    assert cells.centres == pytest.approx([0, 0.499, 0.5, 1])
    assert cells.mapped.tolist() == [False, False, True, True]
    assert cells.positive.tolist() == [[0, 1, 1, 0], [0, 0, 0, 1]]
    assert cells.negative.tolist() == [[0, 0, 0, 1], [1, 0, 0, 0]]


CROWDS = {
    "spread": lambda logit: 1 / (1 + np.exp(-logit)),
    "near 0": lambda logit: 0.02 / (1 + np.exp(-logit)),
    "near 1": lambda logit: 1 - 0.01 / (1 + np.exp(logit)),
    "about 0.48": lambda logit: 0.48 + 1e-3 * np.tanh(logit),
    "few levels": lambda logit: np.round(1 / (1 + np.exp(-logit)), 1),
    "one level": lambda logit: np.full_like(logit, 0.3),
}


@pytest.mark.parametrize("crowd", CROWDS)
@pytest.mark.parametrize("share", [0.3, 0.01])
def test_metrics_of_histograms_are_those_of_the_pixels_wherever_probabilities_crowd(crowd, share):
    rng = np.random.default_rng(0)
    truth = rng.random(40_000) < share
    probability = CROWDS[crowd](rng.normal(size=truth.size) + 2 * truth - 1).astype(np.float32)
    for threshold in (0.5, best_threshold(probability, truth)):
        exact = pixel_metrics(probability, truth, threshold)
        cells = CellHistograms.of(probability, truth, np.arange(truth.size) % 7, threshold)
        binned = to_python(cells.metrics(np.ones(7)))
        for name in CONFUSION_METRICS:
            assert binned[name] == pytest.approx(exact[name], abs=1e-12), name
        for name in ("average_precision", "auc", "brier", "ece"):
            assert binned[name] == pytest.approx(exact[name], abs=0.004), name


@pytest.mark.parametrize("crowd", ["near 0", "about 0.48", "spread", "few levels"])
def test_folds_pooled_are_scored_as_their_pixels_together(crowd):
    rng = np.random.default_rng(1)
    parts, runs = [], []
    for fold, share in enumerate((0.02, 0.1, 0.05)):
        truth = rng.random(8000) < share
        probability = CROWDS[crowd](rng.normal(size=truth.size) + 2 * truth - fold).astype(np.float32)
        threshold = best_threshold(probability, truth)
        parts.append((probability, truth, probability >= threshold))
        runs.append(CellHistograms.of(probability, truth, np.arange(truth.size) // 400, threshold, fold))
    probability, truth, mapped = (np.concatenate(of) for of in zip(*parts, strict=True))
    pooled = pooled_metrics(runs)
    assert pooled["f1"] == pytest.approx(sk.f1_score(truth, mapped))
    assert pooled["average_precision"] == pytest.approx(
        sk.average_precision_score(truth, probability), abs=0.005
    )
    assert pooled["auc"] == pytest.approx(sk.roc_auc_score(truth, probability), abs=0.005)
    (whole,) = repeats_of(runs)
    assert len(whole.per_cell) == 60 and whole.per_cell.sum(axis=0).tolist() == [truth.sum(), (~truth).sum()]
    assert intervals(runs, 0)["f1"][0] < pooled["f1"] < intervals(runs, 0)["f1"][1]


def test_repeats_test_all_folds_equally_often():
    runs = [replace(random_cells(seed), fold=seed % 3) for seed in range(6)]
    assert [len(one.parts) for one in repeats_of(runs)] == [3, 3]
    assert len(repeats_of([random_cells(0)] * 4)) == 4
    with pytest.raises(
        HeadscarpError, match=r"the folds 0, 1, 2, 0 of the ground.*as many as there are folds"
    ):
        repeats_of(runs[:4])


def random_cells(seed, n_cells=60, pixels=40, threshold=0.5, sharpness=2.0):
    probability, truth = simulated(n_cells * pixels, seed, sharpness=sharpness)
    return CellHistograms.of(probability, truth, np.repeat(np.arange(n_cells), pixels), threshold)


def test_intervals_cover_the_truth_as_often_as_they_say():
    expected = pixel_metrics(*simulated(400_000, 999), 0.5)
    names = ("accuracy", "recall", "f1", "auc", "average_precision", "brier")
    hits = dict.fromkeys(names, 0)
    for seed in range(100):
        bounds = intervals([random_cells(seed)], seed, draws=300)
        for name in names:
            hits[name] += bounds[name][0] <= expected[name] <= bounds[name][1]
    # 95 of 100 are expected; a standard deviation is 2.2, and percentile intervals run a little short.
    assert all(87 <= count <= 100 for count in hits.values()), hits


def test_intervals_are_seeded_contain_the_estimate_and_shrink_with_cells():
    few, many = random_cells(1, n_cells=30), random_cells(1, n_cells=480)
    assert intervals([few], 7) == intervals([few], 7) != intervals([few], 8)
    for cells in (few, many):
        estimate = cells.metrics(np.ones(len(cells.positive)))
        assert all(
            low <= estimate[name] <= high
            for name, (low, high) in intervals([cells], 0).items()
            if name != "ece"
        )
    width = [np.subtract(*intervals([cells], 0)["f1"][::-1]) for cells in (few, many)]
    assert width[0] / width[1] == pytest.approx(4, rel=0.35)


def test_one_cell_or_an_undefined_metric_has_no_interval():
    assert set(intervals([random_cells(0, n_cells=1)], 0).values()) == {None}
    cells = random_cells(0)
    nothing_found = intervals([replace(cells, mapped=np.zeros_like(cells.mapped))], 0)
    assert nothing_found["precision"] is None and nothing_found["recall"] == [0, 0]


def with_other_probabilities(cells, seed, sharpness):
    """The same pixels in the same cells, mapped by another network."""
    rng = np.random.default_rng(seed)
    numbers = np.arange(len(cells.positive))
    cell = np.concatenate([np.repeat(numbers, of.sum(axis=1)) for of in (cells.positive, cells.negative)])
    truth = np.arange(cell.size) < cells.positive.sum()
    probability = 1 / (1 + np.exp(-(sharpness * np.where(truth, 0.5, -0.5) + rng.normal(size=cell.size))))
    return CellHistograms.of(probability, truth, cell, 0.5)


def test_seeds_that_differ_widen_the_interval():
    base = random_cells(0)
    alike = [base, base, base]
    unlike = [
        with_other_probabilities(base, seed, sharpness) for seed, sharpness in enumerate((0.5, 2.0, 4.0))
    ]
    widths = [np.subtract(*intervals(runs, 0)["f1"][::-1]) for runs in (alike, unlike)]
    assert intervals(alike, 0)["f1"] == pytest.approx(intervals([base], 0)["f1"], abs=0.01)
    assert widths[1] > 1.5 * widths[0]


def test_paired_difference():
    base = [with_other_probabilities(random_cells(0), seed, 2.0) for seed in range(3)]
    better = [with_other_probabilities(run, seed + 10, 3.0) for seed, run in enumerate(base)]
    same = paired_difference(base, base, 0)
    assert set(same) == set(METRICS)
    assert all((found.size, found.interval) == (0, [0, 0]) for found in same.values())
    gain, loss = paired_difference(better, base, 0)["f1"], paired_difference(base, better, 0)["f1"]
    assert 0 < gain.interval[0] < gain.size < gain.interval[1]
    assert loss.size == pytest.approx(-gain.size)
    assert loss.interval == pytest.approx([-bound for bound in gain.interval[::-1]])


def test_only_like_can_be_paired():
    runs = [random_cells(0), random_cells(0)]
    with pytest.raises(HeadscarpError, match="2 and 1 seeds cannot be paired"):
        paired_difference(runs, runs[:1], 0)
    with pytest.raises(HeadscarpError, match="different cells"):
        paired_difference(runs, [random_cells(0), random_cells(5)], 0)


INSTANCES = np.array(
    [
        [1, 1, 0, 0, 0, 0, 0, 2],
        [1, 1, 0, 0, 0, 0, 2, 2],
        [0, 0, 0, 0, 0, 0, 2, 2],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [3, 3, 3, 3, 3, 3, 0, 0],
    ]
)
PREDICTION = np.array(
    [
        [1, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 1, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ],
    dtype=bool,
)


def test_objects_by_hand():
    scored = np.ones(INSTANCES.shape, dtype=bool)
    areas, detected = reference_slides(PREDICTION, INSTANCES, scored)
    # Slide 1: 2 of 4 pixels; slide 2: 2 of 5; slide 3: none.
    assert areas.tolist() == [4, 5, 6] and detected.tolist() == [True, False, False]
    assert reference_slides(PREDICTION, INSTANCES, scored, overlap=0.4)[1].tolist() == [True, True, False]
    # Two groups across the diagonal and one false alarm of two pixels.
    true = predicted_objects(PREDICTION, INSTANCES > 0, scored, minimum_pixels=2)
    assert sorted(true.tolist()) == [False, True, True]
    assert predicted_objects(PREDICTION, INSTANCES > 0, scored, minimum_pixels=3).tolist() == [True]
    scores = object_scores(detected, true)
    assert (scores["recall"], scores["precision"]) == pytest.approx((1 / 3, 2 / 3)) and scores[
        "f1"
    ] == pytest.approx(4 / 9)
    assert object_scores(detected[:0], true[:0])["f1"] is None


def test_slides_mostly_outside_the_scored_area_do_not_count():
    scored = np.ones(INSTANCES.shape, dtype=bool)
    scored[:, 2:] = False
    areas, detected = reference_slides(PREDICTION, INSTANCES, scored)
    assert areas.tolist() == [4] and detected.tolist() == [True]


def test_recall_by_size():
    areas = np.array([100.0, 200, 300, 400, 500, 600, 700, 800])
    detected = np.array([0, 0, 0, 1, 1, 1, 1, 1], dtype=bool)
    quarters = size_recall(areas, detected, np.quantile(areas, [0, 0.25, 0.5, 0.75, 1]))
    assert [record["slides"] for record in quarters] == [2, 2, 2, 2]
    assert [record["recall"] for record in quarters] == [0, 0.5, 1, 1]
    fixed = size_recall(areas, detected, [0, 250, 900, 1000])
    assert [(record["slides"], record["recall"]) for record in fixed] == [(2, 0), (6, 5 / 6), (0, None)]
    assert size_recall(areas[:0], detected[:0], []) == []
    assert size_recall(np.array([5.0, 5.0]), np.array([True, False]), [5.0])[0]["recall"] == 0.5


def test_quarters_are_those_of_all_slides_whatever_part_is_scored():
    instances = np.repeat(np.arange(9), np.arange(9) * 2)[None]
    assert (
        quarter_edges(instances, 2.0).tolist()
        == np.quantile(np.arange(1, 9) * 4, [0, 0.25, 0.5, 0.75, 1]).tolist()
    )
    assert quarter_edges(np.zeros((3, 3), int), 2.0).size == 0


def test_slides_of_folds_are_counted_together():
    first = object_scores(np.array([True, False, False]), np.array([True]))
    second = object_scores(np.array([True]), np.array([True, False, False]))
    pooled = pooled_objects([first, second])
    assert (pooled["slides"], pooled["recall"], pooled["precision"], pooled["f1"]) == (4, 0.5, 0.5, 0.5)


@pytest.fixture
def mapped():
    """A scene of 64 x 96 pixels: train, validation and test side by side, with the test region's right margin
    unmapped."""
    probability, truth = simulated(64 * 96, 3)
    label = truth.reshape(64, 96).astype(np.uint8)
    label[:, 90:] = 255
    regions = np.repeat([[1, 2, 3]], 32, axis=1).repeat(64, axis=0).astype(np.uint8)
    regions[label == 255] = 0
    rows, cols = np.indices(label.shape) // 16
    return {
        "probability": probability.reshape(64, 96),
        "label": label,
        "instances": np.where(label == 1, rows * 6 + cols + 1, 0).astype(np.int32),
        "regions": regions,
        "blocks": np.where(label == 255, -1, rows * 6 + cols).astype(np.int32),
        "pixel_area": 225.0,
        "data": "twin",
        "seed": 0,
    }


def test_blocked_run_is_scored_on_the_test_region_at_the_validation_threshold(mapped, tmp_path):
    scores, cells = score_run(**mapped, protocol="blocked")
    test, validation = mapped["regions"] == 3, mapped["regions"] == 2
    assert scores["threshold"] == best_threshold(
        mapped["probability"][validation], mapped["label"][validation] == 1
    )
    truth = mapped["label"][test] == 1
    assert scores["metrics"] == pixel_metrics(mapped["probability"][test], truth, scores["threshold"])
    assert scores["n_pixels"] == test.sum() and scores["landslide_share"] == pytest.approx(truth.mean())
    assert (
        len(cells["positive"]) == 8
        and cells["positive"].sum() == truth.sum()
        and cells["negative"].sum() == (~truth).sum()
    )
    assert all(low <= high for low, high in scores["intervals"].values())
    assert scores["objects"]["slides"] == len(np.unique(mapped["instances"][test])) - 1
    write_scores(tmp_path, scores, cells)
    assert json.loads((tmp_path / "scores.json").read_text()) == scores
    assert (
        np.array_equal(read_cell_histograms(tmp_path).positive, cells["positive"])
        and read_cell_histograms(tmp_path).fold == scores["fold"] == 0
    )


def test_published_run_is_scored_everywhere_at_one_half(mapped):
    mapped["regions"] = np.where(mapped["label"] == 255, 0, 3).astype(np.uint8)
    scores, _ = score_run(**mapped, protocol="published")
    assert scores["threshold"] == 0.5 and scores["n_pixels"] == 64 * 90
    everything = mapped["label"] != 255
    assert scores["metrics"]["f1"] == pytest.approx(
        sk.f1_score(mapped["label"][everything], mapped["probability"][everything] >= 0.5)
    )


def test_a_test_region_without_landslide_is_noted(mapped):
    mapped["label"][:, 64:90] = mapped["instances"][:, 64:] = 0
    scores, cells = score_run(**mapped, protocol="blocked")
    assert set(scores["metrics"].values()) == set(scores["intervals"].values()) == {None} and set(
        scores["metrics"]
    ) == set(METRICS)
    assert (
        scores["objects"] is None
        and "no landslide" in scores["notes"][0]
        and cells["negative"].sum() == 64 * 26
    )


def test_a_map_with_holes_is_refused(mapped):
    mapped["probability"][5, 70:73] = np.nan
    with pytest.raises(HeadscarpError, match="3 of 1664 pixels of the evaluated region have no probability"):
        score_run(**mapped, protocol="blocked")


def test_a_map_of_another_grid_is_refused(mapped):
    mapped["probability"] = mapped["probability"][:-1]
    with pytest.raises(HeadscarpError, match=r"not of one grid: .*'probability': \(63, 96\)"):
        score_run(**mapped, protocol="blocked")


# --- susceptibility of cells


def sampled(protocol="blocked", folds=2, share=0.3, shape=(40, 50)):
    """Maps of `folds` models and cells on half of the grid; fold k tests the cells of its columns, and the
    truth of some is unknown."""
    rng = np.random.default_rng(5)
    row, col = np.nonzero(rng.random(shape) < 0.5)
    label = (rng.random(row.size) < share).astype(np.uint8)
    maps = 1 / (1 + np.exp(-rng.normal(size=(folds, *shape)))).astype(np.float32)
    maps[:, row, col] = np.clip(maps[:, row, col] + 0.2 * (label - 0.5), 0, 1)
    own = col * folds // shape[1]
    split = np.array(
        [np.where(own == fold, 3, np.where(row % 4 == 0, 2, 1)) for fold in range(folds)], np.uint8
    )
    truth = np.where(rng.random(row.size) < 0.2, 255, label ^ (rng.random(row.size) < 0.1)).astype(np.uint8)
    block = (row // 10 * 5 + col // 10).astype(np.int32)
    return maps, SampledCells(
        row.astype(np.int32),
        col.astype(np.int32),
        label,
        truth,
        block,
        split,
        {"protocol": protocol, "data": "real", "fold": 0},
    )


def looked_up(maps, cells):
    """Probability, label and truth of all test cells, looked up one by one."""
    return np.array(
        [
            (maps[fold, cells.row[i], cells.col[i]], cells.label[i], cells.truth[i])
            for fold in range(cells.folds)
            for i in np.flatnonzero(cells.split[fold] == 3)
        ]
    ).T


def test_each_test_cell_is_scored_by_the_model_of_its_fold():
    maps, cells = sampled("published")
    scores, histograms, predictions = score_cells(maps, cells, seed=0)
    probability, label, truth = looked_up(maps, cells)
    assert (scores["threshold"], scores["n_pixels"], scores["data"], scores["protocol"]) == (
        0.5,
        cells.row.size,
        "real",
        "published",
    )
    assert scores["metrics"]["auc"] == pytest.approx(sk.roc_auc_score(label, probability))
    assert scores["metrics"]["macro_f1"] == pytest.approx(
        sk.f1_score(label, probability >= 0.5, average="macro")
    )
    folds = [
        (cells.label[tested], maps[fold, cells.row[tested], cells.col[tested]])
        for fold, tested in enumerate(cells.split == 3)
    ]
    for name, of in (("auc", sk.roc_auc_score), ("average_precision", sk.average_precision_score)):
        mean = np.mean([of(*fold) for fold in folds])
        assert scores["metrics"][f"fold_{name}"] == pytest.approx(mean)
    known = truth != 255
    assert scores["truth"]["auc"] == pytest.approx(sk.roc_auc_score(truth[known], probability[known]))
    assert scores["truth"]["average_precision"] == pytest.approx(
        sk.average_precision_score(truth[known], probability[known])
    )
    assert len(histograms["positive"]) == 20 and histograms["positive"].sum() == label.sum()
    keys = list(zip(*(predictions[key].tolist() for key in ("fold", "row", "col")), strict=True))
    assert keys == sorted(keys) and len(set(keys)) == cells.row.size
    where = tuple(predictions[key] for key in ("fold", "row", "col"))
    assert (
        np.array_equal(predictions["probability"], maps[where])
        and predictions["probability"].dtype == np.float32
    )
    assert (
        np.array_equal(predictions["predicted"], maps[where] >= 0.5)
        and predictions["predicted"].dtype == np.uint8
    )
    assert sorted(predictions) == [
        "block",
        "col",
        "fold",
        "label",
        "predicted",
        "probability",
        "row",
        "truth",
    ]
    assert {name for name, bounds in scores["intervals"].items() if bounds is None} == set()


def test_best_threshold_for_other_places_is_that_of_the_pixels_that_tune_a_protocol(mapped):
    test = mapped["regions"] == 3
    published, _ = score_run(**mapped, protocol="published")
    assert (
        published["best_threshold"]
        == best_threshold(mapped["probability"][test], mapped["label"][test] == 1)
        != 0.5
    )
    blocked, _ = score_run(**mapped, protocol="blocked")
    assert blocked["best_threshold"] == blocked["threshold"]


def test_blocked_threshold_comes_from_the_validation_cells_of_all_folds(tmp_path):
    maps, cells = sampled("blocked")
    scores, histograms, predictions = score_cells(maps, cells, seed=0)
    chosen = [
        (maps[fold, cells.row[m], cells.col[m]], cells.label[m] == 1)
        for fold, m in enumerate(cells.split == 2)
    ]
    pooled = [np.concatenate(parts) for parts in zip(*chosen, strict=True)]
    assert scores["threshold"] == best_threshold(*pooled) != 0.5
    write_cell_scores(tmp_path, scores, histograms, predictions)
    assert json.loads((tmp_path / "scores.json").read_text()) == scores
    found = read_cell_histograms(tmp_path)
    assert float(found.metrics(np.ones(len(found.positive)))["f1"]) == pytest.approx(scores["metrics"]["f1"])
    with np.load(tmp_path / "predictions.npz") as stored:
        assert np.array_equal(stored["predicted"], predictions["predicted"])


def test_models_that_answer_at_different_levels_lose_together_but_not_fold_by_fold():
    maps, cells = sampled("published")
    before = score_cells(maps, cells, seed=0)[0]["metrics"]
    shifted = np.stack([(band + number) / len(maps) for number, band in enumerate(maps)])
    after = score_cells(shifted, cells, seed=0)[0]["metrics"]
    assert after["fold_auc"] == pytest.approx(before["fold_auc"], abs=1e-6)
    assert after["auc"] < before["auc"]


def test_folds_without_landslides_are_noted():
    maps, cells = sampled("published")
    cells.label[cells.split[1] == 3] = 0
    scores = score_cells(maps, cells, seed=0)[0]
    assert scores["notes"] == ["the test cells of fold 1 have no landslide; scores are of all folds together"]
    cells.label[:] = 0
    cells.truth[:] = 255
    scores = score_cells(maps, cells, seed=0)[0]
    assert (
        "nothing to score" in scores["notes"][0]
        and set(scores["metrics"].values()) == {None}
        and scores["truth"] is None
    )


def test_maps_that_do_not_fit_the_cells_are_refused():
    maps, cells = sampled()
    row, col = cells.row[cells.split[1] == 3], cells.col[cells.split[1] == 3]
    holed = maps.copy()
    holed[1, row[3], col[3]] = np.nan
    with pytest.raises(HeadscarpError, match=rf"1 of {row.size} test cells of fold 1 have no probability"):
        score_cells(holed, cells, seed=0)
    with pytest.raises(HeadscarpError, match=r"1 bands but cells\.npz 2 folds"):
        score_cells(maps[:1], cells, seed=0)
    with pytest.raises(HeadscarpError, match="cells outside the map of 30 x 50"):
        score_cells(maps[:, :30], cells, seed=0)
    cells.split[cells.split == 3] = 0
    with pytest.raises(HeadscarpError, match="no test cell in any fold"):
        score_cells(maps, cells, seed=0)


def test_the_script_reads_one_band_for_each_fold(tmp_path):
    from score_susceptibility import score

    maps, cells = sampled("blocked")
    grid = Grid("EPSG:32649", Affine(90, 0, 460_000, 0, -90, 3_260_000), *maps.shape[1:])
    write_cog(
        tmp_path / "susceptibility.tif", maps, grid, float("nan"), ["fold 0", "fold 1"], "1", "invented"
    )
    arrays = {name: getattr(cells, name) for name in ("row", "col", "label", "truth", "block", "split")}
    np.savez(tmp_path / "cells.npz", **arrays)
    write_json(tmp_path / "cells.json", cells.record)
    write_json(tmp_path / "run.json", {"converged": False})
    score(
        str(tmp_path / "susceptibility.tif"),
        tmp_path,
        tmp_path / "run",
        seed=0,
        run=str(tmp_path / "run.json"),
    )
    scores = score_cells(maps, cells, seed=0, converged=False)[0]
    written = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert written | {"seconds": 0} == scores | {"seconds": 0}
    assert read_cell_histograms(tmp_path / "run").positive.sum() == cells.label.sum()
    assert (tmp_path / "run" / "predictions.npz").exists()
