"""What cards are resolved to at one scale: sites, experiments, searches and runs."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headscarp.plan.paths import HOME, PLACE, RUN, SAMPLES, SEARCH, SITE, is_of_run
from headscarp.plan.shown import Claim, Exhibit
from headscarp.site.terrain_names import names_over_windows
from headscarp.yaml_files import merge

# How an experiment is run: a network that reads windows of pixels, a forest on single pixels, a network on
# the neighbourhoods of cells of susceptibility, and models on single cells; or, of what another experiment
# trained, averages over the symmetries of windows and over seeds.
WINDOWS, FOREST, NEIGHBOURHOODS, CELLS = "windows", "forest", "neighbourhoods", "cells"
SYMMETRIES, SEEDS = "symmetries", "seeds"
MAPPED = (WINDOWS, FOREST, SYMMETRIES, SEEDS)  # those that map landslides pixel by pixel
MAPS = "maps"  # what a scale delivers beside exhibits
METHODS = {"random_forest": FOREST, "cnn3d": NEIGHBOURHOODS} | dict.fromkeys(
    ("gbdt_lr", "logistic_regression", "cell_forest"), CELLS
)


@dataclass(frozen=True, kw_only=True)
class Site:
    """A study area: where its raw files come from (`raw` is the site that holds them) and how they become
    layers.

    A collage has neither; it joins the cubes of `scenes`. `sampling` changes that of the card. `origins` says
    of each file of an area or a set of patches where it comes from, and `patch_set` how the patches of one
    are read, which have no layers. `crs` is given to rasters of a local folder that have none; sites of one
    `ground` show the same place. The corner of a `placeless` one is made up.
    """

    name: str
    title: str
    card: str
    source: str
    data: str
    seed: int
    raw: str
    files: tuple[str, ...]
    dem: str | None
    twin: dict[str, Any]
    layers: dict[str, Any]
    origin: str | None
    scenes: tuple[str, ...]
    sampling: dict[str, Any]
    origins: dict[str, dict[str, Any]] = field(default_factory=dict)
    patch_set: dict[str, Any] = field(default_factory=dict)
    composite: tuple[str, ...] | None = None
    event: str = ""
    image: str = ""
    crs: str | None = None
    ground: str | None = None
    placeless: bool = False

    @property
    def folder(self) -> str:
        return SITE.format(site=self.name)

    @property
    def raw_folder(self) -> str:
        return SITE.format(site=self.raw) + "/raw"

    @property
    def raw_files(self) -> list[str]:
        """Its raw files; of a set of patches the folder of what was unpacked."""
        return [self.raw_folder] if self.patch_set else [f"{self.raw_folder}/{name}" for name in self.files]

    def samples(self, card: str, protocol: str, fold: int) -> str:
        """Folder of what a card draws from it to test a fold."""
        return SAMPLES.format(site=self.name, card=card, protocol=protocol, fold=fold)

    @property
    def windowed_terrain(self) -> list[str]:
        """Terrain layers over windows that it asks for."""
        return names_over_windows(self.layers.get("terrain", []))

    @property
    def has_patches(self) -> bool:
        """Whether its layers are statistics of patches, not rasters on one grid."""
        return "patches" in self.layers

    @property
    def has_series(self) -> bool:
        """Whether its layers lie in files that hold many dates each."""
        return "series" in self.layers


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One way to train: a network or another model, its channels, its number of classes and its recipe, which
    a search may tune.

    `start` ({site, experiment}) names the run whose weights it starts from, `share` the part of the training
    windows it sees, `window` the side of its windows where it is larger than that of the samples, and
    `statistics` whose normalisation its channels get (`own`, or that of the `start`). `dates` says which
    dates of a place it reads: the `last`, `all`, or all `shuffled` anew for each training window. `training`
    may hold changes under a protocol, see `recipe`. `average` ({of, over}) names the experiment whose maps it
    averages, and over what; all else but the label is then that experiment's.
    `by_site` holds the channels of each site where an input group has others at other sites; `channels` are
    then those of the first.
    """

    name: str
    label: str
    network: str
    params: dict[str, Any]
    channels: tuple[str, ...]
    training: dict[str, Any]
    tuned_by: str | None
    classes: int
    start: dict[str, str] | None
    share: float
    window: int | None
    statistics: str
    dates: str
    by_site: dict[str, tuple[str, ...]] = field(default_factory=dict)
    average: dict[str, str] = field(default_factory=dict)

    @property
    def method(self) -> str:
        return self.average.get("over") or METHODS.get(self.network, WINDOWS)

    @property
    def reads_cells(self) -> bool:
        """Whether it runs on labelled cells of susceptibility, not on windows of pixels."""
        return self.method in (NEIGHBOURHOODS, CELLS)

    def recipe(self, protocol: str) -> dict[str, Any]:
        """How it is trained under a protocol."""
        recipe = {key: value for key, value in self.training.items() if key != "by_protocol"}
        return merge(recipe, self.training.get("by_protocol", {}).get(protocol, {}))

    def channels_at(self, site: str) -> tuple[str, ...]:
        """The channels that it reads of a site."""
        return self.by_site.get(site, self.channels)


