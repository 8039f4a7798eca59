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


rule judge_claims:
    input:
        plan.claim_inputs(),
        module=str(LIBRARY / "headscarp" / "exhibits" / "claims.py"),
    output:
        csv="results/tables/claims.csv",
        markdown="results/tables/claims.md",
        html=report(
            "results/tables/claims.html", caption="../report/table.rst", category="claims", labels={"exhibit": "claims", "kind": "table"}
        ),
        png=report(
            "results/figures/claims.png", caption="../report/figure.rst", category="claims", labels={"exhibit": "claims", "kind": "figure"}
        ),
        pdf="results/figures/claims.pdf",
    log:
        "results/logs/judge_claims.log",
    benchmark:
        "results/benchmarks/judge_claims.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        record=plan.claims_record(),
    message:
        "Judging the claims of all selected papers"
    script:
        "../scripts/judge_claims.py"


rule audit_papers:
    input:
        [f"{sample['folder']}/samples.json" for sample in plan.audit_samples()],
        module=str(LIBRARY / "headscarp" / "exhibits" / "paper_audits.py"),
    output:
        csv="results/tables/audit.csv",
        markdown="results/tables/audit.md",
        html=report(
            "results/tables/audit.html", caption="../report/audit.rst", category="audit", labels={"exhibit": "audit", "kind": "table"}
        ),
    log:
        "results/logs/audit_papers.log",
    benchmark:
        "results/benchmarks/audit_papers.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        record=plan.audit_record(),
    message:
        "Auditing the published numbers of all selected papers"
    script:
        "../scripts/audit_papers.py"
