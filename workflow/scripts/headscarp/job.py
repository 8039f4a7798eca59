"""What every script of a rule does around its work: keep a log, and tell a user's error in one line."""

import logging
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from headscarp import memory
from headscarp.errors import HeadscarpError

WORKED = "worked for"


@contextmanager
def job(log: str) -> Iterator[None]:
    """Send log messages and warnings of the block to the file `log`, with the seconds it worked, those of
    the processor, and the most memory it had.

    A `HeadscarpError` becomes one line on standard error and in the log, and exit status 1; any other
    exception is a bug and keeps its trace.
    """
    logging.basicConfig(
        filename=log, filemode="w", level=logging.INFO, format="%(asctime)s %(message)s", force=True
    )
    logging.captureWarnings(True)
    warnings.simplefilter("default")
    start = time.perf_counter()
    try:
        yield
    except HeadscarpError as error:
        logging.error("%s", error)
        print(f"headscarp: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except Exception:
        logging.exception("this is a bug in headscarp or in a package it uses")
        raise
    worked, peak = time.perf_counter() - start, memory.peak_of_process()
    logging.info("%s %.2f s, CPU %.2f s, at most %.0f MiB", WORKED, worked, time.process_time(), peak)
