"""Keep the reference results: copy what a finished run of cards made into docs/results, list what is there
and what is not, and fill the tables of the README and of docs/findings.md from there.

    python benchmarks/reference_results.py collect iburi2018 ecuador   # after `snakemake iburi2018 ecuador`
    python benchmarks/reference_results.py readme

A number stands there only between two comments, such as

    <!-- numbers: iburi2018/comparison | blocked | average_precision, f1 | unet, unet+factors -->
    <!-- /numbers -->

(exhibit, protocol, metrics, and rows unless all), and what stands between them is made here and nowhere else:
a test compares.
"""

import argparse
import json
import os
import platform
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

from headscarp.exhibits.labels import metric_label  # noqa: E402
from headscarp.exhibits.render import cell_text, digits_for  # noqa: E402
from headscarp.yaml_files import read_yaml  # noqa: E402

KEPT = ROOT / "docs" / "results"
PAGES = (ROOT / "README.md", ROOT / "docs" / "findings.md")  # those that hold numbers
# Figures that are kept beside all tables of a card.
FIGURES = {
    "gao2021": ["fig7", "fig8"],
    "iburi2018": ["fig_comparison", "fig_probability", "fig_maps", "fig_curves"],
    "zhang2024": ["fig15", "fig16", "fig_rates"],
    "xia2021": ["fig13", "fig16"],
    "stfusion": ["fig_curves"],
    "xing2026": ["fig_unseen_b"],
    "xing2026_real": ["fig_cross", "fig_unseen_east", "fig_unseen_west", "fig_grad_cam"],
    "four_regions": ["fig_cross", "fig_unseen_taiwan", "fig_unseen_nepal"],
    "sichuan_aerial": ["fig_scores", "fig_close_ups"],
    "sichuan_dubai": ["fig_classes", "fig_close_ups"],
    "ecuador": ["fig_roc", "fig_susceptibility"],
    "emilia": ["fig_roc", "fig_susceptibility"],
    "emilia_series": ["fig_ndvi", "fig_maps"],
    "networks": ["ranks"],
}
CPU = re.compile(r", CPU ([\d.]+) s, ")  # the last line of a job's log
BLOCK = re.compile(r"(<!-- numbers: (.+?) -->\n).*?(<!-- /numbers -->)", re.DOTALL)


def collect(card: str, results: Path, kept: Path) -> None:
    """Copy the tables (CSV, Markdown) and the chosen figures of a card, and write what made them."""
    tables, folder = results / "tables" / card, kept / card
    if not tables.exists():
        raise SystemExit(f"{tables} does not exist; run `snakemake {card}` first")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in sorted(tables.iterdir()):
        if path.suffix in (".csv", ".md"):
            shutil.copy2(path, folder)
    for name in FIGURES.get(card, []):
        figure = results / "figures" / card / f"{name}.png"
        if figure.exists():
            shutil.copy2(figure, folder)
    (folder / "made_by.json").write_text(json.dumps(made_by(card, results), indent=2) + "\n")


def made_by(card: str, results: Path) -> dict[str, Any]:
    """Machine, scale, commits of the runs, CPU hours of all jobs and share of converged trainings."""
    logs = [path for path in results.glob("logs/**/*.log") if card in path.parts or path.stem == card]
    seconds = sum(float(found[1]) for path in logs if (found := CPU.search(path.read_text())))
    runs = [json.loads(path.read_text()) for path in results.glob(f"runs/{card}/*/*/*/*/run.json")]
    trained = [run["converged"] for run in runs if "converged" in run and "average" not in run]
    commits = sorted({run["code"]["commit"][:7] for run in runs if run["code"]["commit"]})
    return {
        "card": card,
        "scale": read_yaml(ROOT / "config.yaml")["scale"],
        "commit": ", ".join(commits),
        "machine": f"{processor()}, {os.cpu_count()} cores",
        "cpu_hours": round(seconds / 3600, 2),
        "trainings": len(trained),
        "converged": sum(trained),
        "weak": weak_runs(results / "runs" / card),
    }


def weak_runs(runs: Path) -> list[str]:
    """Trainings that stopped before their plateau and whose average precision on their own site is below
    twice the share of landslides, which a map at random has: nothing may be read from their rows."""
    found = []
    for path in sorted(runs.glob("*/*/*/*/run.json")):
        scores = path.parent / path.relative_to(runs).parts[0] / "scores.json"
        if scores.exists() and not json.loads(path.read_text()).get("converged", True):
            told = json.loads(scores.read_text())
            reached = told["metrics"]["average_precision"]
            if reached is not None and reached < 2 * told["landslide_share"]:
                found.append(path.parent.relative_to(runs).as_posix())
    return found


def processor() -> str:
    """The model of the processor, as the system calls it."""
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def filled(text: str, kept: Path, labels: dict[str, dict[str, str]]) -> str:
    """The text with its blocks of numbers made anew; `labels` are what people read for the rows of a card."""
    return BLOCK.sub(lambda found: found[1] + block(found[2], kept, labels) + found[3], text)


