"""The plan: config.yaml and the cards, checked once and resolved into frozen objects. Nothing else reads either.

Rules ask it which runs an exhibit needs; scripts get plain records through `params` and never see the plan.
"""

import csv
import os
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from headscarp.errors import HeadscarpError
from headscarp.exhibits.needs import FIGURES, TABLES, Needs
from headscarp.sources.archive import is_reachable, read_table
from headscarp.sources.twin.files import raw_files
from headscarp.vocabulary import nearest, require_known

# How an experiment is run: a network that reads windows of pixels, a forest on single pixels, a network on the neighbourhoods of cells of
# susceptibility, and models on single cells.
WINDOWS, FOREST, NEIGHBOURHOODS, CELLS = "windows", "forest", "neighbourhoods", "cells"
METHODS = {"random_forest": FOREST, "cnn3d": NEIGHBOURHOODS} | dict.fromkeys(("gbdt_lr", "logistic_regression", "cell_forest"), CELLS)
PROBE_SECONDS = 3
CUBE_FILES = ("cube.npy", "cube.json", "label.npy", "instances.npy")
SAMPLE_FILES = ("windows.csv", "regions.npy", "blocks.npy", "samples.json")
CELL_FILES = ("cells.npz", "cells.json")


@dataclass(frozen=True)
class Site:
    """A study area: where its raw files come from (`raw` is the site that holds them) and how they become layers."""

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

    @property
    def folder(self) -> str:
        return f"results/sites/{self.name}"

    @property
    def raw_files(self) -> list[str]:
        return [f"{self.raw_folder}/{name}" for name in self.files]

    @property
    def raw_folder(self) -> str:
        return f"results/sites/{self.raw}/raw"

    @property
    def has_patches(self) -> bool:
        """Whether its layers are statistics of patches, not rasters on one grid."""
        return "patches" in self.layers


@dataclass(frozen=True)
class Experiment:
    """One way to train: a network or another model, its channels and its recipe, which a search may tune."""

    name: str
    label: str
    network: str
    params: dict[str, Any]
    channels: tuple[str, ...]
    training: dict[str, Any]
    tuned_by: str | None

    @property
    def method(self) -> str:
        return METHODS.get(self.network, WINDOWS)


@dataclass(frozen=True)
class Search:
    """One search of hyper-parameters on a site, by each of its samplers."""

    name: str
    label: str
    card: str
    site: str
    samplers: tuple[str, ...]
    record: dict[str, Any]

    def folder(self, protocol: str, sampler: str) -> str:
        return f"results/searches/{self.card}/{self.name}/{protocol}/{sampler}"

    def best(self, protocol: str) -> str:
        """What the first sampler found."""
        return f"{self.folder(protocol, self.samplers[0])}/best.json"


@dataclass(frozen=True)
class Exhibit:
    """One table or figure of a card."""

    card: str
    name: str
    kind: str
    title: str
    caption: str
    sites: tuple[str, ...]
    rows: tuple[str, ...]
    protocols: tuple[str, ...]
    seeds: str
    options: dict[str, Any]
    target: str | None
    searches: tuple[str, ...]

    @property
    def is_table(self) -> bool:
        return self.kind in TABLES

    @property
    def needs(self) -> Needs:
        return TABLES[self.kind] if self.is_table else FIGURES[self.kind]

    @property
    def files(self) -> list[str]:
        table = f"results/tables/{self.card}/{self.name}"
        figure = f"results/figures/{self.card}/{self.name}"
        if self.is_table:
            return [f"{table}.csv", f"{table}.md", f"{table}.html"]
        return [f"{figure}.png", f"{figure}.pdf", f"{table}.csv"]


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


