"""A card for a user's study area, written from an outline and any number of files; every guess is a comment
beside its entry."""

import datetime
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import shapely
import yaml

from headscarp.areas.guess import (
    AREA,
    DEM,
    DERIVED,
    LABEL,
    LAND_COVER,
    MASK,
    OPTICAL,
    UNITS,
    Band,
    Found,
    VectorLayer,
    date_in,
    first_label,
    look_at,
    record_of_origin,
    scale_of,
)
from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path
from headscarp.geo.grid import Grid, utm_crs
from headscarp.geo.outline import grid_around
from headscarp.geo.vectors import read_vectors

AREAS = Path("areas")
NO_CRS = 'WARNING no CRS: find out which it is and add `crs: "EPSG:…"` to this entry'
PLACEHOLDER = "1900-01-01"  # the date of a card whose files tell none; `headscarp check` warns of it
BEFORE_DAYS, AFTER_DAYS, AROUND_DAYS = 120, 60, 15
STAC_BANDS = ("blue", "green", "red", "nir", "swir1", "swir2")
RAW_NAMES = {"pre": "before", "post": "after", "": "image"}
TERRAIN = ("elevation", "slope", "aspect", "curvature", "plan_curvature", "profile_curvature", "twi")
TERRAIN_CHANNELS = (
    "elevation",
    "slope",
    "aspect_sin",
    "aspect_cos",
    "curvature",
    "plan_curvature",
    "profile_curvature",
    "twi",
)
RAW_LINES = {
    "distance_to_rivers": "rivers.gpkg",
    "distance_to_faults": "faults.gpkg",
    "distance_to_roads": "roads.gpkg",
}
LINE_MARGIN_M = {"distance_to_rivers": 5000, "distance_to_faults": 20000, "distance_to_roads": 5000}
DEM_MARGIN_M = 1000  # so that slopes and contributing areas at the edge of the grid know what lies beyond
# ESA WorldCover, product user manual v2.0 (2022), table 3.
WORLD_COVER = {
    10: "tree cover",
    20: "shrubland",
    30: "grassland",
    40: "cropland",
    50: "built-up",
    60: "bare or sparse vegetation",
    70: "snow and ice",
    80: "permanent water",
    90: "herbaceous wetland",
    95: "mangroves",
    100: "moss and lichen",
}
MOST_CLASSES = 64


@dataclass
class Draft:
    """What a card will say: entries as (name, value, comment), in the order in which they are written."""

    name: str
    outline: str
    grid: Grid
    dates: list[str]
    why_dates: str
    files: list[tuple[str, Any, str]] = field(default_factory=list)
    rasters: list[tuple[str, Any, str]] = field(default_factory=list)
    lines: list[tuple[str, Any, str]] = field(default_factory=list)
    labels: dict[str, Any] = field(default_factory=dict)
    why_labels: str = ""
    cover: bool = False
    unused: list[str] = field(default_factory=list)

    @property
    def optical(self) -> list[str]:
        """Layers that are spectral bands or indices of them."""
        return [
            name
            for name, _, _ in self.rasters
            if name.split("_", 1)[-1] in OPTICAL or name in OPTICAL or name.endswith("ndvi")
        ]

    @property
    def context(self) -> list[str]:
        """Continuous layers that are neither image nor terrain."""
        further = [
            name
            for name, entry, _ in self.rasters
            if name not in self.optical and entry.get("kind") != "classes"
        ]
        return further + [name for name, _, _ in self.lines]

    def layer(self, name: str) -> str | None:
        """The layer of a spectral band, after the event if there are two."""
        present = [one for one, _, _ in self.rasters]
        return next((one for one in (f"post_{name}", name, f"pre_{name}") if one in present), None)

    def add_file(self, wanted: str, origin: dict[str, Any], comment: str) -> str:
        """Add a raw file under a name that no other has."""
        taken = {name for name, _, _ in self.files}
        stem, suffix = wanted.rsplit(".", 1)
        name = next(
            one
            for one in (wanted, *(f"{stem}_{number}.{suffix}" for number in range(2, len(taken) + 3)))
            if one not in taken
        )
        self.files.append((name, origin, comment))
        return name


