"""Cards: papers and real benchmarks as data, read, checked against their schema and resolved at one scale
into frozen objects."""

import csv
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from headscarp.codes import LAND_COVER
from headscarp.errors import HeadscarpError
from headscarp.exhibits.needs import FIGURES, TABLES, Needs
from headscarp.sources.twin.files import raw_files
from headscarp.vocabulary import nearest, require_known
from headscarp.yaml_files import read_yaml

# How an experiment is run: a network that reads windows of pixels, a forest on single pixels, a network on
# the neighbourhoods of cells of susceptibility, and models on single cells.
WINDOWS, FOREST, NEIGHBOURHOODS, CELLS = "windows", "forest", "neighbourhoods", "cells"
# Where a file of an area may come from, and the one that every area has.
ORIGINS, OUTLINE = ("stac", "dataset", "url", "path"), "outline.gpkg"
# The only date that an experiment reads unless it says otherwise.
LAST = "last"
METHODS = {"random_forest": FOREST, "cnn3d": NEIGHBOURHOODS} | dict.fromkeys(
    ("gbdt_lr", "logistic_regression", "cell_forest"), CELLS
)
# Metrics that a claim may be about, of runs that map landslides and of runs of several classes: more of each
# is better.
PIXEL_METRICS = (
    "accuracy",
    "precision",
    "recall",
    "f1",
    "kappa",
    "iou",
    "miou",
    "mcc",
    "macro_precision",
    "macro_recall",
    "macro_f1",
    "average_precision",
    "auc",
)
CLASS_METRICS = (
    "mean_recall",
    "mean_f1",
    "g_mean",
    "oa",
    "kappa",
    "dp",
    "qp",
    *(
        f"{name.replace(' ', '_')}_{metric}"
        for name in LAND_COVER
        for metric in ("precision", "recall", "f1", "iou")
    ),
)


