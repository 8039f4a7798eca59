"""Each conda environment holds what the scripts that use it import, at the versions of pyproject.toml."""

import ast
import re
import sys
import tomllib

import pytest
import yaml

from ..conftest import REPOSITORY

SCRIPTS = REPOSITORY / "workflow" / "scripts"
DISTRIBUTION = {
    "odc": "odc-stac",
    "pystac_client": "pystac-client",
    "richdem": "richdem2",
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "mpl_toolkits": "matplotlib",
    "yaml": "pyyaml",
}


def scripts_of_environments():
    """(environment, script) of every rule."""
    pairs = []
    for rules in sorted((REPOSITORY / "workflow" / "rules").glob("*.smk")):
        for block in re.split(r"^rule ", rules.read_text(), flags=re.MULTILINE)[1:]:
            environment = re.search(r"envs/(\w+)\.yaml", block)
            script = re.search(r"scripts/(\w+\.py)\"", block)
            if script:
                pairs.append((environment.group(1), script.group(1)))
    return pairs


def imported_packages(path, seen):
    """Third-party packages that importing a file imports, following the library's own modules; names under a function count too."""
    if path in seen:
        return set()
    seen.add(path)
    packages = set()
    for node in ast.walk(ast.parse(path.read_text())):
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
                packages.add(name.split(".")[0])
    return {package for package in packages if package not in sys.stdlib_module_names}


def packages_of(environment):
    pins = yaml.safe_load((REPOSITORY / "envs" / f"{environment}.yaml").read_text())["dependencies"][-1]["pip"]
    return dict(pin.split("==") for pin in pins)


@pytest.mark.parametrize(("environment", "script"), scripts_of_environments())
def test_environment_holds_what_the_script_imports(environment, script):
    needed = {DISTRIBUTION.get(name, name) for name in imported_packages(SCRIPTS / script, set())}
    assert needed <= set(packages_of(environment))


def test_training_needs_no_geospatial_package():
    assert not {"rasterio", "richdem2", "geopandas"} & set(packages_of("torch"))


@pytest.mark.parametrize("environment", ["geo", "torch", "map", "report"])
def test_pins_agree_with_the_project(environment):
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {f"{name}=={version}" for name, version in packages_of(environment).items()} <= set(project)


def test_every_rule_has_a_script_of_its_name():
    for rules in (REPOSITORY / "workflow" / "rules").glob("*.smk"):
        for block in re.split(r"^rule ", rules.read_text(), flags=re.MULTILINE)[1:]:
            name = block.split(":")[0]
            assert f'"../scripts/{name}.py"' in block
            assert "message:" in block and "log:" in block
            assert (SCRIPTS / f"{name}.py").exists()
