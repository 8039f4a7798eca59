"""Pages of tables, written alike as Markdown, HTML and LaTeX."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from headscarp.exhibits.latex import latex_page
from headscarp.exhibits.sections import UNREADY, Cell, Line, Page, Section
from headscarp.exhibits.tidy import SIMULATED
from headscarp.files import atomic_path
from headscarp.templating import fill


def write_pages(page: Page, *files: str | Path) -> None:
    """Write a page into each file, in the form that its ending tells (`FORMS`), atomically."""
    for file in files:
        with atomic_path(file) as temporary:
            temporary.write_text(FORMS[Path(file).suffix](page), encoding="utf-8")


def markdown_page(page: Page) -> str:
    """The page as Markdown; published values stand in parentheses."""
    parts = [f"# {page.title}", "", *([page.caption, ""] if page.caption else [])]
    for section in page.sections:
        parts += [f"## {section.heading}", ""] if section.heading else []
        parts += [*(f"- {sentence}" for sentence in section.sentences), ""] if section.sentences else []
        parts += [markdown_line(section.heads), "|" + " --- |" * len(section.heads)]
        parts += [markdown_line(markdown_cells(line)) for line in section.lines]
        parts.append("")
    parts += [f"- {note}" for note in page.notes]
    return "\n".join(parts).rstrip() + "\n"


def markdown_line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def markdown_cells(line: Line) -> Iterator[str]:
    for column, cell in enumerate(line.cells):
        mark = f" ({UNREADY})" if column == 0 and not line.converged else ""
        printed = f" (published {cell.printed})" if cell.printed else ""
        yield f"{in_one_line(cell)}{mark}{printed}".strip()


def in_one_line(cell: Cell) -> str:
    """'value ± sd [low, high]; more'; nothing of what the cell above says."""
    if cell.same:
        return ""
    parts = " ".join(filter(None, (cell.text, cell.spread, cell.interval)))
    return "; ".join(filter(None, (parts, cell.more)))


def html_page(page: Page) -> str:
    """The page as HTML: intervals stand below estimates, what a paper prints in a line below ours."""
    return fill(
        "exhibits/templates/table.html",
        page=page,
        keys=list(map(key_of, page.sections)),
        simulated=SIMULATED,
        unready=UNREADY,
    )


def key_of(section: Section) -> str:
    """What the looks of a table say, of those that it has."""
    cells = [cell for line in section.lines for cell in line.cells] if section.of_scores else []
    told = {
        "± standard deviation over seeds": any(cell.spread for cell in cells),
        "[95 % interval]": any(cell.interval for cell in cells),
        "bold: best of its column on the same ground": any(cell.best for cell in cells),
        "grey: a training stopped before its plateau": not all(line.converged for line in section.lines),
        "shaded: printed in the paper": any(line.has_printed for line in section.lines),
        "a click on a head sorts": len(section.lines) > 1,
    }
    return " · ".join(text for text, holds in told.items() if holds)


FORMS = {".md": markdown_page, ".html": html_page, ".tex": latex_page}
