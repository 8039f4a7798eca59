"""Killed, out of disk, with a wrong clock or with a file damaged by hand: the next call ends right, or with
one line that helps."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from headscarp.arrays import open_array, read_arrays
from headscarp.errors import HeadscarpError
from headscarp.exhibits.panels.curves import read_history
from headscarp.files import atomic_path, read_json
from headscarp.samples.windows import Window, read_windows, write_windows
from headscarp.scoring.classes import read_cell_confusions
from headscarp.scoring.histograms import read_cell_histograms
from headscarp.training.weights import load_initial_weights, save_weights
from tests.conftest import REPOSITORY
from tests.workflow.runs import configure

SITE = "results/sites/zigui"
RUN = "results/runs/gao2021/zigui/unet/blocked/seed0"
HOME = f"{RUN}/zigui"
TABLE = "results/tables/gao2021/table7.csv"
SAME = (
    f"{RUN}/model.safetensors",
    f"{HOME}/probability.tif",
    f"{HOME}/scores.json",
    f"{HOME}/counts.npz",
    TABLE,
)
# Python loads this by itself: where a whole temporary file is about to become `STOP_AT`, the process is
# killed, or waits.
STOP = """
import os, signal, time
replace, wanted, left = os.replace, os.environ.get("STOP_AT"), [int(os.environ.get("STOP_COUNT", "1"))]

def stopping(source, target, **options):
    if os.path.basename(target) == wanted:
        left[0] -= 1
        if left[0] == 0 and "STOP_FLAG" in os.environ:
            open(os.environ["STOP_FLAG"], "w").close()
            time.sleep(4)
        elif left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return replace(source, target, **options)

