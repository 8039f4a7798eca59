"""Whether printed gains in several metrics can be those of one map over another of the same ground.

Of two maps of the same pixels, let e be the share of wrong pixels (1 - accuracy), a the share of landslides
found and s that of landslides. F1 = 2 a / (2 a + e) gives a, precision = a / (2 a + e - s) then s, so that
gains in accuracy, F1 and precision leave two unknowns, e and F1 of the first map, and a quadratic equation
for s. The gain in mIoU leaves a curve in the plane of e and F1, which is followed on a grid.
"""

from collections.abc import Iterator, Mapping
from itertools import product

import numpy as np

from headscarp.scoring.audit.findings import IMPOSSIBLE, INCONSISTENT, POSSIBLE, Finding, Recomputed
from headscarp.scoring.audit.implied import rounding_of
from headscarp.scoring.audit.published import Published, rows_of, title_of

POINTS = 400  # of the grid along e, and along F1
GAINED = ("accuracy", "precision", "f1", "miou")


def gains_together(
    published: Published, table: str, gains: Mapping[str, str], places: int, accuracy: Mapping[str, str]
) -> Iterator[Finding | Recomputed]:
    """The highest pixel accuracy that the better of two maps can have, if it exceeds the other by the printed
    gains in accuracy, precision, F1 and mIoU, beside the lowest accuracy that the paper prints.

    `gains` names the columns of the gains, all positive, `places` how many decimal places of a fraction are
    printed, `accuracy` ({table, metric}) where the paper prints accuracies.
    """
    rounding, quantity = rounding_of(places), "highest_accuracy"
    least = min(numbers[accuracy["metric"]] for numbers in rows_of(published, accuracy["table"]).values())
    for row, numbers in rows_of(published, table).items():
        printed = np.array([numbers[gains[metric]] for metric in GAINED])
        of_corners = [
            highest_accuracy(*(printed + rounding * np.array(signs))) for signs in product((-1, 1), repeat=4)
        ]
        if np.isnan(of_corners).all():
            text = "no two confusion matrices of the same pixels differ by these gains"
            yield Finding(table, row, quantity, None, IMPOSSIBLE, text)
            continue
        low, high = float(np.nanmin(of_corners)), float(np.nanmax(of_corners))
        found = highest_accuracy(*printed)
        value = (low + high) / 2 if np.isnan(found) else found
        text = (
            "highest pixel accuracy of the better of two maps of the same pixels that differ by the printed "
            "gains, if precision and F1 are of landslides, beside the lowest accuracy of "
            f"{title_of(accuracy['table'])}"
        )
        yield Recomputed(f"{table}:{row}", quantity, value, least, note=text)
        verdict = POSSIBLE if least <= high else INCONSISTENT
        yield Finding(table, row, quantity, value, verdict, text, low, high, least)


def highest_accuracy(accuracy: float, precision: float, f1: float, miou: float) -> float:
    """The highest pixel accuracy of a map that exceeds another of the same pixels by these gains, fractions
    above 0; NaN where no two maps do on the grid."""
    wrong, scores = (
        np.linspace(start, stop, POINTS + 2)[1:-1] for start, stop in ((accuracy, 1), (0, 1 - f1))
    )
    before, after = wrong[None, :], wrong[None, :] - accuracy
    found = [share_found(before, scores[:, None]), share_found(after, scores[:, None] + f1)]
    least = []
    for share in landslide_shares(*found, before, after, precision):
        beyond = miou_gain(*found, before, after, share) - miou
        with np.errstate(invalid="ignore", divide="ignore"):
            step = beyond[:, :-1] / (beyond[:, :-1] - beyond[:, 1:])
            crossed = np.where((step >= 0) & (step <= 1), before[:, :-1] + step * np.diff(before), np.nan)
        least.append(np.nanmin(crossed, initial=np.inf))
    return 1 - min(least) + accuracy if np.isfinite(min(least)) else float("nan")


def share_found(wrong: np.ndarray, f1: np.ndarray) -> np.ndarray:
    """Landslides found (share of all pixels) by a map of this share of wrong pixels and F1."""
    return wrong * f1 / (2 * (1 - f1))


def landslide_shares(
    first: np.ndarray, second: np.ndarray, before: np.ndarray, after: np.ndarray, gain: float
) -> list[np.ndarray]:
    """The two landslide shares with which precision rises by `gain` from the map that finds `first` with the
    share `before` of wrong pixels to that of `second` and `after`; NaN where there is none.

    With c = 2 a + e, precision is a / (c - s), and second / (c2 - s) - first / (c1 - s) = gain is quadratic
    in s.
    """
    c1, c2 = 2 * first + before, 2 * second + after
    linear, constant = second - first - gain * (c1 + c2), gain * c1 * c2 - second * c1 + first * c2
    with np.errstate(invalid="ignore"):
        root = np.sqrt(linear**2 - 4 * gain * constant)
    return [(-linear - root) / (2 * gain), (-linear + root) / (2 * gain)]


def miou_gain(
    first: np.ndarray, second: np.ndarray, before: np.ndarray, after: np.ndarray, share: np.ndarray
) -> np.ndarray:
    """What the second map has more of mIoU; NaN where either is no confusion matrix."""
    means, sound = [], np.ones(share.shape, bool)
    for tp, wrong in ((first, before), (second, after)):
        fn, tn = share - tp, 1 - wrong - tp
        fp = wrong - fn
        sound &= (fn >= 0) & (fp >= 0) & (tn >= 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            means.append((tp / (tp + wrong) + tn / (tn + wrong)) / 2)
    return np.where(sound, means[1] - means[0], np.nan)
