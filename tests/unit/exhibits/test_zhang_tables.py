"""Tables of zhang2024's kinds against hand computations, scikit-learn and the published numbers, on an
invented site with invented runs."""

import json
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
from affine import Affine
from shapely.geometry import box
from sklearn import metrics as sk

from headscarp.errors import HeadscarpError
from headscarp.exhibits.kinds import function_of
from headscarp.exhibits.render import write_table
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tables.orders import spread_of
from headscarp.exhibits.tables.training import network_anatomy
from headscarp.files import write_json
from headscarp.geo.grid import Grid
from headscarp.geo.layer import CLASSES, Layer
from headscarp.samples.cell_table import Cells
from headscarp.scoring.susceptibility import score_cells, write_cell_scores
from tests.conftest import checks_of
from tests.world import one, run_record, spec_of, write_site_layers

SHAPE = (60, 80)
SKILL = {"multi": 2.0, "small": 1.0, "gbdt_lr": 0.6}
LABELS = {"multi": "Multi-scale", "small": "Small-scale (12)", "gbdt_lr": "GBDT + LR"}
GRID = Grid("EPSG:32649", Affine(90, 0, 460_000, 0, -90, 3_260_000), *SHAPE)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> dict:
    """One site of cells with layers and samples, and runs of three models under both protocols with two
    seeds."""
    folder = tmp_path_factory.mktemp("results")
    rng = np.random.default_rng(0)
    row, col = np.indices(SHAPE)
    label = (rng.random(SHAPE) < np.where(col < 30, 0.3, 0.1)).astype(np.uint8)
    label[:, 70:] = 255
    lithology = np.where(col < 30, 6, np.where(col < 75, 7, 9)).astype(np.uint8)
    lithology[:3] = 0
    values = {"elevation": 200 + 20 * row + rng.normal(0, 3, SHAPE), "ndvi": rng.beta(6, 3, SHAPE)}
    layers = [
        Layer(name, values[name].astype(np.float32), GRID, units, "invented")
        for name, units in (("elevation", "m"), ("ndvi", "1"))
    ]
    layers += [
        Layer(name, codes, GRID, "class", "invented", CLASSES, nodata)
        for name, codes, nodata in (("label", label, 255), ("lithology", lithology, 0))
    ]
    rocks = {6: "T3 sandstone", 7: "T2 mudstone", 9: "P shale", 11: "D1 shale"}
    write_site_layers(folder / "site", layers, classes={"lithology": rocks})
    site = {
        "name": "city",
        "title": "City (simulated)",
        "folder": str(folder / "site"),
        "data": "twin",
        "samples": {},
    }
    runs = []
    for protocol in ("published", "blocked"):
        cells = invent_cells(label, protocol)
        samples = folder / "samples" / protocol
        write_json(samples / "cells.json", {"overlap": [0.9, 0.7] if protocol == "published" else [0.0, 0.0]})
        site["samples"][protocol] = str(samples)
        for name, skill in SKILL.items():
            for seed in (0, 1):
                run = folder / "runs" / name / protocol / f"seed{seed}"
                noise = np.random.default_rng([seed, len(name)]).normal(size=(2, *SHAPE))
                maps = (1 / (1 + np.exp(1.2 - skill * (label == 1) - noise))).astype(np.float32)
                write_cell_scores(run, *score_cells(maps, cells, seed))
                runs.append(run_record(run, name, LABELS[name], protocol, seed))
    return {"sites": [site], "runs": runs}


