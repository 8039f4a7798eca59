"""A local STAC API for tests: a folder of items and COGs behind a small HTTP server with range requests,
paging and faults.

`make_catalogue` writes a folder with a whole synthetic study area (two dates around an event, two tiles in
two UTM zones, clouds, elevation, land cover) and the user's files that go with it; `serve_stac` serves such a
folder.
"""

import functools
import http.server
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import geopandas
import numpy as np
import pystac
import shapely
import shapely.affinity
from affine import Affine
from rasterio.features import rasterize
from rasterio.warp import Resampling, calculate_default_transform, reproject, transform_bounds
from scipy.ndimage import gaussian_filter

from headscarp.geo.grid import Grid
from headscarp.geo.layer import CLASSES, CONTINUOUS, write_cog

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
CONFORMS = [
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/item-search",
]
PAGE = 2  # items a page, so that every search has to turn pages
RESET, SHORT = "reset", "short"


class Traffic:
    """What a server was asked for (bytes of files by path) and what it shall do wrong: `fail("B04", 429,
    times=2)`.

    A fault is a status code (429 asks for a pause of `retry_after` seconds), "reset" (the connection is reset
    in the middle of the answer) or "short" (it is closed there).
    """

    def __init__(self, retry_after: int = 1):
        self.bytes: Counter[str] = Counter()
        self.requests: list[str] = []
        self.retry_after = retry_after
        self._faults: list[list] = []
        self._lock = threading.Lock()

    def fail(self, part: str, fault: int | str, times: int = 1, after: int = 0) -> None:
        """Answer the `times` requests whose path contains `part` that follow the first `after` with a
        fault."""
        self._faults.append([part, fault, times, after])

    def take(self, path: str) -> int | str | None:
        """The fault of a request."""
        with self._lock:
            self.requests.append(path)
            for fault in self._faults:
                if fault[0] in path and fault[2]:
                    if fault[3]:
                        fault[3] -= 1
                        continue
                    fault[2] -= 1
                    return fault[1]
        return None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments, folder: Path, traffic: Traffic):
        self.folder, self.traffic = folder, traffic
        super().__init__(*arguments)

    def log_message(self, *_):
        pass

    @property
    def origin(self) -> str:
        return f"http://{self.headers['Host']}"

    def do_GET(self):
        path = urlsplit(self.path).path
        fault = self.traffic.take(path)
        if isinstance(fault, int):
            return self.refuse(fault)
        if path.startswith("/files/"):
            return self.send_file(self.folder / path.removeprefix("/files/"), fault)
        if path == "/":
            return self.send_json(landing(self.origin))
        if path == "/collections":
            return self.send_json(
                {"collections": [self.collection_record(name) for name in self.collections()], "links": []}
            )
        if path.startswith("/collections/"):
            return self.send_json(self.collection_record(path.removeprefix("/collections/")))
        return self.refuse(404)

    do_HEAD = do_GET

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if isinstance(fault := self.traffic.take(self.path), int):
            return self.refuse(fault)
        if self.path != "/search":
            return self.refuse(404)
        asked = json.loads(body)
        found = [item for item in self.items() if matches(item, asked)]
        start = asked.get("token", 0)
        page = {"type": "FeatureCollection", "features": found[start : start + PAGE], "links": []}
        if start + PAGE < len(found):
            token = {"token": start + PAGE}
            page["links"].append(
                {
                    "rel": "next",
                    "href": f"{self.origin}/search",
                    "method": "POST",
                    "body": token,
                    "merge": True,
                }
            )
        return self.send_json(page)

    def items(self) -> list[dict]:
        """All items, their assets at this server's address unless they have one of their own."""
        items = []
        for path in sorted((self.folder / "items").glob("*.json")):
            item = json.loads(path.read_text())
            for asset in item["assets"].values():
                if "://" not in asset["href"]:
                    asset["href"] = f"{self.origin}/files/{asset['href']}"
            items.append(item)
        return items

    def collections(self) -> list[str]:
        return sorted({item["collection"] for item in self.items()})

    def collection_record(self, name: str) -> dict:
        """A collection's record, with what the folder's `collections/<name>.json` says of it."""
        path = self.folder / "collections" / f"{name}.json"
        return collection_record(name) | (json.loads(path.read_text()) if path.is_file() else {})

    def refuse(self, status: int) -> None:
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", str(self.traffic.retry_after))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send_json(self, record: dict) -> None:
        body = json.dumps(record).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/geo+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_file(self, path: Path, fault: str | None) -> None:
        if not path.is_file():
            return self.refuse(404)
        content, size = path.read_bytes(), path.stat().st_size
        first, last, status = 0, size - 1, 200
        if wanted := self.headers.get("Range"):
            status = 206
            low, high = wanted.removeprefix("bytes=").split("-")
            first, last = int(low), min(int(high or last), last)
            if first >= size:
                return self.refuse(416)
        body = content[first : last + 1]
        self.send_response(status)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(body)))
        if status == 206:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.end_headers()
        if self.command == "HEAD":
            return None
        if fault:
            self.break_off(body[: len(body) // 2], fault)
        else:
            self.wfile.write(body)
        self.traffic.bytes[path.name] += len(body)
        return None

    def break_off(self, body: bytes, fault: str) -> None:
        """End the connection in the middle of an answer."""
        self.wfile.write(body)
        self.wfile.flush()
        self.close_connection = True
        if fault == RESET:  # closing with unsent data dropped at once makes the kernel send a reset
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RD)
        self.connection.close()


@contextmanager
def serve_stac(folder: str | Path, traffic: Traffic | None = None) -> Iterator[str]:
    """Serve a folder (`items/*.json` whose assets' addresses are paths in it) as a STAC API on 127.0.0.1;
    yields its URL."""
    handler = functools.partial(Handler, folder=Path(folder), traffic=traffic or Traffic())
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda *_: None  # a client that goes away is no failure of the test
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def landing(origin: str) -> dict:
    links = [
        {"rel": "self", "href": f"{origin}/"},
        {"rel": "root", "href": f"{origin}/"},
        {"rel": "data", "href": f"{origin}/collections"},
        {"rel": "search", "href": f"{origin}/search", "method": "POST", "type": "application/geo+json"},
    ]
    record = {"type": "Catalog", "id": "test", "description": "Test", "stac_version": "1.0.0"}
    return record | {"conformsTo": CONFORMS, "links": links}


def collection_record(name: str) -> dict:
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}
    record = {
        "type": "Collection",
        "id": name,
        "description": name,
        "stac_version": "1.0.0",
        "license": "other",
    }
    return record | {"extent": extent, "links": []}


