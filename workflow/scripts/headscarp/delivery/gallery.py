"""The gallery: one page for a browser on all tables, figures and maps that are there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from headscarp.files import atomic_path, relative_address
from headscarp.templating import fill

FORMS = {
    ".html": "HTML",
    ".png": "PNG",
    ".pdf": "PDF",
    ".csv": "CSV",
    ".md": "Markdown",
    ".tex": "LaTeX",
}


def build_gallery(record: Mapping[str, Any], target: str | Path) -> None:
    """Write the gallery; addresses in it are relative to its folder.

    Args:
        record: `plan.gallery.Gallery.record`: `scale`, and `groups` of `name`, `title`, `exhibits` ({name,
            title, caption, files}) and `pages` ({file: title}).
    """
    folder = Path(target).parent
    groups = [group_of(group, folder) for group in record["groups"]]
    kinds = [one["kind"] for group in groups for one in group["exhibits"]]
    text = fill(
        "delivery/templates/gallery.html",
        title="Results of headscarp",
        scale=record["scale"],
        groups=groups,
        tables=kinds.count("table"),
        figures=kinds.count("figure"),
    )
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def group_of(group: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A group with addresses in place of files."""
    pages = [(address(file, folder), title) for file, title in group["pages"].items()]
    return {**group, "exhibits": [exhibit_of(one, folder) for one in group["exhibits"]], "pages": pages}


def exhibit_of(exhibit: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """An exhibit with what a click on it opens (`shown`: the page of a table, the picture of a figure), links
    to its files, and the words by which it is found."""
    links = {Path(file).suffix: address(file, folder) for file in exhibit["files"]}
    kind = "figure" if ".png" in links else "table"
    return {
        **exhibit,
        "kind": kind,
        "shown": links[".png" if kind == "figure" else ".html"],
        "links": [(text, links[ending]) for ending, text in FORMS.items() if ending in links],
        "words": " ".join([kind, exhibit["name"], exhibit["title"], exhibit["caption"]]).lower(),
    }


def address(file: str, folder: Path) -> str:
    return quote(relative_address(file, folder).removeprefix("./"), safe="/+")