@dataclass(frozen=True)
class Card:
    """A paper or a real benchmark at one scale."""

    name: str
    title: str
    citation: str
    sites: dict[str, Site]
    inputs: dict[str, tuple[str, ...]]
    experiments: dict[str, Experiment]
    searches: dict[str, Search]
    exhibits: dict[str, Exhibit]
    protocols: tuple[str, ...]
    seeds: tuple[int, ...]
    width: float
    size: float
    sampling: dict[str, Any]
    cells: dict[str, dict[str, Any]]
    inventory: dict[str, Any]
    mapping: dict[str, Any]
    polygons: tuple[str, ...]
    published: dict[str, list[dict[str, Any]]]
    archive: Path | None

    def groups(self, of_cells: bool) -> list[list[str]]:
        """Channels of each experiment on cells (or on pixels), each set once: where all of a set are missing nothing is sampled."""
        found = {e.channels: None for e in self.experiments.values() if (e.method in (NEIGHBOURHOODS, CELLS)) == of_cells}
        return [list(channels) for channels in found]


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

    def names_of_searches(self) -> list[str]:
        return sorted({name for card in self.cards.values() for name in card.searches})

    def search_record(self, card: str, name: str, sampler: str) -> dict[str, Any]:
        """All that a search needs to know."""
        return self.cards[card].searches[name].record | {"sampler": sampler}

    def tuned_by(self, card: str, experiment: str, protocol: str) -> list[str]:
        """The file of the search that tunes an experiment, if one does."""
        search = self.cards[card].experiments[experiment].tuned_by
        return [self.cards[card].searches[search].best(protocol)] if search else []

    def source_site(self, site: str) -> Site:
        """The site that holds the raw files of a site."""
        return self.sites[self.sites[site].raw]

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
        if not exhibit.needs.run:
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
        files = [f"{run.folder}/{name}" for run in runs for name in needs.run]
        files += [f"{run.elsewhere(exhibit.target)}/{name}" for run in runs for name in needs.elsewhere]
        files += [f"{search['folder']}/{name}" for search in self._searches(exhibit) for name in needs.search]
        for name in exhibit.sites:
            files += self._site_files(exhibit, name, needs.site)
        if exhibit.target:
            files += self._site_files(exhibit, exhibit.target, needs.target)
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
        if exhibit.kind in ("audit", "model_audit"):
            return [record | {"table": table} for table, records in published.items() for record in records]
        return published.get(exhibit.options.get("published", exhibit.name), [])

    def targets(self, card: str) -> list[str]:
        """All files that a card delivers: exhibits, and landslide polygons of the experiments it names."""
        exhibits = [file for exhibit in self.cards[card].exhibits.values() for file in exhibit.files]
        runs = [
            Run(card, site, experiment, protocol, self.cards[card].seeds[0])
            for experiment in self.cards[card].polygons
            for site in self.cards[card].sites
            if not self.is_cell_site(site)
            for protocol in self.cards[card].protocols
        ]
        return exhibits + [f"{run.folder}/landslides.gpkg" for run in runs]

    def run_record(self, card: str, experiment: str, seed: int) -> dict[str, Any]:
        """The resolved specification of one training."""
        spec = self.cards[card].experiments[experiment]
        return {
            "network": {"name": spec.network, "width": self.cards[card].width, "params": spec.params},
            "channels": list(spec.channels), "classes": 1, "recipe": spec.training, "seed": seed,
        }  # fmt: skip


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


def check(record: dict[str, Any], schema_path: Path, place: str) -> dict[str, Any]:
    """Validate `record` against a JSON schema and fill the defaults of its top level."""
    schema = yaml.safe_load(schema_path.read_text(encoding="utf-8"))
    errors = sorted(jsonschema.Draft202012Validator(schema).iter_errors(record), key=lambda error: list(map(str, error.path)))
    if errors:
        raise HeadscarpError(f"{place}: {describe(errors[0])}")
    defaults = {key: rule["default"] for key, rule in schema["properties"].items() if "default" in rule}
    return defaults | record


def describe(error: jsonschema.ValidationError) -> str:
    """One sentence for a schema violation, with the nearest valid key where a key is unknown."""
    where = ".".join(map(str, error.path)) or "top level"
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = error.schema.get("properties", {})
        unknown = next(key for key in error.instance if key not in known)
        return f"{where}: unknown key '{unknown}'; {nearest(unknown, known)}"
    return f"{where}: {error.message}"


class StrictLoader(yaml.SafeLoader):
    """YAML in which a key may stand only once in a mapping."""


