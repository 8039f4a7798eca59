"""Rule derive_terrain: derivatives of an elevation model on its own metric grid."""

from headscarp.files import atomic_path
from headscarp.job import job
from headscarp.site.terrain import derive_terrain

if "snakemake" in globals():
    with job(snakemake.log[0]), atomic_path(snakemake.output[0]) as folder:
        derive_terrain(snakemake.input.dem, folder)
