"""Training and mapping on a GPU: five networks at the sizes of their papers.

    PYTHONPATH=workflow/scripts python benchmarks/bench_gpu.py [--device cuda] [--quick] [--seconds 3]

Networks, channels, windows, batches and recipes are those of the cards at scale full (`--quick`: tiny, which
with `--device cpu` shows that the script works); the ground is made up. Prints Markdown line by line, so that
what was measured stays where time runs out. Exits with 1 where a check fails.
"""

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from headscarp.mapping.predict import Tiling, predict_strips
from headscarp.plan.plan import load_plan
from headscarp.training.batches import Batch, Batches, BatchSource
from headscarp.training.device_batches import DeviceBatches, FedBatches
from headscarp.training.devices import autocast, choose_device, choose_precision, compile_on_gpu, device_name
from headscarp.training.losses import make_loss, masked_mean
from headscarp.training.progress import Progress
from headscarp.training.recipe import Recipe
from headscarp.training.trainer import EpochLoop, make_optimiser, train
from headscarp.training.weights import build_network
from headscarp.training.windows import NormalisedCube, Samples, directions_of

ROOT = Path(__file__).parents[1]
RUNS = (
    ("gao2021", "zigui", "unet"),
    ("gao2021", "zigui", "segnet"),
    ("gao2021", "zigui", "fc_densenet"),
    ("xia2021", "mangkam", "fstf_net"),
    ("xing2026", "region_a", "resu_cbnet"),
)
MIB, SEED = 2**20, 0
WARM_UP = 5  # steps, in which kernels are chosen
MATRIX = {"cuda": 8192, "cpu": 512}  # side of the matrices whose product tells the roof
LOSS_TOLERANCE = 1e-3  # of a loss in float32 after some steps, device beside CPU


@dataclass(frozen=True)
class Case:
    """A training of a card on made-up ground."""

    name: str
    spec: dict
    window: int
    samples: Samples

    @property
    def recipe(self) -> Recipe:
        return Recipe.from_record(self.spec["recipe"])

    def model(self, device: torch.device) -> nn.Module:
        torch.manual_seed(SEED)
        return build_network(self.spec).to(device, memory_format=torch.channels_last)

    def batches(self, steps: int) -> Batches:
        recipe = self.recipe
        return Batches(self.samples, recipe.batch, SEED, steps, augment=True, jitter=0.1)


def open_cases(folder: Path, quick: bool) -> list[Case]:
    scale = "tiny" if quick else "full"
    config = {"cards": sorted({card for card, _, _ in RUNS}), "scale": scale, "protocols": ["blocked"]}
    plan = load_plan(config, ROOT)
    cases = []
    for card, site, experiment in RUNS:
        spec = plan.runs.record(card, experiment, "blocked", SEED, site)
        window = plan.runs.side_of_windows(card, experiment, site)
        samples = made_up_samples(folder / f"{card}_{experiment}.npy", spec, window, quick)
        cases.append(Case(f"{experiment} ({card})", spec, window, samples))
    return cases


