"""Rule unpack_series: files that hold many dates each, as the layers of a site."""

from pathlib import Path

from headscarp.job import job
from headscarp.site.series_layers import build_series_layers

if "snakemake" in globals():
    with job(snakemake.log[0]):
        build_series_layers(snakemake.params.record, Path(snakemake.input.raw[0]).parent, snakemake.output[0])
