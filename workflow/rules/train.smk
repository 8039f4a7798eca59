# Station run: hyper-parameters searched, one network trained. Needs torch and numpy, but no geospatial package.


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
        "results/logs/search_hyperparameters/{card}/{search}/{protocol}/{sampler}.log",
    benchmark:
        "results/benchmarks/search_hyperparameters/{card}/{search}/{protocol}/{sampler}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: plan.threads
    resources:
        gpu=get_gpus,
        mem_mb=3000,
    params:
        record=lambda wildcards: plan.search_record(wildcards.card, wildcards.search, wildcards.sampler),
    message:
        "Searching hyper-parameters {wildcards.search} of {wildcards.card} ({wildcards.protocol}, {wildcards.sampler})"
    script:
        "../scripts/search_hyperparameters.py"


def get_start(wildcards):
    """Weights that a run starts from."""
    run = plan.started_from(wildcards.card, wildcards.experiment, wildcards.protocol, wildcards.seed)
    return [f"{run.folder}/model.safetensors"] if run else []


def get_statistics(wildcards):
    """Samples whose normalisation a run uses in place of those of its own."""
    run = plan.started_from(wildcards.card, wildcards.experiment, wildcards.protocol, wildcards.seed)
    if run is None or plan.cards[wildcards.card].experiments[wildcards.experiment].statistics == "own":
        return []
    return [f"results/sites/{run.site}/samples/{run.card}/{run.protocol}/samples.json"]


rule train_network:
    input:
        cube=CUBE,
        samples=SAMPLE,
        best=lambda wildcards: plan.tuned_by(wildcards.card, wildcards.experiment, wildcards.protocol),
        start=get_start,
        statistics=get_statistics,
    output:
        model=RUN + "/model.safetensors",
        history=RUN + "/history.csv",
        record=RUN + "/run.json",
    log:
        RUN_LOG.format(rule="train_network"),
    benchmark:
        RUN_BENCHMARK.format(rule="train_network")
    wildcard_constraints:
        experiment=either(plan.names_of_experiments(WINDOWS)),
    conda:
        "../../envs/torch.yaml"
    threads: plan.threads
    resources:
        gpu=get_gpus,
        mem_mb=3000,
    params:
        record=lambda wildcards: plan.run_record(
            wildcards.card, wildcards.experiment, int(wildcards.seed), wildcards.site
        ),
    message:
        "Training {wildcards.experiment} on {wildcards.site} ({wildcards.card}, {wildcards.protocol}, seed {wildcards.seed})"
    script:
        "../scripts/train_network.py"


rule train_susceptibility:
    input:
        cube=CUBE,
        samples=CELL,
    output:
        model=RUN + "/model.safetensors",
        history=RUN + "/history.csv",
        record=RUN + "/run.json",
    log:
        RUN_LOG.format(rule="train_susceptibility"),
    benchmark:
        RUN_BENCHMARK.format(rule="train_susceptibility")
    wildcard_constraints:
        experiment=either(plan.names_of_experiments(NEIGHBOURHOODS)),
    conda:
        "../../envs/torch.yaml"
    threads: plan.threads
    resources:
        gpu=get_gpus,
        mem_mb=3000,
    params:
        record=lambda wildcards: plan.run_record(
            wildcards.card, wildcards.experiment, int(wildcards.seed), wildcards.site
        ),
    message:
        "Training {wildcards.experiment} on cells of {wildcards.site} ({wildcards.card}, {wildcards.protocol}, seed {wildcards.seed})"
    script:
        "../scripts/train_susceptibility.py"
