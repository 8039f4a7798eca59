"""What can be asked for by name, and exactly which runs every exhibit asks for, before and after a change."""

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from headscarp.errors import HeadscarpError
from headscarp.exhibits.kinds import KINDS
from headscarp.plan.plan import load_plan
from headscarp.plan.targets import named_exhibits
from tests.conftest import REPOSITORY
from tests.workflow.runs import CARDS, configure, planned, snakemake

SCALE = "tiny"
# What a dry run says of the jobs that make a run, and of those that make an exhibit.
RUNS = re.compile(r"(?:Training|Fitting|Growing) (\S+) on (?:cells of )?(\S+) \((\S+), (\S+), seed (\d+)\)")
EXHIBITS = re.compile(r"^Job \d+: (?:Building|Drawing) (\S+) of (\S+)$", re.MULTILINE)
TRAINERS = ("train_network", "train_susceptibility", "fit_cell_model", "map_forest")


class Run(NamedTuple):
    experiment: str
    site: str
    card: str
    protocol: str
    seed: str


def merged(base: Any, change: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(change, dict)):
        return change
    return base | {key: merged(base.get(key), value) for key, value in change.items()}


class Cards:
    """The cards as their YAML has them, read without the plan: what each exhibit should ask for."""

    def __init__(self, seeds: Iterable[int] | None = None) -> None:
        paths = (REPOSITORY / "workflow/cards").glob("*.yaml")
        self.records = {
            record["name"]: record
            for record in (yaml.safe_load(path.read_text(encoding="utf-8")) for path in paths)
        }
        self.given = seeds

    def scale(self, card: str) -> dict[str, Any]:
        return self.records[card]["scales"][SCALE]

    def experiments(self, card: str) -> dict[str, Any]:
        return merged(self.records[card]["experiments"], self.scale(card).get("experiments", {}))

    def seeds(self, card: str) -> list[int]:
        return list(self.given or self.scale(card)["seeds"])

    def exhibits(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        for card in CARDS:
            for name, exhibit in self.records[card]["exhibits"].items():
                yield card, name, exhibit

    def rows(self, card: str, exhibit: dict[str, Any]) -> list[str]:
        kept = self.scale(card).get("rows")
        if exhibit["kind"] in READ_NO_RUNS:
            return []
        return [row for row in exhibit.get("rows", []) if kept is None or row in kept]

    def protocols(self, card: str, exhibit: dict[str, Any]) -> list[str]:
        return exhibit.get("protocols") or self.records[card]["protocols"]

    def runs_of(self, card: str, exhibit: dict[str, Any]) -> set[Run]:
        """Runs of an exhibit's rows, with those that they start from and that label the cells they learn
        from."""
        seeds = self.seeds(card)[:1] if exhibit.get("seeds") == "first" else self.seeds(card)
        rows, found = self.rows(card, exhibit), set()
        for site in exhibit["sites"]:
            for protocol in self.protocols(card, exhibit):
                for seed in seeds:
                    found |= {
                        run
                        for row in rows
                        for run in self.with_starts(Run(row, site, card, protocol, str(seed)))
                    }
                if self.labelled_by_inventory(card, site) and (rows or exhibit["kind"] in READ_SAMPLES):
                    found.add(self.inventory_run(card, protocol))
        return found

    def with_starts(self, run: Run) -> set[Run]:
        """The run with those that it starts from; of an average the runs that it is made of."""
        experiment = self.experiments(run.card)[run.experiment]
        if average := experiment.get("average"):
            seeds = map(str, self.seeds(run.card)) if average["over"] == "seeds" else [run.seed]
            members = [run._replace(experiment=average["of"], seed=seed) for seed in seeds]
            return set().union(*map(self.with_starts, members))
        start = experiment.get("start")
        return {run} if start is None else {run} | self.with_starts(run._replace(**start))

    def labelled_by_inventory(self, card: str, site: str) -> bool:
        return "inventory" in self.records[card].get("cells", {}).get(site, {})

    def inventory_run(self, card: str, protocol: str) -> Run:
        chosen = self.records[card]["inventory"]
        protocol = "published" if protocol == "as_released" else protocol  # one of cells only
        return Run(chosen["experiment"], chosen["site"], card, protocol, str(self.seeds(card)[0]))

    def claim_runs(self, selected: Iterable[str]) -> set[Run]:
        """Runs that the claims of the selected cards compare."""
        found = set()
        for owner in selected:
            for claim in self.records[owner].get("claims", {}).values():
                for test in claim["tests"]:
                    card = test.get("card", owner)
                    if card in selected:
                        shown = {
                            "kind": "claim",
                            "sites": [test["site"]],
                            "rows": test["rows"],
                            "protocols": test.get("protocols"),
                        }
                        found |= self.runs_of(card, shown | {"rows": []}) | {
                            run
                            for row in test["rows"]
                            for protocol in self.protocols(card, shown)
                            for seed in self.seeds(card)
                            for run in self.with_starts(Run(row, test["site"], card, protocol, str(seed)))
                        }
        return found


# Kinds that tell of networks, not of trainings.
READ_NO_RUNS = ("architecture",)
# Kinds of exhibit that show how cells were sampled, whatever rows they have.
READ_SAMPLES = ("audit", "rate_curves", "recognised_shares")


class Folder(NamedTuple):
    """A folder in which Snakemake finds every exhibit finished, and the copy of the repository it runs
    from."""

    path: Path
    repository: Path
    selected: list[str]
    made: dict[str, tuple[str, list[str]]]  # rule and inputs of every file

    def dry_run(self, *targets: str) -> str:
        result = snakemake(
            self.path, "--snakefile", str(self.repository / "Snakefile"), "--dry-run", *targets
        )
        return result.stdout + result.stderr

    def closure(self, files: Iterable[str]) -> set[str]:
        """The files and all that they are made from."""
        found, left = set(), list(files)
        while left:
            if (name := left.pop()) not in found:
                found.add(name)
                left += self.made.get(name, ("", []))[1]
        return found


@pytest.fixture(scope="module")
def finished_on_paper(tmp_path_factory) -> Folder:
    """Snakemake's own records of all jobs as done, with empty files: `--touch` records without running
    anything."""
    folder, repository = (
        tmp_path_factory.mktemp("targets") / "run",
        tmp_path_factory.mktemp("copy") / "repository",
    )
    ignored = shutil.ignore_patterns(".git", ".venv", "results", ".snakemake", "__pycache__", "tests")
    shutil.copytree(REPOSITORY, repository, ignore=ignored)
    configure(folder)
    snakefile = ("--snakefile", str(repository / "Snakefile"))
    touched = snakemake(folder, *snakefile, "--touch")
    skipped = re.findall(r"Card (\S+) is skipped", touched.stderr)
    lines = [
        line.split("\t") for line in snakemake(folder, *snakefile, "--detailed-summary").stdout.splitlines()
    ]
    column = {name: number for number, name in enumerate(lines[0])}
    made = {}
    for line in lines[1:]:
        inputs = line[column["input-file(s)"]]
        made[line[0]] = line[column["rule"]], [] if inputs in ("-", "") else inputs.split(",")
    now = (folder / "config.yaml").stat().st_mtime
    for name in made:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (now, now))
    return Folder(folder, repository, [card for card in CARDS if card not in skipped], made)


