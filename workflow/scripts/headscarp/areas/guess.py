"""What a user's file probably is: its role, bands, time and scale, from names first and from values where
names say nothing."""

import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import rasterio
from pyogrio.errors import DataSourceError
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import NotGeoreferencedWarning

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.geo.rasters import cover_of

GLANCE = 256  # pixels a side of the thinned raster that is looked at
RESERVED = {
    ".dbf",
    ".shx",
    ".prj",
    ".cpg",
    ".sbn",
    ".sbx",
    ".qix",
    ".qmd",
    ".qml",
    ".xml",
    ".tfw",
    ".aux",
    ".ovr",
    ".txt",
    ".md",
}
VECTORS = {
    ".gpkg",
    ".shp",
    ".geojson",
    ".json",
    ".kml",
    ".kmz",
    ".gml",
    ".fgb",
    ".zip",
    ".pbf",
    ".gpx",
    ".parquet",
}
OSM = ".osm.pbf"

OPTICAL = (
    "coastal",
    "blue",
    "green",
    "red",
    "rededge1",
    "rededge2",
    "rededge3",
    "nir",
    "nir_narrow",
    "swir1",
    "swir2",
)
SENTINEL2 = {
    "b1": "coastal",
    "b2": "blue",
    "b3": "green",
    "b4": "red",
    "b5": "rededge1",
    "b6": "rededge2",
    "b7": "rededge3",
    "b8": "nir",
    "b8a": "nir_narrow",
    "b11": "swir1",
    "b12": "swir2",
}
LANDSAT89 = {
    "b1": "coastal",
    "b2": "blue",
    "b3": "green",
    "b4": "red",
    "b5": "nir",
    "b6": "swir1",
    "b7": "swir2",
}
LANDSAT457 = {"b1": "blue", "b2": "green", "b3": "red", "b4": "nir", "b5": "swir1", "b7": "swir2"}
NAMED = {name: name for name in OPTICAL} | {
    "nir08": "nir",
    "nir8": "nir",
    "nir1": "nir",
    "nir2": "nir_narrow",
    "nir09": "nir_narrow",
    "swir16": "swir1",
    "swir22": "swir2",
    "swir": "swir1",
    "r": "red",
    "g": "green",
    "b": "blue",
    "rouge": "red",
    "vert": "green",
    "bleu": "blue",
    "rot": "red",
    "blau": "blue",
}
# Bands of a file that names none, by their number: the usual order of products that are delivered so.
BY_COUNT = {
    3: ("red", "green", "blue"),
    4: ("blue", "green", "red", "nir"),
    6: ("blue", "green", "red", "nir", "swir1", "swir2"),
    10: ("blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir_narrow", "swir1", "swir2"),
}
DEM, LABEL, LAND_COVER, AREA, MASK = "dem", "label", "land_cover", "area", "mask"
ROLES = {
    "slope": ("slope", "steigung", "pente"),
    "aspect": ("aspect",),
    "curvature": ("curvature", "curv"),
    "twi": ("twi",),
    "hillshade": ("hillshade", "shade"),
    "ndvi": ("ndvi",),
    "mndwi": ("mndwi", "ndwi"),
    LABEL: ("label", "labels", "landslide", "landslides", "inventory", "groundtruth", "scars"),
    MASK: ("scl", "cloud", "clouds", "cloudmask", "qa", "udm", "udm2"),
    AREA: ("aoi", "footprint"),
    DEM: (
        "dem",
        "dsm",
        "dtm",
        "dgm",
        "dom",
        "mdt",
        "elevation",
        "elev",
        "height",
        "srtm",
        "glo30",
        "cop30",
        "aw3d30",
        "標高",
    ),
    LAND_COVER: ("landcover", "landuse", "lulc", "worldcover", "cover", "corine"),
    "lithology": ("lithology", "lith", "litho", "geology", "geol"),
    "soil": ("soil", "soils"),
    "rain": ("rain", "rainfall", "precip", "precipitation", "imerg", "chirps"),
    "vv": ("vv",),
    "vh": ("vh",),
    "pga": ("pga", "shaking"),
}
DERIVED = ("slope", "aspect", "curvature", "twi", "hillshade")
UNITS = {
    "ndvi": "1",
    "mndwi": "1",
    "rain": "mm",
    "vv": "dB",
    "vh": "dB",
    "pga": "g",
    "lithology": "class",
    "soil": "class",
}
PRE = ("pre", "before", "prior", "avant", "antes", "prima", "vorher")
POST = ("post", "after", "apres", "despues", "dopo", "nachher")
JAPANESE = {"pre": ("発災前", "災害前", "事前"), "post": ("発災後", "災害後", "事後")}
SLIDES = (
    "landslide",
    "landslides",
    "slide",
    "slides",
    "inventory",
    "scar",
    "scars",
    "scarp",
    "frana",
    "frane",
    "deslizamiento",
    "deslizamientos",
    "rutschung",
    "rutschungen",
    "glissement",
    "glissements",
    "地すべり",
    "地滑り",
    "崩壊",
    "土砂",
)
MAPPED = ("mapped", "interpreted", "aoi", "extent", "footprint", "判読", "対象範囲")
LINES = {
    "distance_to_rivers": (
        "river",
        "rivers",
        "stream",
        "streams",
        "waterway",
        "waterways",
        "drainage",
        "hydro",
        "fluss",
        "fiume",
        "河川",
    ),
    "distance_to_faults": ("fault", "faults", "faglia", "falla", "断層"),
    "distance_to_roads": (
        "road",
        "roads",
        "highway",
        "highways",
        "street",
        "streets",
        "strada",
        "strasse",
        "道路",
    ),
}


