"""Claims: the verdict of an interval, printed differences, tests from stored scores, names and files of the
plan, and the forest plot."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import f1_score

from headscarp.errors import HeadscarpError
from headscarp.exhibits.claims import COLUMNS, FEW_SEEDS, claims_table, write_claims
from headscarp.exhibits.forest_plot import forest_plot
from headscarp.exhibits.panels.figure import save
from headscarp.plan.checks import FLAT_METRICS, PIXEL_METRICS, check_claim
from headscarp.plan.paths import CLAIM_FIGURES, CLAIM_TABLES
from headscarp.plan.plan import load_plan
from headscarp.plan.read_shown import resolve_claim
from headscarp.scoring.claims import (
    CONTRADICTED,
    DECIDED,
    EQUIVALENT,
    INCONCLUSIVE,
    SUPPORTED,
    printed_effect,
)
from headscarp.scoring.classes import flat_metrics
from headscarp.scoring.histograms import CellHistograms
from headscarp.scoring.metric_names import METRICS
from headscarp.scoring.pixel import pixel_metrics
from tests.conftest import REPOSITORY

# --- verdicts and printed differences


PRINTED = [
    {"row": "a", "metric": "f1", "value": 95.04, "unit": "percent"},
    {"row": "b", "metric": "f1", "value": 92.27, "unit": "percent"},
    {"row": "c", "metric": "f1", "value": 0.9, "unit": "fraction"},
    {"row": "gain", "metric": "f1", "value": 6.9, "unit": "percentage points"},
    {"row": "size", "metric": "f1", "value": 12.0, "unit": "MB"},
    {"row": "word", "metric": "f1", "value": "relu", "unit": ""},
]


@pytest.mark.parametrize(
    ("rows", "expected"), [(["a", "b"], 0.0277), (["a", "c"], 0.0504), (["gain"], 0.069)]
)
def test_printed_differences_are_fractions_whatever_the_unit(rows, expected):
    assert printed_effect(PRINTED, rows, "f1", "here") == expected


@pytest.mark.parametrize(
    ("rows", "metric", "named"),
    [
        (["a", "bb"], "f1", "'b'"),
        (["a", "b"], "f11", "'f1'"),
        (["size"], "f1", "MB"),
        (["word"], "f1", "relu"),
    ],
)
def test_what_is_not_printed_is_an_error_that_names_it(rows, metric, named):
    with pytest.raises(HeadscarpError, match=named):
        printed_effect(PRINTED, rows, metric, "here")


def test_the_published_gain_of_factors_is_that_of_the_paper(real_data):
    """Section IV-C of gao2021 prints 2.77 (site 1) and 2.22 (site 2) points of F1."""
    table = pd.read_csv(real_data("published/tables.csv"))
    for name, gain in (("table7", 0.0277), ("table8", 0.0222)):
        records = (
            table[(table["paper"] == "gao2021") & (table["table"] == name)]
            .astype({"value": float})
            .to_dict("records")
        )
        assert printed_effect(records, ["fc_densenet+factors", "fc_densenet"], "f1", name) == gain


def test_metrics_of_claims_exist_and_more_of_each_is_better():
    perfect = pixel_metrics(np.array([0.9, 0.1, 0.1]), np.array([True, False, False]), 0.5)
    bad = pixel_metrics(np.array([0.1, 0.9, 0.1]), np.array([True, False, False]), 0.5)
    assert set(PIXEL_METRICS) == set(METRICS) - {"brier", "ece"}
    assert all(perfect[metric] > (bad[metric] or 0) for metric in PIXEL_METRICS)
    right, wrong = flat_metrics(np.diag([5] * 6)), flat_metrics(np.roll(np.diag([5] * 6), 1, axis=1))
    assert set(FLAT_METRICS) == set(right) - {"oe", "ce"}
    assert all(right[metric] > wrong[metric] for metric in FLAT_METRICS)


# --- tests from stored scores

CELLS, PIXELS = 30, 400


@pytest.fixture
def scene():
    """Truth and cells of the same pixels for all runs."""
    rng = np.random.default_rng(0)
    truth = rng.random(CELLS * PIXELS) < 0.2
    return truth, np.repeat(np.arange(CELLS), PIXELS)


def store(folder, scene, skill, seed, protocol="blocked", data="twin"):
    """A run's scores: probability is nearer the truth, the greater the skill. Returns the mapped
    landslides."""
    truth, cell = scene
    noise = np.random.default_rng(seed).normal(size=truth.size)
    probability = 1 / (1 + np.exp(-(np.where(truth, skill, -skill) + noise)))
    folder.mkdir(parents=True)
    np.savez(folder / "counts.npz", **CellHistograms.of(probability, truth, cell, 0.5).arrays())
    share = {"n_pixels": truth.size, "landslide_share": float(truth.mean())}
    metrics = pixel_metrics(probability, truth, 0.5)
    (folder / "scores.json").write_text(
        json.dumps(
            {
                "threshold": 0.5,
                "fold": 0,
                "converged": True,
                "crowded": False,
                "protocol": protocol,
                "data": data,
                "metrics": metrics,
            }
            | share
        )
    )
    return probability >= 0.5


def claim_of(runs, **changes):
    told = {
        "card": "paper",
        "claim": "better",
        "text": "One is better than two.",
        "place": "Table 1",
        "metric": "f1",
        "site": "here",
        "trained_on": "here",
        "data": "twin",
        "first": "one",
        "second": "two",
        "labels": ["Net one", "Net two"],
        "of_classes": False,
        "at_least": 0.0,
        "within": None,
        "decided": "",
        "published_effect": 0.1,
        "note": "",
        "runs": runs,
    }
    return told | changes


def record_of(*tests, left_out=()):
    return {
        "title": "Claims",
        "caption": "Tested.",
        "cards": {"paper": "A paper"},
        "tests": list(tests),
        "left_out": list(left_out),
    }


def test_effects_are_mean_differences_of_the_exact_scores_and_give_verdicts(tmp_path, scene):
    maps = {
        (row, seed): store(tmp_path / row / str(seed), scene, skill, 10 * seed + len(row))
        for row, skill in (("good", 2.0), ("poor", 0.8), ("like_good", 2.0))
        for seed in range(3)
    }
    folders = {
        row: [str(tmp_path / row / str(seed)) for seed in range(3)] for row in ("good", "poor", "like_good")
    }
    pairs = [("good", "poor"), ("poor", "good"), ("good", "like_good")]
    table = claims_table(
        record_of(
            *(
                claim_of({"blocked": [folders[one], folders[two]]}, first=one, second=two)
                for one, two in pairs
            )
        )
    )
    assert list(table.columns) == COLUMNS
    assert list(table["verdict"][:2]) == [SUPPORTED, CONTRADICTED]
    assert table["verdict"][2] in (INCONCLUSIVE, EQUIVALENT)
    f1 = {row: np.mean([f1_score(scene[0], maps[row, seed]) for seed in range(3)]) for row in folders}
    assert table["effect"].to_numpy() == pytest.approx([f1[one] - f1[two] for one, two in pairs])
    assert (table["ci_low"] < table["effect"]).all() and (table["effect"] < table["ci_high"]).all()
    assert set(table["n_seeds"]) == {3} and not table["note"].any()


def test_a_training_that_stopped_before_its_plateau_proves_nothing(tmp_path, scene):
    for row, skill in (("one", 2.0), ("two", 0.8)):
        for seed in range(3):
            store(tmp_path / row / str(seed), scene, skill, 10 * seed + len(row))
    runs = {"blocked": [[str(tmp_path / row / str(seed)) for seed in range(3)] for row in ("one", "two")]}
    assert claims_table(record_of(claim_of(runs)))["verdict"].tolist() == [SUPPORTED]
    path = tmp_path / "two/1/scores.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"converged": False}))
    line = claims_table(record_of(claim_of(runs))).iloc[0]
    assert line["verdict"] == INCONCLUSIVE and line["ci_low"] > 0
    assert "1 of 6 trainings stopped before their plateau" in line["note"]


def test_folds_are_pooled_whatever_the_seed(tmp_path, scene):
    """Each seed tests other ground: the effect is that of all ground, not the mean of the folds."""
    rng = np.random.default_rng(3)
    truths, maps = [], {"one": [], "two": []}
    for seed, share in enumerate((0.05, 0.2, 0.4)):
        truth = rng.random(CELLS * PIXELS) < share
        truths.append(truth)
        for row, skill in (("one", 2.0), ("two", 0.8)):
            folder = tmp_path / row / str(seed)
            maps[row].append(store(folder, (truth, scene[1]), skill, 10 * seed + len(row)))
            scores = json.loads((folder / "scores.json").read_text()) | {"fold": seed}
            (folder / "scores.json").write_text(json.dumps(scores))
    runs = {"blocked": [[str(tmp_path / row / str(seed)) for seed in range(3)] for row in ("one", "two")]}
    line = claims_table(record_of(claim_of(runs))).iloc[0]
    pooled = [f1_score(np.concatenate(truths), np.concatenate(maps[row])) for row in ("one", "two")]
    assert line["effect"] == pytest.approx(pooled[0] - pooled[1])
    assert line["ci_low"] < line["effect"] < line["ci_high"]


def test_runs_of_several_classes_are_judged_on_their_confusion_matrices(tmp_path, scene):
    confusions = {}
    for row, right in (("one", 80), ("two", 60)):
        store(tmp_path / row, scene, 1.0, 0)
        confusion = np.full((CELLS, 6, 6), 4, np.int32)
        confusion[:, range(6), range(6)] = right
        confusion[:, :, 0] += 100 - confusion.sum(axis=2)  # every class has as many pixels in both
        np.savez(tmp_path / row / "counts.npz", confusion=confusion)
        confusions[row] = confusion.sum(axis=0)
    runs = {"blocked": [[str(tmp_path / "one")] * 3, [str(tmp_path / "two")] * 3]}
    line = claims_table(record_of(claim_of(runs, metric="oa", of_classes=True))).iloc[0]
    expected = [np.trace(confusions[row]) / confusions[row].sum() for row in ("one", "two")]
    assert line["effect"] == pytest.approx(expected[0] - expected[1]) and line["verdict"] == SUPPORTED
    few = claims_table(
        record_of(claim_of({"blocked": [one[:2] for one in runs["blocked"]]}, metric="oa", of_classes=True))
    ).iloc[0]
    assert few["note"] == FEW_SEEDS and few["verdict"] == INCONCLUSIVE and few["ci_low"] > 0


def test_what_has_no_interval_is_inconclusive_and_says_why(tmp_path, scene):
    truth = scene[0]
    single = truth, np.zeros(truth.size, int)
    for row, skill in (("one", 2.0), ("two", 0.5)):
        store(tmp_path / row, single, skill, 0)
    runs = {"blocked": [[str(tmp_path / "one")], [str(tmp_path / "two")]]}
    line = claims_table(record_of(claim_of(runs))).iloc[0]
    assert line["effect"] > 0 and np.isnan(line["ci_low"]) and line["verdict"] == INCONCLUSIVE
    assert "no interval: too few blocks" in line["note"] and FEW_SEEDS in line["note"]
    scores = json.loads((tmp_path / "one/scores.json").read_text())
    scores["metrics"] = dict.fromkeys(scores["metrics"])
    (tmp_path / "one/scores.json").write_text(json.dumps(scores))
    line = claims_table(record_of(claim_of(runs))).iloc[0]
    assert np.isnan(line["effect"]) and line["verdict"] == INCONCLUSIVE and "undefined" in line["note"]


def test_what_the_simulation_decides_gets_no_verdict_but_shows_its_effect(tmp_path, scene):
    """The same scores judged as usual and as those of a simulation that builds the effect in."""
    for row, skill in (("one", 2.0), ("two", 0.8)):
        for seed in range(3):
            store(tmp_path / row / str(seed), scene, skill, seed)
    runs = {"blocked": [[str(tmp_path / row / str(seed)) for seed in range(3)] for row in ("one", "two")]}
    few = {"blocked": [side[:1] for side in runs["blocked"]]}
    tests = [
        claim_of(runs),
        claim_of(runs, claim="built_in", decided="slides are built steep"),
        claim_of(few, claim="built_in_too", decided="slides are built steep"),
    ]
    frame = claims_table(record_of(*tests))
    assert list(frame["verdict"]) == [SUPPORTED, DECIDED, DECIDED]
    assert frame["effect"][1] == frame["effect"][0] > 0 and frame["ci_low"][1] == frame["ci_low"][0]
    assert set(frame["note"][1:]) == {f"{DECIDED}: slides are built steep"}
    write_claims(frame, record_of(*tests), tmp_path / "c.csv", tmp_path / "c.md", tmp_path / "c.html")
    page = (tmp_path / "c.md").read_text()
    assert f"0 inconclusive, 2 {DECIDED}" in page and f"]; {DECIDED}" in page
    assert "Decided by the simulation: slides are built steep: paper built_in on here" in page
    legend = [text.get_text() for text in forest_plot(frame, record_of(*tests)).legends[0].get_texts()]
    assert DECIDED in legend


def test_runs_scored_on_other_pixels_or_data_are_refused(tmp_path, scene):
    store(tmp_path / "one", scene, 2.0, 0)
    store(tmp_path / "two", (~scene[0], scene[1]), 2.0, 0)
    store(tmp_path / "real", scene, 2.0, 0, data="real")
    for other in ("two", "real"):
        with pytest.raises(HeadscarpError, match="score"):
            claims_table(record_of(claim_of({"blocked": [[str(tmp_path / "one")], [str(tmp_path / other)]]})))


def test_a_selection_without_claims_is_one_clear_sentence():
    with pytest.raises(HeadscarpError, match="add a paper to `cards`"):
        claims_table(record_of())


# --- what people read


def written(tmp_path, scene):
    for protocol in ("published", "blocked"):
        for row, skill in (("one", 2.0), ("two", 0.8)):
            for seed in range(3):
                store(tmp_path / protocol / row / str(seed), scene, skill, seed, protocol)
    for seed in range(3):
        store(tmp_path / "real/one" / str(seed), scene, 1.0, seed, data="real")
        store(tmp_path / "real/two" / str(seed), scene, 1.5, seed, data="real")
    runs = {
        name: [[str(tmp_path / name / row / str(seed)) for seed in range(3)] for row in ("one", "two")]
        for name in ("published", "blocked", "real")
    }
    record = record_of(
        claim_of({key: runs[key] for key in ("published", "blocked")}),
        claim_of(
            {"blocked": runs["real"]}, site="there", trained_on="here", data="real", published_effect=None
        ),
        left_out=["Tests on runs of far are left out."],
    )
    return claims_table(record), record


def test_both_protocols_of_a_test_stand_in_one_line_beside_the_printed_effect(tmp_path, scene):
    frame, record = written(tmp_path, scene)
    write_claims(frame, record, tmp_path / "c.csv", tmp_path / "c.md", tmp_path / "c.html")
    lines = [line for line in (tmp_path / "c.md").read_text().splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 2
    assert (
        lines[2].count(SUPPORTED) == 2
        and "+0.100" in lines[2]
        and "One is better than two. (Table 1)" in lines[2]
    )
    assert CONTRADICTED in lines[3] and "here → there" in lines[3] and "One is better" not in lines[3]
    assert "Tests on runs of far are left out." in (tmp_path / "c.html").read_text()
    assert "blocked, real: 0 supported, 1 contradicted, 0 no difference" in (tmp_path / "c.md").read_text()
    stored = pd.read_csv(tmp_path / "c.csv")
    assert list(stored.columns) == COLUMNS and len(stored) == 3


def test_the_forest_plot_shows_every_line_by_verdict_and_protocol(tmp_path, scene):
    frame, record = written(tmp_path, scene)
    figure = forest_plot(frame, record)
    axes = figure.axes[0]
    marks = [
        (line.get_marker(), line.get_markerfacecolor() != "white", float(line.get_xdata()[0]))
        for line in axes.lines
        if line.get_marker() != "None"
    ]
    assert [(marker, filled) for marker, filled, _ in marks] == [("^", False), ("^", True), ("v", True)]
    assert [where for *_, where in marks] == pytest.approx(frame["effect"].tolist())
    low, high = axes.get_xlim()
    assert low < frame["ci_low"].min() and high > frame["ci_high"].max()
    save(figure, tmp_path / "c.png", tmp_path / "c.pdf")
    assert (tmp_path / "c.png").stat().st_size > 10_000


# --- the plan

CONFIG = {"cards": ["gao2021"], "scale": "standard"}
CARDS = ("gao2021", "iburi2018", "zhang2024", "xia2021", "sichuan_aerial", "sichuan_dubai", "ecuador")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The workflow with a few of its cards, so that a plan is made at once."""
    folder = tmp_path_factory.mktemp("root")
    shutil.copytree(
        REPOSITORY / "workflow", folder / "workflow", ignore=shutil.ignore_patterns("__pycache__")
    )
    for card in (folder / "workflow" / "cards").glob("*.yaml"):
        if card.stem not in CARDS:
            card.unlink()
    return folder


