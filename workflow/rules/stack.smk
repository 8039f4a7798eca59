# Station site, second half: all layers on one grid; station cube; station samples.


rule align_layers:
    input:
        raw=lambda wildcards: plan.sites[wildcards.site].raw_files,
        terrain=rules.derive_terrain.output[0],
    output:
        directory(SITE + "/layers"),
    log:
        "results/logs/align_layers/{site}.log",
    benchmark:
        "results/benchmarks/align_layers/{site}.tsv"
    conda:
        "../../envs/geo.yaml"
    params:
        record=lambda wildcards: plan.sites[wildcards.site].layers,
    message:
        "Bringing all layers of {wildcards.site} onto one grid"
    script:
        "../scripts/align_layers.py"


rule stack_cube:
    input:
        layers=rules.align_layers.output[0],
    output:
        CUBE,
    log:
        "results/logs/stack_cube/{site}.log",
    benchmark:
        "results/benchmarks/stack_cube/{site}.tsv"
    conda:
        "../../envs/geo.yaml"
    message:
        "Stacking the cube of {wildcards.site}"
    script:
        "../scripts/stack_cube.py"


rule sample_windows:
    input:
        CUBE,
    output:
        SAMPLE,
    log:
        "results/logs/sample_windows/{site}/{card}/{protocol}.log",
    benchmark:
        "results/benchmarks/sample_windows/{site}/{card}/{protocol}.tsv"
    conda:
        "../../envs/geo.yaml"
    params:
        record=lambda wildcards: plan.cards[wildcards.card].sampling,
        groups=lambda wildcards: [list(group) for group in plan.cards[wildcards.card].inputs.values()],
        seed=lambda wildcards: plan.sites[wildcards.site].seed,
    message:
        "Choosing {wildcards.protocol} windows of {wildcards.site} for {wildcards.card}"
    script:
        "../scripts/sample_windows.py"
