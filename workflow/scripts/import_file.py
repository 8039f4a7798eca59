"""Rule import_file: the part of a user's file, or of a downloaded one, that an area needs."""

import logging
from pathlib import Path

from headscarp.job import job
from headscarp.sources.imports import import_file

if "snakemake" in globals():
    with job(snakemake.log[0]):
        outline = snakemake.input.get("outline")
        notes = import_file(
            snakemake.params.spec,
            [snakemake.input.origin] if isinstance(snakemake.input.origin, str) else snakemake.input.origin,
            Path(outline) if outline else None,
            Path(snakemake.output[0]),
        )
        for note in notes:
            logging.info("%s", note)
