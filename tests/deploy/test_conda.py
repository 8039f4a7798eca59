"""`snakemake --use-conda` from a Snakemake that has nothing else: one table of gao2021, made in the
environments of envs/.

Conda channels are out of reach of many a test machine, so python and pip come from a local channel through a
stand-in for conda (`conda/`); all else comes from the package index that pip is set up for, as on a user's
machine.
"""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.unit.test_environments import ENVIRONMENTS, packages_of, scripts_of_environments

HERE = Path(__file__).parent / "conda"
TABLE = "results/tables/gao2021/table7.csv"
CONFIG = {
    "cards": ["gao2021"],
    "scale": "tiny",
    "protocols": ["blocked"],
    "overlay": {"gao2021": {"exhibits": {"table7": {"rows": ["unet", "fc_densenet+factors"]}}}},
}
SCRIPTS = {
    "geo": {"simulate_twin", "derive_terrain", "align_layers", "stack_cube", "sample_windows", "score_run"},
    "torch": {"train_network"},
    "map": {"map_scene"},
    "report": {"build_table"},
}
# What an environment's Python does first: it notes where it runs and what.
NOTE = (
    "import sys\nwith open({path!r}, 'a') as notes:\n    notes.write(f'{{sys.prefix}} "
    "{{sys.orig_argv[-1]}}\\n')\n"
)


def call(*command: str | Path, **variables: str) -> subprocess.CompletedProcess:
    """Run a command that must succeed, without what this Python's environment would lend it."""
    lent = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    # compiling all of torch, once an environment, would take longer than compiling what is imported
    own = {"OMP_NUM_THREADS": "1", "PIP_NO_COMPILE": "1"}
    environment = {name: value for name, value in os.environ.items() if name not in lent} | own | variables
    result = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env=environment, check=False
    )
    assert not result.returncode, (
        f"{command} ended with {result.returncode}:\n{result.stdout[-5000:]}\n{result.stderr[-10000:]}"
    )
    return result


def make_python(folder: Path, *packages: str) -> Path:
    """A virtual environment that holds some packages; its folder of commands."""
    call(sys.executable, "-m", "venv", folder)
    call(folder / "bin" / "python", "-m", "pip", "install", "--quiet", *packages)
    return folder / "bin"


@pytest.fixture(scope="module")
def conda(tmp_path_factory):
    """Folder of the stand-in's commands."""
    for environment in ENVIRONMENTS:
        wanted = yaml.safe_load((REPOSITORY / "envs" / f"{environment}.yaml").read_text())["dependencies"][0]
        if wanted != "python={}.{}".format(*sys.version_info):
            pytest.skip(
                f"envs/{environment}.yaml wants {wanted}, and the local channel has the Python "
                f"{sys.version.split()[0]} of this test"
            )
    folder = tmp_path_factory.mktemp("conda")
    try:
        commands = make_python(folder / "python", "py-rattler==0.28.0", "pyyaml==6.0.3", "pip==26.3")
    except AssertionError as error:
        pytest.skip(
            f"py-rattler, which stands in for conda, cannot be installed: "
            f"{str(error).strip().splitlines()[-1]}"
        )
    call(commands / "python", HERE / "install.py", folder / "root")
    return folder / "root" / "bin"


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Folder of the commands of a Snakemake that has nothing but what it needs itself."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    (pin,) = (name for name in project["dependencies"] if name.startswith("snakemake=="))
    return make_python(tmp_path_factory.mktemp("snakemake"), pin)


@pytest.fixture(scope="module")
def made(tmp_path_factory, conda, alone):
    """Folder of a finished run: the environments by name, and (environment, script) of every job in
    `notes`."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    command = [
        alone / "snakemake",
        "--snakefile",
        REPOSITORY / "Snakefile",
        "--directory",
        folder,
        "--cores",
        "2",
        "--use-conda",
        TABLE,
    ]
    path = os.pathsep.join([str(conda), str(alone), os.environ["PATH"]])
    call(*command, "--conda-create-envs-only", PATH=path)
    contents = {(REPOSITORY / "envs" / f"{name}.yaml").read_text(): name for name in ENVIRONMENTS}
    for copy in (folder / ".snakemake" / "conda").glob("*.yaml"):
        (folder / contents[copy.read_text()]).symlink_to(copy.with_suffix(""))
    for name in ENVIRONMENTS:
        (site_packages,) = (folder / name).glob("lib/python*/site-packages")
        (site_packages / "sitecustomize.py").write_text(NOTE.format(path=str(folder / "notes")))
    call(*command, PATH=path)
    return folder


def test_snakemake_alone_cannot_run_a_script(alone):
    for package in ("numpy", "rasterio", "torch"):
        with pytest.raises(AssertionError, match="ModuleNotFoundError"):
            call(alone / "python", "-c", f"import {package}")


def test_every_script_ran_in_the_environment_of_its_rule(made):
    prefixes = {str((made / name).resolve()): name for name in ENVIRONMENTS}
    ran = {name: set() for name in ENVIRONMENTS}
    for line in (made / "notes").read_text().splitlines():
        prefix, script = line.split(" ", 1)
        if script.endswith(".py"):  # Snakemake also asks each environment for its Python's version
            ran[prefixes[prefix]].add(script.split(".")[-2])
    assert ran == SCRIPTS
    pairs = scripts_of_environments()
    assert all((name, f"{script}.py") in pairs for name, scripts in ran.items() for script in scripts)


def test_the_table_is_that_of_a_run_without_conda(made, tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    call(
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        REPOSITORY / "Snakefile",
        "--directory",
        tmp_path,
        "--cores",
        "2",
        TABLE,
    )
    table = (made / TABLE).read_bytes()
    assert table.count(b"\n") == 1 + 2 * 7 and table == (tmp_path / TABLE).read_bytes()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_script_of_an_environment_is_importable_in_it(made, environment):
    """Those too that the table did not need; Snakemake, which lends its own packages to a script, is not
    there to hide a gap."""
    scripts = {
        script.removesuffix(".py") for name, script in scripts_of_environments() if name == environment
    }
    python = made / environment / "bin" / "python"
    call(
        python,
        "-c",
        f"import {', '.join(sorted(scripts))}",
        PYTHONPATH=str(REPOSITORY / "workflow" / "scripts"),
    )


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_has_its_pins_and_not_what_others_need(made, environment):
    code = (
        "from importlib.metadata import distributions\nfor found in distributions(): "
        "print(found.name.lower(), found.version.split('+')[0])"
    )
    found = dict(
        line.split() for line in call(made / environment / "bin" / "python", "-c", code).stdout.splitlines()
    )
    assert packages_of(environment).items() <= found.items()
    assert ("torch" in found) == (environment != "geo") and ("rasterio" in found) == (environment != "torch")
    assert "snakemake" not in found


def test_the_stand_in_solves(conda, tmp_path):
    """What the channel does not have is refused, so that the environments above really came out of a
    solution."""
    (tmp_path / "a.yaml").write_text("channels: [conda-forge]\ndependencies: [python=3.11, gdal]\n")
    with pytest.raises(AssertionError, match="No candidates were found for gdal"):
        call(conda / "conda", "env", "create", "--file", tmp_path / "a.yaml", "--prefix", tmp_path / "a")
    assert not (tmp_path / "a").exists()
