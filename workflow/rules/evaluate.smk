# Stations map and score: probability of a whole scene or susceptibility of a region, scores, landslide polygons and inventories.


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
        card=either(plan.names_of_cards(several_classes=False)),
        experiment=either(plan.names_of_experiments(WINDOWS)),
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


use rule map_scene as map_elsewhere with:
    input:
        cube=[f"results/sites/{{target}}/cube/{name}" for name in CUBE_FILES],
        samples=SAMPLE,
        model=rules.train_network.output.model,
        record=rules.train_network.output.record,
    output:
        probability=ELSEWHERE + "/probability.tif",
        record=ELSEWHERE + "/map.json",
    log:
        RUN_LOG.format(rule="map_elsewhere").replace(".log", "/{target}.log"),
    benchmark:
        RUN_BENCHMARK.format(rule="map_elsewhere").replace(".tsv", "/{target}.tsv")
    wildcard_constraints:
        card=either(plan.names_of_cards(several_classes=False)),
        experiment=either(plan.names_of_experiments(WINDOWS)),
    message:
        "Mapping {wildcards.target} with {wildcards.experiment} trained on {wildcards.site} ({wildcards.card}, {wildcards.protocol})"


use rule map_scene as map_classes with:
    output:
        probability=RUN + "/probability.tif",
        record=RUN + "/map.json",
        classes=RUN + "/classes.tif",
    log:
        RUN_LOG.format(rule="map_classes"),
    benchmark:
        RUN_BENCHMARK.format(rule="map_classes")
    wildcard_constraints:
        card=either(plan.names_of_cards(several_classes=True)),
        experiment=either(plan.names_of_experiments(WINDOWS)),


use rule map_elsewhere as map_classes_elsewhere with:
    output:
        probability=ELSEWHERE + "/probability.tif",
        record=ELSEWHERE + "/map.json",
        classes=ELSEWHERE + "/classes.tif",
    log:
        RUN_LOG.format(rule="map_classes_elsewhere").replace(".log", "/{target}.log"),
    benchmark:
        RUN_BENCHMARK.format(rule="map_classes_elsewhere").replace(".tsv", "/{target}.tsv")
    wildcard_constraints:
        card=either(plan.names_of_cards(several_classes=True)),
        experiment=either(plan.names_of_experiments(WINDOWS)),


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
        experiment=either(plan.names_of_experiments(FOREST)),
    conda:
        "../../envs/map.yaml"
    threads: plan.threads
    resources:
        mem_mb=3000,
    params:
        record=lambda wildcards: plan.run_record(
            wildcards.card, wildcards.experiment, int(wildcards.seed), wildcards.site
        ),
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
    wildcard_constraints:
        card=either(plan.names_of_cards(several_classes=False)),
        experiment=either(plan.names_of_experiments(WINDOWS, FOREST)),
    conda:
        "../../envs/geo.yaml"
    message:
        "Scoring {wildcards.experiment} on {wildcards.site} ({wildcards.card}, {wildcards.protocol}, seed {wildcards.seed})"
    script:
        "../scripts/score_run.py"


rule explain_run:
    input:
        cube=CUBE,
        samples=SAMPLE,
        model=rules.train_network.output.model,
        record=rules.train_network.output.record,
    output:
        RUN + "/gradcam.npz",
    log:
        RUN_LOG.format(rule="explain_run"),
    benchmark:
        RUN_BENCHMARK.format(rule="explain_run")
    wildcard_constraints:
        experiment=either(plan.names_of_experiments(WINDOWS)),
    conda:
        "../../envs/map.yaml"
    threads: plan.threads
    resources:
        gpu=get_gpus,
        mem_mb=3000,
    message:
        "Explaining {wildcards.experiment} on {wildcards.site} ({wildcards.card}, {wildcards.protocol}, seed {wildcards.seed})"
    script:
        "../scripts/explain_run.py"


rule cut_map:
    input:
        probability=RUN + "/probability.tif",
        cube="results/sites/{site}/cube/cube.json",
    output:
        CUT_OUT + "/probability.tif",
    log:
        RUN_LOG.format(rule="cut_map").replace(".log", "/{scene}.log"),
    wildcard_constraints:
        site=either(site.name for site in plan.sites.values() if site.scenes),
    conda:
        "../../envs/geo.yaml"
    message:
        "Cutting {wildcards.scene} out of the map by {wildcards.experiment} ({wildcards.card}, {wildcards.protocol})"
    script:
        "../scripts/cut_map.py"


rule deliver_map:
    input:
        probability=RUN + "/probability.tif",
        scores=RUN + "/scores.json",
        layers=SITE + "/layers",
    output:
        [f"{RUN}/{name}" for name in MAP_FILES],
    log:
        RUN_LOG.format(rule="deliver_map"),
    wildcard_constraints:
        card=either(plan.names_of_cards(several_classes=False)),
    conda:
        "../../envs/geo.yaml"
    params:
        collection=SITE + "/collection.json",
        record=lambda wildcards: plan.map_record(wildcards, wildcards.site),
    message:
        "Outlining the landslides of {wildcards.site} by {wildcards.experiment} ({wildcards.card}, {wildcards.protocol})"
    script:
        "../scripts/deliver_map.py"


