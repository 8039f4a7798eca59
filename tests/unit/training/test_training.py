"""Learning: losses against torch and formulas, windows against slices, and a resume that ends with the same
bits."""

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import accuracy_score
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from torch.nn import functional

from headscarp.codes import NOT_LANDSLIDE
from headscarp.errors import HeadscarpError
from headscarp.schema import validate
from headscarp.training import trainer
from headscarp.training.batches import Batches
from headscarp.training.devices import autocast, choose_device, choose_precision
from headscarp.training.losses import make_loss, masked_mean
from headscarp.training.recipe import Recipe
from headscarp.training.schedules import learning_rate_at
from headscarp.training.trainer import (
    TrainingState,
    keeps_best,
    make_optimiser,
    train,
    train_run,
    tuned_recipe,
)
from headscarp.training.weights import load_network
from headscarp.training.windows import apply_symmetry, open_samples
from tests.conftest import REPOSITORY
from train_network import only

CPU = torch.device("cpu")
CHANNELS = ["red", "slope", "nir"]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def site(tmp_path):
    """A made-up scene of 96 x 80 pixels, two dates, four channels; windows of 16; label 1 follows the channel
    `red`."""
    return make_site(tmp_path)


def make_site(folder: Path, protocol: str = "blocked") -> tuple[Path, Path]:
    random = np.random.default_rng(0)
    cube_folder, samples_folder = folder / "cube", folder / "samples"
    cube_folder.mkdir(parents=True)
    samples_folder.mkdir()
    cube = random.normal(5, 2, (2, 4, 96, 80)).astype(np.float32)
    label = (cube[1, 2] > 6).astype(np.uint8)
    cube[1, :, 3:6, 10:14] = np.nan
    label[:, 70:] = 255
    regions = np.zeros(label.shape, np.uint8)
    regions[:40], regions[44:70], regions[74:] = 1, 2, 3
    windows = [(row, col, 16, 1, "train") for row in (0, 16, 28) for col in range(0, 65, 8)]
    windows += [(row, col, 16, 1, "validation") for row in (44, 54) for col in (0, 32, 64)]
    if protocol == "published":
        regions[:] = np.where(label == 255, 0, 3)
    np.save(cube_folder / "cube.npy", cube)
    np.save(cube_folder / "label.npy", label)
    np.save(samples_folder / "regions.npy", regions)
    names = ["nir", "elevation", "red", "slope"]
    (cube_folder / "cube.json").write_text(json.dumps({"channels": [{"name": name} for name in names]}))
    scale = {name: {"mean": 5.0 + k, "sd": 2.0 + k} for k, name in enumerate(names)}
    (samples_folder / "samples.json").write_text(json.dumps({"protocol": protocol, "normalisation": scale}))
    with open(samples_folder / "windows.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([("row", "col", "size", "date", "split"), *windows])
    return cube_folder, samples_folder


def tiny_network(dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Dropout2d(dropout),
        nn.Conv2d(6, 6, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(6, 1, 1),
    )


def batches_of(site, recipe: Recipe, seed: int = 0) -> Batches:
    return Batches(
        open_samples(*site, CHANNELS),
        recipe.batch,
        seed,
        recipe.steps_per_epoch,
        recipe.augment,
        recipe.jitter,
    )


def train_here(site, folder, recipe, fingerprint="a", model=None, keep_best=True):
    model, batches = model or tiny_network(dropout=0.2), batches_of(site, recipe)
    return train(model, batches, recipe, folder, 0, CPU, fingerprint, progress=False, keep_best=keep_best)


class TestRecipe:
    def test_what_goes_out_comes_back(self):
        recipe = Recipe.from_record(
            {"loss": "focal", "loss_params": {"gamma": 1.0}, "schedule": "one_cycle", "patience": 3}
        )
        assert recipe.loss_params == {"alpha": 0.25, "gamma": 1.0}
        assert Recipe.from_record(json.loads(json.dumps(recipe.to_record()))) == recipe

    @pytest.mark.parametrize(
        ("record", "told"),
        [
            ({"learning_rat": 1.0}, "learning_rate"),
            ({"loss": "focl"}, "focal"),
            ({"loss": "focal", "loss_params": {"gama": 1}}, "gamma"),
            ({"schedule": "cosin"}, "cosine"),
            ({"learning_rate": "1e-4"}, "1.0e-4"),
            ({"learning_rate": 0.0}, "learning_rate"),
            ({"epochs": -1}, "epochs"),
            ({"epochs": 1.5}, "epochs"),
            ({"batch": 1.5}, "batch"),
            ({"batch": None}, "batch"),
            ({"augment": "yes"}, "augment"),
        ],
    )
    def test_bad_records_are_told(self, record, told):
        with pytest.raises(HeadscarpError, match=told):
            validate("training", record, "recipe")


class TestDevices:
    def test_missing_devices_are_told(self):
        assert choose_device("cpu") == CPU
        for name in ("cuda:77", "tpu", "gpu"):
            with pytest.raises(HeadscarpError, match="cpu"):
                choose_device(name)

    def test_precision(self):
        assert choose_precision("float32", CPU) is torch.float32
        layer, image = nn.Conv2d(1, 1, 1), torch.zeros(1, 1, 2, 2)
        for name in ("float32", "bfloat16"):
            precision = choose_precision(name, CPU)
            with autocast(CPU, precision):
                assert layer(image).dtype is precision


class TestLosses:
    logits = torch.randn(4, 1, 6, 5, generator=torch.Generator().manual_seed(1)) * 3
    target = torch.randint(2, (4, 6, 5), generator=torch.Generator().manual_seed(2))
    mask = (torch.rand(4, 6, 5, generator=torch.Generator().manual_seed(3)) > 0.4).float()
    many = torch.randn(4, 3, 6, 5, generator=torch.Generator().manual_seed(4))
    classes = torch.randint(3, (4, 6, 5), generator=torch.Generator().manual_seed(5))

    def masked(self, recipe: Recipe, logits=None, target=None):
        logits, target = (self.logits, self.target) if logits is None else (logits, target)
        return masked_mean(make_loss(recipe)(logits, target), self.mask)

    def test_binary_cross_entropy(self):
        kept = self.mask.bool()
        wanted = functional.binary_cross_entropy_with_logits(
            self.logits[:, 0][kept], self.target[kept].float(), pos_weight=torch.tensor(3.0)
        )
        assert self.masked(Recipe(positive_weight=3.0)) == pytest.approx(float(wanted), rel=1e-6)

    def test_two_logits_say_what_one_says(self):
        pair = torch.cat([torch.zeros_like(self.logits), self.logits], 1)
        for loss in ("cross_entropy", "focal"):
            assert float(self.masked(Recipe(loss=loss), pair, self.target)) == pytest.approx(
                float(self.masked(Recipe(loss=loss))), rel=1e-5
            )

    def test_cross_entropy(self):
        ignored = torch.where(self.mask.bool(), self.classes, 255)
        wanted = functional.cross_entropy(self.many, ignored, ignore_index=255)
        assert float(self.masked(Recipe(loss="cross_entropy"), self.many, self.classes)) == pytest.approx(
            float(wanted), rel=1e-6
        )

    def test_labels_in_part_ask_for_anything_but_a_landslide(self):
        in_part = torch.rand(4, 6, 5, generator=torch.Generator().manual_seed(6)) < 0.5
        target = torch.where(in_part, NOT_LANDSLIDE, self.classes)
        losses = make_loss(Recipe(loss="cross_entropy"), in_part=True)(self.many, target)
        p = self.many.double().softmax(1)[:, 1]
        whole = functional.cross_entropy(self.many, self.classes, reduction="none")
        wanted = torch.where(in_part, -(1 - p).log().float(), whole)
        torch.testing.assert_close(losses, wanted, rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize(
        "odd", [{"loss": "focal"}, {"positive_weight": 2.0}, {"class_weights": "balanced"}]
    )
    def test_labels_in_part_have_one_loss(self, odd):
        with pytest.raises(HeadscarpError, match="no landslide need `loss: cross_entropy`"):
            make_loss(Recipe(**{"loss": "cross_entropy"} | odd), in_part=True)

    def test_focal(self):
        p = self.logits[:, 0].double().sigmoid()
        landslide = self.target == 1
        p_t, alpha_t = torch.where(landslide, p, 1 - p), torch.where(landslide, 0.7, 0.3)
        wanted = (-alpha_t * (1 - p_t) ** 1.5 * p_t.log())[self.mask.bool()].mean()
        recipe = Recipe(loss="focal", loss_params={"alpha": 0.7, "gamma": 1.5})
        assert float(self.masked(recipe)) == pytest.approx(float(wanted), rel=1e-5)

    def test_mse_and_bce(self):
        kept = self.mask.bool()
        p, t = self.logits[:, 0].sigmoid()[kept], self.target[kept].float()
        wanted = functional.mse_loss(p, t) / 2 + functional.binary_cross_entropy(p, t)
        assert float(self.masked(Recipe(loss="mse_bce"))) == pytest.approx(float(wanted), rel=1e-5)
        hot = functional.one_hot(self.classes, 3).permute(0, 3, 1, 2)[kept[:, None].expand_as(self.many)]
        squares = functional.mse_loss(self.many.softmax(1)[kept[:, None].expand_as(self.many)], hot.float())
        wanted = squares / 2 + functional.cross_entropy(
            self.many.permute(0, 2, 3, 1)[kept], self.classes[kept]
        )
        assert float(self.masked(Recipe(loss="mse_bce"), self.many, self.classes)) == pytest.approx(
            float(wanted), rel=1e-5
        )

    def test_large_logits_and_empty_masks_stay_finite(self):
        for loss in ("bce", "focal", "mse_bce", "cross_entropy"):
            logits = torch.full((1, 1, 1, 1), 200.0, requires_grad=True)
            value = masked_mean(
                make_loss(Recipe(loss=loss))(logits, torch.zeros(1, 1, 1, dtype=torch.int64)),
                torch.zeros(1, 1, 1),
            )
            value.backward()
            assert value == 0 and torch.isfinite(logits.grad).all()


class TestSchedules:
    @pytest.mark.parametrize(
        ("recipe", "make"),
        [
            (
                Recipe(schedule="step", schedule_params={"every": 7, "factor": 0.5}),
                lambda o: torch.optim.lr_scheduler.StepLR(o, 7, 0.5),
            ),
            (Recipe(schedule="cosine"), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 40)),
            (Recipe(schedule="one_cycle"), lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 1e-4, 40)),
            (Recipe(), lambda o: torch.optim.lr_scheduler.ConstantLR(o, 1.0)),
        ],
    )
    def test_rates_are_torchs(self, recipe, make):
        optimiser = torch.optim.Adam([torch.zeros(1, requires_grad=True)], recipe.learning_rate)
        schedule = make(optimiser)
        for step in range(40):
            assert learning_rate_at(recipe, step, 40) == pytest.approx(
                optimiser.param_groups[0]["lr"], rel=1e-9
            )
            optimiser.step()
            schedule.step()

    def test_the_shortest_trainings_have_rates(self):
        for steps in (1, 2, 3, 4):
            assert all(
                math.isfinite(learning_rate_at(Recipe(schedule="one_cycle"), step, steps))
                for step in range(steps)
            )


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_optimisers_step_as_those_of_torch_do(kind):
    def weights_after_steps(make):
        torch.manual_seed(3)
        model = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3), torch.nn.ReLU(), torch.nn.Conv2d(4, 1, 1))
        optimiser = make(model)
        for step in range(4):
            if step == 2:  # a checkpoint in between, as of a resumed run
                state = optimiser.state_dict()
                optimiser = make(model)
                optimiser.load_state_dict(state)
            optimiser.zero_grad(set_to_none=True)
            model(torch.randn(3, 2, 8, 8)).square().mean().backward()
            optimiser.step()
        return torch.cat([weight.flatten() for weight in model.parameters()])

    recipe = Recipe(optimiser=kind, learning_rate=0.01, momentum=0.9, weight_decay=1e-3)
    theirs = {
        "adam": lambda model: torch.optim.Adam(model.parameters(), 0.01, weight_decay=1e-3),
        "sgd": lambda model: torch.optim.SGD(model.parameters(), 0.01, 0.9, weight_decay=1e-3),
    }
    assert torch.equal(
        weights_after_steps(lambda model: make_optimiser(recipe, model)), weights_after_steps(theirs[kind])
    )


