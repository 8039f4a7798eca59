"""What is rehearsed before it is run: each different training once, each simulated site as a small one; and
what the forecast needs to know of all jobs."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from headscarp.files import read_json
from headscarp.plan.exhibits import Exhibits
from headscarp.plan.maps import Maps
from headscarp.plan.model import NEIGHBOURHOODS, WINDOWS, Run
from headscarp.plan.paths import CUBE, RUN, SAMPLE_FILES, SEARCH, SITE, TRAINING, TWIN
from headscarp.plan.runs import Runs
from headscarp.plan.samples import Samples
from headscarp.plan.selection import Selection
from headscarp.samples.spec import SamplingSpec
from headscarp.sources.twin.files import memory_mb

# What of a recipe decides how long a step takes and what memory it needs.
COSTLY = ("loss", "optimiser", "batch", "micro_batch", "precision")


@dataclass(frozen=True)
class Rehearsal:
    """The trainings and simulated sites that the selected cards need at the chosen scale."""

    plan: Selection
    samples: Samples
    runs: Runs
    exhibits: Exhibits
    maps: Maps
    _of_cards: dict[str, "Rehearsal"] = field(default_factory=dict, repr=False)

    def of_card(self, card: str) -> "Rehearsal":
        """What one card needs, selected or not; kept, since several rules ask."""
        if card not in self._of_cards:
            alone = replace(self.plan, selected=(card,))
            self._of_cards[card] = replace(self, plan=alone, _of_cards={})
        return self._of_cards[card]

    def training(self, name: str) -> dict[str, Any]:
        """What is rehearsed under a name: of the selected cards, or of one that says how long it takes."""
        areas = (self.of_card(card) for card in self.plan.cards if self.maps.with_best(card))
        return next(one.trainings[name] for one in (self, *areas) if name in one.trainings)

    @cached_property
    def _read_by_exhibits(self) -> list[str]:
        """All files that the exhibits of the selected cards read."""
        exhibits = [one for name in self.plan.selected for one in self.plan.cards[name].exhibits.values()]
        return [path for exhibit in exhibits for path in self.exhibits.inputs(exhibit)]

    @cached_property
    def places(self) -> dict[Run, list[str]]:
        """The runs that the exhibits of the selected cards read and whose maps are delivered, trained ones
        with those that they start from or average, and the places that each maps."""
        read = [asked for path in self._read_by_exhibits if (asked := run_and_place(path))]
        delivered = [asked for name in self.plan.selected for asked in self.maps.mapped(name)]
        found: dict[Run, list[str]] = {}
        for run, place in [*read, *delivered]:
            known = found.setdefault(run, [])
            known += [place] if place and place not in known else []
        for run in list(found):
            self._add_needed(run, found)
        return found

    def _add_needed(self, run: Run, found: dict[Run, list[str]]) -> None:
        spec = self.runs.experiment(run.card, run.experiment)
        needed = self.runs.averaged(run) if spec.average else []
        start = self.runs.start(run.card, run.experiment, run.protocol, str(run.seed))
        for other in [*needed, *([start] if start else [])]:
            if other not in found:
                found[other] = []
                self._add_needed(other, found)

    @cached_property
    def trained(self) -> list[Run]:
        """The runs that train a network."""
        return [run for run in self.places if self._method(run) in (WINDOWS, NEIGHBOURHOODS)]

    def _method(self, run: Run) -> str:
        return self.runs.experiment(run.card, run.experiment).method

    @cached_property
    def searches(self) -> list[tuple[str, str, str, int, str]]:
        """Card, name, protocol, fold and sampler of the searches that exhibits read or that tune runs."""
        files = list(self._read_by_exhibits)
        for run in self.trained:
            files += self.runs.best_of_search(run.card, run.experiment, run.protocol, str(run.seed))
        return sorted({search for path in files if (search := search_of(path))})

    @cached_property
    def trainings(self) -> dict[str, dict[str, Any]]:
        """{name: what is rehearsed}, one of each kind."""
        records = [self.record(run) for run in self.trained]
        records += [self.record_of_search(card, name) for card, name, *_ in self.searches]
        return {name_of(record): record for record in records}

    def record(self, run: Run) -> dict[str, Any]:
        """A run as a rehearsal knows it: without what costs nothing, such as its seed and learning rate."""
        spec = self.runs.record(run.card, run.experiment, run.protocol, run.seed, run.site)
        of_cells = self._method(run) == NEIGHBOURHOODS
        window = None if of_cells else self.runs.side_of_windows(run.card, run.experiment, run.site)
        return self._rehearsed(spec, run.card, run.site, window)

    def record_of_search(self, card: str, name: str) -> dict[str, Any]:
        """A trial of a search as a rehearsal knows it."""
        search = self.plan.cards[card].searches[name]
        window = self.samples.side_of_windows(card, search.site)
        return self._rehearsed(search.record, card, search.site, window)

    def _rehearsed(self, spec: dict[str, Any], card: str, site: str, window: int | None) -> dict[str, Any]:
        return {
            "network": spec["network"],
            "channels": len(spec["channels"]),
            "classes": spec["classes"],
            "recipe": {key: spec["recipe"][key] for key in COSTLY if key in spec["recipe"]},
            "of_cells": window is None,
            "window": window,
            "dates": self._dates(site) if "dates" in spec else 1,
            "mapping": self.plan.cards[card].tiling,
        }

    def _dates(self, name: str) -> int | str:
        """How many dates a site has: as its card lists them, or as its cube tells; the path of that where it
        is not there yet."""
        site = self.plan.sites[name]
        listed = self.plan.sites[site.scenes[0] if site.scenes else name].layers.get("dates")
        if isinstance(listed, list):
            return len(listed)
        cube = f"{site.folder}/cube/cube.json"
        return len(read_json(cube)["dates"]) if Path(cube).exists() else cube

    @property
    def in_words(self) -> dict[str, str]:
        """{name of a training: what it is, and of which cards}."""
        cards: dict[str, dict[str, None]] = {name: {} for name in self.trainings}
        for run in self.trained:
            cards[name_of(self.record(run))][run.card] = None
        for card, search, *_ in self.searches:
            cards[name_of(self.record_of_search(card, search))][card] = None
        return {
            name: f"{record['network']['name']}, {record['channels']} channels, "
            + ("" if record["dates"] == 1 else f"{record['dates']} dates, ")
            + ("cells" if record["of_cells"] else f"windows of {record['window']}")
            + f", batch {record['recipe'].get('batch', 2)} ({', '.join(cards[name])})"
            for name, record in self.trainings.items()
        }

    @cached_property
    def twins(self) -> list[str]:
        """Simulated sites whose raw files are needed."""
        sites = {site for run, places in self.places.items() for site in (run.site, *places)}
        sites |= {site for name in self.plan.selected for site in self.plan.cards[name].sites}
        whole = sites | {scene for site in sites for scene in self.plan.sites[site].scenes}
        raws = {self.plan.sites[site].raw for site in whole}
        return sorted(raw for raw in raws if self.plan.sites[raw].twin)

    @property
    def _twins_at_size(self) -> list[tuple[str, dict[str, Any], float]]:
        return [(name, self.plan.sites[name].twin, self.plan.card_of(name).size) for name in self.twins]

    @property
    def files(self) -> list[str]:
        """What the rehearsals write."""
        trainings = [TRAINING.format(training=name) for name in self.trainings]
        return [*trainings, *(TWIN.format(site=name) for name in self.twins)]

    @property
    def fetched(self) -> list[dict[str, Any]]:
        """Sites whose files are fetched or linked, with the number of those."""
        names = {site for name in self.plan.selected for site in self.plan.cards[name].sites}
        sites = [self.plan.sites[name] for name in sorted(names)]
        return [
            {"site": site.name, "files": len(site.files), "source": site.source}
            for site in sites
            if site.files and not site.twin and site.raw == site.name
        ]

    @property
    def sampled(self) -> list[str]:
        """The cubes and samples of all trainings, which tell how many steps those have."""
        files = [
            file
            for run in self.trained
            for file in (
                *(path.format(site=run.site) for path in CUBE),
                *self.samples.of_run(run.card, run.site, run.protocol, run.seed),
            )
        ]
        return list(dict.fromkeys(files))

    @property
    def forecast(self) -> dict[str, Any]:
        """All that the forecast needs beside what the rehearsals measured."""
        return {
            "scale": self.plan.scale,
            "trainings": {name: TRAINING.format(training=name) for name in self.trainings},
            "what": self.in_words,
            "twins": {
                name: {"file": TWIN.format(site=name), "size": size, "memory_mb": memory_mb(twin, size)}
                for name, twin, size in self._twins_at_size
            },
            "runs": [self._run_record(run) for run in self.trained],
            "searches": [self._search_record(*search) for search in self.searches],
            "fetched": self.fetched,
        }

    def _run_record(self, run: Run) -> dict[str, Any]:
        recipe = self.runs.record(run.card, run.experiment, run.protocol, run.seed, run.site)["recipe"]
        record = self.record(run)
        folds = self.plan.cards[run.card].cells[run.site].get("folds", 1) if record["of_cells"] else 1
        drawn = self.samples.folder(run.card, run.site, run.protocol, run.seed)
        return {
            "run": run.folder,
            "of_cells": record["of_cells"],
            "folds": folds,
            "places": [self._ground(place) for place in self.places[run]],
        } | self._steps(record, recipe, run.card, run.site, drawn)

    def _search_record(self, card: str, name: str, protocol: str, fold: int, sampler: str) -> dict[str, Any]:
        search, record = self.plan.cards[card].searches[name], self.record_of_search(card, name)
        drawn = self.plan.sites[search.site].samples(card, protocol, fold)
        steps = self._steps(record, search.record["recipe"], card, search.site, drawn)
        return steps | {"folder": search.folder(protocol, fold, sampler), "trials": search.record["trials"]}

    def _steps(
        self, record: dict[str, Any], recipe: dict[str, Any], card: str, site: str, drawn: str
    ) -> dict[str, Any]:
        """What tells how many steps a training has, whose samples lie in the folder `drawn`."""
        spec = None if record["of_cells"] else SamplingSpec.from_record(self.samples.windows(card, site))
        return {
            "training": name_of(record),
            "epochs": recipe["epochs"],
            "steps_per_epoch": recipe.get("steps_per_epoch"),
            "batch": recipe.get("batch", 2),
            "windows": f"{drawn}/{SAMPLE_FILES[0]}" if spec else None,
            "stride": spec.stride if spec else None,
            "most_windows": spec.superpixels.maximum if spec and spec.superpixels else None,
            "site": self._ground(site),
        }

    def _ground(self, name: str) -> dict[str, Any]:
        """A site with what tells its size: of it or its scenes the simulated site and the raster whose grid
        it has (`like`), or its resolution; of real ones the cube, where it is there."""
        site = self.plan.sites[name]
        parts = [self.plan.sites[scene] for scene in site.scenes] or [site]
        grids = [(part.raw, part.layers.get("grid", {})) for part in parts]
        return {
            "twins": [
                {"site": raw, "like": grid.get("like"), "resolution_m": grid.get("resolution_m")}
                for raw, grid in grids
                if self.plan.sites[raw].twin
            ],
            "cube": f"{SITE.format(site=name)}/cube/cube.json",
            "resolution_m": site.layers.get("grid", {}).get("resolution_m"),
        }


def name_of(record: dict[str, Any]) -> str:
    """Name of a training that is rehearsed: its network, and a digest of all that decides its cost."""
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:8]
    return f"{record['network']['name']}-{digest}"


def run_and_place(path: str) -> tuple[Run, str | None] | None:
    """The run that a file belongs to, and the place that it is of (None: of no place); None for other
    files."""
    parts, pattern = path.split("/"), RUN.split("/")
    if parts[:2] != pattern[:2] or len(parts) <= len(pattern):
        return None
    _, _, card, site, experiment, protocol, seed, *rest = parts
    run = Run(
        card=card, site=site, experiment=experiment, protocol=protocol, seed=int(seed.removeprefix("seed"))
    )
    return run, rest[0] if len(rest) == 2 and rest[0] != "change" else None


def search_of(path: str) -> tuple[str, str, str, int, str] | None:
    """Card, name, protocol, fold and sampler of the search that a file belongs to; None for other files."""
    parts, pattern = path.split("/"), SEARCH.split("/")
    if parts[:2] != pattern[:2] or len(parts) != len(pattern) + 1:
        return None
    _, _, card, name, protocol, fold, sampler, _ = parts
    return card, name, protocol, int(fold.removeprefix("fold")), sampler
