"""The susceptibility of a user's area in three commands, from files to a page."""

import json

import geopandas
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
import yaml
from scipy.ndimage import gaussian_filter

from tests.site_files import NORTH, WEST, make_grid, write_raster, write_shapes
from tests.web_map import page_record
from tests.workflow.runs import snakemake
from tests.workflow.test_areas import headscarp

GRID = make_grid(110, 110, 30.0)


@pytest.fixture(scope="module")
def area(tmp_path_factory):
    """Hills whose landslides, of two years, lie on soft rock where it is steep; `headscarp init` and `check`,
    then the page and the exhibit of later years."""
    folder = tmp_path_factory.mktemp("area")
    rng = np.random.default_rng(0)
    height = 400 + 250 * gaussian_filter(rng.normal(size=GRID.shape), 6) / 0.05
    rock = np.where(np.arange(GRID.width) < 55, 3, 8) * np.ones((GRID.height, 1))
    steep = np.hypot(*np.gradient(height, 30.0))
    likely = (steep > np.quantile(steep, 0.7)) & (rock == 8)
    rows, cols = np.nonzero(likely)
    chosen = rng.permutation(len(rows))[:250]
    boxes = [
        shapely.box(WEST + 30 * col, NORTH - 30 * (row + 1), WEST + 30 * (col + 1), NORTH - 30 * row)
        for row, col in zip(rows[chosen].tolist(), cols[chosen].tolist(), strict=True)
    ]
    write_shapes(folder / "outline.gpkg", [shapely.box(*GRID.bounds).buffer(-40)])
    write_shapes(folder / "slides.gpkg", boxes, year=[2003 + 10 * (n % 4 == 0) for n in range(len(boxes))])
    write_raster(folder / "dem.tif", height.astype(np.float32), GRID)
    write_raster(folder / "rock.tif", rock.astype(np.uint8), GRID, nodata=255)
    (folder / "rock.csv").write_text("code,name\n3,hard\n8,soft\n")
    files = ["outline.gpkg", "slides.gpkg", "dem.tif", "rock.tif"]
    done = headscarp(folder, "init", *files, "--susceptibility", "--year", "year", "--name", "hills")
    assert done.returncode == 0, done.stderr
    checked = headscarp(folder, "check", "hills")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    (folder / "config.yaml").write_text(
        "cards: [hills]\nscale: tiny\nprotocols: [published, blocked, temporal]\n"
    )
    card = yaml.safe_load((folder / "areas" / "hills.yaml").read_text())
    card["susceptibility"] = ["logistic_regression"]
    card["exhibits"]["later"]["rows"] = ["logistic_regression"]
    (folder / "areas" / "hills.yaml").write_text(yaml.safe_dump(card, sort_keys=False))
    pages = [f"results/sites/hills/{name}.html" for name in ("susceptibility", "susceptibility_map")]
    snakemake(folder, *pages, "results/tables/hills/later.csv", warm=True)
    return folder


def test_a_map_its_classes_and_its_page(area):
    home = area / "results/runs/hills/hills/logistic_regression/blocked/seed0/hills/delivered"
    with rasterio.open(home / "susceptibility.tif") as source:
        mean = source.read(1)
        assert source.count == 2 and source.crs.to_epsg() == 32649
    assert np.nanmean(mean[:, mean.shape[1] // 2 + 3 :]) > np.nanmean(mean[:, : mean.shape[1] // 2 - 3])
    table = pd.read_csv(home / "classes.csv")
    assert table["frequency_ratio"].iloc[-1] > 1 > table["frequency_ratio"].iloc[0]
    assert json.loads((home / "summary.json").read_text())["metrics"]["auc"] > 0.75
    assert pd.read_csv(home / "factors.csv")["factor"].iloc[0] in ("rock", "slope")
    assert len(geopandas.read_file(home / "cells.gpkg")) > 500
    page = (area / "results/sites/hills/susceptibility.html").read_text(encoding="utf-8")
    shown = page_record(area / "results/sites/hills/susceptibility_map.html")
    assert len(shown["runs"]) == 2 and (area / "results/sites/hills/susceptibility_map/run2/classes").is_dir()
    assert "Spatial validation (blocked)" in page and "Where the map may be believed" in page


def test_later_landslides_are_found_from_earlier_ones(area):
    table = pd.read_csv(area / "results/tables/hills/later.csv")
    auc = table[(table["metric"] == "auc") & (table["protocol"] == "temporal")]["value"]
    assert len(auc) == 1 and auc.iloc[0] > 0.7
