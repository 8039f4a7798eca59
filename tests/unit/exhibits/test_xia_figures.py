"""Figures of Xia et al. (2021) against independent computations, on a small invented valley in six classes
with invented runs."""

import itertools
import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine
from matplotlib.colors import to_rgb
from PIL import Image
from scipy import ndimage
from shapely.geometry import box
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, jaccard_score, roc_auc_score

from headscarp.errors import HeadscarpError
from headscarp.exhibits.figures.change_maps import STATUS, areas_of, dated_image, read_change, square_bounds
from headscarp.exhibits.figures.label_examples import beneath, example_windows
from headscarp.exhibits.figures.sampling_chart import class_ratio
from headscarp.exhibits.figures.slope_separation import auc_of
from headscarp.exhibits.kinds import KINDS
from headscarp.exhibits.layers import site_grid
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.figure import DPI, HEIGHT, WIDTH, draw, save
from headscarp.exhibits.panels.land_cover import class_picture
from headscarp.exhibits.panels.scene import CONFUSION, scene_of
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.panels.windows import show_one_place, slices, slide_windows
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import COLUMNS
from headscarp.files import write_json
from headscarp.geo.grid import Grid
from headscarp.geo.layer import ANGLE, CLASSES, Layer, write_layer
from headscarp.scoring.boundary import boundary_scores
from headscarp.scoring.classes import classes_record
from headscarp.scoring.extraction import extraction_metrics
from tests.world import grid_of, layer_of, run_record, smooth, write_site_layers

pytestmark = pytest.mark.slow

SIDE, CELL = 480, 0.5
SHAPE = (SIDE, SIDE)
PROTOCOLS = ("published", "blocked")
NAMES = {0: "bare land", 1: "landslide", 2: "building", 3: "vegetation", 4: "water", 5: "road"}
MODELS = {"rae_d": ("RAE-D", 0.9), "fstf_net": ("FSTF-Net", 1.4)}
COLOURS = {
    0: (0.30, 0.26, 0.20),
    1: (0.34, 0.29, 0.23),
    2: (0.36, 0.31, 0.28),
    3: (0.10, 0.14, 0.07),
    4: (0.06, 0.10, 0.12),
    5: (0.30, 0.28, 0.26),
}
DATES = ("jan", "feb", "mar")
STAGES = [
    {
        "stage": "region",
        "windows": 0,
        "shares": {"0": 0.30, "1": 0.06, "2": 0.02, "3": 0.55, "4": 0.03, "5": 0.04},
    },
    {
        "stage": "superpixels",
        "windows": 240,
        "shares": {"0": 0.28, "1": 0.09, "2": 0.04, "3": 0.49, "4": 0.04, "5": 0.06},
    },
    {
        "stage": "tiles",
        "windows": 410,
        "shares": {"0": 0.22, "1": 0.16, "2": 0.10, "3": 0.36, "4": 0.07, "5": 0.09},
    },
    {
        "stage": "minority_crops",
        "windows": 700,
        "shares": {"0": 0.19, "1": 0.19, "2": 0.14, "3": 0.25, "4": 0.11, "5": 0.12},
    },
]


def invent_classes(rng: np.random.Generator, slope: np.ndarray, elevation: np.ndarray) -> np.ndarray:
    """Codes (row, col): slides where it is steep, a village, a river and a road where it is gentle."""
    codes = np.where(smooth(rng, SHAPE, 14) > -0.2, 3, 0)
    codes[
        ndimage.binary_opening(
            smooth(rng, SHAPE, 9) + 1.2 * (slope - slope.mean()) / slope.std() > 2.3, iterations=3
        )
    ] = 1
    row, col = np.indices(codes.shape)
    middle = SIDE * 0.55 + 25 * np.sin(col / 70)
    codes[abs(row - middle) < 9] = 4
    codes[abs(row - middle + 26) < 4] = 5
    for top, left in itertools.product(range(0, 60, 20), range(0, 110, 22)):
        codes[int(SIDE * 0.64) + top : int(SIDE * 0.64) + top + 12, 300 + left : 300 + left + 14] = 2
    codes[:12, :60] = 255
    return codes.astype(np.uint8)


