"""Cards read and resolved at one scale."""

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from headscarp.errors import HeadscarpError
from headscarp.plan.checks import check_card
from headscarp.plan.model import MAPS, METHODS, Card
from headscarp.plan.read_experiments import resolve_experiments, resolve_search
from headscarp.plan.read_shown import resolve_claim, resolve_exhibit, rows_at
from headscarp.plan.read_sites import sites_of_card
from headscarp.schema import validate
from headscarp.vocabulary import require_known
from headscarp.yaml_files import merge, read_yaml


def read_cards(folders: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """All cards of some folders by name."""
    records: dict[str, dict[str, Any]] = {}
    places: dict[str, Path] = {}
    for path in (path for folder in folders for path in sorted(folder.glob("*.yaml"))):
        record = read_yaml(path)
        validate("card", record, f"card {path.name}")
        name = record["name"]
        if name in records:
            raise HeadscarpError(
                f"two cards are called '{name}': {places[name].name} and {path.name}; rename one"
            )
        records[name], places[name] = record, path
    return records


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
    name, inputs = record["name"], record["inputs"]
    place = f"card {name}"
    scale = record["scales"][require_known(config["scale"], record["scales"], "config.yaml: scale")]
    for section in ("experiments", "searches"):
        for key in scale.get(section, {}):
            where = f"{place}, scales, {config['scale']}, {section}"
            require_known(key, record.get(section, {}), f"{where}: name")
    training = merge(record["training"], scale.get("training", {}))
    sites = sites_of_card(record, records, config["scale"])
    protocols = tuple(
        protocol for protocol in record["protocols"] if protocol in config["protocols"]
    ) or tuple(record["protocols"])
    cells = {key: merge(one, scale.get("cells", {})) for key, one in record.get("cells", {}).items()}
    further = {protocol for one in cells.values() for protocol in one.get("protocols", ())}
    shown = (*protocols, *further.intersection(config["protocols"]))
    classes = len(record.get("classes", [1]))
    experiments = resolve_experiments(
        place,
        merge(record["experiments"], scale.get("experiments", {})),
        inputs,
        sites,
        training,
        networks,
        classes,
    )
    searches = {
        key: resolve_search(name, key, one, inputs, scale["width"], sites, networks, classes)
        for key, one in merge(record.get("searches", {}), scale.get("searches", {})).items()
    }
    exhibits = {
        key: resolve_exhibit(name, key, rows_at(scale, key, one, place, experiments), protocols, shown)
        for key, one in record["exhibits"].items()
    }
    card = Card(
        name=name,
        title=record["title"],
        citation=record["citation"],
        sites=sites,
        experiments=experiments,
        searches=searches,
        exhibits=exhibits,
        deliver=delivered_at(scale, f"{place}, scales, {config['scale']}", record["exhibits"]),
        claims={key: resolve_claim(name, key, claim) for key, claim in record.get("claims", {}).items()},
        protocols=protocols,
        seeds=tuple(config.get("seeds", scale["seeds"])),
        width=scale["width"],
        size=scale["size"],
        smallest=record["scales"]["tiny"]["size"],
        sampling=merge(record.get("sampling", {}), scale.get("sampling", {})),
        cells=cells,
        inventory=record.get("inventory", {}),
        change=record.get("change", {}),
        mapping=merge(record.get("mapping", {}), scale.get("mapping", {})),
        polygons=tuple(record.get("polygons", [])),
        best_map=record.get("best_map", {}),
        susceptibility=tuple(record.get("susceptibility", [])),
        apply=tuple(record.get("apply", [])),
        published=read_published(table_of(record, "published", workflow)) if "published" in record else {},
        audit=record.get("audit", {}),
        archive=table_of(record, "archive", workflow) if "archive" in record else None,
    )
    check_card(card)
    return card


def delivered_at(scale: dict[str, Any], place: str, exhibits: Iterable[str]) -> tuple[str, ...] | None:
    """What plain `snakemake` makes of a card at a scale; None is all."""
    for name in scale.get("deliver", []):
        require_known(name, [*exhibits, MAPS], f"{place}, deliver: exhibit")
    return tuple(scale["deliver"]) if "deliver" in scale else None


def table_of(record: dict[str, Any], key: str, workflow: Path) -> Path:
    """The CSV beside the cards that a card names under a key.

    Raises:
        HeadscarpError: there is none; the nearest is named.
    """
    folder = workflow / "cards"
    found = [path.relative_to(folder).as_posix() for path in folder.glob("**/*.csv")]
    return folder / require_known(record[key], found, f"card {record['name']}, {key}: file")


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
