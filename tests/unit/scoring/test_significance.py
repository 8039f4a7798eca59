"""McNemar's tests of two models on the same cells, and the test by blocks, against statsmodels, SciPy and
enumeration; natural breaks."""

from itertools import product

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from headscarp.errors import HeadscarpError
from headscarp.scoring.breaks import natural_breaks
from headscarp.scoring.significance import compare_predictions, sign_flip_p


def predictions(seed=0, n=400, cells_per_block=10, right=0.8, label=None):
    """Cells of one model that is right about a share of them."""
    rng = np.random.default_rng(seed)
    label = np.random.default_rng(99).integers(0, 2, n).astype(np.uint8) if label is None else label
    index = np.arange(len(label))
    return {
        "row": index // 20,
        "col": index % 20,
        "fold": np.zeros(len(label), np.uint8),
        "label": label,
        "block": index // cells_per_block,
        "predicted": np.where(rng.random(len(label)) < right, label, 1 - label).astype(np.uint8),
    }


def test_mcnemar_equals_statsmodels_on_the_whole_table():
    first, second = predictions(1, right=0.85), predictions(2, right=0.75)
    ours = compare_predictions(first, second)
    right = [one["predicted"] == one["label"] for one in (first, second)]
    table = [
        [np.sum(right[0] & right[1]), np.sum(right[0] & ~right[1])],
        [np.sum(~right[0] & right[1]), np.sum(~right[0] & ~right[1])],
    ]
    corrected = mcnemar(table, exact=False, correction=True)
    assert (ours["b"], ours["c"]) == (table[0][1], table[1][0]) and ours["b"] > ours["c"]
    assert ours["chi2"] == pytest.approx(corrected.statistic) and ours["p_corrected"] == pytest.approx(
        corrected.pvalue
    )
    assert ours["chi2"] == pytest.approx((abs(ours["b"] - ours["c"]) - 1) ** 2 / (ours["b"] + ours["c"]))
    assert ours["p_exact"] == pytest.approx(stats.binomtest(ours["b"], ours["b"] + ours["c"]).pvalue)
    assert (ours["cells"], ours["blocks"]) == (400, 40)


@pytest.mark.parametrize(("chi2", "p"), [(11.811, 0.00058), (12.397, 0.00042)])
def test_p_values_of_the_printed_statistics(chi2, p):
    """zhang2024's Table 7 prints chi-square with one degree of freedom."""
    assert stats.chi2.sf(chi2, 1) == pytest.approx(p, abs=2e-5)


def test_one_cell_to_a_block_is_the_exact_test():
    first, second = (
        predictions(seed, n=60, cells_per_block=1, right=right) for seed, right in ((1, 0.9), (2, 0.6))
    )
    ours = compare_predictions(first, second)
    assert 1e-6 < ours["p_exact"] < 0.05
    assert ours["p_block"] == pytest.approx(ours["p_exact"], rel=1e-9)


@pytest.mark.parametrize("surplus", [[3, 1, -2, 0, 5], [1, 1, 1], [4, -4], [7], [2, -1, 2, 2, -3, 1, 1]])
def test_sign_flips_equal_their_enumeration(surplus):
    sums = [
        sum(sign * size for sign, size in zip(signs, surplus, strict=True))
        for signs in product((1, -1), repeat=len(surplus))
    ]
    assert sign_flip_p(np.array(surplus)) == pytest.approx(np.mean(np.abs(sums) >= abs(sum(surplus))))


def test_many_blocks_approach_the_normal_distribution():
    surplus = np.random.default_rng(1).integers(-6, 7, 900)
    z = (abs(surplus.sum()) - 0.5) / np.sqrt((surplus**2).sum())
    assert sign_flip_p(surplus) == pytest.approx(2 * stats.norm.sf(z), rel=0.02, abs=1e-3)


def test_only_the_block_test_keeps_its_level_when_neighbours_are_alike():
    """Two equally good models whose 20 cells of a block are right or wrong together."""
    rejected = {"p_corrected": 0, "p_block": 0}
    label = np.zeros(600, np.uint8)
    for trial in range(100):
        rng = np.random.default_rng(trial)
        pair = []
        for _ in range(2):
            one = predictions(n=600, cells_per_block=20, label=label)
            pair.append(one | {"predicted": np.repeat(rng.random(30) < 0.3, 20).astype(np.uint8)})
        found = compare_predictions(*pair)
        for name in rejected:
            rejected[name] += found[name] < 0.05
    assert rejected["p_block"] <= 10 and rejected["p_corrected"] > 40, rejected


def test_equal_predictions_do_not_differ():
    one = predictions()
    found = compare_predictions(one, one)
    assert (found["b"], found["c"], found["chi2"]) == (0, 0, 0) and found["p_corrected"] == found[
        "p_exact"
    ] == found["p_block"] == 1


@pytest.mark.parametrize("key", ["row", "label", "fold"])
def test_other_cells_are_refused(key):
    one = predictions()
    other = one | {key: one[key] + 1}
    with pytest.raises(HeadscarpError, match=f"different test cells \\({key} differs"):
        compare_predictions(one, other)
    with pytest.raises(HeadscarpError, match="different test cells"):
        compare_predictions(one, {name: values[:-1] for name, values in one.items()})


# --- natural breaks


def within(values, bounds):
    """Sum of squares within the classes of some bounds."""
    member = np.digitize(values, bounds[1:-1], right=True)
    return sum(
        ((values[member == k] - values[member == k].mean()) ** 2).sum()
        for k in range(len(bounds) - 1)
        if (member == k).any()
    )


def test_natural_breaks_part_clear_groups_and_are_seeded():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(mean, 0.3, 5000) for mean in (0, 10, 30, 60, 100)] + [[np.nan]])
    bounds = natural_breaks(values, 5, 0, "slope")
    known = values[:-1]
    assert bounds[0] == known.min() and bounds[-1] == known.max() and len(bounds) == 6
    assert np.all(np.digitize([5, 20, 45, 80], bounds) == [2, 3, 4, 5])
    before = np.random.get_state()[1].copy()
    assert np.array_equal(natural_breaks(values, 5, 0, "slope"), bounds)
    assert np.array_equal(np.random.get_state()[1], before)


def test_natural_breaks_are_nearly_as_good_as_the_optimum():
    """Fisher-Jenks by enumeration over all pairs of breaks."""
    values = np.sort(np.random.default_rng(3).gamma(2, 10, 60))
    inner = values[:-1]
    best = min(
        within(values, [values[0], a, b, values[-1]]) for i, a in enumerate(inner) for b in inner[i + 1 :]
    )
    assert within(values, natural_breaks(values, 3, 0, "slope")) <= 1.01 * best


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([7.0] * 20, "factor 'rainfall' holds one value only \\(7\\)"),
        ([1.0, 2.0, 3.0] * 9, "factor 'rainfall' holds 3 distinct values and cannot be divided into 5"),
        ([np.nan] * 4, "holds 0 distinct values"),
    ],
)
def test_factors_without_enough_values_are_named(values, message):
    with pytest.raises(HeadscarpError, match=message):
        natural_breaks(np.array(values), 5, 0, "rainfall")


def test_as_many_classes_as_values_is_the_limit():
    values = np.repeat([1.0, 2, 3, 50], [9000, 9000, 9000, 1])
    assert natural_breaks(values, 4, 0, "x").tolist() == [1, 1, 2, 3, 50]
