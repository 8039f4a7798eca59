"""Whether two models differ on the same test cells: McNemar's test, and a form that does not take
neighbouring cells as independent."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from statsmodels.stats.contingency_tables import mcnemar

from headscarp.codes import LANDSLIDE
from headscarp.errors import HeadscarpError

SAME_CELLS = ("row", "col", "fold", "label", "block")


def compare_predictions(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """McNemar's test (McNemar 1947) of two models on the test cells that both predicted, as zhang2024's Table
    7.

    Args:
        first, second: arrays of two predictions.npz: row, col, fold, label, block and predicted, each (n).

    Returns:
        {cells, blocks, b (cells that only the first model has right), c (only the second), chi2 and
        p_corrected (with continuity
        correction, Edwards 1948), p_exact (binomial), p_block (`sign_flip_p` of the blocks)}. chi2 is 0 and
        each p 1 without
        discordant cells.

    Raises:
        HeadscarpError: the models were scored on different cells.
    """
    require_same_test_cells(first, second)
    right = [table["predicted"].astype(bool) == (table["label"] == LANDSLIDE) for table in (first, second)]
    only_first, only_second = right[0] & ~right[1], right[1] & ~right[0]
    b, c = int(only_first.sum()), int(only_second.sum())
    blocks, index = np.unique(first["block"], return_inverse=True)
    surplus = np.bincount(index, only_first.astype(float) - only_second, minlength=len(blocks)).astype(int)
    record = {"cells": len(right[0]), "blocks": len(blocks), "b": b, "c": c}
    if b + c == 0:
        return record | {"chi2": 0.0, "p_corrected": 1.0, "p_exact": 1.0, "p_block": 1.0}
    table = [[0, b], [c, 0]]  # concordant cells play no part
    corrected, exact = mcnemar(table, exact=False, correction=True), mcnemar(table, exact=True)
    return record | {
        "chi2": float(corrected.statistic),
        "p_corrected": float(corrected.pvalue),
        "p_exact": min(1.0, float(exact.pvalue)),
        "p_block": sign_flip_p(surplus),
    }


def at_matched_rate(table: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The predictions of a predictions.npz with as many cells called landslides as there are, those of
    highest probability.

    Two models then differ by what they rank high and not by how many cells their thresholds let through,
    which one chosen for F1 on validation cells makes differ too.
    """
    slides = int((table["label"] == LANDSLIDE).sum())
    predicted = np.zeros(len(table["label"]), np.uint8)
    predicted[np.argsort(-table["probability"], kind="stable")[:slides]] = 1
    return {**table, "predicted": predicted}


def require_same_test_cells(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> None:
    for key in SAME_CELLS:
        if not np.array_equal(first[key], second[key]):
            raise HeadscarpError(
                f"two runs were scored on different test cells ({key} differs in their "
                "predictions.npz) and cannot be compared; train and score both again on the same cells"
            )


def sign_flip_p(surplus: np.ndarray) -> float:
    """Two-sided p of the sum of `surplus` (blocks,), whole numbers, when the sign of each block is a fair
    coin.

    The surplus of a block is by how many more of its cells the first model is right than the second. If the
    models are equally good, exchanging them inside a block changes nothing in distribution, however alike the
    cells of a block are: only blocks are taken as independent (Fisher's randomisation test, 1935; clustered
    matched pairs: Durkalski et al. 2003, Stat. Med. 22). The test keeps McNemar's statistic b - c, unlike
    Wilcoxon's ranks, and with one cell to a block it is McNemar's exact test. The distribution is exact,
    summed block by block.
    """
    sizes = np.abs(surplus[surplus != 0]).astype(int)
    reach = int(sizes.sum())
    share = np.zeros(2 * reach + 1)  # probability of each sum -reach..reach
    share[reach] = 1.0
    for size in sizes:
        flipped = np.zeros_like(share)
        flipped[size:] = share[:-size]
        flipped[:-size] += share[size:]
        share = flipped / 2
    as_far = np.abs(np.arange(-reach, reach + 1)) >= abs(int(surplus.sum()))
    return min(1.0, float(share[as_far].sum()))