def matches(item: dict, asked: dict) -> bool:
    """Whether an item meets collections, bbox and datetime of a search."""
    if item["collection"] not in asked.get("collections", [item["collection"]]):
        return False
    if asked.get("bbox"):
        west, south, east, north = asked["bbox"]
        half = len(item["bbox"]) // 2  # of six numbers two are heights
        left, bottom, right, top = *item["bbox"][:2], *item["bbox"][half : half + 2]
        if not (left <= east and west <= right and bottom <= north and south <= top):
            return False
    if asked.get("datetime"):
        first, last = (datetime.fromisoformat(text) for text in asked["datetime"].split("/"))
        properties = item["properties"]
        start = properties.get("datetime") or properties["start_datetime"]
        end = properties.get("datetime") or properties["end_datetime"]
        return datetime.fromisoformat(start) <= last and first <= datetime.fromisoformat(end)
    return True


# --- writing items ---


def add_item(
    folder: Path,
    collection: str,
    name: str,
    when: str | None,
    grid: Grid,
    assets: Mapping[str, np.ndarray],
    nodata: float | None = 0,
    properties: Mapping | None = None,
    asset_fields: Mapping | None = None,
) -> None:
    """Write an item and one COG per asset (values (row, col) on `grid`); `when` is an ISO time in UTC, None
    for a map of 2021."""
    lonlat = transform_bounds(grid.crs, "EPSG:4326", *grid.bounds)
    times = (
        {}
        if when
        else {
            "start_datetime": datetime(2021, 1, 1, tzinfo=UTC),
            "end_datetime": datetime(2021, 12, 31, tzinfo=UTC),
        }
    )
    instant = datetime.fromisoformat(when).replace(tzinfo=UTC) if when else None
    item = pystac.Item(
        name,
        shapely.geometry.mapping(shapely.box(*lonlat)),
        list(lonlat),
        instant,
        dict(properties or {}),
        **times,
        collection=collection,
    )
    (folder / "items").mkdir(parents=True, exist_ok=True)
    (folder / "items" / f"{name}.json").write_text(json.dumps(item.to_dict(include_self_link=False)))
    add_assets(folder, name, grid, assets, nodata, asset_fields)


