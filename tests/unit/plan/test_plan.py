"""The plan: cards and configuration resolved, and every bad name answered with one clear sentence."""

import copy
import shutil

import pytest
import yaml

from headscarp.errors import HeadscarpError
from headscarp.plan.model import Run
from headscarp.plan.plan import load_plan
from headscarp.yaml_files import read_yaml
from tests.conftest import REPOSITORY

CONFIG = {"cards": ["gao2021"], "scale": "tiny"}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A copy of the workflow's cards and schemas that a test may change."""
    shutil.copytree(
        REPOSITORY / "workflow", tmp_path / "workflow", ignore=shutil.ignore_patterns("__pycache__")
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADSCARP_MIRROR", raising=False)
    return tmp_path


def change_card(root, name, change):
    path = root / "workflow" / "cards" / f"{name}.yaml"
    record = yaml.safe_load(path.read_text())
    change(record)
    path.write_text(yaml.safe_dump(record))


@pytest.mark.parametrize("scale", ["tiny", "demo", "standard", "full"])
def test_every_card_resolves_at_every_scale(root, scale):
    plan = load_plan(CONFIG | {"scale": scale}, root)
    papers = {"gao2021", "zhang2024", "xia2021", "stfusion", "xing2026"}
    assert set(plan.cards) == papers | {
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
    for card in plan.cards.values():
        for exhibit in card.exhibits.values():
            # An audit reads published numbers only, an architecture the library of networks.
            assert plan.exhibits.inputs(exhibit) or exhibit.kind in ("audit", "architecture")
            assert plan.exhibits.record(exhibit)["sites"]
            assert {row.split(":")[-1] for row in rows_named(exhibit.options)} <= set(exhibit.rows)


@pytest.mark.parametrize(
    ("card", "experiment", "change", "message"),
    [
        ("iburi2018", "unet", {"window": 64}, r"experiment unet: `window: 64` is not larger than .* 64"),
        ("iburi2018", "random_forest", {"window": 128}, r"random_forest reads no windows"),
        ("gao2021", "segnet", {"window": 128}, r"would reach into the windows that protocol published tests"),
        (
            "sichuan_aerial",
            "fcn8s",
            {"window": 512},
            r"from one scene or patch of sichuan_aerial into another",
        ),
    ],
)
def test_windows_that_would_leave_their_ground_are_refused(root, card, experiment, change, message):
    overlay = {card: {"experiments": {experiment: change}}}
    with pytest.raises(HeadscarpError, match=message):
        load_plan(CONFIG | {"cards": [card], "scale": "full", "overlay": overlay}, root)


def rows_named(options):
    """All rows that the options of an exhibit name; those of tables of factors are no experiments."""
    if "factors" in options:
        return []
    named = [row for key in ("published_rows", "row_columns", "shares") for row in options.get(key, {})]
    named += [options[key] for key in ("reference", "baseline") if key in options]
    pairs = [pair["rows"] if isinstance(pair, dict) else pair for pair in options.get("pairs", [])]
    return [*named, *(row for pair in pairs for row in pair)]


def test_a_scale_without_the_row_that_others_are_held_against_is_refused(root):
    rows = {"scales": {"tiny": {"rows": ["small", "gbdt_lr"]}}}
    with pytest.raises(
        HeadscarpError, match=r"rows: 'multi' is left out.*significance.*\(reference\); add it"
    ):
        load_plan(CONFIG | {"cards": ["ecuador"], "overlay": {"ecuador": rows}}, root)


def test_a_scale_of_some_rows_compares_those_only(root):
    config = CONFIG | {"cards": ["four_regions"]}
    left_out = load_plan(config, root).cards["four_regions"].exhibits["left_out"]
    assert left_out.options["pairs"] == [["resu_cbnet", "random_forest"]] and "unet" not in left_out.rows
    pairs = {"exhibits": {"left_out": {"options": {"pairs": [["resu_cbnet", "unett"]]}}}}
    with pytest.raises(HeadscarpError, match=r"left_out, options, pairs: row 'unett'.*unet"):
        load_plan(config | {"overlay": {"four_regions": pairs}}, root)


def test_gao2021_makes_every_exhibit_of_the_paper(root):
    exhibits = load_plan(CONFIG, root).cards["gao2021"].exhibits
    assert set(exhibits) == {
        "table1",
        "table2",
        "table4",
        "table7",
        "table8",
        "table9",
        "audit",
        "fig1",
        "fig2",
        "fig7",
        "fig8",
        "fig9",
        "fig10",
    }


def test_a_table_asks_for_its_own_rows_only(root):
    plan = load_plan(CONFIG | {"scale": "standard"}, root)
    runs = plan.exhibits.runs(plan.exhibits.find("gao2021", "table7"))
    assert {run.site for run in runs} == {"zigui"}
    assert len(runs) == 9 * 2 * 3  # rows, protocols, seeds


def test_an_own_seed_list_replaces_that_of_the_scale(root):
    plan = load_plan(CONFIG | {"seeds": [3, 4, 5]}, root)
    assert {run.seed for run in plan.exhibits.runs(plan.exhibits.find("gao2021", "table7"))} == {3, 4, 5}


def test_the_inventory_of_the_same_protocol_labels_the_cells(root):
    plan = load_plan(CONFIG | {"seeds": [4, 5]}, root)
    files = plan.samples.labels_of_cells("zhangjiajie_90m", "blocked")
    assert (
        files["inventory"]
        == "results/runs/zhang2024/wulingyuan/focal_50/blocked/seed4/zhangjiajie/inventory.gpkg"
    )
    assert files["truth"] == "results/sites/zhangjiajie/raw/landslides.gpkg"


def test_cells_that_also_train_where_they_are_tested_are_for_exhibits_that_name_the_protocol(root):
    config = {"cards": ["zhang2024"], "scale": "tiny"}
    plan = load_plan(config, root)
    shown = {name: exhibit.protocols for name, exhibit in plan.cards["zhang2024"].exhibits.items()}
    assert {name for name, protocols in shown.items() if "as_released" in protocols} == {
        "table6",
        "fig15",
        "audit",
    }
    runs = plan.exhibits.runs(plan.exhibits.find("zhang2024", "table6"))
    assert {run.protocol for run in runs} == {"published", "as_released", "blocked"}
    (audited,) = (one for one in plan.exhibits.record(plan.exhibits.find("zhang2024", "audit"))["sites"][:1])
    assert set(audited["samples"]) == {"published", "blocked"}  # windows have no such protocol
    assert all("as_released" not in test["runs"] for test in plan.claims.record["tests"])
    # Labelled as the paper's own protocol labels them, scored apart.
    labels = plan.samples.labels_of_cells("zhangjiajie_90m", "as_released")
    assert labels == plan.samples.labels_of_cells("zhangjiajie_90m", "published")
    without = load_plan(config | {"protocols": ["published", "blocked"]}, root)
    assert {run.protocol for run in without.exhibits.runs(without.exhibits.find("zhang2024", "table6"))} == {
        "published",
        "blocked",
    }


def test_a_tuned_experiment_waits_for_the_search_of_its_protocol(root):
    plan = load_plan(CONFIG, root)
    for protocol, fold in (("published", 0), ("blocked", 1)):
        assert plan.runs.best_of_search("zhang2024", "focal_50", protocol, "4") == [
            f"results/searches/zhang2024/focal/{protocol}/fold{fold}/gp/best.json"
        ]
    assert plan.runs.best_of_search("zhang2024", "small", "published", "0") == []


def test_a_scale_says_what_plain_snakemake_makes(root):
    plan = load_plan(CONFIG | {"scale": "demo"}, root)
    assert plan.delivered("gao2021") == plan.exhibits.find("gao2021", "table7").files
    assert not set(plan.claims.targets) & set(plan.all_targets)
    # What is not delivered can be asked for, with all its rows.
    assert len(plan.exhibits.find("gao2021", "table8").rows) == 9
    assert len(plan.exhibits.find("gao2021", "table7").rows) == 4
    whole = load_plan(CONFIG | {"scale": "standard"}, root)
    assert set(whole.targets("gao2021")) <= set(whole.all_targets) >= set(whole.claims.targets)
    with pytest.raises(
        HeadscarpError, match=r"scales, demo, deliver: exhibit 'tabel7' .*did you mean 'table7'"
    ):
        load_plan(
            CONFIG | {"scale": "demo", "overlay": {"gao2021": {"scales": {"demo": {"deliver": ["tabel7"]}}}}},
            root,
        )


def test_folds_of_the_ground_rotate_with_the_seed_under_blocked(root):
    samples = load_plan(CONFIG, root).samples
    places = {("gao2021", "jiuzhaigou"): 3, ("zhang2024", "zhangjiajie_90m"): 3, ("iburi2018", "iburi"): 1}
    places |= {("ecuador", "ecuador"): 1}  # cross-validated within each run
    for (card, site), folds in places.items():
        tested = [samples.fold(card, site, "blocked", seed) for seed in range(6)]
        assert tested == [seed % folds for seed in range(6)]
        assert {samples.fold(card, site, "published", seed) for seed in range(6)} == {0}
    folder = "results/sites/jiuzhaigou/samples/gao2021/blocked/fold2"
    assert samples.of_run("gao2021", "jiuzhaigou", "blocked", 5)[0] == f"{folder}/windows.csv"


@pytest.mark.parametrize("scale", ["tiny", "demo", "standard", "full"])
def test_the_four_networks_of_stfusion_get_the_same_search(root, scale):
    """They differ in the network, and in the pre-training that only one of them can have; every network of
    windows in Table 2 is tuned by its own."""
    plan = load_plan({"cards": ["stfusion"], "scale": scale}, root)
    card = plan.cards["stfusion"]
    records = [plan.runs.search_record("stfusion", name, "gp") for name in card.searches]
    assert len({one.pop("network")["name"] for one in records}) == len(records) == 4
    for one in records:
        one["recipe"].pop("pretraining", None)
    assert all(one == records[0] for one in records)
    for row in card.exhibits["table2"].rows:
        experiment = card.experiments[row]
        if experiment.network != "random_forest":
            tuned = card.searches[experiment.tuned_by].record["network"]
            assert tuned["name"] == experiment.network
            assert tuned["params"] == {k: v for k, v in experiment.params.items() if k != "enlarge"}


def test_an_order_shuffles_the_factors_and_without_leaves_some_out(root):
    plan = load_plan(CONFIG, root)
    plain, shuffled, fewer = (
        plan.runs.record("zhang2024", name, "blocked", 0)["channels"]
        for name in ("small", "small_order1", "multi_no_cover")
    )
    assert plain != shuffled and sorted(plain) == sorted(shuffled) and len(plain) == 15
    assert set(plain) - set(fewer) == {"ndvi", "land_use", "distance_to_road"}


def test_a_fine_tuned_run_starts_from_that_of_the_same_protocol_and_seed(root):
    run = load_plan(CONFIG, root).runs.start("xia2021", "tuned_5", "blocked", "2")
    assert run.folder == "results/runs/xia2021/mangkam/fstf_net/blocked/seed2"


def test_dates_are_compared_on_a_run_s_own_site_and_where_it_was_applied(root):
    plan = load_plan(CONFIG, root)
    run = Run(card="xia2021", site="mangkam", experiment="fstf_net", protocol="blocked", seed=0)
    assert plan.runs.dated_maps(run) == [
        f"{run.folder}/mangkam_jan/classes.tif",
        f"{run.folder}/mangkam_feb/classes.tif",
        f"{run.folder}/mangkam_mar/classes.tif",
    ]
    assert plan.runs.dated_truth("xia2021")[2] == "results/sites/mangkam_feb/raw/landslides_mar.gpkg"


def test_a_transfer_table_reads_what_runs_made_of_the_target(root):
    plan = load_plan(CONFIG, root)
    files = plan.exhibits.inputs(plan.exhibits.find("xia2021", "table6"))
    assert files and all("/seed0/jiuzhaigou_vhr/" in file for file in files)


def test_own_scenes_are_left_out_in_turn(root):
    shutil.copy(root / "workflow/examples/vhr_scenes.yaml", root / "workflow/cards")
    plan = load_plan(CONFIG, root)
    assert plan.sites["without_south"].scenes == ("north", "south", "west")
    assert plan.samples.windows("vhr_scenes", "without_south")["split"] == {
        "kind": "scenes",
        "validation": 0.2,
        "test": "south",
    }
    assert "south" in plan.scenes_of_collages and "without_south" not in plan.scenes_of_collages


def test_an_experiment_name_of_two_methods_is_refused(root):
    overlay = {"gao2021": {"experiments": {"small": {"network": "unet", "inputs": ["optical"]}}}}
    with pytest.raises(
        HeadscarpError,
        match="'small' is a model of neighbourhoods in card ecuador and of windows in gao2021; rename one",
    ):
        load_plan(CONFIG | {"overlay": overlay}, root)


def test_published_values_stand_beside_the_exhibit_they_belong_to(root):
    plan = load_plan(CONFIG, root)
    published = plan.exhibits.record(plan.exhibits.find("gao2021", "table7"))["published"]
    assert {
        "row": "fc_densenet+factors",
        "metric": "kappa",
        "value": 94.72,
        "printed": "94.72",
        "unit": "percent",
    } in published


def test_a_real_site_gets_coarser_pixels_at_tiny_scale(root):
    assert load_plan(CONFIG, root).sites["iburi"].layers["grid"]["resolution_m"] == 25


def test_an_overlay_adds_an_experiment_and_replaces_rows(root):
    overlay = {
        "gao2021": {
            "experiments": {
                "own": {"network": "unet", "inputs": ["optical", "factors"], "training": {"loss": "focal"}}
            },
            "exhibits": {"table7": {"rows": ["unet", "own"]}},
        }
    }
    plan = load_plan(CONFIG | {"overlay": overlay}, root)
    record = plan.runs.record("gao2021", "own", "blocked", 0)
    assert record["recipe"]["loss"] == "focal" and record["recipe"]["optimiser"] == "adam"
    assert "slope" in record["channels"] and "swir2" in record["channels"]
    assert plan.exhibits.find("gao2021", "table7").rows == ("unet", "own")


def test_a_recipe_may_differ_by_protocol(root):
    overlay = {"gao2021": {"experiments": {"unet": {"training": {"by_protocol": {"blocked": {"batch": 3}}}}}}}
    runs = load_plan(CONFIG | {"overlay": overlay}, root).runs
    published, blocked = (
        runs.record("gao2021", "unet", protocol, 0)["recipe"] for protocol in ("published", "blocked")
    )
    # The paper names no turned windows and no half precision (section III-A).
    assert published["augment"] is False and published["precision"] == "float32"
    assert blocked["augment"] is True and "precision" not in blocked
    assert blocked["batch"] == 3 != published["batch"] and "by_protocol" not in published | blocked


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"published": {"augmnt": False}}, "training under published: unknown key 'augmnt'"),
        ({"publishd": {"augment": False}}, "unknown key 'publishd'; did you mean 'published'"),
        ({"blocked": {"loss_params": {"gamma": 1.0}}}, "training under blocked: .*gamma"),
    ],
)
def test_a_wrong_change_under_a_protocol_is_refused(root, changes, message):
    overlay = {"gao2021": {"experiments": {"unet": {"training": {"by_protocol": changes}}}}}
    with pytest.raises(HeadscarpError, match=message):
        load_plan(CONFIG | {"overlay": overlay}, root)


