"""Build docs/site from the README and docs/ with MkDocs Material: pages that open from disk, with a search
that needs no network. A link that leads nowhere stops it.

    python docs/build_site.py
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def main() -> None:
    with TemporaryDirectory() as folder:
        pages, site = Path(folder) / "pages", Path(folder) / "site"
        copy_pages(ROOT, pages)
        build(ROOT / "docs" / "mkdocs.yml", pages, site)
        shutil.rmtree(ROOT / "docs" / "site", ignore_errors=True)
        shutil.move(site, ROOT / "docs" / "site")
    print(f"file://{ROOT / 'docs' / 'site' / 'index.html'}")


def copy_pages(root: Path, pages: Path) -> None:
    """Copy docs/ and the README (as index.md) into `pages`; pictures from elsewhere in the repository beside
    them, and links to other files of it as their names."""
    shutil.copytree(
        root / "docs", pages, ignore=shutil.ignore_patterns("site", "*.py", "*.yml", "__pycache__")
    )
    readme = (root / "README.md").read_text(encoding="utf-8").replace("](docs/", "](")
    (pages / "index.md").write_text(readme, encoding="utf-8")
    for page in pages.rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        page.write_text(LINK.sub(lambda link, of=page: inside(link, of, root, pages), text), encoding="utf-8")


def inside(link: re.Match[str], page: Path, root: Path, pages: Path) -> str:
    """A link as it is, if it stays in the pages or leads to the web."""
    picture, text, target = link.groups()
    if re.match(r"[a-z]+:|#", target):
        return link[0]
    there = (page.parent / target.partition("#")[0]).resolve()
    if there.is_relative_to(pages.resolve()):
        return link[0]
    source = (root / "docs" / page.parent.relative_to(pages) / target).resolve()
    if not picture:
        return f"`{source.relative_to(root)}`"
    (pages / "pictures").mkdir(exist_ok=True)
    shutil.copy(source, pages / "pictures" / source.name)
    up = "../" * len(page.parent.relative_to(pages).parts)
    return f"![{text}]({up}pictures/{source.name})"


def build(config: Path, pages: Path, site: Path) -> None:
    """Run MkDocs, which warns of links that lead nowhere; warnings are errors."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--config-file", str(config)]
    environment = os.environ | {"HEADSCARP_DOCS": str(pages), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run([*command, "--site-dir", str(site)], env=environment, check=False)
    if done.returncode:
        raise SystemExit("the documentation was not built; mend what MkDocs says above")


if __name__ == "__main__":
    main()
