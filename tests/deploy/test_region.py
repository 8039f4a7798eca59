"""A small virtual scene mapped in parts by a SLURM of one machine, as `benchmarks/bench_region.py` maps large
ones: one part is killed for its memory and mapped again."""

import os
import re
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tests.deploy.slurm.cluster import NoCluster, install

COMMAND = [sys.executable, "benchmarks/bench_region.py", "--slurm", "--sides", "300", "--rows", "100"]


@pytest.fixture(scope="module")
def printed(tmp_path_factory) -> str:
    try:
        install()
    except NoCluster as reason:
        pytest.skip(str(reason))
    command = [*COMMAND, "--folder", str(tmp_path_factory.mktemp("region"))]
    environment = os.environ | {"PYTHONPATH": f"{REPOSITORY / 'workflow/scripts'}{os.pathsep}{REPOSITORY}"}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    if "NoCluster" in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_one_part_is_killed_and_mapped_again(printed):
    jobs = re.findall(r"^\| (\S+) \| (\w+) \| (\d+) \|$", printed, flags=re.MULTILINE)
    of_scene = [(state, int(memory)) for name, state, memory in jobs if name == "map_part"]
    assert sorted(of_scene) == [("COMPLETED", 2000)] * 3 + [("FAILED", 100)]
    assert {state for name, state, _ in jobs if name != "map_part"} == {"COMPLETED"}


def test_no_job_may_have_more_than_2_gb(printed):
    (line,) = re.findall(r"^\| 300 x 300 \| 3 \|(.*)\|$", printed, flags=re.MULTILINE)
    memory = [float(cell) for cell in line.split("|")][::2]
    assert len(memory) == 3 and max(memory) < 2000
