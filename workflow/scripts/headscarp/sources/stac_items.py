"""What an item of a STAC catalogue says, in whatever version of STAC and of its extensions it is written.

Sources: STAC specification 0.6 to 1.1 (bands by number in `eo:bands`, then as records, then as `bands`); the
extensions eo, raster, projection, mgrs and grid; the properties that Earth Search v0 (`sentinel:`), Earth
Search v1 (`earthsearch:`, `s2:`) and the Planetary Computer give, of which the tests keep recorded items.
"""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import zip_longest
from typing import Any

import numpy as np
import pystac
import shapely
from pystac.utils import str_to_datetime

from headscarp.sources.stac_sensors import (
    NEW_BASELINE,
    NEW_BASELINE_OFFSET,
    NEW_BASELINE_SINCE,
    SENSORS,
    Sensor,
)

APPLIED_KEYS = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
BASELINE_KEYS = ("s2:processing_baseline", "sentinel:processing_baseline", "processing:version")
PRODUCT_KEYS = ("s2:product_uri", "sentinel:product_id")
# Kinds of assets that are no band to read, by media type or else by the name of the file. Catalogues list
# JPEG 2000 beside the same band as GeoTIFF, and in buckets that ask for an account or a payment.
NO_BAND_KINDS = re.compile(r"jp2|jpe?g|png|json|xml|html|te?xt|pdf|x-ogc")
NO_BAND_ROLES = {"thumbnail", "overview", "metadata", "visual", "tiles"}
RASTER_FIELDS = ("scale", "offset", "nodata")
TOLERANCE = 1e-3  # relative; catalogues round


def number(value: Any) -> float | None:
    """A finite number, also one that is written as text; None for anything else."""
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


# --- bands and assets ---


def bands_of(item: pystac.Item, asset: pystac.Asset) -> list[dict[str, Any]]:
    """What an item says of each band of an asset, in the words of STAC 1.0: name, common_name, scale, offset,
    nodata and others; empty if it has no list of bands.

    A band may be a record, a number that counts into the item's own `eo:bands`, or a name. What STAC 1.1
    states at the asset itself holds for all its bands.
    """
    fields = asset.extra_fields
    of_all = plain_record(
        {key: fields[key] for key in ("raster:scale", "raster:offset", "nodata") if key in fields}
    )
    raster = [
        {key: value for key, value in record_of(item, band).items() if key in RASTER_FIELDS}
        for band in listed(fields.get("raster:bands"))
    ]
    spectral, modern = (
        [record_of(item, band) for band in listed(fields.get(key))] for key in ("eo:bands", "bands")
    )
    return [
        of_all | one | two | three for one, two, three in zip_longest(spectral, raster, modern, fillvalue={})
    ]


def record_of(item: pystac.Item, band: Any) -> dict[str, Any]:
    """An entry of a list of bands as a record, empty where it says nothing that is known."""
    known = listed(item.properties.get("eo:bands"))
    if isinstance(band, int):
        band = known[band] if 0 <= band < len(known) else None
    elif isinstance(band, str):
        named = (one for one in known if isinstance(one, Mapping) and one.get("name") == band)
        band = next(named, {"name": band})
    return plain_record(band) if isinstance(band, Mapping) else {}


def plain_record(band: Mapping[str, Any]) -> dict[str, Any]:
    return {key.removeprefix("eo:").removeprefix("raster:"): value for key, value in band.items()}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def counts_into_collection(item: pystac.Item) -> bool:
    """Whether assets name their bands by number, but the item has no list into which they could count."""
    return "eo:bands" not in item.properties and any(
        isinstance(band, int)
        for asset in item.assets.values()
        for band in listed(asset.extra_fields.get("eo:bands"))
    )


def asset_of(item: pystac.Item, names: Sequence[str]) -> str | None:
    """Key of the asset of a band, None if there is none.

    It is the asset with one of the names, or else one whose key is such a name but for case and `.tif`, whose
    only band has such a name or, last, such a common name; in the order of `names`, of several the finest.
    """
    for name in names:
        if name in item.assets:
            return name
    wanted, candidates = [name.casefold() for name in names], []
    for key, asset in item.assets.items():
        bands = bands_of(item, asset)
        labels = [key.casefold().removesuffix(".tif")]
        if len(bands) == 1:
            labels += [str(bands[0].get(field)).casefold() for field in ("name", "common_name")]
        ranks = [(kind, wanted.index(label)) for kind, label in enumerate(labels) if label in wanted]
        if ranks and may_be_band(asset):
            resolution = number(asset.extra_fields.get("gsd")) or math.inf
            candidates.append((min(ranks), resolution, len(candidates), key))
    return min(candidates)[-1] if candidates else None


def may_be_band(asset: pystac.Asset) -> bool:
    """Whether an asset is no picture, table or document by what it says of itself."""
    kind = asset.media_type or asset.href.partition("?")[0].rpartition(".")[2]
    return not NO_BAND_KINDS.search(kind.casefold()) and not NO_BAND_ROLES & set(asset.roles or ())


# --- scaling ---


def stated_scaling(item: pystac.Item, asset: str) -> tuple[float | None, float | None, float | None]:
    """Scale, offset and nodata that an item states of an asset, each None where it says nothing.

    A scale of 1 with an offset of 0 says nothing: it is what tools write that find no scale in a file.
    """
    bands = bands_of(item, item.assets[asset])
    fields = item.assets[asset].extra_fields
    record = bands[0] if bands else plain_record(fields)
    scale, offset, nodata = (number(record.get(field)) for field in RASTER_FIELDS)
    if scale in (None, 1) and not offset:
        scale = offset = None
    return scale, offset, nodata


