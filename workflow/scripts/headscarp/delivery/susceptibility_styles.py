"""How QGIS draws delivered susceptibility: the map by its five classes, the classes, and the dissimilarity to
the training cells."""

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import SubElement

from headscarp.delivery.styles import (
    CIVIDIS,
    finish_raster,
    raster_document,
    raster_renderer,
    stops_style,
    write_style,
)

Step = tuple[float, str, str]  # upper bound, label, colour
OUTSIDE = "#762A83"  # the area of applicability: no colour of a class


def write_classes_style(path: str | Path, names: Sequence[str], colours: Sequence[str]) -> None:
    """Style of a raster of the classes 1 … n."""
    root, pipe = raster_document()
    palette = SubElement(raster_renderer(pipe, "paletted", band="1"), "colorPalette")
    for code, (name, colour) in enumerate(zip(names, colours, strict=True), start=1):
        entry = {"value": str(code), "label": name, "color": colour.lower(), "alpha": "255"}
        SubElement(palette, "paletteEntry", entry)
    finish_raster(pipe)
    write_style(path, root)


def write_steps_style(path: str | Path, steps: Sequence[Step], kind: str = "DISCRETE") -> None:
    """Style of the first band of a raster of values: one colour up to each bound (DISCRETE), or between them
    (INTERPOLATED)."""
    stops = [(bound, label, colour, 255) for bound, label, colour in steps]
    write_style(path, stops_style(stops, kind, decimals=3))


def write_dissimilarity_style(path: str | Path, threshold: float) -> None:
    """Style of the dissimilarity index: cividis up to the threshold of the area of applicability, violet
    beyond it."""
    inside = [
        (threshold * tenth / 10, f"{threshold * tenth / 10:.3f}", CIVIDIS[tenth]) for tenth in range(11)
    ]
    beyond = [(value, "outside", OUTSIDE) for value in (threshold * 1.0001, threshold * 10)]
    write_steps_style(path, [*inside, *beyond], "INTERPOLATED")
