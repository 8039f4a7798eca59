"""What anyone's table of scores says of itself: whether any confusion matrix has the numbers of each row, and
all rows one test set.

Headings do not tell whether precision, recall and F1 are of the landslide class or means over both classes,
so a table is read every way, as named first; a number counts as wrong only where no reading leaves room for
it, whether its digits were rounded or cut off.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from headscarp.errors import HeadscarpError
from headscarp.scoring.audit.findings import ALL_ROWS, NOTED, Finding, Recomputed
from headscarp.scoring.audit.headings import (
    CLASS,
    CLASS_ONLY,
    DERIVED,
    ERRORS,
    MEANS,
    READINGS,
    UNKNOWN,
    Cell,
    Reading,
    cells_of,
)
from headscarp.scoring.audit.possible import is_possible, ranges
from headscarp.scoring.audit.published import Published

OPEN = 0.5  # a range of fractions as wide as this says nothing


def scores(published: Published, table: str) -> Iterator[Finding | Recomputed]:
    """The findings of `audit_table` on a published table."""
    try:
        findings = audit_table(frame_of(published, table))
    except HeadscarpError as error:
        raise HeadscarpError(f"published table '{table}': {error}") from None
    for found in findings:
        read_as = f" (read as {found['reading']})" if found["reading"] not in (None, UNKNOWN) else ""
        yield Finding(
            table,
            found["row"] or ALL_ROWS,
            found["column"] or found["check"],
            None,
            NOTED if found["verdict"] == "note" else found["verdict"],
            found["text"] + read_as,
            found["low"],
            found["high"],
            found["printed"],
        )
        if found["check"] == "row":
            row = f"{table}:{found['row']}"
            yield Recomputed(row, "reading", text=found["reading"])
            if is_known(found["low"], found["high"]):
                yield Recomputed(row, "implied_landslide_share", (found["low"] + found["high"]) / 2)
            yield Recomputed(row, "verdict", text=found["verdict"])


def frame_of(published: Published, table: str) -> pd.DataFrame:
    """A published table as it is printed, the first column with the names of its rows."""
    rows: dict[str, dict[str, str]] = {}
    for one in published[table]:
        sign = "%" if one["unit"] == "percent" else ""
        rows.setdefault(one["row"], {})[one["metric"]] = one["printed"] + sign
    return pd.DataFrame.from_dict(rows, orient="index").reset_index()


def audit_table(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Findings on a table of scores, one row per model and all of one test set.

    Args:
        frame: the first column names the rows; the others are headed as in `HEADINGS` and hold fractions or
            percent, as text (so that the digits tell the rounding) or numbers; empty cells are left out.
            Columns of `BESIDE` are passed over.

    Returns:
        Findings {row, check, column, printed, low, high, reading, verdict, text}; fractions. Check `row`:
        what a row can be, with the
        range of the landslide share of its test set; `metric`: the range that the other numbers of the row
        leave for one of them;
        `conflict`: why a row is impossible; `columns`: what headings stand for; `test set`: whether all rows
        can be of one. Verdicts:
        `consistent`, `impossible`, `mislabelled` (impossible as headed), `other test set`, `note`.

    Raises:
        HeadscarpError: a heading is unknown or stands twice, a cell is no number or out of range, or there is
            nothing to audit.
    """
    rows = cells_of(frame)
    table_reading = reading_of(rows)
    read = {name: read_row(cells, table_reading) for name, cells in rows.items()}
    exchange = exchanged_headings([rows[name] for name, (reading, _) in read.items() if reading is None])
    findings = [scale_finding(rows)]
    for name, cells in rows.items():
        reading, share = read[name]
        if reading is None:
            findings += impossible_findings(name, cells, exchange)
        else:
            findings.append(row_finding(name, reading, share))
            findings += metric_findings(name, cells, reading)
    shares = {
        name: (reading, share)
        for name, (reading, share) in read.items()
        if reading is not None and share is not None
    }
    return findings + list(reading_findings(rows, read, table_reading)) + list(test_set_findings(shares))


