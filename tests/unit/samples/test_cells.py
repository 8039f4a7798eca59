"""Cells: which are sampled, what they are called, how they are split; against shapes, plain definitions and a
real set of points."""

import json

import numpy as np
import pandas
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from headscarp.codes import SPARE, TEST, TRAIN, UNMAPPED, VALIDATION
from headscarp.errors import HeadscarpError
from headscarp.samples.cell_labels import covered_share, labels_source, years_of
from headscarp.samples.cell_table import read_cells, scaled_factors
from headscarp.samples.cells import (
    blocked_regions,
    build_cells,
    footprints,
    is_one_hot,
    random_regions,
    refuse_overlap,
    whole_windows,
)
from headscarp.samples.spec import CellsSpec
from headscarp.site.cube import open_cube
from tests.cell_site import smooth, write_cube
from tests.site_files import NORTH, WEST, make_grid, write_shapes

LAYER = {"kind": "layer", "channel": "slides", "above": 0.5}
GROUPS = [["slope"], ["slope", "rain"]]


def blobs(shape, seed=0, share=0.15):
    field = smooth(shape, seed, 3)
    return (field > np.quantile(field, 1 - share)).astype(np.uint8)


@pytest.fixture
def cube(tmp_path):
    return write_cube(
        tmp_path / "cube",
        {"slope": smooth((80, 90), 1), "rain": smooth((80, 90), 2), "slides": blobs((80, 90))},
    )


def build(cube, out, protocol="blocked", source=LAYER, seed=0, groups=GROUPS, fold=0, **spec):
    build_cells(cube, out, CellsSpec(**{"windows": (3, 6)} | spec), source, protocol, seed, groups, fold)
    return read_cells(out)


def covered(cells, mask, window):
    """What windows of cells cover, by the contract: rows r - n//2 … r - n//2 + n - 1."""
    pixels = set()
    for row, col in zip(cells.row[mask].tolist(), cells.col[mask].tolist(), strict=True):
        first, left = row - window // 2, col - window // 2
        pixels |= {(r, c) for r in range(first, first + window) for c in range(left, left + window)}
    return pixels


class TestFiles:
    def test_arrays_and_record(self, cube, tmp_path):
        cells = build(cube, tmp_path / "out")
        n = len(cells.row)
        assert cells.split.shape == (1, n) and cells.split.dtype == np.uint8
        assert [a.dtype for a in (cells.row, cells.col, cells.label, cells.truth, cells.block)] == [
            "int32",
            "int32",
            "u1",
            "u1",
            "int32",
        ]
        assert (np.diff(cells.row * 90 + cells.col) > 0).all() and set(np.unique(cells.truth)) == {255}
        record = cells.record
        assert (
            record["windows"] == [3, 6]
            and record["protocol"] == "blocked"
            and record["kind"] == "blocks"
            and record["data"] == "twin"
        )
        for code, name in ((TRAIN, "train"), (VALIDATION, "validation"), (TEST, "test")):
            chosen = cells.split[0] == code
            assert record["counts"][0][name] == {
                "cells": chosen.sum(),
                "landslides": cells.label[chosen].sum(),
            }

    def test_the_same_seed_gives_the_same_cells(self, cube, tmp_path):
        one, same = build(cube, tmp_path / "a"), build(cube, tmp_path / "b")
        other = build(cube, tmp_path / "c", seed=1)
        assert np.array_equal(one.split, same.split) and not np.array_equal(one.split, other.split)

    def test_labels_follow_the_layer(self, cube, tmp_path):
        cells = build(cube, tmp_path / "out")
        assert np.array_equal(cells.label, open_cube(cube).values[0, 2][cells.row, cells.col] > 0.5)

    @pytest.mark.parametrize("protocol", ["published", "blocked"])
    def test_ranges_are_those_of_the_windows_that_may_be_known(self, cube, tmp_path, protocol):
        cells = build(cube, tmp_path / "out", protocol)
        known = cells.split[0] == TRAIN if protocol == "blocked" else np.ones(len(cells.row), bool)
        values = open_cube(cube).values[0, 1]
        inside = [values[pixel] for pixel in covered(cells, known, 6)]
        assert cells.record["normalisation"][0]["rain"] == {
            "min": float(min(inside)),
            "max": float(max(inside)),
        }
        factors = scaled_factors(open_cube(cube), cells, 0, ["rain", "slope"])
        scaled = [factors[0][pixel] for pixel in covered(cells, known, 6)]
        assert min(scaled) == 0 and max(scaled) == pytest.approx(1)
        if protocol == "blocked":  # what lies outside the range of training is kept outside
            assert factors.min() < 0 or factors.max() > 1

    def test_damaged_and_missing_files_are_told(self, cube, tmp_path):
        build(cube, tmp_path / "out")
        path = tmp_path / "out" / "cells.npz"
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(HeadscarpError, match=r"cells\.npz is damaged"):
            read_cells(tmp_path / "out")
        path.unlink()
        with pytest.raises(HeadscarpError, match=r"cells\.npz does not exist"):
            read_cells(tmp_path / "out")

    def test_unknown_channel_of_a_model(self, cube, tmp_path):
        cells = build(cube, tmp_path / "out", groups=[["slope"]])
        with pytest.raises(HeadscarpError, match="'rain' does not exist"):
            scaled_factors(open_cube(cube), cells, 0, ["rain"])


