"""Experiments and searches of a card, resolved: the channels that they read of each site, and their
recipes."""

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from headscarp.plan.model import SEEDS, SYMMETRIES, Experiment, Search, Site
from headscarp.vocabulary import require_known
from headscarp.yaml_files import merge

# The only date that an experiment reads unless it says otherwise.
LAST = "last"


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


def resolve_experiments(
    place: str,
    records: Mapping[str, dict],
    inputs: dict,
    sites: Mapping[str, Site],
    training: dict,
    networks: set[str],
    classes: int,
) -> dict[str, Experiment]:
    """All experiments of a card by name, in its order."""
    found = {
        name: resolve_experiment(place, name, one, inputs, sites, training, networks, classes)
        for name, one in records.items()
        if "average" not in one
    }
    # A mean over seeds may be one of means over symmetries, but not the other way round.
    for over in (SYMMETRIES, SEEDS):
        averages = {name: one for name, one in records.items() if one.get("average", {}).get("over") == over}
        found |= {name: resolve_average(place, name, one, found) for name, one in averages.items()}
    return {name: found[name] for name in records}


def resolve_average(place: str, name: str, record: dict, known: Mapping[str, Experiment]) -> Experiment:
    """An experiment that averages what another one maps."""
    average = record["average"]
    where = f"{place}, experiment {name}, average, of: experiment"
    base = known[require_known(average["of"], known, where)]
    return replace(base, name=name, label=record.get("label", name), average=average)


def resolve_experiment(
    place: str,
    name: str,
    record: dict,
    inputs: dict,
    sites: Mapping[str, Site],
    training: dict,
    networks: set[str],
    classes: int,
) -> Experiment:
    require_known(record["network"], networks, f"{place}, experiment {name}: network")
    channels = {site: channels_read(f"{place}, experiment {name}", record, inputs, site) for site in sites}
    return Experiment(
        name=name,
        label=record.get("label", name),
        network=record["network"],
        params=record.get("params", {}),
        channels=next(iter(channels.values())),
        training=merge(training, record.get("training", {})),
        tuned_by=record.get("tuned_by"),
        classes=classes,
        start=record.get("start"),
        share=record.get("share", 1.0),
        window=record.get("window"),
        statistics=record.get("statistics", "own"),
        dates=record.get("dates", LAST),
        by_site=channels if any(isinstance(inputs[group], dict) for group in record["inputs"]) else {},
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
    sites: Mapping[str, Site],
    networks: set[str],
    classes: int,
) -> Search:
    place = f"card {card}, search {name}"
    require_known(record["network"], networks, f"{place}: network")
    require_known(record["site"], sites, f"{place}: site")
    resolved: dict[str, Any] = {
        "network": {"name": record["network"], "width": width, "params": record.get("params", {})},
        "channels": channels_of(place, record, inputs, record["site"]),
        "classes": classes,
        "recipe": record["training"],
        "seed": record.get("seed", 0),
        "trials": record["trials"],
        "space": record["space"],
    }
    return Search(
        name=name,
        label=record.get("label", name),
        card=card,
        site=record["site"],
        samplers=tuple(record["samplers"]),
        record=resolved
        | dates_read(record.get("dates", LAST))
        | ({"objective": record["objective"]} if "objective" in record else {}),
    )
