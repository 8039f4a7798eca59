"""Inventories: masks against geometry, polygons against scikit-image, and what users may get wrong."""

import json

import geopandas
import numpy as np
import pytest
from affine import Affine
from scipy.ndimage import gaussian_filter
from shapely import LineString, Point, Polygon, box
from skimage.measure import label as connected
from skimage.measure import regionprops_table

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.geo.layer import CLASSES, Layer, write_layer
from headscarp.mapping.inventory import build_inventory, inventory_threshold
from headscarp.mapping.polygons import polygonise

CRS = "EPSG:32649"
WEST, NORTH = 400_000, 3_300_000
GRID = Grid(CRS, Affine(10, 0, WEST, 0, -10, NORTH), 80, 100)


def x_y(row: float, col: float) -> tuple[float, float]:
    return WEST + 10 * col, NORTH - 10 * row


def write(folder, probability, slope=None, elevation=None, grid=GRID, label=None):
    """probability.tif, and layers/ with slope.tif, elevation.tif and label.tif."""
    (folder / "layers").mkdir(exist_ok=True)
    rows, cols = np.indices(grid.shape)
    layers = {
        folder / "probability.tif": probability,
        folder / "layers" / "slope.tif": cols / 2 if slope is None else slope,
        folder / "layers" / "elevation.tif": 500.0 + rows if elevation is None else elevation,
    }
    for path, values in layers.items():
        write_layer(path, Layer(path.stem, np.asarray(values, np.float32), grid, "1", "test"))
    label = np.zeros(grid.shape, np.uint8) if label is None else label
    write_layer(folder / "layers" / "label.tif", Layer("label", label, grid, "class", "test", CLASSES, 255))


def vectors(path, shapes, crs=CRS):
    path.parent.mkdir(exist_ok=True)
    geopandas.GeoDataFrame(geometry=shapes, crs=crs).to_file(path)


def build(folder, masks=None, threshold=0.5, minimum=0.0):
    paths = folder / "out" / "inventory.gpkg", folder / "out" / "inventory.json"
    build_inventory(
        folder / "probability.tif", threshold, folder / "layers", folder / "raw", masks or {}, minimum, *paths
    )
    return geopandas.read_file(paths[0]), json.loads(paths[1].read_text())


def test_a_hand_made_inventory(tmp_path):
    """Three slides; a road cuts one in two, a village takes one, and the smallest unit takes a splinter."""
    probability = np.full(GRID.shape, 0.1, np.float32)
    probability[10:20, 10:30] = 0.8  # crossed by the road between columns 19 and 21
    probability[40:44, 40:44] = 0.9  # in the village
    probability[60:62, 60:61] = 0.7  # 200 m2
    probability[70:72, 80:90] = np.nan
    write(tmp_path, probability)
    vectors(tmp_path / "raw" / "roads.gpkg", [LineString([x_y(0, 20), x_y(80, 20)])])
    vectors(tmp_path / "raw" / "settlements.gpkg", [box(*x_y(50, 35), *x_y(35, 50))])
    masks = {"roads": {"file": "roads.gpkg", "buffer_m": 10}, "residential": {"file": "settlements.gpkg"}}
    polygons, record = build(tmp_path, masks, minimum=400)
    assert record["threshold"] == 0.5 and record["minimum_area_m2"] == 400 and record["notes"] == []
    assert record["mapped"] == {"pixels": 218, "polygons": 3, "area_km2": pytest.approx(0.0218)}
    assert list(record["masks"]) == ["roads", "residential"]
    assert record["masks"]["roads"] == {"pixels": 198, "polygons": 4, "area_km2": pytest.approx(0.0198)}
    assert record["masks"]["residential"] == {"pixels": 182, "polygons": 3, "area_km2": pytest.approx(0.0182)}
    assert record["inventory"] == {"pixels": 180, "polygons": 2, "area_km2": pytest.approx(0.018)}
    assert list(polygons.columns) == [
        "area_m2",
        "mean_probability",
        "mean_slope_deg",
        "mean_elevation_m",
        "geometry",
    ]
    assert polygons.crs == CRS and polygons.area_m2.tolist() == [9000, 9000]
    west, east = polygons.sort_values("mean_slope_deg").itertuples()
    assert west.geometry.equals(box(*x_y(20, 10), *x_y(10, 19))) and east.geometry.equals(
        box(*x_y(20, 21), *x_y(10, 30))
    )
    assert west.mean_slope_deg == pytest.approx(
        np.mean(np.arange(10, 19) / 2)
    ) and west.mean_elevation_m == pytest.approx(514.5)
    np.testing.assert_allclose(polygons.mean_probability, 0.8, rtol=1e-6)