def write_card(
    outline: str | Path,
    files: Sequence[str | Path] = (),
    name: str | None = None,
    event: str | None = None,
    resolution: float = 10,
    dates: Sequence[str] = (),
    folder: str | Path = ".",
) -> Path:
    """Write `areas/<name>.yaml` below `folder`, the working folder, and return its path.

    Args:
        outline: vector file with the polygons of the study area, any CRS.
        files: rasters and vectors, any CRS; side files such as .dbf are passed over.
        name: of the area; that of the outline's file unless given.
        event: ISO date of the landslides; parts images into before and after, and sets the windows of what is
        fetched.
        resolution: of the grid in metres.
        dates: ISO dates of a series of images, the last one that of the labels; one image of each date is
        taken, or fetched.

    Raises:
        HeadscarpError: the outline or a file is missing, the outline has no polygons or no CRS, a date, the
            name or the resolution is unfit, the card exists already, or there is neither an image nor a date.
    """
    outline, folder = Path(outline), Path(folder)
    name = name or name_of(outline)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise HeadscarpError(
            f"--name '{name}' cannot name an area: use lower-case letters, digits and _, a letter first"
        )
    if not (math.isfinite(resolution) and resolution > 0):
        raise HeadscarpError(f"--resolution {resolution} is no size of a cell; give metres above 0")
    event, dates = iso(event, "--event") if event else None, [iso(one, "--dates") for one in dates]
    if dates != sorted(set(dates)):
        raise HeadscarpError(
            f"--dates {' '.join(dates)} do not rise; give each date once, the earliest first"
        )
    target = folder / AREAS / f"{name}.yaml"
    if target.exists():
        raise HeadscarpError(
            f"{target} exists already and stays as it is; edit it, remove it, or give another --name"
        )
    shape = outline_of(outline)
    grid = grid_around(outline, utm_crs(shape.centroid.x, shape.centroid.y), resolution)
    found = look_at([Path(one) for one in files], grid)
    draft = drafted(name, outline, grid, found, event, dates, folder)
    with atomic_path(target) as temporary:
        temporary.write_text(card_text(draft), encoding="utf-8")
    return target


def write_config(name: str, folder: str | Path = ".") -> Path | None:
    """Write `config.yaml` below `folder` for the card `name`, unless there is one; its path if it was
    written."""
    path = Path(folder) / "config.yaml"
    if path.exists():
        return None
    with atomic_path(path) as temporary:
        temporary.write_text(
            f"cards: [{name}]   # what plain `snakemake` runs\n"
            "scale: demo       # tiny (does everything run?) | demo (minutes) | full (wants a GPU)\n",
            encoding="utf-8",
        )
    return path


def snakefile_option(folder: str | Path = ".") -> str:
    """What `snakemake` must be told to find the workflow from `folder`: nothing in the repository itself."""
    snakefile = Path(__file__).resolve().parents[4] / "Snakefile"
    if (Path(folder) / "Snakefile").exists() or not snakefile.exists():
        return ""
    return f" --snakefile {shlex.quote(str(snakefile))}"


def name_of(outline: Path) -> str:
    """A name for an area from its outline's file: `Atsuma-AOI.geojson` gives atsuma."""
    found = re.sub(r"[^a-z0-9]+", "_", outline.stem.lower()).strip("_")
    found = re.sub(r"_?(aoi|outline|area|boundary|extent)$", "", found) or found
    if not found or not found[0].isalpha():
        found = f"area_{found}".rstrip("_")
    return found


def iso(text: str, what: str) -> str:
    try:
        return datetime.date.fromisoformat(str(text)).isoformat()
    except ValueError:
        raise HeadscarpError(f"{what} '{text}' is no date; write it as 2018-09-06") from None


def outline_of(path: Path) -> Any:
    """The polygons of an outline in degrees, as one geometry.

    Raises:
        HeadscarpError: the file is missing, unreadable, without CRS or without polygons.
    """
    geometry = shapely.make_valid(
        shapely.unary_union(shapely.make_valid(read_vectors(path, "EPSG:4326").geometry.to_numpy()))
    )
    if not geometry.area > 0:
        raise HeadscarpError(f"{path} holds no polygons; draw the outline of the study area as a polygon")
    return geometry


# --- from what was found to what the card says


