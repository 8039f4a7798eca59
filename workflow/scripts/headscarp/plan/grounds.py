"""No network is tested on ground that it trained on under another site's name, such as another image of one
event in another data set."""

from collections.abc import Iterator, Mapping

from headscarp.errors import HeadscarpError
from headscarp.plan.model import Card, Site
from headscarp.yaml_files import merge


def check_grounds(card: Card, sites: Mapping[str, Site], place: str) -> None:
    """Refuse what a card scores or maps on another site than it trained on, where both show one `ground`;
    `sites` are those of all cards.

    Raises:
        HeadscarpError: that happens; the message names both sites.
    """
    for trained, tested, where in journeys(card):
        for learnt in learnt_sites(card, trained, sites):
            if shares_ground(learnt, sites[tested]):
                raise HeadscarpError(
                    f"{place}, {where}: {tested} shows the ground of {learnt.name}, on which the network "
                    f"trained ({ground_of(learnt)}); test it on another site, or train it without that one"
                )


def journeys(card: Card) -> Iterator[tuple[str, str, str]]:
    """Site of training, site of testing and where the card asks for it, for all that leaves its own site."""
    for one in card.apply:
        yield one["site"], one["target"], "apply"
    for exhibit in card.exhibits.values():
        where = f"exhibit {exhibit.name}"
        targets = (
            [exhibit.target] if exhibit.target else exhibit.sites if exhibit.reads.at_other_sites else ()
        )
        starts = (card.experiments[row].start for row in exhibit.rows if row in card.experiments)
        pairs = [(site, target) for site in exhibit.sites for target in targets]
        pairs += [(start["site"], site) for start in starts if start for site in exhibit.sites]
        yield from ((trained, tested, where) for trained, tested in pairs if trained != tested)


def learnt_sites(card: Card, name: str, sites: Mapping[str, Site]) -> list[Site]:
    """The site itself or, of a collage, the scenes that train or validate."""
    site = sites[name]
    held_out = merge(card.sampling, site.sampling).get("split", {}).get("test")
    return [sites[scene] for scene in site.scenes if scene != held_out] or [site]


def shares_ground(one: Site, other: Site) -> bool:
    """Whether one of two sites is said to show the ground of the other, or both that of a third."""
    said = one.ground or other.ground
    return bool(said) and one.name != other.name and ground_of(one) == ground_of(other)


def ground_of(site: Site) -> str:
    """The site after which its ground is called: what it says, else that of its raw files."""
    return site.ground or site.raw
