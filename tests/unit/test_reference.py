"""docs/reference.md is what the schema files say, and these say something of everything."""

import inspect
from importlib import import_module

import pytest

from headscarp.errors import HeadscarpError
from headscarp.exhibits.kinds import KINDS
from headscarp.reference import SECTIONS, TARGET, reference
from headscarp.schema import FOLDER, SUFFIX, parts, schema_of, validate

FILES = [path.name.removesuffix(SUFFIX) for path in sorted(FOLDER.glob(f"*{SUFFIX}"))]


def test_the_reference_is_up_to_date():
    assert TARGET.read_text(encoding="utf-8") == reference(), "run `python -m headscarp.reference`"


def test_the_reference_has_every_section():
    assert sorted(SECTIONS) == sorted(set(FILES) - {"terms"})


def rules_of(rule, path):
    """(path, rule) of every key, entry and variant below a rule."""
    for key, own in rule.get("properties", {}).items():
        yield f"{path}.{key}", own
        yield from rules_of(own, f"{path}.{key}")
    for inner in ("additionalProperties", "items"):
        if isinstance(rule.get(inner), dict):
            yield from rules_of(rule[inner], f"{path}.*")
    for variant in [*rule.get("oneOf", []), *rule.get("anyOf", [])]:
        yield from rules_of(variant, path)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_says_what_it_is_and_what_it_may_be(section):
    schemas = {section: schema_of(section)}
    if section == "network":
        schemas = {name: schema_of(f"network/{name}") for name in parts("network")}
    for name, schema in schemas.items():
        for path, rule in rules_of(schema, name):
            said = {"type", "enum", "const", "anyOf", "oneOf", "properties"} & set(rule)
            assert said and (rule.get("description") or path.endswith(".options")), path


def test_every_mapping_that_knows_its_keys_refuses_others():
    for section in SECTIONS:
        for path, rule in rules_of(schema_of(section), section):
            if "properties" in rule and "options" not in path:
                assert rule.get("additionalProperties") is False, path


def kinds_with_options():
    """Kinds of exhibits that the schema names, since they have options of their own."""
    rules = [variant["properties"]["kind"] for variant in schema_of("exhibit")["oneOf"]]
    return [kind for rule in rules for kind in rule.get("enum", [rule["const"]] if "const" in rule else [])]


def test_every_kind_of_exhibit_that_reads_options_has_them_in_the_schema():
    named = kinds_with_options()
    assert len(named) == len(set(named)) and set(named) <= set(KINDS)
    for kind in set(KINDS) - set(named):
        source = inspect.getsource(getattr(import_module(f"headscarp.exhibits.{KINDS[kind].module}"), kind))
        assert "options" not in source, f"{kind} reads options; describe them in exhibit.schema.yaml"


def test_a_kind_of_your_own_needs_no_schema_unless_it_has_options():
    exhibit = {"kind": "slide_sizes", "title": "Sizes", "caption": "Of slides.", "sites": ["zigui"]}
    validate("exhibit", exhibit, "here")
    with pytest.raises(HeadscarpError, match="here, options: unknown key 'bins'"):
        validate("exhibit", exhibit | {"options": {"bins": 3}}, "here")
    with pytest.raises(HeadscarpError, match="kind: 'scorez' does not exist; did you mean 'scores'"):
        validate("exhibit", exhibit | {"kind": "scorez", "options": {"metrics": ["f1"]}}, "here")


def test_no_kind_of_exhibit_takes_any_option():
    for variant in schema_of("exhibit")["oneOf"]:
        assert variant["properties"]["options"]["additionalProperties"] is False
