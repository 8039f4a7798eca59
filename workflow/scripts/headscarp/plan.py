"""The plan: config.yaml and the cards, checked once. Nothing else reads either.

Rules ask it which runs an exhibit needs; scripts get plain records through `params` and never see the plan.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headscarp.cards import Card, Exhibit, Site, check, dates_read, known_networks, merge, read_cards, read_yaml, resolve_card
from headscarp.errors import HeadscarpError
from headscarp.sources.archive import is_reachable, read_table
from headscarp.vocabulary import require_known

PROBE_SECONDS = 3
CUBE_FILES = ("cube.npy", "cube.json", "label.npy", "instances.npy")
SAMPLE_FILES = ("windows.csv", "regions.npy", "blocks.npy", "samples.json")
CELL_FILES = ("cells.npz", "cells.json")


@dataclass(frozen=True)
class Run:
    """One trained network: its folder is its name."""

    card: str
    site: str
    experiment: str
    protocol: str
    seed: int

    @property
    def folder(self) -> str:
        return f"results/runs/{self.card}/{self.site}/{self.experiment}/{self.protocol}/seed{self.seed}"

    def elsewhere(self, site: str) -> str:
        """Folder of what the run makes of another site."""
        return f"{self.folder}/on/{site}"

    def cut_out(self, scene: str) -> str:
        """Folder of the part of a collage's map that one scene holds."""
        return f"{self.folder}/scenes/{scene}"


