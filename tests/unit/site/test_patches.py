"""Card emilia: statistics of patches against plain NumPy and known surfaces, and the AUC that comes of them
on real patches."""

import numpy as np
import pandas
import pytest
import rasterio
import yaml
from affine import Affine

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.geo.layer import read_layer
from headscarp.site.patches import Patches, build_patch_layers
from headscarp.site.stack import build_cube
from tests.conftest import REPOSITORY
from tests.site_files import make_grid, read_manifest, write_raster

pytestmark = pytest.mark.slow

CARD = yaml.safe_load((REPOSITORY / "workflow" / "cards" / "emilia.yaml").read_text(encoding="utf-8"))
STATISTICS = CARD["inputs"]["terrain"]
SIZE = 24  # pixels of 10 m: eight cells of 30 m
PATCHES = {
    "table": "patches.csv",
    "row": "row",
    "col": "col",
    "size": SIZE,
    "resolution_m": 30,
    "values": {"slid": "pixels"},
}
RECORD = {"name": "hills", "data": "twin", "dem": "dem.tif", "dates": ["2023-05-16"], "patches": PATCHES}


def terraced(shape=(24, 40), gradient=0.2):
    """A plane of 30 m cells that falls to the east, each cell repeated to 3 x 3 of 10 m: 3 x 5 patches."""
    fine = np.repeat(
        np.repeat(np.broadcast_to(1000 - 30 * gradient * np.arange(shape[1]), shape), 3, axis=0), 3, axis=1
    )
    return fine.astype(np.float32)


def write_site(folder, dem, table):
    write_raster(folder / "dem.tif", dem, make_grid(*dem.shape, 10.0), nodata=-9999)
    table.to_csv(folder / "patches.csv", index=False)
    return folder


def table_of(places):
    return pandas.DataFrame(
        [{"row": row * SIZE, "col": col * SIZE, "slid": number} for number, (row, col) in enumerate(places)]
    )


def test_statistics_over_patches_equal_those_of_their_cells():
    rng = np.random.default_rng(1)
    cells = make_grid(26, 35, 30.0)  # neither a whole number of patches nor whole cells in one
    patches = Patches(Grid(cells.crs, cells.transform @ Affine.scale(100 / 30), 8, 11), cells)
    values = rng.normal(size=cells.shape).astype(np.float32)
    values[rng.random(cells.shape) < 0.2] = np.nan
    values[:4, :7] = np.nan
    row, col = (np.floor((np.arange(length) + 0.5) * 30 / 100).astype(int) for length in cells.shape)
    frame = pandas.DataFrame({"row": np.repeat(row, 35), "col": np.tile(col, 26), "value": values.ravel()})
    groups = frame.groupby(["row", "col"]).value
    for found, expected in (
        (patches.mean(values), groups.mean()),
        (patches.sd(values), groups.std(ddof=0)),
        (patches.relief(values), groups.max() - groups.min()),
    ):
        np.testing.assert_allclose(found.ravel(), expected.to_numpy(), atol=1e-6)
    assert np.isnan(patches.mean(values)[0, 0])


def test_a_terraced_plane_has_the_slope_of_the_plane(tmp_path):
    places = [(row, col) for row in range(3) for col in range(5) if (row, col) != (1, 1)]
    write_site(tmp_path, terraced(), table_of(places))
    build_patch_layers(RECORD, tmp_path, tmp_path / "layers")
    layers = {name: read_layer(tmp_path / "layers" / f"{name}.tif") for name in [*STATISTICS, "slid"]}
    assert layers["slope"].grid == Grid(
        "EPSG:32649", make_grid().transform @ Affine.scale(SIZE * 10 / 15), 3, 5
    )
    inner = np.s_[:, 1:-1]  # at the edge of the model the outermost cells see themselves twice
    known = np.ones((3, 5), bool)
    known[1, 1] = False
    for name, expected in (
        ("slope", np.degrees(np.arctan(0.2))),
        ("slope_sd", 0),
        ("curvature", 0),
        ("northness", 0),
        ("eastness", 1),
    ):
        np.testing.assert_allclose(
            layers[name].values[inner][known[inner]], expected, atol=0.02, err_msg=name
        )
    np.testing.assert_allclose(layers["relief"].values[inner][known[inner]], 7 * 30 * 0.2, atol=0.1)
    np.testing.assert_allclose(
        layers["elevation"].values[0, 1:4], 1000 - 6 * np.arange(8, 32).reshape(3, 8).mean(1), atol=0.1
    )
    for layer in layers.values():
        assert np.isnan(layer.values[1, 1]) and np.isfinite(layer.values[known]).all()
    assert layers["slid"].values[known].tolist() == list(range(14))