def invent_site(folder: Path, name: str, seed: int) -> dict:
    """Write layers, samples and raw files of a valley; returns its record."""
    rng = np.random.default_rng(seed)
    grid = Grid("EPSG:32647", Affine(CELL, 0, 700_000, 0, -CELL, 3_315_000), SIDE, SIDE)
    row = np.indices((SIDE, SIDE))[0]
    elevation = (
        3200
        + 0.45 * np.maximum(abs(row - SIDE * 0.62) - 70, 0) * CELL * (1 + 0.3 * smooth(rng, SHAPE, 40))
        + 0.8 * smooth(rng, SHAPE, 25)
    )
    dy, dx = np.gradient(elevation, CELL)
    slope, aspect = np.degrees(np.arctan(np.hypot(dx, dy))), np.degrees(np.arctan2(-dx, dy)) % 360
    codes = invent_classes(rng, slope, elevation)
    image = np.array([COLOURS.get(code, (0, 0, 0)) for code in range(256)])[codes] + 0.02 * rng.normal(
        size=(SIDE, SIDE, 3)
    )
    image += 0.03 * smooth(rng, SHAPE, 3)[..., None]
    layers = dict(zip(("red", "green", "blue"), np.moveaxis(image, -1, 0), strict=True))
    layers |= {
        "elevation": elevation,
        "slope": slope,
        "ndvi": np.where(codes == 3, 0.6, 0.1) + 0.05 * smooth(rng, SHAPE, 20),
    }
    units = {"elevation": "m", "slope": "degree"}
    written = [
        Layer(layer, values.astype(np.float32), grid, units.get(layer, "1"), "invented")
        for layer, values in layers.items()
    ]
    written.append(Layer("aspect", aspect, grid, "degree", "invented", ANGLE))
    written.append(Layer("label", codes, grid, "class", "invented", CLASSES, 255))
    site = folder / name
    write_site_layers(site, written, "2018-02-10", {"label": NAMES | {255: "unlabelled"}})
    write_raw(site / "raw", grid, codes, image)
    samples = {}
    for protocol in PROTOCOLS:
        regions = np.full(codes.shape, 3, np.uint8)
        if protocol == "blocked":
            regions[:, : SIDE // 2] = 1
        samples[protocol] = site / "samples" / protocol
        samples[protocol].mkdir(parents=True)
        np.save(samples[protocol] / "regions.npy", regions)
        write_json(samples[protocol] / "samples.json", {"stages": STAGES})
    samples = {protocol: str(path) for protocol, path in samples.items()}
    title = name.replace("_", " ").capitalize()
    return {
        "name": name,
        "title": title,
        "folder": str(site),
        "raw": str(site / "raw"),
        "data": "twin",
        "samples": samples,
    }


def write_raw(raw: Path, grid: Grid, codes: np.ndarray, image: np.ndarray) -> None:
    """Write the images of three dates on grids of their own, a mine, and a net over part of the largest
    slide."""
    raw.mkdir()
    west, south, _, north = grid.bounds
    for date, step, gain in (("jan", 2, 1.2), ("feb", 1, 1.0), ("mar", 3, 0.9)):
        bands = np.moveaxis(image[::step, ::step], -1, 0).astype(np.float32) * gain
        with rasterio.open(
            raw / f"rgb_{date}.tif",
            "w",
            driver="GTiff",
            count=3,
            height=bands.shape[1],
            width=bands.shape[2],
            dtype="float32",
            crs=grid.crs,
            transform=Affine(CELL * step, 0, west, 0, -CELL * step, north),
        ) as target:
            target.write(bands)
    parts, _ = ndimage.label(codes == 1)
    rows, cols = ndimage.find_objects(parts)[int(np.argmax(np.bincount(parts.ravel())[1:]))]
    net = box(
        west + CELL * cols.start,
        north - CELL * (rows.start + rows.stop) / 2,
        west + CELL * cols.stop,
        north - CELL * rows.start,
    )
    mine = box(west + 150, south + 60, west + 190, south + 100)
    for name, shape in (("nets", net), ("mine", mine)):
        geopandas.GeoDataFrame(geometry=[shape], crs=grid.crs).to_file(raw / f"{name}.gpkg")


def regions_of(site: dict, protocol: str) -> np.ndarray:
    return np.load(Path(site["samples"][protocol]) / "regions.npy")


def map_of(run: Path) -> np.ndarray:
    with Image.open(run / "classes.tif") as image:
        return np.asarray(image)


def invent_map(folder: Path, site: dict, tested: np.ndarray, skill: float, seed: int) -> None:
    """Write classes.tif with smooth mistakes, and its scores on the evaluated pixels."""
    label, rng = layer_of(site, "label"), np.random.default_rng(seed)
    score = np.stack([skill * 2 * (label == code) + smooth(rng, SHAPE, 7) for code in NAMES])
    mapped = score.argmax(axis=0).astype(np.uint8)
    grid = grid_of(site)
    write_layer(folder / "classes.tif", Layer("classes", mapped, grid, "class", "invented", CLASSES, 255))
    tested = tested & (label != 255)
    confusion = confusion_matrix(label[tested], mapped[tested], labels=list(NAMES))
    tp = confusion[1, 1]
    pixel = {
        key: float(value)
        for key, value in extraction_metrics(tp, confusion[:, 1].sum() - tp, confusion[1].sum() - tp).items()
    }
    boundary = boundary_scores(mapped == 1, label == 1, label != 255, tested)
    write_json(
        folder / "scores.json",
        {"classes": classes_record(confusion), "extraction": {"pixel": pixel}, "boundary": boundary},
    )


def invent_change(folder: Path, site: dict) -> None:
    """Write one slide of each status, and a second, smaller new one beside the first."""
    west, south = 700_000, 3_315_000 - SIDE * CELL
    rows = [
        ("new", "2018-03", (20, 150, 60, 190), (0, 0, 1600)),
        ("new", "2018-02", (62, 150, 72, 160), (0, 50, 100)),
        ("grown", "2018-01", (160, 70, 180, 95), (200, 350, 500)),
        ("unchanged", "2018-01", (120, 200, 140, 225), (500, 500, 500)),
    ]
    frame = geopandas.GeoDataFrame(
        {"status": [row[0] for row in rows], "first_seen": [row[1] for row in rows]}
        | {f"area_{date}_m2": [float(row[3][index]) for row in rows] for index, date in enumerate(DATES)},
        geometry=[
            box(west + row[2][0], south + row[2][1], west + row[2][2], south + row[2][3]) for row in rows
        ],
        crs="EPSG:32647",
    )
    folder.mkdir()
    frame.to_file(folder / "landslides.gpkg", layer="landslides")


def invent_world(folder: Path) -> dict:
    site, target = invent_site(folder, "mangkam", 1), invent_site(folder, "jiuzhaigou", 2)
    runs = []
    for protocol in PROTOCOLS:
        for number, (row, (label, skill)) in enumerate(MODELS.items()):
            for seed in (0, 1):
                run = folder / "runs" / row / protocol / f"seed{seed}"
                everywhere = np.ones((SIDE, SIDE), bool)
                invent_map(
                    run,
                    site,
                    regions_of(site, protocol) == 3,
                    skill - 0.1 * (protocol == "blocked"),
                    10 * number + seed,
                )
                invent_map(run / "jiuzhaigou", target, everywhere, 0.6 * skill, 10 * number + seed + 5)
                invent_change(run / "change", site)
                runs.append(run_record(run, row, label, protocol, seed))
    return {"site": site, "target": target, "runs": runs}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> dict:
    return invent_world(tmp_path_factory.mktemp("results"))


@pytest.fixture
def spec(world):
    """Make the spec of an exhibit of a kind on the invented valley."""

    def make(kind: str, **changes) -> ExhibitSpec:
        reads, runs = KINDS[kind], world["runs"]
        if changes.get("options", {}).get("elsewhere"):
            runs = [run | {"maps": f"{run['folder']}/{world['target']['name']}"} for run in runs]
        record = {
            "card": "xia2021",
            "name": f"fig_{kind}",
            "kind": kind,
            "title": "",
            "caption": "",
            "sites": [world["site"]],
            "runs": runs if reads.runs else [],
            "options": {},
            "published": [],
            "target": world["target"],
        }
        return ExhibitSpec.from_record(record | changes)

    return make


def value_of(frame, row, metric, protocol="published") -> float:
    """The one value of a row, metric and protocol."""
    found = frame[(frame["row"] == row) & (frame["metric"] == metric) & (frame["protocol"] == protocol)]
    assert len(found) == 1, (row, metric, protocol, len(found))
    return float(found["value"].iloc[0])


SHARES = {"rae_d": 0, "fstf_net": 5}
OPTIONS = {
    "label_examples": {"nets": "nets.gpkg"},
    "change_maps": {
        "areas": ["mine"],
        "dates": {"jan": "January 2018", "feb": "February 2018", "mar": "March 2018"},
    },
    "fine_tuning_chart": {"shares": SHARES},
}
DRAWN = (
    "vhr_site",
    "label_examples",
    "class_maps_of_runs",
    "extraction_maps",
    "boundary_maps",
    "change_maps",
    "slope_separation",
    "fine_tuning_chart",
    "sampling_chart",
)


@pytest.mark.parametrize("kind", DRAWN)
def test_every_kind_draws_a_signed_figure_and_its_numbers(spec, tmp_path, kind):
    figure, frame = draw(spec(kind, options=OPTIONS.get(kind, {})))
    assert list(frame.columns) == COLUMNS and len(frame)
    assert "imulated site (twin)" in figure._supxlabel.get_text()
    save(figure, tmp_path / "figure.png", tmp_path / "figure.pdf")
    with Image.open(tmp_path / "figure.png") as image:
        assert image.width == round(WIDTH * DPI) and image.height <= round(HEIGHT * DPI)


# --- colours


# Machado et al. (2009), table 1, severity 1.0: linear RGB as protanopes and deuteranopes see it.
PROTANOPIA = [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
]
DEUTERANOPIA = [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.011820, 0.042940, 0.968881],
]
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def lab_of(colour: str, seen: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of a colour as somebody sees it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    scaled = TO_XYZ @ np.clip(seen @ linear, 0, 1) / [0.95047, 1, 1.08883]
    x, y, z = np.where(scaled > 216 / 24389, np.cbrt(scaled), (24389 / 27 * scaled + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize(
    "seen",
    [np.eye(3), np.array(PROTANOPIA), np.array(DEUTERANOPIA)],
    ids=["normal", "protanopia", "deuteranopia"],
)
def test_classes_stay_apart_for_colour_blind_readers(seen):
    labs = [lab_of(colour, seen) for colour in palette.LAND_COVER.values()]
    assert len(labs) == len(NAMES)
    # 2.3 is just noticeable
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(labs, 2)) > 25


def test_picture_of_classes_has_their_colours():
    picture = class_picture(np.array([[0, 1], [5, 255]], np.uint8))
    expected = [to_rgb(palette.LAND_COVER[code]) for code in (0, 1, 5)] + [(1, 1, 1)]
    np.testing.assert_allclose(picture.reshape(4, 3), expected)


# --- the numbers behind the figures


def test_site_numbers_are_those_of_the_layers(world, spec):
    _, frame = draw(spec("vhr_site"))
    slope = layer_of(world["site"], "slope")
    assert value_of(frame, "mangkam", "slope_mean", "") == pytest.approx(slope.mean(), rel=1e-5)
    assert value_of(frame, "mangkam", "slope_p95", "") == pytest.approx(np.percentile(slope, 95), rel=1e-5)
    assert value_of(frame, "mangkam", "elevation_max", "") == pytest.approx(
        layer_of(world["site"], "elevation").max()
    )


def test_examples_show_slides_a_net_and_a_village(world, spec):
    site = spec("label_examples", options={"nets": "nets.gpkg", "windows": 2})
    scene = scene_of(site, site.only_site())
    nets = geopandas.read_file(Path(world["site"]["raw"]) / "nets.gpkg")
    windows = example_windows(site, scene, nets)
    assert list(windows) == ["Landslide 1", "Landslide 2", "Under a net", "No landslide"]
    label = layer_of(world["site"], "label")
    shares = {
        name: np.bincount(label[row : row + rows, col : col + cols].ravel(), minlength=6)
        for name, (row, col, rows, cols) in windows.items()
    }
    assert all(shares[name][1] > 0 for name in ("Landslide 1", "Landslide 2", "Under a net"))
    hidden = beneath(nets, scene)
    net_row, net_col, net_rows, net_cols = windows["Under a net"]
    assert hidden[net_row : net_row + net_rows, net_col : net_col + net_cols].any()
    assert (label[hidden] == 1).all() and not hidden.all()
    assert slide_windows((label == 1) & ~hidden, 2, [windows["Under a net"]]) == [
        windows[name] for name in ("Landslide 1", "Landslide 2")
    ]
    village = shares["No landslide"]
    assert village[2] + village[5] > village[1]
    row, col, rows, cols = windows["Under a net"]
    west, south, east, north = nets.total_bounds
    assert 700_000 + CELL * col <= west and east <= 700_000 + CELL * (col + cols)
    assert 3_315_000 - CELL * (row + rows) <= south and north <= 3_315_000 - CELL * row
    _, frame = draw(site)
    row, col, rows, cols = windows["Landslide 1"]
    part = np.s_[row : row + rows, col : col + cols]
    mapped = label[part][label[part] != 255]
    assert value_of(frame, "Landslide 1:landslide", "area_share", "") == pytest.approx((mapped == 1).mean())
    assert value_of(frame, "Landslide 1:NDVI", "mean", "") == pytest.approx(
        layer_of(world["site"], "ndvi")[part].mean(), rel=1e-4
    )
    elevation = layer_of(world["site"], "elevation")[part]
    assert value_of(frame, "Landslide 1:Height", "mean", "") == pytest.approx(
        (elevation - elevation.min()).mean(), rel=1e-3
    )


def test_close_ups_show_each_place_once():
    """Of three slides the second lies beside the first, in its window; the next apart from both is shown."""
    slides = np.zeros((300, 300), bool)
    slides[20:60, 20:60] = slides[20:58, 62:90] = slides[200:230, 200:230] = slides[250:260, 20:30] = True
    first, second, third = slide_windows(slides, 3)
    assert [slides[slices(window)].sum() for window in (second, third)] == [900, 100]
    assert show_one_place(first, (20, 62, 38, 38)) and not show_one_place(first, second)
    assert slide_windows(slides, 3, taken=[first]) == [second, third]
    assert not slide_windows(np.zeros((30, 30), bool), 3)


def test_examples_without_factors_show_image_and_labels_only(spec):
    figure, frame = draw(spec("label_examples", options={"layers": []}))
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["(a) Image", "(b) Labels"]
    assert len(figure.axes) == 2 * 4 and set(frame["metric"]) == {"area_share"}


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_class_maps_tell_shares_and_accuracy_of_the_evaluated_region(world, spec, elsewhere, protocol):
    _, frame = draw(spec("class_maps_of_runs", options={"elsewhere": elsewhere}))
    run = Path(
        next(
            run["folder"]
            for run in world["runs"]
            if (run["row"], run["protocol"], run["seed"]) == ("rae_d", protocol, 0)
        )
    )
    site = world["target"] if elsewhere else world["site"]
    label = layer_of(site, "label")
    tested = (label != 255) & (elsewhere | (regions_of(site, protocol) == 3))
    mapped = map_of(run / "jiuzhaigou" if elsewhere else run)
    assert value_of(frame, "rae_d", "oa", protocol) == pytest.approx(
        accuracy_score(label[tested], mapped[tested])
    )
    for code, name in NAMES.items():
        assert value_of(frame, f"rae_d:{name}", "area_share", protocol) == pytest.approx(
            (mapped[tested] == code).mean()
        )
        assert value_of(frame, f"labels:{name}", "area_share", protocol) == pytest.approx(
            (label[tested] == code).mean()
        )


@pytest.mark.parametrize("elsewhere", [False, True])
def test_extraction_counts_every_evaluated_pixel(world, spec, elsewhere):
    _, frame = draw(spec("extraction_maps", options={"elsewhere": elsewhere}))
    site = world["target"] if elsewhere else world["site"]
    label = layer_of(site, "label")
    for run in (run for run in world["runs"] if run["seed"] == 0):
        tested = (label != 255) & (elsewhere | (regions_of(site, run["protocol"]) == 3))
        mapped = map_of(Path(run["folder"]) / ("jiuzhaigou" if elsewhere else "."))
        (_, false), (missed, found) = confusion_matrix(label[tested] == 1, mapped[tested] == 1)
        key = (run["row"], run["protocol"])
        for outcome, count in (("found", found), ("false", false), ("missed", missed)):
            assert value_of(frame, key[0], f"{outcome}_pixels", key[1]) == count
        assert value_of(frame, key[0], "dp", key[1]) == pytest.approx(found / (found + missed))
        assert value_of(frame, key[0], "qp", key[1]) == pytest.approx(found / (found + missed + false))


def test_outcomes_are_painted_where_they_are(world, spec):
    figure, _ = draw(spec("extraction_maps"))
    panel = next(axes for axes in figure.axes if "RAE-D" in axes.get_title(loc="left"))
    image = np.asarray(panel.images[0].get_array())
    run = Path(next(run["folder"] for run in world["runs"] if run["row"] == "rae_d"))
    label, mapped = layer_of(world["site"], "label"), map_of(run)
    tested = label != 255
    for colour, mask in zip(
        (colour for colour, _ in CONFUSION),
        ((mapped == 1) & (label == 1), (mapped == 1) & (label != 1), (mapped != 1) & (label == 1)),
        strict=True,
    ):
        painted = np.isclose(image, to_rgb(colour)).all(axis=-1)
        np.testing.assert_array_equal(painted, mask & tested)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_close_ups_of_boundaries_tell_their_overlap(world, spec, protocol):
    exhibit = spec("boundary_maps", options={"slides": 2})
    _, frame = draw(exhibit)
    run = Path(
        next(
            run["folder"]
            for run in world["runs"]
            if (run["row"], run["protocol"], run["seed"]) == ("fstf_net", protocol, 0)
        )
    )
    label, mapped, tested = (
        layer_of(world["site"], "label"),
        map_of(run),
        regions_of(world["site"], protocol) == 3,
    )
    slides, _ = ndimage.label((label == 1) & tested, np.ones((3, 3)))
    ranked = np.argsort(-np.bincount(slides.ravel())[1:], kind="stable") + 1
    windows = slide_windows((label == 1) & tested, 2)
    for number, (row, col, rows, cols) in enumerate(windows, start=1):
        part = np.s_[row : row + rows, col : col + cols]
        # the largest slide of the window is whole in it, and of all the largest is in the first
        largest = np.bincount(slides[part].ravel())[1:].argmax() + 1 if number > 1 else ranked[0]
        assert (slides[part] == largest).sum() == (slides == largest).sum()
        inside = tested[part] & (label[part] != 255)
        iou = jaccard_score(label[part][inside] == 1, mapped[part][inside] == 1)
        assert value_of(frame, f"fstf_net:slide {number}", "iou", protocol) == pytest.approx(iou)
    scores = json.loads((run / "scores.json").read_text())
    assert value_of(frame, "fstf_net", "boundary_f1", protocol) == pytest.approx(scores["boundary"]["f1"])


def test_slope_separates_slides_from_the_village_as_ranks_say(world, spec):
    _, frame = draw(spec("slope_separation"))
    slope, label = layer_of(world["site"], "slope"), layer_of(world["site"], "label")
    for code in (2, 5, 0):
        pair = np.isin(label, (1, code))
        auc = roc_auc_score(label[pair] == 1, slope[pair])
        assert value_of(frame, f"landslide against {NAMES[code]}", "auc", "") == pytest.approx(auc, abs=2e-4)
        shares = [np.histogram(slope[label == one], np.arange(91), density=True)[0] for one in (1, code)]
        assert value_of(frame, f"landslide against {NAMES[code]}", "overlap", "") == pytest.approx(
            np.minimum(*shares).sum(), abs=1e-9
        )
        assert value_of(frame, NAMES[code], "pixels", "") == (label == code).sum()
    for percent in (5, 50, 95):
        quantile = np.percentile(slope[label == 1], percent)
        assert value_of(frame, "landslide", f"slope_p{percent:02d}", "") == pytest.approx(quantile, abs=0.02)


def test_auc_of_ties_is_half():
    alike = np.bincount([3, 3, 7], minlength=9000)
    assert auc_of(alike, alike) == pytest.approx(0.5)
    assert auc_of(np.bincount([8], minlength=9), np.bincount([2], minlength=9)) == 1


def test_change_counts_the_slides_of_each_area(spec):
    exhibit = spec("change_maps", options={"areas": ["mine"]})
    _, frame = draw(exhibit)
    assert value_of(frame, "rae_d:Mine:grown", "landslides") == 1
    assert value_of(frame, "rae_d:Mine:grown", "area_feb_m2") == 350
    assert value_of(frame, "rae_d:Mine:new", "landslides") == 0
    # The second place is the larger new slide's; the smaller one beside it is in the picture too.
    assert value_of(frame, "rae_d:Area 1 (new landslide):new", "landslides") == 2
    assert value_of(frame, "rae_d:Area 1 (new landslide):new", "area_mar_m2") == 1700
    assert value_of(frame, "rae_d:Area 1 (new landslide):unchanged", "landslides") == 0


def test_change_without_named_areas_shows_new_then_grown_slides(spec):
    exhibit = spec("change_maps")
    slides = read_change(exhibit.runs[0], exhibit.only_site())
    names = [area.name for area in areas_of(exhibit, exhibit.only_site(), slides)]
    assert names == ["Area 1 (new landslide)", "Area 2 (grown landslide)"]
    (whole,) = areas_of(exhibit, exhibit.only_site(), slides.iloc[:0])
    assert whole.name.startswith("Whole site") and whole.bounds == (700_000, 3_314_760, 700_240, 3_315_000)


def test_square_bounds_keep_the_area_inside_the_site():
    within = (0.0, 0.0, 500.0, 300.0)
    west, south, east, north = square_bounds((450.0, 10.0, 500.0, 40.0), within)
    assert (east - west, north - south) == (100, 100)
    assert west <= 450 and east == 500 and south == 0 and north >= 40
    assert square_bounds((0.0, 0.0, 500.0, 300.0), within) == (100, 0, 400, 300)


def test_slides_not_yet_mapped_are_dotted(spec):
    figure, _ = draw(spec("change_maps", options={"areas": ["mine"]}))
    # the second place at the three dates, where two new slides appear one after the other
    second = figure.axes[3:6]
    solid = []
    for axes in second:
        lines = [lines for lines in axes.collections if to_rgb(lines.get_color()[0]) == to_rgb(STATUS["new"])]
        solid.append([len(part.get_paths()) for part in lines if part.get_linestyle()[0][1] is None])
    assert [sum(count) for count in solid] == [0, 1, 2]


def test_images_of_other_resolutions_are_cut_to_the_same_ground(world, spec):
    site = spec("change_maps").only_site()
    bounds = (700_051.0, 3_314_850.0, 700_111.0, 3_314_910.0)
    for date, step in (("jan", 2), ("feb", 1), ("mar", 3)):
        image = dated_image(site, date)
        view = View.under(image.grid, bounds)
        west, east, south, north = (1000 * side for side in view.extent)
        cell = CELL * step
        assert west <= bounds[0] < west + cell and east - cell < bounds[2] <= east
        assert south <= bounds[1] < south + cell and north - cell < bounds[3] <= north
        with rasterio.open(Path(world["site"]["raw"]) / f"rgb_{date}.tif") as source:
            row, col, rows, cols = view.window
            np.testing.assert_allclose(
                image.read(view)[..., 2], source.read(3)[row : row + rows, col : col + cols]
            )


def test_fine_tuning_averages_seeds_at_the_new_site(world, spec):
    published = [{"row": "rae_d", "metric": "oa", "value": 0.82, "unit": "fraction"}]
    figure, frame = draw(spec("fine_tuning_chart", options={"shares": SHARES}, published=published))
    label = layer_of(world["target"], "label")
    tested = label != 255
    for metric, score in (
        ("oa", accuracy_score),
        ("landslide_f1", lambda truth, mapped: f1_score(truth == 1, mapped == 1)),
    ):
        folders = [
            Path(run["folder"])
            for run in world["runs"]
            if (run["row"], run["protocol"]) == ("rae_d", "published")
        ]
        values = [score(label[tested], map_of(folder / "jiuzhaigou")[tested]) for folder in folders]
        assert value_of(frame, "rae_d", metric) == pytest.approx(np.mean(values))
        line = frame[
            (frame["row"] == "rae_d") & (frame["metric"] == metric) & (frame["protocol"] == "published")
        ].iloc[0]
        assert line["sd"] == pytest.approx(np.std(values, ddof=1)) and line["n_seeds"] == 2
    own = json.loads((Path(world["runs"][2]["folder"]) / "scores.json").read_text())["classes"]["oa"]
    assert abs(value_of(frame, "fstf_net", "oa") - own) < 0.02
    assert frame.loc[(frame["row"] == "rae_d") & (frame["metric"] == "oa"), "published"].eq(0.82).all()
    # half of the site under blocked, all of it at the target
    assert "differ in the pixels" in figure._supxlabel.get_text()


def test_untuned_runs_without_a_target_are_scored_at_home(world, spec):
    _, frame = draw(spec("fine_tuning_chart", options={"shares": SHARES}, target=None))
    folders = [
        Path(run["folder"])
        for run in world["runs"]
        if (run["row"], run["protocol"]) == ("rae_d", "published")
    ]
    home = [json.loads((folder / "scores.json").read_text())["classes"]["oa"] for folder in folders]
    assert value_of(frame, "rae_d", "oa") == pytest.approx(np.mean(home))


def test_sampling_chart_tells_shares_and_ratios(spec):
    _, frame = draw(spec("sampling_chart"))
    assert value_of(frame, "region:building", "share", "blocked") == 0.02
    assert value_of(frame, "minority_crops", "windows", "blocked") == 700
    assert value_of(frame, "region", "ratio") == pytest.approx(0.55 / 0.02)
    assert value_of(frame, "minority_crops", "ratio") == pytest.approx(0.25 / 0.11)
    assert class_ratio({0: 0.5, 1: 0.0, 2: 0.25}) == 2  # a class that is not there has no ratio
    assert class_ratio({0: 0.0}) is None


# --- bad input


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (
            "class_maps_of_runs",
            {"options": {"elsewhere": True}, "target": None},
            "has the option `elsewhere` but no `target`",
        ),
        ("extraction_maps", {"options": {"composite": ["red"]}}, "an image needs three layers"),
        ("label_examples", {"options": {"nets": "net.gpkg"}}, "net.gpkg does not exist"),
        ("label_examples", {"options": {"layers": ["slop"]}}, "has no layer 'slop'"),
        ("change_maps", {"options": {"areas": ["quarry"]}}, "quarry.gpkg does not exist"),
        (
            "change_maps",
            {"options": {"dates": {"april": "April"}}},
            "options, dates: date 'april' does not exist",
        ),
        ("fine_tuning_chart", {}, "say on how many percent of the new site"),
        (
            "fine_tuning_chart",
            {"options": {"shares": {"rae": 0, "fstf_net": 5}}},
            "row 'rae' does not exist; did you mean 'rae_d'",
        ),
        (
            "fine_tuning_chart",
            {"options": {"shares": {"rae_d": 0}}},
            "leave out a row of the exhibit: row 'fstf_net'",
        ),
        (
            "fine_tuning_chart",
            {"options": {"shares": {"rae_d": 0, "fstf_net": 101}}},
            "within 0 and 100 percent",
        ),
    ],
)
def test_wrong_options_are_named(spec, kind, changes, message):
    with pytest.raises(HeadscarpError, match=message):
        draw(spec(kind, **changes))


