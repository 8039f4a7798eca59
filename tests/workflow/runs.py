"""What tests that run Snakemake share: how it is called and configured, and the tiny run of all cards."""

import re
import subprocess
import sys
import time
from pathlib import Path

import yaml

from tests.conftest import REPOSITORY, shared_folder

CARDS = [
    "gao2021",
    "iburi2018",
    "zhang2024",
    "xia2021",
    "stfusion",
    "xing2026",
    "xing2026_real",
    "four_regions",
    "sichuan_aerial",
    "sichuan_dubai",
    "ecuador",
    "emilia",
    "emilia_series",
    "networks",
]
WARM_SNAKEMAKE = REPOSITORY / "workflow" / "warm_python.py"
TINY_LIMIT_SECONDS = 3600


def options_of(folder: Path) -> list[str]:
    return ["--snakefile", str(REPOSITORY / "Snakefile"), "--directory", str(folder), "--cores", "2"]


def snakemake(
    folder: Path, *arguments: str, check: bool = True, warm: bool = False
) -> subprocess.CompletedProcess:
    """Run Snakemake in `folder` as a user would, with this Python; `warm` forks its scripts (see
    warm_python.py), which is quicker where there are many."""
    program = [str(WARM_SNAKEMAKE)] if warm else ["-m", "snakemake"]
    command = [sys.executable, *program, *options_of(folder), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and result.returncode:
        raise AssertionError(
            f"{' '.join(arguments)} ended with "
            f"{result.returncode}:\n{result.stdout[-5000:]}\n{result.stderr[-10000:]}"
        )
    return result


def configure(folder: Path, **changes) -> None:
    config = {"cards": CARDS, "scale": "tiny", "mirror": None, "data": None}
    for key, name in (("mirror", "mirror"), ("data", "data")):
        if (shared_folder() / name).exists():
            config[key] = str(shared_folder() / name)
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config | changes))


def planned(result: subprocess.CompletedProcess) -> dict[str, int]:
    """Jobs by rule that a dry run announces."""
    text = result.stdout + result.stderr
    stats = re.search(r"^job\s+count\n[-\s]+\n(.*?)^total", text, flags=re.MULTILINE | re.DOTALL)
    return (
        {
            name: int(count)
            for name, count in re.findall(r"^(\S+)\s+(\d+)$", stats.group(1), flags=re.MULTILINE)
        }
        if stats
        else {}
    )


def begin_tiny_run(folder: Path) -> subprocess.Popen:
    """Start making every exhibit at scale tiny in `folder`/run, in a process group of its own.

    Snakemake's output goes to `folder`/output.txt, and its exit status, at the end, to `folder`/status.
    """
    folder.mkdir()
    configure(folder / "run")
    script = '"$@" > output.txt 2>&1; echo $? > partial && mv partial status'
    command = [sys.executable, str(WARM_SNAKEMAKE), *options_of(folder / "run")]
    return subprocess.Popen(["sh", "-c", script, "sh", *command], cwd=folder, start_new_session=True)


def wait_for_tiny_run(folder: Path) -> Path:
    """The folder in which every exhibit was made, once it is.

    Raises:
        AssertionError: a job failed, or nothing ended within an hour; with what Snakemake said last.
    """
    end = time.monotonic() + TINY_LIMIT_SECONDS
    while not (folder / "status").exists() and time.monotonic() < end:
        time.sleep(0.2)
    status = (folder / "status").read_text().strip() if (folder / "status").exists() else "no end"
    if status != "0":
        text = (folder / "output.txt").read_text()
        raise AssertionError(f"the tiny run of all cards ended with {status}:\n{text[-20000:]}")
    return folder / "run"
