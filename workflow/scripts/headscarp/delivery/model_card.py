"""What must be known of a trained network before it is used: model_card.md beside it, or beside its map."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headscarp.codes import TUNED
from headscarp.delivery.trained_model import TrainedModel, origin_of
from headscarp.files import atomic_path
from headscarp.geo.grid import Grid
from headscarp.templating import fill

METRICS = {
    "average_precision": "Average precision",
    "f1": "F1",
    "precision": "Precision",
    "recall": "Recall",
    "iou": "Intersection over union",
    "auc": "Area under the ROC curve",
    "ece": "Expected calibration error",
}
UNTOLD = "not told"


def write_model_card(model: TrainedModel, target: str | Path) -> None:
    """Write the card of a network: data, place, dates, protocol, scores with their intervals, convergence,
    licence, limits; as far as its folder tells."""
    with atomic_path(target) as temporary:
        temporary.write_text(model_card(model), encoding="utf-8")


def model_card(model: TrainedModel) -> str:
    """The text (Markdown) of the card of a network."""
    record, origin, network = model.record, model.origin, model.record["spec"]["network"]
    return fill(
        "delivery/templates/model_card.md",
        run=origin["run"],
        network=network["name"],
        parameters=f"{record['parameters']:,}",
        classes=", ".join(model.classes.values()),
        facts=[(name, value) for name, value in facts(model)],
        channels=[channel_row(channel) for channel in model.channels],
        scores=score_rows(model),
        citation=origin.get("citation"),
        sources=dict.fromkeys(
            channel["source"] for channel in model.channels if "source" in channel and not origin_of(channel)
        ),
        limits=list(limits(model)),
    )


def facts(model: TrainedModel) -> Iterator[tuple[str, str]]:
    """What a network was trained on and how, by name."""
    record, origin = model.record, model.origin
    yield "Site", origin.get("site", UNTOLD) + (" (simulated)" if origin.get("data") == "twin" else "")
    yield "Place", place_text(model)
    yield "Pixels", UNTOLD if model.resolution is None else f"{model.resolution:g} m"
    if model.terrain:
        yield "Cells of the elevation model", f"{model.elevation_resolution:g} m"
    yield "Dates", ", ".join(model.dates or origin.get("dates", [])) or UNTOLD
    yield "Protocol", record["protocol"]
    yield "Windows", f"{record['windows']['train']} of {origin['window']} pixels a side"
    end = "converged" if record["converged"] else "not converged"
    yield "Training", f"{record['epochs']} epochs, seed {record['seed']}, {end}, {record['weights']} weights"
    yield (
        "Threshold",
        "none, the run was not scored" if model.threshold is None else f"{model.threshold:.4g}",
    )
    yield "Software", ", ".join(f"{name} {version}" for name, version in record["versions"].items())


def place_text(model: TrainedModel) -> str:
    """Where the training ground lies: the middle of each of its scenes in degrees."""
    origin = model.origin
    if "patches" in origin:
        return f"{origin['patches']['count']} patches, whose places the set does not tell"
    grids = [scene["grid"] for scene in origin.get("scenes", [origin])]
    middles = [Grid.from_record(grid).centre_degrees for grid in grids]
    return "; ".join(
        f"{abs(latitude):.3f}° {'N' if latitude >= 0 else 'S'}, "
        f"{abs(longitude):.3f}° {'E' if longitude >= 0 else 'W'}"
        for longitude, latitude in middles
    )


def channel_row(channel: dict[str, Any]) -> dict[str, str]:
    """A channel as the card lists it."""
    scale = channel["normalisation"]
    return {
        "name": channel["name"],
        "units": channel["units"],
        "mean": f"{scale['mean']:.4g}",
        "sd": f"{scale['sd']:.4g}",
    }


def score_rows(model: TrainedModel) -> list[dict[str, str]]:
    """Scores on the tested ground of the training site, with intervals where there are such."""
    if model.scores is None:
        return []
    rows = []
    for name, label in METRICS.items():
        value, bounds = (model.scores[part].get(name) for part in ("metrics", "intervals"))
        if value is not None:
            interval = "" if bounds is None else f"{bounds[0]:.3f} to {bounds[1]:.3f}"
            rows.append({"label": label, "value": f"{value:.3f}", "interval": interval})
    return rows


def limits(model: TrainedModel) -> Iterator[str]:
    """What a network cannot be asked, in sentences."""
    record, origin = model.record, model.origin
    if origin.get("data") == "twin":
        yield "It was trained on simulated ground: on real ground nothing is known of it."
    if not record["converged"]:
        yield "Its training stopped before it converged: scores and maps may change with longer training."
    if model.scores is None:
        yield "It was not scored: nobody knows how well it maps, and no threshold belongs to it."
    elif record["protocol"] not in TUNED:
        yield (
            f"Its scores are of the protocol '{record['protocol']}', in which tested ground may lie beside "
            "or under training ground: elsewhere it maps worse than they say."
        )
    else:
        yield (
            "Its scores are of other ground of the same site and images: in another landscape, season or "
            "sensor they do not hold, and the threshold may not either."
        )
    if model.resolution is not None:
        yield f"It knows pixels of {model.resolution:g} m: other images are resampled, coarser ones blurred."
    else:
        yield "The size of the pixels that it was trained on is not known."
    yield (
        "It reads values as training had them; `headscarp map` holds those of a new place against the table "
        "above and warns of others."
    )
