"""Auditing anyone's table: no true table is ever called impossible, wrong ones are, and the four papers give
their known findings."""

import csv
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from headscarp.__main__ import BAD, main
from headscarp.errors import HeadscarpError
from headscarp.exhibits.audit import audit_of_cards, titles_of, write_audit
from headscarp.files import write_json
from headscarp.plan.read import read_published
from headscarp.scoring.audit.possible import (
    QUANTITIES,
    Printed,
    enclosures,
    is_possible,
    metrics_of,
    ranges,
    whole_space,
)
from headscarp.scoring.audit.scores import audit_table
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow

FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
CLASS_COLUMNS = ("Precision", "Recall", "OA", "F1-score", "IoU", "MIoU", "Kappa")
MACRO_COLUMNS = ("Precision", "Recall", "OA", "F1-score", "MIoU")


def known_metrics(tp: int, fp: int, fn: int, tn: int) -> dict[str, dict[str, float]]:
    """Scores of scikit-learn under the headings of a table, of the landslide class and averaged."""
    counts = tp, fp, fn, tn
    truth, prediction = np.array([1, 0, 1, 0]), np.array([1, 1, 0, 0])
    same = {"sample_weight": counts}
    shared = {
        "OA": sk.accuracy_score(truth, prediction, **same),
        "Kappa": sk.cohen_kappa_score(truth, prediction, **same),
        "MIoU": sk.jaccard_score(truth, prediction, average="macro", **same),
    }
    found = {}
    for average in ("binary", "macro", "weighted"):
        precision, recall, f1, _ = sk.precision_recall_fscore_support(
            truth, prediction, average=average, zero_division=0, **same
        )
        iou = sk.jaccard_score(truth, prediction, average=average, **same)
        found[average] = shared | {"Precision": precision, "Recall": recall, "F1-score": f1, "IoU": iou}
    return found


def printed(values: dict[str, float], columns: tuple[str, ...], places: int) -> dict[str, str]:
    return {column: f"{values[column]:.{places}f}" for column in columns}


