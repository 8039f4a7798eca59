"""The summary page of one site: where it is, what was mapped, how well, and where the files lie; one
self-contained HTML file."""

import base64
import html as html_module
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from headscarp.codes import UNMAPPED
from headscarp.exhibits import style
from headscarp.exhibits.maps import (
    IMAGE_SLIDE,
    Page,
    bare,
    composite,
    draw_inventory,
    grey_relief,
    hillshade,
    locator,
    place,
    rings_of,
    show,
)
from headscarp.exhibits.rasters import View, site_grid, values_of
from headscarp.exhibits.spec import TWIN, SiteFiles
from headscarp.exhibits.tidy import SIMULATED, metric_label, number_text
from headscarp.files import atomic_path, read_json, relative_address
from headscarp.geo.grid import Grid

METRICS = ("f1", "precision", "recall", "iou", "average_precision", "auc")
LISTED = 20  # landslides in the table
PIXELS = 900  # longer side of a drawn map
DPI = 130
PROTOCOLS = {
    "blocked": "Tested in blocks of the site that no training window touches.",
    "published": "Tested as the paper did; training and test may be neighbours, so that scores come out "
    "too high.",
}
MAP_FILES = {
    "probability.tif": "probability of landslide",
    "mask.tif": "landslides and other ground",
    "landslides.gpkg": "landslides as polygons",
    "item.json": "STAC item",
}
# column of landslides.gpkg: head of the table, decimals
COLUMNS = {
    "id": ("No.", 0),
    "area_m2": ("Area (m²)", 0),
    "length_m": ("Length (m)", 0),
    "mean_probability": ("Mean probability", 2),
    "mean_slope_deg": ("Mean slope (°)", 1),
    "mean_elevation_m": ("Mean elevation (m)", 0),
    "relief_m": ("Relief (m)", 0),
}
NONE = "–"


@dataclass(frozen=True)
class MappedRun:
    """One run that mapped the site: `folder` holds run.json, `home` scores.json of the site that it was
    trained on, and `maps` probability.tif, landslides.gpkg and what belongs to them, with scores.json of its
    own where the map was scored."""

    label: str
    experiment: str
    protocol: str
    seed: int
    folder: Path
    home: Path
    maps: Path
    trained_on: str | None

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "MappedRun":
        names = (record[key] for key in ("label", "experiment", "protocol"))
        folders = (Path(record[key]) for key in ("folder", "home", "maps"))
        return cls(*names, int(record["seed"]), *folders, record.get("trained_on"))

    @property
    def name(self) -> str:
        """Its label, with the site that it comes from where that is another, and which site its scores are
        of."""
        if self.trained_on is None:
            return self.label
        scored = "" if self.scores_path.parent == self.maps else " and scored there, not here"
        return f"{self.label}, trained on {self.trained_on}{scored}"

    @property
    def scores(self) -> dict[str, Any]:
        return read_json(self.scores_path)

    @property
    def scores_path(self) -> Path:
        own = self.maps / "scores.json"
        return own if own.exists() else self.home / "scores.json"

    @property
    def is_mapped(self) -> bool:
        return all((self.maps / file).exists() for file in ("probability.tif", "landslides.gpkg"))


def build_page(record: Mapping[str, Any], target: str | Path) -> None:
    """Write the summary page of a site.

    The map, its landslides and their areas are those of the first run with polygons, under the protocol
    `blocked` if there is one.

    Args:
        record: `name`, `title`, `data` (twin or real), `folder` (of the site: layers/ with layers.json),
            `raw` (folder of its raw files, left out: raw/ in `folder`), `card`, `citation` (None: none),
            `scale`, `composite` (three layers shown as red, green and blue; None: shaded relief) and `runs`,
            each of `label`, `experiment`, `protocol`, `seed`, the folders of `MappedRun` and, where it was
            trained on another site, the title of that, `trained_on`.
        target: the page; addresses in it are relative to its folder.

    Raises:
        HeadscarpError: a file is missing or unreadable, or the composite names a layer that the site has not.
    """
    site = SiteFiles.from_record(dict(record))
    runs = [MappedRun.from_record(run) for run in record["runs"]]
    layers = read_json(site.folder / "layers" / "layers.json")
    folder = Path(target).parent
    shown = min(
        (run for run in runs if run.is_mapped), key=lambda run: run.protocol != "blocked", default=None
    )
    parts = [*heading(site, layers, folder)]
    if shown:
        with style.look():
            parts += [*map_parts(site, shown, record["composite"]), *landslide_parts(site, shown, folder)]
    parts += [
        *score_parts(runs, folder),
        *file_parts(site, layers, runs, folder),
        *acquisition_parts(site, folder),
        *note_parts(layers),
        *source_parts(layers, record["citation"]),
        *provenance_parts(record, runs),
    ]
    with atomic_path(target) as temporary:
        temporary.write_text(page(f"{record['title']}: landslides", parts), encoding="utf-8")


