"""How results came about: what every run says of itself, and the record of a whole folder of results.

Needs nothing but the standard library, since every training asks.
"""

import hashlib
import os
import platform
import re
import subprocess
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from headscarp import __version__
from headscarp.files import read_json, sha256_of

PACKAGE = Path(__file__).resolve().parent
# What of a repository decides results, beside what config.yaml and cards of a user say, which are recorded by
# themselves.
CODE = ("Snakefile", "workflow")
# Files of a cube that every training reads; of its samples all are named.
CUBE_READ = ("cube.npy", "cube.json", "label.npy")
# What a run writes down of itself, old runs not all of it.
TOLD_BY_RUN = (
    "seed",
    "versions",
    "python",
    "system",
    "code",
    "device",
    "precision",
    "threads",
    "seconds",
    "started",
    "finished",
    "inputs",
)


def made(began: float, inputs: Iterable[str | Path]) -> dict[str, Any]:
    """What a run tells of how it was made, for its run.json.

    Args:
        began: `time.time()` at its start.
        inputs: the files that it read.

    Returns:
        {code, python, system, started, finished (UTC, ISO 8601), inputs: {path: SHA-256}}.
    """
    return {
        "code": code(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "started": moment(began),
        "finished": moment(time.time()),
        "inputs": {Path(path).as_posix(): sha256_of(path) for path in inputs},
    }


def read_by_run(cube_folder: str | Path, samples_folder: str | Path) -> list[Path]:
    """The files of a cube and of its samples (windows or cells) that a run reads."""
    samples = sorted(
        path for path in Path(samples_folder).iterdir() if path.is_file() and not path.name.startswith(".")
    )
    return [*(Path(cube_folder) / name for name in CUBE_READ), *samples]


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


@cache
def code() -> dict[str, Any]:
    """Version of headscarp and, where it runs from a checkout, the commit and whether code differs from it:
    {version, commit, dirty}.

    `commit` and `dirty` are None where the package is installed, or git is missing or refuses.
    """
    root = PACKAGE.parents[2]
    # the repository around a virtual environment is not ours
    if git(PACKAGE, "ls-files", "--error-unmatch", "__init__.py") is None:
        return {"version": __version__, "commit": None, "dirty": None}
    commit, changes = git(root, "rev-parse", "HEAD"), git(root, "status", "--porcelain", "--", *CODE)
    return {"version": __version__, "commit": commit, "dirty": None if changes is None else bool(changes)}


def git(folder: Path, *arguments: str) -> str | None:
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


def packages() -> dict[str, str]:
    """Version of every package of this environment, by name."""
    found = {one.metadata["Name"]: one.version for one in metadata.distributions() if one.metadata["Name"]}
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def checksum(path: str | Path) -> dict[str, Any]:
    """{bytes, sha256} of a file; {files, bytes, sha256} of a folder, the checksum then that of the lines
    "sha256  path" of its files, sorted; {missing: true} where there is neither."""
    path = Path(path)
    if path.is_file():
        return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
    if not path.is_dir():
        return {"missing": True}
    files = sorted(one for one in path.rglob("*") if one.is_file())
    lines = "".join(f"{sha256_of(one)}  {one.relative_to(path).as_posix()}\n" for one in files)
    return {
        "files": len(files),
        "bytes": sum(one.stat().st_size for one in files),
        "sha256": hashlib.sha256(lines.encode()).hexdigest(),
    }


def checksums(paths: Iterable[str]) -> dict[str, dict[str, Any]]:
    return {path: checksum(path) for path in paths}


def record_of(plan: dict[str, Any], config: dict[str, Any], root: str | Path) -> dict[str, Any]:
    """The record of the results of the current folder, for results/provenance.json.

    Args:
        plan: `Plan.provenance.record`: what the selected cards deliver, and from which sites.
        config: config.yaml as it was in force, with what the command line changed.
        root: folder of the Snakefile; cards below it are named relative to it.
    """
    files = card_files([Path(root) / "workflow" / "cards", Path("areas")])
    return {
        "made": moment(time.time()),
        "code": code(),
        "python": platform.python_version(),
        "machine": {"system": platform.platform(), "cpus": os.cpu_count()},
        "packages": packages(),
        "config": config,
        "scale": plan["scale"],
        "skipped": plan["skipped"],
        "cards": {name: card | card_file(files[name], Path(root)) for name, card in plan["cards"].items()},
        "sites": {name: site_record(site) for name, site in plan["sites"].items()},
        "runs": [run_record(path) for name in plan["cards"] for path in run_records(name)],
        "exhibits": [exhibit | {"files": checksums(exhibit["files"])} for exhibit in plan["exhibits"]],
        "maps": [one | {"files": checksums(one["files"])} for one in plan["maps"]],
    }


def card_files(folders: Sequence[Path]) -> dict[str, Path]:
    """The files of all cards by their name."""
    found = {}
    for path in (path for folder in folders for path in sorted(folder.glob("*.yaml"))):
        if name := re.search(
            r"^name:\s*[\"']?([\w-]+)", path.read_text(encoding="utf-8"), flags=re.MULTILINE
        ):
            found[name.group(1)] = path
    return found


def card_file(path: Path, root: Path) -> dict[str, str]:
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    return {"file": shown.as_posix(), "sha256": sha256_of(path)}


def site_record(site: dict[str, Any]) -> dict[str, Any]:
    """What the plan says of a site, with its raw files checked; parts of `table` stand with the file that
    they are of."""
    return {key: value for key, value in site.items() if key != "table"} | {
        "files": raw_files(site["files"], site["table"])
    }


def raw_files(paths: Iterable[str], table: dict[str, dict[str, str]]) -> dict[str, dict[str, Any]]:
    """Checksums of raw files, each with its address, licence and citation where `table` has them by name, and
    with the record of its acquisition where one lies beside it (files of an image catalogue)."""
    found = {}
    for path in paths:
        beside = Path(f"{path}.json")
        found[path] = (
            checksum(path)
            | table.get(Path(path).name, {})
            | ({"acquisition": read_json(beside)} if beside.is_file() else {})
        )
    return found


def run_records(card: str) -> list[Path]:
    return sorted(Path("results/runs", card).glob("*/*/*/seed*/run.json"))


def run_record(path: Path) -> dict[str, Any]:
    """What one run.json tells, and the checksums of it and of the model beside it (None where the run kept
    none)."""
    told = read_json(path)
    *_, card, site, experiment, protocol, _ = path.parent.parts
    model = path.with_name("model.safetensors")
    return {
        "path": path.parent.as_posix(),
        "card": card,
        "site": site,
        "experiment": experiment,
        "protocol": protocol,
        **{key: told.get(key) for key in TOLD_BY_RUN},
        "record": checksum(path),
        "model": checksum(model) if model.is_file() else None,
    }
