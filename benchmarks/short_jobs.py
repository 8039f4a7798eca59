"""What Snakemake itself costs: a graph of short jobs, with one pending timer or with all that Snakemake arms.

    python benchmarks/short_jobs.py FOLDER JOBS SECONDS [--as-it-is]

Runs JOBS of SECONDS each, two at a time, in FOLDER and prints, as JSON, the CPU seconds of the main process
from its start to its end (its jobs are processes of their own), how often the scheduler looked for jobs, and
the most threads there were then.
"""

import argparse
import contextlib
import json
import resource
import sys
import threading
from pathlib import Path

from snakemake.cli import main as snakemake
from snakemake.scheduling.job_scheduler import JobScheduler

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "workflow" / "scripts"))

from headscarp.quiet_scheduler import keep_one_timer  # noqa: E402

SNAKEFILE = """
rule all:
    input: expand("{{number}}.txt", number=range({jobs}))

rule one:
    output: "{{number}}.txt"
    shell: "sleep {seconds}; touch {{output}}"
"""


def count_passes() -> dict[str, int]:
    """Counts that grow while the scheduler goes on: it finishes jobs once in every pass."""
    counts, finish_jobs = {"passes": 0, "threads": 0}, JobScheduler._finish_jobs

    def counted(scheduler: JobScheduler) -> None:
        counts["passes"] += 1
        counts["threads"] = max(counts["threads"], threading.active_count())
        finish_jobs(scheduler)

    JobScheduler._finish_jobs = counted
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("jobs", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--as-it-is", action="store_true", help="leave Snakemake's timers alone")
    arguments = parser.parse_args()
    if not arguments.as_it_is and not keep_one_timer():
        raise SystemExit("this release of Snakemake is not known to need one timer")
    counts = count_passes()
    snakefile = arguments.folder / "Snakefile"
    snakefile.write_text(SNAKEFILE.format(jobs=arguments.jobs, seconds=arguments.seconds))
    where = ["--snakefile", str(snakefile), "--directory", str(arguments.folder)]
    where += ["--workflow-profile", "none"]
    choice = ["--scheduler", "greedy", "--scheduler-subsample", "32"]  # as in profiles/default
    with contextlib.suppress(SystemExit):
        snakemake([*where, *choice, "--cores", "2", "--quiet", "all"])
    if not all((arguments.folder / f"{number}.txt").exists() for number in range(arguments.jobs)):
        raise SystemExit("not every job was run")
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps(counts | {"cpu": usage.ru_utime + usage.ru_stime}))


if __name__ == "__main__":
    main()
