"""Figures of time series against independent computations, on small invented sites at several dates with
invented runs."""

import json
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
from affine import Affine
from matplotlib.colors import to_rgb
from PIL import Image
from rasterio.features import rasterize
from shapely import affinity
from shapely.geometry import Point
from sklearn.metrics import f1_score

from headscarp.arrays import stream_array
from headscarp.codes import SLIDE_NUMBER
from headscarp.errors import HeadscarpError
from headscarp.exhibits.figures.series_maps import greenness_of, slide_ages
from headscarp.exhibits.kinds import KINDS
from headscarp.exhibits.layers import layer_path, values_of
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.figure import DPI, HEIGHT, WIDTH, draw, save
from headscarp.exhibits.panels.series_windows import RULES, SHOWN, Series, axis_ratio, telling_window
from headscarp.exhibits.spec import SiteFiles
from headscarp.exhibits.tables.sites import data_sources
from headscarp.exhibits.tidy import COLUMNS
from headscarp.files import write_json
from headscarp.geo.grid import Grid
from headscarp.geo.layer import CLASSES, Layer, write_layer
from headscarp.samples.windows import Window, write_windows
from headscarp.scoring.score import score_run
from headscarp.site.cube import Cube, open_cube
from tests.world import one, run_record, smooth, spec_of

pytestmark = pytest.mark.slow

ROWS, COLS, CELL, WINDOW, GAP = 120, 160, 30.0, 32, 40
DATES = ["2008-09-14", "2011-09-20", "2014-09-11", "2017-09-16", "2020-09-22"]
YEARS = [2005, 2010, 2011, 2013, 2016, 2019]
PROTOCOLS = ("published", "blocked")
MODELS = {
    "segnet": ("SegNet, all dates", 0.8),
    "pspnet": ("PSPNet, all dates", 1.1),
    "st_fusion": ("CNN-LSTM + DCNN-DBN", 1.6),
}


def ellipses(rng: np.random.Generator, grid: Grid, count: int) -> geopandas.GeoDataFrame:
    """Slides that lie apart from each other, with the year in which each started."""
    west, south, east, north = grid.bounds
    shapes = []
    while len(shapes) < count:
        width = CELL * rng.uniform(1.3, 4)
        shape = affinity.scale(
            Point(rng.uniform(west + 400, east - 400), rng.uniform(south + 400, north - 400)).buffer(1),
            width,
            width * rng.uniform(1.2, 4),
        )
        shape = affinity.rotate(shape, rng.uniform(-50, 50))
        if all(shape.distance(other) > 2 * CELL for other in shapes):
            shapes.append(shape)
    started = [YEARS[number % len(YEARS)] for number in range(count)]
    return geopandas.GeoDataFrame(
        {SLIDE_NUMBER: range(1, count + 1), "started": started}, geometry=shapes, crs=grid.crs
    )


