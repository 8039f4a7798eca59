"""Memory and time of mapping a large scene: headscarp's strips of windows beside MONAI's, with the same
windows, and beside the usual script that loads the scene and cuts bare tiles.

    pip install monai
    PYTHONPATH=workflow/scripts python benchmarks/bench_inference.py [--size 10000] [--network unet] [--width
    0.25] [--folder FOLDER]

Writes a made-up cube of size x size x 7 to disk, maps it in a process each, and prints a Markdown table.
Without MONAI its row is left out. CPU seconds count what threads beside the network's work, too.
"""

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
import torch
from affine import Affine

from headscarp import networks
from headscarp.geo.grid import Grid
from headscarp.mapping.map_files import write_map_rasters
from headscarp.mapping.predict import Tiling, predict_strips
from headscarp.training.devices import autocast, choose_device, choose_precision, device_name
from headscarp.training.windows import NormalisedCube

CHANNELS = 7
STRIP = 256
TRANSFORM = Affine(10, 0, 500000, 0, -10, 4700000)


def write_cube(path: Path, size: int) -> None:
    cube = np.lib.format.open_memmap(path, "w+", np.float32, (1, CHANNELS, size, size))
    random = np.random.default_rng(0)
    for channel in range(CHANNELS):
        for top in range(0, size, STRIP):
            rows = min(STRIP, size - top)
            cube[0, channel, top : top + rows] = random.random((rows, size), np.float32)
    cube.flush()


def map_in_strips(
    cube_path: Path, model: torch.nn.Module, device: torch.device, precision: torch.dtype
) -> None:
    cube = np.load(cube_path, mmap_mode="r")
    normalised = NormalisedCube(cube, list(range(CHANNELS)), [0.5] * CHANNELS, [0.3] * CHANNELS)
    grid = Grid("EPSG:32654", TRANSFORM, *normalised.shape)
    strips = predict_strips(model, normalised, device, precision)
    write_map_rasters(cube_path.parent, strips, grid, "benchmark")


def map_by_monai(
    cube_path: Path, model: torch.nn.Module, device: torch.device, precision: torch.dtype
) -> None:
    """`sliding_window_inference` with the windows and the overlap of headscarp, blended by MONAI's Gaussian
    weights; it wants the whole scene in memory, and gives a whole map."""
    from monai.inferers import sliding_window_inference

    tiling = Tiling()
    cube = torch.from_numpy((np.load(cube_path) - 0.5) / 0.3)
    model.eval()
    with torch.inference_mode(), autocast(device, precision):
        found = sliding_window_inference(
            cube,
            (tiling.window, tiling.window),
            1,
            lambda window: model(window.contiguous(memory_format=torch.channels_last)).float().sigmoid(),
            overlap=tiling.overlap / tiling.window,
            mode="gaussian",
            sw_device=device,
            device="cpu",
        )
    write_plain_map(cube_path.with_name("monai.tif"), found[0, 0].numpy())


def map_in_bare_tiles(
    cube_path: Path, model: torch.nn.Module, device: torch.device, precision: torch.dtype
) -> None:
    """As such scripts are mostly written: the scene in memory, standardised at once, tiles side by side, the
    map written from an array."""
    cube = np.load(cube_path)[0]
    cube = (cube - 0.5) / 0.3
    height, width = cube.shape[1:]
    side = Tiling().window
    probability = np.zeros((height, width), np.float32)
    model.eval()
    for top in range(0, height, side):
        for left in range(0, width, side):
            tile = torch.from_numpy(cube[:, top : top + side, left : left + side])[None].to(
                device, memory_format=torch.channels_last
            )
            with torch.inference_mode(), autocast(device, precision):
                found = model(tile)[0, 0].float().sigmoid().cpu().numpy()
            probability[top : top + side, left : left + side] = found
    write_plain_map(cube_path.with_name("bare.tif"), probability)


def write_plain_map(path: Path, probability: np.ndarray) -> None:
    height, width = probability.shape
    profile = {"driver": "GTiff", "count": 1, "dtype": "float32", "height": height, "width": width}
    with rasterio.open(path, "w", **profile, transform=TRANSFORM, compress="deflate") as target:
        target.write(probability, 1)


WAYS = {
    "headscarp: strips of overlapping windows": map_in_strips,
    "MONAI, the same windows and overlap": map_by_monai,
    "scene in memory, bare tiles": map_in_bare_tiles,
}


def measure(way: str, cube_path: Path, network: str, width: float, threads: int) -> None:
    """Map in this process and print {seconds, model (MB before mapping), peak (MB)} as JSON."""
    torch.set_num_threads(threads)
    device = choose_device()
    model = networks.build(network, CHANNELS, width=width).to(device, memory_format=torch.channels_last)
    weights = sum(tensor.nbytes for tensor in model.state_dict().values()) / 1e6
    began, worked = time.perf_counter(), time.process_time()
    WAYS[way](cube_path, model, device, choose_precision("auto", device))
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - began,
                "cpu": time.process_time() - worked,
                "model": weights,
                "peak": peak_megabytes(),
                "device": device_name(device),
            }
        )
    )


def peak_megabytes() -> float:
    """Most memory this process ever held. Linux's VmHWM, for getrusage counts the parent's memory before
    exec."""
    status = Path("/proc/self/status")
    if status.exists():
        return (
            next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
            * 1024
            / 1e6
        )
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--network", default="unet")
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--folder",
        help="where the cube is written and removed again (default: the system's temporary folder)",
    )
    parser.add_argument("--measure", nargs=2, metavar=("WAY", "CUBE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure[0], Path(options.measure[1]), options.network, options.width, options.threads)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        cube_path = Path(folder) / "cube.npy"
        write_cube(cube_path, options.size)
        settings = [
            "--network",
            options.network,
            "--width",
            str(options.width),
            "--threads",
            str(options.threads),
        ]
        ways = dict(WAYS)
        if importlib.util.find_spec("monai") is None:
            del ways["MONAI, the same windows and overlap"]
        found = {}
        for way in ways:
            command = [sys.executable, __file__, *settings, "--measure", way, str(cube_path)]
            found[way] = json.loads(
                subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            )
    ours, *others = found.values()
    print(
        f"Scene {options.size} x {options.size} x {CHANNELS}, {options.network} at width "
        f"{options.width:g}, {ours['device']}\n"
    )
    print(
        "| way | seconds | CPU seconds | Mpixel/s | peak memory (MB) | weights (MB) "
        "|\n|---|---:|---:|---:|---:|---:|"
    )
    for way, row in found.items():
        print(
            f"| {way} | {row['seconds']:.0f} | {row['cpu']:.0f} | "
            f"{options.size**2 / row['seconds'] / 1e6:.2f} | {row['peak']:.0f} | {row['model']:.1f} |"
        )
    for way, row in zip(list(found)[1:], others, strict=True):
        ratios = {name: f"{ours[name] / row[name]:.2f}" for name in ("seconds", "cpu", "peak")}
        print(f"| headscarp / {way} | {ratios['seconds']} | {ratios['cpu']} | | {ratios['peak']} | |")


if __name__ == "__main__":
    main()
