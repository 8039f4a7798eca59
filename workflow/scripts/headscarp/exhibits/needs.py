"""What each kind of exhibit reads, so that a table or figure asks for its own runs and layers only."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Needs:
    """Files of a run and parts of a site (`raw`, `layers`, `cube`, `samples`) that a kind of exhibit reads."""

    run: tuple[str, ...] = ()
    site: tuple[str, ...] = ()


SCORES = ("scores.json", "cells.npz")

TABLES = {
    "site": Needs(site=("layers",)),
    "factor_ranges": Needs(site=("layers",)),
    "scores": Needs(run=SCORES),
    "objects": Needs(run=SCORES),
    "complexity": Needs(run=("map.json", "run.json")),
    "audit": Needs(site=("samples",)),
}

FIGURES = {
    "site_map": Needs(site=("raw", "layers")),
    "confusion_maps": Needs(run=("probability.tif", "scores.json"), site=("layers", "samples")),
    "factor_importance": Needs(site=("cube",)),
    "landslide_frequency": Needs(site=("layers",)),
    "score_chart": Needs(run=SCORES),
    "reliability": Needs(run=SCORES),
    "curves": Needs(run=("history.csv",)),
    "probability_maps": Needs(run=("probability.tif", "scores.json"), site=("layers", "samples")),
}
