"""Relations that a schema cannot tell: names in cards exist, no two cards make the same file, and claims
name runs that their sites can have."""

from headscarp.codes import BLOCKED
from headscarp.errors import HeadscarpError
from headscarp.exhibits.kinds import AUDIT, KINDS
from headscarp.plan.model import (
    CELLS,
    MAPPED,
    NEIGHBOURHOODS,
    SEEDS,
    SYMMETRIES,
    WINDOWS,
    Card,
    Experiment,
)
from headscarp.plan.read_shown import rows_of_pair
from headscarp.plan.shown import Claim, ClaimTest, Exhibit
from headscarp.scoring import metric_names
from headscarp.scoring.claims import printed_effect
from headscarp.scoring.metric_names import CONFUSION_METRICS, RANKING
from headscarp.vocabulary import require_known

# Metrics that a claim may be about, of runs that map landslides and of runs of several classes: more of each
# is better.
PIXEL_METRICS = (*CONFUSION_METRICS, *RANKING)
# By which methods the files are made that exhibits read of runs; others are made by all.
MAKERS = (
    dict.fromkeys(("probability.tif", "classes.tif"), MAPPED)
    | dict.fromkeys(("susceptibility.tif", "predictions.npz"), (NEIGHBOURHOODS, CELLS))
    | {"history.csv": (WINDOWS, NEIGHBOURHOODS), "gradcam.npz": (WINDOWS,)}
)
# Exhibits that compare all their rows seed by seed.
SEED_BY_SEED = ("pairwise", "ranks")
FLAT_METRICS = tuple(metric for metric in metric_names.FLAT_METRICS if metric not in ("oe", "ce"))


def check_card(card: Card) -> None:
    """Raise a `HeadscarpError` where a card names a site, an experiment or a search that it has not."""
    place = f"card {card.name}"
    for key, experiment in card.experiments.items():
        if experiment.tuned_by:
            require_known(experiment.tuned_by, card.searches, f"{place}, experiment {key}: search")
    for key, one in card.cells.items():
        require_known(key, card.sites, f"{place}, cells: site")
        if "inventory" in one and not card.inventory:
            raise HeadscarpError(
                f"{place}, cells, {key}: labels from an inventory need the card's `inventory` section; add it"
            )
    applied = [(card.inventory, "inventory")] if card.inventory else []
    for one, section in [*applied, *((one, "apply") for one in card.apply)]:
        require_known(one["experiment"], card.experiments, f"{place}, {section}: experiment")
        for key in ("site", "target"):
            require_known(one[key], card.sites, f"{place}, {section}: {key}")
    for key in card.polygons:
        require_known(key, card.experiments, f"{place}, polygons: experiment")
    check_best_map(card, f"{place}, best_map, among")
    for key in card.susceptibility:
        require_known(key, card.experiments, f"{place}, susceptibility: experiment")
        if not card.experiments[key].reads_cells:
            raise HeadscarpError(
                f"{place}, susceptibility: '{key}' maps landslides pixel by pixel; name it under "
                "`polygons`, and here models of cells such as gbdt_lr"
            )
    check_starts(card)
    for experiment in card.experiments.values():
        check_average(card, experiment, f"{place}, experiment {experiment.name}, average")
    for one in card.change.get("dates", []):
        require_known(one["site"], card.sites, f"{place}, change, dates: site")
    for exhibit in card.exhibits.values():
        check_exhibit(card, exhibit)


def check_best_map(card: Card, place: str) -> None:
    """What the best map is chosen among is there, maps pixel by pixel, and is tested on ground of its own."""
    for key in card.best_map.get("among", []):
        require_known(key, card.experiments, f"{place}: experiment")
        one = card.experiments[key]
        if one.reads_cells or one.method == SEEDS:
            what = "models cells of susceptibility" if one.reads_cells else "is itself a mean over seeds"
            raise HeadscarpError(f"{place}: {key} {what}; name experiments that map landslides by pixel")
    if card.best_map and BLOCKED not in card.protocols:
        raise HeadscarpError(
            f"{place}: a map is chosen on validation ground of its own, which protocol {BLOCKED} keeps; add "
            "it to `protocols` of the card and of config.yaml, or leave `best_map` out"
        )


def check_starts(card: Card) -> None:
    """The runs that experiments start from exist."""
    for key, experiment in card.experiments.items():
        place = f"card {card.name}, experiment {key}"
        if experiment.start:
            require_known(experiment.start["site"], card.sites, f"{place}, start: site")
            require_known(experiment.start["experiment"], card.experiments, f"{place}, start: experiment")
        elif experiment.statistics == "start":
            raise HeadscarpError(
                f"{place}: statistics of a start need one; name it as `start: {{site, experiment}}`"
            )


def check_average(card: Card, experiment: Experiment, place: str) -> None:
    """Raise a `HeadscarpError` where what an experiment averages has not got what is averaged."""
    if not experiment.average:
        return
    averaged = card.experiments[experiment.average["of"]]
    if averaged.reads_cells or (experiment.method == SYMMETRIES and averaged.method != WINDOWS):
        what = "on cells" if averaged.reads_cells else "a pixel-wise forest, to which all symmetries are one"
        raise HeadscarpError(
            f"{place}: {averaged.name} is {what}; name an experiment that maps windows with a network"
        )
    if experiment.method == SEEDS and averaged.classes > 1:
        raise HeadscarpError(
            f"{place}: maps of several classes keep the likeliest class alone, of which there is no mean; "
            "average over symmetries, or use a card of landslides alone"
        )


