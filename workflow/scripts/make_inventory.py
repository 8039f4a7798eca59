"""Rule make_inventory: the landslides that a run found on a site as polygons, without those on masked
ground."""

import logging
from pathlib import Path

from headscarp.files import read_json
from headscarp.job import job
from headscarp.mapping.inventory import build_inventory, inventory_threshold

if "snakemake" in globals():
    with job(snakemake.log[0]):
        threshold, notes = inventory_threshold(read_json(snakemake.input.scores))
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