def words(text: str) -> list[str]:
    """The words of a file's or a band's name, lower case: `postEvent_B04` gives post, event, b04;
    `download.B2` download, b2."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return [word for word in re.split(r"[\W_]+", parted.lower()) if word]


def has_word(text: str, known: Iterable[str]) -> bool:
    """Whether a name has one of the words, digits behind it or not; words in other scripts may stand
    anywhere."""
    found = {re.sub(r"\d+$", "", word) or word for word in words(text)} | set(words(text))
    return any(word in found if word.isascii() else word in text for word in known)


def date_in(text: str) -> str | None:
    """The first date in a name (20180906, 2018-09-06, 2018_09_06) as ISO text."""
    found = re.search(r"(?<!\d)((?:19|20)\d\d)([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d)", text)
    return "-".join(found.group(1, 3, 4)) if found else None


def time_in(text: str) -> str:
    """`pre` or `post` where a name says so, else nothing."""
    for time, known in (("pre", PRE), ("post", POST)):
        joined = tuple(
            f"{word}{event}"
            for word in known
            for event in ("event", "seismic", "quake", "disaster", "storm", "landslide", "fire")
        )
        if has_word(text, known + joined + JAPANESE[time]):
            return time
    return ""


def optical_in(text: str, sensor: str) -> str | None:
    """The spectral band that a name means; `sensor` is the name of the file, which says whose band numbers
    they are."""
    found = words(text)
    if edge := re.search(r"rededge([123])$", "".join(found)):
        return f"rededge{edge[1]}"
    codes = SENTINEL2
    if any(re.match(r"(lt0[45]|le07|l[57]$)", word) for word in words(sensor)):
        codes = LANDSAT457
    elif any(re.match(r"(landsat|lc0[89]|l[89]$|sr$|oli)", word) for word in words(sensor) + found):
        codes = LANDSAT89
    for word in reversed(found):
        code = re.sub(r"^b0+", "b", word)
        if code in codes:
            return codes[code]
        if word in NAMED:
            return NAMED[word]
    return None


def role_in(text: str) -> str | None:
    """The role of a raster that is no spectral band, from a name."""
    return next((role for role, known in ROLES.items() if has_word(text, known)), None)


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


@dataclass(frozen=True)
class VectorLayer:
    """One layer of a user's vector file, and what it is taken for (`role`, None: unknown) and `why`."""

    path: Path
    layer: str | None
    geometry: str
    count: int
    role: str | None
    why: str
    where: str | None = None
    crs: str | None = None


