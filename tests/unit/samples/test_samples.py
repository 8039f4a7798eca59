"""Windows, splits, the guard against leakage and the files of the samples station."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.ndimage import gaussian_filter

from headscarp.codes import TEST, TRAIN, VALIDATION
from headscarp.errors import HeadscarpError
from headscarp.plan.plan import load_plan
from headscarp.samples import build
from headscarp.samples.background import require_both_in_training
from headscarp.samples.build import bootstrap_cells, build_samples, normalisation
from headscarp.samples.spec import BlockSplit, SamplingSpec, StripSplit, SuperpixelSpec
from headscarp.samples.splits import (
    blocked_split,
    corners_inside,
    draw_windows,
    overlap_share,
    published_split,
    refuse_close_subsets,
)
from headscarp.samples.windows import (
    Window,
    close_pairs,
    counts_in_windows,
    footprint,
    grid_corners,
    read_windows,
    squares,
    write_windows,
)
from tests.conftest import REPOSITORY

CODES = {"train": TRAIN, "validation": VALIDATION, "test": TEST}


def scene(shape, seed=0, share=0.08, unmapped=0):
    """A label of smooth blobs with an unmapped margin."""
    field = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 4)
    label = (field > np.quantile(field, 1 - share)).astype(np.uint8)
    if unmapped:
        label[:unmapped] = label[:, -unmapped:] = 255
    return label


def chebyshev_gaps(first, second):
    """All gaps between two sets of windows, by the plain n^2 definition."""
    gaps = np.empty((len(first), len(second)), dtype=int)
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            rows = max(b.row - (a.row + a.size), a.row - (b.row + b.size))
            cols = max(b.col - (a.col + a.size), a.col - (b.col + b.size))
            gaps[i, j] = max(rows, cols)
    return gaps


@given(height=st.integers(16, 90), width=st.integers(16, 90), size=st.integers(8, 16), data=st.data())
def test_grid_covers_the_scene_and_stays_inside(height, width, size, data):
    stride = data.draw(st.integers(1, size))
    corners = grid_corners((height, width), size, stride)
    assert len(np.unique(corners, axis=0)) == len(corners)
    assert corners.min() == 0 and (corners + size <= [height, width]).all()
    assert footprint([Window(r, c, size, 0, "") for r, c in corners], (height, width)).all()


def test_scene_smaller_than_a_window():
    with pytest.raises(
        HeadscarpError,
        match=r"30 x 100 pixels is smaller than the window of 32; make sampling\.window smaller",
    ):
        grid_corners((30, 100), 32, 16)


def test_counts_in_windows_match_slices():
    rng = np.random.default_rng(1)
    mask = rng.random((40, 53)) < 0.3
    corners = np.stack([rng.integers(0, 31, 50), rng.integers(0, 44, 50)], axis=1)
    assert counts_in_windows(mask, corners, 10).tolist() == [
        mask[r : r + 10, c : c + 10].sum() for r, c in corners
    ]


def test_index_survives_the_file(tmp_path):
    windows = [Window(0, 3, 64, 0, "train"), Window(7, 9, 64, 1, "test")]
    write_windows(tmp_path / "windows.csv", windows)
    assert (tmp_path / "windows.csv").read_text().splitlines()[:2] == [
        "row,col,size,date,split",
        "0,3,64,0,train",
    ]
    assert read_windows(tmp_path / "windows.csv") == windows


@pytest.mark.parametrize(
    "text", ["a,b\n1,2\n", "row,col,size,date,split\n1,2,3\n", "row,col,size,date,split\n1,x,3,0,train\n", ""]
)
def test_a_damaged_index_is_named(tmp_path, text):
    (tmp_path / "windows.csv").write_text(text)
    with pytest.raises(HeadscarpError, match=r"windows\.csv .*make the samples again"):
        read_windows(tmp_path / "windows.csv")


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 40), m=st.integers(1, 40), distance=st.integers(0, 40))
def test_close_pairs_equal_the_plain_definition(seed, n, m, distance):
    rng = np.random.default_rng(seed)
    first, second = (
        [Window(*rng.integers(0, 300, 2).tolist(), int(rng.integers(1, 40)), 0, "") for _ in range(count)]
        for count in (n, m)
    )
    one, two = squares(first), squares(second)
    found = {(int(a), int(b)) for i, j in close_pairs(one, two, distance) for a, b in zip(i, j, strict=True)}
    gaps = chebyshev_gaps(
        [Window(*s, 0, "") for s in one.tolist()], [Window(*s, 0, "") for s in two.tolist()]
    )
    assert found == {(int(a), int(b)) for a, b in zip(*np.nonzero(gaps < distance), strict=True)}


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.integers(3, 7), data=st.data())
def test_windows_inside_a_mask_cover_all_that_can_be_covered(seed, size, data):
    stride = data.draw(st.integers(1, size))
    mask = gaussian_filter(np.random.default_rng(seed).normal(size=(24, 31)), 3) > -0.05
    possible = [
        (r, c) for r in range(25 - size) for c in range(32 - size) if mask[r : r + size, c : c + size].all()
    ]
    corners = corners_inside(mask, size, stride)
    assert set(map(tuple, corners.tolist())) <= set(possible)
    covered, coverable = (
        footprint([Window(r, c, size, 0, "") for r, c in chosen], mask.shape)
        for chosen in (corners, possible)
    )
    assert np.array_equal(covered, coverable)


def test_published_split_is_seeded_on_slides_and_random_3_to_7():
    label = scene((200, 310), unmapped=9)
    split = published_split(label, SamplingSpec(window=32, stride=16), seed=3)
    windows = split.windows
    grid = {tuple(corner) for corner in grid_corners(label.shape, 32, 16).tolist()}
    expected = {(r, c) for r, c in grid if (label[r : r + 32, c : c + 32] == 1).any()}
    assert {(w.row, w.col) for w in windows} == expected and len(windows) == len(expected)
    assert sum(w.split == "train" for w in windows) == round(0.3 * len(windows))
    assert np.array_equal(split.regions == TEST, label != 255) and set(np.unique(split.regions)) == {0, TEST}
    assert published_split(label, SamplingSpec(window=32, stride=16), seed=3).windows == windows
    assert published_split(label, SamplingSpec(window=32, stride=16), seed=4).windows != windows


@pytest.mark.parametrize("seeded", [True, False])
def test_published_split_may_evaluate_test_windows_only(seeded):
    """80 % of the windows train; the others are validation and test alike, and the union of their mapped
    pixels is evaluated."""
    label = scene((200, 310), share=0.01, unmapped=9)
    spec = SamplingSpec(
        window=32, stride=16, seeded_on_landslides=seeded, train_fraction=0.8, evaluate="test_windows"
    )
    split = published_split(label, spec, seed=3)
    by_subset = {name: [w for w in split.windows if w.split == name] for name in CODES}
    assert [w[:4] for w in by_subset["test"]] == [w[:4] for w in by_subset["validation"]]
    n_windows = len(by_subset["train"]) + len(by_subset["test"])
    assert len(by_subset["train"]) == round(0.8 * n_windows)
    corners = grid_corners(label.shape, 32, 16).tolist()
    drawn = [(r, c) for r, c in corners if (label[r : r + 32, c : c + 32] == 1).any() or not seeded]
    assert {w[:2] for w in by_subset["train"] + by_subset["test"]} == set(drawn) and n_windows == len(drawn)
    expected = np.zeros(label.shape, np.uint8)
    for code, name in ((TRAIN, "train"), (TEST, "test")):  # test last: it takes the pixels that both cover
        for w in by_subset[name]:
            expected[w.row : w.row + 32, w.col : w.col + 32] = code
    expected[label == 255] = 0
    assert np.array_equal(split.regions, expected) and {TRAIN, TEST} <= set(np.unique(expected))
    trainable = [split.regions[w.row : w.row + 32, w.col : w.col + 32] != 0 for w in by_subset["train"]]
    mapped = [label[w.row : w.row + 32, w.col : w.col + 32] != 255 for w in by_subset["train"]]
    assert np.array_equal(trainable, mapped)


def test_background_windows_are_added_in_the_ratio_asked_for():
    label = scene((320, 320), share=0.01)
    plain = published_split(label, SamplingSpec(window=32, stride=32), seed=0).windows
    more = published_split(label, SamplingSpec(window=32, stride=32, background_ratio=0.5), seed=0).windows
    empty = [w for w in more if not (label[w.row : w.row + 32, w.col : w.col + 32] == 1).any()]
    assert len(empty) == round(0.5 * len(plain)) and len(more) == len(plain) + len(empty)


def test_overlap_share_is_counted_by_pixels_too():
    windows = published_split(scene((200, 310)), SamplingSpec(window=32, stride=16), seed=3).windows
    trained = footprint([w for w in windows if w.split == "train"], (200, 310))
    validation = [w for w in windows if w.split == "validation"]
    overlapping = [trained[w.row : w.row + 32, w.col : w.col + 32].any() for w in validation]
    assert overlap_share(windows) == pytest.approx(np.mean(overlapping)) and np.mean(overlapping) > 0.5
    apart = [Window(0, 0, 32, 0, "train"), Window(0, 32, 32, 0, "validation")]
    assert overlap_share(apart) == 0
    assert overlap_share(apart[:1]) is None


SPLITS_TO_TRY = st.one_of(
    st.builds(BlockSplit, buffer=st.sampled_from([None, 0, 5, 32])),
    st.builds(
        StripSplit,
        axis=st.sampled_from(["x", "y"]),
        edges=st.just((0.45, 0.7)),
        buffer=st.sampled_from([None, 0, 20]),
    ),
)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000),
    height=st.integers(240, 330),
    width=st.integers(240, 330),
    unmapped=st.sampled_from([0, 25]),
    split=SPLITS_TO_TRY,
)
def test_blocked_subsets_stay_apart(seed, height, width, unmapped, split):
    label = scene((height, width), seed, unmapped=unmapped)
    spec = SamplingSpec(window=32, stride=16, split=split)
    result = blocked_split(label, spec, seed)
    by_subset = {name: [w for w in result.windows if w.split == name] for name in CODES}
    for one, other in (("train", "test"), ("train", "validation"), ("validation", "test")):
        assert chebyshev_gaps(by_subset[one], by_subset[other]).min() >= spec.buffer
    for name, windows in by_subset.items():
        inside = footprint(windows, label.shape)
        assert set(np.unique(result.regions[inside & (label != 255)])) == {CODES[name]}
        assert (label[result.regions == CODES[name]] == 1).any()
        assert all(min(w.row, w.col) >= 0 and w.row + 32 <= height and w.col + 32 <= width for w in windows)
    assert footprint(by_subset["test"], label.shape)[result.regions == TEST].all()
    assert not (result.regions[label == 255]).any()


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_folds_share_the_mapped_area_and_its_landslides(folds):
    label = scene((616, 976), unmapped=60)
    for fold in range(folds):
        spec = SamplingSpec(split=BlockSplit(folds=folds))
        regions = blocked_split(label, spec, 0, fold=fold).regions
        area = np.bincount(regions[label != 255], minlength=4) / (label != 255).sum()
        slides = np.bincount(regions[label == 1], minlength=4) / (label == 1).sum()
        # The test region is whole; the buffers cost the other two a part of theirs.
        assert area[TEST] == pytest.approx(1 / folds, abs=0.08)
        assert slides[TEST] == pytest.approx(1 / folds, abs=0.08)
        assert area[TRAIN] > 0.45 * (1 - 1 / folds) and area[VALIDATION] > 0.08 and area[0] < 0.25


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), folds=st.integers(2, 4), unmapped=st.sampled_from([0, 25]))
def test_folds_together_test_all_ground_once(seed, folds, unmapped):
    label = scene((300, 330), seed, unmapped=unmapped)
    spec = SamplingSpec(window=32, stride=16, split=BlockSplit(folds=folds))
    regions = [blocked_split(label, spec, seed, fold=fold).regions for fold in range(folds)]
    tested = np.sum([of == TEST for of in regions], axis=0)
    assert np.array_equal(tested, (label != 255).astype(int))


def test_blocks_balance_the_number_of_landslides():
    """One slide as large as all small ones together would balance the area with all of these elsewhere."""
    label = np.zeros((480, 480), np.uint8)
    label[20:60, 20:60] = 1
    rng = np.random.default_rng(0)
    for row, col in rng.integers(8, 470, (90, 2)):
        label[row : row + 4, col : col + 4] = 1
    numbers = [
        ndimage.label(
            (blocked_split(label, SamplingSpec(window=32), 0, fold=fold).regions == TEST) & (label == 1)
        )[1]
        for fold in range(3)
    ]
    assert min(numbers) > 15


def test_blocked_split_depends_on_the_seed_alone():
    label = scene((300, 300))
    spec = SamplingSpec(window=32, stride=16)
    first, again, other = (blocked_split(label, spec, seed) for seed in (1, 1, 2))
    assert first.windows == again.windows and np.array_equal(first.regions, again.regions)
    assert not np.array_equal(first.regions, other.regions)


def test_strips_lie_where_the_edges_say():
    label = scene((200, 300))
    regions = blocked_split(
        label, SamplingSpec(window=16, stride=8, split=StripSplit(edges=(0.5, 0.7), buffer=10)), 0
    ).regions
    expected = np.repeat([TRAIN, 0, VALIDATION, 0, TEST], [140, 10, 50, 10, 90])
    assert (regions == expected).all()


def test_a_subset_may_have_several_strips():
    label = scene((64, 240), seed=3)
    split = StripSplit(edges=(0.2, 0.4, 0.7), subsets=("train", "validation", "train", "test"), buffer=8)
    regions = blocked_split(label, SamplingSpec(window=16, stride=8, split=split), 0).regions
    assert (regions[:, :40] == 1).all() and (regions[:, 40:48] == 0).all() and (regions[:, 48:96] == 2).all()
    assert (regions[:, 104:160] == 1).all() and (regions[:, 168:] == 3).all()


def test_smaller_blocks_where_slides_are_crowded():
    label = np.zeros((300, 300), dtype=np.uint8)
    label[:130:6, :130:6] = 1
    # A block of 150 pixels holds all slides, and one of three windows most; the default goes on to smaller
    # ones.
    regions = blocked_split(label, SamplingSpec(window=32, stride=16), 0).regions
    assert np.bincount(regions[label == 1], minlength=4)[TRAIN:].min() >= 20
    with pytest.raises(HeadscarpError, match="each a landslide"):
        blocked_split(label, SamplingSpec(window=32, stride=16, split=BlockSplit(block=150)), 0)


def test_regions_that_are_all_landslide_are_no_subsets():
    """Land west of the middle is landslide throughout, so that strips leave a subset without background."""
    label = np.zeros((128, 384), dtype=np.uint8)
    label[:, :192] = 1
    label[60, 192:] = 1
    spec = SamplingSpec(window=32, stride=16, split=StripSplit(edges=(0.4, 0.7)))
    with pytest.raises(HeadscarpError, match=r"no strips .* each a landslide, background and a window"):
        blocked_split(label, spec, 0)
    label[5, 5] = 0
    assert {window.split for window in blocked_split(label, spec, 0).windows} == set(CODES)


def test_training_windows_need_both():
    label = np.zeros((64, 64), np.uint8)
    label[:, :32] = 1
    require_both_in_training(label, [Window(0, 16, 32, 0, "train"), Window(0, 0, 32, 0, "test")])
    for col, lacking in ((32, "landslide"), (0, "background")):
        windows = [Window(0, col, 32, 0, "train"), Window(0, 16, 32, 0, "test")]
        with pytest.raises(HeadscarpError, match=f"the training windows hold no {lacking}"):
            require_both_in_training(label, windows)


@pytest.mark.parametrize("kept", [0, 1])
def test_what_the_inputs_show_needs_both(cube_folder, tmp_path, kept):
    """Inputs without values at all landslides, or at all of the rest."""
    label = np.load(cube_folder / "label.npy")
    cube = np.load(cube_folder / "cube.npy")
    cube[..., label != kept] = np.nan
    np.save(cube_folder / "cube.npy", cube)
    lacking = "landslide" if kept == 0 else "background"
    with pytest.raises(HeadscarpError, match=rf"cube\.npy has no {lacking} pixel where all input groups"):
        build_samples(cube_folder, tmp_path / "out", SamplingSpec(32, 16), "published", 0, GROUPS)


def test_slides_in_one_corner_cannot_be_split():
    label = np.zeros((300, 300), dtype=np.uint8)
    label[:20, :20] = 1
    with pytest.raises(
        HeadscarpError,
        match=r"each a landslide, background and a window of 32 pixels .* make sampling\.window",
    ):
        blocked_split(label, SamplingSpec(window=32, stride=16), 0)


def test_guard_names_two_windows_and_ignores_dates_of_one_place():
    windows = [
        Window(0, 0, 64, 0, "train"),
        Window(0, 95, 64, 3, "test"),
        Window(400, 0, 64, 0, "validation"),
    ]
    with pytest.raises(
        HeadscarpError,
        match=r"train window at row 0, col 0 \(size 64\) and the test window at row 0, col 95 "
        r".*fewer than 32",
    ):
        refuse_close_subsets(windows, 32, "blocked")
    refuse_close_subsets(windows, 31, "blocked")
    refuse_close_subsets(windows, 32, "published")
    with pytest.raises(
        HeadscarpError, match=r"validation window at row 400, col 0 .* test window at row 430"
    ):
        refuse_close_subsets([*windows[:1], windows[2], Window(430, 30, 64, 0, "test")], 0, "blocked")


def test_guard_is_quick_on_a_hundred_thousand_windows():
    rng = np.random.default_rng(0)
    rows, cols = (rng.permuted(np.tile(np.arange(0, 64 * 320, 64), (320, 1)), axis=1) for _ in range(2))
    windows = [
        Window(r, c, 64, 0, "train" if c < 15_000 else "test")
        for r, c in zip(rows.ravel().tolist(), cols.ravel().tolist(), strict=True)
    ]
    windows = [w for w in windows if not 14_900 < w.col < 15_100]
    refuse_close_subsets(windows, 64, "blocked")
    with pytest.raises(HeadscarpError, match="leak"):
        refuse_close_subsets(
            [*windows, Window(10, 15_000, 64, 0, "train"), Window(10, 15_060, 64, 0, "test")], 64, "blocked"
        )


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"windw": 32}, "sampling: unknown key 'windw'; did you mean 'window'"),
        ({"split": {"kind": "strip"}}, "'strip' does not exist; did you mean 'strips'"),
        (
            {"split": {"kind": "strips", "fractions": [0.6, 0.2, 0.2]}},
            "split: unknown key 'fractions'; known are: axis, buffer",
        ),
        ({"split": {"bufer": 3}}, "did you mean 'buffer'"),
        ({"split": "blocks"}, "sampling, split: 'blocks' will not do"),
        ({"stride": 128}, "sampling, stride: 128 is more than the window"),
        ({"train_fraction": 1.0}, "sampling, train_fraction: 1.0 will not do"),
        (
            {"evaluate": "test_window"},
            "sampling, evaluate: 'test_window' does not exist; did you mean 'test_windows'",
        ),
        ({"split": {"kind": "patches", "fractions": [0.5, 0.2, 0.2]}}, "sum to 1"),
        ({"split": {"folds": 1}}, "split, folds: 1 will not do"),
        ({"split": {"fractions": [0.6, 0.2, 0.2]}}, "split: unknown key 'fractions'"),
        ({"split": {"kind": "strips", "edges": [0.7, 0.5]}}, "ascending"),
        (
            {"split": {"kind": "strips", "subsets": ["train", "test"]}},
            "subsets: .* will not do; it must be a list of 3 or more",
        ),
    ],
)
def test_a_wrong_spec_is_told_plainly(record, message):
    with pytest.raises(HeadscarpError, match=message):
        SamplingSpec.from_record(record)


def test_a_spec_is_built_from_a_card():
    spec = SamplingSpec.from_record(
        {"window": 48, "split": {"kind": "strips", "axis": "y", "edges": [0.5, 0.6]}}
    )
    assert spec == SamplingSpec(window=48, split=StripSplit("y", (0.5, 0.6))) and spec.buffer == 24
    spec = SamplingSpec.from_record({"superpixels": {"channels": ["red", "nir"], "pixels": 100}})
    assert (
        spec.superpixels == SuperpixelSpec(pixels=100, channels=("red", "nir"))
        and spec.superpixels.compactness == 10
    )
    assert SamplingSpec.from_record({"superpixels": None}) == SamplingSpec()


def test_normalisation_equals_numpy_whatever_the_strips(monkeypatch):
    rng = np.random.default_rng(0)
    cube = (rng.normal(size=(2, 3, 50, 40)) * [[[[1]], [[100]], [[0]]]] + [[[[0]], [[1e4]], [[7]]]]).astype(
        np.float32
    )
    cube[:, :2][rng.random((2, 2, 50, 40)) < 0.1] = np.nan
    mask = rng.random((50, 40)) < 0.5
    mask[10:25] = False
    for strip_bytes in (1, 20_000, 1 << 30):
        monkeypatch.setattr(build, "STRIP_BYTES", strip_bytes)
        result = normalisation(cube, mask, ["a", "b", "flat"])
        for index, name in enumerate(["a", "b"]):
            values = cube[:, index][:, mask].astype(np.float64)
            assert result[name] == pytest.approx(
                {"mean": np.nanmean(values), "sd": np.nanstd(values)}, rel=1e-9
            )
        assert result["flat"] == {"mean": 7.0, "sd": 1.0}
    cube[:, 1, mask] = np.nan
    with pytest.raises(HeadscarpError, match="channel 'b' has no value"):
        normalisation(cube, mask, ["a", "b", "flat"])


def test_bootstrap_cells_are_squares():
    scored = np.ones((50, 70), dtype=bool)
    scored[0, 0] = False
    cells = bootstrap_cells(scored, 32)
    assert cells[0, 0] == -1 and cells[0, 1] == 0 and cells[40, 69] == 1 * 3 + 2
    assert np.unique(cells).tolist() == [-1, 0, 1, 2, 3, 4, 5] and (cells == 0).sum() == 32 * 32 - 1


@pytest.fixture
def cube_folder(tmp_path):
    folder = tmp_path / "cube"
    folder.mkdir()
    label = scene((260, 300), unmapped=10)
    cube = np.random.default_rng(0).normal(size=(1, 4, 260, 300)).astype(np.float32)
    cube[0, :2, 100:120] = np.nan  # the optical group is missing here
    cube[0, 2, 50:60] = np.nan  # only one of the factors is missing here
    channels = [
        {"name": name, "units": "1", "source": "test"} for name in ("red", "nir", "slope", "elevation")
    ]
    np.save(folder / "cube.npy", cube)
    np.save(folder / "label.npy", label)
    (folder / "cube.json").write_text(json.dumps({"channels": channels, "dates": ["2015-01-01"]}))
    return folder


GROUPS = [["red", "nir"], ["slope", "elevation"]]


@pytest.mark.parametrize("protocol", ["published", "blocked"])
def test_samples_of_a_site(cube_folder, tmp_path, protocol):
    out = tmp_path / "samples" / protocol
    build_samples(cube_folder, out, SamplingSpec(window=32, stride=16), protocol, seed=5, groups=GROUPS)
    assert sorted(path.name for path in out.iterdir()) == [
        "blocks.npy",
        "regions.npy",
        "samples.json",
        "windows.csv",
    ]
    label, cube = np.load(cube_folder / "label.npy"), np.load(cube_folder / "cube.npy")
    regions, cells = np.load(out / "regions.npy"), np.load(out / "blocks.npy")
    record = json.loads((out / "samples.json").read_text())
    assert (regions.dtype, cells.dtype) == (np.uint8, np.int32)
    unscored = (label == 255) | np.isnan(cube[0, :2]).all(axis=0)
    assert not regions[unscored].any() and np.array_equal(cells == -1, unscored)
    training = regions == (1 if protocol == "blocked" else 3)
    assert record["normalisation"]["slope"]["mean"] == pytest.approx(
        np.nanmean(cube[0, 2][training].astype(float))
    )
    assert record["counts"]["test"]["pixels"] == (regions == 3).sum()
    assert record["counts"]["test"]["landslide_share"] == pytest.approx((label[regions == 3] == 1).mean())
    assert record["buffer"] == (16 if protocol == "blocked" else None)
    overlap = record["overlap"]["validation_windows_overlapping_training"]
    assert overlap == 0 if protocol == "blocked" else overlap > 0.5
    assert any("are not scored" in note for note in record["notes"])
    refuse_close_subsets(read_windows(out / "windows.csv"), 16, protocol)


def test_samples_of_test_windows_tell_what_overlaps(cube_folder, tmp_path):
    spec = SamplingSpec(
        window=32, stride=16, seeded_on_landslides=False, train_fraction=0.8, evaluate="test_windows"
    )
    for protocol in ("published", "blocked"):
        build_samples(cube_folder, tmp_path / protocol, spec, protocol, seed=5, groups=GROUPS)
    label, cube = np.load(cube_folder / "label.npy"), np.load(cube_folder / "cube.npy")
    label = np.where(np.isnan(cube[0, :2]).all(axis=0), 255, label)
    record = json.loads((tmp_path / "published" / "samples.json").read_text())
    regions, windows = (
        np.load(tmp_path / "published" / "regions.npy"),
        read_windows(tmp_path / "published" / "windows.csv"),
    )
    trained = footprint([w for w in windows if w.split == "train"], label.shape)
    test = [w for w in windows if w.split == "test"]
    overlapping = np.mean([trained[w.row : w.row + 32, w.col : w.col + 32].any() for w in test])
    overlap = record["overlap"]
    assert (
        overlap["test_windows_overlapping_training"]
        == overlap["validation_windows_overlapping_training"]
        == overlapping
        > 0.9
    )
    assert overlap["test_pixels_in_training_windows"] == pytest.approx(trained[regions == TEST].mean())
    assert record["normalisation"]["slope"]["mean"] == pytest.approx(
        np.nanmean(cube[0, 2][label != 255].astype(float))
    )
    evaluated = footprint(test, label.shape) & (label != 255)
    counts = record["counts"]
    assert (
        counts["test"]
        == counts["validation"]
        == {
            "windows": len(test),
            "pixels": evaluated.sum(),
            "landslide_share": pytest.approx((label[evaluated] == 1).mean()),
        }
    )
    assert any("are also the validation windows" in note for note in record["notes"])
    # The protocol `blocked` does not know the option.
    blocked = json.loads((tmp_path / "blocked" / "samples.json").read_text())
    assert blocked["overlap"]["test_pixels_in_training_windows"] == 0 and not any(
        "validation windows" in note for note in blocked["notes"]
    )


def only_landslides(label):
    return np.where(label == 1, 1, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (lambda label: label * 0, ("blocked", GROUPS), r"label\.npy holds no landslide"),
        (
            only_landslides,
            ("blocked", GROUPS),
            r"label\.npy holds landslides only and no background; the `area`",
        ),
        (only_landslides, ("published", GROUPS), r"label\.npy holds landslides only and no background"),
        (lambda label: label * 0 + 255, ("published", GROUPS), r"label\.npy holds no landslide"),
        (lambda label: label, ("blocked", [["red", "swir"]]), "channel 'swir' does not exist"),
        (lambda label: label, ("blocks", GROUPS), "protocol 'blocks' does not exist; did you mean 'blocked'"),
    ],
)
def test_samples_that_cannot_be_made_leave_nothing(cube_folder, tmp_path, change, arguments, message):
    label = np.load(cube_folder / "label.npy")
    np.save(cube_folder / "label.npy", change(label))
    protocol, groups = arguments
    with pytest.raises(HeadscarpError, match=message):
        build_samples(cube_folder, tmp_path / "out", SamplingSpec(window=32, stride=16), protocol, 0, groups)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_stfusion_draws_about_as_many_samples_at_full_as_its_paper_counts():
    """Its two simulated areas at their planned size, with as many landslides as planned at random on as much
    land as planned: the paper counts 3172 samples, a stride of 128 would give less than a third."""
    card = load_plan({"cards": ["stfusion"], "scale": "full"}, REPOSITORY).cards["stfusion"]
    rng, window = np.random.default_rng(0), card.sampling["window"]
    scenes = [planned_label(card.sites[name].twin, rng) for name in card.sites["karakoram_sichuan"].scenes]
    gap = np.full((window, scenes[0].shape[1]), 255, np.uint8)
    width = [(0, 0), (0, scenes[0].shape[1] - scenes[1].shape[1])]
    label = np.concatenate([scenes[0], gap, np.pad(scenes[1], width, constant_values=255)])
    drawn = {}
    for stride in (card.sampling["stride"], 128):
        spec = SamplingSpec.from_record(card.sampling | {"stride": stride}, "stfusion")
        drawn[stride] = len(draw_windows(grid_corners(label.shape, window, stride), label, spec, rng))
    print(f"samples drawn by stride: {drawn}")
    assert drawn[card.sampling["stride"]] == pytest.approx(3172, rel=0.15)
    assert drawn[128] < 3172 / 3


def planned_label(twin, rng) -> np.ndarray:
    """A label (row, col) with the twin's planned size, mapped land and number of landslides, of mean size."""
    shape = twin["rows"], twin["cols"]
    pixel_km2 = (twin["resolution_m"] / 1000) ** 2
    row, col = (np.abs(np.linspace(-1, 1, length, dtype=np.float32)) for length in shape)
    distance = np.maximum(row[:, None], col[None, :])
    mapped = distance <= np.quantile(distance, twin["study_area_km2"] / (distance.size * pixel_km2))
    side = round((twin["landslide_area_km2"] / twin["landslides"] / pixel_km2) ** 0.5)
    label = np.where(mapped, 0, 255).astype(np.uint8)
    corners = rng.choice(np.flatnonzero(mapped), twin["landslides"], replace=False)
    for top, left in zip(*np.unravel_index(corners, shape), strict=True):
        label[top : top + side, left : left + side] = 1
    return label


def test_one_slide_across_all_blocks_can_be_dealt():
    """It is one component, whose centre lies in one block only."""
    label = np.zeros((300, 300), np.uint8)
    label[::7] = 1
    label[:, 150:153] = 1
    for fold in range(3):
        assert (blocked_split(label, SamplingSpec(window=32), 0, fold=fold).regions == TEST).any()