def drafted(
    name: str, outline: Path, grid: Grid, found: Found, event: str | None, dates: list[str], folder: Path
) -> Draft:
    images = [band for band in found.bands if band.is_optical]
    draft = Draft(name, place(outline, folder), grid, *dates_of(images, event, dates, outline))
    draft.unused = list(found.unused)
    draft.files.append(("outline.gpkg", {"path": draft.outline}, "the study area; the grid lies around it"))
    if images:
        add_images(draft, images, folder)
    else:
        add_fetched_images(draft)
    add_elevation(draft, [band for band in found.bands if band.role == DEM], folder)
    add_other_rasters(
        draft, [band for band in found.bands if not band.is_optical and band.role not in (DEM, LABEL)], folder
    )
    if not images and not draft.cover:
        draft.add_file(
            "land_cover.tif",
            {"stac": "land_cover"},
            "ESA WorldCover, fetched; 2020 or 2021, whatever the event",
        )
        entry = {"file": "land_cover.tif", "kind": "classes", "units": "class", "classes": WORLD_COVER}
        draft.rasters.append(
            ("land_cover", entry, "for maps; no input, since its images may be later than the landslides")
        )
    add_vectors(draft, found, folder)
    return draft


def dates_of(
    images: Sequence[Band], event: str | None, dates: list[str], outline: Path
) -> tuple[list[str], str]:
    """The dates of the site, and how they are known.

    Raises:
        HeadscarpError: there is neither an image nor a date.
    """
    if dates:
        return dates, "as given; landslides are those of the last"
    if event:
        return [event], "the event"
    named = sorted({band.date for band in images if band.date})
    if named:
        return [named[-1]], "GUESS the latest date in the names of the images; put that of the landslides"
    if date := date_in(outline.stem):
        return [date], "GUESS from the name of the outline; put that of the landslides"
    if images:
        return [PLACEHOLDER], "PLACEHOLDER no file tells a date; put that of the landslides (or give --event)"
    raise HeadscarpError(
        "neither an image nor a date is given, so nothing says which images to fetch; give the date of "
        "the landslides as --event 2018-09-06"
    )


def add_images(draft: Draft, images: Sequence[Band], folder: Path) -> None:
    """Spectral bands, one file each date and layer; `pre_` and `post_` where images are told apart by name or
    date."""
    series = len(draft.dates) > 1
    dated: dict[str, dict[str, str]] = {}
    raw: dict[tuple[Path, str | None, str], str] = {}
    taken: dict[str, str] = {}
    for band in images:
        time, why_time = time_of(band, draft.dates[-1], images)
        if series and band.date not in draft.dates:
            seen = f"its date {band.date} is none of --dates" if band.date else "its name tells no date"
            draft.unused.append(f"{band.path.name} (band {band.number}): {seen}")
            continue
        layer = band.role if series or not time else f"{time}_{band.role}"
        if (layer, band.date)[: 1 + series] in taken:
            draft.unused.append(
                f"{band.path.name} (band {band.number}): {layer} is taken from "
                f"{taken[(layer, band.date)[: 1 + series]]}"
            )
            continue
        taken[(layer, band.date)[: 1 + series]] = band.path.name
        key = (band.path, band.variable, "")
        if key not in raw:
            stem = f"image_{band.date}" if series else RAW_NAMES[time]
            wanted = f"{stem}_{band.role}.tif" if band.count == 1 and band.variable is None else f"{stem}.tif"
            if band.variable:
                wanted = f"{stem}_{band.role}.tif"
            origin = record_of_origin(place(band.path, folder), variable=band.variable)
            raw[key] = draft.add_file(wanted, origin, "; ".join(filter(None, (why_time, *warnings_of(band)))))
        scale, why_scale = scale_of(band)
        entry = {"file": raw[key]} | ({"band": band.number} if band.count > 1 else {})
        entry |= {"units": "brightness" if band.dtype == "uint8" else "reflectance"}
        entry |= {"scale": float(f"{scale:.7g}")} if scale != 1 else {}
        if series:
            dated.setdefault(layer, {})[band.date] = raw[key]
            entry = {"files": dated[layer]} | {key: value for key, value in entry.items() if key != "file"}
            if len(dated[layer]) > 1:
                continue
        draft.rasters.append((layer, entry, f"{band.role} {band.why}; {why_scale}"))


def time_of(band: Band, date: str, images: Sequence[Band]) -> tuple[str, str]:
    """Whether a band is from before or after the event, and how that is known."""
    if band.time:
        return band.time, f"{RAW_NAMES[band.time]} the event, by the file's name"
    if band.date and date != PLACEHOLDER and len({one.date for one in images}) > 1:
        time = "pre" if band.date < date else "post"
        return time, f"GUESS {RAW_NAMES[time]} the event, by the date {band.date} in the file's name"
    return (
        "",
        "GUESS after the event, as nothing says otherwise"
        if not band.date
        else f"of {band.date}, by the file's name",
    )


def warnings_of(band: Band) -> list[str]:
    """What a reader of the card must know of a file at once."""
    if band.crs is None:
        return [] if band.variable else [NO_CRS]
    return [] if band.cover is None or band.cover >= 0.995 else [f"covers {band.cover:.0%} of the grid"]


