"""What the bands of a user's rasters probably are."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import NotGeoreferencedWarning

from headscarp.areas.guess.names import DEM, LABEL, MASK, OPTICAL, date_in, optical_in, role_in, time_in
from headscarp.geo.grid import Grid
from headscarp.geo.rasters import cover_of

GLANCE = 256  # pixels a side of the thinned raster that is looked at
# Bands of a file that names none, by their number: the usual order of products that are delivered so.
BY_COUNT = {
    3: ("red", "green", "blue"),
    4: ("blue", "green", "red", "nir"),
    6: ("blue", "green", "red", "nir", "swir1", "swir2"),
    10: ("blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir_narrow", "swir1", "swir2"),
}


@dataclass(frozen=True)
class Band:
    """One band of a user's raster: what it is taken for (`role`, None: unknown) and `why`, its time, and its
    values at a glance."""

    path: Path
    number: int
    count: int
    variable: str | None
    role: str | None
    why: str
    time: str
    date: str | None
    dtype: str
    declared_scale: float
    low: float
    high: float
    codes: tuple[int, ...]
    cover: float | None
    crs: str | None

    @property
    def is_optical(self) -> bool:
        return self.role in OPTICAL


def bands_of(path: Path, grid: Grid) -> list[Band]:
    """The bands of a raster, those of all variables of a NetCDF."""
    with warnings.catch_warnings():
        # GDAL does not place every NetCDF; the import reads its coordinates
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as source:
            inner = source.subdatasets
            if not inner:
                return bands_of_dataset(source, path, None, grid)
        bands = []
        for name in inner:
            with rasterio.open(name) as source:
                bands += bands_of_dataset(source, path, name.rsplit(":", 1)[-1].strip("/"), grid)
    return bands


def bands_of_dataset(
    source: rasterio.DatasetReader, path: Path, variable: str | None, grid: Grid
) -> list[Band]:
    interpreted = [kind.name for kind in source.colorinterp]
    by_colour = interpreted[:3] == ["red", "green", "blue"]
    numbers = [
        number
        for number in source.indexes
        if source.colorinterp[number - 1] != ColorInterp.alpha or (source.count == 4 and not by_colour)
    ]
    thin = min(1.0, GLANCE / max(source.shape))
    shape = tuple(max(1, round(side * thin)) for side in source.shape)
    cover = cover_of(source, grid) if source.crs else None
    bands = []
    for number in numbers:
        values = source.read(number, out_shape=shape, resampling=Resampling.nearest, masked=True).compressed()
        values = values[np.isfinite(values)] if values.dtype.kind == "f" else values
        role, why = role_of_band(source, path, variable, number, len(numbers), values, by_colour)
        low, high = (float(np.percentile(values, q)) for q in (1, 99)) if values.size else (np.nan, np.nan)
        codes = np.unique(values) if values.dtype.kind in "iu" else np.array([])
        text = f"{path.stem} {variable or ''} {source.descriptions[number - 1] or ''}"
        bands.append(
            Band(
                path,
                number,
                source.count,
                variable,
                role,
                why,
                time_in(text),
                date_in(text),
                source.dtypes[number - 1],
                source.scales[number - 1],
                low,
                high,
                tuple(int(code) for code in codes[:65]),
                cover,
                source.crs.to_string() if source.crs else None,
            )
        )
    return bands


def role_of_band(
    source: rasterio.DatasetReader,
    path: Path,
    variable: str | None,
    number: int,
    count: int,
    values: np.ndarray,
    by_colour: bool,
) -> tuple[str | None, str]:
    """What a band is taken for, and why."""
    description = source.descriptions[number - 1] or ""
    for text, what in ((description, "the band's description"), (variable or "", "the variable's name")):
        if role := text and (optical_in(text, path.stem) or role_in(text)):
            return role, f"by {what} '{text}'"
    name = path.stem
    if count == 1:
        if role := role_in(name) or optical_in(name, name):
            return role, "by the file's name"
        if is_elevation(values):
            return DEM, f"by its values ({values.min():.0f} to {values.max():.0f}, as metres of elevation)"
        return None, ""
    if role_in(name) in (LABEL, MASK, DEM):
        return None, ""
    if by_colour and number <= 3:
        return ("red", "green", "blue")[number - 1], "by the file's colours"
    if count in BY_COUNT:
        return BY_COUNT[count][number - 1], f"by the usual order of {count} bands"
    return None, ""


def is_elevation(values: np.ndarray) -> bool:
    """Whether values can be metres of elevation: more than bytes and reflectances hold, and no more than
    Earth's relief."""
    if not values.size or values.dtype == np.uint8:
        return False
    low, high = float(values.min()), float(values.max())
    return low >= -500 and high <= 9000 and high - low >= 20 and len(np.unique(values[:100_000])) > 20


def scale_of(band: Band) -> tuple[float, str]:
    """Factor from a spectral band's values to reflectance (to 0..1 for bytes), and why."""
    if band.declared_scale not in (0.0, 1.0):
        return band.declared_scale, f"scale {band.declared_scale:g} as the file declares it"
    seen = f"values up to {band.high:.4g}"
    if band.dtype == "uint8":
        return 1 / 255, "GUESS bytes, brightness 0..255 to 0..1"
    if not np.isfinite(band.high) or band.high <= 2:
        return 1.0, "reflectance already"
    if band.low > 5000 and band.high < 45_000 and band.dtype == "uint16":
        return (
            2.75e-5,
            f"GUESS Landsat Collection 2 ({seen}), whose offset of -0.2 is left out; subtract it "
            f"yourself for true reflectance",
        )
    if band.high <= 30_000:
        return 1e-4, f"GUESS reflectance times 10000 ({seen})"
    return 1 / 65535, f"GUESS 16 bits of brightness ({seen})"
