"""Rule deliver_map: a map as its users take it: mask, polygons, styles for QGIS and a STAC item beside the
probability."""

from pathlib import Path
from typing import Any

from headscarp.delivery.catalogue import write_item
from headscarp.delivery.mask import write_binary
from headscarp.delivery.styles import class_style, landslide_style, probability_style, write_style
from headscarp.files import read_json
from headscarp.job import job
from headscarp.mapping.polygons import landslide_polygons, write_polygons


def deliver(
    probability: Path, run: Path, scores: Path, layers: Path, collection: Path, record: dict[str, Any]
) -> None:
    """Write mask.tif, landslides.gpkg, their styles and item.json beside a probability map, at the threshold
    of its run's scores."""
    folder, threshold = probability.parent, read_json(scores)["threshold"]
    write_binary(probability, threshold, folder / "mask.tif")
    write_polygons(folder / "landslides.gpkg", landslide_polygons(probability, threshold, layers))
    write_style(folder / "probability.qml", probability_style())
    write_style(folder / "mask.qml", class_style())
    write_style(folder / "landslides.qml", landslide_style())
    write_item(folder, run, scores, layers, collection, record)


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
