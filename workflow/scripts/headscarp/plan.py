"""The plan: config.yaml and the cards, checked once and resolved into frozen objects. Nothing else reads either.

Rules ask it which runs an exhibit needs; scripts get plain records through `params` and never see the plan.
"""

import csv
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from headscarp.errors import HeadscarpError
from headscarp.exhibits.needs import FIGURES, TABLES, Needs
from headscarp.sources.archive import is_reachable, read_table
from headscarp.vocabulary import nearest, require_known

FOREST = "random_forest"
PROBE_SECONDS = 3
TWIN_FILES = ("bands.tif", "dem.tif", "lithology.tif", "faults.gpkg", "rivers.gpkg", "landslides.gpkg", "study_area.gpkg", "manifest.json")
CUBE_FILES = ("cube.npy", "cube.json", "label.npy", "instances.npy")
SAMPLE_FILES = ("windows.csv", "regions.npy", "blocks.npy", "samples.json")


@dataclass(frozen=True)
class Site:
    """A study area: where its raw files come from and how they become layers."""

    name: str
    title: str
    card: str
    source: str
    data: str
    seed: int
    files: tuple[str, ...]
    dem: str
    twin: dict[str, Any]
    layers: dict[str, Any]

    @property
    def folder(self) -> str:
        return f"results/sites/{self.name}"

    @property
    def raw_files(self) -> list[str]:
        return [f"{self.folder}/raw/{name}" for name in self.files]


@dataclass(frozen=True)
class Experiment:
    """One way to train: a network (or the forest), its channels and its recipe."""

    name: str
    label: str
    network: str
    params: dict[str, Any]
    channels: tuple[str, ...]
    training: dict[str, Any]


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


