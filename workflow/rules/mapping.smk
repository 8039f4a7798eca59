# Stage mapping: what a run makes of a place, its own site (home) or another: landslide probability and classes, susceptibility, inventories, changes.


def get_patches(wildcards):
    """Where the patches of a place stand, if it is a set of them."""
    return PATCHES.format(site=wildcards.place) if wildcards.place in plan.patch_sets else []


def get_averaged(wildcards, name, place=None):
    """A file of each of the runs that a run averages."""
    return [run.file(name, place) for run in plan.runs.averaged(get_run(wildcards))]


def averages_symmetries(wildcards):
    """Whether a run is the mean over the symmetries of windows of what another one trained."""
    return plan.runs.experiment(wildcards.card, wildcards.experiment).method == SYMMETRIES


def get_trained(wildcards):
    """The run whose network maps: its own or, of a mean over symmetries, the one that it averages."""
    run = get_run(wildcards)
    return plan.runs.averaged(run)[0] if averages_symmetries(wildcards) else run


rule map_scene:
    input:
        cube=CUBE_OF_PLACE,
        patches=get_patches,
        samples=get_samples,
        model=lambda wildcards: get_trained(wildcards).file("model.safetensors"),
        record=lambda wildcards: get_trained(wildcards).file("run.json"),
    output:
        probability=PLACE + "/probability.tif",
        classes=PLACE + "/classes.tif",
        record=PLACE + "/map.json",
    log:
        log_of("mapping", "map_scene", PLACE_KEYS),
    benchmark:
        timing_of("mapping", "map_scene", PLACE_KEYS)
    wildcard_constraints:
        experiment=either(plan.runs.names_of_experiments(WINDOWS, SYMMETRIES)),
    conda:
        "../../envs/map.yaml"
    threads: plan.threads
    resources:
        gpu=get_gpus,
        mem_mb=asks(MAP, "mem_mb"),
        runtime=asks(MAP, "runtime"),
    params:
        symmetries=averages_symmetries,
        mapping=lambda wildcards: plan.cards[wildcards.card].tiling,
        trained_on=lambda wildcards: plan.runs.side_of_windows(
            wildcards.card, wildcards.experiment, wildcards.site
        ),
    message:
        "Mapping {wildcards.place} with {wildcards.experiment} trained on {wildcards.site} ({wildcards.card}, {wildcards.protocol}, seed {wildcards.seed})"
    script:
        "../scripts/map_scene.py"


use rule map_scene as map_part with:
    output:
        folder=temp(directory(PART)),
    log:
        log_of("mapping", "map_part", PART_KEYS),
    benchmark:
        timing_of("mapping", "map_part", PART_KEYS)
    message:
        "Mapping {wildcards.place}, part {wildcards.part} of {wildcards.parts}, with {wildcards.experiment} trained on {wildcards.site} ({wildcards.card}, {wildcards.protocol}, seed {wildcards.seed})"


def get_parts(wildcards):
    """The folders of the parts of a place, from the top."""
    parts = plan.maps.parts(wildcards.card, wildcards.place)
    return [PART.format(**wildcards, part=part, parts=parts) for part in range(1, parts + 1)]


rule gather_parts:
    input:
        get_parts,
    output:
        probability=PLACE + "/probability.tif",
        classes=PLACE + "/classes.tif",
        record=PLACE + "/map.json",
    log:
        log_of("mapping", "gather_parts", PLACE_KEYS),
    benchmark:
        timing_of("mapping", "gather_parts", PLACE_KEYS)
    wildcard_constraints:
        card="|".join(
            f"{re.escape(card)}(?=/.+/({either(places)})/)" for card, places in plan.maps.in_parts().items()
        )
        or "(?!)",
        experiment=either(plan.runs.names_of_experiments(WINDOWS, SYMMETRIES)),
    conda:
        "../../envs/map.yaml"
    message:
        "Putting the parts of {wildcards.place} together, mapped with {wildcards.experiment} trained on {wildcards.site} ({wildcards.card}, {wildcards.protocol}, seed {wildcards.seed})"
    script:
        "../scripts/gather_parts.py"


rule average_maps:
    input:
        maps=lambda wildcards: get_averaged(wildcards, "probability.tif", wildcards.place),
        records=lambda wildcards: get_averaged(wildcards, "map.json", wildcards.place),
    output:
        probability=PLACE + "/probability.tif",
        classes=PLACE + "/classes.tif",
        record=PLACE + "/map.json",
    log:
        log_of("mapping", "average_maps", PLACE_KEYS),
    benchmark:
        timing_of("mapping", "average_maps", PLACE_KEYS)
    wildcard_constraints:
        experiment=either(plan.runs.names_of_experiments(SEEDS)),
    conda:
        "../../envs/map.yaml"
    message:
        "Averaging the maps of {wildcards.place} by all seeds for {wildcards.experiment} ({wildcards.card}, {wildcards.protocol})"
    script:
        "../scripts/average_maps.py"


