"""The README's numbers: made from docs/results and from nowhere else."""

import importlib.util
import json

import pandas as pd
import pytest

from headscarp.exhibits.tidy import COLUMNS
from tests.conftest import REPOSITORY

KEPT = REPOSITORY / "docs" / "results"


@pytest.fixture(scope="module")
def script():
    path = REPOSITORY / "benchmarks" / "reference_results.py"
    spec = importlib.util.spec_from_file_location("reference_results", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_holds_the_reference_results(script):
    for path in script.PAGES:
        text = path.read_text(encoding="utf-8")
        assert "<!-- numbers: " in text and script.filled(text, KEPT, script.labels_of_cards()) == text


def test_the_list_of_reference_results_is_that_of_the_folders(script):
    assert (KEPT / "README.md").read_text(encoding="utf-8") == script.the_index()


def test_the_list_names_what_a_run_left_out_and_what_was_not_run(script, tmp_path):
    (tmp_path / "iburi").mkdir()
    made = {"commit": "abc", "cpu_hours": 1.5, "trainings": 3, "converged": 2, "machine": "a machine"}
    (tmp_path / "iburi" / "made_by.json").write_text(json.dumps(made))
    (tmp_path / "iburi" / "scores.md").write_text("")
    line = dict.fromkeys(COLUMNS, "")
    lines = [line | {"row": "unet_vs_forest"}, line | {"row": "west:east:fcn8s"}]
    pd.DataFrame(lines, columns=COLUMNS).to_csv(tmp_path / "iburi" / "scores.csv", index=False)
    rows = {"iburi": ["forest", "unet", "fcn8s", "segnet"], "emilia": ["forest"]}
    text = script.index(tmp_path, ["iburi", "emilia"], {"iburi": {"segnet": "SegNet"}}, rows)
    assert "| `iburi` | [scores](iburi/scores.md) | abc | 1.5 | 3, 2 | ? | SegNet |" in text
    assert "| `emilia` | not run yet |" in text and "a machine" in text


def test_a_block_is_filled_from_the_table_of_its_card(script, tmp_path):
    line = dict.fromkeys(COLUMNS, "") | {"protocol": "blocked", "data": "real", "n_seeds": 3}
    lines = [
        line | {"row": "unet", "metric": "f1", "value": 0.5125, "ci_low": 0.4, "ci_high": 0.61, "sd": 0.02},
        line
        | {"row": "segnet", "metric": "f1", "value": 0.25, "note": "not converged, a first look: 1 of 3"},
    ]
    (tmp_path / "iburi").mkdir()
    pd.DataFrame(lines, columns=COLUMNS).to_csv(tmp_path / "iburi" / "scores.csv", index=False)
    asked = "<!-- numbers: iburi/scores | blocked | f1 -->\nold\n<!-- /numbers -->\n"
    text = script.filled(f"before\n{asked}after\n", tmp_path, {"iburi": {"unet": "U-Net"}})
    assert "| real | F1 |" in text and "old" not in text
    assert "| U-Net | 0.512 ± 0.020 [0.400, 0.610] |" in text
    assert "| segnet (not converged) | 0.250 |" in text
    assert text.startswith("before\n<!-- numbers") and text.endswith("<!-- /numbers -->\nafter\n")
    with pytest.raises(SystemExit, match=r"has no auc of row .unet."):
        script.filled(asked.replace("| f1", "| auc"), tmp_path, {})


def test_rows_that_say_nothing_are_counted(script, tmp_path):
    for experiment, converged, reached in (("good", False, 0.5), ("weak", False, 0.15), ("done", True, 0.15)):
        run = tmp_path / "iburi" / experiment / "blocked" / "seed0"
        (run / "iburi").mkdir(parents=True)
        (run / "run.json").write_text(json.dumps({"converged": converged}))
        told = {"metrics": {"average_precision": reached}, "landslide_share": 0.1}
        (run / "iburi" / "scores.json").write_text(json.dumps(told))
    assert script.weak_runs(tmp_path) == ["iburi/weak/blocked/seed0"]
