"""The cells that `headscarp init` proposes, those of the finest image, as far as that stays workable; and
what is too coarse to be fetched for them."""

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.warp import transform_bounds

from headscarp.areas.check.card import examine_card
from headscarp.areas.init.summary import summary
from headscarp.areas.init.write import write_card
from headscarp.geo.grid import Grid
from headscarp.plan.plan import load_plan
from headscarp.yaml_files import read_yaml
from tests.conftest import REPOSITORY
from tests.site_files import CRS, NORTH, WEST, write_raster, write_shapes

EVENT = "2018-09-06"


def square(side_m, west=WEST, north=NORTH):
    return shapely.box(west, north - side_m, west + side_m, north)


def put_image(path, side_m, pixel_m, bands=3):
    """An image of one square, on disk as a few lines only."""
    size = round(side_m / pixel_m)
    profile = {"driver": "GTiff", "count": bands, "height": size, "width": size, "dtype": "uint8", "crs": CRS}
    transform = Affine(pixel_m, 0, WEST, 0, -pixel_m, NORTH)
    with rasterio.open(path, "w", **profile, transform=transform, tiled=True, sparse_ok=True) as sink:
        rng = np.random.default_rng(0)
        rows = min(size, 64)
        values = rng.integers(1, 255, (bands, rows, size)).astype(np.uint8)
        sink.write(values, window=((0, rows), (0, size)))
    return path


def put_slides(path, side_m, count=20):
    """Landslides of a side, in a row from the north-west corner."""
    shapes = [square(side_m, WEST + 1.5 * side_m * number, NORTH - 5) for number in range(count)]
    return write_shapes(path, shapes)


@pytest.fixture
def card_of(tmp_path):
    """Write the card of a square of a side in metres; returns it, its text, and what is told."""

    def write(side_m, *files, **options):
        outline = write_shapes(tmp_path / "val.geojson", [square(side_m)])
        path, draft = write_card(outline, files, folder=tmp_path, **{"event": EVENT} | options)
        record, text = read_yaml(path), path.read_text()
        path.unlink()
        return record, text, "\n".join(summary(draft))

    return write


def resolution_of(record):
    return record["sites"]["val"]["layers"]["grid"]["resolution_m"]


@pytest.mark.parametrize(
    ("pixel_m", "resolution"),
    [
        (0.1, 0.1),
        (0.0871, 0.09),
        (0.31, 0.3),
        (1.24, 1.2),
        (2.987, 3),
        (4.77, 5),
        (10, 10),
        (15, 15),
        (30, 30),
    ],
)
def test_the_pixels_of_the_image_are_the_cells(card_of, tmp_path, pixel_m, resolution):
    image = put_image(tmp_path / "ortho.tif", 60 * pixel_m, pixel_m)
    record, text, told = card_of(60 * pixel_m, image)
    assert resolution_of(record) == resolution
    assert f"GUESS resolution {resolution} m, the pixels of ortho.tif: " in text
    assert f"resolution {resolution} m, the pixels of ortho.tif: " in told


def test_the_finest_of_several_images_counts_and_other_rasters_do_not(card_of, tmp_path):
    files = [
        put_image(tmp_path / "image_pre.tif", 600, 10),
        put_image(tmp_path / "image_post.tif", 600, 3),
        put_image(tmp_path / "dem.tif", 600, 1, bands=1),
    ]
    record, _, told = card_of(600, *files)
    assert resolution_of(record) == 3 and "the pixels of image_post.tif" in told


def test_pixels_in_degrees_are_as_long_as_on_the_ground(card_of, tmp_path):
    """At 30.7 degrees north a degree of longitude is 0.86 of one of latitude; the longer side counts."""
    west, south, east, north = transform_bounds(CRS, "EPSG:4326", *square(1500).bounds)
    pixel = 5 / 110_850  # metres of a degree of latitude there (WGS 84)
    transform = Affine(pixel, 0, west, 0, -pixel, north)
    grid = Grid("EPSG:4326", transform, int((north - south) / pixel), int((east - west) / pixel))
    values = np.random.default_rng(0).integers(1, 255, (3, *grid.shape)).astype(np.uint8)
    image = write_raster(tmp_path / "ortho.tif", values, grid, crs="EPSG:4326")
    assert resolution_of(card_of(1400, image)[0]) == 5


def test_what_other_resolutions_cost_is_told_once(card_of, tmp_path):
    """The grid's edges are multiples of 3 m, which the outline's are not."""
    slides = put_slides(tmp_path / "landslides.gpkg", 24)
    _, text, told = card_of(900, put_image(tmp_path / "ortho.tif", 900, 3), slides)
    line = (
        "resolution 3 m, the pixels of ortho.tif: 301 x 301 cells; at 1.5 m four times the time and memory, "
        "at 6 m a quarter (the median landslide is then 4 pixels wide)"
    )
    assert line in told.splitlines() and text.count(f"# GUESS {line}\n") == 1


def test_a_given_resolution_is_no_guess(card_of, tmp_path):
    record, text, told = card_of(900, put_image(tmp_path / "ortho.tif", 900, 3), resolution=4)
    assert resolution_of(record) == 4 and "# resolution 4 m, as given: 225 x 225 cells; at 2 m four" in text
    assert "GUESS resolution" not in text + told


def test_too_many_cells_are_coarsened(card_of, tmp_path):
    """4 km of pixels of 0.5 m are 64 million cells; 2 m make 4 million of them."""
    record, _, told = card_of(4000, put_image(tmp_path / "ortho.tif", 4000, 0.5))
    assert resolution_of(record) == 2
    assert "resolution 2 m, as at the 0.5 m of ortho.tif there are 64 million cells: 2,000 x 2,000" in told
    record, _, told = card_of(30_000)
    assert resolution_of(record) == 15 and "at the 10 m of Sentinel-2 there are 9.0 million cells" in told


