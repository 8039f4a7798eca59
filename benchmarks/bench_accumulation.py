"""Memory and time of one training step of stfusion's network on a large batch: at once, and by accumulated
gradients.

    PYTHONPATH=workflow/scripts python benchmarks/bench_accumulation.py [--window 512] [--dates 5] [--batch 4]
    [--micro 1] [--threads 1]

Each step runs in a process of its own, in float32. Prints a Markdown table. The batch itself lies in memory
once either way.
"""

import argparse
import multiprocessing
import resource
import time

import numpy as np
import torch

from headscarp import networks
from headscarp.training.devices import choose_device, device_name
from headscarp.training.progress import Progress
from headscarp.training.recipe import Recipe
from headscarp.training.trainer import EpochLoop, make_optimiser

CHANNELS = 6


class OneBatch:
    """Made-up windows as the trainer's source of batches: one batch an epoch, nothing to validate."""

    steps = 1

    def __init__(self, batch: int, planes: int, window: int) -> None:
        random = np.random.default_rng(0)
        image = torch.from_numpy(random.normal(size=(batch, planes, window, window)).astype(np.float32))
        target = torch.from_numpy(random.integers(0, 2, (batch, window, window)))
        self.batch = image, target, torch.ones(target.shape)

    def count(self, split: str) -> int:
        return len(self.batch[0])

    def training(self, epoch: int):
        yield self.batch

    def validation(self):
        return iter(())


def measure(arguments: argparse.Namespace, micro_batch: int | None, answers: multiprocessing.Queue) -> None:
    """Seconds and peak memory (MB: of the device, or of the process beyond what it held before the step) of a
    step."""
    torch.set_num_threads(arguments.threads)
    device = choose_device("auto")
    planes = arguments.dates * (CHANNELS + 1)
    model = networks.build("st_fusion", planes, 1, arguments.width, dates=arguments.dates).to(device)
    recipe = Recipe(
        loss="mse_bce", batch=arguments.batch, micro_batch=micro_batch, epochs=1, precision="float32"
    )
    loop = EpochLoop(
        model,
        make_optimiser(recipe, model),
        OneBatch(arguments.batch, planes, arguments.window),
        recipe,
        device,
        0,
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    loop.run_epoch(0, Progress("", 0, 1, False))
    seconds = time.perf_counter() - began
    peak = (
        torch.cuda.max_memory_allocated() / 1e6
        if device.type == "cuda"
        else (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3
    )
    answers.put((seconds, peak, device_name(device)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("window", 512), ("dates", 5), ("batch", 4), ("micro", 1), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--width", type=float, default=1.0)
    chosen = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    found = []
    for micro_batch in (None, chosen.micro):
        answers = context.Queue()
        process = context.Process(target=measure, args=(chosen, micro_batch, answers))
        process.start()
        found.append(answers.get())
        process.join()
    print(
        f"\n{chosen.batch} windows of {chosen.window} x {chosen.window} x {chosen.dates} dates on "
        f"{found[0][2]}, float32\n"
    )
    print("| step | seconds | peak MB |\n|---|---:|---:|")
    for name, (seconds, peak, _) in zip(
        ("at once", f"{chosen.micro} window(s) at a time"), found, strict=True
    ):
        print(f"| {name} | {seconds:.1f} | {peak:.0f} |")
    print(f"| ratio | {found[1][0] / found[0][0]:.2f} | {found[1][1] / found[0][1]:.2f} |")
