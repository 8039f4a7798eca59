"""Rows of networks held against pixel-wise forests, which see no neighbourhood: what a table says where a
network loses to one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headscarp.exhibits.labels import metric_label
from headscarp.exhibits.spec import ExhibitSpec

FOREST = "random_forest"


def held_against_forests(
    spec: ExhibitSpec, lines: Sequence[dict[str, Any]], metrics: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Tidy records of scores, with a note on each row that scores below a pixel-wise forest of the table
    under the same protocol, on no more channels and dates than the row reads: in which of `metrics` seeing
    more than single pixels does not pay. The note stands at the first of these that the row has."""
    values = {(line["protocol"], line["row"], line["metric"]): line["value"] for line in lines}
    for line in lines:
        of_row = [metric for metric in metrics if (line["protocol"], line["row"], metric) in values]
        if line["metric"] not in of_row[:1]:
            yield line
            continue
        notes = [line["note"]]
        for forest in forests_within(spec, line["row"]):
            own, floor = (
                [values.get((line["protocol"], row, metric)) for metric in of_row]
                for row in (line["row"], forest)
            )
            pairs = zip(of_row, own, floor, strict=True)
            lost = [metric_label(m) for m, a, b in pairs if None not in (a, b) and a < b]
            if lost:
                names = spec.labels[line["row"]], spec.labels[forest]
                notes.append(f"{names[0]} loses to {names[1]} under {line['protocol']}: {', '.join(lost)}")
        yield line | {"note": "; ".join(filter(None, notes))}


def forests_within(spec: ExhibitSpec, row: str) -> list[str]:
    """The rows of pixel-wise forests that read nothing that a row of another kind does not read too."""
    own = spec.experiments.get(row)
    if own is None or own["network"] == FOREST:
        return []
    return [name for name in spec.rows if reads_within(spec.experiments.get(name, {"network": ""}), own)]


def reads_within(forest: Mapping[str, Any], network: Mapping[str, Any]) -> bool:
    return (
        forest["network"] == FOREST
        and set(forest["channels"]) <= set(network["channels"])
        and forest["dates"] in ("last", network["dates"])
    )
