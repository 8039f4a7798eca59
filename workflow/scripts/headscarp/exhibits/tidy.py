"""The tidy form of every table: records, frames and CSV files."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from headscarp.errors import HeadscarpError
from headscarp.exhibits.spec import ExhibitSpec, RunFiles, SiteFiles
from headscarp.files import atomic_path
from headscarp.vocabulary import require_known

COLUMNS = [
    "row",
    "metric",
    "protocol",
    "value",
    "fold_mean",
    "sd",
    "ci_low",
    "ci_high",
    "n_seeds",
    "published",
    "difference",
    "data",
    "note",
]
NUMBERS = ["value", "fold_mean", "sd", "ci_low", "ci_high", "published", "difference"]
SIMULATED = "simulated site (twin)"
UNIT = "unit "  # how a note begins that states a row's unit: shown behind the row's name
TEXT = "text "  # how a note begins that stands for a value which is text: shown in its cell
PRINTED_TEXT = "; published "  # what parts our text from the paper's in such a note
VERSUS = "_vs_"  # in the id of a row that compares two rows
AS_PRINTED = " (as printed)"  # how the name of a metric ends that stands in a paper's own column


def record(spec: ExhibitSpec, row: str, metric: str, value: float | None, **rest: Any) -> dict[str, Any]:
    """One line of a tidy table, with the published value and the difference beside our value (None or NaN:
    not scored).

    The published value is that of the row and metric, unless `published` is given.
    """
    line = (
        dict.fromkeys(COLUMNS, "") | dict.fromkeys(NUMBERS) | {"row": row, "metric": metric, "value": value}
    )
    line |= rest if "published" in rest else {"published": spec.published_value(row, metric)} | rest
    if line["published"] is not None and value is not None:
        line["difference"] = value - line["published"]
    return line


def text_record(
    spec: ExhibitSpec, row: str, metric: str, text: str, printed: str | None = None, **rest: Any
) -> dict[str, Any]:
    """One line of a tidy table whose value is text, with what the paper prints; both stand in the note."""
    note = TEXT + text + (f"{PRINTED_TEXT}{printed}" if printed else "")
    return record(spec, row, metric, None, published=None, note=note, **rest)


def of_seed(run: RunFiles, site: SiteFiles, note: str = "") -> dict[str, Any]:
    """What the records of one run alone share; its seed stands before the note."""
    return {"protocol": run.protocol, "n_seeds": 1, "data": site.data, "note": f"seed {run.seed}{note}"}


def frame_of(lines: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Tidy records as a frame with the columns of every table, numbers as floats and seeds as nullable
    integers."""
    frame = pd.DataFrame(list(lines), columns=COLUMNS)
    frame[NUMBERS] = frame[NUMBERS].astype(float)
    frame["n_seeds"] = pd.to_numeric(frame["n_seeds"].replace("", None)).astype("Int64")
    return frame


def beside(line: Mapping[str, Any], metric: str, published: float | None = None) -> dict[str, Any]:
    """A tidy line under another name of its metric and beside another published value."""
    difference = line["value"] - published if published is not None and line["value"] is not None else None
    return {**line, "metric": metric, "published": published, "difference": difference}


def names_of(spec: ExhibitSpec, option: str, known: Collection[str]) -> dict[str, str]:
    """An option {name of ours: name in the published table}.

    Raises:
        HeadscarpError: a name of ours is not `known`.
    """
    return {
        require_known(name, known, f"exhibit '{spec.name}', {option}: name"): to
        for name, to in spec.options.get(option, {}).items()
    }


def write_csv(frame: pd.DataFrame, csv: str | Path) -> None:
    """Write a tidy frame as CSV, atomically; ten significant digits, empty where there is no value."""
    with atomic_path(csv) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.10g")


def read_csv(path: Path, numbers: Sequence[str]) -> pd.DataFrame:
    """A CSV file that a run or a search wrote; its columns `numbers` are numeric.

    Raises:
        HeadscarpError: it is missing, or damaged: no such table, or without one of these columns.
    """
    try:
        frame = pd.read_csv(path)
    except FileNotFoundError:
        raise HeadscarpError(f"{path} does not exist; run the rule that makes it") from None
    except ValueError as error:  # of pandas' parser, or of bytes that are no text
        raise HeadscarpError(
            f"{path} is damaged ({error}); delete it and run the rule that makes it again"
        ) from None
    for name in numbers:
        if name not in frame or (len(frame) and not pd.api.types.is_numeric_dtype(frame[name])):
            raise HeadscarpError(
                f"{path} is damaged (no numbers in a column {name}); delete it and run the rule that "
                f"makes it again"
            )
    return frame
