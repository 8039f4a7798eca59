"""What a training tells while it runs: a line in the log for every epoch, and a bar where standard error is a
terminal."""

import logging
import sys
from typing import Any

from tqdm import tqdm

log = logging.getLogger(__name__)


class Progress:
    """Counts optimiser steps: `done` of `total` when made. Without `shown` there is no bar."""

    def __init__(self, name: str, done: int, total: int, shown: bool) -> None:
        self._name = name
        self._bar = tqdm(
            total=total, initial=done, desc=name, unit="step", disable=not (shown and sys.stderr.isatty())
        )

    def step(self) -> None:
        self._bar.update()

    def epoch(self, record: dict[str, Any], epochs: int) -> None:
        """Tell the losses and the validation score of a finished epoch (a line of history)."""
        losses = f"loss {record['train_loss']:.4f}"
        for key, name in (("validation_loss", "validation"), ("validation_score", "score")):
            losses += "" if record[key] is None else f", {name} {record[key]:.4f}"
        self._bar.set_postfix_str(losses)
        log.info(
            "%s: epoch %d/%d, %s, %.1f s", self._name, record["epoch"], epochs, losses, record["seconds"]
        )

    def close(self) -> None:
        self._bar.close()
