"""The interactive map of one site: a page that a browser opens from disk, without a network, with its tiles
in the folder beside it."""

import json
import math
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import shapely
from matplotlib.colors import to_hex, to_rgb
from rasterio.enums import Resampling

from headscarp.codes import LANDSLIDE
from headscarp.delivery.ground import label_path
from headscarp.delivery.map_tiles import DEGREES, Drawing, Pyramid, write_tiles
from headscarp.delivery.mapped_runs import COLUMNS, METRICS, PROTOCOLS, MappedRun, polygons_of, runs_of_page
from headscarp.delivery.styles import FAINT
from headscarp.exhibits.labels import metric_label
from headscarp.exhibits.layers import has_layer, layer_path, site_grid
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.ground import band_limits, image_bands, stretch
from headscarp.exhibits.panels.location import locator
from headscarp.exhibits.panels.scene import CONFUSION
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.spec import TWIN, SiteFiles
from headscarp.exhibits.tidy import SIMULATED
from headscarp.files import atomic_path, read_json
from headscarp.templating import fill

FILES = Path(__file__).with_name("map_files")
COPIED = ("leaflet/leaflet.css", "leaflet/leaflet.js", "leaflet/LICENSE", "map.js")
PALETTE = matplotlib.colormaps["cividis"]
CENTIMETRE = 7  # decimals of a degree
# column of landslides.gpkg: what people read, decimals (None: text)
SHOWN = {
    **COLUMNS,
    "max_probability": ("Highest probability", 2),
    "perimeter_m": ("Perimeter (m)", 0),
    "date": ("Date of the image", None),
}


@dataclass(frozen=True)
class Layer:
    """One entry of the map's list: `kind` is site (tiles), run (tiles of the chosen run) or outlines (its
    landslides)."""

    name: str
    title: str
    kind: str
    shown: bool
    opacity: float
    legend: dict[str, Any]
    remark: str = ""


def build_map(record: Mapping[str, Any], page: str | Path, folder: str | Path) -> None:
    """Write the interactive map of a site: the page, and beside it the folder of its tiles, outlines and
    scripts.

    Args:
        record: as `summary_page.build_page` takes it.
        page: the HTML file; `folder` lies beside it.

    Raises:
        HeadscarpError: a file is missing, unreadable or not on the grid of its site, or the composite names a
        layer that the site has not.
    """
    site = SiteFiles.from_record(dict(record))
    runs = {f"run{number}": run for number, run in enumerate(runs_of_page(record), start=1)}
    truth = label_path(site)
    each = 1 + bool(truth)  # of `run_drawings`
    layers = count_of_ground(site, record["composite"], truth) + len(runs) * each
    pyramid = Pyramid.of(site_grid(site), layers)
    ground = list(ground_drawings(site, record["composite"], pyramid, truth))
    with atomic_path(folder) as temporary:
        write_parts(temporary, ground, {key: run_drawings(run, truth) for key, run in runs.items()}, pyramid)
        for key, run in runs.items():
            write_outlines(temporary / key / "landslides.js", key, run, site)
    described = page_record(site, record["citation"], pyramid, Path(folder).name) | {
        "heading": "map of landslides",
        "more": {"page": "summary.html", "text": "Summary of the site: scores, files, sources"},
        "layers": [
            vars(layer) for layer in (*ground_layers(ground, record["composite"]), *run_layers(runs, truth))
        ],
        "runs": [run_record(key, run) for key, run in runs.items()],
        "columns": [
            {"name": name, "title": title, "decimals": decimals} for name, (title, decimals) in SHOWN.items()
        ],
    }
    write_page(page, described)


def write_parts(
    folder: Path, ground: Iterable[Drawing], of_runs: Mapping[str, Iterable[Drawing]], pyramid: Pyramid
) -> None:
    """The scripts and styles of a page, and the tiles of its ground and, by key, of its runs."""
    for file in COPIED:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(FILES / file, folder / file)
    (folder / "map.css").write_text(fill("delivery/templates/map.css"), encoding="utf-8")
    for drawing in ground:
        write_tiles(folder / drawing.name, drawing, pyramid)
    for key, drawings in of_runs.items():
        for drawing in drawings:
            write_tiles(folder / key / drawing.name, drawing, pyramid)


