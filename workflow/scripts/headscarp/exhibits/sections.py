"""Pages of tables, written alike as Markdown and as HTML."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from headscarp.exhibits.tidy import SIMULATED
from headscarp.files import atomic_path
from headscarp.templating import fill


@dataclass(frozen=True)
class Section:
    """One table of a page: heading and sentences above it, heads, and lines of cells (ours, published), of
    which the second is empty where nothing is published."""

    heading: str
    heads: Sequence[str]
    lines: Sequence[Sequence[tuple[str, str]]]
    sentences: Sequence[str] = ()

    @classmethod
    def of_text(
        cls,
        heading: str,
        heads: Sequence[str],
        lines: Iterable[Sequence[str]],
        sentences: Sequence[str] = (),
    ) -> "Section":
        """A section whose cells are text alone, with nothing published beside it."""
        return cls(heading, heads, [[(cell, "") for cell in line] for line in lines], sentences)


def write_pages(
    md: str | Path,
    html: str | Path,
    title: str,
    sections: Sequence[Section],
    notes: Sequence[str] = (),
    caption: str = "",
) -> None:
    """Write the same tables, with a caption above and notes below, as Markdown and as a self-contained HTML
    page, each atomically."""
    for path, page in ((md, markdown_page), (html, html_page)):
        with atomic_path(path) as temporary:
            temporary.write_text(page(title, sections, notes, caption), encoding="utf-8")


def markdown_page(title: str, sections: Sequence[Section], notes: Sequence[str], caption: str = "") -> str:
    """The page as Markdown; published values stand in parentheses."""
    parts = [f"# {title}", "", *([caption, ""] if caption else [])]
    for section in sections:
        parts += [f"## {section.heading}", ""] if section.heading else []
        parts += [*(f"- {sentence}" for sentence in section.sentences), ""] if section.sentences else []
        parts += [markdown_line(section.heads), "|" + " --- |" * len(section.heads)]
        parts += [
            markdown_line(
                [f"{ours} (published {printed})".strip() if printed else ours for ours, printed in line]
            )
            for line in section.lines
        ]
        parts.append("")
    parts += [f"- {note}" for note in notes]
    return "\n".join(parts).rstrip() + "\n"


def markdown_line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def html_page(title: str, sections: Sequence[Section], notes: Sequence[str], caption: str = "") -> str:
    """The page as HTML; published values stand below ours, simulated sites are marked."""
    return fill(
        "exhibits/templates/table.html",
        title=title,
        caption=caption,
        sections=sections,
        notes=notes,
        simulated=SIMULATED,
    )
