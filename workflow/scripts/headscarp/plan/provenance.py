"""What the record of provenance asks: what the selected cards deliver, and from which raw files."""

from dataclasses import dataclass
from typing import Any

from headscarp.plan.audit import TITLE as AUDIT_TITLE
from headscarp.plan.audit import Audit
from headscarp.plan.claims import TITLE, Claims
from headscarp.plan.maps import Maps
from headscarp.plan.model import Site
from headscarp.plan.selection import Selection
from headscarp.sources.archive import read_table


@dataclass(frozen=True)
class Provenance:
    """What the selected cards deliver."""

    plan: Selection
    maps: Maps
    claims: Claims
    audit: Audit

    @property
    def record(self) -> dict[str, Any]:
        """What the selected cards deliver and from which raw files, for `headscarp.provenance.record_of`."""
        cards = [self.plan.cards[name] for name in self.plan.selected]
        return {
            "scale": self.plan.scale,
            "skipped": self.plan.skipped,
            "cards": {
                card.name: {
                    "title": card.title,
                    "citation": card.citation,
                    "protocols": list(card.protocols),
                    "seeds": list(card.seeds),
                }
                for card in cards
            },
            "sites": {site.name: self._source_record(site) for site in self._sites()},
            "exhibits": self._exhibits(),
            "maps": [
                {"card": card.name, "folder": folder, "site": site, "files": [f"{folder}/landslides.gpkg"]}
                for card in cards
                for folder, site in self.maps.of_card(card.name).items()
            ],
        }

    def _sites(self) -> list[Site]:
        """Sites of the selected cards, with those that they are joined from or read."""
        used = [self.plan.sites[name] for card in self.plan.selected for name in self.plan.cards[card].sites]
        names = dict.fromkeys(name for site in used for name in (site.name, *(site.scenes or [site.raw])))
        return [self.plan.sites[name] for name in names]

    def _exhibits(self) -> list[dict[str, Any]]:
        """The exhibits of the selected cards, and of all of them together."""
        exhibits = [one for name in self.plan.selected for one in self.plan.cards[name].exhibits.values()]
        together = (
            ("claims", TITLE, self.claims.targets),
            ("audit", AUDIT_TITLE, self.audit.targets),
        )
        return [
            {"card": one.card, "name": one.name, "kind": one.kind, "title": one.title, "files": one.files}
            for one in exhibits
        ] + [
            {"card": None, "name": name, "kind": name, "title": title, "files": files}
            for name, title, files in together
            if files
        ]

    def _source_record(self, site: Site) -> dict[str, Any]:
        """Where the raw files of a site come from: it has some of its own unless it joins `scenes` or borrows
        those of another (`raw`). `table` has the address, licence and citation of those of an archive."""
        own = site.raw == site.name and not site.scenes
        card = self.plan.card_of(site.name)
        table = read_table(card.archive) if own and site.source == "archive" else {}
        return {
            "title": site.title,
            "card": site.card,
            "data": site.data,
            "source": site.source,
            "seed": site.seed if site.twin else None,
            "citation": site.layers.get("citation") or card.citation,
            "raw": site.raw,
            "scenes": list(site.scenes),
            "origins": site.origins,
            "files": site.raw_files if own else [],
            "table": {
                name: {"url": file.url, "licence": file.licence, "citation": file.citation}
                for name, file in table.items()
            },
        }
