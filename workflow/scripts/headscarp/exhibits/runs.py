"""Scores of an exhibit's runs: read, checked against each other, and grouped."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headscarp.arrays import read_arrays
from headscarp.codes import TUNED
from headscarp.errors import HeadscarpError
from headscarp.exhibits.spec import ExhibitSpec, RunFiles
from headscarp.files import read_json
from headscarp.scoring.histograms import CellHistograms
from headscarp.scoring.images import ImageScores

NOT_CONVERGED = "not converged, a first look"  # how a note on rows begins that are marked for it


@dataclass(frozen=True)
class Scored:
    """A run with the record of its scores.json."""

    run: RunFiles
    scores: dict[str, Any]

    @property
    def fold(self) -> int:
        """Which of the folds that rotate with the seed it was scored on."""
        return self.scores["fold"]

    @property
    def converged(self) -> bool:
        """Whether its training reached a plateau."""
        return self.scores["converged"]

    def cells(self) -> CellHistograms:
        """Histograms of probability of the evaluated region."""
        return CellHistograms.from_arrays(self.stored(), self.fold)

    def images(self) -> ImageScores:
        """Scores of the test windows of a run that was scored by windows, too."""
        return ImageScores.from_arrays(self.stored(), self.fold)

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
    """Runs of one protocol must be scored on the same pixels, those of their fold; at the same threshold too,
    but under `blocked`, which tunes it."""
    first = {one.fold: one for one in reversed(runs)}
    for one in runs:
        same = first[one.fold]
        for key in (
            "n_pixels",
            "landslide_share",
            *(["threshold"] if one.run.protocol not in TUNED else []),
        ):
            if one.scores[key] != same.scores[key]:
                raise HeadscarpError(
                    f"runs cannot be compared: {key} is {same.scores[key]} in "
                    f"{same.run.maps / 'scores.json'} "
                    f"but {one.scores[key]} in {one.run.maps / 'scores.json'}; delete both and score "
                    f"them again on the same samples"
                )


def groups_of(spec: ExhibitSpec, runs: list[Scored]) -> Iterator[tuple[str, str, list[Scored]]]:
    """Row, protocol and runs (one for each seed) in the order in which they are shown."""
    for protocol in spec.protocols:
        for row in spec.rows:
            group = [one for one in runs if (one.run.row, one.run.protocol) == (row, protocol)]
            if group:
                yield row, protocol, group


def plateau_notes(runs: Sequence[Scored]) -> list[str]:
    """A note where trainings stopped before their plateau."""
    short = sum(not one.converged for one in runs)
    return (
        [f"{NOT_CONVERGED}: {short} of {len(runs)} trainings stopped before their plateau"] if short else []
    )


def runs_by_row(spec: ExhibitSpec) -> Iterator[tuple[str, str, list[RunFiles]]]:
    """(protocol, row, runs of its seeds) of an exhibit, in order."""
    for protocol in spec.protocols:
        for row in spec.rows:
            runs = spec.runs_of(row, protocol)
            if runs:
                yield protocol, row, runs


def scores_part(path: Path, part: str) -> dict[str, Any]:
    """A part of a scores.json that only runs in several classes have.

    Raises:
        HeadscarpError: the file or the part is missing.
    """
    scores = read_json(path)
    if part not in scores:
        raise HeadscarpError(
            f"{path} has no scores '{part}': its site is not labelled in several classes, or it must be "
            f"scored again"
        )
    return scores[part]
