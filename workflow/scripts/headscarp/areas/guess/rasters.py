"""What the bands of a user's rasters probably are, read as the import reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rasterio.enums import ColorInterp
from scipy import ndimage

from headscarp.areas.guess.colours import order_of_bands
from headscarp.areas.guess.names import (
    DEM,
    LABEL,
    MASK,
    OPTICAL,
    date_in,
    optical_in,
    role_in,
    time_in,
)
from headscarp.areas.guess.words import words
from headscarp.errors import HeadscarpError, NoCrsError
from headscarp.geo.grid import Grid
from headscarp.geo.lattice import steps_at
from headscarp.site.voids import ELEVATION
from headscarp.sources.netcdf import NETCDF, variables_of
from headscarp.sources.parts import RasterPart
from headscarp.sources.rasters import open_part
from headscarp.sources.region import DEGREES, Region

# Colours that a file may tell of its bands (GDAL's), and what they are called here.
COLOURS = {
    ColorInterp.red: "red",
    ColorInterp.green: "green",
    ColorInterp.blue: "blue",
    ColorInterp.coastal: "coastal",
    ColorInterp.nir: "nir",
}
VOID = 5
MOSTLY = 0.5  # share of cells that must be as high as land is
LEAST_VOID = 0.001  # share of such cells from which they are told


@dataclass(frozen=True)
class Band:
    """One band of a user's raster: what it is taken for (`role`, None: unknown) and `why`, its time, and its
    values at a glance, as the import gives them. `spec` is the entry of its file in a card, `name` what the
    file calls the band, `pixel_m` the longer side of its pixels on the ground in metres."""

    path: Path
    spec: dict[str, Any]
    number: int
    count: int
    role: str | None
    why: str
    time: str
    date: str | None
    dtype: str
    low: float
    high: float
    codes: tuple[int, ...]
    cover: float
    pixel_m: float
    notes: tuple[str, ...] = ()
    name: str | None = None

    @property
    def is_optical(self) -> bool:
        return self.role in OPTICAL

    @property
    def variable(self) -> str | None:
        return self.spec.get("variable")


@dataclass(frozen=True)
class Glance:
    """Values of a part (band, n) of the same cells, float64 NaN = no data; the share of its cells that are 0
    in all bands, in squares of VOID cells and more."""

    part: RasterPart
    values: np.ndarray
    void: float


def bands_of(path: Path, grid: Grid, folder: str = "") -> list[Band]:
    """The bands of a raster, those of all variables of a NetCDF.

    Args:
        folder: names of the folders that tell this file from the others.

    Raises:
        HeadscarpError: as the import of the file would: it is unreadable, elsewhere, does not say where it
            lies.
    """
    names = variables_of(path) if path.suffix.lower() in NETCDF else [None]
    bands = []
    for name in names:
        spec = {"variable": name} if len(names) > 1 else {}
        bands += bands_of_part(path, spec, grid, folder)
    return bands


def bands_of_part(path: Path, spec: dict[str, Any], grid: Grid, folder: str) -> list[Band]:
    """The bands of a file, or of one variable of it."""
    notes: list[str] = []
    try:
        part, share, seen = look(path, spec, grid)
    except NoCrsError as error:
        spec, part, share, seen = look_with_likely_crs(path, spec, grid, error)
        notes.append(f"GUESS no CRS in the file; its coordinates fit the site in {spec['crs']}")
    roles = roles_of(part, path, spec.get("variable"), seen)
    optical = any(role in OPTICAL for role, _ in roles.values())
    if optical and seen.void >= LEAST_VOID:
        spec = spec | {"nodata": 0}
        notes.append(f"GUESS {seen.void:.0%} of it is 0 in all bands and nothing declares it: no data")
        part, share, seen = look(path, spec, grid)
    return [
        band_of_part(part, path, spec, number, *roles[number], seen, share, folder, notes) for number in roles
    ]


def look(path: Path, spec: dict[str, Any], grid: Grid) -> tuple[RasterPart, float, Glance]:
    """What the import would take of a file, the share of the grid that it covers, and a glance at it."""
    with (
        TemporaryDirectory() as scratch,
        open_part(spec, [path], Region(grid.crs, grid.bounds), Path(scratch)) as (part, share, _),
    ):
        return part, share, glance_of(part)


def look_with_likely_crs(
    path: Path, spec: dict[str, Any], grid: Grid, error: NoCrsError
) -> tuple[dict[str, Any], RasterPart, float, Glance]:
    """The same of a file that does not say its CRS, and its entry with that of the grid, or degrees, where
    its coordinates then lie on the site.

    Raises:
        NoCrsError: they lie on it in neither.
    """
    for crs in (grid.crs, DEGREES):
        try:
            return spec | {"crs": crs}, *look(path, spec | {"crs": crs}, grid)
        except HeadscarpError:
            continue
    raise error


def band_of_part(
    part: RasterPart,
    path: Path,
    spec: dict[str, Any],
    number: int,
    role: str | None,
    why: str,
    seen: Glance,
    share: float,
    folder: str,
    notes: Sequence[str],
) -> Band:
    values = seen.values[number - 1]
    values = values[np.isfinite(values)]
    low, high = (float(np.percentile(values, q)) for q in (1, 99)) if values.size else (np.nan, np.nan)
    codes = np.unique(values) if np.issubdtype(part.dtype, np.integer) else np.array([])
    text = f"{path.stem} {spec.get('variable', '')} {part.names[number - 1] or ''}"
    return Band(
        path=path,
        spec=spec,
        number=number,
        count=len(part.names),
        role=role,
        why=why,
        time=time_in(text) or time_in(folder),
        date=date_in(text) or date_in(folder),
        dtype=part.dtype,
        low=low,
        high=high,
        codes=tuple(int(code) for code in codes[:65]),
        cover=share,
        pixel_m=pixel_of(part),
        notes=tuple(notes),
        name=part.names[number - 1] or None,
    )


def pixel_of(part: RasterPart) -> float:
    """The longer side of a part's pixels on the ground, in metres."""
    steps = steps_at(part.crs, part.transform, part.width / 2, part.height / 2)
    return max(steps.across, steps.down)


