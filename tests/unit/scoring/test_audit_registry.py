"""The registry of checks: every name that a card gives a check is one that a table prints, what a check finds
in invented tables of known confusion matrices, and that the command is one of the checks."""

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import optimize
from sklearn import metrics as sk

from headscarp.errors import HeadscarpError
from headscarp.plan.plan import load_plan
from headscarp.scoring.audit.findings import Finding, Recomputed
from headscarp.scoring.audit.registry import CHECKS, require_printed, run_checks
from headscarp.scoring.audit.scores import audit_table
from tests.conftest import REPOSITORY

PLACE = "card doe2027, audit"
TRUTH, MAPPED = np.array([1, 0, 1, 0]), np.array([1, 1, 0, 0])
MACRO = {
    "accuracy": "accuracy",
    "precision": "macro_precision",
    "recall": "macro_recall",
    "f1": "macro_f1",
    "miou": "miou",
}


def scores_of(counts: tuple[int, ...], average: str = "binary") -> dict[str, float]:
    """Scores by scikit-learn of a confusion matrix (tp, fp, fn, tn)."""
    same = {"sample_weight": counts}
    precision, recall, f1, _ = sk.precision_recall_fscore_support(TRUTH, MAPPED, average=average, **same)
    return {
        "accuracy": sk.accuracy_score(TRUTH, MAPPED, **same),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "kappa": sk.cohen_kappa_score(TRUTH, MAPPED, **same),
        "miou": sk.jaccard_score(TRUTH, MAPPED, average="macro", **same),
    }


def table_of(places: int = 4, **rows: dict[str, float]) -> list[dict[str, Any]]:
    """A published table, printed with so many decimal places of fractions."""
    return [
        {"row": row, "metric": metric, "value": float(text), "printed": text, "unit": "fraction"}
        for row, numbers in rows.items()
        for metric, value in numbers.items()
        for text in [f"{value:.{places}f}"]
    ]


def findings_of(published: dict, **check: Any) -> list[Finding]:
    return [one for one in run_checks([check], published, PLACE) if isinstance(one, Finding)]


def by_row(findings: list[Finding], quantity: str) -> dict[str, Finding]:
    return {one.row: one for one in findings if one.quantity == quantity}


# --- names


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_is_a_function_with_the_parameters_that_the_schema_and_its_reads_have(name):
    function = getattr(import_module(f"headscarp.scoring.audit.{CHECKS[name].module}"), name)
    path = REPOSITORY / "workflow" / "schemas" / "audit.schema.yaml"
    items = yaml.safe_load(path.read_text(encoding="utf-8"))["properties"]["checks"]["items"]
    (variant,) = [one for one in items["oneOf"] if one["properties"]["check"]["const"] == name]
    published, *parameters = inspect.signature(function).parameters
    assert published == "published"
    assert parameters == list(inspect.signature(CHECKS[name].reads).parameters)
    assert {"check", *parameters} == variant["properties"].keys() == set(variant["required"])


def test_the_schema_has_no_check_that_is_not_registered():
    path = REPOSITORY / "workflow" / "schemas" / "audit.schema.yaml"
    items = yaml.safe_load(path.read_text(encoding="utf-8"))["properties"]["checks"]["items"]
    assert {one["properties"]["check"]["const"] for one in items["oneOf"]} == CHECKS.keys()


