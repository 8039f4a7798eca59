"""What the rules ask of runs: their names, their resolved specifications, and what they start from."""

from dataclasses import dataclass, replace
from typing import Any

from headscarp.plan.model import SEEDS, Experiment, Run
from headscarp.plan.read_experiments import dates_read
from headscarp.plan.samples import Samples
from headscarp.plan.selection import Selection


@dataclass(frozen=True)
class Runs:
    """The experiments and searches of all cards."""

    plan: Selection
    samples: Samples

    def names_of_experiments(self, *methods: str) -> list[str]:
        """Experiments of all cards that are run by one of `methods` (by any where none is named)."""
        experiments = [one for card in self.plan.cards.values() for one in card.experiments.values()]
        return sorted({one.name for one in experiments if one.method in methods or not methods})

    def names_of_searches(self) -> list[str]:
        return sorted({name for card in self.plan.cards.values() for name in card.searches})

    def experiment(self, card: str, experiment: str) -> Experiment:
        return self.plan.cards[card].experiments[experiment]

    def record(self, card: str, experiment: str, protocol: str, seed: int, site: str = "") -> dict[str, Any]:
        """The resolved specification of one training; the site matters where its input groups have channels
        of their own."""
        spec = self.experiment(card, experiment)
        network = {"name": spec.network, "width": self.plan.cards[card].width, "params": spec.params}
        return (
            {
                "network": network,
                "channels": list(spec.channels_at(site)),
                "classes": spec.classes,
                "recipe": spec.recipe(protocol),
                "seed": seed,
            }
            | ({"share": spec.share} if spec.share < 1 else {})
            | ({"window": spec.window} if spec.window else {})
            | dates_read(spec.dates)
        )

    def side_of_windows(self, card: str, experiment: str, site: str) -> int:
        """Side in pixels of the windows that an experiment trains on."""
        return self.experiment(card, experiment).window or self.samples.side_of_windows(card, site)

    def search_record(self, card: str, name: str, sampler: str) -> dict[str, Any]:
        """All that a search needs to know."""
        return self.plan.cards[card].searches[name].record | {"sampler": sampler}

    def best_of_search(self, card: str, experiment: str, protocol: str, seed: str) -> list[str]:
        """The file of the search that tunes an experiment, if one does, on the ground that the seed trains
        on."""
        name = self.experiment(card, experiment).tuned_by
        if not name:
            return []
        search = self.plan.cards[card].searches[name]
        return [search.best(protocol, self.samples.fold(card, search.site, protocol, int(seed)))]

    def start(self, card: str, experiment: str, protocol: str, seed: str) -> Run | None:
        """The run of the same protocol and seed whose weights an experiment starts from."""
        start = self.experiment(card, experiment).start
        return Run(card=card, **start, protocol=protocol, seed=int(seed)) if start else None

    def averaged(self, run: Run) -> list[Run]:
        """The runs whose maps a run is the mean of: of its own seed, or of all seeds."""
        card = self.plan.cards[run.card]
        experiment = card.experiments[run.experiment]
        seeds = card.seeds if experiment.method == SEEDS else (run.seed,)
        return [replace(run, experiment=experiment.average["of"], seed=seed) for seed in seeds]

    def statistics(self, card: str, experiment: str, protocol: str, seed: str) -> list[str]:
        """The samples.json whose normalisation an experiment uses in place of that of its own samples, if it
        does."""
        start = self.start(card, experiment, protocol, seed)
        if start is None or self.experiment(card, experiment).statistics == "own":
            return []
        return [f"{self.samples.folder(card, start.site, protocol, int(seed))}/samples.json"]

    def dated_maps(self, run: Run) -> list[str]:
        """Class maps of a run at each date of its card's comparison, each date being a place."""
        return [run.file("classes.tif", one["site"]) for one in self.plan.cards[run.card].change["dates"]]

    def dated_truth(self, card: str) -> list[str]:
        """Files of the true landslides at each date of a card's comparison, where it names them."""
        dates = self.plan.cards[card].change["dates"]
        return [
            f"{self.plan.sites[one['site']].raw_folder}/{one['truth']}" for one in dates if "truth" in one
        ]
