"""Memory of this machine and of this process, in MiB."""

import os
import re
import resource
import sys
from pathlib import Path

MIB = 2**20


def peak_of_process() -> float:
    """The largest resident set of this process so far, Python and all libraries included."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB


def available() -> float:
    """What a job may take now: memory that others do not hold, where the system tells it, else all of it."""
    try:
        told = Path("/proc/meminfo").read_text(encoding="utf-8")
    except OSError:
        return of_machine()
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", told, re.MULTILINE)
    return int(found[1]) / 1024 if found else of_machine()


def of_machine() -> float:
    """The memory that this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / MIB