def write_page(page: str | Path, described: Mapping[str, Any]) -> None:
    """Write the page of a record: that of `page_record` with `heading`, the page that says `more`, `layers`,
    `runs` and the `columns` of their outlines."""
    with atomic_path(page) as temporary:
        temporary.write_text(page_text(described), encoding="utf-8")


# --- what is drawn


def count_of_ground(site: SiteFiles, channels: Sequence[str] | None, truth: Path | None) -> int:
    """How many layers `ground_drawings` gives."""
    return bool(channels) + has_layer(site, "elevation") + bool(truth)


def ground_drawings(
    site: SiteFiles, channels: Sequence[str] | None, pyramid: Pyramid, truth: Path | None
) -> Iterator[Drawing]:
    """Image, relief and inventory of a site, as far as it has them."""
    view = View.of(pyramid.grid)
    if channels:
        limits = band_limits(image_bands(view, site, channels))
        yield Drawing(
            "image",
            tuple(layer_path(site, channel) for channel in channels),
            lambda bands: image_colours(bands, limits),
        )
    if has_layer(site, "elevation"):
        yield Drawing(
            "relief",
            (layer_path(site, "elevation"),),
            lambda values: relief_colours(values[0], pyramid.pixel_m),
            Resampling.cubic,
            margin=1,
        )
    if truth:
        yield Drawing(
            "inventory", (truth,), lambda values: flat_colours({palette.SLIDE: values[0] == LANDSLIDE})
        )


def run_drawings(run: MappedRun, truth: Path | None) -> Iterator[Drawing]:
    """Probability of a run, and where it is right and wrong if the site has an inventory."""
    probability, threshold = run.maps / "probability.tif", run.scores["threshold"]
    yield Drawing("probability", (probability,), lambda values: probability_colours(values[0]))
    if truth:
        yield Drawing("errors", (probability, truth), lambda values: error_colours(*values, threshold))