def files_of(card: str, exhibit: str, made: Iterable[str]) -> list[str]:
    wanted = {f"results/{kind}/{card}/{exhibit}" for kind in ("tables", "figures")}
    return [name for name in made if name.rpartition(".")[0] in wanted]


def runs_in(text: str) -> set[Run]:
    return {Run(*found) for found in RUNS.findall(text)}


def exhibits_in(text: str) -> set[tuple[str, str]]:
    return {(card, exhibit) for exhibit, card in EXHIBITS.findall(text)}


def with_overlay(folder: Folder, *targets: str, **changes: Any) -> str:
    """A dry run with a changed configuration, which is put back."""
    configure(folder.path, **changes)
    try:
        return folder.dry_run(*targets)
    finally:
        configure(folder.path)


def test_every_exhibit_asks_for_its_own_runs_and_no_others(finished_on_paper):
    cards = Cards()
    for card, name, exhibit in cards.exhibits():
        if card not in finished_on_paper.selected:
            continue
        files = files_of(card, name, finished_on_paper.made)
        made = {file.rpartition(".")[2] for file in files}
        assert made in ({"csv", "md", "html", "tex"}, {"png", "pdf", "csv"}), (card, name)
        found = set()
        for file in finished_on_paper.closure(files):
            if finished_on_paper.made.get(file, ("",))[0] in TRAINERS:
                of_card, site, experiment, protocol, seed = file.split("/")[2:7]
                found.add(Run(experiment, site, of_card, protocol, seed.removeprefix("seed")))
        assert found == cards.runs_of(card, exhibit), (card, name)


def test_a_finished_folder_has_nothing_to_do(finished_on_paper):
    text = finished_on_paper.dry_run("all", "tables", "figures", "claims", "audit", "gao2021_table7")
    assert not runs_in(text) and not exhibits_in(text)