@pytest.mark.slow
def test_a_training_does_not_wait_for_the_compiler_of_torch():
    code = (
        "import sys, torch; from headscarp.training.recipe import Recipe; from "
        "headscarp.training.trainer import make_optimiser;"
        "model = torch.nn.Linear(2, 1); optimiser = make_optimiser(Recipe(), model); "
        "model(torch.ones(1, 2)).sum().backward();"
        "optimiser.step(); optimiser.zero_grad(); optimiser.load_state_dict(optimiser.state_dict()); "
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


class TestWindows:
    def test_a_window_is_a_slice(self, site):
        samples = open_samples(*site, CHANNELS)
        cube, label = np.load(site[0] / "cube.npy"), np.load(site[0] / "label.npy")
        whole = np.stack([(cube[1, k] - (5.0 + k)) / (2.0 + k) for k in (2, 3, 0)])
        assert isinstance(samples.cube.values, np.memmap)
        assert samples.windows["train"][0].tolist() == [0, 0, 16, 1]
        image, target, mask = samples.read("train", 1)  # row 0, col 8: holds the no-data patch
        np.testing.assert_allclose(image, np.nan_to_num(whole[:, :16, 8:24]), rtol=1e-5, atol=1e-6)
        assert (image[:, 3:6, 2:6] == 0).all() and np.isfinite(image).all()
        np.testing.assert_array_equal(target, label[:16, 8:24])
        assert mask.all()

    def test_masks_follow_labels_and_regions(self, tmp_path):
        blocked = open_samples(*make_site(tmp_path / "blocked"), CHANNELS)
        last = (
            len(blocked.windows["train"]) - 1
        )  # row 28, col 64: reaches over the training region's end at 40 and the mapped columns' at 70
        _, target, mask = blocked.read("train", last)
        wanted = np.zeros((16, 16), bool)
        wanted[:12, :6] = True
        np.testing.assert_array_equal(mask, wanted)
        assert set(np.unique(target)) <= {0, 1}
        wanted[:, :6] = True
        published = open_samples(*make_site(tmp_path / "published", "published"), CHANNELS)
        np.testing.assert_array_equal(published.read("train", last)[2], wanted)

    def test_order_is_a_function_of_seed_and_epoch(self, site):
        batches = batches_of(site, Recipe(batch=4))
        assert batches.steps == 7 and len(batches.order(0)) == 28
        np.testing.assert_array_equal(batches.order(3), batches_of(site, Recipe(batch=4)).order(3))
        assert set(batches.order(0)) == set(range(27))
        assert (batches.order(0) != batches.order(1)).any()
        assert (batches.order(0) != batches_of(site, Recipe(batch=4), seed=1).order(0)).any()

    def test_batches(self, site):
        batches = batches_of(site, Recipe(batch=4, steps_per_epoch=2, augment=True))
        image, target, mask = next(batches.training(0))
        assert image.shape == (4, 3, 16, 16) and image.is_contiguous(memory_format=torch.channels_last)
        assert target.shape == mask.shape == (4, 16, 16) and target.dtype is torch.int64
        again = [part for batch in batches.training(5) for part in batch]
        assert all(
            torch.equal(a, b)
            for a, b in zip(again, [part for batch in batches.training(5) for part in batch], strict=True)
        )
        assert sum(len(batch[0]) for batch in batches.validation()) == 6
        assert (
            sum(len(batch[0]) for batch in batches_of(site, Recipe(batch=2, steps_per_epoch=2)).validation())
            == 4
        )

    def test_jitter_changes_every_channel_by_one_gain_and_offset_and_repeats(self, site):
        plain, jittered, again = (
            list(batches_of(site, Recipe(batch=4, jitter=jitter)).training(1)) for jitter in (0.0, 0.2, 0.2)
        )
        for (before, _, _), (after, *_), (repeated, *_) in zip(plain, jittered, again, strict=True):
            torch.testing.assert_close(after, repeated, rtol=0, atol=0)
            for x, y in zip(before.flatten(0, 1), after.flatten(0, 1), strict=True):
                gain, offset = np.polyfit(x.ravel(), y.ravel(), 1)
                np.testing.assert_allclose(gain * x + offset, y, atol=1e-4)
        assert not torch.equal(plain[0][0], jittered[0][0])

    def test_augmentation_keeps_image_and_label_together(self, site):
        samples = open_samples(*site, CHANNELS)
        batches = Batches(samples, 9, seed=0, augment=True)
        turned = 0
        for image, target, mask in batches.training(0):
            # The label was drawn where the standardised red exceeds 6; both must still agree after turning.
            red = image[:, 0] * 4.0 + 7.0
            told = (red > 6).long()
            kept = (mask == 1) & (image != 0).any(1)
            assert torch.equal(told[kept], target[kept])
            turned += len(image)
        assert turned == 27
        plain = next(Batches(samples, 9, seed=0).training(0))[0]
        assert not torch.equal(plain, next(batches.training(0))[0])

    def test_eight_symmetries(self):
        array = np.arange(9).reshape(3, 3)
        assert len({apply_symmetry(array, k).tobytes() for k in range(8)}) == 8
        np.testing.assert_array_equal(
            apply_symmetry(np.stack([array, array + 9]), 5)[1], apply_symmetry(array + 9, 5)
        )

    def test_missing_things_are_told(self, site, tmp_path):
        with pytest.raises(HeadscarpError, match=r"cube\.json: channel 'slop'.*'slope'"):
            open_samples(*site, ["slop"])
        whole = (site[0] / "cube.npy").read_bytes()
        (site[0] / "cube.npy").write_bytes(whole[:1000])
        with pytest.raises(HeadscarpError, match=r"cube\.npy"):
            open_samples(*site, CHANNELS)
        (site[0] / "cube.npy").unlink()
        with pytest.raises(HeadscarpError, match=r"cube\.npy does not exist"):
            open_samples(*site, CHANNELS)


class TestTrainer:
    recipe = Recipe(
        batch=4,
        epochs=5,
        learning_rate=1e-2,
        augment=True,
        jitter=0.1,
        precision="float32",
        schedule="one_cycle",
    )

    def test_it_learns_and_records(self, site, tmp_path):
        recipe = Recipe(
            batch=4,
            epochs=5,
            steps_per_epoch=30,
            learning_rate=1e-2,
            augment=True,
            jitter=0.1,
            precision="float32",
            schedule="one_cycle",
        )
        state = train_here(site, tmp_path / "run", recipe, model=tiny_network())
        losses = [record["train_loss"] for record in state.history]
        assert losses[-1] < 0.5 * losses[0]
        with open(tmp_path / "run" / "history.csv") as stream:
            rows = list(csv.DictReader(stream))
        wanted = [
            "epoch",
            "train_loss",
            "train_accuracy",
            "validation_loss",
            "validation_accuracy",
            "validation_score",
            "learning_rate",
            "seconds",
        ]
        assert list(rows[0]) == wanted
        accuracy = [float(row["train_accuracy"]) for row in rows]
        assert accuracy[-1] > 0.9 > accuracy[0] > 0
        assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4, 5]
        assert [float(row["train_loss"]) for row in rows] == losses
        assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
            "history.csv",
            "model.safetensors",
        ]

    def test_losses_of_history_are_pixel_means(self, site, tmp_path):
        model, recipe = tiny_network(), Recipe(batch=4, epochs=1, learning_rate=1e-9, precision="float32")
        state = train_here(site, tmp_path / "run", recipe, model=model)
        samples = open_samples(*site, CHANNELS)
        total = count = 0.0
        for index in range(6):
            image, target, mask = samples.read("validation", index)
            with torch.no_grad():
                logits = model.eval()(torch.from_numpy(image)[None])[0, 0]
            losses = functional.binary_cross_entropy_with_logits(
                logits, torch.from_numpy(target).float(), reduction="none"
            )
            total += float(losses[torch.from_numpy(mask)].sum())
            count += mask.sum()
        assert state.history[0]["validation_loss"] == pytest.approx(total / count, rel=1e-5)

    @pytest.mark.parametrize("classes", [1, 2])
    def test_accuracies_of_history_are_those_of_scikit_learn(self, site, tmp_path, classes):
        """At a learning rate of almost nothing the weights of an epoch are those it began with."""
        model = tiny_network()
        model[-1] = nn.Conv2d(6, classes, 1)
        model.eval()
        model.train = lambda mode=True: model  # batch norm by its running values in both passes
        recipe = Recipe(
            loss="cross_entropy",
            batch=4,
            epochs=1,
            steps_per_epoch=7,
            learning_rate=1e-12,
            precision="float32",
        )
        (record,) = train_here(site, tmp_path / "run", recipe, model=model).history
        samples = open_samples(*site, CHANNELS)
        order = batches_of(site, recipe).order(0)
        for split, indices in (("train", order), ("validation", range(6))):
            found, truth = [], []
            for index in indices:
                image, target, mask = samples.read(split, index)
                with torch.no_grad():
                    logits = model(torch.from_numpy(image)[None])[0]
                probability = logits.sigmoid()[0] if classes == 1 else logits.softmax(0)[1]
                found.append((probability.numpy() >= 0.5)[mask])
                truth.append(target[mask])
            wanted = accuracy_score(np.concatenate(truth), np.concatenate(found))
            assert record[f"{split}_accuracy"] == pytest.approx(wanted, abs=2e-4)

    def test_an_exception_mid_epoch_changes_nothing(self, site, tmp_path):
        train_here(site, tmp_path / "whole", self.recipe)
        model = tiny_network(dropout=0.2)
        steps = 0

        def fail(*_):
            nonlocal steps
            steps += model.training
            if steps == 17:
                raise KeyboardInterrupt

        hook = model.register_forward_hook(fail)
        with pytest.raises(KeyboardInterrupt):
            train_here(site, tmp_path / "broken", self.recipe, model=model)
        hook.remove()
        assert (tmp_path / "broken" / "checkpoint.pt").exists()
        fresh = tiny_network(dropout=0.2)
        taken = []
        fresh.register_forward_hook(lambda *_: taken.append(fresh.training))
        train_here(site, tmp_path / "broken", self.recipe, model=fresh)
        assert sum(taken) == 3 * 7  # epochs 3 to 5: the two whole epochs were not repeated
        assert_same_weights(tmp_path / "whole", tmp_path / "broken")

    @pytest.mark.parametrize("spoil", ["other", "damaged"])
    def test_other_checkpoints_are_ignored(self, site, tmp_path, spoil, monkeypatch):
        train_here(site, tmp_path / "whole", self.recipe)
        run = tmp_path / "again"
        with monkeypatch.context() as patch:
            patch.setattr(trainer, "remove", lambda path: None)
            train_here(site, run, self.recipe, fingerprint="b" if spoil == "other" else "a")
        if spoil == "damaged":
            (run / "checkpoint.pt").write_bytes((run / "checkpoint.pt").read_bytes()[:2000])
        state = train_here(site, run, self.recipe, fingerprint="a")
        assert len(state.history) == 5
        assert_same_weights(tmp_path / "whole", run)
        assert not (run / "checkpoint.pt").exists()

    def test_early_stopping_brings_back_the_best(self, site, tmp_path):
        recipe = Recipe(batch=4, epochs=40, learning_rate=0.02, patience=3, precision="float32")
        kept = []
        model = tiny_network()
        original = trainer.save_checkpoint

        def spy(path, fingerprint, model, optimiser, state):
            kept.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
            original(path, fingerprint, model, optimiser, state)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trainer, "save_checkpoint", spy)
            state = train_here(site, tmp_path / "run", recipe, model=model)
        validation = [record["validation_score"] for record in state.history]
        assert len(validation) < 40 and len(validation) - 1 - int(np.argmax(validation)) == 3
        assert state.best_epoch == int(np.argmax(validation)) + 1
        assert state.has_converged(recipe.patience)
        saved = load_file(tmp_path / "run" / "model.safetensors")
        best = kept[state.best_epoch - 1]
        assert all(torch.equal(saved[name], best[name]) for name in best)
        assert any(not torch.equal(saved[name], kept[-1][name]) for name in best)

    def test_published_keeps_the_last_weights(self, site, tmp_path):
        recipe = Recipe(batch=4, epochs=6, steps_per_epoch=4, learning_rate=0.05, precision="float32")
        one, other = tiny_network(), tiny_network()
        state = train_here(site, tmp_path / "last", recipe, model=one, keep_best=False)
        train_here(site, tmp_path / "best", recipe, model=other, keep_best=True)
        saved = [load_file(tmp_path / name / "model.safetensors") for name in ("last", "best")]
        same = all(torch.equal(saved[0][name], saved[1][name]) for name in saved[0])
        assert state.best is None and same == (state.best_epoch == 6)
        assert keeps_best("blocked") and not keeps_best("published")

    @pytest.mark.parametrize(
        ("scores", "patience", "expected"),
        [
            ([0.1, 0.2, 0.3, 0.4], None, False),
            ([0.1, 0.3, 0.4, 0.405], None, True),
            ([0.1, 0.2, 0.3, 0.4, 0.4, 0.5, 0.45, 0.505], None, True),
            ([0.1, 0.2, 0.3, 0.4, 0.4, 0.5, 0.45, 0.52], None, False),
            ([0.5, 0.4, 0.3], None, False),
            ([0.5, 0.4, 0.3], 2, True),
            ([], None, True),
            ([None] * 8, None, False),
        ],
    )
    def test_a_plateau_is_a_last_quarter_that_gains_next_to_nothing(self, scores, patience, expected):
        lines = [{"epoch": number, "validation_score": score} for number, score in enumerate(scores, start=1)]
        assert TrainingState(lines).has_converged(patience) == expected

    def test_impossible_trainings_are_told(self, site, tmp_path):
        with pytest.raises(HeadscarpError, match=r"run.*epoch 1.*learning_rate"):
            train_here(
                site,
                tmp_path / "run",
                Recipe(optimiser="sgd", learning_rate=1e30, batch=4, epochs=2, precision="float32"),
            )
        assert not list((tmp_path / "run").glob("*")) if (tmp_path / "run").exists() else True
        lines = (site[1] / "windows.csv").read_text().splitlines(keepends=True)
        (site[1] / "windows.csv").write_text("".join(line for line in lines if "validation" not in line))
        with pytest.raises(HeadscarpError, match="validation windows"):
            train_here(site, tmp_path / "run", Recipe(patience=2))
        (site[1] / "windows.csv").write_text(lines[0])
        with pytest.raises(HeadscarpError, match="no training windows"):
            train_here(site, tmp_path / "run", Recipe())

    def test_a_full_disk_is_told(self, site, tmp_path):
        run = tmp_path / "run"
        run.mkdir()
        for name in ("checkpoint", "model"):
            suffix = {"checkpoint": ".pt", "model": ".safetensors"}[name]
            full = run / f".{name}.{os.getpid()}.partial{suffix}"
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(
                    trainer,
                    "load_checkpoint",
                    lambda *_, full=full: full.symlink_to("/dev/full") or trainer.TrainingState(),
                )
                if name == "model":
                    patch.setattr(trainer, "save_checkpoint", lambda *_: None)
                with pytest.raises(HeadscarpError, match="disk is full"):
                    train_here(site, run, Recipe(batch=4, epochs=1, steps_per_epoch=1))
            assert not list(run.glob(f"*{suffix}"))


