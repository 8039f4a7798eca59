"""The summary page of one site: where it is, what was mapped, how well, and where the files lie; one
self-contained HTML file."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from headscarp.delivery.mapped_runs import (
    COLUMNS,
    METRICS,
    PROTOCOLS,
    MappedRun,
    polygons_of,
    runs_of_page,
)
from headscarp.delivery.site_figures import draw_areas, draw_map, draw_reliability, png_text
from headscarp.exhibits.labels import metric_label
from headscarp.exhibits.layers import site_grid
from headscarp.exhibits.panels.figure import look
from headscarp.exhibits.panels.location import locator
from headscarp.exhibits.render import number_text
from headscarp.exhibits.spec import TWIN, SiteFiles
from headscarp.exhibits.tidy import SIMULATED
from headscarp.files import atomic_path, read_json, relative_address
from headscarp.templating import fill

LISTED = 20  # landslides in the table
MAP_FILES = {
    "probability.tif": "probability of landslide",
    "uncertainty.tif": "its standard deviation between trainings",
    "mask.tif": "landslides and other ground",
    "landslides.gpkg": "landslides as polygons",
    "item.json": "STAC item",
}
NONE = "–"
FOREST = "random_forest"


class Link(NamedTuple):
    """A file or folder: its address relative to the page's folder, and what stands for it."""

    address: str
    text: str


def build_page(record: Mapping[str, Any], target: str | Path) -> None:
    """Write the summary page of a site.

    The map, its landslides and their areas are those of the site's best map or, where none is chosen, of the
    first run with polygons, under the protocol `blocked` if there is one.

    Args:
        record: `name`, `title`, `data` (twin or real), `folder` (of the site: layers/ with layers.json),
            `raw` (folder of its raw files, left out: raw/ in `folder`), `card`, `citation` (None: none),
            `scale`, `composite` (three layers shown as red, green and blue; None: shaded relief), `placeless`
            (true: no centre is told; optional), `best` (folder of the best map; None: none; optional) and
            `runs`, each of `label`, `experiment`, `protocol`, `seed`, the folders of `MappedRun` and, where
            it was trained on another site, the title of that, `trained_on`.
        target: the page; addresses in it are relative to its folder.

    Raises:
        HeadscarpError: a file is missing or unreadable, or the composite names a layer that the site has not.
    """
    site, folder = SiteFiles.from_record(dict(record)), Path(target).parent
    runs = runs_of_page(record)
    layers = read_json(site.folder / "layers" / "layers.json")
    shown = next((run for run in runs if run.is_mapped), None)
    grid = site_grid(site)
    text = fill(
        "delivery/templates/summary.html",
        title=site.title,
        simulated=site.data == TWIN,
        label=SIMULATED,
        place=locator(grid, site.placeless),
        crs=grid.crs,
        dates=[str(date) for date in layers["dates"]],
        interactive=link(site.folder / "map.html", folder),
        shown=shown and shown_map(site, shown, record["composite"], folder),
        protocols=list(score_groups(runs, folder)),
        files=site_links(site, folder),
        acquired=list(acquisitions(site, folder)),
        notes=layers["notes"],
        citation=record["citation"],
        sources=list(dict.fromkeys((one["name"], one["units"], one["source"]) for one in layers["layers"])),
        provenance=provenance(record, runs),
    )
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def shown_map(
    site: SiteFiles, run: MappedRun, channels: Sequence[str] | None, folder: Path
) -> dict[str, Any]:
    """The map of one run, how many landslides of what size are on it, and the largest of them."""
    polygons = polygons_of(run, site_grid(site))
    with look():
        picture = png_text(draw_map(site, run, channels))
        areas = None if polygons.empty else png_text(draw_areas(site, polygons["area_m2"].to_numpy()))
    return {
        "run": run,
        "picture": picture,
        "areas": areas,
        "count": len(polygons),
        "km2": polygons["area_m2"].sum() / 1e6,
        "threshold": run.scores["threshold"],
        "polygons": link(run.maps / "landslides.gpkg", folder),
        "choice": run.choice and chosen(run.choice),
        "largest": largest(polygons, site.placeless),
    }


def chosen(choice: Mapping[str, Any]) -> dict[str, Any]:
    """Why this model's map is shown, where its landslides begin, and what its probabilities are worth."""
    listed = [one for one in choice["candidates"] if one["average_precision"] is not None]
    with look():
        picture = png_text(draw_reliability(choice["reliability"]))
    return {
        "candidates": sorted(listed, key=lambda one: -one["average_precision"]),
        "forest": choice["label"] if choice["experiment"].startswith(FOREST) else None,
        "early": not all(one["converged"] for one in listed),
        "rule": rule_text(choice["rule"]),
        "method": choice["calibrations"][0]["method"],
        "reliability": picture,
        "notes": choice["notes"],
    }


def rule_text(rule: str | Mapping[str, float]) -> str:
    """How a threshold was chosen."""
    if rule == "f1":
        return "where F1 is highest"
    (name, wanted), *_ = rule.items()
    return f"for a {name} of {wanted:g}"


