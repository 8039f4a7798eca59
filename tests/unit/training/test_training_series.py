"""Series of dates: what is read against slices, micro batches against whole ones, and a scene that only a
series tells."""

import csv
import json
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from affine import Affine
from sklearn.metrics import f1_score
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from torch.nn import functional

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.geo.layer import read_layer
from headscarp.mapping.network_map import map_run
from headscarp.mapping.predict import Tiling, predict_strips
from headscarp.schema import validate
from headscarp.training import trainer
from headscarp.training.batches import Batches, collate
from headscarp.training.recipe import Recipe
from headscarp.training.search import run_search
from headscarp.training.trainer import EpochLoop, make_optimiser, train_run, tuned_recipe
from headscarp.training.weights import build_network, load_network
from headscarp.training.windows import NormalisedCube, open_normalised, open_samples
from tests.unit.training.test_training import assert_same_weights

CPU = torch.device("cpu")
DATES = ["2008-09-01", "2011-09-01", "2014-09-01", "2017-09-01", "2020-09-01"]
CHANNELS = ["red", "elevation", "green"]
PLANES = len(CHANNELS) + 1
OBSERVED = [k * PLANES + len(CHANNELS) for k in range(len(DATES))]
SIDE = 96
# Reflectance above the background, date by date: only the step from the second date to the third is a
# landslide's.
PROFILES = {"landslide": (0, 0, 3, 1.5, 0), "later": (0, 0, 0, 3, 0), "earlier": (3, 1.5, 0, 0, 0)}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> tuple[Path, Path]:
    return make_site(tmp_path_factory.mktemp("series"))