# --- parts of the page


def heading(site: SiteFiles, layers: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """Title, whether the site is real, where and when, and the way to its interactive map."""
    grid, dates = site_grid(site), [str(date) for date in layers["dates"]]
    yield f"<h1>{escape(site.title)}</h1>"
    if site.data == TWIN:
        yield (
            f'<p class="label twin">{escape(SIMULATED[0].upper() + SIMULATED[1:])}: a simulated '
            f"landscape, not the real place</p>"
        )
    else:
        yield '<p class="label">Real data</p>'
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]} ({len(dates)} dates)"
    yield f"<p>{escape(locator(grid))} · {escape(grid.crs)} · {escape(when)}</p>"
    yield f"<p>{link(site.folder / 'map.html', folder, 'Interactive map')}</p>"


def map_parts(site: SiteFiles, run: MappedRun, channels: Sequence[str] | None) -> Iterator[str]:
    """The map of one run."""
    yield "<h2>Map</h2>"
    yield picture(
        draw_map(site, run, channels),
        f"Image, probability of landslide and mapped landslides of {site.title}",
    )
    yield f"<p>By {escape(run.name)}, protocol {escape(run.protocol)}, seed {run.seed}.</p>"


def landslide_parts(site: SiteFiles, run: MappedRun, folder: Path) -> Iterator[str]:
    """How many landslides of what size a run mapped, and the largest of them."""
    polygons = polygons_of(run, site_grid(site))
    yield "<h2>Landslides</h2>"
    threshold = run.scores["threshold"]
    total = (
        f"{len(polygons):,} landslides, {polygons['area_m2'].sum() / 1e6:,.2f} km², where the "
        f"probability is {threshold:.2f} or more"
    )
    yield f"<p>{escape(total)}: {link(run.maps / 'landslides.gpkg', folder)}.</p>"
    if polygons.empty:
        return
    yield picture(
        draw_areas(site, polygons["area_m2"].to_numpy()), "Number of landslides of at least each area"
    )
    largest = polygons.head(LISTED)
    centres = largest.geometry.representative_point().to_crs("EPSG:4326")
    yield f"<h3>{'The largest' if len(polygons) > LISTED else 'All'} {len(largest)}</h3>"
    columns = {name: COLUMNS[name] for name in COLUMNS if name in largest}
    lines = [
        [
            *(number(line[name], digits) for name, (_, digits) in columns.items()),
            f"{point.y:.5f}, {point.x:.5f}",
        ]
        for (_, line), point in zip(largest.iterrows(), centres, strict=True)
    ]
    yield table(
        [*(head for head, _ in columns.values()), "Latitude, longitude"],
        [[escape(cell) for cell in line] for line in lines],
    )


def score_parts(runs: Sequence[MappedRun], folder: Path) -> Iterator[str]:
    """Scores of all runs, a table for each protocol, with 95 % intervals."""
    yield "<h2>Scores</h2>"
    if not runs:
        yield "<p>No model was trained on this site.</p>"
        return
    yield "<p>In brackets: 95 % intervals, by bootstrap over blocks of the test area.</p>"
    for protocol in dict.fromkeys(run.protocol for run in runs):
        group = [(run, run.scores) for run in runs if run.protocol == protocol]
        metrics = [
            name for name in METRICS if any(scores["metrics"].get(name) is not None for _, scores in group)
        ]
        yield f"<h3>Protocol: {escape(protocol)}</h3><p>{escape(PROTOCOLS.get(protocol, ''))}</p>"
        lines = [
            [
                escape(run.name),
                str(run.seed),
                *(score(scores, name) for name in metrics),
                files_of(run, folder),
            ]
            for run, scores in group
        ]
        yield table(["Model", "Seed", *map(metric_label, metrics), "Files"], lines, "names")
        notes = dict.fromkeys(
            f"{run.label}, seed {run.seed}: {note}" for run, scores in group for note in scores["notes"]
        )
        yield bullets(notes)