KILLED = """
import sys, time
import torch
from pathlib import Path
sys.path.insert(0, {tests!r})
from tests.unit.training import test_training as here
from headscarp.training.recipe import Recipe
torch.set_num_threads(1)
model = here.tiny_network(dropout=0.2)
model.register_forward_hook(lambda *_: time.sleep({pause}))
print("ready", flush=True)
site = Path({site!r})
here.train_here((site / "cube", site / "samples"), Path({run!r}), here.TestTrainer.recipe, model=model)
"""


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_bits(tmp_path):
    """SIGKILL at two moments of a training in a process of its own, then left to finish."""
    site = make_site(tmp_path)
    train_here(site, tmp_path / "whole", TestTrainer.recipe)
    run = tmp_path / "killed"
    for epochs in (1, 3):
        with start(tmp_path, run, pause=0.02) as process:
            wait_for_epochs(run / "checkpoint.pt", epochs, process)
            time.sleep(0.05)  # into the next epoch
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        assert not (run / "model.safetensors").exists()
    (run / ".checkpoint.1.partial.pt").write_bytes(b"half")
    with start(tmp_path, run, pause=0) as process:
        assert process.wait(60) == 0
    assert sorted(path.name for path in run.iterdir()) == ["history.csv", "model.safetensors"]
    assert_same_weights(tmp_path / "whole", run)


