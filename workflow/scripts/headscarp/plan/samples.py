"""What the rules ask of samples: how windows are drawn, and what labels cells."""

from dataclasses import dataclass, field
from typing import Any

from headscarp.codes import AS_RELEASED
from headscarp.plan.model import Run
from headscarp.plan.paths import CELL_FILES, SAMPLE_FILES, below
from headscarp.plan.selection import Selection
from headscarp.samples.spec import CellsSpec, SamplingSpec, rotating_folds
from headscarp.yaml_files import merge


@dataclass(frozen=True)
class Samples:
    """The windows and cells of all cards."""

    plan: Selection
    _known: dict[tuple[str, str], int] = field(default_factory=dict, repr=False)

    def windows(self, card: str, site: str) -> dict[str, Any]:
        """How windows are drawn on a site: the card's way, with the site's changes."""
        return merge(self.plan.cards[card].sampling, self.plan.cards[card].sites[site].sampling)

    def side_of_windows(self, card: str, site: str) -> int:
        """Side in pixels of the windows of a site's samples."""
        return SamplingSpec.from_record(self.windows(card, site)).window

    def fold(self, card: str, site: str, protocol: str, seed: int) -> int:
        """The fold of a site that a run with a seed tests: under `blocked` folds rotate with the seed."""
        return seed % self._folds(card, site) if protocol == "blocked" else 0

    def _folds(self, card: str, site: str) -> int:
        """How many folds of a site rotate; kept, since every job of a run asks."""
        if (card, site) not in self._known:
            if self.plan.is_cell_site(site):
                self._known[card, site] = CellsSpec.from_record(self.plan.card_of(site).cells[site]).rotating
            else:
                self._known[card, site] = rotating_folds(self.windows(card, site))
        return self._known[card, site]

    def first_fold(self, card: str, site: str, protocol: str) -> int:
        """The fold that a card's first seed tests, which maps and single runs show."""
        return self.fold(card, site, protocol, self.plan.cards[card].seeds[0])

    def folder(self, card: str, site: str, protocol: str, seed: int) -> str:
        """Folder of the samples of a run."""
        return self.plan.sites[site].samples(card, protocol, self.fold(card, site, protocol, seed))

    def of_run(self, card: str, site: str, protocol: str, seed: int) -> list[str]:
        """The files with the samples of a run."""
        names = CELL_FILES if self.plan.is_cell_site(site) else SAMPLE_FILES
        return below(self.folder(card, site, protocol, seed), names)

    def inventory_run(self, card: str, protocol: str) -> Run:
        """The run whose landslides label the cells of a card under a protocol: the first seed of its
        inventory's experiment, under `published` where the protocol is one of cells only."""
        chosen, seed = self.plan.cards[card].inventory, self.plan.cards[card].seeds[0]
        protocol = "published" if protocol == AS_RELEASED else protocol
        return Run(
            card=card, site=chosen["site"], experiment=chosen["experiment"], protocol=protocol, seed=seed
        )

    def labels_of_cells(self, site: str, protocol: str) -> dict[str, str]:
        """Files that label the cells of a site: an inventory with the truth and the area it is held against,
        polygons, or points; none for layers."""
        card = self.plan.card_of(site)
        record, raw = card.cells[site], self.plan.sites[site].raw_folder
        if "inventory" in record:
            run = self.inventory_run(card.name, protocol)
            files = {"inventory": run.file("inventory.gpkg", card.inventory["target"])}
            return files | {role: f"{raw}/{file}" for role, file in record["inventory"].items()}
        for kind in ("polygons", "points"):
            if kind in record:
                area = {"area": f"{raw}/{record[kind]['area']}"} if "area" in record[kind] else {}
                return {kind: f"{raw}/{record[kind]['file']}"} | area
        return {}
