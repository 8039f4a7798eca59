"""Tables of landslides between dates."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from headscarp.codes import LAND_COVER_KEYS, LANDSLIDE
from headscarp.exhibits.averages import mean_of
from headscarp.exhibits.runs import runs_by_row
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import frame_of, record
from headscarp.files import read_json


def change_table(spec: ExhibitSpec) -> pd.DataFrame:
    """Landslides between dates by each run; mean and sd over seeds.

    Rows such as `fstf_net:new` (and grown, shrunk, unchanged, gone): landslides, area at the last date and
    its change since the first, m2, and of new and grown ones the true slides, how many of them were found,
    and mapped ones that are false. Rows such as `fstf_net:bare_land_to_landslide`: m2 between dates;
    `fstf_net:landslides`: m2 at each date.
    """
    lines: list[dict[str, Any]] = []
    for protocol, row, runs in runs_by_row(spec):
        of_runs = [change_numbers(read_json(run.folder / "change" / "change.json")) for run in runs]
        for part, numbers in of_runs[0].items():
            for metric in numbers:
                value = mean_of([one[part][metric] for one in of_runs])
                lines.append(
                    record(
                        spec, f"{row}:{part}", metric, protocol=protocol, data=spec.only_site().data, **value
                    )
                )
    return frame_of(lines)


def change_numbers(made: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """{part of a row: {metric: number}} of one change.json."""
    numbers = {"landslides": {f"area_{date}_m2": area for date, area in made["landslide_area_m2"].items()}}
    for status, counts in (made["by_status"] | {"gone": made["gone"]}).items():
        numbers[status] = {
            "landslides": float(counts["count"]),
            "area_m2": counts["area_m2"],
            "change_m2": counts["change_m2"],
        }
        for metric, key in (("slides", "slides"), ("slides_found", "found"), ("false_polygons", "false")):
            if made["truth"] and status in made["truth"]:
                numbers[status][metric] = float(made["truth"][status][key])
    slide = LAND_COVER_KEYS[LANDSLIDE]
    for code, name in LAND_COVER_KEYS.items():
        if code != LANDSLIDE:
            numbers[f"{name}_to_{slide}"] = {
                f"{one['from']}_to_{one['to']}_m2": one["area_m2"][code][LANDSLIDE]
                for one in made["transitions"]
            }
    return numbers
