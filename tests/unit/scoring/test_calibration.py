"""Calibration against statsmodels and scikit-learn, thresholds against scikit-learn's curves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import f1_score, precision_recall_curve, precision_score, recall_score
from statsmodels.api import Logit, add_constant

from headscarp.errors import HeadscarpError
from headscarp.scoring.calibration import Calibration, calibrate, chosen_threshold, logit, reliability
from headscarp.scoring.pixel import expected_calibration_error


def overconfident(count=20_000, seed=0):
    """Probabilities whose logits are twice those of the truth, less 1."""
    random = np.random.default_rng(seed)
    true_logit = random.normal(-1, 1.5, count)
    return expit(2 * true_logit - 1).astype(np.float32), random.random(count) < expit(true_logit)


def test_platt_is_the_logistic_regression_of_statsmodels():
    probability, truth = overconfident()
    calibration, notes = calibrate(probability, truth, "platt")
    offset, slope = Logit(truth.astype(float), add_constant(logit(probability))).fit(disp=0).params
    assert (calibration.slope, calibration.offset) == pytest.approx((slope, offset), abs=1e-3) and not notes
    assert calibration.slope == pytest.approx(0.5, abs=0.03)


def test_isotonic_is_that_of_scikit_learn():
    probability, truth = overconfident()
    calibration, _ = calibrate(probability, truth, "isotonic")
    theirs = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(probability.astype(float), truth)
    other = np.linspace(0, 1, 301)
    np.testing.assert_allclose(calibration.apply(other), theirs.predict(other), atol=1e-6)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_probabilities_become_shares_on_other_ground(method):
    calibration, _ = calibrate(*overconfident(), method)
    probability, truth = overconfident(seed=1)
    calibrated = calibration.apply(probability)
    assert expected_calibration_error(probability, truth) > 0.08
    assert expected_calibration_error(calibrated, truth) < 0.02
    for one in reliability(calibrated, truth):
        error = np.sqrt(one["observed"] * (1 - one["observed"]) / one["pixels"])
        assert abs(one["observed"] - one["probability"]) < 0.02 + 4 * error


@pytest.mark.parametrize("method", ["platt", "isotonic", "none"])
def test_a_record_gives_the_same_calibration(method):
    calibration, _ = calibrate(*overconfident(2000), method)
    again = Calibration.from_record(calibration.record)
    values = np.array([[0, 0.2, np.nan], [0.5, 0.9, 1]], np.float32)
    calibrated = calibration.apply(values)
    np.testing.assert_array_equal(again.apply(values), calibrated)
    assert np.isnan(calibrated[0, 2]) and np.isfinite(np.delete(calibrated.ravel(), 2)).all()
    assert calibrated.dtype == np.float32


def test_none_changes_nothing():
    values = np.array([0, 0.25, 1], np.float32)
    np.testing.assert_array_equal(calibrate(values, values > 0, "none")[0].apply(values), values)


@pytest.mark.parametrize(
    ("probability", "truth", "note"),
    [([0.1, 0.9], [True, True], "of one class"), ([0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0], "lower probabilities")],
)
def test_what_cannot_be_calibrated_is_left_and_told(probability, truth, note):
    calibration, notes = calibrate(np.array(probability), np.array(truth, bool), "platt")
    assert calibration.method == "none" and note in notes[0]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=2, max_size=40),
    st.floats(0.05, 1),
)
def test_thresholds_are_those_of_scikit_learns_curves(pixels, wanted):
    probability = np.array([level / 20 for level, _ in pixels], np.float32)
    truth = np.array([slide for _, slide in pixels])
    if not truth.any():
        return
    threshold = chosen_threshold(probability, truth, {"recall": wanted})
    assert recall_score(truth, probability >= threshold) >= wanted
    higher = probability[probability > threshold]
    if higher.size:
        assert recall_score(truth, probability >= higher.min()) < wanted
    precision, recall, _ = precision_recall_curve(truth, probability)
    enough = precision[:-1] >= wanted
    if not enough.any():
        with pytest.raises(HeadscarpError, match="no threshold has a precision of"):
            chosen_threshold(probability, truth, {"precision": wanted})
        return
    threshold = chosen_threshold(probability, truth, {"precision": wanted})
    mapped = probability >= threshold
    assert precision_score(truth, mapped) >= wanted
    assert recall_score(truth, mapped) == pytest.approx(recall[:-1][enough].max())


def test_f1_is_the_highest_there_is():
    probability, truth = overconfident(3000)
    threshold = chosen_threshold(probability, truth, "f1")
    best = max(f1_score(truth, probability >= level) for level in np.linspace(0, 1, 201))
    assert f1_score(truth, probability >= threshold) >= best


def test_without_landslides_there_is_no_threshold():
    with pytest.raises(HeadscarpError, match="validation ground has no landslide"):
        chosen_threshold(np.array([0.1, 0.9]), np.array([False, False]), "f1")