@dataclass(frozen=True)
class Site:
    """A study area: where its raw files come from (`raw` is the site that holds them) and how they become
    layers.

    A collage has neither; it joins the cubes of `scenes`. `sampling` changes that of the card. `origins` says
    of each file of an area or a benchmark where it comes from, and `benchmark` how the patches of one are
    read, which have no layers.
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
    benchmark: dict[str, Any] = field(default_factory=dict)
    composite: tuple[str, ...] | None = None

    @property
    def folder(self) -> str:
        return f"results/sites/{self.name}"

    @property
    def raw_files(self) -> list[str]:
        """Its raw files; of a benchmark the folder of what was unpacked."""
        return [self.raw_folder] if self.benchmark else [f"{self.raw_folder}/{name}" for name in self.files]

    @property
    def raw_folder(self) -> str:
        return f"results/sites/{self.raw}/raw"

    @property
    def has_patches(self) -> bool:
        """Whether its layers are statistics of patches, not rasters on one grid."""
        return "patches" in self.layers

    @property
    def has_series(self) -> bool:
        """Whether its layers lie in files that hold many dates each."""
        return "series" in self.layers


@dataclass(frozen=True)
class Experiment:
    """One way to train: a network or another model, its channels, its number of classes and its recipe, which
    a search may tune.

    `start` ({site, experiment}) names the run whose weights it starts from, `share` the part of the training
    windows it sees, and `statistics` whose normalisation its channels get (`own`, or that of the `start`).
    `dates` says which dates of a place it reads: the `last`, `all`, or all `shuffled` anew for each training
    window. `by_site` holds the channels of each site where an input group has others at other sites;
    `channels` are then those of the first.
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
    statistics: str
    dates: str
    by_site: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def method(self) -> str:
        return METHODS.get(self.network, WINDOWS)

    def channels_at(self, site: str) -> tuple[str, ...]:
        """The channels that it reads of a site."""
        return self.by_site.get(site, self.channels)


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
class ClaimTest:
    """One comparison that a claim makes: run `first` of `card` and `site` is above run `second`, both scored
    there or on `target`.

    `published` ({table, rows, metric}) says where the paper of the claim prints the difference; `protocols`
    are those of `card` where it is empty.
    """

    card: str
    site: str
    first: str
    second: str
    target: str | None
    protocols: tuple[str, ...]
    published: dict[str, Any] | None
    note: str


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper that says what is better than what on `metric`, where it stands, and the
    comparisons that test it."""

    card: str
    name: str
    text: str
    place: str
    metric: str
    tests: tuple[ClaimTest, ...]


@dataclass(frozen=True)
class Card:
    """A paper or a real benchmark at one scale."""

    name: str
    title: str
    citation: str
    sites: dict[str, Site]
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
    change: dict[str, Any]
    mapping: dict[str, Any]
    polygons: tuple[str, ...]
    published: dict[str, list[dict[str, Any]]]
    archive: Path | None
    claims: dict[str, Claim]
    apply: tuple[dict[str, str], ...] = ()
    audit: dict[str, Any] = field(default_factory=dict)

    @property
    def targets(self) -> set[str]:
        """Sites that are only mapped, by runs trained elsewhere."""
        return {one["target"] for one in self.apply}

    def groups(self, of_cells: bool, site: str) -> list[list[str]]:
        """Channels that each experiment on cells (or on pixels) reads of a site, each set once: where all of
        a set are missing nothing is sampled."""
        found = {
            e.channels_at(site): None
            for e in self.experiments.values()
            if (e.method in (NEIGHBOURHOODS, CELLS)) == of_cells
        }
        return [list(channels) for channels in found]


def check(record: dict[str, Any], schema_path: Path, place: str) -> dict[str, Any]:
    """Validate `record` against a JSON schema and fill the defaults of its top level."""
    schema = yaml.safe_load(schema_path.read_text(encoding="utf-8"))
    errors = sorted(
        jsonschema.Draft202012Validator(schema).iter_errors(record),
        key=lambda error: list(map(str, error.path)),
    )
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


def read_cards(folders: Iterable[Path], schema: Path) -> dict[str, dict[str, Any]]:
    """All cards of some folders by name."""
    records: dict[str, dict[str, Any]] = {}
    places: dict[str, Path] = {}
    for path in (path for folder in folders for path in sorted(folder.glob("*.yaml"))):
        record = check(read_yaml(path), schema, str(path.name))
        name = record["name"]
        if name in records:
            raise HeadscarpError(
                f"two cards are called '{name}': {places[name].name} and {path.name}; rename one"
            )
        records[name], places[name] = record, path
    return records


def merge(base: Any, change: Any) -> Any:
    """`base` with `change` laid over it: dictionaries merge, everything else is replaced."""
    if isinstance(base, dict) and isinstance(change, dict):
        return base | {
            key: merge(base[key], value) if key in base else value for key, value in change.items()
        }
    return change


def known_networks(folder: Path) -> set[str]:
    """Names registered in the networks' sources, read without importing torch."""
    found = set(METHODS)
    for path in folder.glob("*.py"):
        found.update(
            re.findall(
                r"^@register\(\s*[\"']([^\"']+)[\"']", path.read_text(encoding="utf-8"), flags=re.MULTILINE
            )
        )
    return found


