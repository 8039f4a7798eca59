"""Rule draw_figure: one figure, for screen and print, with the numbers behind it."""

from headscarp.exhibits.figures import FIGURES
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.style import save
from headscarp.exhibits.tidy import write_csv
from headscarp.job import job

if "snakemake" in globals():
    with job(snakemake.log[0]):
        spec = ExhibitSpec.from_record(snakemake.params.record)
        figure, numbers = FIGURES[spec.kind](spec)
        save(figure, snakemake.output.png, snakemake.output.pdf)
        write_csv(numbers, snakemake.output.csv)
