"""What a card shows at one scale: its exhibits, and the claims of its paper."""

from dataclasses import dataclass
from typing import Any

from headscarp.exhibits.kinds import KINDS, Kind
from headscarp.plan.paths import FIGURE, TABLE, TABLE_ENDINGS


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """One table or figure of a card; `also` are other names of its target."""

    card: str
    name: str
    kind: str
    title: str
    caption: str
    sites: tuple[str, ...]
    rows: tuple[str, ...]
    protocols: tuple[str, ...]
    seeds: str
    options: dict[str, Any]
    target: str | None
    searches: tuple[str, ...]
    also: tuple[str, ...] = ()

    @property
    def is_table(self) -> bool:
        return self.reads.is_table

    @property
    def reads(self) -> Kind:
        return KINDS[self.kind]

    @property
    def files(self) -> list[str]:
        table, figure = (path.format(card=self.card, exhibit=self.name) for path in (TABLE, FIGURE))
        if self.is_table:
            return [f"{table}.{ending}" for ending in TABLE_ENDINGS]
        return [f"{figure}.png", f"{figure}.pdf", f"{table}.csv"]


@dataclass(frozen=True, kw_only=True)
class ClaimTest:
    """One comparison that a claim makes: run `first` of `card` and `site` is above run `second`, both scored
    there or on `target`.

    `published` ({table, rows, metric}) says where the paper of the claim prints the difference; `protocols`
    are those of `card` where it is empty.
    """

    card: str
    site: str
    first: str
    second: str
    target: str | None
    protocols: tuple[str, ...]
    published: dict[str, Any] | None
    note: str


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence of a paper that says what is better than what on `metric`, where it stands, and the
    comparisons that test it.

    `at_least` is the size that the sentence claims, a fraction; `within` the margin of a sentence that calls
    both equal, None for others; `decided_by_simulation` what the generator of simulated sites builds in that
    settles it there, '' where nothing does.
    """

    card: str
    name: str
    text: str
    place: str
    metric: str
    at_least: float
    within: float | None
    decided_by_simulation: str
    tests: tuple[ClaimTest, ...]