def add_fetched_images(draft: Draft) -> None:
    """Sentinel-2 before and after the event, or around each date of a series."""
    spec = {"composite": "median", "bands": list(STAC_BANDS), "max_cloud": 60}
    if len(draft.dates) > 1:
        names = {}
        for date in draft.dates:
            span = {"from": shifted(date, -AROUND_DAYS), "to": shifted(date, AROUND_DAYS)}
            comment = f"GUESS {AROUND_DAYS} days on each side; widen it where clouds remain"
            origin = {"stac": "sentinel2"} | span | spec | {"composite": "least_cloudy"}
            names[date] = draft.add_file(f"image_{date}.tif", origin, comment)
        for band in STAC_BANDS:
            draft.rasters.append((band, {"files": names, "band": band, "units": "reflectance"}, ""))
        return
    event = draft.dates[0]
    windows = {
        "pre": (
            -BEFORE_DAYS,
            -1,
            f"GUESS {BEFORE_DAYS} days before the event; another season or year may suit better",
        ),
        "post": (1, AFTER_DAYS, f"GUESS {AFTER_DAYS} days after the event; widen it where clouds remain"),
    }
    for time, (first, last, comment) in windows.items():
        span = {"from": shifted(event, first), "to": shifted(event, last)}
        name = draft.add_file(f"{RAW_NAMES[time]}.tif", {"stac": "sentinel2"} | span | spec, comment)
        for band in STAC_BANDS:
            draft.rasters.append((f"{time}_{band}", {"file": name, "band": band, "units": "reflectance"}, ""))


def shifted(date: str, days: int) -> str:
    return (datetime.date.fromisoformat(date) + datetime.timedelta(days=days)).isoformat()


def add_elevation(draft: Draft, models: Sequence[Band], folder: Path) -> None:
    """The user's elevation model, the one that covers most, or Copernicus'."""
    if not models:
        draft.add_file(
            "dem.tif",
            {"stac": "dem", "margin_m": DEM_MARGIN_M},
            "Copernicus DEM, fetched: no file is an elevation model",
        )
        return
    best = max(models, key=lambda band: (band.cover or 0, -models.index(band)))
    origin = record_of_origin(place(best.path, folder), variable=best.variable) | {"margin_m": DEM_MARGIN_M}
    draft.add_file("dem.tif", origin, "; ".join((f"elevation model {best.why}", *warnings_of(best))))
    draft.unused += [
        f"{band.path.name}: another elevation model is taken ({best.path.name})"
        for band in models
        if band is not best
    ]


def add_other_rasters(draft: Draft, bands: Sequence[Band], folder: Path) -> None:
    """Land cover, lithology, soil, rain, indices and radar; what is derived anyway and what nobody can tell
    are left out."""
    for band in bands:
        place_of_band = band.path.name + (f" (band {band.number})" if band.count > 1 else "")
        time = time_of(band, draft.dates[-1], bands)[0]
        layer = f"{time}_{band.role}" if time and band.role else band.role
        if band.role is None:
            draft.unused.append(
                f"{place_of_band}: neither name nor values tell what it is; add it to files and rasters "
                f"if it is of use"
            )
        elif band.role in DERIVED:
            draft.unused.append(f"{place_of_band}: {band.role} is derived from the elevation model")
        elif band.role == AREA:
            draft.unused.append(
                f"{place_of_band}: a raster of the area; the mapped area is given as polygons"
            )
        elif band.role == MASK:
            draft.unused.append(
                f"{place_of_band}: hides clouds where the rasters it belongs to get `mask: {{file: …, "
                f"values: […]}}`"
            )
        elif any(layer == one for one, _, _ in draft.rasters):
            draft.unused.append(f"{place_of_band}: another file is taken for {layer}")
        else:
            add_raster(draft, band, layer, folder)


