"""Rule download_file: one file of a registered data set, or of an address that an area names."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headscarp.job import job
from headscarp.sources.datasets import fetch_dataset, read_datasets
from headscarp.sources.downloads import RemoteFile, fetch

CHECKSUMS = "checksums.csv"  # of files whose publishers state none, as they were at first download


def download(record: Mapping[str, Any], registry: str, target: Path, mirror: str | None) -> None:
    """Fetch what a record names: {dataset, file} of the registry, or {url, sha256}."""
    if "url" in record:
        fetch(RemoteFile(target.name, record["url"], sha256=record["sha256"]), target, mirror, CHECKSUMS)
    else:
        fetch_dataset(
            read_datasets(registry)[record["dataset"]], target.parent, mirror, CHECKSUMS, [record["file"]]
        )


if "snakemake" in globals():
    with job(snakemake.log[0]):
        download(
            snakemake.params.file,
            snakemake.params.registry,
            Path(snakemake.output[0]),
            os.environ["HEADSCARP_MIRROR"] or None,
        )