def test_cells_are_no_coarser_than_the_landslides_allow(card_of, tmp_path):
    image = put_image(tmp_path / "ortho.tif", 4000, 0.5)
    record, _, told = card_of(4000, image, put_slides(tmp_path / "landslides.gpkg", 5))
    assert resolution_of(record) == 1
    assert "no coarser, so that the median landslide is 5 pixels wide if it can be: 4,000 x 4,000" in told
    record, _, told = card_of(4000, image, put_slides(tmp_path / "landslides.gpkg", 2))
    assert resolution_of(record) == 0.5
    assert "WARNING the median landslide is only 4 pixels wide: expect small ones to be missed" in told


def test_landslides_wider_than_a_window_make_cells_coarser(card_of, tmp_path):
    """100 m are 200 pixels of 0.5 m, of which a window of training shows 64."""
    image = put_image(tmp_path / "ortho.tif", 900, 0.5)
    record, _, told = card_of(900, image, put_slides(tmp_path / "landslides.gpkg", 100, 4))
    assert resolution_of(record) == 2
    assert "as at the 0.5 m of ortho.tif the median landslide is 200 pixels wide" in told


def test_only_landslides_of_the_event_tell_how_fine_cells_must_be(card_of, tmp_path):
    small, large = ([square(side, WEST + 1.5 * side * k, NORTH - 5) for k in range(9)] for side in (5, 100))
    slides = write_shapes(tmp_path / "landslides.gpkg", small + large, year=[2018] * 9 + [2001] * 9)
    record, _, _ = card_of(4000, put_image(tmp_path / "ortho.tif", 4000, 0.5), slides)
    assert resolution_of(record) == 1


# --- what is too coarse to be fetched ---


def test_terrain_of_30_m_is_not_fetched_for_the_image_of_a_drone(card_of, tmp_path, monkeypatch):
    image, slides = (
        put_image(tmp_path / "drone.tif", 30, 0.1),
        put_slides(tmp_path / "landslides.gpkg", 1.5, 9),
    )
    record, text, told = card_of(30, image, slides)
    site = record["sites"]["val"]
    assert "dem.tif" not in site["files"] and not {"dem", "terrain"} & set(site["layers"])
    assert set(record["inputs"]) == {"optical"}
    assert set(record["experiments"]) == {"random_forest", "unet", "resunet"}
    assert "not fetched: an elevation model: cells of 30 m (Copernicus) tell nothing" in told
    assert "# not fetched: an elevation model" in text
    write_card(tmp_path / "val.geojson", [image, slides], event=EVENT, folder=tmp_path)
    monkeypatch.chdir(tmp_path)
    plan = load_plan({"cards": ["val"], "scale": "tiny"}, REPOSITORY)
    assert "results/figures/val/fig_maps.png" in plan.targets("val")
    (checked,) = examine_card("val")
    assert checked.status != "error", [vars(one) for one in checked.findings]


def test_the_card_says_how_to_add_terrain(card_of, tmp_path, monkeypatch):
    """Its comments, without their marks, and a file make a card that the plan takes."""
    image, slides = (
        put_image(tmp_path / "drone.tif", 30, 0.1),
        put_slides(tmp_path / "landslides.gpkg", 1.5, 9),
    )
    _, text, _ = card_of(30, image, slides)
    for key in ("# dem: dem.tif", "# terrain: "):
        assert key in text
        text = text.replace(key, key.removeprefix("# "))
    text = text.replace("    layers:\n", "      dem.tif: {stac: dem, margin_m: 1000}\n    layers:\n")
    text = text.replace("network: unet, inputs: [optical]", "network: unet, inputs: [optical, terrain]")
    (tmp_path / "areas").mkdir(exist_ok=True)
    (tmp_path / "areas" / "val.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    plan = load_plan({"cards": ["val"], "scale": "tiny"}, REPOSITORY)
    assert plan.sites["val"].dem == "dem.tif" and "slope" in plan.sites["val"].layers["terrain"]
    assert {"red", "slope"} <= set(plan.cards["val"].experiments["unet"].channels)


@pytest.mark.parametrize(("resolution", "fetched"), [(4.9, set()), (5, {"dem.tif"}), (10, {"dem.tif"})])
def test_terrain_is_fetched_for_cells_of_a_sixth_of_its_own(card_of, tmp_path, resolution, fetched):
    image = put_image(tmp_path / "ortho.tif", 600, 3)
    record, _, _ = card_of(600, image, resolution=resolution)
    assert {"dem.tif"} & set(record["sites"]["val"]["files"]) == fetched


@pytest.mark.parametrize(("resolution", "fetched"), [(1.6, False), (1.7, True)])
def test_land_cover_is_fetched_for_cells_of_a_sixth_of_its_own(card_of, resolution, fetched):
    record, _, told = card_of(300, resolution=resolution)
    assert ("land_cover.tif" in record["sites"]["val"]["files"]) == fetched
    assert ("not fetched: land cover: cells of 10 m (ESA WorldCover)" in told) != fetched


def test_a_model_of_ones_own_is_taken_whatever_its_cells(card_of, tmp_path):
    model = put_image(tmp_path / "dem.tif", 600, 20, bands=1)
    slides = put_slides(tmp_path / "landslides.gpkg", 15)
    record, _, told = card_of(600, put_image(tmp_path / "ortho.tif", 600, 1), model, slides)
    assert record["sites"]["val"]["layers"]["dem"] == "dem.tif" and "not fetched" not in told
    assert "unet+terrain" in record["experiments"]
