"""A table of gao2021 through `--profile profiles/slurm` on a real SLURM of one machine, beside the same table
made locally.

While the trainings run the controller is stopped and started again; the table itself gets too little memory
at first.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.deploy.slurm.cluster import QUICK, Cluster, NoCluster, install, python_with_plugin

PROFILE = REPOSITORY / "profiles" / "slurm"
TABLE = "results/tables/gao2021/table7.csv"
ROWS = ["unet", "fc_densenet"]
TRAINING_LOGS = "results/logs/training/train_network/gao2021/zigui/*/blocked/seed0.log"
AWAY_SECONDS = 5
LIMIT_SECONDS = 240
TABLE_JOB = "exhibits_build_table"
STARVED_MB = 100


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """A Python with all that this one has and the executor plugin, which asks SLURM whenever it is
    imported."""
    try:
        return python_with_plugin(tmp_path_factory.mktemp("environment"))
    except NoCluster as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    try:
        install()
        with Cluster(tmp_path_factory.mktemp("slurm") / "cluster") as running:
            yield running
    except NoCluster as reason:
        pytest.skip(str(reason))


def command(python: Path | str, folder: Path, *arguments: str) -> list[str]:
    return [
        str(python),
        "-m",
        "snakemake",
        "--snakefile",
        str(REPOSITORY / "Snakefile"),
        "--directory",
        str(folder),
        TABLE,
        *arguments,
    ]


def configure(folder: Path) -> Path:
    folder.mkdir()
    change = {"gao2021": {"exhibits": {"table7": {"rows": ROWS}}}}
    config = {
        "cards": ["gao2021"],
        "scale": "tiny",
        "seeds": [0],
        "protocols": ["blocked"],
        "overlay": change,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Path:
    """The folder in which this Python alone made the table."""
    folder = configure(tmp_path_factory.mktemp("local") / "run")
    done = subprocess.run(
        command(sys.executable, folder, "--cores", "2"),
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"}


def wait_for(condition, process: subprocess.Popen, log: Path) -> None:
    until = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert process.poll() is None and time.monotonic() < until, (
            f"this never came:\n{log.read_text()[-5000:]}"
        )
        time.sleep(0.2)


def starved(folder: Path) -> Path:
    """The profile, but for the memory of tables: at first too little to start Python in."""
    path = next(PROFILE.glob("config*.yaml"))
    text, key = path.read_text(), "set-resources:\n"
    assert text.count(key) == 1
    folder.mkdir()
    (folder / path.name).write_text(
        text.replace(key, f"{key}  build_table:\n    mem_mb: {STARVED_MB} * 10 ** (attempt - 1)\n")
    )
    return folder


@pytest.fixture(scope="module")
def on_cluster(tmp_path_factory, python, cluster):
    """The folder in which SLURM made the table, though its controller was away while a network was trained;
    and its jobs."""
    folder = configure(tmp_path_factory.mktemp("slurm_run") / "run")
    log = folder / "snakemake.txt"
    with log.open("w") as output:
        arguments = command(python, folder, "--profile", str(starved(folder / "profile")), *QUICK)
        process = subprocess.Popen(arguments, stdout=output, stderr=subprocess.STDOUT, env=environment())
        try:
            wait_for(lambda: any(folder.glob(TRAINING_LOGS)), process, log)
            cluster.stop_controller()
            time.sleep(AWAY_SECONDS)
            cluster.start_controller()
            status = process.wait(timeout=LIMIT_SECONDS)
        finally:
            process.kill()
    assert status == 0, f"{log.read_text()[-5000:]}\n{cluster.logs()}"
    return folder, cluster.jobs()


def test_the_table_equals_the_local_one_byte_for_byte(local, on_cluster):
    folder, _ = on_cluster
    for ending in (".csv", ".md", ".html"):
        path = Path(TABLE).with_suffix(ending)
        assert (folder / path).read_bytes() == (local / path).read_bytes()
    assert len(set((folder / TABLE).read_text().splitlines())) > len(ROWS)


def test_trainings_alone_go_to_the_gpu_partition(on_cluster):
    _, jobs = on_cluster
    assert {(job.partition, job.gpus) for job in jobs if job.name == "train_network"} == {("gpu", 1)}
    assert {(job.partition, job.gpus) for job in jobs if job.name != "train_network"} == {("cpu", 0)}


def test_each_training_is_one_job_and_small_jobs_go_together(on_cluster):
    _, jobs = on_cluster
    assert Counter(job.name for job in jobs) == {
        "simulate_zigui": 1,
        "site_align_layers_derive_terrain_sample_windows_stack_cube": 1,
        "train_network": len(ROWS),
        "run_map_scene_score_run": len(ROWS),
        TABLE_JOB: 2,  # the first was killed
    }


def test_no_job_was_lost_while_the_controller_was_away(on_cluster, cluster):
    _, jobs = on_cluster
    assert (cluster.folder / "slurmctld.log").read_text().count("slurmctld version") == 2
    assert {job.state for job in jobs if job.name != TABLE_JOB} == {"COMPLETED"}


def test_a_job_killed_by_memory_comes_back_with_more(on_cluster):
    folder, jobs = on_cluster
    tables = [(job.state, job.memory_mb) for job in jobs if job.name == TABLE_JOB]
    assert tables == [("FAILED", STARVED_MB), ("COMPLETED", STARVED_MB * 10)]
    assert "xceeded memory limit" in (folder / "snakemake.txt").read_text()


def test_every_job_of_scale_full_has_a_partition_memory_and_time(tmp_path, python, cluster):
    for name in ("workflow", "profiles"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    for path in (REPOSITORY / "Snakefile", *(tmp_path / "workflow/rules").glob("*.smk")):
        # Snakemake prints the resources of a job in place of its message.
        text = re.sub(r"^ +message:\n +.*\n", "", path.read_text(), flags=re.MULTILINE)
        (tmp_path / path.relative_to(REPOSITORY if path.name == "Snakefile" else tmp_path)).write_text(text)
    cards = ["gao2021", "zhang2024", "xia2021", "stfusion", "xing2026"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"cards": cards, "scale": "full", "seeds": [0]}))

    arguments = [
        str(python),
        "-m",
        "snakemake",
        "--directory",
        str(tmp_path),
        "--snakefile",
        str(tmp_path / "Snakefile"),
        "--dry-run",
    ]
    done = subprocess.run(
        [*arguments, "--profile", str(PROFILE)], capture_output=True, text=True, env=environment(), check=True
    )

    lines = [
        line.strip()
        for line in done.stdout.splitlines()
        if line.lstrip().startswith(("rule ", "resources: "))
    ]
    jobs = [
        (rule.removeprefix("rule ").rstrip(":"), resources.removeprefix("resources: "))
        for rule, resources in pairwise(lines)
        if rule.startswith("rule ") and resources.startswith("resources: ")
    ]
    assert {
        "train_network",
        "search_hyperparameters",
        "simulate_zigui",
        "sample_cells",
        "make_inventory",
    } <= {name for name, _ in jobs}
    assert len(jobs) > 500
    for name, resources in jobs:
        found = dict(one.split("=", 1) for one in resources.split(", "))
        assert found["slurm_partition"] == ("gpu" if found.get("gpu", "0") != "0" else "cpu"), name
        assert int(found["mem_mb"]) >= 1000, name
        assert int(found["runtime"]) >= 60, name
