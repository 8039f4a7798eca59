"""Windows centred on superpixels, the balance that multistage sampling reaches, and the samples made with
them."""

import json
import subprocess
import sys

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.segmentation import slic

from headscarp.errors import HeadscarpError
from headscarp.samples import superpixels
from headscarp.samples.build import build_samples
from headscarp.samples.spec import SamplingSpec
from headscarp.samples.splits import blocked_split, published_split, refuse_close_subsets
from headscarp.samples.superpixels import SuperpixelSampler, superpixel_centres, tiles, windows_around
from headscarp.samples.windows import Window, footprint, grid_corners, possible_corners, read_windows

COLOURS = np.array(
    [[0.4, 0.35, 0.3], [0.5, 0.4, 0.3], [0.7, 0.2, 0.2], [0.1, 0.5, 0.1], [0.1, 0.2, 0.6], [0.6, 0.6, 0.6]]
)
SPEC = SamplingSpec.from_record(
    {"window": 24, "stride": 12, "superpixels": {"pixels": 64, "bound": 6, "maximum": 240}}
)


def classes_scene(shape=(200, 260), unmapped=8):
    """Label codes 0 … 5 of very unequal area (vegetation most, buildings and a road least) in every part, and
    an RGB image of them."""
    label = np.full(shape, 3, np.uint8)
    fields = [gaussian_filter(np.random.default_rng(k).normal(size=shape), 5) for k in range(4)]
    for code, field, share in zip((0, 4, 1, 2), fields, (0.2, 0.08, 0.06, 0.02), strict=True):
        label[field > np.quantile(field, 1 - share)] = code
    label[:, np.arange(shape[1]) % 70 > 65] = 5
    label[:unmapped] = 255
    colours = COLOURS[np.where(label == 255, 0, label)].transpose(2, 0, 1)
    return label, (colours + np.random.default_rng(9).normal(0, 0.02, (3, *shape))).astype(np.float32)


def sampler_of(label, image, spec=SPEC):
    return SuperpixelSampler(
        superpixel_centres(image, range(3), label != 255, spec.superpixels.pixels, 10.0), label, spec
    )


def shares_of(label, windows, size):
    counts = sum(
        np.bincount(label[row : row + size, col : col + size].ravel(), minlength=256)[:6]
        for row, col in windows
    )
    return counts / counts.sum()


def ratio(shares):
    shares = list(shares.values()) if isinstance(shares, dict) else shares
    return max(shares) / min(shares)


class TestSuperpixels:
    def test_centres_are_the_means_of_the_segments_of_scikit_image(self):
        label, image = classes_scene(unmapped=0)
        segments = slic(
            np.moveaxis(image, 0, -1), n_segments=round(label.size / 64), compactness=10, start_label=0
        )
        wanted = {
            tuple(np.argwhere(segments == k).mean(axis=0).round().astype(int))
            for k in range(segments.max() + 1)
        }
        assert (
            set(map(tuple, superpixel_centres(image, [0, 1, 2], label != 255, 64, 10.0).tolist())) == wanted
        )

    def test_tiles_are_segmented_one_by_one_and_gaps_are_filled(self, monkeypatch):
        label, image = classes_scene()
        image[0, 50:53, 20:80] = np.nan
        monkeypatch.setattr(superpixels, "TILE", 130)
        assert list(tiles(260)) == [slice(0, 130), slice(130, 260)] and list(tiles(100)) == [slice(0, 100)]
        found = superpixel_centres(image, [0, 1, 2], label != 255, 64, 10.0)
        assert (label[found[:, 0], found[:, 1]] != 255).all()
        filled = np.where(
            np.isnan(image), np.nanmean(image[:, :100, :130], axis=(1, 2), keepdims=True), image
        )
        parts = [filled[:, :100, :130], filled[:, :100, 130:], filled[:, 100:, :130], filled[:, 100:, 130:]]
        corners = [(0, 0), (0, 130), (100, 0), (100, 130)]
        alone = [
            superpixel_centres(part, [0, 1, 2], np.ones(part.shape[1:], bool), 64, 10.0) for part in parts
        ]
        wanted = np.concatenate([part + corner for part, corner in zip(alone, corners, strict=True)])
        assert np.array_equal(found, wanted[label[wanted[:, 0], wanted[:, 1]] != 255])

    def test_a_scene_without_colours_has_superpixels(self):
        found = superpixel_centres(
            np.full((3, 40, 40), np.nan, np.float32), [0, 1, 2], np.ones((40, 40), bool), 100, 10.0
        )
        assert 9 <= len(found) <= 25

    def test_the_same_in_another_process(self):
        code = (
            "import sys, hashlib; sys.path[:0] = {path!r}; "
            "from tests.unit.samples import test_superpixels as t; label, image = t.classes_scene(); "
            "print(hashlib.sha256(t.sampler_of(label, image).centres.tobytes()).hexdigest())"
        )
        told = [
            subprocess.run(
                [sys.executable, "-c", code.format(path=[p for p in sys.path if p])], capture_output=True
            )
            for _ in range(2)
        ]
        assert told[0].stdout == told[1].stdout and len(told[0].stdout) == 65, told[0].stderr


