"""Source `stac`: cloud-free composites of Sentinel-2 and Landsat, elevation and land cover from a STAC API,
on a site's grid.

Earth Search and the Planetary Computer are known by name, any other API by its URL. What this module knows of
the two was written from their documentation and tried against a local API and recorded items of theirs, not
live.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pystac_client
import rasterio
import requests
from affine import Affine
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from rasterio.warp import transform_bounds
from tqdm import tqdm
from urllib3.util import Retry

from headscarp.errors import HeadscarpError
from headscarp.files import write_json
from headscarp.geo.grid import Grid
from headscarp.geo.layer import CLASSES, CONTINUOUS, write_cog
from headscarp.sources import downloads
from headscarp.sources.stac_items import (
    asset_of,
    baseline_of,
    cloud_cover_of,
    counts_into_collection,
    crs_of,
    foreign_scaling,
    listed,
    solar_day,
    start_of,
    stated_offset,
    stated_scaling,
    tile_of,
)
from headscarp.sources.stac_read import GDAL_OPTIONS, Signer, public_address, read_band
from headscarp.sources.stac_sensors import APIS, ELEVATION, IMAGERY, LAND_COVER, SENSORS, Sensor, judge_offset
from headscarp.vocabulary import check_keys, require_known

LEAST_CLOUDY, MEDIAN = "least_cloudy", "median"
COMPOSITES = (LEAST_CLOUDY, MEDIAN)
COMMON_KEYS = ("stac", "api", "collection", "margin_m")
IMAGERY_KEYS = ("from", "to", "composite", "bands", "max_cloud")
MAX_CLOUD = 60
PADDING_DEGREES = 0.002  # around the grid in a search, since its edges are curved in degrees
ITEMS_A_PAGE = 100
API_TIMEOUT_S = (10, 60)
CELLS_AT_ONCE = 1 << 26  # values that a median holds in memory, 256 MB
THINNED_SIDE = 256  # cells a side of the thinned grid on which dark pixels are sought


@dataclass
class StacTile:
    """One item of a search: a tile of one day. `clear` (row, col) is where the ground is seen, `offset` in
    digital numbers."""

    item: pystac.Item
    assets: dict[str, str]
    mask_asset: str | None
    clear: np.ndarray | None = None
    offset: int = 0
    offset_record: dict[str, Any] | None = None
    is_used: bool = False


@dataclass
class Day:
    """The tiles of one solar day, in the order in which they fill the grid; shares are of the grid's
    cells."""

    day: str
    tiles: list[StacTile]
    clear_share: float = 0.0
    used_share: float = 0.0


@dataclass(frozen=True)
class Task:
    """What one raster is made from."""

    place: str  # of the entry, for messages
    sensor: Sensor
    bands: tuple[str, ...]
    grid: Grid
    api: str
    url: str
    collection: str
    mirror: str | None
    spec: Mapping[str, Any]
    signer: Signer
    notes: list[str] = field(default_factory=list)

    def read(
        self, tile: StacTile, asset: str, grid: Grid, dtype: str, resampling: str, nodata: float | None
    ) -> np.ndarray:
        """One asset of a tile on a grid, (row, col)."""
        address = tile.item.assets[asset].get_absolute_href() or tile.item.assets[asset].href
        what = f"{self.place}: the asset '{asset}' ({public_address(address)}) of item {tile.item.id}"
        return read_band(address, grid, dtype, resampling, nodata, self.mirror, self.signer, what)

    def numbers(self, tile: StacTile, grid: Grid, resampling: str = "bilinear") -> np.ndarray:
        """The digital numbers of a tile's bands on a grid, float32 (band, row, col), NaN = no data."""
        return np.stack(
            [
                self.read(tile, asset, grid, "float32", resampling, self.nodata_of(tile, asset))
                for asset in (tile.assets[band] for band in self.bands)
            ]
        )

    def nodata_of(self, tile: StacTile, asset: str) -> float | None:
        """The number without data in an asset whose file declares none: by the item's word, or the
        sensor's."""
        _, _, stated = stated_scaling(tile.item, asset)
        return self.sensor.nodata if stated is None else stated

    def values(self, tile: StacTile, grid: Grid) -> np.ndarray:
        """The physical values of a tile's bands on a grid, float32 (band, row, col), NaN = no data."""
        sensor = self.sensor
        return (self.numbers(tile, grid) + np.float32(tile.offset)) * np.float32(sensor.scale) + np.float32(
            sensor.add
        )

    def mask(self, tile: StacTile, grid: Grid) -> np.ndarray:
        """SCL or QA_PIXEL of a tile on a grid, uint16 (row, col)."""
        return self.read(tile, tile.mask_asset, grid, "uint16", "nearest", self.sensor.mask_nodata)


