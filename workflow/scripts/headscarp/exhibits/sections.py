"""Tables as people read them, before they are laid out: pages of sections of lines of cells."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LONGEST_NUMBER = 12  # characters
UNREADY = "not converged"  # what is said beside the name of such a line


@dataclass(frozen=True)
class Cell:
    """What stands in one cell: an estimate or text, and of an estimate its `spread` ('± 0.01'), its
    `interval` ('[0.41, 0.45]') and what else is told of it (`more`).

    `printed` is what a paper prints, '' where it prints nothing. `best`: of its column. `same`: the text of
    the cell above, told once where lines stand in their order.
    """

    text: str
    spread: str = ""
    interval: str = ""
    more: str = ""
    printed: str = ""
    best: bool = False
    same: bool = False


@dataclass(frozen=True)
class Line:
    """Cells of one line. Not `converged`: a training behind it stopped before its plateau. Not `ours`: it
    holds nothing but what a paper prints."""

    cells: Sequence[Cell]
    converged: bool = True
    ours: bool = True

    @property
    def has_printed(self) -> bool:
        return any(cell.printed for cell in self.cells)


@dataclass(frozen=True)
class Section:
    """One table of a page: heading and sentences above it, heads, and lines. `of_scores`: its lines are
    estimates under short names; else it is text."""

    heading: str
    heads: Sequence[str]
    lines: Sequence[Line]
    sentences: Sequence[str] = ()
    of_scores: bool = False

    @classmethod
    def of_text(
        cls,
        heading: str,
        heads: Sequence[str],
        lines: Iterable[Sequence[str | Cell]],
        sentences: Sequence[str] = (),
    ) -> "Section":
        """A section of lines of text."""
        made = [Line([Cell(cell) if isinstance(cell, str) else cell for cell in line]) for line in lines]
        return cls(heading, heads, made, sentences)

    @property
    def wordy(self) -> set[int]:
        """Columns behind the first, by number from 0, that hold text too long for a number."""
        columns = zip(*(line.cells for line in self.lines), strict=True)
        return {
            number
            for number, cells in enumerate(columns)
            if number and any(max(len(cell.text), len(cell.printed)) > LONGEST_NUMBER for cell in cells)
        }


@dataclass(frozen=True)
class Page:
    """Tables under one title, a caption above and notes below; `name` is that of the exhibit among those of
    all cards, such as gao2021_table7."""

    title: str
    name: str
    sections: Sequence[Section]
    notes: Sequence[str] = ()
    caption: str = ""
