"""The plan: config.yaml and the cards, checked once. Nothing else reads either.

Rules ask it which runs an exhibit needs; scripts get plain records through `params` and never see the plan.
"""

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from headscarp.errors import HeadscarpError
from headscarp.plan.audit import Audit, check_audits
from headscarp.plan.available import refuse_missing, why_unreachable
from headscarp.plan.checks import check_claims, refuse_shared_experiments, refuse_shared_sites
from headscarp.plan.claims import Claims
from headscarp.plan.exhibits import Exhibits
from headscarp.plan.forecasts import Forecasts
from headscarp.plan.gallery import Gallery
from headscarp.plan.grounds import check_grounds
from headscarp.plan.maps import Maps
from headscarp.plan.model import MAPS, Card
from headscarp.plan.origins import Origins
from headscarp.plan.provenance import Provenance
from headscarp.plan.read import known_networks, read_cards, resolve_card
from headscarp.plan.rehearsal import Rehearsal
from headscarp.plan.relations import check_relations
from headscarp.plan.runs import Runs
from headscarp.plan.samples import Samples
from headscarp.plan.selection import Selection
from headscarp.schema import completed, validate
from headscarp.sources.datasets import Dataset, read_datasets
from headscarp.vocabulary import require_known
from headscarp.yaml_files import merge, read_yaml

AREAS = "areas"  # the folder of a user's cards, beside config.yaml