@pytest.fixture(scope="module")
def plan(root):
    return load_plan(CONFIG, root)


@pytest.mark.parametrize("name", ["gao2021", "zhang2024", "xia2021", "stfusion", "xing2026"])
def test_every_paper_makes_at_least_four_claims_with_their_places(name):
    claims = yaml.safe_load((REPOSITORY / "workflow" / "cards" / f"{name}.yaml").read_text())["claims"]
    assert len(claims) >= 4 and all(claim["text"] and claim["place"] for claim in claims.values())


def test_claims_ask_for_the_runs_of_selected_cards_only_and_say_what_is_left_out(plan):
    files, record = plan.claims.inputs, plan.claims.record
    assert plan.claims.targets == [*CLAIM_TABLES, *CLAIM_FIGURES]
    assert files and all(file.startswith("results/runs/gao2021/") for file in files)
    assert {file.rsplit("/", 1)[1] for file in files} == {"scores.json", "counts.npz"}
    assert {test["site"] for test in record["tests"]} == {"zigui", "jiuzhaigou"}
    assert any(
        "iburi2018" in line and "not selected" in line and "factors" in line for line in record["left_out"]
    )
    assert any("Claims of zhang2024 are not tested" in line for line in record["left_out"])
    test = next(test for test in record["tests"] if test["claim"] == "factors")
    assert test["published_effect"] == 0.0277
    assert test["runs"]["blocked"][0] == [
        f"results/runs/gao2021/zigui/fc_densenet+factors/blocked/seed{seed}/zigui" for seed in (0, 1, 2)
    ]