def image_colours(bands: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Three bands (3, row, col) stretched between `limits` (2, 3) as (row, col, 4); transparent where one has
    no data."""
    known = np.isfinite(bands).all(axis=0)
    return np.dstack([stretch(np.moveaxis(bands, 0, -1), limits), known])


def relief_colours(elevation: np.ndarray, pixel_m: float) -> np.ndarray:
    """Grey relief (row, col, 4) of elevation in metres (row, col), lit from the north-west at 45 degrees.

    Unlike `maps.hillshade` the greys do not depend on what else is in the picture, so that neighbouring tiles
    meet.
    """
    down, right = np.gradient(1.2 * elevation, pixel_m)
    light = (1 + (right + down) / math.sqrt(2)) / np.sqrt(1 + right**2 + down**2) / math.sqrt(2)
    grey = 0.3 + 0.67 * np.clip(light, 0, 1)
    known = np.isfinite(grey)
    return np.dstack([*[np.where(known, grey, 0)] * 3, known])


def probability_colours(values: np.ndarray) -> np.ndarray:
    """Probabilities (row, col) in the palette of the figures; transparent where faint, as in the style for
    QGIS."""
    return np.dstack([PALETTE(np.nan_to_num(values))[..., :3], np.nan_to_num(values) >= FAINT])


def error_colours(probability: np.ndarray, label: np.ndarray, threshold: float) -> np.ndarray:
    """True positives, false positives and false negatives (row, col, 4) in the colours of the figures; the
    rest is transparent."""
    judged = np.isfinite(probability) & np.isfinite(label)
    found, there = np.nan_to_num(probability) >= threshold, label == LANDSLIDE
    cases = (judged & found & there, judged & found & ~there, judged & ~found & there)
    return flat_colours({colour: case for (colour, _), case in zip(CONFUSION, cases, strict=True)})


def flat_colours(masks: Mapping[str, np.ndarray]) -> np.ndarray:
    """(row, col, 4) with one colour for each mask (row, col), transparent elsewhere."""
    image = np.zeros((*next(iter(masks.values())).shape, 4))
    for colour, mask in masks.items():
        image[mask] = (*to_rgb(colour), 1)
    return image


def write_outlines(path: Path, key: str, run: MappedRun, site: SiteFiles) -> None:
    """The landslides of a run in degrees, with the columns of their GeoPackage, as a script: browsers read no
    other file from disk."""
    polygons = polygons_of(run, site_grid(site)).to_crs(DEGREES)
    shown = [name for name in SHOWN if name in polygons]
    geometry = shapely.transform(polygons.geometry.values, lambda points: points.round(CENTIMETRE))
    collection = (
        polygons[shown]
        .set_geometry(geometry, crs=DEGREES)
        .to_json(na="null", drop_id=True, separators=(",", ":"))
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'takeLandslides("{key}",{collection});\n', encoding="utf-8")


# --- what the page says


def ground_layers(drawings: Sequence[Drawing], channels: Sequence[str] | None) -> Iterator[Layer]:
    names = [drawing.name for drawing in drawings]
    if "image" in names:
        yield Layer("image", "Image", "site", True, 1, {}, f"Composite of {', '.join(channels)}")
    if "relief" in names:
        yield Layer("relief", "Relief", "site", "image" not in names, 1, {})
    if "inventory" in names:
        yield Layer(
            "inventory",
            "Inventory of the site",
            "site",
            False,
            0.8,
            {"boxes": [[palette.SLIDE, "Landslide of the inventory"]]},
        )


def run_layers(runs: Mapping[str, MappedRun], truth: Path | None) -> Iterator[Layer]:
    if not runs:
        return
    ramp = [to_hex(PALETTE(value)) for value in np.linspace(0, 1, 11)]
    remark = f"Transparent below {FAINT:g}"
    yield Layer(
        "probability",
        "Probability of landslide",
        "run",
        True,
        0.7,
        {"ramp": ramp, "ends": ["0", "1"]},
        remark,
    )
    if truth:
        boxes = [list(pair) for pair in CONFUSION]
        yield Layer(
            "errors",
            "Errors",
            "run",
            False,
            0.9,
            {"boxes": boxes},
            "Of the whole site, training areas included",
        )
    yield Layer(
        "landslides",
        "Mapped landslides",
        "outlines",
        True,
        1,
        {"line": [palette.IMAGE_SLIDE, palette.INK, "Mapped landslide"]},
        "Click for numbers",
    )


def page_record(site: SiteFiles, citation: str | None, pyramid: Pyramid, folder: str) -> dict[str, Any]:
    """What the page's script reads of a site and its tiles."""
    west, south, east, north = pyramid.degrees
    dates = [str(date) for date in read_json(site.folder / "layers" / "layers.json")["dates"]]
    return {
        "title": site.title,
        "simulated": site.data == TWIN,
        "folder": folder,
        "place": locator(pyramid.grid, site.placeless),
        "when": dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}",
        "citation": citation or "",
        "bounds": [[south, west], [north, east]],
        "least": pyramid.least,
        "deepest": pyramid.deepest,
        "finest": pyramid.finest,
        "pixel": f"{pyramid.pixel_m:.2g} m",
        "resolution": f"{pyramid.grid.resolution:g} m",
    }


def run_record(key: str, run: MappedRun) -> dict[str, Any]:
    """A run as the page's list of runs names it, with its scores."""
    scores = run.scores
    values = [
        (metric_label(name), scores["metrics"].get(name), (scores.get("intervals") or {}).get(name))
        for name in METRICS
    ]
    return {
        "key": key,
        "title": run.title,
        "threshold": scores["threshold"],
        "about": PROTOCOLS.get(run.protocol, ""),
        "scores": [[label, value, interval] for label, value, interval in values if value is not None],
    }


def page_text(described: Mapping[str, Any]) -> str:
    """The page with its record inside."""
    # A </script> in a text must not end the element that holds the record.
    inside = json.dumps(described, ensure_ascii=False, allow_nan=False).replace("</", "<\\/")
    return fill("delivery/templates/map.html", **described, label=SIMULATED, record=inside)
