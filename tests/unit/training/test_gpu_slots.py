"""Jobs on the GPUs of a machine that has none: torch is told of made-up ones, the jobs are real processes."""

import multiprocessing
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from headscarp.errors import HeadscarpError
from headscarp.job import job
from headscarp.training import gpu_slots
from headscarp.training.gpu_slots import device_of_job
from tests.conftest import REPOSITORY
from tests.unit.test_environments import rules

PROCESSES = multiprocessing.get_context("fork")
PATIENCE_S = 60


class Machine:
    """A made-up machine, of whose GPUs torch sees what CUDA would show: all, or those of CUDA_VISIBLE_DEVICES
    in its order."""

    def __init__(self, gpus: int) -> None:
        self.uuids = [f"uuid-{number}" for number in range(gpus)]

    def visible(self) -> list[str]:
        """UUIDs by torch's numbers; a part of a GPU has that of the whole, and is all that is seen."""
        entries = os.environ.get("CUDA_VISIBLE_DEVICES")
        if entries is None:
            return self.uuids
        if entries.startswith("MIG-"):
            return self.uuids[:1]
        return [self.uuids[int(entry)] for entry in entries.split(",") if entry]

    def properties(self, number: int) -> SimpleNamespace:
        return SimpleNamespace(uuid=self.visible()[number])


@pytest.fixture
def machine(monkeypatch, tmp_path) -> Callable[..., None]:
    """Set a machine and what the plan's environment tells its jobs."""

    def setting(gpus: int, jobs_per_gpu: int = 1, device: str = "auto") -> None:
        made = Machine(gpus)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(made.visible()))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(made.visible()))
        monkeypatch.setattr(torch.cuda, "get_device_properties", made.properties)
        monkeypatch.setenv("HEADSCARP_DEVICE", device)
        monkeypatch.setenv("HEADSCARP_JOBS_PER_GPU", str(jobs_per_gpu))

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(gpu_slots, "LOOK_AGAIN_S", 0.02)
    return setting