os.replace = stopping
"""


def begin(
    folder: Path, *arguments: str, file_size: int | None = None, **environment: str
) -> subprocess.Popen:
    """Start Snakemake in `folder`; no file may grow beyond `file_size` bytes, as if the disk were full."""
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(REPOSITORY / "Snakefile"),
        "--directory",
        str(folder),
        "--cores",
        "2",
    ]
    hook = folder.parent / "hook"
    hook.mkdir(exist_ok=True)
    (hook / "sitecustomize.py").write_text(STOP)
    inherited = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(hook), "HEADSCARP_DEVICE": "cpu"}
    limit = (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))) if file_size else None
    return subprocess.Popen(
        [*command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=inherited | environment,
        preexec_fn=limit,
    )


def call(folder: Path, *arguments: str, **options) -> tuple[int, str]:
    """Exit status and output of a call of Snakemake."""
    process = begin(folder, *arguments, **options)
    text, _ = process.communicate(timeout=300)
    return process.returncode, text


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A folder in which one table of one network was made and nothing went wrong."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    one_row = {"gao2021": {"exhibits": {"table7": {"rows": ["unet"]}}}}
    configure(folder, cards=["gao2021"], protocols=["blocked"], device="cpu", overlay=one_row)
    status, text = call(folder, "gao2021_table7")
    assert status == 0, text
    return folder


@pytest.fixture
def folder(whole, tmp_path) -> Path:
    """A copy of the finished folder, with its times."""
    return Path(shutil.copytree(whole, tmp_path / "run"))


def drop(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).unlink()


def set_times(folder: Path, now: float) -> None:
    for path in (folder / "results").rglob("*"):
        os.utime(path, (now, now))


def leftovers(folder: Path) -> list[Path]:
    return [path for path in (folder / "results").rglob(".*") if "partial" in path.name]


def contents(path: Path) -> bytes | dict:
    return read_json(path) | {"seconds": 0} if path.suffix == ".json" else path.read_bytes()


def assert_same(folder: Path, whole: Path) -> None:
    """All that the run and the table hold, to the bit but for the seconds it took, and no temporary file."""
    for name in SAME:
        assert contents(folder / name) == contents(whole / name), name
    assert not leftovers(folder)


def test_killed_while_training_mapping_and_writing_a_table(folder, whole):
    """SIGKILL of three jobs in turn, each in the middle of writing; every call takes up what the one before
    had finished."""
    drop(folder, *SAME)
    status, text = call(folder, "gao2021_table7", STOP_AT="checkpoint.pt", STOP_COUNT="2")
    assert status and "Training unet" in text
    assert len(torch.load(folder / RUN / "checkpoint.pt", weights_only=True)["history"]) == 1
    assert leftovers(folder) and not (folder / RUN / "model.safetensors").exists()
    status, text = call(folder, "gao2021_table7", STOP_AT="probability.tif")
    assert status and "Mapping zigui" in text
    assert leftovers(folder) and not (folder / HOME / "probability.tif").exists()
    status, text = call(folder, "gao2021_table7", STOP_AT="table7.md")
    assert status and "Training" not in text
    assert leftovers(folder) and not (folder / TABLE).exists()
    status, text = call(folder, "gao2021_table7")
    assert status == 0, text
    assert_same(folder, whole)


def test_snakemake_killed_asks_to_be_unlocked_and_ends_right(folder, whole, tmp_path):
    """SIGKILL of Snakemake alone: its job lives on and writes while the next call is under way."""
    drop(folder, *SAME[1:])
    flag = tmp_path / "reached"
    with begin(folder, SAME[1], STOP_AT="probability.tif", STOP_FLAG=str(flag)) as process:
        for _ in range(6000):
            if flag.exists():
                break
            assert process.poll() is None, "the map was made before Snakemake could be killed"
            time.sleep(0.01)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        process.stdout.close()
    status, text = call(folder, SAME[1])
    assert status and "--unlock" in text and "Traceback" not in text
    assert call(folder, "--unlock")[0] == 0
    status, text = call(folder, SAME[1])
    assert status == 0, text
    assert contents(folder / SAME[1]) == contents(whole / SAME[1])
    assert not leftovers(folder)


def test_a_full_disk_is_one_line_and_the_next_call_ends_right(folder, whole):
    drop(folder, *SAME)
    status, text = call(folder, SAME[0], file_size=100_000)
    assert (
        status
        and "headscarp: the disk is full" in text
        and "free some space" in text
        and "Traceback" not in text
    )
    assert not leftovers(folder)
    status, text = call(folder, SAME[0])
    assert status == 0, text
    assert contents(folder / SAME[0]) == contents(whole / SAME[0])


@pytest.mark.parametrize(
    ("damaged", "keep", "lost"),
    [
        (f"{SITE}/cube/cube.npy", 1000, SAME),
        (f"{RUN}/model.safetensors", 1000, SAME[1:]),
        (f"{HOME}/probability.tif", 1000, SAME[2:]),
        (f"{HOME}/scores.json", 100, (TABLE,)),
    ],
)
def test_a_damaged_file_is_named_with_the_remedy(folder, whole, damaged, keep, lost):
    """A file cut short behind Snakemake's back, its time unchanged, and read by the next job; deleted, as
    told, it is made again."""
    path = folder / damaged
    times = path.stat()
    path.write_bytes(path.read_bytes()[:keep])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    drop(folder, *lost)
    status, text = call(folder, "gao2021_table7")
    told = [line for line in text.splitlines() if line.startswith("headscarp: ")]
    assert status and "Traceback" not in text
    assert len(set(told)) == 1 and damaged in told[0] and "again" in told[0]
    if damaged.endswith("model.safetensors"):
        drop(folder, damaged)
        status, text = call(folder, "gao2021_table7")
        assert status == 0, text
        assert_same(folder, whole)


def test_a_clock_that_was_ahead_redoes_nothing_and_is_named_when_it_matters(folder, whole):
    tomorrow = time.time() + 86400
    set_times(folder, tomorrow)
    status, text = call(folder, "gao2021_table7", "--dry-run")
    assert status == 0 and "build_table" not in text and "train_network" not in text
    drop(folder, TABLE)
    status, text = call(folder, "gao2021_table7")
    assert status and "older modification time" in text and "clock" in text and "Traceback" not in text
    set_times(folder, time.time())
    status, text = call(folder, "gao2021_table7")
    assert status == 0, text
    assert "Training" not in text
    assert_same(folder, whole)


# --- The readers of all that a run leaves, on files that are empty, cut short or garbage.


def damaged(content: bytes) -> dict[str, bytes]:
    return {
        "empty": b"",
        "one byte": content[:1],
        "cut": content[: len(content) // 2],
        "garbage": random.Random(0).randbytes(len(content)),
    }


def weights_of(path: Path) -> None:
    load_initial_weights(torch.nn.Linear(2, 3), path)


def write_history(path: Path) -> None:
    path.write_text("epoch,train_loss,validation_loss\n1,0.5,0.6\n2,0.4,0.5\n")


WRITERS = {
    "scores.json": (lambda path: path.write_text(json.dumps({"threshold": 0.5, "data": "twin"})), read_json),
    "label.npy": (lambda path: np.save(path, np.zeros((9, 9))), open_array),
    "cells.npz": (
        lambda path: np.savez_compressed(path, positive=np.arange(99), negative=np.arange(99)),
        read_arrays,
    ),
    "counts.npz": (
        lambda path: (
            path.with_name("scores.json").write_text('{"fold": 0}'),
            np.savez_compressed(path, confusion=np.ones((4, 2, 2))),
        ),
        lambda path: read_cell_confusions(path.parent),
    ),
    "model.safetensors": (lambda path: save_weights(path, torch.nn.Linear(2, 3).state_dict()), weights_of),
    "windows.csv": (lambda path: write_windows(path, [Window(0, 0, 32, 0, "train")] * 9), read_windows),
    "history.csv": (write_history, read_history),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_damaged_file_never_ends_in_a_trace(tmp_path, name):
    write, read = WRITERS[name]
    path = tmp_path / name
    write(path)
    read(path)
    for how, content in damaged(path.read_bytes()).items():
        if (how, name) in {("cut", "windows.csv"), ("cut", "history.csv")}:
            continue  # a table with fewer lines is a table
        path.write_bytes(content)
        with pytest.raises(HeadscarpError) as raised:
            read(path)
        assert str(path) in str(raised.value), how
    path.unlink()
    with pytest.raises(HeadscarpError, match=name):
        read(path)


def test_a_record_that_lacks_a_key_names_the_file(tmp_path):
    (tmp_path / "scores.json").write_text("{}")
    np.savez(tmp_path / "counts.npz", positive=np.zeros(3))
    with pytest.raises(HeadscarpError, match=r"scores\.json lacks 'fold'; delete it"):
        read_cell_histograms(tmp_path)
    (tmp_path / "scores.json").write_text('{"fold": 0}')
    with pytest.raises(HeadscarpError, match=r"counts\.npz lacks 'negative'; delete it"):
        read_cell_histograms(tmp_path)


def test_what_a_killed_process_left_goes_but_not_what_a_living_one_writes(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    living = tmp_path / f".map.{os.getppid()}.partial.tif"
    other = tmp_path / f".map.other.{ended.pid}.partial.tif"
    gone = [tmp_path / f".map.{ended.pid}.partial.tif{more}" for more in ("", ".plain.tif")]
    for path in (living, other, *gone):
        path.touch()
    with atomic_path(tmp_path / "map.tif") as temporary:
        temporary.write_bytes(b"map")
    assert {path.name for path in tmp_path.iterdir()} == {"map.tif", living.name, other.name}
