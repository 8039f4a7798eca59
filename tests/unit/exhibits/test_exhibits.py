"""Exhibits against hand computations, on a small invented site with invented runs."""

import dataclasses
import json
from html.parser import HTMLParser
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
from affine import Affine
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from PIL import Image
from scipy import ndimage, stats
from shapely.geometry import LineString
from sklearn.metrics import mutual_info_score

from headscarp.errors import HeadscarpError
from headscarp.exhibits.figures.confusion_maps import draw_confusion
from headscarp.exhibits.figures.factor_importance import (
    SAMPLES,
    entropy,
    gini_importance,
    information_of,
)
from headscarp.exhibits.figures.landslide_frequency import frequency_by_class
from headscarp.exhibits.figures.reliability import calibration_bins
from headscarp.exhibits.kinds import KINDS, function_of
from headscarp.exhibits.labels import row_label
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.figure import DPI, WIDTH, draw, look, new_figure, save
from headscarp.exhibits.panels.marks import nice_length
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.render import digits_for, notes_of, write_table
from headscarp.exhibits.runs import Scored
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles
from headscarp.exhibits.tables.factors import classes_found
from headscarp.exhibits.tidy import COLUMNS, frame_of
from headscarp.files import write_json
from headscarp.geo.grid import Grid
from headscarp.geo.layer import CLASSES, Layer, write_layer
from headscarp.plan.read import read_published
from headscarp.scoring.histograms import CellHistograms
from headscarp.scoring.score import score_run
from tests.conftest import REPOSITORY, checks_of
from tests.world import grid_of, layer_of, one, pixels_of, run_record, smooth, spec_of, write_site_layers

pytestmark = pytest.mark.slow

SHAPE = (90, 140)
FACTORS = [
    "elevation",
    "slope",
    "aspect",
    "curvature",
    "ndvi",
    "mndwi",
    "distance_to_river",
    "distance_to_fault",
    "lithology",
]
RUNS = {
    "random_forest": ("Random forest", 0.6),
    "unet": ("U-Net", 0.9),
    "unet+factors": ("U-Net + factors <b>", 1.3),
}


def invent_site(folder: Path, name: str, data: str, seed: int, shape: tuple[int, int] = SHAPE) -> dict:
    """Write a hilly site with blob slides: layers, vectors, cube and both samples; returns its record."""
    rng = np.random.default_rng(seed)
    grid = Grid("EPSG:32649", Affine(15, 0, 460_005, 0, -15, 3_430_005), *shape)
    row, col = np.indices(shape) / shape[0]
    relief = sum(
        weight * (1 - abs(smooth(rng, shape, shape[0] / part)))
        for weight, part in ((160, 5), (90, 12), (40, 30), (15, 60))
    )
    elevation = 620 + relief + 120 * row
    gradient = np.gradient(elevation, 15)
    slope = np.degrees(np.arctan(np.hypot(*gradient)))
    score = smooth(rng, shape, 2.2) + 0.7 * (slope - slope.mean()) / slope.std()
    slides = ndimage.binary_opening(score > np.quantile(score, 0.91), iterations=1)
    instances, _ = ndimage.label(slides, np.ones((3, 3)))
    label = slides.astype(np.uint8)
    label[(row - 0.5) ** 2 / 0.3 + (col - shape[1] / shape[0] / 2) ** 2 / 0.66 > 1] = 255
    river = abs(row - 0.5 - 0.12 * np.sin(3 * col))
    bare = slides * 0.12 + rng.normal(0, 0.012, shape)
    layers = {
        "red": 0.06 + bare,
        "green": 0.08 + 0.6 * bare,
        "blue": 0.05 + 0.4 * bare,
        "elevation": elevation,
        "slope": slope,
        "aspect": np.degrees(np.arctan2(*gradient)) % 360,
        "curvature": ndimage.laplace(elevation),
        "ndvi": 0.6 - 3 * bare,
        "mndwi": rng.normal(0, 0.1, shape),
        "distance_to_river": river * shape[0] * 15,
        "distance_to_fault": abs(col - 0.8) * shape[0] * 15,
    }
    units = {
        "elevation": "m",
        "slope": "degree",
        "aspect": "degree",
        "distance_to_river": "m",
        "distance_to_fault": "m",
    }
    site = folder / name
    classes = {"label": (label, 255), "instances": (np.where(label == 1, instances, 0).astype(np.int32), 0)}
    classes["lithology"] = (1 + np.digitize(smooth(rng, shape, 12), [-0.4, 0.5]).astype(np.uint8), 0)
    written = [
        Layer(layer, values.astype(np.float32), grid, units.get(layer, "1"), "invented")
        for layer, values in layers.items()
    ]
    written += [
        Layer(layer, values, grid, "class", "invented", CLASSES, nodata)
        for layer, (values, nodata) in classes.items()
    ]
    write_site_layers(site, written, "2020-01-01")
    write_lines(site / "raw", grid)
    channels = [*(layers[factor] if factor in layers else classes[factor][0] for factor in FACTORS)]
    (site / "cube").mkdir()
    np.save(site / "cube" / "cube.npy", np.stack(channels)[None].astype(np.float32))
    np.save(site / "cube" / "label.npy", label)
    write_json(
        site / "cube" / "cube.json",
        {"channels": [{"name": factor} for factor in FACTORS], "site": name, "data": data},
    )
    samples = {
        protocol: invent_samples(site / "samples" / protocol, protocol, label)
        for protocol in ("published", "blocked")
    }
    return {
        "name": name,
        "title": f"{name.title()} hills",
        "folder": str(site),
        "data": data,
        "samples": samples,
    }