def add_assets(
    folder: Path,
    name: str,
    grid: Grid,
    assets: Mapping[str, np.ndarray],
    nodata: float | None = 0,
    fields: Mapping | None = None,
) -> None:
    """Write COGs for an item that is there."""
    path = folder / "items" / f"{name}.json"
    item = json.loads(path.read_text())
    for key, values in assets.items():
        file, kind = f"cogs/{name}_{key}.tif", CLASSES if values.dtype == np.uint8 else CONTINUOUS
        write_cog(folder / file, values[None], grid, nodata, [key], "", "test", kind)
        item["assets"][key] = {"href": file, "type": COG, "roles": ["data"], **(fields or {})}
    path.write_text(json.dumps(item))


def moved(
    values: np.ndarray, grid: Grid, crs: str, resolution: float, resampling: Resampling
) -> tuple[np.ndarray, Grid]:
    """Values (row, col) as a tile in another CRS, 0 where there are none."""
    transform, width, height = calculate_default_transform(
        grid.crs, crs, grid.width, grid.height, *grid.bounds, resolution=resolution
    )
    tile = Grid(crs, transform, height, width)
    out = np.zeros(tile.shape, values.dtype)
    reproject(
        values,
        out,
        src_transform=grid.transform,
        src_crs=grid.crs,
        dst_transform=transform,
        dst_crs=crs,
        src_nodata=0,
        dst_nodata=0,
        resampling=resampling,
    )
    return out, tile


# --- a synthetic study area ---

EVENT = "2018-09-06"
CRS, OTHER_ZONE, CELL = "EPSG:32654", "EPSG:32653", 10.0
SITE_CELLS, MARGIN_CELLS = 256, 150
FOREST = {"blue": 0.03, "green": 0.05, "red": 0.035, "nir": 0.35, "swir16": 0.18, "swir22": 0.09}
SOIL = {"blue": 0.09, "green": 0.13, "red": 0.18, "nir": 0.26, "swir16": 0.32, "swir22": 0.27}
FIELD = {"blue": 0.07, "green": 0.1, "red": 0.11, "nir": 0.3, "swir16": 0.26, "swir22": 0.18}
WATER = {"blue": 0.05, "green": 0.045, "red": 0.03, "nir": 0.015, "swir16": 0.008, "swir22": 0.006}
TREES, CROPS, OPEN_WATER = 10, 40, 80  # ESA WorldCover
CLOUD, VEGETATION = 9, 4  # SCL
OFFSET = 1000


@dataclass(frozen=True)
class Catalogue:
    """What `make_catalogue` wrote, and the truth on the site's grid: reflectance by asset, elevation (m),
    land cover, slides (bool)."""

    folder: Path
    outline: Path
    inventory: Path
    grid: Grid
    before: dict[str, np.ndarray]
    after: dict[str, np.ndarray]
    elevation: np.ndarray
    land_cover: np.ndarray
    landslides: np.ndarray


