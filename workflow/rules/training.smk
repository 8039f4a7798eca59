# Stage training: hyper-parameters searched, one network trained. Needs torch and numpy, but no geospatial package.


rule search_hyperparameters:
    input:
        cube=lambda wildcards: [
            path.format(site=plan.cards[wildcards.card].searches[wildcards.search].site) for path in CUBE
        ],
        samples=lambda wildcards: [
            path.format(site=plan.cards[wildcards.card].searches[wildcards.search].site, **wildcards)
            for path in SAMPLE
        ],
    output:
        trials=SEARCH + "/trials.csv",
        best=SEARCH + "/best.json",
    log:
        log_of("training", "search_hyperparameters", "{card}/{search}/{protocol}/fold{fold}/{sampler}"),
    benchmark:
        timing_of("training", "search_hyperparameters", "{card}/{search}/{protocol}/fold{fold}/{sampler}")
    conda:
        "../../envs/torch.yaml"
    threads: plan.threads
    resources:
        gpu=get_gpus,
        mem_mb=3000,
    params:
        record=lambda wildcards: plan.runs.search_record(wildcards.card, wildcards.search, wildcards.sampler),
    message:
        "Searching hyper-parameters {wildcards.search} of {wildcards.card} ({wildcards.protocol}, fold {wildcards.fold}, {wildcards.sampler})"
    script:
        "../scripts/search_hyperparameters.py"


def get_start(wildcards):
    """Weights that a run starts from."""
    run = plan.runs.start(wildcards.card, wildcards.experiment, wildcards.protocol, wildcards.seed)
    return [run.file("model.safetensors")] if run else []


rule train_network:
    input:
        cube=CUBE,
        samples=get_samples,
        best=lambda wildcards: plan.runs.best_of_search(
            wildcards.card, wildcards.experiment, wildcards.protocol, wildcards.seed
        ),
        start=get_start,
        statistics=lambda wildcards: plan.runs.statistics(
            wildcards.card, wildcards.experiment, wildcards.protocol, wildcards.seed
        ),
    output:
        model=RUN + "/model.safetensors",
        history=RUN + "/history.csv",
        record=RUN + "/run.json",
    log:
        log_of("training", "train_network", RUN_KEYS),
    benchmark:
        timing_of("training", "train_network", RUN_KEYS)
    wildcard_constraints:
        experiment=either(plan.runs.names_of_experiments(WINDOWS)),
    conda:
        "../../envs/torch.yaml"
    threads: plan.threads
    resources:
        gpu=get_gpus,
        mem_mb=asks(TRAIN, "mem_mb"),
        runtime=asks(TRAIN, "runtime"),
    params:
        record=lambda wildcards: plan.runs.record(
            wildcards.card, wildcards.experiment, wildcards.protocol, int(wildcards.seed), wildcards.site
        ),
    message:
        "Training {wildcards.experiment} on {wildcards.site} ({wildcards.card}, {wildcards.protocol}, seed {wildcards.seed})"
    script:
        "../scripts/train_network.py"


rule train_susceptibility:
    input:
        cube=CUBE,
        samples=get_samples,
    output:
        model=RUN + "/model.safetensors",
        history=RUN + "/history.csv",
        record=RUN + "/run.json",
    log:
        log_of("training", "train_susceptibility", RUN_KEYS),
    benchmark:
        timing_of("training", "train_susceptibility", RUN_KEYS)
    wildcard_constraints:
        experiment=either(plan.runs.names_of_experiments(NEIGHBOURHOODS)),
    conda:
        "../../envs/torch.yaml"
    threads: plan.threads
    resources:
        gpu=get_gpus,
        mem_mb=asks(TRAIN, "mem_mb"),
        runtime=asks(TRAIN, "runtime"),
    params:
        record=lambda wildcards: plan.runs.record(
            wildcards.card, wildcards.experiment, wildcards.protocol, int(wildcards.seed), wildcards.site
        ),
    message:
        "Training {wildcards.experiment} on cells of {wildcards.site} ({wildcards.card}, {wildcards.protocol}, seed {wildcards.seed})"
    script:
        "../scripts/train_susceptibility.py"
