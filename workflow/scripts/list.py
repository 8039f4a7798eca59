"""Rule list: every target with one line of what it is, on standard output."""

if "snakemake" in globals():
    print(snakemake.params.text, end="")