def start(site: Path, run: Path, pause: float) -> subprocess.Popen:
    code = KILLED.format(tests=str(REPOSITORY), site=str(site), run=str(run), pause=pause)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen([sys.executable, "-c", code], env=environment)


def wait_for_epochs(checkpoint: Path, epochs: int, process: subprocess.Popen) -> None:
    for _ in range(3000):
        assert process.poll() is None, "the run ended before it could be killed"
        if checkpoint.exists() and len(torch.load(checkpoint, weights_only=True)["history"]) >= epochs:
            return
        time.sleep(0.01)
    raise AssertionError("no checkpoint appeared")


def assert_same_weights(first: Path, second: Path) -> None:
    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()

    def losses(run: Path) -> list:
        with open(run / "history.csv") as stream:
            return [
                {key: value for key, value in row.items() if key != "seconds"}
                for row in csv.DictReader(stream)
            ]

    assert losses(first) == losses(second)


SPEC = {
    "network": {"name": "unet", "width": 0.0625, "params": {}},
    "channels": CHANNELS,
    "classes": 1,
    "seed": 4,
    "recipe": {
        "batch": 4,
        "epochs": 2,
        "steps_per_epoch": 2,
        "learning_rate": 1e-3,
        "initialisation": "positive_unit_ball",
    },
}