@dataclass(frozen=True)
class Plan:
    """Everything that rules ask."""

    cards: dict[str, Card]
    selected: tuple[str, ...]
    skipped: dict[str, str]
    scale: str
    device: str
    threads: int
    mirror: str | None
    data: str | None

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that tell jobs where to run and where to fetch."""
        return {"HEADSCARP_DEVICE": self.device, "HEADSCARP_MIRROR": self.mirror or ""}

    @property
    def sites(self) -> dict[str, Site]:
        return {name: site for card in self.cards.values() for name, site in card.sites.items()}

    def card_of(self, site: str) -> Card:
        return self.cards[self.sites[site].card]

    def names_of_experiments(self, *methods: str) -> list[str]:
        """Experiments of all cards that are run by one of `methods` (by any where none is named)."""
        found = {e.name for card in self.cards.values() for e in card.experiments.values() if e.method in methods or not methods}
        return sorted(found)

    def names_of_cards(self, several_classes: bool) -> list[str]:
        """Cards whose networks tell several classes apart, or landslides only."""
        return sorted(name for name, card in self.cards.items() if several_classes == any(e.classes > 1 for e in card.experiments.values()))

    def names_of_searches(self) -> list[str]:
        return sorted({name for card in self.cards.values() for name in card.searches})

    def search_record(self, card: str, name: str, sampler: str) -> dict[str, Any]:
        """All that a search needs to know."""
        return self.cards[card].searches[name].record | {"sampler": sampler}

    def tuned_by(self, card: str, experiment: str, protocol: str) -> list[str]:
        """The file of the search that tunes an experiment, if one does."""
        search = self.cards[card].experiments[experiment].tuned_by
        return [self.cards[card].searches[search].best(protocol)] if search else []

    def started_from(self, card: str, experiment: str, protocol: str, seed: str) -> Run | None:
        """The run of the same protocol and seed whose weights an experiment starts from."""
        start = self.cards[card].experiments[experiment].start
        return Run(card, start["site"], start["experiment"], protocol, int(seed)) if start else None

    def dated_maps(self, run: Run) -> list[str]:
        """Class maps of a run at each date of its card's comparison: of its own site, or of another that it was applied to."""
        sites = [one["site"] for one in self.cards[run.card].change["dates"]]
        return [f"{run.folder if site == run.site else run.elsewhere(site)}/classes.tif" for site in sites]

    def dated_truth(self, card: str) -> list[str]:
        """Files of the true landslides at each date of a card's comparison, where it names them."""
        dates = self.cards[card].change["dates"]
        return [f"{self.sites[one['site']].raw_folder}/{one['truth']}" for one in dates if "truth" in one]

    def sampling(self, card: str, site: str) -> dict[str, Any]:
        """How windows are drawn on a site: the card's way, with the site's changes."""
        return merge(self.cards[card].sampling, self.sites[site].sampling)

    def joined(self, site: str) -> bool:
        """Whether a site is a scene of a collage."""
        return any(site in other.scenes for other in self.sites.values())

    def is_users_scene(self, site: str) -> bool:
        """Whether a site is a scene of a collage whose files come from a user."""
        return self.joined(site) and self.sites[site].source == "local"

    def is_cell_site(self, site: str) -> bool:
        return site in self.card_of(site).cells

    def sample_files(self, site: str) -> tuple[str, ...]:
        return CELL_FILES if self.is_cell_site(site) else SAMPLE_FILES

    def inventory_run(self, card: str, protocol: str) -> Run:
        """The run whose landslides label the cells of a card: the first seed of its inventory's experiment."""
        chosen = self.cards[card].inventory
        return Run(card, chosen["site"], chosen["experiment"], protocol, self.cards[card].seeds[0])

    def cell_sources(self, site: str, protocol: str) -> dict[str, str]:
        """Files that label the cells of a site: an inventory with the truth and the area it is held against, or points; none for layers."""
        card = self.card_of(site)
        record, raw = card.cells[site], self.sites[site].raw_folder
        if "inventory" in record:
            target = card.inventory["target"]
            files = {"inventory": f"{self.inventory_run(card.name, protocol).elsewhere(target)}/inventory.gpkg"}
            return files | {role: f"{raw}/{file}" for role, file in record["inventory"].items()}
        return {"points": f"{raw}/{record['points']['file']}"} if "points" in record else {}

    def names_of_exhibits(self, tables: bool) -> list[str]:
        return sorted({e.name for card in self.cards.values() for e in card.exhibits.values() if e.is_table == tables})

    def exhibit(self, card: str, name: str) -> Exhibit:
        return require_exhibit(self.cards[card], name)

    def runs_of(self, exhibit: Exhibit) -> list[Run]:
        """The runs an exhibit is drawn from, in the order of its rows."""
        if not (exhibit.needs.run or exhibit.needs.elsewhere):
            return []
        seeds = self.cards[exhibit.card].seeds
        seeds = seeds[:1] if exhibit.seeds == "first" else seeds
        return [
            Run(exhibit.card, site, row, protocol, seed)
            for site in exhibit.sites
            for row in exhibit.rows
            for protocol in exhibit.protocols
            for seed in seeds
        ]

    def inputs_of(self, exhibit: Exhibit) -> list[str]:
        """The files an exhibit reads."""
        needs, runs = exhibit.needs, self.runs_of(exhibit)
        of_target = exhibit.options.get("elsewhere", False)  # scores and maps of the target site in place of those of the run's own
        files = [f"{run.elsewhere(exhibit.target) if of_target else run.folder}/{name}" for run in runs for name in needs.run]
        files += [f"{run.elsewhere(exhibit.target)}/{name}" for run in runs for name in needs.elsewhere]
        files += [f"{search['folder']}/{name}" for search in self._searches(exhibit) for name in needs.search]
        for name in exhibit.sites:
            files += self._site_files(exhibit, name, needs.site)
        if exhibit.target:
            files += self._site_files(exhibit, exhibit.target, needs.site if of_target else needs.target)
        return list(dict.fromkeys(files))

    def _site_files(self, exhibit: Exhibit, name: str, parts: tuple[str, ...]) -> list[str]:
        site, files = self.sites[name], []
        if "raw" in parts:
            files += site.raw_files
        if "layers" in parts:
            files.append(f"{site.folder}/layers")
        if "cube" in parts:
            files += [f"{site.folder}/cube/{file}" for file in CUBE_FILES]
        if "samples" in parts:
            files += [f"{folder}/{file}" for folder in self._samples(exhibit, site).values() for file in self.sample_files(name)]
        return files

    def _samples(self, exhibit: Exhibit, site: Site) -> dict[str, str]:
        return {protocol: f"{site.folder}/samples/{exhibit.card}/{protocol}" for protocol in exhibit.protocols}

    def _site_record(self, exhibit: Exhibit, name: str) -> dict[str, Any]:
        site = self.sites[name]
        samples = self._samples(exhibit, site)
        return {
            "name": name, "title": site.title, "folder": site.folder, "raw": site.raw_folder, "data": site.data, "samples": samples,
        }  # fmt: skip

    def _searches(self, exhibit: Exhibit) -> list[dict[str, Any]]:
        searches = [self.cards[exhibit.card].searches[name] for name in exhibit.searches]
        return [
            {"name": search.name, "label": search.label, "protocol": protocol, "sampler": sampler}
            | {"folder": search.folder(protocol, sampler)}
            for search in searches
            for protocol in exhibit.protocols
            for sampler in search.samplers
        ]

    def exhibit_record(self, exhibit: Exhibit) -> dict[str, Any]:
        """All that `exhibits.spec.ExhibitSpec.from_record` takes."""
        card = self.cards[exhibit.card]
        sites = [self._site_record(exhibit, name) for name in exhibit.sites]
        runs = []
        for run in self.runs_of(exhibit):
            label = card.experiments[run.experiment].label
            runs.append(
                {"row": run.experiment, "label": label, "experiment": run.experiment, "protocol": run.protocol, "seed": run.seed}
                | {"folder": run.folder}
            )
        return {
            "card": exhibit.card, "name": exhibit.name, "kind": exhibit.kind, "title": exhibit.title, "caption": exhibit.caption,
            "sites": sites, "runs": runs, "options": exhibit.options, "published": self._published(exhibit),
            "searches": self._searches(exhibit), "target": self._site_record(exhibit, exhibit.target) if exhibit.target else None,
            "experiments": {row: self._described(card, row) for row in exhibit.rows},
        }  # fmt: skip

    def _described(self, card: Card, experiment: str) -> dict[str, Any]:
        spec = card.experiments[experiment]
        return {
            "network": spec.network, "width": card.width, "params": spec.params, "channels": list(spec.channels), "recipe": spec.training,
        }  # fmt: skip

    def _published(self, exhibit: Exhibit) -> list[dict[str, Any]]:
        """Published values of an exhibit, or of the table that its options name; those of all tables, each with its table, for audits."""
        published = self.cards[exhibit.card].published
        if exhibit.kind in ("audit", "model_audit", "extraction_audit", "fusion_audit"):
            return [record | {"table": table} for table, records in published.items() for record in records]
        return published.get(exhibit.options.get("published", exhibit.name), [])

    def targets(self, card: str) -> list[str]:
        """All files that a card delivers: exhibits, and landslide polygons of the experiments it names."""
        exhibits = [file for exhibit in self.cards[card].exhibits.values() for file in exhibit.files]
        runs = [
            Run(card, site, experiment, protocol, self.cards[card].seeds[0])
            for experiment in self.cards[card].polygons
            for site in self.cards[card].sites
            if not (self.is_cell_site(site) or self.joined(site))
            for protocol in self.cards[card].protocols
        ]
        return exhibits + [f"{folder}/landslides.gpkg" for run in runs for folder in self.places_of(run)]

    def places_of(self, run: Run) -> list[str]:
        """Folders of what a run makes that have a place on Earth: its own, or one for each scene of a collage."""
        return [run.cut_out(scene) for scene in self.sites[run.site].scenes] or [run.folder]

    def run_record(self, card: str, experiment: str, seed: int) -> dict[str, Any]:
        """The resolved specification of one training."""
        spec = self.cards[card].experiments[experiment]
        return {
            "network": {"name": spec.network, "width": self.cards[card].width, "params": spec.params},
            "channels": list(spec.channels), "classes": spec.classes, "recipe": spec.training, "seed": seed,
        } | ({"share": spec.share} if spec.share < 1 else {}) | dates_read(spec.dates)  # fmt: skip