def _mapping_without_duplicates(loader: StrictLoader, node: yaml.MappingNode) -> dict:
    keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
    for key in keys:
        if keys.count(key) > 1:
            place = f"{node.start_mark.name}, mapping at line {node.start_mark.line + 1}"
            raise HeadscarpError(f"{place}: '{key}' is defined twice; rename or remove one")
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_without_duplicates)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        HeadscarpError: not YAML, or a key stands twice in one mapping.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            return yaml.load(stream, StrictLoader) or {}
    except yaml.YAMLError as error:
        raise HeadscarpError(f"{path} is not valid YAML: {error}") from None


def read_cards(folder: Path) -> dict[str, dict[str, Any]]:
    """All cards of a folder by name."""
    records: dict[str, dict[str, Any]] = {}
    places: dict[str, Path] = {}
    for path in sorted(folder.glob("*.yaml")):
        record = check(read_yaml(path), folder.parent / "schemas" / "card.schema.yaml", str(path.name))
        name = record["name"]
        if name in records:
            raise HeadscarpError(f"two cards are called '{name}': {places[name].name} and {path.name}; rename one")
        records[name], places[name] = record, path
    return records


def merge(base: Any, change: Any) -> Any:
    """`base` with `change` laid over it: dictionaries merge, everything else is replaced."""
    if isinstance(base, dict) and isinstance(change, dict):
        return base | {key: merge(base[key], value) if key in base else value for key, value in change.items()}
    return change


def known_networks(folder: Path) -> set[str]:
    """Names registered in the networks' sources, read without importing torch."""
    found = set(METHODS)
    for path in folder.glob("*.py"):
        found.update(re.findall(r"^@register\(\s*[\"']([^\"']+)[\"']", path.read_text(encoding="utf-8"), flags=re.MULTILINE))
    return found


def resolve_card(record: dict[str, Any], config: dict[str, Any], workflow: Path, networks: set[str]) -> Card:
    """One card at the chosen scale, every name in it checked."""
    name = record["name"]
    place = f"card {name}"
    check(record, workflow / "schemas" / "card.schema.yaml", f"{place} with its overlay")
    scale = record["scales"][require_known(config["scale"], record["scales"], "config.yaml: scale")]
    training = merge(record["training"], scale.get("training", {}))
    sites = resolve_sites(name, record["sites"], scale["size"])
    protocols = tuple(protocol for protocol in record["protocols"] if protocol in config["protocols"]) or tuple(record["protocols"])
    experiments = {
        key: resolve_experiment(place, key, experiment, record["inputs"], training, networks)
        for key, experiment in merge(record["experiments"], scale.get("experiments", {})).items()
    }
    searched = merge(record.get("searches", {}), scale.get("searches", {}))
    searches = {
        key: resolve_search(name, key, search, record["inputs"], scale["width"], sites, networks) for key, search in searched.items()
    }
    for key, experiment in experiments.items():
        if experiment.tuned_by:
            require_known(experiment.tuned_by, searches, f"{place}, experiment {key}: search")
    cells = {
        require_known(key, sites, f"{place}, cells: site"): merge(one, scale.get("cells", {}))
        for key, one in record.get("cells", {}).items()
    }
    inventory = record.get("inventory", {})
    if inventory:
        require_known(inventory["experiment"], experiments, f"{place}, inventory: experiment")
        for key in ("site", "target"):
            require_known(inventory[key], sites, f"{place}, inventory: {key}")
    for key in record.get("polygons", []):
        require_known(key, experiments, f"{place}, polygons: experiment")
    return Card(
        name, record["title"], record["citation"], sites, {key: tuple(group) for key, group in record["inputs"].items()}, experiments,
        searches,
        {key: resolve_exhibit(name, key, one, sites, experiments, searches, protocols) for key, one in record["exhibits"].items()},
        protocols, tuple(config.get("seeds", scale["seeds"])), scale["width"], scale["size"],
        merge(record.get("sampling", {}), scale.get("sampling", {})), cells, inventory,
        merge(record.get("mapping", {}), scale.get("mapping", {})),
        tuple(record.get("polygons", [])), read_published(workflow / "cards" / record["published"]) if "published" in record else {},
        workflow / "cards" / record["archive"] if "archive" in record else None,
    )  # fmt: skip