def relabelled(world: dict, folder: Path, change) -> dict:
    """A copy of the site whose labels (row, col) are changed; layers that do not change are links."""
    original = Path(world["site"]["folder"]) / "layers"
    (folder / "layers").mkdir()
    for path in original.iterdir():
        (folder / "layers" / path.name).symlink_to(path)
    (folder / "layers" / "label.tif").unlink()
    grid = Grid.from_record(json.loads((original / "layers.json").read_text())["grid"])
    label = change(layer_of(world["site"], "label").copy())
    write_layer(
        folder / "layers" / "label.tif", Layer("label", label, grid, "class", "invented", CLASSES, 255)
    )
    return world["site"] | {"folder": str(folder)}


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("label_examples", "hold no landslide to show"),
        ("boundary_maps", "under protocol 'published' holds no landslide to show"),
        ("slope_separation", "has no labelled landslide with a slope"),
    ],
)
def test_site_without_a_slide_is_named(world, spec, tmp_path, kind, message):
    site = relabelled(world, tmp_path, lambda label: np.where(label == 1, 0, label).astype(np.uint8))
    with pytest.raises(HeadscarpError, match=message):
        draw(spec(kind, sites=[site]))


def test_site_without_labels_is_named(world, spec, tmp_path):
    site = relabelled(world, tmp_path, lambda label: np.full_like(label, 255))
    with pytest.raises(HeadscarpError, match="no labelled pixel to evaluate under 'published'"):
        draw(spec("class_maps_of_runs", sites=[site]))


