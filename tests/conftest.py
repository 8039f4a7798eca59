"""Fixtures that all tests share."""

import os
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[1]


def shared_folder() -> Path:
    """Where real data may lie: the environment variable HEADSCARP_SHARED, else a folder `shared` beside the
    checkout."""
    return Path(os.environ.get("HEADSCARP_SHARED", REPOSITORY.parent / "shared"))


@pytest.fixture(scope="session")
def real_data():
    """Path of a real data file or folder; the test is skipped with a reason where it is not at hand."""

    def find(relative: str) -> Path:
        path = shared_folder() / relative
        if not path.exists():
            pytest.skip(f"real data not at hand: {path} (set HEADSCARP_SHARED to the folder that holds it)")
        return path

    return find


def checks_of(card: str) -> list[dict]:
    """The checks of a shipped card's audit."""
    path = REPOSITORY / "workflow" / "cards" / f"{card}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))["audit"]["checks"]