def write_lines(raw: Path, grid: Grid) -> None:
    raw.mkdir()
    west, south, east, north = grid.bounds
    x = np.linspace(west, east, 60)
    river = (north + south) / 2 - 0.12 * (north - south) * np.sin(3 * (x - west) / (north - south))
    fault = [(west + 0.8 * (north - south), north), (west + 0.8 * (north - south), south)]
    for name, line in (("rivers", list(zip(x, river, strict=True))), ("faults", fault)):
        geopandas.GeoDataFrame(geometry=[LineString(line)], crs=grid.crs).to_file(raw / f"{name}.gpkg")


def invent_samples(folder: Path, protocol: str, label: np.ndarray) -> str:
    folder.mkdir(parents=True)
    regions = np.full(label.shape, 3, np.uint8)
    if protocol == "blocked":
        third = label.shape[1] // 3
        regions[:, : third - 3], regions[:, third - 3 : third] = 1, 0
        regions[: label.shape[0] // 2, third : third + 20] = 2
    regions[label == 255] = 0
    row, col = np.indices(label.shape) // 16
    np.save(folder / "regions.npy", regions)
    np.save(folder / "blocks.npy", np.where(label == 255, -1, row * 100 + col).astype(np.int32))
    share = {"published": 0.98, "blocked": 0.0}[protocol]
    write_json(
        folder / "samples.json",
        {"protocol": protocol, "overlap": {"validation_windows_overlapping_training": share}},
    )
    return str(folder)


def invent_run(folder: Path, site: dict, row: str, protocol: str, seed: int) -> dict:
    """Write the files of one mapped and scored run of a network that is good to the degree that `RUNS`
    says."""
    label_name, skill = RUNS[row]
    site_folder = Path(site["folder"])
    label, instances = (np.load(site_folder / "cube" / "label.npy"), layer_of(site, "instances"))
    rng = np.random.default_rng([seed, len(row), len(protocol)])
    logit = 4 * skill * ((label == 1) - 0.45) + smooth(rng, label.shape, 1.5)
    probability = (1 / (1 + np.exp(-logit))).astype(np.float32)
    run = folder / row / protocol / f"seed{seed}"
    write_layer(run / "probability.tif", Layer("probability", probability, grid_of(site), "1", "invented"))
    samples = Path(site["samples"][protocol])
    regions, blocks = np.load(samples / "regions.npy"), np.load(samples / "blocks.npy")
    scores, cells = score_run(
        probability, label, instances, regions, blocks, 225.0, protocol, site["data"], seed
    )
    write_json(run / "scores.json", scores)
    np.savez(run / "counts.npz", **cells)
    write_json(run / "map.json", {"seconds": 2.0 + seed, "pixels": label.size, "device": "CPU of a test"})
    write_json(
        run / "run.json",
        {"spec": {"network": {"name": row.removesuffix("+factors"), "width": 0.25, "params": {}}}},
    )
    epochs = np.arange(6)
    losses = {
        "train_loss": np.exp(-epochs / 3) * 0.6,
        "validation_loss": 0.1 + np.exp(-epochs / 3 + 0.05 * seed) * 0.55,
    }
    pd.DataFrame({"epoch": epochs + 1} | losses | {"learning_rate": 1e-3, "seconds": 1.0}).to_csv(
        run / "history.csv", index=False
    )
    return run_record(run, row, label_name, protocol, seed)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> dict:
    """Two invented sites, and runs of three experiments at the first under both protocols with two seeds."""
    folder = tmp_path_factory.mktemp("results")
    sites = [invent_site(folder, "alpha", "twin", 3), invent_site(folder, "beta", "real", 4)]
    runs = [
        invent_run(folder, sites[0], row, protocol, seed)
        for row in RUNS
        for protocol in ("published", "blocked")
        for seed in (0, 1)
    ]
    return {"sites": sites, "runs": runs}


@pytest.fixture
def of_runs(world):
    """Specs of exhibits of runs, which have one site."""
    return lambda kind, **changes: spec_of(world, kind, **({"sites": world["sites"][:1]} | changes))


def metrics_of(world: dict, row: str, protocol: str, metric: str) -> list[float]:
    runs = [run for run in world["runs"] if (run["row"], run["protocol"]) == (row, protocol)]
    return [json.loads((Path(run["folder"]) / "scores.json").read_text())["metrics"][metric] for run in runs]


def test_every_kind_that_cards_may_name_can_be_made():
    for kind in KINDS:
        assert function_of(kind).__name__ == kind


# --- tables


def test_site_table_counts_the_layers(world):
    published = [{"row": "alpha", "metric": "landslides", "value": 12, "unit": ""}]
    frame = function_of("site")(spec_of(world, "site", published=published))
    assert list(frame.columns) == COLUMNS
    label, instances = (layer_of(world["sites"][0], name) for name in ("label", "instances"))
    assert one(frame, "alpha", "rows")["value"] == SHAPE[0]
    assert one(frame, "alpha", "resolution_m")["value"] == 15
    assert one(frame, "alpha", "study_area_km2")["value"] == pytest.approx((label != 255).sum() * 225 / 1e6)
    assert one(frame, "alpha", "landslide_area_km2")["value"] == pytest.approx((label == 1).sum() * 225 / 1e6)
    line = one(frame, "alpha", "landslides")
    assert line["value"] == len(set(instances.ravel().tolist()) - {0})
    assert line["published"] == 12
    assert line["difference"] == line["value"] - 12
    assert dict(zip(frame["row"], frame["data"], strict=True)) == {"alpha": "twin", "beta": "real"}


def test_factor_ranges_are_those_inside_the_study_area(world):
    frame = function_of("factor_ranges")(spec_of(world, "factor_ranges", options={"factors": ["elevation"]}))
    site = world["sites"][1]
    inside = layer_of(site, "elevation")[layer_of(site, "label") != 255]
    assert one(frame, "beta:elevation", "min")["value"] == pytest.approx(inside.min())
    assert one(frame, "beta:elevation", "max")["value"] == pytest.approx(inside.max())
    assert len(frame) == 4


def test_a_site_is_told_in_words_too(world):
    site = world["sites"][0] | {"event": "an earthquake"}
    published = [{"row": "alpha", "metric": "centre", "value": "31.00°N, 110.64°E", "unit": ""}]
    frame = function_of("site")(spec_of(world, "site", published=published, sites=[site]))
    assert one(frame, "alpha", "event_date")["note"] == "text an earthquake"
    assert one(frame, "alpha", "image")["note"] == "text –"
    assert one(frame, "alpha", "image_date")["note"] == "text 2020-01-01"
    assert one(frame, "alpha", "centre")["note"] == "text 31.00° N, 110.59° E; published 31.00°N, 110.64°E"
    assert one(frame, "alpha", "scene_area_km2")["value"] == pytest.approx(SHAPE[0] * SHAPE[1] * 225 / 1e6)


def test_factors_of_classes_and_directions_name_those_that_are_there(world):
    aspect = np.array([0.0, 22.4, 359.0, 91.0, 247.0, 248.0])
    site = SiteFiles.from_record(world["sites"][0])
    assert classes_found(site, "slope", aspect) is None
    path = site.folder / "layers" / "layers.json"
    manifest = json.loads(path.read_text())
    try:
        kinds = {
            "aspect": {"kind": "angle"},
            "lithology": {"classes": {"1": "soft", "2": "hard", "7": "none"}},
        }
        layers = [layer | kinds.get(layer["name"], {}) for layer in manifest["layers"]]
        write_json(path, manifest | {"layers": layers})
        assert classes_found(site, "aspect", aspect) == ["north", "east", "southwest", "west"]
        assert classes_found(site, "aspect", np.array([-1.0, 180.0])) == ["flat", "south"]
        assert classes_found(site, "lithology", np.array([1, 2, 2])) == ["soft", "hard"]
        options = {"factors": ["lithology", "slope"]}
        frame = function_of("factor_ranges")(spec_of(world, "factor_ranges", options=options))
        assert one(frame, "alpha:lithology", "classes")["note"] == "text soft, hard"
    finally:
        write_json(path, manifest)


def test_layers_of_a_network_are_told_as_built(world):
    experiments = {
        "fc_densenet": {"network": "fc_densenet", "width": 0.25, "params": {}, "channels": list("abcdefg")}
    }
    published = [{"row": "head", "metric": "layers", "value": "1×1 convolution, sigmoid", "unit": ""}]
    spec = spec_of(world, "architecture", runs=[], experiments=experiments, published=published)
    frame = function_of("architecture")(spec)
    rows = list(dict.fromkeys(frame["row"]))
    assert rows[:4] == ["stem", "down 1", "transition down 1", "down 2"] and rows[-2:] == [
        "head",
        "whole network",
    ]
    assert one(frame, "whole network", "parameters")["value"] == 2_961_676
    parts = frame[(frame["metric"] == "parameters") & (frame["row"] != "whole network")]
    assert parts["value"].sum() == 2_961_676
    # From 48 maps of the stem on: four layers of 32 maps, halved by the transitions (docs of the networks).
    maps = {row: one(frame, row, "maps")["value"] for row in rows[:-1]}
    assert [maps[f"transition down {level}"] for level in (1, 2, 3)] == [88, 108, 118]
    assert maps["down 1"] == maps["bottom"] == 128 and maps["transition up 1"] == 96 and maps["head"] == 1
    assert [one(frame, row, "side_px")["value"] for row in ("down 1", "down 2", "bottom", "up 3")] == [
        64,
        32,
        8,
        64,
    ]
    assert one(frame, "down 1", "layers")["note"] == (
        "text 4 × (batch norm – ReLU – 1×1 convolution to 128 – batch norm – ReLU – 3×3 convolution to 32 – "
        "dropout 0.2)"
    )
    assert one(frame, "transition up 1", "layers")["note"] == "text 3×3 up-convolution ×2 to 96"
    assert one(frame, "head", "layers")["note"].endswith("; published 1×1 convolution, sigmoid")
    with pytest.raises(HeadscarpError, match="shows one network, but has 0 rows"):
        function_of("architecture")(dataclasses.replace(spec, experiments={}))


def test_missing_layer_is_named_with_those_there_are(world):
    with pytest.raises(HeadscarpError, match=r"no layer 'nvdi' \(it has: aspect, blue"):
        function_of("factor_ranges")(spec_of(world, "factor_ranges", options={"factors": ["nvdi"]}))


def test_scores_are_means_over_seeds_beside_published_values(world, of_runs):
    published = [{"row": "unet", "metric": "f1", "value": 89.48, "unit": "percent"}]
    frame = function_of("scores")(
        of_runs("scores", options={"metrics": ["f1", "kappa"], "unit": "percent"}, published=published)
    )
    assert len(frame) == len(RUNS) * 2 * 2
    for protocol in ("published", "blocked"):
        a, b = metrics_of(world, "unet", protocol, "f1")
        line = one(frame, "unet", "f1", protocol)
        assert line["value"] == pytest.approx(100 * (a + b) / 2)
        assert line["sd"] == pytest.approx(100 * abs(a - b) / np.sqrt(2))
        assert line["difference"] == pytest.approx(line["value"] - 89.48)
        assert line["ci_low"] < line["value"] < line["ci_high"]
        assert (line["n_seeds"], line["data"], line["note"]) == (2, "twin", "")
    assert np.isnan(one(frame, "unet", "kappa", "blocked")["published"])


def test_single_seed_has_no_spread(world, of_runs):
    runs = [run for run in world["runs"] if run["seed"] == 0]
    frame = function_of("scores")(of_runs("scores", options={"metrics": ["f1"]}, runs=runs))
    assert frame["sd"].isna().all()
    assert (frame["n_seeds"] == 1).all()


@pytest.fixture
def altered(world, tmp_path, of_runs):
    """A spec of table `scores` in which the second of two runs has an altered scores.json."""

    def alter(**changes) -> ExhibitSpec:
        first, second = (
            run for run in world["runs"] if run["row"] == "unet" and run["protocol"] == "published"
        )
        scores = json.loads((Path(second["folder"]) / "scores.json").read_text()) | changes
        write_json(tmp_path / "scores.json", scores)
        (tmp_path / "counts.npz").write_bytes((Path(second["folder"]) / "counts.npz").read_bytes())
        return of_runs(
            "scores",
            options={"metrics": ["f1"]},
            runs=[first, second | {"folder": str(tmp_path), "maps": str(tmp_path)}],
        )

    return alter


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"n_pixels": 7},
            "n_pixels is .* in .*unet.*scores.json but 7 in .*delete both and score them again",
        ),
        ({"threshold": 0.25}, "threshold is 0.5 .* but 0.25"),
        ({"data": "real"}, "says data 'real' where 'twin' is expected"),
        ({"protocol": "blocked"}, "says protocol 'blocked' where 'published' is expected"),
    ],
)
def test_inconsistent_runs_are_refused(altered, change, message):
    with pytest.raises(HeadscarpError, match=message):
        function_of("scores")(altered(**change))


