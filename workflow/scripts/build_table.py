"""Rule build_table: one tidy table, with its Markdown and HTML renderings."""

from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tables import TABLES, write_table
from headscarp.job import job

if "snakemake" in globals():
    with job(snakemake.log[0]):
        spec = ExhibitSpec.from_record(snakemake.params.record)
        frame = TABLES[spec.kind](spec)
        write_table(
            frame,
            snakemake.output.csv,
            snakemake.output.markdown,
            snakemake.output.html,
            spec.title,
            [spec.caption],
            spec.labels,
        )