def resolve_card(
    record: dict[str, Any],
    config: dict[str, Any],
    workflow: Path,
    networks: set[str],
    records: dict[str, dict[str, Any]],
) -> Card:
    """One card at the chosen scale, every name in it checked; `records` are those of all cards."""
    name = record["name"]
    place = f"card {name}"
    scale = record["scales"][require_known(config["scale"], record["scales"], "config.yaml: scale")]
    training = merge(record["training"], scale.get("training", {}))
    sites = sites_of_card(record, records, config["scale"])
    protocols = tuple(
        protocol for protocol in record["protocols"] if protocol in config["protocols"]
    ) or tuple(record["protocols"])
    classes = len(record.get("classes", [1]))
    experiments = {
        key: resolve_experiment(place, key, experiment, record["inputs"], sites, training, networks, classes)
        for key, experiment in merge(record["experiments"], scale.get("experiments", {})).items()
    }
    searched = merge(record.get("searches", {}), scale.get("searches", {}))
    searches = {
        key: resolve_search(name, key, search, record["inputs"], scale["width"], sites, networks, classes)
        for key, search in searched.items()
    }
    for key, experiment in experiments.items():
        if experiment.tuned_by:
            require_known(experiment.tuned_by, searches, f"{place}, experiment {key}: search")
    cells = {
        require_known(key, sites, f"{place}, cells: site"): merge(one, scale.get("cells", {}))
        for key, one in record.get("cells", {}).items()
    }
    inventory = record.get("inventory", {})
    for key, one in cells.items():
        if "inventory" in one and not inventory:
            raise HeadscarpError(
                f"{place}, cells, {key}: labels from an inventory need the card's `inventory` section; add it"
            )
    if inventory:
        require_known(inventory["experiment"], experiments, f"{place}, inventory: experiment")
        for key in ("site", "target"):
            require_known(inventory[key], sites, f"{place}, inventory: {key}")
    for key in record.get("polygons", []):
        require_known(key, experiments, f"{place}, polygons: experiment")
    for key, experiment in experiments.items():
        if experiment.start:
            require_known(experiment.start["site"], sites, f"{place}, experiment {key}, start: site")
            require_known(
                experiment.start["experiment"], experiments, f"{place}, experiment {key}, start: experiment"
            )
        elif experiment.statistics == "start":
            raise HeadscarpError(
                f"{place}, experiment {key}: statistics of a start need one; name it as `start: {{site, "
                f"experiment}}`"
            )
    for one in record.get("apply", []):
        require_known(one["experiment"], experiments, f"{place}, apply: experiment")
        for key in ("site", "target"):
            require_known(one[key], sites, f"{place}, apply: {key}")
    change = record.get("change", {})
    for one in change.get("dates", []):
        require_known(one["site"], sites, f"{place}, change, dates: site")
    return Card(
        name,
        record["title"],
        record["citation"],
        sites,
        experiments,
        searches,
        {
            key: resolve_exhibit(
                name, key, rows_at(scale, one, place, experiments), sites, experiments, searches, protocols
            )
            for key, one in record["exhibits"].items()
        },
        protocols,
        tuple(config.get("seeds", scale["seeds"])),
        scale["width"],
        scale["size"],
        merge(record.get("sampling", {}), scale.get("sampling", {})),
        cells,
        inventory,
        change,
        merge(record.get("mapping", {}), scale.get("mapping", {})),
        tuple(record.get("polygons", [])),
        read_published(workflow / "cards" / record["published"]) if "published" in record else {},
        workflow / "cards" / record["archive"] if "archive" in record else None,
        {key: resolve_claim(name, key, claim) for key, claim in record.get("claims", {}).items()},
        tuple(record.get("apply", [])),
        record.get("audit", {}),
    )


