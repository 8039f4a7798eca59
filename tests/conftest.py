"""Fixtures that all tests share, and the tiny run of all cards, which goes on beside other tests."""

import os
import signal
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
TINY_TESTS = "tests/workflow/test_workflow.py"
# Files whose tests run Snakemake for a minute or so go first, and last what waits for the tiny run: a long
# file that begins last would run alone.
FIRST = ("test_targets.py", "test_areas.py", "test_resume.py", "test_own_scenes.py", "test_docs.py")

# Several processes of several jobs each share the cores.
os.environ["OMP_NUM_THREADS"] = "1"
# Tests start hundreds of Python processes, each of which would compile the library anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def shared_folder() -> Path:
    """Where real data may lie: the environment variable HEADSCARP_SHARED, else a folder `shared` beside the
    checkout."""
    return Path(os.environ.get("HEADSCARP_SHARED", REPOSITORY.parent / "shared"))


@pytest.fixture(scope="session")
def real_data():
    """Path of a real data file or folder; the test is skipped with a reason where it is not at hand."""

    def find(relative: str) -> Path:
        path = shared_folder() / relative
        if not path.exists():
            pytest.skip(f"real data not at hand: {path} (set HEADSCARP_SHARED to the folder that holds it)")
        return path

    return find


def checks_of(card: str) -> list[dict]:
    """The checks of a shipped card's audit."""
    path = REPOSITORY / "workflow" / "cards" / f"{card}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))["audit"]["checks"]


# --- The order of files and the tiny run. It takes long, so pytest-xdist's controller begins it as soon as
# the tests are known.

TINY = pytest.StashKey()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        name = item.path.name
        return FIRST.index(name) if name in FIRST else len(FIRST) + item.nodeid.startswith(TINY_TESTS)

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node, ids: list[str]) -> None:
    from tests.workflow.runs import begin_tiny_run

    if TINY not in node.config.stash and any(name.startswith(TINY_TESTS) for name in ids):
        node.config.stash[TINY] = begin_tiny_run(tiny_folder(node.config))


def pytest_unconfigure(config: pytest.Config) -> None:
    """No test waits any longer: what is left of the tiny run ends."""
    process = config.stash.get(TINY, None)
    if process is not None and process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def tiny_folder(config: pytest.Config) -> Path:
    """The folder of the tiny run, the same for the controller and its workers."""
    base = config._tmp_path_factory.getbasetemp()
    return (base.parent if hasattr(config, "workerinput") else base) / "tiny"


@pytest.fixture(scope="session")
def finished(pytestconfig) -> Path:
    """A folder in which every exhibit was made at scale tiny; those of real data only where their files are
    at hand."""
    from tests.workflow.runs import begin_tiny_run, wait_for_tiny_run

    folder = tiny_folder(pytestconfig)
    if not hasattr(pytestconfig, "workerinput"):
        begin_tiny_run(folder)
    return wait_for_tiny_run(folder)
