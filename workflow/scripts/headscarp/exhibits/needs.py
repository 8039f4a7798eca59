"""What each kind of exhibit reads, so that a table or figure asks for its own runs and layers only."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Needs:
    """Files of a run, of a run applied to the exhibit's target site, of a run applied to every other site of
    the exhibit (`cross`) and of a search, and parts of a site and of the target site (`raw`, `layers`,
    `cube`, `samples`), that a kind of exhibit reads; `module` of this package makes it."""

    module: str
    run: tuple[str, ...] = ()
    site: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    cross: tuple[str, ...] = ()


# Cards whose published numbers are audited together, see `paper_audits`.
AUDITED = ("gao2021", "zhang2024", "xia2021", "stfusion", "xing2026")
SCORES = ("scores.json", "counts.npz")
TRIALS = ("trials.csv", "best.json")
CLASS_MAP = ("classes.tif", "scores.json")

TABLES = {
    "site": Needs("tables", site=("layers",)),
    "factor_ranges": Needs("tables", site=("layers",)),
    "scores": Needs("tables", run=SCORES),
    "objects": Needs("tables", run=SCORES),
    "complexity": Needs("tables", run=("map.json", "run.json")),
    "audit": Needs("audit_tables", site=("samples",)),
    "class_shares": Needs("factor_tables", site=("layers",)),
    "factor_classes": Needs("factor_tables", site=("layers",)),
    "search": Needs("run_tables", search=TRIALS),
    "printed_scores": Needs("run_tables", run=SCORES),
    "hyperparameters": Needs("run_tables", run=("run.json",)),
    "mcnemar": Needs("run_tables", run=("predictions.npz",)),
    "order_spread": Needs("run_tables", run=("scores.json",)),
    "inventory": Needs("inventory_tables", elsewhere=("inventory.gpkg", "inventory.json"), target=("raw",)),
    "model_audit": Needs("audit_tables", site=("samples",)),
    "left_out_scenes": Needs("scene_tables", run=SCORES),
    "data_sources": Needs("class_tables", site=("layers", "samples")),
    "class_ratios": Needs("class_tables", site=("samples",)),
    "class_scores": Needs("class_tables", run=SCORES),
    "extraction": Needs("class_tables", run=SCORES),
    "fine_tuning": Needs("class_tables", run=SCORES),
    "paired_effect": Needs("class_tables", run=SCORES),
    "change_table": Needs("class_tables", run=("change/change.json",)),
    "extraction_audit": Needs("class_tables"),
    "ablation_effects": Needs("fusion_tables", run=SCORES),
    "fusion_audit": Needs("fusion_tables", run=("scores.json",)),
    "date_table": Needs("fusion_tables", site=("cube",)),
    "score_gains": Needs("cross_tables", run=SCORES),
    "cross_scene": Needs("cross_tables", run=SCORES, cross=SCORES),
    "lightweight": Needs("cross_tables", run=("map.json", "run.json")),
    "network_comparison": Needs("comparison_tables", run=(*SCORES, "map.json", "run.json")),
    "pairwise": Needs("comparison_tables", run=SCORES),
}

FIGURES = {
    "site_map": Needs("maps", site=("raw", "layers")),
    "confusion_maps": Needs("maps", run=("probability.tif", "scores.json"), site=("layers", "samples")),
    "factor_importance": Needs("charts", site=("cube",)),
    "landslide_frequency": Needs("charts", site=("layers",)),
    "score_chart": Needs("charts", run=SCORES),
    "reliability": Needs("charts", run=SCORES),
    "curves": Needs("charts", run=("history.csv",)),
    "probability_maps": Needs("maps", run=("probability.tif", "scores.json"), site=("layers", "samples")),
    "class_maps": Needs("factor_maps", site=("layers",)),
    "factor_maps": Needs("factor_maps", site=("layers",)),
    "inventory_comparison": Needs(
        "inventory_maps", run=("probability.tif", "scores.json"), site=("layers", "samples")
    ),
    "close_ups": Needs("inventory_maps", run=("probability.tif", "scores.json"), site=("layers", "samples")),
    "vhr_site": Needs("vhr_maps", site=("layers",)),
    "label_examples": Needs("vhr_maps", site=("layers", "raw")),
    "class_maps_of_runs": Needs("vhr_maps", run=CLASS_MAP, site=("layers", "samples")),
    "extraction_maps": Needs("vhr_maps", run=CLASS_MAP, site=("layers", "samples")),
    "boundary_maps": Needs("vhr_maps", run=CLASS_MAP, site=("layers", "samples")),
    "change_maps": Needs("vhr_maps", run=("change/landslides.gpkg",), site=("layers", "raw")),
    "slope_separation": Needs("vhr_charts", site=("layers",)),
    "fine_tuning_chart": Needs("vhr_charts", run=("scores.json",)),
    "sampling_chart": Needs("vhr_charts", site=("layers", "samples")),
    "inventory_map": Needs("inventory_maps", elsewhere=("inventory.gpkg",), target=("layers", "raw")),
    "roc": Needs("susceptibility_charts", run=SCORES),
    "susceptibility_maps": Needs("factor_maps", run=("susceptibility.tif",), site=("layers",)),
    "rate_curves": Needs("susceptibility_charts", run=("susceptibility.tif",), site=("samples",)),
    "search_chart": Needs("susceptibility_charts", search=TRIALS),
    "scene_grid": Needs("series_maps", run=("probability.tif", "scores.json"), site=("cube", "samples")),
    "series_maps": Needs("series_maps", site=("raw", "cube")),
    "score_bars": Needs("series_charts", run=SCORES),
    "pretraining_chart": Needs("series_charts", run=("history.csv",)),
    "index_series": Needs("series_charts", site=("cube",)),
    "series_calendar": Needs("series_charts", site=("cube",)),
    "cross_matrix": Needs("cross_figures", run=SCORES, cross=SCORES),
    "ranks": Needs("comparison_charts", run=SCORES),
    "grad_cam": Needs("explanation_maps", run=("gradcam.npz",), site=("layers",)),
}