def check_exhibit(card: Card, exhibit: Exhibit) -> None:
    """Raise a `HeadscarpError` where an exhibit is of an unknown kind, or names what the card has not."""
    place = f"card {card.name}, exhibit {exhibit.name}"
    require_known(exhibit.kind, KINDS, f"{place}: kind")
    for site in exhibit.sites:
        require_known(site, card.sites, f"{place}: site")
    for row in exhibit.rows:
        require_known(row, card.experiments, f"{place}: experiment")
        check_made(exhibit, card.experiments[row], place)
    check_compared(card, exhibit, place)
    for search in exhibit.searches:
        require_known(search, card.searches, f"{place}: search")
    if exhibit.kind == AUDIT and not card.audit:
        raise HeadscarpError(f"{place}: it shows the checks of the card's `audit` section; add one")
    if exhibit.target is not None:
        require_known(exhibit.target, card.sites, f"{place}: target")
    elif exhibit.reads.at_target or exhibit.options.get("elsewhere"):
        raise HeadscarpError(
            f"{place}: {exhibit.kind} shows what runs made of another site; name that site as `target`"
        )


def check_made(exhibit: Exhibit, row: Experiment, place: str) -> None:
    """Refuse a row whose runs do not make what an exhibit reads of them."""
    kind = exhibit.reads
    for file in (*kind.runs, *kind.at_target, *kind.at_other_sites):
        if row.method not in MAKERS.get(file, (row.method,)):
            what = f"an average over {row.method}" if row.average else row.network
            raise HeadscarpError(
                f"{place}: {exhibit.kind} reads {file} of each run, which '{row.name}' ({what}) does not "
                "make; leave that row out"
            )


def check_compared(card: Card, exhibit: Exhibit, place: str) -> None:
    """Refuse a mean over seeds where rows are compared seed by seed."""
    compared = list(exhibit.rows) if exhibit.kind in SEED_BY_SEED else []
    compared += [row for pair in exhibit.options.get("pairs", []) for row in rows_of_pair(pair)]
    for row in compared:
        refuse_mean_of_seeds(card, row, place)


def refuse_mean_of_seeds(card: Card, row: str, place: str) -> None:
    if row in card.experiments and card.experiments[row].method == SEEDS:
        raise HeadscarpError(
            f"{place}: '{row}' is one run, the mean of all seeds, and cannot be compared seed by seed; show "
            "it in a table of scores, and leave it out here"
        )


def require_exhibit(card: Card, name: str) -> Exhibit:
    return card.exhibits[require_known(name, card.exhibits, f"card {card.name}: exhibit")]


def refuse_shared_sites(cards: dict[str, Card]) -> None:
    """Two cards may not define a site of the same name: their files would overwrite each other."""
    owner: dict[str, str] = {}
    for card in cards.values():
        for site in (name for name, site in card.sites.items() if site.card == card.name):
            if site in owner:
                raise HeadscarpError(
                    f"site '{site}' is defined by the cards {owner[site]} and {card.name}; rename one "
                    f"or borrow it: {{of: {owner[site]}}}"
                )
            owner[site] = card.name


def refuse_shared_experiments(cards: dict[str, Card]) -> None:
    """Experiments of one name must be run by one method, or two rules would make the same file."""
    method: dict[str, tuple[str, str]] = {}
    for card in cards.values():
        for name, experiment in card.experiments.items():
            known, owner = method.setdefault(name, (experiment.method, card.name))
            if known != experiment.method:
                raise HeadscarpError(
                    f"experiment '{name}' is a model of {known} in card {owner} and of "
                    f"{experiment.method} in {card.name}; rename one"
                )


def of_classes(card: Card, test: ClaimTest) -> bool:
    """Whether the runs of a test tell several classes apart."""
    return card.experiments[test.first].classes > 1


def check_claims(cards: dict[str, Card]) -> None:
    """Every name in every claim must exist, in the card that makes the claim or in the one whose runs test
    it."""
    for card in cards.values():
        for claim in card.claims.values():
            for test in claim.tests:
                check_claim(claim, test, cards)


def check_claim(claim: Claim, test: ClaimTest, cards: dict[str, Card]) -> None:
    """Raise a `HeadscarpError` where a test of a claim names what does not exist, or runs that its site
    cannot have."""
    place = f"card {claim.card}, claim {claim.name}"
    card = cards[require_known(test.card, cards, f"{place}: card")]
    for site in filter(None, (test.site, test.target)):
        require_known(site, card.sites, f"{place}: site of card {card.name}")
    for row in (test.first, test.second):
        require_known(row, card.experiments, f"{place}: experiment of card {card.name}")
        refuse_mean_of_seeds(card, row, place)
        if card.experiments[row].reads_cells != (test.site in card.cells):
            kind = "cells" if test.site in card.cells else "windows of pixels"
            raise HeadscarpError(
                f"{place}: site '{test.site}' is sampled as {kind}, on which '{row}' does not run; name "
                f"another site or row"
            )
    metrics = FLAT_METRICS if of_classes(card, test) else PIXEL_METRICS
    require_known(claim.metric, metrics, f"{place}: metric")
    if test.published:
        published = cards[claim.card].published
        table = published[require_known(test.published["table"], published, f"{place}, published: table")]
        printed_effect(table, test.published["rows"], test.published["metric"], f"{place}, published")
