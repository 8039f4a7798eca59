# Station exhibit: one tidy table or one figure, from scores, maps and layers only.


def get_exhibit(wildcards):
    return plan.exhibit(wildcards.card, wildcards.exhibit)


def get_module(wildcards):
    """The file that makes this kind of exhibit: an exhibit is made again when it changes."""
    return str(LIBRARY / "headscarp" / "exhibits" / f"{get_exhibit(wildcards).needs.module}.py")


rule build_table:
    input:
        lambda wildcards: plan.inputs_of(get_exhibit(wildcards)),
        module=get_module,
    output:
        csv="results/tables/{card}/{exhibit}.csv",
        markdown="results/tables/{card}/{exhibit}.md",
        html=report(
            "results/tables/{card}/{exhibit}.html",
            caption="../report/table.rst",
            category="{card}",
            labels={"exhibit": "{exhibit}", "kind": "table"},
        ),
    log:
        "results/logs/build_table/{card}/{exhibit}.log",
    benchmark:
        "results/benchmarks/build_table/{card}/{exhibit}.tsv"
    wildcard_constraints:
        exhibit=either(plan.names_of_exhibits(tables=True)),
    conda:
        "../../envs/report.yaml"
    params:
        record=lambda wildcards: plan.exhibit_record(get_exhibit(wildcards)),
    message:
        "Building {wildcards.exhibit} of {wildcards.card}"
    script:
        "../scripts/build_table.py"


rule draw_figure:
    input:
        lambda wildcards: plan.inputs_of(get_exhibit(wildcards)),
        module=get_module,
    output:
        png=report(
            "results/figures/{card}/{exhibit}.png",
            caption="../report/figure.rst",
            category="{card}",
            labels={"exhibit": "{exhibit}", "kind": "figure"},
        ),
        pdf="results/figures/{card}/{exhibit}.pdf",
        csv="results/tables/{card}/{exhibit}.csv",
    log:
        "results/logs/draw_figure/{card}/{exhibit}.log",
    benchmark:
        "results/benchmarks/draw_figure/{card}/{exhibit}.tsv"
    wildcard_constraints:
        exhibit=either(plan.names_of_exhibits(tables=False)),
    conda:
        "../../envs/report.yaml"
    params:
        record=lambda wildcards: plan.exhibit_record(get_exhibit(wildcards)),
    message:
        "Drawing {wildcards.exhibit} of {wildcards.card}"
    script:
        "../scripts/draw_figure.py"
