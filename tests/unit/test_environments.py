"""Each conda environment holds what the scripts that use it import, at the versions of pyproject.toml."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions

import pytest
import yaml
from packaging.requirements import Requirement

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow

SCRIPTS = REPOSITORY / "workflow" / "scripts"
ENVIRONMENTS = [path.stem for path in sorted((REPOSITORY / "envs").glob("*.yaml"))]
DISTRIBUTION = {
    "PIL": "pillow",
    "odc.geo": "odc-geo",
    "odc.stac": "odc-stac",
    "pystac_client": "pystac-client",
    "richdem": "richdem2",
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "mpl_toolkits": "matplotlib",
    "yaml": "pyyaml",
}
# Needed without an import: xarray's reader of NetCDF 4, and what Optuna's GPSampler imports but Optuna does
# not require.
UNIMPORTED = {"geo": {"h5netcdf"}, "torch": {"scipy"}}
OF_SNAKEFILE = {"list.py"}
OUTSIDE_JOBS = {"snakemake", "pygments"}  # Snakemake, its report, and the plan


def rules():
    """(name, text) of every rule, one made in a loop without a name; those that only change another (`use
    rule`) are not among them."""
    for file in sorted((REPOSITORY / "workflow" / "rules").glob("*.smk")):
        for block in re.split(r"^\s*(?=(?:use )?rule\b)", file.read_text(), flags=re.MULTILINE):
            if found := re.match(r"rule *(\w*):", block):
                yield found[1], block


def scripts_of_environments():
    """(environment, script) of every rule that has a script."""
    pairs = []
    for _, block in rules():
        environment = re.search(r"envs/(\w+)\.yaml", block)
        script = re.search(r"scripts/(\w+\.py)\"", block)
        if script:
            pairs.append((environment.group(1), script.group(1)))
    return pairs


def imported_packages(path, seen):
    """Third-party packages that importing a file imports, following the library's own modules; names under a
    function count too."""
    if path in seen:
        return set()
    seen.add(path)
    packages = set()
    source = path.read_text()
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.startswith("headscarp"):
                module = SCRIPTS / name.replace(".", "/")
                for file in (module.with_suffix(".py"), module / "__init__.py"):
                    if file.exists():
                        packages |= imported_packages(file, seen)
            else:
                packages.add(name)
    if "import_module(" in source:  # a registry of the modules beside it and below
        for file in path.parent.rglob("*.py"):
            packages |= imported_packages(file, seen)
    return {package for package in packages if package.split(".")[0] not in sys.stdlib_module_names}


def distributions_of(script):
    """Distributions that a script imports; of a namespace that several share, by the second name."""
    names = (name.split(".") for name in imported_packages(SCRIPTS / script, set()))
    names = (".".join(parts[:2]) if parts[0] == "odc" else parts[0] for parts in names)
    return {DISTRIBUTION.get(name, name) for name in names}


def packages_of(environment):
    pins = yaml.safe_load((REPOSITORY / "envs" / f"{environment}.yaml").read_text())["dependencies"][-1][
        "pip"
    ]
    return dict(pin.split("==") for pin in pins)


def pins_of_project():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]
    return dict(pin.split("==") for pin in project)


@pytest.mark.parametrize(("environment", "script"), scripts_of_environments())
def test_environment_holds_what_the_script_imports(environment, script):
    assert distributions_of(script) <= set(packages_of(environment))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_environment_holds_nothing_else(environment):
    used = set().union(
        *(distributions_of(script) for name, script in scripts_of_environments() if name == environment)
    )
    assert set(packages_of(environment)) == used | UNIMPORTED.get(environment, set())


def test_training_needs_no_geospatial_package():
    assert not {"rasterio", "richdem2", "geopandas"} & set(packages_of("torch"))


def test_only_what_runs_a_network_imports_torch():
    """Importing torch takes a second, longer than many of the other jobs work. Exhibits import it for tables
    of what networks cost alone, when such a table is made."""
    of_torch = {
        script
        for environment, script in scripts_of_environments()
        if environment != "report" and "torch" in distributions_of(script)
    }
    assert of_torch == {
        "explain_run.py",
        "map_scene.py",
        "map_susceptibility.py",
        "permute_factors.py",
        "rehearse_training.py",
        "search_hyperparameters.py",
        "train_network.py",
        "train_susceptibility.py",
    }


def test_every_environment_is_used():
    assert {environment for environment, _ in scripts_of_environments()} == set(ENVIRONMENTS)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_python_and_pip_alone_come_from_conda(environment):
    """All else is pinned for pip, so that the same versions are had with and without conda."""
    record = yaml.safe_load((REPOSITORY / "envs" / f"{environment}.yaml").read_text())
    assert record["channels"] == ["conda-forge"] and record["dependencies"][:-1] == ["python=3.11", "pip"]


def test_pins_are_those_of_the_project():
    """In both directions: no environment pins otherwise, and nothing that a job uses is pinned for the
    project alone."""
    pins = {pin for environment in ENVIRONMENTS for pin in packages_of(environment).items()}
    assert pins == {
        (name, version) for name, version in pins_of_project().items() if name not in OUTSIDE_JOBS
    }


# --- a Snakemake that has nothing else installed plans all


def required_by(name):
    """Names of a distribution and of all that it requires, by their metadata, as written there."""
    found, waiting = {}, [name]
    while waiting:
        name = waiting.pop()
        if name.lower() in found:
            continue
        try:
            found[name.lower()] = distribution(name)
        except PackageNotFoundError:  # required on another system or Python
            continue
        for requirement in map(Requirement, found[name.lower()].requires or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return {found[name].name for name in found}


PLAN = """
import sys
from importlib.abc import MetaPathFinder

class Refusing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in REFUSED:
            raise ModuleNotFoundError(f"{name} does not come with Snakemake")

REFUSED = set(sys.argv[2].split(","))
sys.meta_path.insert(0, Refusing())
from headscarp.plan.plan import load_plan
plan = load_plan({"cards": ["gao2021"], "scale": "tiny", "offline": True}, sys.argv[1])
print(sum(len(list(plan.targets(card))) for card in plan.cards))
"""


def test_the_plan_needs_no_more_than_snakemake_installs():
    """Otherwise `pip install snakemake` would not do for `snakemake --use-conda`."""
    come = required_by("snakemake")
    refused = {name for name, owners in packages_distributions().items() if not come & set(owners)} - {
        "headscarp"
    }
    assert {"numpy", "filelock", "tqdm", "torch"} <= refused and not {
        "yaml",
        "jsonschema",
        "snakemake",
    } & refused
    command = [sys.executable, "-c", PLAN, str(REPOSITORY), ",".join(sorted(refused))]
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 100


def test_every_rule_has_a_script_of_its_name():
    """Except those that make nothing and only name other rules' files."""
    for name, block in rules():
        if re.search(r"^\s*output:", block, flags=re.MULTILINE):
            assert (SCRIPTS / re.search(r'"../scripts/(\w+.py)"', block)[1]).exists()
            assert "message:" in block and "log:" in block
            assert not name or f'"../scripts/{name}.py"' in block


def test_no_script_is_without_a_rule():
    assert {script for _, script in scripts_of_environments()} | OF_SNAKEFILE == {
        path.name for path in SCRIPTS.glob("*.py")
    }
