"""What a scheduler is asked for, from a forecast where there is one of the chosen scale."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from headscarp.plan.model import Run
from headscarp.plan.paths import FORECAST

# Without a forecast: of the papers' sizes, and of all smaller ones. In MiB and minutes.
FULL, SMALLER = {"mem_mb": 16000, "runtime": 720}, {"mem_mb": 4000, "runtime": 240}
TRAIN, MAP = "train", "map"


@dataclass(frozen=True)
class Forecasts:
    """Memory and minutes of jobs."""

    scale: str

    @cached_property
    def _found(self) -> dict[str, Any]:
        path = Path(FORECAST[-1])
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return found if found.get("scale") == self.scale else {}

    def of_run(self, run: Run, what: str, key: str, attempt: int) -> int:
        """`key` (mem_mb or runtime) of the training of a run or of its maps, more with each attempt."""
        return attempt * self._or_default(self._found.get("runs", {}).get(run.folder, {}).get(what, {}), key)

    def of_twin(self, site: str, attempt: int) -> int:
        """Minutes of a simulated site; its memory is known by its size (`sources.twin.files.memory_mb`)."""
        return attempt * self._or_default(self._found.get("twins", {}).get(site, {}), "runtime")

    def _or_default(self, asked: dict[str, int], key: str) -> int:
        return asked.get(key, (FULL if self.scale == "full" else SMALLER)[key])
