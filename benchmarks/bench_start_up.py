"""What starting costs: CPU seconds until the script of a rule begins to work, times the jobs of that rule.

    python benchmarks/bench_start_up.py [SCALE [TARGET ...]]

For each rule that Snakemake would run for the TARGETs (all, unless given) at SCALE (standard): a Python is
started as Snakemake starts it, with the packages that the script imports first, and ends; least of three.
`workflow/warm_python.py` saves nearly all of it. Prints a Markdown table, dearest rules first.
"""

import re
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "workflow" / "scripts"
# What Snakemake writes before a script, but for the values that it hands over.
PREAMBLE = f"import sys; sys.path.append({str(SCRIPTS)!r}); import pickle\nfrom snakemake import script\n"
LINE = re.compile(r"^(\w+) +(\d+)$", re.MULTILINE)


def jobs_of(scale: str, targets: list[str], folder: str) -> dict[str, int]:
    """How many jobs of each rule with a script a fresh run in `folder` has."""
    shutil.copy(ROOT / "config.yaml", folder)
    where = ["--snakefile", str(ROOT / "Snakefile"), "--directory", folder, "--cores", "1"]
    command = [sys.executable, "-m", "snakemake", *where, "-n", "--config", f"scale={scale}", "--", *targets]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    table = (told.stdout + told.stderr).split("Job stats:")[1]
    counts = {rule: int(number) for rule, number in LINE.findall(table)}
    return {rule: number for rule, number in counts.items() if (SCRIPTS / f"{rule}.py").exists()}


def seconds_to_start(rule: str, folder: str) -> float:
    """CPU seconds of a job that only imports."""
    path = Path(folder) / f"{rule}.py"
    path.write_text(PREAMBLE + (SCRIPTS / f"{rule}.py").read_text(encoding="utf-8"), encoding="utf-8")
    taken = []
    for _ in range(3):
        before = children()
        subprocess.run([sys.executable, str(path)], check=True)
        taken.append(children() - before)
    return min(taken)


def children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(scale: str = "standard", *targets: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        jobs = jobs_of(scale, list(targets), folder)
        each = {rule: seconds_to_start(rule, folder) for rule in jobs}
    print("| rule | jobs | CPU s to start | of all |\n|---|---:|---:|---:|")
    for rule in sorted(jobs, key=lambda rule: -jobs[rule] * each[rule]):
        print(f"| {rule} | {jobs[rule]} | {each[rule]:.2f} | {jobs[rule] * each[rule]:.0f} |")
    total = sum(jobs[rule] * each[rule] for rule in jobs)
    print(f"| all | {sum(jobs.values())} | | {total:.0f} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
