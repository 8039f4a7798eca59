"""The kinds of tables and figures: where the function of each stands, and what it reads.

A new kind is one function of its name in a file of `tables/` or `figures/`, and one line in `KINDS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headscarp.exhibits.spec import ExhibitSpec

PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class Kind:
    """What a kind of exhibit reads.

    `module`: of this package, holds its function; one in `figures` draws, every other makes a table. Files
    of each run's folder (`runs`), of its folder for the exhibit's target site (`at_target`), of those
    for the exhibit's other sites (`at_other_sites`), and of each search (`searches`). Parts (`raw`,
    `layers`, `cube`, `samples`) of the exhibit's `sites` and of its `target`; by option
    (`sites_if`), those of its sites that it reads only where that option is true. `compares`: the rows of
    the table are scored alike, so that one of them is the best.
    """

    module: str
    runs: tuple[str, ...] = ()
    at_target: tuple[str, ...] = ()
    at_other_sites: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    sites_if: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    compares: bool = False

    @property
    def is_table(self) -> bool:
        return not self.module.startswith("figures.")

    @property
    def reads_runs(self) -> bool:
        return bool(self.runs or self.at_target or self.at_other_sites)

    @property
    def sources(self) -> list[str]:
        """Code whose change makes exhibits of this kind again: its module and, of a figure, all panels."""
        return sources_of(self.module, panels=not self.is_table)


def sources_of(*modules: str, panels: bool) -> list[str]:
    """Files of modules of this package, and of all panels."""
    files = [PACKAGE / f"{module.replace('.', '/')}.py" for module in modules]
    return [str(path) for path in (*files, *(sorted((PACKAGE / "panels").glob("*.py")) if panels else ()))]


AUDIT = "audit"  # the kind that shows what the checks of a card find in all its published tables
SCORES = ("scores.json", "counts.npz")
TRIALS = ("trials.csv", "best.json")
PROBABILITY = ("probability.tif", "scores.json")
CLASS_MAP = ("classes.tif", "scores.json")
LABELLED = ("layers", "samples")
SUSCEPTIBILITY = ("susceptibility.tif",)
KINDS = {
    "site": Kind("tables.sites", sites=("layers",)),
    "factor_ranges": Kind("tables.factors", sites=("layers",)),
    "scores": Kind("tables.scores", runs=SCORES, compares=True),
    "objects": Kind("tables.scores", runs=SCORES, compares=True),
    "complexity": Kind("tables.costs", runs=("map.json", "run.json")),
    "architecture": Kind("tables.architecture"),
    AUDIT: Kind("tables.audit", runs=("scores.json",), sites_if={"overlap": ("samples",)}),
    "class_shares": Kind("tables.factors", sites=("layers",)),
    "recognised_shares": Kind("tables.factors", sites=LABELLED),
    "susceptibility_levels": Kind(
        "tables.susceptibility", runs=("susceptibility.tif", "predictions.npz"), sites=("layers",)
    ),
    "factor_classes": Kind("tables.factors", sites=("layers",)),
    "search": Kind("tables.training", searches=TRIALS),
    "printed_scores": Kind("tables.scores", runs=SCORES, compares=True),
    "hyperparameters": Kind("tables.training", runs=("run.json",)),
    "mcnemar": Kind("tables.significance", runs=("predictions.npz",)),
    "order_spread": Kind("tables.orders", runs=("scores.json",)),
    "inventory": Kind("tables.inventory", at_target=("inventory.gpkg", "inventory.json"), target=("raw",)),
    "left_out_scenes": Kind("tables.scenes", runs=SCORES, compares=True),
    "data_sources": Kind("tables.sites", sites=("layers", "samples")),
    "class_ratios": Kind("tables.samples", sites=("samples",)),
    "class_scores": Kind("tables.classes", runs=SCORES, compares=True),
    "extraction": Kind("tables.classes", runs=SCORES, compares=True),
    "fine_tuning": Kind("tables.classes", runs=SCORES, compares=True),
    "paired_effect": Kind("tables.classes", runs=SCORES),
    "change_table": Kind("tables.change", runs=("change/change.json",)),
    "ablation_effects": Kind("tables.gains", runs=SCORES),
    "date_table": Kind("tables.sites", sites=("cube",)),
    "score_gains": Kind("tables.gains", runs=SCORES),
    "cross_scene": Kind("tables.scenes", runs=SCORES, at_other_sites=SCORES, compares=True),
    "lightweight": Kind("tables.costs", runs=("map.json", "run.json")),
    "network_comparison": Kind("tables.costs", runs=(*SCORES, "map.json", "run.json"), compares=True),
    "pairwise": Kind("tables.significance", runs=SCORES),
    "site_map": Kind("figures.site_map", sites=("raw", "layers")),
    "confusion_maps": Kind("figures.confusion_maps", runs=PROBABILITY, sites=LABELLED),
    "factor_importance": Kind("figures.factor_importance", sites=("cube",)),
    "landslide_frequency": Kind("figures.landslide_frequency", sites=("layers",)),
    "score_chart": Kind("figures.score_chart", runs=SCORES),
    "reliability": Kind("figures.reliability", runs=SCORES),
    "curves": Kind("figures.curves", runs=("history.csv",)),
    "probability_maps": Kind("figures.probability_maps", runs=PROBABILITY, sites=LABELLED),
    "class_maps": Kind("figures.class_maps", sites=("layers",)),
    "factor_maps": Kind("figures.factor_maps", sites=("layers",)),
    "inventory_comparison": Kind("figures.inventory_comparison", runs=PROBABILITY, sites=LABELLED),
    "close_ups": Kind("figures.close_ups", runs=PROBABILITY, sites=LABELLED),
    "vhr_site": Kind("figures.vhr_site", sites=("layers",)),
    "label_examples": Kind("figures.label_examples", sites=("layers", "raw")),
    "class_maps_of_runs": Kind("figures.run_maps", runs=CLASS_MAP, sites=LABELLED),
    "extraction_maps": Kind("figures.run_maps", runs=CLASS_MAP, sites=LABELLED),
    "boundary_maps": Kind("figures.boundary_maps", runs=CLASS_MAP, sites=LABELLED),
    "change_maps": Kind(
        "figures.change_maps",
        runs=("change/landslides.gpkg",),
        sites=("layers", "raw"),
        target=("layers", "raw"),
    ),
    "slope_separation": Kind("figures.slope_separation", sites=("layers",)),
    "fine_tuning_chart": Kind("figures.fine_tuning_chart", runs=("scores.json",)),
    "sampling_chart": Kind("figures.sampling_chart", sites=("samples",)),
    "inventory_map": Kind("figures.inventory_map", at_target=("inventory.gpkg",), target=("layers", "raw")),
    "roc": Kind("figures.roc", runs=SCORES),
    "susceptibility_maps": Kind("figures.susceptibility_maps", runs=SUSCEPTIBILITY, sites=("layers",)),
    "rate_curves": Kind("figures.rate_curves", runs=SUSCEPTIBILITY, sites=("samples",)),
    "search_chart": Kind("figures.search_chart", searches=TRIALS),
    "scene_grid": Kind("figures.scene_grid", runs=PROBABILITY, sites=("cube", "samples")),
    "class_grid": Kind("figures.class_grid", runs=CLASS_MAP, sites=("cube", "samples")),
    "series_maps": Kind("figures.series_maps", sites=("raw", "cube")),
    "score_bars": Kind("figures.score_bars", runs=SCORES),
    "pretraining_chart": Kind("figures.pretraining_chart", runs=("history.csv",)),
    "index_series": Kind("figures.index_series", sites=("cube",)),
    "series_calendar": Kind("figures.series_calendar", sites=("cube",)),
    "cross_matrix": Kind("figures.cross_matrix", runs=SCORES, at_other_sites=SCORES),
    "ranks": Kind("figures.ranks", runs=SCORES),
    "grad_cam": Kind("figures.grad_cam", runs=("gradcam.npz",), sites=("layers",)),
}


def function_of(kind: str) -> Callable[["ExhibitSpec"], Any]:
    """The function that makes a kind: of a table it gives a tidy frame, of a figure the figure and the tidy
    numbers behind it. Nothing else of this package is imported for it."""
    return getattr(import_module(f"headscarp.exhibits.{KINDS[kind].module}"), kind)