def test_runs_of_another_selected_card_keep_its_protocols_and_seeds(plan):
    both = replace(plan, selected=("gao2021", "iburi2018"))
    tests = [test for test in both.claims.record["tests"] if test["site"] == "iburi"]
    assert tests and all(test["data"] == "real" and list(test["runs"]) == ["blocked"] for test in tests)
    assert all(
        len(side) == len(plan.cards["iburi2018"].seeds) for test in tests for side in test["runs"]["blocked"]
    )


def test_claims_of_six_classes_read_confusion_matrices_also_of_the_target(plan):
    of_classes = replace(plan, selected=("xia2021",))
    files = of_classes.claims.inputs
    assert {file.rsplit("/", 1)[1] for file in files} == {"scores.json", "counts.npz"}
    assert "results/runs/xia2021/mangkam/rae_d/blocked/seed0/jiuzhaigou_vhr/counts.npz" in files
    transfer = next(test for test in of_classes.claims.record["tests"] if test["claim"] == "transfer")
    assert (transfer["site"], transfer["trained_on"]) == ("jiuzhaigou_vhr", "mangkam")


def test_only_tests_on_simulated_sites_are_decided_by_the_simulation(plan):
    """A claim that a generator builds in is judged as usual on the real sites that test it."""
    both = replace(plan, selected=("gao2021", "iburi2018"))
    tests = [test for test in both.claims.record["tests"] if test["claim"] == "factors"]
    assert {(test["data"], bool(test["decided"])) for test in tests} == {("twin", True), ("real", False)}
    others = [test for test in both.claims.record["tests"] if test["claim"] == "dense_above_unet"]
    assert others and not any(test["decided"] for test in others)


