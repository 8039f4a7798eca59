"""All cards, resolved, and which of them are selected: what every question of the rules starts from."""

from dataclasses import dataclass
from functools import cached_property

from headscarp.plan.model import Card, Site


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Cards by name; those `selected` in config.yaml whose data are at hand; and why the others are
    `skipped`."""

    cards: dict[str, Card]
    selected: tuple[str, ...]
    skipped: dict[str, str]
    scale: str

    @cached_property
    def sites(self) -> dict[str, Site]:
        """Sites by name, as the card resolves them that describes them."""
        return {
            name: site
            for card in self.cards.values()
            for name, site in card.sites.items()
            if site.card == card.name
        }

    def card_of(self, site: str) -> Card:
        """The card that describes a site."""
        return self.cards[self.sites[site].card]

    def is_cell_site(self, site: str) -> bool:
        """Whether a site is sampled as cells of susceptibility, not as windows of pixels."""
        return site in self.card_of(site).cells

    @cached_property
    def scenes_of_collages(self) -> set[str]:
        """Sites that a collage joins."""
        return {scene for site in self.sites.values() for scene in site.scenes}

    def is_users_scene(self, site: str) -> bool:
        """Whether a site is a scene of a collage whose files come from a user."""
        return site in self.scenes_of_collages and self.sites[site].source == "local"

    @property
    def patch_sets(self) -> list[str]:
        """Sites that are sets of patches."""
        return [site.name for site in self.sites.values() if site.patch_set]