def load_plan(config: dict[str, Any], root: str | Path) -> Plan:
    """Check config.yaml and the cards below `root`, resolve them at the chosen scale, and see which cards' data can be had.

    Raises:
        HeadscarpError: an unknown or duplicate name, an unknown key, a wrong value; the message names the place and the remedy.
    """
    root = Path(root)
    workflow = root / "workflow"
    if Path("config.yaml").exists():
        read_yaml(Path("config.yaml"))  # Snakemake reads it too, but lets a duplicate key win silently
    config = check(dict(config), workflow / "schemas" / "config.schema.yaml", "config.yaml")
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", config["device"]):
        raise HeadscarpError(f"config.yaml: device '{config['device']}' does not exist; use auto, cpu, cuda or, for the second GPU, cuda:1")
    records = read_cards(workflow / "cards")
    for name, change in config["overlay"].items():
        require_known(name, records, "config.yaml, overlay: card")
        records[name] = merge(records[name], change or {})
    networks = known_networks(workflow / "scripts" / "headscarp" / "networks")
    cards = {name: resolve_card(record, config, workflow, networks) for name, record in records.items()}
    refuse_shared_sites(cards)
    for name in config["cards"]:
        require_known(name, cards, "config.yaml, cards: card")
    refuse_shared_experiments(cards)
    mirror = config["mirror"] or os.environ.get("HEADSCARP_MIRROR")
    data = config["data"] or os.environ.get("HEADSCARP_DATA")
    skipped = {name: reason for name in config["cards"] if (reason := why_unreachable(cards[name], mirror, data))}
    selected = tuple(name for name in config["cards"] if name not in skipped)
    return Plan(cards, selected, skipped, config["scale"], config["device"], config["threads"], mirror, data)


