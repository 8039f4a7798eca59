"""Rule deliver_map: a map as its users take it: mask, polygons, styles for QGIS and a STAC item beside the
probability."""

from pathlib import Path
from typing import Any

from headscarp.delivery.catalogue import write_item
from headscarp.delivery.delivered import deliver_map
from headscarp.files import read_json
from headscarp.job import job


def deliver(
    probability: Path, run: Path, scores: Path, layers: Path, collection: Path, record: dict[str, Any]
) -> None:
    """Write mask.tif, landslides.gpkg, their styles and item.json beside a probability map, at the threshold
    of its run's scores."""
    deliver_map(probability, read_json(scores)["threshold"], layers)
    write_item(probability.parent, run, scores, layers, collection, record)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        deliver(
            Path(snakemake.input.probability),
            Path(snakemake.input.run),
            Path(snakemake.input.scores),
            Path(snakemake.input.layers),
            Path(snakemake.params.collection),
            snakemake.params.record,
        )