# --- how to read it


def possible_as(cells: Sequence[Cell], reading: Reading) -> bool:
    """Whether a row may be read in a way; numbers that only one class has are not means over classes."""
    if not reading.of_class and any(cell.kind in CLASS_ONLY for cell in cells):
        return False
    return is_possible([cell.read_as(reading) for cell in cells], most_share(reading))


def is_symmetric(reading: Reading) -> bool:
    """Whether the numbers stay the same when landslide and background change places."""
    return reading.name.startswith(MEANS)


def most_share(reading: Reading) -> float:
    """Highest landslide share to look at: means over both classes are the same when these change places."""
    return 0.5 if is_symmetric(reading) else 1.0


def readings_for(cells: Sequence[Cell]) -> list[Reading]:
    """The readings that differ for the columns of a row, as named first."""
    found = {tuple(cell.read_as(reading).metric for cell in cells): reading for reading in reversed(READINGS)}
    return [reading for reading in READINGS if reading in found.values()]


def share_of(cells: Sequence[Cell], reading: Reading) -> tuple[float, float] | None:
    """Range of the landslide share of the test set."""
    found = ranges([cell.read_as(reading) for cell in cells], ("share",), most_share(reading))
    return found["share"] if found else None


def reading_of(rows: Mapping[str, Sequence[Cell]]) -> Reading:
    """The reading that leaves the fewest rows impossible and then the fewest of another test set; as named
    where several do."""
    filled = [cells for cells in rows.values() if cells]
    candidates = [reading for reading in READINGS if any(reading in readings_for(cells) for cells in filled)]
    best, least = READINGS[0], None
    for reading in candidates:
        possible = [cells for cells in filled if possible_as(cells, reading)]
        shares = {
            str(number): (reading, share)
            for number, cells in enumerate(possible)
            if (share := share_of(cells, reading))
        }
        wrong = len(filled) - len(possible), len(rows_of_other_test_sets(shares))
        if least is None or wrong < least:
            best, least = reading, wrong
        if least == (0, 0):
            break
    return best


def read_row(cells: Sequence[Cell], first: Reading) -> tuple[Reading | None, tuple[float, float] | None]:
    """How a row can be read, the table's way before others, and its landslide share; None where it cannot."""
    for reading in (first, *readings_for(cells)):
        if possible_as(cells, reading):
            return reading, share_of(cells, reading) if cells else None
    return None, None


def exchanged_headings(impossible: Sequence[Sequence[Cell]]) -> tuple[str, str, Reading] | None:
    """Two headings whose exchange makes most of the impossible rows (two at least) possible, and the reading
    then.

    Rows of fewer than four numbers leave so much open that an exchange says little.
    """
    rows = [cells for cells in impossible if len(cells) >= 4]
    if len(rows) < 2:
        return None
    best, most = None, max(1, len(rows) / 2)
    columns = list(dict.fromkeys((cell.column, cell.kind) for cells in rows for cell in cells))
    for (first, one), (second, other) in combinations(columns, 2):
        for reading in READINGS:
            fitting = sum(
                possible_as(with_exchanged_headings(cells, first, one, second, other), reading)
                for cells in rows
            )
            if fitting > most:
                best, most = (first, second, reading), fitting
            if fitting == len(rows):
                return best
    return best


def with_exchanged_headings(
    cells: Sequence[Cell], first: str, one: str, second: str, other: str
) -> list[Cell]:
    """The row with two headings exchanged."""
    kinds = {first: other, second: one}
    return [cell._replace(kind=kinds.get(cell.column, cell.kind)) for cell in cells]


# --- findings


def finding(row: str, check: str, verdict: str, text: str, **rest: Any) -> dict[str, Any]:
    """One finding."""
    empty = {"column": None, "printed": None, "low": None, "high": None, "reading": None}
    return {"row": row, "check": check} | empty | rest | {"verdict": verdict, "text": text}