@dataclass
class Found:
    """What a user's files hold, and those that nothing could be made of, each with the reason."""

    bands: list[Band] = field(default_factory=list)
    vectors: list[VectorLayer] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)


def look_at(paths: Sequence[Path], grid: Grid) -> Found:
    """Look at every file; side files of others (such as .dbf) are passed over.

    Raises:
        HeadscarpError: a file does not exist.
    """
    found = Found()
    for path in paths:
        if not path.exists():
            raise HeadscarpError(f"{path} does not exist; check the path")
        if path.suffix.lower() in RESERVED:
            continue
        try:
            if path.name.lower().endswith(OSM):
                found.vectors += openstreetmap(path)
            elif path.suffix.lower() in VECTORS:
                found.vectors += vector_layers(path)
            else:
                found.bands += bands_of(path, grid)
        except (DataSourceError, rasterio.errors.RasterioError, UnicodeDecodeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            found.unused.append(f"{path.name}: cannot be read ({reason})")
    return found


# --- rasters


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


# --- vectors


def vector_layers(path: Path) -> list[VectorLayer]:
    """The layers of a vector file."""
    layers = pyogrio.list_layers(path)
    several = len(layers) > 1
    found = []
    for name, _ in layers:
        info = pyogrio.read_info(path, layer=name, force_feature_count=True)
        geometry = (
            (info["geometry_type"] or "no geometry").removeprefix("2.5D ").split(" ")[0].removeprefix("Multi")
        )
        if geometry == "Unknown":
            geometry = first_geometry(path, name)
        role, why = role_of_vectors(name if several else f"{path.stem} {name}", geometry)
        found.append(
            VectorLayer(
                path,
                str(name) if several else None,
                geometry,
                int(info["features"]),
                role,
                why,
                crs=info["crs"],
            )
        )
    return found


def first_geometry(path: Path, layer: str) -> str:
    """Kind of the first geometry of a layer that declares none."""
    table = pyogrio.read_dataframe(path, layer=layer, max_features=1)
    kinds = table.geometry.geom_type if "geometry" in table else []
    return next((kind.removeprefix("Multi") for kind in kinds if kind), "no geometry")


def role_of_vectors(text: str, geometry: str) -> tuple[str | None, str]:
    """What a layer of vectors is taken for, and why."""
    if geometry == "Polygon":
        if has_word(text, MAPPED):
            return AREA, "polygons, by name"
        if has_word(text, SLIDES):
            return LABEL, "polygons, by name"
    if geometry in ("LineString", "Polygon"):
        for role, known in LINES.items():
            if has_word(text, known):
                return role, f"{'lines' if geometry == 'LineString' else 'polygons'}, by name"
    return None, ""


def openstreetmap(path: Path) -> list[VectorLayer]:
    """Rivers and roads of an extract of OpenStreetMap, which is not opened: it may be large."""
    which = {
        "distance_to_rivers": "waterway IN ('river', 'stream')",
        "distance_to_roads": "highway IS NOT NULL",
    }
    return [
        VectorLayer(path, "lines", "LineString", 0, role, "an OpenStreetMap extract", where, "EPSG:4326")
        for role, where in which.items()
    ]


def first_label(vectors: Sequence[VectorLayer]) -> VectorLayer | None:
    """The layer that is most plainly the inventory: the one with the fewest words in its name, polygons
    only."""
    labels = [one for one in vectors if one.role == LABEL]
    return min(labels, key=lambda one: len(words(one.layer or one.path.stem)), default=None)


def record_of_origin(
    path: str, layer: str | None = None, where: str | None = None, variable: str | None = None
) -> dict[str, Any]:
    """The entry of a user's file in a card."""
    return {"path": path} | {
        key: value for key, value in (("layer", layer), ("where", where), ("variable", variable)) if value
    }
