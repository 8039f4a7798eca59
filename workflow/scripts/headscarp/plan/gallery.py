"""What the gallery shows: tables, figures and maps of the selected cards."""

import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from headscarp.plan.audit import TITLE as AUDIT_TITLE
from headscarp.plan.audit import Audit
from headscarp.plan.claims import TITLE as CLAIMS_TITLE
from headscarp.plan.claims import Claims
from headscarp.plan.maps import Maps
from headscarp.plan.paths import MAP_PAGE, SUSCEPTIBILITY_MAP, SUSCEPTIBILITY_PAGE
from headscarp.plan.selection import Selection

TOGETHER = "All papers together"
SHOWN = (".html", ".png")  # endings of the file of an exhibit that the gallery shows


@dataclass(frozen=True)
class Gallery:
    """The gallery of the selected cards."""

    plan: Selection
    maps: Maps
    claims: Claims
    audit: Audit

    def record(self, coming: Collection[str] = ()) -> dict[str, Any]:
        """All that `delivery.gallery.build_gallery` takes: exhibits and pages by card, of those whose files
        are there or among those that are `coming`."""

        def there(files: Iterable[str]) -> list[str]:
            return [file for file in files if file in coming or os.path.exists(file)]

        groups = []
        for group in self._groups():
            exhibits = [one | {"files": there(one["files"])} for one in group["exhibits"]]
            shown = [
                one for one in exhibits if any(PurePosixPath(file).suffix in SHOWN for file in one["files"])
            ]
            pages = {file: title for file, title in group["pages"].items() if there([file])}
            groups.append(group | {"exhibits": shown, "pages": pages})
        full = [group for group in groups if group["exhibits"] or group["pages"]]
        return {"scale": self.plan.scale, "groups": full}

    def _groups(self) -> Iterator[dict[str, Any]]:
        """All that could be shown of each card, and of all of them together."""
        for name in self.plan.selected:
            card = self.plan.cards[name]
            pages = {}
            for site, summary in self.maps.pages(name).items():
                title = self.plan.sites[site].title
                pages |= {MAP_PAGE.format(site=site): f"{title}: map", summary: f"{title}: summary"}
            for run in self.maps.of_susceptibility(name):
                title = f"{self.plan.sites[run.site].title}: susceptibility"
                pages[SUSCEPTIBILITY_MAP[0].format(site=run.site)] = f"{title}, map"
                pages[SUSCEPTIBILITY_PAGE.format(site=run.site)] = title
            exhibits = [
                {"name": f"{name}_{one.name}", "title": one.title, "caption": one.caption, "files": one.files}
                for one in card.exhibits.values()
            ]
            yield {"name": name, "title": card.title, "exhibits": exhibits, "pages": pages}
        together = [
            {"name": "claims", "title": CLAIMS_TITLE, "caption": "", "files": self.claims.tables},
            {"name": "claims", "title": CLAIMS_TITLE, "caption": "", "files": self.claims.figures},
            {"name": "audit", "title": AUDIT_TITLE, "caption": "", "files": self.audit.targets},
        ]
        yield {"name": "together", "title": TOGETHER, "exhibits": together, "pages": {}}