def make_catalogue(folder: str | Path, slides: int = 45, seed: int = 0) -> Catalogue:
    """Write a catalogue of a valley in which an earthquake (2018-09-06) set off landslides, and the user's
    files of it.

    Sentinel-2 (six bands and SCL) on two days before (10 and 20 August) and two after (20 September and 5
    October), each as two tiles in two UTM zones that overlap. Clouds cover a part, a smaller one elsewhere on
    the second day of each pair. The eastern tile of 20 September is wrongly said to need the offset of
    baseline 05.00, its western tile and 5 October rightly. Another item of 5 October lacks an asset.
    Elevation is in two tiles in degrees, land cover in one. `outline.geojson` and `inventory.gpkg` lie in the
    folder too.
    """
    folder, random = Path(folder), np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    cells, inner = SITE_CELLS + 2 * MARGIN_CELLS, slice(MARGIN_CELLS, MARGIN_CELLS + SITE_CELLS)
    area = Grid(
        CRS,
        Affine(CELL, 0, 580000 - MARGIN_CELLS * CELL, 0, -CELL, 4740000 + MARGIN_CELLS * CELL),
        cells,
        cells,
    )
    site = Grid(CRS, area.transform @ Affine.translation(MARGIN_CELLS, MARGIN_CELLS), SITE_CELLS, SITE_CELLS)
    relief = gaussian_filter(random.standard_normal(area.shape), 14)
    elevation = (250 + 60 * relief / relief.std()).clip(20).astype(np.float32)
    cover = np.where(gaussian_filter(random.standard_normal(area.shape), 12) > 0.02, CROPS, TREES).astype(
        np.uint8
    )
    cover[elevation < np.percentile(elevation, 6)] = OPEN_WATER
    shapes = draw_slides(elevation, area, site, slides, random)
    scars = rasterize(shapes, area.shape, transform=area.transform).astype(bool)
    before, after = (
        reflectances(elevation, cover, np.zeros_like(scars), random),
        reflectances(elevation, cover, scars, random),
    )
    large, small = (0.45, 0.5, 0.13), (0.64, 0.64, 0.06)
    add_day(folder, "2018-08-10", before, area, "02.06", large)
    add_day(folder, "2018-08-20", before, area, "02.06", small)
    add_day(folder, "2018-09-20", after, area, "05.00", large, wrong=True)
    add_day(folder, "2018-10-05", after, area, "05.00", small)
    lacking = {"blue": np.full((8, 8), 1500, np.uint16), "scl": np.full((8, 8), VEGETATION, np.uint8)}
    add_item(
        folder,
        "sentinel-2-l2a",
        "S2_20181005_lacking",
        "2018-10-05T01:20:00",
        Grid(CRS, site.transform, 8, 8),
        lacking,
    )
    degrees, tile = moved(elevation, area, "EPSG:4326", 1 / 3600, Resampling.bilinear)
    middle = tile.width // 2
    for name, first, last in (("W", 0, middle), ("E", middle, tile.width)):
        part = Grid(tile.crs, tile.transform @ Affine.translation(first, 0), tile.height, last - first)
        add_item(
            folder,
            "cop-dem-glo-30",
            f"DEM_{name}",
            "2021-04-22T00:00:00",
            part,
            {"data": degrees[:, first:last]},
        )
    classes, tile = moved(cover, area, "EPSG:4326", 1 / 12000, Resampling.nearest)
    add_item(folder, "esa-worldcover", "WorldCover_2021", None, tile, {"map": classes})
    outline, inventory = folder / "outline.geojson", folder / "inventory.gpkg"
    geopandas.GeoDataFrame(geometry=[shapely.box(*site.bounds)], crs=CRS).to_crs("EPSG:4326").to_file(outline)
    geopandas.GeoDataFrame({"date": [EVENT] * len(shapes)}, geometry=shapes, crs=CRS).to_file(inventory)
    cut = {
        name: {key: values[inner, inner] for key, values in truth.items()}
        for name, truth in (("before", before), ("after", after))
    }
    return Catalogue(
        folder,
        outline,
        inventory,
        site,
        cut["before"],
        cut["after"],
        elevation[inner, inner],
        cover[inner, inner],
        scars[inner, inner],
    )


