"""The verdict on the claims of all papers: a tidy table with one line a test and protocol, what people read
of it, and a forest plot.

A claim is tested as the difference of one score between two runs, from stored scores only; see
`scoring.claims` for the verdict.
"""

import html as html_module
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import blended_transform_factory

from headscarp.errors import HeadscarpError
from headscarp.exhibits import style
from headscarp.exhibits.runs import Difference, Scored, differences, from_exact_scores, refuse_inconsistent
from headscarp.exhibits.spec import RunFiles
from headscarp.exhibits.tidy import html_page, markdown_line, metric_label, write_csv
from headscarp.files import atomic_path, read_json
from headscarp.scoring.claims import CONTRADICTED, INCONCLUSIVE, SUPPORTED, VERDICTS, judge
from headscarp.scoring.classes import read_cell_confusions
from headscarp.scoring.pixel import to_python

COLUMNS = [
    "card",
    "claim",
    "text",
    "place",
    "metric",
    "site",
    "trained_on",
    "data",
    "protocol",
    "first",
    "second",
    "effect",
    "ci_low",
    "ci_high",
    "n_seeds",
    "verdict",
    "published_effect",
    "note",
]
# what a test's record tells its lines
TOLD = ("card", "claim", "text", "place", "metric", "site", "trained_on", "data", "first", "second")
NUMBERS = ["effect", "ci_low", "ci_high", "published_effect"]
ONE_SEED = "one seed: the chance of training is not in the interval"
UNDEFINED = "the score is undefined for one of the two"

# --- the tests


def claims_table(record: Mapping[str, Any]) -> pd.DataFrame:
    """One line for each test of a claim and each protocol, with `COLUMNS`; effects and intervals are
    fractions, NaN where undefined.

    Args:
        record: of `Plan.claims_record`. A test holds card, claim, text, place, metric, site (where it is
            scored), trained_on, data, first, second, labels of both, runs ({protocol: [folders of the first's
            scores by seed, folders of the second's]}), of_classes, published_effect and note.

    Raises:
        HeadscarpError: there is no test, scores are missing, or those of two runs cannot be compared.
    """
    if not record["tests"]:
        raise HeadscarpError(
            "no claim can be tested: none of the selected cards makes one; add a paper to `cards` in "
            "config.yaml"
        )
    frame = pd.DataFrame([line for test in record["tests"] for line in test_records(test)], columns=COLUMNS)
    frame[NUMBERS] = frame[NUMBERS].astype(float)
    return frame