def shipped() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Card, check and published tables of all checks of all shipped cards."""
    for card in load_plan({"cards": ["gao2021"], "scale": "tiny"}, REPOSITORY).cards.values():
        for check in card.audit.get("checks", []):
            yield card.name, check, card.published


def misspelt(value: Any) -> Iterator[tuple[Any, str, str]]:
    """The value with each of its names misspelt once, the name and what became of it; keys of `columns` are
    headings of a table."""
    if isinstance(value, str):
        yield value + "x", value, value + "x"
    elif isinstance(value, dict):
        for key, one in value.items():
            if key == "columns":
                for heading in one:
                    wrong = {heading + "x" if name == heading else name: to for name, to in one.items()}
                    yield value | {key: wrong}, heading, heading + "x"
            else:
                yield from ((value | {key: changed}, *names) for changed, *names in misspelt(one))


def test_every_misspelt_name_of_every_shipped_check_is_refused_with_the_nearest():
    refused = 0
    for card, check, published in shipped():
        require_printed(check, published, card)
        for changed, name, wrong in misspelt(check):
            said = f"'{re.escape(wrong)}'.*did you mean '{re.escape(name)}'"
            with pytest.raises(HeadscarpError, match=rf"^{card}\b.*{said}\?$"):
                require_printed(changed, published, card)
            refused += 1
    print(f"{refused} misspelt names refused")
    assert refused > 60


def overlaid(tmp_path, monkeypatch, card: str, change: dict, beside: tuple[str, ...] = ()) -> None:
    monkeypatch.chdir(tmp_path)
    load_plan({"cards": [*beside, card], "scale": "tiny", "overlay": {card: change}}, REPOSITORY)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"audit": {"item": 5}}, r"^card xing2026, audit: item 5 is that of the overlap .*; take 6$"),
        ({"audit": {"item": 3}}, r"^card xing2026, audit: item 3 is that of card xia2021; take 6$"),
        (
            {"audit": {"checks": [{"check": "f1_and_miou", "table": "abstract_fusion"}]}},
            r"^card xing2026, audit, check 1 \(f1_and_miou\), abstract_fusion, multi_source_minus_optical: "
            r"metric 'f1' does not exist; known are: cpa_gain, f1_gain, ",
        ),
        ({"audit": {"itme": 6}}, r"unknown key 'itme'; did you mean 'item'\?$"),
    ],
)
def test_an_audit_is_checked_before_any_job(tmp_path, monkeypatch, change, message):
    with pytest.raises(HeadscarpError, match=message):
        overlaid(tmp_path, monkeypatch, "xing2026", change, beside=("xia2021",))


def test_cards_that_are_not_shown_together_may_have_the_same_item(tmp_path, monkeypatch):
    overlaid(tmp_path, monkeypatch, "xing2026", {"audit": {"item": 3}})


def test_an_exhibit_of_an_audit_needs_one(tmp_path, monkeypatch):
    exhibit = {"kind": "audit", "title": "Audit", "caption": "None.", "sites": ["iburi"]}
    site = next(
        iter(load_plan({"cards": ["iburi2018"], "scale": "tiny"}, REPOSITORY).cards["iburi2018"].sites)
    )
    with pytest.raises(
        HeadscarpError, match="exhibit audit: it shows the checks of the card's `audit` section"
    ):
        overlaid(tmp_path, monkeypatch, "iburi2018", {"exhibits": {"audit": exhibit | {"sites": [site]}}})


# --- what checks find in tables whose truth is known

FIRST, SECOND = (60, 12, 40, 9888), (80, 30, 20, 9870)  # 1 % landslides


def test_true_rows_of_one_test_set_are_consistent_and_told_beside_the_area():
    rows = {"unet": scores_of(FIRST), "mine": scores_of(SECOND)}
    # kappa and mIoU have more places than rounding leaves to them
    for slides, said in ((1.0, "so the whole area was scored"), (3.0, "so other pixels than the whole area")):
        areas = {"valley": {"landslide_area_km2": slides, "study_area_km2": 100.0}}
        published = {"table1": table_of(**areas), "table2": table_of(places=6, **rows)}
        found = findings_of(
            published, check="confusion_matrix", table="table2", area={"table": "table1", "row": "valley"}
        )
        share = by_row(found, "implied_landslide_share")["all rows"]
        assert share.value == pytest.approx(0.01, abs=1e-4) and share.expected == slides / 100
        assert said in share.explanation
        assert {one.verdict for one in found} == {"consistent"}
    wrong = published | {"table2": table_of(places=6, **rows | {"mine": rows["mine"] | {"kappa": 0.9}})}
    found = findings_of(
        wrong, check="confusion_matrix", table="table2", area={"table": "table1", "row": "valley"}
    )
    assert by_row(found, "recomputed_kappa")["mine"].verdict == "inconsistent"
    assert by_row(found, "recomputed_miou")["mine"].verdict == "consistent"


def test_a_gain_is_split_between_network_and_factors():
    kappa = {"unet": 0.6, "net": 0.7, "net+factors": 0.85}
    published = {"table1": table_of(**{row: {"kappa": value} for row, value in kappa.items()})}
    check = {"check": "gain_by_factors", "table": "table1", "metric": "kappa"}
    found = findings_of(published, **check, proposed="net", with_factors="net+factors")
    assert {one.quantity: round(one.value, 9) for one in found if one.row == "unet"} == {
        "kappa_gain_claimed_points": 25,
        "kappa_gain_like_for_like_points": 10,
        "kappa_gain_inputs_points": 15,
    }


def test_gains_in_the_text_are_held_against_the_table():
    rows = {"net": {"accuracy": 0.9942, "f1": 0.9504}, "unet": {"accuracy": 0.9908, "f1": 0.9225}}
    text = {"over_unet": {"accuracy": 0.00034, "f1": 0.0279}}
    published = {"table7": table_of(**rows), "said": table_of(places=5, **text)}
    check = {
        "check": "stated_gains",
        "table": "table7",
        "text": "said",
        "gains": {"over_unet": ["net", "unet"]},
    }
    accuracy, f1 = findings_of(published, **check)
    assert (accuracy.value, accuracy.expected) == pytest.approx((0.34, 0.034))
    assert accuracy.verdict == "inconsistent" and "one decimal place off" in accuracy.explanation
    assert f1.verdict == "consistent" and f1.low <= 2.79 <= f1.high
    (turned,) = (
        one
        for one in findings_of(published | {"said": table_of(over_unet={"f1": 0.0297})}, **check)
        if one.quantity == "f1_gain_stated_points"
    )
    assert turned.verdict == "inconsistent" and "the same digits in another order" in turned.explanation
    # What rounding of three printed numbers leaves is no fault.
    near = published | {"said": table_of(over_unet={"f1": 0.0280})}
    assert {one.verdict for one in findings_of(near, **check)} == {"consistent"}
    with pytest.raises(HeadscarpError, match="'kapa'"):
        findings_of(published | {"said": table_of(over_unet={"kapa": 0.1})}, **check)


def test_the_area_of_a_site_may_be_that_of_its_image():
    site = {"rows": 600.0, "cols": 1000.0, "resolution_m": 10.0, "study_area_km2": 45.0}
    for stated, verdicts in ((60.0, ("consistent", "inconsistent")), (45.0, ("inconsistent", "consistent"))):
        published = {"table1": table_of(valley=site | {"scene_area_km2": stated})}
        found = findings_of(published, check="scene_area", table="table1")
        assert tuple(one.verdict for one in found) == verdicts
        assert [one.value for one in found] == pytest.approx([60.0, 0.75])


@pytest.mark.parametrize(("average", "verdict"), [("macro", "mislabelled"), ("binary", "consistent")])
def test_headings_are_mislabelled_only_where_they_hold_means(average, verdict):
    rows = {"unet": scores_of(FIRST, average), "mine": scores_of((120, 30, 40, 1810), average)}
    published = {"table1": table_of(places=3, **rows)}
    found = findings_of(published, check="headings", table="table1", columns=MACRO)
    errors = by_row(found, "error_macro")
    assert {one.verdict for one in errors.values()} == {verdict}
    assert "when all columns are means over both classes; as headed" in errors["unet"].explanation
    if average == "macro":
        truth = scores_of(FIRST)["f1"]
        assert by_row(found, "implied_landslide_f1")["unet"].value == pytest.approx(truth, abs=0.02)


def test_no_true_row_is_called_inconsistent_and_a_false_one_is():
    # Of this row the search for the nearest matrix stops at one that is 0.005 off.
    row = scores_of(SECOND, "macro")
    published = {"table1": table_of(places=3, mine=row, never=row | {"accuracy": 0.9, "miou": 0.95})}
    found = by_row(findings_of(published, check="headings", table="table1", columns=MACRO), "error_macro")
    assert found["mine"].verdict in ("mislabelled", "noted")
    assert found["never"].verdict == "inconsistent"


def test_a_row_of_another_test_set_stands_out():
    many = (2000, 300, 1000, 6700)
    rows = {"a": FIRST, "b": SECOND, "c": (70, 20, 30, 9880), "other": many}
    published = {"table1": table_of(**{row: scores_of(counts, "macro") for row, counts in rows.items()})}
    found = findings_of(published, check="one_test_set", table="table1", columns=MACRO)
    assert {one.row: one.verdict for one in found} == dict.fromkeys("abc", "noted") | {
        "other": "other test set"
    }


def test_extraction_scores_that_follow_are_consistent():
    tp, fp, fn, _ = FIRST
    dp, ce = tp / (tp + fn), fp / (tp + fp)
    row = {"dp": dp, "qp": tp / (tp + fp + fn), "oe": 1 - dp, "ce": ce}
    check = {"check": "extraction", "table": "table2", "places": 3}
    published = {"table1": table_of(places=3, unet={"landslide": 1 - ce})}
    same = {"precision": {"table": "table1", "metric": "landslide"}}
    found = findings_of(published | {"table2": table_of(places=3, unet=row)}, **check, **same)
    assert {one.verdict for one in found} == {"consistent"} and {one.row for one in found} == {
        "unet",
        "all rows",
    }
    wrong = table_of(places=3, unet=row | {"qp": row["qp"] + 0.05})
    found = findings_of(published | {"table2": wrong}, **check, **same)
    (largest,) = [one for one in found if one.row == "all rows"]
    assert largest.verdict == "inconsistent" and largest.value == pytest.approx(0.05, abs=0.002)


def test_f1_and_miou_of_one_matrix_are_possible_and_a_higher_miou_is_not():
    row = scores_of(FIRST)
    published = {"table1": table_of(unet=row, mine=row | {"miou": 0.95})}
    found = by_row(findings_of(published, check="f1_and_miou", table="table1"), "needed_background_iou")
    assert {row: one.verdict for row, one in found.items()} == {"unet": "possible", "mine": "impossible"}
    background = sk.jaccard_score(TRUTH, MAPPED, pos_label=0, sample_weight=FIRST)
    assert found["unet"].value == pytest.approx(background, abs=2e-4)


def test_the_share_that_accuracy_and_f1_leave_holds_the_truth():
    row = {"pa": scores_of(FIRST)["accuracy"], "f1": scores_of(FIRST)["f1"]}
    check = {"check": "accuracy_and_f1", "table": "table1", "accuracy": "pa", "places": 3}
    published = {"table1": table_of(places=3, unet=row, never={"pa": 0.2, "f1": 0.9})}
    found = by_row(findings_of(published, **check), "implied_landslide_share")
    assert found["unet"].low <= 0.01 <= found["unet"].high
    assert found["never"].verdict == "impossible" and found["never"].value is None


def test_the_other_reading_of_a_sentence_deals_its_numbers_row_by_row():
    """PA of 92.8, 91.3 and F1 of 83.2, 80.0 read the other way are (92.8, 91.3) and (83.2, 80.0)."""
    check = {"table": "table1", "accuracy": "pa", "places": 3}
    columns = {"one": {"pa": 0.928, "f1": 0.832}, "two": {"pa": 0.913, "f1": 0.8}}
    rows = {"one": {"pa": 0.928, "f1": 0.913}, "two": {"pa": 0.832, "f1": 0.8}}
    read = findings_of({"table1": table_of(places=3, **columns)}, check="accuracy_and_f1_by_row", **check)
    expected = findings_of({"table1": table_of(places=3, **rows)}, check="accuracy_and_f1", **check)
    assert [one.low for one in read] == [one.low for one in expected]
    assert {one.quantity for one in read} == {"implied_landslide_share_read_by_row"}


GAINS = {"accuracy": "pa", "precision": "cpa", "f1": "f", "miou": "iou"}


@pytest.mark.parametrize("seed", range(6))
def test_gains_of_two_known_maps_are_possible_at_their_accuracy(seed):
    """scikit-learn's scores of two confusion matrices of the same pixels, the second better in all four."""
    rng = np.random.default_rng(seed)
    scores = []
    while len(scores) < 2 or any(scores[1][metric] - scores[0][metric] < 0.01 for metric in GAINS):
        slides = int(rng.integers(50, 600))
        tp, fp = rng.integers(1, slides, 2), rng.integers(1, 1000 - slides, 2)
        counts = [(t, f, slides - t, 1000 - slides - f) for t, f in zip(tp, fp, strict=True)]
        scores = [scores_of(one) for one in counts]
    gains = {column: scores[1][metric] - scores[0][metric] for metric, column in GAINS.items()}
    accuracy = scores[1]["accuracy"]
    for printed, verdict in ((accuracy, "possible"), (1.5, "inconsistent")):
        published = {"table1": table_of(better=gains), "table2": table_of(better={"pa": printed})}
        check = {"table": "table1", "gains": GAINS, "accuracy": {"table": "table2", "metric": "pa"}}
        (found,) = findings_of(published, check="gains_together", places=4, **check)
        assert found.verdict == verdict
        assert found.high > accuracy - 0.005  # the grid's step


