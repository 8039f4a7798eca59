"""Where everything lies: patterns of the paths below results/ with Snakemake's wildcards, and the names of
files. The rules and the plan take every path from here.

Samples and searches are of one fold: where folds of the ground rotate with the seed, a run takes that of
its seed. A run is one training. What it makes of one place, its own site (home) or another, lies in one
folder inside its own.
"""

from collections.abc import Iterable

SITES = "results/sites"
DOWNLOADS = "results/downloads"

SITE = SITES + "/{site}"
SAMPLES = SITE + "/samples/{card}/{protocol}/fold{fold}"
SEARCH = "results/searches/{card}/{search}/{protocol}/fold{fold}/{sampler}"
RUN_KEYS = "{card}/{site}/{experiment}/{protocol}/seed{seed}"
PLACE_KEYS = RUN_KEYS + "/{place}"
RUN = "results/runs/" + RUN_KEYS
PLACE = RUN + "/{place}"
HOME = RUN + "/{site}"
PART_KEYS = PLACE_KEYS + "/part{part}of{parts}"
PART = PLACE + "/part{part}of{parts}"

CUBE_FILES = ("cube.npy", "cube.json", "label.npy", "instances.npy")
SAMPLE_FILES = ("windows.csv", "regions.npy", "blocks.npy", "samples.json")
CELL_FILES = ("cells.npz", "cells.json")
# What a run makes once, not of each place that it maps.
RUN_FILES = ("model.safetensors", "history.csv", "run.json", "gradcam.npz")
CHANGE = "change/"  # and what it makes of several dates
# What is delivered beside the probability of a map.
DELIVERED_FILES = (
    "mask.tif",
    "landslides.gpkg",
    "probability.qml",
    "mask.qml",
    "landslides.qml",
    "item.json",
    "thumbnail.png",
)

# What is delivered of a susceptibility map, below HOME: by the rules that permute its factors, map where it
# applies, and deliver it.
DELIVERED = HOME + "/delivered"
FACTORS = DELIVERED + "/factors.csv"
APPLICABILITY = (DELIVERED + "/applicability.tif", DELIVERED + "/applicability.json")
SUSCEPTIBILITY_FILES = (
    "susceptibility.tif",
    "classes.tif",
    "classes.csv",
    "cells.gpkg",
    "susceptibility.qml",
    "classes.qml",
    "applicability.qml",
    "summary.json",
)

PATCHES = SITE + "/cube/patches.csv"
CUBE = [f"{SITE}/cube/{name}" for name in CUBE_FILES]
CUBE_OF_PLACE = [path.replace("{site}", "{place}") for path in CUBE]
SAMPLE = [f"{SAMPLES}/{name}" for name in SAMPLE_FILES]
CELL = [f"{SAMPLES}/{name}" for name in CELL_FILES]
LAYERS_OF_PLACE = SITES + "/{place}/layers"

SUMMARY, COLLECTION = SITE + "/summary.html", SITE + "/collection.json"
SUSCEPTIBILITY_PAGE = SITE + "/susceptibility.html"
SUSCEPTIBILITY_MAP = (SITE + "/susceptibility_map.html", SITE + "/susceptibility_map")
COLLECTION_OF_PLACE = SITES + "/{place}/collection.json"
# The one map that a site is given, and which model's it is.
BEST_MAP = SITE + "/best_map"
CHOICE, BEST_SCORES = BEST_MAP + "/choice.json", BEST_MAP + "/scores.json"
BEST_FILES = ("probability.tif", "uncertainty.tif", "run.json", *DELIVERED_FILES, "uncertainty.qml")
PROJECT, PROJECT_RASTERS = SITE + "/{site}.qgz", SITE + "/qgis"
MAP_PAGE, MAP_TILES = SITE + "/map.html", SITE + "/map"

TRAINING, TWIN = "results/rehearsal/trainings/{training}.json", "results/rehearsal/twins/{site}.json"
FORECAST_ENDINGS = ("csv", "md", "html", "json")
FORECAST = tuple(f"results/forecast.{ending}" for ending in FORECAST_ENDINGS)
FORECAST_OF_CARD = tuple(f"results/forecasts/{{card}}.{ending}" for ending in FORECAST_ENDINGS)

TABLE = "results/tables/{card}/{exhibit}"
FIGURE = "results/figures/{card}/{exhibit}"
TABLE_ENDINGS = ("csv", "md", "html", "tex")
AUDIT_TABLES = tuple(f"results/tables/audit.{ending}" for ending in TABLE_ENDINGS)
CLAIM_TABLES = tuple(f"results/tables/claims.{ending}" for ending in TABLE_ENDINGS)
CLAIM_FIGURES = tuple(f"results/figures/claims.{ending}" for ending in ("png", "pdf"))

GALLERY = "results/index.html"


def log_of(stage: str, rule: str, keys: str = "") -> str:
    """The log of a rule; `keys` is a pattern of its wildcards."""
    return "/".join(filter(None, ("results/logs", stage, rule, keys))) + ".log"


def timing_of(stage: str, rule: str, keys: str = "") -> str:
    """Where Snakemake writes how long a job took and how much memory it had."""
    return "/".join(filter(None, ("results/timings", stage, rule, keys))) + ".tsv"


def is_of_run(name: str) -> bool:
    """Whether a file is made once for a run, and not of each place that it maps."""
    return name in RUN_FILES or name.startswith(CHANGE)


def below(folder: str, names: Iterable[str]) -> list[str]:
    return [f"{folder}/{name}" for name in names]
