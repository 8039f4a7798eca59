"""What the card of a study area will say, before it is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headscarp.areas.guess.names import OPTICAL
from headscarp.areas.guess.rasters import Band
from headscarp.geo.grid import Grid

PLACEHOLDER = "1900-01-01"  # the date of a card whose files tell none; `headscarp check` warns of it
DEM_FILE = "dem.tif"


Entry = tuple[str, Any, str]  # name, value and comment


@dataclass
class Draft:
    """What a card will say: entries in the order in which they are written."""

    name: str
    grid: Grid
    dates: list[str]
    why_dates: str
    files: list[Entry] = field(default_factory=list)
    rasters: list[Entry] = field(default_factory=list)
    lines: list[Entry] = field(default_factory=list)
    labels: dict[str, Any] = field(default_factory=dict)
    why_labels: str = ""
    small_m2: float | None = None  # a twentieth of the inventory's landslides are smaller
    cells: dict[str, Any] = field(default_factory=dict)  # of susceptibility: labels and protocols
    latest_year: int | None = None  # of a landslide
    cover: bool = False
    resolution: str = ""  # in words: what it is, why, and what others cost
    is_resolution_guess: bool = False
    is_placeless: bool = False
    not_fetched: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    outline_notes: list[str] = field(default_factory=list)

    @property
    def has_elevation(self) -> bool:
        return any(name == DEM_FILE for name, _, _ in self.files)

    @property
    def optical(self) -> list[str]:
        """Layers that are spectral bands or indices of them."""
        return [
            name
            for name, _, _ in self.rasters
            if name.split("_", 1)[-1] in OPTICAL or name in OPTICAL or name.endswith("ndvi")
        ]

    @property
    def context(self) -> list[str]:
        """Continuous layers that are neither image nor terrain."""
        further = [
            name
            for name, entry, _ in self.rasters
            if name not in self.optical and entry.get("kind") != "classes"
        ]
        return further + [name for name, _, _ in self.lines]

    def layer(self, name: str) -> str | None:
        """The layer of a spectral band, after the event if there are two."""
        present = [one for one, _, _ in self.rasters]
        return next((one for one in (f"post_{name}", name, f"pre_{name}") if one in present), None)

    def add_file(self, wanted: str, origin: dict[str, Any], comment: str) -> str:
        """Add a raw file under a name that no other has."""
        taken = {name for name, _, _ in self.files}
        stem, suffix = wanted.rsplit(".", 1)
        name = next(
            one
            for one in (wanted, *(f"{stem}_{number}.{suffix}" for number in range(2, len(taken) + 3)))
            if one not in taken
        )
        self.files.append((name, origin, comment))
        return name


def place(path: Path, folder: Path) -> str:
    """A path as a card has it: relative to the working folder where it lies below, else absolute."""
    full = path.resolve()
    return (
        full.relative_to(folder.resolve()).as_posix()
        if full.is_relative_to(folder.resolve())
        else full.as_posix()
    )


def record_of_origin(path: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of a user's file in a card: where it is, and what the import must know of it."""
    return {"path": path} | {key: value for key, value in spec.items() if value is not None}


def warnings_of(band: Band) -> list[str]:
    """What a reader of the card must know of a file at once."""
    partial = [] if band.cover >= 0.995 else [f"covers {band.cover:.0%} of the grid"]
    return [*band.notes, *partial]
