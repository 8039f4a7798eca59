"""The command line: `python -m headscarp audit table.csv`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headscarp.errors import HeadscarpError

POSSIBLE, WRONG, UNUSABLE = 0, 1, 2
BAD = ("impossible", "mislabelled", "other test set")
AUDIT = """\
Check a table of scores against itself: whether any confusion matrix has the numbers of each row, what landslide share they imply, whether
columns are of the landslide class or averages over classes, and whether all rows can be of one test set. The first column names the
models; the others may be accuracy (OA, PA), precision, recall, F1 (Dice), IoU, mIoU, kappa, ... in percent or fractions; empty cells are
left out. Printed digits tell the rounding, so write 0.90 where 0.90 is printed."""
EXITS = "exit status: 0 nothing is impossible, 1 something is, 2 the table cannot be read"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    parser = argparse.ArgumentParser(prog="headscarp", description="Landslide-mapping papers re-run, and their numbers checked.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("audit", help="check a table of scores against itself", description=AUDIT, epilog=EXITS)
    command.add_argument("table", type=Path, help="CSV file with a heading, one row per model, all of one test set")
    command.add_argument("--out", type=Path, metavar="REPORT.CSV", help="write every finding here too")
    command.set_defaults(run=audit)
    chosen = parser.parse_args(arguments)
    try:
        return chosen.run(chosen)
    except HeadscarpError as error:
        print(f"headscarp: {error}", file=sys.stderr)
        return UNUSABLE


def audit(chosen: argparse.Namespace) -> int:
    """Audit a table, say what was found, and return 1 where something is impossible."""
    # Read here, so that help and errors of spelling do not wait for pandas.
    import pandas as pd

    from headscarp.files import atomic_path
    from headscarp.scoring.table_audit import audit_table

    frame = read_scores(chosen.table)
    try:
        findings = audit_table(frame)
    except HeadscarpError as error:
        raise HeadscarpError(f"{chosen.table}: {error}") from None
    print(report(findings))
    if chosen.out:
        try:
            with atomic_path(chosen.out) as temporary:
                pd.DataFrame(findings).to_csv(temporary, index=False, float_format="%.6g")
        except OSError as error:
            raise HeadscarpError(f"{chosen.out} cannot be written ({error.strerror}); choose another file for --out") from None
    return WRONG if any(finding["verdict"] in BAD for finding in findings) else POSSIBLE


def read_scores(path: Path) -> Any:
    """The table as a frame of text.

    Raises:
        HeadscarpError: the file does not exist or is not a table of comma-, semicolon- or tab-separated values.
    """
    import pandas as pd

    if not path.is_file():
        raise HeadscarpError(f"{path} does not exist or is not a file; give the path of a CSV file")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        heading = next((line for line in lines if line.strip()), "")
        separator = max(",;\t", key=heading.count)
        if not heading.count(separator) or "\0" in heading:
            raise ValueError("its first line has no columns")
        return pd.read_csv(
            path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False, skipinitialspace=True
        )
    except (ValueError, OSError) as error:  # also those of pandas and of the encoding
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise HeadscarpError(f"{path} is not a CSV file of text ({reason}); save the table as CSV, UTF-8, with one heading line") from None


def report(findings: Sequence[dict[str, Any]]) -> str:
    """Findings for people: a line per row of the table, then a sentence for each thing found."""
    rows = [finding for finding in findings if finding["check"] == "row"]
    lines = [(one["row"], one["reading"], share(one), one["verdict"]) for one in rows]
    lines.insert(0, ("row", "read as", "landslide share", "verdict"))
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    parts = [f"scale: {next(one['text'] for one in findings if one['check'] == 'scale')}", ""]
    parts += ["  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[3]]) for line in lines]
    sentences = [f"- {one['row'] + ': ' if one['row'] else ''}{one['text']}" for one in findings if is_told(one)]
    bad = len({one["row"] for one in findings if one["verdict"] in BAD})
    if bad:
        parts += [
            "",
            *sentences,
            "",
            f"{bad} of {len(rows)} rows cannot be as printed: no confusion matrix of one test set has them.",
        ]
        parts += ["Averages over images, folds or runs can give such numbers without any slip; say so beside the table."]
    else:
        parts += ["", *sentences, *([""] if sentences else []), "nothing is impossible"]
    return "\n".join(parts)


def is_told(finding: dict[str, Any]) -> bool:
    """Whether a finding is worth a sentence beside the line of its row."""
    return finding["check"] in ("conflict", "columns", "test set") or (finding["check"] == "row" and finding["verdict"] == "mislabelled")


def share(finding: dict[str, Any]) -> str:
    """Range of the landslide share of a row; a dash where its numbers leave it open."""
    low, high = finding["low"], finding["high"]
    if low is None or high - low >= 0.5:
        return "-"
    return f"{low:.4f}-{high:.4f}" if high - low < 0.05 else f"{low:.2f}-{high:.2f}"


if __name__ == "__main__":
    sys.exit(main())
