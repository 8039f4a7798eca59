"""What is delivered beside a map of landslide probability."""

from pathlib import Path

from headscarp.delivery.mask import write_binary
from headscarp.delivery.styles import class_style, landslide_style, probability_style, write_style
from headscarp.mapping.polygons import landslide_batches, write_batches


def deliver_map(
    probability: Path, threshold: float, layers: Path, minimum_area_m2: float = 0.0, is_dated: bool = True
) -> None:
    """Write mask.tif, landslides.gpkg and the QGIS styles of both and of the probability beside a
    probability map.

    Args:
        threshold: probability from which ground counts as landslide.
        layers: the layers of the mapped ground, on the grid of the map.
        minimum_area_m2: smaller landslides are no polygons.
        is_dated: whether the date of these layers is that of an image; else polygons have none.

    Raises:
        HeadscarpError: as `landslide_batches`.
    """
    folder = probability.parent
    write_binary(probability, threshold, folder / "mask.tif")
    batches = landslide_batches(probability, threshold, layers, minimum_area_m2)
    write_batches(folder / "landslides.gpkg", (one if is_dated else one.assign(date=None) for one in batches))
    write_style(folder / "probability.qml", probability_style())
    write_style(folder / "mask.qml", class_style())
    write_style(folder / "landslides.qml", landslide_style())
