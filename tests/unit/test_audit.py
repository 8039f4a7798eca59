"""What published tables imply: checked on simulated confusion matrices and on the printed tables of the papers."""

import csv
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headscarp.scoring.audit import (
    audit_table,
    common_share,
    gains,
    implied_background_iou,
    implied_confusion,
    implied_iou,
    implied_kappa,
    implied_miou,
    implied_share,
    is_possible,
)
from headscarp.scoring.pixel import Confusion, confusion_metrics

PIXELS = st.integers(50, 5000)


@given(tp=PIXELS, fp=PIXELS, fn=PIXELS, tn=PIXELS)
def test_a_confusion_matrix_is_recovered_from_three_numbers(tp, fp, fn, tn):
    counts = Confusion(tp, fp, fn, tn)
    metrics = confusion_metrics(counts)
    implied = implied_confusion(metrics["precision"], metrics["recall"], metrics["accuracy"])
    assert np.array(implied) * sum(counts) == pytest.approx(np.array(counts), rel=1e-6)
    # Rounded to four places the truth still lies in every range, and nothing is found wrong.
    row = {name: round(float(metrics[name]), 4) for name in ("precision", "recall", "accuracy", "f1", "iou", "miou", "kappa")}
    share = implied_share(row["precision"], row["recall"], row["accuracy"])
    assert share.low - 1e-9 <= (tp + fn) / sum(counts) <= share.high + 1e-9
    assert {finding["verdict"] for finding in audit_table([row])} <= {"agrees", "possible"}
    assert is_possible(row)


def test_wrong_numbers_are_found():
    row = {"row": "unet", "precision": 0.9, "recall": 0.8, "accuracy": 0.97, "f1": 0.88, "kappa": 0.8305}
    findings = {finding["check"]: finding for finding in audit_table([row])}
    assert findings["f1"]["verdict"] == "disagrees" and findings["f1"]["recomputed"] == pytest.approx(0.847, abs=1e-3)
    assert findings["f1"]["difference"] == pytest.approx(0.88 - 2 * 0.72 / 1.7) and findings["f1"]["row"] == "unet"
    assert findings["kappa"]["verdict"] == "agrees"
    assert findings["landslide_share"]["verdict"] == "possible" and "miou" not in findings
    assert not is_possible(row)
    # An accuracy of 0.5 with these would need more landslide than there are pixels.
    assert not is_possible({"precision": 0.9, "recall": 0.8, "accuracy": 0.5})


@pytest.fixture(scope="module")
def published(real_data):
    tables = defaultdict(lambda: defaultdict(dict))
    with open(real_data("published/tables.csv"), newline="", encoding="utf-8") as stream:
        for record in csv.DictReader(stream):
            if record["paper"] in ("gao2021", "stfusion") and record["unit"] in ("percent", "fraction"):
                value = float(record["value"]) / (100 if record["unit"] == "percent" else 1)
                tables[record["paper"], record["table"]][record["row"]][record["metric"]] = value
    return tables


@pytest.mark.parametrize(("table", "share", "low", "high"), [("table7", 0.0595, 0.0592, 0.0598), ("table8", 0.1374, 0.1370, 0.1377)])
def test_gao2021_scored_the_whole_study_area(published, table, share, low, high):
    rows = published["gao2021", table]
    assert len(rows) == 6
    result = common_share(rows.values())
    assert result == pytest.approx((share, low, high), abs=1.01e-4)
    ranges = [implied_share(row["precision"], row["recall"], row["accuracy"]) for row in rows.values()]
    # One share explains all six rows within their rounding.
    assert max(r.low for r in ranges) <= min(r.high for r in ranges)


def test_gao2021_kappa_and_miou_follow_from_three_numbers(published):
    rows = [*published["gao2021", "table7"].values(), *published["gao2021", "table8"].values()]
    assert len(rows) == 12
    for row in rows:
        printed = row["precision"], row["recall"], row["accuracy"]
        assert implied_kappa(*printed).value == pytest.approx(row["kappa"], abs=0.0001)
        assert implied_miou(*printed).value == pytest.approx(row["miou"], abs=0.0001)
    assert {finding["verdict"] for finding in audit_table(rows)} == {"agrees", "possible"}


@pytest.mark.parametrize(("table", "claimed", "like_for_like", "inputs"), [("table7", 4.47, 1.53, 2.94), ("table8", 2.80, 0.24, 2.56)])
def test_gao2021_like_for_like_gain_over_resunet(published, table, claimed, like_for_like, inputs):
    kappa = {name: row["kappa"] * 100 for name, row in published["gao2021", table].items()}
    over_unet, over_resunet = gains(kappa, "fc_densenet", "fc_densenet+factors", ["unet", "resunet"])
    assert [over_resunet[key] for key in ("claimed", "like_for_like", "inputs")] == pytest.approx([claimed, like_for_like, inputs])
    assert over_unet["claimed"] == pytest.approx(over_unet["like_for_like"] + over_unet["inputs"]) and over_unet["claimed"] > 5.8


def test_stfusion_table2_has_one_impossible_row(published):
    rows = {name: {"row": name, "f1": row["f1"], "miou": row["miou"]} for name, row in published["stfusion", "table2"].items()}
    proposed = next(row for row in rows.values() if row["f1"] == 0.8352)
    assert implied_iou(proposed["f1"]).value == pytest.approx(0.717, abs=5e-4)
    assert implied_background_iou(proposed["f1"], proposed["miou"]).value == pytest.approx(1.008, abs=5e-4)
    assert [name for name, row in rows.items() if not is_possible(row)] == [proposed["row"]] and len(rows) == 4