@pytest.mark.parametrize(
    ("recall", "best", "taken"),
    [(0.4, 0.2, 0.5), (0.09, 0.2, 0.2), (None, 0.2, 0.2), (0.05, 0.7, 0.5)],
)
def test_the_protocols_threshold_makes_the_inventory_unless_it_leaves_next_to_nothing(recall, best, taken):
    scores = {
        "threshold": 0.5,
        "best_threshold": best,
        "metrics": {"recall": recall},
        "landslide_share": 0.05,
    }
    probability = np.array([[0.1] * 9 + [0.3]])
    threshold, notes = inventory_threshold(scores, probability)
    assert threshold == taken and len(notes) == (taken != 0.5)
    assert all("at 0.5 the network finds less than 10%" in note and "0.2 is taken" in note for note in notes)


def test_a_network_without_skill_maps_no_more_than_there_are_landslides():
    scores = {
        "threshold": 0.5,
        "best_threshold": 1e-4,
        "metrics": {"recall": None},
        "landslide_share": 0.02,
    }
    probability = np.random.default_rng(0).uniform(1e-4, 1e-3, (100, 100))
    probability[:10] = np.nan
    threshold, (note,) = inventory_threshold(scores, probability)
    assert (probability >= threshold).sum() == pytest.approx(0.02 * 9000, abs=2)
    assert "would map 100% of the ground" in note and "2.00%" in note


def test_landslides_outside_the_study_area_are_not_in_the_inventory(tmp_path):
    probability, label = np.zeros(GRID.shape, np.float32), np.zeros(GRID.shape, np.uint8)
    probability[10:20, 40:60], label[:, 50:] = 0.9, 255
    write(tmp_path, probability, label=label)
    polygons, record = build(tmp_path)
    assert record["mapped"]["pixels"] == 100 and polygons.geometry.union_all().equals(
        box(*x_y(20, 40), *x_y(10, 50))
    )


def test_masks_cover_pixels_whose_centres_lie_in_the_buffered_features(tmp_path):
    """Pixel by pixel against shapely's distance, with a mask file in another CRS that reaches beyond the
    map."""
    write(tmp_path, np.ones(GRID.shape))
    road = LineString([x_y(-20, -15), x_y(33.3, 40.2), x_y(70, 150)])
    pond = Polygon([x_y(60.3, 10.7), x_y(75.9, 22.2), x_y(62.1, 31.6)])
    (tmp_path / "raw").mkdir()
    geopandas.GeoDataFrame(geometry=[road], crs=CRS).to_crs(4326).to_file(tmp_path / "raw" / "roads.gpkg")
    vectors(tmp_path / "raw" / "water.gpkg", [pond])
    _, record = build(
        tmp_path, {"water": {"file": "water.gpkg"}, "roads": {"file": "roads.gpkg", "buffer_m": 37}}
    )
    centres = [Point(x_y(row + 0.5, col + 0.5)) for row in range(80) for col in range(100)]
    dry = [not pond.contains(centre) for centre in centres]
    clear = [road.distance(centre) > 37 for centre in centres]
    assert record["masks"]["water"]["pixels"] == sum(dry) < 8000
    assert record["masks"]["roads"]["pixels"] == pytest.approx(
        sum(d and c for d, c in zip(dry, clear, strict=True)), abs=3
    )


