# Stage exhibits: one tidy table or one figure, from scores, maps and layers only.

from headscarp.exhibits.kinds import sources_of


def get_exhibit(wildcards):
    return plan.exhibits.find(wildcards.card, wildcards.exhibit)


def get_sources(wildcards):
    """The code of this kind of exhibit: an exhibit is made again when it changes."""
    return get_exhibit(wildcards).reads.sources


def get_category(wildcards):
    """The card of an exhibit as a chapter of the report, which sorts them by name; short, since the report's menu is as wide as the longest."""
    number = [*plan.selected, *plan.cards].index(wildcards.card) + 1
    return f"{number:02d} {wildcards.card}"


def get_labels(wildcards):
    """An exhibit's title, numbered because the report sorts by name."""
    number = list(plan.cards[wildcards.card].exhibits).index(wildcards.exhibit) + 1
    return {"Exhibit": f"{number:02d} {get_exhibit(wildcards).title}"}


TOGETHER = "00 all papers"  # the first chapter


rule build_table:
    input:
        lambda wildcards: plan.exhibits.inputs(get_exhibit(wildcards)),
        sources=get_sources,
    output:
        csv=TABLE + ".csv",
        markdown=TABLE + ".md",
        latex=TABLE + ".tex",
        html=report(
            TABLE + ".html",
            caption="../report/table.rst",
            category=get_category,
            subcategory="Tables",
            labels=get_labels,
        ),
    log:
        log_of("exhibits", "build_table", "{card}/{exhibit}"),
    benchmark:
        timing_of("exhibits", "build_table", "{card}/{exhibit}")
    wildcard_constraints:
        exhibit=either(plan.exhibits.names(tables=True)),
    conda:
        "../../envs/report.yaml"
    params:
        record=lambda wildcards: plan.exhibits.record(get_exhibit(wildcards)),
    message:
        "Building {wildcards.exhibit} of {wildcards.card}"
    script:
        "../scripts/build_table.py"


rule draw_figure:
    input:
        lambda wildcards: plan.exhibits.inputs(get_exhibit(wildcards)),
        sources=get_sources,
    output:
        png=report(
            FIGURE + ".png",
            caption="../report/figure.rst",
            category=get_category,
            subcategory="Figures",
            labels=get_labels,
        ),
        pdf=FIGURE + ".pdf",
        csv=TABLE + ".csv",
    log:
        log_of("exhibits", "draw_figure", "{card}/{exhibit}"),
    benchmark:
        timing_of("exhibits", "draw_figure", "{card}/{exhibit}")
    wildcard_constraints:
        exhibit=either(plan.exhibits.names(tables=False)),
    conda:
        "../../envs/report.yaml"
    params:
        record=lambda wildcards: plan.exhibits.record(get_exhibit(wildcards)),
    message:
        "Drawing {wildcards.exhibit} of {wildcards.card}"
    script:
        "../scripts/draw_figure.py"


rule judge_claims:
    input:
        plan.claims.inputs,
        sources=sources_of("claims", "forest_plot", panels=True),
    output:
        csv="results/tables/claims.csv",
        markdown="results/tables/claims.md",
        latex="results/tables/claims.tex",
        html=report(
            "results/tables/claims.html",
            caption="../report/table.rst",
            category=TOGETHER,
            subcategory="Tables",
            labels={"Exhibit": "The claims of the papers, tested"},
        ),
        png=report(
            "results/figures/claims.png",
            caption="../report/figure.rst",
            category=TOGETHER,
            subcategory="Figures",
            labels={"Exhibit": "The claims of the papers, tested"},
        ),
        pdf="results/figures/claims.pdf",
    log:
        log_of("exhibits", "judge_claims"),
    benchmark:
        timing_of("exhibits", "judge_claims")
    conda:
        "../../envs/report.yaml"
    params:
        record=plan.claims.record,
    message:
        "Judging the claims of all selected papers"
    script:
        "../scripts/judge_claims.py"


rule audit_papers:
    input:
        [f"{sample['folder']}/samples.json" for sample in plan.audit.windows],
        module=str(LIBRARY / "headscarp" / "exhibits" / "audit.py"),
    output:
        csv="results/tables/audit.csv",
        markdown="results/tables/audit.md",
        latex="results/tables/audit.tex",
        html=report(
            "results/tables/audit.html",
            caption="../report/audit.rst",
            category=TOGETHER,
            subcategory="Tables",
            labels={"Exhibit": "The published numbers, audited"},
        ),
    log:
        log_of("exhibits", "audit_papers"),
    benchmark:
        timing_of("exhibits", "audit_papers")
    conda:
        "../../envs/report.yaml"
    params:
        record=plan.audit.record,
    message:
        "Auditing the published numbers of all selected papers"
    script:
        "../scripts/audit_papers.py"
