"""Rule compare_dates: landslides that are new, grown or unchanged between the class maps of several dates."""

from headscarp.job import job
from headscarp.mapping.change import ChangeRule, compare_dates

if "snakemake" in globals():
    with job(snakemake.log[0]):
        dates, truth = snakemake.params.dates, snakemake.input.get("truth")
        compare_dates(
            dict(zip(dates, snakemake.input.classes, strict=True)),
            snakemake.output.polygons,
            snakemake.output.record,
            ChangeRule(**snakemake.params.change),
            dict(zip(dates, truth, strict=True)) if truth else None,
        )
