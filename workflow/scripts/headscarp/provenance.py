"""What every run says of how it was made. The record of a whole folder of results is
`delivery.provenance`'s.

Needs nothing but the standard library, since every training asks.
"""

import os
import platform
import subprocess
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from headscarp import __version__
from headscarp.files import sha256_of

PACKAGE = Path(__file__).resolve().parent
# What of a repository decides results, beside what config.yaml and cards of a user say, which are recorded by
# themselves.
CODE = ("Snakefile", "workflow")
# Files of a cube that every training reads; of its samples all are named.
CUBE_FILES = ("cube.npy", "cube.json", "label.npy")


def run_provenance(began: float, inputs: Iterable[str | Path]) -> dict[str, Any]:
    """How a run was made, for its run.json.

    Args:
        began: `time.time()` at its start.
        inputs: the files that it read.

    Returns:
        {code, python, system, started, finished (UTC, ISO 8601), inputs: {path: SHA-256}}.
    """
    return {
        "code": code_version(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "started": utc_text(began),
        "finished": utc_text(time.time()),
        "inputs": {Path(path).as_posix(): sha256_of(path) for path in inputs},
    }


def files_read_by_run(cube_folder: str | Path, samples_folder: str | Path) -> list[Path]:
    """The files of a cube and of its samples (windows or cells) that a run reads."""
    samples = sorted(
        path for path in Path(samples_folder).iterdir() if path.is_file() and not path.name.startswith(".")
    )
    return [*(Path(cube_folder) / name for name in CUBE_FILES), *samples]


def utc_text(seconds: float) -> str:
    """ISO 8601 text, in UTC, of seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


@cache
def code_version() -> dict[str, Any]:
    """Version of headscarp and, where it runs from a checkout, the commit and whether code differs from it:
    {version, commit, dirty}.

    `commit` and `dirty` are None where the package is installed, or git is missing or refuses.
    """
    root = PACKAGE.parents[2]
    # the repository around a virtual environment is not ours
    if ask_git(PACKAGE, "ls-files", "--error-unmatch", "__init__.py") is None:
        return {"version": __version__, "commit": None, "dirty": None}
    commit, changes = ask_git(root, "rev-parse", "HEAD"), ask_git(root, "status", "--porcelain", "--", *CODE)
    return {"version": __version__, "commit": commit, "dirty": None if changes is None else bool(changes)}


def ask_git(folder: Path, *arguments: str) -> str | None:
    """What git answers, or None where it does not. A repository that surrounding processes point at is not
    asked."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
