"""Checking records against the schema files of workflow/schemas: one sentence for each fault, which names the
place, the key, what is wrong and the nearest valid word or the allowed range.

The files are JSON Schema (draft 2020-12), one a section of a card. A section that comes in variants lists
them as `oneOf`, with the key that tells them apart as `discriminator` (a keyword of OpenAPI, which other
readers of the files may ignore): faults are then those of the variant that was meant.
"""

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
TOP = "top level"


def validate(section: str, record: Any, place: str, partial: bool = False) -> None:
    """Check a record against a section: the name of a schema file (`training`), or of a definition in one
    (`network/cnn3d`).

    `partial` is of records that are laid over others, such as the changes of a scale: nothing is required.

    Raises:
        HeadscarpError: the first fault, in one sentence that begins with `place`.
    """
    fault = min(validator_of(section, partial).iter_errors(record), key=_order, default=None)
    if fault is not None:
        raise HeadscarpError(describe(fault, place))


def completed(section: str, record: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The record, checked, with the defaults of the section's own keys.

    Raises:
        HeadscarpError: as `validate`.
    """
    validate(section, record, place)
    properties = schema_of(section)["properties"]
    return {key: rule["default"] for key, rule in properties.items() if "default" in rule} | dict(record)


# --- the files


@cache
def registry() -> Registry:
    """All schema files by name; nothing is fetched."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found = {
        path.name: DRAFT202012.create_resource(yaml.load(path.read_text(encoding="utf-8"), loader))
        for path in sorted(FOLDER.glob(f"*{SUFFIX}"))
    }
    return Registry().with_resources(found.items())


@cache
def schema_of(section: str) -> dict[str, Any]:
    """The schema of a section with all it refers to in its place, so that no reference is looked up again."""
    file, _, definition = section.partition("/")
    return _inlined(f"{file}{SUFFIX}" + (f"#/$defs/{definition}" if definition else ""), registry().resolver())


def has_section(section: str) -> bool:
    """Whether there is such a schema file, or such a definition in one."""
    file, _, definition = section.partition("/")
    known = registry().contents(f"{file}{SUFFIX}")
    return not definition or definition in known.get("$defs", {})


def _inlined(reference: str, resolver: Any) -> dict[str, Any]:
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
        if key not in ("$ref", "$defs")
    }
    return (_inlined(schema["$ref"], resolver) if "$ref" in schema else {}) | own


@cache
def validator_of(section: str, partial: bool) -> Draft202012Validator:
    return (PARTIAL if partial else WHOLE)(schema_of(section))


# --- variants


def _variants(validator: Any, variants: list[dict], instance: Any, schema: dict) -> Iterator[ValidationError]:
    """`oneOf`: the variant that the discriminator names; without one, as JSON Schema has it."""
    key = schema.get("discriminator", {}).get("propertyName")
    if key is None:
        yield from Draft202012Validator.VALIDATORS["oneOf"](validator, variants, instance, schema)
    elif isinstance(instance, dict):
        yield from _faults_of_variant(validator, variants, instance, key)


def _faults_of_variant(
    validator: Any, variants: list[dict], instance: dict, key: str
) -> Iterator[ValidationError]:
    by_name = {name: one for one in variants for name in _names(one["properties"].get(key, {}))}
    if key in instance:
        try:
            chosen = by_name.get(instance[key])
        except TypeError:  # a list or a mapping
            chosen = None
        if chosen is not None:
            yield from validator.descend(instance, chosen)
        else:
            rule = {"enum": list(by_name)}
            yield ValidationError(
                "no such variant",
                validator="enum",
                validator_value=rule["enum"],
                path=[key],
                instance=instance[key],
                schema=rule,
            )
        return
    known = list(dict.fromkeys(name for one in variants for name in one["properties"]))
    for name in instance:
        if name not in known and get_close_matches(str(name), [key], 1, 0.6):
            yield _unknown_key(name, [key], instance)
            return
    if not isinstance(validator, PARTIAL):
        default = [one for one in variants if key not in one.get("required", ())]
        if default:
            yield from validator.descend(instance, default[0])
        else:
            yield ValidationError(
                "the variant is not told",
                validator="required",
                validator_value=[key],
                instance=instance,
                schema={"required": [key]},
            )
        return
    for name, value in instance.items():
        rule = next((one["properties"][name] for one in variants if name in one["properties"]), None)
        if rule is None:
            yield _unknown_key(name, known, instance)
        else:
            yield from validator.descend(value, rule, path=name)


def _names(rule: dict[str, Any]) -> list[str]:
    return [rule["const"]] if "const" in rule else rule.get("enum", [])


def _unknown_key(name: Any, known: Sequence[str], instance: dict) -> ValidationError:
    return ValidationError(
        f"unknown key {name}",
        validator="additionalProperties",
        validator_value=False,
        instance=instance,
        schema={"properties": dict.fromkeys(known), "unknown": name},
    )


def _condition(validator: Any, condition: dict, instance: Any, schema: dict) -> Iterator[ValidationError]:
    """`if`: the condition holds of a part of a record as it does of a whole one."""
    branch = "then" if WHOLE(condition).is_valid(instance) else "else"
    if branch in schema:
        yield from validator.descend(instance, schema[branch])


