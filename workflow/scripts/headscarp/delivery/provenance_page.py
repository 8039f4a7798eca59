"""How the results came about, for people: a page of results/provenance.json."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headscarp.exhibits.spec import TWIN
from headscarp.exhibits.tidy import SIMULATED
from headscarp.files import atomic_path
from headscarp.templating import fill

CODE_DIFFERS = {True: ", with changes", False: "", None: ""}


def build_provenance(record: Mapping[str, Any], target: str | Path) -> None:
    """Write the page of a record that `provenance.describe_results` made."""
    text = fill(
        "delivery/templates/provenance.html",
        title="How these results came about",
        about=about(record),
        cards=[card_line(name, card) for name, card in record["cards"].items()],
        left_out=[f"{name} is left out: {reason}" for name, reason in record["skipped"].items()],
        sites=[
            [name, site["title"], SIMULATED if site["data"] == TWIN else "real", site["citation"] or ""]
            for name, site in record["sites"].items()
        ],
        packages=list(record["packages"].items()),
    )
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def about(record: Mapping[str, Any]) -> dict[str, str]:
    """Code, machine and number of trainings."""
    code, runs = record["code"], record["runs"]
    commit = f", commit {code['commit']}{CODE_DIFFERS[code['dirty']]}" if code["commit"] else ""
    devices = sorted({str(run["device"]) for run in runs if run.get("device")})
    return {
        "Scale": record["scale"],
        "Code": f"headscarp {code['version']}{commit}",
        "Trained models": f"{len(runs):,}",
        "Devices": ", ".join(devices) or "none",
        "Python": record["python"],
        "System": record["machine"]["system"],
        "Recorded": record["made"],
    }


def card_line(name: str, card: Mapping[str, Any]) -> list[str]:
    protocols, seeds = ", ".join(card["protocols"]), ", ".join(map(str, card["seeds"]))
    return [name, card["title"], protocols, seeds, card["citation"] or ""]
