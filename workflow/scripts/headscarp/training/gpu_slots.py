"""Which GPU a job works on: one of the machine's that is free, held until the job ends.

A GPU has as many slots as jobs may share it. A slot is a file that its job keeps locked; the kernel undoes
the lock when the process ends, however it ends. The files lie in one folder of the machine and the user, so
that jobs of several checkouts and calls of Snakemake see each other, and are named by the GPU itself:
`cuda:0` is another one under each value of CUDA_VISIBLE_DEVICES.
"""

import fcntl
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch

from headscarp.errors import HeadscarpError
from headscarp.training.devices import choose_device

ANY_GPU = ("auto", "cuda")
LOOK_AGAIN_S = 1.0
CHOOSING = "choosing.lock"
MIG = "MIG-"  # how CUDA_VISIBLE_DEVICES names a part of a GPU

log = logging.getLogger(__name__)


@contextmanager
def device_of_job() -> Iterator[str]:
    """The device of a job, cpu or cuda:<number>, by the settings `device` and `jobs_per_gpu` of the plan's
    environment; a GPU is the job's for the length of the block, and waited for where none is free.

    Raises:
        HeadscarpError: there is no such device here, or no folder for locks.
    """
    name = os.environ["HEADSCARP_DEVICE"]
    device = choose_device(name)
    if device.type != "cuda":
        yield str(device)
        return
    gpus = visible_gpus()
    wanted = gpus if name in ANY_GPU else {name: gpus[name]}
    with gpu_slot(wanted, int(os.environ["HEADSCARP_JOBS_PER_GPU"]), lock_folder()) as taken:
        yield taken


def visible_gpus() -> dict[str, str]:
    """{cuda:<number>: what names the GPU, or the part of it, on this machine} of those that torch sees, which
    are those of CUDA_VISIBLE_DEVICES where a scheduler or the user set it.

    Parts of one GPU may tell the UUID of the whole, so that they go by the name that they were given.
    """
    given = dict(enumerate(os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")))
    return {
        f"cuda:{number}": part
        if (part := given.get(number, "").strip()).startswith(MIG)
        else str(torch.cuda.get_device_properties(number).uuid)
        for number in range(torch.cuda.device_count())
    }


def lock_folder() -> Path:
    """The folder of this user's locks on this machine, made if it is not there.

    Raises:
        HeadscarpError: it may not be written to.
    """
    folder = Path(tempfile.gettempdir()) / f"headscarp-gpu-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / CHOOSING).touch()
    except OSError as error:
        raise HeadscarpError(
            f"{folder}, where jobs tell each other which GPU they use, cannot be written "
            f"({error.strerror}); set TMPDIR to a folder of this machine that you may write to"
        ) from None
    return folder


@contextmanager
def gpu_slot(gpus: Mapping[str, str], jobs_per_gpu: int, folder: Path) -> Iterator[str]:
    """Take a slot of one of `gpus` ({cuda:<number>: its name on the machine}) for the length of the block,
    and yield that GPU's key.

    The GPU with the fewest jobs is taken, of equals the first. Where all slots are taken the job says so, on
    standard error and in its log, and waits.
    """
    with ExitStack() as held:
        told = False
        while (taken := take_slot(gpus, jobs_per_gpu, folder, held)) is None:
            if not told:
                tell(f"waiting for a free GPU; taken (jobs_per_gpu: {jobs_per_gpu}): {', '.join(gpus)}")
                told = True
            time.sleep(LOOK_AGAIN_S)
        log.info("works on %s (%s)", taken, gpus[taken])
        yield taken


def take_slot(gpus: Mapping[str, str], jobs_per_gpu: int, folder: Path, held: ExitStack) -> str | None:
    """Lock a free slot until `held` is closed; the key of its GPU, None where all are taken."""
    # one job looks at a time: no slot seems taken that another one only looks at
    with locked(folder / CHOOSING):
        free = {
            key: [path for path in slots(gpu, jobs_per_gpu, folder) if is_free(path)]
            for key, gpu in gpus.items()
        }
        key = max(free, key=lambda key: len(free[key]))
        if not free[key]:
            return None
        held.enter_context(locked(free[key][0]))
        return key


def slots(gpu: str, jobs_per_gpu: int, folder: Path) -> list[Path]:
    """The files that stand for the slots of a GPU."""
    return [folder / f"{gpu.replace('/', '_')}_slot{number}.lock" for number in range(jobs_per_gpu)]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file, which is made if it is not there; wait for it where another process does."""
    with open(path, "a", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def is_free(path: Path) -> bool:
    """Whether no process holds the lock of a file."""
    with open(path, "a", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def tell(message: str) -> None:
    log.info(message)
    print(f"headscarp: {message}", file=sys.stderr)