def test_class_without_a_colour_is_named(world, spec, tmp_path):
    site = relabelled(world, tmp_path, lambda label: label)
    manifest = json.loads((tmp_path / "layers" / "layers.json").read_text())
    manifest["layers"][-1]["classes"]["9"] = "snow"
    (tmp_path / "layers" / "layers.json").unlink()
    write_json(tmp_path / "layers" / "layers.json", manifest)
    with pytest.raises(HeadscarpError, match=r"have classes \[9\] but maps know"):
        draw(spec("label_examples", sites=[site]))


def with_scores(run: dict, folder: Path, drop: str) -> dict:
    """A run whose scores.json lacks a part."""
    original = Path(run["folder"])
    scores = json.loads((original / "scores.json").read_text())
    scores.pop(drop)
    write_json(folder / "scores.json", scores)
    (folder / "classes.tif").symlink_to(original / "classes.tif")
    return run | {"folder": str(folder), "maps": str(folder)}


@pytest.mark.parametrize(
    ("kind", "part"),
    [("class_maps_of_runs", "classes"), ("extraction_maps", "extraction"), ("boundary_maps", "boundary")],
)
def test_run_not_scored_in_classes_is_named(world, spec, tmp_path, kind, part):
    runs = [with_scores(world["runs"][0], tmp_path, part)]
    with pytest.raises(HeadscarpError, match=f"has no scores '{part}'"):
        draw(spec(kind, runs=runs))