def test_undefined_metric_is_left_out_with_a_note(altered, world):
    line = function_of("scores")(altered(metrics={"f1": None})).iloc[0]
    assert line["value"] == pytest.approx(metrics_of(world, "unet", "published", "f1")[0])
    assert line["n_seeds"] == 1
    assert line["note"] == "undefined for 1 of 2 seeds under published"


def test_rows_of_trainings_that_stopped_early_are_marked(altered, tmp_path):
    spec = altered(converged=False)
    frame = function_of("scores")(spec)
    assert "not converged, a first look: 1 of 2 trainings" in frame["note"].iloc[0]
    files = [tmp_path / f"marked.{ending}" for ending in ("csv", "md", "html")]
    write_table(frame, spec, *files)
    assert "U-Net (not converged) |" in files[1].read_text()


def test_metric_without_any_value_is_empty_with_a_note(of_runs):
    frame = function_of("scores")(of_runs("scores", options={"metrics": ["f1", "no_such_metric"]}))
    missing = frame[frame["metric"] == "no_such_metric"]
    assert missing["value"].isna().all()
    assert (missing["note"] != "").all()


def test_objects_are_means_of_what_runs_say(world, of_runs):
    frame = function_of("objects")(of_runs("objects"))
    runs = [run for run in world["runs"] if (run["row"], run["protocol"]) == ("unet", "blocked")]
    recalls = [
        json.loads((Path(run["folder"]) / "scores.json").read_text())["objects"]["recall"] for run in runs
    ]
    assert one(frame, "unet", "object_recall", "blocked")["value"] == pytest.approx(np.mean(recalls))
    assert frame["metric"].str.startswith("recall").any()


