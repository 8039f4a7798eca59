"""What an interval says of a claim that one run is better than another, and what a paper prints of the same
difference. Pure functions."""

from collections.abc import Mapping, Sequence
from typing import Any

from headscarp.errors import HeadscarpError
from headscarp.vocabulary import require_known

SUPPORTED, CONTRADICTED, INCONCLUSIVE = "supported", "contradicted", "inconclusive"
VERDICTS = (SUPPORTED, CONTRADICTED, INCONCLUSIVE)
# How many of a printed unit make 1; units of tables without one are fractions.
UNIT_FACTORS = {"": 1.0, "fraction": 1.0, "percent": 100.0, "percentage points": 100.0}


def judge(low: float | None, high: float | None) -> str:
    """The verdict on the claim that a difference is above 0, from its interval; None: there is no interval.

    Supported where the whole interval lies above 0, contradicted where it lies below, else inconclusive.
    """
    if low is None or high is None:
        return INCONCLUSIVE
    if low > 0:
        return SUPPORTED
    return CONTRADICTED if high < 0 else INCONCLUSIVE


def printed_effect(
    records: Sequence[Mapping[str, Any]], rows: Sequence[str], metric: str, place: str
) -> float:
    """The difference that a paper prints, as a fraction: one row's value less the other's, or the value of a
    single row that holds it.

    Args:
        records: {row, metric, value, unit} of one published table. place: begins an error's message.

    Raises:
        HeadscarpError: the table lacks a row, a metric of it, or its unit is no share.
    """
    values = []
    for row in rows:
        require_known(row, {record["row"] for record in records}, f"{place}: row")
        of_row = {record["metric"]: record for record in records if record["row"] == row}
        record = of_row[require_known(metric, of_row, f"{place}, row {row}: metric")]
        unit = require_known(record["unit"], UNIT_FACTORS, f"{place}, row {row}, metric {metric}: unit")
        if isinstance(record["value"], str):
            raise HeadscarpError(
                f"{place}, row {row}: {metric} is text ('{record['value']}'), "
                "which has no difference; name another metric"
            )
        values.append(record["value"] / UNIT_FACTORS[unit])
    # Printed decimals: without rounding, 0.9504 - 0.9227 has digits that nobody printed.
    return round(values[0] - values[1] if len(values) > 1 else values[0], 6)
