"""Rule draw_figure: one figure, for screen and print, with the numbers behind it."""

from headscarp.exhibits.panels.figure import draw, save
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import write_csv
from headscarp.job import job

if "snakemake" in globals():
    with job(snakemake.log[0]):
        figure, numbers = draw(ExhibitSpec.from_record(snakemake.params.record))
        save(figure, snakemake.output.png, snakemake.output.pdf)
        write_csv(numbers, snakemake.output.csv)
