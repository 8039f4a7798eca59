"""What runs say of themselves, the record of a folder of results, and its RO-Crate; checked against git,
sha256sum and RO-Crate's text."""

import hashlib
import json
import shutil
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from headscarp import __version__
from headscarp import provenance as run_provenance
from headscarp.delivery import provenance
from headscarp.delivery.crate import METADATA, build_crate
from headscarp.errors import HeadscarpError
from headscarp.mapping.cell_models import fit_cell_model
from headscarp.mapping.forest import run_forest
from headscarp.plan.plan import load_plan
from headscarp.training.cells import train_cells
from headscarp.training.trainer import train_run
from tests.conftest import REPOSITORY
from tests.unit.mapping.test_susceptibility import make_site as make_cells
from tests.unit.mapping.test_susceptibility import spec_of
from tests.unit.training.test_training import SPEC, make_site

pytestmark = pytest.mark.slow

CONFIG = {"cards": ["gao2021"], "scale": "tiny", "seeds": [0, 1]}


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def git(folder, *arguments):
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


class TestCode:
    @pytest.fixture
    def checkout(self, tmp_path, monkeypatch):
        """A repository with a package where headscarp's lies."""
        if not shutil.which("git"):
            pytest.skip("git is not installed")
        package = tmp_path / "repository" / "workflow" / "scripts" / "headscarp"
        package.mkdir(parents=True)
        for path in (
            package / "__init__.py",
            tmp_path / "repository" / "Snakefile",
            tmp_path / "repository" / "config.yaml",
        ):
            path.write_text("a = 1\n")
        root = tmp_path / "repository"
        for arguments in (("init",), ("add", "."), ("commit", "-m", "first")):
            git(root, *arguments)
        monkeypatch.setattr(run_provenance, "PACKAGE", package)
        return root

    def told(self):
        return run_provenance.code_version.__wrapped__()

    def test_a_checkout_tells_its_commit(self, checkout):
        assert self.told() == {
            "version": __version__,
            "commit": git(checkout, "rev-parse", "HEAD"),
            "dirty": False,
        }

    @pytest.mark.parametrize(
        ("file", "dirty"),
        [("Snakefile", True), ("workflow/new.py", True), ("config.yaml", False), ("results.txt", False)],
    )
    def test_only_changed_code_is_dirty(self, checkout, file, dirty):
        (checkout / file).write_text("a = 2\n")
        assert self.told()["dirty"] is dirty

    def test_a_git_hook_of_another_repository_is_not_asked(self, checkout, tmp_path, monkeypatch):
        other = tmp_path / "other"
        other.mkdir()
        git(other, "init")
        commit = git(checkout, "rev-parse", "HEAD")
        monkeypatch.setenv("GIT_DIR", str(other / ".git"))
        assert self.told()["commit"] == commit

    def test_an_installed_package_has_no_commit_even_inside_a_repository(self, checkout, monkeypatch):
        site = checkout / ".venv" / "site-packages" / "headscarp"
        site.mkdir(parents=True)
        (site / "__init__.py").touch()
        monkeypatch.setattr(run_provenance, "PACKAGE", site)
        assert self.told() == {"version": __version__, "commit": None, "dirty": None}

    def test_without_git_nothing_is_claimed(self, checkout, monkeypatch):
        monkeypatch.setenv("PATH", "")
        assert self.told()["commit"] is None


