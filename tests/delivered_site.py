"""A delivered site on disk: two runs that mapped it, susceptibility in two folds, and its QGIS project."""

import numpy as np
import rasterio

from headscarp.delivery.mask import write_binary
from headscarp.delivery.project import write_project
from headscarp.delivery.styles import class_style, landslide_style, probability_style, write_style
from headscarp.mapping.polygons import landslide_polygons, write_polygons
from tests.mapped_area import GRID, SCORES, record_of_page, write_layers, write_run

THRESHOLDS = {"published": 0.7, "blocked": 0.5}
FOLDS = (0.1, 0.6)  # susceptibility in the west by fold; in the east it is 0.2 more


def record_of(root, **change):
    folders = {protocol: root / "runs" / protocol for protocol in THRESHOLDS}
    maps = [{"title": "Forest · blocked · seed 0", "map": str(root / "runs/cells/susceptibility.tif")}]
    return record_of_page(root / "sites/atsuma", folders, **{"susceptibility": maps} | change)


def write_susceptibility(path):
    """A raster with a band for each of two folds, the second of which lacks the first row."""
    path.parent.mkdir(parents=True)
    profile = {"count": 2, "dtype": "float32", "nodata": np.nan, "crs": GRID.crs, "transform": GRID.transform}
    with rasterio.open(path, "w", driver="GTiff", width=GRID.width, height=GRID.height, **profile) as file:
        for band, west in enumerate(FOLDS, start=1):
            values = np.full(GRID.shape, west, np.float32)
            values[:, 40:] += 0.2
            values[: band - 1] = np.nan
            file.write(values, band)


def write_delivered(root):
    """All that the project of a site shows, and the project; returns it."""
    layers = write_layers(root / "sites/atsuma/layers")
    for protocol, threshold in THRESHOLDS.items():
        scores = SCORES | {"protocol": protocol, "threshold": threshold}
        run = write_run(root / "runs" / protocol, scores)
        write_binary(run / "probability.tif", threshold, run / "mask.tif")
        polygons = landslide_polygons(run / "probability.tif", threshold, layers)
        write_polygons(run / "landslides.gpkg", polygons)
        write_style(run / "probability.qml", probability_style())
        write_style(run / "mask.qml", class_style())
        write_style(run / "landslides.qml", landslide_style())
    write_susceptibility(root / "runs/cells/susceptibility.tif")
    project = root / "sites/atsuma/atsuma.qgz"
    write_project(record_of(root), project, project.with_name("qgis"))
    return project
