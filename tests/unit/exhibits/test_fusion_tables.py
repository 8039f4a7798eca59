"""Tables of stfusion's kinds against direct computations and the published numbers, on an invented site with
invented runs."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from headscarp.codes import TEST
from headscarp.errors import HeadscarpError
from headscarp.exhibits.kinds import function_of
from headscarp.exhibits.render import write_table
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.files import write_json
from headscarp.samples.windows import Window
from headscarp.scoring.score import score_run, write_scores
from tests.conftest import checks_of
from tests.world import one, run_record, spec_of

pytestmark = pytest.mark.slow

SHAPE, SIZE = (96, 128), 16
WINDOWS = [Window(row, col, SIZE, 4, "test") for row in range(0, 96, SIZE) for col in range(0, 128, SIZE)]
SKILL = {"segnet_last": 1.0, "no_temporal": 1.6, "st_fusion": 2.6, "again": 2.6}
LABELS = {
    "segnet_last": "SegNet, last date",
    "no_temporal": "DCNN-DBN",
    "st_fusion": "CNN-LSTM + DCNN-DBN",
    "again": "Another name",
}
PROTOCOLS, SEEDS = ("published", "blocked"), (0, 1, 2)


def invent(row: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Label and probability of a map; slides crowd in some windows and lack in others, and seed and row make
    the noise."""
    rng = np.random.default_rng(9)
    share = np.kron(rng.choice([0.0, 0.1, 0.5], (6, 8)), np.ones((SIZE, SIZE)))
    label = (rng.random(SHAPE) < share).astype(np.uint8)
    label[90:, 120:] = 255
    noise = np.random.default_rng([seed, int(10 * SKILL[row]), len(row)]).normal(size=SHAPE)
    return label, (1 / (1 + np.exp(1.5 - SKILL[row] * (label == 1) - noise))).astype(np.float32)


def score_into(folder: Path, row: str, protocol: str, seed: int) -> None:
    label, probability = invent(row, seed)
    at = np.indices(SHAPE) // 32
    regions = np.where(label == 255, 0, TEST).astype(np.uint8)
    places = label, (label == 1).astype(np.int32), regions, (at[0] * 4 + at[1]).astype(np.int32)
    threshold = 0.5 if protocol == "published" else 0.625
    write_scores(folder, *score_run(probability, *places, 900.0, protocol, "twin", seed, threshold, WINDOWS))


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> dict:
    """A site whose cube has three dates, and runs of four networks under both protocols with two seeds."""
    folder = tmp_path_factory.mktemp("results")
    series = [
        {"date": "2008-09-14", "clear_share": 0.91, "missing": []},
        {"date": "2011-09-20", "clear_share": 0.75, "missing": ["precipitation"]},
        {"date": "2014-09-11", "clear_share": 0.0, "missing": ["red", "green", "blue"]},
    ]
    write_json(
        folder / "site" / "cube" / "cube.json",
        {"dates": [one["date"] for one in series], "series": series, "never_clear_share": 0.02},
    )
    site = {
        "name": "karakoram",
        "title": "Karakoram (simulated)",
        "folder": str(folder / "site"),
        "data": "twin",
        "samples": {},
    }
    runs = []
    for protocol in PROTOCOLS:
        for row in SKILL:
            for seed in SEEDS:
                run = folder / "runs" / row / protocol / f"seed{seed}"
                score_into(run, row, protocol, seed)
                runs.append(run_record(run, row, LABELS[row], protocol, seed))
    return {"sites": [site], "runs": runs}


def rows_of(world: dict, *rows: str) -> list[dict]:
    return [run for row in rows for run in world["runs"] if run["row"] == row]


def scores_of(world: dict, row: str, protocol: str) -> list[dict]:
    chosen = [run for run in world["runs"] if (run["row"], run["protocol"]) == (row, protocol)]
    return [json.loads((Path(run["folder"]) / "scores.json").read_text()) for run in chosen]


def rendered(frame: pd.DataFrame, spec: ExhibitSpec, folder: Path) -> str:
    paths = [folder / f"table.{kind}" for kind in ("csv", "md", "html")]
    write_table(frame, spec, *paths)
    assert len(pd.read_csv(paths[0])) == len(frame)
    return paths[1].read_text()


