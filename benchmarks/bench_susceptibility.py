"""Peak memory of a dense susceptibility map by height of the strips; and its time beside that of window by
window.

    PYTHONPATH=workflow/scripts python benchmarks/bench_susceptibility.py [--width 0.25] [--factors 14]
    [--size 112] [--threads 1]

Prints two Markdown tables. Memory is measured on a map four times as wide and high, in a process each. Both
ways of the second table run in this process, on one random map, with the same network and device; the largest
difference of their maps is printed. Models of several windows share nothing, so that both ways are the same
there.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from headscarp import networks
from headscarp.mapping.dense import map_window_by_window, susceptibility_map
from headscarp.training.devices import choose_device, device_name

MODELS = {"12": [12], "22": [22], "12, 17, 22": [12, 17, 22]}
TARGETS = {"12": 10, "22": 30}
STRIPS = (16, 64, 256)


def make_model(windows: list[int], options: argparse.Namespace) -> tuple[torch.nn.Module, torch.device]:
    torch.manual_seed(0)
    device = choose_device()
    return networks.build("cnn3d", options.factors, width=options.width, windows=windows).to(
        device
    ).eval(), device


def make_map(options: argparse.Namespace, size: int) -> np.ndarray:
    return np.random.default_rng(0).random((options.factors, size, size), np.float32)


def timed(work: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    began = time.perf_counter()
    result = work()
    return result, time.perf_counter() - began


def compare(windows: list[int], options: argparse.Namespace) -> tuple[float, float, float]:
    """Seconds window by window, seconds densely, largest difference of the probabilities."""
    model, device = make_model(windows, options)
    factors, largest = make_map(options, options.size), max(windows)
    on_device = torch.from_numpy(factors).to(device)

    def each() -> np.ndarray:
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return map_window_by_window(model, on_device).cpu().numpy()

    with torch.inference_mode():  # kernels are chosen and memory is taken at the first call
        map_window_by_window(model, on_device[:, : largest + 2])
    susceptibility_map(model, factors[:, : largest + 2], device)
    by_window, slow = timed(each)
    dense, fast = timed(lambda: susceptibility_map(model, factors, device))
    first = largest // 2
    inside = dense[first:, first:][: by_window.shape[0], : by_window.shape[1]]
    return slow, fast, float(np.abs(inside - by_window).max())


def measure_memory(windows: list[int], strip_rows: int, options: argparse.Namespace) -> None:
    """Map in this process and print {seconds, peak (MB beyond what was there before)} as JSON."""
    model, device = make_model(windows, options)
    factors = make_map(options, 4 * options.size)
    before = peak(device)
    _, seconds = timed(lambda: susceptibility_map(model, factors, device, strip_rows))
    print(json.dumps({"seconds": seconds, "peak": peak(device) - before}))


def peak(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--factors", type=int, default=14)
    parser.add_argument("--size", type=int, default=112, help="side of the map in cells")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--measure", nargs=2, metavar=("WINDOW", "ROWS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.measure:
        measure_memory(MODELS[options.measure[0]], int(options.measure[1]), options)
        return

    side = 4 * options.size
    print(f"{options.factors} factors, width {options.width:g}, {device_name(choose_device())}\n")
    # First, because on Linux a process begins with the peak of the one that started it.
    print(
        f"| window | rows of a strip | seconds ({side} x {side} cells) | peak memory, MB "
        f"|\n|---|---:|---:|---:|"
    )
    settings = [f"--{key}={getattr(options, key)}" for key in ("width", "factors", "size", "threads")]
    for name in TARGETS:
        for strip_rows in STRIPS:
            command = [sys.executable, __file__, *settings, "--measure", name, str(strip_rows)]
            found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
            print(f"| {name} | {strip_rows} | {found['seconds']:.1f} | {found['peak']:.0f} |", flush=True)

    print(
        f"\n| window ({options.size} x {options.size} cells) | one by one, s | dense, s | times faster "
        f"| asked for | largest difference |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    for name, windows in MODELS.items():
        slow, fast, difference = compare(windows, options)
        print(
            f"| {name} | {slow:.2f} | {fast:.3f} | {slow / fast:.1f} | {TARGETS.get(name, '-')} | "
            f"{difference:.1e} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
