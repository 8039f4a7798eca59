"""Rule fetch_file: one upstream file, from a mirror or its own address, checked against the data table."""

import os

from headscarp.job import job
from headscarp.sources.archive import fetch_archive_file, read_table
from headscarp.vocabulary import require_known

if "snakemake" in globals():
    with job(snakemake.log[0]):
        table = read_table(snakemake.params.table)
        name = require_known(snakemake.wildcards.name, table, f"{snakemake.params.table}: file")
        fetch_archive_file(table[name], snakemake.output[0], os.environ["HEADSCARP_MIRROR"] or None)