def largest(polygons: Any, placeless: bool) -> dict[str, Any]:
    """Heads and lines of the table of the largest landslides, with their places unless these are made up."""
    listed = polygons.head(LISTED)
    columns = {name: COLUMNS[name] for name in COLUMNS if name in listed}
    heads = [head for head, _ in columns.values()]
    lines = [
        [number(line[name], digits) for name, (_, digits) in columns.items()] for _, line in listed.iterrows()
    ]
    if placeless:
        return {"heads": heads, "lines": lines}
    centres = listed.geometry.representative_point().to_crs("EPSG:4326")
    return {
        "heads": [*heads, "Latitude, longitude"],
        "lines": [
            [*cells, f"{point.y:.5f}, {point.x:.5f}"] for cells, point in zip(lines, centres, strict=True)
        ],
    }


def score_groups(runs: Sequence[MappedRun], folder: Path) -> Iterator[dict[str, Any]]:
    """Scores of all runs with 95 % intervals, a table for each protocol."""
    for protocol in dict.fromkeys(run.protocol for run in runs):
        group = [(run, run.scores) for run in runs if run.protocol == protocol]
        metrics = [
            name for name in METRICS if any(scores["metrics"].get(name) is not None for _, scores in group)
        ]
        yield {
            "name": protocol,
            "about": PROTOCOLS.get(protocol, ""),
            "heads": ["Model", "Seed", *map(metric_label, metrics), "Files"],
            "lines": [
                {
                    "run": run,
                    "scores": [value_and_interval(scores, name) for name in metrics],
                    "files": links_of(run, folder),
                }
                for run, scores in group
            ],
            "notes": notes_on(group),
        }


def notes_on(group: Sequence[tuple[MappedRun, Mapping[str, Any]]]) -> list[str]:
    """The notes in the scores of runs, each once."""
    named = ((f"{run.label}, {run.of_seeds}", note) for run, scores in group for note in scores["notes"])
    return list(dict.fromkeys(": ".join(pair) for pair in named))


def value_and_interval(scores: Mapping[str, Any], metric: str) -> tuple[float | None, list[float] | None]:
    return scores["metrics"].get(metric), (scores.get("intervals") or {}).get(metric)


def links_of(run: MappedRun, folder: Path) -> list[Link]:
    """Links to what a run left behind."""
    found = [(run.maps / file, text) for file, text in MAP_FILES.items()]
    found += [(run.scores_path, "scores"), (run.folder / "run.json", "training")]
    return [link(path, folder, text) for path, text in found if path.exists()]


def site_links(site: SiteFiles, folder: Path) -> list[tuple[Link, str]]:
    """Where the site's own files lie, and what they are."""
    own = [
        (site.folder / f"{site.name}.qgz", "QGIS project of all maps"),
        (site.folder / "collection.json", "STAC collection of all maps"),
        (site.folder / "layers", "layers on the site's grid (GeoTIFF)"),
        (site.raw, "raw files"),
        (site.folder / "cube", "cube that models read"),
    ]
    return [(link(path, folder), text) for path, text in own if path.exists()]


def acquisitions(site: SiteFiles, folder: Path) -> Iterator[dict[str, Any]]:
    """What the record (JSON) beside each fetched raw file says."""
    for path in sorted(site.raw.glob("*.json")):
        record = read_json(path)
        if path.name == "manifest.json" or not isinstance(record, dict):
            continue
        yield {
            "name": path.stem,
            "file": link(path, folder),
            "facts": [
                f"{words(key)}: {plain(value)}" for key, value in record.items() if not is_table(value)
            ],
            "tables": [
                table_of_records(key, records) for key, records in record.items() if is_table(records)
            ],
        }


def table_of_records(key: str, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Heading, heads and lines of a table of records that may differ in their keys."""
    keys = list(dict.fromkeys(name for one in records for name in one))
    return {
        "heading": words(key),
        "heads": [words(name) for name in keys],
        "lines": [[plain(one.get(name)) for name in keys] for one in records],
    }


def is_table(value: Any) -> bool:
    """Whether a value of a record is a list of records."""
    return isinstance(value, list) and bool(value) and all(isinstance(line, dict) for line in value)


def plain(value: Any) -> str:
    """A value of a record in one line."""
    if value is None:
        return NONE
    if isinstance(value, Mapping):
        return "; ".join(f"{words(key)} {plain(one)}" for key, one in value.items()) or NONE
    if isinstance(value, list):
        return ", ".join(map(plain, value)) or NONE
    return f"{value:g}" if isinstance(value, float) else str(value)


def words(key: str) -> str:
    return str(key).replace("_", " ")


def provenance(record: Mapping[str, Any], runs: Sequence[MappedRun]) -> dict[str, str]:
    """With what all this was made."""
    trained = [read_json(run.folder / "run.json") for run in runs]
    versions = dict.fromkeys(
        f"{name} {number}" for one in trained for name, number in one.get("versions", {}).items()
    )
    return {
        "Card": record["card"],
        "Scale": record["scale"],
        "Seeds": ", ".join(map(str, sorted({seed for run in runs for seed in run.seeds}))) or NONE,
        "Software": ", ".join(versions) or NONE,
        "Devices": ", ".join(dict.fromkeys(str(one["device"]) for one in trained if "device" in one)) or NONE,
    }


def link(path: Path, folder: Path, text: str = "") -> Link:
    """A link to a file or folder, its address relative to the page's folder."""
    address = relative_address(path, folder)
    return Link(quote(address, safe="/+"), text or address.removeprefix("./"))


def number(value: Any, digits: int) -> str:
    """A number of a table, a dash where there is none."""
    return NONE if value is None or not math.isfinite(value) else number_text(value, digits)
