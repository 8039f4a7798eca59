# Station exhibit: one tidy table or one figure, from scores, maps and layers only.


def get_exhibit(wildcards):
    return plan.exhibit(wildcards.card, wildcards.exhibit)


def get_module(wildcards):
    """The file that makes this kind of exhibit: an exhibit is made again when it changes."""
    return str(LIBRARY / "headscarp" / "exhibits" / f"{get_exhibit(wildcards).needs.module}.py")


def get_category(wildcards):
    """The paper of an exhibit as a chapter of the report, which sorts them by name. A colon would end a name inside the report."""
    number = [*plan.selected, *plan.cards].index(wildcards.card) + 1
    return f"{number:02d} {plan.cards[wildcards.card].title}".replace(":", " -")


def get_labels(wildcards):
    """An exhibit's title, numbered because the report sorts by name."""
    number = list(plan.cards[wildcards.card].exhibits).index(wildcards.exhibit) + 1
    return {"Exhibit": f"{number:02d} {get_exhibit(wildcards).title}"}


TOGETHER = "00 Claims, audit and provenance"  # the first chapter


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
            category=get_category,
            subcategory="Tables",
            labels=get_labels,
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
            category=get_category,
            subcategory="Figures",
            labels=get_labels,
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
        module=str(LIBRARY / "headscarp" / "exhibits" / "audit_tables.py"),
    output:
        csv="results/tables/audit.csv",
        markdown="results/tables/audit.md",
        html=report(
            "results/tables/audit.html",
            caption="../report/audit.rst",
            category=TOGETHER,
            subcategory="Tables",
            labels={"Exhibit": "The published numbers, audited"},
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


rule draw_map_page:
    input:
        layers=SITE + "/layers",
        maps=lambda wildcards: [
            f"{folder}/{name}"
            for folder in plan.delivered(wildcards.site)
            for name in ("probability.tif", "landslides.gpkg")
        ],
        module=str(LIBRARY / "headscarp" / "delivery" / "map_page.py"),
    output:
        page=SITE + "/map.html",
        tiles=directory(SITE + "/map"),
    log:
        "results/logs/draw_map_page/{site}.log",
    benchmark:
        "results/benchmarks/draw_map_page/{site}.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        record=lambda wildcards: plan.page_record(wildcards.site),
    message:
        "Drawing the interactive map of {wildcards.site}"
    script:
        "../scripts/draw_map_page.py"
