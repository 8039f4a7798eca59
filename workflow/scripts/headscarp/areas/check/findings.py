"""What was found about a study area: findings with levels, the record and the report made of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headscarp.areas.alignment import Alignment
from headscarp.areas.slide_areas import Tail
from headscarp.geo.grid import Grid

OK, NOTE, WARNING, ERROR = "ok", "note", "warning", "error"
LEVELS = (OK, NOTE, WARNING, ERROR)


@dataclass(frozen=True)
class Finding:
    """One line of the report: how bad it is, what part of the check (`topic`), what it is about (`subject`),
    and what was found."""

    level: str
    topic: str
    subject: str
    text: str


@dataclass(kw_only=True)
class CheckedSite:
    """What was found about a site of any kind. `names` tells how the user calls a file, by the path that it
    was read from."""

    name: str
    title: str
    card: str
    names: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    landslides: dict[str, Any] = field(default_factory=dict)
    split: dict[str, Any] = field(default_factory=dict)

    def tell(self, level: str, topic: str, subject: str, text: str) -> None:
        for path in sorted(self.names, key=len, reverse=True):  # one may begin as another
            text = text.replace(path, self.names[path])
        self.findings.append(Finding(level, topic, subject, text))

    @property
    def heading(self) -> str:
        """The first line of the report."""
        return f"{self.title} ({self.card})"

    @property
    def status(self) -> str:
        """The worst of all findings."""
        return max((finding.level for finding in self.findings), key=LEVELS.index, default=OK)

    @property
    def verdict(self) -> str:
        """How many errors, warnings and notes there are, in words."""
        counts = {
            level: sum(finding.level == level for finding in self.findings)
            for level in (ERROR, WARNING, NOTE)
        }
        return ", ".join(f"{count} {level}{'' if count == 1 else 's'}" for level, count in counts.items())

    def record(self) -> dict[str, Any]:
        """The content of check.json."""
        return {
            "site": self.name,
            "card": self.card,
            "status": self.status,
            "findings": [vars(finding) for finding in self.findings],
            "files": self.files,
            "landslides": self.landslides,
            "split": self.split,
        }


@dataclass(frozen=True)
class ShownPatch:
    """A patch for the page: its name, image (row, col, 3) float32, NaN = no data, and label (row, col), both
    thinned where it is large, and its share of landslides (None: no label)."""

    name: str
    image: np.ndarray
    label: np.ndarray
    share: float | None


@dataclass(kw_only=True)
class CheckedPatches(CheckedSite):
    """What was found about a set of patches, and some of them to be shown."""

    shown: list[ShownPatch] = field(default_factory=list)


@dataclass(kw_only=True)
class Checked(CheckedSite):
    """What was found about a site of rasters on one grid.

    `grid` is the site's; `view` the one, thinned where that is large, of the arrays (row, col): `outline`
    bool, `layers` float32 NaN = no data (classes as codes), `label` uint8. `areas` are those of the slides in
    m2. `said` is the part `layers` of the card.
    """

    said: Mapping[str, Any]
    grid: Grid
    view: Grid
    outline: np.ndarray
    layers: dict[str, np.ndarray] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    images: list[str] = field(default_factory=list)
    elevation: np.ndarray | None = None
    label: np.ndarray | None = None
    areas: np.ndarray | None = None
    tail: Tail | None = None
    alignment: Alignment | None = None

    @property
    def heading(self) -> str:
        """The first line of the report."""
        grid = self.grid
        size = f"{grid.height} x {grid.width} cells of {grid.resolution:g} m, {grid.crs}"
        return f"{super().heading}: {size}"

    @property
    def thinning(self) -> float:
        """How many times longer the cells of the view are than those of the grid."""
        return float(np.sqrt(self.grid.height * self.grid.width / (self.view.height * self.view.width)))

    def image_after(self) -> list[str]:
        """Bands of one image, after the event where there are two, of the last date of a series."""
        for prefix in ("post_", ""):
            names = [
                name
                for name in self.images
                if name.startswith(prefix) and (prefix or not name.startswith("pre_"))
            ]
            if names:
                return names
        return self.images

    def image_seen(self) -> np.ndarray | None:
        """Cells where at least one band of an image has data; None where there is no image at hand."""
        images = [np.isfinite(self.layers[name]) for name in self.images]
        return np.any(images, axis=0) if images else None

    def record(self) -> dict[str, Any]:
        """The content of check.json."""
        aligned = self.alignment
        return super().record() | {
            "grid": self.grid.to_record(),
            "alignment": None
            if aligned is None
            else {
                "rows_south_px": round(aligned.rows, 2),
                "cols_east_px": round(aligned.cols, 2),
                "metres": round(aligned.pixels * self.view.resolution, 2),
                "correlation": round(float(aligned.surface.max()), 4),
                "agreement": round(aligned.agreement, 3),
                "clearness": round(aligned.clearness, 2),
                "is_told": aligned.is_told,
            },
        }


def report(checked: CheckedSite) -> str:
    """Findings for people, topic by topic."""
    lines = [checked.heading]
    topics = dict.fromkeys(finding.topic for finding in checked.findings)
    width = max((len(finding.subject) for finding in checked.findings), default=0)
    for topic in topics:
        lines.append(topic)
        lines += [
            f"  {finding.level.ljust(7)}  {finding.subject.ljust(width)}  {finding.text}"
            for finding in checked.findings
            if finding.topic == topic
        ]
    return "\n".join([*lines, checked.verdict])
