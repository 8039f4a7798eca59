"""An RO-Crate of the results: one folder to deposit, with tables, figures, polygons, records of runs, the
workflow and what describes them.

It follows RO-Crate 1.1 (https://w3id.org/ro/crate/1.1), Workflow RO-Crate 1.0 and, for the runs, Process Run
Crate 0.5. Paths in the crate are those of the working folder, so that results/provenance.json, which is in
it, holds there too.
"""

import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from headscarp.delivery.provenance import checksum
from headscarp.files import atomic_path, write_json

METADATA = "ro-crate-metadata.json"
# schema.org's property, which the context of RO-Crate 1.1 does not know yet.
CONTEXT = ["https://w3id.org/ro/crate/1.1/context", {"sha256": "https://schema.org/sha256"}]
CRATE, WORKFLOW_CRATE = "https://w3id.org/ro/crate/1.1", "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
PROCESS_CRATE = "https://w3id.org/ro/wfrun/process/0.5"
# What of the repository goes along, and what never does.
WORKFLOW = (
    "Snakefile",
    "README.md",
    "LICENSE",
    "CITATION.cff",
    "pyproject.toml",
    "workflow",
    "envs",
    "profiles",
)
UNWANTED = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
# Of each run; its model and maps stay where they are, with their checksums in provenance.json.
RUN_FILES = ("run.json", "history.csv", "scores.json")
FORMATS = {
    ".csv": "text/csv",
    ".md": "text/markdown",
    ".html": "text/html",
    ".tex": "application/x-tex",
    ".png": "image/png",
    ".pdf": "application/pdf",
    ".json": "application/json",
    ".gpkg": "application/geopackage+sqlite3",
    ".yaml": "application/yaml",
    ".tif": "image/tiff; application=geotiff",
    ".zip": "application/zip",
}
SNAKEMAKE = {
    "@id": "https://w3id.org/workflowhub/workflow-ro-crate#snakemake",
    "@type": "ComputerLanguage",
    "name": "Snakemake",
    "identifier": {"@id": "https://snakemake.github.io"},
    "url": {"@id": "https://snakemake.github.io"},
}
MIT = {
    "@id": "https://spdx.org/licenses/MIT",
    "@type": "CreativeWork",
    "name": "MIT License",
    "description": "Licence of the code.",
}
TERMS = {
    "@id": "#terms",
    "@type": "CreativeWork",
    "name": "Terms of this crate",
    "description": "Code: MIT. Results: under the terms of the data that they are made from, which stand "
    "with each study area and file.",
}


