"""What an interval says of a claim that one run is better than another, and what a paper prints of the same
difference. Pure functions."""

from collections.abc import Mapping, Sequence
from typing import Any

from headscarp.errors import HeadscarpError
from headscarp.vocabulary import require_known

SUPPORTED, CONTRADICTED, INCONCLUSIVE = "supported", "contradicted", "inconclusive"
EQUIVALENT = "no difference"
VERDICTS = (SUPPORTED, CONTRADICTED, EQUIVALENT, INCONCLUSIVE)
# Stands in the place of a verdict where a simulated site was built so that the claim holds there, or cannot:
# the difference then measures the simulation.
DECIDED = "decided by the simulation"
# Seeds from which a difference is judged: of two equal networks, two seeds each, a tenth would be told apart
# (tests/unit/scoring/test_chance.py simulates it).
FEWEST_SEEDS = 3
# A difference within which two scores are called equal where a claim does not say it.
EQUAL = 0.01
# How many of a printed unit make 1; units of tables without one are fractions.
UNIT_FACTORS = {"": 1.0, "fraction": 1.0, "percent": 100.0, "percentage points": 100.0}


def judge(
    low: float | None, high: float | None, seeds: int, at_least: float = 0.0, within: float | None = None
) -> str:
    """The verdict on a claim from the 95 % interval of a difference; None: there is no interval.

    A claim that the first is better is supported where the whole interval lies above the size that it claims,
    contradicted where it lies below, and there is no difference where it lies within EQUAL of 0 (two
    one-sided tests: Schuirmann 1987, doi 10.1007/BF01068419, at the stricter level of the 95 % interval). A
    claim of equality is supported where the interval lies within its margin, contradicted where it lies
    beyond. Anything else is inconclusive, and so is anything from fewer than FEWEST_SEEDS seeds: nobody
    knows how far training by itself moves a score.

    Args:
        at_least: the size that is claimed, a fraction. within: the margin of a claim of equality; None: the
            claim is that the first is better.
    """
    if low is None or high is None or seeds < FEWEST_SEEDS:
        return INCONCLUSIVE
    if within is not None:
        if -within < low and high < within:
            return SUPPORTED
        return CONTRADICTED if low > within or high < -within else INCONCLUSIVE
    if low > at_least:
        return SUPPORTED
    if low > -EQUAL and high < EQUAL:
        return EQUIVALENT if at_least < EQUAL else CONTRADICTED
    return CONTRADICTED if high < at_least else INCONCLUSIVE


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