def foreign_scaling(item: pystac.Item, asset: str, sensor: Sensor) -> str | None:
    """How the scaling that an item states of an asset differs from that of the sensor's product, None if it
    does not."""
    scale, offset, _ = stated_scaling(item, asset)
    offsets = (0, NEW_BASELINE_OFFSET * sensor.scale) if sensor.has_baselines else (sensor.add,)
    for word, stated, usual in (("scale", scale, (sensor.scale,)), ("offset", offset, offsets)):
        if stated is not None and not any(math.isclose(stated, one, rel_tol=TOLERANCE) for one in usual):
            known = " or ".join(f"{one:g}" for one in usual)
            return f"states the {word} {stated:g} of its asset {asset}, {sensor.title} has {known}"
    return None


def stated_offset(item: pystac.Item, asset: str) -> tuple[int, str]:
    """What must be added to the digital numbers of a Sentinel-2 asset by the word of its catalogue, and that
    word.

    No product before baseline 04.00 has an offset, whatever is stated of its assets.
    """
    for key in APPLIED_KEYS:
        if item.properties.get(key) is True:
            return 0, f"{key} is true"
    baseline = baseline_of(item)
    if baseline is not None and baseline < NEW_BASELINE:
        return 0, f"processing baseline {baseline:05.2f}"
    scale, offset, _ = stated_scaling(item, asset)
    if offset is not None:
        return round(offset / (scale or SENSORS["sentinel2"].scale)), f"the offset of the asset is {offset:g}"
    if baseline is not None:
        return NEW_BASELINE_OFFSET, f"processing baseline {baseline:05.2f}"
    if solar_day(item) >= NEW_BASELINE_SINCE:
        return NEW_BASELINE_OFFSET, f"no processing baseline stated, taken since {NEW_BASELINE_SINCE}"
    return 0, f"no processing baseline stated, taken before {NEW_BASELINE_SINCE}"


def baseline_of(item: pystac.Item) -> float | None:
    """Sentinel-2's processing baseline, e.g. 4.0 for 04.00: as stated, or else from the product's name."""
    for key in BASELINE_KEYS:
        if (baseline := number(item.properties.get(key))) is not None:
            return baseline
    for text in (*(str(item.properties.get(key)) for key in PRODUCT_KEYS), item.id):
        if found := re.search(r"_N(\d{2})(\d{2})_", text):
            return float(f"{found[1]}.{found[2]}")
    return None


# --- time and place ---


def time_of(item: pystac.Item) -> datetime | None:
    """When an item was taken: its datetime, or the start of a period of at most a day; None for a composite
    or map of a longer period."""
    if item.datetime:
        return item.datetime
    start, end = (moment(item.properties.get(f"{edge}_datetime")) for edge in ("start", "end"))
    return start if start and end and timedelta(0) <= end - start <= timedelta(days=1) else None


def moment(text: Any) -> datetime | None:
    try:
        found = str_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def start_of(item: pystac.Item) -> str:
    """ISO time of an item, or the start of its period."""
    return item.datetime.isoformat() if item.datetime else str(item.properties.get("start_datetime", ""))


def solar_day(item: pystac.Item) -> date | None:
    """The day of an item by the sun at its middle: two tiles of one overpass share it; None for a map of a
    longer period."""
    taken = time_of(item)
    return taken and (taken + timedelta(hours=middle_longitude(item) / 15)).date()


def middle_longitude(item: pystac.Item) -> float:
    """Longitude of an item's middle in degrees, also where it lies across the antimeridian; 0 if it has no
    place."""
    bbox = item.bbox or ()
    if len(bbox) in (4, 6):
        west, east = bbox[0], bbox[len(bbox) // 2]
        width = (east - west) % 360
        if 0 < width < 180:
            return west + width / 2
    # Catalogues write the box of a tile that the antimeridian cuts as one round the whole earth.
    vertices = shapely.get_coordinates(shapely.geometry.shape(item.geometry)) if item.geometry else ()
    if not len(vertices):
        return 0.0
    angles = np.radians(vertices[:, 0])
    return float(np.degrees(np.arctan2(np.sin(angles).mean(), np.cos(angles).mean())))


def tile_of(item: pystac.Item) -> str:
    """The item's tile in its mission's own grid, empty if it does not say."""
    properties = item.properties
    if "landsat:wrs_path" in properties:
        return f"{properties['landsat:wrs_path']}/{properties.get('landsat:wrs_row')}"
    for prefix in ("mgrs", "sentinel"):
        parts = [properties.get(f"{prefix}:{part}") for part in ("utm_zone", "latitude_band", "grid_square")]
        if all(part is not None for part in parts):
            return "".join(map(str, parts))
    return str(properties.get("s2:mgrs_tile") or properties.get("grid:code") or "").removeprefix("MGRS-")


def crs_of(item: pystac.Item) -> str:
    """The CRS of an item's rasters, empty if it does not say."""
    epsg = item.properties.get("proj:epsg")
    return str(item.properties.get("proj:code") or (f"EPSG:{epsg}" if epsg else ""))


def cloud_cover_of(item: pystac.Item) -> float | None:
    """Cloud cover of an item in percent, None if it does not say."""
    return number(item.properties.get("eo:cloud_cover"))
