"""How the results came about, for people: a page of results/provenance.json."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headscarp.delivery.area_page import bullets, escape, page, table
from headscarp.exhibits.spec import TWIN
from headscarp.exhibits.tidy import SIMULATED
from headscarp.files import atomic_path

CODE_DIFFERS = {True: ", with changes", False: "", None: ""}


def build_provenance(record: Mapping[str, Any], target: str | Path) -> None:
    """Write the page of a record that `provenance.describe_results` made."""
    with atomic_path(target) as temporary:
        temporary.write_text(page("How these results came about", parts_of(record)), encoding="utf-8")


def parts_of(record: Mapping[str, Any]) -> Iterator[str]:
    code, runs = record["code"], record["runs"]
    commit = f", commit {code['commit']}{CODE_DIFFERS[code['dirty']]}" if code["commit"] else ""
    devices = sorted({str(run["device"]) for run in runs if run.get("device")})
    yield "<h1>How these results came about</h1>"
    facts = {
        "Scale": record["scale"],
        "Code": f"headscarp {code['version']}{commit}",
        "Trained models": f"{len(runs):,}",
        "Devices": ", ".join(devices) or "none",
        "Python": record["python"],
        "System": record["machine"]["system"],
        "Recorded": record["made"],
    }
    yield (
        "<dl>"
        + "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
        + "</dl>"
    )
    yield "<h2>Papers and benchmarks</h2>"
    cards = [
        [
            name,
            card["title"],
            ", ".join(card["protocols"]),
            ", ".join(map(str, card["seeds"])),
            card["citation"] or "",
        ]
        for name, card in record["cards"].items()
    ]
    yield text_table(["Card", "Title", "Protocols", "Seeds", "Citation"], cards)
    yield bullets(f"{name} is left out: {reason}" for name, reason in record["skipped"].items())
    yield "<h2>Study areas</h2>"
    sites = [
        [name, site["title"], SIMULATED if site["data"] == TWIN else "real", site["citation"] or ""]
        for name, site in record["sites"].items()
    ]
    yield text_table(["Site", "Title", "Data", "Source"], sites)
    yield "<h2>Packages</h2><details><summary>Versions</summary>"
    yield text_table(["Package", "Version"], [list(pair) for pair in record["packages"].items()])
    yield "</details><p>Checksums of all inputs and results stand in results/provenance.json.</p>"


def text_table(heads: list[str], lines: list[list[str]]) -> str:
    return table(heads, [[escape(cell) for cell in line] for line in lines], "text")
