"""Names of the metrics that a scores.json can hold, for those who plan before anything is scored."""

from headscarp.codes import LAND_COVER

# Of pixels or cells, landslide or not: `metrics` of scores.json.
MACRO_METRICS = ("macro_precision", "macro_recall", "macro_f1")
CONFUSION_METRICS = ("accuracy", "precision", "recall", "f1", "kappa", "iou", "miou", "mcc", *MACRO_METRICS)
METRICS = (*CONFUSION_METRICS, "average_precision", "auc", "brier", "ece")
# Means over test windows, in the same place.
PREFIX = "image_"
SCORED_METRICS = ("f1", "miou", "auc", "f1_with_empty")
IMAGE_METRICS = tuple(PREFIX + name for name in SCORED_METRICS)
# Of cells against the simulated truth: `truth` of scores.json, and how an exhibit calls them.
TRUTH = "truth_"
RANKING = ("auc", "average_precision")
TRUTH_METRICS = tuple(TRUTH + name for name in RANKING)
# Of cells, means over the folds, beside those of all folds together: in `metrics` of scores.json.
FOLD_METRICS = tuple(f"fold_{name}" for name in RANKING)
# Of several classes, by the names of `scoring.classes.flat_metrics`.
CLASS_METRICS = ("precision", "recall", "f1", "iou")
OVERALL_METRICS = ("mean_recall", "mean_f1", "g_mean", "oa", "kappa")
EXTRACTION = ("dp", "qp", "oe", "ce")
FLAT_METRICS = (
    *(f"{name.replace(' ', '_')}_{metric}" for name in LAND_COVER for metric in CLASS_METRICS),
    *OVERALL_METRICS,
    *EXTRACTION,
)