@dataclass(frozen=True)
class Card:
    """A paper or a real benchmark at one scale."""

    name: str
    title: str
    citation: str
    sites: dict[str, Site]
    inputs: dict[str, tuple[str, ...]]
    experiments: dict[str, Experiment]
    exhibits: dict[str, Exhibit]
    protocols: tuple[str, ...]
    seeds: tuple[int, ...]
    width: float
    size: float
    sampling: dict[str, Any]
    mapping: dict[str, Any]
    polygons: tuple[str, ...]
    published: dict[str, list[dict[str, Any]]]
    archive: Path | None


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

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that tell jobs where to run and where to fetch."""
        return {"HEADSCARP_DEVICE": self.device, "HEADSCARP_MIRROR": self.mirror or ""}

    @property
    def sites(self) -> dict[str, Site]:
        return {name: site for card in self.cards.values() for name, site in card.sites.items()}

    def card_of(self, site: str) -> Card:
        return self.cards[self.sites[site].card]

    def names_of_experiments(self, forest: bool) -> list[str]:
        """Experiments of all cards that are (not) pixel-wise forests."""
        found = {e.name for card in self.cards.values() for e in card.experiments.values() if (e.network == FOREST) == forest}
        return sorted(found)

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
        files = [f"{run.folder}/{name}" for run in self.runs_of(exhibit) for name in exhibit.needs.run]
        for name in exhibit.sites:
            site = self.sites[name]
            if "raw" in exhibit.needs.site:
                files += site.raw_files
            if "layers" in exhibit.needs.site:
                files.append(f"{site.folder}/layers")
            if "cube" in exhibit.needs.site:
                files += [f"{site.folder}/cube/{file}" for file in CUBE_FILES]
            if "samples" in exhibit.needs.site:
                files += [f"{folder}/{file}" for folder in self._samples(exhibit, site).values() for file in SAMPLE_FILES]
        return files

    def _samples(self, exhibit: Exhibit, site: Site) -> dict[str, str]:
        return {protocol: f"{site.folder}/samples/{exhibit.card}/{protocol}" for protocol in exhibit.protocols}

    def exhibit_record(self, exhibit: Exhibit) -> dict[str, Any]:
        """All that `exhibits.spec.ExhibitSpec.from_record` takes."""
        card = self.cards[exhibit.card]
        sites = []
        for name in exhibit.sites:
            site = self.sites[name]
            sites.append(
                {"name": name, "title": site.title, "folder": site.folder, "data": site.data, "samples": self._samples(exhibit, site)}
            )
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
        }  # fmt: skip

    def _published(self, exhibit: Exhibit) -> list[dict[str, Any]]:
        """Published values of an exhibit; those of all the paper's tables, each with its table, for the audit."""
        published = self.cards[exhibit.card].published
        if exhibit.kind == "audit":
            return [record | {"table": table} for table, records in published.items() for record in records]
        return published.get(exhibit.name, [])

    def targets(self, card: str) -> list[str]:
        """All files that a card delivers: exhibits, and landslide polygons of the experiments it names."""
        exhibits = [file for exhibit in self.cards[card].exhibits.values() for file in exhibit.files]
        runs = [
            Run(card, site, experiment, protocol, self.cards[card].seeds[0])
            for experiment in self.cards[card].polygons
            for site in self.cards[card].sites
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
    mirror = config["mirror"] or os.environ.get("HEADSCARP_MIRROR")
    skipped = {name: reason for name in config["cards"] if (reason := why_unreachable(cards[name], mirror))}
    selected = tuple(name for name in config["cards"] if name not in skipped)
    return Plan(cards, selected, skipped, config["scale"], config["device"], config["threads"], mirror)


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
    found = {FOREST}
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
    sites = {key: resolve_site(name, key, site, scale["size"]) for key, site in record["sites"].items()}
    protocols = tuple(protocol for protocol in record["protocols"] if protocol in config["protocols"]) or tuple(record["protocols"])
    experiments = {
        key: resolve_experiment(place, key, experiment, record["inputs"], training, networks)
        for key, experiment in record["experiments"].items()
    }
    for key in record.get("polygons", []):
        require_known(key, experiments, f"{place}, polygons: experiment")
    return Card(
        name, record["title"], record["citation"], sites, {key: tuple(group) for key, group in record["inputs"].items()}, experiments,
        {key: resolve_exhibit(name, key, exhibit, sites, experiments, protocols) for key, exhibit in record["exhibits"].items()},
        protocols, tuple(config.get("seeds", scale["seeds"])), scale["width"], scale["size"],
        merge(record["sampling"], scale.get("sampling", {})), merge(record["mapping"], scale.get("mapping", {})),
        tuple(record.get("polygons", [])), read_published(workflow / "cards" / record["published"]) if "published" in record else {},
        workflow / "cards" / record["archive"] if "archive" in record else None,
    )  # fmt: skip


def resolve_site(card: str, name: str, record: dict[str, Any], size: float) -> Site:
    """A site at the chosen scale: a twin loses pixels, a real site gets coarser ones."""
    layers = record["layers"]
    if record["source"] == "archive":
        grid = layers["grid"]
        layers = layers | {"grid": grid | {"resolution_m": grid["resolution_m"] / size}}
    files = tuple(TWIN_FILES if record["source"] == "twin" else record.get("files", []))
    layers = {"name": name, "data": record["data"]} | layers
    twin = record.get("twin", {})
    return Site(name, record["title"], card, record["source"], record["data"], record.get("seed", 0), files, layers["dem"], twin, layers)


def resolve_experiment(place: str, name: str, record: dict, inputs: dict, training: dict, networks: set[str]) -> Experiment:
    require_known(record["network"], networks, f"{place}, experiment {name}: network")
    groups = [inputs[require_known(group, inputs, f"{place}, experiment {name}: input group")] for group in record["inputs"]]
    channels = tuple(channel for group in groups for channel in group)
    recipe = merge(training, record.get("training", {}))
    return Experiment(name, record.get("label", name), record["network"], record.get("params", {}), channels, recipe)


def resolve_exhibit(card: str, name: str, record: dict, sites: dict, experiments: dict, protocols: tuple[str, ...]) -> Exhibit:
    place = f"card {card}, exhibit {name}"
    require_known(record["kind"], TABLES | FIGURES, f"{place}: kind")
    for site in record["sites"]:
        require_known(site, sites, f"{place}: site")
    for row in record.get("rows", []):
        require_known(row, experiments, f"{place}: experiment")
    chosen = tuple(protocol for protocol in record.get("protocols", protocols) if protocol in protocols) or protocols
    return Exhibit(
        card, name, record["kind"], record["title"], record["caption"], tuple(record["sites"]), tuple(record.get("rows", [])), chosen,
        record.get("seeds", "all"), record.get("options", {}),
    )  # fmt: skip


def read_published(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Published values by exhibit: {exhibit: [{row, metric, value, unit}]}; an own row has none."""
    tables: dict[str, list[dict[str, Any]]] = {}
    with open(path, encoding="utf-8", newline="") as stream:
        for line in csv.DictReader(stream):
            record = {"row": line["row"], "metric": line["metric"], "value": float(line["value"]), "unit": line["unit"]}
            tables.setdefault(line["table"], []).append(record)
    return tables


def refuse_shared_sites(cards: dict[str, Card]) -> None:
    """Two cards may not define a site of the same name: their files would overwrite each other."""
    owner: dict[str, str] = {}
    for card in cards.values():
        for site in card.sites:
            if site in owner:
                raise HeadscarpError(f"site '{site}' is defined by the cards {owner[site]} and {card.name}; rename one")
            owner[site] = card.name


def require_exhibit(card: Card, name: str) -> Exhibit:
    return card.exhibits[require_known(name, card.exhibits, f"card {card.name}: exhibit")]


def why_unreachable(card: Card, mirror: str | None) -> str | None:
    """Why a card's upstream files cannot be had, or None where they can (or none are needed)."""
    for site in card.sites.values():
        if site.source != "archive":
            continue
        table = {name: file for name, file in read_table(card.archive).items() if name in site.files}
        if not is_reachable(table, mirror, Path(site.folder) / "raw", PROBE_SECONDS):
            tried = f"the mirror {mirror} lacks them" if mirror else "no mirror is set"
            return (
                f"the files of site {site.name} are neither in {site.folder}/raw nor to be had: {tried} and their own address does not "
                "answer; set `mirror:` in config.yaml or HEADSCARP_MIRROR to a folder or URL that holds them, or go online"
            )
    return None