def published_of(path: Path, *tables: str) -> list[dict]:
    printed = pd.read_csv(path, dtype={"value": str}, keep_default_na=False)
    printed = printed[(printed["paper"] == "stfusion") & printed["table"].isin(tables)]
    return (
        printed[["table", "row", "metric", "unit"]]
        .assign(value=printed["value"].astype(float))
        .to_dict("records")
    )


# --- Tables 2 to 4

BESIDE = {f"{average}{metric}": metric for average in ("", "image_") for metric in ("miou", "f1", "auc")}
OPTIONS = {
    "metrics": [*BESIDE, "average_precision"],
    "beside": BESIDE,
    "published_rows": {"segnet_last": "segnet", "st_fusion": "proposed"},
}


def test_pooled_scores_and_scores_per_image_stand_beside_the_published_ones(world, tmp_path, real_data):
    published = published_of(real_data("published/tables.csv"), "table2")
    runs = rows_of(world, "segnet_last", "no_temporal", "st_fusion")
    spec = spec_of(world, "printed_scores", runs=runs, options=OPTIONS, published=published)
    frame = function_of("printed_scores")(spec)
    label, _ = invent("st_fusion", 0)
    known = label != 255
    truth = label[known] == 1
    for protocol, threshold in zip(PROTOCOLS, (0.5, 0.625), strict=True):
        pooled = np.mean(
            [sk.f1_score(truth, invent("st_fusion", seed)[1][known] >= threshold) for seed in SEEDS]
        )
        line = one(frame, "st_fusion", "f1", protocol)
        assert line["value"] == pytest.approx(pooled) and line["published"] == 0.8352 and line["note"] == ""
        assert line["difference"] == pytest.approx(pooled - 0.8352)
        means = []
        for seed in SEEDS:
            _, probability = invent("st_fusion", seed)
            places = [np.s_[w.row : w.row + SIZE, w.col : w.col + SIZE] for w in WINDOWS]
            both = [
                (label[place][known[place]] == 1, probability[place][known[place]] >= threshold)
                for place in places
            ]
            means.append(np.mean([sk.f1_score(*pair) for pair in both if np.any(pair)]))
        line = one(frame, "st_fusion", "image_f1", protocol)
        assert line["value"] == pytest.approx(np.mean(means)) and line["sd"] == pytest.approx(
            np.std(means, ddof=1)
        )
        assert (
            line["published"] == 0.8352
            and line["ci_low"] < line["value"] < line["ci_high"]
            and line["n_seeds"] == 3
        )
        assert f"per image under {protocol}: mean over 48 test windows" in line["note"]
    assert one(frame, "segnet_last", "image_auc", "blocked")["published"] == 0.7139
    assert frame.loc[frame["row"] == "no_temporal", "published"].isna().all()
    assert np.isnan(one(frame, "st_fusion", "average_precision", "blocked")["published"])
    text = rendered(frame, spec, tmp_path)
    assert "| mIoU | F1 | AUC | mIoU per image | F1 per image | AUC per image | Average precision |" in text
    assert text.count("(published 0.862)") == 4 and text.count("per image under") == 2


def test_names_that_no_row_or_metric_has_are_refused(world):
    for option, wrong in (("beside", {"image_f2": "f1"}), ("published_rows", {"segnet_lst": "segnet"})):
        with pytest.raises(
            HeadscarpError,
            match=f"exhibit 'printed_scores', {option}: name '{next(iter(wrong))}'.*did you mean",
        ):
            function_of("printed_scores")(
                spec_of(world, "printed_scores", options=OPTIONS | {option: wrong}, runs=world["runs"])
            )


def test_runs_without_test_windows_say_so(world, tmp_path):
    run = rows_of(world, "st_fusion")[0]
    scores = json.loads((Path(run["folder"]) / "scores.json").read_text())
    del scores["images"]
    scores["metrics"] = {
        name: value for name, value in scores["metrics"].items() if not name.startswith("image_")
    }
    write_json(tmp_path / "scores.json", scores)
    (tmp_path / "counts.npz").write_bytes((Path(run["folder"]) / "counts.npz").read_bytes())
    options = {"metrics": ["f1", "image_f1"]}
    frame = function_of("printed_scores")(
        spec_of(
            world,
            "printed_scores",
            runs=[run | {"folder": str(tmp_path), "maps": str(tmp_path)}],
            options=options,
        )
    )
    line = one(frame, "st_fusion", "image_f1", "published")
    assert np.isnan(line["value"]) and "no score per image under published" in line["note"]
    assert one(frame, "st_fusion", "f1", "published")["value"] > 0


