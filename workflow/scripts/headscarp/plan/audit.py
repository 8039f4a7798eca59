"""The audit of published numbers: what the rules ask of it, and that its checks read what is printed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from headscarp.errors import HeadscarpError
from headscarp.plan.model import Card
from headscarp.plan.paths import AUDIT_TABLES
from headscarp.plan.samples import Samples
from headscarp.plan.selection import Selection
from headscarp.scoring.audit.findings import OVERLAP_ITEM
from headscarp.scoring.audit.registry import require_printed

TITLE = "The printed numbers of the papers, audited"


@dataclass(frozen=True)
class Audit:
    """The audit of the selected cards."""

    plan: Selection
    samples: Samples

    @property
    def targets(self) -> list[str]:
        """Files with the audit, if any selected card has one."""
        return list(AUDIT_TABLES) if self.cards else []

    @property
    def cards(self) -> list[Card]:
        """The selected cards that have an audit."""
        return [card for card in map(self.plan.cards.get, self.plan.selected) if card.audit]

    @property
    def windows(self) -> list[dict[str, str]]:
        """Windows of the selected cards, by site and protocol, whose overlap the audit tells, of the first
        seed."""
        found = []
        for card in self.plan.selected:
            exhibits = [one for one in self.plan.cards[card].exhibits.values() if one.reads.runs and one.rows]
            places = [
                (site, protocol)
                for one in exhibits
                for site in one.sites
                for protocol in one.protocols
                if self.plan.cards[card].is_tested(site, protocol)
            ]
            found += [
                {
                    "card": card,
                    "site": site,
                    "protocol": protocol,
                    "folder": self.samples.folder(card, site, protocol, self.plan.cards[card].seeds[0]),
                }
                for site, protocol in dict.fromkeys(places)
                if not self.plan.is_cell_site(site)
            ]
        return found

    @property
    def record(self) -> dict[str, Any]:
        """All that `exhibits.audit.audit_of_cards` takes."""
        audits = [{"card": card.name, "published": card.published} | card.audit for card in self.cards]
        return {"audits": audits, "samples": self.windows}


def check_audits(cards: Mapping[str, Card], selected: Collection[str]) -> None:
    """Raise a `HeadscarpError` where a check reads what no published table has, or where two of the selected
    cards, whose audits stand in one table, have the same item."""
    audited = [card for card in cards.values() if card.audit]
    items = {OVERLAP_ITEM, *(card.audit["item"] for card in audited)}
    free = next(item for item in range(1, len(items) + 2) if item not in items)
    taken = {OVERLAP_ITEM: "the overlap of our own windows"}
    for card in audited:
        place, item = f"card {card.name}, audit", card.audit["item"]
        if item in taken and (card.name in selected or item == OVERLAP_ITEM):
            raise HeadscarpError(f"{place}: item {item} is that of {taken[item]}; take {free}")
        if card.name in selected:
            taken[item] = f"card {card.name}"
        for number, check in enumerate(card.audit["checks"], start=1):
            require_printed(check, card.published, f"{place}, check {number}")
