"""Rule link_file: a file of the user's data folder among the raw files of a site, as a link, not a copy."""

from pathlib import Path

from headscarp.job import job


def link(origin: str, output: str) -> None:
    """Make `output` a symbolic link to the absolute path of `origin`."""
    Path(output).symlink_to(Path(origin).resolve())


if "snakemake" in globals():
    with job(snakemake.log[0]):
        link(snakemake.input[0], snakemake.output[0])