class TestRuns:
    def check(self, folder, read):
        record = json.loads((folder / "run.json").read_text())
        assert record["inputs"] == {str(path): digest(path) for path in read}
        started, finished = (datetime.fromisoformat(record[key]) for key in ("started", "finished"))
        assert started.utcoffset().total_seconds() == 0 and started <= finished
        assert record["code"]["version"] == __version__ and record["python"].count(".") == 2

    def read(self, cube, samples):
        return [cube / "cube.npy", cube / "cube.json", cube / "label.npy", *sorted(samples.iterdir())]

    def test_of_a_network(self, tmp_path):
        site = make_site(tmp_path)
        (site[1] / ".windows.12.partial.csv").touch()  # of a job killed while it wrote
        train_run(*site, tmp_path / "first", SPEC, "cpu", progress=False)
        read = [path for path in self.read(*site) if not path.name.startswith(".")]
        self.check(tmp_path / "first", read)
        start = tmp_path / "first" / "model.safetensors"
        train_run(*site, tmp_path / "second", SPEC, "cpu", progress=False, start=start)
        self.check(tmp_path / "second", [*read, start])

    def test_of_models_of_cells(self, tmp_path):
        site = make_cells(tmp_path, shape=(60, 60))
        train_cells(
            *site,
            tmp_path / "cnn",
            spec_of(recipe={"epochs": 1, "steps_per_epoch": 1}),
            "cpu",
            1,
            progress=False,
        )
        fit_cell_model(*site, tmp_path / "lr", tmp_path / "lr", spec_of("logistic_regression"))
        for name in ("cnn", "lr"):
            self.check(tmp_path / name, self.read(*site))

    def test_of_a_forest(self, tmp_path):
        site = make_site(tmp_path)
        spec = {"network": {"params": {"n_estimators": 2}}, "channels": SPEC["channels"], "seed": 0}
        # this cube has no grid to draw a map on; the record is written before
        with pytest.raises((KeyError, HeadscarpError)):
            run_forest(*site, tmp_path / "run", tmp_path / "run", spec)
        self.check(tmp_path / "run", self.read(*site))


