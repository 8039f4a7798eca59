"""Rule deliver_best_map: the map of a site as its users take it, with its uncertainty, mask, polygons, styles
and STAC item."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headscarp.delivery.best_map import write_best_map
from headscarp.delivery.catalogue import write_item
from headscarp.delivery.delivered import deliver_map
from headscarp.delivery.styles import uncertainty_style, write_style
from headscarp.files import read_json, write_json
from headscarp.job import job
from headscarp.mapping.averages import record_average


def deliver_best(
    choice: Path,
    candidates: Sequence[dict[str, Any]],
    layers: Path,
    collection: Path,
    record: dict[str, Any],
    minimum_area_m2: float,
) -> None:
    """Write all files of the best map beside its choice.json and scores.json."""
    folder, chosen = choice.parent, read_json(choice)
    maps = next(one["maps"] for one in candidates if one["experiment"] == chosen["experiment"])
    write_best_map(folder, chosen, [one["probability"] for one in maps])
    average = {"of": chosen["experiment"], "over": "seeds"}
    write_json(folder / "run.json", record_average([one["run"] for one in maps], average, chosen["seeds"][0]))
    write_style(folder / "uncertainty.qml", uncertainty_style())
    record = record | {key: chosen[key] for key in ("experiment", "label", "seeds")}
    deliver_map(folder / "probability.tif", chosen["threshold"], layers, minimum_area_m2)
    write_item(folder, folder / "run.json", folder / "scores.json", layers, collection, record)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        deliver_best(
            Path(snakemake.input.choice),
            snakemake.params.choice["candidates"],
            Path(snakemake.input.layers),
            Path(snakemake.params.collection),
            snakemake.params.record,
            snakemake.params.minimum_area_m2,
        )