def draw_slides(
    elevation: np.ndarray, area: Grid, site: Grid, count: int, random: np.random.Generator
) -> list[shapely.Polygon]:
    """Ellipses on steep places, longer down the slope, that do not touch."""
    down, right = np.gradient(elevation, CELL)
    steep = np.hypot(down, right)
    rows, cols = np.nonzero(steep > np.percentile(steep, 70))
    room = shapely.box(*site.bounds).buffer(-80)
    shapes: list[shapely.Polygon] = []
    for index in random.permutation(len(rows)):
        row, col = rows[index], cols[index]
        length, angle = random.uniform(40, 110), np.degrees(np.arctan2(down[row, col], -right[row, col]))
        circle = shapely.Point(area.transform @ (col + 0.5, row + 0.5)).buffer(1)
        shape = shapely.affinity.rotate(shapely.affinity.scale(circle, length, length / 2.2), angle)
        if room.contains(shape) and not any(shape.distance(other) < 30 for other in shapes):
            shapes.append(shape)
        if len(shapes) == count:
            break
    return shapes


def reflectances(
    elevation: np.ndarray, cover: np.ndarray, scars: np.ndarray, random: np.random.Generator
) -> dict[str, np.ndarray]:
    """Reflectance by asset, float32 (row, col): cover, shaded by the terrain, with noise; soil where the
    slope has failed."""
    down, right = np.gradient(elevation, CELL)
    light = np.clip(1 + 0.5 * (right + down), 0.5, 1.4)
    truth = {}
    for key in FOREST:
        ground = np.where(scars, SOIL[key], np.where(cover == CROPS, FIELD[key], FOREST[key])) * light
        ground = gaussian_filter(np.where((cover == OPEN_WATER) & ~scars, WATER[key], ground), 0.7)
        truth[key] = (ground * random.normal(1, 0.03, ground.shape)).clip(0.001, 1).astype(np.float32)
    return truth


def add_day(
    folder: Path,
    day: str,
    truth: Mapping[str, np.ndarray],
    area: Grid,
    baseline: str,
    cloud: tuple[float, float, float],
    wrong: bool = False,
) -> None:
    """The two tiles of an overpass: the eastern two thirds of the area in its zone, the western two thirds in
    the next zone.

    `cloud` is a round one: row, column and radius as shares of the area's side.
    """
    third = area.width // 3
    rows, cols = np.ogrid[: area.height, : area.width]
    distance = np.hypot(rows / area.height - cloud[0], cols / area.width - cloud[1])
    cloudy = distance < cloud[2]
    # The mask has larger cells than the bands, and is a little larger than the cloud, as in the real product.
    scl = np.where(distance < cloud[2] + 0.01, CLOUD, VEGETATION).astype(np.uint8)
    for tile, first, last, crs in (("54TWN", third, area.width, CRS), ("53TQH", 0, 2 * third, OTHER_ZONE)):
        is_wrong = wrong and tile == "54TWN"
        added = OFFSET if float(baseline) >= 4 and not is_wrong else 0
        part = Grid(area.crs, area.transform @ Affine.translation(first, 0), area.height, last - first)
        assets, grid = {}, part
        for key, values in truth.items():
            numbers = np.round(np.where(cloudy, 0.8, values)[:, first:last] * 1e4 + added).astype(np.uint16)
            assets[key], grid = (
                (numbers, part) if crs == area.crs else moved(numbers, part, crs, CELL, Resampling.bilinear)
            )
        mask, mask_grid = moved(scl[:, first:last], part, crs, 2 * CELL, Resampling.nearest)
        properties = {
            "eo:cloud_cover": 100 * float(cloudy.mean()),
            "s2:processing_baseline": baseline,
            "s2:mgrs_tile": tile,
            "proj:code": crs,
        }
        name = f"S2_{day.replace('-', '')}_{tile}"
        add_item(folder, "sentinel-2-l2a", name, f"{day}T01:20:00", grid, assets, properties=properties)
        add_assets(folder, name, mask_grid, {"scl": mask})
