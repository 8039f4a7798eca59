"""What is rehearsed: every training that exhibits need, each kind once; and what a scheduler is asked for."""

import json

import pytest

from headscarp.plan.forecasts import FULL, MAP, SMALLER, TRAIN, Forecasts
from headscarp.plan.model import Run
from headscarp.plan.paths import FORECAST
from headscarp.plan.plan import load_plan
from headscarp.plan.rehearsal import name_of, run_and_place, search_of
from tests.conftest import REPOSITORY
from tests.workflow.runs import CARDS

RUN = Run(card="iburi2018", site="iburi", experiment="unet", protocol="blocked", seed=0)


@pytest.fixture(scope="module")
def plan():
    return load_plan({"cards": CARDS, "scale": "full"}, REPOSITORY)


def test_runs_are_those_of_the_graph(plan):
    """All trainings that files of the exhibits name, those that others start from or average included."""
    trained = {run.folder for run in plan.rehearsal.trained}
    assert RUN.folder in trained
    assert "results/runs/iburi2018/iburi/unet_norm/blocked/seed2" in trained  # averaged
    assert "results/runs/xia2021/mangkam/fstf_net/published/seed0" in trained  # others start from it
    assert not any("forest" in folder or "unet_seeds" in folder for folder in trained)
    for exhibit in plan.cards["gao2021"].exhibits.values():
        assert {
            run.folder for run in plan.exhibits.runs(exhibit) if "forest" not in run.experiment
        } <= trained


def test_a_kind_is_what_decides_the_cost(plan):
    record = plan.rehearsal.record
    other_seed = Run(**vars(RUN) | {"seed": 2})
    assert name_of(record(RUN)) == name_of(record(other_seed))
    wide = Run(**vars(RUN) | {"experiment": "unet+factors"})
    assert (
        name_of(record(RUN)) != name_of(record(wide)) and record(wide)["channels"] > record(RUN)["channels"]
    )
    large = Run(**vars(RUN) | {"experiment": "unet_large"})
    assert (record(RUN)["window"], record(large)["window"]) == (64, 128)
    assert "learning_rate" not in record(RUN)["recipe"]
    assert len(plan.rehearsal.trainings) < len(plan.rehearsal.trained) / 4
    assert set(plan.rehearsal.in_words) == set(plan.rehearsal.trainings)
    assert "windows of 64" in plan.rehearsal.in_words[name_of(record(RUN))]


def test_series_of_a_collage_have_the_dates_of_their_scenes(plan):
    records = {run: plan.rehearsal.record(run) for run in plan.rehearsal.trained if run.card == "stfusion"}
    dates = {record["network"]["name"]: record["dates"] for record in records.values()}
    assert all(plan.sites[run.site].scenes for run in records) and dates["st_fusion"] == 5


def test_dates_that_no_card_lists_are_those_of_the_cube(plan, tmp_path, monkeypatch):
    """`dates: all` of a series: its files alone tell them."""
    monkeypatch.chdir(tmp_path)
    path = "results/sites/slovenia/cube/cube.json"
    assert plan.rehearsal._dates("slovenia") == path
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(json.dumps({"dates": ["a", "b", "c", "d"]}))
    assert plan.rehearsal._dates("slovenia") == 4


def test_paths_are_read_back():
    assert run_and_place(RUN.file("scores.json", "iburi")) == (RUN, "iburi")
    assert run_and_place(RUN.file("history.csv")) == (RUN, None)
    assert run_and_place(RUN.file("change/change.json")) == (RUN, None)
    assert run_and_place("results/sites/iburi/cube/cube.json") is None
    path = "results/searches/zhang2024/focal/blocked/fold2/gp/best.json"
    assert search_of(path) == ("zhang2024", "focal", "blocked", 2, "gp") and search_of("results/x") is None


def test_a_scheduler_is_asked_for_what_is_forecast_at_that_scale(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / FORECAST[-1]
    path.parent.mkdir()
    asked = {RUN.folder: {TRAIN: {"mem_mb": 2500, "runtime": 33}, MAP: {"runtime": 21}}}
    path.write_text(json.dumps({"scale": "full", "runs": asked, "twins": {"zigui": {"runtime": 30}}}))
    found = Forecasts("full")
    assert [found.of_run(RUN, TRAIN, key, 1) for key in ("mem_mb", "runtime")] == [2500, 33]
    assert found.of_run(RUN, TRAIN, "mem_mb", 3) == 7500
    assert found.of_run(RUN, MAP, "mem_mb", 1) == FULL["mem_mb"]  # not forecast
    assert found.of_twin("zigui", 2) == 60 and found.of_twin("mangkam_feb", 1) == FULL["runtime"]
    assert Forecasts("tiny").of_run(RUN, TRAIN, "mem_mb", 1) == SMALLER["mem_mb"]  # of another scale