def test_jobs_are_told_the_device_and_how_many_share_it(root):
    plan = load_plan(CONFIG | {"device": "cuda:1", "jobs_per_gpu": 4}, root)
    assert plan.environment["HEADSCARP_DEVICE"] == "cuda:1"
    assert plan.environment["HEADSCARP_JOBS_PER_GPU"] == "4"
    assert load_plan(CONFIG, root).environment["HEADSCARP_JOBS_PER_GPU"] == "1"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sedes": [1]}, "unknown key 'sedes'; did you mean 'seeds'?"),
        ({"scale": "dmo"}, "scale 'dmo' does not exist; did you mean 'demo'?"),
        ({"device": "gpu"}, "device 'gpu' does not exist; use auto, cpu, cuda"),
        ({"jobs_per_gpu": 0}, "jobs_per_gpu"),
        ({"cards": ["gao2012"]}, "card 'gao2012' does not exist; did you mean 'gao2021'?"),
        ({"overlay": {"gao21": {}}}, "did you mean 'gao2021'?"),
        (
            {"overlay": {"gao2021": {"experimnts": {}}}},
            "unknown key 'experimnts'; did you mean 'experiments'?",
        ),
        (
            {"overlay": {"gao2021": {"experiments": {"x": {"network": "unett", "inputs": ["optical"]}}}}},
            "did you mean 'unet'?",
        ),
        (
            {"overlay": {"gao2021": {"experiments": {"x": {"network": "unet", "inputs": ["optic"]}}}}},
            "did you mean 'optical'?",
        ),
        ({"overlay": {"gao2021": {"exhibits": {"table7": {"rows": ["segnett"]}}}}}, "did you mean 'segnet'?"),
        (
            {"overlay": {"zhang2024": {"experiments": {"focal_50": {"tuned_by": "focl"}}}}},
            "did you mean 'focal'?",
        ),
        (
            {"overlay": {"zhang2024": {"sites": {"wulingyuan": {"raw": "zhangjiaje"}}}}},
            "did you mean 'zhangjiajie'?",
        ),
        (
            {"overlay": {"xia2021": {"experiments": {"tuned_1": {"start": {"experiment": "fstf_ne"}}}}}},
            "did you mean 'fstf_net'?",
        ),
        (
            {"overlay": {"xia2021": {"experiments": {"rae_d": {"statistics": "start"}}}}},
            "statistics of a start need one",
        ),
        (
            {"overlay": {"xia2021": {"sites": {"mangkam_jan": {"scenes": ["mangkam_feb", "mangkam_mar"]}}}}},
            "and none has another of these",
        ),
        (
            {
                "overlay": {
                    "xia2021": {
                        "change": {
                            "dates": [
                                {"date": "a", "site": "mangkam_fbe"},
                                {"date": "b", "site": "mangkam_jan"},
                            ]
                        }
                    }
                }
            },
            "did you mean 'mangkam_feb'?",
        ),
        (
            {"overlay": {"zhang2024": {"inventory": None}}},
            "inventory: null will not do; it must be a mapping of experiment, site, target",
        ),
        (
            {"overlay": {"ecuador": {"exhibits": {"comparison": {"protocols": ["as_released"]}}}}},
            "`protocols: [as_released]`, and none of ecuador has it; leave it out",
        ),
        (
            {"overlay": {"ecuador": {"cells": {"ecuador": {"inventory": {}}}}}},
            "labels from an inventory need the card's `inventory` section",
        ),
        (
            {"overlay": {"ecuador": {"cells": {"ecuador_lsl": {"points": None}}}}},
            "cells, ecuador_lsl, points: null will not do",
        ),
        (
            {"overlay": {"iburi2018": {"susceptibility": ["random_forest"]}}},
            "susceptibility: 'random_forest' maps landslides pixel by pixel; name it under `polygons`",
        ),
        (
            {"overlay": {"ecuador": {"cells": {"ecuador": {"polygons": {"file": "ta.tif"}}}}}},
            "card ecuador, cells, ecuador: ta.tif is a raster, and `cells` take polygons or points here",
        ),
        (
            {
                "overlay": {
                    "gao2021": {
                        "sites": {
                            "own": {
                                "title": "",
                                "source": "twin",
                                "data": "twin",
                                "layers": {"grid": {}, "dates": ["2018-09-06"], "rasters": {}},
                            }
                        }
                    }
                }
            },
            "site own: a simulated site needs its landscape; describe it as `twin`",
        ),
        (
            {"overlay": {"gao2021": {"exhibits": {"table1": {"kind": "inventory"}}}}},
            "exhibit table1: inventory shows what runs made of another site; name that site as `target`",
        ),
        ({"threads": 0}, "threads: 0 will not do; it must be a whole number from 1"),
        ({"gpu_cube_mib": -1}, "gpu_cube_mib: -1 will not do; it must be a whole number from 0"),
        ({"compile": "maybe"}, "compile"),
    ],
)
def test_bad_configuration_names_the_key_and_the_nearest_valid_one(root, change, message):
    with pytest.raises(HeadscarpError) as error:
        load_plan(copy.deepcopy(CONFIG) | change, root)
    assert message in str(error.value)


