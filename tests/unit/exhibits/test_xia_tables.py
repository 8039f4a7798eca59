"""Tables of xia2021's kinds against hand computations, scikit-learn and the published numbers, on an invented
site with invented runs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from headscarp.codes import TEST
from headscarp.errors import HeadscarpError
from headscarp.exhibits.kinds import function_of
from headscarp.exhibits.render import write_table
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.files import write_json
from headscarp.scoring.score import score_classes, score_run, write_scores
from tests.conftest import checks_of
from tests.world import one, run_record, spec_of

SHAPE = (64, 80)
SKILL = {"rae_d": 0.6, "fstf_net": 0.8}
LABELS = {"rae_d": "RAE-D", "fstf_net": "FSTF-Net"}
CODES = range(6)
NAMES = ("bare_land", "landslide", "building", "vegetation", "water", "road")


def invent(seed: int, skill: float, absent: int | None = None) -> tuple[np.ndarray, ...]:
    """A map of classes, its landslides as a probability, label, instances, regions and blocks."""
    truth = np.random.default_rng(0).integers(0, 6, SHAPE).astype(np.uint8)
    label = np.kron(truth[::8, ::8], np.ones((8, 8), np.uint8))
    if absent is not None:
        label[label == absent] = 0
    rng = np.random.default_rng([seed, int(100 * skill)])
    classes = np.where(rng.random(SHAPE) < skill, label, rng.integers(0, 6, SHAPE)).astype(np.uint8)
    instances = np.where(label == 1, np.arange(1, 81).reshape(8, 10).repeat(8, 0).repeat(8, 1), 0)
    row, col = np.indices(SHAPE)
    blocks = (row // 16 * 10 + col // 16).astype(np.int32)
    return classes, np.where(classes == 1, 0.9, 0.1), label, instances, np.full(SHAPE, TEST, np.uint8), blocks


def score_into(folder: Path, protocol: str, seed: int, skill: float, absent: int | None = None) -> None:
    classes, probability, *places = invent(seed, skill, absent)
    scores, cells = score_run(probability, *places, 0.25, protocol, "twin", seed, threshold=0.5)
    of_classes, confusions, _ = score_classes(classes, *places)
    write_scores(folder, scores | of_classes, cells | {"confusion": confusions})


CHANGE = {
    "dates": ["jan", "mar"],
    "landslide_area_m2": {"jan": 100.0, "mar": 160.0},
    "by_status": {
        status: {"count": n, "area_m2": 10.0 * n, "change_m2": 5.0 * n}
        for n, status in enumerate(("new", "grown", "unchanged"))
    },
    "gone": {"count": 4, "area_m2": 0.0, "change_m2": -30.0},
    "transitions": [{"from": "jan", "to": "mar", "area_m2": np.arange(36.0).reshape(6, 6).tolist()}],
    "truth": {
        "overlap": 0.5,
        **{name: {"slides": 3, "found": 2, "mapped": 4, "false": 1} for name in ("new", "grown")},
    },
}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> dict:
    """A site with layers and samples, and runs of two networks under both protocols with two seeds, at home
    and on another site."""
    folder = tmp_path_factory.mktemp("results")
    grid = {"crs": "EPSG:32647", "transform": [0.3, 0, 0, 0, -0.3, 0], "height": 3200, "width": 3100}
    layers = [
        {"name": "red", "units": "1", "resolution_m": 0.3, "effective_resolution_m": 0.3},
        {"name": "slope", "units": "degree", "resolution_m": 0.3, "effective_resolution_m": 5.0},
        {"name": "label", "units": "class"},
        {"name": "instances", "units": "number of the slide"},
    ]
    write_json(
        folder / "feb" / "layers" / "layers.json",
        {"grid": grid, "layers": layers, "dates": ["2018-02"], "notes": []},
    )
    site = {
        "name": "mangkam_feb",
        "title": "Mangkam (simulated)",
        "folder": str(folder / "feb"),
        "data": "twin",
        "samples": {},
    }
    runs = []
    for protocol in ("published", "blocked"):
        samples = folder / "samples" / protocol
        stages = [
            {"stage": "superpixels", "windows": 10, "shares": {"0": 0.6, "1": 0.05, "3": 0.35}},
            {"stage": "re-crops", "windows": 25, "shares": {"0": 0.5, "1": 0.2, "3": 0.3}},
        ]
        write_json(samples / "samples.json", {"counts": {"train": {"windows": 25}}, "stages": stages})
        site["samples"][protocol] = str(samples)
        for name, skill in SKILL.items():
            for seed in (0, 1):
                run = folder / "runs" / name / protocol / f"seed{seed}"
                score_into(run, protocol, seed, skill)
                score_into(run / "jiuzhaigou_vhr", protocol, seed, skill - 0.2, absent=5)
                write_json(
                    run / "change" / "change.json",
                    CHANGE | {"gone": CHANGE["gone"] | {"count": 4 + 2 * seed}},
                )
                runs.append(run_record(run, name, LABELS[name], protocol, seed))
    target = site | {"name": "jiuzhaigou_vhr", "title": "Jiuzhaigou (simulated)", "samples": {}}
    return {"sites": [site], "runs": runs, "target": target}


def rendered(frame: pd.DataFrame, spec: ExhibitSpec, folder: Path) -> str:
    paths = [folder / f"table.{kind}" for kind in ("csv", "md", "html")]
    write_table(frame, spec, *paths)
    assert len(pd.read_csv(paths[0])) == len(frame)
    return paths[1].read_text()


def published_of(path: Path, *tables: str) -> list[dict]:
    printed = pd.read_csv(path, dtype={"value": str}, keep_default_na=False)
    printed = printed[(printed["paper"] == "xia2021") & printed["table"].isin(tables)]
    return (
        printed[["table", "row", "metric", "unit"]]
        .assign(value=printed["value"].astype(float))
        .to_dict("records")
    )


def truth_and_maps(skill: float, absent: int | None = None) -> list[tuple[np.ndarray, np.ndarray]]:
    return [
        (label.ravel(), classes.ravel())
        for classes, _, label, *_ in (invent(seed, skill, absent) for seed in (0, 1))
    ]


# --- Tables 1, 2 and 5, and the samples


def test_data_sources_tell_both_resolutions(world, tmp_path):
    published = [
        {"row": "mangkam_feb:red", "metric": "resolution_m", "value": 0.3},
        {"row": "mangkam_feb:red", "metric": "date", "value": "January 2018"},
        {"row": "mangkam_feb", "metric": "training_patches", "value": 479},
    ]
    spec = spec_of(world, "data_sources", runs=[], published=published)
    frame = function_of("data_sources")(spec)
    assert one(frame, "mangkam_feb:slope", "resolution_m")["value"] == 0.3
    assert one(frame, "mangkam_feb:slope", "effective_resolution_m")["value"] == 5
    assert one(frame, "mangkam_feb:label", "effective_resolution_m")["value"] == 0.3
    assert (
        one(frame, "mangkam_feb:red", "rows")["value"],
        one(frame, "mangkam_feb:red", "cols")["value"],
    ) == (3200, 3100)
    assert one(frame, "mangkam_feb:red", "date")["note"] == "text 2018-02; published January 2018"
    assert one(frame, "mangkam_feb:red", "resolution_m")["difference"] == 0
    published, blocked = (
        one(frame, "mangkam_feb", f"training_patches{ending}") for ending in ("", "_blocked")
    )
    assert (published["value"], published["published"], blocked["value"]) == (25, 479, 25)
    assert not frame["row"].str.contains("instances").any()
    assert "Mangkam (simulated): slope" in rendered(frame, spec, tmp_path)


def test_class_ratios_of_every_stage(world):
    spec = spec_of(world, "class_ratios", runs=[])
    frame = function_of("class_ratios")(spec)
    assert one(frame, "mangkam_feb:superpixels", "largest_to_smallest", "blocked")["value"] == pytest.approx(
        12
    )
    last = "mangkam_feb:re-crops"
    assert one(frame, last, "largest_to_smallest", "published")["value"] == pytest.approx(2.5)
    assert (
        one(frame, last, "windows", "blocked")["value"],
        one(frame, last, "landslide", "blocked")["value"],
    ) == (25, 0.2)
    assert np.isnan(one(frame, last, "water", "blocked")["value"])


def test_samples_without_stages_are_told(world, tmp_path):
    write_json(tmp_path / "samples.json", {"counts": {}})
    site = world["sites"][0] | {"samples": {"blocked": str(tmp_path)}}
    with pytest.raises(HeadscarpError, match="names no stages of sampling"):
        function_of("class_ratios")(spec_of(world, "class_ratios", runs=[], sites=[site]))


# --- Tables 3, 4, 6 and 7


def test_class_scores_are_those_of_scikit_learn(world, real_data, tmp_path):
    published = published_of(real_data("published/tables.csv"), "table3")
    spec = spec_of(world, "class_scores", published=published)
    frame = function_of("class_scores")(spec)
    pairs = truth_and_maps(SKILL["fstf_net"])
    expected = {
        "avg_recall": [sk.recall_score(*pair, average="macro") for pair in pairs],
        "avg_f1": [sk.f1_score(*pair, average="macro") for pair in pairs],
        "oa": [sk.accuracy_score(*pair) for pair in pairs],
        "g_mean": [np.prod(sk.recall_score(*pair, average=None)) ** (1 / 6) for pair in pairs],
        "landslide_f1": [sk.f1_score(*pair, average=None)[1] for pair in pairs],
    } | {
        name: [sk.precision_score(*pair, average=None)[code] for pair in pairs]
        for code, name in enumerate(NAMES)
    }
    for metric, values in expected.items():
        line = one(frame, "fstf_net", metric, "blocked")
        assert line["value"] == pytest.approx(np.mean(values)) and line["sd"] == pytest.approx(
            np.std(values, ddof=1)
        ), metric
        assert line["ci_low"] < line["value"] < line["ci_high"] and line["n_seeds"] == 2
    # Every number of the row in Table 3 stands beside ours.
    row = {record["metric"]: record["value"] for record in published if record["row"] == "fstf_net"}
    lines = frame[
        (frame["row"] == "fstf_net") & (frame["protocol"] == "blocked") & frame["published"].notna()
    ]
    assert dict(zip(lines["metric"], lines["published"], strict=True)) == row and len(row) == 9
    assert "Protocol: blocked" in rendered(frame, spec, tmp_path)


def test_extraction_of_pixels_slides_and_boundaries(world, real_data):
    spec = spec_of(world, "extraction", published=published_of(real_data("published/tables.csv"), "table4"))
    frame = function_of("extraction")(spec)
    pairs = [(truth == 1, mapped == 1) for truth, mapped in truth_and_maps(SKILL["rae_d"])]
    recall, precision, iou = (
        np.mean([of(*pair) for pair in pairs])
        for of in (sk.recall_score, sk.precision_score, sk.jaccard_score)
    )
    found = {metric: one(frame, "rae_d", metric, "published") for metric in ("dp", "oe", "ce", "qp")}
    assert {metric: line["value"] for metric, line in found.items()} == pytest.approx(
        {"dp": recall, "oe": 1 - recall, "ce": 1 - precision, "qp": iou}
    )
    assert [found[metric]["published"] for metric in ("dp", "oe", "ce", "qp")] == [0.81, 0.19, 0.17, 0.71]
    assert found["dp"]["ci_low"] < recall < found["dp"]["ci_high"]
    slides = one(frame, "rae_d", "object_dp", "published")
    assert slides["value"] == 1 and "at least 50%" in slides["note"] and np.isnan(slides["published"])
    assert 0 < one(frame, "rae_d", "boundary_f1", "blocked")["value"] < 1


def test_runs_elsewhere_have_the_scores_of_the_target(world):
    target = world["target"]["name"]
    runs = [run | {"maps": f"{run['folder']}/{target}"} for run in world["runs"]]
    elsewhere = {"options": {"elsewhere": True}, "runs": runs}
    frame = function_of("class_scores")(spec_of(world, "class_scores", **elsewhere))
    pairs = truth_and_maps(SKILL["fstf_net"] - 0.2, absent=5)
    line = one(frame, "fstf_net", "avg_recall", "blocked")
    assert line["value"] == pytest.approx(
        np.mean([sk.recall_score(*pair, labels=range(5), average="macro") for pair in pairs])
    )
    assert line["note"] == "the evaluated region has no road: left out of the means over classes"
    extraction = function_of("extraction")(spec_of(world, "extraction", **elsewhere))
    expected = np.mean([sk.jaccard_score(truth == 1, mapped == 1) for truth, mapped in pairs])
    assert one(extraction, "fstf_net", "qp", "blocked")["value"] == pytest.approx(expected)
    with pytest.raises(HeadscarpError, match="name the site that they mapped as `target`"):
        function_of("class_scores")(spec_of(world, "class_scores", target=None, **elsewhere))


def test_runs_on_different_pixels_are_refused(world, tmp_path):
    score_into(tmp_path, "blocked", 0, 0.5, absent=5)
    other = world["runs"][-1] | {"folder": str(tmp_path), "maps": str(tmp_path)}
    with pytest.raises(HeadscarpError, match="different cells"):
        function_of("class_scores")(spec_of(world, "class_scores", runs=[*world["runs"][:-1], other]))


def test_average_precision_of_landslides_stands_beside_f1(world):
    frame = function_of("class_scores")(spec_of(world, "class_scores"))
    invented = [invent(seed, SKILL["rae_d"]) for seed in (0, 1)]
    expected = [
        sk.average_precision_score((label == 1).ravel(), probability.ravel())
        for _, probability, label, *_ in invented
    ]
    line = one(frame, "rae_d", "landslide_average_precision", "blocked")
    assert line["value"] == pytest.approx(np.mean(expected)) and np.isnan(line["published"])


def test_a_row_that_loses_to_single_pixels_is_told(world, tmp_path):
    """FSTF-Net, taken for a forest, is above RAE-D in everything; the reverse says nothing."""

    def taken_for_a_forest(row, **more):
        other = {"network": "rae_d", "channels": ["red", "slope"], "dates": "last"}
        forest = {"network": "random_forest", "channels": ["red"], "dates": "last"} | more
        return spec_of(
            world, "class_scores", experiments=dict.fromkeys(("rae_d", "fstf_net"), other) | {row: forest}
        )

    spec = taken_for_a_forest("fstf_net")
    frame = function_of("class_scores")(spec)
    told = one(frame, "rae_d", "oa", "blocked")["note"]
    assert told == "RAE-D loses to FSTF-Net under blocked: OA, Average F1, Landslide F1, Landslide AP"
    assert not frame[frame["row"] == "fstf_net"]["note"].str.contains("loses").any()
    assert rendered(frame, spec, tmp_path).count(told) == 1
    # A forest that reads more than the network does is no floor.
    for none in (
        taken_for_a_forest("rae_d"),
        taken_for_a_forest("fstf_net", channels=["nir"]),
        taken_for_a_forest("fstf_net", dates="all"),
    ):
        assert not function_of("class_scores")(none)["note"].str.contains("loses").any()


# --- fine-tuning, effect, change


def test_fine_tuning_by_share(world):
    frame = function_of("fine_tuning")(
        spec_of(world, "fine_tuning", options={"shares": {"rae_d": 0, "fstf_net": 5}})
    )
    assert (
        one(frame, "rae_d", "share_percent", "blocked")["value"] == 0
        and one(frame, "fstf_net", "share_percent", "blocked")["value"] == 5
    )
    expected = np.mean([sk.f1_score(*pair, average=None)[1] for pair in truth_and_maps(SKILL["fstf_net"])])
    assert one(frame, "fstf_net", "landslide_f1", "blocked")["value"] == pytest.approx(expected)
    with pytest.raises(HeadscarpError, match="shares: row 'fstf_net' does not exist"):
        function_of("fine_tuning")(spec_of(world, "fine_tuning", options={"shares": {"rae_d": 0}}))


def test_paired_effect_has_a_sign(world, tmp_path):
    spec = spec_of(world, "paired_effect", options={"pairs": [["fstf_net", "rae_d"], ["rae_d", "rae_d"]]})
    frame = function_of("paired_effect")(spec)
    effect = one(frame, "fstf_net_vs_rae_d", "oa", "blocked")
    accuracy = {
        row: np.mean([sk.accuracy_score(*pair) for pair in truth_and_maps(skill)])
        for row, skill in SKILL.items()
    }
    assert effect["value"] == pytest.approx(accuracy["fstf_net"] - accuracy["rae_d"])
    assert 0 < effect["ci_low"] < effect["value"] < effect["ci_high"]
    assert "fewer than 3 seeds" in effect["note"]
    assert one(frame, "fstf_net_vs_rae_d", "landslide_f1", "published")["ci_low"] > 0
    none = one(frame, "rae_d_vs_rae_d", "landslide_f1", "blocked")
    assert none["value"] == none["ci_low"] == 0 and "not settled" in none["note"]
    assert "FSTF-Net vs RAE-D" in rendered(frame, spec, tmp_path)


def test_change_by_status(world):
    frame = function_of("change_table")(spec_of(world, "change_table"))
    found = {
        metric: one(frame, "fstf_net:grown", metric, "blocked")["value"]
        for metric in ("landslides", "area_m2", "slides_found")
    }
    assert found == {"landslides": 1, "area_m2": 10, "slides_found": 2}
    gone = one(frame, "fstf_net:gone", "landslides", "blocked")
    assert gone["value"] == 5 and gone["sd"] == pytest.approx(np.sqrt(2))
    assert one(frame, "rae_d:landslides", "area_mar_m2", "published")["value"] == 160
    # Rows of the matrix are what was, columns what is: road (5) to landslide (1) is cell 5 * 6 + 1.
    assert one(frame, "rae_d:road_to_landslide", "jan_to_mar_m2", "published")["value"] == 31
    assert one(frame, "rae_d:bare_land_to_landslide", "jan_to_mar_m2", "published")["value"] == 1


# --- what the printed tables say of each other


def test_printed_commission_is_that_of_pixels(real_data, tmp_path):
    published = published_of(real_data("published/tables.csv"), "table3", "table4")
    spec = spec_of({"sites": []}, "audit", checks=checks_of("xia2021"), published=published)
    frame = function_of("audit")(spec)
    ce, qp = (frame[frame["metric"] == metric] for metric in ("ce", "qp"))
    assert (
        len(ce) == 6
        and ce["difference"].abs().max() < 1e-9
        and ce["note"].str.startswith("CE agrees with 1 - printed").all()
    )
    assert 0.035 < qp["difference"].abs().max() < 0.045 and qp["note"].str.contains("QP disagrees").any()
    assert one(frame, "table4:deeplabv3plus", "qp")["value"] == pytest.approx(1 / (1 / 0.8 + 1 / 0.82 - 1))
    assert (frame["data"] == "published").all()
    assert "table4: deeplabv3plus" in rendered(frame, spec, tmp_path)
