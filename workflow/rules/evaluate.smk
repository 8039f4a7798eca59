# Stations map and score: probability of a whole scene, its scores, its landslide polygons.


rule map_scene:
    input:
        cube=CUBE,
        samples=SAMPLE,
        model=rules.train_network.output.model,
        record=rules.train_network.output.record,
    output:
        probability=RUN + "/probability.tif",
        record=RUN + "/map.json",
    log:
        RUN_LOG.format(rule="map_scene"),
    benchmark:
        RUN_BENCHMARK.format(rule="map_scene")
    wildcard_constraints:
        experiment=either(plan.names_of_experiments(forest=False)),
    conda:
        "../../envs/map.yaml"
    threads: plan.threads
    resources:
        gpu=get_gpus,
        mem_mb=3000,
    params:
        mapping=lambda wildcards: plan.cards[wildcards.card].mapping,
    message:
        "Mapping {wildcards.site} with {wildcards.experiment} ({wildcards.card}, {wildcards.protocol}, seed {wildcards.seed})"
    script:
        "../scripts/map_scene.py"


rule map_forest:
    input:
        cube=CUBE,
        samples=SAMPLE,
    output:
        probability=RUN + "/probability.tif",
        record=RUN + "/map.json",
        run=RUN + "/run.json",
    log:
        RUN_LOG.format(rule="map_forest"),
    benchmark:
        RUN_BENCHMARK.format(rule="map_forest")
    wildcard_constraints:
        experiment=either(plan.names_of_experiments(forest=True)),
    conda:
        "../../envs/map.yaml"
    threads: plan.threads
    resources:
        mem_mb=3000,
    params:
        record=lambda wildcards: plan.run_record(wildcards.card, wildcards.experiment, int(wildcards.seed)),
    message:
        "Growing {wildcards.experiment} on {wildcards.site} ({wildcards.card}, {wildcards.protocol}, seed {wildcards.seed})"
    script:
        "../scripts/map_forest.py"


rule score_run:
    input:
        cube=CUBE,
        samples=SAMPLE,
        probability=RUN + "/probability.tif",
    output:
        scores=RUN + "/scores.json",
        cells=RUN + "/cells.npz",
    log:
        RUN_LOG.format(rule="score_run"),
    benchmark:
        RUN_BENCHMARK.format(rule="score_run")
    conda:
        "../../envs/geo.yaml"
    message:
        "Scoring {wildcards.experiment} on {wildcards.site} ({wildcards.card}, {wildcards.protocol}, seed {wildcards.seed})"
    script:
        "../scripts/score_run.py"


rule outline_landslides:
    input:
        probability=RUN + "/probability.tif",
        scores=RUN + "/scores.json",
    output:
        RUN + "/landslides.gpkg",
    log:
        RUN_LOG.format(rule="outline_landslides"),
    conda:
        "../../envs/geo.yaml"
    message:
        "Outlining the landslides of {wildcards.site} by {wildcards.experiment} ({wildcards.card}, {wildcards.protocol})"
    script:
        "../scripts/outline_landslides.py"
