"""A catalogue of results that other tools read: a STAC item beside each run's maps, and a collection of a
site's items.

STAC 1.1 (https://github.com/radiantearth/stac-spec), with the extensions projection, classification,
processing and scientific. All addresses are relative, so that a folder of results can be moved or published
whole.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import rasterio
import shapely
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.scientific import ScientificExtension
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.warp import transform_geom

from headscarp.delivery.mapped_runs import METRICS, seeds_text
from headscarp.delivery.styles import BINARY, CIVIDIS, FAINT, class_colours, rgb
from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path, read_json, relative_address, write_json
from headscarp.geo.grid import Grid
from headscarp.geo.layer import grid_of, open_raster
from headscarp.mapping.raster import GDAL_CACHE_MEGABYTES

ITEM, MASK, THUMBNAIL = "item.json", "mask.tif", "thumbnail.png"
CLASSIFICATION = "https://stac-extensions.github.io/classification/v2.0.0/schema.json"
PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
EDGE_POINTS = 8  # pieces of each edge of a footprint: straight lines of a projection are curved in degrees
THUMBNAIL_SIDE = 512
ANYWHERE = (-180.0, -90.0, 180.0, 90.0)  # a collection must have a box
LICENCE = "other"  # what STAC says where no SPDX name fits: the terms are those of the data that went in
STYLE_TYPE = "application/xml"

# name of the asset: file, media type, roles, title
FILES = {
    "landslides": (
        "landslides.gpkg",
        pystac.MediaType.GEOPACKAGE,
        ["data"],
        "Landslides as polygons, layer landslides",
    ),
    "uncertainty": (
        "uncertainty.tif",
        pystac.MediaType.COG,
        ["data"],
        "Standard deviation of the probability between trainings",
    ),
    "uncertainty_style": ("uncertainty.qml", STYLE_TYPE, ["style"], "QGIS style of uncertainty.tif"),
    "probability_style": ("probability.qml", STYLE_TYPE, ["style"], "QGIS style of probability.tif"),
    "mask_style": ("mask.qml", STYLE_TYPE, ["style"], "QGIS style of mask.tif"),
    "landslides_style": ("landslides.qml", STYLE_TYPE, ["style"], "QGIS style of landslides.gpkg"),
    "thumbnail": (
        THUMBNAIL,
        pystac.MediaType.PNG,
        ["thumbnail"],
        "Probability of landslide, transparent where it is low",
    ),
}
RECORDS = {"run": "How the model was trained", "scores": "How well it maps"}


def write_item(
    folder: str | Path,
    run: str | Path,
    scores: str | Path,
    layers_folder: str | Path,
    collection: str | Path,
    record: Mapping[str, Any],
) -> None:
    """Write `item.json`, the STAC item of a map, and `thumbnail.png` into the folder of the map.

    The assets are probability.tif, which must be there, and those of mask.tif, landslides.gpkg, their QGIS
    styles (.qml), run.json and scores.json that are. The item's date is that of the last image of the site.

    Args:
        folder: of the map.
        run: run.json of the map's run. scores: scores.json of the site that it was trained on, taken where
        `folder` has none of its own.
        layers_folder: the layers of the mapped site, of which layers.json is read.
        collection: where `write_collection` writes the collection of the mapped site.
        record: `card`, `citation` (None: none), `site`, `site_title`, `experiment`, `label`, `protocol`,
            `seeds` (those of the trainings, of which it is the mean), `scale`, `placeless` (the corner of the
            grid is made up, so that the item has no geometry). `site` is the mapped one: of a collage, the
            scene.

    Raises:
        HeadscarpError: a file is missing or unreadable, or the site has no dates.
    """
    folder, layers_folder = Path(folder), Path(layers_folder)
    own = folder / "scores.json"
    records = {"run": Path(run), "scores": own if own.exists() else Path(scores)}
    layers = read_json(layers_folder / "layers.json")
    write_thumbnail(folder / "probability.tif", folder / THUMBNAIL)
    with open_raster(folder / "probability.tif") as source:
        grid = grid_of(source)
    dates = dates_of(layers, layers_folder / "layers.json")
    place = None if record["placeless"] else footprint(grid)
    item = pystac.Item(
        id="-".join(
            [
                *(str(record[key]) for key in ("card", "site", "experiment", "protocol")),
                *(f"seed{seed}" for seed in record["seeds"]),
            ]
        ),
        geometry=place,
        bbox=place and [round(bound, 7) for bound in shapely.geometry.shape(place).bounds],
        datetime=dates[-1],
        start_datetime=dates[0] if len(dates) > 1 else None,
        end_datetime=dates[-1] if len(dates) > 1 else None,
        properties=properties_of(record, layers, *map(read_json, records.values()), grid),
        collection=record["site"],
    )
    projection = ProjectionExtension.ext(item, add_if_missing=True)
    projection.shape = list(grid.shape)
    if place:
        projection.apply(
            **crs_of(grid), transform=list(grid.transform)[:6], shape=list(grid.shape), bbox=list(grid.bounds)
        )
    if record["citation"]:
        ScientificExtension.ext(item, add_if_missing=True).citation = record["citation"]
    item.stac_extensions += [PROCESSING] + ([CLASSIFICATION] if (folder / MASK).exists() else [])
    for name, asset in assets_of(folder, records):
        item.add_asset(name, asset)
    address = relative_address(collection, folder)
    item.links = [
        pystac.Link(relation, address, pystac.MediaType.JSON) for relation in ("root", "parent", "collection")
    ]
    write_json(folder / ITEM, item.to_dict(include_self_link=False, transform_hrefs=False))


def dates_of(layers: Mapping[str, Any], path: Path) -> list[datetime]:
    """The dates of a site, rising, as the midnights (UTC) at which they begin.

    Raises:
        HeadscarpError: there is none.
    """
    if not layers["dates"]:
        raise HeadscarpError(f"{path} lists no date; give the site `dates`, those of its images")
    return [datetime.fromisoformat(str(date)).replace(tzinfo=UTC) for date in layers["dates"]]


def footprint(grid: Grid) -> dict[str, Any]:
    """The rectangle of a grid as GeoJSON in degrees (WGS 84), its edges in `EDGE_POINTS` pieces."""
    west, south, east, north = grid.bounds
    rectangle = shapely.box(west, south, east, north, ccw=True)
    pieces = shapely.segmentize(rectangle, max(east - west, north - south) / EDGE_POINTS)
    return transform_geom(grid.crs, "EPSG:4326", shapely.geometry.mapping(pieces), precision=7)


def crs_of(grid: Grid) -> dict[str, str]:
    """The CRS of a grid as the projection extension has it: its code or, where it has none, WKT."""
    crs = rasterio.crs.CRS.from_user_input(grid.crs)
    authority = crs.to_authority()
    return {"code": ":".join(authority)} if authority else {"wkt2": crs.to_wkt(version="WKT2_2019")}


def properties_of(
    record: Mapping[str, Any],
    layers: Mapping[str, Any],
    run: Mapping[str, Any],
    scores: Mapping[str, Any],
    grid: Grid,
) -> dict[str, Any]:
    """What an item says beside where and when."""
    of_seeds = seeds_text(record["seeds"])
    what = f"{record['label']}, protocol {record['protocol']}, {of_seeds}"
    simulated = " of a simulated site (twin)" if layers["data"] == "twin" else ""
    own = {key: record[key] for key in ("card", "site", "experiment", "protocol", "seeds", "scale")}
    own |= {"data": layers["data"], "threshold": scores["threshold"]}
    own["scores"] = {
        name: scores["metrics"][name] for name in METRICS if scores["metrics"].get(name) is not None
    }
    return {
        "title": f"Landslides of {record['site_title']}: {what}",
        "description": f"Map of landslides{simulated} by {what}. The scores are those of the asset 'scores'.",
        "gsd": grid.resolution,
        "license": LICENCE,
        "processing:software": run.get("versions", {}),
        "processing:lineage": (
            f"Card {record['card']} at scale {record['scale']}: {record['label']}, {of_seeds}, "
            f"trained and scored under the protocol '{record['protocol']}'; landslides are where the "
            f"probability is {scores['threshold']:g} or more."
        ),
    } | {f"headscarp:{key}": value for key, value in own.items()}


def assets_of(folder: Path, records: Mapping[str, Path]) -> Iterator[tuple[str, pystac.Asset]]:
    """The files of a map that are there, and the `records` of its run, by name."""
    probability = folder / "probability.tif"
    yield (
        "probability",
        raster_asset(probability, "Probability of landslide", {"statistics": statistics(probability)}),
    )
    if (folder / MASK).exists():
        classes = {"classification:classes": class_records(BINARY)}
        yield "mask", raster_asset(folder / MASK, "Landslides and other ground", classes)
    for name, (file, kind, roles, title) in FILES.items():
        if (folder / file).exists():
            yield name, pystac.Asset(f"./{file}", title, media_type=kind, roles=roles)
    for name, title in RECORDS.items():
        address = relative_address(records[name], folder)
        yield name, pystac.Asset(address, title, media_type=pystac.MediaType.JSON, roles=["metadata"])


def raster_asset(path: Path, title: str, band: Mapping[str, Any]) -> pystac.Asset:
    """A COG of one band as an asset; `band` is what its band has beside name, type and no data."""
    with open_raster(path) as source:
        nodata = "nan" if source.nodata is None or np.isnan(source.nodata) else source.nodata
        described = {"name": source.descriptions[0], "data_type": source.dtypes[0], "nodata": nodata} | band
    return pystac.Asset(
        f"./{path.name}",
        title,
        media_type=pystac.MediaType.COG,
        roles=["data"],
        extra_fields={"bands": [described]},
    )


def statistics(path: Path) -> dict[str, float]:
    """Least, greatest and mean value of a raster, and the per cent of pixels with data, read block by
    block."""
    low, high, total, known = np.inf, -np.inf, 0.0, 0
    with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_MEGABYTES), open_raster(path) as source:
        for _, window in source.block_windows(1):
            values = source.read(1, window=window)
            values = values[~np.isnan(values)]
            if values.size:
                low, high = min(low, float(values.min())), max(high, float(values.max()))
                total, known = total + float(values.sum(dtype=np.float64)), known + values.size
        share = {"valid_percent": round(100 * known / (source.height * source.width), 4)}
    return share | ({"minimum": low, "maximum": high, "mean": total / known} if known else {})


def class_records(names: Mapping[int, str]) -> list[dict[str, Any]]:
    """Classes {code: name} as the classification extension has them."""
    return [
        {
            "value": code,
            "name": names[code].replace(" ", "_"),
            "title": names[code],
            "color_hint": colour.removeprefix("#"),
        }
        for code, colour in class_colours(names).items()
    ]


def write_thumbnail(probability_path: Path, target: Path) -> None:
    """Write a small picture (PNG) of a probability map, its longer side `THUMBNAIL_SIDE` or fewer pixels, in
    the colours of its style."""
    with open_raster(probability_path) as source:
        thin = max(1.0, max(source.shape) / THUMBNAIL_SIDE)
        shape = tuple(max(1, round(side / thin)) for side in source.shape)
        values = source.read(1, out_shape=shape, resampling=Resampling.average, masked=True).filled(np.nan)
        place = source.transform @ source.transform.scale(source.width / shape[1], source.height / shape[0])
    stops = np.linspace(0, 1, len(CIVIDIS))
    known = np.nan_to_num(values)
    bands = [np.interp(known, stops, part) for part in zip(*map(rgb, CIVIDIS), strict=True)] + [
        np.where(values >= FAINT, 255, 0)
    ]
    picture = np.stack(bands).round().astype(np.uint8)
    # In memory, so that GDAL leaves no file with the georeference beside the picture.
    profile = {
        "driver": "PNG",
        "count": 4,
        "dtype": "uint8",
        "height": shape[0],
        "width": shape[1],
        "transform": place,
    }
    with MemoryFile(ext=".png") as memory, atomic_path(target) as temporary:
        with memory.open(**profile) as png:
            png.write(picture)
        temporary.write_bytes(memory.getbuffer())


def write_collection(target: str | Path, items: Iterable[str | Path], record: Mapping[str, Any]) -> None:
    """Write the STAC collection of a site's maps, with links to their items.

    Args:
        target: such as results/sites/<site>/collection.json; the items must have been written for it.
        items: item.json of each map.
        record: `site`, `title`, `citation` (None: none).

    Raises:
        HeadscarpError: there are no items, or an item is missing or of another site.
    """
    folder = Path(target).parent
    paths = [Path(path) for path in items]
    found = [read_json(path) for path in paths]
    if not found:
        raise HeadscarpError(f"site {record['site']} has no map to list in {target}; map it first")
    for path, item in zip(paths, found, strict=True):
        if item["collection"] != record["site"]:
            raise HeadscarpError(
                f"{path} is an item of site {item['collection']}, not of {record['site']}; make it again"
            )
    bounds = np.array([item.get("bbox", ANYWHERE) for item in found])
    times = [
        datetime.fromisoformat(item["properties"][key])
        for item in found
        for key in ("start_datetime", "datetime")
        if item["properties"].get(key)
    ]
    data = sorted({item["properties"]["headscarp:data"] for item in found})
    simulated = " The site is simulated (a twin): it is not the real place." if data == ["twin"] else ""
    collection = pystac.Collection(
        id=record["site"],
        title=record["title"],
        description=f"Maps of landslides of {record['title']}, one item for each trained model.{simulated}",
        extent=pystac.Extent(
            pystac.SpatialExtent(
                [[*bounds[:, :2].min(axis=0).tolist(), *bounds[:, 2:].max(axis=0).tolist()]]
            ),
            pystac.TemporalExtent([[min(times), max(times)]]),
        ),
        license=LICENCE,
        keywords=["landslide", "landslide inventory", *data],
        summaries=pystac.Summaries(
            {
                f"headscarp:{key}": sorted({item["properties"][f"headscarp:{key}"] for item in found})
                for key in ("card", "experiment", "protocol", "data", "scale")
            }
        ),
    )
    if record["citation"]:
        ScientificExtension.ext(collection, add_if_missing=True).citation = record["citation"]
    own = pystac.Link("root", f"./{Path(target).name}", pystac.MediaType.JSON)
    collection.links = [own] + [
        pystac.Link(
            "item", relative_address(path, folder), "application/geo+json", item["properties"]["title"]
        )
        for path, item in zip(paths, found, strict=True)
    ]
    write_json(target, collection.to_dict(include_self_link=False, transform_hrefs=False))
