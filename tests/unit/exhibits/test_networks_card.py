"""The comparison of all networks: borrowed sites, channels by site, and which differences are real."""

import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from scipy import stats
from sklearn.metrics import f1_score

from headscarp.errors import HeadscarpError
from headscarp.exhibits.figures.ranks import lanes_of
from headscarp.exhibits.kinds import function_of
from headscarp.exhibits.panels.figure import draw
from headscarp.plan.plan import load_plan
from headscarp.scoring.chance import Estimate
from headscarp.scoring.histograms import CellHistograms
from headscarp.scoring.pairs import (
    CellOutcomes,
    block_ranks,
    f1_differences,
    mean_ranks,
    not_told_apart,
    pair_p_values,
    rank_differences,
)
from headscarp.training.devices import peak_memory
from headscarp.yaml_files import read_yaml
from tests.conftest import REPOSITORY
from tests.world import one, run_record, spec_of

pytestmark = pytest.mark.slow

CONFIG = {"cards": ["networks"], "scale": "demo"}
CARDS = ("networks", "iburi2018", "gao2021")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The card and those whose sites it borrows, for a test to change."""
    shutil.copytree(
        REPOSITORY / "workflow", tmp_path / "workflow", ignore=shutil.ignore_patterns("__pycache__")
    )
    for path in (tmp_path / "workflow" / "cards").glob("*.yaml"):
        if path.stem not in CARDS:
            path.unlink()
    for name in CARDS:  # claims may name cards that are not here
        change_card(tmp_path, name, lambda record: record.pop("claims", None))
    for name in read_yaml(tmp_path / "workflow" / "cards" / "iburi2018.yaml")["sites"]["iburi"]["files"]:
        path = tmp_path / "results" / "sites" / "iburi" / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADSCARP_MIRROR", raising=False)
    return tmp_path


def change_card(root, name, change):
    path = root / "workflow" / "cards" / f"{name}.yaml"
    record = yaml.safe_load(path.read_text())
    change(record)
    path.write_text(yaml.safe_dump(record, sort_keys=False))


# --- the plan


def test_a_borrowed_site_is_that_of_its_card_with_samples_of_its_own(root):
    plan = load_plan(CONFIG, root)
    assert plan.sites["zigui"].card == "gao2021"
    assert plan.cards["networks"].sites["zigui"].files == plan.cards["gao2021"].sites["zigui"].files
    assert plan.card_of("iburi").name == "iburi2018"
    assert plan.samples.windows("networks", "zigui")["background_ratio"] == 1.0
    assert plan.samples.windows("gao2021", "zigui")["background_ratio"] == 0.0
    files = plan.exhibits.inputs(plan.exhibits.find("networks", "grad_cam"))
    assert "results/sites/iburi/layers" in files
    assert "results/runs/networks/iburi/unet/blocked/seed0/gradcam.npz" in files


def test_a_borrowed_site_keeps_the_size_of_its_card(root):
    plan = load_plan(CONFIG | {"scale": "tiny"}, root)
    assert plan.cards["networks"].size != plan.cards["gao2021"].size == plan.card_of("zigui").size


def test_experiments_read_the_channels_of_each_site(root):
    plan = load_plan(CONFIG, root)
    at = {
        site: plan.runs.record("networks", "fstf_net", "blocked", 0, site)["channels"]
        for site in ("iburi", "zigui")
    }
    assert at["iburi"][:2] == ["pre_B02", "pre_B03"] and at["zigui"][:2] == ["blue", "green"]
    assert at["iburi"][6:] == at["zigui"][6:] and len(at["iburi"]) == 14
    assert plan.runs.record("networks", "fstf_net", "blocked", 0, "zigui")["network"]["params"] == {
        "spectral": 6
    }
    assert plan.cards["networks"].groups(of_cells=False, site="zigui") == [at["zigui"]]
    described = plan.exhibits.record(plan.exhibits.find("networks", "comparison_twin"))["experiments"]["unet"]
    assert described["channels"] == at["zigui"]


@pytest.mark.parametrize(("scale", "runs"), [("tiny", 4 * 2), ("demo", 4 * 2 * 3), ("standard", 17 * 2 * 3)])
def test_a_scale_runs_its_rows(root, scale, runs):
    plan = load_plan(CONFIG | {"scale": scale}, root)
    card = plan.cards["networks"]
    assert len({run for exhibit in card.exhibits.values() for run in plan.exhibits.runs(exhibit)}) == runs
    assert card.protocols == ("blocked",)
    assert "unet" in plan.exhibits.find("networks", "ranks").rows


def test_without_its_real_site_the_card_is_skipped(root):
    (root / "results" / "sites" / "iburi" / "raw" / "dsm.tif").unlink()
    plan = load_plan(CONFIG | {"mirror": str(root)}, root)
    assert plan.selected == () and "iburi" in plan.skipped["networks"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda card: card["sites"]["zigui"].update(of="gao2020"),
            "card networks, site zigui: card 'gao2020'.*gao2021",
        ),
        (lambda card: card["sites"].update(ziguy={"of": "gao2021"}), "site of card gao2021 'ziguy'.*zigui"),
        (
            lambda card: card["sites"]["zigui"].update(title="Mine"),
            "the key 'title' does not go with the others",
        ),
        (
            lambda card: card["inputs"]["optical"].pop("zigui"),
            "experiment random_forest, inputs: site 'zigui'",
        ),
        (
            lambda card: card["scales"]["demo"].update(rows=["unett"]),
            "scales, rows: experiment 'unett'.*unet",
        ),
    ],
)
def test_mistakes_are_named(root, change, message):
    change_card(root, "networks", change)
    with pytest.raises(HeadscarpError, match=message):
        load_plan(CONFIG, root)


def test_two_cards_that_describe_one_site_are_told_to_borrow(root):
    described = read_yaml(root / "workflow" / "cards" / "gao2021.yaml")["sites"]["zigui"]
    change_card(root, "networks", lambda card: card["sites"].update(zigui=described))
    with pytest.raises(HeadscarpError, match=r"of: (gao2021|networks)"):
        load_plan(CONFIG, root)


# --- pairs


def made_run(skill, seed, blocks=30, pixels=400):
    """A run whose probability follows the truth by `skill`: flat arrays and its cells."""
    truth = np.random.default_rng(7).random((blocks, pixels)) < np.linspace(0.02, 0.4, blocks)[:, None]
    truth[:3] = False
    rng = np.random.default_rng([seed, int(100 * skill)])
    probability = np.clip(0.3 + 0.4 * skill * truth + 0.25 * rng.normal(size=truth.shape), 0, 0.999)
    cell = np.repeat(np.arange(blocks), pixels)
    return truth, probability, CellHistograms.of(probability.ravel(), truth.ravel(), cell, 0.5)


def test_outcomes_give_the_f1_of_scikit_learn():
    truth, probability, cells = made_run(0.8, 0)
    outcomes = CellOutcomes.of(cells)
    expected = f1_score(truth.ravel(), probability.ravel() >= 0.5)
    assert outcomes.metrics(np.ones(30))["f1"] == pytest.approx(expected)
    odd = CellHistograms.of(probability.ravel(), truth.ravel(), np.repeat(np.arange(30), 400), 0.123)
    expected = f1_score(truth.ravel(), probability.ravel() >= 0.123)
    assert CellOutcomes.of(odd).metrics(np.ones(30))["f1"] == pytest.approx(expected)


def test_holm_multiplies_the_least_p_value_by_the_number_of_pairs():
    differences = {
        pair: Estimate(size, 1.0, 0.0, 11, 3) for pair, size in (("ab", 3.0), ("ac", 0.2), ("bc", -2.8))
    }
    found = pair_p_values(differences)
    raw = sorted(p for p, _ in found.values())
    assert raw == pytest.approx(sorted(2 * stats.t.sf(size, 10) for size in (3.0, 0.2, 2.8)))
    corrected = sorted(p for _, p in found.values())
    # Holm 1979: p(k) x (m - k + 1), made monotone.
    np.testing.assert_allclose(
        corrected, np.minimum(1, np.maximum.accumulate([3 * raw[0], 2 * raw[1], raw[2]]))
    )


def test_equal_networks_are_not_told_apart_and_unequal_ones_are():
    runs = {
        "good": [made_run(1.0, s)[2] for s in range(3)],
        "twin": [made_run(1.0, s + 50)[2] for s in range(3)],
    }
    runs["bad"] = [made_run(0.3, s)[2] for s in range(3)]
    p = pair_p_values(f1_differences(runs, 0))
    assert p["good", "bad"][1] < 0.01 and p["twin", "bad"][1] < 0.01 and p["good", "twin"][1] > 0.05


def test_ranks_of_blocks_share_ties_and_leave_out_blocks_without_landslides():
    better, worse = made_run(2.0, 0)[2], made_run(0.1, 0)[2]
    ranks = block_ranks({"worse": [worse], "better": [better], "same": [better]})
    assert ranks.shape == (27, 1, 3)
    assert (ranks.sum(axis=2) == 6).all() and (ranks[:, 0, 1] == ranks[:, 0, 2]).all()
    assert ranks.mean(axis=(0, 1))[0] > 2.7
    found = mean_ranks(ranks, 0)
    assert [one.size for one in found] == pytest.approx(list(ranks.mean(axis=(0, 1))))
    apart = rank_differences(ranks, ["worse", "better", "same"], 0)
    assert apart["worse", "better"].interval[0] > 0 and apart["better", "same"].interval == [0, 0]


def test_bars_join_only_rows_of_which_no_pair_differs():
    p = {pair: (None, 0.5) for pair in (("a", "b"), ("b", "c"), ("c", "d"), ("b", "d"))} | {
        ("a", "c"): (0, 0.01),
        ("a", "d"): (0, 0.01),
    }
    assert not_told_apart(["a", "b", "c", "d"], p) == [(0, 1), (1, 3)]


def test_bars_that_do_not_touch_share_a_lane():
    assert lanes_of([(0, 2), (1, 3), (3, 5), (4, 6)]) == [0, 1, 0, 1]
    assert lanes_of([(0, 3), (3, 4)]) == [0, 1]


# --- exhibits


@pytest.fixture
def world(tmp_path):
    """Three networks, three seeds: two alike, one bad."""
    runs = []
    for row, skill in (("unet", 1.0), ("resu_cbnet", 1.0), ("segnet", 0.2)):
        for seed in range(3):
            folder = tmp_path / row / str(seed)
            folder.mkdir(parents=True)
            _, _, cells = made_run(skill, seed + (10 if row == "unet" else 0))
            found = cells.metrics(np.ones(len(cells.positive)))
            scores = {
                "metrics": {name: float(value) for name, value in found.items()},
                "threshold": 0.5,
                "protocol": "blocked",
            }
            scores |= {
                "data": "twin",
                "fold": 0,
                "converged": True,
                "crowded": False,
                "n_pixels": 12000,
                "landslide_share": 0.2,
            }
            (folder / "scores.json").write_text(json.dumps(scores))
            np.savez(folder / "counts.npz", **cells.arrays())
            (folder / "map.json").write_text(
                json.dumps({"seconds": 2.0 + seed, "pixels": 500_000, "device": "cpu (1 thread)"})
            )
            (folder / "run.json").write_text(
                json.dumps({"peak_memory": {"mib": 400.0 + 100 * seed, "of": "process"}})
            )
            runs.append(run_record(folder, row, row, "blocked", seed))
    experiments = {
        row: {"network": row, "width": 0.25, "params": {}, "channels": ["red"] * 7}
        for row in ("unet", "resu_cbnet", "segnet")
    }
    site = {"name": "hills", "title": "Hills", "folder": str(tmp_path), "data": "twin"}
    return {"sites": [site], "runs": runs, "experiments": experiments}


def test_scores_stand_beside_costs(world):
    frame = function_of("network_comparison")(spec_of(world, "network_comparison"))
    f1 = one(frame, "unet", "f1", "blocked")
    assert f1["ci_low"] < f1["value"] < f1["ci_high"] and f1["n_seeds"] == 3
    assert one(frame, "unet", "parameters", "blocked")["value"] == 7_700_741  # gao2021, Table IX
    assert one(frame, "segnet", "seconds_per_megapixel", "blocked")["value"] == pytest.approx(6)
    memory = one(frame, "segnet", "training_memory_mib", "blocked")
    assert memory["value"] == 500 and "process" in memory["note"]


def test_a_network_below_a_pixel_wise_forest_says_so_and_a_forest_has_no_layers_to_count(world):
    experiments = world["experiments"] | {"unet": world["experiments"]["unet"] | {"network": "random_forest"}}
    for one_of in experiments.values():
        one_of["dates"] = "last"
    frame = function_of("network_comparison")(
        spec_of(world | {"experiments": experiments}, "network_comparison")
    )
    assert "loses to unet under blocked: F1" in one(frame, "segnet", "f1", "blocked")["note"]
    assert set(frame.loc[frame["row"] == "unet", "metric"]) == {"f1", "average_precision", "iou"}


def test_every_pair_gets_a_difference_a_p_value_and_a_verdict(world):
    frame = function_of("pairwise")(spec_of(world, "pairwise"))
    assert set(frame["row"]) == {"unet_vs_resu_cbnet", "unet_vs_segnet", "resu_cbnet_vs_segnet"}
    difference = one(frame, "unet_vs_segnet", "f1_difference", "blocked")
    assert difference["value"] > 0.1 and 0 < difference["ci_low"] < difference["ci_high"]
    assert one(frame, "unet_vs_segnet", "verdict", "blocked")["note"] == "text better"
    assert one(frame, "unet_vs_resu_cbnet", "verdict", "blocked")["note"] == "text not told apart"
    raw, corrected = (
        one(frame, "unet_vs_segnet", name, "blocked")["value"] for name in ("p_value", "p_holm")
    )
    assert raw < corrected < 0.05


def test_two_seeds_tell_nothing_apart(world):
    frame = function_of("pairwise")(
        spec_of(world, "pairwise", runs=[run for run in world["runs"] if run["seed"] < 2])
    )
    assert "fewer than 3 seeds" in one(frame, "unet_vs_segnet", "f1_difference", "blocked")["note"]
    assert one(frame, "unet_vs_segnet", "verdict", "blocked")["note"] == "text not told apart"


def test_ranks_are_drawn_best_on_top(world):
    figure, numbers = draw(spec_of(world, "ranks"))
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()][-1] == "segnet"
    ranks = {
        row: one(numbers, row, "mean_rank", "blocked")["value"] for row in ("unet", "resu_cbnet", "segnet")
    }
    assert sum(ranks.values()) == pytest.approx(6) and max(ranks, key=ranks.get) == "segnet"
    bars = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_xdata()[0] > 1]
    assert len(bars) == 1 and list(np.round(bars[0].get_ydata())) == [0, 1]


def test_peak_memory_is_that_of_this_process():
    before = peak_memory(torch.device("cpu"))["mib"]
    held = np.ones(2**25)  # 256 MiB
    after = peak_memory(torch.device("cpu"))
    assert after["of"] == "process" and after["mib"] >= before and after["mib"] >= held.nbytes / 2**20
