# Stage delivery: maps as their users take them, the pages of sites, and the results as a whole: how they came about, and a folder to deposit.

# Pages are made again when what they are filled into changes.
TEMPLATES = [
    str(file)
    for folder in ("templates", "delivery/templates")
    for file in sorted((LIBRARY / "headscarp" / folder).iterdir())
]


rule deliver_map:
    input:
        probability=PLACE + "/probability.tif",
        run=RUN + "/run.json",
        scores=HOME + "/scores.json",
        layers=LAYERS_OF_PLACE,
    output:
        below(PLACE, DELIVERED_FILES),
    log:
        log_of("delivery", "deliver_map", PLACE_KEYS),
    benchmark:
        timing_of("delivery", "deliver_map", PLACE_KEYS)
    conda:
        "../../envs/geo.yaml"
    params:
        collection=COLLECTION_OF_PLACE,
        record=lambda wildcards: plan.maps.item_record(get_run(wildcards), wildcards.place),
    message:
        "Outlining the landslides of {wildcards.place} by {wildcards.experiment} trained on {wildcards.site} ({wildcards.card}, {wildcards.protocol})"
    script:
        "../scripts/deliver_map.py"


rule deliver_best_map:
    input:
        choice=CHOICE,
        scores=BEST_SCORES,
        maps=lambda wildcards: [run.file("probability.tif") for run in plan.maps.candidates(wildcards.site)],
        runs=lambda wildcards: [run.file("run.json") for run in plan.maps.candidates(wildcards.site)],
        layers=SITE + "/layers",
    output:
        below(BEST_MAP, BEST_FILES),
    log:
        log_of("delivery", "deliver_best_map", "{site}"),
    benchmark:
        timing_of("delivery", "deliver_best_map", "{site}")
    conda:
        "../../envs/geo.yaml"
    params:
        choice=lambda wildcards: plan.maps.choice_record(wildcards.site),
        collection=COLLECTION,
        record=lambda wildcards: plan.maps.best_item_record(wildcards.site),
        minimum_area_m2=lambda wildcards: plan.card_of(wildcards.site).best_map.get("minimum_area_m2", 0),
    message:
        "Delivering the best map of {wildcards.site}"
    script:
        "../scripts/deliver_best_map.py"


rule deliver_susceptibility:
    input:
        samples=get_samples,
        susceptibility=HOME + "/susceptibility.tif",
        scores=HOME + "/scores.json",
        predictions=HOME + "/predictions.npz",
        layers=SITE + "/layers",
        applicability=APPLICABILITY,
    output:
        below(DELIVERED, SUSCEPTIBILITY_FILES),
    log:
        log_of("delivery", "deliver_susceptibility", RUN_KEYS),
    benchmark:
        timing_of("delivery", "deliver_susceptibility", RUN_KEYS)
    conda:
        "../../envs/report.yaml"
    params:
        record=lambda wildcards: plan.maps.delivered_run(get_run(wildcards)),
    message:
        "Delivering the susceptibility of {wildcards.site} by {wildcards.experiment} ({wildcards.card}, {wildcards.protocol})"
    script:
        "../scripts/deliver_susceptibility.py"


def get_delivered_susceptibility(wildcards):
    """The delivered files of all susceptibility maps of a site."""
    return [
        f"{run.home}/delivered/{name}"
        for run in plan.maps.susceptibility_runs(wildcards.site)
        for name in ("factors.csv", "applicability.tif", *SUSCEPTIBILITY_FILES)
    ]


rule draw_susceptibility_map:
    input:
        layers=SITE + "/layers",
        maps=get_delivered_susceptibility,
        module=str(LIBRARY / "headscarp" / "delivery" / "susceptibility_map.py"),
        templates=TEMPLATES,
    output:
        page=SUSCEPTIBILITY_MAP[0],
        tiles=directory(SUSCEPTIBILITY_MAP[1]),
    log:
        log_of("delivery", "draw_susceptibility_map", "{site}"),
    conda:
        "../../envs/report.yaml"
    params:
        record=lambda wildcards: plan.maps.susceptibility_record(wildcards.site),
    message:
        "Drawing the interactive susceptibility map of {wildcards.site}"
    script:
        "../scripts/draw_susceptibility_map.py"


rule draw_susceptibility_page:
    input:
        layers=SITE + "/layers",
        maps=get_delivered_susceptibility,
        module=str(LIBRARY / "headscarp" / "delivery" / "susceptibility_page.py"),
        templates=TEMPLATES,
    output:
        page=report(
            SUSCEPTIBILITY_PAGE,
            caption="../report/susceptibility.rst",
            category="99 Study areas",
            labels=lambda wildcards: {"Site": f"{plan.sites[wildcards.site].title}: susceptibility"},
        ),
    log:
        log_of("delivery", "draw_susceptibility_page", "{site}"),
    conda:
        "../../envs/report.yaml"
    params:
        record=lambda wildcards: plan.maps.susceptibility_record(wildcards.site),
    message:
        "Drawing the susceptibility page of {wildcards.site}"
    script:
        "../scripts/draw_susceptibility_page.py"


