"""Rule write_project: the QGIS project of a site, with the described rasters that it shows."""

from headscarp.delivery.project import write_project
from headscarp.job import job

if "snakemake" in globals():
    with job(snakemake.log[0]):
        write_project(snakemake.params.record, snakemake.output.project, snakemake.output.rasters)
