"""Templates: what they escape, what they refuse, and that an installed package has them."""

import html
import tomllib

import pytest
from jinja2 import TemplateNotFound, UndefinedError

from headscarp.exhibits.pages import html_page
from headscarp.exhibits.sections import Cell, Line, Page, Section
from headscarp.templating import LIBRARY, fill
from tests.conftest import REPOSITORY


def test_values_of_a_page_are_escaped_as_pythons_html_module_does():
    text = """Tom & "Jerry's" <cells>"""
    line = Line([Cell(text), Cell(text, text, text, text, text)])
    page = html_page(Page(text, text, [Section(text, [text, text], [line], [text])], [text], text))
    assert page.count(html.escape(text)) == 14 and text not in page


@pytest.mark.parametrize("template", ["exhibits/templates/table.html", "delivery/templates/summary.html"])
def test_a_value_that_is_not_given_is_an_error(template):
    with pytest.raises(UndefinedError, match=r"page|title"):
        fill(template)


def test_a_template_is_named_by_its_path_in_the_package():
    with pytest.raises(TemplateNotFound):
        fill("table.html")


def test_the_package_has_all_its_files():
    """Those that are no modules too: templates, styles, the map's scripts."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["headscarp"]
    shipped = {path for pattern in patterns for path in LIBRARY.glob(pattern)}
    files = {path for path in LIBRARY.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert files and files <= shipped


def test_tables_are_laid_out_in_one_place():
    """But for what a click on the interactive map opens."""
    with_tables = {path.name for path in LIBRARY.rglob("templates/*.html") if "<table" in path.read_text()}
    assert with_tables <= {"parts.html", "map.html"}
