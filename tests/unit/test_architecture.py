"""Who imports whom in headscarp, read from the syntax of its files: imports within functions count too."""

import ast
from collections.abc import Iterator
from pathlib import Path

import headscarp

LIBRARY = Path(headscarp.__file__).parent
# A package imports only from the root's modules, from itself and from those before it.
PACKAGES = (
    "geo",
    "sources",
    "site",
    "samples",
    "networks",
    "training",
    "mapping",
    "scoring",
    "exhibits",
    "delivery",
    "plan",
    "areas",
)
TOP = "__main__"  # the command line, which starts what stands in any package


def modules_of(library: Path) -> dict[str, Path]:
    """Files of a package by the names of their modules."""
    found = {}
    for path in sorted(library.rglob("*.py")):
        parts = [library.name, *path.relative_to(library).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported_by(path: Path, module: str, modules: dict[str, Path]) -> Iterator[tuple[str, int]]:
    """Modules of the same package that a file imports anywhere, and in which line."""
    root = module.partition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: write the whole name of the module"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.partition(".")[0] == root:
                yield (name if name in modules else name.rpartition(".")[0]), node.lineno


def imports_of(library: Path) -> dict[str, dict[str, int]]:
    """{module: {module that it imports: line}} of a package."""
    modules = modules_of(library)
    return {module: dict(imported_by(path, module, modules)) for module, path in modules.items()}


def level_of(module: str) -> int:
    """How high a module stands: 0 for those of the root, then the packages in their order, the top last."""
    part = [*module.split("."), ""][1]
    if part == TOP:
        return len(PACKAGES) + 1
    return PACKAGES.index(part) + 1 if part in PACKAGES else 0


def upward_imports(imports: dict[str, dict[str, int]]) -> dict[tuple[str, str], int]:
    """{(module, what it imports from higher up): line}."""
    return {
        (module, other): line
        for module, others in imports.items()
        for other, line in others.items()
        if level_of(other) > level_of(module)
    }


def circles(imports: dict[str, dict[str, int]]) -> set[frozenset[str]]:
    """Groups of modules each of which imports, by way of others, all of its group."""
    reached = {module: set(others) for module, others in imports.items()}
    for via in reached:
        for others in reached.values():
            if via in others:
                others |= reached[via]
    return {
        frozenset(other for other in reached if other in reached[module] and module in reached[other])
        for module in reached
        if module in reached[module]
    }


def test_every_folder_has_its_place_in_the_order():
    folders = {path.parent.name for path in LIBRARY.glob("*/__init__.py")}
    assert folders == set(PACKAGES), "name a new package in PACKAGES, after all that it imports from"


def test_a_package_imports_only_from_those_before_it():
    upward = upward_imports(imports_of(LIBRARY))
    found = [f"{module}, line {line}: {other}" for (module, other), line in upward.items()]
    assert not found, (
        f"imports against the order {' < '.join(PACKAGES)}; move what both need to the lower package, "
        "or to a module of the root:\n" + "\n".join(sorted(found))
    )


def test_no_modules_import_each_other():
    found = [" <-> ".join(sorted(circle)) for circle in circles(imports_of(LIBRARY))]
    assert not found, "move what both need to a module of its own:\n" + "\n".join(sorted(found))


class TestTheReader:
    """What the tests above rest on, on an invented package."""

    def library(self, folder: Path, **files: str) -> dict[str, dict[str, int]]:
        for name, text in files.items():
            path = folder / "house" / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return imports_of(folder / "house")

    def test_finds_an_import_within_a_function(self, tmp_path):
        imports = self.library(
            tmp_path,
            geo__grid="def f():\n    from house.site import cube\n",
            site__cube="import house.errors\n",
            errors="",
        )
        assert upward_imports(imports) == {("house.geo.grid", "house.site.cube"): 2}
        assert not circles(imports)

    def test_finds_a_circle_over_three_modules(self, tmp_path):
        imports = self.library(
            tmp_path,
            geo__a="from house.geo.b import x\n",
            geo__b="import house.geo.c\n",
            geo__c="from house.geo import a\n",
            geo__d="from house.geo.a import y\n",
        )
        assert circles(imports) == {frozenset({"house.geo.a", "house.geo.b", "house.geo.c"})}
        assert not upward_imports(imports)