class TestTrainRun:
    def test_a_run_is_recorded_and_can_be_loaded(self, site, tmp_path):
        train_run(*site, tmp_path / "run", SPEC, device="cpu", threads=1, progress=False)
        model, record = load_network(tmp_path / "run")
        assert (
            record["spec"]["recipe"]["loss"] == "bce"
            and record["seed"] == 4
            and record["steps"] == 4
            and record["epochs"] == 2
        )
        assert (
            record["versions"]["torch"] == torch.__version__
            and record["threads"] == 1
            and record["device"].startswith("cpu")
        )
        assert record["trainable"] == sum(parameter.numel() for parameter in model.parameters())
        assert record["windows"] == {"train": 27, "validation": 6}
        saved = load_file(tmp_path / "run" / "model.safetensors")
        assert all(torch.equal(saved[name], tensor) for name, tensor in model.state_dict().items())
        train_run(*site, tmp_path / "again", SPEC, device="cpu", threads=1, progress=False)
        assert_same_weights(tmp_path / "run", tmp_path / "again")

    @pytest.mark.parametrize("initialisation", ["default", "positive_unit_ball"])
    def test_every_start_of_weights_has_the_same_probability(self, site, initialisation):
        recipe = Recipe.from_record(SPEC["recipe"] | {"initialisation": initialisation})
        model, _, _ = trainer.prepare_training(SPEC, recipe, open_samples(*site, CHANNELS), CPU)
        *_, last = (one for one in model.modules() if isinstance(one, nn.Conv2d))
        assert last.bias.tolist() == [pytest.approx(math.log(0.12 / 0.88), abs=0.01)]

    def test_six_classes_are_learned_and_scored_by_argmax(self, site, tmp_path):
        label = np.digitize(np.load(site[0] / "cube.npy")[1, 2], [2, 4, 5, 6, 8]).astype(np.uint8)
        label[:, 70:] = 255
        np.save(site[0] / "label.npy", label)
        recipe = SPEC["recipe"] | {
            "loss": "cross_entropy",
            "epochs": 1,
            "learning_rate": 1e-12,
            "precision": "float32",
        }
        train_run(*site, tmp_path / "run", SPEC | {"classes": 6, "recipe": recipe}, "cpu", progress=False)
        model, record = load_network(tmp_path / "run")
        batches = Batches(open_samples(*site, CHANNELS), 4, 4, steps=2)
        with torch.inference_mode():
            logits, target, mask = (
                torch.cat(parts)
                for parts in zip(*((model.eval()(i), t, m) for i, t, m in batches.validation()), strict=True)
            )
        kept = mask > 0
        line = record["history"][0]
        assert line["validation_accuracy"] == pytest.approx(
            accuracy_score(target[kept], logits.argmax(1)[kept])
        )
        wanted = functional.cross_entropy(logits, torch.where(kept, target, 255), ignore_index=255)
        assert line["validation_loss"] == pytest.approx(float(wanted), rel=1e-4)
        with pytest.raises(
            HeadscarpError,
            match=r"label\.npy has the class code 5, .* 1 output\(s\); give the experiment `classes: 6`",
        ):
            train_run(*site, tmp_path / "binary", SPEC, "cpu", progress=False)

    def test_balanced_classes_count_as_scikit_learn_says(self, site):
        label = np.digitize(np.load(site[0] / "cube.npy")[1, 2], [2, 4, 8]).astype(np.uint8)
        np.save(site[0] / "label.npy", label)
        samples = open_samples(*site, CHANNELS)
        spec = SPEC | {"classes": 5}
        _, batches, _ = trainer.prepare_training(
            spec, Recipe(loss="cross_entropy", class_weights="balanced", batch=4), samples, CPU
        )
        _, plain, _ = trainer.prepare_training(spec, Recipe(loss="cross_entropy", batch=4), samples, CPU)
        read = [samples.read("train", index)[1:] for index in range(27)]
        pixels = np.concatenate([target[mask] for target, mask in read])
        wanted = compute_class_weight("balanced", classes=np.arange(4), y=pixels)
        np.testing.assert_allclose(batches.class_weights, [*wanted, 0], rtol=1e-6)
        for weighed, unweighed in zip(
            [*batches.training(0), *batches.validation()],
            [*plain.training(0), *plain.validation()],
            strict=True,
        ):
            assert torch.equal(weighed[0], unweighed[0]) and torch.equal(weighed[1], unweighed[1])
            logits = torch.randn(len(weighed[1]), 5, 16, 16, generator=torch.Generator().manual_seed(1))
            kept = torch.where(unweighed[2] > 0, unweighed[1], 255)
            loss = functional.cross_entropy(logits, kept, batches.class_weights, ignore_index=255)
            own = masked_mean(make_loss(Recipe(loss="cross_entropy"))(logits, weighed[1]), weighed[2])
            assert float(own) == pytest.approx(float(loss), rel=1e-5)

    def test_the_seed_matters(self, site, tmp_path):
        for seed in (1, 2):
            train_run(*site, tmp_path / str(seed), SPEC | {"seed": seed}, "cpu", progress=False)
        assert (tmp_path / "1" / "model.safetensors").read_bytes() != (
            tmp_path / "2" / "model.safetensors"
        ).read_bytes()

    def test_the_fingerprint_follows_spec_and_data(self, site):
        first = trainer.fingerprint_of_run(SPEC, *site)
        assert first == trainer.fingerprint_of_run(dict(reversed(SPEC.items())), *site)
        assert first != trainer.fingerprint_of_run(SPEC | {"seed": 5}, *site)
        np.save(site[0] / "label.npy", np.load(site[0] / "label.npy"))
        assert first != trainer.fingerprint_of_run(SPEC, *site)

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"channels": ["rad"]}, "'red'"),
            ({"recipe": {"epoch": 1}}, "'epochs'"),
            ({"network": {"name": "unnet", "width": 1.0, "params": {}}}, "unet"),
        ],
    )
    def test_bad_specifications_are_told(self, site, tmp_path, change, told):
        with pytest.raises(HeadscarpError, match=told):
            train_run(*site, tmp_path / "run", SPEC | change, "cpu", progress=False)
        assert not (tmp_path / "run").exists()

    def test_a_run_cut_short_cannot_be_loaded(self, site, tmp_path):
        train_run(*site, tmp_path / "run", SPEC, "cpu", progress=False)
        weights = tmp_path / "run" / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:500])
        with pytest.raises(HeadscarpError, match=r"model\.safetensors"):
            load_network(tmp_path / "run")