def fetch_raster(
    spec: Mapping[str, Any], grid: Grid, api: str, target: Path, record: Path, mirror: str | None
) -> None:
    """Search a STAC API and write one raster on a grid: a composite of imagery, elevation or land cover.

    Reflectance is float32, NaN = no data, one band each, named by description, in the order of `bands`;
    elevation float32 (m, NaN = no data); land cover uint8 with the codes of ESA WorldCover, 0 = no data.

    Args:
        spec: {stac: sentinel2 or landsat, from, to (ISO dates, both included), bands, composite: least_cloudy
            (default) or median, max_cloud: greatest cloud cover of an item by its catalogue in percent (60),
            collection (optional)}, or {stac: dem or land_cover, collection (optional)}. Its `margin_m` and
            `api` are the caller's business: `grid` and `api` heed them.
        api: earth_search, planetary_computer or the URL of a STAC API.
        target: GeoTIFF to write.
        record: JSON to write: API, collection, what was searched and found, `items` used (id, datetime, day,
            tile, cloud cover, baseline, offset with the catalogue's word and the check of it), `days` with
            their shares, shares of the grid, notes.
        mirror: folder or URL prefix below which files lie under their URL without its scheme, or None.

    Raises:
        HeadscarpError: a key or name is unknown; the network is forbidden; the API does not answer or has
            nothing of the kind; a file cannot be read; nothing of the site is seen free of clouds.
    """
    task = plan_task(spec, grid, api, f"files, {Path(target).name}", mirror)
    if downloads.is_offline():
        raise HeadscarpError(
            f"{task.place}: the STAC API {task.url} may not be asked offline; run once without `offline:` "
            f"(HEADSCARP_OFFLINE), or put the raster at {target} yourself and name it by `path:`"
        )
    items, found = search(task)
    days = group_by_day(task, items)
    with rasterio.Env(**GDAL_OPTIONS):
        if task.sensor.kind == IMAGERY:
            values, shares = composite(task, days)
        else:
            values, shares = mosaic(task, days)
    write_raster(task, values, days, target)
    write_json(record, describe_raster(task, found, days, shares))


# --- what is wanted ---


def plan_task(spec: Mapping[str, Any], grid: Grid, api: str, place: str, mirror: str | None) -> Task:
    """Check a spec and choose API and collection."""
    check_keys(spec, (*COMMON_KEYS, *IMAGERY_KEYS), ("stac",), place)
    sensor = SENSORS[require_known(spec["stac"], SENSORS, f"{place}: stac")]
    bands = tuple(sensor.bands)
    if sensor.kind == IMAGERY:
        check_keys(spec, spec, ("from", "to", "bands"), place)
        require_known(spec.get("composite", LEAST_CLOUDY), COMPOSITES, f"{place}: composite")
        bands = tuple(require_known(band, sensor.bands, f"{place}: the band") for band in spec["bands"])
        if not bands or len(set(bands)) < len(bands):
            raise HeadscarpError(f"{place}: bands must name at least one band, each once; correct it")
        date_range(spec, place)
    else:
        check_keys(spec, COMMON_KEYS, (), place)
    notes = []
    if "://" not in api:
        require_known(api, APIS, f"{place}: the STAC API (a name or a URL)")
        if api not in sensor.apis:
            if "api" in spec:
                raise HeadscarpError(
                    f"{place}: {api} does not give out {sensor.title} "
                    f"freely; set `api: {sensor.apis[0]}` or a URL"
                )
            notes.append(f"{api} does not give out {sensor.title} freely; taken from {sensor.apis[0]}")
            api = sensor.apis[0]
    collection = spec.get("collection", sensor.collection)
    return Task(
        place=place,
        sensor=sensor,
        bands=bands,
        grid=grid,
        api=api,
        url=APIS.get(api, api),
        collection=collection,
        mirror=mirror,
        spec=spec,
        signer=Signer(),
        notes=notes,
    )


