# What describes the results as a whole: how they came about, and a folder to deposit.


rule record_provenance:
    input:
        [plan.targets(card) for card in plan.selected],
        plan.claim_targets(),
        plan.audit_targets(),
    output:
        "results/provenance.json",
    log:
        "results/logs/record_provenance.log",
    conda:
        "../../envs/report.yaml"
    params:
        plan=lambda wildcards: plan.provenance_record(),
        config=lambda wildcards: config,
        root=workflow.basedir,
    message:
        "Recording how all results came about"
    script:
        "../scripts/record_provenance.py"


rule describe_provenance:
    input:
        record="results/provenance.json",
        module=str(LIBRARY / "headscarp" / "delivery" / "provenance_page.py"),
    output:
        page=report(
            "results/provenance.html",
            caption="../report/provenance.rst",
            category=TOGETHER,
            subcategory="Provenance",
            labels={"Exhibit": "How these results came about"},
        ),
    log:
        "results/logs/describe_provenance.log",
    conda:
        "../../envs/report.yaml"
    message:
        "Describing how all results came about"
    script:
        "../scripts/describe_provenance.py"


rule build_crate:
    input:
        "results/provenance.json",
    output:
        directory("results/crate"),
    log:
        "results/logs/build_crate.log",
    conda:
        "../../envs/report.yaml"
    params:
        root=workflow.basedir,
    message:
        "Packing an RO-Crate of the results"
    script:
        "../scripts/build_crate.py"


rule provenance:
    """Code, packages, times and checksums of all results (results/provenance.json)."""
    input:
        "results/provenance.json",


rule crate:
    """An RO-Crate of the results, a folder to deposit (results/crate)."""
    input:
        "results/crate",
