"""The check of a card: each of its sites, part by part, before any training."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from headscarp.areas.check.cells import check_cells
from headscarp.areas.check.elevation import check_elevation
from headscarp.areas.check.files import UNFIT, Located, import_files
from headscarp.areas.check.findings import NOTE, OK, WARNING, Checked
from headscarp.areas.check.grid import grid_of_site, outline_mask, thinned
from headscarp.areas.check.images import check_images
from headscarp.areas.check.landslides import check_labels
from headscarp.areas.check.lines import check_lines
from headscarp.areas.check.page import draw_page
from headscarp.areas.check.placement import check_alignment
from headscarp.areas.check.rasters import check_raster
from headscarp.areas.check.split import check_split
from headscarp.areas.guess.names import date_in
from headscarp.areas.init.draft import PLACEHOLDER
from headscarp.errors import HeadscarpError
from headscarp.files import write_json
from headscarp.plan.read_sites import own_sites
from headscarp.schema import validate
from headscarp.sources.given import paths_of
from headscarp.vocabulary import require_known
from headscarp.yaml_files import merge, read_yaml

WORKFLOW = Path(__file__).resolve().parents[4]


def write_check(checked: Checked, folder: str | Path = ".") -> Path:
    """Write `results/sites/<site>/check.json` and `check.png` below `folder`, the working folder; returns the
    page's path.

    Raises:
        NotWritableError: nothing may be written there.
    """
    place = Path(folder) / "results" / "sites" / checked.name
    write_json(place / "check.json", checked.record())
    draw_page(checked, place / "check.png")
    return place / "check.png"


def examine_card(name: str, folder: str | Path = ".") -> list[Checked]:
    """Check every site of a card; nothing is written and nothing fetched.

    Args:
        name: of a card in `areas/` below `folder` or of the workflow, or the path of one.

    Raises:
        HeadscarpError: there is no such card, it is invalid, or a site has no grid: its outline is missing or
        unfit.
    """
    folder = Path(folder)
    path = card_path(name, folder)
    record = read_yaml(path)
    validate("card", record, str(path))
    results = []
    for site, entry in own_sites(record).items():
        layers = entry.get("layers", {})
        if not isinstance(layers.get("rasters"), dict) or "grid" not in layers:
            raise HeadscarpError(
                f"{path}: site {site} is a collage, a series or patches, not rasters on one grid; check "
                f"cannot read it"
            )
        sampling = merge(record.get("sampling", {}), entry.get("sampling", {}))
        with scratch_folder(folder / "results" / "sites" / site) as scratch:
            cells = record.get("cells", {}).get(site)
            results.append(check_site(site, entry, sampling, cells, str(path), folder, scratch))
    return results


@contextmanager
def scratch_folder(place: Path) -> Iterator[Path]:
    """A folder for the time of a check: at `place`, on the disk of the results, or where the system has its
    own if nothing may be written there."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        scratch = TemporaryDirectory(prefix=".check-", dir=place)
    except OSError:
        scratch = TemporaryDirectory(prefix="headscarp-check-")
    with scratch as path:
        yield Path(path)


def card_path(name: str, folder: Path) -> Path:
    """Where a card lies.

    Raises:
        HeadscarpError: nowhere; the nearest name is given.
    """
    if Path(name).suffix in (".yaml", ".yml"):
        path = folder / name
        if not path.is_file():
            raise HeadscarpError(
                f"{path} does not exist; give the path of a card or the name of one in areas/"
            )
        return path
    places = [folder / "areas", WORKFLOW / "cards"]
    cards = {path.stem: path for place in reversed(places) for path in sorted(place.glob("*.yaml"))}
    return cards[require_known(name, cards, "card")]


def check_site(
    name: str,
    entry: Mapping[str, Any],
    sampling: Mapping[str, Any],
    cells: Mapping[str, Any] | None,
    card: str,
    folder: Path,
    scratch: Path,
) -> Checked:
    """Check one site; `entry` is its part of the card, `sampling` that of the card with the site's own
    changes, `cells` how cells of susceptibility are sampled, if they are. The user's files are imported into
    `scratch`, and what the import wrote is checked.

    Raises:
        HeadscarpError: it has no grid.
    """
    raw = import_files(name, entry, card, folder, scratch)
    located, layers = raw.located, entry["layers"]
    grid = grid_of_site(layers["grid"], located, f"site {name}")
    view = thinned(grid)
    names = {str(place.path): place.origin for place in located.values() if isinstance(place, Located)}
    checked = Checked(name, entry["title"], card, grid, view, outline_mask(layers, located, view), names)
    check_dates(checked, entry)
    checked.findings += raw.findings
    for file, place in located.items():
        if isinstance(place, str):
            checked.files[file] = {"state": place}
            if place != UNFIT:
                checked.tell(NOTE, "files", file, place)
    for layer, raster in layers["rasters"].items():
        check_raster(checked, layer, raster, located)
    check_images(checked, layers["rasters"])
    if "dem" in layers:
        check_elevation(checked, layers["dem"], located)
    for layer, file in layers.get("lines", {}).items():
        check_lines(checked, layer, file, located)
    if cells is None or layers.get("labels"):
        check_labels(checked, layers.get("labels"), located)
    check_alignment(checked)
    if cells is None:
        check_split(checked, sampling, entry.get("seed", 0))
    else:
        check_cells(checked, cells, located, entry.get("seed", 0))
    return checked


def check_dates(checked: Checked, entry: Mapping[str, Any]) -> None:
    """Dates of the card against the windows of what is fetched and the names of the files."""
    dates = entry["layers"]["dates"]
    if isinstance(dates, str):
        return
    event = str(dates[-1])
    if event == PLACEHOLDER:
        checked.tell(
            WARNING,
            "card",
            "dates",
            f"{event} stands for a date that `headscarp init` could not tell; put that of the landslides",
        )
        return
    checked.tell(OK, "card", "dates", ", ".join(map(str, dates)))
    origins = entry["files"] if isinstance(entry.get("files"), dict) else {}
    for layer, raster in entry["layers"]["rasters"].items():
        time = layer.split("_")[0]
        origin = origins.get(raster.get("file"), {})
        dated = date_in(paths_of(origin)[0].stem) if "path" in origin else None
        first, last = str(origin.get("from", dated or "")), str(origin.get("to", dated or ""))
        if not first or not last or time not in ("pre", "post"):
            continue
        if time == "pre" and last >= event:
            problem = f"{layer} is to be from before the event of {event} but is of {first} to {last}"
        elif time == "post" and first < event:
            problem = f"{layer} is to be from after the event of {event} but is of {first} to {last}"
        else:
            continue
        if not any(finding.subject == raster["file"] for finding in checked.findings):
            checked.tell(WARNING, "card", raster["file"], f"{problem}; check the dates")
