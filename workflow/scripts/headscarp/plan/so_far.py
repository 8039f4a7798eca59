"""What a table can show while a part of its runs is still to come."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from headscarp.errors import HeadscarpError
from headscarp.plan.exhibits import Exhibits
from headscarp.plan.model import Run
from headscarp.plan.read_shown import rows_at
from headscarp.plan.shown import Exhibit


def tables_of_scores(exhibits: Exhibits, card: str) -> list[Exhibit]:
    """The tables of a card that compare the scores of runs.

    Raises:
        HeadscarpError: it has none.
    """
    found = [one for one in exhibits.plan.cards[card].exhibits.values() if one.reads.compares]
    if not found:
        raise HeadscarpError(f"card {card} has no table that compares scores")
    return found


def finished_part(exhibits: Exhibits, exhibit: Exhibit) -> tuple[dict[str, Any] | None, list[Run]]:
    """The record of an exhibit (`Exhibits.record`) of finished runs, and the runs that are not.

    Rows must be compared on the same ground: of several sites those are shown where every row has a run, of
    one site the rows that have one under every protocol. None where nothing can be shown.

    Raises:
        HeadscarpError: the row against which the exhibit holds the others is not there yet.
    """
    runs = exhibits.runs(exhibit)
    done = [run for run in runs if all(Path(file).exists() for file in exhibits.of_run(exhibit, run))]
    missing = [run for run in runs if run not in done]
    if len(exhibit.sites) > 1:
        whole = tuple(site for site in exhibit.sites if lines(runs, site) == lines(done, site))
        part = replace(exhibit, sites=whole)
    else:
        absent = {row for row, _ in lines(runs, *exhibit.sites) - lines(done, *exhibit.sites)}
        rows = [row for row in exhibit.rows if row not in absent]
        asked = {"rows": list(exhibit.rows), "options": exhibit.options}
        place = f"card {exhibit.card}, so far"
        part = replace(
            exhibit, **rows_at({"rows": rows}, exhibit.name, asked, place, rows) | {"rows": tuple(rows)}
        )
    if not part.sites or not part.rows:
        return None, missing
    shown = {run.folder for run in done}
    record = exhibits.record(part)
    return record | {"runs": [run for run in record["runs"] if run["folder"] in shown]}, missing


def lines(runs: list[Run], site: str) -> set[tuple[str, str]]:
    """Row and protocol of the runs of a site."""
    return {(run.experiment, run.protocol) for run in runs if run.site == site}
