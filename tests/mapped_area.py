"""A small mapped site on disk, with everything that a mapper's outputs are made from."""

import json

import numpy as np
from affine import Affine

from headscarp.geo.grid import Grid
from headscarp.geo.layer import CLASSES, Layer, write_layer

GRID = Grid("EPSG:32654", Affine(10.0, 0, 572_840.0, 0, -10.0, 4_735_740.0), 60, 80)
THRESHOLD = 0.5
SCORES = {
    "threshold": THRESHOLD,
    "protocol": "blocked",
    "data": "real",
    "notes": ["a note on scores"],
    "metrics": {
        "f1": 0.6123,
        "precision": 0.71,
        "recall": 0.55,
        "iou": 0.441,
        "average_precision": None,
        "auc": 0.9,
    },
    "intervals": {"f1": [0.5012, 0.7034], "precision": None},
}
RUN = {"seed": 3, "device": "cpu (1 thread)", "versions": {"torch": "2.13.0", "headscarp": "0.1.0"}}


def probability_map():
    """Probabilities (60, 80): a slide of 10 x 5 pixels, one of 4 x 20, one of a single pixel, no data in a
    corner."""
    values = np.full(GRID.shape, 0.05, np.float32)
    values[10:20, 10:15] = 0.8
    values[12, 12] = 0.95
    values[40:44, 30:50] = 0.6
    values[5, 70] = 0.5
    values[:3, :3] = np.nan
    return values


def write_layers(
    folder,
    names=("elevation", "slope", "label", "instances", "red", "green", "blue"),
    data="real",
    dates=("2018-09-06",),
):
    """The layers of a site: elevation rises by 1 m a row, slope is 10 degrees in the west and 30 in the east,
    unknown in one row."""
    rows, cols = np.mgrid[:60, :80].astype(np.float32)
    slope = np.where(cols < 40, 10, 30).astype(np.float32)
    slope[41] = np.nan
    label = np.zeros(GRID.shape, np.uint8)
    label[11:20, 10:15] = 1
    label[30:40, 60:65] = 1
    label[:, 78:] = 255
    numbers = np.zeros(GRID.shape, np.int32)
    numbers[11:20, 10:15], numbers[30:40, 60:65] = 1, 2
    values = {
        "elevation": (rows + 100, "m", "continuous"),
        "slope": (slope, "degree", "continuous"),
        "label": (label, "class", CLASSES),
        "instances": (numbers, "number of the slide", CLASSES),
        "red": (rows / 60, "reflectance", "continuous"),
        "green": (cols / 80, "reflectance", "continuous"),
        "blue": (slope / 90, "reflectance", "continuous"),
    }
    listed = []
    for name in names:
        array, units, kind = values[name]
        nodata = {"label": 255, "instances": 0}.get(name, float("nan"))
        write_layer(
            folder / f"{name}.tif",
            Layer(name, array, GRID, units, f"made <for> {name} & tests", kind, nodata),
        )
        listed.append(
            {
                "name": name,
                "path": f"{name}.tif",
                "units": units,
                "source": f"made <for> {name} & tests",
                "kind": kind,
            }
        )
    manifest = {
        "data": data,
        "grid": GRID.to_record(),
        "layers": listed,
        "dates": list(dates),
        "notes": ["red: no data on <half> of it"],
    }
    (folder / "layers.json").write_text(json.dumps(manifest))
    return folder


def write_probability(path, values, grid=GRID, source="test"):
    """A map of landslide probability."""
    write_layer(path, Layer("landslide probability", values, grid, "1", source))


def write_run(folder, scores=SCORES):
    """A run's folder with its map and records."""
    folder.mkdir(parents=True)
    write_probability(folder / "probability.tif", probability_map())
    (folder / "scores.json").write_text(json.dumps(scores))
    (folder / "run.json").write_text(json.dumps(RUN))
    return folder


def record_of_page(site, folders, **change):
    """What pages and projects take of a site in the folder `site` that a run mapped under each protocol;
    `folders` are those of the runs, whose files lie in one."""
    runs = [
        {
            "label": "U-Net & factors",
            "experiment": "unet+factors",
            "protocol": protocol,
            "seed": 3,
            **dict.fromkeys(("folder", "home", "maps"), str(folder)),
        }
        for protocol, folder in folders.items()
    ]
    return {
        "name": "atsuma",
        "title": "Atsuma <Hokkaido>",
        "data": "real",
        "folder": str(site),
        "card": "valley",
        "citation": "Kita & others (2018)",
        "scale": "tiny",
        "composite": ["red", "green", "blue"],
        "runs": runs,
    } | change
