"""Rule make_inventory: the landslides that a run found on a site as polygons, without those on masked
ground."""

import logging
from pathlib import Path

from headscarp.files import read_json
from headscarp.geo.layer import read_layer
from headscarp.job import job
from headscarp.mapping.inventory import build_inventory, inventory_threshold

if "snakemake" in globals():
    with job(snakemake.log[0]):
        scores, probability = read_json(snakemake.input.scores), read_layer(snakemake.input.probability)
        threshold, notes = inventory_threshold(scores, probability.values)
        for note in notes:
            logging.getLogger(__name__).warning(note)
        build_inventory(
            snakemake.input.probability,
            threshold,
            snakemake.input.layers,
            Path(next(iter(snakemake.input.masks), "")).parent,
            snakemake.params.masks,
            snakemake.params.minimum_area_m2,
            snakemake.output.polygons,
            snakemake.output.record,
            notes,
        )