class TestFineTuning:
    def test_training_starts_from_the_weights_of_another_run(self, site, tmp_path):
        train_run(*site, tmp_path / "first", SPEC, "cpu", progress=False)
        start = tmp_path / "first" / "model.safetensors"
        still = SPEC | {
            "seed": 9,
            "recipe": SPEC["recipe"]
            | {"epochs": 1, "optimiser": "sgd", "learning_rate": 1e-30, "momentum": 0},
        }
        train_run(*site, tmp_path / "second", still, "cpu", progress=False, start=start)
        first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("first", "second"))
        parameters = [name for name, _ in load_network(tmp_path / "first")[0].named_parameters()]
        assert all(torch.equal(first[name], second[name]) for name in parameters)
        record = json.loads((tmp_path / "second" / "run.json").read_text())
        assert (record["start"], record["share"], record["statistics"]) == (str(start), 1, None)
        assert json.loads((tmp_path / "first" / "run.json").read_text())["start"] is None

    def test_without_epochs_the_weights_stay_those_of_the_start(self, site, tmp_path):
        train_run(*site, tmp_path / "first", SPEC, "cpu", progress=False)
        start = tmp_path / "first" / "model.safetensors"
        untrained = SPEC | {"seed": 9, "recipe": SPEC["recipe"] | {"epochs": 0}}
        train_run(*site, tmp_path / "second", untrained, "cpu", progress=False, start=start)
        first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("first", "second"))
        assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)

    def test_an_interrupted_run_ends_with_the_same_bits(self, site, tmp_path, monkeypatch):
        train_run(*site, tmp_path / "first", SPEC, "cpu", progress=False)
        start = tmp_path / "first" / "model.safetensors"
        spec = SPEC | {"seed": 9, "share": 0.3}
        train_run(*site, tmp_path / "whole", spec, "cpu", progress=False, start=start)

        def stop_after_saving(*arguments, save=trainer.save_checkpoint):
            save(*arguments)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(trainer, "save_checkpoint", stop_after_saving)
            with pytest.raises(KeyboardInterrupt):
                train_run(*site, tmp_path / "broken", spec, "cpu", progress=False, start=start)
        assert (tmp_path / "broken" / "checkpoint.pt").exists()
        train_run(*site, tmp_path / "broken", spec, "cpu", progress=False, start=start)
        assert_same_weights(tmp_path / "whole", tmp_path / "broken")

    def test_weights_that_do_not_fit_are_told(self, site, tmp_path):
        train_run(*site, tmp_path / "first", SPEC, "cpu", progress=False)
        start = tmp_path / "first" / "model.safetensors"
        for change, told in (
            (
                {"classes": 6},
                r"first/model\.safetensors does not fit .*: 4 of its weights differ, first "
                r"'head\.0\.bias': \(12,\) in the network, \(2,",
            ),
            ({"channels": CHANNELS[:2]}, r"1 of its weights differ"),
            ({"network": {"name": "segnet", "width": 0.0625, "params": {}}}, r"missing"),
        ):
            with pytest.raises(HeadscarpError, match=told):
                train_run(*site, tmp_path / "second", SPEC | change, "cpu", progress=False, start=start)
        start.write_bytes(b"none")
        for path in (start, tmp_path / "nowhere.safetensors"):
            with pytest.raises(
                HeadscarpError, match=rf"{path.name}, from which training is to start, cannot be read"
            ):
                train_run(*site, tmp_path / "second", SPEC, "cpu", progress=False, start=path)
        assert not (tmp_path / "second").exists()

    def test_shares_are_nested_and_drawn_by_the_seed(self, site, tmp_path):
        samples = open_samples(*site, CHANNELS)
        parts = {
            share: set(map(tuple, samples.with_share(share, 5).windows["train"].tolist()))
            for share in (0.001, 0.05, 0.1, 0.5, 1)
        }
        assert [len(part) for part in parts.values()] == [1, 1, 3, 14, 27]
        assert parts[0.05] <= parts[0.1] <= parts[0.5] <= parts[1]
        others = [
            set(map(tuple, samples.with_share(0.5, seed).windows["train"].tolist())) for seed in range(6)
        ]
        assert len({frozenset(other) for other in others}) == 6
        assert np.array_equal(samples.with_share(0.1, 5).windows["validation"], samples.windows["validation"])
        train_run(*site, tmp_path / "run", SPEC | {"share": 0.1}, "cpu", progress=False)
        record = json.loads((tmp_path / "run" / "run.json").read_text())
        assert record["share"] == 0.1 and record["windows"] == {"train": 3, "validation": 6}

    @pytest.mark.parametrize("side", [24, 33, 80])
    def test_larger_windows_stand_around_the_samples_with_labels_of_their_own_ground(self, site, side):
        samples = open_samples(*site, CHANNELS)
        large = samples.with_windows(side)
        for split, code in (("train", 1), ("validation", 2)):
            own, windows = samples.windows[split], large.windows[split]
            assert (windows[:, 2] == side).all() and len(windows) == len(np.unique(windows, axis=0))
            assert (windows[:, :2] >= 0).all() and (windows[:, :2] + side <= (96, 80)).all()
            for row, col, size, date in own.tolist():
                around = (windows[:, :2] <= (row, col)) & (windows[:, :2] + side >= (row + size, col + size))
                assert (around.all(axis=1) & (windows[:, 3] == date)).any()
            _, _, mask = large.read(split, 0)
            row, col, _, _ = windows[0].tolist()
            assert (samples.regions[row : row + side, col : col + side][mask] == code).all() and mask.any()
        with pytest.raises(HeadscarpError, match="96 x 80 pixels, less than a window of 81"):
            samples.with_windows(81)

    def test_a_run_says_which_windows_it_had(self, site, tmp_path):
        train_run(*site, tmp_path / "run", SPEC | {"window": 32}, "cpu", progress=False)
        assert json.loads((tmp_path / "run/run.json").read_text())["spec"]["window"] == 32

    @pytest.mark.parametrize("share", [0, 1.5, "all", True, float("nan")])
    def test_a_wrong_share_is_told(self, site, tmp_path, share):
        with pytest.raises(HeadscarpError, match="share of training windows"):
            train_run(*site, tmp_path / "run", SPEC | {"share": share}, "cpu", progress=False)

    def test_statistics_of_another_site_normalise(self, site, tmp_path):
        other = tmp_path / "other.json"
        scale = {name: {"mean": 1.0 + k, "sd": 3.0} for k, name in enumerate(CHANNELS)}
        other.write_text(json.dumps({"normalisation": scale}))
        samples = open_samples(*site, CHANNELS, other)
        cube = np.load(site[0] / "cube.npy")
        wanted = np.stack([(cube[1, index] - (1.0 + k)) / 3.0 for k, index in enumerate((2, 3, 0))])[
            :, :16, :16
        ]
        np.testing.assert_allclose(samples.read("train", 0)[0], np.nan_to_num(wanted), rtol=1e-5, atol=1e-6)
        spec = SPEC | {"statistics": str(other)}
        train_run(*site, tmp_path / "run", spec, "cpu", progress=False)
        record = json.loads((tmp_path / "run" / "run.json").read_text())
        assert record["statistics"] == record["spec"]["statistics"] == str(other)
        other.write_text(json.dumps({"normalisation": {name: scale[name] for name in CHANNELS[:2]}}))
        with pytest.raises(
            HeadscarpError, match=r"other\.json: normalisation of channel 'nir' does not exist"
        ):
            train_run(*site, tmp_path / "run", spec, "cpu", progress=False)

    def test_the_rule_may_give_no_start(self):
        assert (only(None), only([]), only(["a"]), only("a.safetensors")) == (
            None,
            None,
            "a",
            "a.safetensors",
        )

    def test_the_fingerprint_follows_start_share_and_statistics(self, site, tmp_path):
        for name in ("one", "two"):
            (tmp_path / name).write_text(json.dumps({"normalisation": name}))
        told = [
            trainer.fingerprint_of_run(SPEC, *site),
            trainer.fingerprint_of_run(SPEC, *site, tmp_path / "one"),
            trainer.fingerprint_of_run(SPEC, *site, tmp_path / "two"),
            trainer.fingerprint_of_run(SPEC | {"share": 0.1}, *site),
            trainer.fingerprint_of_run(SPEC | {"statistics": str(tmp_path / "one")}, *site),
        ]
        (tmp_path / "one").write_text(json.dumps({"normalisation": "changed"}))
        told += [
            trainer.fingerprint_of_run(SPEC, *site, tmp_path / "one"),
            trainer.fingerprint_of_run(SPEC | {"statistics": str(tmp_path / "one")}, *site),
        ]
        assert len(set(told)) == len(told)


