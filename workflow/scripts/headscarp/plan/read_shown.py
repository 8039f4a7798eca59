"""Exhibits and claims of a card, resolved."""

from typing import Any

from headscarp.plan.shown import Claim, ClaimTest, Exhibit
from headscarp.vocabulary import require_known


def rows_at(scale: dict, name: str, exhibit: dict, place: str, experiments: dict) -> dict:
    """The record of an exhibit with those of its rows that a scale runs: all, unless the scale names some
    (and, where it names what it delivers, the exhibit is among that: others are made whole on request)."""
    if "rows" not in scale or "rows" not in exhibit or name not in scale.get("deliver", [name]):
        return exhibit
    for row in scale["rows"]:
        require_known(row, experiments, f"{place}, scales, rows: experiment")
    left_out = set(exhibit["rows"]) - set(scale["rows"])
    found = exhibit | {"rows": [row for row in exhibit["rows"] if row not in left_out]}
    if "pairs" in exhibit.get("options", {}):
        pairs = [pair for pair in exhibit["options"]["pairs"] if left_out.isdisjoint(rows_of_pair(pair))]
        found["options"] = exhibit["options"] | {"pairs": pairs}
    return found


def rows_of_pair(pair: dict | list) -> list[str]:
    """The two rows that an option `pairs` compares."""
    return pair["rows"] if isinstance(pair, dict) else pair


def resolve_exhibit(
    card: str, name: str, record: dict, protocols: tuple[str, ...], known: tuple[str, ...]
) -> Exhibit:
    """An exhibit under those of its protocols that are `known`; under `protocols` where it names none of
    them."""
    chosen = tuple(one for one in record.get("protocols", protocols) if one in known)
    return Exhibit(
        card=card,
        name=name,
        kind=record["kind"],
        title=record["title"],
        caption=record["caption"],
        sites=tuple(record["sites"]),
        rows=tuple(record.get("rows", [])),
        protocols=chosen or protocols,
        seeds=record.get("seeds", "all"),
        options=record.get("options", {}),
        target=record.get("target"),
        searches=tuple(record.get("searches", [])),
    )


def resolve_claim(card: str, name: str, record: dict) -> Claim:
    """A claim of a card; its names may be those of other cards and are checked when all cards are read
    (`checks.check_claims`)."""
    tests = [
        ClaimTest(
            card=test.get("card", card),
            site=test["site"],
            first=test["rows"][0],
            second=test["rows"][1],
            target=test.get("target"),
            protocols=tuple(test.get("protocols", [])),
            published=resolve_printed(test, record["metric"]),
            note=test.get("note", ""),
        )
        for test in record["tests"]
    ]
    return Claim(
        card=card,
        name=name,
        text=record["text"],
        place=record["place"],
        metric=record["metric"],
        at_least=record.get("at_least", 0.0),
        within=record.get("within"),
        decided_by_simulation=record.get("decided_by_simulation", ""),
        tests=tuple(tests),
    )


def resolve_printed(test: dict, metric: str) -> dict[str, Any] | None:
    """Where the paper prints the difference that a test measures; rows and metric are those of the test
    unless it names others."""
    return {"rows": test["rows"], "metric": metric} | test["published"] if "published" in test else None