rule record_average:
    input:
        lambda wildcards: get_averaged(wildcards, "run.json"),
    output:
        RUN + "/run.json",
    log:
        log_of("mapping", "record_average", RUN_KEYS),
    wildcard_constraints:
        experiment=either(plan.runs.names_of_experiments(SYMMETRIES, SEEDS)),
    conda:
        "../../envs/map.yaml"
    params:
        average=lambda wildcards: plan.runs.experiment(wildcards.card, wildcards.experiment).average,
    message:
        "Recording what {wildcards.experiment} averages ({wildcards.card}, {wildcards.site}, {wildcards.protocol}, seed {wildcards.seed})"
    script:
        "../scripts/record_average.py"


rule map_forest:
    input:
        cube=CUBE,
        samples=get_samples,
    output:
        probability=HOME + "/probability.tif",
        classes=HOME + "/classes.tif",
        record=HOME + "/map.json",
        run=RUN + "/run.json",
    log:
        log_of("mapping", "map_forest", RUN_KEYS),
    benchmark:
        timing_of("mapping", "map_forest", RUN_KEYS)
    wildcard_constraints:
        experiment=either(plan.runs.names_of_experiments(FOREST)),
    conda:
        "../../envs/map.yaml"
    threads: plan.threads
    resources:
        mem_mb=3000,
    params:
        record=lambda wildcards: plan.runs.record(
            wildcards.card, wildcards.experiment, wildcards.protocol, int(wildcards.seed), wildcards.site
        ),
    message:
        "Growing {wildcards.experiment} on {wildcards.site} ({wildcards.card}, {wildcards.protocol}, seed {wildcards.seed})"
    script:
        "../scripts/map_forest.py"


rule map_forest_elsewhere:
    input:
        cube=CUBE_OF_PLACE,
        home=CUBE,
        samples=get_samples,
        run=RUN + "/run.json",
    output:
        probability=PLACE + "/probability.tif",
        classes=PLACE + "/classes.tif",
        record=PLACE + "/map.json",
    log:
        log_of("mapping", "map_forest_elsewhere", PLACE_KEYS),
    benchmark:
        timing_of("mapping", "map_forest_elsewhere", PLACE_KEYS)
    wildcard_constraints:
        experiment=either(plan.runs.names_of_experiments(FOREST)),
    conda:
        "../../envs/map.yaml"
    threads: plan.threads
    resources:
        mem_mb=3000,
    message:
        "Mapping {wildcards.place} with {wildcards.experiment} grown on {wildcards.site} ({wildcards.card}, {wildcards.protocol}, seed {wildcards.seed})"
    script:
        "../scripts/map_forest_elsewhere.py"


# The map of a collage is one; that of a scene of it is cut out and not made anew. A place that is mapped in
# parts is not mapped at once. A forest maps its own site as it grows.
ruleorder: cut_map > gather_parts > map_scene
ruleorder: cut_map > average_maps
ruleorder: cut_map > map_forest > map_forest_elsewhere


rule cut_map:
    input:
        maps=[HOME + "/probability.tif", HOME + "/classes.tif"],
        cube=SITE + "/cube/cube.json",
    output:
        PLACE + "/probability.tif",
        PLACE + "/classes.tif",
    log:
        log_of("mapping", "cut_map", PLACE_KEYS),
    wildcard_constraints:
        site="|".join(
            f"{re.escape(site.name)}(?=/.+/({either(site.scenes)})/)"
            for site in plan.sites.values()
            if site.scenes
        )
        or "(?!)",
    conda:
        "../../envs/geo.yaml"
    message:
        "Cutting {wildcards.place} out of the map of {wildcards.site} by {wildcards.experiment} ({wildcards.card}, {wildcards.protocol})"
    script:
        "../scripts/cut_map.py"


rule make_inventory:
    input:
        probability=PLACE + "/probability.tif",
        scores=HOME + "/scores.json",
        layers=LAYERS_OF_PLACE,
        masks=lambda wildcards: [
            f"{plan.sites[wildcards.place].raw_folder}/{mask['file']}"
            for mask in plan.cards[wildcards.card].inventory.get("masks", {}).values()
        ],
    output:
        polygons=PLACE + "/inventory.gpkg",
        record=PLACE + "/inventory.json",
    log:
        log_of("mapping", "make_inventory", PLACE_KEYS),
    benchmark:
        timing_of("mapping", "make_inventory", PLACE_KEYS)
    conda:
        "../../envs/geo.yaml"
    params:
        masks=lambda wildcards: plan.cards[wildcards.card].inventory.get("masks", {}),
        minimum_area_m2=lambda wildcards: plan.cards[wildcards.card].inventory["minimum_area_m2"],
    message:
        "Making the landslide inventory of {wildcards.place} by {wildcards.experiment} ({wildcards.card}, {wildcards.protocol})"
    script:
        "../scripts/make_inventory.py"


