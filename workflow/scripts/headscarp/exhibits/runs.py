"""Scores of an exhibit's runs: read, checked against each other, and averaged over seeds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from headscarp.arrays import read_arrays
from headscarp.errors import HeadscarpError
from headscarp.exhibits.spec import ExhibitSpec, RunFiles
from headscarp.exhibits.tidy import VERSUS, record
from headscarp.files import read_json
from headscarp.scoring.bootstrap import (
    CellHistograms,
    ScoredCells,
    histogram_metrics,
    intervals,
    paired_difference,
)
from headscarp.scoring.images import IMAGE_METRICS, ImageScores
from headscarp.vocabulary import require_known

BOOTSTRAP_SEED = 0
RESOLUTION = 0.01  # largest difference of a score from histograms to the exact one
CROWDED = "probabilities crowd in too few of the bootstrap's 256 bins"


@dataclass(frozen=True)
class Scored:
    """A run with the record of its scores.json."""

    run: RunFiles
    scores: dict[str, Any]

    def cells(self) -> CellHistograms:
        """Histograms of probability (cells, 256) of the evaluated region."""
        stored = self.stored()
        return CellHistograms(stored["positive"], stored["negative"], self.scores["threshold"])

    def images(self) -> ImageScores:
        """Scores of the test windows of a run that was scored by windows, too."""
        return ImageScores.from_arrays(self.stored())

    def stored(self) -> dict[str, np.ndarray]:
        """Arrays of counts.npz; raises a `HeadscarpError` where it does not exist or is damaged."""
        return stored_arrays(self.run.maps / "counts.npz", "score")


def stored_arrays(path: Path, verb: str) -> dict[str, np.ndarray]:
    """Arrays of a .npz file of a run, which is there once one has done with the run what `verb` says.

    Raises:
        HeadscarpError: it does not exist or is damaged.
    """
    if not path.exists():
        raise HeadscarpError(f"{path} does not exist; {verb} the run again")
    return read_arrays(path)


def scored_runs(spec: ExhibitSpec) -> list[Scored]:
    """The runs of an exhibit with their scores.

    Raises:
        HeadscarpError: runs of one protocol were scored on different data, pixels or by another threshold
        rule; the message names two.
    """
    runs = [Scored(run, read_json(run.maps / "scores.json")) for run in spec.runs]
    site = spec.only_site()
    for one in runs:
        for key, expected in (("data", site.data), ("protocol", one.run.protocol)):
            if one.scores[key] != expected:
                raise HeadscarpError(
                    f"{one.run.maps / 'scores.json'} says {key} '{one.scores[key]}' where "
                    f"'{expected}' is expected; score it again"
                )
    for protocol in spec.protocols:
        refuse_inconsistent([one for one in runs if one.run.protocol == protocol])
    return runs


def refuse_inconsistent(runs: Sequence[Scored]) -> None:
    """Runs of one protocol must be scored on the same pixels; under `published`, at the same threshold
    too."""
    for one in runs[1:]:
        for key in (
            "n_pixels",
            "landslide_share",
            *(["threshold"] if one.run.protocol == "published" else []),
        ):
            if one.scores[key] != runs[0].scores[key]:
                raise HeadscarpError(
                    f"runs cannot be compared: {key} is {runs[0].scores[key]} in "
                    f"{runs[0].run.maps / 'scores.json'} "
                    f"but {one.scores[key]} in {one.run.maps / 'scores.json'}; delete both and score "
                    f"them again on the same samples"
                )


def aggregate(spec: ExhibitSpec, metrics: Sequence[str], scale: float = 1.0) -> list[dict[str, Any]]:
    """Tidy records of pixel metrics: mean and sd over seeds, and a 95 % interval by bootstrap over blocks and
    seeds.

    Values are `scale` times the fractions of scores.json. A metric that is undefined for a seed is left out
    of the mean, with a note. Those of `images.IMAGE_METRICS` say in a note what they average over.
    """
    runs = scored_runs(spec)
    lines = []
    for protocol in spec.protocols:
        for row in spec.rows:
            group = [one for one in runs if (one.run.row, one.run.protocol) == (row, protocol)]
            if not group:
                continue
            cells = [one.cells() for one in group]
            bounds = intervals(cells, BOOTSTRAP_SEED)
            found = [
                histogram_metrics(one.positive.sum(axis=0), one.negative.sum(axis=0), one.threshold)
                for one in cells
            ]
            if not set(IMAGE_METRICS).isdisjoint(metrics) and all("images" in one.scores for one in group):
                images = [one.images() for one in group]
                bounds |= intervals(images, BOOTSTRAP_SEED)
                found = [
                    coarse | one.metrics(np.ones(len(one.per_cell)))
                    for coarse, one in zip(found, images, strict=True)
                ]
            for metric in metrics:
                exact = [one.scores["metrics"].get(metric) for one in group]
                value = mean_of(exact, scale)
                notes = []
                if value["n_seeds"] < len(group):
                    notes.append(
                        f"undefined for {len(group) - value['n_seeds']} of {len(group)} seeds under "
                        f"{protocol}"
                    )
                if value["value"] is not None and bounds.get(metric):
                    if fits([coarse[metric] for coarse in found], exact):
                        value["ci_low"], value["ci_high"] = (scale * bound for bound in bounds[metric])
                    else:
                        notes.append(f"no interval under {protocol}: {CROWDED}")
                if metric in IMAGE_METRICS:
                    notes = [image_note(group[0].scores, protocol), *notes]
                lines.append(
                    record(
                        spec,
                        row,
                        metric,
                        protocol=protocol,
                        data=spec.only_site().data,
                        note="; ".join(notes),
                        **value,
                    )
                )
    return lines


def fits(coarse: Sequence[float], exact: Sequence[float | None]) -> bool:
    """Whether scores of runs from histograms are near the exact ones, so that a bootstrap of the histograms
    stands for them."""
    return all(one is None or abs(near - one) <= RESOLUTION for near, one in zip(coarse, exact, strict=True))


def image_note(scores: Mapping[str, Any], protocol: str) -> str:
    """What the scores per image of a run average over; the same for all runs on the same samples."""
    images = scores.get("images")
    if images is None:
        return f"no score per image under {protocol}: its samples have no test windows with landslides"
    return (
        f"per image under {protocol}: mean over {images['windows']} test windows, "
        f"{images['without_landslide']} of them without landslide; "
        "a class that is neither in a window nor mapped there does not count, and a window of one "
        "class has no AUC"
    )


class Difference(NamedTuple):
    """Mean difference over seeds of a metric, first - second, and its 95 % interval, None where undefined."""

    size: float | None
    low: float | None
    high: float | None


class Effect(NamedTuple):
    """The difference of a metric between two rows under one protocol."""

    first: str
    second: str
    protocol: str
    metric: str
    found: Difference

    @property
    def row(self) -> str:
        """Id of the tidy row."""
        return f"{self.first}{VERSUS}{self.second}"


def effects(
    spec: ExhibitSpec,
    pair: Sequence[str],
    cells: Mapping[tuple[str, str], Sequence[ScoredCells]],
    metrics: Sequence[str],
) -> Iterator[Effect]:
    """Effects of a pair of rows under each protocol, by bootstrap over the same blocks and seeds.

    Args:
        cells: counts of the runs of each (protocol, row), in the order of seeds.

    Raises:
        HeadscarpError: a row or metric does not exist, or the runs cannot be paired.
    """
    first, second = (require_known(row, spec.rows, f"exhibit '{spec.name}', pairs: row") for row in pair)
    for protocol in spec.protocols:
        of_rows = cells[protocol, first], cells[protocol, second]
        for metric, found in differences(*of_rows, metrics, f"exhibit '{spec.name}'").items():
            yield Effect(first, second, protocol, metric, found)


def differences(
    first: Sequence[ScoredCells], second: Sequence[ScoredCells], metrics: Sequence[str], place: str
) -> dict[str, Difference]:
    """The difference of each metric between two groups of runs, by bootstrap over the same blocks and seeds;
    `place` begins an error.

    Raises:
        HeadscarpError: a metric does not exist, or the runs cannot be paired.
    """
    measured = paired_difference(first, second, BOOTSTRAP_SEED)
    found = {metric: measured[require_known(metric, measured, f"{place}: metric")] for metric in metrics}
    return {
        metric: Difference(one["difference"], *(one["interval"] or (None, None)))
        for metric, one in found.items()
    }


def from_exact_scores(
    found: Difference, exact: Sequence[Sequence[float | None]], coarse: Sequence[Sequence[float]]
) -> tuple[Difference, str]:
    """A difference measured on the scores of scores.json, and why it has no interval ('' where it has one).

    Its interval is of histograms, and given only where these are fine enough to stand for the scores.

    Args:
        exact: scores of both groups by seed. coarse: the same from histograms.
    """
    first, second = (mean_of(values)["value"] for values in exact)
    size = None if first is None or second is None else first - second
    fine = all(map(fits, coarse, exact))
    low, high = (found.low, found.high) if fine else (None, None)
    return Difference(
        size, low, high
    ), "" if low is not None else "too few blocks or landslides" if fine else CROWDED


def mean_of(values: Sequence[float | None], scale: float = 1.0) -> dict[str, Any]:
    """Mean and (n - 1) standard deviation of the defined values, times `scale`; None where there are too
    few."""
    defined = np.array([value for value in values if value is not None], float) * scale
    return {
        "value": float(defined.mean()) if defined.size else None,
        "sd": float(defined.std(ddof=1)) if defined.size > 1 else None,
        "n_seeds": int(defined.size),
    }