def add_raster(draft: Draft, band: Band, layer: str, folder: Path) -> None:
    """One raster that is no image and no elevation model."""
    comment = "; ".join((f"{band.role} {band.why}", *warnings_of(band)))
    draft.cover |= band.role == LAND_COVER
    is_class = band.role in (LAND_COVER, "lithology", "soil") and 0 < len(band.codes) <= MOST_CLASSES
    entry = {
        "file": draft.add_file(
            f"{layer}.tif", record_of_origin(place(band.path, folder), variable=band.variable), comment
        )
    }
    entry |= {"band": band.number} if band.count > 1 else {}
    if is_class:
        known = WORLD_COVER if set(band.codes) <= WORLD_COVER.keys() | {0} else {}
        names = {code: known.get(code, f"class {code}") for code in band.codes if code or not known}
        note = (
            "codes of ESA WorldCover"
            if known
            else "GUESS codes as found at a glance; name them, and add those that are missing"
        )
        draft.rasters.append((layer, entry | {"kind": "classes", "units": "class", "classes": names}, note))
    else:
        draft.rasters.append((layer, entry | {"units": UNITS.get(band.role, "1")}, "GUESS the units"))


def add_vectors(draft: Draft, found: Found, folder: Path) -> None:
    """Inventory, mapped area and lines."""
    label, rasters = first_label(found.vectors), [band for band in found.bands if band.role == LABEL]
    area = next((one for one in found.vectors if one.role == AREA), None)
    if label:
        draft.labels = {"landslides": add_vector(draft, label, "landslides.gpkg", folder)}
    elif rasters and rasters[0].codes:
        draft.labels = label_raster(draft, rasters[0], folder)
    draft.unused += [
        f"{one.path.name}: landslides are taken from elsewhere" for one in (rasters if label else rasters[1:])
    ]
    if draft.labels:
        draft.labels["area"] = add_vector(draft, area, "mapped_area.gpkg", folder) if area else "outline.gpkg"
        draft.why_labels = (
            ""
            if area
            else "GUESS landslides are mapped in the whole outline; else give the polygons that were"
        )
    for one in found.vectors:
        if one.role in RAW_LINES and one.role not in {name for name, _, _ in draft.lines}:
            name = add_vector(draft, one, RAW_LINES[one.role], folder, {"margin_m": LINE_MARGIN_M[one.role]})
            draft.lines.append((one.role, name, ""))
        elif one is not label and one is not (area if draft.labels else None):
            draft.unused.append(f"{vector_name(one)}: {why_unused(one)}")


def label_raster(draft: Draft, band: Band, folder: Path) -> dict[str, Any]:
    """Labels from a raster of codes, of which 1 is landslides."""
    origin = record_of_origin(place(band.path, folder), variable=band.variable)
    name = draft.add_file(
        "landslides.tif",
        origin,
        "; ".join((f"landslides {band.why}; 1 must be landslides", *warnings_of(band))),
    )
    names = {0: "not a landslide", 1: "landslide"} | {
        code: f"class {code}" for code in band.codes if code not in (0, 1, 255)
    }
    return {"classes": name, "names": names}


def add_vector(
    draft: Draft, one: VectorLayer, wanted: str, folder: Path, further: Mapping[str, Any] = {}
) -> str:
    count = f"{one.count} " if one.count else ""
    comment = f"{count}{one.why}" + ("" if one.crs else f"; {NO_CRS}")
    return draft.add_file(
        wanted, record_of_origin(place(one.path, folder), one.layer, one.where) | dict(further), comment
    )


def vector_name(one: VectorLayer) -> str:
    return one.path.name + (f", layer {one.layer}" if one.layer else "")


def why_unused(one: VectorLayer) -> str:
    """Why a vector layer has no place in the card."""
    if one.geometry == "Point":
        return f"{one.count} points; landslides are needed as polygons"
    if one.role == LABEL:
        return "polygons that may be landslides; another layer is taken as the inventory"
    if one.role:
        return "another file is taken"
    kind = {"LineString": "lines", "Polygon": "polygons"}.get(one.geometry, one.geometry)
    return f"{one.count} {kind} whose name tells no use (landslides, mapped area, rivers, faults, roads)"


def place(path: Path, folder: Path) -> str:
    """A path as a card has it: relative to the working folder where it lies below, else absolute."""
    full = path.resolve()
    return (
        full.relative_to(folder.resolve()).as_posix()
        if full.is_relative_to(folder.resolve())
        else full.as_posix()
    )


# --- the text of the card


def flow(value: Any) -> str:
    """A value as YAML on one line."""
    text = yaml.safe_dump(
        [value], default_flow_style=True, width=10**9, allow_unicode=True, sort_keys=False
    ).strip()
    return text[1:-1]


def block(entries: Sequence[tuple[str, Any, str]], indent: int) -> list[str]:
    """Lines `name: value  # comment` of a mapping, the comments below each other where that is easily
    done."""
    texts = [f"{' ' * indent}{flow(name)}: {flow(value)}" for name, value, _ in entries]
    column = max((len(text) for text in texts if len(text) <= 110), default=0)
    return [
        f"{text.ljust(column)}  # {comment}" if comment else text
        for text, (_, _, comment) in zip(texts, entries, strict=True)
    ]


