# Station source: raw rasters and vectors of a study area, simulated or fetched.


# What a twin writes depends on what its card simulates: one rule for each list of files.
for files in sorted({site.files for site in plan.sites.values() if site.twin}):

    rule:
        name:
            "simulate_" + next(site.name for site in plan.sites.values() if site.twin and site.files == files)
        output:
            [f"{SITE}/raw/{name}" for name in files],
        log:
            "results/logs/simulate_twin/{site}.log",
        benchmark:
            "results/benchmarks/simulate_twin/{site}.tsv"
        wildcard_constraints:
            site=either(site.name for site in plan.sites.values() if site.twin and site.files == files),
        conda:
            "../../envs/geo.yaml"
        params:
            record=lambda wildcards: plan.sites[wildcards.site].twin,
            seed=lambda wildcards: plan.sites[wildcards.site].seed,
            size=lambda wildcards: plan.card_of(wildcards.site).size,
        message:
            "Simulating the study area {wildcards.site}"
        script:
            "../scripts/simulate_twin.py"


rule fetch_file:
    output:
        SITE + "/raw/{name}",
    log:
        "results/logs/fetch_file/{site}/{name}.log",
    wildcard_constraints:
        site=either(site.name for site in plan.sites.values() if site.source == "archive"),
    conda:
        "../../envs/geo.yaml"
    params:
        table=lambda wildcards: str(plan.card_of(wildcards.site).archive),
    message:
        "Fetching {wildcards.name} of {wildcards.site}"
    script:
        "../scripts/fetch_file.py"


rule link_file:
    input:
        lambda wildcards: f"{plan.data}/{plan.sites[wildcards.site].origin or wildcards.site}/{wildcards.name}",
    output:
        SITE + "/raw/{name}",
    log:
        "results/logs/link_file/{site}/{name}.log",
    wildcard_constraints:
        site=either(site.name for site in plan.sites.values() if site.source == "local"),
    conda:
        "../../envs/geo.yaml"
    message:
        "Linking {wildcards.name} of {wildcards.site}"
    script:
        "../scripts/link_file.py"
