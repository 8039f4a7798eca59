"""Every command in docs/ is run, examples are written down and used, links lead somewhere, and what is said
of code is held against it.

A line before a fenced block says what becomes of it:

    <!-- file: PATH -->       it is written there before what follows is run (`append:` adds it to the end of
    a file)
    <!-- not run: WHY -->     its commands are checked (targets, options, files), not run
"""

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

import geopandas
import numpy as np
import pytest
import yaml
from shapely.geometry import box

from tests.conftest import REPOSITORY
from tests.site_files import write_picture

DOCS = sorted((REPOSITORY / "docs").glob("*.md"))
CHECKOUT = (
    "Snakefile",
    "Makefile",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "CITATION.cff",
    "config.yaml",
    "workflow",
    "profiles",
    "envs",
)
# Options of Snakemake that do not say what is to be made: commands that differ in them only are tried
# together, with all of them.
TOGETHER = {"--cores": 1, "-n": 0, "--quiet": 1, "--force": 0, "--resources": 1}
# What only a cluster or conda can do; the rest of the command is tried without it.
ELSEWHERE = {"--profile": 1, "--use-conda": 0, "--conda-create-envs-only": 0}
BLOCK = re.compile(
    r"(?:<!-- (?P<mark>[a-z ]+): (?P<text>.+?) -->\n)?^```(?P<language>\w*)\n(?P<body>.*?)^```$",
    flags=re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    mark: str | None
    text: str | None
    language: str
    body: str

    @property
    def commands(self) -> list[str]:
        """Commands of a `sh` block, and of a `console` block its lines that begin with $."""
        lines = self.body.replace("\\\n", " ").splitlines()
        if self.language == "console":
            return [line[2:] for line in lines if line.startswith("$ ")]
        return (
            [line.strip() for line in lines if line.strip() and not line.startswith("#")]
            if self.language == "sh"
            else []
        )

    @property
    def is_run(self) -> bool:
        return self.mark != "not run"


def blocks_of(path: Path) -> list[Block]:
    return [
        Block(*found.group("mark", "text", "language", "body"))
        for found in BLOCK.finditer(path.read_text(encoding="utf-8"))
    ]


def parts_of(words: list[str], options: dict[str, int]) -> tuple[list[str], list[str]]:
    """The words of a command without `options` (each with its number of values), and those options with their
    values."""
    rest, taken, left = [], [], iter(words)
    for word in left:
        if word in options:
            taken += [word, *(next(left) for _ in range(options[word]))]
        else:
            rest.append(word)
    return rest, taken


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A copy of the repository in which a reader works, with the small files that examples name, and the
    commands they call."""
    folder = tmp_path / "headscarp"
    folder.mkdir()
    for name in CHECKOUT:
        source = REPOSITORY / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(
            source,
            folder / name,
            **({"ignore": shutil.ignore_patterns("__pycache__")} if source.is_dir() else {}),
        )
    (folder / "config.yaml").write_text("cards: [gao2021]\nscale: tiny\nprotocols: [blocked]\n")
    squares = [
        box(142 + x, 42.7 + y, 142 + x + 0.002, 42.7 + y + 0.002)
        for x in (0.005, 0.02)
        for y in (0.005, 0.02)
    ]
    for name, shapes in (("outline", [box(142, 42.7, 142.03, 42.73)]), ("landslides", squares)):
        geopandas.GeoDataFrame(geometry=shapes, crs="EPSG:4326").to_file(
            folder / f"{name}.geojson", driver="GeoJSON"
        )
    for number in range(3):
        mask = np.zeros((1, 32, 32), np.uint8)
        mask[:, 8:20, number : 12 + number] = 1
        write_picture(folder / f"my/pictures/img_{number}.png", np.repeat(50 + 100 * mask, 3, axis=0))
        write_picture(folder / f"my/masks/img_{number}.png", mask)
    slopes = np.kron(np.eye(6, dtype=np.uint8), np.ones((1, 40, 40), np.uint8))
    write_picture(folder / "photo.jpg", np.repeat(50 + 100 * slopes, 3, axis=0))
    write_picture(folder / "photo_mask.png", slopes)
    (folder / "table.csv").write_text(
        "row,metric,protocol,value,sd,ci_low,ci_high,n_seeds,published,difference,data,note\nunet,f1,blocked,0.5,,0.4,0.6,1,,,real,\n"
    )
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, call in (("snakemake", "-m snakemake"), ("headscarp", "-m headscarp"), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {call} "$@"\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(folder / "workflow" / "scripts"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in ("HEADSCARP_OFFLINE", "HEADSCARP_MIRROR", "HEADSCARP_DATA"):
        monkeypatch.delenv(name, raising=False)
    return folder


def run(folder: Path, command: str) -> str:
    """Run a command; its output, whatever its status."""
    done = subprocess.run(
        ["sh", "-c", f"{command} 2>&1"], cwd=folder, capture_output=True, text=True, check=False
    )
    return f"{done.stdout}\n[exit status {done.returncode}]"


def must_run(folder: Path, command: str) -> str:
    output = run(folder, command)
    assert output.endswith("[exit status 0]"), f"{command}\n{output[-3000:]}"
    return output


def dry_runs(commands: list[str]) -> list[str]:
    """Dry runs that try all Snakemake commands of a row, without what only a cluster or conda can do."""
    targets, options, others = [], {"-n": []}, []
    for command in commands:
        words, _ = parts_of(shlex.split(command)[1:], ELSEWHERE)
        rest, together = parts_of(words, TOGETHER)
        if any(word.startswith("-") and word != "--" for word in rest):
            others.append(["-n", *(() if "--cores" in words else ("--cores", "2")), *words])
        else:
            targets += [word for word in rest if word != "--"]
            options |= {key: [key, *values] for key, *values in split_options(together)}
    first = [word for key, words in options.items() for word in words or [key]]
    calls = (
        [[*first, *(() if "--cores" in options else ("--cores", "2")), "--", *dict.fromkeys(targets)]]
        if targets
        else []
    )
    return [f"snakemake {shlex.join(call)}" for call in calls + others]


def split_options(words: list[str]) -> Iterator[list[str]]:
    """Options, each with its values."""
    left = iter(words)
    for word in left:
        yield [word, *(next(left) for _ in range(TOGETHER[word]))]


def try_commands(folder: Path, blocks: list[Block]) -> None:
    """Run the commands of some blocks: those of Snakemake dry, of make too; of those that cannot be run, what
    can be."""
    for block in blocks:
        for command in block.commands if not block.is_run else ():
            check_command(folder, command)
    commands = [
        command
        for block in blocks
        for command in block.commands
        if block.is_run or command.startswith("snakemake ")
    ]
    for of_snakemake, row in groupby(commands, lambda command: command.startswith("snakemake ")):
        for command in dry_runs(list(row)) if of_snakemake else row:
            must_run(folder, re.sub("^make ", "make -n ", command))


def check_command(folder: Path, command: str) -> None:
    """Check of a command that cannot be run that its profile is there, that its options are known, and what
    it installs."""
    words = shlex.split(command)
    assert words[0] in ("snakemake", "pip"), f"{command}: only calls of pip and snakemake can be left unrun"
    if words[0] == "pip":
        assert words[1] == "install"
        if "--editable" in words:
            assert (folder / words[words.index("--editable") + 1].split("[")[0] / "pyproject.toml").exists()
        return
    _, elsewhere = parts_of(words, ELSEWHERE)
    assert elsewhere, f"{command}: can be run"
    if "--profile" in elsewhere:
        profile = folder / elsewhere[elsewhere.index("--profile") + 1]
        assert list(profile.glob("config*.yaml")), f"{command}: there is no profile {profile.name}"
    for option in (word for word in elsewhere if word.startswith("--")):
        assert option in snakemake_help()


@cache
def snakemake_help() -> str:
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--help"], capture_output=True, text=True, check=True
    ).stdout


def write_example(folder: Path, block: Block) -> None:
    path = folder / block.text
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text((path.read_text() if block.mark == "append" else "") + block.body, encoding="utf-8")


def steps(blocks: list[Block]) -> Iterator[tuple[str, list[Block]]]:
    """Blocks in order; those of commands that follow each other without an example between are one step,
    which saves dry runs."""
    shell = [
        block
        for block in blocks
        if block.mark in ("file", "append") or block.language in ("sh", "console", "python")
    ]
    yield from (
        (kind, list(row))
        for kind, row in groupby(shell, lambda block: "sh" if block.language == "sh" else "other")
    )


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_command_runs(path, checkout):
    for kind, row in steps(blocks_of(path)):
        if kind == "sh":
            try_commands(checkout, row)
            continue
        for block in row:
            if block.mark in ("file", "append"):
                write_example(checkout, block)
            elif block.language == "python":
                must_run(checkout, f"python -c {shlex.quote(block.body)}")
            else:
                output = "".join(run(checkout, command) for command in block.commands)
                for line in block.body.splitlines():
                    assert line.startswith("$ ") or line in output, (
                        f"{block.body}\nsays '{line}', but the command answers\n{output}"
                    )


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_examples_are_sound_yaml_and_marks_are_known(path):
    for block in blocks_of(path):
        assert block.mark in (None, "file", "append", "not run"), block.mark
        assert block.language in ("", "sh", "console", "yaml", "python"), block.language
        if block.language == "yaml":
            assert isinstance(yaml.safe_load(block.body), dict)


@pytest.mark.parametrize("path", [*DOCS, REPOSITORY / "README.md"], ids=lambda path: path.name)
def test_links_lead_to_files(path):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        assert target.startswith("http") or (path.parent / target).exists(), target


# What people come for most: one click from the README to the page, one to the heading.
TASKS = {
    "map the landslides of a valley": ("docs/areas.md", "# Map an area of your own"),
    "map where landslides may come": ("docs/susceptibility.md", "# Where landslides may come"),
    "map with a network that is trained already": ("docs/areas.md", "## Use a trained model elsewhere"),
    "map scenes or a benchmark with masks": ("docs/areas.md", "## Scenes with a mask"),
    "rerun one table": ("docs/running.md", "# Run and rerun"),
    "run on a cluster or on several GPUs": ("docs/cluster.md", "## SLURM"),
    "know what it will cost": ("docs/cluster.md", "## What will it cost?"),
    "read a table and its intervals": ("docs/tables.md", "## Intervals"),
    "see which claims hold": ("docs/findings.md", "## Which claims hold?"),
    "check somebody's table of scores": ("docs/audit.md", "# Check a table of scores"),
    "add a network": ("docs/add.md", "## A network"),
    "get rid of an error": ("docs/faq.md", "# What goes wrong, and what to do"),
}


@pytest.mark.parametrize("task", TASKS)
def test_common_tasks_are_two_clicks_from_the_readme(task):
    page, heading = TASKS[task]
    links = re.findall(r"\]\(([^)#]+)", (REPOSITORY / "README.md").read_text(encoding="utf-8"))
    assert page in links
    headings = [
        line for line in (REPOSITORY / page).read_text(encoding="utf-8").splitlines() if line[:1] == "#"
    ]
    assert any(line.startswith(heading) for line in headings)


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_files_of_the_repository_that_are_named_exist(path):
    made = {block.text for block in blocks_of(path)}
    named = re.findall(
        r"`((?:workflow|profiles|envs|tests|benchmarks)/[\w./+-]+\w)`", path.read_text(encoding="utf-8")
    )
    for name in named:
        assert name in made or (REPOSITORY / name).exists(), name


@pytest.fixture(scope="module")
def messages():
    """All texts of the code."""
    return [text for path in (REPOSITORY / "workflow" / "scripts").rglob("*.py") for text in texts_of(path)]


class TestFaq:
    """Quoted messages stand in the code as they are quoted, but for … in place of names and numbers."""

    def test_quoted_messages_stand_in_the_code(self, messages):
        quotes = re.findall(
            r"^> (.+)$", (REPOSITORY / "docs" / "faq.md").read_text(encoding="utf-8"), flags=re.MULTILINE
        )
        assert len(set(quotes)) >= 20
        missing = [quote for quote in quotes if not any(is_quoted(quote, message) for message in messages)]
        assert not missing

    def test_a_changed_message_would_be_seen(self, messages):
        quote = (
            "there is no room for …: it needs … GB and the disk of … has … GB free; free some space "
            "and run the same command again"
        )
        assert any(is_quoted(quote, message) for message in messages)
        assert not any(is_quoted(quote.replace("it needs", "it takes"), message) for message in messages)
        assert not is_quoted("… does not exist; …", "does not exist")


def texts_of(path: Path) -> list[str]:
    """Texts of a module, formatted values as …"""
    texts = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            texts.append(
                "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append(node.value)
    return texts


def is_quoted(quote: str, message: str) -> bool:
    """Whether a message is as quoted: the words between … in their order, from beginning to end unless the
    quote has … there."""
    first, *others = quote.split("…")
    if not message.startswith(first) or (others and not message.endswith(others[-1])):
        return False
    place = len(first)
    for part in others:
        found = message.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return bool(others) or message == quote


RULES = """
import json, re, sys
from pathlib import Path
from snakemake.api import SnakemakeApi
from snakemake.settings.types import OutputSettings, Quietness, ResourceSettings

with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
    settings = ResourceSettings(cores=1)
    here = {"snakefile": Path("Snakefile"), "workdir": Path(".")}
    workflow = api.workflow(resource_settings=settings, **here)._workflow
    if not list(workflow.rules):
        workflow.include(Path("Snakefile"), overwrite_default_target=True)
    outputs = {rule.name: [str(path) for path in rule.output] for rule in workflow.rules}
    Path("rules.json").write_text(json.dumps(outputs))
"""


def test_the_table_of_files_is_that_of_the_rules(checkout):
    """docs/files.md against the rules as Snakemake reads them: every output of every rule, and no other."""
    must_run(checkout, f"python -c {shlex.quote(RULES)}")
    rules = json.loads((checkout / "rules.json").read_text())
    made = {
        (name, re.sub(r"\{(\w+),(?:[^{}]|\{[^{}]*\})*\}", r"{\1}", path))
        for name, paths in rules.items()
        for path in paths
    }
    made = {(name, path) for name, path in made if not name.startswith("simulate_")} | {
        ("simulate_{site}", "results/sites/{site}/raw/*")
    }

    text = (
        (REPOSITORY / "docs" / "files.md")
        .read_text(encoding="utf-8")
        .replace("<k>", "<seed>")
        .replace("<", "{")
        .replace(">", "}")
    )
    short = dict(re.findall(r"^([A-Z]+) +(results/\S+)$", text, flags=re.MULTILINE))
    told = set()
    for rule, files in re.findall(r"^\| `([\w{}]+)` \| (.+?) \|", text, flags=re.MULTILINE):
        for file in re.findall(r"`([^`]+)`", files):
            first, _, rest = file.partition("/")
            told.add((rule, f"{short[first]}/{rest}" if first in short else file))
    assert told == made