def card_text(draft: Draft) -> str:
    """The whole card."""
    title = draft.name.replace("_", " ").capitalize()
    shown = composite_of(draft)
    lines = [
        f"# A study area, written by `headscarp init` and yours to edit; comments say what was guessed. "
        f"Next: headscarp check {draft.name}",
        f"name: {draft.name}",
        f"title: {flow(f'Landslides of {title}')}",
        f"citation: {flow('your own data; name their sources here, they are printed with every result')}",
        "",
        "sites:",
        f"  {draft.name}:",
        f"    title: {flow(title)}",
        "    source: area",
        "    data: real",
        *([f"    composite: {flow(shown)}  # red, green and blue of the summary page"] if shown else []),
        "    files:  # raw file -> where it comes from: path (yours), stac (fetched images), dataset "
        "(registered) or url",
        *block(draft.files, 6),
        *suggestions(draft),
        *(f"      # not used: {text}" for text in draft.unused),
        "    layers:",
        f"      grid: {flow(grid_record(draft.grid))}  # GUESS the UTM zone; {draft.grid.height} x "
        f"{draft.grid.width} cells",
        f"      dates: {flow(draft.dates)}  # {draft.why_dates}",
        "      dem: dem.tif",
        "      rasters:",
        *block(draft.rasters, 8),
        f"      terrain: {flow(list(TERRAIN))}  # derived from the elevation model",
        *index_lines(draft),
        *(["      lines:", *block(draft.lines, 8)] if draft.lines else []),
        *label_lines(draft),
        "",
        "inputs:",
        *block([(name, channels, "") for name, channels in inputs_of(draft).items()], 2),
        "",
    ]
    return "\n".join(lines + (study_lines(draft) if draft.labels else unlabelled_lines(draft))) + "\n"


def grid_record(grid: Grid) -> dict[str, Any]:
    size = int(grid.resolution) if grid.resolution == int(grid.resolution) else grid.resolution
    return {"around": "outline.gpkg", "crs": grid.crs, "resolution_m": size}


def suggestions(draft: Draft) -> list[str]:
    """Commented entries of data that could be fetched beside what is there."""
    lines, present = [], {name for name, _, _ in draft.lines}
    if "distance_to_faults" not in present:
        lines.append(
            "faults.gpkg: {dataset: gem_active_faults, margin_m: 20000}  # with `lines: "
            "{distance_to_faults: faults.gpkg}`"
        )
    if "distance_to_rivers" not in present:
        lines.append(
            "rivers.gpkg: {dataset: natural_earth_rivers, margin_m: 20000}  # with `lines: "
            "{distance_to_rivers: rivers.gpkg}`"
        )
    return [f"      # {line}" for line in lines]


def index_lines(draft: Draft) -> list[str]:
    indices = indices_of(draft)
    return (
        [f"      indices: {flow(indices)}"]
        if indices
        else ["      # no indices: NDVI needs the bands red and nir of one image"]
    )


def indices_of(draft: Draft) -> dict[str, dict[str, str]]:
    """NDVI and MNDWI of the image after the event, where it has their bands and no file brings them."""
    present = {name for name, _, _ in draft.rasters}
    wanted = {"ndvi": ("nir", "red"), "mndwi": ("green", "swir1")}
    indices = {name: {band: draft.layer(band) for band in bands} for name, bands in wanted.items()}
    return {
        name: bands for name, bands in indices.items() if None not in bands.values() and name not in present
    }


def label_lines(draft: Draft) -> list[str]:
    if draft.labels:
        return [
            f"      labels: {flow(draft.labels)}" + (f"  # {draft.why_labels}" if draft.why_labels else "")
        ]
    return [
        "      # No file is an inventory of landslides, so every cell is unmapped and nothing can be "
        "trained or scored here.",
        "      # With one: add `landslides.gpkg: {path: …}` to files and",
        "      # labels: {landslides: landslides.gpkg, area: outline.gpkg}",
    ]


def inputs_of(draft: Draft) -> dict[str, list[str]]:
    """Input groups: what the image shows, the terrain, and what else there is."""
    optical = draft.optical + [name for name in indices_of(draft) if name == "ndvi"]
    groups = {"optical": optical, "terrain": list(TERRAIN_CHANNELS), "context": draft.context}
    return {name: channels for name, channels in groups.items() if channels}