def test_complexity_equals_the_published_counts_at_full_width(world, of_runs):
    published = [{"row": "unet", "metric": "parameters", "value": 7700741, "unit": "count"}]
    runs = [run for run in world["runs"] if run["row"] == "unet"]
    frame = function_of("complexity")(
        of_runs("complexity", published=published, runs=runs, options={"bands": 7})
    )
    assert one(frame, "unet", "parameters")["difference"] == 0
    assert one(frame, "unet", "model_ram_mb")["value"] == 89
    time = one(frame, "unet", "test_time_s")
    assert time["value"] == pytest.approx(2.5)
    assert "CPU of a test at width 0.25" in time["note"]
    assert "RTX 3090" in time["note"]


@pytest.fixture
def audit_frame(world) -> pd.DataFrame:
    tables = read_published(REPOSITORY / "workflow/cards/published/gao2021.csv")
    published = [one | {"table": table} for table, records in tables.items() for one in records]
    same = {"checks": checks_of("gao2021"), "published": published}
    return function_of("audit")(spec_of(world, "audit", runs=[], options={"overlap": True}, **same))


def test_audit_finds_the_shares_of_the_whole_study_areas(audit_frame):
    shares = audit_frame[audit_frame["metric"] == "implied_landslide_share"].set_index("row")
    zigui = shares[shares.index.str.startswith("table7")]
    assert len(zigui) == 6
    assert zigui["value"].between(0.0592, 0.0598).all()
    assert zigui["published"].unique() == pytest.approx([6.82 / 116.29])
    assert shares[~shares.index.isin(zigui.index)]["value"].between(0.13695, 0.13776).all()


