"""Rule derive_terrain: derivatives of an elevation model on its own metric grid."""

import logging

from headscarp.job import job
from headscarp.site.terrain import derive_terrain

if "snakemake" in globals():
    with job(snakemake.log[0]):
        for note in derive_terrain(snakemake.input.dem, snakemake.output[0], snakemake.params.over_windows):
            logging.info("%s", note)
