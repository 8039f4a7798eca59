"""Rule audit_papers: what the published numbers of the selected papers say of each other, as a table."""

from headscarp.exhibits.audit import audit_of_cards, titles_of, write_audit
from headscarp.job import job

if "snakemake" in globals():
    with job(snakemake.log[0]):
        record = snakemake.params.record
        write_audit(
            audit_of_cards(record),
            titles_of(record),
            snakemake.output.csv,
            snakemake.output.markdown,
            snakemake.output.html,
            snakemake.output.latex,
        )
