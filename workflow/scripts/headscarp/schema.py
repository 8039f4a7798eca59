"""Checking records against the schema files of workflow/schemas: one sentence for each fault, which names the
place, the key, what is wrong and the nearest valid word or the allowed range.

The files are JSON Schema (draft 2020-12), one a section of a card, with two keywords more, which other
readers of the files may ignore. A section that comes in variants lists them as `oneOf`, with the key that
tells them apart as `discriminator` (of OpenAPI): faults are those of the variant that was meant; a variant
that names nothing is for what no other names and the code knows. `partial`
beside a `$ref` says that the part is laid over another one, so that nothing in it is required.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from headscarp.errors import HeadscarpError
from headscarp.vocabulary import nearest

FOLDER = Path(__file__).resolve().parents[2] / "schemas"
SUFFIX = ".schema.yaml"
# Longest value, and most keys of a mapping, that a sentence shows.
LONGEST, SOME = 60, 6
# Likeness from which on the name of a variant is held to be misspelt, not one that the files leave out.
ALIKE = 0.8
WORDS = {"None": "null", "True": "true", "False": "false"}


def validate(section: str, record: Any, place: str, partial: bool = False) -> None:
    """Check a record against a section: the name of a schema file (`training`), or of a definition in one
    (`network/cnn3d`).

    `partial` is of records that are laid over others, such as an overlay: nothing is required.

    Raises:
        HeadscarpError: the first fault, in one sentence that begins with `place`.
    """
    fault = min(_validator(section, partial).iter_errors(record), key=_order, default=None)
    if fault is not None:
        raise HeadscarpError(describe(_meant(fault), record, place))


def completed(section: str, record: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The record, checked, with the defaults of the section's own keys.

    Raises:
        HeadscarpError: as `validate`.
    """
    validate(section, record, place)
    properties = schema_of(section)["properties"]
    return {key: rule["default"] for key, rule in properties.items() if "default" in rule} | dict(record)


def describe(fault: ValidationError, record: Any, place: str) -> str:
    """One sentence for a fault in a record; entries of lists count from 1."""
    where = [place]
    for key in fault.absolute_path:
        where.append(f"entry {key + 1}" if isinstance(record, list | tuple) else str(key))
        record = record[key] if isinstance(record, list | tuple) else record.get(key)
    return f"{', '.join(where)}: {_what(fault)}"


# --- the files


