"""What tests of tables share: a spec of an exhibit over a made-up world, and one line of a tidy frame."""

import pandas as pd

from headscarp.exhibits.spec import ExhibitSpec


def spec_of(world: dict, kind: str, **changes) -> ExhibitSpec:
    return ExhibitSpec.from_record(
        {"card": "test", "name": kind, "kind": kind, "title": "A title", "caption": "A caption.", **world}
        | changes
    )


def one(frame: pd.DataFrame, row: str, metric: str, protocol: str = "") -> pd.Series:
    chosen = frame[(frame["row"] == row) & (frame["metric"] == metric) & (frame["protocol"] == protocol)]
    assert len(chosen) == 1, (row, metric, protocol)
    return chosen.iloc[0]