def test_polygons_and_their_means_are_those_of_scikit_image(tmp_path):
    rng = np.random.default_rng(1)
    probability = gaussian_filter(rng.normal(size=GRID.shape), 2)
    probability = ((probability - probability.min()) / np.ptp(probability)).astype(np.float32)
    slope, elevation = (
        rng.uniform(0, 60, GRID.shape).astype(np.float32),
        rng.uniform(67, 1840, GRID.shape).astype(np.float32),
    )
    write(tmp_path, probability, slope, elevation)
    polygons, record = build(tmp_path, threshold=0.6, minimum=800)
    groups = connected(probability >= 0.6, connectivity=1)
    told = regionprops_table(
        groups, np.stack([probability, slope, elevation], -1), properties=("area", "mean_intensity")
    )
    large = told["area"] >= 8
    assert record["mapped"]["polygons"] == len(large) > large.sum() == len(polygons) > 5
    assert polygons.area_m2.is_monotonic_decreasing
    order = np.lexsort([told["mean_intensity-1"][large], -told["area"][large]])
    found = polygons.sort_values(["area_m2", "mean_slope_deg"], ascending=[False, True])
    np.testing.assert_allclose(found.area_m2, told["area"][large][order] * 100)
    for number, column in enumerate(("mean_probability", "mean_slope_deg", "mean_elevation_m")):
        np.testing.assert_allclose(found[column], told[f"mean_intensity-{number}"][large][order], rtol=1e-5)


def test_no_data_is_left_out_of_means():
    probability = np.zeros(GRID.shape, np.float32)
    probability[2:4, 2:4] = probability[10, 10] = 1
    slope = np.full(GRID.shape, 30, np.float32)
    slope[2, 2:4] = 10
    slope[3, 3] = slope[10, 10] = np.nan
    found = polygonise(probability, GRID, layers={"slope_deg": slope})
    np.testing.assert_allclose(found.mean_slope_deg, [50 / 3, np.nan], rtol=1e-6)


def test_an_inventory_may_be_empty(tmp_path):
    write(tmp_path, np.full(GRID.shape, 0.2))
    vectors(tmp_path / "raw" / "water.gpkg", [Point(0, 0).buffer(1)])
    polygons, record = build(tmp_path, {"water": {"file": "water.gpkg"}})
    assert polygons.empty and record["inventory"] == {"pixels": 0, "polygons": 0, "area_km2": 0.0}
    assert "no landslide is left" in record["notes"][0]


def test_a_mask_without_features_removes_nothing(tmp_path):
    write(tmp_path, np.ones(GRID.shape))
    (tmp_path / "raw").mkdir()
    geopandas.GeoDataFrame(geometry=[], crs=CRS).to_file(
        tmp_path / "raw" / "water.gpkg", geometry_type="Polygon"
    )
    _, record = build(tmp_path, {"water": {"file": "water.gpkg", "buffer_m": 5}})
    assert record["masks"]["water"]["pixels"] == 8000


@pytest.mark.parametrize(
    ("masks", "told"),
    [
        ({"roads": {"file": "road.gpkg"}}, r"raw/road\.gpkg does not exist"),
        (
            {"roads": {"file": "roads.gpkg", "bufer_m": 10}},
            "inventory mask roads: key 'bufer_m' does not exist; did you mean 'buffer_m'",
        ),
        ({"roads": {"file": "roads.gpkg", "buffer_m": -1}}, "inventory mask roads: buffer_m is -1"),
    ],
)
def test_wrong_masks_are_told(tmp_path, masks, told):
    write(tmp_path, np.ones(GRID.shape))
    vectors(tmp_path / "raw" / "roads.gpkg", [LineString([x_y(0, 0), x_y(9, 9)])])
    with pytest.raises(HeadscarpError, match=told):
        build(tmp_path, masks)
    assert not (tmp_path / "out").exists()


def test_layers_of_another_grid_are_told(tmp_path):
    write(tmp_path, np.ones(GRID.shape))
    shifted = Grid(CRS, Affine(10, 0, WEST + 5, 0, -10, NORTH), 80, 100)
    write_layer(
        tmp_path / "layers" / "slope.tif",
        Layer("slope", np.ones(GRID.shape, np.float32), shifted, "1", "test"),
    )
    with pytest.raises(HeadscarpError, match=r"slope\.tif is not on the grid"):
        build(tmp_path)
