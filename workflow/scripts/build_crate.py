"""Rule build_crate: an RO-Crate of the results, a folder to deposit."""

from headscarp.delivery.crate import build_crate
from headscarp.files import read_json
from headscarp.job import job

if "snakemake" in globals():
    with job(snakemake.log[0]):
        build_crate(read_json(snakemake.input[0]), snakemake.params.root, snakemake.output[0])
