"""Cards are checked whole before any job: every key and every name of every shipped card, mutated one at a
time, is refused in a sentence that names the card, the key and the nearest valid word."""

from collections import Counter

import pytest

from headscarp.errors import HeadscarpError
from headscarp.plan.audit import check_audits
from headscarp.plan.checks import check_claims
from headscarp.plan.read import known_networks, read_cards, resolve_card
from headscarp.plan.relations import check_relations
from headscarp.schema import schema_of, validate
from headscarp.yaml_files import read_yaml
from tests.conftest import REPOSITORY

WORKFLOW = REPOSITORY / "workflow"
SCALES = ("tiny", "demo", "standard", "full")
# Text for people, and names that only data hold (variables, columns, classes) or that are defined where they
# stand.
FREE = {
    "also",  # names that it gives
    *(
        "title",
        "caption",
        "citation",
        "notes",
        "label",
        "text",
        "place",
        "note",
        "event",
        "image",
        "decided_by_simulation",
        "name",
        "units",
        "date",
    ),
    *(
        "folder",
        "group",
        "variable",
        "variables",
        "times",
        "row",
        "col",
        "values",
        "classes",
        "names",
        "crs",
        "dates",
    ),
}
# Mappings whose keys name what is defined elsewhere.
REFERRING = {
    *("cells", "shares", "row_columns", "published_rows", "beside", "columns", "tables", "background"),
}
# Sections whose entries are checked one by one.
BY_NAME = {"sites", "inputs", "experiments", "searches", "cells", "claims", "exhibits", "scales"}


@pytest.fixture(scope="module")
def records():
    return read_cards([WORKFLOW / "cards"])


class Refusals:
    """What `load_plan` does with one card, all others being as they are."""

    def __init__(self, records):
        self.records = records
        self.networks = known_networks(WORKFLOW / "scripts" / "headscarp" / "networks")
        self.cards = {
            scale: {name: self.resolved(record, scale) for name, record in records.items()}
            for scale in SCALES
        }
        self.sites = {
            scale: {name: site for card in cards.values() for name, site in card.sites.items()}
            for scale, cards in self.cards.items()
        }

    def resolved(self, record, scale):
        config = {"scale": scale, "protocols": ["published", "blocked"]}
        return resolve_card(record, config, WORKFLOW, self.networks, self.records | {record["name"]: record})

    def of_schema(self, name, record, partial=False):
        return sentence_of(lambda: validate("card", record, f"card {name}.yaml", partial))

    def of_names(self, record, scale):
        return sentence_of(lambda: self.check_names(record, scale))

    def check_names(self, record, scale):
        card = self.resolved(record, scale)
        check_relations(record, card, scale, self.sites[scale] | card.sites)
        cards = self.cards[scale] | {card.name: card}
        check_claims(cards)
        check_audits(cards, cards)


def sentence_of(check):
    try:
        check()
    except HeadscarpError as error:
        return str(error)
    return None


@pytest.fixture(scope="module")
def refusals(records):
    return Refusals(records)


# --- walking a card along its schema


def nodes(rule, value, path=()):
    """(path, schema of the value there, whether the schema itself names the last key) of all that a record
    holds; an empty schema where none holds."""
    if isinstance(value, dict):
        known, more = properties_of(rule, value), rule.get("additionalProperties") or {}
        inner = [(key, known.get(key, more), key in known) for key in value]
    else:
        inner = [(index, rule.get("items", {}), False) for index in range(len(value))]
    for key, own, is_known in inner:
        yield (*path, key), own, is_known
        if isinstance(value[key], dict | list):
            yield from nodes(own, value[key], (*path, key))


def properties_of(rule, value):
    """The keys that the schema knows of a mapping, those of the variant that it is."""
    found = dict(rule.get("properties", {}))
    for variant in rule.get("oneOf", []):
        told = rule["discriminator"]["propertyName"]
        own = variant["properties"].get(told, {"const": None})
        if value.get(told) in own.get("enum", [own.get("const")]):
            found |= variant["properties"]
    return found


def at(record, path):
    for key in path:
        record = record[key]
    return record


def put(record, path, value):
    """A copy of a record with another value at a path."""
    changed = record.copy()
    changed[path[0]] = put(record[path[0]], path[1:], value) if path[1:] else value
    return changed


def renamed(record, path, name):
    """A copy of a record with another name of the last key of a path, in its place."""
    mapping = at(record, path[:-1])
    changed = {name if key == path[-1] else key: value for key, value in mapping.items()}
    return put(record, path[:-1], changed) if path[1:] else changed