rule compare_dates:
    input:
        classes=lambda wildcards: plan.runs.dated_maps(get_run(wildcards)),
        truth=lambda wildcards: plan.runs.dated_truth(wildcards.card),
    output:
        polygons=f"{RUN}/{CHANGE}landslides.gpkg",
        record=f"{RUN}/{CHANGE}change.json",
    log:
        log_of("mapping", "compare_dates", RUN_KEYS),
    benchmark:
        timing_of("mapping", "compare_dates", RUN_KEYS)
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


rule map_susceptibility:
    input:
        cube=CUBE,
        samples=get_samples,
        model=rules.train_susceptibility.output.model,
        record=rules.train_susceptibility.output.record,
    output:
        susceptibility=HOME + "/susceptibility.tif",
        record=HOME + "/map.json",
    log:
        log_of("mapping", "map_susceptibility", RUN_KEYS),
    benchmark:
        timing_of("mapping", "map_susceptibility", RUN_KEYS)
    wildcard_constraints:
        experiment=either(plan.runs.names_of_experiments(NEIGHBOURHOODS)),
    conda:
        "../../envs/map.yaml"
    threads: plan.threads
    resources:
        gpu=get_gpus,
        mem_mb=asks(MAP, "mem_mb"),
        runtime=asks(MAP, "runtime"),
    message:
        "Mapping susceptibility of {wildcards.site} by {wildcards.experiment} ({wildcards.card}, {wildcards.protocol}, seed {wildcards.seed})"
    script:
        "../scripts/map_susceptibility.py"


rule fit_cell_model:
    input:
        cube=CUBE,
        samples=get_samples,
    output:
        susceptibility=HOME + "/susceptibility.tif",
        record=HOME + "/map.json",
        run=RUN + "/run.json",
    log:
        log_of("mapping", "fit_cell_model", RUN_KEYS),
    benchmark:
        timing_of("mapping", "fit_cell_model", RUN_KEYS)
    wildcard_constraints:
        experiment=either(plan.runs.names_of_experiments(CELLS)),
    conda:
        "../../envs/map.yaml"
    threads: plan.threads
    resources:
        mem_mb=3000,
    params:
        record=lambda wildcards: plan.runs.record(
            wildcards.card, wildcards.experiment, wildcards.protocol, int(wildcards.seed), wildcards.site
        ),
    message:
        "Fitting {wildcards.experiment} on cells of {wildcards.site} ({wildcards.card}, {wildcards.protocol}, seed {wildcards.seed})"
    script:
        "../scripts/fit_cell_model.py"


def get_trained_cells(wildcards):
    """What a run learnt, if it is a network; other models of cells are fitted anew."""
    run = get_run(wildcards)
    is_network = plan.runs.experiment(run.card, run.experiment).method == NEIGHBOURHOODS
    return [run.file("model.safetensors")] if is_network else []


rule permute_factors:
    input:
        cube=CUBE,
        samples=get_samples,
        run=RUN + "/run.json",
        model=get_trained_cells,
    output:
        FACTORS,
    log:
        log_of("mapping", "permute_factors", RUN_KEYS),
    benchmark:
        timing_of("mapping", "permute_factors", RUN_KEYS)
    wildcard_constraints:
        experiment=either(plan.runs.names_of_experiments(NEIGHBOURHOODS, CELLS)),
    conda:
        "../../envs/map.yaml"
    threads: plan.threads
    resources:
        mem_mb=3000,
    message:
        "Weighing the factors of {wildcards.experiment} on {wildcards.site} ({wildcards.card}, {wildcards.protocol}, seed {wildcards.seed})"
    script:
        "../scripts/permute_factors.py"


rule map_applicability:
    input:
        cube=CUBE,
        samples=get_samples,
        run=RUN + "/run.json",
        importance=FACTORS,
    output:
        map=APPLICABILITY[0],
        record=APPLICABILITY[1],
    log:
        log_of("mapping", "map_applicability", RUN_KEYS),
    benchmark:
        timing_of("mapping", "map_applicability", RUN_KEYS)
    wildcard_constraints:
        experiment=either(plan.runs.names_of_experiments(NEIGHBOURHOODS, CELLS)),
    conda:
        "../../envs/map.yaml"
    resources:
        mem_mb=3000,
    message:
        "Mapping where {wildcards.experiment} applies on {wildcards.site} ({wildcards.card}, {wildcards.protocol}, seed {wildcards.seed})"
    script:
        "../scripts/map_applicability.py"


rule explain_run:
    input:
        cube=CUBE,
        samples=get_samples,
        model=rules.train_network.output.model,
        record=rules.train_network.output.record,
    output:
        RUN + "/gradcam.npz",
    log:
        log_of("mapping", "explain_run", RUN_KEYS),
    benchmark:
        timing_of("mapping", "explain_run", RUN_KEYS)
    wildcard_constraints:
        experiment=either(plan.runs.names_of_experiments(WINDOWS)),
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