use rule deliver_map as deliver_scene with:
    input:
        probability=CUT_OUT + "/probability.tif",
        scores=RUN + "/scores.json",
        layers="results/sites/{scene}/layers",
    output:
        [f"{CUT_OUT}/{name}" for name in MAP_FILES],
    log:
        RUN_LOG.format(rule="deliver_scene").replace(".log", "/{scene}.log"),
    params:
        collection="results/sites/{scene}/collection.json",
        record=lambda wildcards: plan.map_record(wildcards, wildcards.scene),
    message:
        "Outlining the landslides of {wildcards.scene} by {wildcards.experiment} ({wildcards.card}, {wildcards.protocol})"


use rule deliver_map as deliver_elsewhere with:
    input:
        probability=ELSEWHERE + "/probability.tif",
        scores=RUN + "/scores.json",
        layers="results/sites/{target}/layers",
    output:
        [f"{ELSEWHERE}/{name}" for name in MAP_FILES],
    log:
        RUN_LOG.format(rule="deliver_elsewhere").replace(".log", "/{target}.log"),
    params:
        collection="results/sites/{target}/collection.json",
        record=lambda wildcards: plan.map_record(wildcards, wildcards.target),
    message:
        "Outlining the landslides of {wildcards.target} by {wildcards.experiment} of {wildcards.site} ({wildcards.card}, {wildcards.protocol})"


rule summarise_site:
    input:
        layers=SITE + "/layers",
        maps=lambda wildcards: [f"{folder}/item.json" for folder in plan.delivered(wildcards.site)],
    output:
        page=report(
            SITE + "/summary.html",
            caption="../report/site.rst",
            category="99 Study areas",
            labels=lambda wildcards: {"Site": plan.sites[wildcards.site].title},
        ),
        collection=SITE + "/collection.json",
    log:
        "results/logs/summarise_site/{site}.log",
    conda:
        "../../envs/report.yaml"
    params:
        record=lambda wildcards: plan.page_record(wildcards.site),
    message:
        "Writing the summary page of {wildcards.site}"
    script:
        "../scripts/summarise_site.py"


use rule score_run as score_classes with:
    input:
        cube=CUBE,
        samples=SAMPLE,
        probability=RUN + "/probability.tif",
        classes=RUN + "/classes.tif",
    output:
        scores=RUN + "/scores.json",
        cells=RUN + "/cells.npz",
        classes=RUN + "/classes.npz",
    log:
        RUN_LOG.format(rule="score_classes"),
    benchmark:
        RUN_BENCHMARK.format(rule="score_classes")
    wildcard_constraints:
        card=either(plan.names_of_cards(several_classes=True)),
        experiment=either(plan.names_of_experiments(WINDOWS)),


use rule score_run as score_elsewhere with:
    input:
        cube=[f"results/sites/{{target}}/cube/{name}" for name in CUBE_FILES],
        samples=SAMPLE,
        probability=ELSEWHERE + "/probability.tif",
        home=RUN + "/scores.json",
    output:
        scores=ELSEWHERE + "/scores.json",
        cells=ELSEWHERE + "/cells.npz",
    log:
        RUN_LOG.format(rule="score_elsewhere").replace(".log", "/{target}.log"),
    benchmark:
        RUN_BENCHMARK.format(rule="score_elsewhere").replace(".tsv", "/{target}.tsv")
    wildcard_constraints:
        card=either(plan.names_of_cards(several_classes=False)),
        experiment=either(plan.names_of_experiments(WINDOWS)),
    params:
        everywhere=True,
    message:
        "Scoring {wildcards.experiment} of {wildcards.site} on all of {wildcards.target} ({wildcards.card}, {wildcards.protocol})"


use rule score_elsewhere as score_classes_elsewhere with:
    input:
        cube=[f"results/sites/{{target}}/cube/{name}" for name in CUBE_FILES],
        samples=SAMPLE,
        probability=ELSEWHERE + "/probability.tif",
        classes=ELSEWHERE + "/classes.tif",
        home=RUN + "/scores.json",
    output:
        scores=ELSEWHERE + "/scores.json",
        cells=ELSEWHERE + "/cells.npz",
        classes=ELSEWHERE + "/classes.npz",
    log:
        RUN_LOG.format(rule="score_classes_elsewhere").replace(".log", "/{target}.log"),
    benchmark:
        RUN_BENCHMARK.format(rule="score_classes_elsewhere").replace(".tsv", "/{target}.tsv")
    wildcard_constraints:
        card=either(plan.names_of_cards(several_classes=True)),
        experiment=either(plan.names_of_experiments(WINDOWS)),