def date_range(spec: Mapping[str, Any], place: str) -> tuple[date, date]:
    """First and last day."""
    days = []
    for key in ("from", "to"):
        try:
            days.append(date.fromisoformat(str(spec[key])))
        except ValueError:
            raise HeadscarpError(
                f"{place}: {key} '{spec[key]}' is not a date such as 2018-09-07; correct it"
            ) from None
    if days[0] > days[1]:
        raise HeadscarpError(f"{place}: from {days[0]} is later than to {days[1]}; exchange or correct them")
    return days[0], days[1]


# --- what there is ---


def search(task: Task) -> tuple[list[pystac.Item], dict[str, Any]]:
    """The items of the site in the window, cloudy ones left out, and how many there were.

    The days are solar days, and cloud cover is compared here rather than by the API, since not every API can.

    Raises:
        HeadscarpError: the API does not answer properly, or there is no such item.
    """
    west, south, east, north = transform_bounds(task.grid.crs, "EPSG:4326", *task.grid.bounds)
    bbox = [west - PADDING_DEGREES, south - PADDING_DEGREES, east + PADDING_DEGREES, north + PADDING_DEGREES]
    found = {"bbox": [round(edge, 6) for edge in bbox]}
    if task.sensor.kind != IMAGERY:
        items = query_items(task, bbox, None)
        require_items(task, items, found, "", "check the grid's place and the collection")
        return items, found | {"items": len(items)}
    first, last = date_range(task.spec, task.place)
    utc = f"{first - timedelta(days=1)}T00:00:00Z/{last + timedelta(days=1)}T23:59:59Z"
    days = [(solar_day(item), item) for item in query_items(task, bbox, utc)]
    items = [item for day, item in days if day and first <= day <= last]
    if undated := [item.id for day, item in days if not day]:
        task.notes.append(
            f"{len(undated)} items ({undated[0]} ...) are of longer periods than a day; left out"
        )
    greatest = task.spec.get("max_cloud", MAX_CLOUD)
    kept = [item for item in items if (cloud_cover_of(item) or 0) <= greatest]
    found |= {
        "from": str(first),
        "to": str(last),
        "max_cloud": greatest,
        "items": len(items),
        "too_cloudy": len(items) - len(kept),
    }
    remedy = (
        "raise max_cloud or widen from and to"
        if items
        else "widen from and to, or check the place of the outline"
    )
    too_cloudy = (
        f" with at most {greatest} % clouds; without that limit there are {len(items)}" if items else ""
    )
    of_no_day = f" but {len(undated)} of longer periods than a day" if undated and not items else ""
    require_items(task, kept, found, f" from {first} to {last}{too_cloudy}{of_no_day}", remedy)
    return kept, found


def query_items(task: Task, bbox: list[float], when: str | None) -> list[pystac.Item]:
    """All items of a search, page by page."""
    retries = Retry(
        downloads.ATTEMPTS,
        connect=2,
        status_forcelist=downloads.TEMPORARY_STATUS_CODES,
        allowed_methods=None,
        backoff_factor=downloads.FIRST_WAIT_S,
        backoff_max=downloads.LONGEST_WAIT_S,
    )
    try:
        client = pystac_client.Client.open(
            task.url, stac_io=StacApiIO(max_retries=retries, timeout=API_TIMEOUT_S)
        )
        found = client.search(collections=[task.collection], bbox=bbox, datetime=when, limit=ITEMS_A_PAGE)
        items = sorted(found.items(), key=lambda item: item.id)
        if any(counts_into_collection(item) for item in items):
            add_bands_of(client.get_collection(task.collection), items)
        return items
    except (
        APIError,
        requests.RequestException,
        pystac.STACError,
        NotImplementedError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
    ) as error:
        raise HeadscarpError(
            f"{task.place}: the STAC API {task.url} gave no proper answer "
            f"({type(error).__name__}: {error}); check the network and the address, "
            "try again later, or set another `api:` (or `stac:` in config.yaml)"
        ) from error


