"""Pages for a browser: every document is in their menu, and no link leads out of them."""

import importlib.util
import re

import pytest

from tests.conftest import REPOSITORY

DOCS = REPOSITORY / "docs"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("build_site", DOCS / "build_site.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(script, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "pages"
    script.copy_pages(REPOSITORY, folder)
    return folder


def test_every_document_is_in_the_menu():
    menu = set(re.findall(r": (\S+\.md)$", (DOCS / "mkdocs.yml").read_text(), flags=re.MULTILINE))
    assert menu == {path.name for path in DOCS.glob("*.md")} | {"index.md", "results/README.md"}


def test_no_link_leads_out_of_the_pages(script, pages):
    links = [
        (page, found[3].partition("#")[0])
        for page in pages.rglob("*.md")
        for found in script.LINK.finditer(page.read_text(encoding="utf-8"))
        if not re.match(r"[a-z]+:|#", found[3])
    ]
    assert len(links) > 50
    for page, target in links:
        there = (page.parent / target).resolve()
        assert there.exists() and there.is_relative_to(pages.resolve()), (page.name, target)


def test_the_readme_is_the_first_page_and_pictures_come_along(pages):
    first = (pages / "index.md").read_text(encoding="utf-8")
    assert "](areas.md)" in first and "](docs/" not in first and len(first.splitlines()) <= 120
    assert "![One page of headscarp check](pictures/iburi_check.png)" in (pages / "areas.md").read_text()
    assert (pages / "pictures/iburi_check.png").exists()
