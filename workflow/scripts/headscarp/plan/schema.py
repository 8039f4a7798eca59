"""Records held against their JSON schemas, and what is wrong with them in one sentence."""

from pathlib import Path
from typing import Any

import jsonschema
import yaml
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from headscarp.errors import HeadscarpError
from headscarp.vocabulary import nearest


def check(record: dict[str, Any], schema_path: Path, place: str) -> dict[str, Any]:
    """Validate `record` against a JSON schema and fill the defaults of its top level."""
    schema = yaml.safe_load(schema_path.read_text(encoding="utf-8"))
    sections = Registry().with_resources(
        (path.name, DRAFT202012.create_resource(yaml.safe_load(path.read_text(encoding="utf-8"))))
        for path in schema_path.parent.glob("*.yaml")
    )
    errors = sorted(
        jsonschema.Draft202012Validator(schema, registry=sections).iter_errors(record),
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
