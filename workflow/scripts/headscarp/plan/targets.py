"""What can be asked of Snakemake by name: cards, single exhibits, pages of sites, and the few targets of all
cards together."""

from collections.abc import Iterable, Mapping

from headscarp.errors import HeadscarpError
from headscarp.plan.plan import Plan
from headscarp.plan.shown import Exhibit


def named_exhibits(plan: Plan, taken: Iterable[str]) -> dict[str, Exhibit]:
    """Exhibits of all cards by the names of their targets, `<card>_<exhibit>` and others that a card gives
    them; `taken` are the names that rules already have.

    Raises:
        HeadscarpError: a card is called like a rule, or two targets would have one name.
    """
    owners = dict.fromkeys(taken, "a rule of the workflow")
    for name in plan.cards:
        take(owners, name, f"card {name}")
    found = {}
    for card in plan.cards.values():
        for exhibit in card.exhibits.values():
            for name in (exhibit.name, *exhibit.also):
                target = f"{card.name}_{name}"
                take(owners, target, f"exhibit {exhibit.name} of card {card.name}")
                found[target] = exhibit
    return found


def take(owners: dict[str, str], name: str, owner: str) -> None:
    """Give a name to its owner, or raise a `HeadscarpError` where it has one."""
    if name in owners:
        raise HeadscarpError(
            f"the target '{name}' would be both {owners[name]} and {owner}; rename the card or its exhibit"
        )
    owners[name] = owner


def describe_targets(plan: Plan, exhibits: Mapping[str, Exhibit], together: Mapping[str, str]) -> str:
    """Every target with one line of what it is, in aligned columns: those of all cards `together` {name:
    line}, cards, exhibits, pages."""
    sections = {
        "Of all selected cards": dict(together),
        "Cards: all exhibits, maps and pages of one": {name: card_line(plan, name) for name in plan.cards},
    }
    for card in plan.cards.values():
        lines = {
            name: f"{'table ' if one.is_table else 'figure'}  {one.title}"
            for name, one in exhibits.items()
            if one.card == card.name
        }
        sections[f"Exhibits of {card.name}"] = lines
    sections["Pages of sites"] = {
        file: plan.sites[site].title for name in plan.cards for site, file in plan.maps.pages(name).items()
    }
    width = max(len(name) for lines in sections.values() for name in lines)
    blocks = [
        "\n".join([title, *(f"  {name:<{width}}  {line}" for name, line in lines.items())])
        for title, lines in sections.items()
    ]
    return "\n\n".join(
        [*blocks, "A file is a target as well: snakemake results/tables/<card>/<exhibit>.csv", ""]
    )


def card_line(plan: Plan, name: str) -> str:
    """What a card is, and why plain `snakemake` leaves it out where it does."""
    if name in plan.skipped:
        return f"{plan.cards[name].title} (skipped: its data are not at hand)"
    return plan.cards[name].title + (
        "" if name in plan.selected else " (not among the `cards` of config.yaml)"
    )
