"""Where networks run, and in which precision."""

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from headscarp.errors import HeadscarpError
from headscarp.memory import MIB, peak_of_process

GPU_CUBE_MIB = 4096  # of a cube that trainings keep on a GPU, as config.yaml has it by default


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`: auto (CUDA, else CPU), cpu, cuda or cuda:<number>.

    Raises:
        HeadscarpError: there is no such device here; the message names those there are.
    """
    present = ["cpu"] + [
        f"cuda:{number}" for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    ]
    if name == "auto":
        return torch.device("cuda:0" if len(present) > 1 else "cpu")
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in present:
        raise HeadscarpError(
            f"device '{name}' does not exist on this machine; use auto or one of: {', '.join(present)}"
        )
    return torch.device(wanted)


def device_name(device: torch.device) -> str:
    """The model of the accelerator or processor, for records."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"cpu ({threads} thread{'s' if threads > 1 else ''})"


def peak_memory(device: torch.device) -> dict[str, Any]:
    """The most memory that this process took so far, {mib, of}: that of its tensors on an accelerator (of:
    device), else its largest resident set, Python and all libraries included (of: process)."""
    if device.type == "cuda":
        return {"mib": round(torch.cuda.max_memory_allocated(device) / MIB, 1), "of": "device"}
    return {"mib": round(peak_of_process(), 1), "of": "process"}


def choose_precision(precision: str, device: torch.device) -> torch.dtype:
    """The type that convolutions run in; `auto` is bfloat16 on CUDA and float32 on every processor, so that
    results do not depend on which one it is."""
    if precision == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]


def compile_on_gpu(model: nn.Module, device: torch.device) -> None:
    """Compile the passes of a network on CUDA, in place: names of weights and checkpoints stay as they are.
    On a CPU nothing happens: compiling would take longer than most trainings there."""
    if device.type == "cuda":
        model.compile()


def autocast(device: torch.device, precision: torch.dtype) -> AbstractContextManager:
    """Run what is inside in `precision` where that is safe (weights stay float32)."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision is torch.bfloat16)
