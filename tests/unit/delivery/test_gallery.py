"""The gallery of results, parsed as a browser would, against the files that are there."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from headscarp.delivery.gallery import build_gallery
from headscarp.plan.plan import load_plan
from tests.conftest import REPOSITORY


class Gallery(HTMLParser):
    """Addresses, exhibits (their words and kinds) and headings of the page."""

    def __init__(self, path):
        super().__init__()
        self.addresses, self.items, self.headings, self.lazy, self.tag = [], [], [], [], ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        named, self.tag = dict(attributes), tag
        self.addresses += [named[key] for key in ("href", "src") if key in named]
        if tag == "li":
            self.items.append((named["data-kind"], named["data-words"]))
        if tag in ("img", "iframe"):
            self.lazy.append(named.get("loading"))
        if tag == "h2":
            self.headings.append("")

    def handle_data(self, data):
        if self.tag == "h2":
            self.headings[-1] += data.strip()


@pytest.fixture
def plan(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return load_plan({"cards": ["gao2021", "xia2021"], "scale": "tiny"}, REPOSITORY)


def make(*files):
    for file in files:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).touch()


def test_what_is_there_is_shown_and_every_link_leads_to_it(plan):
    made = [
        *plan.cards["gao2021"].exhibits["table7"].files,
        *plan.cards["gao2021"].exhibits["fig1"].files,
        *plan.audit.targets,
        "results/sites/zigui/map.html",
    ]
    make(*made)
    build_gallery(plan.gallery.record(), "results/index.html")
    page = Gallery(Path("results/index.html"))
    assert [kind for kind, _ in page.items] == ["table", "figure", "table"]
    assert all("gao2021_table7" in words for _, words in page.items[:1])
    assert page.headings == [plan.cards["gao2021"].title, "All papers together"]
    files = [address for address in page.addresses if not address.startswith("#")]
    assert all((Path("results") / unquote(address)).exists() for address in files)
    assert {Path("results") / unquote(address) for address in files} == set(map(Path, made))
    assert page.lazy == ["lazy"] * 3


def test_what_is_coming_is_shown_too(plan):
    exhibit = plan.cards["xia2021"].exhibits["table3"]
    build_gallery(plan.gallery.record(frozenset(exhibit.files)), "results/index.html")
    page = Gallery(Path("results/index.html"))
    assert [kind for kind, _ in page.items] == ["table"] and exhibit.title.lower() in page.items[0][1]


def test_cards_that_are_not_selected_are_left_out(plan):
    make(*plan.cards["stfusion"].exhibits["table2"].files)
    build_gallery(plan.gallery.record(), "results/index.html")
    page = Path("results/index.html").read_text()
    assert "Nothing has been made yet" in page and not Gallery(Path("results/index.html")).items


def test_titles_are_escaped_and_addresses_quoted(tmp_path):
    files = ["results/tables/my card/t.html", "results/tables/my card/t.csv"]
    exhibit = {"name": "t", "title": 'A <b> & "c"', "caption": "<script>", "files": files}
    group = {"name": "my", "title": "<i>", "exhibits": [exhibit], "pages": {}}
    build_gallery({"scale": "tiny", "groups": [group]}, tmp_path / "index.html")
    text = (tmp_path / "index.html").read_text()
    assert text.count("<script>") == 1 and "<b>" not in text and "<i>" not in text
    assert "my%20card/t.csv" in text