BEST = {
    "recipe": {
        "optimiser": "sgd",
        "learning_rate": 0.01,
        "loss": "focal",
        "loss_params": {"alpha": 0.3, "gamma": 4.0},
    }
}


class TestTunedRecipe:
    def test_a_focal_recipe_takes_the_parameters_of_its_loss(self):
        recipe = {
            "loss": "focal",
            "epochs": 50,
            "batch": 4,
            "optimiser": "adam",
            "loss_params": {"alpha": 0.25},
        }
        found = {
            "loss": "focal",
            "optimiser": "sgd",
            "learning_rate": 0.01,
            "loss_params": {"alpha": 0.3, "gamma": 4.0},
        }
        assert tuned_recipe(recipe, BEST) == recipe | found
        assert recipe["loss_params"] == {"alpha": 0.25}

    @pytest.mark.parametrize("recipe", [{"loss": "bce", "epochs": 100}, {"epochs": 100}])
    def test_another_loss_keeps_its_own(self, recipe):
        tuned = tuned_recipe(recipe, BEST)
        assert tuned == recipe | {"optimiser": "sgd", "learning_rate": 0.01}
        assert Recipe.from_record(tuned).loss_params == {}


@pytest.mark.slow
def test_learning_needs_torch_and_numpy_only():
    heavy = ["rasterio", "richdem", "geopandas", "pandas", "sklearn", "scipy", "matplotlib", "affine", "yaml"]
    code = (
        f"import sys, headscarp.training.trainer, headscarp.mapping.predict; print([m for m in {heavy} "
        f"if m in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"
