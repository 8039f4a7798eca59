"""The record of a folder of results: code, packages, files and how every run of it came about."""

import hashlib
import os
import platform
import re
import time
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from headscarp.files import read_json, sha256_of
from headscarp.provenance import code_version, utc_text

# What a run writes down of itself, old runs not all of it.
RUN_KEYS = (
    "seed",
    "versions",
    "python",
    "system",
    "code",
    "device",
    "precision",
    "threads",
    "compiled",
    "seconds",
    "started",
    "finished",
    "inputs",
)


def describe_results(plan: dict[str, Any], config: dict[str, Any], root: str | Path) -> dict[str, Any]:
    """The record of the results of the current folder, for results/provenance.json.

    Args:
        plan: `Plan.provenance.record`: what the selected cards deliver, and from which sites.
        config: config.yaml as it was in force, with what the command line changed.
        root: folder of the Snakefile; cards below it are named relative to it.
    """
    files = card_files([Path(root) / "workflow" / "cards", Path("areas")])
    return {
        "made": utc_text(time.time()),
        "code": code_version(),
        "python": platform.python_version(),
        "machine": {"system": platform.platform(), "cpus": os.cpu_count()},
        "packages": installed_packages(),
        "config": config,
        "scale": plan["scale"],
        "skipped": plan["skipped"],
        "cards": {name: card | card_file(files[name], Path(root)) for name, card in plan["cards"].items()},
        "sites": {name: site_record(site) for name, site in plan["sites"].items()},
        "runs": [run_record(path) for name in plan["cards"] for path in run_records(name)],
        "exhibits": [exhibit | {"files": checksums(exhibit["files"])} for exhibit in plan["exhibits"]],
        "maps": [one | {"files": checksums(one["files"])} for one in plan["maps"]],
    }


def installed_packages() -> dict[str, str]:
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
    written = read_json(path)
    *_, card, site, experiment, protocol, _ = path.parent.parts
    model = path.with_name("model.safetensors")
    return {
        "path": path.parent.as_posix(),
        "card": card,
        "site": site,
        "experiment": experiment,
        "protocol": protocol,
        **{key: written.get(key) for key in RUN_KEYS},
        "record": checksum(path),
        "model": checksum(model) if model.is_file() else None,
    }
