"""Rule build_gallery: one page on all tables, figures and maps."""

from headscarp.delivery.gallery import build_gallery
from headscarp.job import job

if "snakemake" in globals():
    with job(snakemake.log[0]):
        build_gallery(snakemake.params.record, snakemake.output[0])
