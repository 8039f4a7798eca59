"""What the rules ask of samples: how windows are drawn, and what labels cells."""

from dataclasses import dataclass
from typing import Any

from headscarp.plan.model import Run
from headscarp.plan.paths import CELL_FILES, SAMPLE_FILES
from headscarp.plan.selection import Selection
from headscarp.samples.cell_table import AS_RELEASED
from headscarp.samples.spec import SamplingSpec
from headscarp.yaml_files import merge


@dataclass(frozen=True)
class Samples:
    """The windows and cells of all cards."""

    plan: Selection

    def windows(self, card: str, site: str) -> dict[str, Any]:
        """How windows are drawn on a site: the card's way, with the site's changes."""
        return merge(self.plan.cards[card].sampling, self.plan.cards[card].sites[site].sampling)

    def side_of_windows(self, card: str, site: str) -> int:
        """Side in pixels of the windows that networks of a site are trained on."""
        return SamplingSpec.from_record(self.windows(card, site)).window

    def files(self, site: str) -> tuple[str, ...]:
        """Names of the files with the samples of a site."""
        return CELL_FILES if self.plan.is_cell_site(site) else SAMPLE_FILES

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
        or points; none for layers."""
        card = self.plan.card_of(site)
        record, raw = card.cells[site], self.plan.sites[site].raw_folder
        if "inventory" in record:
            run = self.inventory_run(card.name, protocol)
            files = {"inventory": run.file("inventory.gpkg", card.inventory["target"])}
            return files | {role: f"{raw}/{file}" for role, file in record["inventory"].items()}
        return {"points": f"{raw}/{record['points']['file']}"} if "points" in record else {}