def test_records(test: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A line of the table for each protocol of a test."""
    for protocol, folders in test["runs"].items():
        first, second = (
            [scored(test, row, protocol, folder) for folder in of_row]
            for row, of_row in zip((test["first"], test["second"]), folders, strict=True)
        )
        refuse_inconsistent([*first, *second])
        found, why = difference_of(test, first, second)
        notes = [test["note"], why and f"no interval: {why}", ONE_SEED if len(first) == 1 else ""]
        yield {key: test[key] for key in TOLD} | {
            "protocol": protocol,
            "effect": found.size,
            "ci_low": found.low,
            "ci_high": found.high,
            "n_seeds": len(first),
            "verdict": judge(found.low, found.high),
            "published_effect": test["published_effect"],
            "note": "; ".join(filter(None, notes)),
        }


def scored(test: Mapping[str, Any], row: str, protocol: str, folder: str) -> Scored:
    """A run with its scores.

    Raises:
        HeadscarpError: they are of other data or of another protocol.
    """
    path = Path(folder)
    one = Scored(
        RunFiles(row, row, row, protocol, seed=-1, folder=path.parent, maps=path),
        read_json(path / "scores.json"),
    )
    for key, expected in (("data", test["data"]), ("protocol", protocol)):
        if one.scores[key] != expected:
            raise HeadscarpError(
                f"{path / 'scores.json'} says {key} '{one.scores[key]}' where '{expected}' is expected; "
                f"score it again"
            )
    return one


def difference_of(test: Mapping[str, Any], *sides: Sequence[Scored]) -> tuple[Difference, str]:
    """The difference of a test's metric between two groups of runs, and why it has no interval ('' where it
    has one)."""
    metric, place = test["metric"], f"card {test['card']}, claim {test['claim']}"
    if test["of_classes"]:
        cells = [[read_cell_confusions(one.run.maps) for one in side] for side in sides]
    else:
        cells = [[one.cells() for one in side] for side in sides]
    found = differences(*cells, [metric], place)[metric]
    coarse = [[float(one.metrics(np.ones(len(one.per_cell)))[metric]) for one in side] for side in cells]
    if test["of_classes"]:  # scores of confusion matrices are exact
        exact = [list(to_python(dict(enumerate(side))).values()) for side in coarse]
    else:
        exact = [[one.scores["metrics"][metric] for one in side] for side in sides]
    difference, why = from_exact_scores(found, exact, coarse)
    return difference, UNDEFINED if difference.size is None else why


# --- what people read


def write_claims(
    frame: pd.DataFrame, record: Mapping[str, Any], csv: str | Path, md: str | Path, html: str | Path
) -> None:
    """Write the table as CSV, and grouped by paper as Markdown and HTML, each atomically."""
    write_csv(frame, csv)
    for path, text in ((md, to_markdown(frame, record)), (html, to_html(frame, record))):
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def to_markdown(frame: pd.DataFrame, record: Mapping[str, Any]) -> str:
    """The table by paper: one line a test, both protocols side by side."""
    parts = [f"# {record['title']}", "", record["caption"], ""]
    for card, part in frame.groupby("card", sort=False):
        heads, lines = lines_of(part, record)
        parts += [f"## {card}: {record['cards'][card]}", "", *(f"- {line}" for line in summary(part)), ""]
        parts += [markdown_line(heads), "|" + " --- |" * len(heads), *map(markdown_line, lines), ""]
    parts += [f"- {note}" for note in notes_of(frame, record)]
    return "\n".join(parts).rstrip() + "\n"


def to_html(frame: pd.DataFrame, record: Mapping[str, Any]) -> str:
    """The same as one self-contained page."""
    escape = html_module.escape
    parts = [f"<h1>{escape(record['title'])}</h1>", f"<p>{escape(record['caption'])}</p>"]
    for card, part in frame.groupby("card", sort=False):
        heads, lines = lines_of(part, record)
        parts += [
            f"<h2>{escape(card)}: {escape(record['cards'][card])}</h2>",
            *(f"<p>{escape(line)}</p>" for line in summary(part)),
        ]
        parts.append(
            "<table>\n<thead><tr>"
            + "".join(f"<th>{escape(head)}</th>" for head in heads)
            + "</tr></thead>\n<tbody>"
        )
        parts += ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in lines]
        parts.append("</tbody>\n</table>")
    return html_page(record["title"], parts, notes_of(frame, record))


def labels_of(record: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """What people read for a row, by the site on which it is scored."""
    sides = ("first", "second")
    return {
        (test["site"], test[side]): label
        for test in record["tests"]
        for side, label in zip(sides, test["labels"], strict=True)
    }


def tests_of(frame: pd.DataFrame) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The lines of each test: any of them, and all by protocol."""
    for _, lines in frame.groupby(["card", "claim", "site", "trained_on", "first", "second"], sort=False):
        by_protocol = {line.protocol: line for line in lines.itertuples()}
        yield next(iter(by_protocol.values())), by_protocol


