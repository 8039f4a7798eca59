"""Pages of small tables: which row is the best, what is marked, and what a browser finds where."""

from html.parser import HTMLParser

import pandas as pd
import pytest

from headscarp.exhibits.pages import html_page, markdown_page
from headscarp.exhibits.render import sections_of, write_table
from headscarp.exhibits.runs import NOT_CONVERGED
from headscarp.exhibits.sections import Cell, Page, Section
from headscarp.exhibits.tidy import frame_of
from tests.world import spec_of

LABELS = {"forest": "Forest", "unet": "U-Net", "fcn": "FCN"}


def line(row, metric, value, **rest):
    return {"row": row, "metric": metric, "value": value, "protocol": "blocked", "data": "real"} | {
        "note": "",
        **rest,
    }


class Rows(HTMLParser):
    """The table rows of a page: class of their tbody, own class, and of each cell class and text."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.group, self.cell = [], "", None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        named = dict(attributes).get("class") or ""
        if tag == "tbody":
            self.group = named
        if tag == "tr":
            self.rows.append({"group": self.group, "class": named, "cells": []})
        if tag in ("td", "th"):
            self.cell = [named, ""]
            self.rows[-1]["cells"].append(self.cell)

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.cell[1] = " ".join(self.cell[1].split())
            self.cell = None

    def handle_data(self, data):
        if self.cell:
            self.cell[1] += f" {data}"


def rows_of(lines, compares=True):
    sections = list(sections_of(frame_of(lines), LABELS, compares))
    return Rows(html_page(Page("A table", "card_table", sections))).rows


def bold(rows):
    """{name of a row: texts of its cells that are marked as the best}."""
    found = {row["cells"][0][1]: [text for named, text in row["cells"] if named == "best"] for row in rows}
    return {name: texts for name, texts in found.items() if texts}


class TestBest:
    def test_scores_are_best_at_their_highest_errors_at_their_lowest(self):
        rows = rows_of(
            line(row, metric, value)
            for row, values in {"forest": (0.5, 0.2, 9), "unet": (0.7, 0.3, 5)}.items()
            for metric, value in zip(("f1", "brier", "parameters"), values, strict=True)
        )
        assert bold(rows) == {"U-Net": ["0.700"], "Forest": ["0.200"]}

    def test_what_shows_alike_is_equally_good_and_no_row_where_all_do(self):
        lines = [line("forest", "f1", 0.70001), line("unet", "f1", 0.70002), line("fcn", "f1", 0.3)]
        assert set(bold(rows_of(lines))) == {"Forest", "U-Net"}
        assert bold(rows_of(lines[:2])) == {}

    def test_rows_compete_on_their_own_ground_and_protocol_only(self):
        lines = [
            line(f"{site}:{row}", "f1", value)
            for site, values in {"a": (0.2, 0.1), "b": (0.8, 0.9)}.items()
            for row, value in zip(("forest", "unet"), values, strict=True)
        ]
        assert set(bold(rows_of(lines))) == {"a: Forest", "b: U-Net"}
        twins = [line("forest", "f1", 0.2, data="twin"), line("unet", "f1", 0.9)]
        assert bold(rows_of(twins)) == {}

    def test_differences_and_missing_values_do_not_compete(self):
        lines = [
            line("forest", "f1", 0.5),
            line("unet", "f1", 0.6),
            line("fcn", "f1", None),
            line("unet_vs_forest", "f1", 9.0),
        ]
        assert set(bold(rows_of(lines))) == {"U-Net"}

    def test_a_table_that_compares_nothing_marks_nothing(self):
        assert bold(rows_of([line("forest", "f1", 0.5), line("unet", "f1", 0.6)], compares=False)) == {}


def test_the_interval_stands_below_the_estimate_and_the_spread_beside_it():
    lines = [line("unet", "f1", 0.7, sd=0.01, ci_low=0.6, ci_high=0.8)]
    page = html_page(Page("A table", "name", list(sections_of(frame_of(lines), LABELS, True))))
    assert '<span class="spread">0.700 <small>± 0.010</small></span>' in page
    assert "<small>[0.600, 0.800]</small>" in page
    folded = [line("unet", "f1", 0.7, sd=0.01, fold_mean=0.69)]
    assert Rows(html_page(Page("", "", list(sections_of(frame_of(folded), LABELS, True))))).rows[1]["cells"][
        2
    ] == ["", "0.700 folds 0.690 ± 0.010"]


def test_rows_that_did_not_converge_are_grey_and_say_so():
    note = f"{NOT_CONVERGED}: 1 of 3 trainings stopped before their plateau"
    rows = rows_of([line("forest", "f1", 0.5), line("unet", "f1", 0.6, note=note)])
    assert [(row["group"], row["cells"][0][1]) for row in rows[1:]] == [
        ("", "Forest"),
        ("unready", "U-Net not converged"),
    ]


def test_what_a_paper_prints_is_a_shaded_row_of_its_own():
    rows = rows_of(
        [
            line("unet", "f1", 0.6, published=0.9),
            line("unet", "auc", 0.7),
            line("forest", "f1", 0.5),
            line("fcn", "f1", None, published=0.8),
        ]
    )
    assert [(row["class"], [text for _, text in row["cells"]]) for row in rows[1:]] == [
        ("", ["U-Net", "real", "0.600", "0.700"]),
        ("printed", ["published", "", "0.900", ""]),
        ("", ["Forest", "real", "0.500", ""]),
        ("printed", ["FCN published", "", "0.800", ""]),
    ]


def test_a_sentence_that_holds_for_several_lines_is_told_once_as_markdown_and_kept_for_sorting():
    lines = [[Cell("A claim"), "one"], [Cell("A claim", same=True), "two"]]
    page = Page("Claims", "claims", [Section.of_text("", ["Claim", "Side"], lines)])
    assert markdown_page(page).count("A claim") == 1
    assert '<span class="same">A claim</span>' in html_page(page)


@pytest.mark.parametrize("kind", ["scores", "pairwise"])
def test_a_table_knows_from_its_kind_whether_rows_compete(kind, tmp_path):
    spec = spec_of({"sites": [], "runs": []}, kind)
    frame = frame_of([line("unet", "f1", 0.6), line("forest", "f1", 0.5)])
    write_table(frame, spec, tmp_path / "t.csv", tmp_path / "t.html")
    assert len(pd.read_csv(tmp_path / "t.csv")) == 2
    assert ('class="best"' in (tmp_path / "t.html").read_text()) == (kind == "scores")
