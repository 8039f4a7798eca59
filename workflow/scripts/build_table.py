"""Rule build_table: one tidy table, with its Markdown, HTML and LaTeX renderings."""

from headscarp.exhibits.kinds import function_of
from headscarp.exhibits.render import write_table
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.job import job

if "snakemake" in globals():
    with job(snakemake.log[0]):
        spec = ExhibitSpec.from_record(snakemake.params.record)
        write_table(
            function_of(spec.kind)(spec),
            spec,
            snakemake.output.csv,
            snakemake.output.markdown,
            snakemake.output.html,
            snakemake.output.latex,
        )