def score(scores: Mapping[str, Any], metric: str) -> str:
    """A score with its interval below."""
    value, interval = scores["metrics"].get(metric), (scores.get("intervals") or {}).get(metric)
    if value is None:
        return NONE
    return f"{value:.3f}" + (f"<small>[{interval[0]:.3f}, {interval[1]:.3f}]</small>" if interval else "")


def files_of(run: MappedRun, folder: Path) -> str:
    """Links to what a run left behind."""
    found = [(run.maps / file, text) for file, text in MAP_FILES.items()]
    found += [(run.scores_path, "scores"), (run.folder / "run.json", "training")]
    return ", ".join(link(path, folder, text) for path, text in found if path.exists())


def file_parts(
    site: SiteFiles, layers: Mapping[str, Any], runs: Sequence[MappedRun], folder: Path
) -> Iterator[str]:
    """Where the site's own files lie."""
    yield "<h2>Files</h2>"
    own = [
        (site.folder / "collection.json", "STAC collection of all maps"),
        (site.folder / "layers", "layers on the site's grid (GeoTIFF)"),
        (site.raw, "raw files"),
        (site.folder / "cube", "cube that models read"),
    ]
    lines = [f"{link(path, folder)}: {escape(text)}" for path, text in own if path.exists()]
    lines.append("Drop a map into QGIS: the style file (.qml) beside it colours it.")
    yield "<ul>" + "".join(f"<li>{line}</li>" for line in lines) + "</ul>"


def acquisition_parts(site: SiteFiles, folder: Path) -> Iterator[str]:
    """What the record (JSON) beside each fetched raw file says; nothing where there is none."""
    paths = [path for path in sorted(site.raw.glob("*.json")) if path.name != "manifest.json"]
    if not paths:
        return
    yield "<h2>Acquisition</h2>"
    for path in paths:
        record = read_json(path)
        if not isinstance(record, dict):
            continue
        yield f"<details><summary>{escape(path.stem)}</summary><p>{link(path, folder)}</p>"
        yield bullets(f"{words(key)}: {plain(value)}" for key, value in record.items() if not is_table(value))
        for key, lines in record.items():
            if is_table(lines):
                heads = list(dict.fromkeys(name for line in lines for name in line))
                yield f"<h3>{escape(words(key))}</h3>"
                yield table(
                    [words(head) for head in heads],
                    [[escape(plain(line.get(head))) for head in heads] for line in lines],
                    "names",
                )
        yield "</details>"


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


def note_parts(layers: Mapping[str, Any]) -> Iterator[str]:
    """What was noticed while the layers were made."""
    if layers["notes"]:
        yield "<h2>Notes on the data</h2>"
        yield bullets(layers["notes"])


def source_parts(layers: Mapping[str, Any], citation: str | None) -> Iterator[str]:
    """Whom to cite, and what each layer was made of, its licence or attribution included."""
    yield "<h2>Sources and citation</h2>"
    if citation:
        yield f"<p>{escape(citation)}</p>"
    lines = dict.fromkeys((layer["name"], layer["units"], layer["source"]) for layer in layers["layers"])
    yield (
        f"<details><summary>{len(lines)} layers and where each comes from, with licences and "
        f"attributions</summary>"
    )
    yield table(
        ["Layer", "Units", "Source"], [[escape(str(cell)) for cell in line] for line in lines], "text"
    )
    yield "</details>"