def invent_images(
    rng: np.random.Generator, slides: np.ndarray, started: np.ndarray, cloudy: int
) -> np.ndarray:
    """Red, green and blue (date, 3, row, col) of woods, rock, fields and slides that green over; clouds at
    one date."""
    shape = slides.shape
    green = np.clip(0.75 + 0.15 * smooth(rng, shape, 10), 0, 1)
    green[smooth(rng, shape, 6) > 1.2] = 0.17
    parcels = (
        rng.integers(0, 2, (len(DATES), shape[0] // 10 + 1, shape[1] // 12 + 1))
        .repeat(10, 1)
        .repeat(12, 2)[:, : shape[0], : shape[1]]
    )
    valley = abs(np.arange(shape[0])[:, None] - shape[0] / 2 - 8 * np.sin(np.arange(shape[1]) / 20)) < 12
    images = []
    for time, date in enumerate(DATES):
        share = np.where(valley, 0.15 + 0.6 * parcels[time], green)
        age = int(date[:4]) - started
        on = (slides > 0) & (age >= 0)
        share = np.where(on, np.minimum(share, 0.05 + 0.7 * (1 - np.exp(-np.maximum(age, 0) / 5))), share)
        share = share + 0.02 * rng.normal(size=shape)
        plants, soil = np.array([0.05, 0.09, 0.04]), np.array([0.24, 0.20, 0.16])
        light = 1 + 0.15 * smooth(np.random.default_rng(5), shape, 5) + 0.03 * rng.normal(size=shape)
        image = (share * plants[:, None, None] + (1 - share) * soil[:, None, None]) * light
        if time == cloudy:
            image[:, smooth(rng, shape, 12) > 0.8] = np.nan
        images.append(image)
    return np.array(images, np.float32)


def write_cube(
    site: Path,
    grid: Grid,
    values: np.ndarray,
    channels: dict[str, bool],
    label: np.ndarray,
    instances: np.ndarray,
    **more,
) -> None:
    """cube.npy, label.npy, instances.npy and cube.json of (time, channel, row, col); `channels` {name: has
    dates}."""
    for name, array in (
        ("cube", values.astype(np.float32)),
        ("label", label.astype(np.uint8)),
        ("instances", instances.astype(np.int32)),
    ):
        stream_array(site / "cube" / f"{name}.npy", array.dtype, array.shape, iter([array]))
    described = [
        {"name": name, "units": "1", "source": "invented", "dated": dated} for name, dated in channels.items()
    ]
    write_json(
        site / "cube" / "cube.json",
        {"site": site.name, "grid": grid.to_record(), "dates": DATES, "channels": described} | more,
    )


def invent_scene(folder: Path, name: str, seed: int, rows: int = ROWS, cols: int = COLS) -> dict:
    """Write raw slides and the cube of a site at five dates; returns its record."""
    rng = np.random.default_rng(seed)
    grid = Grid("EPSG:32643", Affine(CELL, 0, 480_000, 0, -CELL, 4_000_000), rows, cols)
    slides = ellipses(rng, grid, rows * cols // 1300)
    (folder / name / "raw").mkdir(parents=True)
    slides.to_file(folder / name / "raw" / "landslides.gpkg")
    numbers = rasterize(
        zip(slides.geometry, slides[SLIDE_NUMBER], strict=True),
        grid.shape,
        transform=grid.transform,
        dtype=np.int32,
    )
    started = np.concatenate([[9999], slides["started"]])[numbers]
    images = invent_images(rng, numbers, started, cloudy=2 if seed % 2 else 0)
    relief = np.broadcast_to(smooth(rng, grid.shape, 9), (len(DATES), 1, *grid.shape))
    label = (numbers > 0).astype(np.uint8)
    label[:5] = 255
    channels = {"red": True, "green": True, "blue": True, "relief": False}
    write_cube(folder / name, grid, np.concatenate([images, relief], axis=1), channels, label, numbers)
    return {
        "name": name,
        "title": f"{name.capitalize()} (simulated)",
        "folder": str(folder / name),
        "raw": str(folder / name / "raw"),
        "data": "twin",
    }


def cube_of(site: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    folder = Path(site["folder"]) / "cube"
    return tuple(np.load(folder / f"{name}.npy") for name in ("cube", "label", "instances"))


def invent_collage(folder: Path, scenes: list[dict]) -> dict:
    """Write the cube of two scenes, one below the other, and samples of both protocols."""
    parts, row, placed = [cube_of(scene) for scene in scenes], 0, []
    height, width = 2 * parts[0][1].shape[0] + GAP, parts[0][1].shape[1]
    values = np.full((len(DATES), 4, height, width), np.nan, np.float32)
    label, instances = np.full((height, width), 255, np.uint8), np.zeros((height, width), np.int32)
    for scene, (cube, of_scene, numbers) in zip(scenes, parts, strict=True):
        rows = slice(row, row + of_scene.shape[0])
        grid = json.loads((Path(scene["folder"]) / "cube" / "cube.json").read_text())["grid"]
        values[:, :, rows], label[rows] = cube, of_scene
        instances[rows] = np.where(numbers > 0, numbers + instances.max(), 0)
        placed.append(
            {
                "name": scene["name"],
                "site": scene["name"],
                "row": row,
                "height": of_scene.shape[0],
                "width": width,
                "grid": grid,
            }
        )
        row += of_scene.shape[0] + GAP
    site = folder / "both"
    grid = Grid("EPSG:32643", Affine(CELL, 0, 0, 0, -CELL, 0), height, width)
    channels = {"red": True, "green": True, "blue": True, "relief": False}
    write_cube(site, grid, values, channels, label, instances, scenes=placed)
    samples = {
        protocol: str(invent_samples(site / "samples" / protocol, protocol, label)) for protocol in PROTOCOLS
    }
    return {
        "name": "both",
        "title": "Both (simulated)",
        "folder": str(site),
        "raw": str(site / "raw"),
        "data": "twin",
        "samples": samples,
    }


def invent_samples(folder: Path, protocol: str, label: np.ndarray) -> Path:
    """Test windows at a step of half a window (published: everywhere; blocked: in the right half) and
    training windows elsewhere."""
    folder.mkdir(parents=True)
    height, width = label.shape
    windows, regions = [], np.zeros(label.shape, np.uint8)
    for row in range(0, height - WINDOW + 1, WINDOW // 2):
        for col in range(0, width - WINDOW + 1, WINDOW // 2):
            inside = label[row : row + WINDOW, col : col + WINDOW]
            test = (row + col) // WINDOW % 3 == 0 if protocol == "published" else col >= width // 2
            if (inside != 255).any() and (test or protocol == "published" or col + WINDOW <= width // 2):
                windows.append(Window(row, col, WINDOW, len(DATES) - 1, "test" if test else "train"))
    for subset, code in (("train", 1), ("test", 3)):
        for window in (window for window in windows if window.split == subset):
            regions[window.row : window.row + WINDOW, window.col : window.col + WINDOW] = code
    regions[label == 255] = 0
    write_windows(folder / "windows.csv", windows)
    np.save(folder / "regions.npy", regions)
    write_json(folder / "samples.json", {"window": WINDOW, "stride": WINDOW // 2})
    return folder


def invent_run(folder: Path, site: dict, protocol: str, skill: float, seed: int, pretrained: bool) -> None:
    """Write probability.tif with smooth mistakes, its scores and a history."""
    _, label, instances = cube_of(site)
    rng = np.random.default_rng(seed)
    probability = 1 / (1 + np.exp(-(4 * skill * (label == 1) - 2.2 + 1.1 * smooth(rng, label.shape, 2))))
    header = json.loads((Path(site["folder"]) / "cube" / "cube.json").read_text())
    probability[label == 255] = np.nan
    write_layer(
        folder / "probability.tif",
        Layer("probability", probability, Grid.from_record(header["grid"]), "1", "invented"),
    )
    regions = np.load(Path(site["samples"][protocol]) / "regions.npy")
    row, col = np.indices(label.shape)
    blocks = np.where(label != 255, row // 40 * 10 + col // 40, -1)
    stored = probability.astype(np.float32)
    scores, cells = score_run(stored, label, instances, regions, blocks, CELL**2, "published", "twin", 0)
    write_json(folder / "scores.json", scores | {"protocol": protocol})
    np.savez(folder / "counts.npz", **cells)
    history_of(rng, skill, pretrained).to_csv(folder / "history.csv", index=False)


def history_of(rng: np.random.Generator, skill: float, pretrained: bool) -> pd.DataFrame:
    """history.csv as the trainer writes it, with the lines of two machines before those of the network where
    they were pre-trained."""
    epochs = np.arange(12)
    loss = 0.9 * np.exp(-epochs / (5 - skill)) + 0.2 + 0.02 * rng.random(12)
    history = pd.DataFrame(
        {
            "epoch": epochs,
            "train_loss": loss,
            "train_accuracy": 0.9,
            "validation_loss": loss + 0.05,
            "validation_accuracy": 0.9,
        }
        | {"learning_rate": 1e-3, "seconds": 1.0}
    )
    if not pretrained:
        return history
    machines = [
        pd.DataFrame(
            {
                "phase": f"rbm {k}",
                "epoch": np.arange(10),
                "reconstruction_error": scale * np.exp(-np.arange(10) / 4) + scale / 3,
            }
        )
        for k, scale in ((1, 0.8), (2, 0.1))
    ]
    history = pd.concat([*machines, history.assign(phase="training")], ignore_index=True)
    return history[
        [
            "phase",
            "epoch",
            "reconstruction_error",
            *(name for name in history if name not in ("phase", "epoch", "reconstruction_error")),
        ]
    ]


def invent_world(folder: Path, rows: int = ROWS, cols: int = COLS) -> dict:
    scenes = [
        invent_scene(folder, name, seed, rows, cols) for name, seed in (("karakoram", 1), ("sichuan", 2))
    ]
    both, runs = invent_collage(folder, scenes), []
    for protocol in PROTOCOLS:
        for number, (row, (label, skill)) in enumerate(MODELS.items()):
            for seed in (0, 1):
                run = folder / "runs" / row / protocol / f"seed{seed}"
                invent_run(
                    run,
                    both,
                    protocol,
                    skill - 0.2 * (protocol == "blocked"),
                    10 * number + seed,
                    row == "st_fusion",
                )
                runs.append(run_record(run, row, label, protocol, seed))
    return {"both": both, "scene": scenes[0], "runs": runs}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> dict:
    return invent_world(tmp_path_factory.mktemp("results"))


@pytest.fixture
def spec(world):
    """Make the spec of an exhibit of a kind on the invented sites."""

    def make(kind: str, **changes):
        of_runs = bool(KINDS[kind].runs)
        site = world["both"] if of_runs else world["scene"]
        options = {"layer": "red"} if kind in ("index_series", "series_calendar") else {}
        return spec_of(
            {"sites": [site], "runs": world["runs"] if of_runs else [], "options": options}, kind, **changes
        )

    return make


DRAWN = ("scene_grid", "series_maps", "score_bars", "pretraining_chart", "index_series", "series_calendar")


@pytest.mark.parametrize("kind", DRAWN)
def test_every_kind_draws_a_signed_figure_and_its_numbers(spec, tmp_path, kind):
    figure, frame = draw(spec(kind))
    assert list(frame.columns) == COLUMNS and len(frame) and set(frame["data"]) == {"twin"}
    assert not frame.duplicated(["row", "metric", "protocol"]).any()
    assert "imulated site (twin)" in figure._supxlabel.get_text()
    save(figure, tmp_path / "figure.png", tmp_path / "figure.pdf")
    with Image.open(tmp_path / "figure.png") as image:
        assert image.width == round(WIDTH * DPI) and image.height <= round(HEIGHT * DPI)


# --- scenes


def windows_of(frame: pd.DataFrame, protocol: str) -> dict[str, tuple[str, slice, slice]]:
    """{scene: (rule, rows, columns)} as the notes tell them."""
    found = {}
    for line in frame[(frame["protocol"] == protocol) & (frame["metric"] == "slides")].itertuples():
        words = line.note.replace(",", "").split()
        row, col = (int(words[words.index(word) + 1]) for word in ("row", "column"))
        found[line.row] = (line.note.split(":")[0], slice(row, row + WINDOW), slice(col, col + WINDOW))
    return found


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_scenes_are_test_windows_and_follow_their_rules(world, spec, protocol):
    _, frame = draw(spec("scene_grid"))
    _, label, instances = cube_of(world["both"])
    samples = Path(world["both"]["samples"][protocol])
    regions, table = np.load(samples / "regions.npy"), pd.read_csv(samples / "windows.csv")
    test = {
        (row, col)
        for row, col, split in zip(table["row"], table["col"], table["split"], strict=True)
        if split == "test"
    }
    scenes = windows_of(frame, protocol)
    assert [rule for rule, *_ in scenes.values()] == list(RULES)
    for _, rows, cols in scenes.values():
        assert (rows.start, cols.start) in test
        assert (regions[rows, cols][label[rows, cols] != 255] == 3).all()
    covered = np.zeros(label.shape, int)
    for _, rows, cols in scenes.values():
        covered[rows, cols] += 1
    assert covered.max() == 1

    whole = {}  # the greatest slide that lies whole in each test window, half of one that is cut
    for row, col in test:
        inside = instances[row : row + WINDOW, col : col + WINDOW]
        for number in np.unique(inside[(inside > 0) & (label[row : row + WINDOW, col : col + WINDOW] == 1)]):
            mask = inside == number
            cut = mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any()
            if mask.sum() >= 4:
                whole[row, col] = max(whole.get((row, col), 0), mask.sum() * (0.5 if cut else 1))
    _, rows, cols = scenes["scene 1"]
    assert whole[rows.start, cols.start] == max(whole.values())
    sizes = np.unique(instances[rows, cols][label[rows, cols] == 1], return_counts=True)[1]
    assert one(frame, "scene 1", "slides", protocol)["value"] == (sizes >= 4).sum()
    assert one(frame, "scene 1", "largest_slide_pixels", protocol)["value"] == sizes.max()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_outcomes_of_scenes_are_those_of_the_maps(world, spec, protocol):
    figure, frame = draw(spec("scene_grid"))
    _, label, _ = cube_of(world["both"])
    run = next(
        Path(run["folder"])
        for run in world["runs"]
        if (run["row"], run["protocol"], run["seed"]) == ("st_fusion", protocol, 0)
    )
    threshold = json.loads((run / "scores.json").read_text())["threshold"]
    with Image.open(run / "probability.tif") as image:
        mapped = np.asarray(image) >= threshold
    for scene, (_, rows, cols) in windows_of(frame, protocol).items():
        known = label[rows, cols] != 255
        truth, found = (label[rows, cols] == 1)[known], mapped[rows, cols][known]
        assert one(frame, f"st_fusion:{scene}", "f1", protocol)["value"] == pytest.approx(
            f1_score(truth, found)
        )
        for outcome, count in (
            ("found", truth & found),
            ("false", ~truth & found),
            ("missed", truth & ~found),
        ):
            assert one(frame, f"st_fusion:{scene}", f"{outcome}_pixels", protocol)["value"] == count.sum()
    panels = len(figure.axes) // 2
    # two images, a label, then the third of three networks
    first = figure.axes[0 if protocol == "published" else panels :][5]
    _, rows, cols = windows_of(frame, protocol)["scene 1"]
    painted = np.isclose(np.asarray(first.images[0].get_array()), to_rgb(palette.TRUE_POSITIVE)).all(axis=-1)
    np.testing.assert_array_equal(painted, mapped[rows, cols] & (label[rows, cols] == 1))


def test_scenes_of_one_collage_have_their_own_names_and_places(world, spec):
    series = Series.of(spec("scene_grid"), "published")
    name, view = series.scene_at((ROWS + GAP + 10, 20, WINDOW, WINDOW))
    assert name == "sichuan"
    assert view.extent == pytest.approx((480 + 0.6, 480 + 0.6 + 0.96, 4000 - 0.3 - 0.96, 4000 - 0.3))


def test_an_axis_ratio_is_that_of_a_rectangle():
    mask = np.zeros((40, 40), bool)
    mask[5:35, 10:16] = True
    assert axis_ratio(mask) == pytest.approx(30 / 6)
    assert axis_ratio(mask.T) == pytest.approx(30 / 6)


def test_fewer_and_more_windows_can_be_asked_for(spec):
    _, frame = draw(spec("scene_grid", options={"count": 6}))
    rules = [rule for rule, *_ in windows_of(frame, "published").values()]
    assert rules == [*RULES, *list(RULES)[:2]]


def test_windows_without_slides_are_refused(world, spec, tmp_path):
    folder = tmp_path / "samples"
    folder.mkdir()
    _, label, _ = cube_of(world["both"])
    np.save(folder / "regions.npy", np.zeros_like(label))
    write_windows(folder / "windows.csv", [Window(0, 0, WINDOW, 4, "test")])
    site = world["both"] | {"samples": dict.fromkeys(PROTOCOLS, str(folder))}
    with pytest.raises(HeadscarpError, match="holds no landslide to show"):
        draw(spec("scene_grid", sites=[site]))


def test_an_unknown_channel_is_named_with_the_nearest(spec):
    for kind in ("scene_grid", "series_maps"):
        with pytest.raises(HeadscarpError, match="did you mean 'green'"):
            draw(spec(kind, options={"composite": ["red", "gren", "blue"]}))


# --- ages of slides


def test_greenness_of_slides_of_each_age_is_their_mean(world, spec):
    _, frame = draw(spec("series_maps"))
    cube, label, instances = cube_of(world["scene"])
    red, green, blue = cube[:, 0], cube[:, 1], cube[:, 2]
    greenness = (2 * green - red - blue) / (red + green + blue)
    slides = geopandas.read_file(Path(world["scene"]["raw"]) / "landslides.gpkg")
    for name, low, high in (
        ("until 2008", 0, 2008),
        ("2008–2011", 2009, 2011),
        ("2011–2014", 2012, 2014),
        ("2017–2020", 2018, 2020),
    ):
        numbers = slides[SLIDE_NUMBER][(slides["started"] >= low) & (slides["started"] <= high)]
        mask = np.isin(instances, numbers)
        for time, date in enumerate(DATES):
            line = one(frame, f"slides {name}:{date}", "greenness")
            assert line["value"] == pytest.approx(np.nanmean(greenness[time][mask]), rel=1e-4)
            assert (
                one(frame, f"slides {name}:{date}", "clear_pixels")["value"]
                == np.isfinite(greenness[time][mask]).sum()
            )
    newest = np.isin(instances, slides[SLIDE_NUMBER][slides["started"] == 2019])
    bare = (instances == 0) & (label == 0)
    for values in (greenness[-1], red[-1]):
        bare &= (values >= np.quantile(values[newest], 0.25)) & (values <= np.quantile(values[newest], 0.75))
    assert one(frame, f"bare land:{DATES[0]}", "greenness")["value"] == pytest.approx(
        np.nanmean(greenness[0][bare]), rel=1e-4
    )
    assert (
        one(frame, f"bare land:{DATES[2]}", "clear_pixels")["value"]
        == np.isfinite(greenness[2][bare]).sum()
        < bare.sum()
    )
    # What the figure is for: at the last date new slides are like bare land, before they started they were
    # not.
    gap = {
        time: one(frame, f"slides 2017–2020:{DATES[time]}", "greenness")["value"]
        - one(frame, f"bare land:{DATES[time]}", "greenness")["value"]
        for time in (3, 4)
    }
    assert abs(gap[4]) < 0.03 < gap[3]


def test_greenness_is_the_ndvi_where_there_is_a_near_infrared():
    rng = np.random.default_rng(0)
    values = rng.uniform(0.05, 0.4, (3, 2, 4, 5)).astype(np.float32)
    header = {"site": "x", "channels": [{"name": "red"}, {"name": "nir"}]}
    cube = Cube(values, np.zeros((4, 5)), np.zeros((4, 5)), header)
    greenness, name = greenness_of(cube)
    assert name == "NDVI"
    np.testing.assert_allclose(greenness, (values[:, 1] - values[:, 0]) / values.sum(axis=1), rtol=1e-5)


def test_the_window_shows_slides_of_all_ages_that_one_can(world, spec):
    exhibit = spec("series_maps")
    cube = open_cube(exhibit.only_site().folder / "cube")
    ages = slide_ages(exhibit.only_site(), cube)
    row, col, rows, cols = telling_window(ages, cube, 96)
    assert (rows, cols) == (96, 96) and row + rows <= ROWS and col + cols <= COLS
    inner = ages[row + 12 : row + 84, col + 12 : col + 84]
    shown = {age for age in np.unique(ages) if age and (inner == age).sum() >= SHOWN}
    assert len(shown) >= 3
    assert set(np.unique(ages)) == {0, 1, 2, 3, 4, 5}


def test_slides_without_a_year_and_sites_of_one_date_are_refused(world, spec, tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    slides = geopandas.read_file(Path(world["scene"]["raw"]) / "landslides.gpkg")
    slides.drop(columns="started").to_file(raw / "landslides.gpkg")
    with pytest.raises(HeadscarpError, match="no column 'started'"):
        draw(spec("series_maps", sites=[world["scene"] | {"raw": str(raw)}]))
    slides.assign(started="last year").to_file(raw / "landslides.gpkg")
    with pytest.raises(HeadscarpError, match=r"must have the year .* but has 'last year'"):
        draw(spec("series_maps", sites=[world["scene"] | {"raw": str(raw)}]))
    slides.assign(started=2021).to_file(raw / "landslides.gpkg")
    with pytest.raises(HeadscarpError, match="no slide that started by 2020-09-22"):
        draw(spec("series_maps", sites=[world["scene"] | {"raw": str(raw)}]))
    site = one_date_site(tmp_path)
    with pytest.raises(HeadscarpError, match="one date only"):
        draw(spec("series_maps", sites=[site]))


def one_date_site(folder: Path) -> dict:
    site = folder / "single"
    grid, nothing, bands = (
        Grid("EPSG:32643", Affine(30, 0, 0, 0, -30, 0), 8, 8),
        np.zeros((8, 8)),
        ("red", "green", "blue"),
    )
    write_cube(
        site, grid, np.ones((1, 3, 8, 8)), dict.fromkeys(bands, False), nothing, nothing, dates=DATES[-1:]
    )
    return {"name": "single", "title": "Single", "folder": str(site), "raw": str(site), "data": "twin"}


# --- bars


PRINTED = [
    {"row": "segnet", "metric": "f1", "value": 0.6654, "unit": "fraction"},
    {"row": "proposed", "metric": "auc", "value": 0.8976, "unit": "fraction"},
]


def test_bars_are_means_of_seeds_beside_the_printed_values(world, spec):
    figure, frame = draw(
        spec("score_bars", published=PRINTED, options={"published_rows": {"st_fusion": "proposed"}})
    )
    for row in MODELS:
        for protocol in PROTOCOLS:
            runs = [
                Path(run["folder"])
                for run in world["runs"]
                if (run["row"], run["protocol"]) == (row, protocol)
            ]
            for metric in ("miou", "f1", "auc"):
                values = [json.loads((run / "scores.json").read_text())["metrics"][metric] for run in runs]
                line = one(frame, row, metric, protocol)
                assert line["value"] == pytest.approx(np.mean(values)) and line["n_seeds"] == 2
                assert line["ci_low"] <= line["value"] <= line["ci_high"]
    line = one(frame, "st_fusion", "auc", "blocked")
    assert line["published"] == 0.8976 and line["difference"] == pytest.approx(line["value"] - 0.8976)
    heights = [patch.get_height() for patch in figure.axes[1].patches]
    expected = [
        one(frame, row, metric, "blocked")["value"] for metric in ("miou", "f1", "auc") for row in MODELS
    ]
    assert heights == pytest.approx(expected)
    markers = [artist for artist in figure.axes[0].lines if artist.get_marker() == "D"]
    assert sorted(float(marker.get_ydata()[0]) for marker in markers) == [0.6654, 0.8976]


def test_a_wrong_row_of_the_published_table_is_named(spec):
    with pytest.raises(HeadscarpError, match="did you mean 'st_fusion'"):
        draw(spec("score_bars", options={"published_rows": {"st_fuson": "proposed"}}))


# --- pre-training


def test_machines_and_training_are_told_apart(world, spec):
    runs = [run for run in world["runs"] if run["row"] != "segnet"]
    figure, frame = draw(spec("pretraining_chart", runs=runs))
    scale = {"rbm 1": 0.8, "rbm 2": 0.1}
    for name, factor in scale.items():
        first, last = (
            one(frame, f"st_fusion:{name}", f"reconstruction_error_{which}_epoch", "blocked")
            for which in ("first", "last")
        )
        assert first["value"] == pytest.approx(factor * 4 / 3) and first["n_seeds"] == 2
        assert last["value"] == pytest.approx(factor * (np.exp(-9 / 4) + 1 / 3))
    folders = [
        Path(run["folder"]) for run in runs if (run["row"], run["protocol"]) == ("st_fusion", "blocked")
    ]
    ends = [pd.read_csv(folder / "history.csv").iloc[-1]["validation_loss"] for folder in folders]
    assert one(frame, "st_fusion", "validation_loss", "blocked")["value"] == pytest.approx(np.mean(ends))
    assert not any(row.startswith("pspnet:") for row in frame["row"])
    # machines x seeds; rows x seeds x kinds
    assert len(figure.axes[0].lines) == 2 * 2 and len(figure.axes[1].lines) == 2 * 2 * 2


def test_runs_without_pre_training_are_refused(world, spec):
    runs = [run for run in world["runs"] if run["row"] == "segnet"]
    with pytest.raises(HeadscarpError, match=r"none of its runs was pre-trained .*history.csv"):
        draw(spec("pretraining_chart", runs=runs))


def test_curves_leave_pre_training_out(world):
    exhibit = spec_of({"sites": [world["both"]], "runs": world["runs"]}, "curves")
    figure, _ = draw(exhibit)
    assert {len(artist.get_xdata()) for axes in figure.axes for artist in axes.lines} == {12}


# --- an index through an event


def test_index_series_tells_medians_of_clear_pixels(world, spec):
    _, frame = draw(spec("index_series", options={"layer": "green", "event": "2014-09-11"}))
    cube, label, _ = cube_of(world["scene"])
    for group, mask in (("landslide", label == 1), ("background", label == 0)):
        values = cube[:, 1][:, mask]
        for time, date in enumerate(DATES):
            for metric, percent in (("p25", 25), ("median", 50), ("p75", 75)):
                expected = np.nanpercentile(values[time], percent)
                assert one(frame, f"{group}:{date}", metric)["value"] == pytest.approx(expected, rel=1e-6)
            assert one(frame, f"{group}:{date}", "clear_pixels")["value"] == np.isfinite(values[time]).sum()
        # the image of the day of the event counts as after it
        before, after = np.nanmedian(values[:2]), np.nanmedian(values[2:])
        assert one(frame, group, "change")["value"] == pytest.approx(after - before, rel=1e-5)
    assert one(frame, f"site:{DATES[2]}", "clear_share")["value"] == pytest.approx(
        np.isfinite(cube[2, 1]).mean()
    )
    assert one(frame, f"site:{DATES[2]}", "clear_share")["value"] < 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "gren"}, "did you mean 'green'"),
        ({"layer": "relief"}, r"layer 'relief' .*has no dates.*there are: red, green, blue"),
        ({"layer": "red", "event": "mid May"}, "'mid May' is no date"),
    ],
)
def test_unfit_options_of_a_series_are_named(spec, options, message):
    with pytest.raises(HeadscarpError, match=message):
        draw(spec("index_series", options=options))


def test_a_site_without_mapped_slides_has_no_series_of_slides(world, spec, tmp_path):
    cube, label, _ = cube_of(world["scene"])
    grid = Grid.from_record(
        json.loads((Path(world["scene"]["folder"]) / "cube" / "cube.json").read_text())["grid"]
    )
    write_cube(
        tmp_path / "bare", grid, cube[:, :1], {"red": True}, np.full_like(label, 255), np.zeros_like(label)
    )
    site = {"name": "bare", "title": "Bare", "folder": str(tmp_path / "bare"), "data": "real"}
    with pytest.raises(HeadscarpError, match="no landslide pixel"):
        draw(spec("index_series", sites=[site]))
    figure, frame = draw(spec("series_calendar", sites=[site]))
    assert set(frame["data"]) == {"real"} and "twin" not in figure._supxlabel.get_text()


# --- when a site was seen


def test_calendar_counts_clear_dates_and_gaps(world, spec, tmp_path):
    days = ["2015-07-11", "2015-07-31", "2015-08-20", "2015-12-18"]
    rng = np.random.default_rng(3)
    values = rng.uniform(0, 1, (4, 2, 30, 40)).astype(np.float32)
    values[1, 0] = np.nan
    values[2, 0, :, :10] = np.nan
    values[:, 0, 0, 0] = np.nan
    grid = Grid("EPSG:32633", Affine(10, 0, 5e5, 0, -10, 5e6), 30, 40)
    write_cube(
        tmp_path / "seen",
        grid,
        values,
        {"ndvi": True, "elevation": False},
        np.full((30, 40), 255),
        np.zeros((30, 40)),
        dates=days,
    )
    site = {"name": "seen", "title": "Seen", "folder": str(tmp_path / "seen"), "data": "real"}
    figure, frame = draw(spec("series_calendar", sites=[site], options={}))
    expected = {
        "dates": 4,
        "median_gap_days": 20,
        "longest_gap_days": 120,
        "clear_dates_min": 0,
        "clear_dates_max": 3,
        "clear_dates_median": 3,
    }
    for metric, value in (expected | {"never_clear_share": 1 / 1200}).items():
        assert one(frame, "seen", metric)["value"] == pytest.approx(value)
    assert one(frame, "seen:2015-07-31", "clear_share")["value"] == 0 and np.isnan(
        one(frame, "seen:2015-07-31", "median")["value"]
    )
    assert one(frame, "seen:2015-08-20", "clear_share")["value"] == pytest.approx(0.75)
    assert one(frame, "seen:2015-07-11", "median")["value"] == pytest.approx(
        np.nanmedian(values[0, 0]), rel=1e-6
    )
    drawn = next(axes for axes in figure.axes if "(c)" in axes.get_title(loc="left")).images[0].get_array()
    np.testing.assert_array_equal(drawn, np.isfinite(values[:, 0]).sum(axis=0))
    where = figure.axes[1].lines[0].get_xdata()
    assert len(where) == 3  # the date without a clear pixel is a gap of the line, at its true distance
    assert np.diff(np.array(where, "datetime64[D]")).astype(int).tolist() == [40, 120]


# --- layers with dates in figures of layers


def write_dated_layers(folder: Path) -> SiteFiles:
    """layers/ of a site whose bands have two dates."""
    rng = np.random.default_rng(7)
    grid, records = Grid("EPSG:32632", Affine(10, 0, 7e5, 0, -10, 4.9e6), 48, 64), []
    slides = np.zeros(grid.shape, np.uint8)
    slides[10:20, 40:50] = slides[30:36, 8:14] = 1

    def add(name: str, values: np.ndarray, date: str | None = None, **more) -> None:
        file = f"{name}_{date}" if date else name
        write_layer(
            folder / "site" / "layers" / f"{file}.tif", Layer(name, values, grid, "1", "invented", **more)
        )
        record = {
            "name": name,
            "path": f"{file}.tif",
            "units": "1",
            "kind": more.get("kind", "continuous"),
            "resolution_m": 10.0,
        }
        records.append(record | ({"date": date} if date else {}))

    for band, level in (("red", 0.1), ("green", 0.2), ("blue", 0.3)):
        for step, date in enumerate(("2023-05-01", "2023-06-01")):
            add(band, (level + step + 0.01 * rng.normal(size=grid.shape)).astype(np.float32), date)
    add("elevation", rng.normal(500, 20, grid.shape).astype(np.float32))
    add("label", slides, kind=CLASSES, nodata=255)
    write_json(
        folder / "site" / "layers" / "layers.json",
        {"grid": grid.to_record(), "layers": records, "dates": ["2023-05-01", "2023-06-01"]},
    )
    samples = folder / "site" / "samples"
    samples.mkdir()
    np.save(samples / "regions.npy", np.where(np.indices(grid.shape)[1] < 32, 1, 3).astype(np.uint8))
    run = folder / "run"
    probability = np.clip(0.8 * slides + 0.1 * rng.random(grid.shape), 0, 1).astype(np.float32)
    write_layer(run / "probability.tif", Layer("probability", probability, grid, "1", "invented"))
    write_json(run / "scores.json", {"threshold": 0.5, "metrics": {"f1": 1.0, "average_precision": 1.0}})
    return SiteFiles("site", "Site", folder / "site", "real", {"blocked": samples}, folder / "site")


@pytest.fixture(scope="module")
def dated(tmp_path_factory) -> SiteFiles:
    return write_dated_layers(tmp_path_factory.mktemp("dated"))


def test_a_layer_with_dates_is_that_of_its_last_one(dated):
    assert layer_path(dated, "red").name == "red_2023-06-01.tif"
    assert layer_path(dated, "red", "2023-05-01").name == "red_2023-05-01.tif"
    assert layer_path(dated, "elevation", "2023-05-01").name == "elevation.tif"
    assert values_of(dated, "red").mean() == pytest.approx(1.1, abs=0.01)
    with pytest.raises(HeadscarpError, match="did you mean '2023-06-01'"):
        layer_path(dated, "red", "2023-06-11")
    with pytest.raises(HeadscarpError, match=r"it has: blue, elevation, green, label, red\)"):
        layer_path(dated, "nir")


@pytest.mark.parametrize("kind", ["confusion_maps", "probability_maps"])
def test_maps_of_runs_are_drawn_over_the_last_date(dated, kind):
    site = {
        "name": "site",
        "title": "Site",
        "folder": str(dated.folder),
        "data": "real",
        "samples": {"blocked": str(dated.samples["blocked"])},
    }
    run = run_record(dated.folder.parent / "run", "cnn_lstm", "CNN-LSTM", "blocked", 0)
    figure, frame = draw(spec_of({"sites": [site], "runs": [run]}, kind))
    assert len(frame) == 1 and "twin" not in figure._supxlabel.get_text()


def test_sources_of_layers_with_dates_stand_apart(dated):
    site = {"name": "site", "title": "Site", "folder": str(dated.folder), "data": "real"}
    frame = data_sources(spec_of({"sites": [site]}, "data_sources"))
    assert one(frame, "site:red:2023-05-01", "date")["note"] == "text 2023-05-01"
    assert len(frame[frame["metric"] == "date"]) == 3 * 2 + 2
