"""The score of validation, against scikit-learn."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from headscarp.codes import LANDSLIDE, NOT_LANDSLIDE
from headscarp.training.validation import ValidationScore


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), outputs=st.sampled_from([1, 2]), levels=st.sampled_from([3, 1000]))
def test_average_precision_is_that_of_scikit_learn(seed, outputs, levels):
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randint(-levels, levels, (4, outputs, 6, 5), generator=rng) / levels
    target = torch.randint(0, 2, (4, 6, 5), generator=rng)
    counted = torch.rand(4, 6, 5, generator=rng) < 0.8
    score = ValidationScore()
    for part in range(2):
        score.add(*(of[2 * part : 2 * part + 2] for of in (logits, target, counted)))
    probability = logits.softmax(1)[:, 1] if outputs == 2 else logits.sigmoid()[:, 0]
    expected = sk.average_precision_score(target[counted], probability[counted].numpy())
    assert score.value() == pytest.approx(expected, abs=1e-6)


def test_mean_f1_is_that_of_the_classes_that_occur():
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 6, 8, 8, generator=rng)
    target = torch.randint(0, 5, (3, 8, 8), generator=rng)  # the sixth class does not occur
    counted = torch.rand(3, 8, 8, generator=rng) < 0.7
    score = ValidationScore()
    score.add(logits, target, counted)
    predicted = logits.argmax(1)[counted]
    expected = sk.f1_score(target[counted], predicted, labels=range(5), average=None)
    assert score.value() == pytest.approx(np.mean(expected))


def test_ground_that_is_only_known_to_be_no_landslide_counts_against_landslides_alone():
    rng = torch.Generator().manual_seed(1)
    logits = torch.randn(3, 6, 8, 8, generator=rng)
    target = torch.randint(0, 6, (3, 8, 8), generator=rng)
    in_part = torch.rand(3, 8, 8, generator=rng) < 0.4
    score = ValidationScore()
    score.add(logits, torch.where(in_part, NOT_LANDSLIDE, target), torch.ones(3, 8, 8, dtype=torch.bool))
    predicted = logits.argmax(1)
    expected = sk.f1_score(target[~in_part], predicted[~in_part], labels=range(6), average=None)
    slides = (torch.where(in_part, 0, target) == LANDSLIDE).ravel(), (predicted == LANDSLIDE).ravel()
    expected[LANDSLIDE] = sk.f1_score(*slides)
    assert score.value() == pytest.approx(np.mean(expected))


def test_windows_without_landslides_have_no_score():
    score = ValidationScore()
    assert score.value() is None
    score.add(torch.randn(1, 1, 4, 4), torch.zeros(1, 4, 4), torch.ones(1, 4, 4, dtype=torch.bool))
    assert score.value() is None
