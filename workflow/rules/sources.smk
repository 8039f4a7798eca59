# Stage sources: raw rasters and vectors of a study area, simulated or fetched.
# What fetches or links runs where Snakemake does: nodes of a cluster often have no way out.


from headscarp.sources.twin.files import memory_mb

# What a twin writes depends on what its card simulates: one rule for each list of files.
for files in sorted({site.files for site in plan.sites.values() if site.twin}):

    rule:
        name:
            "simulate_" + next(site.name for site in plan.sites.values() if site.twin and site.files == files)
        output:
            [f"{SITE}/raw/{name}" for name in files],
        log:
            log_of("sources", "simulate_twin", "{site}"),
        benchmark:
            timing_of("sources", "simulate_twin", "{site}")
        wildcard_constraints:
            site=either(site.name for site in plan.sites.values() if site.twin and site.files == files),
        conda:
            "../../envs/geo.yaml"
        resources:
            # a job that was killed comes back with more
            mem_mb=lambda wildcards, attempt: attempt
            * memory_mb(plan.sites[wildcards.site].twin, plan.card_of(wildcards.site).size),
            runtime=lambda wildcards, attempt: plan.forecasts.of_twin(wildcards.site, attempt),
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
        log_of("sources", "fetch_file", "{site}/{name}"),
    wildcard_constraints:
        site=either(site.name for site in plan.sites.values() if site.source == "archive"),
    localrule: True
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
        log_of("sources", "link_file", "{site}/{name}"),
    wildcard_constraints:
        site=either(site.name for site in plan.sites.values() if site.source == "local"),
    localrule: True
    conda:
        "../../envs/geo.yaml"
    params:
        crs=lambda wildcards: plan.sites[wildcards.site].crs,
    message:
        "Linking {wildcards.name} of {wildcards.site}"
    script:
        "../scripts/link_file.py"


rule fetch_raster:
    input:
        outline=lambda wildcards: plan.origins.outline(wildcards.raw),
    output:
        raster=SITES + "/{raw}",
        record=SITES + "/{raw}.json",
    log:
        log_of("sources", "fetch_raster", "{raw}"),
    wildcard_constraints:
        raw=either(plan.origins.of_kind("stac")),
    localrule: True
    conda:
        "../../envs/geo.yaml"
    params:
        spec=lambda wildcards: plan.origins.files[wildcards.raw].spec,
        grid=lambda wildcards: plan.origins.files[wildcards.raw].site.layers["grid"],
    message:
        "Fetching {wildcards.raw} from the catalogue of images"
    script:
        "../scripts/fetch_raster.py"


rule download_file:
    output:
        DOWNLOADS + "/{download}",
    log:
        log_of("sources", "download_file", "{download}"),
    wildcard_constraints:
        download=either(plan.origins.downloads),
    localrule: True
    conda:
        "../../envs/geo.yaml"
    params:
        file=lambda wildcards: plan.origins.downloads[wildcards.download],
        registry=str(Path(workflow.basedir) / "workflow" / "datasets.yaml"),
    message:
        "Downloading {wildcards.download}"
    script:
        "../scripts/download_file.py"


rule import_file:
    input:
        unpack(lambda wildcards: plan.origins.imported_from(wildcards.raw)),
    output:
        SITES + "/{raw}",
    log:
        log_of("sources", "import_file", "{raw}"),
    wildcard_constraints:
        raw=either(plan.origins.of_kind("dataset", "url", "path")),
    conda:
        "../../envs/geo.yaml"
    params:
        spec=lambda wildcards: plan.origins.files[wildcards.raw].spec,
        # a file that an older one replaced is taken over anew: parameters count, not only times of change
        state=lambda wildcards: plan.origins.state(wildcards.raw),
    message:
        "Taking over the part of {wildcards.raw} that the area needs"
    script:
        "../scripts/import_file.py"


rule unpack_patch_set:
    input:
        lambda wildcards: list(plan.origins.archives(wildcards.site).values()),
    output:
        directory(SITE + "/raw"),
    log:
        log_of("sources", "unpack_patch_set", "{site}"),
    wildcard_constraints:
        site=either(plan.patch_sets),
    conda:
        "../../envs/geo.yaml"
    params:
        archives=lambda wildcards: plan.origins.archives(wildcards.site),
    message:
        "Unpacking the archives of {wildcards.site}"
    script:
        "../scripts/unpack_patch_set.py"