class TestWholeWindows:
    @pytest.mark.parametrize("window", [1, 2, 5, 6])
    def test_against_the_plain_definition(self, tmp_path, window):
        plane = np.random.default_rng(0).normal(size=(20, 24))
        plane[np.random.default_rng(1).random(plane.shape) < 0.02] = np.nan
        folder = write_cube(tmp_path, {"slope": plane})
        whole = whole_windows(open_cube(folder), ["slope"], window, folder)
        for row in range(20):
            for col in range(24):
                first, left = row - window // 2, col - window // 2
                inside = first >= 0 and left >= 0 and first + window <= 20 and left + window <= 24
                part = plane[max(first, 0) : first + window, max(left, 0) : left + window]
                assert whole[row, col] == (inside and not np.isnan(part).any())

    def test_footprints_are_the_windows(self):
        mask = np.zeros((20, 20), bool)
        mask[8, 11] = True
        rows, cols = np.nonzero(footprints(mask, 6))
        assert (rows.min(), rows.max(), cols.min(), cols.max()) == (5, 10, 8, 13)


class TestInventory:
    def test_shares_are_areas_of_intersections(self, tmp_path):
        grid = make_grid(70, 12, 90.0)
        shapes = [
            shapely.box(WEST, NORTH - 40, WEST + 90, NORTH),  # four ninths of the first cell
            shapely.Point(WEST + 502, NORTH - 503).buffer(200),
            # across two strips
            shapely.Polygon(
                [(WEST + 303, NORTH - 5507), (WEST + 912, NORTH - 6101), (WEST + 351, NORTH - 6212)]
            ),
        ]
        share = covered_share(np.array(shapes), grid)
        union = shapely.union_all(shapes)
        for row in range(70):
            for col in range(12):
                cell = shapely.box(
                    WEST + 90 * col, NORTH - 90 * (row + 1), WEST + 90 * (col + 1), NORTH - 90 * row
                )
                assert share[row, col] == pytest.approx(
                    shapely.area(shapely.intersection(cell, union)) / 8100, abs=0.1
                )
        assert share[0, 0] == pytest.approx(4 / 9)
        assert share.sum() * 8100 == pytest.approx(union.area, rel=0.01)

    def test_labels_truth_and_area(self, tmp_path):
        shape = (50, 50)
        cube = write_cube(tmp_path / "cube", {"slope": smooth(shape, 1), "rain": smooth(shape, 2)})
        corner = [WEST + 90 * 10, NORTH - 90 * 10]
        found = [
            shapely.box(
                corner[0] + 450 * i, corner[1] - 450 * j - 180, corner[0] + 450 * i + 180, corner[1] - 450 * j
            )
            for i in range(6)
            for j in range(6)
        ]
        # a sixth of one cell
        thin = shapely.box(WEST + 90 * 40, NORTH - 90 * 41, WEST + 90 * 40 + 15, NORTH - 90 * 40)
        inventory = write_shapes(tmp_path / "found.gpkg", [*found, thin])
        truth = write_shapes(tmp_path / "true.gpkg", found[:3])
        area = write_shapes(
            tmp_path / "area.gpkg", [shapely.box(WEST, NORTH - 90 * 50, WEST + 90 * 45, NORTH)]
        )
        source = {"kind": "inventory", "inventory": inventory, "truth": truth, "area": area}
        cells = build(cube, tmp_path / "out", "published", source, windows=(3,), label_share=0.15)
        assert cells.col.max() == 44 and cells.label.sum() == 36 * 4 + 1 and cells.truth.sum() == 12
        assert cells.record["label_source"] == "inventory" and cells.record["label_share"] == 0.15
        assert (
            build(cube, tmp_path / "strict", "published", source, windows=(3,), label_share=0.5).label.sum()
            == 36 * 4
        )

    def test_land_where_the_labelling_network_was_trained_has_no_truth_and_no_blocked_test(self, tmp_path):
        shape = (100, 100)
        cube = write_cube(tmp_path / "cube", {"slope": smooth(shape, 1), "rain": smooth(shape, 2)})
        places = np.random.default_rng(0).integers(2, 96, (60, 2)) * 90
        slides = [
            shapely.box(WEST + x, NORTH - y - 180, WEST + x + 180, NORTH - y) for x, y in places.tolist()
        ]
        inventory = write_shapes(tmp_path / "found.gpkg", slides)
        source = {"kind": "inventory", "inventory": inventory, "truth": inventory}
        everywhere = build(cube, tmp_path / "all", source=source, windows=(3,), block=10)
        edge = 40
        learnt = shapely.box(WEST, NORTH - 90 * edge, WEST + 90 * 100, NORTH)  # the rows above the edge
        district = {"learnt": write_shapes(tmp_path / "district.gpkg", [learnt])}
        tested = np.zeros(len(everywhere.row), int)
        inside = everywhere.row < edge
        for fold in range(3):
            out = tmp_path / f"fold{fold}"
            cells = build(cube, out, source=source | district, fold=fold, windows=(3,), block=10)
            assert np.array_equal(cells.label, everywhere.label)
            assert (cells.truth[inside] == UNMAPPED).all() and (cells.truth[~inside] != UNMAPPED).all()
            assert (cells.split[0] == TRAIN)[inside].mean() > 0.8  # all but those near test and validation
            assert not np.isin(cells.split[0][inside], (TEST, VALIDATION)).any()
            assert f"{inside.sum()} cells lie where the network" in cells.record["notes"][-1]
            tested += cells.split[0] == TEST
        assert (tested[~inside] == 1).all()
        # The paper's own protocol tests wherever its split does.
        published = build(cube, tmp_path / "p", "published", source | district, windows=(3,))
        assert (published.split[0] == TEST)[published.row < edge].any()

    def test_polygons_too_small_for_the_share(self, tmp_path, cube):
        thin = write_shapes(
            tmp_path / "a.gpkg", [shapely.box(WEST + 900, NORTH - 900, WEST + 912, NORTH - 890)]
        )
        with pytest.raises(
            HeadscarpError,
            match=r"a\.gpkg: no cell of the site is a landslide; make cells\.label_share smaller",
        ):
            build(cube, tmp_path / "out", source={"kind": "inventory", "inventory": thin})


