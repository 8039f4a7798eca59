"""What names of files, bands and layers say of them."""

import re

from headscarp.areas.guess.slide_names import names_mapped_area, names_slides, without_slides
from headscarp.areas.guess.words import has_word, words

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
DEM, LABEL, LAND_COVER, AREA, MASK = "dem", "label", "land_cover", "area", "mask"
ROLES = {
    "slope": ("slope", "steigung", "pente"),
    "aspect": ("aspect",),
    "curvature": ("curvature", "curv"),
    "twi": ("twi",),
    "hillshade": ("hillshade", "shade"),
    "ndvi": ("ndvi",),
    "mndwi": ("mndwi", "ndwi"),
    MASK: ("scl", "cloud", "clouds", "cloudmask", "qa", "udm", "udm2"),
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
# What names a mask of landslides besides the words for them, and what names the image that they are in.
TRUTH = ("label", "labels", "gt", "groundtruth", "truth")
IMAGES = (
    "image",
    "images",
    "img",
    "ortho",
    "orthophoto",
    "orthomosaic",
    "mosaic",
    "photo",
    "rgb",
    "rgbn",
    "uav",
    "drone",
    "satellite",
    "sentinel",
    "landsat",
    "planet",
    "planetscope",
    "worldview",
)
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
    other = without_slides(text)  # in which slope failures say nothing of slope
    for role, known in ROLES.items():
        if has_word(other, known):
            return role
    if names_mapped_area(text):
        return AREA
    if has_word(text, TRUTH) or (names_slides(text) and not has_word(text, IMAGES)):
        return LABEL
    return None


def role_of_vectors(text: str, geometry: str) -> tuple[str | None, str]:
    """What a layer of vectors is taken for, and why."""
    if geometry == "Polygon":
        if names_mapped_area(text):
            return AREA, "polygons, by name"
        if names_slides(text) or has_word(text, TRUTH):
            return LABEL, "polygons, by name"
    if geometry in ("LineString", "Polygon"):
        for role, known in LINES.items():
            if has_word(text, known):
                return role, f"{'lines' if geometry == 'LineString' else 'polygons'}, by name"
    return None, ""