def test_too_many_outlines_are_refused(world, spec):
    runs = [world["runs"][0] | {"row": f"row{number}"} for number in range(5)]
    with pytest.raises(HeadscarpError, match="has 5 rows but shows 4 at most"):
        draw(spec("boundary_maps", runs=runs))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": ["vanished"]}, "status 'vanished' does not exist"),
        ({"state": ["new"]}, "has no columns status and area_<date>_m2"),
    ],
)
def test_change_file_of_another_form_is_refused(world, spec, tmp_path, change, message):
    (tmp_path / "change").mkdir()
    areas = {f"area_{date}_m2": [1.0] for date in DATES}
    geopandas.GeoDataFrame(change | areas, geometry=[box(0, 0, 1, 1)], crs="EPSG:32647").to_file(
        tmp_path / "change" / "landslides.gpkg"
    )
    runs = [world["runs"][0] | {"folder": str(tmp_path), "maps": str(tmp_path)}]
    with pytest.raises(HeadscarpError, match=message):
        draw(spec("change_maps", runs=runs))


def test_dated_images_must_fit_the_site(world, spec, tmp_path):
    original = Path(world["site"]["raw"]) / "rgb_jan.tif"
    for name, count, crs in (("grey", 1, "EPSG:32647"), ("far", 3, "EPSG:32648")):
        with rasterio.open(original) as source:
            profile = source.profile | {"count": count, "crs": crs}
            bands = source.read()[:count]
        with rasterio.open(tmp_path / f"rgb_{name}.tif", "w", **profile) as target:
            target.write(bands)
    site = spec("change_maps", sites=[world["site"] | {"raw": str(tmp_path)}]).only_site()
    for date, message in (
        ("grey", "has 1 bands"),
        ("far", "reproject the image"),
        ("april", r"rgb_april\.tif does not exist"),
    ):
        with pytest.raises(HeadscarpError, match=message):
            dated_image(site, date)
    with pytest.raises(HeadscarpError, match="lies beside its image"):
        View.under(site_grid(site), (0, 0, 10, 10))


def test_samples_without_stages_are_named(world, spec, tmp_path):
    write_json(tmp_path / "samples.json", {"protocol": "published"})
    site = world["site"] | {"samples": {"published": str(tmp_path)}}
    with pytest.raises(HeadscarpError, match="names no stages of sampling"):
        draw(spec("sampling_chart", sites=[site]))
    with pytest.raises(HeadscarpError, match="has no samples; make them"):
        draw(spec("sampling_chart", sites=[world["site"] | {"samples": {}}]))
