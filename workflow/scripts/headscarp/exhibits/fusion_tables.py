"""Tables of the fusion of dates: dates of a site, effects of parts of a network, and whether printed scores
can stand together."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from headscarp.errors import HeadscarpError
from headscarp.exhibits.audit_tables import PRINTED, printed_rows
from headscarp.exhibits.run_tables import groups_of
from headscarp.exhibits.runs import Effect, effects, from_exact_scores, mean_of, scored_runs
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles
from headscarp.exhibits.tidy import frame_of, record, text_record
from headscarp.files import read_json
from headscarp.scoring.audit import ROUNDING, implied_background_iou, implied_iou, is_possible

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


# --- whether printed scores can stand together

# F1 and mIoU of scores.json by way of averaging, and a note on F1; see `scoring.images`.
AVERAGES = {
    "pooled": ("f1", "miou", ""),
    "per_image": ("image_f1", "image_miou", ""),
    "per_image_with_empty": (
        "image_f1_with_empty",
        "image_miou",
        "empty = 1: F1 of a window that has no landslide and where none is mapped is 1 instead of undefined",
    ),
}
ARITHMETIC = (
    "landslide IoU = F1 / (2 - F1), background IoU = 2 mIoU - landslide IoU; no score that is "
    "pooled over all pixels needs more than 1"
)
IMPOSSIBLE = "F1 and mIoU cannot both be pooled over the same pixels; means over images can give such a pair"
UNSCORED = "no landslide or no test window to score"
EXACT = 1e-9  # rounding of scores that were not printed


def fusion_audit(spec: ExhibitSpec) -> pd.DataFrame:
    """Whether a printed F1 and mIoU can both be pooled over the same pixels (stfusion, Tables 2 to 4).

    Rows such as `table2:proposed` say `data = published`: F1, mIoU, the landslide IoU that F1 implies, the
    background IoU that mIoU then needs, and whether that is possible within rounding. Rows such as
    `st_fusion:pooled`, `st_fusion:per_image` and `st_fusion:per_image_with_empty`: the same for each of our
    runs, mean over seeds. Pooled scores always pass; means over images need not. Needs published records with
    the key `table`. Options: `tables` (names of published tables).
    """
    lines: list[dict[str, Any]] = []
    for table in spec.options["tables"]:
        for row, printed in printed_rows(spec, table).items():
            lines += pair_records(
                spec, f"{table}:{row}", [(printed["f1"], printed["miou"])], ROUNDING, {"data": PRINTED}
            )
    for row, protocol, group in groups_of(spec, scored_runs(spec) if spec.runs else []):
        same = {"protocol": protocol, "data": spec.only_site().data}
        for average, (*names, note) in AVERAGES.items():
            pairs = [tuple(one.scores["metrics"].get(name) for name in names) for one in group]
            pairs = [pair for pair in pairs if None not in pair]
            if pairs:
                lines += pair_records(
                    spec, f"{row}:{average}", pairs, EXACT, same | {"n_seeds": len(pairs)}, note
                )
            else:
                lines.append(
                    record(spec, f"{row}:{average}", "f1", None, published=None, note=UNSCORED, **same)
                )
    return frame_of(lines)


def pair_records(
    spec: ExhibitSpec,
    row: str,
    pairs: Sequence[tuple[float, float]],
    rounding: float,
    same: dict[str, Any],
    of_f1: str = "",
) -> Iterator[dict[str, Any]]:
    """Tidy records of pairs of F1 and mIoU (one for each seed): their means, what they imply and whether that
    is possible.

    `of_f1` is a note on F1.
    """
    f1, miou = np.array(pairs).T
    measured = {
        "f1": f1.tolist(),
        "miou": miou.tolist(),
        "implied_iou": [implied_iou(one).value for one in f1],
        "needed_background_iou": [implied_background_iou(one, other).value for one, other in pairs],
    }
    possible = [is_possible({"f1": one, "miou": other}, rounding) for one, other in pairs]
    note = ARITHMETIC if all(possible) else IMPOSSIBLE
    for metric, values in measured.items():
        value = mean_of(values)
        noted = of_f1 if of_f1 and metric == "f1" else note
        yield record(spec, row, metric, value["value"], sd=value["sd"], published=None, note=noted, **same)
    yield text_record(spec, row, "verdict", verdict_of_pairs(possible), **same)


def verdict_of_pairs(possible: Sequence[bool]) -> str:
    """Whether pairs are possible, in words."""
    if all(possible):
        return "possible"
    return (
        f"impossible for {possible.count(False)} of {len(possible)} seeds" if any(possible) else "impossible"
    )
