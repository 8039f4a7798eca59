"""The plan: config.yaml and the cards, checked once. Nothing else reads either.

Rules ask it which runs an exhibit needs; scripts get plain records through `params` and never see the plan.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from headscarp.errors import HeadscarpError
from headscarp.exhibits.needs import AUDITED, CLASS_SCORES, SCORES
from headscarp.plan.cards import (
    CELLS,
    CLASS_METRICS,
    NEIGHBOURHOODS,
    PIXEL_METRICS,
    Card,
    Claim,
    ClaimTest,
    Exhibit,
    Site,
    check,
    dates_read,
    known_networks,
    merge,
    read_cards,
    resolve_card,
)
from headscarp.plan.origins import Origins
from headscarp.scoring.claims import printed_effect
from headscarp.site.terrain_names import names_over_windows
from headscarp.sources.archive import is_reachable, read_table
from headscarp.sources.datasets import Dataset, read_datasets
from headscarp.vocabulary import require_known
from headscarp.yaml_files import read_yaml

AREAS = "areas"  # the folder of a user's cards, beside config.yaml
PROBE_SECONDS = 3
CUBE_FILES = ("cube.npy", "cube.json", "label.npy", "instances.npy")
SAMPLE_FILES = ("windows.csv", "regions.npy", "blocks.npy", "samples.json")
# What is delivered beside the probability of a map.
MAP_FILES = (
    "classes.tif",
    "landslides.gpkg",
    "probability.qml",
    "classes.qml",
    "landslides.qml",
    "item.json",
    "thumbnail.png",
)
CELL_FILES = ("cells.npz", "cells.json")
AUDIT_TABLES = tuple(f"results/tables/audit.{ending}" for ending in ("csv", "md", "html"))
CLAIM_TABLES = tuple(f"results/tables/claims.{ending}" for ending in ("csv", "md", "html"))
CLAIM_FIGURES = tuple(f"results/figures/claims.{ending}" for ending in ("png", "pdf"))


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
    stac: str
    offline: bool
    datasets: dict[str, Dataset]

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that tell jobs where to run and where to fetch."""
        return {
            "HEADSCARP_DEVICE": self.device,
            "HEADSCARP_MIRROR": self.mirror or "",
            "HEADSCARP_STAC": self.stac,
            "HEADSCARP_OFFLINE": "1" if self.offline else "",
        }

    @cached_property
    def sites(self) -> dict[str, Site]:
        """Sites by name, as the card resolves them that describes them."""
        return {
            name: site
            for card in self.cards.values()
            for name, site in card.sites.items()
            if site.card == card.name
        }

    @cached_property
    def origins(self) -> Origins:
        """Where the files of areas come from."""
        return Origins(self.sites, self.datasets)

    def card_of(self, site: str) -> Card:
        return self.cards[self.sites[site].card]

    def names_of_experiments(self, *methods: str) -> list[str]:
        """Experiments of all cards that are run by one of `methods` (by any where none is named)."""
        found = {
            e.name
            for card in self.cards.values()
            for e in card.experiments.values()
            if e.method in methods or not methods
        }
        return sorted(found)

    def names_of_cards(self, several_classes: bool) -> list[str]:
        """Cards whose networks tell several classes apart, or landslides only."""
        return sorted(
            name
            for name, card in self.cards.items()
            if several_classes == any(e.classes > 1 for e in card.experiments.values())
        )

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
        """Class maps of a run at each date of its card's comparison: of its own site, or of another that it
        was applied to."""
        sites = [one["site"] for one in self.cards[run.card].change["dates"]]
        return [f"{run.folder if site == run.site else run.elsewhere(site)}/classes.tif" for site in sites]

    def dated_truth(self, card: str) -> list[str]:
        """Files of the true landslides at each date of a card's comparison, where it names them."""
        dates = self.cards[card].change["dates"]
        return [f"{self.sites[one['site']].raw_folder}/{one['truth']}" for one in dates if "truth" in one]

    def sampling(self, card: str, site: str) -> dict[str, Any]:
        """How windows are drawn on a site: the card's way, with the site's changes."""
        return merge(self.cards[card].sampling, self.cards[card].sites[site].sampling)

    def terrain_over_windows(self, site: str) -> list[str]:
        """Terrain layers over windows that a site asks for."""
        return names_over_windows(self.sites[site].layers.get("terrain", []))

    def joined(self, site: str) -> bool:
        """Whether a site is a scene of a collage."""
        return any(site in other.scenes for other in self.sites.values())

    @property
    def benchmarks(self) -> list[str]:
        """Sites that are sets of patches."""
        return [site.name for site in self.sites.values() if site.benchmark]

    def is_users_scene(self, site: str) -> bool:
        """Whether a site is a scene of a collage whose files come from a user."""
        return self.joined(site) and self.sites[site].source == "local"

    def is_cell_site(self, site: str) -> bool:
        return site in self.card_of(site).cells

    def sample_files(self, site: str) -> tuple[str, ...]:
        return CELL_FILES if self.is_cell_site(site) else SAMPLE_FILES

    def inventory_run(self, card: str, protocol: str) -> Run:
        """The run whose landslides label the cells of a card: the first seed of its inventory's
        experiment."""
        chosen = self.cards[card].inventory
        return Run(card, chosen["site"], chosen["experiment"], protocol, self.cards[card].seeds[0])

    def cell_sources(self, site: str, protocol: str) -> dict[str, str]:
        """Files that label the cells of a site: an inventory with the truth and the area it is held against,
        or points; none for layers."""
        card = self.card_of(site)
        record, raw = card.cells[site], self.sites[site].raw_folder
        if "inventory" in record:
            target = card.inventory["target"]
            files = {
                "inventory": f"{self.inventory_run(card.name, protocol).elsewhere(target)}/inventory.gpkg"
            }
            return files | {role: f"{raw}/{file}" for role, file in record["inventory"].items()}
        return {"points": f"{raw}/{record['points']['file']}"} if "points" in record else {}

    def names_of_exhibits(self, tables: bool) -> list[str]:
        return sorted(
            {e.name for card in self.cards.values() for e in card.exhibits.values() if e.is_table == tables}
        )

    def exhibit(self, card: str, name: str) -> Exhibit:
        return require_exhibit(self.cards[card], name)

    def runs_of(self, exhibit: Exhibit) -> list[Run]:
        """The runs an exhibit is drawn from, in the order of its rows."""
        if not (exhibit.needs.run or exhibit.needs.elsewhere or exhibit.needs.cross):
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
        # scores and maps of the target site in place of those of the run's own
        of_target = exhibit.options.get("elsewhere", False)
        files = [
            f"{run.elsewhere(exhibit.target) if of_target else run.folder}/{name}"
            for run in runs
            for name in needs.run
        ]
        files += [f"{run.elsewhere(exhibit.target)}/{name}" for run in runs for name in needs.elsewhere]
        files += [
            f"{run.elsewhere(site)}/{name}"
            for run in runs
            for site in exhibit.sites
            if site != run.site
            for name in needs.cross
        ]
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
            files += [
                f"{folder}/{file}"
                for folder in self._samples(exhibit, site).values()
                for file in self.sample_files(name)
            ]
        return files

    def _samples(self, exhibit: Exhibit, site: Site) -> dict[str, str]:
        return {
            protocol: f"{site.folder}/samples/{exhibit.card}/{protocol}" for protocol in exhibit.protocols
        }

    def _site_record(self, exhibit: Exhibit, name: str) -> dict[str, Any]:
        site = self.sites[name]
        samples = self._samples(exhibit, site)
        return {
            "name": name,
            "title": site.title,
            "folder": site.folder,
            "raw": site.raw_folder,
            "data": site.data,
            "samples": samples,
        }

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
                {
                    "row": run.experiment,
                    "label": label,
                    "experiment": run.experiment,
                    "protocol": run.protocol,
                    "seed": run.seed,
                }
                | {"folder": run.folder}
            )
        return {
            "card": exhibit.card,
            "name": exhibit.name,
            "kind": exhibit.kind,
            "title": exhibit.title,
            "caption": exhibit.caption,
            "sites": sites,
            "runs": runs,
            "options": exhibit.options,
            "published": self._published(exhibit),
            "searches": self._searches(exhibit),
            "target": self._site_record(exhibit, exhibit.target) if exhibit.target else None,
            "experiments": {row: self._described(card, row, exhibit.sites[0]) for row in exhibit.rows},
        }

    def _described(self, card: Card, experiment: str, site: str) -> dict[str, Any]:
        spec = card.experiments[experiment]
        return {
            "network": spec.network,
            "width": card.width,
            "params": spec.params,
            "channels": list(spec.channels_at(site)),
            "recipe": spec.training,
        }

    def _published(self, exhibit: Exhibit) -> list[dict[str, Any]]:
        """Published values of an exhibit, or of the table that its options name; those of all tables, each
        with its table, for audits."""
        published = self.cards[exhibit.card].published
        if exhibit.kind in ("audit", "model_audit", "extraction_audit", "fusion_audit"):
            return [record | {"table": table} for table, records in published.items() for record in records]
        return published.get(exhibit.options.get("published", exhibit.name), [])

    def audit_targets(self) -> list[str]:
        """Files with the audit of the published numbers of the selected cards, if any has some."""
        return list(AUDIT_TABLES) if any(card in AUDITED for card in self.selected) else []

    def audit_samples(self) -> list[dict[str, str]]:
        """Windows of the selected cards, by site and protocol, whose overlap the audit tells."""
        return [
            {
                "card": card,
                "site": site,
                "protocol": protocol,
                "folder": f"{self.sites[site].folder}/samples/{card}/{protocol}",
            }
            for card in self.selected
            for site, protocol in dict.fromkeys(
                (site, protocol)
                for exhibit in self.cards[card].exhibits.values()
                for site in (exhibit.sites if exhibit.needs.run else ())
                for protocol in exhibit.protocols
                if not self.is_cell_site(site)
            )
        ]

    def audit_record(self) -> dict[str, Any]:
        """All that `exhibits.paper_audits` takes."""
        published = {card: self.cards[card].published for card in AUDITED if card in self.selected}
        return {"published": published, "samples": self.audit_samples()}

    def claim_tests(self) -> list[tuple[Claim, ClaimTest]]:
        """The claims of the selected cards, each with those of its tests that selected cards run, in
        order."""
        claims = [claim for name in self.selected for claim in self.cards[name].claims.values()]
        return [(claim, test) for claim in claims for test in claim.tests if test.card in self.selected]

    def claim_targets(self) -> list[str]:
        """Files with the verdict on the claims of the selected cards, if they make any."""
        return [*CLAIM_TABLES, *CLAIM_FIGURES] if self.claim_tests() else []

    def claim_runs(self, test: ClaimTest) -> dict[str, list[list[str]]]:
        """Folders of the scores that a test compares: {protocol: [those of the first row by seed, those of
        the second]}."""
        card = self.cards[test.card]
        runs = {
            protocol: [
                [Run(test.card, test.site, row, protocol, seed) for seed in card.seeds]
                for row in (test.first, test.second)
            ]
            for protocol in card.protocols
            if protocol in (test.protocols or card.protocols)
        }
        return {
            protocol: [
                [run.elsewhere(test.target) if test.target else run.folder for run in side] for side in sides
            ]
            for protocol, sides in runs.items()
        }

    def claim_inputs(self) -> list[str]:
        """The files of scores that the claims are judged from."""
        files = [
            f"{folder}/{name}"
            for _, test in self.claim_tests()
            for sides in self.claim_runs(test).values()
            for side in sides
            for folder in side
            for name in (CLASS_SCORES if of_classes(self.cards[test.card], test) else SCORES)
        ]
        return list(dict.fromkeys(files))

    def claims_record(self) -> dict[str, Any]:
        """All that `exhibits.claims` takes."""
        tests = self.claim_tests()
        return {
            "title": "The claims of the papers, tested",
            "caption": (
                "Each line tests a claim as the difference of a score between two runs, with a 95 % "
                "interval by paired bootstrap over "
                "blocks and seeds: supported where the interval lies above 0, contradicted where it "
                "lies below, else inconclusive. "
                f"All runs are of scale {self.scale}; networks that learned for longer may differ otherwise."
            ),
            "cards": {claim.card: self.cards[claim.card].title for claim, _ in tests},
            "tests": [self._test_record(claim, test) for claim, test in tests],
            "left_out": self._claims_left_out(),
        }

    def _test_record(self, claim: Claim, test: ClaimTest) -> dict[str, Any]:
        card, site = self.cards[test.card], test.target or test.site
        return {
            "card": claim.card,
            "claim": claim.name,
            "text": claim.text,
            "place": claim.place,
            "metric": claim.metric,
            "site": site,
            "trained_on": test.site,
            "data": self.sites[site].data,
            "first": test.first,
            "second": test.second,
            "labels": [card.experiments[row].label for row in (test.first, test.second)],
            "runs": self.claim_runs(test),
            "of_classes": of_classes(card, test),
            "published_effect": self._printed_effect(claim, test),
            "note": test.note,
        }

    def _printed_effect(self, claim: Claim, test: ClaimTest) -> float | None:
        if test.published is None:
            return None
        table = self.cards[claim.card].published[test.published["table"]]
        return printed_effect(
            table,
            test.published["rows"],
            test.published["metric"],
            f"card {claim.card}, claim {claim.name}, published",
        )

    def _claims_left_out(self) -> list[str]:
        """A sentence for each card whose claims, or whose runs for the claims of others, are left out."""
        why = {
            name: "is skipped: its data are not at hand" if name in self.skipped else "is not selected"
            for name in self.cards
        }
        lines = [
            f"Claims of {name} are not tested: the card {why[name]}."
            for name, card in self.cards.items()
            if card.claims and name not in self.selected
        ]
        missing: dict[str, list[str]] = {}
        for name in self.selected:
            for claim in self.cards[name].claims.values():
                for test in claim.tests:
                    if test.card not in self.selected:
                        missing.setdefault(test.card, []).append(f"{name}: {claim.name}")
        return lines + [
            f"Tests on runs of {card} are left out ({', '.join(dict.fromkeys(claims))}): the card "
            f"{why[card]}."
            for card, claims in missing.items()
        ]

    def targets(self, card: str) -> list[str]:
        """All files that a card delivers: exhibits, and landslide polygons of the experiments it names with a
        page for each site."""
        exhibits = [file for exhibit in self.cards[card].exhibits.values() for file in exhibit.files]
        return (
            exhibits
            + [f"{folder}/landslides.gpkg" for folder in self.maps(card)]
            + [*self.pages(card).values(), *self.map_pages(card)]
        )

    def pages(self, card: str) -> dict[str, str]:
        """The page of each site that a card describes and delivers maps of."""
        return {
            site: f"results/sites/{site}/summary.html"
            for site in self.maps(card).values()
            if self.sites[site].card == card
        }

    def map_pages(self, card: str) -> list[str]:
        """The interactive map of each of these sites."""
        return [f"results/sites/{site}/map.html" for site in self.pages(card)]

    def exhibit_targets(self, tables: bool) -> list[str]:
        """Files of all tables of the selected cards, or of all figures, with those of their claims and
        audit."""
        exhibits = [
            one
            for card in self.selected
            for one in self.cards[card].exhibits.values()
            if one.is_table == tables
        ]
        together = (CLAIM_TABLES if tables else CLAIM_FIGURES) if self.claim_tests() else ()
        return [
            *(file for one in exhibits for file in one.files),
            *together,
            *(self.audit_targets() if tables else ()),
        ]

    def maps(self, card: str) -> dict[str, str]:
        """Folders of the maps that a card delivers, each with the site that is mapped."""
        found = {}
        for run in self.mapping_runs(card):
            found |= {run.cut_out(scene): scene for scene in self.sites[run.site].scenes} or {
                run.folder: run.site
            }
        for run, target in self.applied_runs(card):
            found[run.elsewhere(target)] = target
        return found

    def mapping_runs(self, card: str) -> list[Run]:
        """Runs of the first seed whose maps of their own sites a card delivers."""
        return [
            Run(card, site, experiment, protocol, self.cards[card].seeds[0])
            for experiment in self.cards[card].polygons
            for site in self.cards[card].sites
            if not (self.is_cell_site(site) or self.joined(site) or site in self.cards[card].targets)
            for protocol in self.cards[card].protocols
        ]

    def applied_runs(self, card: str) -> list[tuple[Run, str]]:
        """Runs of the first seed whose maps of another site a card delivers, with that site."""
        return [
            (Run(card, one["site"], one["experiment"], protocol, self.cards[card].seeds[0]), one["target"])
            for one in self.cards[card].apply
            for protocol in self.cards[card].protocols
        ]

    def delivered(self, site: str) -> list[str]:
        """Folders of the maps of a site that the card delivers which describes it."""
        return [folder for folder, mapped in self.maps(self.sites[site].card).items() if mapped == site]

    def map_record(self, wildcards: Any, site: str) -> dict[str, Any]:
        """What the STAC item of a map tells of the run and of the mapped site."""
        card = self.cards[wildcards.card]
        return {
            "card": card.name,
            "citation": card.citation,
            "site": site,
            "site_title": self.sites[site].title,
            "experiment": wildcards.experiment,
            "label": card.experiments[wildcards.experiment].label,
            "protocol": wildcards.protocol,
            "seed": int(wildcards.seed),
            "scale": self.scale,
        }

    def page_record(self, name: str) -> dict[str, Any]:
        """All that `exhibits.area_page.build_page` takes."""
        site = self.sites[name]
        card = self.cards[site.card]
        runs = [
            (run, folder, {})
            for run in self.mapping_runs(card.name)
            for folder in self.places_of(run)
            if folder in self.delivered(name)
        ]
        applied = [run for run, target in self.applied_runs(card.name) if target == name]
        runs += [(run, run.elsewhere(name), {"trained_on": self.sites[run.site].title}) for run in applied]
        return {
            "name": name,
            "title": site.title,
            "data": site.data,
            "folder": site.folder,
            "raw": site.raw_folder,
            "card": card.name,
            "citation": card.citation,
            "scale": self.scale,
            "composite": site.composite,
            "runs": [
                {
                    "label": card.experiments[run.experiment].label,
                    "experiment": run.experiment,
                    "protocol": run.protocol,
                }
                | {"seed": run.seed, "folder": run.folder, "maps": folder}
                | origin
                for run, folder, origin in runs
            ],
        }

    def provenance_record(self) -> dict[str, Any]:
        """What the selected cards deliver and from which raw files, for `provenance.record_of`."""
        cards = [self.cards[name] for name in self.selected]
        used = [self.sites[name] for card in cards for name in card.sites]
        names = dict.fromkeys(
            name for site in used for name in (site.name, *site.scenes, *([] if site.scenes else [site.raw]))
        )
        exhibits = [exhibit for card in cards for exhibit in card.exhibits.values()]
        return {
            "scale": self.scale,
            "skipped": self.skipped,
            "cards": {
                card.name: {
                    "title": card.title,
                    "citation": card.citation,
                    "protocols": list(card.protocols),
                    "seeds": list(card.seeds),
                }
                for card in cards
            },
            "sites": {name: self._source_record(self.sites[name]) for name in names},
            "exhibits": [
                {"card": one.card, "name": one.name, "kind": one.kind, "title": one.title, "files": one.files}
                for one in exhibits
            ]
            + [
                {"card": None, "name": name, "kind": name, "title": title, "files": files}
                for name, title, files in (
                    ("claims", "The claims of the papers, tested", self.claim_targets()),
                    ("audit", "The printed numbers of the papers, audited", self.audit_targets()),
                )
                if files
            ],
            "maps": [
                {"card": card.name, "folder": folder, "site": site, "files": [f"{folder}/landslides.gpkg"]}
                for card in cards
                for folder, site in self.maps(card.name).items()
            ],
        }

    def _source_record(self, site: Site) -> dict[str, Any]:
        """Where the raw files of a site come from: it has some of its own unless it joins `scenes` or borrows
        those of another (`raw`). `table` has the address, licence and citation of those of an archive."""
        own = site.raw == site.name and not site.scenes
        table = read_table(self.card_of(site.name).archive) if own and site.source == "archive" else {}
        return {
            "title": site.title,
            "card": site.card,
            "data": site.data,
            "source": site.source,
            "seed": site.seed if site.twin else None,
            "citation": site.layers.get("citation") or self.cards[site.card].citation,
            "raw": site.raw,
            "scenes": list(site.scenes),
            "origins": site.origins,
            "files": site.raw_files if own else [],
            "table": {
                name: {"url": file.url, "licence": file.licence, "citation": file.citation}
                for name, file in table.items()
            },
        }

    def places_of(self, run: Run) -> list[str]:
        """Folders of what a run makes that have a place on Earth: its own, or one for each scene of a
        collage."""
        return [run.cut_out(scene) for scene in self.sites[run.site].scenes] or [run.folder]

    def run_record(self, card: str, experiment: str, seed: int, site: str = "") -> dict[str, Any]:
        """The resolved specification of one training; the site matters where its input groups have channels
        of their own."""
        spec = self.cards[card].experiments[experiment]
        return (
            {
                "network": {"name": spec.network, "width": self.cards[card].width, "params": spec.params},
                "channels": list(spec.channels_at(site)),
                "classes": spec.classes,
                "recipe": spec.training,
                "seed": seed,
            }
            | ({"share": spec.share} if spec.share < 1 else {})
            | dates_read(spec.dates)
        )