def test_the_checksum_of_a_folder_is_that_of_sha256sum(tmp_path):
    (tmp_path / "b").mkdir()
    for name, text in (("b/one.txt", "1"), ("a.txt", "22")):
        (tmp_path / name).write_text(text)
    command = "find . -type f -printf '%P\\n' | LC_ALL=C sort | xargs sha256sum | sha256sum"
    listed = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.split()[0]
    assert provenance.checksum(tmp_path) == {"files": 2, "bytes": 3, "sha256": listed}
    assert provenance.checksum(tmp_path / "none") == {"missing": True}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with every file that the card gao2021 delivers (of made-up content) and two runs, one
    as old versions wrote them."""
    monkeypatch.chdir(tmp_path)
    plan = load_plan(CONFIG, REPOSITORY)
    raw = plan.sites["zigui"].raw_files
    for path in [*plan.targets("gao2021"), *plan.claims.targets, *plan.audit.targets, *raw]:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(path)
    for seed, told in (
        (0, {}),
        (
            1,
            {
                "code": {"version": "0.1.0"},
                "inputs": {"a.npy": "0" * 64},
                "started": "2026-01-01T00:00:00+00:00",
            },
        ),
    ):
        run = Path(f"results/runs/gao2021/zigui/unet/blocked/seed{seed}")
        run.mkdir(parents=True, exist_ok=True)
        (run / "model.safetensors").write_bytes(b"weights")
        record = {"seed": seed, "versions": {"torch": "2"}, "device": "cpu", "threads": 1, "seconds": 2.5}
        (run / "run.json").write_text(
            json.dumps(record | told | ({"finished": "2026-01-01T00:01:00+00:00"} if told else {}))
        )
    config = CONFIG | {"seeds": [0, 1], "overlay": {}}
    record = provenance.describe_results(plan.provenance.record, config, REPOSITORY)
    Path("results/provenance.json").write_text(json.dumps(record, allow_nan=False))
    return tmp_path


class TestRecord:
    def test_cards_sites_and_exhibits(self, folder):
        record = json.loads(Path("results/provenance.json").read_text())
        assert (
            record["scale"] == "tiny"
            and record["config"]["cards"] == ["gao2021"]
            and record["packages"]["numpy"]
        )
        card = record["cards"]["gao2021"]
        assert card["file"] == "workflow/cards/gao2021.yaml" and card["sha256"] == digest(
            REPOSITORY / card["file"]
        )
        assert card["seeds"] == [0, 1] and "Gao" in card["citation"]
        zigui, jiuzhaigou = record["sites"]["zigui"], record["sites"]["jiuzhaigou"]
        assert zigui["data"] == "twin" and isinstance(zigui["seed"], int)
        assert {path: found["sha256"] for path, found in zigui["files"].items()} == {
            path: digest(path) for path in zigui["files"]
        }
        assert zigui["files"] and all(found == {"missing": True} for found in jiuzhaigou["files"].values())
        names = {one["name"] for one in record["exhibits"]}
        assert {"table1", "table7", "fig1", "fig10", "claims", "audit"} <= names
        for one in (*record["exhibits"], *record["maps"]):
            assert {path: found["sha256"] for path, found in one["files"].items()} == {
                path: digest(path) for path in one["files"]
            }

    def test_runs_old_and_new(self, folder):
        old, new = json.loads(Path("results/provenance.json").read_text())["runs"]
        assert (old["experiment"], old["protocol"], old["seed"], old["seconds"]) == (
            "unet",
            "blocked",
            0,
            2.5,
        )
        assert old["code"] is old["inputs"] is old["started"] is None
        assert new["inputs"] == {"a.npy": "0" * 64} and new["code"] == {"version": "0.1.0"}
        assert new["model"]["sha256"] == hashlib.sha256(b"weights").hexdigest()
        assert new["record"]["sha256"] == digest(folder / new["path"] / "run.json")

    def test_raw_files_tell_where_they_come_from(self, tmp_path):
        (tmp_path / "b.tif").write_text("pixels")
        (tmp_path / "b.tif.json").write_text('{"kind": "sentinel2"}')
        told = provenance.raw_files([f"{tmp_path}/b.tif"], {"b.tif": {"licence": "CC0"}})[f"{tmp_path}/b.tif"]
        assert (
            told["licence"] == "CC0"
            and told["acquisition"] == {"kind": "sentinel2"}
            and told["sha256"] == digest(tmp_path / "b.tif")
        )

    def test_sites_of_other_cards_and_collages_are_described_once(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        sites = load_plan(
            {"cards": ["networks", "stfusion"], "scale": "tiny", "mirror": str(tmp_path)}, REPOSITORY
        ).provenance.record["sites"]
        collage = sites["karakoram_sichuan"]
        assert collage["files"] == [] and set(collage["scenes"]) < set(sites)
        files = [path for site in sites.values() for path in site["files"]]
        assert len(files) == len(set(files))


class TestCrate:
    @pytest.fixture
    def crate(self, folder):
        record = json.loads(Path("results/provenance.json").read_text())
        build_crate(record, REPOSITORY, "results/crate")
        return folder / "results" / "crate"

    def entities(self, crate):
        metadata = json.loads((crate / METADATA).read_text())
        assert metadata["@context"][0] == "https://w3id.org/ro/crate/1.1/context"
        found = {entity["@id"]: entity for entity in metadata["@graph"]}
        assert len(found) == len(metadata["@graph"])
        return found

    def test_descriptor_and_root(self, crate):
        found = self.entities(crate)
        descriptor, root = found["ro-crate-metadata.json"], found["./"]
        assert descriptor["@type"] == "CreativeWork" and descriptor["about"] == {"@id": "./"}
        conforms = {one["@id"] for one in descriptor["conformsTo"]}
        assert conforms == {
            "https://w3id.org/ro/crate/1.1",
            "https://w3id.org/workflowhub/workflow-ro-crate/1.0",
        }
        assert root["@type"] == "Dataset" and datetime.fromisoformat(root["datePublished"])
        assert all(root[key] for key in ("name", "description", "license", "mainEntity", "hasPart"))
        assert "author" not in root  # unknown

    def test_main_entity_is_the_workflow(self, crate):
        found = self.entities(crate)
        workflow = found[found["./"]["mainEntity"]["@id"]]
        assert set(workflow["@type"]) == {"File", "SoftwareSourceCode", "ComputationalWorkflow"}
        assert (crate / workflow["@id"]).read_text() == (REPOSITORY / "Snakefile").read_text()
        assert found[workflow["programmingLanguage"]["@id"]]["@type"] == "ComputerLanguage"
        assert not list(crate.rglob("__pycache__"))

    def test_every_part_is_there_as_described_and_every_result_is_a_part(self, crate):
        found = self.entities(crate)
        parts = {one["@id"] for one in found["./"]["hasPart"]}
        local = {name for name in parts if not name.startswith("http")}
        for name in local - {"workflow/"}:
            assert int(found[name]["contentSize"]) == (crate / name).stat().st_size and found[name][
                "sha256"
            ] == digest(crate / name)
        there = {
            path.relative_to(crate).as_posix() for path in (crate / "results").rglob("*") if path.is_file()
        }
        assert there == {name for name in local if name.startswith("results/")}
        assert {
            "results/provenance.json",
            "results/tables/gao2021/table7.csv",
            "results/figures/gao2021/fig10.png",
        } <= there
        assert not any(name.endswith(".safetensors") for name in there)

    def test_every_reference_inside_resolves(self, crate):
        found = self.entities(crate)

        def references(value):
            if isinstance(value, list):
                return [one for part in value for one in references(part)]
            if isinstance(value, dict):
                return [value["@id"]]
            return []

        told = {
            name
            for entity in found.values()
            for key, value in entity.items()
            if key != "@id"
            for name in references(value)
        }
        missing = {name for name in told if not name.startswith("http")} - set(found)
        assert not missing

    def test_runs_are_actions(self, crate):
        found = self.entities(crate)
        actions = [found[one["@id"]] for one in found["./"]["mentions"]]
        assert [action["@type"] for action in actions] == ["CreateAction"] * 2
        assert "startTime" not in actions[0] and actions[1]["endTime"] == "2026-01-01T00:01:00+00:00"
        for action in actions:
            assert found[action["instrument"]["@id"]]["@type"] == "SoftwareApplication"
            assert (crate / action["result"]["@id"]).is_file() and "simulated" in found[
                action["object"]["@id"]
            ]["description"]

    def test_the_configuration_in_force_runs_again(self, crate, tmp_path, monkeypatch):
        import yaml

        again = yaml.safe_load((crate / "config.yaml").read_text())
        assert load_plan(again, crate).targets("gao2021") == load_plan(CONFIG, REPOSITORY).targets("gao2021")

    def test_files_of_an_archive_stay_at_their_address_with_their_licence(self, folder):
        record = json.loads(Path("results/provenance.json").read_text())
        table = {"b.tif": {"url": "https://example.org/b.tif", "licence": "CC0", "citation": "B., 2020"}}
        record["sites"]["zigui"]["files"] = {
            "results/sites/zigui/raw/b.tif": {"bytes": 3, "sha256": "0" * 64} | table["b.tif"]
        }
        build_crate(record, REPOSITORY, "results/crate")
        found = self.entities(Path("results/crate"))
        remote = found["https://example.org/b.tif"]
        assert (remote["@type"], remote["license"], remote["contentSize"]) == ("File", "CC0", "3")
        assert {"@id": remote["@id"]} in found["./"]["hasPart"]

    def test_it_is_whole_or_not_at_all(self, folder):
        record = json.loads(Path("results/provenance.json").read_text())
        Path("results/tables/gao2021/table7.csv").unlink()
        with pytest.raises(FileNotFoundError, match=r"table7\.csv"):
            build_crate(record, REPOSITORY, "results/crate")
        assert not Path("results/crate").exists() and not list(Path("results").glob(".crate*"))
