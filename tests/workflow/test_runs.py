"""The tiny run of all cards: what is said when it fails, and the forked Python that runs its scripts."""

import json
import os
import re
import shutil
import subprocess
import sys
import time

import psutil
import pytest

from tests.conftest import REPOSITORY
from tests.workflow.runs import WARM_SNAKEMAKE, configure, wait_for_tiny_run

SNAKEFILE = """
rule all:
    input: "good.json"

rule good:
    output: "good.json"
    script: "good.py"

rule bad:
    output: "bad.json"
    script: "bad.py"
"""
GOOD = """
import json, os, sys
told = {"folder": os.getcwd(), "variable": os.environ["TOLD"], "scripts": sys.path[0], "name": __name__}
told["warm"] = "torch" in sys.modules
told["ours"] = [name for name in sys.modules if name.startswith("headscarp")]
with open(snakemake.output[0], "w") as file:
    json.dump(told, file)
print("good is said")
"""


def test_a_failing_tiny_run_shows_what_snakemake_said(tmp_path):
    (tmp_path / "output.txt").write_text("Error in rule train_network\n")
    (tmp_path / "status").write_text("1\n")
    with pytest.raises(AssertionError, match=r"ended with 1:\nError in rule train_network"):
        wait_for_tiny_run(tmp_path)


def test_a_forked_script_runs_as_if_started_and_its_error_is_that_of_the_run(tmp_path):
    for name, text in (("Snakefile", SNAKEFILE), ("good.py", GOOD), ("bad.py", "raise ValueError('is bad')")):
        (tmp_path / name).write_text(text)
    command = [sys.executable, str(WARM_SNAKEMAKE), "--snakefile", "Snakefile", "--cores", "1"]
    done = subprocess.run(
        [*command, "--keep-going", "good.json", "bad.json"],
        cwd=tmp_path,
        env=os.environ | {"TOLD": "a word"},
        capture_output=True,
        text=True,
        check=False,
    )
    text = done.stdout + done.stderr
    assert done.returncode == 1 and "ValueError: is bad" in text and "good is said" in text, text
    assert json.loads((tmp_path / "good.json").read_text()) == {
        "folder": str(tmp_path),
        "variable": "a word",
        "scripts": str(tmp_path / ".snakemake" / "scripts"),
        "name": "__main__",
        "warm": True,
        "ours": [],
    }


def test_forked_python_ends_when_snakemake_is_killed(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    slow = "from pathlib import Path; import time; Path('begun').touch(); time.sleep(3)"
    (tmp_path / "bad.py").write_text(slow)
    command = [sys.executable, str(WARM_SNAKEMAKE), "--snakefile", "Snakefile", "--cores", "1", "bad.json"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as run:
        end = time.monotonic() + 120
        while not (tmp_path / "begun").exists() and time.monotonic() < end:
            time.sleep(0.1)
        others = psutil.Process(run.pid).children(recursive=True)
        run.kill()
    assert len(others) >= 3  # the server, the job that it forked, and the python that waits for the job
    assert not psutil.wait_procs(others, timeout=60)[1]


@pytest.mark.parametrize("program", [["-m", "snakemake"], [str(WARM_SNAKEMAKE)]], ids=["started", "forked"])
def test_jobs_run_the_library_beside_the_snakefile(tmp_path, program):
    """Another clone's Snakefile runs that clone's library, though this one is installed."""
    clone, folder = tmp_path / "clone", tmp_path / "work"
    for name in ("workflow", "profiles", "envs"):
        shutil.copytree(REPOSITORY / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "config.yaml"):
        shutil.copyfile(REPOSITORY / name, clone / name)
    module = clone / "workflow" / "scripts" / "headscarp" / "job.py"
    module.write_text(
        module.read_text().replace('WORKED = "worked for"', 'WORKED = "worked in the clone for"')
    )
    configure(folder)
    where = ["--snakefile", str(clone / "Snakefile"), "--directory", str(folder), "--cores", "1"]
    subprocess.run([sys.executable, *program, *where, "results/sites/zigui/raw/dem.tif"], check=True)
    log = (folder / "results/logs/sources/simulate_twin/zigui.log").read_text()
    assert re.search(r"worked in the clone for [\d.]+ s, CPU [\d.]+ s, at most \d{2,} MiB", log)
