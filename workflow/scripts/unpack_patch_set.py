"""Rule unpack_patch_set: the archives of a set of patches, each in a folder of its name; folders and other
files of a user are linked."""

from headscarp.job import job
from headscarp.sources.unpack import unpack_all

if "snakemake" in globals():
    with job(snakemake.log[0]):
        unpack_all(snakemake.params.archives, snakemake.output[0])
