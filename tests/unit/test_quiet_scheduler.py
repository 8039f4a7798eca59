"""One pending timer in Snakemake's scheduler: threads and passes counted while it runs a graph of short
jobs."""

import json
import subprocess
import sys

import pytest
from snakemake.scheduling.job_scheduler import JobScheduler

from headscarp import quiet_scheduler
from tests.conftest import REPOSITORY

JOBS = 300


def counted(folder, *options):
    """Passes of the scheduler and the most threads while all jobs are run."""
    program = [sys.executable, str(REPOSITORY / "benchmarks" / "short_jobs.py")]
    done = subprocess.run(
        [*program, str(folder), str(JOBS), "0.02", *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_passes_and_threads_no_longer_grow_with_the_jobs(tmp_path):
    folders = tmp_path / "one_timer", tmp_path / "as_it_is"
    for folder in folders:
        folder.mkdir()
    one_timer, as_it_is = counted(folders[0]), counted(folders[1], "--as-it-is")
    assert one_timer["threads"] < 10 and one_timer["passes"] < 1.5 * JOBS
    assert as_it_is["threads"] > 50 and as_it_is["passes"] > 1.5 * one_timer["passes"]


@pytest.mark.parametrize(("release", "changed"), [("9.27.1", True), ("9.26.0", False), ("10.0.0", False)])
def test_only_releases_that_are_known_to_need_it_are_changed(monkeypatch, release, changed):
    before = JobScheduler._schedule_reevalutation
    monkeypatch.setattr(JobScheduler, "_schedule_reevalutation", before)  # put back at the end
    monkeypatch.setattr(quiet_scheduler, "version", lambda _: release)
    assert quiet_scheduler.keep_one_timer() is changed
    assert (JobScheduler._schedule_reevalutation is not before) is changed


def test_a_scheduler_without_the_method_is_left_alone(monkeypatch):
    monkeypatch.delattr(JobScheduler, "_schedule_reevalutation")
    monkeypatch.setattr(quiet_scheduler, "version", lambda _: "9.27.1")
    assert not quiet_scheduler.keep_one_timer()
    assert not hasattr(JobScheduler, "_schedule_reevalutation")


def test_an_earlier_reevaluation_replaces_a_later_one():
    class Scheduler:
        class _open_jobs:
            release = staticmethod(lambda: None)

    scheduler = Scheduler()
    quiet_scheduler.reevaluate_once(scheduler, 60)
    late = scheduler.pending_timer
    quiet_scheduler.reevaluate_once(scheduler, 90)
    assert scheduler.pending_timer is late
    quiet_scheduler.reevaluate_once(scheduler, 30)
    early = scheduler.pending_timer
    assert early is not late and late.finished.is_set() and early.daemon
    early.cancel()