def _is_array(_: Any, instance: Any) -> bool:
    return isinstance(instance, list | tuple)


_TYPES = Draft202012Validator.TYPE_CHECKER.redefine("array", _is_array)
WHOLE = extend(Draft202012Validator, {"oneOf": _variants, "if": _condition}, type_checker=_TYPES)
PARTIAL = extend(WHOLE, {"required": lambda *_: ()})


# --- the sentence


def _order(fault: ValidationError) -> tuple[list[str], int]:
    """Faults from the top of a record; of one place, an unknown key before the missing one that it was to be."""
    return [str(part) for part in fault.absolute_path], fault.validator != "additionalProperties"


def describe(fault: ValidationError, place: str) -> str:
    """One sentence for a fault."""
    fault = _meant(fault)
    where = ", ".join([place, *map(str, fault.absolute_path)])
    return f"{where}: {_what(fault)}"


def _meant(fault: ValidationError) -> ValidationError:
    """Of a value with alternatives the fault of the one whose type it has, if one has it."""
    while fault.validator in ("anyOf", "oneOf") and fault.context:
        faults: dict[int, list[ValidationError]] = {}
        for one in fault.context:
            faults.setdefault(one.relative_schema_path[0], []).append(one)
        typed = [found for found in faults.values() if not any(_is_of_type(one) for one in found)]
        if len(typed) != 1:
            break
        fault = min(typed[0], key=_order)
    return fault


def _is_of_type(fault: ValidationError) -> bool:
    return fault.validator in ("type", "const") and not fault.relative_path


def _what(fault: ValidationError) -> str:
    value, rule, name = fault.instance, fault.schema, fault.validator
    if name == "additionalProperties":
        known = rule.get("properties", {})
        unknown = rule["unknown"] if "unknown" in rule else next(key for key in value if key not in known)
        return f"unknown key '{unknown}'; {nearest(unknown, known)}"
    if name == "required":
        missing = next(key for key in fault.validator_value if key not in value)
        meaning = rule.get("properties", {}).get(missing, {}).get("description")
        return f"the key '{missing}' is missing; add it" + (f" ({meaning.rstrip('.')})" if meaning else "")
    if name in ("enum", "const") and isinstance(value, str):
        known = fault.validator_value if name == "enum" else [fault.validator_value]
        if texts := [one for one in known if isinstance(one, str)]:
            return f"'{value}' does not exist; {nearest(value, texts)}"
    if name == "propertyNames" or "propertyNames" in fault.absolute_schema_path:
        return f"the name '{value}' will not do; it must be {allowed(rule)}"
    if name == "uniqueItems":
        twice = next(one for one in value if list(value).count(one) > 1)
        return f"'{twice}' stands twice; keep one of them"
    hint = "; in YAML write 1.0e-4, with the point" if _is_number_as_text(value) else ""
    return f"{_shown(value)} will not do; it must be {allowed(rule)}{hint}"


def _is_number_as_text(value: Any) -> bool:
    """YAML 1.1 reads 1e-4, without a point, as text."""
    try:
        return isinstance(value, str) and "e" in value.lower() and float(value) is not None
    except ValueError:
        return False


def _shown(value: Any) -> str:
    text = {None: "null", True: "true", False: "false"}.get(value) if value is None or value in (
        True,
        False,
    ) and isinstance(value, bool) else None
    if text is None:
        text = f"'{value}'" if isinstance(value, str) else f"{value}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def allowed(rule: Mapping[str, Any]) -> str:
    """What a schema allows, in words."""
    if "const" in rule:
        return _shown(rule["const"])
    if "enum" in rule:
        return "one of " + ", ".join(map(_shown, rule["enum"]))
    for key in ("anyOf", "oneOf"):
        if key in rule and "discriminator" not in rule:
            return " or ".join(dict.fromkeys(map(allowed, rule[key])))
    types = rule.get("type", "object" if "properties" in rule else "any")
    return " or ".join(_allowed_of(one, rule) for one in ([types] if isinstance(types, str) else types))


def _allowed_of(kind: str, rule: Mapping[str, Any]) -> str:
    if kind in ("integer", "number"):
        return ("a whole number" if kind == "integer" else "a number") + _range(rule)
    if kind == "array":
        least, most = rule.get("minItems", 0), rule.get("maxItems")
        count = f" of {least}" if least == most else f" of {least} or more" if least else ""
        items = rule.get("items")
        return f"a list{count}" + (f", each {allowed(items)}" if isinstance(items, dict) and items else "")
    if kind == "object":
        known = rule.get("properties", {})
        return "a mapping" + (f" with keys such as {', '.join(list(known)[:4])}" if known else "")
    if kind == "string":
        return f"text as {rule['pattern']}" if "pattern" in rule else "text"
    return {"boolean": "true or false", "null": "null"}.get(kind, "something else")


def _range(rule: Mapping[str, Any]) -> str:
    bounds = [
        f"{words} {rule[key]:g}"
        for key, words in (
            ("minimum", "from"),
            ("exclusiveMinimum", "above"),
            ("maximum", "up to"),
            ("exclusiveMaximum", "below"),
        )
        if key in rule
    ]
    return "".join(f" {one}" for one in bounds[:1]) + "".join(f" and {one}" for one in bounds[1:])
