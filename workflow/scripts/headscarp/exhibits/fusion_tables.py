"""Tables of the fusion of dates: dates of a site, and effects of parts of a network."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from headscarp.errors import HeadscarpError
from headscarp.exhibits.run_tables import groups_of
from headscarp.exhibits.runs import Effect, effects, from_exact_scores, scored_runs
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles
from headscarp.exhibits.tidy import frame_of, record, text_record
from headscarp.files import read_json

# --- dates


def date_table(spec: ExhibitSpec) -> pd.DataFrame:
    """Dates of the cube of each site; rows such as `karakoram:2008-09-14`.

    Metrics: share of the grid with a value of any dated layer (`clear_share`), days since the date before,
    and the layers that are missing. Row `karakoram`: share of the grid that is clear at no date
    (`never_clear_share`).

    Raises:
        HeadscarpError: a site has one date only.
    """
    return frame_of(line for site in spec.sites for line in date_records(spec, site))


def date_records(spec: ExhibitSpec, site: SiteFiles) -> Iterator[dict[str, Any]]:
    """Tidy records of the dates of one site."""
    path = site.folder / "cube" / "cube.json"
    header = read_json(path)
    if "series" not in header:
        raise HeadscarpError(
            f"{path} tells no series of dates; name sites with several dates in exhibit '{spec.name}' "
            f"(scenes, not what joins them)"
        )
    before = None
    for one in header["series"]:
        row, date = f"{site.name}:{one['date']}", np.datetime64(one["date"])
        yield record(spec, row, "clear_share", one["clear_share"], data=site.data)
        days = None if before is None else float((date - before).astype(int))
        yield record(spec, row, "days_since_last", days, data=site.data)
        yield text_record(spec, row, "missing_layers", ", ".join(one["missing"]) or "none", data=site.data)
        before = date
    yield record(spec, site.name, "never_clear_share", header["never_clear_share"], data=site.data)


# --- effects of parts

COMPARED = ("f1", "average_precision")
BETTER, WORSE, OPEN = "better", "worse", "not settled"


def ablation_effects(spec: ExhibitSpec) -> pd.DataFrame:
    """What parts of a network or of its inputs do: differences between two rows, first - second, with a 95 %
    interval by paired bootstrap over blocks and seeds, and a word; rows `a_vs_b`.

    Metrics: f1 and average_precision, each with its verdict: `better` or `worse` where the interval lies on
    one side of 0, else `not settled`. Options: `pairs`, a list of {rows: [row, row that it is compared with],
    label: what the pair tells}.
    """
    lines: list[dict[str, Any]] = []
    for pair, *measured in measured_effects(spec, COMPARED):
        lines += effect_records(spec, *measured, pair["label"])
    return frame_of(lines)


def measured_effects(
    spec: ExhibitSpec, metrics: Sequence[str]
) -> Iterator[tuple[dict[str, Any], Effect, Sequence[Sequence[float | None]], Sequence[Sequence[float]]]]:
    """Each of the option `pairs` with its effect on a metric under a protocol, and the scores of the runs of
    both rows by seed, exact and from histograms."""
    runs = {(protocol, row): group for row, protocol, group in groups_of(spec, scored_runs(spec))}
    cells = {key: [one.cells() for one in group] for key, group in runs.items()}
    coarse = {key: [one.metrics(np.ones(len(one.per_cell))) for one in group] for key, group in cells.items()}
    for pair in spec.options["pairs"]:
        for effect in effects(spec, pair["rows"], cells, metrics):
            keys = [(effect.protocol, row) for row in (effect.first, effect.second)]
            exact = [[one.scores["metrics"][effect.metric] for one in runs[key]] for key in keys]
            yield pair, effect, exact, [[one[effect.metric] for one in coarse[key]] for key in keys]


def effect_records(
    spec: ExhibitSpec,
    effect: Effect,
    exact: Sequence[Sequence[float | None]],
    near: Sequence[Sequence[float]],
    label: str,
) -> Iterator[dict[str, Any]]:
    """Tidy records of an effect: its size from the exact scores of both rows' runs, and its interval and
    verdict, which need scores from histograms that are `near` them."""
    (difference, low, high), why = from_exact_scores(effect.found, exact, near)
    note = "; ".join(filter(None, [label, why and f"no interval under {effect.protocol}: {why}"]))
    same = {"protocol": effect.protocol, "data": spec.only_site().data}
    measured = {"ci_low": low, "ci_high": high, "n_seeds": len(exact[0]), "note": note}
    yield record(spec, effect.row, effect.metric, difference, published=None, **measured, **same)
    yield text_record(spec, effect.row, f"{effect.metric}_verdict", verdict(low, high), **same)


def verdict(low: float | None, high: float | None) -> str:
    """What an interval says of the first of two rows."""
    if low is not None and low > 0:
        return BETTER
    return WORSE if high is not None and high < 0 else OPEN
