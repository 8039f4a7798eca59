"""Exhibits and claims of a card, resolved."""

from typing import Any

from headscarp.errors import HeadscarpError
from headscarp.plan.shown import Claim, ClaimTest, Exhibit
from headscarp.vocabulary import require_known

# Options of exhibits that say something of a row each, {row: ...}, and those that name one row.
OF_ROWS, ONE_ROW = ("published_rows", "row_columns", "shares"), ("reference", "baseline")


def rows_at(scale: dict, name: str, exhibit: dict, place: str, experiments: dict) -> dict:
    """The record of an exhibit with those of its rows that a scale runs: all, unless the scale names some
    (and, where it names what it delivers, the exhibit is among that: others are made whole on request). Its
    options say nothing of rows that are left out.

    Raises:
        HeadscarpError: the scale names an unknown row, or leaves out the one that others are held against.
    """
    if "rows" not in scale or "rows" not in exhibit or name not in scale.get("deliver", [name]):
        return exhibit
    for row in scale["rows"]:
        require_known(row, experiments, f"{place}, scales, rows: experiment")
    left_out = set(exhibit["rows"]) - set(scale["rows"])
    options = dict(exhibit.get("options", {}))
    for option in ONE_ROW:
        if options.get(option) in left_out:
            raise HeadscarpError(
                f"{place}, scales, rows: '{options[option]}' is left out, against which exhibit {name} holds "
                f"the others ({option}); add it"
            )
    for option in OF_ROWS:
        if option in options:
            options[option] = {
                row: said for row, said in options[option].items() if row.split(":")[-1] not in left_out
            }
    if "pairs" in options:
        options["pairs"] = [pair for pair in options["pairs"] if left_out.isdisjoint(rows_of_pair(pair))]
    return exhibit | {"rows": [row for row in exhibit["rows"] if row not in left_out], "options": options}


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
        also=tuple(record.get("also", [])),
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