def test_what_a_gpu_is_used_for_is_told_to_jobs_by_their_environment_alone(root):
    """So nothing that was trained is out of date when it changes."""
    chosen = {"gpu_cube_mib": 100, "compile": "true"}  # as `--config compile=true` hands it on
    plan, usual = load_plan(CONFIG | chosen, root), load_plan(CONFIG, root)
    told, usually = (
        [one.environment[f"HEADSCARP_{key}"] for key in ("GPU_CUBE_MIB", "COMPILE")] for one in (plan, usual)
    )
    assert told == ["100", "1"] and usually == ["4096", ""]
    run = ("gao2021", "unet", "blocked", 0, "zigui")
    assert plan.runs.record(*run) == usual.runs.record(*run)


def test_two_cards_of_one_name_are_refused(root):
    shutil.copy(root / "workflow/cards/gao2021.yaml", root / "workflow/cards/second.yaml")
    with pytest.raises(HeadscarpError, match=r"two cards are called 'gao2021': gao2021.yaml and second.yaml"):
        load_plan(CONFIG, root)


def test_cells_without_labels_are_told_how_to_get_some(root):
    path = root / "workflow/cards/ecuador.yaml"
    text = path.read_text(encoding="utf-8")
    line = '    points: {file: ecuador.rda, label: slides, crs: "EPSG:24877"}\n'
    assert line in text
    path.write_text(text.replace(line, ""), encoding="utf-8")
    with pytest.raises(HeadscarpError, match=r"cells, ecuador: .*`points: {file: landslides.gpkg, area: "):
        load_plan(CONFIG, root)