def make_site(folder: Path, dates: int = 5) -> tuple[Path, Path]:
    """A made-up scene whose last date looks like background everywhere; clouds at every date, and one corner
    under clouds at all dates."""
    random = np.random.default_rng(0)
    kind = np.zeros((SIDE, SIDE), int)
    for row, col, height, width in zip(
        *random.integers(0, SIDE - 8, (2, 60)), *random.integers(6, 13, (2, 60)), strict=True
    ):
        kind[row : row + height, col : col + width] = random.integers(1, 4)
    cube = random.normal(0, 0.3, (5, 3, SIDE, SIDE)).astype(np.float32)
    for code, profile in enumerate(PROFILES.values(), start=1):
        cube[:, :2, kind == code] += np.array(profile, np.float32)[:, None, None]
    cube[:, 2] = cube[0, 2]
    for date in range(5):
        for row, col in random.integers(0, SIDE - 12, (3, 2)):
            cube[date, :2, row : row + 12, col : col + 12] = np.nan
    cube[:, :2, 84:90, 84:90] = np.nan
    cube[1, 1] = np.nan  # green is missing at the second date
    label = (kind == 1).astype(np.uint8)
    label[:, :2] = 255
    regions = np.ones(label.shape, np.uint8)
    regions[:, 64:] = 2
    cube_folder, samples_folder = folder / "cube", folder / "samples"
    cube_folder.mkdir(parents=True)
    samples_folder.mkdir()
    names = ["red", "green", "elevation"]
    scale = {name: {"mean": 0.3 + k, "sd": 0.9 + k} for k, name in enumerate(names)}
    for k, name in enumerate(names[:2]):
        scale[name]["by_date"] = [{"mean": 0.1 * date + k, "sd": 1.0 + 0.1 * date} for date in range(dates)]
    scale["green"]["by_date"][1] = None
    grid = Grid("EPSG:32654", Affine(30, 0, 500000, 0, -30, 4700000), SIDE, SIDE)
    channels = [{"name": name, "dated": name != "elevation"} for name in names]
    np.save(cube_folder / "cube.npy", cube[:dates])
    np.save(cube_folder / "label.npy", label)
    np.save(samples_folder / "regions.npy", regions)
    (cube_folder / "cube.json").write_text(
        json.dumps({"grid": grid.to_record(), "dates": DATES[:dates], "channels": channels})
    )
    (samples_folder / "samples.json").write_text(json.dumps({"protocol": "blocked", "normalisation": scale}))
    windows = [(row, col, 32, dates - 1, "train") for row in range(0, 65, 16) for col in range(0, 49, 16)]
    windows += [(row, 64, 32, dates - 1, "validation") for row in (0, 32, 64)]
    with open(samples_folder / "windows.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([("row", "col", "size", "date", "split"), *windows])
    return cube_folder, samples_folder


def planes_of(site) -> np.ndarray:
    """All planes (date, plane, row, col) of the scene, from the formulas; NaN where there is no data."""
    cube, by_name = (
        np.load(site[0] / "cube.npy"),
        json.loads((site[1] / "samples.json").read_text())["normalisation"],
    )
    wanted = np.empty((len(cube), PLANES, SIDE, SIDE))
    for date in range(len(cube)):
        for plane, (name, channel) in enumerate(zip(CHANNELS, (0, 2, 1), strict=True)):
            scale = by_name[name].get("by_date", [by_name[name]] * 5)[date] or by_name[name]
            wanted[date, plane] = (cube[date, channel] - scale["mean"]) / scale["sd"]
        wanted[date, -1] = ~np.isnan(cube[date, 0]) | ~np.isnan(cube[date, 1])
    return wanted


def spec_of(
    network: str = "cnn_lstm",
    width: float = 0.125,
    dates: str | None = "all",
    recipe: dict | None = None,
    **params,
) -> dict:
    settings = {"batch": 8, "epochs": 1, "learning_rate": 1e-2, "precision": "float32", "loss": "mse_bce"} | (
        recipe or {}
    )
    spec = {
        "network": {"name": network, "width": width, "params": params},
        "channels": CHANNELS,
        "classes": 1,
        "seed": 1,
    }
    return spec | {"recipe": settings} | ({"dates": dates} if dates else {})


class TestWindows:
    def test_all_dates_are_slices_standardised_date_by_date(self, site):
        samples, wanted = open_samples(*site, CHANNELS, dates="all"), planes_of(site)
        assert np.isnan(wanted[1, 2]).all() and wanted[1, 3].any()  # green is missing, red is not
        for index in (0, 7, 19):
            row, col, *_ = samples.windows["train"][index]
            image, _, mask = samples.read("train", index)
            cut = wanted[:, :, row : row + 32, col : col + 32]
            assert image.dtype == np.float32 and image.shape == (5 * PLANES, 32, 32)
            np.testing.assert_allclose(image.reshape(cut.shape), np.nan_to_num(cut), rtol=1e-5, atol=1e-6)
            assert mask.dtype == bool

    def test_a_channel_without_clouds_does_not_tell_what_was_seen(self, site, tmp_path):
        site = shutil.copytree(site[0], tmp_path / "cube"), site[1]
        header = json.loads((site[0] / "cube.json").read_text())
        for channel in header["channels"]:
            # red stands for rain, which gauges measure under clouds too
            channel["masked"] = channel["name"] == "green"
        (site[0] / "cube.json").write_text(json.dumps(header))
        samples, cube = open_samples(*site, CHANNELS, dates="all"), np.load(site[0] / "cube.npy")
        row, col, *_ = samples.windows["train"][0]
        image, _, _ = samples.read("train", 0)
        observed = image.reshape(5, PLANES, 32, 32)[:, -1]
        np.testing.assert_array_equal(observed, ~np.isnan(cube[:, 1, row : row + 32, col : col + 32]))
        assert not observed[1].any()  # green is missing at the second date, red is not
        rain = (
            open_samples(*site, ["red", "elevation"], dates="all")
            .read("train", 0)[0]
            .reshape(5, 3, 32, 32)[:, -1]
        )
        np.testing.assert_array_equal(rain, ~np.isnan(cube[:, 0, row : row + 32, col : col + 32]))

    @pytest.mark.parametrize("dates", [None, "last"])
    def test_the_last_date_is_read_as_ever(self, site, dates):
        samples, cube = open_samples(*site, CHANNELS, dates=dates), np.load(site[0] / "cube.npy")
        image, _, _ = samples.read("train", 5)
        row, col, *_ = samples.windows["train"][5]
        wanted = np.stack(
            [(cube[4, k] - mean) / sd for k, mean, sd in ((0, 0.3, 0.9), (2, 2.3, 2.9), (1, 1.3, 1.9))]
        )
        np.testing.assert_allclose(
            image, np.nan_to_num(wanted[:, row : row + 32, col : col + 32]), rtol=1e-5, atol=1e-6
        )

    @pytest.mark.parametrize("dates", ["last", "all"])
    def test_clouds_at_all_dates_read_do_not_count(self, site, dates):
        cube = np.load(site[0] / "cube.npy")[:, :2]
        seen = ~np.isnan(cube[-1:] if dates == "last" else cube).all((0, 1))
        samples = open_samples(*site, CHANNELS, dates=dates)
        row, col, *_ = samples.windows["validation"][2]
        mask = samples.read("validation", 2)[2]
        np.testing.assert_array_equal(mask, seen[row : row + 32, col : col + 32])
        assert 36 <= (~mask).sum() < 500

    @pytest.mark.parametrize("dates", ["last", "all"])
    def test_factors_alone_have_no_clouds(self, site, dates):
        samples = open_samples(*site, ["elevation"], dates=dates)
        image, _, mask = samples.read("validation", 2)
        assert mask.all() and len(image) == (1 if dates == "last" else 10)
        assert dates == "last" or (image[1::2] == 1).all()

    def test_clouds_have_no_weight_among_balanced_classes(self, site):
        samples = open_samples(*site, CHANNELS)
        seen = ~np.isnan(np.load(site[0] / "cube.npy")[4, :2]).all(0) & (np.arange(SIDE) >= 2)
        label = np.load(site[0] / "label.npy")
        cuts = [(slice(row, row + 32), slice(col, col + 32)) for row, col, *_ in samples.windows["train"]]
        pixels = np.concatenate(
            [label[cut][seen[cut] & (np.load(site[1] / "regions.npy")[cut] == 1)] for cut in cuts]
        )
        np.testing.assert_allclose(
            samples.balanced_weights(2),
            compute_class_weight("balanced", classes=np.arange(2), y=pixels),
            rtol=1e-6,
        )

    def test_shuffled_dates_are_drawn_anew_for_each_window_and_only_in_training(self, site):
        samples = open_samples(*site, CHANNELS, dates="shuffled")
        batches = Batches(samples, 4, seed=3, shuffled=True)
        orders = []
        for epoch in (0, 1):
            for number, (image, *_) in enumerate(batches.training(epoch)):
                for window, index in zip(image, batches.order(epoch)[4 * number :], strict=False):
                    true = samples.read("train", index)[0].reshape(5, -1)
                    found = window.contiguous().numpy().reshape(5, -1)
                    # each date of the window is one date of the place, whole
                    same = (found[:, None] == true[None]).all(2)
                    assert (same.sum(0) == 1).all() and (same.sum(1) == 1).all()
                    orders.append(tuple(same.argmax(1)))
        assert len(orders) == 40 and len(set(orders)) > 25
        assert {order[4] for order in orders} == set(range(5))
        again = Batches(samples, 4, seed=3, shuffled=True)
        assert all(
            torch.equal(a, b) for a, b in zip(next(batches.training(1)), next(again.training(1)), strict=True)
        )
        true = np.stack([samples.read("validation", index)[0] for index in range(3)])
        np.testing.assert_array_equal(next(batches.validation())[0], true)

    def test_jitter_and_turns_leave_the_observed_planes_as_they_are(self, site):
        samples = open_samples(*site, CHANNELS, dates="all")
        plain, jittered = (
            next(Batches(samples, 8, 0, augment=True, jitter=jitter).training(0)) for jitter in (0.0, 0.3)
        )
        assert torch.equal(plain[0][:, OBSERVED], jittered[0][:, OBSERVED]) and set(
            plain[0][:, OBSERVED].unique().tolist()
        ) == {0, 1}
        others = [plane for plane in range(5 * PLANES) if plane not in OBSERVED]
        for before, after in zip(
            plain[0][:, others].flatten(0, 1), jittered[0][:, others].flatten(0, 1), strict=True
        ):
            assert not torch.equal(before, after)
            gain, offset = (
                np.polyfit(before.ravel(), after.ravel(), 1) if before.any() else (0, after[0, 0].item())
            )
            np.testing.assert_allclose(gain * before + offset, after, atol=1e-4)
        # Turned with the rest: where a date was not observed its dated channels are 0.
        by_date = plain[0].reshape(8, 5, PLANES, 32, 32)
        assert (by_date[:, :, [0, 2]].abs().amax(2)[by_date[:, :, 3] == 0] == 0).all()

    def test_windows_alone_are_read_from_the_map(self, site):
        """The rows and columns asked of the cube are those of the window; a batch lies in memory once."""
        asked = []

        class Spy:
            def __init__(self, cube: np.ndarray) -> None:
                self.cube, self.shape = cube, cube.shape

            def __len__(self) -> int:
                return len(self.cube)

            def __getitem__(self, key):
                asked.append(self.cube[key].shape)
                return self.cube[key]

        samples = open_samples(*site, CHANNELS, dates="all")
        assert isinstance(samples.cube.values, np.memmap)
        samples.cube.values = Spy(samples.cube.values)
        samples.read("train", 3)
        assert asked == [(32, 32)] * 15
        window = samples.read("train", 3)
        tracemalloc.start()
        image, *_ = collate((tuple(part.copy() for part in window) for _ in range(60)), 60)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert image.shape == (60, 20, 32, 32) and peak < 4 * sum(part.nbytes for part in window)

    def test_wrong_series_are_told(self, site, tmp_path):
        with pytest.raises(HeadscarpError, match="dates 'al' does not exist; did you mean 'all'"):
            open_samples(*site, CHANNELS, dates="al")
        record = json.loads((site[1] / "samples.json").read_text())
        record["normalisation"]["red"]["by_date"].pop()
        (tmp_path / "other.json").write_text(json.dumps(record))
        with pytest.raises(
            HeadscarpError, match=r"other\.json: channel 'red' is normalised at 4 dates, but the cube has 5"
        ):
            open_samples(*site, CHANNELS, tmp_path / "other.json", "all")


class Batched:
    """Batches of random windows with masks of very different sizes."""

    steps = 3
    in_part = False

    def count(self, split: str) -> int:
        return 8

    def training(self, epoch: int):
        for step in range(self.steps):
            random = torch.Generator().manual_seed(step)
            mask = (
                torch.rand(8, 12, 12, generator=random)
                < torch.tensor([1, 0.9, 0.02, 0, 0.5, 0.1, 0.01, 1.0])[:, None, None]
            )
            yield (
                torch.randn(8, 3, 12, 12, generator=random),
                torch.randint(2, (8, 12, 12), generator=random),
                mask * torch.rand(8, 12, 12, generator=random),
            )

    def validation(self):
        return self.training(0)


def plain_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 1)
    )


