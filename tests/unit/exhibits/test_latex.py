"""Tables as LaTeX: what is escaped, how rows are built, and that an engine compiles them."""

import re
import shutil
import subprocess
import unicodedata

import pytest
import yaml

from headscarp.exhibits.audit import audit_of_cards, titles_of, write_audit
from headscarp.exhibits.labels import METRIC_LABELS
from headscarp.exhibits.latex import escaped, latex_page
from headscarp.exhibits.render import sections_of
from headscarp.exhibits.runs import NOT_CONVERGED
from headscarp.exhibits.sections import Page, Section
from headscarp.exhibits.tidy import frame_of
from headscarp.plan.plan import load_plan
from tests.conftest import REPOSITORY

NASTY = r"""[50 %] of $x_1$ & {a} ~ ^ \b # <c> | "d" – ± 5 km² → 3 ° χ² × 10⁹ “e” ≥ ‘f’ …"""


def line(row, metric, value, **rest):
    return {"row": row, "metric": metric, "value": value, "protocol": "blocked", "data": "real"} | {
        "note": "",
        **rest,
    }


LINES = [
    line("forest", "f1", 0.5, sd=0.01, ci_low=-0.4, ci_high=0.6, published=0.9),
    line("unet", "f1", 0.7, note=f"{NOT_CONVERGED}: 1 of 3 trainings stopped before their plateau"),
    line(NASTY, "brier", 1e-9, protocol="published"),
]


def page_of(lines, **change):
    labels = {"forest": "Forest", "unet": "U-Net"}
    sections = list(sections_of(frame_of(lines), labels, True))
    return Page(**{"title": NASTY, "name": "gao2021_table7", "sections": sections, "notes": [NASTY]} | change)


def bodies_of(text):
    return re.findall(r"\\midrule\n(.*?)\\bottomrule", text, re.DOTALL)


def test_estimates_intervals_and_printed_values_stand_in_rows_of_their_own():
    first, _ = bodies_of(latex_page(page_of(LINES)))
    assert first.splitlines() == [
        r"Forest & real & 0.500 {\scriptsize $\pm$ 0.010} \\",
        r" &  & \scriptsize [$-$0.400, 0.600] \\",
        r"\textit{published} &  & \textit{0.900} \\",
        r"\color{gray}U-Net (not converged) & \color{gray}real & \color{gray}\textbf{0.700} \\",
    ]


def test_every_row_has_as_many_cells_as_there_are_heads():
    for page in (
        page_of(LINES),
        Page("t", "t", [Section.of_text("", ["a", "b"], [[NASTY, "&"], ["[c]", ""]])]),
    ):
        for block in latex_page(page).split(r"\toprule")[1:]:
            rows = [row for row in block.splitlines() if row.endswith(r"\\")]
            assert rows and len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) == 1


def test_each_section_has_a_caption_and_its_own_label():
    text = latex_page(page_of(LINES))
    assert re.findall(r"\\label{(.*?)}", text) == ["tab:gao2021_table7", "tab:gao2021_table7_2"]
    assert text.count(r"\caption{") == 2 and "Protocol: blocked" in text


def test_a_row_that_opens_with_a_bracket_is_no_argument_of_the_row_before():
    text = latex_page(Page("t", "t", [Section.of_text("", ["a"], [["x"], ["[2pt]"]])]))
    assert re.search(r"\\\\\n\{\}\[2pt\]", text)


def test_signs_and_dates():
    assert escaped("-0.5 [-1, 2] 2018-09-06 U-Net 1e-05") == "$-$0.5 [$-$1, 2] 2018-09-06 U-Net 1e-05"


def texts_in(record):
    """All texts of a YAML file."""
    if isinstance(record, dict):
        record = [*record, *record.values()]
    return [text for one in record for text in texts_in(one)] if isinstance(record, list) else [str(record)]


def test_all_characters_of_the_cards_are_printed_by_a_plain_engine():
    """Beyond ASCII: Latin letters are known to it, all else must be escaped; Japanese stands in notices
    only."""
    cards = REPOSITORY / "workflow/cards"
    texts = [text for path in cards.glob("*.yaml") for text in texts_in(yaml.safe_load(path.read_text()))]
    texts += [path.read_text(encoding="utf-8") for path in (cards / "published").glob("*.csv")]
    shown = set(escaped(" ".join([*texts, *METRIC_LABELS.values()])))
    scripts = ("CJK", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC")
    strange = {one for one in shown if ord(one) > 0x17F and not unicodedata.name(one).startswith(scripts)}
    assert strange == set() and "km" in " ".join(texts)


@pytest.fixture(scope="session")
def engine():
    found = shutil.which("pdflatex")
    probe = "kpsewhich booktabs.sty colortbl.sty xcolor.sty longtable.sty"
    if not found or subprocess.run(probe.split(), capture_output=True, check=False).returncode:
        pytest.skip(
            "no pdflatex with booktabs, longtable and xcolor here (Debian: texlive-latex-recommended)"
        )
    return found


def test_they_compile(engine, tmp_path):
    many = [line(f"row {number}", "f1", number / 100) for number in range(60)]
    text = Page(
        "Text", "text", [Section.of_text(NASTY, ["a", "b"], [[NASTY * 5, "-1"], ["[c]", ""]], [NASTY])]
    )
    for name, page in (("scores", page_of(LINES)), ("many", page_of(many)), ("text", text)):
        (tmp_path / f"{name}.tex").write_text(latex_page(page), encoding="utf-8")
    record = load_plan({"cards": ["gao2021", "xia2021"], "scale": "tiny"}, REPOSITORY).audit.record
    record["samples"] = []
    write_audit(audit_of_cards(record), titles_of(record), tmp_path / "audit.csv", tmp_path / "audit.tex")
    packages = (tmp_path / "scores.tex").read_text().splitlines()[0].removeprefix("% ")
    inputs = "".join(rf"\input{{{name}}}" + "\n" for name in ("scores", "many", "text", "audit"))
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\n\\usepackage[T1]{fontenc}\n"
        f"{packages}\n\\begin{{document}}\n{inputs}\\end{{document}}\n"
    )
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "multiply defined" not in done.stdout
    assert (tmp_path / "paper.pdf").exists()