rule summarise_site:
    input:
        layers=SITE + "/layers",
        maps=lambda wildcards: [f"{folder}/item.json" for folder in plan.maps.delivered(wildcards.site)],
        project=PROJECT,
        templates=TEMPLATES,
    output:
        page=report(
            SUMMARY,
            caption="../report/site.rst",
            category="99 sites",
            labels=lambda wildcards: {"Site": plan.sites[wildcards.site].title},
        ),
        collection=COLLECTION,
    log:
        log_of("delivery", "summarise_site", "{site}"),
    conda:
        "../../envs/report.yaml"
    params:
        record=lambda wildcards: plan.maps.page_record(wildcards.site),
    message:
        "Writing the summary page of {wildcards.site}"
    script:
        "../scripts/summarise_site.py"


rule write_project:
    input:
        layers=SITE + "/layers",
        maps=lambda wildcards: plan.maps.project_files(wildcards.site),
        modules=[
            str(LIBRARY / "headscarp" / "delivery" / f"{name}.py")
            for name in ("project", "print_layout", "styles", "vrt")
        ],
    output:
        project=PROJECT,
        rasters=directory(PROJECT_RASTERS),
    log:
        log_of("delivery", "write_project", "{site}"),
    benchmark:
        timing_of("delivery", "write_project", "{site}")
    conda:
        "../../envs/report.yaml"
    params:
        record=lambda wildcards: plan.maps.project_record(wildcards.site),
    message:
        "Writing the QGIS project of {wildcards.site}"
    script:
        "../scripts/write_project.py"


rule draw_map_page:
    input:
        layers=SITE + "/layers",
        maps=lambda wildcards: [
            f"{folder}/{name}"
            for folder in plan.maps.delivered(wildcards.site)
            for name in ("probability.tif", "landslides.gpkg")
        ],
        module=str(LIBRARY / "headscarp" / "delivery" / "map_page.py"),
        templates=TEMPLATES,
    output:
        page=MAP_PAGE,
        tiles=directory(MAP_TILES),
    log:
        log_of("delivery", "draw_map_page", "{site}"),
    benchmark:
        timing_of("delivery", "draw_map_page", "{site}")
    conda:
        "../../envs/report.yaml"
    params:
        record=lambda wildcards: plan.maps.page_record(wildcards.site),
    message:
        "Drawing the interactive map of {wildcards.site}"
    script:
        "../scripts/draw_map_page.py"


def get_coming(wildcards):
    """What the gallery waits for: all that is delivered where that is asked for; of the gallery alone nothing, it shows what is there."""
    asked = workflow.dag_settings.targets
    return plan.all_targets if not asked or "all" in asked else []


rule build_gallery:
    input:
        get_coming,
        module=str(LIBRARY / "headscarp" / "delivery" / "gallery.py"),
        templates=TEMPLATES,
    output:
        GALLERY,
    log:
        log_of("delivery", "build_gallery"),
    conda:
        "../../envs/report.yaml"
    params:
        record=lambda wildcards: plan.gallery.record(frozenset(get_coming(wildcards))),
    message:
        "Hanging the gallery of all tables and figures"
    script:
        "../scripts/build_gallery.py"


rule record_provenance:
    input:
        plan.all_targets,
    output:
        "results/provenance.json",
    log:
        log_of("delivery", "record_provenance"),
    conda:
        "../../envs/report.yaml"
    params:
        plan=lambda wildcards: plan.provenance.record,
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
        templates=TEMPLATES,
    output:
        page=report(
            "results/provenance.html",
            caption="../report/provenance.rst",
            category=TOGETHER,
            subcategory="Provenance",
            labels={"Exhibit": "How these results came about"},
        ),
    log:
        log_of("delivery", "describe_provenance"),
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
        log_of("delivery", "build_crate"),
    conda:
        "../../envs/report.yaml"
    params:
        root=workflow.basedir,
    message:
        "Packing an RO-Crate of the results"
    script:
        "../scripts/build_crate.py"


rule gallery:
    """One page on all tables, figures and maps that are there (results/index.html)."""
    input:
        GALLERY,


rule provenance:
    """Code, packages, times and checksums of all results (results/provenance.json)."""
    input:
        "results/provenance.json",


rule crate:
    """An RO-Crate of the results, a folder to deposit (results/crate)."""
    input:
        "results/crate",
