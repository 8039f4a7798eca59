"""What the rules ask of the audit of published numbers."""

from dataclasses import dataclass
from typing import Any

from headscarp.exhibits.needs import AUDITED
from headscarp.plan.paths import AUDIT_TABLES
from headscarp.plan.selection import Selection


@dataclass(frozen=True)
class Audit:
    """The audit of the selected cards."""

    of: Selection

    @property
    def targets(self) -> list[str]:
        """Files with the audit, if any selected card has published numbers that are audited."""
        return list(AUDIT_TABLES) if any(card in AUDITED for card in self.of.selected) else []

    @property
    def samples(self) -> list[dict[str, str]]:
        """Windows of the selected cards, by site and protocol, whose overlap the audit tells."""
        found = []
        for card in self.of.selected:
            exhibits = [one for one in self.of.cards[card].exhibits.values() if one.needs.run]
            places = [
                (site, protocol) for one in exhibits for site in one.sites for protocol in one.protocols
            ]
            found += [
                {
                    "card": card,
                    "site": site,
                    "protocol": protocol,
                    "folder": self.of.sites[site].samples(card, protocol),
                }
                for site, protocol in dict.fromkeys(places)
                if not self.of.is_cell_site(site)
            ]
        return found

    @property
    def record(self) -> dict[str, Any]:
        """All that `exhibits.paper_audits` takes."""
        published = {card: self.of.cards[card].published for card in AUDITED if card in self.of.selected}
        return {"published": published, "samples": self.samples}