def table_of(*rows: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame([{"model": f"model {number}"} | row for number, row in enumerate(rows)])


def bad(findings: list[dict]) -> list[str]:
    return [f"{one['row']}: {one['text']}" for one in findings if one["verdict"] in BAD]


COUNTS = st.tuples(*[st.integers(20, 4000)] * 3, st.integers(2000, 60000))


# --- the search


@given(counts=COUNTS)
@settings(max_examples=50, deadline=None)
def test_metrics_by_recall_false_alarms_and_share_are_those_of_sklearn(counts):
    tp, fp, fn, _ = counts
    t = fp / (tp + fn)
    found = metrics_of(
        *(np.array([value]) for value in (tp / (tp + fn), t / (1 + t), (tp + fn) / sum(counts)))
    )
    known = known_metrics(*counts)
    names = {
        "accuracy": "OA",
        "kappa": "Kappa",
        "miou": "MIoU",
        "precision": "Precision",
        "recall": "Recall",
        "f1": "F1-score",
        "iou": "IoU",
    }
    for name, column in names.items():
        assert found[name][0] == pytest.approx(known["binary"][column], abs=1e-9)
    for name, column in (
        ("macro_precision", "Precision"),
        ("macro_recall", "Recall"),
        ("macro_f1", "F1-score"),
    ):
        assert found[name][0] == pytest.approx(known["macro"][column], abs=1e-9)


def test_every_metric_over_a_box_lies_between_its_bounds():
    rng = np.random.default_rng(0)
    for _ in range(60):
        low = rng.uniform(0, 0.9, 3)
        high = np.minimum(low + rng.uniform(0.001, 0.3, 3), [1, 0.999, 1])
        box = whole_space(1.0)._replace(low=low[None], high=high[None])
        least, most = enclosures(box)
        r, w, s = rng.uniform(low[:, None], high[:, None], (3, 200))
        inside = s * (1 + w / (1 - w)) <= 1
        values = metrics_of(r[inside], w[inside], s[inside])
        for name in set(QUANTITIES) & values.keys():
            assert (values[name] >= least[name] - 1e-12).all() and (
                values[name] <= most[name] + 1e-12
            ).all(), name


def test_ranges_hold_the_share_that_three_numbers_imply():
    row = [
        Printed(name, name, value - 5e-5, value + 5e-5)
        for name, value in (("precision", 0.8287), ("recall", 0.3774), ("accuracy", 0.9583))
    ]
    low, high = ranges(row, ("share",))["share"]
    # One confusion matrix for each point of the box of rounding, solved by hand: s = (1 - A) / (1 + R (1 / P
    # - 2)).
    corners = [
        (1 - a) / (1 + r * (1 / p - 2))
        for p in (0.82865, 0.82875)
        for r in (0.37735, 0.37745)
        for a in (0.95825, 0.95835)
    ]
    assert low <= min(corners) and high >= max(corners)
    assert high - low < 1.5 * (max(corners) - min(corners))


# --- tables


@given(
    first=COUNTS,
    share=st.floats(0.2, 0.9),
    places=st.integers(2, 4),
    percent=st.booleans(),
    average=st.sampled_from(["binary", "macro"]),
)
@FEW
def test_true_tables_are_never_called_impossible(first, share, places, percent, average):
    tp, fp, fn, tn = first
    found = min(max(1, round(share * (tp + fn))), tp + fn - 1)
    second = found, round(fp * share) + 1, tp + fn - found, fp + tn - round(fp * share) - 1
    columns = CLASS_COLUMNS if average == "binary" else MACRO_COLUMNS
    rows = [known_metrics(*counts)[average] for counts in (first, second)]
    if percent:
        rows = [{name: 100 * value for name, value in row.items()} for row in rows]
        assume(all(max(row[column] for row in rows) > 2 for column in columns))
    findings = audit_table(
        table_of(*(printed(row, columns, places - 2 if percent else places) for row in rows))
    )
    assert not bad(findings)


@given(counts=COUNTS, column=st.sampled_from(CLASS_COLUMNS), sign=st.sampled_from([-1, 1]))
@FEW
def test_a_number_beyond_its_rounding_is_flagged(counts, column, sign):
    row = known_metrics(*counts)["binary"]
    wrong = row | {column: row[column] + sign * 0.03}
    assume(0 <= wrong[column] <= 1)
    assert bad(audit_table(table_of(printed(wrong, CLASS_COLUMNS, 4))))
    assert not bad(audit_table(table_of(printed(row, CLASS_COLUMNS, 4))))


@pytest.mark.parametrize("counts", [(60, 12, 40, 9888), (900, 300, 250, 8550)])
@pytest.mark.parametrize(
    ("average", "named"),
    [("macro", "macro average"), ("weighted", "weighted average"), ("binary", "landslide class")],
)
def test_what_the_columns_are_is_guessed(counts, average, named):
    columns = ("Precision", "Recall", "OA", "F1-score", "MIoU")
    findings = audit_table(table_of(printed(known_metrics(*counts)[average], columns, 4)))
    assert [one["reading"] for one in findings if one["check"] == "row"] == [named] and not bad(findings)


def test_rows_of_two_test_sets_are_told_apart():
    rows = [
        known_metrics(*counts)["binary"]
        for counts in ((60, 12, 40, 9888), (80, 30, 20, 9870), (2000, 300, 1000, 6700))
    ]
    findings = audit_table(table_of(*(printed(row, ("Precision", "Recall", "OA"), 4) for row in rows)))
    assert [one["row"] for one in findings if one["verdict"] == "other test set"] == ["model 2"]


def test_a_contradiction_names_the_number_and_what_the_others_leave():
    findings = audit_table(table_of({"precision": "0.90", "recall": "0.80", "F-score": "0.88"}))
    (conflict,) = [one for one in findings if one["check"] == "conflict"]
    assert conflict["column"] == "F-score" and conflict["low"] < 2 * 0.9 * 0.8 / 1.7 < conflict["high"] < 0.87
    assert "but 0.88 is printed" in conflict["text"]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            pd.DataFrame({"model": ["a"], "precison": ["0.9"]}),
            "column 'precison' is not known; did you mean 'precision'",
        ),
        (pd.DataFrame({"model": ["a"], "F1": ["1.9e3"]}), "line 2, column 'F1': '1.9e3' is not a number"),
        (
            pd.DataFrame({"model": ["a", "b"], "F1": ["0.9", "-0.2"]}),
            "line 3, column 'F1': -0.2 is out of range",
        ),
        (
            pd.DataFrame({"model": ["a"], "F1 (%)": ["190"]}),
            "line 2, column 'F1 \\(%\\)': 190 is out of range",
        ),
        (pd.DataFrame({"model": ["a"], "AUC": ["0.9"]}), "no column is a score that can be audited"),
        (pd.DataFrame({"model": []}), "the table has no scores"),
    ],
)
def test_tables_that_cannot_be_read_are_refused(frame, message):
    with pytest.raises(HeadscarpError, match=message):
        audit_table(frame)


def test_printed_rows_must_leave_room_for_rounding():
    with pytest.raises(HeadscarpError, match="leaves no room for rounding"):
        is_possible([Printed("F1", "f1", 0.5, 0.5)])
    with pytest.raises(HeadscarpError, match="metric 'f2' does not exist"):
        is_possible([Printed("F2", "f2", 0.5, 0.6)])


# --- the command


