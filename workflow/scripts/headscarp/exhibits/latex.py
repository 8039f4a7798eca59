r"""Pages of tables as LaTeX (booktabs), for \input into a paper: a caption and a label for each section."""

import re
from collections.abc import Iterable, Iterator, Sequence

from headscarp.exhibits.sections import UNREADY, Cell, Line, Page, Section

PACKAGES = r"% \usepackage{array, booktabs, graphicx, longtable, xcolor}"
MOST_LINES = 40  # of a table that is kept on one page
LONGEST_NAME = 30  # characters of a row's name in one line
WRAPPED = r">{{\raggedright\arraybackslash}}p{{{width}em}}"
TEXT_WIDTHS = (9, 60)  # characters: the narrowest and the widest that a column of text is made for
SPECIAL = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "“": "``",
    "”": "''",
    "‘": "`",
    "’": "'",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "·": r"\textperiodcentered{}",
    "°": r"\textdegree{}",
    "²": r"\textsuperscript{2}",
    "³": r"\textsuperscript{3}",
    "⁶": r"\textsuperscript{6}",
    "⁹": r"\textsuperscript{9}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": "$-$",
    "→": r"$\rightarrow$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "χ": r"$\chi$",
    "α": r"$\alpha$",
    "γ": r"$\gamma$",
    "θ": r"$\theta$",
    "µ": r"$\mu$",
    "Є": r"$\in$",  # the Cambrian, among geological units
}


def escaped(text: str) -> str:
    """Text whose characters LaTeX prints; letters of other alphabets stay, for an engine that knows them."""
    return re.sub(r"(?<![\w.])-(?=\d)", "$-$", text.translate(str.maketrans(SPECIAL)))


def latex_page(page: Page) -> str:
    """The page as LaTeX; what a paper prints stands in italics in a line below ours, lines that did not
    converge are grey, the best of a column bold."""
    parts = [PACKAGES]
    for number, section in enumerate(page.sections, start=1):
        title = ". ".join(escaped(text).rstrip(".") for text in (page.title, section.heading) if text)
        label = f"tab:{page.name}" + (f"_{number}" if number > 1 else "")
        caption = rf"\caption{{{title}.}}\label{{{label}}}"
        notes = [*([page.caption] if number == 1 else []), *section.sentences]
        notes = list(filter(None, [*notes, *(page.notes if number == len(page.sections) else [])]))
        whole = section.of_scores and len(section.lines) <= MOST_LINES
        parts += (float_of if whole else long_table)(section, caption, notes)
    return "\n".join(parts) + "\n"


def float_of(section: Section, caption: str, notes: Sequence[str]) -> Iterator[str]:
    """A table on one page, no wider than the text."""
    columns = [
        WRAPPED.format(width=10) if column in section.wordy else "l" if column < 2 else "r"
        for column in range(len(section.heads))
    ]
    if max((len(line.cells[0].text) for line in section.lines), default=0) > LONGEST_NAME:
        columns[0] = WRAPPED.format(width=18)
    yield r"\begin{table}"
    yield r"\centering"
    yield caption
    yield r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
    yield rf"\begin{{tabular}}{{{''.join(columns)}}}"
    yield r"\toprule"
    yield row_of(map(escaped, section.heads))
    yield r"\midrule"
    yield from rows_of(section)
    yield r"\bottomrule"
    yield r"\end{tabular}}"
    yield from notes_below(notes)
    yield r"\end{table}"


def long_table(section: Section, caption: str, notes: Sequence[str]) -> Iterator[str]:
    """A table that may break across pages, as wide as the text, its columns by the length of their text."""
    heads = row_of(map(escaped, section.heads))
    columns = zip(*(line.cells for line in section.lines), strict=True)
    longest = [
        max(len(head), *(max(len(cell.text), len(cell.interval)) for cell in cells))
        for head, cells in zip(section.heads, columns, strict=True)
    ]
    lengths = [min(max(length, TEXT_WIDTHS[0]), TEXT_WIDTHS[1]) for length in longest]
    widths = "".join(
        rf">{{\raggedright\arraybackslash}}p{{\dimexpr {length / sum(lengths):.3f}\linewidth-2\tabcolsep}}"
        for length in lengths
    )
    yield r"{\scriptsize\setlength{\tabcolsep}{3pt}"
    yield rf"\begin{{longtable}}{{{widths}}}"
    yield rf"{caption}\\"
    yield from (
        r"\toprule",
        heads,
        r"\midrule",
        r"\endfirsthead",
        r"\toprule",
        heads,
        r"\midrule",
        r"\endhead",
    )
    yield from (r"\bottomrule", r"\endlastfoot")
    yield from rows_of(section)
    yield r"\end{longtable}"
    yield from notes_below(notes)
    yield "}"


def notes_below(notes: Sequence[str]) -> Iterator[str]:
    if notes:
        yield r"\par\smallskip{\footnotesize\raggedright"
        yield from (rf"{escaped(note)}\par" for note in notes)
        yield "}"


def rows_of(section: Section) -> Iterator[str]:
    """The lines of a table: ours, below estimates their intervals and what else is told, then what a paper
    prints."""
    for line in section.lines:
        if line.ours:
            name, *cells = line.cells
            mark = "" if line.converged else f" ({UNREADY})"
            first = escaped(in_one_cell(name) + mark)
            yield row_of(dyed([first, *(main_text(cell, section.of_scores) for cell in cells)], line))
        if line.ours and section.of_scores:
            for told in ([cell.interval for cell in cells], [cell.more for cell in cells]):
                if any(told):
                    small = [rf"\scriptsize {escaped(text)}" if text else "" for text in told]
                    yield row_of(dyed(["", *small], line))
        if line.has_printed:
            of_what = "" if line.ours else f"{line.cells[0].text}, "
            texts = [f"{of_what}published", *(cell.printed for cell in line.cells[1:])]
            yield row_of(rf"\textit{{{escaped(text)}}}" if text else "" for text in texts)


def main_text(cell: Cell, of_score: bool) -> str:
    """An estimate with its spread, bold where it is the best; of a table of text all that a cell tells."""
    if not of_score:
        return escaped(in_one_cell(cell))
    text = rf"\textbf{{{escaped(cell.text)}}}" if cell.best else escaped(cell.text)
    return rf"{text} {{\scriptsize {escaped(cell.spread)}}}" if cell.spread else text


def in_one_cell(cell: Cell) -> str:
    return "" if cell.same else " ".join(filter(None, (cell.text, cell.spread, cell.interval, cell.more)))


def dyed(cells: Iterable[str], line: Line) -> list[str]:
    """Cells in grey where the line did not converge."""
    return [rf"\color{{gray}}{cell}" if cell and not line.converged else cell for cell in cells]


def row_of(cells: Iterable[str]) -> str:
    """A row of a tabular; what opens with a bracket would be read as an argument of the row before."""
    row = " & ".join(cells)
    return f"{'{}' if row.startswith(('[', '*')) else ''}{row} \\\\"
