"""A map as its users take it: what is written beside its probability."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headscarp.delivery.catalogue import write_item
from headscarp.delivery.mask import write_binary
from headscarp.delivery.styles import class_style, landslide_style, probability_style, write_style
from headscarp.files import read_json
from headscarp.mapping.polygons import landslide_polygons, write_polygons


def deliver(
    folder: Path,
    run: Path,
    scores: Path,
    layers: Path,
    collection: Path,
    record: Mapping[str, Any],
    minimum_area_m2: float = 0.0,
) -> None:
    """Write mask.tif, landslides.gpkg (those of at least `minimum_area_m2`), their styles and item.json
    beside the probability.tif in `folder`, at the threshold of its scores; other arguments as
    `catalogue.write_item` takes them."""
    probability, threshold = folder / "probability.tif", read_json(scores)["threshold"]
    write_binary(probability, threshold, folder / "mask.tif")
    polygons = landslide_polygons(probability, threshold, layers, minimum_area_m2)
    write_polygons(folder / "landslides.gpkg", polygons)
    write_style(folder / "probability.qml", probability_style())
    write_style(folder / "mask.qml", class_style())
    write_style(folder / "landslides.qml", landslide_style())
    write_item(folder, run, scores, layers, collection, record)