def lines_of(part: pd.DataFrame, record: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Heads and lines of one paper's table; a claim's sentence stands in its first line only."""
    protocols, labels = list(dict.fromkeys(part["protocol"])), labels_of(record)
    heads = [
        "Claim",
        "Comparison",
        "Site",
        "Data",
        "Metric",
        *(f"Effect, {protocol}" for protocol in protocols),
        "Printed effect",
    ]
    lines, told = [], None
    for test, by_protocol in tests_of(part):
        claim = f"{test.text} ({test.place})" if test.claim != told else ""
        told = test.claim
        effects = [
            effect_text(by_protocol[protocol]) if protocol in by_protocol else "" for protocol in protocols
        ]
        printed = f"{test.published_effect:+.3f}" if math.isfinite(test.published_effect) else ""
        lines.append(
            [
                claim,
                versus(labels, test),
                place_of(test),
                test.data,
                metric_label(test.metric),
                *effects,
                printed,
            ]
        )
    return heads, lines


def versus(labels: Mapping[tuple[str, str], str], test: Any) -> str:
    return f"{labels[test.site, test.first]} against {labels[test.site, test.second]}"


def place_of(test: Any) -> str:
    """The site of a test, with that of training where it is another."""
    return test.site if test.site == test.trained_on else f"{test.trained_on} → {test.site}"


def effect_text(line: Any) -> str:
    """'+0.031 [0.010, 0.052] supported' of one line of the table."""
    effect = f"{line.effect:+.3f}" if math.isfinite(line.effect) else "–"
    interval = f" [{line.ci_low:+.3f}, {line.ci_high:+.3f}]" if math.isfinite(line.ci_low) else ""
    return f"{effect}{interval} {line.verdict}"


def summary(part: pd.DataFrame) -> list[str]:
    """How many tests of one paper had which verdict, for each protocol and kind of data."""
    return [
        f"{protocol}, {data}: "
        + ", ".join(f"{(lines['verdict'] == verdict).sum()} {verdict}" for verdict in VERDICTS)
        for (protocol, data), lines in part.groupby(["protocol", "data"], sort=False)
    ]


def notes_of(frame: pd.DataFrame, record: Mapping[str, Any]) -> list[str]:
    """Each note once, with the tests it belongs to, and what was left out."""
    notes: dict[str, dict[str, None]] = {}
    for line in frame.itertuples():
        for note in filter(None, line.note.split("; ")):
            notes.setdefault(note, {})[f"{line.card} {line.claim} on {line.site}"] = None
    return [f"{note[0].upper()}{note[1:]}: {', '.join(tests)}." for note, tests in notes.items()] + record[
        "left_out"
    ]


# --- the forest plot

ROW, SENTENCE, HEAD = 0.17, 0.16, 0.34  # inches: a test, a line of a claim's sentence, the name of a paper
TOP, BOTTOM = 0.75, 0.5  # inches: legend and upper axis, lower axis
LEFT, RIGHT = 2.95, 1.8  # inches: comparisons, sites
WRAP = 132  # characters of a claim's sentence in a line
LOOKS = {SUPPORTED: ("^", "#009E73"), CONTRADICTED: ("v", "#D55E00"), INCONCLUSIVE: ("o", "#777777")}
OFFSETS = {"published": 0.038, "blocked": -0.038}  # inches above the middle of a row
REAL = "#EAF2F8"


class Placed(NamedTuple):
    """What stands at a height of the plot, in inches below its upper edge: a paper, a line of a sentence, or
    a test with its lines."""

    kind: str
    top: float
    text: str
    test: Any = None
    lines: dict[str, Any] | None = None


def placed(frame: pd.DataFrame, record: Mapping[str, Any]) -> tuple[list[Placed], float]:
    """Everything that the plot shows, from top to bottom, and the height it takes in inches."""
    items: list[Placed] = []
    labels, height, told = labels_of(record), 0.0, (None, None)
    for test, lines in tests_of(frame):
        if test.card != told[0]:
            items.append(Placed("paper", height, test.card))
            height += HEAD
        if (test.card, test.claim) != told:
            for sentence in textwrap.wrap(f"{test.text} ({test.place}; {metric_label(test.metric)})", WRAP):
                items.append(Placed("sentence", height, sentence))
                height += SENTENCE
        told = test.card, test.claim
        items.append(Placed("test", height, versus(labels, test).replace(" against ", " vs "), test, lines))
        height += ROW
    return items, height


def forest_plot(frame: pd.DataFrame, record: Mapping[str, Any]) -> Figure:
    """Every test of every claim in the style of a forest plot: effects with 95 % intervals under each
    protocol, and the printed effect.

    Colour and shape of a marker tell the verdict, its filling the protocol; real sites stand on a tinted
    ground.
    """
    with style.look():
        items, height = placed(frame, record)
        figure = style.new_figure(TOP + height + BOTTOM, layout=None)
        total = TOP + height + BOTTOM
        axes = figure.add_axes(
            (LEFT / style.WIDTH, BOTTOM / total, 1 - (LEFT + RIGHT) / style.WIDTH, height / total)
        )
        axes.set_ylim(height, 0)
        for item in items:
            PAINTERS[item.kind](axes, item)
        look_of_axis(axes, frame)
        add_legend(figure, total, set(frame["protocol"]))
        return figure


def beside(axes: Axes) -> Any:
    """Places across the whole figure, x in inches from its left edge, y in inches of the plot."""
    across = axes.figure.dpi_scale_trans
    return blended_transform_factory(across, axes.transData)


def paint_paper(axes: Axes, item: Placed) -> None:
    where = beside(axes)
    axes.plot(
        [0.06, style.WIDTH - 0.06],
        [item.top + 0.09] * 2,
        color=style.INK,
        lw=0.7,
        transform=where,
        clip_on=False,
    )
    axes.text(
        0.06, item.top + HEAD - 0.09, item.text, transform=where, weight="bold", fontsize=8.5, va="center"
    )


def paint_sentence(axes: Axes, item: Placed) -> None:
    ground = {"fc": "white", "ec": "none", "pad": 0.8}  # keeps the lines of the axis out of the words
    place = {"transform": beside(axes), "va": "center", "bbox": ground, "zorder": 6}
    axes.text(0.06, item.top + SENTENCE / 2, item.text, fontsize=6.6, style="italic", **place)


def paint_test(axes: Axes, item: Placed) -> None:
    middle, where = item.top + ROW / 2, beside(axes)
    if item.test.data == "real":
        axes.axhspan(item.top, item.top + ROW, color=REAL, lw=0, zorder=0)
    axes.text(LEFT - 0.08, middle, item.text, transform=where, fontsize=6, ha="right", va="center")
    axes.text(
        style.WIDTH - RIGHT + 0.08,
        middle,
        f"{place_of(item.test)}, {item.test.data}",
        transform=where,
        fontsize=6.2,
        va="center",
        weight="bold" if item.test.data == "real" else "normal",
    )
    if math.isfinite(item.test.published_effect):
        axes.plot(
            [item.test.published_effect] * 2,
            [item.top + 0.015, item.top + ROW - 0.015],
            color=style.INK,
            lw=1.1,
            zorder=3,
        )
    for protocol, line in item.lines.items():
        paint_effect(axes, middle - OFFSETS[protocol], line, filled=protocol == "blocked")


def paint_effect(axes: Axes, height: float, line: Any, filled: bool) -> None:
    """One marker with its interval, or a note in its place."""
    marker, colour = LOOKS[line.verdict]
    if math.isfinite(line.ci_low):
        axes.plot(
            [line.ci_low, line.ci_high], [height] * 2, color=colour, lw=0.9, zorder=4, solid_capstyle="butt"
        )
    if math.isfinite(line.effect):
        axes.plot(
            line.effect,
            height,
            marker,
            ms=3.6,
            mec=colour,
            mfc=colour if filled else "white",
            mew=0.8,
            zorder=5,
        )


PAINTERS = {"paper": paint_paper, "sentence": paint_sentence, "test": paint_test}


def look_of_axis(axes: Axes, frame: pd.DataFrame) -> None:
    """A line at no difference, and limits that show every interval."""
    axes.axvline(0, color=style.INK, lw=0.7, zorder=2)
    values = frame[NUMBERS].to_numpy()
    reach = max(0.02, float(np.nanmax(np.abs(values)))) if np.isfinite(values).any() else 0.02
    axes.set_xlim(-1.05 * reach, 1.05 * reach)
    axes.set_yticks([])
    axes.tick_params(top=True, labeltop=True)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.spines[["left"]].set_visible(False)
    axes.grid(axis="x", color="#E3E3E3", lw=0.5)
    axes.set_axisbelow(True)
    axes.set_xlabel("Difference of the score, first less second")


def add_legend(figure: Figure, total: float, protocols: set[str]) -> None:
    """Verdicts, protocols, the printed effect and the ground of real data, above the plot."""
    handles = [
        Line2D([], [], color=colour, marker=marker, ms=4.5, lw=0.9, label=verdict)
        for verdict, (marker, colour) in LOOKS.items()
    ]
    for protocol in (one for one in OFFSETS if one in protocols):
        face = style.MUTED if protocol == "blocked" else "white"
        handles.append(
            Line2D([], [], color=style.MUTED, marker="s", ms=4, lw=0, mfc=face, label=f"{protocol} protocol")
        )
    handles.append(Line2D([], [], color=style.INK, marker="|", ms=7, mew=1.1, lw=0, label="printed effect"))
    handles += style.swatches([(REAL, "real site, others simulated (twins)")])
    place = {"loc": "upper left", "bbox_to_anchor": (0.005, 1 - 0.04 / total)}
    figure.legend(handles=handles, ncols=4, columnspacing=1.2, handletextpad=0.5, **place)
