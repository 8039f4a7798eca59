"""The check of a card: each of its sites, part by part, before any training."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from headscarp.areas.check.cells import check_cells
from headscarp.areas.check.collage import check_collage
from headscarp.areas.check.elevation import check_elevation
from headscarp.areas.check.files import UNFIT, Located, Place, RawFiles, import_files
from headscarp.areas.check.findings import ERROR, NOTE, OK, WARNING, Checked, CheckedPatches, CheckedSite
from headscarp.areas.check.grid import grid_of_site, outline_mask, thinned
from headscarp.areas.check.images import check_images
from headscarp.areas.check.landslides import check_labels
from headscarp.areas.check.lines import check_lines
from headscarp.areas.check.page import draw_page, draw_patches_page
from headscarp.areas.check.patches import check_patches
from headscarp.areas.check.placement import check_alignment
from headscarp.areas.check.rasters import check_raster
from headscarp.areas.check.scene import ready_scene
from headscarp.areas.check.split import check_split
from headscarp.areas.guess.names import date_in
from headscarp.areas.init.draft import PLACEHOLDER
from headscarp.areas.init.satellites import LANDSAT, SATELLITES
from headscarp.errors import HeadscarpError
from headscarp.files import write_json
from headscarp.plan.plan import data_folder
from headscarp.plan.read_sites import own_sites, require_parts
from headscarp.schema import validate
from headscarp.sources.given import paths_of
from headscarp.vocabulary import require_known
from headscarp.yaml_files import merge, read_yaml

WORKFLOW = Path(__file__).resolve().parents[4]


def write_check(checked: CheckedSite, folder: str | Path = ".") -> list[Path]:
    """Write `results/sites/<site>/check.json` and, of rasters on one grid or of patches, `check.png` below
    `folder`, the working folder; returns what was written.

    Raises:
        NotWritableError: nothing may be written there.
    """
    place = Path(folder) / "results" / "sites" / checked.name
    write_json(place / "check.json", checked.record())
    if isinstance(checked, Checked):
        draw_page(checked, place / "check.png")
    elif isinstance(checked, CheckedPatches) and checked.shown:
        draw_patches_page(checked, place / "check.png")
    else:
        return [place / "check.json"]
    return [place / "check.json", place / "check.png"]


def examine_card(name: str, folder: str | Path = ".") -> list[CheckedSite]:
    """Check every site of a card, a collage after its scenes; nothing is written and nothing fetched.

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
    place = Place(str(path), folder, data_folder(configured_data(folder), folder))
    sites = own_sites(record)
    if not sites:
        owners = ", ".join(dict.fromkeys(site["of"] for site in record["sites"].values()))
        raise HeadscarpError(f"{path} describes no site, it borrows all; check their own cards: {owners}")
    for site, entry in sites.items():
        require_parts(dict(entry), f"{path}, site {site}")
        for scene in entry.get("scenes", ()):
            require_known(scene, sites, f"{path}, site {site}, scenes: site")
    results: dict[str, CheckedSite] = {}
    for site in sorted(sites, key=lambda one: "scenes" in sites[one]):
        results[site] = examine_site(site, record, sites, results, place)
    return list(results.values())


def examine_site(
    site: str,
    record: Mapping[str, Any],
    sites: Mapping[str, Mapping[str, Any]],
    results: Mapping[str, CheckedSite],
    place: Place,
) -> CheckedSite:
    """Check one site of a card.

    Args:
        sites: those that the card describes itself.
        results: what was found of others, of the scenes of a collage at least.

    Raises:
        HeadscarpError: it has no grid, or is of a kind that cannot be checked.
    """
    entry = sites[site]
    sampling = merge(record.get("sampling", {}), entry.get("sampling", {}))
    if "scenes" in entry:
        scenes = {scene: results.get(scene) for scene in entry["scenes"]}
        if other := [scene for scene, found in scenes.items() if not isinstance(found, Checked)]:
            raise HeadscarpError(
                f"{place.card}: site {site} joins {other[0]}, which is not of rasters on one grid; name "
                "sites with `layers`"
            )
        return check_collage(site, entry, scenes, sampling, place.card)
    with scratch_folder(place.folder / "results" / "sites" / site) as scratch:
        if "patch_set" in entry:
            return check_patches(site, entry, sampling, record["protocols"], place, scratch)
        layers = entry["layers"]
        if not isinstance(layers.get("rasters"), dict) or "grid" not in layers:
            raise HeadscarpError(
                f"{place.card}: site {site} is a series or statistics of patches, not rasters on one grid; "
                "check cannot read it"
            )
        cells, owner = record.get("cells", {}).get(site), entry.get("raw", site)
        raw = import_files(owner, sites.get(owner, entry), place, scratch)
        is_scene = any(site in other.get("scenes", ()) for other in sites.values())
        if is_scene and entry["source"] == "local":
            layers, raw = ready_scene(site, layers, raw, scratch)
        checked = check_site(site, entry | {"layers": layers}, raw, place.card, cells is not None)
        if cells is not None:
            check_cells(checked, cells, raw.located, entry.get("seed", 0))
        elif not is_scene:  # scenes are split where they are joined
            check_split(checked, sampling, entry.get("seed", 0))
        return checked


def configured_data(folder: Path) -> str | None:
    """The key `data` of config.yaml in a working folder, if it says any.

    Raises:
        HeadscarpError: that file is invalid.
    """
    path = folder / "config.yaml"
    if not path.exists():
        return None
    config = read_yaml(path)
    validate("config", config, str(path), partial=True)
    return config.get("data")


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


def check_site(name: str, entry: Mapping[str, Any], raw: RawFiles, card: str, of_cells: bool) -> Checked:
    """Check the files of one site of rasters on one grid.

    Args:
        entry: its part of the card.
        raw: its files as the import wrote them.
        of_cells: whether cells of it are sampled, which may bring labels of their own.

    Raises:
        HeadscarpError: it has no grid.
    """
    located, layers = raw.located, entry["layers"]
    faults = {one.subject: one.text for one in raw.findings if one.level == ERROR}
    why = {file: faults.get(file, place) if place == UNFIT else place for file, place in located.items()}
    grid = grid_of_site(layers["grid"], why, f"site {name}")
    view = thinned(grid)
    names = {str(place.path): place.origin for place in located.values() if isinstance(place, Located)}
    checked = Checked(
        name=name,
        title=entry["title"],
        card=card,
        names=names,
        said=layers,
        grid=grid,
        view=view,
        outline=outline_mask(layers, located, view),
    )
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
    if layers.get("labels") or not of_cells:
        check_labels(checked, layers.get("labels"), located)
    check_alignment(checked)
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
    for file, origin in origins.items():
        satellite = SATELLITES.get(origin.get("stac"))
        if satellite and {"from", "to"} <= origin.keys() and str(origin["to"]) < satellite.begins:
            checked.tell(
                ERROR,
                "card",
                file,
                f"images of {origin['from']} to {origin['to']} cannot be fetched, since {satellite.title} "
                f"begins on {satellite.begins}; correct the dates, take `stac: {LANDSAT.stac}` (from "
                f"{LANDSAT.begins} on), or give images of your own",
            )
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
