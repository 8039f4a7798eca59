"""What the rules ask of the claims of papers: the runs that test them, and the record of the verdicts."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from headscarp.exhibits.kinds import SCORES
from headscarp.plan.checks import of_classes
from headscarp.plan.model import Run
from headscarp.plan.paths import CLAIM_FIGURES, CLAIM_TABLES, below
from headscarp.plan.selection import Selection
from headscarp.plan.shown import Claim, ClaimTest
from headscarp.scoring.claims import DECIDED, EQUAL, FEWEST_SEEDS, printed_effect

TITLE = "The claims of the papers, tested"
CAPTION = (
    "Each line tests a claim as the difference of a score between two runs on the same blocks and seeds, "
    "with a 95 % interval of both kinds of chance: supported where the interval lies above the size that the "
    "claim states (0 where it states none), contradicted where it lies below, no difference where it lies "
    f"within {EQUAL:g} of 0, else inconclusive; inconclusive too from fewer than {FEWEST_SEEDS} seeds. What "
    "a simulated site was built to show is no finding: such a test gets no verdict there but is called "
    f"{DECIDED}. All runs are of scale {{scale}}; networks that learned for longer may differ otherwise."
)


@dataclass(frozen=True)
class Claims:
    """The claims of the selected cards."""

    plan: Selection

    @property
    def tests(self) -> list[tuple[Claim, ClaimTest]]:
        """The claims, each with those of its tests that selected cards run, in order."""
        return [(claim, test) for claim, test in self._all_tests() if test.card in self.plan.selected]

    @property
    def tables(self) -> list[str]:
        """Files with the verdicts, if any claim is tested."""
        return list(CLAIM_TABLES) if self.tests else []

    @property
    def figures(self) -> list[str]:
        """Files of the forest plot, if any claim is tested."""
        return list(CLAIM_FIGURES) if self.tests else []

    @property
    def targets(self) -> list[str]:
        return [*self.tables, *self.figures]

    @property
    def inputs(self) -> list[str]:
        """The files of scores that the claims are judged from."""
        files = []
        for _, test in self.tests:
            for sides in self.runs(test).values():
                for folder in (*sides[0], *sides[1]):
                    files += below(folder, SCORES)
        return list(dict.fromkeys(files))

    def runs(self, test: ClaimTest) -> dict[str, list[list[str]]]:
        """Folders of the scores that a test compares: {protocol: [those of the first row by seed, those of
        the second]}."""
        card, place = self.plan.cards[test.card], test.target or test.site

        def folders(row: str, protocol: str) -> list[str]:
            runs = [
                Run(card=test.card, site=test.site, experiment=row, protocol=protocol, seed=seed)
                for seed in card.seeds
            ]
            return [run.folder_of(place) for run in runs]

        return {
            protocol: [folders(test.first, protocol), folders(test.second, protocol)]
            for protocol in card.protocols
            if protocol in (test.protocols or card.protocols)
        }

    @property
    def record(self) -> dict[str, Any]:
        """All that `exhibits.claims` takes."""
        tests = self.tests
        return {
            "title": TITLE,
            "caption": CAPTION.format(scale=self.plan.scale),
            "cards": {claim.card: self.plan.cards[claim.card].title for claim, _ in tests},
            "tests": [self._test_record(claim, test) for claim, test in tests],
            "left_out": self._left_out(),
        }

    def _all_tests(self) -> Iterator[tuple[Claim, ClaimTest]]:
        for name in self.plan.selected:
            for claim in self.plan.cards[name].claims.values():
                for test in claim.tests:
                    yield claim, test

    def _test_record(self, claim: Claim, test: ClaimTest) -> dict[str, Any]:
        card, site = self.plan.cards[test.card], test.target or test.site
        return {
            "card": claim.card,
            "claim": claim.name,
            "text": claim.text,
            "place": claim.place,
            "metric": claim.metric,
            "at_least": claim.at_least,
            "within": claim.within,
            "decided": claim.decided_by_simulation if self.plan.sites[site].data == "twin" else "",
            "site": site,
            "trained_on": test.site,
            "data": self.plan.sites[site].data,
            "first": test.first,
            "second": test.second,
            "labels": [card.experiments[row].label for row in (test.first, test.second)],
            "runs": self.runs(test),
            "of_classes": of_classes(card, test),
            "published_effect": self._printed_effect(claim, test),
            "note": test.note,
        }

    def _printed_effect(self, claim: Claim, test: ClaimTest) -> float | None:
        if test.published is None:
            return None
        table = self.plan.cards[claim.card].published[test.published["table"]]
        return printed_effect(
            table,
            test.published["rows"],
            test.published["metric"],
            f"card {claim.card}, claim {claim.name}, published",
        )

    def _left_out(self) -> list[str]:
        """A sentence for each card whose claims, or whose runs for the claims of others, are left out."""
        why = {
            name: "is skipped: its data are not at hand" if name in self.plan.skipped else "is not selected"
            for name in self.plan.cards
        }
        lines = [
            f"Claims of {name} are not tested: the card {why[name]}."
            for name, card in self.plan.cards.items()
            if card.claims and name not in self.plan.selected
        ]
        missing: dict[str, list[str]] = {}
        for claim, test in self._all_tests():
            if test.card not in self.plan.selected:
                missing.setdefault(test.card, []).append(f"{claim.card}: {claim.name}")
        return lines + [
            f"Tests on runs of {card} are left out ({', '.join(dict.fromkeys(claims))}): the card "
            f"{why[card]}."
            for card, claims in missing.items()
        ]
