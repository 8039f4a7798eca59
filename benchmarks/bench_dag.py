"""Time and memory of planning all cards at scale full with many seeds (a dry run, nothing is made), and the
CPU seconds of Snakemake's main process while it runs a thousand short jobs.

    HEADSCARP_MIRROR=... HEADSCARP_DATA=... python benchmarks/bench_dag.py [--seeds 10] [--profile
    profiles/slurm]

Cards whose data are not at hand are left out and named, as always. Prints a Markdown table. CPU seconds are
those of the process alone, so they hold on a machine that does other things beside. The graph stands when
Snakemake prints its count of jobs; what follows in a dry run is the list of the jobs.

The second table is of short_jobs.py: with the one pending timer of headscarp's quiet_scheduler.py, and with
all timers that Snakemake arms by itself.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
JOBS, JOB_SECONDS = 1000, 0.1


def start(folder: Path, profile: str | None) -> subprocess.Popen:
    """Begin the dry run, its output as one stream of lines."""
    command = [
        sys.executable,
        "-u",
        "-m",
        "snakemake",
        "--snakefile",
        str(REPOSITORY / "Snakefile"),
        "--directory",
        str(folder),
    ]
    command += [
        "--dry-run",
        "--quiet",
        "host",
        "reason",
        *(["--profile", str(Path(profile).resolve())] if profile else ["--cores", "2"]),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def measure(folder: Path, profile: str | None) -> tuple[list[str], dict[str, float]]:
    """What the dry run printed; seconds and CPU seconds until the graph stood and in all, and the peak memory
    in MB."""
    began = time.perf_counter()
    process, lines, found = start(folder, profile), [], {}
    for line in process.stdout:
        lines.append(line)
        if line.startswith("total") and "graph" not in found:
            times = psutil.Process(process.pid).cpu_times()
            found |= {"graph": time.perf_counter() - began, "graph_cpu": times.user + times.system}
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit("".join(lines[-30:]))
    return lines, found | {
        "all": time.perf_counter() - began,
        "all_cpu": usage.ru_utime + usage.ru_stime,
        "memory": usage.ru_maxrss / 1024,
    }


def run_short_jobs(*options: str) -> dict[str, float]:
    """CPU seconds of the main process, passes of its scheduler and most threads."""
    program = [sys.executable, str(REPOSITORY / "benchmarks" / "short_jobs.py")]
    with tempfile.TemporaryDirectory() as folder:
        command = [*program, folder, str(JOBS), str(JOB_SECONDS), *options]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--profile")
    arguments = parser.parse_args()
    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    config |= {"scale": "full", "seeds": list(range(arguments.seeds))}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.yaml").write_text(yaml.safe_dump(config))
        lines, cost = measure(Path(folder), arguments.profile)
    jobs = next(int(line.split()[1]) for line in lines if line.startswith("total"))
    for skipped in re.findall(r"^Card \w+ is skipped", "".join(lines), flags=re.MULTILINE):
        print(skipped)
    print(
        "| cards | seeds | jobs | graph, s (CPU s) | with the list of jobs, s (CPU s) | peak MB "
        "|\n|---|---:|---:|---:|---:|---:|"
    )
    print(
        f"| {len(config['cards'])} | {arguments.seeds} | {jobs} | {cost['graph']:.1f} "
        f"({cost['graph_cpu']:.1f}) "
        f"| {cost['all']:.1f} ({cost['all_cpu']:.1f}) | {cost['memory']:.0f} |"
    )
    print(
        f"\n| jobs of {JOB_SECONDS} s | main process, CPU s per 1000 jobs | passes of the scheduler | most "
        "threads |\n|---|---:|---:|---:|"
    )
    for name, options in (("one timer", []), ("as Snakemake has it", ["--as-it-is"])):
        found = run_short_jobs(*options)
        print(
            f"| {name} | {1000 * found['cpu'] / JOBS:.1f} | {found['passes']} | {found['threads']} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
