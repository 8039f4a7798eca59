"""Snakemake's own cost: at most one timer waits at a time.

With a limit on the jobs of a timespan (100/1s unless told otherwise) each pass of Snakemake's scheduler arms
a timer that causes another pass, and each finished job adds one more such chain for the rest of the run:
after 600 jobs Snakemake itself held 200 threads and a third of a core (Snakemake issues 2354 and 3804). One
pending timer is enough, since any pass looks at all that is ready. It is a daemon, so that none keeps the
process alive at the end.
"""

import threading
import time
from importlib.metadata import version

from snakemake.scheduling.job_scheduler import JobScheduler

KNOWN_TO_NEED_IT = ((9, 27),)  # releases whose scheduler was read; others are left as they are


def keep_one_timer() -> bool:
    """Replace the scheduler's method that arms timers, where this Snakemake is known to need it; whether it
    did."""
    release = tuple(int(part) for part in version("snakemake").split(".")[:2])
    if release not in KNOWN_TO_NEED_IT or not hasattr(JobScheduler, "_schedule_reevalutation"):
        return False
    JobScheduler._schedule_reevalutation = reevaluate_once
    return True


def reevaluate_once(scheduler: JobScheduler, delay: float) -> None:
    """Wake the scheduler in `delay` seconds, unless a pending timer does so earlier; it replaces a later."""
    due = time.monotonic() + delay
    pending = getattr(scheduler, "pending_timer", None)
    if pending is not None and pending.is_alive():
        if pending.due <= due:
            return
        pending.cancel()
    timer = threading.Timer(delay, scheduler._open_jobs.release)
    timer.daemon = True
    timer.due = due
    scheduler.pending_timer = timer
    timer.start()