def test_a_site_of_two_cards_is_refused(root):
    shutil.copy(root / "workflow/cards/gao2021.yaml", root / "workflow/cards/second.yaml")
    change_card(root, "second", lambda record: record.update(name="second"))
    with pytest.raises(
        HeadscarpError,
        match=r"site '(zigui|jiuzhaigou)' is defined by the cards gao2021 and second; rename one",
    ):
        load_plan(CONFIG, root)


def test_a_key_that_stands_twice_is_refused(tmp_path):
    (tmp_path / "config.yaml").write_text("sites:\n  a: 1\n  b: 2\n  a: 3\n")
    with pytest.raises(HeadscarpError, match="'a' is defined twice"):
        read_yaml(tmp_path / "config.yaml")


def test_a_card_whose_files_cannot_be_had_is_skipped_by_name_and_the_twins_run(root):
    def nowhere(path):
        path.write_text(
            "".join(
                line.replace("https://", "http://127.0.0.1:9/")
                for line in path.read_text().splitlines(keepends=True)
            )
        )

    nowhere(root / "workflow/cards/archive/iburi2018.csv")
    plan = load_plan(CONFIG | {"cards": ["gao2021", "iburi2018"]}, root)
    assert plan.selected == ("gao2021",)
    assert "HEADSCARP_MIRROR" in plan.skipped["iburi2018"]


