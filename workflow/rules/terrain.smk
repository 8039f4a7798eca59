# Station site, first half: derivatives of the elevation model on its own metric grid.


rule derive_terrain:
    input:
        dem=lambda wildcards: f"{plan.sites[wildcards.site].raw_folder}/{plan.sites[wildcards.site].dem}",
    output:
        directory(SITE + "/terrain"),
    log:
        "results/logs/derive_terrain/{site}.log",
    benchmark:
        "results/benchmarks/derive_terrain/{site}.tsv"
    conda:
        "../../envs/geo.yaml"
    params:
        over_windows=lambda wildcards: plan.terrain_over_windows(wildcards.site),
    message:
        "Deriving slope, aspect, curvature and wetness of {wildcards.site}"
    script:
        "../scripts/derive_terrain.py"