def test_gains_that_no_two_maps_have_are_impossible():
    published = {
        "table1": table_of(x={"pa": 0.5, "cpa": 0.01, "f": 0.01, "iou": 0.9}),
        "table2": table_of(x={"pa": 0.9}),
    }
    check = {"table": "table1", "gains": GAINS, "accuracy": {"table": "table2", "metric": "pa"}}
    (found,) = findings_of(published, check="gains_together", places=4, **check)
    assert found.verdict == "impossible" and found.value is None


def test_no_pair_of_maps_with_the_gains_of_xing2026_is_as_accurate_as_its_abstract_prints():
    """An optimiser (SciPy's SLSQP) looks for the most accurate such pair from many starts, over share, recall
    and false alarms of both maps; it finds none above what the check found, and comes near it."""
    card = load_plan({"cards": ["xing2026"], "scale": "tiny"}, REPOSITORY).cards["xing2026"]
    (check,) = [one for one in card.audit["checks"] if one["check"] == "gains_together"]
    (found,) = findings_of(card.published, **check)
    gains = {line["metric"]: line["value"] / 100 for line in card.published["abstract_fusion"]}
    wanted = [gains[check["gains"][metric]] for metric in ("accuracy", "precision", "f1", "miou")]

    def scores(share: float, recall: float, false: float) -> np.ndarray:
        tp, fp = share * recall, (1 - share) * false
        fn, tn = share - tp, 1 - share - fp
        ious = tp / (tp + fp + fn), tn / (tn + fp + fn)
        return np.array([tp + tn, tp / (tp + fp), 2 * tp / (2 * tp + fp + fn), sum(ious) / 2])

    def beyond(x: np.ndarray) -> np.ndarray:
        return scores(x[0], x[3], x[4]) - scores(x[0], x[1], x[2]) - wanted

    rng, best = np.random.default_rng(0), 0.0
    for _ in range(60):
        result = optimize.minimize(
            lambda x: -scores(x[0], x[3], x[4])[0],
            rng.uniform(0.02, 0.98, 5),
            method="SLSQP",
            bounds=[(1e-3, 1 - 1e-3)] * 5,
            constraints={"type": "eq", "fun": beyond},
            options={"maxiter": 300},
        )
        if result.success and np.abs(beyond(result.x)).max() < 1e-6:
            best = max(best, -result.fun)
    assert found.low - 0.003 < best < found.high
    assert found.value == pytest.approx(best, abs=0.003)
    assert found.verdict == "inconsistent" and found.high < 0.67 < found.expected