def scale_finding(rows: Mapping[str, Sequence[Cell]]) -> dict[str, Any]:
    """What unit the columns are in."""
    percent = {cell.column: cell.percent for cells in rows.values() for cell in cells}
    if len(set(percent.values())) > 1:
        text = "; ".join(
            f"{', '.join(column for column, is_percent in percent.items() if is_percent == kind)} in {name}"
            for kind, name in ((True, "percent"), (False, "fractions"))
        )
    else:
        text = "percent" if any(percent.values()) else "fractions"
    return finding("", "scale", "note", text)


def row_finding(name: str, reading: Reading, share: tuple[float, float] | None) -> dict[str, Any]:
    """A possible row: its reading and landslide share."""
    low, high = share or (None, None)
    text = (
        f"landslide share of the test set {share_text(low, high)}"
        if is_known(low, high)
        else "these numbers leave the landslide share open"
    )
    return finding(name, "row", "consistent", text, low=low, high=high, reading=reading.name)


def is_known(low: float | None, high: float | None) -> bool:
    """Whether a range of the landslide share is narrow enough to say something."""
    return low is not None and high - low < OPEN


def share_text(low: float, high: float) -> str:
    """A range of shares, with the digits that it deserves."""
    return f"{low:.4f}-{high:.4f}" if high - low < 0.05 else f"{low:.2f}-{high:.2f}"


def metric_findings(name: str, cells: Sequence[Cell], reading: Reading) -> Iterator[dict[str, Any]]:
    """The range that the others of a possible row leave for each number."""
    for cell in cells:
        one = cell.read_as(reading)
        rest = [other.read_as(reading) for other in cells if other is not cell]
        low, high = ranges(rest, (one.metric,), most_share(reading))[one.metric] if rest else (None, None)
        if low is None or high - low > OPEN:
            continue  # nothing is said of it
        bounds = sorted((1 - low, 1 - high)) if cell.kind in ERRORS else (low, high)
        text = f"the other numbers leave {range_text(cell, low, high)}"
        same = {
            "column": cell.column,
            "printed": cell.value,
            "low": bounds[0],
            "high": bounds[1],
            "reading": reading.name,
        }
        yield finding(name, "metric", "consistent", text, **same)


def range_text(cell: Cell, low: float, high: float) -> str:
    ends = sorted((cell.as_printed(low), cell.as_printed(high)), key=float)
    return f"{ends[0]} to {ends[1]}"


def impossible_findings(
    name: str, cells: Sequence[Cell], exchange: tuple[str, str, Reading] | None
) -> Iterator[dict[str, Any]]:
    """Why a row cannot be, and what would mend it."""
    if exchange:
        first, second, reading = exchange
        kinds = {cell.column: cell.kind for cell in cells}
        if {first, second} <= kinds.keys() and possible_as(
            with_exchanged_headings(cells, first, kinds[first], second, kinds[second]), reading
        ):
            text = (
                f"impossible as headed; possible when '{first}' and "
                f"'{second}' change places and all are read as {reading.name}"
            )
            share = share_of(
                with_exchanged_headings(cells, first, kinds[first], second, kinds[second]), reading
            )
            low, high = share or (None, None)
            yield finding(name, "row", "mislabelled", text, low=low, high=high, reading=reading.name)
            return
    yield finding(name, "row", "impossible", "no confusion matrix has these numbers", reading=UNKNOWN)
    yield conflict_finding(name, cells)


