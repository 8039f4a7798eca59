"""Runs that mapped a site, as its pages tell of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headscarp.files import read_json
from headscarp.geo.grid import Grid

METRICS = ("f1", "precision", "recall", "iou", "average_precision", "auc")
# What is said of a protocol on pages, and what its validation of cells is called in the field.
PROTOCOLS = {
    "blocked": "Tested in blocks of the site that no training window touches.",
    "published": "Tested as the paper did; training and test may be neighbours, so that scores come out "
    "too high.",
    "temporal": "Learnt from landslides up to a year, tested on whether other ground slid later.",
}
VALIDATIONS = {"blocked": "spatial", "published": "random", "temporal": "temporal"}
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
    """One run that mapped the site, or the mean of several: `folder` holds run.json, `home` scores.json of
    the site that it was trained on, and `maps` probability.tif, landslides.gpkg and what belongs to them,
    with scores.json of its own where the map was scored. `choice` says why a best map is that."""

    label: str
    experiment: str
    protocol: str
    seeds: tuple[int, ...]
    folder: Path
    home: Path
    maps: Path
    trained_on: str | None
    choice: Mapping[str, Any] | None = None

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "MappedRun":
        return cls(
            label=record["label"],
            experiment=record["experiment"],
            protocol=record["protocol"],
            seeds=(int(record["seed"]),),
            folder=Path(record["folder"]),
            home=Path(record["home"]),
            maps=Path(record["maps"]),
            trained_on=record.get("trained_on"),
        )

    @classmethod
    def of_best(cls, folder: str | Path) -> "MappedRun":
        """The best map of a site, from the folder that holds its choice.json and all else of it."""
        folder = Path(folder)
        choice = read_json(folder / "choice.json")
        return cls(
            label=choice["label"],
            experiment=choice["experiment"],
            protocol="blocked",
            seeds=tuple(choice["seeds"]),
            folder=folder,
            home=folder,
            maps=folder,
            trained_on=None,
            choice=choice,
        )

    @property
    def of_seeds(self) -> str:
        """Of which trainings its map is."""
        return seeds_text(self.seeds)

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
        """Its name, with its protocol and seeds."""
        return f"{self.name} · {self.protocol} · {self.of_seeds}"

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


def seeds_text(seeds: Sequence[int]) -> str:
    """Of which trainings a map is."""
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"mean of seeds {', '.join(map(str, seeds))}"


def runs_of_page(record: Mapping[str, Any]) -> list[MappedRun]:
    """The runs of a page's record (`summary_page.build_page`) in the order in which pages show them: the best
    map, then those of the protocol `blocked`, then all others."""
    best = [MappedRun.of_best(record["best"])] if record.get("best") else []
    runs = map(MappedRun.from_record, record["runs"])
    return best + sorted(runs, key=lambda run: run.protocol != "blocked")


def polygons_of(run: MappedRun, grid: Grid) -> Any:
    """The landslides that a run mapped, the largest first, in the CRS of the site's grid."""
    from headscarp.geo.vectors import read_vectors

    return read_vectors(run.maps / "landslides.gpkg", grid.crs)
