"""Batches made on a device against those of the CPU, bit for bit on CPU tensors; and what a step may ask of a
device, on one that cannot answer (`meta`)."""

import threading
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from headscarp import networks
from headscarp.errors import HeadscarpError
from headscarp.training import trainer
from headscarp.training.batches import Batches
from headscarp.training.cells import CellBatches
from headscarp.training.device_batches import DeviceBatches, FedBatches, ground_bytes, place_batches
from headscarp.training.devices import compile_on_gpu
from headscarp.training.progress import Progress
from headscarp.training.recipe import Recipe
from headscarp.training.trainer import EpochLoop, PixelMean, make_optimiser, train
from headscarp.training.validation import ValidationScore
from headscarp.training.windows import NormalisedCube, NormalisedSeries, Samples, directions_of

CPU, META = torch.device("cpu"), torch.device("meta")
CHANNELS = ["red", "aspect_cos", "slope", "aspect", "aspect_sin"]
SIDE = 12


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def make_samples(kind: type = NormalisedCube, protocol: str = "blocked", clouded: bool = True) -> Samples:
    """A scene of 60 x 50 with three dates, holes, clouds, azimuths (0, 360 and flat ground among them); its
    windows begin neither in the first row nor column, and read two of the dates."""
    random = np.random.default_rng(4)
    values = random.normal(3, 2, (3, 7, 60, 50)).astype(np.float32)
    values[:, 5] = random.uniform(0, 360, (3, 60, 50))
    values[:, 5, ::4] = -1
    values[:, 5, 1::4, ::3] = 0
    values[:, 5, 2::4, ::3] = 360
    values[1, :, 20:25, 12:20] = np.nan
    values[2, 1, 30:35] = np.nan
    values[:, 2, 40:43, 8:20] = np.inf
    values[0, [1, 3], 22:30, 25:] = np.nan
    mean, sd = [3.0, 0.1, 2.5, 0.0, -0.2], [2.0, 0.7, 0.0, 110.0, 0.6]
    if kind is NormalisedSeries:
        mean, sd = ([[one + 0.3 * date for one in row] for date in range(3)] for row in (mean, sd))
    observed_by = [clouded, False, clouded, False, False]
    cube = kind(values, [1, 4, 3, 5, 2], mean, sd, observed_by, directions_of(CHANNELS))
    label = random.integers(0, 3, (60, 50)).astype(np.uint8)
    label[33:37, 10:30] = 255
    regions = np.repeat([0, 1, 2, 3], 15)[:, None] * np.ones((1, 50), int)
    train = [(row, col, SIDE, date) for row in (5, 13, 20) for col in (3, 17, 31) for date in (0, 2)]
    validation = [(row, col, SIDE, 2) for row in (28, 34) for col in (4, 20, 36)]
    windows = {"train": np.array(train), "validation": np.array(validation)}
    return Samples(cube, label, regions.astype(np.uint8), protocol, windows)


def assert_same_bits(found, wanted) -> None:
    count = 0
    for ours, theirs in zip(found, wanted, strict=True):
        count += 1
        for one, other in zip(ours, theirs, strict=True):
            assert one.dtype == other.dtype and one.stride() == other.stride()
            bits, wanted_bits = (tensor.contiguous().numpy().view(np.uint8) for tensor in (one, other))
            np.testing.assert_array_equal(bits, wanted_bits)
    assert count


