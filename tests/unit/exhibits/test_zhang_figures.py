"""Figures of Zhang et al. (2024) against independent computations, on a small invented landscape with
invented runs."""

import dataclasses
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
from affine import Affine
from mapclassify import NaturalBreaks
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from PIL import Image
from scipy import ndimage
from shapely.geometry import Point, box
from sklearn.metrics import roc_auc_score, roc_curve

from headscarp.codes import SPARE, TEST, TRAIN, UNUSED
from headscarp.errors import HeadscarpError
from headscarp.exhibits.figures.close_ups import chosen_slides
from headscarp.exhibits.figures.factor_maps import DIRECTIONS, classify
from headscarp.exhibits.figures.inventory_comparison import richest_window
from headscarp.exhibits.figures.rate_curves import AREA_SHARES, area_of, rate_area, rate_curve
from headscarp.exhibits.figures.roc import FALSE_POSITIVE_RATES, roc_points
from headscarp.exhibits.figures.search_chart import read_trials
from headscarp.exhibits.figures.site_map import SIZES
from headscarp.exhibits.layers import class_counts, site_grid, value_range
from headscarp.exhibits.panels.classed import Classed, class_image, class_styles
from headscarp.exhibits.panels.curves import read_history
from headscarp.exhibits.panels.figure import DPI, WIDTH, draw, save
from headscarp.exhibits.panels.palette import SUSCEPTIBILITY
from headscarp.exhibits.panels.scene import scenes_of
from headscarp.exhibits.panels.view import View, opened
from headscarp.exhibits.runs import Scored
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import COLUMNS
from headscarp.files import write_json
from headscarp.geo.grid import Grid
from headscarp.geo.layer import ANGLE, CLASSES, Layer, write_cog, write_layer
from headscarp.mapping.polygons import polygonise, write_polygons
from headscarp.samples.cell_table import Cells
from headscarp.scoring.histograms import CellHistograms
from tests.world import grid_of, layer_of, one, run_record, smooth, write_site_layers

pytestmark = pytest.mark.slow

SHAPE = (180, 240)
PROTOCOLS = ("published", "blocked")
CONTINUOUS_FACTORS = ["slope", "plan_curvature", "rainfall", "ndvi", "distance_to_road"]
ROCKS = [
    "sandstone and siltstone",
    "limestone and dolomite",
    "purple sandstone and shale",
    "shale, limestone, sandstone, chert, marl",
    "red sandstone and calcareous mudstone",
    "slate",
    "phyllite",
    "conglomerate",
]
LITHOLOGY = {
    code: f"{'εOSDCPTJKQ'[code % 10]}{1 + code % 3} {ROCKS[code % len(ROCKS)]}" for code in range(1, 20)
}
LAND_USE = {10: "cropland", 20: "forest", 30: "grassland", 60: "water bodies", 80: "artificial surfaces"}
MODELS = {"model1": ("Model 1 (focal, 50 epochs)", 1.2), "model3": ("Model 3 (focal, 100 epochs)", 0.8)}
CELL_MODELS = {
    "small": ("3D-CNN, window 12", 0.7),
    "large": ("3D-CNN, window 22", 1.1),
    "gbdt_lr": ("GBDT + LR", 1.5),
}
FOLDS = 2


def classes_of(surface: np.ndarray, codes: list[int]) -> np.ndarray:
    """Codes of equally frequent classes of a surface."""
    member = np.digitize(surface, np.quantile(surface, np.arange(1, len(codes)) / len(codes)))
    return np.array(codes, np.uint8)[member]