def averaging(of, over, **more):
    return {"overlay": {"iburi2018": {"experiments": {"mean": {"average": {"of": of, "over": over}} | more}}}}


def test_averages_take_all_from_what_they_average(root):
    config = CONFIG | {"cards": ["iburi2018"], "scale": "standard"}
    plan = load_plan(config | averaging("unet_symmetries", "seeds"), root)
    card = plan.cards["iburi2018"]
    mean, base = card.experiments["mean"], card.experiments["unet+factors"]
    assert (mean.channels, mean.network, mean.method) == (base.channels, base.network, "seeds")
    assert card.seeds_of("mean") == (0,) and card.seeds_of("unet+factors") == (0, 1, 2)
    run = Run(card="iburi2018", site="iburi", experiment="mean", protocol="blocked", seed=0)
    assert [(one.experiment, one.seed) for one in plan.runs.averaged(run)] == [
        ("unet_symmetries", seed) for seed in (0, 1, 2)
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (averaging("unet+factor", "seeds"), r"mean, average, of: experiment 'unet\+factor'.*unet\+factors"),
        (averaging("unet", "turns"), r"average, over: 'turns' does not exist"),
        (averaging("unet", "seeds", network="unet"), r"the key 'network' does not go with the others"),
        (averaging("random_forest", "symmetries"), r"random_forest is a pixel-wise forest"),
        (averaging("unet_seeds", "symmetries"), r"average, of: experiment 'unet_seeds'"),
    ],
)
def test_averages_of_what_cannot_be_averaged_are_refused(root, change, message):
    with pytest.raises(HeadscarpError, match=message):
        load_plan(CONFIG | {"cards": ["iburi2018"]} | change, root)


