"""What people read for metrics, rows, factors and units."""

from collections.abc import Mapping

from headscarp.exhibits.tidy import AS_PRINTED, UNIT, VERSUS

METRIC_LABELS = {
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "kappa": "Kappa",
    "iou": "IoU",
    "miou": "mIoU",
    "recomputed_miou": "Recomputed mIoU",
    "miou_gain_stated": "mIoU gain stated",
    "average_precision": "Average precision",
    "auc": "AUC",
    "fold_auc": "AUC (mean of folds)",
    "fold_average_precision": "Average precision (mean of folds)",
    "mcc": "MCC",
    "brier": "Brier",
    "ece": "ECE",
    "rows": "Rows",
    "cols": "Columns",
    "resolution_m": "Resolution (m)",
    "landslides": "Landslides",
    "landslide_area_km2": "Landslide area (km²)",
    "study_area_km2": "Study area (km²)",
    "scene_area_km2": "Whole image (km²)",
    "event_date": "Event",
    "min": "Minimum",
    "max": "Maximum",
    "dp": "DP",
    "qp": "QP",
    "oe": "OE",
    "ce": "CE",
    "oa": "OA",
    "g_mean": "G-mean",
    "avg_recall": "Average recall",
    "avg_f1": "Average F1",
    "landslide_f1": "Landslide F1",
    "landslide_average_precision": "Landslide AP",
    "mean_f1": "Mean F1",
    "boundary_f1": "Boundary F1",
    "effective_resolution_m": "Effective resolution (m)",
    "training_patches": "Training patches",
    "training_patches_blocked": "Training patches (blocked)",
    "object_recall": "Object recall",
    "object_precision": "Object precision",
    "object_f1": "Object F1",
    "object_dp": "DP (objects)",
    "object_qp": "QP (objects)",
    "object_oe": "OE (objects)",
    "object_ce": "CE (objects)",
    "side_px": "Side (pixels)",
    "maps": "Output maps",
    "parameters": "Parameters",
    "model_ram_mb": "Model (MiB)",
    "test_time_s": "Test time (s)",
    "macro_precision": "Macro precision",
    "macro_recall": "Macro recall",
    "macro_f1": "Macro F1",
    "truth_auc": "AUC (truth)",
    "truth_average_precision": "Average precision (truth)",
    "area_percent": "Share of area (%)",
    "landslide_percent": "Share of landslides (%)",
    "density_percent": "Landslide density (%)",
    "truth_frequency_ratio": "Frequency ratio (truth)",
    "predominant": "Most slides, says the paper",
    "chi2": "χ² (corrected)",
    "polygons": "Polygons",
    "area_km2": "Area (km²)",
    "min_area_m2": "Smallest (m²)",
    "median_area_m2": "Median area (m²)",
    "mean_area_m2": "Mean area (m²)",
    "max_area_m2": "Largest (m²)",
    "slides": "True slides",
    "b": "b (only first right)",
    "c": "c (only second right)",
    "implied_iou": "Implied landslide IoU",
    "needed_background_iou": "Needed background IoU",
    "days_since_last": "Days since the date before",
    "pa": "PA (pixel accuracy)",
    "cpa": "CPA (landslide precision)",
    "landslide_share_percent": "Landslides (% of pixels)",
    "giga_multiply_adds_per_megapixel": "Multiply-adds (10⁹/megapixel)",
    "seconds_per_megapixel": "Time (s/megapixel)",
    "image_f1": "F1 per image",
    "image_miou": "mIoU per image",
    "image_auc": "AUC per image",
    "image_f1_with_empty": "F1 per image (empty = 1)",
    "p_holm": "p (Holm)",
    "training_memory_mib": "Training memory (MiB)",
    "p_value": "p (corrected)",
    "significant_90": "Significant at 90 %",
    "significant_95": "Significant at 95 %",
    "p_exact": "p (exact)",
    "p_block": "p (blocks)",
    "chi2_matched": "χ² (matched rate)",
    "p_matched": "p (matched rate)",
    "p_block_matched": "p (blocks, matched rate)",
    "sd_orders": "SD over orders",
    "sd_seeds": "SD over seeds",
    "implied_landslide_f1": "Implied landslide F1",
    "f_beta": "F-beta",
    "eq7_as_printed": "Eq. 7 as printed",
}
ROW_LABELS = {
    "gp": "Gaussian process",
    "random": "Random search",
    "released_code": "Released code",
    "printed": "The paper",
    "no_skill": "without skill",
    "eq7": "Eq. 7",
    "per_image_with_empty": "per image (empty = 1)",
} | {key: METRIC_LABELS[key] for key in ("f1", "auc", "average_precision")}


def metric_label(metric: str) -> str:
    """What people read for a metric."""
    if metric.endswith(AS_PRINTED):
        return metric_label(metric.removesuffix(AS_PRINTED)) + AS_PRINTED
    return METRIC_LABELS.get(metric, metric.replace("_", " ").capitalize())


def row_label(row: str, labels: Mapping[str, str]) -> str:
    """What people read for a row id such as `unet`, `zigui`, `zigui:distance_to_river` or
    `multi_vs_small`."""
    labels = ROW_LABELS | dict(labels)
    if row in labels:
        return labels[row]
    if VERSUS in row:
        return " vs ".join(row_label(part, labels) for part in row.split(VERSUS))
    head, *rest = row.split(":")
    if not rest:
        return row.replace("_", " ")
    return ": ".join([labels.get(head, head), *(labels.get(part, part.replace("_", " ")) for part in rest)])


def protocol_label(protocol: str) -> str:
    """What people read for a protocol."""
    return protocol.replace("_", " ")


def unit_text(note: str) -> str:
    """' (m)' of the note 'unit m'; nothing for other notes and pure numbers."""
    unit = note.removeprefix(UNIT)
    return f" ({unit})" if unit not in (note, "", "1", "-", "index") else ""


def place_label(longitude: float, latitude: float) -> str:
    """A place on Earth, in degrees."""
    north, east = ("N" if latitude >= 0 else "S"), ("E" if longitude >= 0 else "W")
    return f"{abs(latitude):.2f}° {north}, {abs(longitude):.2f}° {east}"


FACTOR_LABELS = {"ndvi": "NDVI", "mndwi": "MNDWI", "twi": "TWI"}


def factor_label(factor: str) -> str:
    """What people read for a factor."""
    return FACTOR_LABELS.get(factor, factor.replace("_", " ").capitalize())


def score_text(value: float | None) -> str:
    """A score with three decimals; an en dash where it is undefined."""
    return "–" if value is None else f"{value:.3f}"