def block(asked: str, kept: Path, labels: dict[str, dict[str, str]]) -> str:
    """The Markdown table that a comment asks for."""
    exhibit, protocol, metrics, *rows = (part.strip() for part in asked.split("|"))
    card, name = exhibit.split("/")
    frame = pd.read_csv(kept / card / f"{name}.csv", keep_default_na=False, na_values=[""])
    frame["note"] = frame["note"].astype(object).fillna("")
    frame = frame[frame["protocol"] == protocol]
    wanted = [metric.strip() for metric in metrics.split(",")]
    shown = [row.strip() for row in rows[0].split(",")] if rows else list(dict.fromkeys(frame["row"]))
    data = ", ".join(sorted(set(frame["data"])))
    lines = [f"| {data} | " + " | ".join(map(metric_label, wanted)) + " |", "|---" * (len(wanted) + 1) + "|"]
    digits = {metric: digits_for(frame.loc[frame["metric"] == metric, "value"]) for metric in wanted}
    for row in shown:
        of_row = {line.metric: line for line in frame[frame["row"] == row].itertuples()}
        if missing := [metric for metric in wanted if metric not in of_row]:
            raise SystemExit(
                f"docs/results/{card}/{name}.csv has no {missing[0]} of row '{row}' ({protocol})"
            )
        cells = [cell_text(of_row[metric], digits[metric]) for metric in wanted]
        mark = " (not converged)" if any("not converged" in of_row[m].note for m in wanted) else ""
        lines.append(f"| {labels.get(card, {}).get(row, row)}{mark} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def index(kept: Path, cards: list[str], labels: dict[str, dict[str, str]], rows: dict[str, list[str]]) -> str:
    """The page that lists the reference results: of each card what made them and which of its `rows` they
    lack."""
    lines = [
        "# Reference results",
        "",
        "Scale `standard`, kept by `benchmarks/reference_results.py`. A row of a table is marked *not "
        "converged* where a training stopped before its plateau. CPU hours are what jobs worked; of "
        "results from before December 2026 they are a little low.",
        "",
        "| card | tables | commit | CPU hours | trainings, of them converged | neither converged nor above "
        "twice the prevalence | rows left out of this run |",
        "|---|---|---|---|---|---|---|",
    ]
    for card in cards:
        folder = kept / card
        if not folder.exists():
            lines.append(f"| `{card}` | not run yet | | | | | |")
            continue
        made = json.loads((folder / "made_by.json").read_text())
        tables = ", ".join(f"[{path.stem}]({card}/{path.name})" for path in sorted(folder.glob("*.md")))
        shown = {row for path in folder.glob("*.csv") for row in rows_of_table(path)}
        absent = "; ".join(labels[card].get(row, row) for row in rows[card] if row not in shown) or "none"
        trained = f"{made['trainings']}, {made['converged']}"
        # all converged: there is none; of results of before this was counted it is not known
        weak = (
            str(len(made["weak"])) if "weak" in made else "0" if len(set(trained.split(", "))) == 1 else "?"
        )
        cells = [f"`{card}`", tables, made["commit"], str(made["cpu_hours"]), trained, weak, absent]
        lines.append(f"| {' | '.join(cells)} |")
    machines = {json.loads(path.read_text())["machine"] for path in sorted(kept.glob("*/made_by.json"))}
    return "\n".join([*lines, "", f"Machine: {'; '.join(sorted(machines))}.", ""])


def rows_of_table(path: Path) -> set[str]:
    """Experiments that a table or the numbers behind a figure name in their rows."""
    rows = pd.read_csv(path, dtype=str)["row"].dropna()
    return {part for row in rows for one in row.split("_vs_") for part in one.split(":")}


def rows_of_cards() -> dict[str, list[str]]:
    """Experiments that the exhibits of each card show at scale standard."""
    found = {}
    for path in sorted((ROOT / "workflow" / "cards").glob("*.yaml")):
        card = read_yaml(path)
        kept = card["scales"]["standard"].get("rows")
        rows = [row for exhibit in card["exhibits"].values() for row in exhibit.get("rows", [])]
        found[card["name"]] = [row for row in dict.fromkeys(rows) if kept is None or row in kept]
    return found


def labels_of_cards() -> dict[str, dict[str, str]]:
    cards = (read_yaml(path) for path in sorted((ROOT / "workflow" / "cards").glob("*.yaml")))
    return {
        card["name"]: {name: one.get("label", name) for name, one in card["experiments"].items()}
        for card in cards
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("collect").add_argument("cards", nargs="+")
    commands.add_parser("readme")
    asked = parser.parse_args()
    if asked.command == "collect":
        for card in asked.cards:
            collect(card, ROOT / "results", KEPT)
    else:
        for path in PAGES:
            path.write_text(
                filled(path.read_text(encoding="utf-8"), KEPT, labels_of_cards()), encoding="utf-8"
            )
    (KEPT / "README.md").write_text(the_index(), encoding="utf-8")


def the_index() -> str:
    """The page of all cards of config.yaml."""
    return index(KEPT, read_yaml(ROOT / "config.yaml")["cards"], labels_of_cards(), rows_of_cards())


if __name__ == "__main__":
    main()