def invent_cells(label: np.ndarray, protocol: str) -> Cells:
    row, col = (index.astype(np.int32) for index in np.nonzero(label != 255))
    split = np.array([np.where(row % 2 == fold, 3, np.where(row % 4 < 2, 1, 2)) for fold in (0, 1)], np.uint8)
    found = label[row, col]
    truth = np.where(col % 7 == 0, 1 - found, found).astype(np.uint8)
    record = {"protocol": protocol, "data": "twin", "fold": 0}
    return Cells(row, col, found, truth, (row // 10 * 100 + col // 10).astype(np.int32), split, record)


def rendered(frame: pd.DataFrame, spec: ExhibitSpec, folder: Path) -> str:
    paths = [folder / f"table.{kind}" for kind in ("csv", "md", "html")]
    write_table(frame, spec, *paths)
    again = pd.read_csv(paths[0], keep_default_na=False, na_values={"value": [""], "published": [""]})
    assert len(again) == len(frame) and again["note"].tolist() == frame["note"].tolist()
    assert "<table" in paths[2].read_text()
    return paths[1].read_text()


def predictions_of(world: dict, row: str, protocol: str, seed: int) -> dict[str, np.ndarray]:
    run = next(
        run for run in world["runs"] if (run["row"], run["protocol"], run["seed"]) == (row, protocol, seed)
    )
    with np.load(Path(run["folder"]) / "predictions.npz") as stored:
        return dict(stored)


def published_of(path: Path, *tables: str) -> list[dict]:
    """Records as the cards hold them: numbers where the paper prints numbers."""
    printed = pd.read_csv(path, dtype={"value": str}, keep_default_na=False)
    printed = printed[(printed["paper"] == "zhang2024") & printed["table"].isin(tables)]
    records = printed[["table", "row", "metric", "value", "unit"]].to_dict("records")
    numbers = pd.to_numeric(printed["value"], errors="coerce").tolist()
    return [
        record | {"value": record["value"] if np.isnan(number) else number}
        for record, number in zip(records, numbers, strict=True)
    ]


# --- Tables 1 and 2


def test_class_shares_count_cells_of_the_study_area(world, tmp_path):
    spec = spec_of(world, "class_shares", runs=[], options={"layer": "lithology"})
    frame = function_of("class_shares")(spec)
    with np.errstate(all="ignore"):
        label = np.asarray(read(world, "label"))
        lithology = np.asarray(read(world, "lithology"))
    inside = (label != 255) & (lithology > 0)
    sandstone = lithology[inside] == 6
    slides = label[inside] == 1
    row = "city:6 T3 sandstone"
    assert one(frame, row, "area_percent")["value"] == pytest.approx(100 * sandstone.mean())
    assert one(frame, row, "landslide_percent")["value"] == pytest.approx(100 * sandstone[slides].mean())
    assert one(frame, row, "density_percent")["value"] == pytest.approx(100 * slides[sandstone].mean())
    assert (
        one(frame, row, "frequency_ratio")["value"]
        == pytest.approx(sandstone[slides].mean() / sandstone.mean())
        and sandstone.mean() < 1
    )
    assert frame[frame["metric"] == "area_percent"]["value"].sum() == pytest.approx(100)
    absent = one(frame, "city:11 D1 shale", "frequency_ratio")
    assert np.isnan(absent["value"]) and absent["note"].startswith("no cell of the study area")
    text = rendered(frame, spec, tmp_path)
    assert "City (simulated): 6 T3 sandstone" in text and "Share of landslides (%)" in text


def test_eras_of_the_paper_stand_beside_our_shares(world, tmp_path):
    printed = [{"row": "6", "metric": "era", "value": "Triassic", "unit": ""}]
    spec = spec_of(world, "class_shares", runs=[], options={"layer": "lithology"}, published=printed)
    frame = function_of("class_shares")(spec)
    assert one(frame, "city:6 T3 sandstone", "era")["note"] == "text ; published Triassic"
    assert (frame["metric"] == "era").sum() == 1 and "Triassic" in rendered(frame, spec, tmp_path)


def test_shares_of_recognised_landslides_are_those_of_the_labels_of_the_cells(world, tmp_path):
    """Cells that a network called landslides, which are others than the true ones."""
    recognised = np.random.default_rng(5).random(SHAPE) < 0.2
    site = dict(world["sites"][0])
    samples = {}
    for protocol in ("published", "blocked"):
        folder = tmp_path / protocol
        cells = invent_cells(
            np.where(read(world, "label") == 255, 255, recognised).astype(np.uint8), protocol
        )
        write_json(folder / "cells.json", cells.record)
        arrays = {name: getattr(cells, name) for name in ("row", "col", "label", "truth", "block", "split")}
        np.savez(folder / "cells.npz", **arrays)
        samples[protocol] = str(folder)
    site["samples"] = samples
    spec = spec_of(
        {"sites": [site]},
        "recognised_shares",
        runs=[],
        options={"layer": "lithology"},
        published=[{"row": "6", "metric": "predominant", "value": "yes", "unit": ""}],
    )
    frame = function_of("recognised_shares")(spec)
    inside = read(world, "label") != 255
    sandstone, slides = (read(world, "lithology") == 6)[inside], recognised[inside]
    for protocol in samples:
        ours = one(frame, "city:6 T3 sandstone", "density_percent", protocol)["value"]
        assert ours == pytest.approx(100 * slides[sandstone].mean())
        ratio = one(frame, "city:6 T3 sandstone", "frequency_ratio", protocol)["value"]
        known = (read(world, "lithology") > 0)[inside]
        assert ratio == pytest.approx(
            (sandstone & slides)[known].sum() / slides[known].sum() / sandstone[known].mean()
        )
        assert one(frame, "city:6 T3 sandstone", "predominant", protocol)["note"] == "text ; published yes"


def test_levels_of_susceptibility_count_test_cells_and_landslides(world, tmp_path):
    """Shares add up, and the highest level of a map that knows the landslides holds more of them than of the
    area; beside plain counts on the predictions."""
    from headscarp.geo.layer import write_cog

    runs = []
    for run in (run for run in world["runs"] if run["seed"] == 0 and run["protocol"] == "published"):
        stored = predictions_of(world, run["row"], "published", 0)
        folder = tmp_path / run["row"]
        folder.mkdir()
        bands = np.full((2, *SHAPE), 0.5, np.float32)
        bands[:, stored["row"], stored["col"]] = stored["probability"]
        write_cog(folder / "susceptibility.tif", bands, GRID, float("nan"), ["0", "1"], "1", "test")
        np.savez(folder / "predictions.npz", **stored)
        runs.append(run | {"maps": str(folder)})
    spec = spec_of(world, "susceptibility_levels", runs=runs)
    frame = function_of("susceptibility_levels")(spec)
    levels = ("very_low", "low", "moderate", "high", "very_high")
    for run in runs:
        rows = [f"{run['row']}:{level}" for level in levels]
        for metric in ("area_percent", "landslide_percent"):
            assert sum(one(frame, row, metric, "published")["value"] for row in rows) == pytest.approx(100)
        stored = predictions_of(world, run["row"], "published", 0)
        slides = stored["label"] == 1
        area, found, density, ratio = (
            one(frame, rows[-1], metric, "published")["value"]
            for metric in ("area_percent", "landslide_percent", "density_percent", "frequency_ratio")
        )
        # Whatever the bound, the highest level holds the cells of highest probability.
        highest = np.argsort(-stored["probability"], kind="stable")[: round(area / 100 * slides.size)]
        assert found == pytest.approx(100 * slides[highest].sum() / slides.sum())
        assert density == pytest.approx(100 * slides[highest].mean())
        assert ratio == pytest.approx(found / area)
        assert np.isfinite(one(frame, rows[-1], "truth_frequency_ratio", "published")["value"])
    assert "| Multi-scale: very high |" in rendered(frame, spec, tmp_path)


def test_a_map_of_one_value_has_no_levels(world, tmp_path):
    from headscarp.geo.layer import write_cog

    run = world["runs"][0]
    write_cog(
        tmp_path / "susceptibility.tif",
        np.full((1, *SHAPE), 0.4, np.float32),
        GRID,
        float("nan"),
        ["0"],
        "1",
        "test",
    )
    spec = spec_of(world, "susceptibility_levels", runs=[run | {"maps": str(tmp_path)}])
    frame = function_of("susceptibility_levels")(spec)
    assert frame["value"].isna().all() and set(frame["note"]) == {"too few distinct values for five classes"}


def read(world: dict, layer: str) -> np.ndarray:
    from PIL import Image

    with Image.open(Path(world["sites"][0]["folder"]) / "layers" / f"{layer}.tif") as image:
        return np.asarray(image)


def test_factor_classes_stand_beside_whole_printed_breaks_only(world, tmp_path, real_data):
    published = published_of(real_data("published/tables.csv"), "table2")
    options = {
        "factors": ["elevation", "ndvi"],
        "classes": 5,
        "published_rows": {"elevation": "altitude", "ndvi": "distance_to_rivers"},
    }
    spec = spec_of(world, "factor_classes", runs=[], options=options, published=published)
    frame = function_of("factor_classes")(spec)
    inside = read(world, "elevation")[read(world, "label") != 255]
    bounds = [one(frame, "elevation", f"break_{k}") for k in range(6)]
    assert [line["published"] for line in bounds] == [67, 317, 527, 750, 1037, 1840]
    assert bounds[0]["value"] == pytest.approx(inside.min()) and bounds[-1]["value"] == pytest.approx(
        inside.max()
    )
    # Elevation is nearly uniform, whose natural breaks are equal intervals.
    assert np.allclose(np.diff([line["value"] for line in bounds]), np.ptp(inside) / 5, rtol=0.1)
    assert bounds[2]["difference"] == pytest.approx(bounds[2]["value"] - 527)
    damaged = one(frame, "ndvi", "break_5")
    assert np.isnan(damaged["published"]) and damaged["note"].endswith(
        "as printed: 0 603.738 1297.998 2012.461 2747.58"
    )
    text = rendered(frame, spec, tmp_path)
    assert "| elevation (m) |" in text and "ndvi: published breaks are damaged" in text
    # decimals of its own row, not those of elevation
    assert f"| {one(frame, 'ndvi', 'break_1')['value']:.3f} |" in text


def test_factors_of_classes_and_what_the_paper_says_of_each(world, tmp_path):
    printed = [
        {"row": "lithology", "metric": "categories", "value": "as shown in Table 1", "unit": ""},
        {"row": "lithology", "metric": "source", "value": "a map", "unit": ""},
        {"row": "lithology", "metric": "resolution", "value": "1:500,000", "unit": ""},
        {"row": "altitude", "metric": "description", "value": "affects rain", "unit": ""},
    ]
    options = {"factors": ["lithology", "elevation"], "published_rows": {"elevation": "altitude"}}
    spec = spec_of(world, "factor_classes", runs=[], options=options, published=printed)
    frame = function_of("factor_classes")(spec)
    names = one(frame, "lithology", "categories")["note"]
    assert names.startswith("text ") and names.endswith("; published as shown in Table 1")
    assert (
        "T3 sandstone" in names
        and not frame["row"].eq("lithology")[frame["metric"].str.contains("break")].any()
    )
    assert one(frame, "lithology", "source")["note"].endswith("; published a map")
    assert one(frame, "elevation", "description")["note"] == "text ; published affects rain"
    assert frame[frame["row"] == "elevation"]["metric"].str.startswith("break_").sum() == 6
    assert "1:500,000" in rendered(frame, spec, tmp_path)


# --- Table 3


@pytest.fixture
def searches(tmp_path) -> list[dict]:
    records = []
    for protocol, objective in (("published", "accuracy"), ("blocked", "average_precision")):
        for sampler, shift in (("gp", 0.0), ("random", 0.1)):
            folder = tmp_path / protocol / sampler
            trials = {
                "trial": [1, 2, 3],
                "value": [0.3 + shift, np.nan, 0.9 + shift / 10],
                "best": [0.3, 0.3, 0.9],
                "optimiser": ["adam", "sgd", "adam"],
                "learning_rate": [0.001, 0.01, 0.0001],
                "alpha": [0.5, 0.25, 0.75],
                "gamma": [1.0, 2.0, 4.5],
                "seconds": [1.0, 1.0, 1.0],
            }
            folder.mkdir(parents=True)
            pd.DataFrame(trials).to_csv(folder / "trials.csv", index=False)
            write_json(
                folder / "best.json",
                {
                    "trial": 3,
                    "value": 0.9 + shift / 10,
                    "no_skill": 0.9,
                    "objective": objective,
                    "recipe": {},
                },
            )
            records.append(
                {
                    "name": "focal",
                    "label": "Focal",
                    "protocol": protocol,
                    "sampler": sampler,
                    "folder": str(folder),
                }
            )
    return records


def test_search_shows_every_trial_and_those_of_the_paper_apart(world, searches, tmp_path, real_data):
    published = published_of(real_data("published/tables.csv"), "table3")
    spec = spec_of(world, "search", runs=[], searches=searches, published=published)
    frame = function_of("search")(spec)
    ours = frame[frame["data"] == "twin"]
    assert len(ours) == 4 * (3 * 5 + 3) and len(frame) - len(ours) == 30 * 5
    # Trial k of one search is nothing to trial k of another.
    assert ours[ours["row"].str.contains("iteration")]["published"].isna().all()
    assert frame[frame["data"] == "published"]["value"].isna().all()
    assert one(frame, "printed:iteration_03", "gamma", "published")["published"] == 3.941
    assert one(frame, "printed:iteration_01", "optimiser", "published")["note"] == "text ; published adam"
    best, mean = (one(frame, f"gp:{name}", "accuracy", "published") for name in ("best", "mean"))
    assert (best["value"], best["published"]) == (0.9, 0.9888)
    assert mean["value"] == pytest.approx(0.6)
    # The mean accuracy that section 4.1.1 states.
    assert mean["published"] == pytest.approx(0.71, abs=0.005)
    assert one(frame, "gp:no_skill", "accuracy", "published")["value"] == 0.9
    assert one(frame, "gp:iteration_02", "accuracy", "published")["note"] == "the trial gave no value"
    others = ours[(ours["protocol"] == "blocked") | ours["row"].str.startswith("random")]
    assert others["published"].isna().all()
    assert set(frame[frame["protocol"] == "blocked"]["metric"]) == {
        "average_precision",
        "learning_rate",
        "alpha",
        "gamma",
        "optimiser",
    }
    text = rendered(frame, spec, tmp_path)
    assert "| Gaussian process: iteration 02 | simulated site (twin) | – |" in text
    assert "| The paper: iteration 02 | published | – (published 0.326) |" in text
    assert "| Random search: iteration 02 |" in text and "text" not in text


def test_a_search_whose_best_is_that_of_a_map_without_landslides_found_nothing(world, searches):
    frame = function_of("search")(spec_of(world, "search", runs=[], searches=searches))
    nothing = "best trial; it found nothing, for a map without landslides on the same windows scores as much"
    assert one(frame, "gp:iteration_03", "accuracy", "published")["note"] == nothing
    assert one(frame, "gp:best", "accuracy", "published")["note"].startswith("it found nothing")
    assert one(frame, "random:iteration_03", "accuracy", "published")["note"] == "best trial"
    assert one(frame, "random:best", "accuracy", "published")["note"] == ""
    assert one(frame, "gp:best", "average_precision", "blocked")["note"].startswith(
        "it found nothing, for a map of one value on the same windows"
    )


def test_trials_of_several_searches_stand_apart(world, searches, tmp_path):
    both = [*searches, *(one | {"name": "bce", "label": "Cross-entropy"} for one in searches)]
    spec = spec_of(world, "search", runs=[], searches=both)
    frame = function_of("search")(spec)
    assert len(frame) == 2 * 4 * (3 * 5 + 3) and not frame.duplicated(["row", "protocol", "metric"]).any()
    assert "| Cross-entropy: Gaussian process: iteration 01 |" in rendered(frame, spec, tmp_path)


# --- Tables 4 and 6

SWAPPED = {
    "accuracy": "macro_precision",
    "precision": "accuracy",
    "recall": "macro_recall",
    "f1": "macro_f1",
    "miou": "miou",
}


def test_printed_scores_give_both_sets_of_columns(world, tmp_path):
    published = [
        {"row": "multi", "metric": metric, "value": value, "unit": "fraction"}
        for metric, value in (("accuracy", 0.98), ("f1", 0.61))
    ]
    options = {
        "columns": SWAPPED,
        "row_columns": {"gbdt_lr": {"accuracy": "accuracy", "f1": "f1"}},
        "metrics": ["precision", "f1", "truth_auc"],
    }
    spec = spec_of(world, "printed_scores", options=options, published=published)
    frame = function_of("printed_scores")(spec)
    expected = {
        "accuracy (as printed)": [],
        "precision (as printed)": [],
        "f1 (as printed)": [],
        "f1": [],
        "truth_auc": [],
    }
    for seed in (0, 1):
        found = predictions_of(world, "multi", "published", seed)
        truth, predicted = found["label"], found["predicted"]
        expected["accuracy (as printed)"].append(sk.precision_score(truth, predicted, average="macro"))
        expected["precision (as printed)"].append(sk.accuracy_score(truth, predicted))
        expected["f1 (as printed)"].append(sk.f1_score(truth, predicted, average="macro"))
        expected["f1"].append(sk.f1_score(truth, predicted))
        expected["truth_auc"].append(sk.roc_auc_score(found["truth"], found["probability"]))
    for metric, values in expected.items():
        line = one(frame, "multi", metric, "published")
        assert line["value"] == pytest.approx(np.mean(values)), metric
        assert line["sd"] == pytest.approx(np.std(values, ddof=1)) and line["n_seeds"] == 2
    line = one(frame, "multi", "f1 (as printed)", "blocked")
    assert line["published"] == 0.61 and line["difference"] == pytest.approx(line["value"] - 0.61)
    assert line["ci_low"] < line["value"] < line["ci_high"]
    assert np.isnan(one(frame, "multi", "f1", "published")["published"])
    binary = [one(frame, "gbdt_lr", metric, "blocked")["value"] for metric in ("f1 (as printed)", "f1")]
    assert binary[0] == binary[1]
    assert not len(frame[(frame["row"] == "gbdt_lr") & (frame["metric"] == "miou (as printed)")])
    text = rendered(frame, spec, tmp_path)
    assert "| Accuracy (as printed) |" in text and "| AUC (truth) |" in text and "(published 0.610)" in text


def test_runs_whose_truth_is_unknown_say_so(world, tmp_path):
    run = world["runs"][0]
    scores = json.loads((Path(run["folder"]) / "scores.json").read_text())
    write_json(tmp_path / "scores.json", scores | {"truth": None})
    (tmp_path / "counts.npz").write_bytes((Path(run["folder"]) / "counts.npz").read_bytes())
    options = {"columns": {"f1": "f1"}, "metrics": ["truth_auc"]}
    frame = function_of("printed_scores")(
        spec_of(
            world,
            "printed_scores",
            runs=[run | {"folder": str(tmp_path), "maps": str(tmp_path)}],
            options=options,
        )
    )
    line = one(frame, run["row"], "truth_auc", run["protocol"])
    assert np.isnan(line["value"]) and "not known" in line["note"]


# --- Tables 5 and 7


def test_hyperparameters_are_those_of_the_run(world, tmp_path, real_data):
    published = published_of(real_data("published/tables.csv"), "table5")
    recipe = {"loss": "bce", "optimiser": "adam", "epochs": 25, "batch": 32, "learning_rate": 0.01}
    network = {"name": "cnn3d", "width": 0.0625, "params": {"windows": [12]}}
    write_json(
        tmp_path / "run.json",
        {"spec": {"network": network, "channels": list("abcdefghijklmn"), "classes": 1, "recipe": recipe}},
    )
    run = run_record(tmp_path, "small", "Small-scale", "published", 0)
    spec = spec_of(
        world, "hyperparameters", runs=[run], options={"published_row": "3d_cnn"}, published=published
    )
    frame = function_of("hyperparameters")(spec)
    notes = {line.metric: line.note for line in frame.itertuples() if line.note}
    assert notes == {
        "convolution_kernel": "text 3,3,3; published 3,3",
        "pooling": "text none; published 2,2",
        "loss": "text binary cross-entropy; published binary cross-entropy",
        "optimizer": "text adam; published adam",
        "activation": "text relu; published relu",
    }
    assert one(frame, "small", "batch_size", "published")["difference"] == 32 - 64
    assert (
        one(frame, "small", "epochs", "published")["difference"]
        == one(frame, "small", "learning_rate", "published")["difference"]
        == 0
    )
    text = rendered(frame, spec, tmp_path)
    assert "| 3,3,3 (published 3,3) |" in text and "| 32 (published 64) |" in text


def test_anatomy_of_a_network_of_images():
    described = {
        "network": {"name": "unet", "width": 0.0625, "params": {}},
        "channels": list("abcd"),
        "classes": 1,
    }
    assert network_anatomy(described) == {"kernel": "3,3", "pooling": "2,2", "activation": "relu"}


def test_mcnemar_compares_the_first_seeds_on_the_same_cells(world, tmp_path, real_data):
    published = published_of(real_data("published/tables.csv"), "table7")
    spec = spec_of(world, "mcnemar", options={"reference": "multi"}, published=published)
    frame = function_of("mcnemar")(spec)
    for protocol in ("published", "blocked"):
        first, second = (predictions_of(world, row, protocol, 0) for row in ("multi", "small"))
        right = [found["predicted"] == found["label"] for found in (first, second)]
        b, c = np.sum(right[0] & ~right[1]), np.sum(right[1] & ~right[0])
        assert (
            one(frame, "multi_vs_small", "b", protocol)["value"] == b
            and one(frame, "multi_vs_small", "c", protocol)["value"] == c
        )
        assert one(frame, "multi_vs_small", "chi2", protocol)["value"] == pytest.approx(
            (abs(b - c) - 1) ** 2 / (b + c)
        )
        assert 0 < one(frame, "multi_vs_small", "p_block", protocol)["value"] <= 1
        for found in (first, second):
            cut = np.sort(found["probability"])[-int(found["label"].sum())]
            found["right"] = (found["probability"] >= cut) == found["label"]
        b, c = np.sum(first["right"] & ~second["right"]), np.sum(second["right"] & ~first["right"])
        assert one(frame, "multi_vs_small", "chi2_matched", protocol)["value"] == pytest.approx(
            (abs(b - c) - 1) ** 2 / (b + c)
        )
    line = one(frame, "multi_vs_small", "chi2", "published")
    assert line["published"] == 60.22 and line["note"] == "the paper prints p < 1e-05"
    assert one(frame, "multi_vs_gbdt_lr", "p_value", "published")["published"] == 0.00042
    assert "multi_vs_multi" not in set(frame["row"])
    text = rendered(frame, spec, tmp_path)
    assert (
        "| Multi-scale vs GBDT + LR |" in text and "χ² (corrected)" in text and "(published 0.0004)" in text
    )
    with pytest.raises(HeadscarpError, match="reference 'mutli' does not exist; did you mean 'multi'"):
        function_of("mcnemar")(spec_of(world, "mcnemar", options={"reference": "mutli"}))


# --- factor orders


def test_significance_is_a_yes_or_no_beside_the_papers(world, real_data):
    first = [run for run in world["runs"] if run["seed"] == 0]
    printed = [{"row": "multi_vs_small", "metric": "significant_95", "value": "Yes", "unit": ""}]
    rows = list(SKILL)
    spec = spec_of(world, "mcnemar", runs=first, options={"reference": rows[0]}, published=printed)
    frame = function_of("mcnemar")(spec)
    for _, line in frame[frame["metric"] == "p_value"].iterrows():
        for percent in (90, 95):
            note = one(frame, line["row"], f"significant_{percent}", line["protocol"])["note"]
            assert note.split(";")[0] == f"text {'yes' if line['value'] < 1 - percent / 100 else 'no'}"


def test_order_spread_tells_orders_from_seeds(world, tmp_path):
    spec = spec_of(world, "order_spread", options={"metrics": ["auc"]})
    frame = function_of("order_spread")(spec)
    scores = {
        row: [
            json.loads((Path(run["folder"]) / "scores.json").read_text())["metrics"]["auc"]
            for run in world["runs"]
            if (run["row"], run["protocol"]) == (row, "blocked")
        ]
        for row in SKILL
    }
    groups = np.array(list(scores.values()))
    within = groups.var(axis=1, ddof=1).mean()
    between = max(0, groups.mean(axis=1).var(ddof=1) - within / 2)
    assert (
        one(frame, "auc", "sd_orders", "blocked")["value"] == pytest.approx(np.sqrt(between))
        and between > within
    )
    assert one(frame, "auc", "sd_seeds", "blocked")["value"] == pytest.approx(np.sqrt(within))
    assert [
        one(frame, "auc", name, "blocked")["value"] for name in ("mean", "min", "max", "orders")
    ] == pytest.approx([groups.mean(), groups.min(), groups.max(), 3])
    assert "| AUC | simulated site (twin) |" in rendered(frame, spec, tmp_path)


def test_order_spread_leaves_out_what_folds_differ_by_for_all_orders():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.01, (400, 3))
    folds = np.array([0.3, 0.6, 0.8])
    plain, rotating = (
        spread_of((0.5 + more + noise).tolist(), rotates)[0] for more, rotates in ((0, False), (folds, True))
    )
    assert plain["sd_seeds"] == pytest.approx(0.01, rel=0.1)
    assert rotating["sd_seeds"] == pytest.approx(plain["sd_seeds"], rel=0.01)
    assert rotating["max"] - rotating["min"] > 0.4


def test_order_spread_of_one_seed_says_what_it_cannot_tell(world):
    runs = [run for run in world["runs"] if run["seed"] == 0]
    frame = function_of("order_spread")(
        spec_of(world, "order_spread", runs=runs, options={"metrics": ["auc"]})
    )
    assert np.isnan(one(frame, "auc", "sd_seeds", "blocked")["value"])
    line = one(frame, "auc", "sd_orders", "blocked")
    assert line["value"] > 0 and "holds that over seeds too" in line["note"] and line["n_seeds"] == 1


# --- the inventory


@pytest.fixture
def inventories(world, tmp_path) -> dict:
    """Two runs' inventories of a target with four slides of 100 m; the first finds one, half of another and a
    false one of 50 m."""
    raw = tmp_path / "raw"
    raw.mkdir()
    slides = [box(x, 0, x + 100, 100) for x in (0, 1000, 2000, 3000)]
    geopandas.GeoDataFrame(geometry=slides, crs=GRID.crs).to_file(raw / "landslides.gpkg")
    target = {
        "name": "county",
        "title": "County",
        "folder": str(tmp_path / "county"),
        "data": "twin",
        "raw": str(raw),
    }
    runs = []
    for seed, mapped in ((0, [slides[0], box(1000, 0, 1050, 100), box(5000, 0, 5050, 50)]), (1, [slides[0]])):
        folder = tmp_path / "run" / f"seed{seed}"
        elsewhere = folder / "county"
        elsewhere.mkdir(parents=True)
        geopandas.GeoDataFrame(geometry=mapped, crs=GRID.crs).to_file(elsewhere / "inventory.gpkg")
        counts = [{"pixels": 100, "polygons": 9 - k + seed, "area_km2": 0.5 - k / 10} for k in range(4)]
        masks = {"roads": counts[1], "water": counts[2]}
        write_json(
            elsewhere / "inventory.json",
            {"threshold": 0.5, "mapped": counts[0], "masks": masks, "inventory": counts[3], "notes": []},
        )
        runs.append(run_record(folder, "focal_50", "Model-1", "published", seed))
    return {"sites": world["sites"], "runs": runs, "target": target}


def test_inventory_is_held_against_the_true_slides(inventories, tmp_path):
    spec = spec_of(inventories, "inventory")
    frame = function_of("inventory")(spec)
    expected = {
        "polygons": 6.5,
        "area_km2": 0.2,
        "slides": 4,
        "slides_found": 1.5,
        "slide_recall": 0.375,
        "false_polygons": 0.5,
        "commission": (1 / 3 + 0) / 2,
        "area_recall": (0.375 + 0.25) / 2,
        "area_precision": (15000 / 17500 + 1) / 2,
        "median_area_m2": (5000 + 10000) / 2,
        "max_area_m2": 10000,
    }
    for metric, value in expected.items():
        assert one(frame, "focal_50:inventory", metric, "published")["value"] == pytest.approx(value), metric
    steps = [f"focal_50:{step}" for step in ("mapped", "without_roads", "without_water", "inventory")]
    assert frame["row"].unique().tolist() == steps
    assert [one(frame, step, "polygons", "published")["value"] for step in steps] == [9.5, 8.5, 7.5, 6.5]
    assert set(frame["n_seeds"]) == {2}
    text = rendered(frame, spec, tmp_path)
    assert "| Model-1: without roads |" in text and "at least 50% of a true slide" in text
    with pytest.raises(HeadscarpError, match="needs a `target`"):
        function_of("inventory")(spec_of(inventories | {"target": None}, "inventory"))


def test_an_inventory_is_not_compared_where_its_network_was_trained(inventories):
    """Of four slides the first lies in the district; seed 0 finds it and half of the second, and maps a false
    one."""
    district = geopandas.GeoDataFrame(geometry=[box(-50, -50, 150, 150)], crs=GRID.crs)
    district.to_file(Path(inventories["target"]["raw"]) / "district.gpkg")
    spec = spec_of(
        inventories | {"runs": inventories["runs"][:1]}, "inventory", options={"learnt": "district.gpkg"}
    )
    frame = function_of("inventory")(spec)
    expected = {"slides": 3, "slides_found": 1, "false_polygons": 1, "area_recall": 0.5 / 3, "polygons": 6}
    for metric, value in expected.items():
        assert one(frame, "focal_50:inventory", metric, "published")["value"] == pytest.approx(value), metric
    note = one(frame, "focal_50:inventory", "slides_found", "published")["note"]
    assert note.endswith("outside of the land on which the network was trained")


def test_the_threshold_of_an_inventory_is_told(inventories):
    path = Path(inventories["runs"][0]["folder"]) / "county" / "inventory.json"
    write_json(path, json.loads(path.read_text()) | {"threshold": 0.3, "notes": ["0.3 is taken"]})
    frame = function_of("inventory")(spec_of(inventories, "inventory"))
    line = one(frame, "focal_50:mapped", "threshold", "published")
    assert line["value"] == pytest.approx(0.4) and line["note"] == "0.3 is taken"


def test_an_empty_inventory_finds_nothing(inventories):
    run = inventories["runs"][1]
    empty = geopandas.GeoDataFrame(geometry=[], crs=GRID.crs)
    empty.to_file(Path(run["folder"]) / "county" / "inventory.gpkg", geometry_type="Polygon")
    frame = function_of("inventory")(spec_of(inventories | {"runs": [run]}, "inventory"))
    assert one(frame, "focal_50:inventory", "slides_found", "published")["value"] == 0
    assert np.isnan(one(frame, "focal_50:inventory", "commission", "published")["value"])


# --- the audit


def test_the_audit_shows_what_the_printed_columns_are(world, tmp_path, real_data):
    published = published_of(real_data("published/tables.csv"), "table3", "table4", "table6")
    checks = [check for check in checks_of("zhang2024") if check["check"] != "released_code"]
    same = {"checks": checks, "published": published}
    spec = spec_of(world, "audit", runs=[], options={"overlap": True}, **same)
    frame = function_of("audit")(spec)
    for row in ("focal_50", "bce_50", "focal_100", "bce_100"):
        assert one(frame, f"table4:{row}", "error_macro")["value"] <= 0.0025
        assert one(frame, f"table4:{row}", "reading")["note"] == "text mean of both classes"
    best = one(frame, "table4:focal_50", "implied_landslide_f1")
    assert (
        best["value"] == pytest.approx(0.64, abs=0.01)
        and best["published"] == 0.82
        and best["data"] == "published"
    )
    assert one(frame, "table6:gbdt_lr", "reading")["note"] == "text landslide class"
    background = one(frame, "all_background", "accuracy")
    assert background["value"] == pytest.approx(0.988) and background["published"] == 0.9888
    assert one(frame, "eq7:alpha_1", "eq7_as_printed")["value"] == pytest.approx(
        one(frame, "eq7:alpha_1", "f_beta")["value"]
    )
    assert (
        abs(
            one(frame, "eq7:alpha_2", "eq7_as_printed")["value"]
            - one(frame, "eq7:alpha_2", "f_beta")["value"]
        )
        > 0.1
    )
    assert one(frame, "city", "test_windows_overlapping_training", "published")["value"] == pytest.approx(0.8)
    assert one(frame, "city", "test_windows_overlapping_training", "blocked")["value"] == 0
    text = rendered(frame, spec, tmp_path)
    assert "| mean of both classes |" in text and "0.643 (published 0.820)" in text
