"""Files of a data folder as raw files: linked, or with the CRS that a site gives them."""

import numpy as np
import pytest
import rasterio
from affine import Affine

from headscarp.errors import HeadscarpError
from headscarp.sources.local import take_file


def write(path, crs=None):
    values = np.arange(2 * 40 * 30, dtype=np.uint16).reshape(2, 40, 30)
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 2, "height": 40, "width": 30, "nodata": 7}
    with rasterio.open(path, "w", crs=crs, transform=Affine(10, 0, 1280, 0, -10, -640), **profile) as target:
        target.write(values)
        target.update_tags(SCALE="60")
    return values


def test_a_file_is_linked(tmp_path):
    write(tmp_path / "a.tif", "EPSG:32654")
    take_file(tmp_path / "a.tif", tmp_path / "link.tif")
    assert (tmp_path / "link.tif").is_symlink() and (tmp_path / "link.tif").samefile(tmp_path / "a.tif")


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_raster_without_a_crs_gets_one_and_keeps_the_rest(tmp_path):
    values = write(tmp_path / "a.tif")
    take_file(tmp_path / "a.tif", tmp_path / "raw.tif", "EPSG:32651")
    with rasterio.open(tmp_path / "raw.tif") as found:
        assert found.crs == "EPSG:32651" and found.transform == Affine(10, 0, 1280, 0, -10, -640)
        assert found.nodata == 7 and found.tags()["SCALE"] == "60"
        np.testing.assert_array_equal(found.read(), values)
    with rasterio.open(tmp_path / "a.tif") as original:
        assert original.crs is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif", "raw.tif"]


def test_a_crs_that_a_raster_has_is_not_replaced(tmp_path):
    write(tmp_path / "a.tif", "EPSG:32654")
    with pytest.raises(
        HeadscarpError, match=r"a\.tif has a CRS of its own \(EPSG:32654\); leave out the key"
    ):
        take_file(tmp_path / "a.tif", tmp_path / "raw.tif", "EPSG:32651")
    assert not (tmp_path / "raw.tif").exists()


def test_what_is_no_raster_is_told(tmp_path):
    (tmp_path / "a.tif").write_text("no raster")
    with pytest.raises(HeadscarpError, match=r"a\.tif cannot be read"):
        take_file(tmp_path / "a.tif", tmp_path / "raw.tif", "EPSG:32651")


def test_a_vector_file_of_a_site_with_a_crs_is_told(tmp_path):
    (tmp_path / "slides.gpkg").write_bytes(b"")
    with pytest.raises(HeadscarpError, match=r"slides\.gpkg is a vector file, and the key `crs`"):
        take_file(tmp_path / "slides.gpkg", tmp_path / "raw.gpkg", "EPSG:32651")
    take_file(tmp_path / "slides.gpkg", tmp_path / "raw.gpkg")
