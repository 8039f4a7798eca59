"""Memory and CPU time of mapping a region by many jobs, through the rules of the workflow.

    PYTHONPATH=workflow/scripts:. python benchmarks/bench_region.py [--sides 2500 5000 10000] [--wide COLUMNS]
    [--rows 2500] [--slurm] [--folder FOLDER]

A narrow U-Net of two channels is trained for 2000 steps on a simulated site of gao2021 at scale tiny. Then a
virtual scene of each size, that site's image repeated, takes the place of another site's cube, is mapped in
parts of `--rows` rows and outlined. With `--slurm` by a SLURM of this machine (that of tests/deploy; as
root), which kills a job beyond 2000 MB; the second part gets 100 MB at first, is killed and tried again.
Every Python tells at its end how much memory it ever held (Linux's VmHWM) and its CPU time, imports included.
A scene needs 8 bytes a pixel on disk, its map up to 15 more while it is put together.
"""

import argparse
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import yaml

from headscarp.arrays import open_array, stream_array
from headscarp.files import read_json, write_json

REPOSITORY = Path(__file__).parents[1]
HOME, SCENE = "zigui", "jiuzhaigou"
CHANNELS = ["slope", "ndvi"]
RUN = f"results/runs/gao2021/{HOME}/narrow/blocked/seed0"
# The scripts of the jobs that are measured: of parts, of the whole map, of its landslides.
SCRIPTS = ("map_scene", "gather_parts", "deliver_map")
MEASURED = "measured"
LIMIT_MB, STARVED_MB = 2000, 100
# What every Python that the workflow starts reads first.
CUSTOM = """
import atexit, json, os, sys, time

@atexit.register
def tell():
    held = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
    record = {"memory": held * 1024 / 1e6, "cpu": time.process_time()}
    name = sys.argv[0].rpartition("/")[2].split(".")[-2:]
    path = os.path.join(os.path.dirname(__file__), f"{name[0]}.{os.getpid()}.json")
    open(path, "w").write(json.dumps(record))
"""


