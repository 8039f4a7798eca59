"""The reference of all keys of cards and of config.yaml, written from the schema files:
`python -m headscarp.reference` makes docs/reference.md anew."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headscarp.files import atomic_path
from headscarp.schema import FOLDER, SUFFIX, allowed, registry

TARGET = FOLDER.parents[1] / "docs" / "reference.md"
# In the order of a card; `terms` is what they share.
SECTIONS = (
    *("config", "card", "site", "twin", "origin", "patch_set", "layers", "experiment", "network", "search"),
    *("cells", "inventory", "change", "sampling", "training", "mapping", "best_map", "scale", "claim"),
    *("audit", "exhibit"),
)
HEAD = """Written from [workflow/schemas](../workflow/schemas) by `python -m headscarp.reference`; change
those files, not this one. A key that is not here, and a value that is not allowed, is refused before any job,
with the nearest word that exists; so are names that exist nowhere and numbers that do not fit each other. `*`
stands for a name that the card chooses, `[]` for the entries of a list; **bold** keys must be there.
"""

Rule = Mapping[str, Any]


def reference() -> str:
    """The text of docs/reference.md."""
    sections = "\n\n".join(map(text_of, SECTIONS))
    return f"# All keys of cards and of config.yaml\n\n{HEAD}\n{sections}\n"


def text_of(section: str) -> str:
    schema = registry().contents(f"{section}{SUFFIX}")
    lines = [f"## {title_of(section)}", "", schema["description"]]
    own = table(schema)
    lines += ["", *own] if own else []
    for variant in schema.get("oneOf", []):
        key = schema["discriminator"]["propertyName"]
        lines += ["", f"### {heading_of(variant, key)}", "", *table(variant, skipped=key)]
    if section == "network":
        lines += networks(schema["$defs"])
    return "\n".join(lines)


def networks(parts: Mapping[str, Rule]) -> list[str]:
    """Lines of the parameters of each network and model, those of equal ones once."""
    alike: dict[str, list[str]] = {}
    for name, rule in parts.items():
        alike.setdefault("\n".join(table(rule)), []).append(name)
    none = alike.pop("")
    lines = [line for rows, names in alike.items() for line in ("", f"### {', '.join(names)}", "", rows)]
    return [*lines, "", f"Without parameters: {', '.join(none)}."]


def title_of(section: str) -> str:
    return "config.yaml" if section == "config" else section.replace("_", " ")


def heading_of(variant: Rule, key: str) -> str:
    """What tells a variant from the others."""
    rule = variant["properties"].get(key)
    if rule is None:
        return f"without {key}"
    if "const" not in rule and "enum" not in rule:
        return f"any other {key}"
    return f"{key}: {', '.join([rule['const']] if 'const' in rule else rule['enum'])}"


def table(schema: Rule, skipped: str | None = None) -> list[str]:
    """Lines of a table of the keys of a mapping, those of its parts among them."""
    rows = [
        f"| {name} | {rule.get('description', '')} | {values} |"
        for name, rule, values in keys_of(schema, "")
        if name.strip("*") != skipped
    ]
    return (
        ["| key | what it is | allowed |", "|---|---|---|", *(escaped(row) for row in rows)] if rows else []
    )


def escaped(row: str) -> str:
    """A line of a table without bars inside its cells."""
    first, *rest = row.split(" | ")
    return " | ".join([first, *(one.replace("|", "\\|") if not one.endswith("|") else one for one in rest)])


def keys_of(schema: Rule, prefix: str) -> Iterator[tuple[str, Rule, str]]:
    """(name, rule, what is allowed) of each key of a mapping and, below it, of those of its parts."""
    for key, written in schema.get("properties", {}).items():
        rule = resolved(written)
        name = f"{prefix}{key}"
        shown = f"**`{name}`**" if key in schema.get("required", ()) else f"`{name}`"
        yield shown, rule, values_of(written)
        if not is_section(written):
            yield from parts_of(rule, name)


def parts_of(rule: Rule, name: str) -> Iterator[tuple[str, Rule, str]]:
    """Keys of what a value holds: of a mapping, of entries by name, of a list, of the variants of either."""
    if is_section(rule):
        return
    yield from keys_of(rule, f"{name}.")
    for variant in [*rule.get("oneOf", []), *map(resolved, rule.get("anyOf", []))]:
        yield from keys_of(variant, f"{name}.")
    for inner, mark in (("additionalProperties", ".*"), ("items", "[]")):
        if isinstance(rule.get(inner), dict):
            yield from parts_of(resolved(rule[inner]) if not is_section(rule[inner]) else {}, f"{name}{mark}")


def is_section(rule: Rule) -> bool:
    """Whether a rule is that of another section."""
    return "$ref" in rule and "#" not in rule["$ref"]


def section_of(rule: Rule) -> str:
    return rule["$ref"].removesuffix(SUFFIX)


def resolved(rule: Rule) -> Rule:
    """A rule with the shared term that it refers to in its place; that of another section stays."""
    if "$ref" not in rule:
        return rule
    if is_section(rule):
        return {"description": registry().contents(rule["$ref"])["description"]} | dict(rule)
    file, _, name = rule["$ref"].partition("#/$defs/")
    terms = registry().contents(file)["$defs"] if file else OWN[name]
    return (terms[name] if file else terms) | {key: one for key, one in rule.items() if key != "$ref"}


# Definitions that a file refers to in itself.
OWN = registry().contents(f"search{SUFFIX}")["$defs"]


def values_of(rule: Rule) -> str:
    """What a key may hold, with a link where that is another section."""
    if is_section(rule):
        return link_to(section_of(rule))
    rule = resolved(rule)
    for inner, words in (("additionalProperties", "by name, each"), ("items", "a list, each")):
        if isinstance(rule.get(inner), dict) and is_section(rule[inner]):
            return f"{words} {link_to(section_of(rule[inner]))}"
    if "oneOf" in rule:
        key = rule["discriminator"]["propertyName"]
        return "; ".join(heading_of(one, key) for one in rule["oneOf"])
    if "properties" in rule:
        return "a mapping" + (" or null" if "null" in rule.get("type", ()) else "")
    if isinstance(rule.get("items"), dict):
        return allowed(rule | {"items": resolved(rule["items"])})
    if "anyOf" in rule:
        return " or ".join(dict.fromkeys(values_of(one) for one in rule["anyOf"]))
    return allowed(rule)


def link_to(section: str) -> str:
    return f"[{title_of(section)}](#{title_of(section).replace(' ', '-').replace('.', '')})"


def main(target: Path = TARGET) -> None:
    with atomic_path(target) as temporary:
        temporary.write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