def test_a_mean_over_seeds_that_rotate_is_refused(root):
    mean = {"average": {"of": "unet", "over": "seeds"}}
    with pytest.raises(HeadscarpError, match=r"folds of the ground in turn.*\(mean\).*strips"):
        load_plan(CONFIG | {"overlay": {"gao2021": {"experiments": {"mean": mean}}}}, root)


def test_averages_of_cells_are_refused(root):
    mean = {"average": {"of": "gbdt_lr", "over": "seeds"}}
    with pytest.raises(HeadscarpError, match=r"gbdt_lr is on cells"):
        load_plan(
            CONFIG | {"cards": ["ecuador"], "overlay": {"ecuador": {"experiments": {"mean": mean}}}}, root
        )


@pytest.mark.parametrize(
    ("kind", "row", "message"),
    [
        ("curves", "unet_symmetries", r"reads history.csv of each run, which 'unet_symmetries' \(an average"),
        (
            "curves",
            "random_forest",
            r"reads history.csv of each run, which 'random_forest' \(random_forest\)",
        ),
        ("grad_cam", "random_forest", r"reads gradcam.npz"),
        ("pairwise", "unet_seeds", r"'unet_seeds' is one run, the mean of all seeds"),
    ],
)
def test_rows_that_do_not_make_what_is_shown_are_refused(root, kind, row, message):
    exhibit = {"kind": kind, "title": "t", "caption": "c", "sites": ["iburi"], "rows": ["unet", row]}
    overlay = {"iburi2018": {"exhibits": {"mine": exhibit}}}
    with pytest.raises(HeadscarpError, match=message):
        load_plan(CONFIG | {"cards": ["iburi2018"], "scale": "full", "overlay": overlay}, root)