def invent_city(
    folder: Path,
    name: str,
    seed: int,
    shape: tuple[int, int],
    resolution: float,
    corner: tuple[int, int] = (400_000, 3_260_000),
) -> dict:
    """Write a hilly site with slides, bands, factors, vectors; returns its record."""
    rng = np.random.default_rng(seed)
    grid = Grid("EPSG:32649", Affine(resolution, 0, corner[0], 0, -resolution, corner[1]), *shape)
    row, col = np.indices(shape) / shape[0]
    elevation = 500 + sum(
        size * (1 - abs(smooth(rng, shape, shape[0] / part)))
        for size, part in ((300, 5), (150, 12), (60, 30))
    )
    slope = np.degrees(np.arctan(np.hypot(*np.gradient(elevation, resolution))))
    score = smooth(rng, shape, 2.5) + 0.6 * (slope - slope.mean()) / slope.std()
    slides = ndimage.binary_opening(score > np.quantile(score, 0.93), iterations=1)
    instances, _ = ndimage.label(slides, np.ones((3, 3)))
    label = slides.astype(np.uint8)
    label[(row - 0.5) ** 2 / 0.28 + (col - shape[1] / shape[0] / 2) ** 2 / 0.5 > 1] = 255
    bare = slides * 0.1 + 0.03 * (smooth(rng, shape, 6) > 1) + rng.normal(0, 0.008, shape)
    layers = {
        "blue": 0.05 + 0.5 * bare,
        "green": 0.07 + 0.6 * bare,
        "red": 0.05 + bare,
        "nir": 0.35 - bare,
        "elevation": elevation,
        "slope": slope,
        "plan_curvature": ndimage.laplace(elevation) / 100,
        "rainfall": 1200 + 300 * smooth(rng, shape, 30),
        "ndvi": 0.75 - 3 * bare,
        "distance_to_road": abs(row - 0.5) * shape[0] * resolution,
    }
    units = {"elevation": "m", "slope": "degree", "rainfall": "mm/yr", "distance_to_road": "m"}
    classed = {
        "label": (label, 255, {0: "not a landslide", 1: "landslide", 255: "unmapped"}),
        "instances": (np.where(label == 1, instances, 0).astype(np.int32), 0, None),
        "lithology": (classes_of(smooth(rng, shape, 14) + 2 * col, list(LITHOLOGY)), 0, LITHOLOGY),
        "soil": (
            classes_of(smooth(rng, shape, 16), list(range(1, 9))),
            0,
            {code: f"soil texture {code}" for code in range(1, 9)},
        ),
        "land_use": (classes_of(smooth(rng, shape, 8), list(LAND_USE)), 0, LAND_USE),
    }
    written = [
        Layer(layer, values.astype(np.float32), grid, units.get(layer, "1"), "invented")
        for layer, values in layers.items()
    ]
    aspect = np.degrees(np.arctan2(*np.gradient(elevation))) % 360
    written.append(Layer("aspect", aspect, grid, "degree", "invented", ANGLE))
    written += [
        Layer(layer, values, grid, "class", "invented", CLASSES, nodata)
        for layer, (values, nodata, _) in classed.items()
    ]
    site = folder / name
    write_site_layers(
        site, written, "2019-07-01", {layer: names for layer, (_, _, names) in classed.items() if names}
    )
    if not (folder / "raw").exists():  # the other sites lie in the first one
        write_vectors(folder / "raw", grid, rng)
    return {
        "name": name,
        "title": f"{name.title()} city",
        "folder": str(site),
        "raw": str(folder / "raw"),
        "data": "twin",
    }


def write_vectors(raw: Path, grid: Grid, rng: np.random.Generator) -> None:
    """Write district and study area, and surveyed sites inside the district."""
    raw.mkdir()
    west, south, east, north = grid.bounds
    wide, tall = east - west, north - south
    areas = {"district": box(west + 0.35 * wide, south + 0.3 * tall, west + 0.65 * wide, south + 0.7 * tall)}
    areas["study_area"] = box(west, south, east, north).buffer(-0.03 * wide)
    for name, area in areas.items():
        geopandas.GeoDataFrame(geometry=[area], crs=grid.crs).to_file(raw / f"{name}.gpkg")
    size = np.repeat(["small", "medium", "large"], [50, 8, 1])
    spots = [Point(west + wide * x, south + tall * y) for x, y in rng.uniform(0.35, 0.65, (len(size), 2))]
    geopandas.GeoDataFrame({"size": size, "volume_m3": 1e4}, geometry=spots, crs=grid.crs).to_file(
        raw / "survey.gpkg"
    )


