"""What a check of printed numbers yields: findings, for the audit of all cards, and recomputed values, for
the table of one card."""

from typing import NamedTuple

OVERLAP_ITEM = 5  # of the audit of all cards, on our own windows; a card's `audit` takes another
ALL_ROWS = "all rows"
CONSISTENT, INCONSISTENT, POSSIBLE, IMPOSSIBLE = "consistent", "inconsistent", "possible", "impossible"
MISLABELLED, OTHER_TEST_SET, UNEQUAL, NOTED = "mislabelled", "other test set", "not like for like", "noted"
DIFFERENT = "different"  # of a paper and its code


class Finding(NamedTuple):
    """A verdict on a quantity of a row of a published table: its value and the range that rounding leaves to
    it, the value that it is expected to have, and the explanation. Fractions, but points of percent where the
    quantity says so."""

    table: str
    row: str
    quantity: str
    value: float | None
    verdict: str
    explanation: str
    low: float | None = None
    high: float | None = None
    expected: float | None = None


class Recomputed(NamedTuple):
    """A quantity that is worked out of printed numbers, as a number or as `text`, beside what is printed for
    it; `row` is `table:row` where it is of one row of a published table."""

    row: str
    quantity: str
    value: float | None = None
    printed: float | None = None
    text: str = ""
    note: str = ""