class TestWindowsAround:
    def test_windows_are_centred_or_shifted_the_least(self):
        mask = gaussian_filter(np.random.default_rng(3).normal(size=(70, 90)), 8) > -0.02
        points = np.stack(
            [np.random.default_rng(4).integers(0, 70, 200), np.random.default_rng(5).integers(0, 90, 200)],
            axis=1,
        )
        size = 9
        wanted = set()
        for row, col in points.tolist():
            allowed = [
                ((r - (row - 4)) ** 2 + (c - (col - 4)) ** 2, r, c)
                for r in range(max(0, row - 8), min(row, 61) + 1)
                for c in range(max(0, col - 8), min(col, 81) + 1)
                if mask[r : r + size, c : c + size].all()
            ]
            if allowed:
                wanted.add(min(allowed)[1:])
        found = windows_around(points, possible_corners(mask, size), size)
        assert set(map(tuple, found.tolist())) == wanted and len(found) == len(wanted) < 200

    def test_a_region_smaller_than_the_window_has_none(self):
        assert not len(windows_around(np.array([[5, 5]]), possible_corners(np.ones((8, 30), bool), 9), 9))
        assert possible_corners(np.ones((8, 30), bool), 9).shape == (0, 22)


class TestSampler:
    def test_candidates_are_one_a_cell(self):
        label, image = classes_scene()
        sampler = sampler_of(label, image)
        region = np.zeros(label.shape, bool)
        region[20:120, 30:200] = True
        corners = sampler.candidates(region)
        assert (corners >= [20, 30]).all() and (corners + 24 <= [120, 200]).all()
        inner = corners[(corners > [20, 30]).all(axis=1) & (corners + 24 < [120, 200]).all(axis=1)]
        centres = set(map(tuple, sampler.centres.tolist()))
        assert len(inner) > 50 and {(row + 12, col + 12) for row, col in inner.tolist()} <= centres
        cells = {}
        for row, col in sorted(centres):
            if region[row, col]:
                cells.setdefault((row // 12, col // 12), []).append(
                    ((row % 12 - 5.5) ** 2 + (col % 12 - 5.5) ** 2, row, col)
                )
        assert {(row + 12, col + 12) for row, col in inner.tolist()} <= {
            (row, col) for cell in cells.values() for distance, row, col in cell if distance == min(cell)[0]
        }
        assert len(inner) <= len(corners) <= len(cells)
        inside = [(r, c) for r, c in cells if 36 <= r * 12 <= 84 and 48 <= c * 12 <= 160]
        assert {((row + 12) // 12, (col + 12) // 12) for row, col in corners.tolist()} >= set(inside)

    def test_stages_say_what_the_windows_hold_and_reach_the_bound(self):
        label, image = classes_scene()
        sampler = sampler_of(label, image)
        region = np.zeros(label.shape, bool)
        region[:, 20:240] = True
        corners, stages = sampler.balanced(sampler.candidates(region), region, np.random.default_rng(0))
        assert [stage["stage"] for stage in stages] == ["region", "superpixels", "tiles", "re-crops"]
        mapped = label[region & (label != 255)]
        assert stages[0]["shares"] == pytest.approx({str(code): (mapped == code).mean() for code in range(6)})
        assert (
            stages[1]["windows"] == 80
            and stages[2]["windows"] <= 160
            and stages[-1]["windows"] == len(corners) <= 240
        )
        assert list(stages[-1]["shares"].values()) == pytest.approx(shares_of(label, corners, 24).tolist())
        ratios = [ratio(stage["shares"]) for stage in stages]
        assert ratios[0] > 20 and ratios[1] > ratios[2] > 6 >= ratios[3]
        assert (
            len(np.unique(corners, axis=0)) == len(corners)
            and (corners[:, 1] >= 20).all()
            and (corners[:, 1] + 24 <= 240).all()
        )

    def test_balanced_scenes_are_left_as_they_are(self):
        label = (np.indices((96, 96)).sum(0) // 8 % 2).astype(np.uint8)
        sampler = SuperpixelSampler(grid_corners((96, 96), 12, 12) + 6, label, SPEC)
        everywhere = np.ones(label.shape, bool)
        corners = sampler.candidates(everywhere)
        found, stages = sampler.balanced(corners, everywhere, np.random.default_rng(0))
        assert np.array_equal(found, corners) and {stage["windows"] for stage in stages[1:]} == {len(corners)}

    def test_maximum_stops_what_cannot_be_balanced(self):
        label, image = classes_scene()
        spec = SamplingSpec.from_record(
            {"window": 24, "stride": 12, "superpixels": {"pixels": 64, "bound": 1, "maximum": 40}}
        )
        corners, stages = sampler_of(label, image, spec).balanced(
            grid_corners(label.shape, 24, 12), np.ones(label.shape, bool), np.random.default_rng(0)
        )
        assert [stage["windows"] for stage in stages] == [0, 13, 26, 40] and len(corners) == 40

    def test_scarce_pixels_are_found_where_no_superpixel_is(self):
        """A class that no window of a superpixel holds comes in by re-crops only."""
        label = np.full((120, 120), 3, np.uint8)
        label[100:104, 100:104] = 1
        sampler = SuperpixelSampler(np.array([[30, 30], [40, 60], [60, 30]]), label, SPEC)
        everywhere = np.ones(label.shape, bool)
        corners, stages = sampler.balanced(
            sampler.candidates(everywhere), everywhere, np.random.default_rng(1)
        )
        assert stages[2]["shares"]["1"] == 0 and stages[2]["windows"] == 3 and stages[3]["shares"]["1"] > 0
        added = corners[3:]
        assert len(added) and all(
            label[row : row + 24, col : col + 24].min() == 1 for row, col in added.tolist()
        )


class TestSplits:
    def test_blocked_windows_stay_apart_and_only_training_is_balanced(self):
        label, image = classes_scene((260, 420))
        split = blocked_split(label, SPEC, 3, 0, sampler_of(label, image))
        refuse_close_subsets(split.windows, SPEC.buffer, "blocked")
        train = [(w.row, w.col) for w in split.windows if w.split == "train"]
        inside = (split.regions == 1) | (label == 255)
        assert all(inside[r : r + 24, c : c + 24].all() for r, c in train)
        plain = SamplingSpec(window=24, stride=12, seeded_on_landslides=False)
        others = [w for w in split.windows if w.split != "train"]
        assert others == [w for w in blocked_split(label, plain, 3).windows if w.split != "train"]
        codes = [int(code) for code in split.stages[-1]["shares"]]
        assert list(split.stages[-1]["shares"].values()) == pytest.approx(
            shares_of(label, train, 24)[codes].tolist()
        )
        assert ratio(split.stages[-1]["shares"]) < ratio(split.stages[0]["shares"])

    @pytest.mark.parametrize("evaluate", ["area", "test_windows"])
    def test_published_patches_are_split_at_random(self, evaluate):
        label, image = classes_scene()
        record = {
            "window": 24,
            "stride": 12,
            "superpixels": {"pixels": 64, "maximum": 300},
            "train_fraction": 0.6,
            "evaluate": evaluate,
        }
        spec = SamplingSpec.from_record(record)
        sampler = sampler_of(label, image, spec)
        split = published_split(label, spec, 1, 0, sampler)
        candidates = set(map(tuple, sampler.candidates(np.ones(label.shape, bool)).tolist()))
        validation = {w[:2] for w in split.windows if w.split == "validation"}
        assert validation <= candidates and len(validation) == len(candidates) - round(0.6 * len(candidates))
        assert (
            split.stages[1]["windows"]
            == min(100, len(candidates) - len(validation))
            < split.stages[-1]["windows"]
        )
        test = {w[:2] for w in split.windows if w.split == "test"}
        assert test == (validation if evaluate == "test_windows" else set())
        assert (
            published_split(label, spec, 1, 0, sampler).windows
            == split.windows
            != published_split(label, spec, 2, 0, sampler).windows
        )

    def test_published_balance_stays_on_the_ground_of_training_patches(self):
        """What balances the classes shows no pixel that no training patch shows, so that no test pixel is
        trained on for its sake."""
        label, image = classes_scene()
        spec = SamplingSpec.from_record(
            {
                "window": 24,
                "stride": 12,
                "superpixels": {"pixels": 64, "bound": 2, "maximum": 300},
                "train_fraction": 0.4,
                "evaluate": "test_windows",
            }
        )
        sampler = sampler_of(label, image, spec)
        split = published_split(label, spec, 1, 0, sampler)
        candidates = set(map(tuple, sampler.candidates(np.ones(label.shape, bool)).tolist()))
        held_out = {w[:2] for w in split.windows if w.split == "test"}
        of_training = footprint([Window(*at, 24, 0, "train") for at in candidates - held_out], label.shape)
        trained = [w for w in split.windows if w.split == "train"]
        assert len(trained) > len(candidates - held_out) and not held_out & {w[:2] for w in trained}
        assert not (footprint(trained, label.shape) & ~of_training).any()
        assert not of_training.all()

    def test_binary_labels_are_two_classes(self):
        label, image = classes_scene()
        binary = np.where(label == 255, 255, label == 1).astype(np.uint8)
        split = blocked_split(binary, SPEC, 0, 0, sampler_of(binary, image))
        assert list(split.stages[-1]["shares"]) == ["0", "1"]


@pytest.fixture
def cube_folder(tmp_path):
    return write_cube(tmp_path / "cube", *classes_scene())


def write_cube(folder, label, image):
    folder.mkdir()
    np.save(folder / "cube.npy", image[None])
    np.save(folder / "label.npy", label)
    (folder / "cube.json").write_text(
        json.dumps({"channels": [{"name": name} for name in ("red", "green", "blue")]})
    )
    return folder


class TestBuild:
    @pytest.mark.parametrize("protocol", ["published", "blocked"])
    def test_samples_are_the_same_bytes_and_tell_their_stages(self, cube_folder, tmp_path, protocol):
        for out in ("one", "two"):
            build_samples(cube_folder, tmp_path / out, SPEC, protocol, seed=2)
        for name in ("windows.csv", "regions.npy", "samples.json"):
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
        record = json.loads((tmp_path / "one" / "samples.json").read_text())
        windows = [w for w in read_windows(tmp_path / "one" / "windows.csv") if w.split == "train"]
        assert record["stages"][-1]["windows"] == len(windows) == record["counts"]["train"]["windows"]
        assert record["superpixels"]["compactness"] == 10 and record["superpixels"]["count"] > 500
        assert any("balanced" in note for note in record["notes"])

    def test_what_was_not_reached_is_told(self, cube_folder, tmp_path):
        label = np.load(cube_folder / "label.npy")
        label[label == 2] = 3
        label[150, 150] = 2
        np.save(cube_folder / "label.npy", label)
        spec = SamplingSpec.from_record(
            {"window": 24, "stride": 12, "superpixels": {"pixels": 64, "maximum": 30}}
        )
        build_samples(cube_folder, tmp_path / "published", spec, "published", seed=2)
        notes = json.loads((tmp_path / "published" / "samples.json").read_text())["notes"]
        assert any("the bound of 4 was not reached" in note for note in notes)
        label[label == 2] = 3
        for col in (20, 120, 220):  # a class that the training region of some fold lacks
            label[20:30, col : col + 10] = 1
        label[20:25, 10:15] = 2
        np.save(cube_folder / "label.npy", label)
        told = []
        for fold in range(3):
            build_samples(cube_folder, tmp_path / str(fold), spec, "blocked", seed=2, fold=fold)
            record = json.loads((tmp_path / str(fold) / "samples.json").read_text())
            told.append(any("no pixel of class 2" in note for note in record["notes"]))
            assert told[-1] == ("2" not in record["stages"][0]["shares"])
        assert any(told)

    @pytest.mark.parametrize("protocol", ["published", "blocked"])
    def test_windows_larger_than_the_scene_are_told(self, cube_folder, tmp_path, protocol):
        spec = SamplingSpec.from_record({"window": 256, "superpixels": {}})
        with pytest.raises(HeadscarpError, match=r"200 x 260 pixels .*256.*sampling\.window"):
            build_samples(cube_folder, tmp_path / "out", spec, protocol, seed=2)

    @pytest.mark.parametrize(
        ("record", "message"),
        [
            (
                {"channels": ["red", "gren"]},
                "sampling.superpixels channel 'gren' does not exist; did you mean 'green'",
            ),
            (
                {"chanels": ["red"]},
                "sampling, superpixels: unknown key 'chanels'; did you mean 'channels'",
            ),
            ({"channels": "red"}, "superpixels, channels: 'red' will not do"),
            ({"pixels": 2}, "superpixels, pixels: 2 will not do"),
            ({"bound": 0.5}, "superpixels, bound: 0.5 will not do"),
            ({"maximum": None}, "superpixels, maximum: null will not do"),
            ({"compactness": 0}, "superpixels, compactness: 0 will not do"),
            (True, "superpixels: true will not do"),
        ],
    )
    def test_a_wrong_record_is_told(self, cube_folder, tmp_path, record, message):
        with pytest.raises(HeadscarpError, match=message):
            build_samples(
                cube_folder,
                tmp_path / "out",
                SamplingSpec.from_record({"superpixels": record}),
                "published",
                seed=0,
            )