def add_bands_of(collection: pystac.Collection, items: Iterable[pystac.Item]) -> None:
    """Give items whose assets count into their collection's `eo:bands` (STAC 0.6 to 1.0.0-beta) that list."""
    common = collection.extra_fields.get("properties") or {}
    bands = listed(common.get("eo:bands")) or collection.summaries.get_list("eo:bands")
    for item in filter(counts_into_collection, items):
        item.properties["eo:bands"] = bands or []


def require_items(
    task: Task, items: list[pystac.Item], found: Mapping[str, Any], when: str, remedy: str
) -> None:
    if not items:
        edges = ", ".join(f"{edge:.4f}" for edge in found["bbox"])
        raise HeadscarpError(
            f"{task.place}: the collection {task.collection} of {task.url} has no item "
            f"at longitude, latitude {edges} (west, south, east, north){when}; {remedy}"
        )


def group_by_day(task: Task, items: Iterable[pystac.Item]) -> list[Day]:
    """The usable tiles by day; of maps all are of one day, the newest edition first.

    Raises:
        HeadscarpError: no item has all assets in the product's own scaling.
    """
    tiles, lacking = [], []
    for item in items:
        assets = {band: asset_of(item, task.sensor.bands[band]) for band in task.bands}
        mask = asset_of(item, task.sensor.mask) if task.sensor.mask else None
        if reason := why_unusable(task, item, assets, mask):
            lacking.append(f"item {item.id} {reason}")
        else:
            tiles.append(StacTile(item, assets, mask))
    if not tiles:
        known = ", ".join(sorted(items[0].assets)) or "none"
        raise HeadscarpError(
            f"{task.place}: {lacking[0]} (its assets are {known}), nor has any other of "
            f"{len(lacking)} items all that is needed; choose other bands, dates or `collection:`"
        )
    task.notes.extend(f"{text}; left out" for text in lacking)
    if task.sensor.kind != IMAGERY:
        return [Day("", sorted(tiles, key=lambda tile: (start_of(tile.item), tile.item.id), reverse=True))]
    # Of one tile processed twice the newer baseline comes first and fills all that it can, then tiles that
    # need no change of CRS.
    tiles.sort(
        key=lambda tile: (
            solar_day(tile.item),
            -(baseline_of(tile.item) or 0),
            crs_of(tile.item) != task.grid.crs,
            tile.item.id,
        )
    )
    return [Day(str(day), list(part)) for day, part in groupby(tiles, key=lambda tile: solar_day(tile.item))]


def why_unusable(
    task: Task, item: pystac.Item, assets: Mapping[str, str | None], mask: str | None
) -> str | None:
    """What an item lacks, or has other than its product, None if it can be used."""
    missing = [band for band, asset in assets.items() if asset is None] + (
        ["cloud mask"] if task.sensor.mask and not mask else []
    )
    if missing:
        return f"has no asset for {', '.join(missing)}"
    for asset in assets.values():
        if reason := foreign_scaling(item, asset, task.sensor):
            return reason
    if task.sensor.has_baselines:
        words = {stated_offset(item, asset): asset for asset in assets.values()}
        if len({offset for offset, _ in words}) > 1:
            return "states several offsets: " + ", ".join(
                f"{asset}: {word}" for (_, word), asset in words.items()
            )
    return None


# --- imagery ---


def composite(task: Task, days: list[Day]) -> tuple[np.ndarray, dict[str, float]]:
    """The composite, float32 (band, row, col), NaN = no data, and the shares of the grid that were seen and
    clear.

    Raises:
        HeadscarpError: nowhere is a day without clouds.
    """
    seen = np.zeros(task.grid.shape, bool)
    for day in with_progress(task, days, "cloud masks"):
        clear_here = np.zeros(task.grid.shape, bool)
        for tile in day.tiles:
            mask = task.mask(tile, task.grid)
            tile.clear = task.sensor.shows_ground(mask)
            clear_here |= tile.clear
            seen |= mask != task.sensor.mask_nodata
        day.clear_share = float(clear_here.mean())
    if not any(day.clear_share for day in days):
        raise HeadscarpError(
            f"{task.place}: none of {len(days)} days ({days[0].day} to {days[-1].day}) shows "
            "any part of the site free of clouds; widen from and to, or raise max_cloud"
        )
    values = (median if task.spec.get("composite", LEAST_CLOUDY) == MEDIAN else least_cloudy)(task, days)
    filled = np.isfinite(values).all(axis=0)
    shares = {"clear_share": filled, "never_clear_share": seen & ~filled, "never_seen_share": ~seen & ~filled}
    return values, {name: float(where.mean()) for name, where in shares.items()}


