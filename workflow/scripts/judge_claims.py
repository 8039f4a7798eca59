"""Rule judge_claims: the verdict on every claim of the selected cards, as a table and a forest plot."""

from headscarp.exhibits.claims import claims_table, write_claims
from headscarp.exhibits.forest_plot import forest_plot
from headscarp.exhibits.panels.figure import save
from headscarp.job import job

if "snakemake" in globals():
    with job(snakemake.log[0]):
        frame = claims_table(snakemake.params.record)
        write_claims(
            frame,
            snakemake.params.record,
            snakemake.output.csv,
            snakemake.output.markdown,
            snakemake.output.html,
            snakemake.output.latex,
        )
        save(forest_plot(frame, snakemake.params.record), snakemake.output.png, snakemake.output.pdf)
