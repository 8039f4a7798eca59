"""The script that measures on a GPU, in the form that runs anywhere."""

import re
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY


@pytest.mark.slow
def test_it_measures_five_networks_and_passes_its_own_checks():
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "bench_gpu.py"), "--device", "cpu", "--quick"]
    environment = {"PYTHONPATH": str(REPOSITORY / "workflow" / "scripts"), "OMP_NUM_THREADS": "1"}
    told = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert len(re.findall(r"^\| \w+ \((gao2021|xia2021|xing2026)\) \|", told.stdout, re.MULTILINE)) == 5
    assert "5 of 5 checks passed" in told.stdout and "Mpixel/s" in told.stdout
