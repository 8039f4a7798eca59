"""The audit of released code: what a card says of it, held against what the statements claim where it can be
worked out."""

import numpy as np

from headscarp.plan.plan import load_plan
from headscarp.scoring.audit.findings import DIFFERENT, Finding, Recomputed
from headscarp.scoring.audit.registry import run_checks
from tests.conftest import REPOSITORY

TABLE = {
    "released": [
        {"row": "test_cells", "metric": "paper", "value": "a test set", "unit": ""},
        {"row": "test_cells", "metric": "code", "value": "all cells", "unit": ""},
        {"row": "test_cells", "metric": "place", "value": "train.py, line 3", "unit": ""},
    ]
}


def test_paper_and_code_stand_beside_each_other_with_the_place():
    found = list(run_checks([{"check": "released_code", "table": "released"}], TABLE, "a card"))
    texts = {one.quantity: one.text for one in found if isinstance(one, Recomputed)}
    assert texts == {"paper": "a test set", "code": "all cells", "place": "train.py, line 3"}
    (finding,) = (one for one in found if isinstance(one, Finding))
    assert finding.verdict == DIFFERENT and finding.value is None
    assert finding.explanation == "the paper: a test set. Its code: all cells (train.py, line 3)"


def test_every_statement_of_zhang2024_names_its_place():
    card = load_plan({"cards": ["zhang2024"], "scale": "tiny"}, REPOSITORY).cards["zhang2024"]
    check = [{"check": "released_code", "table": "released_code"}]
    findings = [one for one in run_checks(check, card.published, "zhang2024") if isinstance(one, Finding)]
    assert len(findings) == 15 and all(".py, line" in one.explanation for one in findings)


def test_a_reshape_without_transposing_mixes_factors_and_places():
    """The statement on `reshape`: of 144 places x 15 factors, one plane of 15 x 12 x 12 holds several
    factors."""
    places = np.arange(144)[:, None] * 100 + np.arange(15)  # hundreds: place; rest: factor
    planes = places.reshape(15, 12, 12)
    assert all(len(np.unique(plane % 100)) == 15 for plane in planes)
    assert len(np.unique(places.T.reshape(15, 12, 12)[3] % 100)) == 1


def test_the_released_focal_loss_reads_two_pixels_of_a_row():
    """The statement on `focal_loss`: indices found in the last column (row, class) are looked up as (row,
    column), as tf.gather_nd does."""
    classes = np.eye(2)[np.random.default_rng(0).integers(0, 2, (1, 6, 128))]  # (chip, row, col, class)
    seen = np.argwhere(classes[:, :, -1] == 1)
    assert seen.shape == (6, 3) and set(seen[:, 2]) <= {0, 1}
    assert classes[:, :, :-1][tuple(seen.T)].shape == (6, 2)