@dataclass(frozen=True, kw_only=True)
class Plan(Selection):
    """Everything that rules ask."""

    device: str
    jobs_per_gpu: int
    threads: int
    gpu_cube_mib: int
    compile: bool
    mirror: str | None
    data: str | None
    stac: str
    offline: bool
    datasets: dict[str, Dataset]

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that tell jobs where to run and where to fetch."""
        return {
            "HEADSCARP_DEVICE": self.device,
            "HEADSCARP_JOBS_PER_GPU": str(self.jobs_per_gpu),
            "HEADSCARP_GPU_CUBE_MIB": str(self.gpu_cube_mib),
            "HEADSCARP_COMPILE": "1" if self.compile else "",
            "HEADSCARP_MIRROR": self.mirror or "",
            "HEADSCARP_STAC": self.stac,
            "HEADSCARP_OFFLINE": "1" if self.offline else "",
        }

    @cached_property
    def origins(self) -> Origins:
        return Origins(self.sites, self.datasets, self.data)

    @cached_property
    def samples(self) -> Samples:
        return Samples(self)

    @cached_property
    def runs(self) -> Runs:
        return Runs(self, self.samples)

    @cached_property
    def maps(self) -> Maps:
        return Maps(self, self.samples)

    @cached_property
    def exhibits(self) -> Exhibits:
        return Exhibits(self, self.samples)

    @cached_property
    def rehearsal(self) -> Rehearsal:
        return Rehearsal(self, self.samples, self.runs, self.exhibits, self.maps)

    @cached_property
    def forecasts(self) -> Forecasts:
        return Forecasts(self.scale)

    @cached_property
    def claims(self) -> Claims:
        return Claims(self)

    @cached_property
    def audit(self) -> Audit:
        return Audit(self, self.samples)

    @cached_property
    def gallery(self) -> Gallery:
        return Gallery(self, self.maps, self.claims, self.audit)

    @cached_property
    def provenance(self) -> Provenance:
        return Provenance(self, self.maps, self.claims, self.audit)

    def targets(self, card: str) -> list[str]:
        """All files that a card delivers: exhibits, and landslide polygons of the experiments it names with
        the pages of their sites."""
        exhibits = [file for exhibit in self.cards[card].exhibits.values() for file in exhibit.files]
        return [*exhibits, *self.maps.targets(card)]

    @property
    def all_targets(self) -> list[str]:
        """All files that the selected cards deliver at the chosen scale; the claims' verdicts where all of
        them deliver all."""
        cards = [file for card in self.selected for file in self.delivered(card)]
        whole = all(self.cards[card].deliver is None for card in self.selected)
        return [*cards, *(self.claims.targets if whole else []), *self.audit.targets]

    def delivered(self, card: str) -> list[str]:
        """The files that plain `snakemake` makes of a card: all, unless the scale names some."""
        chosen = self.cards[card]
        if chosen.deliver is None:
            return self.targets(card)
        exhibits = [chosen.exhibits[name] for name in chosen.deliver if name != MAPS]
        maps = self.maps.targets(card) if MAPS in chosen.deliver else []
        return [*(file for exhibit in exhibits for file in exhibit.files), *maps]


def load_plan(config: dict[str, Any], root: str | Path) -> Plan:
    """Check config.yaml and the cards below `root`, resolve them at the chosen scale, and see which cards'
    data can be had.

    Raises:
        HeadscarpError: an unknown or duplicate name, an unknown key, a wrong value; the message names the
        place and the remedy.
    """
    workflow = Path(root) / "workflow"
    config = check_config(config)
    cards = load_cards(config, workflow)
    mirror = config["mirror"] or os.environ.get("HEADSCARP_MIRROR")
    data = data_folder(config["data"])
    offline = config["offline"] or bool(os.environ.get("HEADSCARP_OFFLINE"))
    skipped = {
        name: reason
        for name in config["cards"]
        if (reason := why_unreachable(cards[name], cards, mirror, data, offline))
    }
    plan = Plan(
        cards=cards,
        selected=tuple(name for name in config["cards"] if name not in skipped),
        skipped=skipped,
        scale=config["scale"],
        device=config["device"],
        jobs_per_gpu=config["jobs_per_gpu"],
        threads=config["threads"],
        gpu_cube_mib=config["gpu_cube_mib"],
        compile=config["compile"],
        mirror=mirror,
        data=data,
        stac=config["stac"],
        offline=offline,
        datasets=read_datasets(workflow / "datasets.yaml"),
    )
    if offline:
        refuse_missing(plan, plan.origins, mirror)
    return plan


def data_folder(given: str | None, folder: str | Path = ".") -> str | None:
    """The folder of data sets that cannot be downloaded: `data` of config.yaml, else of the environment; one
    path however it is spelt or linked, so that files below it stay the same inputs.

    Args:
        folder: the working folder, that of config.yaml.
    """
    data = given or os.environ.get("HEADSCARP_DATA")
    return data and os.path.realpath(Path(folder) / Path(data).expanduser())


def check_config(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration, checked and with its defaults."""
    if Path("config.yaml").exists():
        read_yaml(Path("config.yaml"))  # Snakemake reads it too, but lets a duplicate key win silently
    for key in ("offline", "compile"):
        if config.get(key) in ("true", "false"):  # `--config offline=true` hands text on
            config = config | {key: config[key] == "true"}
    # and a list as one of texts
    if isinstance(config.get("seeds"), list) and all(str(seed).isdigit() for seed in config["seeds"]):
        config = config | {"seeds": [int(seed) for seed in config["seeds"]]}
    config = completed("config", config, "config.yaml")
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", config["device"]):
        raise HeadscarpError(
            f"config.yaml: device '{config['device']}' does not exist; use auto, cpu, cuda or, for the "
            f"second GPU, cuda:1"
        )
    return config


def load_cards(config: dict[str, Any], workflow: Path) -> dict[str, Card]:
    """All cards, with the overlay of a configuration, resolved at its scale and held against each other."""
    records = read_cards([workflow / "cards", Path(AREAS)])
    for name, change in config["overlay"].items():
        require_known(name, records, "config.yaml, overlay: card")
        validate("card", change or {}, f"config.yaml, overlay, {name}", partial=True)
        records[name] = merge(records[name], change or {})
        validate("card", records[name], f"card {name} with its overlay")
    networks = known_networks(workflow / "scripts" / "headscarp" / "networks")
    cards = {
        name: resolve_card(record, config, workflow, networks, records) for name, record in records.items()
    }
    sites = {name: site for card in cards.values() for name, site in card.sites.items()}
    for name, card in cards.items():
        check_relations(records[name], card, config["scale"], sites)
        check_grounds(card, sites, f"card {name}")
    refuse_shared_sites(cards)
    for name in config["cards"]:
        require_known(name, cards, "config.yaml, cards: card")
    refuse_shared_experiments(cards)
    check_claims(cards)
    check_audits(cards, config["cards"])
    return cards
