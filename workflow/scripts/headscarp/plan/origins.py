"""Where the files of areas and sets of patches come from: what is fetched, downloaded or taken over, and
what is missing without a network."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from headscarp.errors import HeadscarpError
from headscarp.plan.model import Site
from headscarp.plan.paths import DOWNLOADS, SITES
from headscarp.plan.read_sites import ORIGINS, OUTLINE
from headscarp.sources.archive import read_table
from headscarp.sources.datasets import Dataset, find_file, wanted_files
from headscarp.sources.downloads import RemoteFile, describe_missing, missing_files
from headscarp.sources.given import paths_of, state_of
from headscarp.vocabulary import require_known


@dataclass(frozen=True)
class AreaFile:
    """One raw file of an area, or an archive of a set of patches: `spec` says where it comes from, by one key
    of `read_sites.ORIGINS`."""

    site: Site
    name: str
    spec: dict[str, Any]

    @property
    def kind(self) -> str:
        return next(key for key in ORIGINS if key in self.spec)

    @property
    def path(self) -> str:
        return f"{self.site.raw_folder}/{self.name}"

    @property
    def is_made(self) -> bool:
        """Whether it is there, or what was unpacked from it."""
        return Path(self.site.raw_folder if self.site.patch_set else self.path).exists()


@dataclass(frozen=True)
class Origins:
    """The raw files of all areas and sets of patches, the registered data sets that they may be parts of, and
    the folder of `data` sets that cannot be downloaded."""

    sites: Mapping[str, Site]
    datasets: Mapping[str, Dataset]
    data: str | None

    @cached_property
    def files(self) -> dict[str, AreaFile]:
        """Files by their path below results/sites."""
        found = [
            AreaFile(site, name, spec)
            for site in self.sites.values()
            if site.raw == site.name
            for name, spec in site.origins.items()
        ]
        return {file.path.removeprefix(f"{SITES}/"): file for file in found}

    def of_kind(self, *kinds: str) -> list[str]:
        """Files of areas that come from such places."""
        return [raw for raw, file in self.files.items() if file.kind in kinds and not file.site.patch_set]

    @cached_property
    def downloads(self) -> dict[str, dict[str, Any]]:
        """What is needed of data sets and addresses, by path below results/downloads: {dataset, file} or
        {url, sha256 or None}."""
        return {key: record for file in self.files.values() for key, record in self.downloaded(file).items()}

    def downloaded(self, file: AreaFile) -> dict[str, dict[str, Any]]:
        """The download that a file is cut from, or nothing."""
        if file.kind == "url":
            key = re.sub(r"[^A-Za-z0-9._/-]+", "_", file.spec["url"].split("://", 1)[1])
            return {key: {"url": file.spec["url"], "sha256": file.spec.get("sha256")}}
        if file.kind != "dataset":
            return {}
        place = f"site {file.site.name}, files, {file.name}"
        dataset = self.datasets[require_known(file.spec["dataset"], self.datasets, f"{place}: dataset")]
        asked = file.spec.get("file")
        try:
            name = asked if dataset.record and asked else find_file(dataset, dataset.files, asked).name
        except HeadscarpError as error:
            raise HeadscarpError(f"{place}: {error}") from None
        return {f"{dataset.name}/{name}": {"dataset": dataset.name, "file": name}}

    def imported_from(self, raw: str) -> dict[str, str | list[str]]:
        """What a file is made of: `origin`, the user's files or a download, and (but for the outline itself)
        `outline`."""
        file = self.files[raw]
        return {"origin": self.origin(file)} | (
            {"outline": self.outline(raw)} if file.name != OUTLINE else {}
        )

    def origin(self, file: AreaFile) -> list[str]:
        """The user's files, or the download, that a file is taken from."""
        key = next(iter(self.downloaded(file)), None)
        return [f"{DOWNLOADS}/{key}"] if key else [str(path) for path in paths_of(file.spec, self.data)]

    def state(self, raw: str) -> list[tuple[str, int, int]]:
        """What tells whether a user's files were replaced since they were taken over, by older ones too
        (Snakemake looks for newer ones only); empty for downloads."""
        file = self.files[raw]
        return state_of(paths_of(file.spec)) if file.kind == "path" else []

    def archives(self, site: str) -> dict[str, str]:
        """The archives of a set of patches by name."""
        return {file.name: self.origin(file)[0] for file in self.files.values() if file.site.name == site}

    def outline(self, raw: str) -> str:
        """The outline of the area that a file belongs to."""
        return f"{self.files[raw].site.raw_folder}/{OUTLINE}"

    def missing(self, sites: Sequence[Site], tables: Mapping[str, Path], mirror: str | None) -> str:
        """What sites lack that only a network can give, each with the command that fetches it; empty where
        nothing is missing.

        Args:
            tables: data table of each site whose files a card's `archive` lists.
        """
        wanted, lines, names = [], [], {site.name for site in sites}
        for site in sites:
            if site.name in tables:
                table = read_table(tables[site.name])
                wanted += [
                    (table[name].remote, Path(site.raw_folder) / name) for name in site.files if name in table
                ]
        for file in (file for file in self.files.values() if file.site.name in names and not file.is_made):
            if file.kind == "stac":
                lines.append(f"  HEADSCARP_OFFLINE= snakemake {file.path} --config offline=false --cores 1")
            for key, record in self.downloaded(file).items():
                wanted += self.wanted(key, record)
        absent = missing_files(wanted, mirror)
        text = (
            describe_missing(absent, mirror)
            if absent
            else "offline, and files of catalogues are missing; where there is a network, run here:"
        )
        return "\n".join([text, *lines]) if absent or lines else ""

    def wanted(self, key: str, record: Mapping[str, Any]) -> list[tuple[RemoteFile, Path]]:
        """The remote files behind a download, with their targets."""
        target = Path(DOWNLOADS) / key
        if "url" in record:
            return [(RemoteFile(target.name, record["url"], sha256=record["sha256"]), target)]
        return wanted_files(self.datasets[record["dataset"]], target.parent, [record["file"]])
