"""What a table shows while a part of its runs is still to come."""

import shutil
from pathlib import Path

import pytest

from headscarp.__main__ import main
from headscarp.errors import HeadscarpError
from headscarp.plan.plan import load_plan
from headscarp.plan.so_far import finished_part, tables_of_scores
from tests.conftest import REPOSITORY


@pytest.fixture
def scenes(tmp_path, monkeypatch):
    """The plan of the example of scenes that are left out in turn, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "areas").mkdir()
    shutil.copy(REPOSITORY / "workflow/examples/vhr_scenes.yaml", tmp_path / "areas")
    (tmp_path / "config.yaml").write_text("cards: [vhr_scenes]\nscale: standard\ndata: data\n")
    for scene in ("north", "south", "west"):
        (tmp_path / "data" / scene).mkdir(parents=True)
    return load_plan({"cards": ["vhr_scenes"], "scale": "standard", "data": "data"}, REPOSITORY)


def finish(plan, exhibit, *wanted):
    """Make the files of the runs of an exhibit that have a site, row and seed, or row and protocol."""
    for run in plan.exhibits.runs(exhibit):
        names = {(run.site, run.experiment, run.seed), (run.experiment, run.protocol)}
        if names & set(wanted):
            for file in plan.exhibits.of_run(exhibit, run):
                Path(file).parent.mkdir(parents=True, exist_ok=True)
                Path(file).touch()


def test_scenes_are_shown_that_every_row_was_tested_on(scenes):
    (exhibit,) = tables_of_scores(scenes.exhibits, "vhr_scenes")
    assert finished_part(scenes.exhibits, exhibit) == (None, scenes.exhibits.runs(exhibit))
    finish(scenes, exhibit, ("without_north", "rae_d", 0), ("without_south", "rae_d", 0))
    assert finished_part(scenes.exhibits, exhibit)[0] is None  # never one row here and another there
    finish(scenes, exhibit, ("without_south", "fstf_net", 0), ("without_south", "fstf_net", 2))
    record, missing = finished_part(scenes.exhibits, exhibit)
    assert [site["name"] for site in record["sites"]] == ["without_south"]
    assert [(run["row"], run["seed"]) for run in record["runs"]] == [
        ("rae_d", 0),
        ("fstf_net", 0),
        ("fstf_net", 2),
    ]
    assert len(missing) == 18 - 4


def test_rows_of_one_site_are_shown_that_have_a_run_under_every_protocol(monkeypatch, tmp_path):
    """What the options say of the others goes with them."""
    monkeypatch.chdir(tmp_path)
    plan = load_plan({"cards": ["gao2021"], "scale": "standard"}, REPOSITORY)
    exhibit = plan.exhibits.find("gao2021", "table7")
    finish(plan, exhibit, ("zigui", "unet", 1), ("segnet", "blocked"))
    record, _ = finished_part(plan.exhibits, exhibit)
    assert [(run["row"], run["protocol"]) for run in record["runs"]] == [
        ("unet", "published"),
        ("unet", "blocked"),
    ]
    assert list(record["experiments"]) == ["unet"]


def test_a_card_without_such_a_table_and_a_folder_without_configuration(
    scenes, tmp_path, monkeypatch, capsys
):
    assert main(["scores", "vhr_scenes"]) == 0
    assert capsys.readouterr().out == "comparison: 0 of 18 runs are finished\n"
    assert main(["scores", "vhr_scene"]) == 2
    assert "did you mean 'vhr_scenes'?" in capsys.readouterr().err
    with pytest.raises(HeadscarpError, match="card iburi2018 has no table that compares scores"):
        tables_of_scores(scenes.exhibits, no_scores(scenes))
    monkeypatch.chdir(tmp_path / "areas")
    assert main(["scores", "vhr_scenes"]) == 2
    assert "no config.yaml here" in capsys.readouterr().err


def no_scores(plan):
    """Name of a card whose exhibits compare nothing."""
    name = "iburi2018"
    plan.cards[name].exhibits.clear()
    return name
