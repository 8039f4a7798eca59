"""A stand-in for `conda`, for machines that reach no conda channel: the commands that Snakemake 9 calls, and
no others.

Real: environment files are parsed, solved and linked by py-rattler, the library under pixi and rattler-build,
and pip installs the `pip:` section with the environment's own Python. Not real: a channel's name means a
folder below `channels/` of the installation (`install.py` makes it), so that conda-forge has a package is not
shown.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

import yaml
from rattler import Channel, Gateway, MatchSpec, Subdir, install, solve

ROOT = Path(__file__).resolve().parents[1]
VERSION = "25.3.1"  # Snakemake asks for 24.7.1 or later
KEYS = {"name", "channels", "dependencies"}


def show_info(_: argparse.Namespace) -> None:
    print(
        json.dumps({"conda_prefix": str(ROOT), "conda_version": VERSION, "platform": str(Subdir.current())})
    )


def show_setting(arguments: argparse.Namespace) -> None:
    print(
        json.dumps({"get": {arguments.get: {"channel_priority": "strict"}[arguments.get]}, "success": True})
    )


def clean(_: argparse.Namespace) -> None:
    """Nothing: the cache holds no packed packages."""


def create_environment(arguments: argparse.Namespace) -> None:
    """Make the environment of a YAML file at a prefix; a file with other keys than `KEYS`, or that cannot be
    solved, is refused."""
    record = yaml.safe_load(arguments.file.read_text())
    if unknown := set(record) - KEYS:
        sys.exit(f"{arguments.file}: this stand-in for conda does not know {sorted(unknown)}")
    specs = [entry for entry in record["dependencies"] if isinstance(entry, str)]
    pins = [pin for entry in record["dependencies"] if isinstance(entry, dict) for pin in entry["pip"]]
    asyncio.run(link(record["channels"], specs, arguments.prefix))
    if pins:
        subprocess.run(
            [arguments.prefix / "bin" / "python", "-m", "pip", "install", "--upgrade", *pins], check=True
        )


async def link(channels: list[str], specs: list[str], prefix: Path) -> None:
    """Solve the conda packages of an environment and link them into its prefix."""
    packages = await solve(
        sources=[Channel((ROOT / "channels" / name).as_uri()) for name in channels],
        specs=[MatchSpec(spec) for spec in specs],
        gateway=Gateway(cache_dir=ROOT / "pkgs" / "repodata"),
    )
    for package in packages:
        print(f"{package.name.normalized} {package.version} {package.build} from {package.channel}")
    await install(packages, target_prefix=prefix, cache_dir=ROOT / "pkgs", show_progress=False)


def parser() -> argparse.ArgumentParser:
    conda = argparse.ArgumentParser(prog="conda")
    conda.add_argument("--version", action="version", version=f"conda {VERSION}")
    commands = conda.add_subparsers(required=True)
    info = commands.add_parser("info")
    info.set_defaults(run=show_info)
    config = commands.add_parser("config")
    config.add_argument("--get", choices=["channel_priority"], required=True)
    config.set_defaults(run=show_setting)
    for command in (info, config):
        command.add_argument("--json", action="store_true", required=True)
    cleaning = commands.add_parser("clean")
    cleaning.add_argument("-y", action="store_true")
    cleaning.add_argument("--tarballs", action="store_true", required=True)
    cleaning.set_defaults(run=clean)
    create = commands.add_parser("env").add_subparsers(required=True).add_parser("create")
    create.add_argument("--file", type=Path, required=True)
    create.add_argument("--prefix", type=Path, required=True)
    create.add_argument("--quiet", action="store_true")
    create.add_argument("--no-default-packages", action="store_true")
    create.set_defaults(run=create_environment)
    return conda


def main() -> int:
    """Exit status of the command that the arguments name."""
    try:
        arguments = parser().parse_args()
        arguments.run(arguments)
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except Exception:
        traceback.print_exc()
        return 1
    return 0


status = main()
sys.stdout.flush()
sys.stderr.flush()
os._exit(status)  # py-rattler's threads can crash an interpreter that shuts down
