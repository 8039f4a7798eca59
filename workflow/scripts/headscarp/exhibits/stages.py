"""The stages in which superpixels were sampled, as samples.json tells them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headscarp.errors import HeadscarpError
from headscarp.files import read_json


def read_stages(folder: Path) -> list[dict[str, Any]]:
    """The stages of sampling {stage, windows, shares: {code: share}} of a folder of samples, codes as
    integers.

    Raises:
        HeadscarpError: samples.json is missing or says nothing of stages.
    """
    path = folder / "samples.json"
    stages = read_json(path).get("stages")
    if not stages:
        raise HeadscarpError(
            f"{path} names no stages of sampling: only samples of kind superpixels have them; leave the "
            f"exhibit out of the card"
        )
    return [
        stage | {"shares": {int(code): float(share) for code, share in stage["shares"].items()}}
        for stage in stages
    ]


def class_ratio(shares: Mapping[int, float]) -> float | None:
    """Ratio of the largest to the smallest share that is not 0; None where there is none."""
    present = [share for share in shares.values() if share > 0]
    return max(present) / min(present) if present else None
