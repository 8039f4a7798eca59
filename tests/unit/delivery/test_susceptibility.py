"""A susceptibility map as it is delivered: against the bands of its folds, and classes counted one by one."""

from pathlib import Path
from xml.etree import ElementTree

import geopandas
import matplotlib
import numpy as np
import pandas as pd
import pytest
import rasterio
from matplotlib.colors import to_rgb
from pyproj import Transformer

from headscarp.delivery.susceptibility import deliver_susceptibility
from headscarp.delivery.susceptibility_map import build_susceptibility_map
from headscarp.delivery.susceptibility_page import build_susceptibility_page
from headscarp.exhibits.figures.susceptibility_maps import SUSCEPTIBILITY
from headscarp.exhibits.levels import LEVELS
from headscarp.exhibits.spec import RunFiles
from headscarp.files import read_json, write_json
from headscarp.mapping.applicability import map_applicability
from headscarp.mapping.cell_models import fit_cell_model
from headscarp.mapping.importance import permute_factors
from headscarp.samples.cell_table import read_cells
from headscarp.samples.cells import build_cells
from headscarp.samples.spec import CellsSpec
from headscarp.scoring.susceptibility import score_cells, write_cell_scores
from tests.cell_site import smooth, write_cube
from tests.site_files import make_grid
from tests.web_map import colour_at, page_record

