"""The audits of cards: every name in them exists, and no two are the same item of the audit of all cards."""

from collections.abc import Mapping

from headscarp.errors import HeadscarpError
from headscarp.plan.cards import Card
from headscarp.scoring.audit.findings import OVERLAP_ITEM
from headscarp.scoring.audit.registry import require_printed

AUDIT = "audit"  # the kind of exhibit that shows what the checks of its card find


def check_audits(cards: Mapping[str, Card]) -> None:
    """Refuse checks of what no published table has, items that are taken, and exhibits of an audit that the
    card does not have."""
    taken = {OVERLAP_ITEM: "the overlap of our own windows"}
    for card in cards.values():
        if card.audit:
            check_audit(card, taken)
            taken[card.audit["item"]] = f"card {card.name}"
        for exhibit in card.exhibits.values():
            if exhibit.kind == AUDIT and not card.audit:
                raise HeadscarpError(
                    f"card {card.name}, exhibit {exhibit.name}: it shows the checks of the card's `audit` "
                    f"section; add one"
                )


def check_audit(card: Card, taken: Mapping[int, str]) -> None:
    """Raise a `HeadscarpError` where the audit of a card reads what is not printed, or its item is taken."""
    place = f"card {card.name}, audit"
    item = card.audit["item"]
    if item in taken:
        free = next(number for number in range(1, len(taken) + 2) if number not in taken)
        raise HeadscarpError(f"{place}: item {item} is that of {taken[item]}; take another, such as {free}")
    for number, check in enumerate(card.audit["checks"], start=1):
        require_printed(check, card.published, f"{place}, check {number}")