def test_cards_without_claims_ask_for_no_verdict(plan):
    assert replace(plan, selected=("ecuador",)).claims.targets == []


def test_a_card_whose_claims_hold_a_wrong_name_is_refused_when_the_plan_is_made(root):
    change = {"claims": {"factors": {"metric": "f11"}}}
    with pytest.raises(
        HeadscarpError, match="card gao2021, claim factors: metric 'f11' does not exist; did you mean 'f1'"
    ):
        load_plan(CONFIG | {"overlay": {"gao2021": change}}, root)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"tests": [{"site": "zigu", "rows": ["unet", "segnet"]}]}, "'zigui'"),
        ({"tests": [{"site": "zigui", "rows": ["unet", "segnett"]}]}, "'segnet'"),
        ({"tests": [{"card": "iburi", "site": "iburi", "rows": ["unet", "segnet"]}]}, "'iburi2018'"),
        ({"tests": [{"site": "zigui", "target": "jiuzhaigo", "rows": ["unet", "segnet"]}]}, "'jiuzhaigou'"),
        ({"metric": "brier"}, "metric 'brier'"),  # less of it is better
        (
            {"tests": [{"site": "zigui", "rows": ["unet", "segnet"], "published": {"table": "table77"}}]},
            "'table7'",
        ),
        (
            {"tests": [{"site": "zigui", "rows": ["unet", "segnet"], "published": {"table": "table9"}}]},
            "metric 'f1'",
        ),
        ({"tests": [{"card": "ecuador", "site": "ecuador", "rows": ["unet", "small"]}]}, "'unet'"),
        (
            {"tests": [{"card": "zhang2024", "site": "wulingyuan", "rows": ["small", "large"]}]},
            "windows of pixels",
        ),
        (
            {"tests": [{"card": "xia2021", "site": "mangkam", "rows": ["fstf_net", "rae_d"]}]},
            "'landslide_f1'|known are",
        ),
    ],
)
def test_a_claim_with_a_wrong_name_is_one_error_with_the_nearest_name(plan, change, named):
    record = {
        "text": "",
        "place": "",
        "metric": "f1",
        "tests": [{"site": "zigui", "rows": ["unet", "segnet"]}],
    } | change
    claim = resolve_claim("gao2021", "wrong", record)
    with pytest.raises(HeadscarpError, match=f"card gao2021, claim wrong.*({named})"):
        check_claim(claim, claim.tests[0], plan.cards)