def build_crate(provenance: dict[str, Any], root: str | Path, folder: str | Path) -> None:
    """Make the crate `folder` from the record `provenance` of the current folder and the repository at
    `root`, whole or not at all.

    The metadata name no author: who deposits the crate adds that.
    """
    with atomic_path(folder) as temporary:
        copy_workflow(Path(root), temporary)
        for name in results_of(provenance):
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(name, temporary / name)
        for card in provenance["cards"].values():
            if not (temporary / card["file"]).exists():  # of a user's area
                (temporary / card["file"]).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(card["file"], temporary / card["file"])
        # JSON is YAML too: the configuration in force, with what the command line changed.
        (temporary / "config.yaml").write_text(
            json.dumps(provenance["config"], indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        write_json(temporary / METADATA, {"@context": CONTEXT, "@graph": graph(provenance, temporary)})


def copy_workflow(root: Path, folder: Path) -> None:
    folder.mkdir()
    for name in WORKFLOW:
        if (root / name).is_dir():
            shutil.copytree(root / name, folder / name, ignore=UNWANTED)
        else:
            shutil.copyfile(root / name, folder / name)


def results_of(provenance: dict[str, Any]) -> list[str]:
    """Files of results that go into the crate, each once."""
    files = ["results/provenance.json"]
    files += [path for one in (*provenance["exhibits"], *provenance["maps"]) for path in one["files"]]
    files += [
        f"{run['path']}/{name}"
        for run in provenance["runs"]
        for name in RUN_FILES
        if Path(run["path"], name).is_file()
    ]
    return list(dict.fromkeys(files))


def graph(provenance: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """All entities of the crate in `folder`, the descriptor and the root first."""
    titles = {
        path: f"{one['title']} ({one['card'] or 'all cards'})"
        for one in provenance["exhibits"]
        for path in one["files"]
    }
    titles |= {
        path: f"Landslides mapped on {one['site']} ({one['card']})"
        for one in provenance["maps"]
        for path in one["files"]
    }
    cards = {card["file"]: name for name, card in provenance["cards"].items()}
    files = [file_entity(path, folder, titles) for path in results_of(provenance)]
    files += [
        file_entity(path, folder, {"config.yaml": "Configuration in force"})
        for path in ("config.yaml", "LICENSE")
    ]
    files += [card_entity(path, folder, name, provenance["cards"][name]) for path, name in cards.items()]
    sources = [entity for name, site in provenance["sites"].items() for entity in remote_files(name, site)]
    scripts = {
        "@id": "workflow/",
        "@type": "Dataset",
        "name": "Rules, scripts and library of the workflow",
        "license": {"@id": MIT["@id"]},
    }
    actions = [action(run) for run in provenance["runs"]]
    readme = file_entity("README.md", folder, {"README.md": "What the workflow is and how it is run"}) | {
        "about": {"@id": "./"}
    }
    parts = unique([workflow_entity(provenance, folder), scripts, readme, *files, *sources])
    return [
        {
            "@id": METADATA,
            "@type": "CreativeWork",
            "about": {"@id": "./"},
            "conformsTo": [{"@id": CRATE}, {"@id": WORKFLOW_CRATE}],
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": f"Results of headscarp at scale {provenance['scale']}: {', '.join(provenance['cards'])}",
            "description": "Tables, figures and maps of landslides, made by the workflow in this crate "
            "from the data named in it. What is "
            "made from simulated study areas says so and reproduces no published score.",
            "datePublished": provenance["made"],
            "license": {"@id": TERMS["@id"]},
            "conformsTo": [{"@id": PROCESS_CRATE}, {"@id": WORKFLOW_CRATE}],
            "mainEntity": {"@id": "Snakefile"},
            "hasPart": references(parts),
            "mentions": references(actions),
        },
        *parts,
        *actions,
        engine(provenance),
        SNAKEMAKE,
        MIT,
        TERMS,
        {"@id": PROCESS_CRATE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"},
        {"@id": WORKFLOW_CRATE, "@type": "CreativeWork", "name": "Workflow RO-Crate", "version": "1.0"},
        *(site_entity(name, site) for name, site in provenance["sites"].items()),
        *(citation_entity(name, card["citation"]) for name, card in provenance["cards"].items()),
    ]


def references(entities: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
    return [{"@id": entity["@id"]} for entity in entities]


def unique(entities: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first entity of each identifier."""
    found: dict[str, dict[str, Any]] = {}
    for entity in entities:
        found.setdefault(entity["@id"], entity)
    return list(found.values())


def workflow_entity(provenance: dict[str, Any], folder: Path) -> dict[str, Any]:
    code = provenance["code"]
    commit = f", commit {code['commit']}{' with changes' if code['dirty'] else ''}" if code["commit"] else ""
    return file_entity("Snakefile", folder, {}) | {
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
        "name": "headscarp",
        "description": "Landslide-mapping papers re-run from raw rasters, on their own protocol and on a "
        "leakage-free one",
        "version": f"{code['version']}{commit}",
        "programmingLanguage": {"@id": SNAKEMAKE["@id"]},
        "license": {"@id": MIT["@id"]},
        "conformsTo": {"@id": "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"},
    }


def engine(provenance: dict[str, Any]) -> dict[str, Any]:
    """The program that every run was made with; Process Run Crate asks for one that names its version."""
    version = provenance["code"]["version"]
    return {
        "@id": "#headscarp",
        "@type": "SoftwareApplication",
        "name": "headscarp",
        "softwareVersion": version,
        "url": {"@id": "Snakefile"},
    }


def file_entity(path: str, folder: Path, titles: dict[str, str]) -> dict[str, Any]:
    found = checksum(folder / path)
    return {
        "@id": path,
        "@type": "File",
        "name": titles.get(path, path),
        "contentSize": str(found["bytes"]),
        "sha256": found["sha256"],
        "encodingFormat": format_of(path),
    }


def format_of(path: str) -> str:
    return FORMATS.get(Path(path).suffix, "application/octet-stream" if Path(path).suffix else "text/plain")


def card_entity(path: str, folder: Path, name: str, card: dict[str, Any]) -> dict[str, Any]:
    return file_entity(path, folder, {path: f"Card {name}: {card['title']}"}) | {
        "citation": {"@id": f"#citation-{name}"}
    }


def citation_entity(name: str, text: str) -> dict[str, Any]:
    """The citation of a card, with the identifier of the paper where the text names one."""
    found = re.search(r"10\.\d{4,9}/[^\s;,]+", text)
    identifier = {"identifier": f"https://doi.org/{found.group().rstrip('.')}"} if found else {}
    return {"@id": f"#citation-{name}", "@type": "CreativeWork", "name": text} | identifier


def site_entity(name: str, site: dict[str, Any]) -> dict[str, Any]:
    """A study area: simulated with its seed, or real with the citation of its data."""
    made = (
        f"simulated (seed {site['seed']})" if site["data"] == "twin" else f"real (source: {site['source']})"
    )
    attributions = {
        one["acquisition"].get("attribution") for one in site["files"].values() if "acquisition" in one
    } - {None}
    return {
        "@id": f"#site-{name}",
        "@type": "CreativeWork",
        "name": site["title"],
        "description": f"Study area {name}, {made}",
        "citation": "; ".join([site["citation"], *sorted(attributions)]),
    }


def remote_files(name: str, site: dict[str, Any]) -> list[dict[str, Any]]:
    """Upstream files of a site, which stay at their addresses, each with its licence."""
    return [
        {
            "@id": file["url"],
            "@type": "File",
            "name": f"{Path(path).name} of {name}",
            "license": file["licence"],
            "citation": file["citation"],
            "about": {"@id": f"#site-{name}"},
            "encodingFormat": format_of(path),
        }
        | ({"contentSize": str(file["bytes"]), "sha256": file["sha256"]} if "sha256" in file else {})
        for path, file in site["files"].items()
        if "url" in file
    ]


def action(run: dict[str, Any]) -> dict[str, Any]:
    """The training of one run. Runs made before their times were written down have none."""
    told = f"{run['seconds']} s on {run['device']}" if run["seconds"] is not None else "time unknown"
    times = (
        {"startTime": run["started"], "endTime": run["finished"]}
        if run["started"] and run["finished"]
        else {}
    )
    return {
        "@id": f"#{run['path'].removeprefix('results/')}",
        "@type": "CreateAction",
        "name": f"Training of {run['experiment']} on {run['site']} ({run['card']}, {run['protocol']}, seed "
        f"{run['seed']})",
        "description": told,
        "instrument": {"@id": "#headscarp"},
        "object": {"@id": f"#site-{run['site']}"},
        "result": {"@id": f"{run['path']}/run.json"},
    } | times