def load_plan(config: dict[str, Any], root: str | Path) -> Plan:
    """Check config.yaml and the cards below `root`, resolve them at the chosen scale, and see which cards'
    data can be had.

    Raises:
        HeadscarpError: an unknown or duplicate name, an unknown key, a wrong value; the message names the
        place and the remedy.
    """
    root = Path(root)
    workflow = root / "workflow"
    if Path("config.yaml").exists():
        read_yaml(Path("config.yaml"))  # Snakemake reads it too, but lets a duplicate key win silently
    if config.get("offline") in ("true", "false"):  # `--config offline=true` hands text on
        config = config | {"offline": config["offline"] == "true"}
    # and a list as one of texts
    if isinstance(config.get("seeds"), list) and all(str(seed).isdigit() for seed in config["seeds"]):
        config = config | {"seeds": [int(seed) for seed in config["seeds"]]}
    config = check(dict(config), workflow / "schemas" / "config.schema.yaml", "config.yaml")
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", config["device"]):
        raise HeadscarpError(
            f"config.yaml: device '{config['device']}' does not exist; use auto, cpu, cuda or, for the "
            f"second GPU, cuda:1"
        )
    records = read_cards([workflow / "cards", Path(AREAS)], workflow / "schemas" / "card.schema.yaml")
    for name, change in config["overlay"].items():
        require_known(name, records, "config.yaml, overlay: card")
        records[name] = merge(records[name], change or {})
    networks = known_networks(workflow / "scripts" / "headscarp" / "networks")
    for name, record in records.items():
        check(record, workflow / "schemas" / "card.schema.yaml", f"card {name} with its overlay")
    cards = {
        name: resolve_card(record, config, workflow, networks, records) for name, record in records.items()
    }
    refuse_shared_sites(cards)
    for name in config["cards"]:
        require_known(name, cards, "config.yaml, cards: card")
    refuse_shared_experiments(cards)
    check_claims(cards)
    mirror = config["mirror"] or os.environ.get("HEADSCARP_MIRROR")
    data = config["data"] or os.environ.get("HEADSCARP_DATA")
    offline = config["offline"] or bool(os.environ.get("HEADSCARP_OFFLINE"))
    skipped = {
        name: reason
        for name in config["cards"]
        if (reason := why_unreachable(cards[name], cards, mirror, data, offline))
    }
    selected = tuple(name for name in config["cards"] if name not in skipped)
    plan = Plan(
        cards,
        selected,
        skipped,
        config["scale"],
        config["device"],
        config["threads"],
        mirror,
        data,
        config["stac"],
        offline,
        read_datasets(workflow / "datasets.yaml"),
    )
    if offline:
        refuse_missing(plan)
    return plan


