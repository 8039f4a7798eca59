"""What the rules ask of exhibits: the files that they read, and the record that their scripts get."""

from dataclasses import dataclass
from typing import Any

from headscarp.exhibits.kinds import AUDIT
from headscarp.plan.checks import require_exhibit
from headscarp.plan.model import Card, Run, Site
from headscarp.plan.paths import CUBE_FILES, below
from headscarp.plan.samples import Samples
from headscarp.plan.selection import Selection
from headscarp.plan.shown import Exhibit


@dataclass(frozen=True)
class Exhibits:
    """The tables and figures of all cards."""

    plan: Selection
    samples: Samples

    def names(self, tables: bool) -> list[str]:
        """Names of all tables or figures of all cards."""
        exhibits = [one for card in self.plan.cards.values() for one in card.exhibits.values()]
        return sorted({one.name for one in exhibits if one.is_table == tables})

    def find(self, card: str, name: str) -> Exhibit:
        return require_exhibit(self.plan.cards[card], name)

    def targets(self, tables: bool) -> list[str]:
        """Files of all tables or all figures of the selected cards."""
        exhibits = [one for card in self.plan.selected for one in self.plan.cards[card].exhibits.values()]
        return [file for one in exhibits if one.is_table == tables for file in one.files]

    def runs(self, exhibit: Exhibit) -> list[Run]:
        """The runs an exhibit is drawn from, in the order of its rows."""
        if not exhibit.reads.reads_runs:
            return []
        card = self.plan.cards[exhibit.card]
        first = exhibit.seeds == "first"
        return [
            Run(card=exhibit.card, site=site, experiment=row, protocol=protocol, seed=seed)
            for site in exhibit.sites
            for row in exhibit.rows
            for protocol in exhibit.protocols
            if card.is_tested(site, protocol)
            for seed in (card.seeds[:1] if first else card.seeds_of(row))
        ]

    def of_run(self, exhibit: Exhibit, run: Run) -> list[str]:
        """The files of one of its runs that an exhibit reads."""
        kind, place = exhibit.reads, place_shown(exhibit)
        others = [site for site in exhibit.sites if site != run.site]
        return [
            *(run.file(name, place) for name in kind.runs),
            *(run.file(name, exhibit.target) for name in kind.at_target),
            *(run.file(name, site) for site in others for name in kind.at_other_sites),
        ]

    def inputs(self, exhibit: Exhibit) -> list[str]:
        """The files an exhibit reads."""
        kind, place = exhibit.reads, place_shown(exhibit)
        files = [file for run in self.runs(exhibit) for file in self.of_run(exhibit, run)]
        files += [path for one in self._searches(exhibit) for path in below(one["folder"], kind.searches)]
        asked = [parts for option, parts in kind.sites_if.items() if exhibit.options.get(option)]
        # Of runs shown elsewhere: where they were trained, and what the other place looks like.
        own, there = (kind.sites, kind.target) if not place else split_parts(kind.sites)
        for name in exhibit.sites:
            files += self._site_files(exhibit, name, sum(asked, start=own))
        if exhibit.target:
            files += self._site_files(exhibit, exhibit.target, there)
        return list(dict.fromkeys(files))

    def record(self, exhibit: Exhibit) -> dict[str, Any]:
        """All that `exhibits.spec.ExhibitSpec.from_record` takes."""
        card = self.plan.cards[exhibit.card]
        return {
            "card": exhibit.card,
            "name": exhibit.name,
            "kind": exhibit.kind,
            "title": exhibit.title,
            "caption": exhibit.caption,
            "sites": [self._site_record(exhibit, name) for name in exhibit.sites],
            "runs": [self._run_record(card, run, place_shown(exhibit)) for run in self.runs(exhibit)],
            "options": exhibit.options,
            "published": self._published(exhibit),
            "searches": self._searches(exhibit),
            "target": self._site_record(exhibit, exhibit.target) if exhibit.target else None,
            "experiments": {row: described(card, row, exhibit.sites[0]) for row in exhibit.rows},
            "checks": card.audit["checks"] if exhibit.kind == AUDIT else [],
        }

    def _site_files(self, exhibit: Exhibit, name: str, parts: tuple[str, ...]) -> list[str]:
        site, files = self.plan.sites[name], []
        if "raw" in parts:
            files += site.raw_files
        if "layers" in parts and not site.scenes:  # a collage has none; those of its scenes stand for them
            files.append(f"{site.folder}/layers")
        if "cube" in parts:
            files += below(f"{site.folder}/cube", CUBE_FILES)
        joined = any(name in self.plan.sites[other].scenes for other in exhibit.sites)
        if "samples" in parts and not joined:
            for protocol in self._samples(exhibit, site):
                files += self.samples.of_run(exhibit.card, name, protocol, self._first_seed(exhibit))
        return files

    def _site_record(self, exhibit: Exhibit, name: str) -> dict[str, Any]:
        site = self.plan.sites[name]
        return {
            "name": name,
            "title": site.title,
            "folder": site.folder,
            "raw": site.raw_folder,
            "data": site.data,
            "event": site.event,
            "image": site.image,
            "placeless": site.placeless,
            "samples": self._samples(exhibit, site),
        }

    def _first_seed(self, exhibit: Exhibit) -> int:
        """The seed whose fold of the ground maps and samples show."""
        return self.plan.cards[exhibit.card].seeds[0]

    def _samples(self, exhibit: Exhibit, site: Site) -> dict[str, str]:
        """Folders of the samples of a site by protocol."""
        card = self.plan.cards[exhibit.card]
        return {
            protocol: self.samples.folder(card.name, site.name, protocol, self._first_seed(exhibit))
            for protocol in exhibit.protocols
            if card.is_tested(site.name, protocol)
        }

    def _run_record(self, card: Card, run: Run, place: str | None) -> dict[str, Any]:
        return {
            "row": run.experiment,
            "label": card.experiments[run.experiment].label,
            "experiment": run.experiment,
            "protocol": run.protocol,
            "seed": run.seed,
            "folder": run.folder,
            "maps": run.folder_of(place) if place else run.home,
        }

    def _searches(self, exhibit: Exhibit) -> list[dict[str, Any]]:
        searches = [self.plan.cards[exhibit.card].searches[name] for name in exhibit.searches]
        return [
            {"name": search.name, "label": search.label, "protocol": protocol, "sampler": sampler}
            | {
                "folder": search.folder(
                    protocol, self.samples.first_fold(exhibit.card, search.site, protocol), sampler
                )
            }
            for search in searches
            for protocol in exhibit.protocols
            if self.plan.cards[exhibit.card].is_tested(search.site, protocol)
            for sampler in search.samplers
        ]

    def _published(self, exhibit: Exhibit) -> list[dict[str, Any]]:
        """Published values of an exhibit, or of the table that its options name; those of all tables, each
        with its table, for an audit."""
        published = self.plan.cards[exhibit.card].published
        if exhibit.kind == AUDIT:
            return [record | {"table": table} for table, records in published.items() for record in records]
        return published.get(exhibit.options.get("published", exhibit.name), [])


def place_shown(exhibit: Exhibit) -> str | None:
    """The target site, where an exhibit shows what runs made of it in place of their own sites."""
    return exhibit.target if exhibit.options.get("elsewhere") else None


def split_parts(parts: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Parts of sites that an exhibit reads of the site that its runs were trained on, and of the place that
    they are shown at."""
    return tuple(part for part in parts if part == "samples"), tuple(
        part for part in parts if part != "samples"
    )


def described(card: Card, experiment: str, site: str) -> dict[str, Any]:
    """An experiment as tables of architectures and costs describe it."""
    spec = card.experiments[experiment]
    return {
        "network": spec.network,
        "width": card.width,
        "params": spec.params,
        "channels": list(spec.channels_at(site)),
        "dates": spec.dates,
    }
