"""Probabilities that mean what they say, by calibration on validation ground, and thresholds chosen there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from headscarp.errors import HeadscarpError
from headscarp.scoring.pixel import CALIBRATION_BINS, best_threshold, ranking_counts, ratio

PLATT, ISOTONIC, NONE = "platt", "isotonic", "none"
FITTED_ON = 200_000  # pixels at most: two numbers, or a rising line, need no more
LEAST = 1e-6  # probabilities nearer to 0 or 1 count as this near
F1 = "f1"


@dataclass(frozen=True)
class Calibration:
    """What probabilities become: `method` none as they are; platt the logistic function of `slope` x logit +
    `offset` (Platt 1999); isotonic a rising line through (`given`, `taken`), flat beyond (Zadrozny and Elkan
    2002, doi 10.1145/775047.775151)."""

    method: str
    slope: float = 1.0
    offset: float = 0.0
    given: tuple[float, ...] = ()
    taken: tuple[float, ...] = ()

    def apply(self, probability: np.ndarray) -> np.ndarray:
        """Calibrated probabilities float32 of an array of any shape, NaN where NaN."""
        if self.method == NONE:
            return np.asarray(probability, np.float32)
        if self.method == ISOTONIC:
            calibrated = np.interp(probability, self.given, self.taken)
            return np.where(np.isnan(probability), np.nan, calibrated).astype(np.float32)
        return (1 / (1 + np.exp(-(self.slope * logit(probability) + self.offset)))).astype(np.float32)

    @property
    def record(self) -> dict[str, Any]:
        numbers = {
            PLATT: {"slope": self.slope, "offset": self.offset},
            ISOTONIC: {"given": list(self.given), "taken": list(self.taken)},
        }
        return {"method": self.method} | numbers.get(self.method, {})

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Calibration":
        tuples = {key: tuple(value) for key, value in record.items() if isinstance(value, list)}
        return cls(**(dict(record) | tuples))


def calibrate(probability: np.ndarray, truth: np.ndarray, method: str) -> tuple[Calibration, list[str]]:
    """A calibration fitted to flat arrays of probabilities 0..1 and truth (boolean), evenly thinned to
    `FITTED_ON`, and notes on it.

    Ground of one class, and probabilities that are lower on landslides than elsewhere, calibrate nothing.
    """
    if method == NONE:
        return Calibration(NONE), []
    thinned = slice(None, None, max(1, len(probability) // FITTED_ON))
    probability, truth = probability[thinned].astype(np.float64), truth[thinned]
    if truth.all() or not truth.any():
        return Calibration(NONE), ["validation ground is of one class: probabilities are not calibrated"]
    if method == ISOTONIC:
        fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(probability, truth)
        return Calibration(
            ISOTONIC, given=tuple(fitted.X_thresholds_.tolist()), taken=tuple(fitted.y_thresholds_.tolist())
        ), []
    fitted = LogisticRegression(C=np.inf).fit(logit(probability)[:, None], truth)
    slope, offset = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    if slope <= 0:
        return Calibration(NONE), [
            "on validation ground landslides have lower probabilities than the rest: they are not calibrated"
        ]
    return Calibration(PLATT, slope, offset), []


def logit(probability: np.ndarray) -> np.ndarray:
    near = np.clip(np.asarray(probability, np.float64), LEAST, 1 - LEAST)
    return np.log(near / (1 - near))


def chosen_threshold(probability: np.ndarray, truth: np.ndarray, rule: str | Mapping[str, float]) -> float:
    """The threshold that a rule chooses on flat arrays: `f1` that of highest F1; `{recall: r}` the highest
    at which at least r of the landslide pixels are mapped; `{precision: p}` the one that maps most landslides
    of those at which at least p of the mapped pixels are right.

    Raises:
        HeadscarpError: there is no landslide, or no threshold has such a precision.
    """
    if not truth.any():
        raise HeadscarpError("validation ground has no landslide: no threshold can be chosen on it")
    if rule == F1:
        return best_threshold(probability, truth)
    (name, wanted), *_ = rule.items()
    tp, fp = ranking_counts(probability, truth)
    levels = np.unique(probability)[::-1]
    score = tp / np.count_nonzero(truth) if name == "recall" else ratio(tp, tp + fp)
    reached = np.flatnonzero(score >= wanted)
    if not reached.size:
        raise HeadscarpError(
            f"no threshold has a precision of {wanted:g} on validation ground, the highest is "
            f"{np.nanmax(score):.3f}; ask for less under `best_map: threshold`"
        )
    return float(levels[reached[0] if name == "recall" else reached[-1]])


def reliability(probability: np.ndarray, truth: np.ndarray) -> list[dict[str, float]]:
    """Mean probability, observed share of landslides and number of pixels of flat arrays, in those bins of
    the expected calibration error that hold any."""
    bins = np.minimum((probability * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    return [
        {
            "probability": float(probability[bins == one].mean(dtype=np.float64)),
            "observed": float(truth[bins == one].mean()),
            "pixels": int((bins == one).sum()),
        }
        for one in np.unique(bins)
    ]