class TestPoints:
    def table(self, path, rows):
        """Points at (row, col, label) of a 90 m grid."""
        x = [WEST + 90 * col + 40 for _, col, _ in rows]
        y = [NORTH - 90 * row - 50 for row, _, _ in rows]
        pandas.DataFrame({"x": x, "y": y, "slide": [label for *_, label in rows]}).to_csv(path, index=False)
        return {"kind": "points", "points": path, "label": "slide"}

    def test_cells_of_points_and_what_is_reported(self, cube, tmp_path):
        random = np.random.default_rng(0)
        places = random.permutation(60 * 60)[:200]
        rows = [(10 + p // 60, 10 + p % 60, bool(i % 3 == 0)) for i, p in enumerate(places.tolist())]
        row, col, _ = rows[1]  # of no landslide
        extra = [(row, col, True), (-3, 5, True), (200, 5, False), (0, 0, False)]
        cells = build(cube, tmp_path / "out", "published", self.table(tmp_path / "points.csv", rows + extra))
        assert len(cells.row) == 200
        expected = {(r, c): label for r, c, label in rows} | {(row, col): True}
        found = zip(cells.row.tolist(), cells.col.tolist(), cells.label.tolist(), strict=True)
        assert {(r, c): bool(label) for r, c, label in found} == expected
        notes = " ".join(cells.record["notes"])
        assert (
            "2 of 204 points are outside the map" in notes
            and "1 points share a cell" in notes
            and "1 labelled cells have no" in notes
        )

    def test_all_points_outside(self, cube, tmp_path):
        with pytest.raises(
            HeadscarpError, match=r"points\.csv: no cell of the site is a landslide; check the coordinates"
        ):
            build(
                cube,
                tmp_path / "out",
                source=self.table(tmp_path / "points.csv", [(-5, 3, True), (500, 3, False)]),
            )

    def test_points_without_a_column_of_labels_are_landslides_and_the_rest_of_the_area_is_not(
        self, cube, tmp_path
    ):
        places = [(10 + 7 * row, 10 + 8 * col, True) for row in range(8) for col in range(8)]
        source = self.table(tmp_path / "points.csv", places)
        del source["label"]
        area = write_shapes(tmp_path / "area.gpkg", [shapely.box(WEST, NORTH - 90 * 60, WEST + 8100, NORTH)])
        cells = build(cube, tmp_path / "out", "published", source | {"area": area})
        assert cells.row.max() == 59 and cells.record["label_source"] == "presences"
        slides = set(
            zip(cells.row[cells.label == 1].tolist(), cells.col[cells.label == 1].tolist(), strict=True)
        )
        assert slides == {(row, col) for row, col, _ in places if row < 60}
        assert len(cells.row) == (60 - 3) * (90 - 5)  # all cells of the area with a whole window of 6

    def test_real_points_of_ecuador(self, real_data, tmp_path):
        import rasterio

        with rasterio.open(real_data("data/lsm_ecuador/ta.tif")) as source:
            planes = source.read(masked=True).astype(np.float32).filled(np.nan)
            cube = write_cube(tmp_path / "cube", dict(zip("abcde", planes, strict=True)))
            header = json.loads((cube / "cube.json").read_text())
            header["grid"] |= {"crs": str(source.crs), "transform": list(source.transform)[:6]}
            (cube / "cube.json").write_text(json.dumps(header))
        table = real_data("data/lsm_ecuador/mlr3_ecuador_751.csv")
        labels = {"kind": "points", "points": table, "label": "slides"}
        cells = build(
            cube, tmp_path / "out", source=labels, groups=[list("abcde")], folds=5, windows=(12, 17, 22)
        )
        tested = (cells.split == TEST).sum(0)
        assert (tested == 1).all() and len(cells.row) > 600
        # 93 % lie inside (SOURCE.md of the data)
        assert "53 of 751 points are outside the map" in cells.record["notes"][0]
        assert min(fold["train"]["landslides"] for fold in cells.record["counts"]) > 100


class TestSplits:
    @settings(max_examples=12, deadline=None)
    @given(
        seed=st.integers(0, 1000),
        window=st.integers(1, 7),
        folds=st.sampled_from([1, 3, 4]),
        height=st.integers(50, 80),
    )
    def test_blocked_footprints_never_meet_and_every_cell_is_tested_once(self, seed, window, folds, height):
        label = blobs((height, 70), seed, 0.25)
        label[:, -5:] = UNMAPPED
        spec, nowhere = CellsSpec(windows=(window,), folds=folds), np.zeros(label.shape, bool)
        if folds == 1:  # the hold-out that rotates with the seed
            regions = np.concatenate(
                [blocked_regions(label, spec, seed, fold, nowhere) for fold in range(spec.rotating)]
            )
        else:
            regions = blocked_regions(label, spec, seed, 0, nowhere)
        assert not regions[:, label == UNMAPPED].any()
        for region in regions:
            places = [np.argwhere(region == code) for code in (TRAIN, VALIDATION, TEST)]
            assert all(len(set(label[tuple(p.T)])) == 2 for p in places)
            for one, other in ((0, 1), (0, 2), (1, 2)):  # by footprints as sets of pixels, not by distances
                drawn = [set() for _ in range(2)]
                for pixels, place in zip(drawn, (places[one], places[other]), strict=True):
                    first = place - window // 2
                    for row_step in range(window):
                        for col_step in range(window):
                            pixels |= set(map(tuple, first + np.array([row_step, col_step])))
                assert not drawn[0] & drawn[1]
        assert len(regions) == (3 if folds == 1 else folds)
        assert ((regions == TEST).sum(0) == (label != UNMAPPED)).all()

    def test_random_folds_and_hold_out(self):
        label = blobs((40, 40))
        label[:3] = UNMAPPED
        folds = random_regions(label, CellsSpec(folds=5), 0)
        assert ((folds == TEST).sum(0) == (label != UNMAPPED)).all()
        sizes = (folds == TEST).sum((1, 2))
        assert sizes.max() - sizes.min() <= 1
        held_out = random_regions(label, CellsSpec(), 0)[0]
        n = (label != UNMAPPED).sum()
        assert (held_out == TEST).sum() == round(0.2 * n) and (held_out == VALIDATION).sum() == round(
            0.1 * round(0.8 * n)
        )

    def test_published_overlap_is_counted(self, cube, tmp_path):
        cells = build(cube, tmp_path / "out", "published")
        training, test = (
            np.stack([cells.row, cells.col], 1)[cells.split[0] == code] for code in (TRAIN, TEST)
        )
        near = [(np.abs(training - cell).max(1) < 6).any() for cell in test]
        assert cells.record["overlap"] == [pytest.approx(np.mean(near))] and np.mean(near) > 0.9

    def test_as_released_all_cells_train_and_a_random_part_of_them_is_tested(self, cube, tmp_path):
        """What csugeo3d-ai/CNN4LSM does: fit and validate on all, score a fifth that was drawn at random."""
        cells = build(cube, tmp_path / "out", "as_released")
        published = build(cube, tmp_path / "published", "published")
        n = len(cells.row)
        tested = cells.members(0, "test")
        assert tested.sum() == round(0.2 * n) and np.array_equal(tested, published.members(0, "test"))
        assert cells.members(0, "train").all() and cells.members(0, "validation").all()
        assert cells.record["counts"][0]["train"] == {"cells": n, "landslides": cells.label.sum()}
        assert cells.record["counts"][0]["test"] == published.record["counts"][0]["test"]
        assert cells.record["overlap"] == [1.0] and cells.record["kind"] == "random"
        assert cells.record["normalisation"] == published.record["normalisation"]
        for subset, code in (("train", TRAIN), ("validation", VALIDATION), ("test", TEST)):
            assert np.array_equal(published.members(0, subset), published.split[0] == code)

    @pytest.mark.parametrize(("block", "side"), [(None, 6), (8, 8)])
    def test_bootstrap_blocks_are_those_of_the_split_or_the_largest_window(self, cube, tmp_path, block, side):
        cells = build(cube, tmp_path / "cells", block=block)
        squares = [
            (row // side, col // side)
            for row, col in zip(cells.row.tolist(), cells.col.tolist(), strict=True)
        ]
        assert (
            len(set(squares))
            == len(set(cells.block.tolist()))
            == len(set(zip(squares, cells.block.tolist(), strict=True)))
        )

    def test_blocked_overlap_is_refused(self, cube, tmp_path):
        assert build(cube, tmp_path / "out").record["overlap"] == [0.0]
        regions = np.zeros((2, 30, 30), np.uint8)
        regions[:, 5, 5], regions[0, 15, 5], regions[1, 10, 5] = TRAIN, TEST, TEST
        refuse_overlap(regions, 5)
        with pytest.raises(
            HeadscarpError,
            match=r"in fold 2 the windows of 100\.0% of the test cells intersect windows of 6 cells",
        ):
            refuse_overlap(regions, 6)

    def test_no_landslide_in_a_fold(self, cube, tmp_path):
        label = np.zeros((80, 90))
        label[40:43, 40:43] = 1
        one = write_cube(
            tmp_path / "one", {"slope": smooth((80, 90), 1), "rain": smooth((80, 90), 2), "slides": label}
        )
        with pytest.raises(HeadscarpError, match=r"blocks.*change cells\.block"):
            build(one, tmp_path / "out", folds=4)
        label[:] = 0
        label[40, 40:42] = 1
        two = write_cube(
            tmp_path / "two", {"slope": smooth((80, 90), 1), "rain": smooth((80, 90), 2), "slides": label}
        )
        with pytest.raises(
            HeadscarpError,
            match=r"fold \d of 4 has no landslide cell to (train|test); use fewer cells\.folds",
        ):
            build(two, tmp_path / "out", "published", folds=4)


class TestBadInput:
    def test_window_larger_than_the_map(self, cube, tmp_path):
        with pytest.raises(
            HeadscarpError, match=r"cells\.windows holds 81, but the map .* has 80 x 90 cells"
        ):
            build(cube, tmp_path / "out", windows=(3, 81))

    def test_no_valid_cell_names_the_worst_channel(self, tmp_path):
        rain = smooth((40, 40), 1)
        rain[::4] = np.nan
        cube = write_cube(
            tmp_path / "cube", {"slope": smooth((40, 40), 0), "rain": rain, "slides": blobs((40, 40))}
        )
        with pytest.raises(HeadscarpError, match="'rain' is missing at 25% of the cells"):
            build(cube, tmp_path / "out")

    def test_a_factor_of_one_value(self, tmp_path):
        planes = {"slope": smooth((60, 60), 0), "rain": np.full((60, 60), 1200.0), "slides": blobs((60, 60))}
        with pytest.raises(
            HeadscarpError, match=r"factor 'rain' has one value \(1200\).*drop it from the input groups"
        ):
            build(write_cube(tmp_path / "cube", planes), tmp_path / "out")

    def test_an_absent_class_is_noted(self, tmp_path):
        shape = (60, 60)
        planes = {
            "slope": smooth(shape, 0),
            "soil": np.ones(shape),
            "soil_1": np.ones(shape),
            "soil_2": np.zeros(shape),
        }
        cube = write_cube(tmp_path / "cube", planes | {"slides": blobs(shape)})
        cells = build(cube, tmp_path / "out", groups=[["slope", "soil_1", "soil_2"]])
        assert cells.record["normalisation"][0]["soil_2"] == {"min": 0.0, "max": 1.0}
        assert any("'soil_2' is 0 everywhere" in note for note in cells.record["notes"])
        assert (
            is_one_hot("soil_1", list(planes))
            and not is_one_hot("aspect_sin", ["aspect"])
            and not is_one_hot("rain_1", list(planes))
        )

    def test_layer_without_background(self, cube, tmp_path):
        with pytest.raises(
            HeadscarpError, match=r"slides: every sampled cell is a landslide .* make `above` larger"
        ):
            build(cube, tmp_path / "out", source=LAYER | {"above": -1})

    def test_an_area_that_is_the_inventory(self, cube, tmp_path):
        slides = write_shapes(
            tmp_path / "a.gpkg", [shapely.box(WEST + 900, NORTH - 1800, WEST + 1800, NORTH - 900)]
        )
        source = {"kind": "inventory", "inventory": slides, "area": slides}
        with pytest.raises(
            HeadscarpError, match=r"a\.gpkg: every sampled cell is a landslide .* searched for landslides"
        ):
            build(cube, tmp_path / "out", source=source)

    def test_layer_without_landslides(self, cube, tmp_path):
        with pytest.raises(
            HeadscarpError, match="slides: no cell of the site is a landslide; make `above` smaller"
        ):
            build(cube, tmp_path / "out", source=LAYER | {"above": 5})

    @pytest.mark.parametrize(
        ("record", "told"),
        [
            ({"window": [12]}, "windows"),
            ({"windows": [0]}, "cells, windows"),
            ({"label_share": 0}, "cells, label_share"),
            ({"validation": 1.5}, "cells, validation"),
            ({"test_fraction": 1.0}, "cells, test_fraction"),
            ({"folds": 2}, "cells, folds"),
            ({"block": 0}, "cells, block"),
            (
                {"windows": [12], "buffer": 10},
                "cells, buffer: 10 will not do; it must be null or at least 11",
            ),
        ],
    )
    def test_bad_records_are_told(self, record, told):
        with pytest.raises(HeadscarpError, match=told):
            CellsSpec.from_record(record)

    def test_a_card_holds_the_source_of_labels(self):
        record = {"points": {"file": "lsl.rda", "label": "lslpts"}, "windows": [3], "folds": 5}
        assert CellsSpec.from_record(record) == CellsSpec(windows=(3,), folds=5)
        assert labels_source(record, {"points": "raw/lsl.rda"}) == {
            "kind": "points",
            "points": "raw/lsl.rda",
            "file": "lsl.rda",
            "label": "lslpts",
        }
        files = {"inventory": "a/inventory.gpkg", "truth": "raw/landslides.gpkg"}
        assert (
            labels_source({"inventory": {"truth": "landslides.gpkg"}}, files) == {"kind": "inventory"} | files
        )
        with pytest.raises(HeadscarpError, match=r"have no labels; give one of these: `polygons: {file"):
            labels_source({"windows": [3]}, {})

    def test_a_raster_where_vectors_are_wanted_is_told_with_the_way_to_give_it(self, cube, tmp_path):
        source = {"kind": "polygons", "polygons": tmp_path / "slides.tif"}
        with pytest.raises(
            HeadscarpError, match=r"slides.tif is a raster.*layer: {channel: label, above: 0}"
        ):
            build(cube, tmp_path / "out", source=source)

    def test_the_labels_of_the_site_label_its_cells(self, cube, tmp_path):
        label = np.where(np.arange(90) < 20, 255, blobs((80, 90)))
        np.save(cube / "label.npy", label.astype(np.uint8))
        cells = build(cube, tmp_path / "out", source={"kind": "layer", "channel": "label", "above": 0})
        assert cells.col.min() == 20 and (cells.label == label[cells.row, cells.col]).all()


class TestBackgroundRatio:
    @pytest.mark.parametrize("protocol", ["published", "blocked", "as_released"])
    def test_only_background_that_trains_is_thinned(self, cube, tmp_path, protocol):
        whole = build(cube, tmp_path / "whole", protocol, folds=3)
        thinned = build(cube, tmp_path / "thinned", protocol, folds=3, background_ratio=1.5)
        assert (thinned.row == whole.row).all() and (thinned.label == whole.label).all()
        for fold in range(3):
            before, after = whole.split[fold], thinned.split[fold]
            spare = after == SPARE
            assert spare.any() and (before[spare] == TRAIN).all() and (thinned.label[spare] == 0).all()
            assert (before[~spare] == after[~spare]).all()
            drawn = after == TRAIN
            slides = np.count_nonzero(thinned.label[drawn])
            assert slides and np.count_nonzero(drawn) - slides == round(1.5 * slides)
            assert not (thinned.members(fold, "train") & spare).any()

    def test_it_is_drawn_all_over_the_training_ground(self, cube, tmp_path):
        cells = build(cube, tmp_path / "out", "published", background_ratio=0.5)
        drawn = (cells.split[0] == TRAIN) & (cells.label == 0)
        could = drawn | (cells.split[0] == SPARE)
        assert cells.col[drawn].mean() == pytest.approx(cells.col[could].mean(), abs=4)


# --- landslides with years


def slides_with_years(folder, years, seed=0, side=100, count=120):
    """Squares of a cell and a half on a map of `side` x `side` cells, each with one of `years` in turn."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(5 * 90, (side - 5) * 90, (count, 2))
    squares = [shapely.box(WEST + x, NORTH - y - 135, WEST + x + 135, NORTH - y) for x, y in corners]
    years = [years[number % len(years)] for number in range(count)]
    folder.mkdir(parents=True, exist_ok=True)
    return write_shapes(folder / "slides.gpkg", squares, year=years), np.array(squares), years


def by_years(path, until=2010, **more):
    return {"kind": "polygons", "polygons": path, "year": "year", "until": until} | more


@pytest.fixture
def terrain(tmp_path):
    fields = {"slope": smooth((100, 100), 1), "rain": smooth((100, 100), 2)}
    return write_cube(tmp_path / "cube", fields)


def test_later_landslides_are_tested_and_earlier_ones_learnt_from(terrain, tmp_path):
    path, squares, years = slides_with_years(tmp_path, [2005, 2010, 2012, 2018])
    cells = build(terrain, tmp_path / "out", "temporal", by_years(path))
    grid = make_grid(100, 100, 90.0)
    early, later = (
        covered_share(squares[np.array([one(year) for year in years])], grid)[cells.row, cells.col] >= 0.1
        for one in (lambda year: year <= 2010, lambda year: year > 2010)
    )
    later &= ~early
    split = cells.split[0]
    tested, trained = split == TEST, (split == TRAIN) | (split == VALIDATION)
    assert not early[tested].any() and (cells.label[tested] == later[tested]).all()
    assert (cells.label[trained] == early[trained]).all()
    assert later[trained].sum() == pytest.approx(later[tested].sum(), rel=0.5)
    assert tested.sum() == (~early).sum() // 2 and cells.record["kind"] == "years"
    assert any(f"{later[trained].sum()} cells that slid later" in note for note in cells.record["notes"])
    # Nothing of what came later moves the samples but the labels of the test.
    moved = build(terrain, tmp_path / "moved", "temporal", by_years(path), seed=0)
    assert (moved.split == cells.split).all()


def test_landslides_of_no_year_are_neither_learnt_nor_tested(terrain, tmp_path):
    path, squares, years = slides_with_years(tmp_path, [2005, 2015, None])
    cells = build(terrain, tmp_path / "out", "temporal", by_years(path))
    undated = np.array([year is None for year in years])
    shares = [covered_share(squares[one], make_grid(100, 100, 90.0)) for one in (undated, ~undated)]
    only = (shares[0] >= 0.1) & (shares[1] < 0.1)
    assert only.any() and not only[cells.row, cells.col].any()
    assert any("40 of 120 landslides have no year" in note for note in cells.record["notes"])
    random = build(terrain, tmp_path / "random", "published", by_years(path))
    assert random.label[only[random.row, random.col]].all()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([2008, 2009.0, -9999], [2008, 2009, np.nan]),
        (["2008-05-12", "about 1999", "?"], [2008, 1999, np.nan]),
        (pandas.to_datetime(["2008-05-12", "2010-01-01", None]), [2008, 2010, np.nan]),
    ],
)
def test_years_are_read_from_numbers_texts_and_dates(values, expected):
    table = pandas.DataFrame({"when": values})
    np.testing.assert_array_equal(years_of(table, "when", "slides.gpkg"), expected)


def test_columns_without_years_are_refused(terrain, tmp_path):
    path, _, _ = slides_with_years(tmp_path, [2005, 2015])
    with pytest.raises(HeadscarpError, match=r"slides.gpkg: column 'yaer'.*year"):
        build(terrain, tmp_path / "out", "temporal", by_years(path) | {"year": "yaer"})
    codes, _, _ = slides_with_years(tmp_path / "codes", [1, 2])
    with pytest.raises(HeadscarpError, match=r"the column 'year' holds no year"):
        build(terrain, tmp_path / "out", "temporal", by_years(codes))
    for until in (2001, 2020):
        with pytest.raises(HeadscarpError, match=rf"temporal \(until {until}\) has no landslide cell to"):
            build(terrain, tmp_path / "out", "temporal", by_years(path, until))
    with pytest.raises(HeadscarpError, match=r"temporal needs the years of landslides.*polygons"):
        build(terrain, tmp_path / "out", "temporal", {"kind": "polygons", "polygons": path})