class Job:
    """A process that works on a device, as a script does, until it is told to end."""

    def __init__(self, log: Path, visible: str | None = None) -> None:
        self.log = log
        self._ours, theirs = PROCESSES.Pipe()
        self.process = PROCESSES.Process(target=self._work, args=(theirs, visible), daemon=True)
        self.process.start()
        theirs.close()

    def _work(self, connection: Connection, visible: str | None) -> None:
        if visible is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = visible
        with job(str(self.log)), device_of_job() as device:
            connection.send(device)
            connection.recv()

    @property
    def device(self) -> str:
        """The device that it works on, once it does."""
        assert self._ours.poll(PATIENCE_S), f"no device; its log: {self.log.read_text()}"
        return self._ours.recv()

    def says_that_it_waits(self) -> bool:
        """Whether its log says so before long."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if self.log.exists() and "waiting for a free GPU" in self.log.read_text():
                return True
            time.sleep(0.01)
        return False

    @property
    def has_a_device(self) -> bool:
        return self._ours.poll()

    def end(self) -> None:
        self._ours.send(None)
        self.process.join(PATIENCE_S)
        assert self.process.exitcode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.join(PATIENCE_S)


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., Job]]:
    """Start a job, which is killed after the test if it is still there."""
    jobs: list[Job] = []

    def one(visible: str | None = None) -> Job:
        jobs.append(Job(tmp_path / f"job{len(jobs)}.log", visible))
        return jobs[-1]

    yield one
    for started in jobs:
        started.kill()


def lock_folders(folder: Path) -> list[Path]:
    return list(folder.glob("headscarp-gpu-*"))


class TestSharing:
    def test_four_jobs_that_start_together_work_on_four_gpus(self, machine, start, monkeypatch):
        """Each takes long to look, so that all look at the same time unless they take turns."""
        machine(gpus=4)
        look = gpu_slots.is_free
        monkeypatch.setattr(gpu_slots, "is_free", lambda path: (look(path), time.sleep(0.05))[0])
        jobs = [start() for _ in range(4)]
        assert {job.device for job in jobs} == {"cuda:0", "cuda:1", "cuda:2", "cuda:3"}

    def test_all_gpus_have_a_job_before_any_has_two(self, machine, start):
        machine(gpus=2, jobs_per_gpu=3)
        taken = [start().device for _ in range(6)]
        assert [set(taken[:2]), set(taken[2:4]), set(taken[4:])] == [{"cuda:0", "cuda:1"}] * 3

    def test_the_gpu_with_fewest_jobs_is_next(self, machine, start):
        machine(gpus=2, jobs_per_gpu=3)
        jobs: dict[str, list[Job]] = {"cuda:0": [], "cuda:1": []}
        for started in [start() for _ in range(6)]:
            jobs[started.device].append(started)
        for ended in (*jobs["cuda:0"][:1], *jobs["cuda:1"][1:]):
            ended.end()
        assert start().device == "cuda:1"

    @pytest.mark.parametrize(("gpus", "jobs_per_gpu"), [(1, 1), (2, 2)])
    def test_never_more_jobs_on_a_gpu_than_may_share_it(self, machine, tmp_path, gpus, jobs_per_gpu):
        """Many more jobs than slots; when each began and ended is held against the others."""
        machine(gpus, jobs_per_gpu)
        answers = PROCESSES.Queue()

        def work(number: int) -> None:
            with job(str(tmp_path / f"{number}.log")), device_of_job() as device:
                began = time.monotonic()
                time.sleep(0.03 + 0.01 * (number % 3))
                answers.put((device, began, time.monotonic()))

        processes = [PROCESSES.Process(target=work, args=(number,), daemon=True) for number in range(16)]
        for process in processes:
            process.start()
        spans = [answers.get(timeout=PATIENCE_S) for _ in processes]
        # on a busy machine they may come one by one, and then the first GPU is enough
        assert {device for device, _, _ in spans} <= {f"cuda:{number}" for number in range(gpus)}
        for device, began, _ in spans:
            at_work = [other for other in spans if other[0] == device and other[1] <= began < other[2]]
            assert len(at_work) <= jobs_per_gpu


class TestWaiting:
    def test_a_job_without_a_slot_says_that_it_waits_and_goes_on(self, machine, start, capfd):
        machine(gpus=1, jobs_per_gpu=2)
        first, second = start(), start()
        assert (first.device, second.device) == ("cuda:0", "cuda:0")
        third = start()
        assert third.says_that_it_waits() and not third.has_a_device
        second.end()
        assert third.device == "cuda:0"
        assert re.findall("waiting for a free GPU; (.*)", capfd.readouterr().err) == [
            "taken (jobs_per_gpu: 2): cuda:0"
        ]

    def test_a_killed_job_frees_its_slot(self, machine, start):
        machine(gpus=2)
        jobs = {(job := start()).device: job for _ in range(2)}
        waiting = start()
        assert waiting.says_that_it_waits() and not waiting.has_a_device
        jobs["cuda:1"].kill()
        assert jobs["cuda:1"].process.exitcode == -9
        assert waiting.device == "cuda:1"

    def test_a_failed_job_frees_its_slot(self, machine):
        machine(gpus=1)
        for _ in range(2):
            with pytest.raises(HeadscarpError, match="too few"), device_of_job() as device:
                assert device == "cuda:0"
                raise HeadscarpError("too few landslides")


class TestWhichGpus:
    def test_only_visible_ones_are_taken(self, machine, start):
        machine(gpus=4)
        assert {start("2,3").device, start("2,3").device} == {"cuda:0", "cuda:1"}
        assert start("2,3").says_that_it_waits()
        assert {start().device, start().device} == {"cuda:0", "cuda:1"}  # those that were not visible there

    def test_a_gpu_is_the_same_under_any_number(self, machine, start):
        machine(gpus=4)
        assert start("3").device == "cuda:0"
        assert start("2,3").device == "cuda:0"
        assert start("2,3").says_that_it_waits()
        assert start("3,1").device == "cuda:1"

    def test_each_job_has_the_gpu_that_a_scheduler_gave_it(self, machine, start):
        machine(gpus=4)
        assert [start(str(number)).device for number in range(4)] == ["cuda:0"] * 4

    def test_parts_of_a_gpu_are_devices_of_their_own(self, machine, start):
        machine(gpus=1)
        assert start("MIG-one").device == "cuda:0"
        assert start("MIG-two").device == "cuda:0"
        assert start("MIG-one").says_that_it_waits()

    def test_a_named_gpu_is_waited_for_though_others_are_free(self, machine, start):
        machine(gpus=3, device="cuda:1")
        first = start()
        assert first.device == "cuda:1"
        second = start()
        assert second.says_that_it_waits() and not second.has_a_device
        first.end()
        assert second.device == "cuda:1"

    def test_cuda_is_any_gpu(self, machine, start):
        machine(gpus=2, device="cuda")
        assert {start().device, start().device} == {"cuda:0", "cuda:1"}

    def test_one_that_is_not_there_is_told(self, machine, tmp_path):
        machine(gpus=2, device="cuda:2")
        with pytest.raises(HeadscarpError, match="cuda:0, cuda:1"), device_of_job():
            pass
        assert not lock_folders(tmp_path)


class TestLocks:
    @pytest.mark.parametrize(("gpus", "device"), [(0, "auto"), (0, "cpu"), (2, "cpu")])
    def test_nothing_is_locked_on_a_processor(self, machine, tmp_path, gpus, device):
        machine(gpus, device=device)
        with device_of_job() as taken:
            assert taken == "cpu"
            assert not lock_folders(tmp_path)

    def test_locks_are_of_the_machine_and_the_user(self, machine, tmp_path):
        machine(gpus=1)
        with device_of_job():
            [folder] = lock_folders(tmp_path)
        assert folder.name.endswith(f"-{os.getuid()}") and folder.stat().st_mode & 0o077 == 0

    def test_a_folder_that_cannot_be_made_is_told(self, machine, tmp_path):
        machine(gpus=1)
        (tmp_path / f"headscarp-gpu-{os.getuid()}").touch()
        with pytest.raises(HeadscarpError, match="TMPDIR"), device_of_job():
            pass


def test_rules_that_count_gpus_are_those_whose_scripts_take_one():
    scripts = {
        re.search(r"scripts/(\w+\.py)\"", text)[1]: "gpu=get_gpus" in text
        for _, text in rules()
        if "script:" in text
    }
    folder = REPOSITORY / "workflow" / "scripts"
    takes = {name: "device_of_job() as device" in (folder / name).read_text() for name in scripts}
    assert takes == scripts and any(takes.values())