def test_the_command_says_what_it_found(tmp_path, capsys):
    table, out = tmp_path / "models.csv", tmp_path / "findings.csv"
    table.write_text(
        "model;OA (%);Precision;Recall;F1-Score;AUC\n"
        "U-Net;98.82;95.49;84.19;;0.9\nmine;98.82;95.49;84.19;93.00;\n",
        encoding="utf-8-sig",
    )
    assert main(["audit", str(table), "--out", str(out)]) == 1
    text = capsys.readouterr().out
    assert (
        "but 93.00 is printed; all other numbers together leave 89." in text
        and "U-Net  landslide class  0.0" in text
    )
    written = list(csv.DictReader(out.open(encoding="utf-8")))
    assert {"impossible", "consistent", "note"} <= {one["verdict"] for one in written}
    table.write_text("model,precision,recall\nU-Net,0.95,0.84\n", encoding="utf-8")
    assert main(["audit", str(table)]) == 0 and "nothing is impossible" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b"\x89PNG\r\n\x1a\n\x00", "is not a CSV file"),
        (b"", "is not a CSV file"),
        (b"a,prec1sion\nx,1\n", "is not known"),
    ],
)
def test_the_command_refuses_in_one_line(tmp_path, capsys, content, message):
    table = tmp_path / "t.csv"
    if content is not None:
        table.write_bytes(content)
    assert main(["audit", str(table)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error and str(table) in error


def test_the_module_runs_from_the_repository():
    result = subprocess.run(
        [sys.executable, "-m", "headscarp", "audit", "missing.csv"],
        cwd=REPOSITORY / "workflow/scripts",
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2 and result.stderr.startswith("headscarp: missing.csv")


# --- the papers

PUBLISHED = REPOSITORY / "workflow" / "cards" / "published"


def paper_table(folder, card: str, table: str) -> str:
    """A published table as a user would type it."""
    rows: dict[str, dict[str, str]] = {}
    for line in csv.DictReader((PUBLISHED / f"{card}.csv").open(encoding="utf-8")):
        if line["table"] == table:
            rows.setdefault(line["row"], {})[line["metric"]] = line["value"]
    path = folder / f"{card}_{table}.csv"
    pd.DataFrame.from_dict(rows, orient="index").to_csv(path, index_label="model")
    return str(path)


def verdicts(findings) -> dict[str, str]:
    return {one["row"]: one["verdict"] for one in findings if one["check"] == "row"}


def audited(folder, card: str, table: str) -> list[dict]:
    return audit_table(pd.read_csv(paper_table(folder, card, table), dtype=str, keep_default_na=False))


def test_gao2021_is_of_one_test_set(tmp_path):
    findings = audited(tmp_path, "gao2021", "table7")
    assert set(verdicts(findings).values()) == {"consistent"} and not bad(findings)
    (share,) = [one for one in findings if one["check"] == "test set"]
    assert share["low"] < 0.0595 < share["high"] and share["high"] - share["low"] < 0.0004


def test_zhang2024_has_headings_exchanged_and_two_test_sets(tmp_path):
    fourth = audited(tmp_path, "zhang2024", "table4")
    assert set(verdicts(fourth).values()) == {"mislabelled"}
    assert all(
        "'accuracy' and 'precision' change places" in one["text"] for one in fourth if one["check"] == "row"
    )
    sixth = audited(tmp_path, "zhang2024", "table6")
    readings = {one["row"]: one["reading"] for one in sixth if one["check"] == "row"}
    assert readings.pop("gbdt_lr") == "landslide class" and set(readings.values()) == {"macro average"}
    assert [one["row"] for one in sixth if one["verdict"] == "other test set"] == ["gbdt_lr"]


def test_xia2021_and_stfusion_have_impossible_rows(tmp_path):
    xia = verdicts(audited(tmp_path, "xia2021", "table4"))
    assert {row for row, verdict in xia.items() if verdict == "impossible"} >= {"basic_fcn", "fcn8s", "rae_d"}
    fusion = audited(tmp_path, "stfusion", "table2")
    assert [row for row, verdict in verdicts(fusion).items() if verdict == "impossible"] == ["proposed"]
    assert any("would need one of 1.00" in one["text"] for one in fusion)


def audits() -> list[dict]:
    """The audits of all shipped cards, as the plan hands them on."""
    found = []
    for path in sorted((REPOSITORY / "workflow" / "cards").glob("*.yaml")):
        card = yaml.safe_load(path.read_text(encoding="utf-8"))
        if "audit" in card:
            published = read_published(path.parent / card["published"])
            found.append({"card": card["name"], "published": published} | card["audit"])
    return found


@pytest.fixture(scope="module")
def papers() -> pd.DataFrame:
    return audit_of_cards({"audits": audits(), "samples": []})


def of(papers: pd.DataFrame, card: str, table: str, quantity: str) -> pd.DataFrame:
    found = papers[(papers["card"] == card) & (papers["table"] == table) & (papers["quantity"] == quantity)]
    assert len(found)
    return found.set_index("row")


def test_the_audit_of_gao2021(papers):
    for table, share, low, high, area in (
        ("table7", 0.0595, 0.0592, 0.0598, 6.82 / 116.29),
        ("table8", 0.1374, 0.1370, 0.1377, 6.08 / 44.26),
    ):
        found = of(papers, "gao2021", table, "implied_landslide_share").loc["all rows"]
        assert found[["value", "low", "high"]].tolist() == pytest.approx([share, low, high], abs=1.01e-4)
        assert found["expected"] == pytest.approx(area) and found["verdict"] == "consistent"
        for metric in ("kappa", "miou"):
            again = of(papers, "gao2021", table, f"recomputed_{metric}")
            assert len(again) == 6 and (again["value"] - again["expected"]).abs().max() <= 1e-4
    like = [
        of(papers, "gao2021", table, "kappa_gain_like_for_like_points").loc["resunet", "value"]
        for table in ("table7", "table8")
    ]
    assert like == pytest.approx([1.53, 0.24])


def test_the_audit_of_zhang2024(papers):
    errors = of(papers, "zhang2024", "table4", "error_macro")
    assert len(errors) == 4 and errors["value"].max() <= 0.0025 and set(errors["verdict"]) == {"mislabelled"}
    f1 = of(papers, "zhang2024", "table4", "implied_landslide_f1")
    assert (
        f1.loc["focal_50", "value"] == pytest.approx(0.64, abs=0.01)
        and f1.loc["focal_50", "expected"] == 0.82
    )
    assert f1.loc[["bce_50", "bce_100"], "value"].max() < 0.03
    shares = of(papers, "zhang2024", "table6", "implied_landslide_share")
    assert (
        shares.loc["gbdt_lr", "value"] == pytest.approx(0.33, abs=0.01)
        and shares.loc["gbdt_lr", "verdict"] == "other test set"
    )
    assert shares.drop("gbdt_lr")["value"].between(0.015, 0.035).all() and set(
        shares.drop("gbdt_lr")["verdict"]
    ) == {"noted"}
    background = of(papers, "zhang2024", "table3", "accuracy").loc["all_background"]
    assert (
        background["value"] == pytest.approx(0.99, abs=0.003)
        and background["value"] > background["expected"] - 0.002
    )
    equation = of(papers, "zhang2024", "eq7", "f_score")
    assert equation["verdict"].to_dict() == {
        "alpha_0.5": "inconsistent",
        "alpha_1": "consistent",
        "alpha_2": "inconsistent",
    }


def test_the_audit_of_xia2021_and_stfusion(papers):
    assert (
        set(of(papers, "xia2021", "table4", "ce")["verdict"]) == {"consistent"}
        and len(of(papers, "xia2021", "table4", "ce")) == 6
    )
    assert of(papers, "xia2021", "table4", "largest_difference_of_qp").loc[
        "all rows", "value"
    ] == pytest.approx(0.04, abs=0.001)
    assert of(papers, "stfusion", "table2", "implied_iou").loc["proposed", "value"] == pytest.approx(
        0.717, abs=5e-4
    )
    needed = of(papers, "stfusion", "table2", "needed_background_iou")
    assert needed.loc["proposed", "value"] == pytest.approx(1.008, abs=5e-4)
    assert needed["verdict"].eq("impossible").to_dict() == {
        "segnet": False,
        "deeplabv3": False,
        "pspnet": False,
        "proposed": True,
    }


def test_overlap_of_our_windows_is_told(tmp_path):
    shares = {
        "validation_windows_overlapping_training": 0.8,
        "test_windows_overlapping_training": None,
        "test_pixels_in_training_windows": 0,
    }
    write_json(tmp_path / "samples.json", {"overlap": shares})
    sample = {"card": "gao2021", "site": "zigui", "protocol": "published", "folder": str(tmp_path)}
    frame = audit_of_cards({"audits": [], "samples": [sample]})
    assert frame["quantity"].tolist() == [
        "validation_windows_overlapping_training",
        "test_pixels_in_training_windows",
    ]
    assert (
        frame["value"].tolist() == [0.8, 0.0]
        and frame["verdict"].tolist() == ["overlapping", "separate"]
        and set(frame["item"]) == {5}
    )


def test_the_audit_is_written_for_people_too(papers, tmp_path):
    paths = [tmp_path / f"audit.{ending}" for ending in ("csv", "md", "html")]
    write_audit(papers, titles_of({"audits": audits()}), *paths)
    assert len(pd.read_csv(paths[0])) == len(papers)
    assert all("1.0078" in path.read_text() and "impossible" in path.read_text() for path in paths[1:])
    assert "## 3. Extraction scores of xia2021" in paths[1].read_text()