# --- effects

PAIRS = [
    {"rows": ["st_fusion", "no_temporal"], "label": "what the CNN-LSTM adds"},
    {"rows": ["segnet_last", "st_fusion"], "label": "one date against all"},
    {"rows": ["again", "st_fusion"], "label": "the same skill twice"},
]


def test_effects_equal_a_direct_paired_bootstrap(world, tmp_path):
    spec = spec_of(world, "ablation_effects", options={"pairs": PAIRS})
    frame = function_of("ablation_effects")(spec)
    label, _ = invent("st_fusion", 0)
    known = label != 255
    cell = (np.indices(SHAPE)[0] // 32 * 4 + np.indices(SHAPE)[1] // 32)[known]
    members = [np.flatnonzero(cell == index) for index in range(12)]
    truth = label[known] == 1
    maps = {
        (row, seed): invent(row, seed)[1][known] for row in ("st_fusion", "no_temporal") for seed in SEEDS
    }
    rng, drawn = np.random.default_rng(5), {"f1": [], "average_precision": []}
    for _ in range(120):
        pixels = np.concatenate([members[index] for index in rng.integers(0, 12, 12)])
        seeds = rng.integers(0, 3, 3)
        for metric, of in (
            ("f1", lambda p, at=pixels: sk.f1_score(truth[at], p[at] >= 0.5)),
            ("average_precision", lambda p, at=pixels: sk.average_precision_score(truth[at], p[at])),
        ):
            drawn[metric].append(
                np.mean([of(maps["st_fusion", seed]) - of(maps["no_temporal", seed]) for seed in seeds])
            )
    for metric, differences in drawn.items():
        line = one(frame, "st_fusion_vs_no_temporal", metric, "published")
        exact = [
            np.mean([scores["metrics"][metric] for scores in scores_of(world, row, "published")])
            for row in ("st_fusion", "no_temporal")
        ]
        assert line["value"] == pytest.approx(exact[0] - exact[1]) and line["n_seeds"] == 3
        low, high = np.percentile(differences, [2.5, 97.5])
        assert [line["ci_low"], line["ci_high"]] == pytest.approx([low, high], abs=0.3 * (high - low))
    assert one(frame, "st_fusion_vs_no_temporal", "f1", "blocked")["note"] == "what the CNN-LSTM adds"
    text = rendered(frame, spec, tmp_path)
    assert "| F1 | F1 verdict | Average precision | Average precision verdict |" in text
    assert (
        "| CNN-LSTM + DCNN-DBN vs DCNN-DBN |" in text
        and "CNN-LSTM + DCNN-DBN vs DCNN-DBN: what the CNN-LSTM adds" in text
    )


def test_verdicts_follow_the_interval(world):
    frame = function_of("ablation_effects")(spec_of(world, "ablation_effects", options={"pairs": PAIRS}))
    words = {"st_fusion_vs_no_temporal": ["better"], "segnet_last_vs_st_fusion": ["worse"]}
    words |= {"again_vs_st_fusion": ["not settled", "no difference"]}
    for protocol in PROTOCOLS:
        for row, expected in words.items():
            for metric in ("f1", "average_precision"):
                word = one(frame, row, f"{metric}_verdict", protocol)["note"].removeprefix("text ")
                assert word in expected, (row, metric)
                line = one(frame, row, metric, protocol)
                assert (line["ci_low"] > 0, line["ci_high"] < 0) == (word == "better", word == "worse")


def test_an_effect_of_a_row_that_does_not_exist_is_refused(world):
    pairs = [{"rows": ["st_fuson", "no_temporal"], "label": ""}]
    with pytest.raises(HeadscarpError, match=r"pairs: row 'st_fuson' .*st_fusion"):
        function_of("ablation_effects")(spec_of(world, "ablation_effects", options={"pairs": pairs}))


# --- audit


def test_the_proposed_row_is_the_one_that_cannot_be(world, tmp_path, real_data):
    tables = ["table2", "table3", "table4"]
    published = published_of(real_data("published/tables.csv"), *tables)
    spec = spec_of(
        world,
        "audit",
        runs=rows_of(world, "st_fusion"),
        options={},
        checks=checks_of("stfusion"),
        published=published,
    )
    frame = function_of("audit")(spec)
    proposed = (
        one(frame, "table2:proposed", "implied_iou"),
        one(frame, "table2:proposed", "needed_background_iou"),
    )
    assert [line["value"] for line in proposed] == pytest.approx([0.717, 1.008], abs=5e-4)
    verdicts = frame[(frame["metric"] == "verdict") & (frame["data"] == "published")].set_index("row")["note"]
    assert len(verdicts) == 9
    assert set(verdicts[verdicts == "text impossible"].index) == {
        "table2:proposed",
        "table3:optical+factors",
        "table4:cnn_lstm+dcnn_dbn",
    }
    # 2 x 0.8053 less 0.8211 / 1.1789.
    assert one(frame, "table2:pspnet", "needed_background_iou")["value"] == pytest.approx(0.91411, abs=1e-5)
    assert one(frame, "st_fusion:pooled", "verdict", "blocked")["note"] == "text possible"
    assert one(frame, "st_fusion:per_image_with_empty", "f1", "blocked")["note"].startswith("empty = 1")
    scores = scores_of(world, "st_fusion", "blocked")
    background = [2 * one["metrics"]["miou"] - one["metrics"]["iou"] for one in scores]
    line = one(frame, "st_fusion:pooled", "needed_background_iou", "blocked")
    assert line["value"] == pytest.approx(np.mean(background)) and line["sd"] == pytest.approx(
        np.std(background, ddof=1)
    )
    image = [one["metrics"]["image_f1"] for one in scores]
    implied = one(frame, "st_fusion:per_image", "implied_iou", "blocked")["value"]
    assert implied == pytest.approx(np.mean([value / (2 - value) for value in image]))
    text = rendered(frame, spec, tmp_path)
    assert (
        "| F1 | mIoU | Implied landslide IoU | Needed background IoU | Verdict |" in text
        and "| 1.008 | impossible |" in text
    )
    assert "| CNN-LSTM + DCNN-DBN: per image | simulated site (twin) |" in text


def test_means_over_images_that_cannot_be_pooled_are_called_so(world, tmp_path):
    scores = scores_of(world, "st_fusion", "published")
    runs = []
    for seed, (run, found) in enumerate(zip(rows_of(world, "st_fusion")[:2], scores[:2], strict=True)):
        found["metrics"] |= {"image_f1": 0.8352, "image_miou": 0.8624 if seed else 0.8}
        write_json(tmp_path / str(seed) / "scores.json", found)
        runs.append(run | {"folder": str(tmp_path / str(seed)), "maps": str(tmp_path / str(seed))})
    spec = spec_of(world, "audit", runs=runs, options={})
    assert (
        one(function_of("audit")(spec), "st_fusion:per_image", "verdict", "published")["note"]
        == "text impossible for 1 of 2 seeds"
    )
    frame = function_of("audit")(spec_of(world, "audit", runs=runs[1:], options={}))
    line = one(frame, "st_fusion:per_image", "needed_background_iou", "published")
    assert (
        line["value"] == pytest.approx(2 * 0.8624 - 0.8352 / 1.1648)
        and "cannot both be pooled" in line["note"]
    )


# --- dates


def test_dates_of_a_site(world, tmp_path):
    spec = spec_of(world, "date_table", runs=[])
    frame = function_of("date_table")(spec)
    assert frame.loc[frame["metric"] == "clear_share", "value"].tolist() == [0.91, 0.75, 0.0]
    # 3 years with a leap day, and 6 days less 1
    assert one(frame, "karakoram:2011-09-20", "days_since_last")["value"] == 1101
    assert np.isnan(one(frame, "karakoram:2008-09-14", "days_since_last")["value"])
    assert one(frame, "karakoram:2014-09-11", "missing_layers")["note"] == "text red, green, blue"
    assert one(frame, "karakoram", "never_clear_share")["value"] == 0.02
    text = rendered(frame, spec, tmp_path)
    assert (
        "| Karakoram (simulated): 2011-09-20 | simulated site (twin) | 0.750 | 1,101 | precipitation |"
        in text
    )


def test_a_site_of_one_date_has_no_series(world, tmp_path):
    write_json(tmp_path / "cube" / "cube.json", {"dates": ["2020-01-01"]})
    site = world["sites"][0] | {"folder": str(tmp_path)}
    with pytest.raises(HeadscarpError, match="tells no series of dates"):
        function_of("date_table")(spec_of(world, "date_table", sites=[site], runs=[]))
