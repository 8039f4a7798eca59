"""Rule deliver_map: a map as its users take it: mask, polygons, styles for QGIS and a STAC item beside the
probability."""

from pathlib import Path

from headscarp.delivery.catalogue import write_item
from headscarp.delivery.delivered import deliver_map
from headscarp.files import read_json
from headscarp.job import job

if "snakemake" in globals():
    with job(snakemake.log[0]):
        probability, layers = Path(snakemake.input.probability), Path(snakemake.input.layers)
        deliver_map(probability, read_json(snakemake.input.scores)["threshold"], layers)
        write_item(
            probability.parent,
            snakemake.input.run,
            snakemake.input.scores,
            layers,
            snakemake.params.collection,
            snakemake.params.record,
        )