def temporal(until=2010, years=None, polygons=None, rows=("gbdt_lr",)):
    """The card ecuador with years of landslides, which its data lack."""
    cells = {
        "polygons": polygons or {"file": "lsl.rda", "year": "year"},
        "temporal": {"until": until} | ({"years": years} if years else {}),
        "protocols": ["temporal"],
    }
    shown = {"rows": list(rows), "protocols": ["temporal"]}
    overlay = {"cells": {"ecuador_lsl": cells}, "exhibits": {"comparison_lsl": shown}}
    return CONFIG | {"cards": ["ecuador"], "overlay": {"ecuador": overlay}}


def test_a_later_factor_of_earlier_landslides_is_refused(root):
    load_plan(temporal(years={"slope": 2009}), root)
    message = r"comparison_lsl: 'gbdt_lr' reads slope, which shows 2012.*up to 2010.*without"
    with pytest.raises(HeadscarpError, match=message):
        load_plan(temporal(years={"slope": 2012}), root)
    with pytest.raises(HeadscarpError, match=r"years: layer 'slpoe'.*slope"):
        load_plan(temporal(years={"slpoe": 2012}), root)


def test_years_are_needed_to_test_on_later_landslides(root):
    with pytest.raises(HeadscarpError, match=r"protocol temporal needs `polygons: \{file, year: column\}`"):
        load_plan(temporal(polygons={"file": "lsl.rda"}), root)
    config = temporal()
    config["overlay"]["ecuador"]["exhibits"]["comparison"] = {"protocols": ["temporal"]}
    with pytest.raises(
        HeadscarpError, match=r"comparison, protocols: temporal is for cells.*none of ecuador"
    ):
        load_plan(config, root)


