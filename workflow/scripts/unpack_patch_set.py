"""Rule unpack_patch_set: the archives of a set of patches, each in a folder of its name; folders and other
files of a user are linked."""

from collections.abc import Mapping
from pathlib import Path

from headscarp.files import atomic_path
from headscarp.job import job
from headscarp.sources.unpack import unpack

ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz")


def unpack_all(archives: Mapping[str, str], folder: Path) -> None:
    """Put {name: path} into `folder`, which appears whole or not at all."""
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        for name, path in archives.items():
            if Path(path).suffix in ARCHIVES:
                unpack(path, temporary / Path(name).stem)
            else:
                (temporary / name).symlink_to(Path(path).resolve())


if "snakemake" in globals():
    with job(snakemake.log[0]):
        unpack_all(snakemake.params.archives, Path(snakemake.output[0]))
