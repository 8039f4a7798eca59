"""What the rules ask of maps: which are delivered, and what the pages of sites say of them."""

import math
from dataclasses import dataclass
from typing import Any

from headscarp.codes import BLOCKED
from headscarp.plan.model import Run
from headscarp.plan.paths import (
    BEST_MAP,
    FORECAST_OF_CARD,
    MAP_PAGE,
    PROJECT,
    SUMMARY,
    SUSCEPTIBILITY_MAP,
    SUSCEPTIBILITY_PAGE,
)
from headscarp.plan.samples import Samples
from headscarp.plan.selection import Selection
from headscarp.sources.twin.files import bands_of

AUTO = "auto"
SUSCEPTIBILITY_MAPS = "susceptibility_maps"  # the kind of figure
# What the project of a site shows of a run's map, and of its best map.
PROJECT_FILES = ("probability.tif", "classes.tif", "mask.tif", "landslides.gpkg")
BEST_PROJECT_FILES = ("probability.tif", "uncertainty.tif", "mask.tif", "landslides.gpkg")
PIXELS_OF_PART = 100_000_000  # 10,000 x 10,000, beyond which `auto` cuts a scene


@dataclass(frozen=True)
class Maps:
    """The delivered maps of all cards."""

    plan: Selection
    samples: Samples

    def of_home(self, card: str) -> list[Run]:
        """Runs of the first seed whose maps of their own sites a card delivers."""
        chosen = self.plan.cards[card]
        return [
            Run(card=card, site=site, experiment=experiment, protocol=protocol, seed=chosen.seeds[0])
            for experiment in chosen.polygons
            for site in self._trained_on(card)
            for protocol in chosen.protocols
        ]

    def _trained_on(self, card: str) -> list[str]:
        """The sites of a card that its own experiments train on and map pixel by pixel."""
        left_out = self.plan.scenes_of_collages | self.plan.cards[card].targets
        return [
            site
            for site in self.plan.cards[card].sites
            if site not in left_out and not self.plan.is_cell_site(site)
        ]

    def with_best(self, card: str) -> list[str]:
        """The sites that a card describes and gives one map, that of the best of several experiments."""
        chosen = self.plan.cards[card]
        if not chosen.best_map:
            return []
        return [site for site in self._trained_on(card) if self.plan.sites[site].card == card]

    def candidates(self, site: str) -> list[Run]:
        """The runs among which the best map of a site is chosen, experiment by experiment."""
        card = self.plan.card_of(site)
        return [
            Run(card=card.name, site=site, experiment=experiment, protocol=BLOCKED, seed=seed)
            for experiment in card.best_map["among"]
            for seed in card.seeds
        ]

    def choice_record(self, site: str) -> dict[str, Any]:
        """All that `scoring.best_map.choose_map` takes, but for the cube."""
        card = self.plan.card_of(site)
        return {
            "candidates": [
                {
                    "experiment": experiment,
                    "label": card.experiments[experiment].label,
                    "maps": [
                        {
                            "seed": run.seed,
                            "probability": run.file("probability.tif"),
                            "samples": self.samples.folder(card.name, site, run.protocol, run.seed),
                            "run": run.file("run.json"),
                        }
                        for run in self.candidates(site)
                        if run.experiment == experiment
                    ],
                }
                for experiment in card.best_map["among"]
            ],
            "rule": card.best_map.get("threshold", "f1"),
            "method": card.best_map.get("calibration", "platt"),
        }

    def applied(self, card: str) -> list[tuple[Run, str]]:
        """Runs of the first seed whose maps of another site a card delivers, with that site."""
        chosen = self.plan.cards[card]
        seed = chosen.seeds[0]
        found = []
        for one in chosen.apply:
            for protocol in chosen.protocols:
                site, experiment = one["site"], one["experiment"]
                run = Run(card=card, site=site, experiment=experiment, protocol=protocol, seed=seed)
                found.append((run, one["target"]))
        return found

    def of_susceptibility(self, card: str) -> list[Run]:
        """Runs of the first seed whose susceptibility of their own sites a card delivers."""
        chosen = self.plan.cards[card]
        return [
            Run(card=card, site=site, experiment=experiment, protocol=protocol, seed=chosen.seeds[0])
            for site in chosen.cells
            for experiment in chosen.susceptibility
            for protocol in chosen.protocols
        ]

    def susceptibility_runs(self, site: str) -> list[Run]:
        """Those of a site, of the card that describes it."""
        return [run for run in self.of_susceptibility(self.plan.sites[site].card) if run.site == site]

    def parts(self, card: str, place: str) -> int:
        """How many jobs map a place, each a part of it."""
        parts = 1 if self.plan.sites[place].patch_set else self.plan.cards[card].mapping.get("parts", 1)
        return max(1, math.ceil(self._pixels(place) / PIXELS_OF_PART)) if parts == AUTO else parts

    def _pixels(self, place: str) -> float:
        """Pixels of a place whose grid is that of a simulated image, about; 0 of others, whose size no card
        tells."""
        site = self.plan.sites[place]
        raw = self.plan.sites[site.raw]
        grid = site.layers.get("grid", {})
        if not raw.twin or set(grid) != {"like"} or grid["like"] not in bands_of(raw.twin):
            return 0
        return raw.twin.get("rows", 0) * raw.twin.get("cols", 0) * self.plan.card_of(raw.name).size ** 2

    def in_parts(self) -> dict[str, list[str]]:
        """The places that several jobs map, by card."""
        found = {
            card.name: [place for place in card.sites if self.parts(card.name, place) > 1]
            for card in self.plan.cards.values()
        }
        return {card: places for card, places in found.items() if places}

    def places(self, run: Run) -> list[str]:
        """The places on Earth of a run's own site: itself, or the scenes of a collage."""
        return list(self.plan.sites[run.site].scenes) or [run.site]

    def of_card(self, card: str) -> dict[str, str]:
        """Folders of the maps that a card delivers, each with the place that is mapped."""
        best = {BEST_MAP.format(site=site): site for site in self.with_best(card)}
        home = {run.folder_of(place): place for run in self.of_home(card) for place in self.places(run)}
        return best | home | {run.folder_of(target): target for run, target in self.applied(card)}

    def mapped(self, card: str) -> list[tuple[Run, str]]:
        """Runs whose maps a card delivers, or among which it chooses one, each with the place."""
        home = [(run, place) for run in self.of_home(card) for place in self.places(run)]
        best = [(run, site) for site in self.with_best(card) for run in self.candidates(site)]
        return [*home, *self.applied(card), *best]

    def delivered(self, site: str) -> list[str]:
        """Folders of the maps of a site that the card delivers which describes it."""
        return [folder for folder, place in self.of_card(self.plan.sites[site].card).items() if place == site]

    def pages(self, card: str) -> dict[str, str]:
        """The page of each site that a card describes and delivers maps of."""
        sites = [place for place in self.of_card(card).values() if self.plan.sites[place].card == card]
        return {site: SUMMARY.format(site=site) for site in sites}

    def targets(self, card: str) -> list[str]:
        """Files that bring forth all maps that a card delivers, with the pages of their sites, and how long
        those of an area will take."""
        polygons = [f"{folder}/landslides.gpkg" for folder in self.of_card(card)]
        pages = self.pages(card)
        cells = [site for site in self.plan.cards[card].cells if self.susceptibility(site)]
        projects = [PROJECT.format(site=site) for site in (*pages, *cells)]
        sites = dict.fromkeys(run.site for run in self.of_susceptibility(card))
        susceptibility = [
            page.format(site=site) for site in sites for page in (SUSCEPTIBILITY_PAGE, SUSCEPTIBILITY_MAP[0])
        ]
        maps = [MAP_PAGE.format(site=site) for site in pages]
        forecast = [FORECAST_OF_CARD[0].format(card=card)] if self.with_best(card) else []
        return [*forecast, *polygons, *pages.values(), *maps, *projects, *susceptibility]

    def susceptibility(self, site: str) -> list[Run]:
        """Runs of the first seed that a figure of the card which describes a site shows as maps of
        susceptibility, of the cells that the site is or of those made of its raw files; those under `blocked`
        first. Patches are on no map."""
        card, own = self.plan.card_of(site), self.plan.sites[site]
        shown = {
            name
            for name in ([site] if site in card.cells else card.cells)
            if self.plan.sites[name].raw == own.raw and not own.has_patches
        }
        runs = [
            Run(card=card.name, site=cells, experiment=row, protocol=protocol, seed=card.seeds[0])
            for exhibit in card.exhibits.values()
            if exhibit.kind == SUSCEPTIBILITY_MAPS
            for cells in exhibit.sites
            if cells in shown
            for protocol in exhibit.protocols
            for row in exhibit.rows
            if card.is_tested(cells, protocol)
        ]
        return sorted(dict.fromkeys(runs), key=lambda run: run.protocol != "blocked")

    def project_files(self, site: str) -> list[str]:
        """The maps that the project of a site shows."""
        best = BEST_MAP.format(site=site)
        mapped = [
            f"{folder}/{name}"
            for folder in self.delivered(site)
            for name in (BEST_PROJECT_FILES if folder == best else PROJECT_FILES)
        ]
        return mapped + [run.file("susceptibility.tif") for run in self.susceptibility(site)]

    def project_record(self, site: str) -> dict[str, Any]:
        """All that `delivery.project.write_project` takes."""
        experiments = self.plan.cards[self.plan.sites[site].card].experiments
        maps = [
            {
                "title": f"{experiments[run.experiment].label} · {run.protocol} · seed {run.seed}",
                "map": run.file("susceptibility.tif"),
            }
            for run in self.susceptibility(site)
        ]
        return self.page_record(site) | {"susceptibility": maps}

    def item_record(self, run: Run, place: str) -> dict[str, Any]:
        """What the STAC item of a map tells of the run and of the mapped place."""
        card = self.plan.cards[run.card]
        return {
            "card": card.name,
            "citation": card.citation,
            "site": place,
            "site_title": self.plan.sites[place].title,
            "placeless": self.plan.sites[place].placeless,
            "experiment": run.experiment,
            "label": card.experiments[run.experiment].label,
            "protocol": run.protocol,
            "seeds": [int(run.seed)],
            "scale": self.plan.scale,
        }

    def best_item_record(self, site: str) -> dict[str, Any]:
        """What the STAC item of the best map of a site tells of the place; what it tells of the model is
        known when one was chosen."""
        card = self.plan.card_of(site)
        return {
            "card": card.name,
            "citation": card.citation,
            "site": site,
            "site_title": self.plan.sites[site].title,
            "placeless": self.plan.sites[site].placeless,
            "protocol": BLOCKED,
            "scale": self.plan.scale,
        }

    def page_record(self, name: str) -> dict[str, Any]:
        """All that `delivery.summary_page.build_page` takes."""
        site = self.plan.sites[name]
        card = self.plan.cards[site.card]
        home = [(run, {}) for run in self.of_home(card.name) if name in self.places(run)]
        applied = [
            (run, {"trained_on": self.plan.sites[run.site].title})
            for run, target in self.applied(card.name)
            if target == name
        ]
        return {
            "name": name,
            "title": site.title,
            "data": site.data,
            "folder": site.folder,
            "raw": site.raw_folder,
            "card": card.name,
            "citation": card.citation,
            "scale": self.plan.scale,
            "composite": site.composite,
            "placeless": site.placeless,
            "best": BEST_MAP.format(site=name) if name in self.with_best(card.name) else None,
            "runs": [self._run_record(run, name) | origin for run, origin in [*home, *applied]],
        }

    def susceptibility_record(self, name: str) -> dict[str, Any]:
        """All that `delivery.susceptibility_page.build_susceptibility_page` takes."""
        site = self.plan.sites[name]
        return {
            "name": name,
            "title": site.title,
            "data": site.data,
            "folder": site.folder,
            "raw": site.raw_folder,
            "placeless": site.placeless,
            "citation": self.plan.cards[site.card].citation,
            "runs": [self.delivered_run(run) for run in self.susceptibility_runs(name)],
        }

    def delivered_run(self, run: Run) -> dict[str, Any]:
        """What `exhibits.spec.RunFiles` takes of a run and its map of its own site."""
        return {
            "row": run.experiment,
            "label": self.plan.cards[run.card].experiments[run.experiment].label,
            "experiment": run.experiment,
            "protocol": run.protocol,
            "seed": run.seed,
            "folder": run.folder,
            "maps": run.home,
        }

    def _run_record(self, run: Run, place: str) -> dict[str, Any]:
        return {
            "label": self.plan.cards[run.card].experiments[run.experiment].label,
            "experiment": run.experiment,
            "protocol": run.protocol,
            "seed": run.seed,
            "folder": run.folder,
            "home": run.home,
            "maps": run.folder_of(place),
        }