def test_audit_recomputes_kappa_and_miou_and_splits_the_gain(audit_frame):
    recomputed = audit_frame[audit_frame["metric"].str.startswith("recomputed")]
    assert len(recomputed) == 24
    assert recomputed["difference"].abs().max() < 0.02
    assert one(audit_frame, "table7:resunet", "kappa_gain_like_for_like")["value"] == pytest.approx(1.53)
    assert one(audit_frame, "table8:resunet", "kappa_gain_like_for_like")["value"] == pytest.approx(0.24)
    assert one(audit_frame, "table7:resunet", "kappa_gain_claimed")["value"] == pytest.approx(94.72 - 90.25)
    assert one(audit_frame, "table7:fc_densenet+factors", "kappa_gain_by_factors")["value"] == pytest.approx(
        94.72 - 91.78
    )


def test_audit_finds_what_the_text_says_otherwise_than_the_tables(audit_frame):
    stated = audit_frame[audit_frame["metric"].str.endswith("_gain_stated")]
    assert len(stated) == 18
    wrong = stated[stated["note"].str.contains("place off|another order")]
    assert [(one.row, one.metric, one.published) for one in wrong.itertuples()] == [
        ("table7:over_unet", "f1_gain_stated", 2.97),
        ("table7:by_factors", "accuracy_gain_stated", 0.034),
        ("table8:by_factors", "accuracy_gain_stated", 0.06),
    ]
    assert wrong["value"].tolist() == pytest.approx([2.79, 0.34, 0.60])
    assert stated.drop(wrong.index)["difference"].abs().max() < 0.011
    scenes = audit_frame[audit_frame["metric"] == "scene_area_km2"]
    assert scenes["value"].tolist() == pytest.approx([135.27, 96.48], abs=0.01)


def test_audit_shows_the_overlap_of_windows_of_both_protocols(audit_frame):
    overlap = audit_frame[audit_frame["metric"] == "validation_windows_overlapping_training"]
    assert dict(zip(overlap["protocol"], overlap["value"], strict=True)) == {
        "published": 0.98,
        "blocked": 0.0,
    }
    assert set(overlap["data"]) == {"twin", "real"}