def study_lines(draft: Draft) -> list[str]:
    """Experiments, protocols, sampling, training, scales and exhibits of an area with an inventory."""
    groups = list(inputs_of(draft))
    names = {"random_forest": "Random forest", "unet": "U-Net"}
    experiments = []
    for network, label in names.items():
        experiments += [(network, {"label": label, "network": network, "inputs": ["optical"]}, "")]
        experiments += [
            (
                f"{network}+terrain",
                {"label": f"{label} + terrain", "network": network, "inputs": ["optical", "terrain"]},
                "",
            )
        ]
    if "context" in groups:
        experiments += [
            (f"{n}+all", {"label": f"{text} + all", "network": n, "inputs": groups}, "")
            for n, text in names.items()
        ]
    if len(draft.dates) > 1:
        recurrent = {
            "label": "CNN-LSTM, all dates",
            "network": "cnn_lstm",
            "inputs": ["optical"],
            "dates": "all",
        }
        experiments.append(("cnn_lstm", recurrent, "reads all dates; the others the last one"))
    experiments.append(
        (
            "resunet+terrain",
            {"label": "ResU-Net + terrain", "network": "resunet", "inputs": ["optical", "terrain"]},
            "",
        )
    )
    sampling, why = sampling_of(draft.grid)
    rows = [name for name, _, _ in experiments]
    return [
        "experiments:",
        *block(experiments, 2),
        "",
        "protocols: [published, blocked]  # published: random windows, as most papers; blocked: tested "
        "on land that training never saw",
        "",
        f"sampling: {flow(sampling)}  # {why}",
        "",
        "training:",
        *block(
            [
                ("loss", "bce", "or dice, focal: see the README"),
                ("optimiser", "adam", ""),
                ("learning_rate", 1.5e-3, ""),
                ("schedule", "one_cycle", ""),
                ("batch", 16, ""),
                ("epochs", 30, ""),
                ("steps_per_epoch", 50, ""),
                ("augment", True, "turned and mirrored windows"),
                ("jitter", 0.2, "brightness of training windows changed at random"),
            ],
            2,
        ),
        "",
        "mapping: {window: 512, margin: 32}",
        "",
        "polygons: [unet+terrain]",
        "",
        "scales:",
        *block(scales_of(draft.grid, sampling["window"]), 2),
        "",
        *exhibit_lines(exhibits_of(draft, rows)),
    ]


