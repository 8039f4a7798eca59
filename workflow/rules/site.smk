# Stage site: terrain, all layers on one grid, and the cube that networks read.


rule derive_terrain:
    input:
        dem=lambda wildcards: f"{plan.sites[wildcards.site].raw_folder}/{plan.sites[wildcards.site].dem}",
    output:
        directory(SITE + "/terrain"),
    log:
        log_of("site", "derive_terrain", "{site}"),
    benchmark:
        timing_of("site", "derive_terrain", "{site}")
    conda:
        "../../envs/geo.yaml"
    params:
        over_windows=lambda wildcards: plan.sites[wildcards.site].windowed_terrain,
    message:
        "Deriving slope, aspect, curvature and wetness of {wildcards.site}"
    script:
        "../scripts/derive_terrain.py"


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
        log_of("site", "align_layers", "{site}"),
    benchmark:
        timing_of("site", "align_layers", "{site}")
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
        log_of("site", "summarise_patches", "{site}"),
    benchmark:
        timing_of("site", "summarise_patches", "{site}")
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
        log_of("site", "unpack_series", "{site}"),
    benchmark:
        timing_of("site", "unpack_series", "{site}")
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
        log_of("site", "stack_cube", "{site}"),
    benchmark:
        timing_of("site", "stack_cube", "{site}")
    wildcard_constraints:
        site=either(site.name for site in plan.sites.values() if not (site.scenes or site.patch_set)),
    conda:
        "../../envs/geo.yaml"
    message:
        "Stacking the cube of {wildcards.site}"
    script:
        "../scripts/stack_cube.py"


rule stack_patch_set:
    input:
        lambda wildcards: plan.sites[wildcards.site].raw_files,
    output:
        CUBE,
        PATCHES,
    log:
        log_of("site", "stack_patch_set", "{site}"),
    benchmark:
        timing_of("site", "stack_patch_set", "{site}")
    wildcard_constraints:
        site=either(plan.patch_sets),
    conda:
        "../../envs/geo.yaml"
    params:
        record=lambda wildcards: plan.sites[wildcards.site].patch_set,
    message:
        "Laying the patches of {wildcards.site} on one sheet"
    script:
        "../scripts/stack_patch_set.py"


rule join_scenes:
    input:
        lambda wildcards: [
            path.format(site=scene) for scene in plan.sites[wildcards.site].scenes for path in CUBE
        ],
    output:
        CUBE,
    log:
        log_of("site", "join_scenes", "{site}"),
    benchmark:
        timing_of("site", "join_scenes", "{site}")
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