def configure(folder: Path, parts: int) -> None:
    """A card's network on two channels of one site, whose scenes are mapped in parts."""
    change = {
        "inputs": {"two": CHANNELS},
        "experiments": {"narrow": {"label": "Narrow U-Net", "network": "unet", "inputs": ["two"]}},
        "mapping": {"window": 512, "parts": parts},
        "scales": {"tiny": {"width": 0.0625, "training": {"epochs": 20, "steps_per_epoch": 100}}},
    }
    config = {
        "cards": ["gao2021"],
        "scale": "tiny",
        "protocols": ["blocked"],
        "seeds": [0],
        "device": "cpu",
        "overlay": {"gao2021": change},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def lay_scene(folder: Path, height: int, width: int) -> None:
    """Write the cube and the layers' list of the virtual scene, in place of those of a site."""
    home, scene = folder / "results/sites" / HOME, folder / "results/sites" / SCENE
    shutil.rmtree(scene, ignore_errors=True)
    layers, header = read_json(home / "layers/layers.json"), read_json(home / "cube/cube.json")
    grid = header["grid"] | {"height": height, "width": width}
    (scene / "layers").mkdir(parents=True)
    write_json(scene / "layers/layers.json", layers | {"grid": grid, "layers": []})
    places = [index for index, one in enumerate(header["channels"]) if one["name"] in CHANNELS]
    tiles = np.array(open_array(home / "cube/cube.npy")[-1, places])
    wide = np.tile(tiles, (1, 1, math.ceil(width / tiles.shape[2])))[..., :width]
    rows = (channel[row % len(channel)] for channel in wide for row in range(height))
    stream_array(scene / "cube/cube.npy", np.float32, (1, len(places), height, width), rows)
    channels = [header["channels"][place] for place in places]
    write_json(scene / "cube/cube.json", header | {"grid": grid, "channels": channels})
    for name, dtype in (("label", np.uint8), ("instances", np.int32)):  # nobody reads them: holes
        np.lib.format.open_memmap(scene / f"cube/{name}.npy", "w+", dtype, (height, width))


def run(snakemake: list[str], folder: Path, *targets: str) -> None:
    # By age alone: another number of parts would map the site of the training again, too.
    command = [*snakemake, "--rerun-triggers", "mtime", "--snakefile", str(REPOSITORY / "Snakefile")]
    command += ["--directory", str(folder)]
    path = os.pathsep.join([str(folder / MEASURED), os.environ["PYTHONPATH"]])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    with (folder / "snakemake.txt").open("a") as log:
        done = subprocess.run(
            [*command, "--", *targets], stdout=log, stderr=subprocess.STDOUT, env=environment, check=False
        )
    if done.returncode:
        raise SystemExit((folder / "snakemake.txt").read_text()[-5000:])


def measured(folder: Path, script: str) -> list[dict[str, float]]:
    """Megabytes and CPU seconds of each run of a script."""
    return [read_json(path) for path in (folder / MEASURED).glob(f"{script}.*.json")]


def measure(snakemake: list[str], folder: Path, height: int, width: int, rows: int) -> None:
    """Map and outline a scene, and print a line of the table."""
    parts = max(2, math.ceil(height / rows))
    configure(folder, parts)
    lay_scene(folder, height, width)
    shutil.rmtree(folder / RUN / SCENE, ignore_errors=True)
    for old in (folder / MEASURED).glob("*.json"):
        old.unlink()
    run(snakemake, folder, f"{RUN}/{SCENE}/landslides.gpkg")
    megapixels = height * width / 1e6
    cells = [f"{height:,} x {width:,}", str(parts)]
    for script in SCRIPTS:
        jobs = measured(folder, script)
        cells.append(f"{max(job['memory'] for job in jobs):.0f}")
        cells.append(f"{sum(job['cpu'] for job in jobs) / megapixels:.3f}")
    print(f"| {' | '.join(cells)} |", flush=True)


@contextmanager
def local() -> Iterator[list[str]]:
    yield [sys.executable, "-m", "snakemake", "--cores", "1"]


@contextmanager
def on_slurm() -> Iterator[list[str]]:
    """Snakemake that sends jobs to a SLURM of this machine; at the end tells of those of parts."""
    from tests.deploy.slurm.cluster import QUICK, Cluster, install, python_with_plugin

    install()
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder) / "slurm") as cluster:
        python = python_with_plugin(Path(folder) / "python")
        profile = Path(folder) / "profile"
        shutil.copytree(REPOSITORY / "profiles/slurm", profile)
        (file,) = profile.iterdir()
        record = yaml.safe_load(file.read_text())
        record["default-resources"]["mem_mb"] = LIMIT_MB
        starved = f"attempt == 1 and wildcards.part == '2' and wildcards.place == '{SCENE}'"
        for rule in record["set-resources"].values():
            rule["mem_mb"] = LIMIT_MB
        record["set-resources"]["map_part"] |= {
            "slurm_partition": "cpu",
            "gpu": 0,
            "mem_mb": f"{STARVED_MB} if {starved} else {LIMIT_MB}",
        }
        file.write_text(yaml.safe_dump(record))
        yield [str(python), "-m", "snakemake", "--profile", str(profile), *QUICK]
        print("\n| job of SLURM | state | memory it may have, MB |\n|---|---|---:|")
        for job in cluster.jobs():
            print(f"| {job.name} | {job.state} | {job.memory_mb} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[2500, 5000, 10_000])
    parser.add_argument("--wide", type=int, help="columns of every scene (default: as many as rows)")
    parser.add_argument(
        "--rows", type=int, default=2500, help="rows of a part, at most; there are two or more"
    )
    parser.add_argument("--slurm", action="store_true")
    parser.add_argument("--folder", help="where scenes are written and removed (default: the system's)")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as name,
        on_slurm() if options.slurm else local() as snakemake,
    ):
        folder = Path(name)
        (folder / MEASURED).mkdir()
        (folder / MEASURED / "sitecustomize.py").write_text(CUSTOM)
        configure(folder, 1)
        scores = folder / RUN / HOME / "scores.json"
        run(snakemake, folder, str(scores.relative_to(folder)))
        write_json(scores, read_json(scores) | {"threshold": 0.5})  # that of so small a site is arbitrary
        print("| scene | parts |" + "".join(f" {name}: MB of a job | CPU s per Mpixel |" for name in SCRIPTS))
        print("|---|---:|" + "---:|" * 2 * len(SCRIPTS), flush=True)
        for side in options.sides:
            measure(snakemake, folder, side, options.wide or side, options.rows)


if __name__ == "__main__":
    main()
