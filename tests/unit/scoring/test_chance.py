"""Chance of blocks and seeds: of two equal networks few are told apart, at any share of either chance, and
unequal ones are."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from headscarp.scoring.bootstrap import paired_difference
from headscarp.scoring.chance import estimate
from headscarp.scoring.claims import CONTRADICTED, EQUIVALENT, INCONCLUSIVE, SUPPORTED, judge
from headscarp.scoring.pairs import CellOutcomes, pair_p_values

BLOCKS = 20
# Standard deviations of skill (logits): between trainings, between blocks, of trainings within a block.
SETTINGS = {"training": (0.5, 0.3, 0.1), "ground": (0.05, 0.6, 0.5), "both": (0.3, 0.6, 0.3)}


def trained(rng, seeds, of_seed, of_block, of_both, more=0.0):
    """Two networks of equal skill (the second better by `more`), each trained with several seeds, on the same
    blocks."""
    positive, negative = rng.integers(20, 200, BLOCKS), rng.integers(2000, 4000, BLOCKS)
    ground = rng.normal(0, of_block, BLOCKS)

    def run(skill):
        logit = 0.5 + skill + rng.normal(0, of_seed) + ground + rng.normal(0, of_both, BLOCKS)
        tp = rng.binomial(positive, 1 / (1 + np.exp(-logit)))
        fp = rng.binomial(negative, 0.03 / (1 + np.exp(logit)))
        return CellOutcomes(tp, fp, positive - tp)

    return [run(0.0) for _ in range(seeds)], [run(more) for _ in range(seeds)]


def trained_on_folds(rng, seeds, of_seed, of_block, of_both, more=0.0):
    """The same, but each seed tests blocks of its own: the folds rotate."""
    pairs = [trained(rng, 1, of_seed, of_block, of_both, more) for _ in range(seeds)]
    return tuple([replace(pair[of][0], fold=fold) for fold, pair in enumerate(pairs)] for of in (0, 1))


def verdicts(seeds, setting, more=0.0, studies=300, trained=trained):
    """The verdicts on the claim that the second network is better, of many studies."""
    rng = np.random.default_rng(seeds)
    found = []
    for study in range(studies):
        first, second = trained(rng, seeds, *SETTINGS[setting], more)
        interval = paired_difference(second, first, study, draws=300)["f1"].interval
        found.append(judge(*interval, seeds))
    return found


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("trained", [trained, trained_on_folds])
def test_of_equal_networks_at_most_seven_percent_are_told_apart(seeds, setting, trained):
    found = verdicts(seeds, setting, trained=trained)
    assert np.mean([one in (SUPPORTED, CONTRADICTED) for one in found]) <= 0.07


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_or_two_seeds_tell_nothing(seeds):
    assert set(verdicts(seeds, "both", studies=20)) == {INCONCLUSIVE}
    assert set(verdicts(seeds, "both", more=3.0, studies=20)) == {INCONCLUSIVE}


def test_a_better_network_is_found():
    assert np.mean([one == SUPPORTED for one in verdicts(5, "ground", more=1.0, studies=60)]) > 0.9
    assert np.mean([one == CONTRADICTED for one in verdicts(5, "ground", more=-1.0, studies=60)]) > 0.9
    on_folds = verdicts(3, "ground", more=1.0, studies=60, trained=trained_on_folds)
    assert np.mean([one == SUPPORTED for one in on_folds]) > 0.9


def test_seeds_alone_give_the_interval_of_student():
    points = np.array([0.1, 0.16, 0.13, 0.2])
    found = estimate(points, np.full(1000, points.mean()), blocks=50)
    expected = stats.t.interval(0.95, 3, points.mean(), stats.sem(points))
    np.testing.assert_allclose(found.interval, expected)
    assert found.p_value == pytest.approx(stats.ttest_1samp(points, 0).pvalue)


def test_blocks_alone_give_the_interval_of_their_mean():
    rng = np.random.default_rng(0)
    scores = rng.normal(0.3, 0.1, 25)
    weights = rng.multinomial(25, np.full(25, 1 / 25), size=200_000) / 25
    found = estimate(np.full(3, scores.mean()), weights @ scores, blocks=25)
    expected = stats.t.interval(0.95, 24, scores.mean(), stats.sem(scores))
    np.testing.assert_allclose(found.interval, expected, rtol=0.01)


def test_what_cannot_be_estimated_has_no_interval():
    assert estimate([0.1, 0.2, 0.3], np.array([0.2, 0.2]), blocks=1).interval is None
    assert estimate([0.1, 0.2, 0.3], np.array([0.2, np.nan, np.nan]), blocks=9).interval is None
    same = estimate([0.0, 0.0, 0.0], np.zeros(10), blocks=9)
    assert same.interval == [0, 0] and same.p_value == 1
    assert pair_p_values({("a", "b"): estimate([0.1, 0.2], np.array([0.1, 0.2]), 9)})["a", "b"] == (
        None,
        None,
    )


@pytest.mark.parametrize(
    ("interval", "size", "within", "expected"),
    [
        ((0.02, 0.06), 0.0, None, SUPPORTED),
        ((0.02, 0.06), 0.03, None, INCONCLUSIVE),
        ((0.04, 0.06), 0.03, None, SUPPORTED),
        ((0.005, 0.02), 0.03, None, CONTRADICTED),
        ((-0.004, 0.008), 0.0, None, EQUIVALENT),
        ((-0.004, 0.008), 0.03, None, CONTRADICTED),
        ((-0.02, 0.03), 0.0, None, INCONCLUSIVE),
        ((-0.06, -0.02), 0.0, None, CONTRADICTED),
        ((-0.02, 0.03), 0.0, 0.05, SUPPORTED),
        ((-0.02, 0.07), 0.0, 0.05, INCONCLUSIVE),
        ((0.06, 0.07), 0.0, 0.05, CONTRADICTED),
        ((None, None), 0.0, None, INCONCLUSIVE),
    ],
)
def test_verdicts_know_the_size_that_is_claimed(interval, size, within, expected):
    assert judge(*interval, 3, size, within) == expected
