# Station site, second half: all layers on one grid; station cube; station samples.


def get_terrain(wildcards):
    return (
        rules.derive_terrain.output[0].format(site=wildcards.site) if plan.sites[wildcards.site].dem else []
    )


rule align_layers:
    input:
        raw=lambda wildcards: plan.sites[wildcards.site].raw_files,
        terrain=get_terrain,
    output:
        directory(SITE + "/layers"),
    log:
        "results/logs/align_layers/{site}.log",
    benchmark:
        "results/benchmarks/align_layers/{site}.tsv"
    wildcard_constraints:
        site=either(
            site.name
            for site in plan.sites.values()
            if site.layers and not (site.has_patches or site.has_series)
        ),
    conda:
        "../../envs/geo.yaml"
    params:
        scene=lambda wildcards: plan.is_users_scene(wildcards.site),
        record=lambda wildcards: plan.sites[wildcards.site].layers,
    message:
        "Bringing all layers of {wildcards.site} onto one grid"
    script:
        "../scripts/align_layers.py"


rule summarise_patches:
    input:
        raw=lambda wildcards: plan.sites[wildcards.site].raw_files,
    output:
        directory(SITE + "/layers"),
    log:
        "results/logs/summarise_patches/{site}.log",
    benchmark:
        "results/benchmarks/summarise_patches/{site}.tsv"
    wildcard_constraints:
        site=either(site.name for site in plan.sites.values() if site.has_patches),
    conda:
        "../../envs/geo.yaml"
    params:
        record=lambda wildcards: plan.sites[wildcards.site].layers,
    message:
        "Summarising the patches of {wildcards.site}"
    script:
        "../scripts/summarise_patches.py"


rule unpack_series:
    input:
        raw=lambda wildcards: plan.sites[wildcards.site].raw_files,
    output:
        directory(SITE + "/layers"),
    log:
        "results/logs/unpack_series/{site}.log",
    benchmark:
        "results/benchmarks/unpack_series/{site}.tsv"
    wildcard_constraints:
        site=either(site.name for site in plan.sites.values() if site.has_series),
    conda:
        "../../envs/geo.yaml"
    params:
        record=lambda wildcards: plan.sites[wildcards.site].layers,
    message:
        "Unpacking the time series of {wildcards.site}"
    script:
        "../scripts/unpack_series.py"


rule stack_cube:
    input:
        layers=SITE + "/layers",
    output:
        CUBE,
    log:
        "results/logs/stack_cube/{site}.log",
    benchmark:
        "results/benchmarks/stack_cube/{site}.tsv"
    wildcard_constraints:
        site=either(site.name for site in plan.sites.values() if not (site.scenes or site.benchmark)),
    conda:
        "../../envs/geo.yaml"
    message:
        "Stacking the cube of {wildcards.site}"
    script:
        "../scripts/stack_cube.py"


rule stack_benchmark:
    input:
        lambda wildcards: plan.sites[wildcards.site].raw_files,
    output:
        CUBE,
        PATCHES,
    log:
        "results/logs/stack_benchmark/{site}.log",
    benchmark:
        "results/benchmarks/stack_benchmark/{site}.tsv"
    wildcard_constraints:
        site=either(plan.benchmarks),
    conda:
        "../../envs/geo.yaml"
    params:
        record=lambda wildcards: plan.sites[wildcards.site].benchmark,
    message:
        "Laying the patches of {wildcards.site} on one sheet"
    script:
        "../scripts/stack_benchmark.py"


rule join_scenes:
    input:
        lambda wildcards: [
            path.format(site=scene) for scene in plan.sites[wildcards.site].scenes for path in CUBE
        ],
    output:
        CUBE,
    log:
        "results/logs/join_scenes/{site}.log",
    benchmark:
        "results/benchmarks/join_scenes/{site}.tsv"
    wildcard_constraints:
        site=either(site.name for site in plan.sites.values() if site.scenes),
    conda:
        "../../envs/geo.yaml"
    params:
        scenes=lambda wildcards: list(plan.sites[wildcards.site].scenes),
        gap=lambda wildcards: plan.card_of(wildcards.site).sampling["window"],
    message:
        "Joining the scenes of {wildcards.site}"
    script:
        "../scripts/join_scenes.py"


rule sample_windows:
    input:
        CUBE,
        lambda wildcards: PATCHES.format(site=wildcards.site) if wildcards.site in plan.benchmarks else [],
    output:
        SAMPLE,
    log:
        "results/logs/sample_windows/{site}/{card}/{protocol}.log",
    benchmark:
        "results/benchmarks/sample_windows/{site}/{card}/{protocol}.tsv"
    conda:
        "../../envs/geo.yaml"
    params:
        record=lambda wildcards: plan.sampling(wildcards.card, wildcards.site),
        groups=lambda wildcards: plan.cards[wildcards.card].groups(of_cells=False, site=wildcards.site),
        seed=lambda wildcards: plan.sites[wildcards.site].seed,
    message:
        "Choosing {wildcards.protocol} windows of {wildcards.site} for {wildcards.card}"
    script:
        "../scripts/sample_windows.py"


rule sample_cells:
    input:
        unpack(lambda wildcards: plan.cell_sources(wildcards.site, wildcards.protocol)),
        cube=CUBE,
    output:
        CELL,
    log:
        "results/logs/sample_cells/{site}/{card}/{protocol}.log",
    benchmark:
        "results/benchmarks/sample_cells/{site}/{card}/{protocol}.tsv"
    conda:
        "../../envs/geo.yaml"
    params:
        record=lambda wildcards: plan.cards[wildcards.card].cells[wildcards.site],
        groups=lambda wildcards: plan.cards[wildcards.card].groups(of_cells=True, site=wildcards.site),
        seed=lambda wildcards: plan.sites[wildcards.site].seed,
    message:
        "Choosing {wildcards.protocol} cells of {wildcards.site} for {wildcards.card}"
    script:
        "../scripts/sample_cells.py"