def invent_regions(site: dict) -> None:
    """Write regions of both protocols: chips drawn at random, and the right half."""
    label = layer_of(site, "label")
    chips = np.random.default_rng(0).random((label.shape[0] // 30 + 1, label.shape[1] // 30 + 1)) < 0.4
    published = np.where(np.kron(chips, np.ones((30, 30)))[: label.shape[0], : label.shape[1]] > 0, 3, 1)
    blocked = np.where(np.arange(label.shape[1]) > label.shape[1] // 2, 3, 1) * np.ones_like(label)
    for protocol, regions in (("published", published), ("blocked", blocked)):
        folder = Path(site["folder"]) / "samples" / protocol
        folder.mkdir(parents=True)
        np.save(folder / "regions.npy", np.where(label == 255, 0, regions).astype(np.uint8))
    site["samples"] = {protocol: str(Path(site["folder"]) / "samples" / protocol) for protocol in PROTOCOLS}


def invent_map(run: Path, site: dict, target: dict, skill: float, seed: int) -> None:
    """Write the map of a network and what it finds elsewhere."""
    for place, folder in ((site, run), (target, run / target["name"])):
        label, rng = layer_of(place, "label"), np.random.default_rng(seed)
        logit = 5 * skill * ((label == 1) - 0.5) + 1.6 * smooth(rng, label.shape, 1.5)
        probability = (1 / (1 + np.exp(-logit))).astype(np.float32)
        write_layer(
            folder / "probability.tif", Layer("probability", probability, grid_of(place), "1", "invented")
        )
        write_polygons(
            folder / "inventory.gpkg", polygonise(probability, grid_of(place), minimum_area_m2=2e5)
        )
    write_json(run / "scores.json", {"threshold": 0.5})


def invent_cells(site: dict) -> None:
    """Write cells of both protocols in two folds, and the susceptibility and scores of every cell model."""
    label, rng = layer_of(site, "label"), np.random.default_rng(7)
    rows, cols = np.nonzero(
        (label != 255) & (rng.random(label.shape) < 0.1) & (np.arange(label.shape[1]) >= 6)
    )
    site["samples"] = {protocol: str(Path(site["folder"]) / "samples" / protocol) for protocol in PROTOCOLS}
    for protocol, folder in site["samples"].items():
        first = cols < label.shape[1] // 2 if protocol == "blocked" else rng.random(rows.size) < 0.5
        split = np.where([first, ~first], 3, 1).astype(np.uint8)
        Path(folder).mkdir(parents=True)
        np.savez(
            Path(folder) / "cells.npz",
            row=rows.astype(np.int32),
            col=cols.astype(np.int32),
            label=label[rows, cols],
            truth=label[rows, cols],
            block=(rows // 30 * 100 + cols // 30).astype(np.int32),
            split=split,
        )
        record = {
            "protocol": protocol,
            "seed": 0,
            "windows": [12],
            "folds": FOLDS,
            "data": "twin",
            "label_source": "inventory",
            "normalisation": [{}, {}],
        }
        write_json(Path(folder) / "cells.json", record)


def invent_cell_run(run: Path, site: dict, protocol: str, skill: float, seed: int) -> None:
    label, rng = layer_of(site, "label"), np.random.default_rng([seed, len(protocol)])
    bands = []
    for _ in range(FOLDS):
        logit = (
            skill * ndimage.gaussian_filter((label == 1).astype(float), 2) * 6
            - 2
            + 1.2 * smooth(rng, label.shape, 3)
        )
        susceptibility = (1 / (1 + np.exp(-logit))).round(2)  # ties
        susceptibility[:, :6] = np.nan
        bands.append(susceptibility.astype(np.float32))
    names = [f"fold {fold}" for fold in range(FOLDS)]
    write_cog(run / "susceptibility.tif", np.stack(bands), grid_of(site), np.nan, names, "1", "invented")
    with np.load(Path(site["samples"][protocol]) / "cells.npz") as cells:
        fold = (cells["split"][1] == 3).astype(int)
        probability, truth = np.stack(bands)[fold, cells["row"], cells["col"]], cells["label"] == 1
        counts = CellHistograms.of(probability, truth, cells["block"], 0.5)
    np.savez(run / "counts.npz", **counts.arrays())
    scores = {
        "threshold": 0.5,
        "fold": 0,
        "converged": True,
        "crowded": False,
        "protocol": protocol,
        "data": "twin",
        "n_pixels": int(truth.size),
        "landslide_share": float(truth.mean()),
    }
    write_json(run / "scores.json", scores | {"metrics": {"auc": roc_auc_score(truth, probability)}})
    epochs = np.tile(np.arange(1, 9), FOLDS)
    history = {
        "fold": np.repeat(np.arange(FOLDS), 8),
        "epoch": epochs,
        "train_loss": 0.6 * np.exp(-epochs / 4),
    }
    history |= {
        "train_accuracy": 1 - 0.4 / epochs,
        "validation_accuracy": 0.9 - (0.3 + 0.1 * history["fold"]) / epochs,
    }
    history |= {
        "validation_loss": 0.3 + 0.02 * seed + 0.1 * (protocol == "blocked") + 0.4 * np.exp(-epochs / 3)
    }
    pd.DataFrame(history).to_csv(run / "history.csv", index=False)


def invent_searches(folder: Path) -> list[dict]:
    searches = []
    for number, (protocol, objective) in enumerate(
        zip(PROTOCOLS, ("accuracy", "average_precision"), strict=True)
    ):
        for sampler in ("gp", "random"):
            rng = np.random.default_rng([number, len(sampler)])
            value = 0.985 - (0.2 if objective == "accuracy" else 0.6) * rng.random(30) ** (
                3 if sampler == "gp" else 1
            )
            place = folder / "searches" / protocol / sampler
            place.mkdir(parents=True)
            trials = pd.DataFrame(
                {"trial": np.arange(1, 31), "value": value, "best": np.maximum.accumulate(value)}
            )
            trials.to_csv(place / "trials.csv", index=False)
            write_json(
                place / "best.json",
                {
                    "value": value.max(),
                    "no_skill": 0.9 if objective == "accuracy" else 0.2,
                    "trial": int(value.argmax()) + 1,
                    "objective": objective,
                },
            )
            searches.append(
                {
                    "name": "unet",
                    "label": "U-Net",
                    "protocol": protocol,
                    "sampler": sampler,
                    "folder": str(place),
                }
            )
    return searches


def invent_world(folder: Path) -> dict:
    """A city, its district with two scored networks, and its coarse grid with three cell models of two
    seeds."""
    city = invent_city(folder, "city", 1, SHAPE, 90)
    district, coarse = (
        invent_city(folder, "district", 2, (150, 160), 40, (407_600, 3_255_000)),
        invent_city(folder, "coarse", 3, SHAPE, 90),
    )
    invent_regions(district)
    invent_cells(coarse)
    runs, cell_runs = [], []
    for protocol in PROTOCOLS:
        for number, (row, (label, skill)) in enumerate(MODELS.items()):
            run = folder / "runs" / row / protocol / "seed0"
            invent_map(run, district, city, skill, number + 5 * (protocol == "blocked"))
            runs.append(run_record(run, row, label, protocol, 0))
        for number, (row, (label, skill)) in enumerate(CELL_MODELS.items()):
            for seed in (0, 1):
                run = folder / "runs" / row / protocol / f"seed{seed}"
                invent_cell_run(run, coarse, protocol, skill, 10 * number + seed)
                cell_runs.append(run_record(run, row, label, protocol, seed))
    sites = {"city": city, "district": district, "coarse": coarse}
    return sites | {"runs": runs, "cell_runs": cell_runs, "searches": invent_searches(folder)}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> dict:
    return invent_world(tmp_path_factory.mktemp("results"))


FACTORS = ["slope", "aspect", "plan_curvature", "rainfall", "ndvi", "distance_to_road", "land_use"]
OUTLINES = {"Study area": "study_area.gpkg", "Training district": "district.gpkg"}
PAPER = [{"row": "iteration_16", "metric": "accuracy", "value": 0.9888, "unit": "fraction"}]


def record_of(world: dict, kind: str) -> dict:
    """The record of an exhibit of each kind, much as the card has it."""
    survey = {"points": "survey.gpkg", "outlines": OUTLINES, "background": {"city": "composite"}}
    stage1 = {"sites": [world["district"]], "runs": world["runs"]}
    stage2 = {"sites": [world["coarse"]], "runs": world["cell_runs"]}
    parts = {
        "site_map": {"sites": [world["city"], world["district"]], "options": survey},
        "class_maps": {"sites": [world["coarse"]], "options": {"layers": ["lithology", "soil"]}},
        "factor_maps": {"sites": [world["coarse"]], "options": {"factors": FACTORS}},
        "curves": stage2,
        "roc": stage2,
        "rate_curves": stage2,
        "susceptibility_maps": stage2,
        "inventory_comparison": stage1,
        "close_ups": stage1,
        "inventory_map": stage1
        | {
            "runs": [run for run in world["runs"] if run["row"] == "model1"],
            "target": world["city"],
            "options": {"outlines": {"Training district": "district.gpkg"}},
        },
        "search_chart": {"sites": [world["district"]], "searches": world["searches"], "published": PAPER},
    }
    return {
        "card": "test",
        "name": "exhibit",
        "kind": kind,
        "title": "A title",
        "caption": "A caption.",
    } | parts[kind]


DRAWN = (
    "site_map",
    "class_maps",
    "factor_maps",
    "curves",
    "inventory_comparison",
    "close_ups",
    "inventory_map",
    "roc",
    "susceptibility_maps",
    "rate_curves",
    "search_chart",
)


@pytest.fixture
def spec(world):
    """Spec of an exhibit of a kind, changed as asked."""
    return lambda kind, **changes: ExhibitSpec.from_record(record_of(world, kind) | changes)


def captions(figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(Text))


@pytest.mark.parametrize("kind", DRAWN)
def test_figure_is_written_at_page_width_and_says_that_it_is_simulated(spec, tmp_path, kind):
    figure, frame = draw(spec(kind))
    assert "simulated site (twin)" in captions(figure).lower()
    save(figure, tmp_path / "figure.png", tmp_path / "figure.pdf")
    with Image.open(tmp_path / "figure.png") as image:
        assert image.width == pytest.approx(WIDTH * DPI, abs=2)
        assert image.height <= 10.2 * DPI
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")
    assert list(frame.columns) == COLUMNS
    assert frame["value"].notna().all()
    assert set(frame["data"]) == {"twin"}


# --- the numbers behind the figures


def test_roc_equals_that_of_scikit_learn(world, spec):
    runs = [
        run
        for run in world["cell_runs"]
        if (run["row"], run["protocol"], run["seed"]) == ("large", "blocked", 0)
    ]
    _, frame = draw(spec("roc", runs=runs))
    with (
        np.load(Path(world["coarse"]["samples"]["blocked"]) / "cells.npz") as cells,
        opened(Path(runs[0]["folder"]) / "susceptibility.tif", SHAPE) as source,
    ):
        fold = (cells["split"][1] == 3).astype(int)
        probability, truth = source.read()[fold, cells["row"], cells["col"]], cells["label"]
    assert one(frame, "large", "auc", "blocked")["value"] == pytest.approx(roc_auc_score(truth, probability))
    # Values lie 0.01 apart, so bins of 1/256 lose nothing.
    fpr, tpr, _ = roc_curve(truth, probability, drop_intermediate=False)
    for rate in FALSE_POSITIVE_RATES:
        line = one(frame, "large", f"tpr_at_fpr_{rate:.2f}", "blocked")
        assert line["value"] == pytest.approx(np.interp(rate, fpr, tpr), abs=1e-6)


def test_rate_curve_of_a_hand_made_case():
    # Ten cells; the landslides hold the 1st, the 2nd and the 5th place.
    area = np.arange(10) / 10
    curve = rate_curve(area, np.array([0.9, 0.8, 0.5]))
    at = {
        share: curve[np.searchsorted(AREA_SHARES, share - 1e-9)] for share in (0.05, 0.1, 0.2, 0.4, 0.5, 1.0)
    }
    assert at == pytest.approx({0.05: 1 / 6, 0.1: 1 / 3, 0.2: 2 / 3, 0.4: 2 / 3, 0.5: 1, 1.0: 1})


def test_area_under_the_rate_curve_is_that_of_landslides_against_all_cells():
    rng = np.random.default_rng(0)
    area = np.sort(rng.random(3000).round(2))
    slides = np.clip(rng.choice(area, 200) + 0.2 * rng.random(200), 0, 1).round(2)
    expected = roc_auc_score(np.repeat([1, 0], [slides.size, area.size]), np.concatenate([slides, area]))
    assert rate_area(area, slides) == pytest.approx(expected)
    curve = rate_curve(area, slides)
    assert np.trapezoid(curve, AREA_SHARES) == pytest.approx(expected, abs=0.003)


def test_rates_use_the_cells_and_the_map_of_each_fold(world, spec):
    runs = [
        run
        for run in world["cell_runs"]
        if (run["row"], run["protocol"], run["seed"]) == ("small", "blocked", 1)
    ]
    _, frame = draw(spec("rate_curves", runs=runs))
    expected = {1: [], 3: []}
    with (
        np.load(Path(world["coarse"]["samples"]["blocked"]) / "cells.npz") as cells,
        opened(Path(runs[0]["folder"]) / "susceptibility.tif", SHAPE) as source,
    ):
        for fold, band in enumerate(source.read()):
            for subset, areas in expected.items():
                of_subset = cells["split"][fold] == subset
                everywhere = band[cells["row"][of_subset], cells["col"][of_subset]]
                chosen = of_subset & (cells["label"] == 1)
                slides = band[cells["row"][chosen], cells["col"][chosen]]
                areas.append(
                    roc_auc_score(
                        np.repeat([1, 0], [slides.size, everywhere.size]),
                        np.concatenate([slides, everywhere]),
                    )
                )
    assert one(frame, "small", "success_rate_auc", "blocked")["value"] == pytest.approx(np.mean(expected[1]))
    assert one(frame, "small", "prediction_rate_auc", "blocked")["value"] == pytest.approx(
        np.mean(expected[3])
    )


@pytest.mark.parametrize(
    ("source", "area"),
    [
        ("inventory", {1: [0.3, 0.6], 3: [0.4, 0.9]}),
        # Points: all cells but those of other subsets, and but the hole.
        ("points", {1: [0.1, 0.2, 0.3, 0.6, 0.7, 0.8], 3: [0.1, 0.2, 0.4, 0.7, 0.8, 0.9]}),
    ],
)
def test_the_area_of_rates_is_that_of_the_subset(source, area):
    """Two rows of a map: above the study area with its cells of training, buffer (0) and test, below what
    lies outside it."""
    susceptibility = np.array([[0.3, 0.6, 0.2, 0.9, 0.4], [0.1, 0.8, 0.7, np.nan, np.nan]], np.float32)
    cells = Cells(
        row=np.zeros(5, int),
        col=np.arange(5),
        label=np.array([0, 1, 0, 1, 0]),
        truth=np.array([0, 1, 0, 1, 0]),
        block=np.zeros(5, int),
        split=np.array([[1, 1, 0, 3, 3]]),
        record={"label_source": source},
    )
    for subset, expected in area.items():
        assert area_of(susceptibility, cells, 0, subset) == pytest.approx(expected)


def test_background_that_is_not_drawn_is_area_of_the_success_rate():
    susceptibility = np.array([[0.3, 0.6, 0.2, 0.9]], np.float32)
    columns = {name: np.zeros(4, int) for name in ("row", "label", "truth", "block")}
    split = np.array([[TRAIN, SPARE, UNUSED, TEST]])
    cells = Cells(col=np.arange(4), split=split, record={"label_source": "polygons"}, **columns)
    assert area_of(susceptibility, cells, 0, TRAIN) == pytest.approx([0.3, 0.6])
    assert area_of(susceptibility, cells, 0, TEST) == pytest.approx([0.9])


def test_susceptibility_classes_are_natural_breaks_of_the_mean_of_the_folds(world, spec):
    runs = [
        run
        for run in world["cell_runs"]
        if (run["row"], run["protocol"], run["seed"]) == ("gbdt_lr", "published", 0)
    ]
    _, frame = draw(spec("susceptibility_maps", runs=runs))
    with opened(Path(runs[0]["folder"]) / "susceptibility.tif", SHAPE) as source:
        mean = np.mean(source.read().astype(float), axis=0)
    values = mean[(layer_of(world["coarse"], "label") != 255) & np.isfinite(mean)]
    levels = ("very_low", "low", "moderate", "high", "very_high")
    bounds = [one(frame, "gbdt_lr", f"upper_bound_{level}", "published")["value"] for level in levels]
    np.random.seed(1)
    # another sample
    assert bounds == pytest.approx(NaturalBreaks(values[:: values.size // 4000], 5).bins, abs=0.04)
    shares = [one(frame, "gbdt_lr", f"area_share_{level}", "published")["value"] for level in levels]
    expected = np.histogram(values, [-1, *(np.array(bounds[:-1]) + 1e-9), 2])[0] / values.size
    assert shares == pytest.approx(expected)


def test_a_network_that_answers_one_number_is_shown_and_noted(spec, monkeypatch):
    monkeypatch.setattr(View, "read_mean", lambda view, path: np.full(view.shape, 0.5))
    figure, frame = draw(spec("susceptibility_maps"))
    assert "too few distinct values" in captions(figure)
    assert frame["value"].isna().all() and frame["note"].str.contains("too few distinct values").all()


def test_susceptibility_panel_paints_each_class_in_order():
    codes = np.array([[0, 4, -1]])
    image = class_image(Classed(codes, list(SUSCEPTIBILITY), [], np.empty(0)))
    assert image[0].tolist() == [list(to_rgb(colour)) for colour in ("#2C7BB6", "#D7191C", "#FFFFFF")]


def test_class_shares_are_those_of_the_mapped_area(world, spec):
    figure, frame = draw(spec("class_maps"))
    values = layer_of(world["coarse"], "lithology")[layer_of(world["coarse"], "label") != 255]
    line = one(frame, "lithology:7", "area_share")
    assert line["value"] == pytest.approx(np.mean(values == 7))
    assert line["note"] == LITHOLOGY[7]
    assert frame["value"].sum() == pytest.approx(2)
    assert all(" ".join(name.split()[:2]) in captions(figure) for name in LITHOLOGY.values())


def test_classes_of_one_map_never_look_the_same():
    styles = class_styles(range(1, 20), "lithology")
    assert len(set(styles.values())) == 19
    with pytest.raises(HeadscarpError, match="layer 'lithology' has 22 classes but a map can tell 21 apart"):
        class_styles(range(22), "lithology")


def test_aspect_is_drawn_in_eight_directions(world, spec):
    site = spec("factor_maps").only_site()
    view = View.of(site_grid(site))
    classed = classify(site, "aspect", view, np.ones(SHAPE, bool), 5)
    angle = layer_of(world["coarse"], "aspect")
    north = (angle >= 337.5) | (angle < 22.5)
    np.testing.assert_array_equal(classed.codes == 1 + DIRECTIONS.index("N"), north)
    np.testing.assert_array_equal(
        classed.codes == 1 + DIRECTIONS.index("S"), (angle >= 157.5) & (angle < 202.5)
    )


def test_found_false_and_missed_pixels_are_counted_in_the_evaluated_region(world, spec):
    made = spec("inventory_comparison")
    _, frame = draw(made)
    label, regions = (
        layer_of(world["district"], "label"),
        np.load(Path(world["district"]["samples"]["blocked"]) / "regions.npy"),
    )
    run = next(run for run in world["runs"] if (run["row"], run["protocol"]) == ("model1", "blocked"))
    with Image.open(Path(run["folder"]) / "probability.tif") as image:
        predicted = np.asarray(image) >= 0.5
    row, col, rows, cols = richest_window(scenes_of(made)["blocked"], made, "blocked")
    inside = np.zeros(label.shape, bool)
    inside[row : row + rows, col : col + cols] = True
    inside &= regions == 3
    for outcome, mask in (
        ("found", predicted & (label == 1)),
        ("false", predicted & (label != 1)),
        ("missed", ~predicted & (label == 1)),
    ):
        assert one(frame, "model1", f"{outcome}_pixels", "blocked")["value"] == np.count_nonzero(
            mask & inside
        )
    slides = (label == 1) & (regions == 3)
    shifts = (
        (r, c) for r in range(0, label.shape[0] - rows + 1, 7) for c in range(0, label.shape[1] - cols + 1, 7)
    )
    assert np.count_nonzero(slides & inside) >= max(
        np.count_nonzero(slides[r : r + rows, c : c + cols]) for r, c in shifts
    )


def test_close_ups_show_whole_evaluated_slides_from_large_to_small(world, spec):
    made = spec("close_ups")
    chosen = chosen_slides(scenes_of(made)["blocked"], made, "blocked")
    areas = [area for _, area in chosen]
    assert len(chosen) == 6
    assert areas == sorted(areas, reverse=True)
    regions = np.load(Path(world["district"]["samples"]["blocked"]) / "regions.npy")
    numbers, counts = np.unique(layer_of(world["district"], "instances")[regions == 3], return_counts=True)
    assert areas[0] <= counts[numbers > 0].max() * 40**2
    assert all(
        rows == cols and row >= 0 and row + rows <= 150 and col + cols <= 160
        for (row, col, rows, cols), _ in chosen
    )


def test_inventory_map_counts_the_polygons_of_each_protocol(world, spec):
    figure, frame = draw(spec("inventory_map"))
    for protocol in PROTOCOLS:
        run = next(run for run in world["runs"] if (run["row"], run["protocol"]) == ("model1", protocol))
        polygons = geopandas.read_file(Path(run["folder"]) / "city" / "inventory.gpkg")
        assert one(frame, "model1", "landslides", protocol)["value"] == len(polygons)
        assert one(frame, "model1", "landslide_area_km2", protocol)["value"] == pytest.approx(
            polygons["area_m2"].sum() / 1e6
        )
        assert f"{len(polygons)} landslides" in captions(figure)


def test_search_chart_shows_the_best_so_far_and_the_papers_accuracy(world, spec):
    figure, frame = draw(spec("search_chart"))
    trials = pd.read_csv(Path(world["searches"][0]["folder"]) / "trials.csv")
    for number in (1, 7, 30):
        line = one(frame, "unet:gp", f"best_{number:02d}", "published")
        assert line["value"] == pytest.approx(trials["value"][:number].max())
        assert one(frame, "unet:gp", f"value_{number:02d}", "published")["value"] == pytest.approx(
            trials["value"][number - 1]
        )
    published, blocked = figure.axes
    assert {text.get_text() for text in published.texts} == {"paper 0.9888", "no skill"}
    assert {text.get_text() for text in blocked.texts} == {"no skill"}
    assert [axes.lines[-1].get_ydata()[0] for axes in (published, blocked)] == [0.9888, 0.2]
    assert published.get_ylabel() == "Pixel accuracy on the test windows"
    assert blocked.get_ylabel() == "Average precision on the validation windows"


def test_failed_trial_leaves_a_gap_and_keeps_the_best(world, spec, tmp_path):
    search = spec("search_chart").searches[0]
    pd.DataFrame({"trial": [1, 2, 3], "value": [0.5, np.nan, 0.4], "best": [0.5, 0.5, 0.5]}).to_csv(
        tmp_path / "trials.csv", index=False
    )
    trials = read_trials(dataclasses.replace(search, folder=tmp_path))
    assert trials["best"].tolist() == [0.5, 0.5, 0.5]
    assert trials["value"].isna().tolist() == [False, True, False]


def test_curves_end_with_the_mean_of_the_folds_last_epochs(spec):
    _, frame = draw(spec("curves"))
    assert one(frame, "small", "validation_accuracy", "blocked")["value"] == pytest.approx(0.9 - 0.35 / 8)
    assert one(frame, "small", "train_loss", "published")["value"] == pytest.approx(0.6 * np.exp(-2))


def test_surveyed_sites_are_drawn_by_size(world, spec):
    made = spec("site_map")
    figure, _ = draw(made)
    discs = [
        drawn
        for axes in figure.axes
        for drawn in axes.collections
        if type(drawn).__name__ == "PathCollection"
    ]
    assert [len(drawn.get_offsets()) for drawn in discs] == [1, 8, 50]  # the largest first, below
    assert [float(drawn.get_sizes()[0]) for drawn in discs] == sorted(
        (area for area, _ in SIZES.values()), reverse=True
    )
    assert "Training district" in captions(figure)


def test_view_of_a_rectangle_shows_that_rectangle(world, spec):
    site = spec("inventory_comparison").only_site()
    view = View.of(site_grid(site), window=(20, 30, 50, 60))
    label = layer_of(world["district"], "label")
    np.testing.assert_array_equal(
        view.read(site.folder / "layers" / "label.tif", classes=True), label[20:70, 30:90]
    )
    np.testing.assert_array_equal(view.thin(label), label[20:70, 30:90])
    assert view.extent == pytest.approx((407.6 + 1.2, 407.6 + 3.6, 3255 - 2.8, 3255 - 0.8))


def test_large_layers_are_read_block_by_block(world, spec):
    site = spec("class_maps").only_site()
    elevation = layer_of(world["coarse"], "elevation")
    assert value_range(site, "elevation") == pytest.approx((elevation.min(), elevation.max()))
    mapped = layer_of(world["coarse"], "soil")[layer_of(world["coarse"], "label") != 255]
    assert class_counts(site, "soil") == dict(
        zip(*(part.tolist() for part in np.unique(mapped, return_counts=True)), strict=True)
    )


# --- bad input


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("class_maps", {}, "needs the option `layers`: a list of layers"),
        ("class_maps", {"layers": ["slope"]}, "names no classes for layer 'slope' of site 'coarse'"),
        ("class_maps", {"layers": ["litology"]}, "has no layer 'litology'"),
        ("factor_maps", {"factors": []}, "needs the option `factors`"),
        (
            "factor_maps",
            {"factors": ["slope"], "classes": 100_000},
            "factor 'slope' .* cannot be divided into 100000 natural-break classes",
        ),
        (
            "site_map",
            {"background": "releif"},
            "options: background 'releif' does not exist; did you mean 'relief'",
        ),
        (
            "site_map",
            {"background": {"citty": "relief"}},
            "background: site 'citty' does not exist; did you mean 'city'",
        ),
        ("site_map", {"points": "district.gpkg"}, "has no column 'size'"),
        ("site_map", {"outlines": {"A": "nowhere.gpkg"}}, "nowhere.gpkg does not exist"),
        ("inventory_map", {"background": "map"}, "options: background 'map' does not exist"),
        ("inventory_comparison", {"composite": ["red", "green"]}, "an image needs three layers"),
    ],
)
def test_wrong_options_are_named(spec, kind, options, message):
    with pytest.raises(HeadscarpError, match=message):
        draw(spec(kind, options=options))


def test_inventory_map_needs_a_target(spec):
    with pytest.raises(HeadscarpError, match="names no target"):
        draw(spec("inventory_map", target=None))


def test_search_chart_needs_searches_with_a_finished_trial(spec, tmp_path):
    with pytest.raises(HeadscarpError, match="has no searches"):
        draw(spec("search_chart", searches=[]))
    search = dataclasses.replace(spec("search_chart").searches[0], folder=tmp_path)
    with pytest.raises(HeadscarpError, match=r"trials\.csv does not exist; run the search"):
        read_trials(search)
    (tmp_path / "trials.csv").write_text("trial,value,best\n1,,\n")
    with pytest.raises(HeadscarpError, match="holds no finished trial"):
        read_trials(search)


@pytest.mark.parametrize("kind", ["inventory_comparison", "close_ups"])
def test_region_without_a_slide_is_named(world, spec, tmp_path, kind):
    regions = np.zeros((150, 160), np.uint8)
    regions[tuple(np.argwhere(layer_of(world["district"], "label") == 0)[0])] = 3
    np.save(tmp_path / "regions.npy", regions)
    site = world["district"] | {"samples": {protocol: str(tmp_path) for protocol in PROTOCOLS}}
    with pytest.raises(HeadscarpError, match="under protocol 'published' holds no landslide to show"):
        draw(spec(kind, sites=[site]))


@pytest.mark.parametrize("kind", ["inventory_comparison", "close_ups"])
def test_region_without_a_pixel_is_named(world, spec, tmp_path, kind):
    np.save(tmp_path / "regions.npy", np.zeros((150, 160), np.uint8))
    site = world["district"] | {"samples": {protocol: str(tmp_path) for protocol in PROTOCOLS}}
    with pytest.raises(HeadscarpError, match="has no labelled pixel to evaluate under 'published'"):
        draw(spec(kind, sites=[site]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": lambda cells: cells["split"][:1]}, "has 2 bands but the samples have 1 folds"),
        ({"row": lambda cells: cells["row"] + 1000}, "is smaller than its samples"),
        ({"col": lambda cells: cells["col"] * 0}, "has no susceptibility at .* landslide cells of fold 0"),
        ({"label": lambda cells: cells["label"] * 0}, "hold no landslide among the training cells"),
    ],
)
def test_rate_curves_refuse_cells_that_do_not_fit_the_map(world, spec, tmp_path, change, message):
    folder = Path(world["coarse"]["samples"]["published"])
    with np.load(folder / "cells.npz") as cells:
        np.savez(
            tmp_path / "cells.npz", **(dict(cells) | {name: make(cells) for name, make in change.items()})
        )
    (tmp_path / "cells.json").write_bytes((folder / "cells.json").read_bytes())
    site = world["coarse"] | {"samples": {protocol: str(tmp_path) for protocol in PROTOCOLS}}
    with pytest.raises(HeadscarpError, match=message):
        draw(spec("rate_curves", sites=[site]))


def test_empty_history_is_named(tmp_path):
    (tmp_path / "history.csv").write_text("epoch,train_loss,validation_loss\n")
    with pytest.raises(HeadscarpError, match=r"history\.csv holds no epoch; train the run again"):
        read_history(tmp_path / "history.csv")


def test_run_without_landslides_has_no_roc(spec, tmp_path):
    none = CellHistograms.of(np.linspace(0, 1, 9), np.zeros(9, bool), np.arange(9) // 3, 0.5)
    np.savez(tmp_path / "counts.npz", **none.arrays())
    group = [
        Scored(
            dataclasses.replace(spec("roc").runs[0], maps=tmp_path),
            {"fold": 0, "converged": True, "crowded": False},
        )
    ]
    with pytest.raises(HeadscarpError, match="so there is no ROC curve"):
        roc_points(group)
