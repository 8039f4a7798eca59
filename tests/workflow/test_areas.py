"""Study areas of a user through Snakemake: of a catalogue, of files of any kind, of a set's archive,
and without an inventory."""

import json
import os
import shutil
import subprocess
import sys

import geopandas
import h5py
import numpy as np
import pandas as pd
import pystac
import pytest
import rasterio
import shapely
import yaml
from scipy import ndimage
from scipy.ndimage import gaussian_filter

from tests.conftest import REPOSITORY
from tests.site_files import NORTH, WEST, make_grid, write_picture, write_raster, write_shapes
from tests.stac_server import make_catalogue, serve_stac
from tests.workflow.runs import planned, snakemake

EVENT = "2018-09-06"


def headscarp(folder, *arguments):
    """Run the command `headscarp` in a folder."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow" / "scripts")}
    return subprocess.run(
        [sys.executable, "-m", "headscarp", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


def write_yaml(path, record):
    path.write_text(yaml.safe_dump(record, sort_keys=False), encoding="utf-8")


@pytest.fixture(scope="module")
def valley(tmp_path_factory):
    """An area that `headscarp init` described, beside one without inventory that its network maps, both made
    from a local catalogue."""
    folder = tmp_path_factory.mktemp("valley")
    catalogue = make_catalogue(folder / "catalogue")
    done = headscarp(
        folder, "init", catalogue.outline, catalogue.inventory, "--name", "valley", "--event", EVENT
    )
    assert done.returncode == 0, done.stderr
    path = folder / "areas" / "valley.yaml"
    card = yaml.safe_load(path.read_text(encoding="utf-8"))
    nameless = json.loads(json.dumps(card["sites"]["valley"])) | {"title": "Next valley"}
    del nameless["files"]["landslides.gpkg"], nameless["layers"]["labels"]
    card["sites"]["next"] = nameless
    card["apply"] = [{"experiment": "unet", "site": "valley", "target": "next"}]
    write_yaml(path, card)
    with serve_stac(catalogue.folder) as address:
        write_yaml(
            folder / "config.yaml",
            {"cards": ["valley"], "scale": "tiny", "stac": address, "protocols": ["blocked"]},
        )
        snakemake(
            folder,
            "results/sites/valley/summary.html",
            "results/sites/next/summary.html",
            "results/figures/valley/fig_site.png",
            warm=True,
        )
    return folder, catalogue


def test_images_of_a_catalogue_become_layers_of_the_area(valley):
    folder, catalogue = valley
    with rasterio.open(folder / "results/sites/valley/layers/post_nir.tif") as source:
        nir = source.read(1)
        assert source.crs.to_epsg() == 32654 and source.transform.a == 10
        rows, cols = (np.arange(count) for count in catalogue.grid.shape)
        down = round((source.transform.f - catalogue.grid.transform.f) / 10)
        right = round((catalogue.grid.transform.c - source.transform.c) / 10)
        nir = nir[np.ix_(rows + down, cols + right)]
    truth = catalogue.after["nir"]
    inner = (slice(8, -8), slice(8, -8))
    assert np.nanmedian(np.abs(nir - truth)[inner]) < 0.01
    record = json.loads((folder / "results/sites/valley/raw/after.tif.json").read_text())
    wrong = [item for item in record["items"] if "the catalogue is wrong" in item["offset"]["check"]]
    assert len(wrong) == 1 and wrong[0]["offset"]["applied"] == 0
    assert any("has no asset" in note for note in record["notes"])


def test_a_map_is_delivered_with_all_that_its_users_need(valley):
    folder, _ = valley
    run = folder / "results/sites/valley/best_map"
    smallest = yaml.safe_load((folder / "areas/valley.yaml").read_text())["best_map"]["minimum_area_m2"]
    item = pystac.Item.from_file(run / "item.json")
    assert {"probability", "uncertainty", "mask", "landslides", "probability_style"} <= set(item.assets)
    assert item.properties["headscarp:data"] == "real" and item.datetime.date().isoformat() == EVENT
    for asset in item.assets.values():
        assert (run / asset.href).resolve().exists()
    threshold = json.loads((run / "scores.json").read_text())["threshold"]
    with rasterio.open(run / "probability.tif") as probability, rasterio.open(run / "mask.tif") as mask:
        values, codes = probability.read(1), mask.read(1)
    assert np.array_equal(codes == 1, values >= threshold) and (codes[np.isnan(values)] == 255).all()
    slides = geopandas.read_file(run / "landslides.gpkg")
    areas = 100 * np.bincount(ndimage.label(codes == 1)[0].ravel())[1:]
    assert sorted(slides["area_m2"]) == pytest.approx(sorted(areas[areas >= smallest]))
    choice = json.loads((run / "choice.json").read_text())
    scored = [one for one in choice["candidates"] if one["average_precision"] is not None]
    assert choice["label"] == max(scored, key=lambda one: one["average_precision"])["label"]
    assert choice["threshold"] == threshold
    assert slides["mean_slope_deg"].between(0, 90).all() and set(slides["date"].astype(str).str[:10]) == {
        EVENT
    }


def test_an_area_without_inventory_is_mapped_by_a_network_trained_elsewhere(valley):
    folder, _ = valley
    run = folder / "results/runs/valley/valley/unet/blocked/seed0"
    assert (run / "next/landslides.gpkg").exists() and (run / "next/item.json").exists()
    with (
        rasterio.open(run / "next/probability.tif") as there,
        rasterio.open(run / "valley/probability.tif") as home,
    ):
        # the same ground under another name
        assert np.allclose(there.read(1), home.read(1), atol=1e-4, equal_nan=True)
    page = (folder / "results/sites/next/summary.html").read_text(encoding="utf-8")
    assert "Next valley" in page and "trained on" in page.lower()


def test_a_second_call_fetches_and_makes_nothing(valley):
    folder, _ = valley  # the server is gone by now
    result = snakemake(folder, "-n", "--", "results/sites/valley/summary.html")
    assert not planned(result)


def test_offline_names_what_is_missing_with_the_commands(valley, tmp_path):
    folder, _ = valley
    for name in ("areas", "catalogue", "config.yaml"):
        (tmp_path / name).symlink_to(folder / name)
    result = snakemake(tmp_path, "-n", "--config", "offline=true", "--", "valley", check=False)
    assert result.returncode
    text = result.stdout + result.stderr
    assert "snakemake results/sites/valley/raw/before.tif" in text and "Traceback" not in text


def test_check_reports_before_any_training(valley):
    folder, _ = valley
    done = headscarp(folder, "check", "valley")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "line up with the edges" in done.stdout and (folder / "results/sites/valley/check.png").exists()


def test_real_files_of_iburi_as_an_area_score_as_its_card_does(tmp_path, real_data):
    """From the raw files in degrees, co-registered by the pipeline, through `headscarp init`."""
    data, _ = real_data("data/iburi_s2_dem"), real_data("mirror")
    card = yaml.safe_load((REPOSITORY / "workflow/cards/iburi2018.yaml").read_text(encoding="utf-8"))
    with rasterio.open(data / "s2_post_B04.tif") as source:
        west, south, east, north = source.bounds
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    outline = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    (tmp_path / "outline.geojson").write_text(json.dumps(outline))
    for layer in ("landslides", "mapped_area"):
        geopandas.read_file(data / "kita_inventory.gpkg", layer=layer).to_file(tmp_path / f"{layer}.gpkg")
    files = [
        *sorted(data.glob("s2_p*.tif")),
        data / "aw3d30_dsm.tif",
        tmp_path / "landslides.gpkg",
        tmp_path / "mapped_area.gpkg",
    ]
    done = headscarp(
        tmp_path, "init", tmp_path / "outline.geojson", *files, "--name", "own", "--event", EVENT
    )
    assert done.returncode == 0, done.stderr
    area = yaml.safe_load((tmp_path / "areas/own.yaml").read_text(encoding="utf-8"))
    same = {key: card[key] for key in ("sampling", "training", "scales", "protocols")}
    for key in ("rows", "experiments"):  # of more networks than this area has
        del same["scales"]["tiny"][key]
    forest = area["exhibits"]["comparison"] | {"rows": ["random_forest"]}
    write_yaml(tmp_path / "areas/own.yaml", area | same | {"exhibits": {"comparison": forest}})
    write_yaml(
        tmp_path / "config.yaml", {"cards": ["own"], "scale": "tiny", "mirror": str(real_data("mirror"))}
    )
    snakemake(
        tmp_path,
        "results/tables/own/comparison.csv",
        "results/runs/iburi2018/iburi/random_forest/blocked/seed0/iburi/scores.json",
        warm=True,
    )
    own = pd.read_csv(tmp_path / "results/tables/own/comparison.csv").set_index("metric")
    scores = json.loads(
        (tmp_path / "results/runs/iburi2018/iburi/random_forest/blocked/seed0/iburi/scores.json").read_text()
    )
    low, high = own.loc["average_precision", ["ci_low", "ci_high"]]
    assert low < scores["metrics"]["average_precision"] < high
    assert own.loc["average_precision", "value"] == pytest.approx(
        scores["metrics"]["average_precision"], abs=0.03
    )


def write_patches(folder, count, rng):
    """A part of Landslide4Sense: bright slides on dark patches."""
    for number in range(1, count + 1):
        mask = np.zeros((64, 64), np.uint8)
        row, col = rng.integers(4, 44, 2)
        mask[row : row + 14, col : col + 14] = 1
        image = rng.normal(1, 0.2, (64, 64, 14)) + 2 * mask[..., None]
        for kind, name, values in (("img", "image", image), ("mask", "mask", mask)):
            path = folder / kind / f"{name}_{number}.h5"
            path.parent.mkdir(parents=True, exist_ok=True)
            with h5py.File(path, "w") as file:
                file[kind] = values


def test_the_archive_of_a_patch_set_is_unpacked_trained_and_scored(tmp_path):
    rng = np.random.default_rng(5)
    for subset, count in (("TrainData", 8), ("ValidData", 4), ("TestData", 4)):
        write_patches(tmp_path / subset, count, rng)
        shutil.make_archive(tmp_path / subset, "zip", tmp_path, subset)
    card = yaml.safe_load((REPOSITORY / "workflow/examples/landslide4sense.yaml").read_text(encoding="utf-8"))
    card["sites"]["landslide4sense"]["files"] = {
        f"{name}.zip": {"path": f"{name}.zip"} for name in ("TrainData", "ValidData", "TestData")
    }
    card["exhibits"] = {"comparison": card["exhibits"]["comparison"] | {"rows": ["unet"]}}
    card["mapping"] = {"window": 128, "margin": 0}
    (tmp_path / "areas").mkdir()
    write_yaml(tmp_path / "areas/patches.yaml", card)
    write_yaml(tmp_path / "config.yaml", {"cards": ["landslide4sense"], "scale": "tiny"})
    snakemake(tmp_path)
    table = pd.read_csv(tmp_path / "results/tables/landslide4sense/comparison.csv")
    assert set(table["protocol"]) == {"published", "blocked"} and set(table["data"]) == {"real"}
    assert table.loc[table["metric"] == "average_precision", "value"].notna().all()
    patches = pd.read_csv(tmp_path / "results/sites/landslide4sense/cube/patches.csv")
    assert patches["split"].value_counts().to_dict() == {"train": 8, "validation": 4, "test": 4}


def test_two_folders_of_pictures_are_described_checked_trained_and_scored(tmp_path):
    """Pictures of two sizes without CRS, masks of 0 and 255 with names of their own, one picture without."""
    rng = np.random.default_rng(4)
    for number in range(10):
        mask = np.zeros((72, 64 + 32 * (number % 2)), np.uint8)
        row, col = rng.integers(4, 40, 2)
        mask[row : row + 24, col : col + 20] = 255
        light = rng.normal(90, 12, (3, *mask.shape)) + 80 * (mask > 0)
        write_picture(tmp_path / f"my/pictures/p{number}.jpg", light.clip(0, 255).astype(np.uint8))
        if number:
            write_picture(tmp_path / f"my/truth/p{number}_mask.png", mask[None])
    call = ["my/pictures", "my/truth", "--name", "slopes", "--pixel", "0.5"]
    done = headscarp(tmp_path, "init", *call)
    assert done.returncode == 0 and "1 of 10 pictures without a mask (p0)" in done.stdout, done.stderr
    done = headscarp(tmp_path, "check", "slopes")
    assert done.returncode == 0 and "9 of 9 masks hold some" in done.stdout, done.stdout + done.stderr
    write_yaml(tmp_path / "config.yaml", {"cards": ["slopes"], "scale": "tiny"})
    figure = tmp_path / "results/figures/slopes/fig_close_ups.png"
    snakemake(tmp_path, "results/tables/slopes/comparison.csv", str(figure.relative_to(tmp_path)), warm=True)
    table = pd.read_csv(tmp_path / "results/tables/slopes/comparison.csv")
    scores = table[table["metric"] == "average_precision"].set_index("row")["value"]
    assert set(scores.index) >= {"random_forest", "unet", "resunet"} and scores["random_forest"] > 0.9
    patches = pd.read_csv(tmp_path / "results/sites/slopes/cube/patches.csv")
    assert len(patches) == 10 and patches["mapped"].sum() == 9 and figure.stat().st_size > 10_000


def test_landslides_with_years_are_learnt_from_and_later_ones_tested(tmp_path):
    """A small area whose slides of all years lie on steep ground: three protocols from one card."""
    rng = np.random.default_rng(0)
    side, cell = 60, 30.0
    grid = make_grid(side, side, cell)
    ground = gaussian_filter(rng.normal(size=(side, side)), 5)
    write_raster(tmp_path / "dem.tif", (3000 * (ground - ground.min())).astype(np.float32), grid)
    steep = np.hypot(*np.gradient(ground))
    rows, cols = np.nonzero(steep > np.quantile(steep, 0.75))
    chosen = rng.permutation(len(rows))[:160]
    slides = [
        shapely.Point(WEST + (cols[n] + 0.5) * cell, NORTH - (rows[n] + 0.5) * cell).buffer(16)
        for n in chosen
    ]
    write_shapes(tmp_path / "slides.gpkg", slides, happened=[f"{2001 + n % 16}-07-01" for n in range(160)])
    models = {
        name: {"network": name, "inputs": ["terrain"]} for name in ("logistic_regression", "cell_forest")
    }
    files = ["dem.tif", "slides.gpkg"]
    card = {
        "name": "years",
        "title": "Slides with years",
        "citation": "none",
        "sites": {
            "hills": {
                "title": "Hills",
                "source": "local",
                "folder": tmp_path.name,
                "data": "twin",
                "files": files,
                "layers": {
                    "dem": "dem.tif",
                    "grid": {"like": "dem.tif"},
                    "dates": ["2010-01-01"],
                    "rasters": {},
                    "terrain": ["elevation", "slope", "plan_curvature"],
                },
            }
        },
        "inputs": {"terrain": ["elevation", "slope", "plan_curvature"]},
        "experiments": models,
        "protocols": ["published", "blocked"],
        "cells": {
            "hills": {
                "polygons": {"file": "slides.gpkg", "year": "happened"},
                "temporal": {"until": 2010},
                "protocols": ["temporal"],
                "windows": [1],
            }
        },
        "training": {},
        "scales": {
            scale: {"size": 1.0, "width": 1.0, "seeds": [0]} for scale in ("tiny", "demo", "standard", "full")
        },
        "exhibits": {
            "comparison": {
                "kind": "scores",
                "title": "Random, spatial and later",
                "caption": "Scores under three protocols.",
                "sites": ["hills"],
                "rows": list(models),
                "protocols": ["published", "temporal", "blocked"],
                "options": {"metrics": ["auc", "average_precision", "f1"]},
            }
        },
    }
    (tmp_path / "areas").mkdir()
    write_yaml(tmp_path / "areas/years.yaml", card)
    write_yaml(tmp_path / "config.yaml", {"cards": ["years"], "scale": "tiny", "data": str(tmp_path.parent)})
    snakemake(tmp_path, warm=True)
    table = pd.read_csv(tmp_path / "results/tables/years/comparison.csv")
    auc = table[table["metric"] == "auc"].set_index(["row", "protocol"])["value"]
    assert set(table["protocol"]) == {"published", "temporal", "blocked"} and len(auc) == 6
    assert (auc.xs("temporal", level="protocol") > 0.7).all()
    samples = tmp_path / "results/sites/hills/samples/years/temporal/fold0/cells.json"
    assert any("tested on later ones" in note for note in json.loads(samples.read_text())["notes"])
