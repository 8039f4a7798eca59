"""Time and size of the interactive map of a large site: image, relief, inventory, and one run with its
probability, errors and outlines.

    PYTHONPATH=workflow/scripts python benchmarks/bench_map_page.py [--side 20000] [--folder FOLDER]

The rasters are made up, a hill and a landslide every 500 pixels, and kept in FOLDER (a temporary one unless
given; 20,000 pixels take 2 GB there). Prints a Markdown table: the page as it is made, and how many tiles it
would have down to the pixels of the site.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from affine import Affine

from headscarp.delivery.map_page import build_map
from headscarp.delivery.map_tiles import Pyramid
from headscarp.geo.grid import Grid
from headscarp.geo.layer import CONTINUOUS
from headscarp.mapping.polygons import landslide_polygons, write_polygons
from headscarp.mapping.raster import class_raster, probability_raster, strip_raster

PERIOD, ROWS = 500, 500  # pixels from hill to hill; rows written at once
LAYERS = 5  # of tiles: image, relief, inventory, probability, errors
BANDS = ("red", "green", "blue")
THRESHOLD = 0.5


def pattern(side: int, shape: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """A strip of ROWS rows of a pattern that repeats itself; `shape` takes rows and columns in -1..1."""
    part = np.linspace(-1, 1, PERIOD)
    tile = shape(*np.meshgrid(part, part, indexing="ij"))
    return np.tile(tile, (1, -(-side // PERIOD)))[:, :side]


def write_site(folder: Path, grid: Grid) -> None:
    """Layers of a site; the bands of its image are one file under three names."""
    layers = folder / "layers"
    layers.mkdir(parents=True)
    hill = pattern(grid.width, lambda y, x: 300 * np.exp(-3 * (x**2 + y**2)))
    slides = pattern(grid.width, lambda y, x: abs(x - 0.3) + abs(y - 0.2) < 0.06)
    for name, values, units in (("elevation", hill, "m"), (BANDS[0], hill / 300, "reflectance")):
        path = layers / f"{name}.tif"
        with strip_raster(path, grid, "made up", name, units, CONTINUOUS, "float32", np.nan) as write:
            write_strips(write, values.astype(np.float32), grid)
    for name in BANDS[1:]:
        (layers / f"{name}.tif").symlink_to(f"{BANDS[0]}.tif")
    with class_raster(layers / "label.tif", grid, "made up") as write:
        write_strips(write, slides.astype(np.uint8), grid)
    listed = [{"name": name, "units": "1"} for name in ("elevation", *BANDS, "label")]
    manifest = {"grid": grid.to_record(), "dates": ["2020-01-01"], "layers": listed, "notes": []}
    (layers / "layers.json").write_text(json.dumps(manifest))


def write_run(folder: Path, grid: Grid) -> None:
    """A map of probability that finds most of the landslides, and its outlines."""
    folder.mkdir()
    found = pattern(grid.width, lambda y, x: np.clip(1 - 6 * (abs(x - 0.31) + abs(y - 0.2)), 0.02, 1))
    with probability_raster(folder / "probability.tif", grid, "made up") as write:
        write_strips(write, found.astype(np.float32), grid)
    write_polygons(folder / "landslides.gpkg", landslide_polygons(folder / "probability.tif", THRESHOLD))
    (folder / "scores.json").write_text(
        json.dumps({"threshold": THRESHOLD, "metrics": {"f1": 0.5}, "notes": []})
    )
    (folder / "run.json").write_text(json.dumps({"seed": 0, "versions": {}}))


def write_strips(write: Callable[[int, np.ndarray], None], strip: np.ndarray, grid: Grid) -> None:
    for top in range(0, grid.height, ROWS):
        write(top, strip[: min(ROWS, grid.height - top)])


def measure(folder: Path, grid: Grid) -> None:
    run = {"label": "Network", "experiment": "network", "protocol": "blocked", "seed": 0}
    record = {
        "name": "site",
        "title": "A large site",
        "data": "real",
        "folder": str(folder / "site"),
        "citation": None,
        "composite": list(BANDS),
        "runs": [run | dict.fromkeys(("folder", "home", "maps"), str(folder / "run"))],
    }
    began, busy = time.perf_counter(), time.process_time()
    build_map(record, folder / "map.html", folder / "map")
    seconds, cpu = time.perf_counter() - began, time.process_time() - busy
    files = [path for path in (folder / "map").rglob("*.*") if path.is_file()]
    tiles = [path for path in files if path.suffix == ".png"]
    size = sum(path.stat().st_size for path in files) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    whole = LAYERS * Pyramid.whole(grid).count
    print("| side in pixels | tiles | tiles without a cap | CPU s | s | MB of the page | peak MB |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    cells = [f"{grid.width:,}", f"{len(tiles):,}", f"{whole:,}"]
    print("|", " | ".join([*cells, *(f"{number:.0f}" for number in (cpu, seconds, size, peak))]), "|")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    grid = Grid(
        "EPSG:32654", Affine(10.0, 0, 400_000.0, 0, -10.0, 4_800_000.0), arguments.side, arguments.side
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        if not (folder / "run").exists():
            write_site(folder / "site", grid)
            write_run(folder / "run", grid)
        measure(folder, grid)


if __name__ == "__main__":
    main()