class TestDeviceBatches:
    @pytest.mark.parametrize("kind", [NormalisedCube, NormalisedSeries])
    @pytest.mark.parametrize(
        ("protocol", "clouded", "options"),
        [
            ("blocked", True, {}),
            ("published", False, {"augment": True}),
            ("blocked", True, {"augment": True, "jitter": 0.2, "steps": 9}),
            ("published", True, {"jitter": 0.1, "class_weights": np.array([0.5, 2, 1], np.float32)}),
        ],
    )
    def test_they_are_those_of_the_cpu(self, kind, protocol, clouded, options):
        host = Batches(make_samples(kind, protocol, clouded), 4, seed=3, **options)
        there = DeviceBatches(host, CPU)
        assert (there.steps, there.in_part, there.count("train")) == (host.steps, False, 18)
        for epoch in (0, 1):
            assert_same_bits(there.training(epoch), host.training(epoch))
        assert_same_bits(there.validation(), host.validation())

    def test_dates_come_in_the_same_order(self):
        host = Batches(make_samples(NormalisedSeries), 5, seed=1, augment=True, shuffled=True)
        plain = Batches(make_samples(NormalisedSeries), 5, seed=1, augment=True)
        assert_same_bits(DeviceBatches(host, CPU).training(2), host.training(2))
        assert not torch.equal(next(host.training(2))[0], next(plain.training(2))[0])

    def test_a_cube_of_one_date_trains_where_it_has_no_data(self):
        samples = make_samples()
        cube = samples.cube
        one = NormalisedCube(cube.values[:1], cube.channels, cube.mean[0, :, 0, 0], cube.sd[0, :, 0, 0])
        windows = {split: found * [1, 1, 1, 0] for split, found in samples.windows.items()}
        host = Batches(replace(samples, cube=one, windows=windows), 4, seed=0)
        assert_same_bits(DeviceBatches(host, CPU).training(0), host.training(0))

    def test_there_may_be_nothing_to_validate_on(self):
        samples = make_samples()
        none = {"train": samples.windows["train"], "validation": samples.windows["validation"][:0]}
        host = Batches(replace(samples, windows=none), 4, seed=0)
        there = DeviceBatches(host, CPU)
        assert not list(there.validation())
        assert_same_bits(there.training(0), host.training(0))

    def test_half_an_azimuth_cannot_be_turned(self):
        samples = make_samples()
        cube = samples.cube
        half = NormalisedCube(cube.values, [4], [0.0], [1.0], None, directions_of(["aspect_cos"]))
        there = DeviceBatches(Batches(replace(samples, cube=half), 4, seed=0, augment=True), CPU)
        with pytest.raises(HeadscarpError, match=r"aspect_sin and aspect_cos only one.*augment: false"):
            next(there.training(0))

    def test_a_network_ends_with_the_same_weights(self, tmp_path):
        recipe = Recipe(batch=4, epochs=2, augment=True, jitter=0.1, loss="cross_entropy")
        host = Batches(make_samples(), 4, seed=0, augment=True, jitter=0.1)
        for name, batches in (("host", host), ("there", DeviceBatches(host, CPU))):
            train(network(), batches, recipe, tmp_path / name, 0, CPU, "a", progress=False)
        whole, there = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("host", "there"))
        assert whole == there


def network(planes: int = 5) -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(planes, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 3, 1))


class TestPlaceBatches:
    def test_the_way_follows_device_size_and_parts(self):
        samples = make_samples()
        batches = Batches(samples, 4, seed=0)
        # Rows 5 to 45 and columns 3 to 47 at two of three dates: float32, and a label and a region of a byte.
        assert ground_bytes(samples) == (46 - 5) * (48 - 3) * (2 * 5 * 4 + 2)
        assert place_batches(batches, CPU, 4096) is batches
        assert isinstance(place_batches(batches, META, 1), DeviceBatches)
        assert isinstance(place_batches(batches, META, 0), FedBatches)
        assert isinstance(place_batches(batches, META, 1, micro_batch=2), FedBatches)


class TestFedBatches:
    def test_nothing_is_lost_and_the_order_stays(self):
        host = Batches(make_samples(), 4, seed=3, augment=True, jitter=0.2)
        fed = FedBatches(host, CPU)
        assert (fed.steps, fed.count("train")) == (host.steps, 18)
        assert_same_bits(fed.training(1), host.training(1))
        assert_same_bits(fed.validation(), host.validation())

    def test_an_error_of_the_reader_is_told(self):
        class Broken(Batches):
            def training(self, epoch):
                yield from list(super().training(epoch))[:2]
                raise HeadscarpError("the cube is gone")

        read = []
        with pytest.raises(HeadscarpError, match="the cube is gone"):
            for batch in FedBatches(Broken(make_samples(), 4, seed=3), CPU).training(0):
                read.append(batch)
        assert len(read) == 2

    def test_a_reader_that_is_left_ends(self):
        before = threading.active_count()
        batches = FedBatches(Batches(make_samples(), 4, seed=3), CPU).training(0)
        next(batches)
        assert threading.active_count() == before + 1
        batches.close()
        assert threading.active_count() == before