@pytest.mark.parametrize("parity", [0, 1])
def test_a_new_caption_redoes_that_exhibit_only(finished_on_paper, parity):
    """Half of the exhibits get a new caption, then the other half."""
    changed = [(card, name) for card, name, _ in Cards().exhibits() if card in finished_on_paper.selected][
        parity::2
    ]
    overlay: dict[str, Any] = {}
    for card, name in changed:
        overlay.setdefault(card, {"exhibits": {}})["exhibits"][name] = {"caption": "Another caption."}
    text = with_overlay(finished_on_paper, overlay=overlay)
    assert exhibits_in(text) == set(changed)
    assert not runs_in(text) and "Mapping" not in text and "Scoring" not in text


def test_a_new_row_adds_its_own_runs_only(finished_on_paper):
    """Every exhibit with rows gets one more, a copy of its first under a name of its own, which tells whose
    run it is."""
    cards = Cards()
    overlay: dict[str, Any] = {}
    wanted: dict[tuple[str, str], set[Run]] = {}
    for card, name, exhibit in cards.exhibits():
        rows = cards.rows(card, exhibit)
        if card not in finished_on_paper.selected or not rows:
            continue
        extra = f"extra_{card}_{name}"
        change = overlay.setdefault(card, {"experiments": {}, "exhibits": {}})
        change["experiments"][extra] = cards.experiments(card)[rows[0]]
        change["exhibits"][name] = {"rows": [*exhibit["rows"], extra]}
        if "rows" in cards.scale(card):
            change.setdefault("scales", {SCALE: {"rows": list(cards.scale(card)["rows"])}})[SCALE][
                "rows"
            ].append(extra)
        runs = cards.runs_of(card, exhibit | {"rows": [rows[0]]})
        wanted[card, name] = {
            run._replace(experiment=extra)
            for run in runs
            if run.experiment == rows[0] and run.site in exhibit["sites"]
        }
    text = with_overlay(finished_on_paper, overlay=overlay)
    assert exhibits_in(text) == set(wanted)
    for (card, name), runs in wanted.items():
        assert {run for run in runs_in(text) if run.experiment == f"extra_{card}_{name}"} == runs, (
            card,
            name,
        )
    assert runs_in(text) == set().union(*wanted.values())


def test_a_new_seed_adds_its_trainings_and_the_exhibits_that_use_it(finished_on_paper):
    before, after, selected = Cards(), Cards(seeds=[0, 1]), finished_on_paper.selected
    added, redone = set(), set()
    for card, name, exhibit in before.exhibits():
        if card in selected and (new := after.runs_of(card, exhibit) - before.runs_of(card, exhibit)):
            added |= new
            redone.add((card, name))
    added |= after.claim_runs(selected) - before.claim_runs(selected)
    text = with_overlay(finished_on_paper, seeds=[0, 1])
    assert {run.seed for run in runs_in(text)} == {"1"}
    assert runs_in(text) == added
    assert exhibits_in(text) == redone
    assert "Judging the claims" in text and "Stacking" not in text
    # Under blocked the new seed tests another fold of the ground.
    assert "Choosing blocked" in text and "Choosing published" not in text


def test_one_exhibit_with_a_new_seed_trains_its_own_rows_only(finished_on_paper):
    exhibit = Cards().records["xia2021"]["exhibits"]["fine_tuning"]
    added = Cards(seeds=[0, 1]).runs_of("xia2021", exhibit) - Cards().runs_of("xia2021", exhibit)
    text = with_overlay(finished_on_paper, "xia2021_fine_tuning", seeds=[0, 1])
    assert runs_in(text) == added and exhibits_in(text) == {("xia2021", "fine_tuning")}


def test_an_edited_module_redoes_the_exhibits_that_it_makes(finished_on_paper):
    """The library as a whole reruns nothing; the module of a kind of exhibit makes those of its kind again,
    and what figures share makes every figure again."""
    library = finished_on_paper.repository / "workflow/scripts/headscarp"
    edited = (
        "plan/plan.py",
        "training/trainer.py",
        "networks/unet.py",
        "scoring/score.py",
        "mapping/network_map.py",
        "exhibits/runs.py",
    )
    exhibits = {
        (card, name): KINDS[exhibit["kind"]].module
        for card, name, exhibit in Cards().exhibits()
        if card in finished_on_paper.selected
    }
    figures = {key for key, module in exhibits.items() if module.startswith("figures.")}
    curves = {key for key, module in exhibits.items() if module == "figures.curves"}
    for files, made in (
        (edited, set()),
        (("exhibits/figures/curves.py",), curves),
        (("exhibits/panels/legend.py",), figures),
    ):
        before = {name: (library / name).read_text(encoding="utf-8") for name in files}
        try:
            for name, source in before.items():
                (library / name).write_text(source + "\n# edited\n", encoding="utf-8")
            text = finished_on_paper.dry_run()
        finally:
            for name, source in before.items():
                (library / name).write_text(source, encoding="utf-8")
        assert exhibits_in(text) == made and not runs_in(text)
    assert len(curves) > 2 and len(figures) > 20 and len(exhibits) > len(figures)


