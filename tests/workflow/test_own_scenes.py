"""The example of a user's own scenes, through Snakemake."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio

from tests.conftest import REPOSITORY
from tests.workflow.runs import configure, snakemake


def own_scenes(folder: Path, sites: Path) -> None:
    """Files of three scenes as a user would have them, of simulated images: polygons for one, masks with
    values of their own for two."""
    origins = {
        "north": ("mangkam_feb", "_feb"),
        "south": ("mangkam_feb", "_mar"),
        "west": ("jiuzhaigou_vhr", ""),
    }
    for scene, (site, suffix) in origins.items():
        raw = sites / site / "raw"
        (folder / scene).mkdir(parents=True)
        with rasterio.open(raw / f"rgb{suffix}.tif") as source:
            profile, values = (
                source.profile | {"driver": "GTiff", "dtype": "uint8", "nodata": None},
                source.read(),
            )
        with rasterio.open(folder / scene / "rgb.tif", "w", **profile) as target:
            target.write(np.clip(np.nan_to_num(values) * 255, 0, 255).astype(np.uint8))
        shutil.copy(raw / "dem.tif", folder / scene / "dsm.tif")
        with rasterio.open(raw / f"classes{suffix}.tif") as source:
            classes, profile = source.read(1), source.profile | {"driver": "GTiff", "nodata": None}
        with rasterio.open(folder / scene / "mask.tif", "w", **profile) as target:
            target.write(np.select([classes == 255, classes == 1], [9, 7], 0).astype(np.uint8), 1)
    shutil.copy(sites / "mangkam_feb/raw/landslides_feb.gpkg", folder / "north/landslides.gpkg")
    shutil.copy(sites / "mangkam_feb/raw/study_area.gpkg", folder / "north/area.gpkg")


def test_the_example_of_own_scenes_leaves_each_out_in_turn(tmp_path):
    simulated = tmp_path / "simulated"
    configure(simulated, cards=["xia2021"])
    snakemake(simulated, *(f"results/sites/{site}/raw/dem.tif" for site in ("mangkam_feb", "jiuzhaigou_vhr")))
    own_scenes(tmp_path / "data", simulated / "results/sites")
    copy, folder = tmp_path / "repository", tmp_path / "run"
    shutil.copytree(
        REPOSITORY,
        copy,
        ignore=shutil.ignore_patterns(".git", ".venv", "results", ".snakemake", "__pycache__"),
    )
    example = (copy / "workflow/examples/vhr_scenes.yaml").read_text(encoding="utf-8")
    # The scene that stands for one in zone 46 lies in zone 48, where 46 is no longer true to scale.
    assert "EPSG:32646" in example
    (copy / "workflow/cards/vhr_scenes.yaml").write_text(example.replace("EPSG:32646", "EPSG:32648"))
    change = {"vhr_scenes": {"scales": {"tiny": {"size": 1.0}}}}
    configure(folder, cards=["vhr_scenes"], data=str(tmp_path / "data"), overlay=change)
    snakemake(folder, "--snakefile", str(copy / "Snakefile"), warm=True)
    table = pd.read_csv(folder / "results/tables/vhr_scenes/comparison.csv")
    assert {
        f"without_{scene}:{row}" for scene in ("north", "south", "west") for row in ("rae_d", "fstf_net")
    } <= set(table["row"])
    assert set(table["data"]) == {"real"} and set(table["protocol"]) == {"blocked"}