def made_up_samples(path: Path, spec: dict, window: int, quick: bool) -> Samples:
    """Noise as a memory-mapped cube, with windows that overlap by half; classes follow the first channel."""
    scene, channels = (4 * window if quick else 2048), spec["channels"]
    random = np.random.default_rng(SEED)
    cube = np.lib.format.open_memmap(path, "w+", np.float32, (1, len(channels), scene, scene))
    for plane in cube[0]:
        plane[:] = random.random(plane.shape, np.float32)
    cube.flush()
    classes = max(2, spec["classes"])
    label = (cube[0, 0] * classes).astype(np.uint8)
    corners = range(0, scene - window + 1, window // 2)
    windows = np.array([(row, col, window, 0) for row in corners for col in corners])
    normalised = NormalisedCube(
        np.load(path, mmap_mode="r"),
        list(range(len(channels))),
        [0.5] * len(channels),
        [0.3] * len(channels),
        directions=directions_of(channels),
    )
    split = {"train": windows, "validation": windows[:0]}
    return Samples(normalised, label, np.ones_like(label), "published", split)


def finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(work: Callable[[], object], device: torch.device) -> float:
    finish(device)
    began = time.perf_counter()
    work()
    finish(device)
    return time.perf_counter() - began


def bf16_roof(device: torch.device) -> float:
    """Operations a second of a large product of bfloat16 matrices."""
    side, repeats = MATRIX[device.type], 20
    one = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    one @ one
    return 2 * side**3 * repeats / timed(lambda: [one @ one for _ in range(repeats)], device)


def operations_per_window(case: Case) -> float:
    """Of a forward and a backward pass, multiplications and additions counted apart."""
    with torch.device("meta"):
        model = build_network(case.spec).train()
        image = torch.empty(case.recipe.batch, len(case.spec["channels"]), case.window, case.window)
    with FlopCounterMode(display=False) as counter:
        found = model(image)
        sum(part.sum() for part in (found if isinstance(found, tuple) else (found,))).backward()
    return counter.get_total_flops() / case.recipe.batch


class BareLoop:
    """What a step cannot do without: one batch, on the device, over and over."""

    def __init__(self, case: Case, device: torch.device) -> None:
        self.model, self.recipe, self.device = case.model(device).train(), case.recipe, device
        self.optimiser = make_optimiser(self.recipe, self.model)
        self.loss = make_loss(self.recipe)
        self.batch = tuple(part.to(device) for part in next(case.batches(1).training(0)))
        self.precision = choose_precision(self.recipe.precision, device)

    def run(self, steps: int) -> None:
        image, target, mask = self.batch
        for _ in range(steps):
            with autocast(self.device, self.precision):
                found = self.model(image)
            logits = (found[0] if isinstance(found, tuple) else found).float()
            self.optimiser.zero_grad()
            masked_mean(self.loss(logits, target), mask).backward()
            self.optimiser.step()


def epoch_loop(case: Case, batches: BatchSource, device: torch.device, compiled: bool = False) -> EpochLoop:
    model, recipe = case.model(device), replace(case.recipe, epochs=2)
    if compiled:
        compile_on_gpu(model, device)
    return EpochLoop(model, make_optimiser(recipe, model), batches, recipe, device, SEED, keep_best=True)


def run_epoch(loop: EpochLoop) -> dict:
    return loop.run_epoch(0, Progress("epoch", 0, loop.batches.steps, shown=False))


def windows_per_second(
    case: Case, place: Callable[[Batches], BatchSource], steps: int, device: torch.device, compiled=False
) -> float:
    """Of an epoch of `steps` steps, after a short one."""
    loop = epoch_loop(case, place(case.batches(WARM_UP)), device, compiled)
    run_epoch(loop)
    loop.batches = place(case.batches(steps))
    return steps * case.recipe.batch / timed(lambda: run_epoch(loop), device)


def peak_mib(case: Case, device: torch.device) -> str:
    """Of the tensors on the device, in steps with the cube there."""
    if device.type != "cuda":
        return "-"
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    run_epoch(epoch_loop(case, DeviceBatches(case.batches(2), device), device))
    return f"{torch.cuda.max_memory_allocated(device) / MIB:.0f}"


def ways_to(device: torch.device) -> dict[str, Callable[[Batches], BatchSource]]:
    return {
        "on the device": lambda batches: DeviceBatches(batches, device),
        "fed": lambda batches: FedBatches(batches, device),
        "read in the loop": lambda batches: batches,
    }


def bench_training(cases: list[Case], device: torch.device, seconds: float) -> None:
    side, roof, ways = MATRIX[device.type], bf16_roof(device), ways_to(device)
    print(f"bf16 roof, measured by a product of matrices of {side}: {roof / 1e12:.2f} TFLOP/s\n")
    print(
        "Windows a second, and what they are of those of the bare loop, of the fed ones, and of the roof:\n"
    )
    columns = ("bare loop", *ways, "/ bare", "/ fed", "of the roof", "peak MiB")
    print("| network | window x channels, batch | " + " | ".join(columns) + " |")
    print("|---|---|" + "---:|" * len(columns))
    for case in cases:
        bare, found = measure_case(case, ways, device, seconds)
        shares = found[0] / bare, found[0] / found[1]
        of_roof = operations_per_window(case) * found[0] / roof
        cells = [
            case.name,
            f"{case.window} x {len(case.spec['channels'])}, {case.recipe.batch}",
            *(f"{one:.1f}" for one in (bare, *found)),
            *(f"{one:.2f}" for one in shares),
            f"{of_roof:.1%}",
            peak_mib(case, device),
        ]
        print("| " + " | ".join(cells) + " |", flush=True)


def measure_case(
    case: Case, ways: dict[str, Callable], device: torch.device, seconds: float
) -> tuple[float, list[float]]:
    """Windows a second of the bare loop and of all ways, each over about `seconds`."""
    bare = BareLoop(case, device)
    bare.run(WARM_UP)
    steps = max(WARM_UP, int(seconds / timed(lambda: bare.run(WARM_UP), device) * WARM_UP))
    reached = steps * case.recipe.batch / timed(lambda: bare.run(steps), device)
    return reached, [windows_per_second(case, place, steps, device) for place in ways.values()]


def bench_map(case: Case, device: torch.device, quick: bool) -> None:
    side = 128 if quick else 2048
    cube = case.samples.cube.part(slice(0, side), slice(0, side))
    tiling = Tiling.like_training(case.window)
    model = case.model(device)
    precision = choose_precision(case.recipe.precision, device)
    batch = max(1, 512 * 512 // tiling.pixels)
    height, width = cube.shape

    def work() -> None:
        for _ in predict_strips(model, cube, device, precision, 0, tiling, batch):
            pass

    work()
    took = timed(work, device)
    print(
        f"\nMap of {height} x {width} by {case.name}, windows of {tiling.window}: "
        f"{height * width / took / 1e6:.2f} Mpixel/s",
        flush=True,
    )


class Stopped(Exception):
    """A training is killed."""


class StopsAt:
    """The batches of a source, until an epoch begins."""

    def __init__(self, source: BatchSource, epoch: int) -> None:
        self.source, self.epoch = source, epoch
        self.steps, self.in_part, self.count = source.steps, source.in_part, source.count

    def training(self, epoch: int) -> Iterator[Batch]:
        if epoch == self.epoch:
            raise Stopped
        return self.source.training(epoch)

    def validation(self) -> Iterator[Batch]:
        return self.source.validation()


def check_resume(case: Case, device: torch.device, folder: Path) -> bool:
    """A training stopped after two of four epochs ends as near to one left alone as the same one repeated."""
    recipe = replace(case.recipe, epochs=4, patience=None)
    batches = DeviceBatches(case.batches(WARM_UP), device)

    def run(name: str, source: BatchSource) -> dict[str, torch.Tensor]:
        train(case.model(device), source, recipe, folder / name, SEED, device, "a", progress=False)
        return load_file(folder / name / "model.safetensors")

    def apart(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
        return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)

    whole, again = run("whole", batches), run("again", batches)
    with suppress(Stopped):
        run("stopped", StopsAt(batches, 2))
    began_again = (folder / "stopped" / "checkpoint.pt").exists()
    resumed = apart(run("stopped", batches), whole)
    repeated = apart(again, whole)
    print(
        f"| weights, resumed beside whole (whole beside itself repeated) | {resumed:.2g} ({repeated:.2g}) |"
    )
    return began_again and (resumed == 0 or resumed <= 10 * repeated)


def check_batches(case: Case, device: torch.device) -> bool:
    """Windows, targets and masks made on the device and those fed to it are those of the CPU."""
    host = case.batches(20)
    largest = 0.0
    for place in (DeviceBatches, FedBatches):
        for theirs, ours in zip(place(host, device).training(1), host.training(1), strict=True):
            gaps = (
                (one.cpu().double() - other.double()).abs().max()
                for one, other in zip(theirs, ours, strict=True)
            )
            largest = max(largest, *map(float, gaps))
    print(f"| batches, device beside CPU, largest difference | {largest:.2g} |")
    return largest < 1e-5


def check_losses(case: Case, device: torch.device) -> bool:
    """An epoch in float32 has the loss that it has on the CPU."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    spec = case.spec | {
        "network": case.spec["network"] | {"width": 0.125},
        "recipe": case.spec["recipe"] | {"precision": "float32"},
    }
    small = replace(case, spec=spec)
    here, there = (
        run_epoch(epoch_loop(small, place, where))["train_loss"]
        for place, where in (
            (small.batches(10), torch.device("cpu")),
            (DeviceBatches(small.batches(10), device), device),
        )
    )
    torch.backends.cudnn.allow_tf32 = True
    gap = abs(here - there) / here
    print(f"| training loss of 10 steps, device beside CPU, relative difference | {gap:.2g} |")
    return gap < LOSS_TOLERANCE


def check_waits(case: Case, device: torch.device) -> bool:
    """No step waits for the device, of training or validation: more steps do so no more often."""
    if device.type != "cuda":
        print(f"| times that a step waits for the device, {case.name} | - |")
        return True
    counts, windows = [], case.samples.windows["train"]
    both = replace(case.samples, windows={"train": windows, "validation": windows})
    case = replace(case, samples=both)
    for steps in (5, 15):
        loop = epoch_loop(case, DeviceBatches(case.batches(steps), device), device)
        run_epoch(loop)
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            run_epoch(loop)
            torch.cuda.set_sync_debug_mode("default")
        counts.append(sum("synchroniz" in str(one.message) for one in found))
    print(f"| times that a step waits for the device, {case.name} | {(counts[1] - counts[0]) / 10:g} |")
    return counts[0] == counts[1]


def bench_compiled(case: Case, device: torch.device, steps: int) -> None:
    plain, began = (
        windows_per_second(case, lambda one: DeviceBatches(one, device), steps, device),
        time.time(),
    )
    found = windows_per_second(case, lambda one: DeviceBatches(one, device), steps, device, compiled=True)
    print(
        f"\n`compile: true`, {case.name}: {found:.1f} windows/s, {found / plain:.2f} times as many as "
        f"without; {time.time() - began:.0f} s with compiling",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measured loop")
    options = parser.parse_args()
    device = choose_device(options.device)
    seconds = 0.2 if options.quick else options.seconds
    torch.set_num_threads(min(4, torch.get_num_threads()))
    sizes = "small sizes" if options.quick else "full sizes"
    print(f"{device_name(device)}, torch {torch.__version__}, {sizes}\n")
    with tempfile.TemporaryDirectory() as name:
        cases = open_cases(Path(name), options.quick)
        bench_training(cases, device, seconds)
        bench_map(cases[0], device, options.quick)
        print("\n| check | found |\n|---|---:|")
        passed = [
            check_batches(cases[3], device),
            check_losses(cases[0], device),
            check_resume(cases[4], device, Path(name)),
            *(check_waits(case, device) for case in cases[::3]),
        ]
        if device.type == "cuda":
            bench_compiled(cases[4], device, 200)
    print(f"\n{sum(passed)} of {len(passed)} checks passed")
    sys.exit(0 if all(passed) else 1)


if __name__ == "__main__":
    main()
