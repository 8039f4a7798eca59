"""Time and memory of simulating the study areas of the cards, at full size or a part of it.

    PYTHONPATH=workflow/scripts python benchmarks/bench_twins.py [SITE ...] [--size 1.0] [--into FOLDER]

Without names all sites that have a `twin`. Each is simulated in a process of its own. `--size` shrinks the
sides as the `size` of a scale does; the raw files go into FOLDER, a folder for each site, or nowhere. Prints
a Markdown table; CPU seconds are those of the process alone, so they hold beside other work, and so does the
peak memory, which counts the process with all that it imports.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import rasterio
import yaml

from simulate_twin import simulate_twin

CARDS = Path(__file__).resolve().parents[1] / "workflow" / "cards"


def simulated_sites() -> dict[str, dict[str, Any]]:
    """Sites of all cards that are simulated, by name."""
    found = {}
    for path in sorted(CARDS.glob("*.yaml")):
        sites = yaml.safe_load(path.read_text(encoding="utf-8")).get("sites", {})
        found |= {name: site for name, site in sites.items() if "twin" in site}
    return found


def measure(site: dict[str, Any], size: float, folder: Path, answers: multiprocessing.Queue) -> None:
    """Seconds, CPU seconds and peak memory (GB) of this process while it simulates a site."""
    began, worked = time.perf_counter(), time.process_time()
    simulate_twin(folder, site["twin"], size, site["seed"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    answers.put((time.perf_counter() - began, time.process_time() - worked, peak))


def largest_raster(folder: Path) -> tuple[int, int]:
    """Rows and columns of the raster with the most pixels."""
    shapes = []
    for path in folder.glob("*.tif"):
        with rasterio.open(path) as raster:
            shapes.append(raster.shape)
    return max(shapes, key=lambda shape: shape[0] * shape[1])


def run(name: str, site: dict[str, Any], size: float, folder: Path) -> str:
    """A line of the table."""
    folder.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=measure, args=(site, size, folder, answers))
    process.start()
    process.join()
    if process.exitcode:
        return f"| {name} | - | failed | | |"
    seconds, cpu_seconds, peak = answers.get()
    rows, cols = largest_raster(folder)
    return f"| {name} | {rows} x {cols} | {seconds:.0f} | {cpu_seconds:.0f} | {peak:.2f} |"


if __name__ == "__main__":
    sites = simulated_sites()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="SITE", help=f"of {', '.join(sites)}")
    parser.add_argument("--size", type=float, default=1.0)
    parser.add_argument("--into", type=Path)
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - set(sites):
        parser.error(f"no simulated site is called {', '.join(sorted(unknown))}")
    print(f"size {chosen.size:g}\n\n| site | pixels | s | CPU s | peak GB |\n|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as temporary:
        for name in chosen.names or sites:
            print(run(name, sites[name], chosen.size, (chosen.into or Path(temporary)) / name), flush=True)
