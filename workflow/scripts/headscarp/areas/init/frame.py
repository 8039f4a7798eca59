"""Pictures of one frame that do not say where it lies: a made-up place, so that they become a study area."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import geopandas
import numpy as np
import rasterio
import shapely
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning
from rasterio.shutil import copy as copy_raster

from headscarp.areas.guess.files import VECTORS, Found
from headscarp.areas.guess.label_rasters import MOST_CLASSES
from headscarp.areas.guess.names import LABEL, MASK
from headscarp.areas.guess.pictures import ALIKE, listed, pixel_of
from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path
from headscarp.sources.patch_sets.tiles import opened

MADE_UP = "EPSG:32631"  # true to scale around its corner
EASTING = 500_000.0  # of the corner, on the equator and in the sea: no slope is there
OUTLINE = "outline.gpkg"


@dataclass(frozen=True)
class Frame:
    """The rectangle that pictures show: the first one, its rows and columns, and the size of its pixels in
    metres and how that is known."""

    first: Path
    shape: tuple[int, int]
    pixel_m: float
    why_pixel: str

    @property
    def told(self) -> str:
        """What it is, for people."""
        height, width = self.shape
        return (
            f"the frame of {self.first}, {height} x {width} pixels of {self.pixel_m:g} m, {self.why_pixel}; "
            "its place is made up"
        )

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in MADE_UP; edges are multiples of a pixel."""
        west = round(EASTING / self.pixel_m) * self.pixel_m
        return west, 0.0, west + self.shape[1] * self.pixel_m, self.shape[0] * self.pixel_m

    def transform(self, shape: tuple[int, int]) -> Affine:
        """That of a picture of the frame of a number of rows and columns."""
        west, south, east, north = self.bounds
        return rasterio.transform.from_bounds(west, south, east, north, shape[1], shape[0])


def frame_of(pictures: Sequence[Path], pixel: float | None) -> Frame:
    """The frame of pictures without CRS.

    Args:
        pixel: the size of a pixel of the first one in metres; None: what its world file says.

    Raises:
        HeadscarpError: one is missing or no raster, or has a CRS or other proportions than the first, world
            files lay two at different places, or nothing tells the size of a pixel.
    """
    shapes, told, placed = {}, {}, {}
    for path in pictures:
        if not path.is_file():
            raise HeadscarpError(f"{path} does not exist or is no file; check the path")
        if path.suffix.lower() in VECTORS:
            raise HeadscarpError(
                f"{path} is a vector file, and nobody knows where its coordinates lie in a picture without "
                "CRS; draw the landslides as a mask of the picture's rows and columns, or give the picture a "
                "CRS and name an outline first"
            )
        with opened(path) as source:
            if source.crs and path == pictures[0]:
                raise HeadscarpError(
                    f"{path} is a raster and no outline; give the polygon of the study area first. "
                    f"`gdaltindex outline.gpkg {path}` makes one of its frame"
                )
            if source.crs:
                raise HeadscarpError(
                    f"{path} has a CRS ({source.crs}) and {pictures[0]} has none; give that one its CRS too, "
                    "for example with `gdal_translate -a_srs`, and name an outline first, or leave out the "
                    "other"
                )
            shapes[path], (told[path], _) = source.shape, pixel_of(source)
            if told[path] is not None:
                placed[path] = source.bounds
    first = pictures[0]
    for path, bounds in placed.items():
        other = next(iter(placed))
        if not np.allclose(bounds, placed[other], rtol=0, atol=max(told[path], told[other])):
            raise HeadscarpError(
                f"{path} and {other} have world files that lay them at different places; cut them alike and "
                "remove the world files, or give each its CRS and name an outline first"
            )
    for path, (height, width) in shapes.items():
        across, down = width / shapes[first][1], height / shapes[first][0]
        if abs(across / down - 1) > ALIKE:
            raise HeadscarpError(
                f"{path} has {height} x {width} pixels and {first} {shapes[first][0]} x {shapes[first][1]}; "
                "without a CRS all must show one frame: cut them alike, or give each its CRS and name an "
                "outline first"
            )
    size, why = (pixel, "as given by --pixel") if pixel is not None else (told[first], "by the world file")
    if size is None:
        raise HeadscarpError(
            f"nothing tells how large a pixel of {first} is, which areas and lengths are counted by; give it "
            "as --pixel METRES"
        )
    return Frame(first, shapes[first], size, why)


def write_frame(pictures: Sequence[Path], frame: Frame, folder: Path) -> list[Path]:
    """Write the outline of a frame and, of each picture, a description (VRT) that lays it there, as `folder`;
    returns their paths. The pictures stay where they are.

    Raises:
        HeadscarpError: two pictures have one name.
    """
    names = [f"{path.stem}.vrt" for path in pictures]
    if twice := {name for name in names if names.count(name) > 1}:
        same = [str(path) for path, name in zip(pictures, names, strict=True) if name in twice]
        raise HeadscarpError(f"{listed(same)} have one name; rename all but one")
    with atomic_path(folder) as partial:
        partial.mkdir()
        for path, name in zip(pictures, names, strict=True):
            with opened(path.resolve()) as source:
                copy_raster(source, partial / name, driver="VRT")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                with rasterio.open(partial / name, "r+") as described:
                    described.crs, described.transform = MADE_UP, frame.transform(described.shape)
        box = geopandas.GeoDataFrame(geometry=[shapely.box(*frame.bounds)], crs=MADE_UP)
        box.to_file(partial / OUTLINE, driver="GPKG", layer="outline")
    return [folder / name for name in (OUTLINE, *names)]


def with_mask(found: Found) -> Found:
    """The same files; where no name tells which is the mask of landslides, it is the one of one band and few
    values, whatever it is called."""
    masks = [
        band
        for band in found.bands
        if band.count == 1 and 0 < len(band.codes) <= MOST_CLASSES and band.role != MASK
    ]
    if len(masks) != 1 or any(band.role == LABEL for band in found.bands):
        return found
    mask = replace(masks[0], role=LABEL, why="GUESS by its few values")
    return replace(found, bands=[mask if band is masks[0] else band for band in found.bands])