def glance_of(part: RasterPart) -> Glance:
    """A look at a few windows of a part."""
    values, empty, total = [], 0, 0
    for cells, known in part.glance():
        void = ndimage.binary_opening(((cells == 0) & known).all(axis=0), np.ones((VOID, VOID)))
        empty, total = empty + int(void.sum()), total + void.size
        values.append(np.where(known, cells, np.nan).astype(np.float64).reshape(len(cells), -1))
    return Glance(part, np.concatenate(values, axis=1), empty / total)


def roles_of(
    part: RasterPart, path: Path, variable: str | None, seen: Glance
) -> dict[int, tuple[str | None, str]]:
    """What each band is taken for (None: unknown), and why, by its number."""
    count = len(part.names)
    told = [COLOURS.get(colour) for colour in part.colours] or [None] * count
    alpha = alpha_among(part, seen)
    numbers = [number for number in range(1, count + 1) if number != alpha]
    roles = {number: role_by_words(part.names[number - 1], path, variable) for number in numbers}
    if alpha:
        roles[alpha] = (None, "it is alpha: its clear cells are no data")
    unknown = [number for number in numbers if not roles[number][0]]
    if not unknown or unknown != numbers:
        return roles
    if len(numbers) == 1:
        return roles | {numbers[0]: role_of_single(path, seen.values[numbers[0] - 1], part.dtype)}
    if role_in(path.stem) in (LABEL, MASK, DEM):
        return roles | {number: (role_in(path.stem), "by the file's name") for number in numbers[:1]}
    values = seen.values[[number - 1 for number in numbers]]
    order, why = order_of_bands(values, words(path.stem), [told[number - 1] for number in numbers])
    return roles | {number: (role, why) for number, role in zip(numbers, order, strict=True)}


def alpha_among(part: RasterPart, seen: Glance) -> int | None:
    """Number of the alpha band of a part, which the import has found to be one, or None."""
    for number, colour in enumerate(part.colours, start=1):
        values = seen.values[number - 1]
        known = values[np.isfinite(values)]
        if colour == ColorInterp.alpha and len(part.names) > 1 and len(np.unique(known)) <= 2:
            return number
    return None


def role_by_words(description: str | None, path: Path, variable: str | None) -> tuple[str | None, str]:
    """What a band is taken for by its description or its variable's name."""
    given = ((description or "", "the band's description"), (variable or "", "the variable's name"))
    for text, what in given:
        if role := text and (optical_in(text, path.stem) or role_in(text)):
            return role, f"by {what} '{text}'"
    return None, ""


def role_of_single(path: Path, values: np.ndarray, dtype: str) -> tuple[str | None, str]:
    """What the only band of a file is taken for."""
    if role := role_in(path.stem) or optical_in(path.stem, path.stem):
        return role, "by the file's name"
    known = values[np.isfinite(values)]
    if is_elevation(known, dtype):
        land = known[on_land(known)]
        return DEM, f"GUESS by its values ({land.min():.0f} to {land.max():.0f}, as metres of elevation)"
    return None, ""


def on_land(values: np.ndarray) -> np.ndarray:
    """Where values are as high as land is, in metres; others stand for no data."""
    return (values >= ELEVATION[0]) & (values <= ELEVATION[1])


def is_elevation(values: np.ndarray, dtype: str) -> bool:
    """Whether values can be metres of elevation: more than bytes and reflectances hold, and no more than
    Earth's relief (but for a few values that stand for no data)."""
    inside = values[on_land(values)]
    if dtype == "uint8" or inside.size < max(1, MOSTLY * values.size):
        return False
    return bool(np.ptp(inside) >= 20 and len(np.unique(inside[:100_000])) > 20)


def scale_of(band: Band) -> tuple[float, str]:
    """Factor from a spectral band's values to reflectance (to 0..1 for bytes), and why. What the file itself
    says to scale is scaled by the import."""
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