def own_sites(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The sites that a card describes itself."""
    return {name: site for name, site in record["sites"].items() if "of" not in site}


def sites_of_card(record: dict[str, Any], records: dict[str, dict[str, Any]], scale: str) -> dict[str, Site]:
    """The sites of a card in its order: its own, and those that it borrows from other cards (`of`), which
    stay as these resolve them but for the sampling."""
    everywhere = {name: site for other in records.values() for name, site in own_sites(other).items()}

    def resolved(owner: dict[str, Any]) -> dict[str, Site]:
        return resolve_sites(owner["name"], own_sites(owner), owner["scales"][scale]["size"], everywhere)

    own, sites = resolved(record), {}
    for name, site in record["sites"].items():
        if name in own:
            sites[name] = own[name]
            continue
        place = f"card {record['name']}, site {name}"
        owner = records[require_known(site["of"], records, f"{place}: card")]
        require_known(name, own_sites(owner), f"{place}: site of card {owner['name']}")
        if name in owner.get("cells", {}):
            raise HeadscarpError(
                f"{place}: card {owner['name']} samples it as cells, which it alone can read; name another"
            )
        sites[name] = replace(resolved(owner)[name], sampling=site.get("sampling", {}))
    return sites


def resolve_sites(
    card: str,
    records: dict[str, dict[str, Any]],
    size: float,
    everywhere: dict[str, dict[str, Any]] | None = None,
) -> dict[str, Site]:
    """The sites of a card at the chosen scale: a twin loses pixels, a real site gets coarser ones where its
    grid names a resolution.

    Raw files may be those of a site of another card, one of `everywhere`.
    """
    known, sites = (everywhere or {}) | records, {}
    for name, record in records.items():
        raw = require_known(record.get("raw", name), known, f"card {card}, site {name}: raw")
        source = known[raw]
        for scene in record.get("scenes", []):
            require_known(scene, records, f"card {card}, site {name}: scene")
        require_parts(record, f"card {card}, site {name}")
        if source["source"] == "twin" and "twin" not in source:
            raise HeadscarpError(
                f"card {card}, site {raw}: a simulated site needs its landscape; describe it as `twin`, "
                f"or name a site as `raw`"
            )
        layers = record.get("layers", {})
        grid = layers.get("grid", {})
        if source["source"] != "twin" and "resolution_m" in grid:
            layers = layers | {"grid": grid | {"resolution_m": grid["resolution_m"] / size}}
        files = raw_files(source["twin"]) if source["source"] == "twin" else tuple(source.get("files", []))
        origins = origins_of(source, f"card {card}, site {raw}, files")
        told = {"name": name, "data": record["data"]}
        sites[name] = Site(
            name,
            record["title"],
            card,
            record["source"],
            record["data"],
            record.get("seed", source.get("seed", 0)),
            raw,
            files,
            layers.get("dem"),
            record.get("twin", {}),
            told | layers if layers else {},
            record.get("folder"),
            tuple(record.get("scenes", [])),
            record.get("sampling", {}),
            origins,
            told | record["benchmark"] if "benchmark" in record else {},
            tuple(record["composite"]) if "composite" in record else None,
        )
    return sites


def require_parts(record: dict[str, Any], place: str) -> None:
    """A collage has `scenes`, a benchmark `benchmark`, and every other site `layers`; none has a part of
    another.

    Raises:
        HeadscarpError: a part is missing or does not belong there.
    """
    needed = {"collage": "scenes", "benchmark": "benchmark"}.get(record["source"], "layers")
    if [part for part in ("scenes", "benchmark", "layers") if part in record] != [needed]:
        raise HeadscarpError(
            f"{place}: a collage needs `scenes`, a benchmark `benchmark`, every other site `layers`, "
            f"and none has another of these"
        )
    if needed == "benchmark":
        # here, since it loads the readers of all formats
        from headscarp.sources.patch_sets.registry import check_benchmark

        check_benchmark(record["benchmark"])


def origins_of(record: dict[str, Any], place: str) -> dict[str, dict[str, Any]]:
    """Where each file of an area or a benchmark comes from; other sites have no such mapping.

    Raises:
        HeadscarpError: an area lists names alone, another site says more, an area has no outline, or a file
        names no origin or several.
    """
    files, says = record.get("files", []), record["source"] in ("area", "benchmark")
    if isinstance(files, dict) != says:
        raise HeadscarpError(
            f"{place}: an area or a benchmark says of each file where it comes from, as in `dem.tif: "
            f"{{stac: dem}}`; other sites list the "
            "names alone"
        )
    if not says:
        return {}
    if record["source"] == "area" and OUTLINE not in files:
        raise HeadscarpError(
            f"{place}: {OUTLINE} is missing; name the area's outline as `{OUTLINE}: {{path: "
            f"my_outline.geojson}}`"
        )
    for name, spec in files.items():
        named = [key for key in ORIGINS if key in spec]
        if len(named) != 1:
            raise HeadscarpError(
                f"{place}, {name}: give one of {', '.join(ORIGINS)}, which says where the file comes from"
            )
    return files


def channels_of(place: str, record: dict, inputs: dict, site: str) -> list[str]:
    """Channels at a site of the input groups that an experiment or a search names, in order."""
    groups = [inputs[require_known(group, inputs, f"{place}: input group")] for group in record["inputs"]]
    at_site = [
        group[require_known(site, group, f"{place}, inputs: site")] if isinstance(group, dict) else group
        for group in groups
    ]
    return [channel for group in at_site for channel in group]


def channels_read(place: str, record: dict, inputs: dict, site: str) -> tuple[str, ...]:
    """Channels at a site that an experiment reads: those of its groups, without some, in its order."""
    named = channels_of(place, record, inputs, site)
    for channel in record.get("without", []):
        require_known(channel, named, f"{place}, without: channel")
    channels = [channel for channel in named if channel not in record.get("without", [])]
    if "order" in record:
        random.Random(record["order"]).shuffle(channels)
    return tuple(channels)


def resolve_experiment(
    place: str,
    name: str,
    record: dict,
    inputs: dict,
    sites: dict,
    training: dict,
    networks: set[str],
    classes: int,
) -> Experiment:
    require_known(record["network"], networks, f"{place}, experiment {name}: network")
    channels = {site: channels_read(f"{place}, experiment {name}", record, inputs, site) for site in sites}
    differing = channels if any(isinstance(inputs[group], dict) for group in record["inputs"]) else {}
    recipe = merge(training, record.get("training", {}))
    return Experiment(
        name,
        record.get("label", name),
        record["network"],
        record.get("params", {}),
        next(iter(channels.values())),
        recipe,
        record.get("tuned_by"),
        classes,
        record.get("start"),
        record.get("share", 1.0),
        record.get("statistics", "own"),
        record.get("dates", LAST),
        differing,
    )


def dates_read(dates: str) -> dict[str, str]:
    """The key `dates` of a training's record, which one of the last date does without."""
    return {} if dates == LAST else {"dates": dates}


def resolve_search(
    card: str,
    name: str,
    record: dict,
    inputs: dict,
    width: float,
    sites: dict,
    networks: set[str],
    classes: int,
) -> Search:
    place = f"card {card}, search {name}"
    require_known(record["network"], networks, f"{place}: network")
    require_known(record["site"], sites, f"{place}: site")
    resolved = {
        "network": {"name": record["network"], "width": width, "params": record.get("params", {})},
        "channels": channels_of(place, record, inputs, record["site"]),
        "classes": classes,
        "recipe": record["training"],
        "seed": record.get("seed", 0),
        "trials": record["trials"],
        "space": record["space"],
    } | dates_read(record.get("dates", LAST))
    return Search(name, record.get("label", name), card, record["site"], tuple(record["samplers"]), resolved)


def rows_at(scale: dict, exhibit: dict, place: str, experiments: dict) -> dict:
    """The record of an exhibit with those of its rows that a scale runs: all, unless the scale names some."""
    if "rows" not in scale or "rows" not in exhibit:
        return exhibit
    for row in scale["rows"]:
        require_known(row, experiments, f"{place}, scales, rows: experiment")
    return exhibit | {"rows": [row for row in exhibit["rows"] if row in scale["rows"]]}


def resolve_exhibit(
    card: str,
    name: str,
    record: dict,
    sites: dict,
    experiments: dict,
    searches: dict,
    protocols: tuple[str, ...],
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
    elif (TABLES | FIGURES)[record["kind"]].elsewhere or record.get("options", {}).get("elsewhere"):
        raise HeadscarpError(
            f"{place}: {record['kind']} shows what runs made of another site; name that site as `target`"
        )
    chosen = (
        tuple(protocol for protocol in record.get("protocols", protocols) if protocol in protocols)
        or protocols
    )
    return Exhibit(
        card,
        name,
        record["kind"],
        record["title"],
        record["caption"],
        tuple(record["sites"]),
        tuple(record.get("rows", [])),
        chosen,
        record.get("seeds", "all"),
        record.get("options", {}),
        record.get("target"),
        tuple(record.get("searches", [])),
    )


def resolve_claim(card: str, name: str, record: dict) -> Claim:
    """A claim of a card; its names may be those of other cards and are checked when all cards are read
    (`plan.check_claims`)."""
    tests = [
        ClaimTest(
            test.get("card", card),
            test["site"],
            *test["rows"],
            test.get("target"),
            tuple(test.get("protocols", [])),
            resolve_printed(test, record["metric"]),
            test.get("note", ""),
        )
        for test in record["tests"]
    ]
    return Claim(card, name, record["text"], record["place"], record["metric"], tuple(tests))


def resolve_printed(test: dict, metric: str) -> dict[str, Any] | None:
    """Where the paper prints the difference that a test measures; rows and metric are those of the test
    unless it names others."""
    return {"rows": test["rows"], "metric": metric} | test["published"] if "published" in test else None


def read_published(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Published values by exhibit: {exhibit: [{row, metric, value, printed, unit}]}, `printed` as it stands
    and `value` a number, or text where the paper prints text; an own row has none."""
    tables: dict[str, list[dict[str, Any]]] = {}
    with open(path, encoding="utf-8", newline="") as stream:
        for line in csv.DictReader(stream):
            record = {
                "row": line["row"],
                "metric": line["metric"],
                "value": number_or_text(line["value"]),
                "printed": line["value"],
                "unit": line["unit"],
            }
            tables.setdefault(line["table"], []).append(record)
    return tables


def number_or_text(printed: str) -> float | str:
    try:
        return float(printed)
    except ValueError:
        return printed
