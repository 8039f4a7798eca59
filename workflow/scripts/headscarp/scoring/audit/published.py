"""The published tables of a card as checks read them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

Published = Mapping[str, Sequence[Mapping[str, Any]]]  # {table: [{row, metric, value, unit, printed}]}
Rows = dict[str, dict[str, float]]
IN_HUNDREDTHS = ("percent", "percentage points")


def rows_of(published: Published, table: str) -> Rows:
    """{row: {metric: number}} of one table, percent and percentage points as fractions; text is left out."""
    rows: Rows = {}
    for one in published[table]:
        with suppress(ValueError):
            value = float(one["value"]) / (100 if one["unit"] in IN_HUNDREDTHS else 1)
            rows.setdefault(one["row"], {})[one["metric"]] = value
    return rows


def title_of(table: str) -> str:
    """What people read for the name of a table: 'Table 4' for table4."""
    return table.replace("table", "Table ")
