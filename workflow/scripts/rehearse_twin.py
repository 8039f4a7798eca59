"""Rule rehearse_twin: what a simulated site costs, from a small one of it."""

from headscarp.files import write_json
from headscarp.job import job
from headscarp.sources.twin.simulate import rehearse_twin

if "snakemake" in globals():
    with job(snakemake.log[0]):
        write_json(
            snakemake.output[0],
            rehearse_twin(snakemake.params.record, snakemake.params.size, snakemake.params.seed),
        )