class NoProgress:
    def step(self) -> None:
        pass


def run_epoch(model: nn.Module, recipe: Recipe) -> dict:
    return EpochLoop(
        model, make_optimiser(recipe, model), Batched(), recipe, CPU, 0, keep_best=True
    ).run_epoch(0, NoProgress())


class TestMicroBatches:
    @pytest.mark.parametrize(("optimiser", "rate"), [("sgd", 0.5), ("adam", 1e-2)])
    @pytest.mark.parametrize("micro_batch", [2, 3])
    def test_their_gradients_add_up_to_those_of_the_batch(self, optimiser, rate, micro_batch):
        recipe = {
            "optimiser": optimiser,
            "learning_rate": rate,
            "precision": "float32",
            "loss": "mse_bce",
            "positive_weight": 3.0,
        }
        whole, parted = plain_network(), plain_network()
        sizes = []
        parted.register_forward_hook(lambda _module, given, _found: sizes.append(len(given[0])))
        told = [
            run_epoch(whole, Recipe(**recipe)),
            run_epoch(parted, Recipe(micro_batch=micro_batch, **recipe)),
        ]
        moved = [
            float((a - b).detach().abs().max())
            for a, b in zip(whole.parameters(), plain_network().parameters(), strict=True)
        ]
        assert min(moved) > 1e-3
        for one, other in zip(whole.parameters(), parted.parameters(), strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
        assert sizes == ([2] * 24 if micro_batch == 2 else [3, 3, 2] * 6)  # validation goes in parts too
        for key in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"):
            assert told[0][key] == pytest.approx(told[1][key], rel=1e-5)

    def test_an_auxiliary_head_adds_its_weighed_loss(self):
        class WithAuxiliary(nn.Module):
            auxiliary_weight = 0.4

            def __init__(self) -> None:
                super().__init__()
                torch.manual_seed(2)
                self.body, self.head, self.second = (
                    nn.Conv2d(3, 4, 3, padding=1),
                    nn.Conv2d(4, 1, 1),
                    nn.Conv2d(4, 1, 1),
                )

            def forward(self, image):
                maps = self.body(image).relu()
                return (self.head(maps), self.second(maps)) if self.training else self.head(maps)

        recipe = Recipe(optimiser="sgd", momentum=0, learning_rate=0.3, precision="float32", micro_batch=4)
        model, wanted = WithAuxiliary(), WithAuxiliary()
        record = run_epoch(model, recipe)
        descent, total, count = torch.optim.SGD(wanted.parameters(), 0.3), 0.0, 0.0
        for image, target, mask in Batched().training(0):
            losses = [
                functional.binary_cross_entropy_with_logits(x[:, 0], target.float(), reduction="none")
                for x in wanted(image)
            ]
            descent.zero_grad()
            (((losses[0] + 0.4 * losses[1]) * mask).sum() / mask.sum()).backward()
            descent.step()
            total, count = total + float((losses[0].detach() * mask).sum()), count + float(mask.sum())
        for one, other in zip(model.parameters(), wanted.parameters(), strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=0)
        assert record["train_loss"] == pytest.approx(total / count, rel=1e-5)


class TestRecipe:
    def test_what_goes_out_comes_back(self):
        recipe = Recipe.from_record({"micro_batch": 4, "pretraining": {"pixels": 500}})
        assert recipe.pretraining == {"epochs": 10, "pixels": 500, "batch": 100, "learning_rate": 0.01}
        assert Recipe.from_record(json.loads(json.dumps(recipe.to_record()))) == recipe
        assert (
            Recipe(pretraining={}).pretraining["pixels"] == 20000
            and Recipe().pretraining is None is Recipe().micro_batch
        )

    @pytest.mark.parametrize(
        ("record", "told"),
        [
            ({"micro_batch": 0}, "recipe, micro_batch: 0 will not do; it must be a whole number from 1"),
            ({"micro_batch": 1.5}, "recipe, micro_batch: 1.5 will not do; it must be a whole number from 1"),
            (
                {"pretraining": {"epoch": 3}},
                "recipe, pretraining: unknown key 'epoch'; did you mean 'epochs'",
            ),
            (
                {"pretraining": {"epochs": 0}},
                "pretraining, epochs: 0 will not do; it must be a whole number from 1",
            ),
            (
                {"pretraining": {"learning_rate": "1e-2"}},
                "pretraining, learning_rate: '1e-2' will not do.*with the point",
            ),
            (
                {"pretraining": {"learning_rate": 0}},
                "pretraining, learning_rate: 0 will not do; it must be a number above 0",
            ),
            (
                {"pretraining": True},
                "pretraining: true will not do; it must be a mapping of epochs, pixels, batch, learning_rate",
            ),
        ],
    )
    def test_bad_records_are_told(self, record, told):
        with pytest.raises(HeadscarpError, match=told):
            validate("training", record, "recipe")


class TestRuns:
    def test_a_network_is_built_for_the_planes_it_reads(self):
        read = spec_of() | {"dates_read": DATES}
        assert build_network(read)(torch.zeros(1, 20, 16, 16)).shape == (1, 1, 16, 16)
        stacked = build_network(spec_of("unet", 0.0625) | {"dates_read": DATES[:2]})
        assert stacked(torch.zeros(1, 8, 16, 16)).shape == (1, 1, 16, 16)
        with pytest.raises(HeadscarpError, match="dates: all"):
            build_network(spec_of(dates=None))

    def test_a_run_killed_between_epochs_ends_with_the_same_bits(self, site, tmp_path, monkeypatch):
        """With micro batches, shuffled dates, and a deep belief network that is trained before all else."""
        recipe = {"epochs": 3, "micro_batch": 3, "steps_per_epoch": 2, "augment": True, "jitter": 0.1}
        spec = spec_of(
            "st_fusion", dates="shuffled", recipe=recipe | {"pretraining": {"epochs": 2, "pixels": 300}}
        )
        train_run(*site, tmp_path / "whole", spec, "cpu", progress=False)

        def stop_after_saving(*arguments, save=trainer.save_checkpoint):
            save(*arguments)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(trainer, "save_checkpoint", stop_after_saving)
            for _ in range(2):
                with pytest.raises(KeyboardInterrupt):
                    train_run(*site, tmp_path / "broken", spec, "cpu", progress=False)
        assert (tmp_path / "broken" / "checkpoint.pt").exists()
        train_run(*site, tmp_path / "broken", spec, "cpu", progress=False)
        assert_same_weights(tmp_path / "whole", tmp_path / "broken")
        record = json.loads((tmp_path / "broken" / "run.json").read_text())
        assert (
            record["spec"]["dates_read"] == DATES
            and record["spec"]["dates"] == "shuffled"
            and record["epochs"] == 3
        )
        with open(tmp_path / "broken" / "history.csv") as stream:
            rows = list(csv.DictReader(stream))
        assert list(rows[0]) == [
            "phase",
            "epoch",
            "reconstruction_error",
            "train_loss",
            "train_accuracy",
            "validation_loss",
            "validation_accuracy",
            "validation_score",
            "learning_rate",
            "seconds",
        ]
        assert [(row["phase"], row["epoch"]) for row in rows] == [
            ("rbm 1", "1"),
            ("rbm 1", "2"),
            ("rbm 2", "1"),
            ("rbm 2", "2"),
            ("training", "1"),
            ("training", "2"),
            ("training", "3"),
        ]
        assert all(
            bool(row["reconstruction_error"]) == row["phase"].startswith("rbm") != bool(row["train_loss"])
            for row in rows
        )
        assert record["seconds"] == pytest.approx(sum(float(row["seconds"]) for row in rows), abs=1e-2)

    def test_training_begins_with_what_pretraining_made(self, site, tmp_path, monkeypatch):
        def mark(model, batches, settings, seed):
            model.dbn.machines[0].weight.data.fill_(0.25)
            assert batches.count("train") == 20 and seed == 1
            return [
                {"phase": "rbm 1", "epoch": 1, "reconstruction_error": 0.5, "seconds": settings["pixels"]}
            ]

        monkeypatch.setattr(trainer, "pretrain", mark)
        spec = spec_of("st_fusion", recipe={"epochs": 0, "pretraining": {"pixels": 7}})
        train_run(*site, tmp_path / "run", spec, "cpu", progress=False)
        assert (load_network(tmp_path / "run")[0].dbn.machines[0].weight == 0.25).all()
        assert json.loads((tmp_path / "run" / "run.json").read_text())["seconds"] == 7

    def test_impossible_runs_are_told(self, site, tmp_path):
        for spec, told in (
            (spec_of("unet", 0.0625, recipe={"pretraining": {}}), "deep belief network"),
            (spec_of("st_fusion", dbn=False, recipe={"pretraining": {}}), "deep belief network"),
            (spec_of(dates=None), "dates: all"),
            (spec_of(dates="shufled"), "did you mean 'shuffled'"),
        ):
            with pytest.raises(HeadscarpError, match=told):
                train_run(*site, tmp_path / "run", spec, "cpu", progress=False)
        with pytest.raises(HeadscarpError, match=r"starts from .*model\.safetensors.*pretraining: null"):
            train_run(
                *site,
                tmp_path / "run",
                spec_of("st_fusion", recipe={"pretraining": {}}),
                "cpu",
                progress=False,
                start="model.safetensors",
            )
        assert not (tmp_path / "run").exists()


class TestSearch:
    def test_optimiser_rate_and_weight_decay_of_a_series_network(self, site, tmp_path):
        space = {
            "optimiser": ["adam", "sgd"],
            "learning_rate": [1e-2, 1e-3],
            "weight_decay": {"low": 0, "high": 1e-3},
        }
        spec = spec_of(recipe={"steps_per_epoch": 1, "micro_batch": 4}) | {
            "sampler": "random",
            "trials": 2,
            "space": space,
        }
        run_search(*site, tmp_path, spec, "cpu")
        with open(tmp_path / "trials.csv") as stream:
            rows = list(csv.DictReader(stream))
        assert list(rows[0]) == [
            "trial",
            "value",
            "best",
            "optimiser",
            "learning_rate",
            "weight_decay",
            "alpha",
            "gamma",
            "seconds",
        ]
        assert len({row["weight_decay"] for row in rows}) == 2 and all(
            0 < float(row["weight_decay"]) < 1e-3 for row in rows
        )
        assert all(row["alpha"] == row["gamma"] == "" for row in rows)
        best = json.loads((tmp_path / "best.json").read_text())
        chosen = rows[best["trial"] - 1]
        assert best["recipe"]["loss"] == "mse_bce" and best["recipe"]["weight_decay"] == float(
            chosen["weight_decay"]
        )
        tuned = tuned_recipe(
            {"loss": "mse_bce", "epochs": 230, "optimiser": "adam", "weight_decay": 0.5}, best
        )
        wanted = {key: best["recipe"][key] for key in ("optimiser", "learning_rate", "weight_decay")}
        assert tuned == {"loss": "mse_bce", "epochs": 230, "loss_params": {}} | wanted
        assert Recipe.from_record(tuned).loss_params == {}

    def test_weight_decay_stays_the_cards_where_it_was_not_searched(self, site, tmp_path):
        spec = spec_of(recipe={"steps_per_epoch": 1, "weight_decay": 0.1})
        run_search(
            *site, tmp_path, spec | {"sampler": "random", "trials": 1, "space": {"optimiser": ["sgd"]}}, "cpu"
        )
        best = json.loads((tmp_path / "best.json").read_text())
        assert "weight_decay" not in best["recipe"]
        assert "weight_decay" not in (tmp_path / "trials.csv").read_text()
        assert tuned_recipe({"weight_decay": 0.7}, best)["weight_decay"] == 0.7


class Planes(nn.Module):
    """Logit of a pixel: a sum of its planes with different signs and weights."""

    weights = torch.sin(torch.arange(1.0, 21))[None, :, None, None]

    def forward(self, image):
        return (image * self.weights).sum(1, keepdim=True)


def map_of(model: nn.Module, cube: NormalisedCube, **options) -> np.ndarray:
    return np.concatenate([values for _, values in predict_strips(model, cube, CPU, **options)], axis=1)[0]


class TestMapping:
    def test_strips_of_a_series_are_one_pass_over_all_planes(self, site):
        wanted = planes_of(site)
        never = ~(wanted[:, -1] > 0).any(0)
        logits = (np.nan_to_num(wanted).reshape(20, SIDE, SIDE) * Planes.weights.numpy()[0]).sum(0)
        for dates in ("all", "shuffled"):
            found = map_of(
                Planes(), open_normalised(*site, CHANNELS, dates=dates), tiling=Tiling(64, 0, 8), batch=2
            )
            np.testing.assert_array_equal(np.isnan(found), never)
            np.testing.assert_allclose(found[~never], (1 / (1 + np.exp(-logits)))[~never], atol=1e-5)
        assert never.sum() >= 36

    def test_factors_alone_are_mapped_under_clouds(self, site):
        torch.manual_seed(0)
        found = map_of(nn.Conv2d(10, 1, 1), open_normalised(*site, ["elevation"], dates="all"))
        assert np.isfinite(found).all() and found.std() > 0

    def test_a_run_is_mapped_and_another_number_of_dates_refused(self, site, tmp_path):
        run = tmp_path / "run"
        train_run(*site, run, spec_of(recipe={"steps_per_epoch": 1}), "cpu", progress=False)
        map_run(run, *site, run, device="cpu", tiling=Tiling(96, 16, 32))
        found = read_layer(run / "probability.tif").values
        planes = torch.from_numpy(
            np.nan_to_num(planes_of(site)).reshape(1, 20, SIDE, SIDE).astype(np.float32)
        )
        with torch.inference_mode():
            wanted = load_network(run)[0].eval()(planes)[0, 0].sigmoid().numpy()
        never = np.isnan(np.load(site[0] / "cube.npy")[:, :2]).all((0, 1))
        np.testing.assert_allclose(found, np.where(never, np.nan, wanted), atol=1e-5)
        fewer = make_site(tmp_path / "fewer", dates=3)
        told = (
            r"cube\.json has 3 date\(s\) \(2008-09-01, .*\), but the network in .*run reads 5 .*`dates: all`"
        )
        with pytest.raises(HeadscarpError, match=told):
            map_run(run, fewer[0], site[1], tmp_path / "there", device="cpu")
        assert not (tmp_path / "there").exists()


def f1_of(site, folder: Path, network: str, dates: str | None) -> float:
    """F1 at 0.5 of the validation region after 40 steps."""
    recipe = {"epochs": 4, "steps_per_epoch": 10, "schedule": "one_cycle"}
    train_run(*site, folder, spec_of(network, dates=dates, recipe=recipe), "cpu", progress=False)
    probability = map_of(
        load_network(folder)[0], open_normalised(*site, CHANNELS, dates=dates), tiling=Tiling(96, 16, 32)
    )
    counted = (np.load(site[1] / "regions.npy") == 2) & ~np.isnan(probability)
    return f1_score(np.load(site[0] / "label.npy")[counted], probability[counted] >= 0.5)


@pytest.mark.slow
def test_a_step_between_two_dates_is_found_by_what_reads_the_series_only(site, tmp_path):
    """At the last date all is background again, so one date tells nothing, and dates whose order is lost tell
    little."""
    series, shuffled = (f1_of(site, tmp_path / dates, "st_fusion", dates) for dates in ("all", "shuffled"))
    assert series > 0.85 and shuffled < series - 0.2
    assert f1_of(site, tmp_path / "last", "resunet", "last") < 0.4
