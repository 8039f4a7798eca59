"""Reading of training windows from a memory-mapped cube beside chips cut and stored beforehand; and a
training step in both precisions.

    PYTHONPATH=workflow/scripts python benchmarks/bench_training.py [--network unet] [--width 0.25] [--batch
    16] [--threads 1] [--against OTHER/workflow/scripts]

Prints two Markdown tables; with `--against`, the library of another checkout, only one: CPU seconds of an
epoch by each of the two, taken in turns. All files are in the page cache when they are read.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from headscarp import networks
from headscarp.training.batches import Batches
from headscarp.training.devices import autocast, choose_device, device_name
from headscarp.training.losses import make_loss, masked_mean
from headscarp.training.progress import Progress
from headscarp.training.recipe import Recipe
from headscarp.training.trainer import EpochLoop, make_optimiser
from headscarp.training.windows import NormalisedCube, Samples

SIDE, CHANNELS, SCENE = 64, 16, 1000
CORNERS = range(0, SCENE - SIDE, SIDE // 2)


def open_made_up_samples(folder: Path) -> Samples:
    cube = np.lib.format.open_memmap(folder / "cube.npy", "w+", np.float32, (1, CHANNELS, SCENE, SCENE))
    cube[:] = np.random.default_rng(0).random(cube.shape, np.float32)
    cube.flush()
    label = np.zeros((SCENE, SCENE), np.uint8)
    label[::7, ::5] = 1
    windows = np.array([(row, col, SIDE, 0) for row in CORNERS for col in CORNERS])
    cube = NormalisedCube(
        np.load(folder / "cube.npy", mmap_mode="r"), list(range(CHANNELS)), [0.5] * CHANNELS, [0.3] * CHANNELS
    )
    split = {"train": windows, "validation": windows[::4]}
    return Samples(cube, label, np.ones_like(label), "published", split)


def store_chips(folder: Path, samples: Samples) -> None:
    for index in range(len(samples.windows["train"])):
        image, target, mask = samples.read("train", index)
        np.savez(folder / f"chip{index}.npz", image=image, target=target, mask=mask)


def read_chip(folder: Path, index: int) -> None:
    with np.load(folder / f"chip{index}.npz") as chip:
        [chip[name] for name in ("image", "target", "mask")]


def per_second(read: Callable[[int], object], count: int) -> float:
    order = np.random.default_rng(1).permutation(count)
    read(0)
    began = time.perf_counter()
    for index in order:
        read(int(index))
    return count / (time.perf_counter() - began)


def bench_reading() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        samples = open_made_up_samples(folder)
        count = len(samples.windows["train"])
        store_chips(folder, samples)
        cut = sum(path.stat().st_size for path in folder.glob("chip*")) / 1e6
        whole = (folder / "cube.npy").stat().st_size / 1e6
        ours, chips = (
            per_second(lambda index: samples.read("train", index), count),
            per_second(lambda index: read_chip(folder, index), count),
        )
    print(f"{count} windows of {SIDE} x {SIDE} x {CHANNELS}, overlapping by half\n")
    print("| windows from | windows/s | on disk (MB) |\n|---|---:|---:|")
    print(f"| the memory-mapped cube, standardised as read | {ours:.0f} | {whole:.0f} |")
    print(f"| stored chips, standardised before | {chips:.0f} | {cut:.0f} |")
    print(f"| ratio | {ours / chips:.2f} | {whole / cut:.2f} |\n")


def step_seconds(
    network: str, width: float, batch: int, precision: torch.dtype, layout: torch.memory_format, steps: int
) -> float:
    device = choose_device()
    torch.manual_seed(0)
    model = networks.build(network, CHANNELS, width=width).to(device, memory_format=layout)
    image = torch.randn(batch, CHANNELS, SIDE, SIDE, device=device).to(memory_format=layout)
    target = torch.randint(2, (batch, SIDE, SIDE), device=device)
    mask = torch.ones(target.shape, device=device)
    loss, optimiser = make_loss(Recipe()), torch.optim.Adam(model.parameters())
    for step in range(steps + 2):
        if step == 2:  # the first steps choose kernels
            began = time.perf_counter()
        with autocast(device, precision):
            logits = model(image)
        optimiser.zero_grad()
        masked_mean(loss(logits.float(), target), mask).backward()
        optimiser.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
    return (time.perf_counter() - began) / steps


def bench_steps(network: str, width: float, batch: int, steps: int) -> None:
    ways = {
        "float32": (torch.float32, torch.contiguous_format),
        "float32, channels-last": (torch.float32, torch.channels_last),
        "bfloat16": (torch.bfloat16, torch.contiguous_format),
        "bfloat16, channels-last": (torch.bfloat16, torch.channels_last),
    }
    seconds = {way: step_seconds(network, width, batch, *how, steps) for way, how in ways.items()}
    print(
        f"{network} at width {width:g}, {batch} windows of {SIDE} x {SIDE} x {CHANNELS} a step, "
        f"{device_name(choose_device())}\n"
    )
    print("| precision | ms a step | windows/s | times faster |\n|---|---:|---:|---:|")
    for way, took in seconds.items():
        print(f"| {way} | {took * 1e3:.0f} | {batch / took:.0f} | {seconds['float32'] / took:.2f} |")


def bench_epoch(network: str, width: float, batch: int, steps: int) -> None:
    """Print the CPU seconds of the second epoch of a training by the library that is imported."""
    with tempfile.TemporaryDirectory() as name:
        samples = open_made_up_samples(Path(name))
        recipe = Recipe(batch=batch, steps_per_epoch=steps, epochs=2, augment=True, jitter=0.1)
        torch.manual_seed(0)
        model = networks.build(network, CHANNELS, width=width).to(memory_format=torch.channels_last)
        batches = Batches(samples, batch, 0, steps, recipe.augment, recipe.jitter)
        optimiser = make_optimiser(recipe, model)
        loop = EpochLoop(model, optimiser, batches, recipe, torch.device("cpu"), 0, keep_best=True)
        progress = Progress("epoch", 0, 2 * steps, shown=False)
        loop.run_epoch(0, progress)
        began = time.process_time()
        loop.run_epoch(1, progress)
        print(time.process_time() - began)


def bench_against(other: str, rounds: int) -> None:
    """The epoch of this checkout's library beside that of another's, each in a process of its own, in
    turns."""
    libraries = {"the other": other, "this": str(Path(networks.__file__).parents[2])}
    command = [sys.executable, __file__, "--epoch", *sys.argv[1:]]
    seconds = {which: [] for which in libraries}
    for _ in range(rounds):
        for which, library in libraries.items():
            environment = os.environ | {"PYTHONPATH": library}
            told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            seconds[which].append(float(told.stdout))
    print(f"| library | CPU s an epoch, median of {rounds} | least |\n|---|---:|---:|")
    for which, took in seconds.items():
        print(f"| {which} | {statistics.median(took):.2f} | {min(took):.2f} |")
    median, least = (
        measure(seconds["this"]) / measure(seconds["the other"]) for measure in (statistics.median, min)
    )
    print(f"| ratio | {median:.3f} | {least:.3f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="unet")
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--against", metavar="FOLDER", help="workflow/scripts of another checkout")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epoch", action="store_true", help="only print the CPU seconds of an epoch")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.epoch:
        bench_epoch(options.network, options.width, options.batch, options.steps)
        return
    if options.against:
        bench_against(options.against, options.rounds)
        return
    bench_reading()
    bench_steps(options.network, options.width, options.batch, options.steps)


if __name__ == "__main__":
    main()