def test_gentle_patches_are_left_out_and_counted(tmp_path):
    dem = terraced()
    dem[:, :48] = dem[:, 48:49]  # the two western columns of patches are level
    write_site(tmp_path, dem, table_of([(row, col) for row in range(3) for col in range(5)]))
    build_patch_layers(RECORD | {"patches": PATCHES | {"minimum_slope": 5}}, tmp_path, tmp_path / "layers")
    manifest = read_manifest(tmp_path / "layers")
    assert manifest["notes"][0] == "6 of 15 patches are left out: their mean slope is under 5 degrees"
    for name in [*STATISTICS, "slid"]:
        values = read_layer(tmp_path / "layers" / f"{name}.tif").values
        np.testing.assert_array_equal(np.isnan(values), [[True, True, False, False, False]] * 3)
    build_cube(tmp_path / "layers", tmp_path / "cube")
    assert (np.load(tmp_path / "cube" / "label.npy") == 255).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.assign(row=table["row"] + 1), "do not start at multiples of 24 pixels"),
        (lambda table: table.assign(row=table["row"] + 10 * SIZE), "2 patches lie outside"),
        (lambda table: table.assign(col=-SIZE), "2 patches lie outside"),
        (lambda table: pandas.concat([table, table]), "2 patches stand twice"),
        (
            lambda table: table.rename(columns={"slid": "slide"}),
            "'slid' does not exist; did you mean 'slide'",
        ),
        (lambda table: table.assign(slid="many"), "'slid' holds something that is no number"),
        (lambda table: table.assign(slid=np.nan), "or nothing"),
        (lambda table: pandas.DataFrame(), "cannot be read"),
    ],
)
def test_a_table_that_does_not_fit_says_what_is_wrong(tmp_path, change, message):
    write_site(tmp_path, terraced(), change(table_of([(0, 0), (2, 4)])))
    with pytest.raises(HeadscarpError, match=message) as error:
        build_patch_layers(RECORD, tmp_path, tmp_path / "layers")
    assert "patches.csv" in str(error.value) and not (tmp_path / "layers").exists()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (RECORD | {"rasters": {}}, "the key 'rasters' does not go with the others"),
        (RECORD | {"patches": PATCHES | {"minimum_slop": 5}}, "did you mean 'minimum_slope'"),
        (
            RECORD | {"patches": {key: value for key, value in PATCHES.items() if key != "size"}},
            "'size' is missing",
        ),
        (RECORD | {"patches": PATCHES | {"resolution_m": 5}}, "resolution_m is 5"),
        (RECORD | {"patches": PATCHES | {"resolution_m": 200}}, "resolution_m is 200"),
        (RECORD | {"patches": PATCHES | {"table": "other.csv"}}, "other.csv does not exist"),
    ],
)
def test_a_record_that_is_wrong_says_so(tmp_path, record, message):
    write_site(tmp_path, terraced(), table_of([(0, 0)]))
    with pytest.raises(HeadscarpError, match=message):
        build_patch_layers(record, tmp_path, tmp_path / "layers")


def test_a_model_in_degrees_is_refused(tmp_path):
    write_site(tmp_path, terraced(), table_of([(0, 0)]))
    write_raster(
        tmp_path / "dem.tif",
        terraced(),
        Grid("EPSG:4326", Affine(1e-4, 0, 11, 0, -1e-4, 44), 72, 120),
        crs="EPSG:4326",
    )
    with pytest.raises(HeadscarpError, match="not in metres"):
        build_patch_layers(RECORD, tmp_path, tmp_path / "layers")


@pytest.fixture(scope="module")
def real_patches(real_data, tmp_path_factory):
    """Table of the real patches with the statistics of the card, all patches kept, and the folder of the
    layers."""
    folder = real_data("data/sen12_emilia")
    record = {"name": "emilia", "data": "real"} | CARD["sites"]["emilia"]["layers"]
    patches = {key: value for key, value in record["patches"].items() if key != "minimum_slope"}
    out = tmp_path_factory.mktemp("emilia") / "layers"
    build_patch_layers(record | {"patches": patches}, folder, out)
    table = pandas.read_csv(folder / "patches.csv")
    row, col = table["row"] // 128, table["col"] // 128
    statistics = {
        name: read_layer(out / f"{name}.tif").values[row, col] for name in [*STATISTICS, "annotated_pixels"]
    }
    return table, pandas.DataFrame(statistics), (row // 8 * 100 + col // 8).to_numpy()


def test_real_statistics_agree_with_the_table(real_patches):
    table, statistics, _ = real_patches
    assert np.isfinite(statistics).all(axis=None)
    np.testing.assert_array_equal(statistics.annotated_pixels, table.annotated_pixels)
    # The table's are of the 10 m cells; its slopes are those of repeated cells, alike in order only.
    np.testing.assert_allclose(statistics.elevation, table.zmean, atol=5)
    assert np.corrcoef(statistics.relief, table.zmax - table.zmin)[0, 1] > 0.999
    assert np.corrcoef(statistics.slope, table.slope_mean)[0, 1] > 0.99


@pytest.mark.parametrize(
    ("least_slope", "published"),
    [(0, 0.866), (CARD["sites"]["emilia"]["layers"]["patches"]["minimum_slope"], 0.802)],
)
def test_a_forest_over_blocks_of_10_km_reaches_the_described_auc(real_patches, least_slope, published):
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import GroupKFold, cross_val_predict

    _, statistics, blocks = real_patches
    kept = (statistics.slope >= least_slope).to_numpy()
    label = statistics.annotated_pixels.to_numpy()[kept] > CARD["cells"]["emilia"]["layer"]["above"]
    forest = RandomForestClassifier(100, min_samples_leaf=3, random_state=0)
    found = cross_val_predict(
        forest,
        statistics[STATISTICS].to_numpy()[kept],
        label,
        groups=blocks[kept],
        cv=GroupKFold(5),
        method="predict_proba",
    )
    assert roc_auc_score(label, found[:, 1]) == pytest.approx(published, abs=0.03)


def test_real_patches_join_at_their_seams(real_data):
    folder = real_data("data/sen12_emilia")
    table = pandas.read_csv(folder / "patches.csv")
    with rasterio.open(folder / "dem_mosaic_10m.tif") as source:
        dem = source.read(1)
    places = set(zip(table["row"], table["col"], strict=True))
    seams = [
        (
            dem[row : row + 128, col + 127],
            dem[row : row + 128, col + 128],
            dem[row + 127, col : col + 128],
            dem[row, col + 128 : col + 256],
        )
        for row, col in places
        if (row, col + 128) in places
    ]
    beside, transposed = (
        np.mean([np.abs(seam[k].astype(int) - seam[k + 1]).mean() for seam in seams]) for k in (0, 2)
    )
    assert len(seams) > 2000 and beside < 2.5 and transposed > 80