def provenance_parts(record: Mapping[str, Any], runs: Sequence[MappedRun]) -> Iterator[str]:
    """With what all this was made."""
    yield "<h2>Provenance</h2>"
    trained = [read_json(run.folder / "run.json") for run in runs]
    versions = dict.fromkeys(
        f"{name} {number}" for one in trained for name, number in one.get("versions", {}).items()
    )
    facts = {
        "Card": record["card"],
        "Scale": record["scale"],
        "Seeds": ", ".join(map(str, sorted({run.seed for run in runs}))) or NONE,
        "Software": ", ".join(versions) or NONE,
        "Devices": ", ".join(dict.fromkeys(str(one["device"]) for one in trained if "device" in one)) or NONE,
    }
    yield (
        "<dl>"
        + "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items())
        + "</dl>"
    )


# --- figures


def draw_map(site: SiteFiles, run: MappedRun, channels: Sequence[str] | None) -> Figure:
    """Image (or relief), probability over relief, the mapped landslides on the image, and the site's
    inventory if it has one."""
    grid = site_grid(site)
    view = View.of(grid, longest_side=PIXELS)
    relief = relief_of(site, view)
    image = composite(view, site, channels) if channels else relief
    titles = [
        f"Image: {', '.join(channels)}" if channels else "Relief",
        "Probability of landslide",
        "Mapped landslides",
    ]
    if has_inventory(site, view):
        titles.append("Inventory of the site")
    layout = Page.fit(len(titles), view.aspect, 1, 0, footer=0.75)
    figure = layout.figure()
    panels = [layout.axes(figure, 0, index) for index in range(len(titles))]
    show(panels[0], image, view)
    show(panels[1], relief, view)
    probability = np.ma.masked_invalid(view.read(run.maps / "probability.tif"))
    drawn = show(panels[1], probability, view, cmap="cividis", vmin=0, vmax=1)
    show(panels[2], image, view)
    draw_slides(panels[2], polygons_of(run, grid))
    if len(panels) > 3:
        draw_inventory(panels[3], site, view)
    for index, (axes, title) in enumerate(zip(panels, titles, strict=True)):
        axes.set_title(f"{style.panel_letter(index)} {title}")
        bare(axes)
    style.scale_bar(panels[0], view.width_km)
    style.north_arrow(panels[0])
    bar = place(figure, (0.08 * style.WIDTH, figure.get_figheight() - 0.6, 0.4 * style.WIDTH, 0.1))
    figure.colorbar(drawn, cax=bar, orientation="horizontal", label="Probability of landslide")
    handles = [Line2D([], [], color=IMAGE_SLIDE, lw=1.2, label="Mapped landslide")]
    handles += style.swatches([(style.SLIDE, "Landslide of the inventory")]) if len(panels) > 3 else []
    figure.legend(handles=handles, loc="lower right", bbox_to_anchor=(0.97, 0.18 / figure.get_figheight()))
    return figure


def has_inventory(site: SiteFiles, view: View) -> bool:
    """Whether a part of the site is labelled, and there is relief to draw the labels on."""
    label, elevation = (site.folder / "layers" / file for file in ("label.tif", "elevation.tif"))
    return label.exists() and elevation.exists() and bool((view.read(label, classes=True) != UNMAPPED).any())


def relief_of(site: SiteFiles, view: View) -> np.ndarray:
    """Grey relief (row, col, 3) of a site, white where it has no elevation."""
    if not (site.folder / "layers" / "elevation.tif").exists():
        return np.ones((*view.shape, 3))
    return grey_relief(hillshade(view, site), np.zeros(view.shape))


def draw_slides(axes: Axes, polygons: Any) -> None:
    """Outlines of landslides over a dark halo that parts them from bright ground."""
    rings = rings_of(polygons)
    for colour, width in ((style.INK, 0.9), (IMAGE_SLIDE, 0.45)):
        axes.add_collection(
            PolyCollection(rings, facecolors="none", edgecolors=colour, linewidths=width, rasterized=True),
            autolim=False,
        )