@cache
def registry() -> Registry:
    """All schema files by name; nothing is fetched."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return Registry().with_resources(
        (path.name, DRAFT202012.create_resource(yaml.load(path.read_text(encoding="utf-8"), loader)))
        for path in sorted(FOLDER.glob(f"*{SUFFIX}"))
    )


@cache
def schema_of(section: str) -> dict[str, Any]:
    """The schema of a section, what it refers to in place, so that no reference is looked up again."""
    file, _, definition = section.partition("/")
    return _in_place(
        f"{file}{SUFFIX}" + (f"#/$defs/{definition}" if definition else ""), registry().resolver()
    )


@cache
def parts(section: str) -> tuple[str, ...]:
    """Names of the definitions in a schema file."""
    return tuple(registry().contents(f"{section}{SUFFIX}").get("$defs", {}))


@cache
def _validator(section: str, partial: bool) -> Draft202012Validator:
    schema = _of_parts(schema_of(section)) if partial else schema_of(section)
    return _Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def _in_place(reference: str, resolver: Any) -> dict[str, Any]:
    found = resolver.lookup(reference)
    return _without_references(found.contents, found.resolver)


def _without_references(schema: Any, resolver: Any) -> Any:
    if isinstance(schema, list):
        return [_without_references(one, resolver) for one in schema]
    if not isinstance(schema, dict):
        return schema
    own = {
        key: _without_references(value, resolver)
        for key, value in schema.items()
        if key not in ("$schema", "$ref", "$defs", "partial")  # `$schema` would call in the plain validator
    }
    if "$ref" not in schema:
        return own
    found = _in_place(schema["$ref"], resolver)
    return (_of_parts(found) if schema.get("partial") else found) | own


def _of_parts(schema: Any) -> Any:
    """A schema of records that are laid over others: nothing is required, but as a condition (`if`)."""
    if isinstance(schema, list):
        return [_of_parts(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    # A property may be called `required`; as a keyword it is a list.
    kept = {
        key: value for key, value in schema.items() if not (key == "required" and isinstance(value, list))
    }
    parted = {key: value if key == "if" else _of_parts(value) for key, value in kept.items()}
    return parted | (
        {"discriminator": parted["discriminator"] | {"partial": True}} if "oneOf" in parted else {}
    )


# --- variants


def _variants(validator: Any, variants: list[dict], instance: Any, schema: dict) -> Iterator[ValidationError]:
    """`oneOf` with a discriminator: the faults of the variant that it names."""
    if not isinstance(instance, dict):  # said by `type`
        return
    told = schema["discriminator"]
    key = told["propertyName"]
    if key in instance:
        yield from _faults_of_named(validator, variants, instance, key)
    elif misspelt := [name for name in instance if _is_misspelt(name, key, variants)]:
        yield _unknown_key(misspelt[0], [key], instance)
    elif told.get("partial"):
        yield from _faults_of_part(validator, schema, instance)
    else:
        # The default is the variant that does without the key.
        default = next((one for one in variants if key not in one.get("required", ())), None)
        if default is not None:
            yield from validator.descend(instance, default)


def _faults_of_named(
    validator: Any, variants: list[dict], instance: dict, key: str
) -> Iterator[ValidationError]:
    known, unnamed = [], []
    for variant in variants:
        rule = variant["properties"].get(key, {})
        names = [rule["const"]] if "const" in rule else rule.get("enum", [])
        if instance[key] in names:
            yield from validator.descend(instance, variant)
            return
        known += names
        if key in variant["properties"] and not names:
            unnamed.append(variant)
    faults = [fault for variant in unnamed for fault in validator.descend(instance, variant)]
    if unnamed and not (faults and get_close_matches(str(instance[key]), known, 1, ALIKE)):
        yield from faults
        return
    yield ValidationError(
        "no such variant",
        validator="enum",
        validator_value=known,
        path=[key],
        instance=instance[key],
        schema={"enum": known},
    )


def _is_misspelt(name: Any, key: str, variants: list[dict]) -> bool:
    return all(name not in one["properties"] for one in variants) and bool(
        get_close_matches(str(name), [key], 1, 0.6)
    )


def _faults_of_part(validator: Any, schema: dict, instance: dict) -> Iterator[ValidationError]:
    """Faults of what is laid over a variant that the record does not name: keys that no variant has, and
    values where all variants say the same. The rest is told when the whole is checked."""
    of_variants = [one["properties"] for one in schema["oneOf"]]
    known = [*schema.get("properties", {}), *(name for one in of_variants for name in one)]
    for name, value in instance.items():
        rules = [one[name] for one in of_variants if name in one]
        if name not in known:
            yield _unknown_key(name, list(dict.fromkeys(known)), instance)
        elif rules and all(rule == rules[0] for rule in rules):
            yield from validator.descend(value, rules[0], path=name)


def _unknown_key(name: Any, known: Sequence[str], instance: dict) -> ValidationError:
    return ValidationError(
        f"unknown key {name}",
        validator="additionalProperties",
        validator_value=False,
        instance={name: instance[name]},
        schema={"properties": dict.fromkeys(known)},
    )


_Validator = extend(
    Draft202012Validator,
    {"oneOf": _variants},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "array", lambda _, instance: isinstance(instance, list | tuple)
    ),
)


# --- the sentence


def _order(fault: ValidationError) -> tuple[list[str], bool]:
    """Faults from the top of a record; of one place, an unknown key before a missing one."""
    return [str(part) for part in fault.absolute_path], not _is_unknown_key(fault)


def _is_unknown_key(fault: ValidationError) -> bool:
    return fault.validator == "additionalProperties" or (
        fault.validator == "enum" and "propertyNames" in fault.absolute_schema_path
    )


def _meant(fault: ValidationError) -> ValidationError:
    """Of a value with alternatives the fault of the one whose type it has, if one has it."""
    while fault.validator == "anyOf":
        faults: dict[int, list[ValidationError]] = {}
        for one in fault.context:
            faults.setdefault(one.relative_schema_path[0], []).append(one)
        typed = [found for found in faults.values() if not any(map(_is_of_another_type, found))]
        if len(typed) != 1:
            break
        fault = min(typed[0], key=_order)
    return fault


def _is_of_another_type(fault: ValidationError) -> bool:
    return fault.validator in ("type", "const") and not fault.relative_path


def _what(fault: ValidationError) -> str:
    value, rule, keyword = fault.instance, fault.schema, fault.validator
    if keyword == "additionalProperties":
        known = rule.get("properties", {})
        unknown = next(key for key in value if key not in known)
        return f"unknown key '{unknown}'; {nearest(unknown, known)}"
    if _is_unknown_key(fault):
        return f"the key '{value}' does not go with the others; beside them go {', '.join(rule['enum'])}"
    if "propertyNames" in fault.absolute_schema_path:
        return f"the name {_quoted(value)} will not do; it must be {allowed(rule)}"
    if keyword == "required":
        missing = next(key for key in fault.validator_value if key not in value)
        meaning = rule.get("properties", {}).get(missing, {}).get("description", "").rstrip(".")
        return f"the key '{missing}' is missing; add it" + (f" ({meaning})" if meaning else "")
    if keyword == "uniqueItems":
        twice = next(one for one in value if list(value).count(one) > 1)
        return f"{_quoted(twice)} stands twice; keep one of them"
    if keyword == "enum" and isinstance(value, str):
        return f"'{value}' does not exist; {nearest(value, map(shown, rule['enum']))}"
    # YAML 1.1 reads 1e-4, without the point, as text.
    hint = "; in YAML write 1.0e-4, with the point" if _is_number_without_point(value) else ""
    return f"{_quoted(value)} will not do; it must be {allowed(rule)}{hint}"


def _is_number_without_point(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[+-]?\d+[eE][+-]?\d+", value) is not None


def _quoted(value: Any) -> str:
    return f"'{shown(value)}'" if isinstance(value, str) else shown(value)


def shown(value: Any) -> str:
    """A value as YAML has it, not too long."""
    text = WORDS.get(str(value), str(value)) if value is None or isinstance(value, bool) else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def allowed(rule: Mapping[str, Any]) -> str:
    """What a schema allows, in words."""
    if "const" in rule:
        return shown(rule["const"])
    if "enum" in rule:
        return " or ".join(map(shown, rule["enum"]))
    if "anyOf" in rule:
        return " or ".join(dict.fromkeys(map(allowed, rule["anyOf"])))
    if "pattern" in rule and "description" in rule:
        return rule["description"][0].lower() + rule["description"][1:].rstrip(".")
    kinds = rule.get("type", "object")
    return " or ".join(_allowed_of(one, rule) for one in ([kinds] if isinstance(kinds, str) else kinds))


def _allowed_of(kind: str, rule: Mapping[str, Any]) -> str:
    if kind in ("integer", "number"):
        return ("a whole number" if kind == "integer" else "a number") + _range(rule)
    if kind == "array":
        least, most, items = rule.get("minItems", 0), rule.get("maxItems"), rule.get("items")
        count = f" of {least}" if least and least == most else f" of {least} or more" if least else ""
        return f"a list{count}" + (f", each {allowed(items)}" if items else "")
    if kind == "object":
        known = list(rule.get("properties", {}))
        if known:
            return f"a mapping of {', '.join(known[:SOME])}{', ...' if known[SOME:] else ''}"
        least = rule.get("minProperties", 0)
        return "a mapping" + (f" of {least} names or more" if least > 1 else " of one name or more" * least)
    return {"string": "text", "boolean": "true or false", "null": "null"}[kind]


def _range(rule: Mapping[str, Any]) -> str:
    if {"minimum", "maximum"} <= set(rule):
        return f" from {rule['minimum']:g} to {rule['maximum']:g}"
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "up to", "exclusiveMaximum": "below"}
    bounds = [f"{word} {rule[key]:g}" for key, word in words.items() if key in rule]
    return f" {' and '.join(bounds)}" if bounds else ""
