"""Reading YAML strictly, and laying one mapping over another."""

from pathlib import Path
from typing import Any, ClassVar

import yaml

from headscarp.errors import HeadscarpError

# LibYAML's parser where PyYAML was built with it: reading the cards is most of the planning.
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class StrictLoader(Loader):
    """YAML in which a key may stand only once in a mapping, and dates are text with or without quotes."""

    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in Loader.yaml_implicit_resolvers.items()
    }


def _mapping_without_duplicates(loader: StrictLoader, node: yaml.MappingNode) -> dict:
    keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
    for key in keys:
        if keys.count(key) > 1:
            place = f"{node.start_mark.name}, mapping at line {node.start_mark.line + 1}"
            raise HeadscarpError(f"{place}: '{key}' is defined twice; rename or remove one")
    return Loader.construct_mapping(loader, node, deep=True)


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


def merge(base: Any, change: Any) -> Any:
    """`base` with `change` laid over it: dictionaries merge, everything else is replaced."""
    if isinstance(base, dict) and isinstance(change, dict):
        return base | {
            key: merge(base[key], value) if key in base else value for key, value in change.items()
        }
    return change
