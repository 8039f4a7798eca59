"""The checks of printed numbers that a card's `audit` may name, and which printed numbers each reads.

A check is a function of its name in a module of this package: published tables and the check's parameters ->
findings and recomputed values. Here are names only, so that the plan can refuse what no table has before any
job.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple

from headscarp.scoring.audit.findings import Finding, Recomputed
from headscarp.scoring.audit.published import Published, rows_of
from headscarp.vocabulary import require_known


class Read(NamedTuple):
    """Printed numbers that a check reads: these metrics of every row of a table, or of one row."""

    table: str
    metrics: tuple[str, ...] = ()
    row: str | None = None


class Check(NamedTuple):
    """The module of a check, and what it reads, by its parameters."""

    module: str
    reads: Callable[..., list[Read]]


def read_source(source: Mapping[str, Any]) -> Read:
    """What a check reads of one row under the headings of its `columns`."""
    return Read(source["table"], tuple(source["columns"]), source["row"])


CHECKS = {
    "confusion_matrix": Check(
        "confusion",
        lambda table, area: [
            Read(table, ("accuracy", "precision", "recall", "kappa", "miou")),
            Read(area["table"], ("landslide_area_km2", "study_area_km2"), area["row"]),
        ],
    ),
    "gain_by_factors": Check(
        "confusion",
        lambda table, metric, proposed, with_factors: [
            Read(table, (metric,)),
            Read(table, row=proposed),
            Read(table, row=with_factors),
        ],
    ),
    "stated_gains": Check(
        "stated",
        lambda table, text, gains: [
            *(Read(text, row=row) for row in gains),
            *(Read(table, row=row) for rows in gains.values() for row in rows),
        ],
    ),
    "scene_area": Check(
        "stated",
        lambda table: [Read(table, ("rows", "cols", "resolution_m", "scene_area_km2", "study_area_km2"))],
    ),
    "headings": Check("columns", lambda table, columns: [Read(table, (*columns, "f1"))]),
    "one_test_set": Check("columns", lambda table, columns: [Read(table, (*columns, "f1"))]),
    "all_background": Check(
        "columns",
        lambda table, background_accuracy, source: [Read(table, ("accuracy",)), read_source(source)],
    ),
    "f_score": Check("columns", lambda equation, source: [read_source(source)]),
    "extraction": Check(
        "pairs",
        lambda table, places, precision: [
            Read(table, ("dp", "qp", "oe", "ce")),
            Read(precision["table"], (precision["metric"],)),
        ],
    ),
    "f1_and_miou": Check("pairs", lambda table: [Read(table, ("f1", "miou"))]),
    "accuracy_and_f1": Check("pairs", lambda table, accuracy, places: [Read(table, (accuracy, "f1"))]),
    "accuracy_and_f1_by_row": Check("pairs", lambda table, accuracy, places: [Read(table, (accuracy, "f1"))]),
    "gains_together": Check(
        "gains",
        lambda table, gains, places, accuracy: [
            Read(table, tuple(gains.values())),
            Read(accuracy["table"], (accuracy["metric"],)),
        ],
    ),
    "scores": Check("scores", lambda table: [Read(table)]),
    "released_code": Check("released", lambda table: [Read(table)]),
}


def require_printed(check: Mapping[str, Any], published: Published, place: str) -> None:
    """Refuse a check ({check, its parameters}) that does not exist or reads what no table prints.

    Raises:
        HeadscarpError: a check, table, row or metric does not exist; the message names the nearest.
    """
    name = require_known(check["check"], CHECKS, f"{place}: check")
    place = f"{place} ({name})"
    for read in CHECKS[name].reads(**parameters_of(check)):
        rows = rows_of(published, require_known(read.table, published, f"{place}: table"))
        of_table = f"{place}, {read.table}"
        names = rows if read.row is None else [require_known(read.row, rows, f"{of_table}: row")]
        for row in names:
            for metric in read.metrics:
                require_known(metric, rows[row], f"{of_table}, {row}: metric")


def parameters_of(check: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in check.items() if key != "check"}


def run_checks(
    checks: Iterable[Mapping[str, Any]], published: Published, place: str
) -> Iterator[Finding | Recomputed]:
    """What checks ({check, its parameters}) find in published tables, in order.

    Raises:
        HeadscarpError: as in `require_printed`, or a check cannot read a table.
    """
    for check in checks:
        require_printed(check, published, place)
        module = import_module(f"{__package__}.{CHECKS[check['check']].module}")
        yield from getattr(module, check["check"])(published, **parameters_of(check))