@dataclass(frozen=True, kw_only=True)
class Search:
    """One search of hyper-parameters on a site, by each of its samplers."""

    name: str
    label: str
    card: str
    site: str
    samplers: tuple[str, ...]
    record: dict[str, Any]

    def folder(self, protocol: str, fold: int, sampler: str) -> str:
        return SEARCH.format(card=self.card, search=self.name, protocol=protocol, fold=fold, sampler=sampler)

    def best(self, protocol: str, fold: int) -> str:
        """What the first sampler found on the samples of a fold."""
        return f"{self.folder(protocol, fold, self.samplers[0])}/best.json"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training: its folder is its name."""

    card: str
    site: str
    experiment: str
    protocol: str
    seed: int

    @property
    def folder(self) -> str:
        return RUN.format(**vars(self))

    @property
    def home(self) -> str:
        """Folder of what it makes of the site that it was trained on."""
        return HOME.format(**vars(self))

    def folder_of(self, place: str) -> str:
        """Folder of what it makes of a place: its own site, another, or a scene of a collage."""
        return PLACE.format(**vars(self), place=place)

    def file(self, name: str, place: str | None = None) -> str:
        """One of its files; of those that it makes of every place the one of `place` (its own site where
        none is named)."""
        return f"{self.folder if is_of_run(name) else self.folder_of(place or self.site)}/{name}"


@dataclass(frozen=True, kw_only=True)
class Card:
    """A paper or a set of real data at one scale. `size` is the part of their sides that simulated sites
    have, `smallest` that at the scale tiny. `deliver` names the exhibits (and MAPS) that plain `snakemake`
    makes at that scale; None is all."""

    name: str
    title: str
    citation: str
    sites: dict[str, Site]
    experiments: dict[str, Experiment]
    searches: dict[str, Search]
    exhibits: dict[str, Exhibit]
    deliver: tuple[str, ...] | None
    claims: dict[str, Claim]
    protocols: tuple[str, ...]
    seeds: tuple[int, ...]
    width: float
    size: float
    smallest: float
    sampling: dict[str, Any]
    cells: dict[str, dict[str, Any]]
    inventory: dict[str, Any]
    change: dict[str, Any]
    mapping: dict[str, Any]
    polygons: tuple[str, ...]
    best_map: dict[str, Any]
    susceptibility: tuple[str, ...]
    apply: tuple[dict[str, str], ...]
    published: dict[str, list[dict[str, Any]]]
    audit: dict[str, Any]
    archive: Path | None

    @property
    def tiling(self) -> dict[str, int]:
        """How scenes are cut into windows of maps, as far as the card says."""
        return {key: value for key, value in self.mapping.items() if key != "parts"}

    def is_tested(self, site: str, protocol: str) -> bool:
        """Whether a site is tested under a protocol: one of the card's, or a further one of its cells."""
        return protocol in (*self.protocols, *self.cells.get(site, {}).get("protocols", ()))

    def seeds_of(self, experiment: str) -> tuple[int, ...]:
        """Seeds of the runs of an experiment: of the mean over all seeds the first alone."""
        return self.seeds[:1] if self.experiments[experiment].method == SEEDS else self.seeds

    @property
    def targets(self) -> set[str]:
        """Sites that are only mapped, by runs trained on others."""
        return {one["target"] for one in self.apply}

    def groups(self, of_cells: bool, site: str) -> list[list[str]]:
        """Channels that each experiment on cells (or on pixels) reads of a site, each set once: where all of
        a set are missing nothing is sampled."""
        chosen = [one for one in self.experiments.values() if one.reads_cells == of_cells]
        return [list(channels) for channels in dict.fromkeys(one.channels_at(site) for one in chosen)]
