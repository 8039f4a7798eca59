"""Seconds, start-up and peak memory of the jobs of a finished run, as a Markdown table.

python benchmarks/report_costs.py FOLDER [WALL_SECONDS CORES]

FOLDER is where Snakemake ran (it holds results/). A job's start-up is its process time less the time its
script worked: starting Python, importing packages, and Snakemake's own preamble. With WALL_SECONDS and CORES
(of the whole call) the last line gives the share of core time that went into start-up of jobs.
"""

import csv
import re
import sys
from collections import defaultdict
from pathlib import Path

WORKED = re.compile(r"worked for ([\d.]+) s")


def read_jobs(folder: Path) -> list[dict]:
    """Rule, process seconds, worked seconds and peak memory (MiB) of every job with a file of timings."""
    jobs = []
    root = folder / "results" / "timings"
    for path in sorted(root.rglob("*.tsv")):
        relative = path.relative_to(root)
        with open(path, newline="", encoding="utf-8") as stream:
            line = next(csv.DictReader(stream, delimiter="\t"))
        log = (folder / "results" / "logs" / relative).with_suffix(".log")
        worked = WORKED.search(log.read_text(encoding="utf-8"))
        memory = float(line["max_rss"]) if line["max_rss"] not in ("NA", "-") else float("nan")
        jobs.append(
            {
                "rule": relative.with_suffix("").parts[1],
                "seconds": float(line["s"]),
                "worked": float(worked.group(1)) if worked else 0.0,
                "mib": memory,
            }
        )
    return jobs


def main(folder: Path, wall: float | None, cores: int | None) -> None:
    by_rule = defaultdict(list)
    for job in read_jobs(folder):
        by_rule[job["rule"]].append(job)
    print(
        "| rule | jobs | work, s | start-up, s | longest job, s | peak memory, MiB "
        "|\n|---|---|---|---|---|---|"
    )
    starting = 0.0
    for rule, jobs in sorted(by_rule.items()):
        work = sum(job["worked"] for job in jobs)
        start = sum(max(job["seconds"] - job["worked"], 0) for job in jobs)
        starting += start
        longest, memory = max(job["seconds"] for job in jobs), max(job["mib"] for job in jobs)
        print(f"| {rule} | {len(jobs)} | {work:.0f} | {start:.0f} | {longest:.1f} | {memory:.0f} |")
    if wall:
        print(
            f"\nStart-up of jobs: {starting:.0f} s of {wall * cores:.0f} core seconds "
            f"({100 * starting / (wall * cores):.1f} %)."
        )


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        float(sys.argv[2]) if len(sys.argv) > 2 else None,
        int(sys.argv[3]) if len(sys.argv) > 3 else None,
    )
