"""Rule make_inventory: the landslides that a run found on a site as polygons, without those on masked
ground."""

from pathlib import Path

from headscarp.files import read_json
from headscarp.job import job
from headscarp.mapping.inventory import build_inventory

if "snakemake" in globals():
    with job(snakemake.log[0]):
        build_inventory(
            snakemake.input.probability,
            read_json(snakemake.input.scores)["best_threshold"],
            snakemake.input.layers,
            Path(next(iter(snakemake.input.masks), "")).parent,
            snakemake.params.masks,
            snakemake.params.minimum_area_m2,
            snakemake.output.polygons,
            snakemake.output.record,
        )
