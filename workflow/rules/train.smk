# Station run: one trained network. Needs torch and numpy, but no geospatial package.


rule train_network:
    input:
        cube=CUBE,
        samples=SAMPLE,
    output:
        model=RUN + "/model.safetensors",
        history=RUN + "/history.csv",
        record=RUN + "/run.json",
    log:
        RUN_LOG.format(rule="train_network"),
    benchmark:
        RUN_BENCHMARK.format(rule="train_network")
    wildcard_constraints:
        experiment=either(plan.names_of_experiments(forest=False)),
    conda:
        "../../envs/torch.yaml"
    threads: plan.threads
    resources:
        gpu=get_gpus,
        mem_mb=3000,
    params:
        record=lambda wildcards: plan.run_record(wildcards.card, wildcards.experiment, int(wildcards.seed)),
    message:
        "Training {wildcards.experiment} on {wildcards.site} ({wildcards.card}, {wildcards.protocol}, seed {wildcards.seed})"
    script:
        "../scripts/train_network.py"