def least_cloudy(task: Task, days: list[Day]) -> np.ndarray:
    """The day with the largest clear share of the grid, its gaps filled by the next ones in that order,
    (band, row, col)."""
    values = np.full((len(task.bands), *task.grid.shape), np.nan, np.float32)
    missing = np.ones(task.grid.shape, bool)
    for day in with_progress(task, sorted(days, key=lambda day: -day.clear_share), "days"):
        before = missing.sum()
        fill_gaps(task, day, values, missing, 0)
        day.used_share = float((before - missing.sum()) / missing.size)
        if not missing.any():
            break
    return values


def median(task: Task, days: list[Day]) -> np.ndarray:
    """The median of the clear observations of each pixel and band, one a day, (band, row, col), in strips
    that fit into memory."""
    height, width = task.grid.shape
    used = [day for day in days if day.clear_share]
    rows = max(1, CELLS_AT_ONCE // (len(used) * len(task.bands) * width))
    values = np.full((len(task.bands), height, width), np.nan, np.float32)
    for top in with_progress(task, list(range(0, height, rows)), "strips"):
        count = min(rows, height - top)
        stack = np.full((len(used), len(task.bands), count, width), np.nan, np.float32)
        for day, observed in zip(used, stack, strict=True):
            missing = np.ones((count, width), bool)
            fill_gaps(task, day, observed, missing, top)
            day.used_share += float((~missing).sum() / (height * width))
        some = np.isfinite(stack).any(axis=(0, 1))
        values[:, top : top + count][:, some] = np.nanmedian(stack[:, :, some], axis=0)
    return values


def fill_gaps(task: Task, day: Day, values: np.ndarray, missing: np.ndarray, top: int) -> None:
    """Put a day's clear pixels into `values` (band, row, col) where `missing` (row, col), both updated; they
    begin at row `top`.

    A pixel takes all its bands from one tile.
    """
    count, width = missing.shape
    grid = Grid(task.grid.crs, task.grid.transform @ Affine.translation(0, top), count, width)
    for tile in day.tiles:
        wanted = missing & tile.clear[top : top + count]
        if not wanted.any():
            continue
        determine_offset(task, tile)
        observed = task.values(tile, grid)
        wanted &= np.isfinite(observed).all(axis=0)
        values[:, wanted] = observed[:, wanted]
        missing &= ~wanted
        tile.is_used |= bool(wanted.any())


def determine_offset(task: Task, tile: StacTile) -> None:
    """Find out once what must be added to a tile's digital numbers: the catalogue's word, checked on a
    thinned grid."""
    if not task.sensor.has_baselines or tile.offset_record is not None:
        return
    factor = max(1, -(-max(task.grid.shape) // THINNED_SIDE))
    height, width = (-(-side // factor) for side in task.grid.shape)
    thin = Grid(task.grid.crs, task.grid.transform @ Affine.scale(factor), height, width)
    numbers = task.numbers(tile, thin, "nearest")[:, task.sensor.shows_ground(task.mask(tile, thin))]
    stated, word = stated_offset(tile.item, next(iter(tile.assets.values())))
    tile.offset, check = judge_offset(numbers, stated)
    tile.offset_record = {"applied": tile.offset, "stated": stated, "by": word, "check": check}
    if tile.offset != stated:
        task.notes.append(f"item {tile.item.id}: {check} ({word})")


def with_progress(task: Task, steps: list, what: str) -> Iterable:
    return tqdm(
        steps,
        desc=f"{task.place.removeprefix('files, ')} {what}",
        disable=not sys.stderr.isatty(),
        leave=False,
    )


# --- maps ---


def mosaic(task: Task, days: list[Day]) -> tuple[np.ndarray, dict[str, float]]:
    """Tiles of a map joined on the grid, (1, row, col): the newest where there are several; and the share
    that has none."""
    sensor, shape = task.sensor, task.grid.shape
    is_classes = sensor.kind == LAND_COVER
    values = np.full(shape, 0, np.uint8) if is_classes else np.full(shape, np.nan, np.float32)
    missing = np.ones(shape, bool)
    for tile in with_progress(task, days[0].tiles, "tiles"):
        if not missing.any():
            break
        (asset,) = tile.assets.values()
        tile_values = task.read(
            tile,
            asset,
            task.grid,
            values.dtype.name,
            "nearest" if is_classes else "bilinear",
            sensor.nodata if is_classes else task.nodata_of(tile, asset),
        )
        wanted = missing & ((tile_values != 0) if is_classes else np.isfinite(tile_values))
        values[wanted] = tile_values[wanted]
        missing &= ~wanted
        tile.is_used = bool(wanted.any())
    if missing.all():
        raise HeadscarpError(
            f"{task.place}: {task.collection} has no data on the site; check the place of the grid"
        )
    if sensor.kind == ELEVATION and missing.any():
        task.notes.append(
            "no tile has elevations for a part of the grid: at sea, the Copernicus DEM has no tiles"
        )
    return values[None], {"clear_share": float((~missing).mean()), "never_seen_share": float(missing.mean())}


# --- what was made ---


def write_raster(task: Task, values: np.ndarray, days: list[Day], target: Path) -> None:
    """Write the raster with where it comes from."""
    sensor = task.sensor
    how = (
        f", {task.spec.get('composite', LEAST_CLOUDY)} of {task.spec['from']} to {task.spec['to']}"
        if sensor.kind == IMAGERY
        else ""
    )
    source = f"{sensor.title} (collection {task.collection} of {task.url}){how}; {sensor.attribution}"
    kind, nodata = (CLASSES, 0) if sensor.kind == LAND_COVER else (CONTINUOUS, float("nan"))
    write_cog(target, values, task.grid, nodata, task.bands, sensor.units, source, kind)


def describe_raster(
    task: Task, found: Mapping[str, Any], days: list[Day], shares: Mapping[str, float]
) -> dict[str, Any]:
    """The record of a raster."""
    used = [(day, tile) for day in days for tile in day.tiles if tile.is_used]
    record = {
        "kind": task.spec["stac"],
        "title": task.sensor.title,
        "attribution": task.sensor.attribution,
        "api": {"name": task.api, "url": task.url},
        "collection": task.collection,
        "search": dict(found),
        "bands": list(task.bands),
    }
    if task.sensor.kind == IMAGERY:
        record["composite"] = task.spec.get("composite", LEAST_CLOUDY)
        record["days"] = [
            {"day": day.day, "clear_share": round(day.clear_share, 4), "used_share": round(day.used_share, 4)}
            for day in days
        ]
    record["items"] = [describe_item(task, day, tile) for day, tile in used]
    return (
        record | {name: round(share, 4) for name, share in shares.items()} | {"notes": notes_of(task, days)}
    )


def describe_item(task: Task, day: Day, tile: StacTile) -> dict[str, Any]:
    item = tile.item
    record = {"id": item.id, "datetime": start_of(item), "tile": tile_of(item)}
    if task.sensor.kind == IMAGERY:
        record |= {
            "day": day.day,
            "cloud_cover": cloud_cover_of(item),
            "clear_share": round(float(tile.clear.mean()), 4),
        }
    if tile.offset_record:
        record |= {"baseline": baseline_of(item), "offset": tile.offset_record}
    return record


def notes_of(task: Task, days: list[Day]) -> list[str]:
    """What a reader should know of the raster."""
    notes = list(task.notes)
    if task.sensor.kind == IMAGERY and task.spec.get("composite", LEAST_CLOUDY) == LEAST_CLOUDY:
        first, *others = sorted((day for day in days if day.used_share), key=lambda day: -day.used_share)
        gaps = "".join(f"; {day.used_share:.1%} were filled from {day.day}" for day in others)
        notes.append(f"{first.used_share:.1%} of the grid are of {first.day}{gaps}")
    if APIS.get(task.api):
        notes.append(f"{task.api} was written for by its documentation and had not been tried live")
    return notes