# --- renderings


class Cells(HTMLParser):
    """Text of all table cells of a page, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.inside = False

    def handle_starttag(self, tag, attrs):
        if tag in ("td", "th"):
            self.inside = True
            self.cells.append("")

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.cells[-1] += data


def test_table_is_written_in_three_forms(of_runs, tmp_path):
    published = [{"row": "unet", "metric": "f1", "value": 89.48, "unit": "percent"}]
    spec = of_runs(
        "scores",
        options={"metrics": ["f1", "kappa"], "unit": "percent"},
        published=published,
        title="Scores < & >",
        caption="A note with <b>.",
    )
    frame = function_of("scores")(spec)
    paths = [tmp_path / f"table.{kind}" for kind in ("csv", "md", "html")]
    write_table(frame, spec, *paths)
    again = pd.read_csv(paths[0], keep_default_na=False, na_values=[""])
    assert list(again.columns) == COLUMNS
    assert again["value"].to_numpy() == pytest.approx(frame["value"].to_numpy())
    line = one(frame, "unet", "f1", "blocked")
    text = f"{line['value']:.2f} ± {line['sd']:.2f} [{line['ci_low']:.2f}, {line['ci_high']:.2f}]"
    markdown = paths[1].read_text()
    assert f"{text} (published 89.48)" in markdown
    assert "## Protocol: blocked" in markdown
    page = paths[2].read_text()
    assert "Scores &lt; &amp; &gt;" in page and "<b>" not in page
    parser = Cells()
    parser.feed(page)
    cells = [" ".join(cell.split()) for cell in parser.cells]
    assert text in cells and "89.48" in cells and "U-Net + factors <b>" in cells
    assert cells.count("simulated site (twin)") == len(RUNS) * 2
    assert not list(tmp_path.glob(".*partial*"))


def test_a_note_stands_once_whatever_it_is_joined_with():
    frame = frame_of(
        {"row": row, "metric": "f1", "value": 0.5, "note": note}
        for row, note in (
            ("unet", "folds are pooled"),
            ("segnet", "folds are pooled; 1 of 3 stopped"),
            ("fcn8s", "folds are pooled; 2 of 3 stopped"),
        )
    )
    told = notes_of(frame, {"segnet": "SegNet", "fcn8s": "FCN-8s"})
    assert told == ["folds are pooled", "SegNet: 1 of 3 stopped", "FCN-8s: 2 of 3 stopped"]


def test_numbers_are_shown_to_sensible_digits():
    assert digits_for([74.0, np.nan, 124.0]) == 0
    assert digits_for([6.82, 116.29]) == 2
    assert digits_for([0.5234, 0.1]) == 3
    assert digits_for([0.0595]) == 4
    assert row_label("zigui:distance_to_river", {"zigui": "Zigui"}) == "Zigui: distance to river"


# --- figures


def captions(figure) -> str:
    """All free text of a figure and its sub-figures."""
    return " ".join(text.get_text() for text in figure.findobj(Text))


FIGURE_CASES = {
    "site_map": {},
    "confusion_maps": {},
    "factor_importance": {"options": {"factors": FACTORS}},
    "landslide_frequency": {},
    "score_chart": {"options": {"metrics": ["average_precision", "f1"]}},
    "reliability": {},
    "curves": {},
    "probability_maps": {},
}
SITE_FIGURES = ("site_map", "factor_importance", "landslide_frequency")


@pytest.mark.parametrize("kind", FIGURE_CASES)
def test_figure_is_written_for_print_and_names_simulated_sites(world, of_runs, tmp_path, kind):
    make = (lambda name, **changes: spec_of(world, name, **changes)) if kind in SITE_FIGURES else of_runs
    figure, frame = draw(make(kind, **FIGURE_CASES[kind]))
    assert "simulated site (twin)" in captions(figure).lower()
    save(figure, tmp_path / "figure.png", tmp_path / "figure.pdf")
    with Image.open(tmp_path / "figure.png") as image:
        assert image.width == pytest.approx(WIDTH * DPI, abs=2)
        assert image.height <= 10.7 * DPI
        assert np.asarray(image.convert("L")).std() > 5
    assert (tmp_path / "figure.png").stat().st_size < 2_000_000
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")
    assert list(frame.columns) == COLUMNS
    assert frame["value"].notna().all()


def test_the_picture_for_a_screen_keeps_the_colours_of_a_chart(tmp_path):
    """In a palette, at less than the bytes of true colour; an image loses next to nothing."""
    with look():
        figure = new_figure(4.0, layout=None)
        chart, image = figure.subplots(1, 2)
        chart.bar(range(4), range(1, 5), color=[palette.INK, "#0072b2", "#d55e00", "#009e73"])
        image.imshow(np.random.default_rng(0).uniform(size=(60, 60, 3)) * 0.2 + 0.4)
    save(figure, tmp_path / "figure.png", tmp_path / "figure.pdf")
    figure.savefig(tmp_path / "true.png", dpi=DPI)
    with Image.open(tmp_path / "figure.png") as made, Image.open(tmp_path / "true.png") as true:
        assert made.mode == "P" and made.info["dpi"] == pytest.approx((DPI, DPI), abs=0.1)
        shown, drawn = (np.asarray(one.convert("RGB")).astype(int) for one in (made, true))
    assert shown.shape == drawn.shape
    for colour in ("#ffffff", "#0072b2", "#d55e00", "#009e73"):
        flat = (drawn == np.round(np.array(to_rgb(colour)) * 255)).all(axis=2)
        assert flat.sum() > 1000 and abs(shown[flat] - drawn[flat]).max() <= 2, colour
    assert abs(shown - drawn).mean() < 3
    assert (tmp_path / "figure.png").stat().st_size < 0.7 * (tmp_path / "true.png").stat().st_size


def test_saved_figure_is_the_same_each_time(of_runs, tmp_path):
    for name in "ab":
        figure, _ = draw(of_runs("curves"))
        save(figure, tmp_path / f"{name}.png", tmp_path / f"{name}.pdf")
    for suffix in ("png", "pdf"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
    assert b"CreationDate" not in (tmp_path / "a.pdf").read_bytes()


def test_site_map_states_the_centre_of_the_site(world):
    figure, frame = draw(spec_of(world, "site_map"))
    # UTM zone 49 is centred on 111 E, where easting is 500 km; 1 degree is about 95.4 km of longitude at 31
    # N.
    easting = 460_005 + SHAPE[1] * 7.5
    assert one(frame, "alpha", "centre_longitude")["value"] == pytest.approx(
        111 + (easting - 500_000) / 95_400, abs=0.01
    )
    assert one(frame, "alpha", "centre_latitude")["value"] == pytest.approx(31, abs=0.02)
    assert "31.00° N, 110.59° E" in captions(figure)


def test_curves_end_with_the_mean_of_the_last_losses(of_runs):
    _, frame = draw(of_runs("curves"))
    assert one(frame, "unet", "train_loss", "blocked")["value"] == pytest.approx(0.6 * np.exp(-5 / 3))
    assert one(frame, "unet", "validation_loss", "blocked")["sd"] > 0


def test_real_site_has_no_simulation_caption(world):
    figure, _ = draw(spec_of(world, "landslide_frequency", sites=world["sites"][1:]))
    assert "simulated" not in captions(figure).lower()


def test_importances_sum_to_one_and_find_the_factor_that_matters(world):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2000, 4))
    importance = gini_importance(values, values[:, 2] > 0.8)
    assert importance.shape == (SAMPLES, 4)
    assert importance.sum(axis=1) == pytest.approx(1)
    assert importance.mean(axis=0).argmax() == 2
    _, frame = draw(spec_of(world, "factor_importance"))
    assert len(frame) == 18
    for site in ("alpha", "beta"):
        assert frame[frame["row"].str.startswith(site)]["value"].sum() == pytest.approx(1)


def test_information_gain_is_mutual_information():
    rng = np.random.default_rng(2)
    truth = rng.random(3000) < 0.3
    classes = np.where(truth, rng.integers(2, 5, 3000), rng.integers(1, 5, 3000)).astype(float)
    gain, split = information_of(classes, truth)
    assert gain == pytest.approx(mutual_info_score(classes, truth) / np.log(2))
    assert split == pytest.approx(stats.entropy(np.unique(classes, return_counts=True)[1], base=2))
    continuous = rng.normal(truth, 1.0)
    member = pd.qcut(continuous, 10, labels=False)
    gain, split = information_of(continuous, truth)
    assert gain == pytest.approx(mutual_info_score(member, truth) / np.log(2), abs=0.002)
    assert split == pytest.approx(np.log2(10), abs=1e-3)
    missing = np.where(truth, np.nan, continuous)
    assert information_of(missing, truth)[0] == pytest.approx(entropy(np.bincount(truth)))


def test_every_measure_of_importance_has_its_shares(world):
    measures = ["gini_importance", "information_gain", "gain_ratio"]
    figure, frame = draw(spec_of(world, "factor_importance", options={"measures": measures}))
    assert len(figure.axes) == 3 and list(dict.fromkeys(frame["metric"])) == measures
    assert frame.groupby([frame["row"].str.split(":").str[0], "metric"])["value"].sum().tolist() == (
        pytest.approx([1] * 6)
    )


def test_frequencies_equal_a_histogram_of_the_same_breaks():
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(centre, 0.3, 800) for centre in (0, 5, 10, 15, 20)])
    truth = rng.random(values.size) < values / 40
    classes = frequency_by_class(values, truth, "slope")
    # between the five clusters
    assert classes["high"].to_numpy()[:-1] == pytest.approx([2.5, 7.5, 12.5, 17.5], abs=2)
    edges = np.concatenate([[values.min()], classes["high"].to_numpy()[:-1] + 1e-9, [values.max()]])
    assert classes["landslide_share"].to_numpy() == pytest.approx(
        np.histogram(values[truth], edges)[0] / truth.sum()
    )
    # bounds come from a sample
    assert classes["area_share"].to_numpy() == pytest.approx([0.2] * 5, abs=0.003)
    assert classes[["landslide_share", "area_share"]].sum().to_numpy() == pytest.approx([1, 1])
    assert classes["frequency_ratio"].to_numpy() == pytest.approx(
        (classes["landslide_share"] / classes["area_share"]).to_numpy()
    )
    pd.testing.assert_frame_equal(classes, frequency_by_class(values, truth, "slope"))


def test_confusion_panel_colours_the_test_region_by_outcome(world, of_runs):
    spec = of_runs("confusion_maps")
    site = spec.only_site()
    run = spec.runs_of("unet", "blocked")[0]
    view = View.of(Grid("EPSG:32649", Affine(15, 0, 0, 0, -15, 0), *SHAPE))
    label = layer_of({"folder": site.folder}, "label")
    regions = np.load(site.samples["blocked"] / "regions.npy")
    with look():
        axes = new_figure(3).subplots()
        draw_confusion(axes, run, 0.5, view, np.ones(SHAPE), label, regions)
    image = axes.images[0].get_array()
    predicted = pixels_of(run.folder / "probability.tif") >= 0.5
    test = (regions == 3) & (label != 255)
    outcomes = {
        palette.TRUE_POSITIVE: predicted & (label == 1),
        palette.FALSE_POSITIVE: predicted & (label == 0),
    }
    outcomes[palette.FALSE_NEGATIVE] = ~predicted & (label == 1)
    for colour, mask in outcomes.items():
        painted = np.all(np.isclose(image, to_rgb(colour)), axis=-1)
        np.testing.assert_array_equal(painted, mask & test)


def test_calibration_of_an_honest_map_lies_on_the_diagonal(of_runs, tmp_path):
    rng = np.random.default_rng(0)
    probability = rng.random(200_000)
    truth = rng.random(probability.size) < probability
    cells = CellHistograms.of(probability, truth, np.zeros(truth.size, int), 0.5)
    np.savez(tmp_path / "counts.npz", **cells.arrays())
    run = dataclasses.replace(of_runs("reliability").runs[0], maps=tmp_path)
    frame = calibration_bins([Scored(run, {"fold": 0, "converged": True, "crowded": False})])
    assert frame["pixels"].sum() == probability.size
    assert np.abs(frame["mapped"] - frame["observed"]).max() < 0.02


def test_exhibit_of_runs_needs_one_site(world):
    with pytest.raises(HeadscarpError, match="needs exactly one site but names alpha, beta"):
        function_of("scores")(spec_of(world, "scores", options={"metrics": ["f1"]}))


@pytest.mark.parametrize(("longest", "expected"), [(3.9, 2), (0.35, 0.2), (51, 50), (10, 10), (9.99, 5)])
def test_scale_bar_is_a_round_length(longest, expected):
    assert nice_length(longest) == pytest.approx(expected)


def test_large_scene_is_thinned_and_keeps_its_shape():
    view = View.of(Grid("EPSG:32649", Affine(10, 0, 0, 0, -10, 0), 4000, 8000))
    assert view.shape == (500, 1000)
    assert view.aspect == 0.5
    assert view.thin(np.arange(32_000_000).reshape(4000, 8000)).shape == (500, 1000)


@pytest.mark.parametrize("kind", ["confusion_maps", "probability_maps"])
def test_maps_elsewhere_are_of_the_target_which_is_scored_whole(world, of_runs, kind):
    """The runs of one site as they mapped another, of which the whole is scored: neither training nor test
    blocks are shown, and the numbers are those of the scores there."""
    home, target = world["sites"]
    runs = [
        run
        for run in world["runs"]
        if run["protocol"] == "blocked" and (run["row"], run["seed"]) == ("unet", 0)
    ]
    spec = of_runs(kind, options={"elsewhere": True}, target=target, runs=runs)
    figure, frame = draw(spec)
    text = captions(figure)
    assert "Test blocks" not in text and "test blocks" not in text and target["title"] in text
    told = json.loads((Path(runs[0]["maps"]) / "scores.json").read_text())["metrics"]
    (line,) = frame.to_dict("records")
    assert (
        line["value"] == pytest.approx(told[line["metric"]])
        and line["data"] == target["data"] != home["data"]
    )
