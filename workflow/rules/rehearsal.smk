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
        record=lambda wildcards: plan.rehearsal.trainings[wildcards.training],
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