def resolve_sites(card: str, records: dict[str, dict[str, Any]], size: float) -> dict[str, Site]:
    """The sites of a card at the chosen scale: a twin loses pixels, a real site gets coarser ones where its grid names a resolution."""
    sites = {}
    for name, record in records.items():
        raw = require_known(record.get("raw", name), records, f"card {card}, site {name}: raw")
        source = records[raw]
        layers = record["layers"]
        grid = layers.get("grid", {})
        if source["source"] != "twin" and "resolution_m" in grid:
            layers = layers | {"grid": grid | {"resolution_m": grid["resolution_m"] / size}}
        files = raw_files(source["twin"]) if source["source"] == "twin" else tuple(source.get("files", []))
        layers = {"name": name, "data": record["data"]} | layers
        sites[name] = Site(
            name, record["title"], card, record["source"], record["data"], record.get("seed", source.get("seed", 0)), raw, files,
            layers.get("dem"), record.get("twin", {}), layers, record.get("folder"),
        )  # fmt: skip
    return sites


def resolve_experiment(place: str, name: str, record: dict, inputs: dict, training: dict, networks: set[str]) -> Experiment:
    require_known(record["network"], networks, f"{place}, experiment {name}: network")
    groups = [inputs[require_known(group, inputs, f"{place}, experiment {name}: input group")] for group in record["inputs"]]
    channels = [channel for group in groups for channel in group if channel not in record.get("without", [])]
    for channel in record.get("without", []):
        require_known(channel, [name for group in groups for name in group], f"{place}, experiment {name}, without: channel")
    if "order" in record:
        random.Random(record["order"]).shuffle(channels)
    recipe = merge(training, record.get("training", {}))
    return Experiment(
        name, record.get("label", name), record["network"], record.get("params", {}), tuple(channels), recipe, record.get("tuned_by")
    )


def resolve_search(card: str, name: str, record: dict, inputs: dict, width: float, sites: dict, networks: set[str]) -> Search:
    place = f"card {card}, search {name}"
    require_known(record["network"], networks, f"{place}: network")
    require_known(record["site"], sites, f"{place}: site")
    groups = [inputs[require_known(group, inputs, f"{place}: input group")] for group in record["inputs"]]
    resolved = {
        "network": {"name": record["network"], "width": width, "params": record.get("params", {})},
        "channels": [channel for group in groups for channel in group], "classes": 1, "recipe": record["training"],
        "seed": record.get("seed", 0), "trials": record["trials"], "space": record["space"],
    }  # fmt: skip
    return Search(name, record.get("label", name), card, record["site"], tuple(record["samplers"]), resolved)


def resolve_exhibit(
    card: str, name: str, record: dict, sites: dict, experiments: dict, searches: dict, protocols: tuple[str, ...]
) -> Exhibit:
    place = f"card {card}, exhibit {name}"
    require_known(record["kind"], TABLES | FIGURES, f"{place}: kind")
    for site in record["sites"]:
        require_known(site, sites, f"{place}: site")
    for row in record.get("rows", []):
        require_known(row, experiments, f"{place}: experiment")
    for search in record.get("searches", []):
        require_known(search, searches, f"{place}: search")
    if "target" in record:
        require_known(record["target"], sites, f"{place}: target")
    chosen = tuple(protocol for protocol in record.get("protocols", protocols) if protocol in protocols) or protocols
    return Exhibit(
        card, name, record["kind"], record["title"], record["caption"], tuple(record["sites"]), tuple(record.get("rows", [])), chosen,
        record.get("seeds", "all"), record.get("options", {}), record.get("target"), tuple(record.get("searches", [])),
    )  # fmt: skip


def read_published(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Published values by exhibit: {exhibit: [{row, metric, value, unit}]}, text where the paper prints text; an own row has none."""
    tables: dict[str, list[dict[str, Any]]] = {}
    with open(path, encoding="utf-8", newline="") as stream:
        for line in csv.DictReader(stream):
            record = {"row": line["row"], "metric": line["metric"], "value": number_or_text(line["value"]), "unit": line["unit"]}
            tables.setdefault(line["table"], []).append(record)
    return tables


def number_or_text(printed: str) -> float | str:
    try:
        return float(printed)
    except ValueError:
        return printed


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
