"""What the layers of a user's vector files probably are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyogrio

from headscarp.areas.guess.names import LABEL, role_of_vectors, words


@dataclass(frozen=True)
class VectorLayer:
    """One layer of a user's vector file, and what it is taken for (`role`, None: unknown) and `why`."""

    path: Path
    layer: str | None
    geometry: str
    count: int
    role: str | None
    why: str
    where: str | None = None
    crs: str | None = None


def vector_layers(path: Path) -> list[VectorLayer]:
    """The layers of a vector file."""
    layers = pyogrio.list_layers(path)
    several = len(layers) > 1
    found = []
    for name, _ in layers:
        info = pyogrio.read_info(path, layer=name, force_feature_count=True)
        geometry = (
            (info["geometry_type"] or "no geometry").removeprefix("2.5D ").split(" ")[0].removeprefix("Multi")
        )
        if geometry == "Unknown":
            geometry = first_geometry(path, name)
        role, why = role_of_vectors(name if several else f"{path.stem} {name}", geometry)
        found.append(
            VectorLayer(
                path,
                str(name) if several else None,
                geometry,
                int(info["features"]),
                role,
                why,
                crs=info["crs"],
            )
        )
    return found


def first_geometry(path: Path, layer: str) -> str:
    """Kind of the first geometry of a layer that declares none."""
    table = pyogrio.read_dataframe(path, layer=layer, max_features=1)
    kinds = table.geometry.geom_type if "geometry" in table else []
    return next((kind.removeprefix("Multi") for kind in kinds if kind), "no geometry")


def openstreetmap(path: Path) -> list[VectorLayer]:
    """Rivers and roads of an extract of OpenStreetMap, which is not opened: it may be large."""
    which = {
        "distance_to_rivers": "waterway IN ('river', 'stream')",
        "distance_to_roads": "highway IS NOT NULL",
    }
    return [
        VectorLayer(path, "lines", "LineString", 0, role, "an OpenStreetMap extract", where, "EPSG:4326")
        for role, where in which.items()
    ]


def first_label(vectors: Sequence[VectorLayer]) -> VectorLayer | None:
    """The layer that is most plainly the inventory: the one with the fewest words in its name, polygons
    only."""
    labels = [one for one in vectors if one.role == LABEL]
    return min(labels, key=lambda one: len(words(one.layer or one.path.stem)), default=None)