rule make_inventory:
    input:
        probability=ELSEWHERE + "/probability.tif",
        scores=RUN + "/scores.json",
        layers="results/sites/{target}/layers",
        masks=lambda wildcards: [
            f"{plan.sites[wildcards.target].raw_folder}/{mask['file']}"
            for mask in plan.cards[wildcards.card].inventory.get("masks", {}).values()
        ],
    output:
        polygons=ELSEWHERE + "/inventory.gpkg",
        record=ELSEWHERE + "/inventory.json",
    log:
        RUN_LOG.format(rule="make_inventory").replace(".log", "/{target}.log"),
    benchmark:
        RUN_BENCHMARK.format(rule="make_inventory").replace(".tsv", "/{target}.tsv")
    conda:
        "../../envs/geo.yaml"
    params:
        masks=lambda wildcards: plan.cards[wildcards.card].inventory.get("masks", {}),
        minimum_area_m2=lambda wildcards: plan.cards[wildcards.card].inventory["minimum_area_m2"],
    message:
        "Making the landslide inventory of {wildcards.target} by {wildcards.experiment} ({wildcards.card}, {wildcards.protocol})"
    script:
        "../scripts/make_inventory.py"


rule map_susceptibility:
    input:
        cube=CUBE,
        samples=CELL,
        model=rules.train_susceptibility.output.model,
        record=rules.train_susceptibility.output.record,
    output:
        susceptibility=RUN + "/susceptibility.tif",
        record=RUN + "/map.json",
    log:
        RUN_LOG.format(rule="map_susceptibility"),
    benchmark:
        RUN_BENCHMARK.format(rule="map_susceptibility")
    wildcard_constraints:
        experiment=either(plan.names_of_experiments(NEIGHBOURHOODS)),
    conda:
        "../../envs/map.yaml"
    threads: plan.threads
    resources:
        gpu=get_gpus,
        mem_mb=3000,
    message:
        "Mapping susceptibility of {wildcards.site} by {wildcards.experiment} ({wildcards.card}, {wildcards.protocol}, seed {wildcards.seed})"
    script:
        "../scripts/map_susceptibility.py"


rule fit_cell_model:
    input:
        cube=CUBE,
        samples=CELL,
    output:
        susceptibility=RUN + "/susceptibility.tif",
        record=RUN + "/map.json",
        run=RUN + "/run.json",
    log:
        RUN_LOG.format(rule="fit_cell_model"),
    benchmark:
        RUN_BENCHMARK.format(rule="fit_cell_model")
    wildcard_constraints:
        experiment=either(plan.names_of_experiments(CELLS)),
    conda:
        "../../envs/map.yaml"
    threads: plan.threads
    resources:
        mem_mb=3000,
    params:
        record=lambda wildcards: plan.run_record(
            wildcards.card, wildcards.experiment, int(wildcards.seed), wildcards.site
        ),
    message:
        "Fitting {wildcards.experiment} on cells of {wildcards.site} ({wildcards.card}, {wildcards.protocol}, seed {wildcards.seed})"
    script:
        "../scripts/fit_cell_model.py"


rule score_susceptibility:
    input:
        cube=CUBE,
        samples=CELL,
        susceptibility=RUN + "/susceptibility.tif",
    output:
        scores=RUN + "/scores.json",
        cells=RUN + "/cells.npz",
        predictions=RUN + "/predictions.npz",
    log:
        RUN_LOG.format(rule="score_susceptibility"),
    benchmark:
        RUN_BENCHMARK.format(rule="score_susceptibility")
    wildcard_constraints:
        experiment=either(plan.names_of_experiments(NEIGHBOURHOODS, CELLS)),
    conda:
        "../../envs/geo.yaml"
    message:
        "Scoring {wildcards.experiment} on cells of {wildcards.site} ({wildcards.card}, {wildcards.protocol}, seed {wildcards.seed})"
    script:
        "../scripts/score_susceptibility.py"


rule compare_dates:
    input:
        classes=lambda wildcards: plan.dated_maps(Run(**wildcards)),
        truth=lambda wildcards: plan.dated_truth(wildcards.card),
    output:
        polygons=RUN + "/change/landslides.gpkg",
        record=RUN + "/change/change.json",
    log:
        RUN_LOG.format(rule="compare_dates"),
    benchmark:
        RUN_BENCHMARK.format(rule="compare_dates")
    wildcard_constraints:
        card=either(name for name, card in plan.cards.items() if card.change),
    conda:
        "../../envs/geo.yaml"
    params:
        dates=lambda wildcards: [one["date"] for one in plan.cards[wildcards.card].change["dates"]],
        change=lambda wildcards: plan.cards[wildcards.card].change.get("options", {}),
    message:
        "Comparing the dates mapped by {wildcards.experiment} ({wildcards.card}, {wildcards.protocol}, seed {wildcards.seed})"
    script:
        "../scripts/compare_dates.py"
