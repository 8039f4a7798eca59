# Stage rehearsal: what the selected cards will cost at the chosen scale, before they are run.


rule rehearse_training:
    output:
        TRAINING,
    log:
        log_of("rehearsal", "rehearse_training", "{training}"),
    wildcard_constraints:
        training="[a-z0-9_]+-[0-9a-f]{8}",
    conda:
        "../../envs/map.yaml"
    threads: plan.threads
    resources:
        gpu=get_gpus,
        mem_mb=16000,
    params:
        record=lambda wildcards: plan.rehearsal.training(wildcards.training),
    message:
        "Rehearsing two steps and a mapped window of {wildcards.training}"
    script:
        "../scripts/rehearse_training.py"


rule rehearse_twin:
    output:
        TWIN,
    log:
        log_of("rehearsal", "rehearse_twin", "{site}"),
    wildcard_constraints:
        site=either(site.name for site in plan.sites.values() if site.twin),
    conda:
        "../../envs/geo.yaml"
    params:
        record=lambda wildcards: plan.sites[wildcards.site].twin,
        seed=lambda wildcards: plan.sites[wildcards.site].seed,
        size=lambda wildcards: plan.card_of(wildcards.site).smallest,
    message:
        "Rehearsing a small twin of {wildcards.site}"
    script:
        "../scripts/rehearse_twin.py"


rule forecast:
    input:
        lambda wildcards: plan.rehearsal.files,
    output:
        csv=FORECAST[0],
        markdown=FORECAST[1],
        html=FORECAST[2],
        requests=FORECAST[3],
    log:
        log_of("rehearsal", "forecast"),
    conda:
        "../../envs/report.yaml"
    params:
        record=lambda wildcards: plan.rehearsal.forecast,
    message:
        "Forecasting hours, memory and disk"
    script:
        "../scripts/forecast.py"


# Not what trainings wait for, so that it redoes none; it goes first when cubes and samples are there.
rule expect_time:
    input:
        lambda wildcards: plan.rehearsal.of_card(wildcards.card).files,
        lambda wildcards: plan.rehearsal.of_card(wildcards.card).sampled,
    output:
        csv=FORECAST_OF_CARD[0],
        markdown=FORECAST_OF_CARD[1],
        html=FORECAST_OF_CARD[2],
        requests=FORECAST_OF_CARD[3],
    log:
        log_of("rehearsal", "expect_time", "{card}"),
    priority: 100
    conda:
        "../../envs/report.yaml"
    params:
        record=lambda wildcards: plan.rehearsal.of_card(wildcards.card).forecast,
    message:
        "Working out how long the trainings of {wildcards.card} will take"
    script:
        "../scripts/expect_time.py"