# --- Names.


def test_the_gallery_waits_for_all_that_is_asked_for_and_alone_for_nothing(tmp_path):
    folder = tmp_path / "run"
    configure(folder, cards=["gao2021"])
    snakemake(folder, "gallery")
    assert "Nothing has been made yet" in (folder / "results/index.html").read_text()
    jobs = planned(snakemake(folder, "--dry-run"))
    assert jobs["build_gallery"] == 1 and jobs["build_table"] > 1


def test_the_list_holds_every_target_with_what_it_is(tmp_path):
    configure(tmp_path / "run", cards=["gao2021", "stfusion"])
    result = snakemake(tmp_path / "run", "list", "--cores", "1")
    lines = {
        words[0]: words[1].strip()
        for line in result.stdout.splitlines()
        if (words := line.split(maxsplit=1))[1:]
    }
    for card, name, exhibit in Cards().exhibits():
        kind = "table" if KINDS[exhibit["kind"]].is_table else "figure"
        assert lines[f"{card}_{name}"].split(maxsplit=1) == [kind, exhibit["title"]]
    assert {"all", "tables", "figures", "claims", "audit", "list"} <= set(lines)
    assert lines["gao2021"] == Cards().records["gao2021"]["title"] and lines["zhang2024"].endswith(
        "(not among the `cards` of config.yaml)"
    )
    assert lines["results/sites/zigui/summary.html"] == Cards().records["gao2021"]["sites"]["zigui"]["title"]
    assert not (tmp_path / "run/results").exists()


def test_tables_and_figures_ask_for_all_of_their_kind(tmp_path):
    configure(tmp_path / "run", cards=["gao2021", "stfusion"])
    text = snakemake(tmp_path / "run", "tables", "--dry-run").stdout
    assert (
        {name for _, name in exhibits_in(text) if name.startswith("fig")} == set()
        and "Judging" in text
        and "Auditing" in text
    )
    records = Cards().records
    wanted = {
        (card, name)
        for card in ("gao2021", "stfusion")
        for name, one in records[card]["exhibits"].items()
        if KINDS[one["kind"]].is_table
    }
    assert exhibits_in(text) == wanted


ROMAN = {"I": 1, "II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6, "VII": 7, "VIII": 8, "IX": 9, "X": 10}
NUMBERED = re.compile(r"(Table|Fig)s?\.? ([IVX\d]+)(?:(?:-| and )([IVX\d]+))?\b")


def test_every_table_and_figure_that_a_title_numbers_can_be_asked_for():
    """Two of "Tables 1 and 2" as well, by either number."""
    exhibits = named_exhibits(load_plan({"cards": ["gao2021"], "scale": SCALE}, REPOSITORY), [])
    asked = 0
    for card, _, exhibit in Cards().exhibits():
        if found := NUMBERED.match(exhibit["title"]):
            first, *last = (ROMAN.get(one) or int(one) for one in found.groups()[1:] if one)
            for number in range(first, (last or [first])[0] + 1):
                assert f"{card}_{found[1].lower()}{number}" in exhibits, exhibit["title"]
                asked += 1
    assert asked > 50 and exhibits["xia2021_table2"] is exhibits["xia2021_table1"]


@pytest.mark.parametrize(
    ("cards", "taken", "message"),
    [
        (
            {"list": "gao2021"},
            ["all", "list"],
            "the target 'list' would be both a rule of the workflow and card list; rename",
        ),
        (
            {"gao2021_table7": "iburi2018"},
            [],
            "would be both card gao2021_table7 and exhibit table7 of card gao2021",
        ),
    ],
)
def test_two_targets_of_one_name_are_refused(cards, taken, message):
    class Stub:
        pass

    plan = load_plan({"cards": ["gao2021"], "scale": SCALE}, REPOSITORY)
    stub = Stub()
    stub.cards = plan.cards | {name: Renamed(plan.cards[card], name) for name, card in cards.items()}
    with pytest.raises(HeadscarpError, match=re.escape(message)):
        named_exhibits(stub, taken)


class Renamed:
    """A card under another name."""

    def __init__(self, card: Any, name: str) -> None:
        self.name, self.exhibits = name, card.exhibits