def test_a_folder_of_data_is_one_however_it_is_spelt(root, tmp_path, monkeypatch):
    """Snakemake redoes what has other inputs: a path spelt in another way must not be another input."""
    (tmp_path / "data").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "data")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    found = {
        load_plan(CONFIG | {"data": data}, root).data
        for data in (str(tmp_path / "data"), "../data", "../linked", f"{tmp_path}/work/../data/")
    }
    assert found == {str((tmp_path / "data").resolve())}


def with_best_map(record, **change):
    record["best_map"] = {"among": ["random_forest+factors", "unet"]} | change


def test_the_best_map_is_chosen_among_all_seeds(root):
    change_card(root, "iburi2018", with_best_map)
    plan = load_plan({"cards": ["iburi2018"], "scale": "standard"}, root)
    runs = plan.maps.candidates("iburi")
    assert [(run.experiment, run.seed, run.protocol) for run in runs] == [
        (experiment, seed, "blocked")
        for experiment in ("random_forest+factors", "unet")
        for seed in plan.cards["iburi2018"].seeds
    ]
    record = plan.maps.choice_record("iburi")
    assert (record["rule"], record["method"]) == ("f1", "platt")
    listed = [one["probability"] for candidate in record["candidates"] for one in candidate["maps"]]
    assert listed == [run.file("probability.tif") for run in runs]
    assert "results/sites/iburi/best_map/landslides.gpkg" in plan.targets("iburi2018")
    assert next(iter(plan.maps.delivered("iburi"))) == "results/sites/iburi/best_map"
    assert plan.maps.page_record("iburi")["best"] == "results/sites/iburi/best_map"


def test_without_a_best_map_nothing_is_chosen(root):
    plan = load_plan({"cards": ["xia2021"], "scale": "tiny"}, root)
    assert plan.maps.with_best("xia2021") == []
    assert plan.maps.page_record("sichuan")["best"] is None


@pytest.mark.parametrize(
    ("card", "among", "config", "message"),
    [
        ("iburi2018", ["unett"], {}, "best_map, among: experiment 'unett' does not exist"),
        ("iburi2018", ["unet_seeds"], {}, "unet_seeds is itself a mean over seeds"),
        ("ecuador", ["gbdt_lr"], {}, "gbdt_lr models cells of susceptibility"),
        ("iburi2018", ["unet"], {"protocols": ["published"]}, "which protocol blocked keeps; add it to"),
    ],
)
def test_a_best_map_that_cannot_be_is_told(root, card, among, config, message):
    def change(record):
        record["best_map"] = {"among": among}
        record["protocols"] = ["published", "blocked"]

    change_card(root, card, change)
    with pytest.raises(HeadscarpError, match=message):
        load_plan({"cards": [card], "scale": "standard"} | config, root)


class TestProjects:
    """Which QGIS projects a card delivers, and what they show."""

    def test_every_mapped_place_and_every_map_of_susceptibility_has_one(self, root):
        plan = load_plan(CONFIG | {"cards": ["gao2021", "stfusion", "zhang2024", "emilia"]}, root)
        delivered = {
            card: [path for path in plan.maps.targets(card) if path.endswith(".qgz")]
            for card in plan.selected
        }
        assert delivered == {
            "gao2021": [f"results/sites/{site}/{site}.qgz" for site in ("zigui", "jiuzhaigou")],
            "stfusion": [f"results/sites/{site}/{site}.qgz" for site in ("karakoram", "sichuan")],
            "zhang2024": ["results/sites/zhangjiajie_90m/zhangjiajie_90m.qgz"],
            "emilia": [],  # patches on no map
        }

    def test_cells_show_their_own_susceptibility_and_their_site_that_of_its_cells(self, root):
        plan = load_plan(CONFIG | {"cards": ["ecuador", "zhang2024"]}, root)
        for site in ("ecuador", "ecuador_lsl"):
            runs = plan.maps.susceptibility(site)
            assert runs and {run.site for run in runs} == {site}
            protocols = [run.protocol for run in runs]
            assert protocols == sorted(protocols, key=lambda protocol: protocol != "blocked")
            files = plan.maps.project_files(site)
            assert [one["map"] for one in plan.maps.project_record(site)["susceptibility"]] == files
        assert plan.maps.susceptibility("zhangjiajie") == plan.maps.susceptibility("zhangjiajie_90m")