def test_a_map_without_landslides_is_set_beside_the_best_trial():
    macro = scores_of(FIRST, "macro")
    for best, verdict in ((0.991, "noted"), (0.999, "noted"), (1.0, "noted"), (1.02, "inconsistent")):
        trials = table_of(one={"accuracy": 0.3}, two={"accuracy": best})
        published = {"table1": trials, "table2": table_of(unet=macro)}
        source = {"table": "table2", "row": "unet", "columns": MACRO}
        check = {"check": "all_background", "table": "table1", "background_accuracy": 0.99, "source": source}
        (found,) = findings_of(published, **check)
        assert found.value == pytest.approx(0.99, abs=2e-3) and found.verdict == verdict


# --- the check of any table, which is the command


def test_the_check_of_any_table_finds_what_the_command_finds():
    right, wrong = scores_of(FIRST), scores_of(SECOND)
    rows = {"unet": right, "mine": wrong | {"f1": wrong["f1"] + 0.05}}
    published = {"table1": table_of(**rows)}
    found = list(run_checks([{"check": "scores", "table": "table1"}], published, PLACE))
    frame = pd.DataFrame(
        [
            {"model": row} | {name: f"{value:.4f}" for name, value in numbers.items()}
            for row, numbers in rows.items()
        ]
    )
    of_command = audit_table(frame)
    findings = [one for one in found if isinstance(one, Finding)]
    assert [(one.row, one.verdict, one.low, one.high, one.expected) for one in findings] == [
        (
            one["row"] or "all rows",
            "noted" if one["verdict"] == "note" else one["verdict"],
            one["low"],
            one["high"],
            one["printed"],
        )
        for one in of_command
    ]
    said = {one.row: one.text for one in found if isinstance(one, Recomputed) and one.quantity == "verdict"}
    assert said == {"table1:unet": "consistent", "table1:mine": "impossible"}