class CopiesToDevice(TorchDispatchMode):
    """Counts operations that bring something from the CPU to `meta`. What asks `meta` for a value fails by
    itself: there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        devices = {one.device.type for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)}
        made = {one.device.type for one in tree_leaves(result) if isinstance(one, torch.Tensor)}
        moves = "cpu" in devices and "meta" in devices | made
        # Scalars of the optimiser are arguments of kernels.
        numbers = all(
            one.ndim == 0
            for one in tree_leaves(args)
            if isinstance(one, torch.Tensor) and one.device.type == "cpu"
        )
        if moves and not numbers:
            self.counts[str(func)] += 1
        return result


def copies_in_an_epoch(monkeypatch, samples: Samples, recipe: Recipe, model: nn.Module, steps: int) -> int:
    monkeypatch.setattr(PixelMean, "value", lambda self: 0.0)
    monkeypatch.setattr(ValidationScore, "value", lambda self: 0.0)
    monkeypatch.setattr(trainer, "autocast", lambda device, precision: nullcontext())
    weights = np.ones(3, np.float32) if recipe.class_weights else None
    host = Batches(samples, recipe.batch, 0, steps, recipe.augment, recipe.jitter, weights)
    batches = DeviceBatches(host, META)
    loop = EpochLoop(model.to(META), make_optimiser(recipe, model), batches, recipe, META, 0, keep_best=True)
    with CopiesToDevice() as copies:
        loop.run_epoch(0, Progress("epoch", 0, steps, shown=False))
    return sum(copies.counts.values())


LOSSES = [
    Recipe(batch=4, augment=True, jitter=0.1, positive_weight=2.0),
    Recipe(batch=4, loss="focal", optimiser="sgd"),
    Recipe(batch=4, loss="mse_bce"),
    Recipe(batch=4, loss="cross_entropy", class_weights="balanced", augment=True),
]


class TestNothingWaits:
    @pytest.mark.parametrize("recipe", LOSSES, ids=lambda recipe: recipe.loss)
    @pytest.mark.parametrize("outputs", [2, 3])
    def test_steps_ask_nothing_of_the_device(self, monkeypatch, recipe, outputs):
        model = nn.Conv2d(5, outputs, 3, padding=1)
        few, many = (
            copies_in_an_epoch(monkeypatch, make_samples(), recipe, model, steps) for steps in (2, 5)
        )
        assert few == many > 0

    def test_labels_in_part_neither(self, monkeypatch):
        samples = make_samples()
        samples.label[:, ::3] = 254
        model, recipe = nn.Conv2d(5, 3, 3, padding=1), Recipe(batch=4, loss="cross_entropy")
        few, many = (copies_in_an_epoch(monkeypatch, samples, recipe, model, steps) for steps in (2, 5))
        assert few == many > 0

    def test_cells_neither(self):
        def copies(steps: int) -> int:
            cells = tuple(torch.full((40,), 20, device=META) for _ in range(3))
            batches = CellBatches(
                factors=torch.zeros(2, 50, 50, device=META),
                without_mean=torch.tensor([True, False], device=META),
                subsets={"train": cells, "validation": cells},
                weights=torch.ones(2, device=META),
                windows=(12, 17, 22),
                batch=4,
                steps=steps,
                seed=0,
            )
            with CopiesToDevice() as counted:
                assert len([*batches.training(0), *batches.validation()]) == 2 * steps
            return sum(counted.counts.values())

        copies(1)  # shares of cells are brought there once in a process
        assert copies(2) == copies(5) > 0

    def test_what_waits_would_be_seen(self, monkeypatch):
        class Asking(nn.Conv2d):
            def forward(self, windows):
                return super().forward(windows * windows.max().item())

        class Sending(nn.Conv2d):
            def forward(self, windows):
                return super().forward(windows * torch.ones(5, 1, 1).to(windows.device))

        with pytest.raises(Exception, match="meta"):
            copies_in_an_epoch(monkeypatch, make_samples(), LOSSES[1], Asking(5, 3, 1), 2)
        few, many = (
            copies_in_an_epoch(monkeypatch, make_samples(), LOSSES[1], Sending(5, 3, 1), steps)
            for steps in (2, 5)
        )
        assert many == few + 3

    @pytest.mark.parametrize("name", [name for name in networks.names() if name != "cnn3d"])
    def test_no_network_does(self, name):
        dates = {"dates": 2} if networks.takes_dates(name) else {}
        with META:
            model = networks.build(name, 6, classes=3, width=0.0625, **dates)
            windows = torch.empty(2, 6, 64, 64)
        with CopiesToDevice() as copies:
            model(windows)
        assert not copies.counts


class TestCompiled:
    recipe = Recipe(batch=4, epochs=3, loss="cross_entropy")

    def train_here(self, folder, recipe, compiled: bool) -> nn.Module:
        model = network()
        if compiled:
            compile_on_gpu(model, torch.device("cuda"))
        train(model, Batches(make_samples(), 4, seed=0), recipe, folder, 0, CPU, "a", progress=False)
        return model

    def test_weights_keep_their_names_and_resume(self, tmp_path, monkeypatch):
        compiled = []

        def with_eager_kernels(function, *options, **named):
            compiled.append(function)
            return whole_compile(function, *options, backend="eager", **named)

        whole_compile = torch.compile
        monkeypatch.setattr(torch, "compile", with_eager_kernels)
        plain = self.train_here(tmp_path / "plain", self.recipe, compiled=False)
        model = self.train_here(tmp_path / "compiled", self.recipe, compiled=True)
        assert len(compiled) == 1 and model.state_dict().keys() == plain.state_dict().keys()

        class Killed(Exception):
            pass

        def kill(*args, **named):
            raise Killed

        with monkeypatch.context() as killing, pytest.raises(Killed):
            killing.setattr(trainer, "write_history", kill)
            self.train_here(tmp_path / "killed", self.recipe, compiled=False)
        assert (tmp_path / "killed" / "checkpoint.pt").exists()
        self.train_here(tmp_path / "killed", self.recipe, compiled=True)
        weights = [
            (tmp_path / name / "model.safetensors").read_bytes() for name in ("plain", "compiled", "killed")
        ]
        assert weights[0] == weights[1] == weights[2]

    def test_a_cpu_compiles_nothing(self, monkeypatch):
        monkeypatch.setattr(torch, "compile", partial(pytest.fail, "compiled"))
        compile_on_gpu(network(), CPU)
