# What several stages share: paths, wildcards and the resources of a job. Paths are those of headscarp.plan.paths.
import re
import shutil

from headscarp.plan.forecasts import MAP, TRAIN
from headscarp.plan.model import CELLS, FOREST, MAPPED, NEIGHBOURHOODS, SEEDS, SYMMETRIES, WINDOWS, Run
from headscarp.plan.paths import *


def either(names):
    """A regular expression for one of the names, or for nothing where there are none."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


wildcard_constraints:
    card=either(plan.cards),
    site=either(plan.sites),
    place=either(plan.sites),
    experiment=either(plan.runs.names_of_experiments()),
    search=either(plan.runs.names_of_searches()),
    sampler="gp|random",
    protocol="published|as_released|temporal|blocked",
    seed=r"\d+",
    fold=r"\d+",
    part=r"\d+",
    parts=r"\d+",


def get_run(wildcards):
    """The run that a file belongs to."""
    names = ("card", "site", "experiment", "protocol", "seed")
    return Run(**{name: wildcards[name] for name in names})


def get_samples(wildcards):
    """The samples of a run: of the fold that its seed tests."""
    return plan.samples.of_run(wildcards.card, wildcards.site, wildcards.protocol, int(wildcards.seed))


def asks(what, key):
    """What a job of a run is asked for: `mem_mb` or `runtime`, from the forecast where there is one."""
    return lambda wildcards, attempt: plan.forecasts.of_run(get_run(wildcards), what, key, attempt)


def get_gpus(wildcards):
    """Shares of GPUs of one job (`jobs_per_gpu` to a GPU): 1 where the device is CUDA, so that a profile can cap them."""
    wants = plan.device.startswith("cuda") or (plan.device == "auto" and shutil.which("nvidia-smi"))
    return 1 if wants else 0