def changed_part(record, changed):
    """What is other in a changed record: its section, of entries by name the entry alone."""
    part = {key: value for key, value in changed.items() if value is not record.get(key)}
    for section in BY_NAME & set(part):
        if isinstance(part[section], dict):
            whole = record[section]
            part[section] = {key: one for key, one in part[section].items() if one is not whole.get(key)}
    return part


def misspelt(word):
    """A word with the letter in its middle twice."""
    middle = len(word) // 2
    return word[: middle + 1] + word[middle:]


def refers(path):
    """Whether the last key of a path, which a card chose, names what is defined elsewhere."""
    return (
        path[-2:-1] in [(name,) for name in REFERRING]
        or (path[0] == "scales" and path[2:-1] in (("experiments",), ("searches",)))
        or (path[0] == "inputs" and len(path) == 3)
    )


def is_free(record, path):
    """Whether a text names nothing that exists elsewhere in the cards."""
    if path[-1] == "band":  # known before its file is there where that is simulated
        site = record["sites"][path[1]]
        return "twin" not in record["sites"][site.get("raw", path[1])]
    of_user = path[0] == "sites" and record["sites"][path[1]].get("source") in ("local", "patch_set")
    return bool(FREE & set(path)) or (of_user and "files" in path)


def alternatives(rule):
    """The schemas of which a value follows one."""
    return [part for one in rule["anyOf"] for part in alternatives(one)] if "anyOf" in rule else [rule]


def of_wrong_type(rule):
    """A value of a type that the schema does not allow, if it says a type."""
    kinds = set()
    for one in alternatives(rule):
        said = one.get("type", "string" if {"enum", "const"} & set(one) else [])
        kinds |= {said} if isinstance(said, str) else set(said)
    others = [value for kind, value in (("string", "text"), ("array", ["text"])) if kind not in kinds]
    return others[:1] if kinds else []


def out_of_range(rule, value):
    """Numbers beyond each bound that the schema gives."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return []
    beyond = {"minimum": -1, "exclusiveMinimum": 0, "maximum": 1, "exclusiveMaximum": 0}
    return [rule[bound] + step for bound, step in beyond.items() if bound in rule]


def mutations(record):
    """(what is mutated, path, changed record, words that the refusal holds); what YAML's aliases repeat, and
    what one schema says of many values, once."""
    done = set()
    for path, rule, is_known in nodes(schema_of("card"), record):
        container, last, value = at(record, path[:-1]), path[-1], at(record, path)
        named = str(next(key for key in reversed(path) if isinstance(key, str)))
        if (id(container), last) not in done:
            done.add((id(container), last))
            if is_known or (isinstance(last, str) and refers(path)):
                what, word = ("key" if is_known else "name"), misspelt(last)
                yield what, path, renamed(record, path, word), (word, last)
            if isinstance(value, str) and value and not is_free(record, path):
                yield "name", path, put(record, path, misspelt(value)), (misspelt(value), value)
        if (id(rule), named) not in done:
            done.add((id(rule), named))
            for wrong in of_wrong_type(rule):
                yield "type", path, put(record, path, wrong), (named,)
            for wrong in out_of_range(rule, value):
                yield "range", path, put(record, path, wrong), (named, f"{wrong:g}")


def test_shipped_cards_and_examples_are_accepted(records, refusals):
    for name, record in records.items():
        assert refusals.of_schema(name, record) is None
        assert [refusals.of_names(record, scale) for scale in SCALES] == [None] * len(SCALES)
    for path in (WORKFLOW / "examples").glob("*.yaml"):
        assert refusals.of_schema(path.stem, read_yaml(path)) is None


@pytest.mark.slow
def test_every_mutation_of_every_shipped_card_is_refused(records, refusals, capsys):
    counts, failures = Counter(), []
    for name, record in records.items():
        for what, path, changed, words in mutations(record):
            scale = path[1] if path[0] == "scales" and path[1:] else "tiny"
            sentence = refusals.of_schema(name, changed_part(record, changed), partial=True)
            sentence = sentence or refusals.of_schema(name, changed) or refusals.of_names(changed, scale)
            counts[what] += 1
            if sentence is None or not all(word in sentence for word in (name, *words)):
                failures.append((name, *path, sentence or "accepted"))
    with capsys.disabled():
        told = ", ".join(f"{count} of a {what}" for what, count in counts.items())
        print(f"\n{counts.total()} mutations of {len(records)} cards refused: {told}")
    assert failures == []
    assert counts["key"] > 500 and counts["name"] > 500
