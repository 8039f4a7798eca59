"""Which model's map a site is given, chosen on validation ground, with its calibration and its threshold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headscarp.arrays import open_array
from headscarp.codes import LANDSLIDE, TEST, UNMAPPED, VALIDATION
from headscarp.errors import HeadscarpError
from headscarp.files import read_json
from headscarp.geo.layer import read_layer
from headscarp.scoring.bootstrap import intervals, pooled_metrics
from headscarp.scoring.calibration import Calibration, calibrate, chosen_threshold, reliability
from headscarp.scoring.histograms import CellHistograms
from headscarp.scoring.pixel import ranking_counts, ranking_metrics, to_python
from headscarp.scoring.score import has_converged, probability_in


@dataclass(frozen=True)
class Map:
    """The map of one training and the samples that tell its validation and its test ground."""

    seed: int
    probability: Path
    samples: Path
    run: Path

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Map":
        return cls(int(record["seed"]), *(Path(record[key]) for key in ("probability", "samples", "run")))

    def on(self, region: int, label: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Probability, truth (boolean) and bootstrap cell of the labelled pixels (pixel,) of a region of the
        samples."""
        regions = open_array(self.samples / "regions.npy")
        known = (regions == region) & (label != UNMAPPED)
        name = "validation" if region == VALIDATION else "evaluated"
        probability = probability_in(read_layer(self.probability).values, known, name)
        return probability, label[known] == LANDSLIDE, open_array(self.samples / "blocks.npy")[known]


def choose_map(
    candidates: Sequence[Mapping[str, Any]],
    cube_folder: str | Path,
    rule: str | Mapping[str, float],
    method: str,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Choose the candidate of highest average precision on validation ground, calibrate each of its maps on
    that of its own, and choose the threshold on that of all.

    Args:
        candidates: `experiment`, `label` and `maps`, records of `Map`, one for each seed.
        cube_folder: of the site, whose labels are read. rule: of `calibration.chosen_threshold`. method: of
            `calibration.calibrate`.

    Returns:
        choice: what choice.json holds: `candidates` with their average precisions, `experiment`, `label`,
            `seeds`, `rule`, `threshold`, `calibrations` by seed, `reliability` on test ground `before` and
            `after` calibration, `notes`.
        scores: as scores.json, of the calibrated maps at that threshold, each on the test ground of its own
            training: the mean of the maps itself cannot be tested, since every piece of ground trained one of
            them where folds rotate.

    Raises:
        HeadscarpError: no validation ground has a landslide, a precision is out of reach, or a map does not
            cover its samples.
    """
    label = open_array(Path(cube_folder) / "label.npy")
    listed = [described(candidate, label) for candidate in candidates]
    ranked = [one for one in listed if one["average_precision"] is not None]
    if not ranked:
        raise HeadscarpError(
            "no validation ground of this site has a landslide, so that no map can be chosen; take another "
            "`split` under `sampling`, or name one experiment under `polygons` in place of `best_map`"
        )
    best = max(ranked, key=lambda one: one["average_precision"])
    maps = [Map.from_record(one) for one in candidates[listed.index(best)]["maps"]]
    calibrations, notes, tuning = [], [], []
    for each in maps:
        probability, truth, _ = each.on(VALIDATION, label)
        calibration, of_one = calibrate(probability, truth, method)
        calibrations.append(calibration)
        notes += [f"seed {each.seed}: {note}" for note in of_one]
        tuning.append((calibration.apply(probability), truth))
    threshold = chosen_threshold(*(np.concatenate(parts) for parts in zip(*tuning, strict=True)), rule)
    tested = [each.on(TEST, label) for each in maps]
    choice = {
        "candidates": listed,
        "experiment": best["experiment"],
        "label": best["label"],
        "seeds": [each.seed for each in maps],
        "rule": rule,
        "threshold": threshold,
        "calibrations": [calibration.record for calibration in calibrations],
        "reliability": reliability_of(tested, calibrations),
        "notes": notes,
    }
    return choice, scores_on_test_ground(maps, tested, calibrations, threshold, cube_folder, notes)


def described(candidate: Mapping[str, Any], label: np.ndarray) -> dict[str, Any]:
    """A candidate with its average precision on the validation ground of each of its trainings (None without
    a landslide there), their mean, and whether all converged."""
    maps = [Map.from_record(one) for one in candidate["maps"]]
    by_seed = [average_precision(*each.on(VALIDATION, label)[:2]) for each in maps]
    known = [value for value in by_seed if value is not None]
    return {
        "experiment": candidate["experiment"],
        "label": candidate["label"],
        "average_precision": float(np.mean(known)) if known else None,
        "by_seed": by_seed,
        "converged": all(has_converged(each.run) for each in maps),
    }


def average_precision(probability: np.ndarray, truth: np.ndarray) -> float | None:
    """Of flat arrays; None without landslides."""
    if not truth.any():
        return None
    return to_python(ranking_metrics(*ranking_counts(probability, truth)))["average_precision"]


def reliability_of(
    tested: Sequence[tuple[np.ndarray, ...]], calibrations: Sequence[Calibration]
) -> dict[str, list[dict[str, float]]]:
    """Reliability of all maps together, each on its own test ground, before and after calibration."""
    before = np.concatenate([probability for probability, _, _ in tested])
    after = np.concatenate(
        [one.apply(probability) for one, (probability, _, _) in zip(calibrations, tested, strict=True)]
    )
    truth = np.concatenate([truth for _, truth, _ in tested])
    return {"before": reliability(before, truth), "after": reliability(after, truth)}


def scores_on_test_ground(
    maps: Sequence[Map],
    tested: Sequence[tuple[np.ndarray, ...]],
    calibrations: Sequence[Calibration],
    threshold: float,
    cube_folder: str | Path,
    notes: Sequence[str],
) -> dict[str, Any]:
    """The record of scores.json: metrics with the folds of the trainings pooled, and their intervals."""
    samples = [read_json(each.samples / "samples.json") for each in maps]
    counted = [
        CellHistograms.of(one.apply(probability), truth, cell, threshold, record["fold"])
        for one, (probability, truth, cell), record in zip(calibrations, tested, samples, strict=True)
    ]
    return {
        "threshold": threshold,
        "protocol": samples[0]["protocol"],
        "data": read_json(Path(cube_folder) / "cube.json")["data"],
        "n_pixels": int(sum(len(truth) for _, truth, _ in tested)),
        "metrics": to_python(pooled_metrics(counted)),
        "intervals": intervals(counted, maps[0].seed),
        "converged": all(has_converged(each.run) for each in maps),
        "notes": list(notes),
    }