def refuse_missing(plan: Plan) -> None:
    """Without a network, name all that is missing of the selected cards and of the user's areas, with the
    commands that fetch it.

    Raises:
        HeadscarpError: something is missing.
    """
    raws = {site.raw for name in plan.selected for site in plan.cards[name].sites.values()}
    sites = [site for site in plan.sites.values() if site.name in raws or site.origins]
    tables = {site.name: plan.cards[site.card].archive for site in sites if site.source == "archive"}
    if text := plan.origins.missing(sites, tables, plan.mirror):
        raise HeadscarpError(text)


def refuse_shared_sites(cards: dict[str, Card]) -> None:
    """Two cards may not define a site of the same name: their files would overwrite each other."""
    owner: dict[str, str] = {}
    for card in cards.values():
        for site in (name for name, site in card.sites.items() if site.card == card.name):
            if site in owner:
                raise HeadscarpError(
                    f"site '{site}' is defined by the cards {owner[site]} and {card.name}; rename one "
                    f"or borrow it: {{of: {owner[site]}}}"
                )
            owner[site] = card.name


def refuse_shared_experiments(cards: dict[str, Card]) -> None:
    """Experiments of one name must be run by one method, or two rules would make the same file."""
    method: dict[str, tuple[str, str]] = {}
    for card in cards.values():
        for name, experiment in card.experiments.items():
            known, owner = method.setdefault(name, (experiment.method, card.name))
            if known != experiment.method:
                raise HeadscarpError(
                    f"experiment '{name}' is a model of {known} in card {owner} and of "
                    f"{experiment.method} in {card.name}; rename one"
                )