def refuse_shared_sites(cards: dict[str, Card]) -> None:
    """Two cards may not define a site of the same name: their files would overwrite each other."""
    owner: dict[str, str] = {}
    for card in cards.values():
        for site in card.sites:
            if site in owner:
                raise HeadscarpError(f"site '{site}' is defined by the cards {owner[site]} and {card.name}; rename one")
            owner[site] = card.name


def refuse_shared_experiments(cards: dict[str, Card]) -> None:
    """Experiments of one name must be run by one method, or two rules would make the same file."""
    method: dict[str, tuple[str, str]] = {}
    for card in cards.values():
        for name, experiment in card.experiments.items():
            known, owner = method.setdefault(name, (experiment.method, card.name))
            if known != experiment.method:
                raise HeadscarpError(
                    f"experiment '{name}' is a model of {known} in card {owner} and of {experiment.method} in {card.name}; rename one"
                )


def require_exhibit(card: Card, name: str) -> Exhibit:
    return card.exhibits[require_known(name, card.exhibits, f"card {card.name}: exhibit")]


def why_unreachable(card: Card, mirror: str | None, data: str | None) -> str | None:
    """Why a card's upstream or local files cannot be had, or None where they can (or none are needed)."""
    for site in card.sites.values():
        if site.source == "local" and (reason := why_not_local(site, data)):
            return reason
        if site.source != "archive" or site.raw != site.name:
            continue
        table = {name: file for name, file in read_table(card.archive).items() if name in site.files}
        if not is_reachable(table, mirror, Path(site.folder) / "raw", PROBE_SECONDS):
            tried = f"the mirror {mirror} lacks them" if mirror else "no mirror is set"
            return (
                f"the files of site {site.name} are neither in {site.folder}/raw nor to be had: {tried} and their own address does not "
                "answer; set `mirror:` in config.yaml or HEADSCARP_MIRROR to a folder or URL that holds them, or go online"
            )
    return None


def why_not_local(site: Site, data: str | None) -> str | None:
    """Why the files of a local site cannot be had, or None."""
    folder = Path(data or ".") / (site.origin or site.name)
    missing = [name for name in site.files if not (folder / name).exists()]
    if not missing:
        return None
    where = f"{folder} lacks {', '.join(missing)}" if data else "no folder of data sets is set"
    remedy = f"set `data:` in config.yaml or HEADSCARP_DATA to the folder that holds {folder.name}/"
    return f"the files of site {site.name} are not at hand: {where}; {remedy}"
