"""What Snakemake plans in an empty folder: for one table, at every scale, with a bad configuration, without
data."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tests.workflow.runs import configure, planned, snakemake


def test_one_table_trains_its_own_rows_only(tmp_path):
    configure(tmp_path / "run", scale="standard")
    result = snakemake(tmp_path / "run", "--dry-run", "results/tables/gao2021/table7.csv")
    jobs = planned(result)
    assert jobs["train_network"] == 7 * 2 * 3
    assert jobs["simulate_zigui"] == 1 and jobs["build_table"] == 1 and "draw_figure" not in jobs


def test_one_table_of_susceptibility_makes_its_own_inventory_only(tmp_path):
    configure(tmp_path / "run", scale="standard", seeds=[0])
    jobs = planned(snakemake(tmp_path / "run", "--dry-run", "results/tables/zhang2024/table6.csv"))
    # published (and as_released, on its inventory) and blocked
    assert jobs["search_hyperparameters"] == jobs["train_network"] == jobs["make_inventory"] == 2
    assert jobs["map_scene"] == 2 * 2  # at home, for the threshold, and where cells are labelled
    assert jobs["train_susceptibility"] == 5 * 3 and jobs["fit_cell_model"] == 4 * 3  # models, protocols
    assert jobs["simulate_zhangjiajie"] == 1 and "simulate_zigui" not in jobs


def test_one_table_of_series_searches_and_trains_its_own_rows_only(tmp_path):
    configure(tmp_path / "run", scale="demo")
    jobs = planned(snakemake(tmp_path / "run", "--dry-run", "results/tables/stfusion/table4.csv"))
    # rows and protocols, the first sampler only
    assert jobs["train_network"] == 2 * 2 and jobs["search_hyperparameters"] == 2
    assert jobs["simulate_karakoram"] == 2 and jobs["join_scenes"] == 1 and "simulate_zigui" not in jobs


@pytest.mark.parametrize("scale", ["demo", "standard", "full"])
def test_the_recipe_of_every_exhibit_holds_at_every_scale(tmp_path, scale):
    configure(tmp_path / "run", scale=scale)
    jobs = planned(
        snakemake(tmp_path / "run", "--dry-run", "gao2021", "zhang2024", "xia2021", "stfusion", "xing2026")
    )
    assert jobs["draw_figure"] == 6 + 13 + 11 + 7 + 11 and jobs["build_table"] == 7 + 13 + 13 + 8 + 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": "dmo"}, "scale 'dmo' does not exist; did you mean 'demo'?"),
        ({"sedes": [1]}, "unknown key 'sedes'; did you mean 'seeds'?"),
    ],
)
def test_a_bad_configuration_is_one_clear_line(tmp_path, change, message):
    configure(tmp_path / "run", **change)
    result = snakemake(tmp_path / "run", "--dry-run", check=False)
    assert result.returncode != 0
    assert message in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def test_without_mirror_and_network_the_card_is_named_and_the_rest_planned(tmp_path):
    copy = tmp_path / "repository"
    shutil.copytree(
        REPOSITORY,
        copy,
        ignore=shutil.ignore_patterns(".git", ".venv", "results", ".snakemake", "__pycache__"),
    )
    table = copy / "workflow/cards/archive/iburi2018.csv"
    table.write_text(table.read_text().replace("https://", "http://127.0.0.1:9/"))
    folder = tmp_path / "run"
    configure(folder, cards=["gao2021", "iburi2018"], mirror=None)
    environment = {key: value for key, value in os.environ.items() if key != "HEADSCARP_MIRROR"}
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(copy / "Snakefile"),
        "--directory",
        str(folder),
        "--dry-run",
    ]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    text = result.stdout + result.stderr
    assert "Card iburi2018 is skipped" in text and "HEADSCARP_MIRROR" in text
    assert planned(result)["draw_figure"] == 6
