# Stage samples: labelled windows and cells of one protocol, with the regions that train, validate and test.


rule sample_windows:
    input:
        CUBE,
        lambda wildcards: PATCHES.format(site=wildcards.site) if wildcards.site in plan.patch_sets else [],
    output:
        SAMPLE,
    log:
        log_of("samples", "sample_windows", "{site}/{card}/{protocol}/fold{fold}"),
    benchmark:
        timing_of("samples", "sample_windows", "{site}/{card}/{protocol}/fold{fold}")
    conda:
        "../../envs/geo.yaml"
    params:
        record=lambda wildcards: plan.samples.windows(wildcards.card, wildcards.site),
        groups=lambda wildcards: plan.cards[wildcards.card].groups(of_cells=False, site=wildcards.site),
        seed=lambda wildcards: plan.sites[wildcards.site].seed,
    message:
        "Choosing {wildcards.protocol} windows of {wildcards.site} for {wildcards.card}, fold {wildcards.fold}"
    script:
        "../scripts/sample_windows.py"


rule sample_cells:
    input:
        unpack(lambda wildcards: plan.samples.labels_of_cells(wildcards.site, wildcards.protocol)),
        cube=CUBE,
    output:
        CELL,
    log:
        log_of("samples", "sample_cells", "{site}/{card}/{protocol}/fold{fold}"),
    benchmark:
        timing_of("samples", "sample_cells", "{site}/{card}/{protocol}/fold{fold}")
    conda:
        "../../envs/geo.yaml"
    params:
        record=lambda wildcards: plan.cards[wildcards.card].cells[wildcards.site],
        groups=lambda wildcards: plan.cards[wildcards.card].groups(of_cells=True, site=wildcards.site),
        seed=lambda wildcards: plan.sites[wildcards.site].seed,
    message:
        "Choosing {wildcards.protocol} cells of {wildcards.site} for {wildcards.card}, fold {wildcards.fold}"
    script:
        "../scripts/sample_cells.py"