def sampling_of(grid: Grid) -> tuple[dict[str, Any], str]:
    """Windows and split that suit the size of a grid, and why; blocks of three windows, or strips where few
    of them fit."""
    shortest, longest = sorted(grid.shape)
    window = next((size for size in (64, 32) if shortest >= 6 * size), 16)
    axis = "x" if grid.width >= grid.height else "y"
    many = (shortest // window) * (longest // window) >= 100
    split: dict[str, Any] = {"kind": "blocks", "fractions": [0.6, 0.2, 0.2]}
    if not many:
        split = {
            "kind": "strips",
            "axis": axis,
            "edges": [0.42, 0.7],
            "subsets": ["train", "validation", "test"],
        }
    side = (
        "blocks of the area"
        if many
        else "strips from " + ("west to east" if axis == "x" else "north to south") + ": the area is small"
    )
    sampling = {"window": window, "stride": window // 2, "background_ratio": 1.0, "split": split}
    return sampling, f"GUESS windows of {window} pixels, {side}"


def scales_of(grid: Grid, window: int) -> list[tuple[str, Any, str]]:
    """The three scales: `tiny` has about 300 pixels a side, but never loses more than a factor of 2.5."""
    size = round(min(1.0, max(0.4, 300 / max(grid.shape))), 2)
    half = {"window": max(16, window // 2), "stride": max(8, window // 4)} if size < 1 else {}
    tiny = {"size": size, "width": 0.125, "seeds": [0]} | ({"sampling": half} if half else {})
    tiny["training"] = {"batch": 4, "epochs": 2, "steps_per_epoch": 3}
    demo = {"size": 1.0, "width": 0.25, "seeds": [0], "training": {"epochs": 4, "steps_per_epoch": 25}}
    full = {"size": 1.0, "width": 1.0, "seeds": [0, 1, 2]}
    return [("tiny", tiny, "does everything run?"), ("demo", demo, "minutes"), ("full", full, "wants a GPU")]


def composite_of(draft: Draft) -> list[str] | None:
    """Three layers for red, green and blue: true colour after the event, or what there is."""
    present = draft.optical
    true = [draft.layer(name) for name in ("red", "green", "blue")]
    if None not in true and len({name.split("_")[0] for name in true}) == len(
        {"post" in name for name in true}
    ):
        return true
    return present[:3] if len(present) >= 3 else None


def exhibits_of(draft: Draft, rows: list[str]) -> dict[str, dict[str, Any]]:
    """The tables and figures of an area; those of runs only where there are some."""
    sites = [draft.name]
    composite = composite_of(draft)
    options = {"options": {"composite": composite}} if composite else {"options": {"background": "relief"}}
    exhibits: dict[str, dict[str, Any]] = {
        "site": {
            "kind": "site",
            "title": "The study area",
            "caption": "Size of the area and of its landslides.",
            "sites": sites,
        },
        "fig_site": {
            "kind": "site_map",
            "title": "The study area",
            "caption": "Relief, landslides and image.",
            "sites": sites,
        }
        | options,
    }
    if len(draft.dates) > 1:
        del exhibits["fig_site"]  # it shows layers of one date
    if not rows:
        return exhibits
    shown = [row for row in ("random_forest+terrain", "unet+terrain") if row in rows]
    run = {"sites": sites, "rows": rows}
    metrics = [
        "average_precision",
        "f1",
        "precision",
        "recall",
        "iou",
        "miou",
        "kappa",
        "auc",
        "mcc",
        "brier",
        "ece",
    ]
    exhibits |= {
        "comparison": {
            "kind": "scores",
            "title": "Networks compared",
            "caption": "Pixel scores, threshold of validation land.",
        }
        | run
        | {"options": {"metrics": metrics, "unit": "fraction"}},
        "objects": {
            "kind": "objects",
            "title": "Landslides found, by size",
            "caption": "Landslides of which at least half of the pixels are mapped, and recall by size.",
        }
        | run,
        "fig_comparison": {
            "kind": "score_chart",
            "title": "Average precision and F1",
            "caption": "Average precision and F1 with 95 % intervals over blocks and seeds.",
        }
        | run
        | {"options": {"metrics": ["average_precision", "f1"]}},
        "fig_maps": {
            "kind": "confusion_maps",
            "title": "Landslides mapped",
            "caption": "Correct, missed and false landslide pixels.",
        }
        | {"sites": sites, "rows": shown, "seeds": "first"},
        "fig_probability": {
            "kind": "probability_maps",
            "title": "Image, landslides and mapped probability",
            "caption": "Image, inventory and mapped probability of landslides.",
        }
        | {"sites": sites, "rows": shown, "seeds": "first"}
        | options,
        "fig_reliability": {
            "kind": "reliability",
            "title": "Calibration",
            "caption": "Observed landslide share by mapped probability.",
            "sites": sites,
            "rows": shown,
            "seeds": "first",
        },
        "fig_curves": {
            "kind": "curves",
            "title": "Learning curves",
            "caption": "Training and validation loss by epoch.",
            "sites": sites,
            "rows": [row for row in rows if not row.startswith("random_forest")],
            "seeds": "first",
        },
    }
    if composite is None or len(draft.dates) > 1:
        del exhibits["fig_probability"]  # it shows an image of three layers of one date
    return exhibits


def exhibit_lines(exhibits: dict[str, dict[str, Any]]) -> list[str]:
    lines = ["exhibits:"]
    for name, record in exhibits.items():
        lines += [f"  {name}:", *block([(key, value, "") for key, value in record.items()], 4)]
    return lines


def unlabelled_lines(draft: Draft) -> list[str]:
    """The rest of a card without an inventory: its layers and maps, and how a network from elsewhere can map
    it."""
    return [
        "# Without an inventory: layers, cube and site map are made. A network trained elsewhere can "
        "map the area if it reads channels of",
        "# the same names (rename the rasters above to its own): borrow its site, name its experiment, "
        "ask for the inventory it finds:",
        "#   sites: {iburi: {of: iburi2018}, …}",
        "#   experiments: {unet+factors: {network: unet, inputs: [optical, factors]}}",
        f"#   inventory: {{experiment: unet+factors, site: iburi, target: {draft.name}, "
        f"minimum_area_m2: 1000}}",
        "experiments: {}",
        "",
        "protocols: [blocked]",
        "",
        "training: {loss: bce, optimiser: adam, learning_rate: 1.5e-3, batch: 16, epochs: 30}",
        "",
        "scales:",
        *block(scales_of(draft.grid, 64), 2),
        "",
        *exhibit_lines(exhibits_of(draft, [])),
    ]