def draw_areas(site: SiteFiles, mapped: np.ndarray) -> Figure:
    """How many landslides have at least each area, both axes logarithmic: those mapped, and those of the
    site's inventory if it has one."""
    groups = [
        ("mapped", mapped, style.OKABE_ITO[1], "o"),
        ("inventory of the site", inventory_areas(site), style.OKABE_ITO[0], "s"),
    ]
    figure = style.new_figure(2.9)
    axes = figure.add_subplot()
    for label, areas, colour, marker in groups:
        if areas.size:
            values, counts = np.unique(areas, return_counts=True)
            text = f"{areas.size:,} {label}, median {np.median(areas):,.0f} m²"
            axes.loglog(
                values, counts[::-1].cumsum()[::-1], color=colour, lw=1, marker=marker, ms=2.5, label=text
            )
    axes.set(xlabel="Area (m²)", ylabel="Landslides of at least this area")
    axes.grid(color="black", alpha=0.15, linewidth=0.3)
    axes.legend(loc="lower left")
    return figure


def inventory_areas(site: SiteFiles) -> np.ndarray:
    """Areas in m2 of the slides of the site's inventory on its grid; none where it has no inventory."""
    if not (site.folder / "layers" / "instances.tif").exists():
        return np.zeros(0)
    pixels = np.bincount(values_of(site, "instances").ravel())[1:]
    return pixels[pixels > 0] * abs(site_grid(site).transform.determinant)


def polygons_of(run: MappedRun, grid: Grid) -> Any:
    """The landslides that a run mapped, the largest first, in the CRS of the site's grid."""
    from headscarp.geo.vectors import read_vectors

    return read_vectors(run.maps / "landslides.gpkg", grid.crs)


# --- HTML

STYLE = """
:root { color-scheme: light dark; --ink: #222; --ground: #fff; --line: #ddd; --muted: #666;
  --link: #0b57a4; --twin: #8a4b00; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --ground: #161a1d; --line: #3a4045; --muted: #a0a6ab; --link: #7fb5ea;
  --twin: #f0b060; }
}
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 1.5em auto; max-width: 60em; padding: 0 1em; }
body { color: var(--ink); background: var(--ground); }
a { color: var(--link); overflow-wrap: anywhere; }
h2 { margin-top: 2em; border-bottom: 1px solid var(--line); }
img { display: block; width: 100%; height: auto; background: #fff; border-radius: 4px; padding: 4px; }
.wide { overflow-x: auto; margin: 1em 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9em; }
th, td { padding: .3em .7em; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th { border-bottom: 2px solid var(--muted); }
.names th:first-child, .names td:first-child, .names th:last-child, .names td:last-child, .text th,
  .text td { text-align: left; }
small { display: block; color: var(--muted); white-space: nowrap; }
.label { font-weight: 600; } .twin { color: var(--twin); }
summary { cursor: pointer; } dt { font-weight: 600; } dd { margin: 0 0 .5em 1em; }
  li { overflow-wrap: anywhere; }
""".strip()


def page(title: str, parts: Iterable[str]) -> str:
    """A self-contained page of HTML parts, readable on a phone, light or dark as the reader likes."""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>"
    )
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n'
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def table(heads: Sequence[str], lines: Iterable[Sequence[str]], kind: str = "numbers") -> str:
    """A table that scrolls sideways on a narrow screen; cells are HTML, heads are text."""
    top = "".join(f"<th>{escape(head)}</th>" for head in heads)
    rows = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in line) + "</tr>" for line in lines)
    return (
        f'<div class="wide"><table '
        f'class="{kind}">\n<thead><tr>{top}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>'
    )


def bullets(lines: Iterable[str]) -> str:
    """Lines of text as a list, nothing of none."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def picture(figure: Figure, text: str) -> str:
    """A figure inside the page, with what it shows in words."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI, metadata={"Software": None})
    return (
        f'<img alt="{escape(text)}" '
        f'src="data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}">'
    )


def link(path: Path, folder: Path, text: str = "") -> str:
    """A link to a file or folder, its address relative to the page's folder."""
    address = relative_address(path, folder)
    return f'<a href="{escape(quote(address, safe="/+"))}">{escape(text or address.removeprefix("./"))}</a>'


def number(value: Any, digits: int) -> str:
    """A number of a table, a dash where there is none."""
    return NONE if value is None or not math.isfinite(value) else number_text(value, digits)


def escape(text: str) -> str:
    return html_module.escape(text)