def of_classes(card: Card, test: ClaimTest) -> bool:
    """Whether the runs of a test tell several classes apart."""
    return card.experiments[test.first].classes > 1


def check_claims(cards: dict[str, Card]) -> None:
    """Every name in every claim must exist, in the card that makes the claim or in the one whose runs test
    it."""
    for card in cards.values():
        for claim in card.claims.values():
            for test in claim.tests:
                check_claim(claim, test, cards)


def check_claim(claim: Claim, test: ClaimTest, cards: dict[str, Card]) -> None:
    """Raise a `HeadscarpError` where a test of a claim names what does not exist, or runs that its site
    cannot have."""
    place = f"card {claim.card}, claim {claim.name}"
    card = cards[require_known(test.card, cards, f"{place}: card")]
    for site in filter(None, (test.site, test.target)):
        require_known(site, card.sites, f"{place}: site of card {card.name}")
    for row in (test.first, test.second):
        experiment = card.experiments[
            require_known(row, card.experiments, f"{place}: experiment of card {card.name}")
        ]
        if (experiment.method in (NEIGHBOURHOODS, CELLS)) != (test.site in card.cells):
            kind = "cells" if test.site in card.cells else "windows of pixels"
            raise HeadscarpError(
                f"{place}: site '{test.site}' is sampled as {kind}, on which '{row}' does not run; name "
                f"another site or row"
            )
    require_known(
        claim.metric, CLASS_METRICS if of_classes(card, test) else PIXEL_METRICS, f"{place}: metric"
    )
    if test.published:
        published = cards[claim.card].published
        table = published[require_known(test.published["table"], published, f"{place}, published: table")]
        printed_effect(table, test.published["rows"], test.published["metric"], f"{place}, published")


def require_exhibit(card: Card, name: str) -> Exhibit:
    return card.exhibits[require_known(name, card.exhibits, f"card {card.name}: exhibit")]


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
        if reason := next(why_no_path(site), None):
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
        if "path" in spec and not Path(spec["path"]).expanduser().exists():
            yield (
                f"{spec['path']} does not exist (site {site.name}, files, {name}); paths start at the "
                f"folder of config.yaml, correct it"
            )


def why_not_local(site: Site, data: str | None) -> str | None:
    """Why the files of a local site cannot be had, or None."""
    folder = Path(data or ".") / (site.origin or site.name)
    missing = [name for name in site.files if not (folder / name).exists()]
    if not missing:
        return None
    where = f"{folder} lacks {', '.join(missing)}" if data else "no folder of data sets is set"
    remedy = f"set `data:` in config.yaml or HEADSCARP_DATA to the folder that holds {folder.name}/"
    return f"the files of site {site.name} are not at hand: {where}; {remedy}"
