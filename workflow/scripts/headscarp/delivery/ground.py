"""What a site's maps lie on in pages and projects: its inventory, as far as it has one."""

from pathlib import Path

from headscarp.codes import UNMAPPED
from headscarp.exhibits.layers import site_grid
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.spec import SiteFiles


def label_path(site: SiteFiles) -> Path | None:
    """The labels of a site, if a part of it is labelled."""
    path = site.folder / "layers" / "label.tif"
    if not path.exists():
        return None
    labels = View.of(site_grid(site)).read(path, classes=True)
    return path if (labels != UNMAPPED).any() else None