def conflict_finding(name: str, cells: Sequence[Cell]) -> dict[str, Any]:
    """A smallest set of numbers of a row that cannot stand together, and what all but one of them leave for
    that one."""
    reading = READINGS[0]
    kept = sorted(cells, key=order_of_doubt)
    for cell in list(kept):
        fewer = [other for other in kept if other is not cell]
        if fewer and not possible_as(fewer, reading):
            kept = fewer
    # The one without which the whole row is possible, where there is one.
    odd = [cell for cell in kept if possible_as([other for other in cells if other is not cell], reading)]
    accused, *others = sorted(kept, key=lambda cell: (cell not in odd, order_of_doubt(cell)))
    given = " and ".join(filter(None, [", ".join(map(cell_name, others[1:])), cell_name(others[0])]))
    metric = accused.read_as(reading).metric
    found = ranges([cell.read_as(reading) for cell in others], (metric, "iou"))
    low, high = found[metric]
    verb = "leave" if len(others) > 1 else "leaves"
    text = f"{given} {verb} {accused.column} {range_text(accused, low, high)}, but {accused.text} is printed"
    needed = 2 * accused.value - found["iou"][1]
    if metric == "miou" and needed > 1:
        text += (
            f" (beside a landslide IoU of {found['iou'][1]:.3f} "
            f"the background would need one of {needed:.3f})"
        )
    if accused in odd and len(cells) > len(kept):
        everything_else = [cell.read_as(reading) for cell in cells if cell is not accused]
        low, high = ranges(everything_else, (metric,))[metric]
        text += f"; all other numbers together leave {range_text(accused, low, high)}"
    bounds = sorted((1 - low, 1 - high)) if accused.kind in ERRORS else (low, high)
    same = {
        "column": accused.column,
        "printed": accused.value,
        "low": bounds[0],
        "high": bounds[1],
        "reading": reading.name,
    }
    return finding(name, "conflict", "impossible", text, **same)


def order_of_doubt(cell: Cell) -> int:
    """How late a number is questioned."""
    return DERIVED.index(cell.kind) if cell.kind in DERIVED else len(DERIVED)


def cell_name(cell: Cell) -> str:
    return f"{cell.column} {cell.text}"


def reading_findings(
    rows: Mapping[str, Sequence[Cell]], read: Mapping[str, tuple[Reading | None, Any]], first: Reading
) -> Iterator[dict[str, Any]]:
    """What the headings stand for, where that is not as named or not the same in all rows."""
    by_reading: dict[str, list[str]] = {}
    for name, (reading, _) in read.items():
        if reading is not None and rows[name]:
            by_reading.setdefault(reading.name, []).append(name)
    if len(by_reading) > 1:
        text = "rows of several kinds: " + "; ".join(
            f"{', '.join(names)} ({reading})" for reading, names in by_reading.items()
        )
        yield finding("", "columns", "note", text)
    elif by_reading and first.name not in (CLASS,) and first.name in by_reading:
        text = (
            "the numbers cannot all be of the landslide class and "
            f"one test set; they fit when read as {first.name}"
        )
        yield finding("", "columns", "note", text, reading=first.name)


def test_set_findings(shares: Mapping[str, tuple[Reading, tuple[float, float]]]) -> Iterator[dict[str, Any]]:
    """Whether the landslide shares of all rows can be one."""
    odd = rows_of_other_test_sets(shares)
    same = [share for name, (_, share) in shares.items() if name not in odd]
    if len(same) > 1:
        low, high = max(low for low, _ in same), min(high for _, high in same)
        if low <= high and is_known(low, high):
            text = (
                f"one landslide share, {share_text(low, high)}, "
                f"fits {len(same)} of {len(shares)} possible rows"
            )
            yield finding("", "test set", "consistent" if not odd else "note", text, low=low, high=high)
    for name in odd:
        low, high = shares[name][1]
        text = (
            f"needs a landslide share of {share_text(low, high)}, which "
            "is not that of the other rows: it was scored on other pixels"
        )
        yield finding(
            name, "test set", "other test set", text, low=low, high=high, reading=shares[name][0].name
        )


def rows_of_other_test_sets(shares: Mapping[str, tuple[Reading, tuple[float, float]]]) -> list[str]:
    """Rows outside the largest group whose ranges of the landslide share have a point in common."""

    def fits(name: str, point: float) -> bool:
        reading, (low, high) = shares[name]
        return low <= point <= high or (is_symmetric(reading) and low <= 1 - point <= high)

    points = [end for _, (low, high) in shares.values() for end in (low, high)]
    points += [1 - point for point in points]
    groups = [[name for name in shares if fits(name, point)] for point in points]
    largest = max(groups, key=len, default=[])
    return [name for name in shares if name not in largest]
