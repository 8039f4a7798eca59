"""Rule audit_papers: what the published numbers of the selected papers say of each other, as a table."""

from headscarp.exhibits.paper_audits import paper_audits, write_audits
from headscarp.job import job

if "snakemake" in globals():
    with job(snakemake.log[0]):
        frame = paper_audits(snakemake.params.record)
        write_audits(frame, snakemake.output.csv, snakemake.output.markdown, snakemake.output.html)
