"""What the tiny run of all cards leaves, and what Snakemake plans there after a change."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import rasterio

from headscarp.plan.plan import load_plan
from tests.conftest import REPOSITORY
from tests.workflow.runs import CARDS, configure, planned, snakemake

REAL = {
    "iburi2018",
    "xing2026_real",
    "four_regions",
    "sichuan_aerial",
    "sichuan_dubai",
    "ecuador",
    "emilia",
    "emilia_series",
    "networks",
}
TIDY = [
    "row",
    "metric",
    "protocol",
    "value",
    "fold_mean",
    "sd",
    "ci_low",
    "ci_high",
    "n_seeds",
    "published",
    "difference",
    "data",
    "note",
]


@pytest.fixture(scope="module")
def plan():
    return load_plan({"cards": CARDS, "scale": "tiny"}, REPOSITORY)


@pytest.mark.parametrize("card", CARDS)
def test_every_exhibit_of_a_card_is_made_for_all_readers(finished, plan, card):
    tables, figures = finished / "results/tables" / card, finished / "results/figures" / card
    if not tables.exists() and card in REAL:
        pytest.skip(f"the real data of {card} are not at hand")
    exhibits = plan.cards[card].exhibits
    drawn = {name for name, exhibit in exhibits.items() if not exhibit.is_table}
    assert {path.stem for path in tables.glob("*.csv")} == set(exhibits) and drawn
    assert {path.stem for path in tables.glob("*.md")} == set(exhibits) - drawn
    assert {path.stem for path in figures.glob("*.png")} == drawn


def test_comparison_of_real_ground_has_one_protocol_and_all_rows(finished, real_data):
    real_data("mirror")
    comparison = pd.read_csv(finished / "results/tables/iburi2018/comparison.csv")
    assert set(comparison["data"]) == {"real"} and set(comparison["protocol"]) == {"blocked"}
    assert comparison["row"].nunique() == 9


def test_a_network_of_series_reads_all_dates_but_no_cloud(finished):
    runs = finished / "results/runs/stfusion/karakoram_sichuan"
    records = {path.parts[-4]: json.loads(path.read_text()) for path in runs.glob("*/blocked/seed0/run.json")}
    assert len(records) == 17
    assert all(
        len(record["spec"]["dates_read"]) == 5
        for name, record in records.items()
        if not name.endswith("_last")
    )
    assert all(
        "dates_read" not in record["spec"] for name, record in records.items() if name.endswith("_last")
    )
    cube = np.load(finished / "results/sites/karakoram/cube/cube.npy", mmap_mode="r")
    header = json.loads((finished / "results/sites/karakoram/cube/cube.json").read_text())
    masked = [channel["masked"] for channel in header["channels"]]
    for date, shown in enumerate(header["series"]):
        with rasterio.open(
            finished / f"results/sites/karakoram/raw/clouds_{shown['date'][:4]}.tif"
        ) as source:
            clear = source.read(1) == 0
        assert clear.mean() == pytest.approx(shown["clear_share"])
        assert (np.isnan(cube[date, masked]) == ~clear).all()
    assert min(shown["clear_share"] for shown in header["series"]) < 0.9


def test_pre_training_is_in_the_history(finished):
    runs = finished / "results/runs/stfusion/karakoram_sichuan"
    history = pd.read_csv(runs / "st_fusion/blocked/seed0/history.csv")
    assert list(dict.fromkeys(history["phase"])) == ["rbm 1", "rbm 2", "training"]
    error = history.loc[history["phase"] == "rbm 1", "reconstruction_error"]
    assert error.iloc[-1] < error.iloc[0]
    assert "phase" not in pd.read_csv(runs / "no_pretraining/blocked/seed0/history.csv").columns


def test_maps_of_a_collage_are_cut_back_to_their_place_on_earth(finished):
    run = finished / "results/runs/stfusion/karakoram_sichuan/st_fusion/blocked/seed0"
    for scene in ("karakoram", "sichuan"):
        image = finished / f"results/sites/{scene}/raw/rgb_2020.tif"
        with rasterio.open(run / scene / "probability.tif") as cut, rasterio.open(image) as source:
            assert (cut.crs, cut.transform, cut.shape) == (source.crs, source.transform, source.shape)
        assert (run / scene / "landslides.gpkg").exists()


def test_real_series_go_the_same_way(finished, real_data):
    real_data("data/sen12_emilia")
    table = pd.read_csv(finished / "results/tables/emilia_series/scores.csv")
    assert set(table["data"]) == {"real"} and table["row"].nunique() == 5
    assert (finished / "results/figures/emilia_series/fig_ndvi.png").exists()
    dates = pd.read_csv(finished / "results/tables/emilia_series/dates.csv")
    assert len(dates[(dates["metric"] == "clear_share") & dates["row"].str.startswith("slovenia")]) == 67


def test_each_region_of_xing2026_is_tested_with_networks_of_all(finished):
    cross = pd.read_csv(finished / "results/tables/xing2026/cross_scene.csv")
    regions = ("region_a", "region_b", "region_c")
    assert {tuple(row.split(":")[:2]) for row in cross["row"]} == {
        (trained, tested) for trained in regions for tested in regions
    }


def test_one_comparison_across_papers_is_made_of_all_networks(finished, real_data):
    real_data("mirror")
    tables = {path.stem for path in (finished / "results/tables/networks").glob("*.csv")}
    assert {"comparison", "comparison_twin", "pairwise", "pairwise_twin", "ranks", "ranks_twin"} <= tables
    assert set(pd.read_csv(finished / "results/tables/networks/comparison.csv")["data"]) <= {
        "real",
        "network",
    }
    assert (finished / "results/figures/networks/grad_cam.png").exists()


def test_every_claim_has_a_verdict_under_its_protocols(finished):
    claims = pd.read_csv(finished / "results/tables/claims.csv")
    # One or two seeds at scale tiny: the chance of training is not known, so nothing is judged.
    assert (claims["n_seeds"] < 3).all()
    assert set(claims["verdict"]) == {"inconclusive", "decided by the simulation"}
    papers = {"gao2021", "zhang2024", "xia2021", "stfusion", "xing2026"}
    assert set(claims["card"]) == papers and (claims.groupby("card")["claim"].nunique() >= 4).all()
    twin = claims[claims["data"] == "twin"]
    assert set(twin["protocol"]) == {"published", "blocked"}
    told = claims.dropna(subset=["ci_low", "ci_high"])
    assert len(told) and told["note"].str.contains("fewer than 3 seeds|not converged").all()
    assert (finished / "results/figures/claims.png").exists()


def test_the_audit_of_all_papers_is_recomputed(finished):
    audit = pd.read_csv(finished / "results/tables/audit.csv")
    assert set(audit["card"].dropna()) >= {"gao2021", "zhang2024", "xia2021", "stfusion"}
    assert (finished / "results/tables/audit.md").exists()


def test_models_of_susceptibility_are_scored_on_the_same_cells(finished):
    runs = finished / "results/runs/zhang2024/zhangjiajie_90m"
    for protocol in ("published", "blocked"):
        cells = []
        for path in sorted(runs.glob(f"*/{protocol}/seed0/zhangjiajie_90m/predictions.npz")):
            with np.load(path) as stored:
                cells.append([stored[name].tolist() for name in ("fold", "row", "col", "label")])
        assert len(cells) == 16 and all(one == cells[0] for one in cells)


@pytest.mark.parametrize(("card", "origin"), [("ecuador", "mirror"), ("emilia", "data/sen12_emilia")])
def test_susceptibility_of_real_sites_has_random_and_spatial_folds(finished, real_data, card, origin):
    real_data(origin)
    table = pd.read_csv(finished / f"results/tables/{card}/comparison.csv")
    assert set(table["data"]) == {"real"} and set(table["protocol"]) == {"published", "blocked"}
    assert table.loc[table["metric"] == "auc", "value"].between(0, 1).all()


@pytest.mark.parametrize("card", ["gao2021", "zhang2024", "xia2021", "stfusion", "xing2026"])
def test_tables_are_tidy_and_say_that_the_sites_are_simulated(finished, card):
    for path in (finished / "results/tables" / card).glob("*.csv"):
        table = pd.read_csv(path)
        assert list(table.columns) == TIDY, path
        assert len(table), path
        assert set(table["data"]) <= {"twin", "published", "network"}, path


def test_accuracy_table_has_both_protocols_and_the_published_values(finished):
    table = pd.read_csv(finished / "results/tables/gao2021/table7.csv").set_index(
        ["row", "metric", "protocol"]
    )
    assert len(table) == 9 * 7 * 2
    assert table.loc[("fc_densenet+factors", "kappa", "published"), "published"] == 94.72
    scored = table[table["value"].notna()]
    assert ((scored["value"] >= -100) & (scored["value"] <= 100)).all()
    assert (table["value"].notna() | table["note"].notna()).all()


def test_parameters_equal_the_published_counts(finished):
    table = pd.read_csv(finished / "results/tables/gao2021/table9.csv")
    parameters = table[table["metric"] == "parameters"]
    assert len(parameters) and (parameters["difference"] == 0).all()


def test_a_second_call_has_nothing_to_do(finished):
    result = snakemake(finished)
    assert "Nothing to be done" in result.stdout + result.stderr


def test_a_new_caption_redoes_that_exhibit_only(finished):
    folder = finished
    configure(folder, overlay={"gao2021": {"exhibits": {"table8": {"caption": "Another caption."}}}})
    try:
        assert set(planned(snakemake(folder, "--dry-run"))) == {"all", "build_table", "build_gallery"}
    finally:
        configure(folder)


def test_a_new_seed_adds_its_trainings_only(finished):
    configure(finished, seeds=[0, 1])
    try:
        jobs = planned(snakemake(finished, "--dry-run", "results/tables/gao2021/table7.csv"))
    finally:
        configure(finished)
    assert jobs["train_network"] == 7 * 2
    # Seed 1 tests the next fold of the blocks.
    assert "simulate_zigui" not in jobs and jobs["sample_windows"] == 1


def test_a_failing_job_names_the_file_and_leaves_nothing(finished, tmp_path):
    folder = tmp_path / "run"
    raw = folder / "results/sites/zigui/raw"
    configure(folder)
    shutil.copytree(finished / "results/sites/zigui/raw", raw)
    shutil.copytree(finished / ".snakemake", folder / ".snakemake")
    (raw / "dem.tif").write_bytes((raw / "dem.tif").read_bytes()[:2000])
    result = snakemake(folder, "results/sites/zigui/terrain", "--rerun-triggers", "mtime", check=False)
    assert result.returncode != 0
    assert "dem.tif" in result.stderr and "truncated" in result.stderr
    assert not (folder / "results/sites/zigui/terrain").exists()
    assert not list((folder / "results/sites/zigui").glob(".*"))
