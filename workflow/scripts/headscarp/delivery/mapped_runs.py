"""Runs that mapped a site, as its pages tell of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headscarp.files import read_json
from headscarp.geo.grid import Grid

METRICS = ("f1", "precision", "recall", "iou", "average_precision", "auc")
PROTOCOLS = {
    "blocked": "Tested in blocks of the site that no training window touches.",
    "published": "Tested as the paper did; training and test may be neighbours, so that scores come out "
    "too high.",
}
# column of landslides.gpkg: head of the table, decimals
COLUMNS = {
    "id": ("No.", 0),
    "area_m2": ("Area (m²)", 0),
    "length_m": ("Length (m)", 0),
    "mean_probability": ("Mean probability", 2),
    "mean_slope_deg": ("Mean slope (°)", 1),
    "mean_elevation_m": ("Mean elevation (m)", 0),
    "relief_m": ("Relief (m)", 0),
}


@dataclass(frozen=True)
class MappedRun:
    """One run that mapped the site: `folder` holds run.json, `home` scores.json of the site that it was
    trained on, and `maps` probability.tif, landslides.gpkg and what belongs to them, with scores.json of its
    own where the map was scored."""

    label: str
    experiment: str
    protocol: str
    seed: int
    folder: Path
    home: Path
    maps: Path
    trained_on: str | None

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "MappedRun":
        return cls(
            label=record["label"],
            experiment=record["experiment"],
            protocol=record["protocol"],
            seed=int(record["seed"]),
            folder=Path(record["folder"]),
            home=Path(record["home"]),
            maps=Path(record["maps"]),
            trained_on=record.get("trained_on"),
        )

    @property
    def name(self) -> str:
        """Its label, with the site that it comes from where that is another, and which site its scores are
        of."""
        if self.trained_on is None:
            return self.label
        scored = "" if self.scores_path.parent == self.maps else " and scored there, not here"
        return f"{self.label}, trained on {self.trained_on}{scored}"

    @property
    def title(self) -> str:
        """Its name, with its protocol and seed."""
        return f"{self.name} · {self.protocol} · seed {self.seed}"

    @property
    def scores(self) -> dict[str, Any]:
        return read_json(self.scores_path)

    @property
    def scores_path(self) -> Path:
        own = self.maps / "scores.json"
        return own if own.exists() else self.home / "scores.json"

    @property
    def is_mapped(self) -> bool:
        return all((self.maps / file).exists() for file in ("probability.tif", "landslides.gpkg"))


def blocked_first(runs: Iterable[MappedRun]) -> list[MappedRun]:
    """Runs in the order in which pages show them: those of the protocol `blocked` before all others."""
    return sorted(runs, key=lambda run: run.protocol != "blocked")


def polygons_of(run: MappedRun, grid: Grid) -> Any:
    """The landslides that a run mapped, the largest first, in the CRS of the site's grid."""
    from headscarp.geo.vectors import read_vectors

    return read_vectors(run.maps / "landslides.gpkg", grid.crs)
