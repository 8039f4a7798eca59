"""The verdict on the claims of all papers: a tidy table with one line a test and protocol, and what people
read of it.

A claim is tested as the difference of one score between two runs, from stored scores only; see
`scoring.claims` for the verdict.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from headscarp.errors import HeadscarpError
from headscarp.exhibits.effects import Difference, differences, exact_difference
from headscarp.exhibits.labels import metric_label
from headscarp.exhibits.pages import write_pages
from headscarp.exhibits.runs import Scored, plateau_notes, refuse_inconsistent
from headscarp.exhibits.sections import Cell, Page, Section
from headscarp.exhibits.spec import RunFiles
from headscarp.exhibits.tidy import write_csv
from headscarp.files import read_json
from headscarp.scoring.claims import DECIDED, FEWEST_SEEDS, INCONCLUSIVE, VERDICTS, judge
from headscarp.scoring.classes import read_cell_confusions

COLUMNS = [
    "card",
    "claim",
    "text",
    "place",
    "metric",
    "site",
    "trained_on",
    "data",
    "protocol",
    "first",
    "second",
    "effect",
    "ci_low",
    "ci_high",
    "n_seeds",
    "verdict",
    "published_effect",
    "note",
]
# what a test's record tells its lines
TOLD = ("card", "claim", "text", "place", "metric", "site", "trained_on", "data", "first", "second")
NUMBERS = ["effect", "ci_low", "ci_high", "published_effect"]
FEW_SEEDS = f"fewer than {FEWEST_SEEDS} seeds: inconclusive, whatever the interval"

# --- the tests


def claims_table(record: Mapping[str, Any]) -> pd.DataFrame:
    """One line for each test of a claim and each protocol, with `COLUMNS`; effects and intervals are
    fractions, NaN where undefined.

    Args:
        record: of `Plan.claims_record`. A test holds card, claim, text, place, metric, site (where it is
            scored), trained_on, data, first, second, labels of both, runs ({protocol: [folders of the first's
            scores by seed, folders of the second's]}), of_classes, at_least, within, decided (why the
            simulation settles it, '' where it does not), published_effect and note.

    Raises:
        HeadscarpError: there is no test, scores are missing, or those of two runs cannot be compared.
    """
    if not record["tests"]:
        raise HeadscarpError(
            "no claim can be tested: none of the selected cards makes one; add a paper to `cards` in "
            "config.yaml"
        )
    frame = pd.DataFrame([line for test in record["tests"] for line in test_records(test)], columns=COLUMNS)
    frame[NUMBERS] = frame[NUMBERS].astype(float)
    return frame


def test_records(test: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A line of the table for each protocol of a test."""
    for protocol, folders in test["runs"].items():
        first, second = (
            [scored(test, row, protocol, folder) for folder in of_row]
            for row, of_row in zip((test["first"], test["second"]), folders, strict=True)
        )
        refuse_inconsistent([*first, *second])
        found = difference_of(test, first, second)
        unready = plateau_notes([*first, *second])
        few = FEW_SEEDS if len(first) < FEWEST_SEEDS and not test["decided"] else ""
        decided = test["decided"] and f"{DECIDED}: {test['decided']}"
        notes = [test["note"], found.why_no_interval, few, *unready, decided]
        verdict = judge(found.low, found.high, len(first), test["at_least"], test["within"])
        yield {key: test[key] for key in TOLD} | {
            "protocol": protocol,
            "effect": found.size,
            "ci_low": found.low,
            "ci_high": found.high,
            "n_seeds": len(first),
            "verdict": DECIDED if test["decided"] else INCONCLUSIVE if unready else verdict,
            "published_effect": test["published_effect"],
            "note": "; ".join(filter(None, notes)),
        }


def scored(test: Mapping[str, Any], row: str, protocol: str, folder: str) -> Scored:
    """A run with its scores.

    Raises:
        HeadscarpError: they are of other data or of another protocol.
    """
    path = Path(folder)
    one = Scored(
        RunFiles(row, row, row, protocol, seed=-1, folder=path.parent, maps=path),
        read_json(path / "scores.json"),
    )
    for key, expected in (("data", test["data"]), ("protocol", protocol)):
        if one.scores[key] != expected:
            raise HeadscarpError(
                f"{path / 'scores.json'} says {key} '{one.scores[key]}' where '{expected}' is expected; "
                f"score it again"
            )
    return one


def difference_of(test: Mapping[str, Any], *sides: Sequence[Scored]) -> Difference:
    """The difference of a test's metric between two groups of runs."""
    metric, place = test["metric"], f"card {test['card']}, claim {test['claim']}"
    if test["of_classes"]:
        cells = [[read_cell_confusions(one.run.maps) for one in side] for side in sides]
        return differences(*cells, [metric], place)[metric]
    cells = [[one.cells() for one in side] for side in sides]
    return exact_difference(differences(*cells, [metric], place)[metric], metric, sides)


# --- what people read


def write_claims(frame: pd.DataFrame, record: Mapping[str, Any], csv: str | Path, *pages: str | Path) -> None:
    """Write the table as CSV, and by paper as pages (one line a test, both protocols side by side), each
    atomically."""
    write_csv(frame, csv)
    sections = [
        Section.of_text(f"{card}: {record['cards'][card]}", *lines_of(part, record), summary(part))
        for card, part in frame.groupby("card", sort=False)
    ]
    notes = notes_of(frame, record)
    write_pages(Page(record["title"], "claims", sections, notes, record["caption"]), *pages)


def labels_of(record: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """What people read for a row, by the site on which it is scored."""
    sides = ("first", "second")
    return {
        (test["site"], test[side]): label
        for test in record["tests"]
        for side, label in zip(sides, test["labels"], strict=True)
    }


def tests_of(frame: pd.DataFrame) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The lines of each test: any of them, and all by protocol."""
    for _, lines in frame.groupby(["card", "claim", "site", "trained_on", "first", "second"], sort=False):
        by_protocol = {line.protocol: line for line in lines.itertuples()}
        yield next(iter(by_protocol.values())), by_protocol


def lines_of(part: pd.DataFrame, record: Mapping[str, Any]) -> tuple[list[str], list[list[str | Cell]]]:
    """Heads and lines of one paper's table; a claim's sentence stands in its first line only."""
    protocols, labels = list(dict.fromkeys(part["protocol"])), labels_of(record)
    heads = [
        "Claim",
        "Comparison",
        "Site",
        "Data",
        "Metric",
        *(f"Effect, {protocol}" for protocol in protocols),
        "Printed effect",
    ]
    lines, told = [], None
    for test, by_protocol in tests_of(part):
        claim = Cell(f"{test.text} ({test.place})", same=test.claim == told)
        told = test.claim
        effects = [
            effect_cell(by_protocol[protocol]) if protocol in by_protocol else "" for protocol in protocols
        ]
        printed = f"{test.published_effect:+.3f}" if math.isfinite(test.published_effect) else ""
        lines.append(
            [
                claim,
                versus(labels, test),
                place_of(test),
                test.data,
                metric_label(test.metric),
                *effects,
                printed,
            ]
        )
    return heads, lines


def versus(labels: Mapping[tuple[str, str], str], test: Any) -> str:
    return f"{labels[test.site, test.first]} against {labels[test.site, test.second]}"


def place_of(test: Any) -> str:
    """The site of a test, with that of training where it is another."""
    return test.site if test.site == test.trained_on else f"{test.trained_on} → {test.site}"


def effect_cell(line: Any) -> Cell:
    """'+0.031 [0.010, 0.052]; supported' of one line of the table."""
    effect = f"{line.effect:+.3f}" if math.isfinite(line.effect) else "–"
    interval = f"[{line.ci_low:+.3f}, {line.ci_high:+.3f}]" if math.isfinite(line.ci_low) else ""
    return Cell(effect, interval=interval, more=line.verdict)


def summary(part: pd.DataFrame) -> list[str]:
    """How many tests of one paper had which verdict, for each protocol and kind of data, and how many have
    none."""
    return [
        f"{protocol}, {data}: "
        + ", ".join(
            f"{(lines['verdict'] == verdict).sum()} {verdict}"
            for verdict in (*VERDICTS, DECIDED)
            if verdict != DECIDED or verdict in set(lines["verdict"])
        )
        for (protocol, data), lines in part.groupby(["protocol", "data"], sort=False)
    ]


def notes_of(frame: pd.DataFrame, record: Mapping[str, Any]) -> list[str]:
    """Each note once, with the tests it belongs to, and what was left out."""
    notes: dict[str, dict[str, None]] = {}
    for line in frame.itertuples():
        for note in filter(None, line.note.split("; ")):
            notes.setdefault(note, {})[f"{line.card} {line.claim} on {line.site}"] = None
    return [f"{note[0].upper()}{note[1:]}: {', '.join(tests)}." for note, tests in notes.items()] + record[
        "left_out"
    ]