SHAPE, CELL = (60, 80), 90.0


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site with layers, cube, cells, and a logistic regression in five folds that is scored and
    delivered."""
    folder = tmp_path_factory.mktemp("site")
    wet, noise = smooth(SHAPE, 1), smooth(SHAPE, 2)
    slides = wet + 0.5 * noise > 1
    cube = write_cube(folder / "cube", {"wetness": wet, "noise": smooth(SHAPE, 3), "slides": slides}, CELL)
    grid = make_grid(*SHAPE, CELL)
    (folder / "layers").mkdir()
    write_json(
        folder / "layers" / "layers.json",
        {"site": "made_up", "grid": grid.to_record(), "dates": ["2020-01-01"], "layers": [], "notes": []},
    )
    spec = CellsSpec(windows=(1,), folds=5, block=10, background_ratio=2)
    source = {"kind": "layer", "channel": "slides", "above": 0.5}
    build_cells(cube, folder / "cells", spec, source, "blocked", 0, [["wetness", "noise"]])
    cells = read_cells(folder / "cells")
    run = Path(folder / "card" / "made_up" / "logistic" / "blocked" / "seed0")
    record = {
        "network": {"name": "logistic_regression", "params": {}},
        "channels": ["wetness", "noise"],
        "seed": 0,
    }
    fit_cell_model(cube, folder / "cells", run, run / "made_up", record)
    with rasterio.open(run / "made_up" / "susceptibility.tif") as source:
        write_cell_scores(run / "made_up", *score_cells(source.read(), cells, 0))
    delivered = run / "made_up" / "delivered"
    permute_factors(cube, folder / "cells", run, delivered / "factors.csv")
    map_applicability(cube, folder / "cells", run, delivered / "factors.csv", delivered)
    files = {
        "row": "logistic",
        "label": "Logistic regression",
        "experiment": "logistic",
        "protocol": "blocked",
        "seed": 0,
        "folder": str(run),
        "maps": str(run / "made_up"),
    }
    deliver_susceptibility(RunFiles.from_record(files), folder / "cells", folder / "layers", delivered)
    return folder, delivered, files


def record_of(folder, files):
    """What the pages of the site take."""
    return {
        "name": "made_up",
        "title": "Made-up valley",
        "data": "twin",
        "folder": str(folder),
        "citation": "a test",
        "runs": [files],
    }


def test_mean_and_spread_are_those_of_the_folds(site):
    _, delivered, _ = site
    with rasterio.open(delivered.parent / "susceptibility.tif") as source:
        folds = source.read().astype(float)
    with rasterio.open(delivered / "susceptibility.tif") as source:
        mean, spread = source.read()
        assert source.descriptions[0] == "landslide susceptibility, mean of 5 folds"
    assert len(folds) == 5
    np.testing.assert_allclose(mean, sum(folds) / 5, atol=1e-6)
    np.testing.assert_allclose(spread, np.sqrt(((folds - folds.mean(0)) ** 2).sum(0) / 4), atol=1e-6)


def test_classes_and_the_landslides_in_them(site):
    _, delivered, _ = site
    table, bounds = pd.read_csv(delivered / "classes.csv"), read_json(delivered / "summary.json")["bounds"]
    with rasterio.open(delivered / "susceptibility.tif") as source:
        mean = source.read(1)
    with rasterio.open(delivered / "classes.tif") as source:
        classes = source.read(1)
    cells = geopandas.read_file(delivered / "cells.gpkg")
    assert list(table["name"]) == list(LEVELS) and table["area_km2"].sum() == pytest.approx(60 * 80 * 0.0081)
    slides = cells[cells["landslide"] == 1]
    for number, line in table.iterrows():
        first = number == 0
        inside = (mean > bounds[number]) & (mean <= bounds[number + 1]) | (first & (mean <= bounds[1]))
        assert ((classes == number + 1) == inside).all()
        found = (slides["class"] == number + 1).sum()
        assert line["landslide_cells"] == found
        assert line["area_percent"] == pytest.approx(100 * inside.mean(), rel=1e-4)
        ratio = found / len(slides) / inside.mean()
        assert line["frequency_ratio"] == pytest.approx(ratio, rel=1e-4)
        assert line["landslide_cells_per_km2"] == pytest.approx(found / (inside.sum() * 0.0081), rel=1e-4)
    assert table["frequency_ratio"].is_monotonic_increasing and table["landslide_cells"].sum() == len(slides)


def test_cells_have_the_answer_of_the_fold_that_did_not_learn_from_them(site):
    folder, delivered, _ = site
    cells, table = read_cells(folder / "cells"), geopandas.read_file(delivered / "cells.gpkg")
    with rasterio.open(delivered.parent / "susceptibility.tif") as source:
        folds, transform = source.read(), source.transform
    tested = (cells.split == 3).any(0)
    assert len(table) == tested.sum()
    col, row = (np.floor(values).astype(int) for values in ~transform @ (table.geometry.x, table.geometry.y))
    np.testing.assert_allclose(table["susceptibility"], folds[table["fold"], row, col], atol=1e-6)
    split = np.zeros((5, *SHAPE), int)
    split[:, cells.row, cells.col] = cells.split
    assert (split[table["fold"], row, col] == 3).all()


def test_styles_are_beside_the_maps_and_have_their_bounds(site):
    _, delivered, _ = site
    bounds = read_json(delivered / "summary.json")["bounds"]
    root = ElementTree.parse(delivered / "classes.qml").getroot()
    entries = root.findall(".//paletteEntry")
    assert [one.get("value") for one in entries] == ["1", "2", "3", "4", "5"]
    assert [one.get("color").upper() for one in entries] == list(SUSCEPTIBILITY)
    items = ElementTree.parse(delivered / "susceptibility.qml").getroot().findall(".//item")
    assert [float(one.get("value")) for one in items] == pytest.approx([*bounds[1:-1], 1.0])
    threshold = read_json(delivered / "applicability.json")["threshold"]
    items = ElementTree.parse(delivered / "applicability.qml").getroot().findall(".//item")
    assert [one.get("label") for one in items if float(one.get("value")) > threshold * 1.00001] == [
        "outside"
    ] * 2


def test_the_interactive_map_has_a_colour_of_its_class_for_every_cell(site):
    """Tiles against classes and spread, where the scheme of web maps looks for a cell."""
    folder, delivered, files = site
    build_susceptibility_map(record_of(folder, files), folder / "map.html", folder / "map")
    text, told = (folder / "map.html").read_text(), page_record(folder / "map.html")
    assert [layer["name"] for layer in told["layers"]] == ["classes", "mean", "spread", "outside"]
    scores = read_json(delivered.parent / "scores.json")["metrics"]
    assert told["runs"][0]["scores"][0][1] == scores["auc"] and told["runs"][0]["threshold"] is None
    assert "spatial validation" in told["runs"][0]["title"] and 'href="susceptibility.html"' in text
    with rasterio.open(delivered / "classes.tif") as source:
        classes, grid = source.read(1), source
        to_degrees = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
        centres = {(row, col): to_degrees.transform(*grid.xy(row, col)) for row, col in np.ndindex(SHAPE)}
    with rasterio.open(delivered / "susceptibility.tif") as source:
        spread = source.read(2)
    tiles = folder / "map" / "run1"
    wrong = sum(
        not np.allclose(
            colour_at(tiles / "classes", told["deepest"], *centre)[:3],
            to_rgb(SUSCEPTIBILITY[classes[cell] - 1]),
            atol=0.01,
        )
        for cell, centre in centres.items()
    )
    assert wrong < 0.01 * classes.size  # a centre may fall on the edge of two pixels of a tile
    highest = np.unravel_index(spread.argmax(), SHAPE)
    assert np.allclose(
        colour_at(tiles / "spread", told["deepest"], *centres[highest])[:3],
        matplotlib.colormaps["cividis"](1.0)[:3],
        atol=0.02,
    )


def test_the_page_has_scores_classes_and_links(site, monkeypatch):
    folder, delivered, files = site
    build_susceptibility_page(record_of(folder, files), folder / "susceptibility.html")
    page = (folder / "susceptibility.html").read_text()
    scores = read_json(delivered.parent / "scores.json")["metrics"]
    assert f"{scores['auc']:.3f}" in page and "Very high" in page and "imulated" in page
    for name in ("susceptibility.tif", "classes.csv", "applicability.tif"):
        address = f"card/made_up/logistic/blocked/seed0/made_up/delivered/{name}"
        assert f'href="./{address}"' in page and (folder / address).exists()
