"""What an exhibit is made of: its sites, its runs and the published values that stand beside ours."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headscarp.errors import HeadscarpError

TWIN = "twin"


@dataclass(frozen=True)
class SiteFiles:
    """A study area on disk: `folder` holds layers/ (with layers.json) and cube/; `raw` its raw files;
    `samples` is {protocol: folder}. `event` says what made its landslides, `image` whose image it is;
    the corner of the grid of a `placeless` one is made up."""

    name: str
    title: str
    folder: Path
    data: str
    samples: dict[str, Path]
    raw: Path
    event: str = ""
    image: str = ""
    placeless: bool = False

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "SiteFiles":
        samples = {protocol: Path(folder) for protocol, folder in record.get("samples", {}).items()}
        folder = Path(record["folder"])
        return cls(
            record["name"],
            record["title"],
            folder,
            record["data"],
            samples,
            Path(record.get("raw", folder / "raw")),
            record.get("event", ""),
            record.get("image", ""),
            record.get("placeless", False),
        )


@dataclass(frozen=True)
class RunFiles:
    """One trained network: its row in the exhibit, the label people read, the folder of its files, and that
    of what it made of the place shown (`maps`, of its own site unless that is another)."""

    row: str
    label: str
    experiment: str
    protocol: str
    seed: int
    folder: Path
    maps: Path

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "RunFiles":
        keys = ("row", "label", "experiment", "protocol")
        folders = Path(record["folder"]), Path(record["maps"])
        return cls(*(record[key] for key in keys), int(record["seed"]), *folders)

    @property
    def site(self) -> str:
        """The site that it was trained on: a run's folder is card/site/experiment/protocol/seed."""
        return self.folder.parts[-4]

    def maps_of(self, place: str) -> Path:
        """Folder of what the run made of a place."""
        return self.folder / place


@dataclass(frozen=True)
class SearchFiles:
    """One search of hyper-parameters: `folder` holds trials.csv and best.json."""

    name: str
    label: str
    protocol: str
    sampler: str
    folder: Path

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "SearchFiles":
        return cls(*(record[key] for key in ("name", "label", "protocol", "sampler")), Path(record["folder"]))


@dataclass(frozen=True)
class ExhibitSpec:
    """One table or figure. `published` holds records {row, metric, value, unit}; runs stand in the order in
    which they are shown.

    `target` is the site that the runs were applied to beside their own; `experiments` holds the resolved
    record of each row (network, width, params, channels). Of an audit, `checks` are those of the
    card and `published` holds all its tables, each record with its `table`.
    """

    card: str
    name: str
    kind: str
    title: str
    caption: str
    sites: tuple[SiteFiles, ...]
    runs: tuple[RunFiles, ...]
    options: dict[str, Any]
    published: tuple[dict[str, Any], ...]
    searches: tuple[SearchFiles, ...] = ()
    target: SiteFiles | None = None
    experiments: dict[str, dict[str, Any]] = field(default_factory=dict)
    checks: tuple[dict[str, Any], ...] = ()

    def __post_init__(self) -> None:
        if self.options.get("elsewhere") and self.target is None:
            raise HeadscarpError(
                f"exhibit '{self.name}' of card '{self.card}' ({self.kind}) has the option `elsewhere` but "
                f"no `target`; name the site that they mapped as `target`"
            )

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "ExhibitSpec":
        return cls(
            *(record[key] for key in ("card", "name", "kind", "title", "caption")),
            sites=tuple(SiteFiles.from_record(site) for site in record["sites"]),
            runs=tuple(RunFiles.from_record(run) for run in record.get("runs", [])),
            options=dict(record.get("options", {})),
            published=tuple(record.get("published", [])),
            searches=tuple(SearchFiles.from_record(search) for search in record.get("searches", [])),
            target=SiteFiles.from_record(record["target"]) if record.get("target") else None,
            experiments=dict(record.get("experiments", {})),
            checks=tuple(record.get("checks", [])),
        )

    @property
    def labels(self) -> dict[str, str]:
        """What people read for each row: the labels of runs and searches, the titles of sites."""
        return (
            {site.name: site.title for site in self.sites}
            | {search.name: search.label for search in self.searches}
            | {run.row: run.label for run in self.runs}
        )

    @property
    def rows(self) -> list[str]:
        """Rows of the runs, in order, each once."""
        return list(dict.fromkeys(run.row for run in self.runs))

    @property
    def protocols(self) -> list[str]:
        """Protocols of the runs, in order, each once."""
        return list(dict.fromkeys(run.protocol for run in self.runs))

    def runs_of(self, row: str, protocol: str) -> list[RunFiles]:
        """Runs of one row under one protocol, one for each seed, in the order of seeds."""
        return sorted(
            (run for run in self.runs if (run.row, run.protocol) == (row, protocol)), key=lambda run: run.seed
        )

    def first_runs(self, *protocols: str) -> list[RunFiles]:
        """The first seed of each row under protocols, in turn, where there is one."""
        found = [self.runs_of(row, protocol) for protocol in protocols for row in self.rows]
        return [runs[0] for runs in found if runs]

    def only_site(self) -> SiteFiles:
        """The site of an exhibit of runs.

        Raises:
            HeadscarpError: the exhibit names none or several.
        """
        if len(self.sites) != 1:
            names = ", ".join(site.name for site in self.sites) or "none"
            raise HeadscarpError(
                f"exhibit '{self.name}' of card '{self.card}' ({self.kind}) needs exactly one site but "
                f"names {names}"
            )
        return self.sites[0]

    def published_value(self, row: str, metric: str) -> float | None:
        """The printed value of a row and metric, if the paper prints one."""
        value = self.published_text(row, metric)
        return None if value is None else float(value)

    def published_text(self, row: str, metric: str) -> Any:
        """What the paper prints for a row and metric, number or text, if anything."""
        values = [
            record["value"] for record in self.published if (record["row"], record["metric"]) == (row, metric)
        ]
        return values[0] if values else None
