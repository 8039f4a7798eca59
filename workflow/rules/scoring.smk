# Stage scoring: how well a run's map of a place is, on the evaluated region of its own site or on all of another place.


def get_classes(wildcards):
    """The map of classes of a run that tells several apart."""
    several = plan.runs.experiment(wildcards.card, wildcards.experiment).classes > 1
    return get_run(wildcards).file("classes.tif", wildcards.place) if several else []


def get_home_scores(wildcards):
    """The scores of a run on its own site, whose threshold holds at other places."""
    return [] if wildcards.place == wildcards.site else get_run(wildcards).file("scores.json")


rule score_run:
    input:
        cube=CUBE_OF_PLACE,
        samples=get_samples,
        probability=PLACE + "/probability.tif",
        run=RUN + "/run.json",
        classes=get_classes,
        home=get_home_scores,
    output:
        scores=PLACE + "/scores.json",
        counts=PLACE + "/counts.npz",
    log:
        log_of("scoring", "score_run", PLACE_KEYS),
    benchmark:
        timing_of("scoring", "score_run", PLACE_KEYS)
    wildcard_constraints:
        experiment=either(plan.runs.names_of_experiments(*MAPPED)),
    conda:
        "../../envs/geo.yaml"
    message:
        "Scoring {wildcards.experiment} trained on {wildcards.site} at {wildcards.place} ({wildcards.card}, {wildcards.protocol}, seed {wildcards.seed})"
    script:
        "../scripts/score_run.py"


rule score_susceptibility:
    input:
        cube=CUBE,
        samples=get_samples,
        susceptibility=HOME + "/susceptibility.tif",
        run=RUN + "/run.json",
    output:
        scores=HOME + "/scores.json",
        counts=HOME + "/counts.npz",
        predictions=HOME + "/predictions.npz",
    log:
        log_of("scoring", "score_susceptibility", RUN_KEYS),
    benchmark:
        timing_of("scoring", "score_susceptibility", RUN_KEYS)
    wildcard_constraints:
        experiment=either(plan.runs.names_of_experiments(NEIGHBOURHOODS, CELLS)),
    conda:
        "../../envs/geo.yaml"
    message:
        "Scoring {wildcards.experiment} on cells of {wildcards.site} ({wildcards.card}, {wildcards.protocol}, seed {wildcards.seed})"
    script:
        "../scripts/score_susceptibility.py"


rule choose_map:
    input:
        cube=CUBE,
        maps=lambda wildcards: [run.file("probability.tif") for run in plan.maps.candidates(wildcards.site)],
        runs=lambda wildcards: [run.file("run.json") for run in plan.maps.candidates(wildcards.site)],
        samples=lambda wildcards: sorted(
            {
                file
                for run in plan.maps.candidates(wildcards.site)
                for file in plan.samples.of_run(run.card, run.site, run.protocol, run.seed)
            }
        ),
    output:
        choice=CHOICE,
        scores=BEST_SCORES,
    log:
        log_of("scoring", "choose_map", "{site}"),
    benchmark:
        timing_of("scoring", "choose_map", "{site}")
    conda:
        "../../envs/geo.yaml"
    params:
        record=lambda wildcards: plan.maps.choice_record(wildcards.site),
    message:
        "Choosing the best map of {wildcards.site} on validation ground"
    script:
        "../scripts/choose_map.py"
