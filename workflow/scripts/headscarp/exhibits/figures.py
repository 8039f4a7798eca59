"""The figures: one function of an `ExhibitSpec` for each kind, in `FIGURES`, gives a figure and the tidy
numbers behind it."""

from collections.abc import Callable

import pandas as pd
from matplotlib.figure import Figure

from headscarp.exhibits import (
    charts,
    comparison_charts,
    cross_figures,
    explanation_maps,
    factor_maps,
    inventory_maps,
    maps,
    series_charts,
    series_maps,
    style,
    susceptibility_charts,
    vhr_charts,
    vhr_maps,
)
from headscarp.exhibits.spec import ExhibitSpec

Drawing = Callable[[ExhibitSpec], tuple[Figure, pd.DataFrame]]


def in_style(draw: Drawing) -> Drawing:
    """Draw inside the house style."""

    def styled(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
        with style.look():
            return draw(spec)

    return styled


FIGURES: dict[str, Drawing] = {
    "site_map": in_style(maps.site_map),
    "confusion_maps": in_style(maps.confusion_maps),
    "factor_importance": in_style(charts.factor_importance),
    "landslide_frequency": in_style(charts.landslide_frequency),
    "score_chart": in_style(charts.score_chart),
    "reliability": in_style(charts.reliability),
    "curves": in_style(charts.curves),
    "probability_maps": in_style(maps.probability_maps),
    "class_maps": in_style(factor_maps.class_maps),
    "factor_maps": in_style(factor_maps.factor_maps),
    "susceptibility_maps": in_style(factor_maps.susceptibility_maps),
    "inventory_comparison": in_style(inventory_maps.inventory_comparison),
    "close_ups": in_style(inventory_maps.close_ups),
    "inventory_map": in_style(inventory_maps.inventory_map),
    "roc": in_style(susceptibility_charts.roc),
    "rate_curves": in_style(susceptibility_charts.rate_curves),
    "search_chart": in_style(susceptibility_charts.search_chart),
    "vhr_site": in_style(vhr_maps.vhr_site),
    "label_examples": in_style(vhr_maps.label_examples),
    "class_maps_of_runs": in_style(vhr_maps.class_maps_of_runs),
    "extraction_maps": in_style(vhr_maps.extraction_maps),
    "boundary_maps": in_style(vhr_maps.boundary_maps),
    "change_maps": in_style(vhr_maps.change_maps),
    "slope_separation": in_style(vhr_charts.slope_separation),
    "fine_tuning_chart": in_style(vhr_charts.fine_tuning_chart),
    "sampling_chart": in_style(vhr_charts.sampling_chart),
    "scene_grid": in_style(series_maps.scene_grid),
    "series_maps": in_style(series_maps.series_maps),
    "score_bars": in_style(series_charts.score_bars),
    "pretraining_chart": in_style(series_charts.pretraining_chart),
    "index_series": in_style(series_charts.index_series),
    "series_calendar": in_style(series_charts.series_calendar),
    "ranks": in_style(comparison_charts.ranks),
    "grad_cam": in_style(explanation_maps.grad_cam),
    "cross_matrix": in_style(cross_figures.cross_matrix),
}
