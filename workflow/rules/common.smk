# What several stages share: wildcards and the files that stations hand on.
import re
import shutil

from headscarp.plan.cards import CELLS, FOREST, NEIGHBOURHOODS, WINDOWS
from headscarp.plan.plan import CELL_FILES, CUBE_FILES, MAP_FILES, SAMPLE_FILES, Run

SITE = "results/sites/{site}"
SAMPLES = SITE + "/samples/{card}/{protocol}"
RUN = "results/runs/{card}/{site}/{experiment}/{protocol}/seed{seed}"
RUN_LOG = "results/logs/{rule}/{{card}}/{{site}}/{{experiment}}/{{protocol}}/seed{{seed}}.log"
RUN_BENCHMARK = RUN_LOG.replace("/logs/", "/benchmarks/").replace(".log", ".tsv")


def either(names):
    """A regular expression for one of the names, or for nothing where there are none."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


wildcard_constraints:
    card=either(plan.cards),
    site=either(plan.sites),
    target=either(plan.sites),
    scene=either(sorted({scene for site in plan.sites.values() for scene in site.scenes})),
    experiment=either(plan.names_of_experiments()),
    search=either(plan.names_of_searches()),
    sampler="gp|random",
    protocol="published|blocked",
    seed=r"\d+",


PATCHES = f"{SITE}/cube/patches.csv"
CUBE = [f"{SITE}/cube/{name}" for name in CUBE_FILES]
SAMPLE = [f"{SAMPLES}/{name}" for name in SAMPLE_FILES]
CELL = [f"{SAMPLES}/{name}" for name in CELL_FILES]
SEARCH = "results/searches/{card}/{search}/{protocol}/{sampler}"
ELSEWHERE = RUN + "/on/{target}"
CUT_OUT = RUN + "/scenes/{scene}"


def get_gpus(wildcards):
    """GPUs of one job: 1 where the device is CUDA, so that a profile can cap them."""
    wants = plan.device.startswith("cuda") or (plan.device == "auto" and shutil.which("nvidia-smi"))
    return 1 if wants else 0
