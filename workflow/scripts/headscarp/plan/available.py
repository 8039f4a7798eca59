"""Whether the data of cards can be had, and what is missing without a network."""

from collections.abc import Iterator
from pathlib import Path

from headscarp.errors import HeadscarpError
from headscarp.plan.model import Card, Site
from headscarp.plan.origins import Origins
from headscarp.plan.selection import Selection
from headscarp.sources.archive import is_reachable, read_table
from headscarp.sources.given import paths_of

PROBE_SECONDS = 3


def refuse_missing(plan: Selection, origins: Origins, mirror: str | None) -> None:
    """Without a network, name all that is missing of the selected cards and of the user's areas, with the
    commands that fetch it.

    Raises:
        HeadscarpError: something is missing.
    """
    raws = {site.raw for name in plan.selected for site in plan.cards[name].sites.values()}
    sites = [site for site in plan.sites.values() if site.name in raws or site.origins]
    tables = {site.name: plan.cards[site.card].archive for site in sites if site.source == "archive"}
    if text := origins.missing(sites, tables, mirror):
        raise HeadscarpError(text)


def why_unreachable(
    card: Card, cards: dict[str, Card], mirror: str | None, data: str | None, offline: bool
) -> str | None:
    """Why a card's upstream or local files, which may be those of another of `cards`, cannot be had, or None
    where they can (or none are needed). Offline, only local files are looked for: `refuse_missing` tells what
    the others are."""
    owners = {
        name: owner
        for owner in cards.values()
        for name, site in owner.sites.items()
        if site.card == owner.name
    }
    for raw in dict.fromkeys(site.raw for site in card.sites.values()):
        site = owners[raw].sites[raw]
        if site.source == "local" and (reason := why_not_local(site, data)):
            return reason
        if reason := next(why_no_path(site), None) or next(why_no_data(site, data), None):
            return reason
        if site.source != "archive" or offline:
            continue
        table = {name: file for name, file in read_table(owners[raw].archive).items() if name in site.files}
        if not is_reachable(table, mirror, Path(site.folder) / "raw", PROBE_SECONDS):
            tried = f"the mirror {mirror} lacks them" if mirror else "no mirror is set"
            return (
                f"the files of site {site.name} are neither in {site.folder}/raw nor to be had: {tried} "
                f"and their own address does not "
                "answer; set `mirror:` in config.yaml or HEADSCARP_MIRROR to a folder or URL that "
                "holds them, or go online"
            )
    return None


def why_no_path(site: Site) -> Iterator[str]:
    """A reason for each file of a user that an area names and that is not there."""
    for name, spec in site.origins.items():
        for path in paths_of(spec) if "path" in spec else []:
            if not path.exists():
                yield (
                    f"{path} does not exist (site {site.name}, files, {name}); paths start at the "
                    f"folder of config.yaml, correct it"
                )


def why_no_data(site: Site, data: str | None) -> Iterator[str]:
    """A reason for each file of a set of patches that the folder of data sets lacks."""
    for spec in site.origins.values():
        for path in paths_of(spec, data) if "data" in spec else []:
            if not (data and path.exists()):
                yield not_at_hand(site, data, f"{path} does not exist", Path(spec["data"]).parts[0])


def why_not_local(site: Site, data: str | None) -> str | None:
    """Why the files of a local site cannot be had, or None."""
    folder = Path(data or ".") / (site.origin or site.name)
    missing = [name for name in site.files if not (folder / name).exists()]
    return not_at_hand(site, data, f"{folder} lacks {', '.join(missing)}", folder.name) if missing else None


def not_at_hand(site: Site, data: str | None, lacks: str, folder: str) -> str:
    return f"the files of site {site.name} are not at hand: {why_not_in_data(data, lacks, folder)}"


def why_not_in_data(data: str | None, lacks: str, folder: str) -> str:
    """What the folder of data sets lacks, or that there is none, and the remedy.

    Args:
        folder: that is to be in it.
    """
    where = lacks if data else "no folder of data sets is set"
    return f"{where}; set `data:` in config.yaml or HEADSCARP_DATA to the folder that holds {folder}/"