def test_printed_digits_and_percent_are_kept():
    cells = {"precision": "83.30", "recall": "60.00", "f1": "69.76"}
    rows = [
        {"row": "unet", "metric": name, "value": float(text), "printed": text, "unit": "percent"}
        for name, text in cells.items()
    ]
    found = findings_of({"table1": rows}, check="scores", table="table1")
    assert any(one.explanation.startswith("percent") for one in found)
    assert by_row(found, "row")["unet"].verdict == "consistent"
    rows[2] |= {"value": 69.8, "printed": "69.80"}  # with one place less it would be right
    found = findings_of({"table1": rows}, check="scores", table="table1")
    assert by_row(found, "row")["unet"].verdict == "impossible"


def test_a_table_that_cannot_be_audited_is_named():
    published = {"table1": table_of(unet={"f1": 0.5, "sharpness": 0.2})}
    with pytest.raises(HeadscarpError, match=r"^published table 'table1': column 'sharpness' is not known"):
        findings_of(published, check="scores", table="table1")


def test_a_share_that_the_numbers_leave_open_is_not_told():
    published = {
        "table1": table_of(unet={name: scores_of(FIRST)[name] for name in ("precision", "recall", "f1")})
    }
    found = run_checks([{"check": "scores", "table": "table1"}], published, PLACE)
    assert [one.quantity for one in found if isinstance(one, Recomputed)] == ["reading", "verdict"]
