"""Maps and scores of several classes against scikit-learn, SciPy and cases worked by hand."""

import json
import warnings

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn import metrics as sk

import score_run as rule
from headscarp.codes import LANDSLIDE, NOT_LANDSLIDE, TEST
from headscarp.errors import HeadscarpError
from headscarp.files import write_json
from headscarp.geo.grid import Grid
from headscarp.geo.layer import CLASSES, read_layer
from headscarp.mapping.map_files import write_map_rasters
from headscarp.mapping.raster import class_raster
from headscarp.samples.windows import write_windows
from headscarp.scoring.audit.implied import audit_row
from headscarp.scoring.bootstrap import intervals, paired_difference
from headscarp.scoring.boundary import boundary_scores
from headscarp.scoring.classes import (
    CellConfusions,
    absence_notes,
    cell_confusions,
    classes_record,
    confusion_scores,
    flat_metrics,
    read_cell_confusions,
)
from headscarp.scoring.extraction import extraction_metrics, object_extraction
from headscarp.scoring.histograms import CellHistograms
from headscarp.scoring.score import score_classes, score_run, write_scores

CODES = range(6)
GRID = Grid("EPSG:32647", Affine(0.5, 0, 600_000, 0, -0.5, 3_300_000), 48, 60)


def simulated(n, seed=0, classes=6, skill=0.6):
    """Codes of n pixels: truth, and a map that is right with chance `skill` and random else."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n).astype(np.uint8)
    return truth, np.where(rng.random(n) < skill, truth, rng.integers(0, classes, n)).astype(np.uint8)


# --- confusion matrices and their scores


@settings(max_examples=60, deadline=None)
@given(pixels=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=80))
def test_class_scores_equal_scikit_learn(pixels):
    truth, mapped = (np.array(codes, np.uint8) for codes in zip(*pixels, strict=True))
    confusion = cell_confusions(truth, mapped, np.zeros(len(truth), int))[0]
    assert np.array_equal(confusion, sk.confusion_matrix(truth, mapped, labels=CODES))
    ours = confusion_scores(confusion)
    present = np.unique(truth)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        precision, recall, f1, _ = sk.precision_recall_fscore_support(
            truth, mapped, labels=CODES, zero_division=np.nan
        )
        iou = sk.jaccard_score(truth, mapped, labels=CODES, average=None, zero_division=0)
        kappa = sk.cohen_kappa_score(truth, mapped)
    np.testing.assert_allclose(ours["precision"], precision)
    np.testing.assert_allclose(ours["recall"], recall)
    np.testing.assert_allclose(ours["f1"][present], f1[present])
    np.testing.assert_allclose(ours["iou"][present], iou[present])
    assert ours["mean_recall"] == pytest.approx(
        sk.recall_score(truth, mapped, labels=present, average="macro")
    )
    assert ours["mean_f1"] == pytest.approx(
        sk.f1_score(truth, mapped, labels=present, average="macro", zero_division=0)
    )
    assert ours["oa"] == pytest.approx(sk.accuracy_score(truth, mapped))
    assert ours["kappa"] == pytest.approx(kappa, nan_ok=True, abs=1e-12)
    # imbalanced-learn: the n-th root of the product of the n recalls.
    assert ours["g_mean"] == pytest.approx(np.prod(recall[present]) ** (1 / len(present)))


@settings(max_examples=40, deadline=None)
@given(pixels=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5)), min_size=2, max_size=80))
def test_ground_told_in_part_counts_for_landslides_alone(pixels):
    truth, mapped = (np.array(codes, np.uint8) for codes in zip(*pixels, strict=True))
    in_part = truth == 6
    truth[in_part] = NOT_LANDSLIDE
    confusion = cell_confusions(truth, mapped, np.zeros(len(truth), int))[0]
    assert confusion.shape == (7 if in_part.any() else 6, 6) and confusion.sum() == len(truth)
    ours, told = confusion_scores(confusion), confusion_scores(confusion[:6])
    slides = truth == LANDSLIDE, mapped == LANDSLIDE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        f1 = sk.f1_score(*slides, zero_division=np.nan)
        precision = sk.precision_score(*slides, zero_division=np.nan)
    assert ours["f1"][LANDSLIDE] == pytest.approx(f1, nan_ok=True)
    assert ours["precision"][LANDSLIDE] == pytest.approx(precision, nan_ok=True)
    for metric in ("oa", "kappa", "mean_recall", "g_mean", "recall"):
        np.testing.assert_array_equal(ours[metric], told[metric])
    others = np.delete(np.arange(6), LANDSLIDE)
    for metric in ("precision", "f1", "iou"):
        np.testing.assert_array_equal(ours[metric][others], told[metric][others])
    assert absence_notes(confusion) == absence_notes(confusion[:6])


def test_folds_with_and_without_such_ground_pool():
    whole = CellConfusions(np.ones((2, 6, 6), np.int32))
    in_part = CellConfusions(np.ones((3, 7, 6), np.int32))
    pooled = CellConfusions.pooled([whole, in_part]).confusion
    assert pooled.shape == (5, 7, 6) and not pooled[:2, 6].any() and pooled.sum() == 2 * 36 + 3 * 42


def test_a_class_that_the_truth_lacks_has_no_part_in_the_means():
    truth, mapped = np.array([0, 0, 1, 1, 3, 3]), np.array([0, 2, 1, 1, 3, 0])
    confusion = cell_confusions(truth, mapped, np.zeros(6, int))[0]
    record = classes_record(confusion)
    assert record["mean_recall"] == pytest.approx((0.5 + 1 + 0.5) / 3) and record["g_mean"] == pytest.approx(
        0.25 ** (1 / 3)
    )
    assert record["per_class"]["2"] == {"precision": 0.0, "recall": None, "f1": 0.0, "iou": 0.0}
    assert record["per_class"]["4"] == dict.fromkeys(("precision", "recall", "f1", "iou"))
    assert absence_notes(confusion) == [
        "the evaluated region has no building, water, road: left out of the means over classes"
    ]
    assert absence_notes(np.eye(6)) == []
    json.dumps(record, allow_nan=False)


def test_a_missed_class_makes_the_g_mean_zero():
    confusion = np.diag([5, 0, 5, 5, 5, 5])
    confusion[1, 0] = 5
    scores = confusion_scores(confusion)
    assert scores["g_mean"] == 0 and np.isnan(scores["precision"][1]) and scores["f1"][1] == 0


def test_confusions_keep_every_pixel_in_its_cell():
    truth, mapped = simulated(500)
    cell = np.random.default_rng(1).choice([3, 7, 20], 500)
    confusions = cell_confusions(truth, mapped, cell)
    assert confusions.shape == (3, 6, 6) and confusions.dtype == np.int32
    for matrix, number in zip(confusions, (3, 7, 20), strict=True):
        assert np.array_equal(
            matrix, sk.confusion_matrix(truth[cell == number], mapped[cell == number], labels=CODES)
        )


@pytest.mark.parametrize(("what", "truth", "mapped"), [("labels", 6, 0), ("map", 0, 255), ("map", 0, 254)])
def test_unknown_codes_are_refused(what, truth, mapped):
    with pytest.raises(HeadscarpError, match=f"the {what} hold {truth or mapped} in the evaluated region"):
        cell_confusions(np.array([truth], np.uint8), np.array([mapped], np.uint8), np.array([0]))


# --- intervals


def random_class_cells(seed=0, skill=0.6, classes=6, cells=30):
    truth, mapped = simulated(cells * 60, seed, classes, skill)
    truth = simulated(cells * 60, 0, classes)[0]  # the same truth for all
    mapped = np.where(np.random.default_rng(seed + 50).random(truth.size) < skill, truth, mapped)
    return CellConfusions(cell_confusions(truth, mapped, np.repeat(np.arange(cells), 60)))


def test_intervals_are_those_of_the_binary_bootstrap():
    """A map of two classes gives the draws and metrics of histograms of a probability of 0 and 1."""
    several = random_class_cells(classes=2)
    confusion = several.confusion
    two = CellHistograms(
        confusion[:, 1, :2], confusion[:, 0, :2], np.array([0.0, 1.0]), np.array([False, True])
    )
    ours, binary = intervals([several], 3), intervals([two], 3)
    same = {
        "landslide_precision": "precision",
        "landslide_recall": "recall",
        "landslide_f1": "f1",
        "oa": "accuracy",
        "kappa": "kappa",
    }
    for name, other in {**same, "qp": "iou", "mean_f1": "macro_f1", "mean_recall": "macro_recall"}.items():
        assert ours[name] == pytest.approx(binary[other]), name


def test_paired_difference_of_class_scores():
    base, better = (
        [random_class_cells(1), random_class_cells(2)],
        [random_class_cells(1, 0.8), random_class_cells(2, 0.8)],
    )
    assert all(
        (found.size, found.interval) == (0, [0, 0]) for found in paired_difference(base, base, 0).values()
    )
    gain = paired_difference(better, base, 0)["landslide_f1"]
    assert gain.size > 0.02 and gain.interval[0] < gain.size < gain.interval[1]
    point = [np.mean([flat_metrics(run.confusion.sum(0))["oa"] for run in runs]) for runs in (better, base)]
    assert paired_difference(better, base, 0)["oa"].size == pytest.approx(point[0] - point[1])
    with pytest.raises(HeadscarpError, match="different cells"):
        paired_difference(base, [random_class_cells(1, cells=20)] * 2, 0)


# --- extraction and boundary


def test_extraction_by_hand():
    assert extraction_metrics(8, 2, 4) == pytest.approx({"dp": 2 / 3, "qp": 8 / 14, "oe": 1 / 3, "ce": 0.2})
    of_objects = object_extraction(
        {"detected": 3, "slides": 4, "true": 5, "objects": 6, "overlap": 0.5, "minimum_pixels": 4}
    )
    assert {name: of_objects[name] for name in ("dp", "qp", "oe", "ce")} == pytest.approx(
        {"dp": 0.75, "qp": 0.6, "oe": 0.25, "ce": 1 / 6}
    )
    assert "at least 50% of its pixels" in of_objects["rule"]
    nothing = object_extraction(
        {"detected": 0, "slides": 0, "true": 0, "objects": 0, "overlap": 0.5, "minimum_pixels": 4}
    )
    assert [nothing[name] for name in ("dp", "qp", "oe", "ce")] == [None] * 4


def border(mask, known):
    """Pixels of a mask beside (four neighbours) a known pixel outside it, one by one."""
    found = []
    for row, col in np.argwhere(mask & known):
        for r, c in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)):
            if 0 <= r < mask.shape[0] and 0 <= c < mask.shape[1] and known[r, c] and not mask[r, c]:
                found.append((row, col))
                break
    return np.array(found).reshape(-1, 2)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), tolerance=st.sampled_from([0, 1, 2.5]))
def test_boundary_scores_by_all_distances(seed, tolerance):
    rng = np.random.default_rng(seed)
    prediction, truth = rng.random((2, 14, 17)) < 0.15
    known = rng.random((14, 17)) < 0.95
    scored = np.zeros_like(known)
    scored[:, :10] = True
    found = boundary_scores(prediction, truth, known, scored, tolerance)
    mapped, true = border(prediction, known), border(truth, known)

    def near(points, others):
        points = points[points[:, 1] < 10]
        return (cdist(points, others).min(axis=1) <= tolerance).mean() if len(points) else None

    precision, recall = near(mapped, true), near(true, mapped)
    assert (found["precision"], found["recall"]) == (precision, recall)
    if precision and recall:
        assert found["f1"] == pytest.approx(2 / (1 / precision + 1 / recall))


def test_boundary_of_a_shifted_square():
    truth, prediction = np.zeros((2, 40, 40), bool)
    truth[10:20, 10:20], prediction[10:20, 12:22] = True, True
    everywhere = np.ones((40, 40), bool)
    assert boundary_scores(truth, truth, everywhere, everywhere, 0)["f1"] == 1
    assert boundary_scores(prediction, truth, everywhere, everywhere, 2)["f1"] == 1
    assert boundary_scores(prediction, truth, everywhere, everywhere, 1)["f1"] < 0.8
    assert boundary_scores(~everywhere, truth, everywhere, everywhere) == {
        "precision": None,
        "recall": 0.0,
        "f1": 0.0,
        "tolerance_px": 3,
    }
    assert boundary_scores(~everywhere, ~everywhere, everywhere, everywhere)["f1"] is None


# --- a run


def mapped_site():
    """Label with all classes but roads, instances, regions, blocks, a map of classes and a probability, on
    GRID."""
    rng = np.random.default_rng(4)
    label = np.tile(np.repeat([0, 2, 3, 4], 15), (48, 1)).astype(np.uint8)
    instances = np.zeros(GRID.shape, np.int32)
    for number, (row, col) in enumerate([(5, 5), (5, 30), (25, 20), (28, 45), (38, 3)], start=1):
        label[row : row + 6, col : col + 6], instances[row : row + 6, col : col + 6] = 1, number
    label[:, 58:] = 255
    classes = np.where(
        rng.random(GRID.shape) < 0.85, np.minimum(label, 5), rng.integers(0, 6, GRID.shape)
    ).astype(np.uint8)
    classes[label == 255] = 255
    probability = np.where(classes == 1, 0.9, 0.1).astype(np.float32)
    regions = np.zeros(GRID.shape, np.uint8)
    regions[:, :20], regions[:, 20:30], regions[:, 30:] = 1, 2, TEST
    row, col = np.indices(GRID.shape)
    return classes, probability, label, instances, regions, (row // 8 * 10 + col // 8).astype(np.int32)


def test_score_classes_on_the_evaluated_region():
    classes, probability, *places = mapped_site()
    label, _, regions, blocks = places
    scored = (regions == TEST) & (label != 255)
    found, confusions, notes = score_classes(classes, *places)
    binary, _ = score_run(probability, *places, 0.25, "published", "twin", 0)
    assert np.array_equal(
        found["classes"]["confusion"], sk.confusion_matrix(label[scored], classes[scored], labels=CODES)
    )
    assert confusions.shape == (len(np.unique(blocks[scored])), 6, 6) and np.array_equal(
        confusions.sum(0), found["classes"]["confusion"]
    )
    assert notes == [
        "the evaluated region has no bare_land, building, road: left out of the means over classes"
    ]
    # One against the rest, the map of classes and its probability are the same map.
    assert found["extraction"]["pixel"]["dp"] == pytest.approx(binary["metrics"]["recall"])
    assert found["extraction"]["pixel"]["ce"] == pytest.approx(1 - binary["metrics"]["precision"])
    assert found["extraction"]["pixel"]["qp"] == pytest.approx(binary["metrics"]["iou"])
    objects = binary["objects"]
    assert objects["slides"] == 2 and objects["objects"] >= 2
    assert found["extraction"]["object"]["oe"] == pytest.approx(1 - objects["recall"])
    assert found["extraction"]["object"]["ce"] == pytest.approx(1 - objects["precision"])
    assert 0 < found["boundary"]["f1"] < 1
    with pytest.raises(HeadscarpError, match="the map hold 255"):
        score_classes(np.full_like(classes, 255), *places)
    with pytest.raises(HeadscarpError, match="not of one grid"):
        score_classes(classes[1:], *places)


def test_a_given_threshold_is_taken():
    _, probability, *places = mapped_site()
    scores, _ = score_run(probability, *places, 0.25, "blocked", "twin", 0, threshold=0.95)
    assert (scores["threshold"], scores["best_threshold"], scores["metrics"]["recall"]) == (0.95, 0.95, 0.0)


def on_disk(folder):
    classes, _, label, instances, regions, blocks = mapped_site()
    for part in ("cube", "samples", "run"):
        (folder / part).mkdir()
    for name, array in {
        "cube/label": label,
        "cube/instances": instances,
        "samples/regions": regions,
        "samples/blocks": blocks,
    }.items():
        np.save(folder / f"{name}.npy", array)
    write_json(folder / "cube" / "cube.json", {"data": "twin"})
    write_json(folder / "run.json", {"converged": False})
    write_json(folder / "samples" / "samples.json", {"window": 16, "fold": 0})
    write_windows(folder / "samples" / "windows.csv", [])
    strips = np.zeros((6, *GRID.shape), np.float32)
    strips[:, classes == 255] = np.nan
    for code in CODES:
        strips[code, classes == code] = 0.9
    strips[1, classes != 1] = np.where(classes[classes != 1] == 255, np.nan, 0.1)
    write_map_rasters(folder / "run", [(0, strips[:, :20]), (20, strips[:, 20:])], GRID, "test")
    return classes, label


def test_the_rule_scores_a_run_of_several_classes(tmp_path):
    classes, label = on_disk(tmp_path)
    run = tmp_path / "run"
    files = str(run / "probability.tif"), str(run / "classes.tif"), tmp_path / "cube", tmp_path / "samples"
    trained = str(tmp_path / "run.json")
    rule.score(*files, run, "blocked", 0, trained)
    scores = json.loads((run / "scores.json").read_text())
    assert not scores["converged"]
    assert (
        scores["classes"]["oa"] == pytest.approx(0.87, abs=0.05)
        and "left out of the means" in scores["notes"][-1]
    )
    assert np.array_equal(read_cell_confusions(run).confusion.sum(0), scores["classes"]["confusion"])
    # Everywhere, with the threshold of the run at home.
    rule.score(*files, tmp_path / "there", "blocked", 0, trained, str(run / "scores.json"))
    elsewhere = json.loads((tmp_path / "there" / "scores.json").read_text())
    assert (
        elsewhere["threshold"] == scores["threshold"]
        and elsewhere["n_pixels"] == (label != 255).sum() > scores["n_pixels"]
    )
    assert np.array_equal(
        elsewhere["classes"]["confusion"],
        sk.confusion_matrix(label[label != 255], classes[label != 255], labels=CODES),
    )
    assert read_cell_confusions(tmp_path / "there").confusion.shape[0] == 3 * 4
    # A run of one class writes what it wrote before.
    rule.score(files[0], None, *files[2:], tmp_path / "binary", "blocked", 0, trained)
    binary = json.loads((tmp_path / "binary" / "scores.json").read_text())
    assert set(scores) - set(binary) == {"classes", "extraction", "boundary"}
    assert binary["metrics"] == scores["metrics"] and binary["intervals"] == scores["intervals"]
    with pytest.raises(HeadscarpError, match="a run of several classes"):
        read_cell_confusions(tmp_path / "binary")


def test_scores_are_two_files(tmp_path):
    write_scores(tmp_path, {"threshold": 0.5}, {"positive": np.zeros((1, 256))})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["counts.npz", "scores.json"]


# --- maps


def test_maps_of_several_classes(tmp_path):
    rng = np.random.default_rng(2)
    probability = rng.dirichlet(np.ones(6), GRID.shape).transpose(2, 0, 1).astype(np.float32)
    probability[:, 3, 4] = np.nan
    strips = ((top, probability[:, top : top + 7]) for top in range(0, 48, 7))
    write_map_rasters(tmp_path, strips, GRID, "a test")
    classes, landslides = read_layer(tmp_path / "classes.tif"), read_layer(tmp_path / "probability.tif")
    assert (
        classes.grid == landslides.grid == GRID
        and classes.kind == CLASSES
        and classes.nodata == 255
        and classes.source == "a test"
    )
    assert np.argwhere(classes.values == 255).tolist() == [[3, 4]]
    known = classes.values != 255
    chosen = np.take_along_axis(probability, np.minimum(classes.values, 5)[None].astype(int), 0)[0]
    assert (chosen[known] == probability.max(axis=0)[known]).all()
    np.testing.assert_array_equal(landslides.values, probability[1])
    with rasterio.open(tmp_path / "classes.tif") as source:
        assert source.dtypes == ("uint8",) and source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_classes_of_a_map_of_landslides_alone_are_those_of_even_odds(tmp_path):
    probability = np.linspace(0, 1, np.prod(GRID.shape), dtype=np.float32).reshape(1, *GRID.shape)
    probability[0, 0, 0], probability[0, 1, 1] = np.nan, 0.5
    write_map_rasters(tmp_path, [(0, probability)], GRID, "a test")
    wanted = (probability[0] >= 0.5).astype(np.uint8)
    wanted[0, 0] = 255
    np.testing.assert_array_equal(read_layer(tmp_path / "classes.tif").values, wanted)
    assert wanted[1, 1] == 1
    np.testing.assert_array_equal(read_layer(tmp_path / "probability.tif").values, probability[0])


def test_a_failure_leaves_no_map(tmp_path):
    def failing():
        yield 0, np.zeros((6, 10, 60), np.float32)
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        write_map_rasters(tmp_path, failing(), GRID, "a test")
    with pytest.raises(RuntimeError), class_raster(tmp_path / "classes.tif", GRID, "a test"):
        raise RuntimeError
    assert not list(tmp_path.iterdir())


# --- the printed tables


def test_audit_of_printed_extraction():
    found = {
        one["quantity"]: one
        for one in audit_row(
            {"row": "fcn8s", "precision": 0.79, "dp": 0.77, "qp": 0.67, "oe": 0.23, "ce": 0.21}, 0.005
        )
    }
    assert found["ce"]["verdict"] == found["oe"]["verdict"] == "agrees"
    # 100 landslide pixels: 77 found, 23 missed, 77 * 0.21 / 0.79 false.
    assert (
        found["qp"]["recomputed"] == pytest.approx(77 / (100 + 77 * 0.21 / 0.79))
        and found["qp"]["verdict"] == "disagrees"
    )
