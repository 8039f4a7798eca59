"""A rehearsal of trainings: what it measures is what a training of that size has."""

import pytest
import torch

from headscarp import networks
from headscarp.errors import HeadscarpError
from headscarp.mapping.rehearsal import rehearse
from headscarp.networks import count_parameters

RECORD = {
    "network": {"name": "unet", "width": 0.0625, "params": {}},
    "channels": 5,
    "classes": 1,
    "recipe": {"loss": "bce", "optimiser": "adam", "batch": 4},
    "of_cells": False,
    "window": 32,
    "dates": 1,
    "mapping": {},
}
CELLS = RECORD | {
    "network": {"name": "cnn3d", "width": 0.125, "params": {"windows": [12]}},
    "classes": 2,
    "of_cells": True,
    "window": None,
}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def test_a_network_of_the_same_size_is_trained_and_maps(tmp_path):
    found = rehearse(RECORD, "cpu", 1, 20_000)
    assert found["parameters"] == count_parameters(networks.build("unet", 5, classes=1, width=0.0625))
    assert found["fits"] and found["windows_that_fit"] == 4 and found["memory"]["of"] == "process"
    assert found["seconds_a_step"] > 0 and found["seconds_a_validation_batch"] > 0
    assert (
        found["mapped"]["seconds"] > 0 and found["mapped"]["pixels"] == 32**2
    )  # windows of 64 that share 32


def test_series_have_all_their_dates(tmp_path):
    series = RECORD | {"network": {"name": "st_fusion", "width": 0.0625, "params": {}}, "dates": 3}
    one = rehearse(RECORD | {"network": series["network"] | {"name": "segnet"}}, "cpu", 1, 20_000)
    three = rehearse(series | {"network": series["network"] | {"name": "segnet"}}, "cpu", 1, 20_000)
    planes = [networks.build("segnet", n, classes=1, width=0.0625) for n in (5, 3 * (5 + 1))]
    assert [one["parameters"], three["parameters"]] == [count_parameters(model) for model in planes]
    assert rehearse(series, "cpu", 1, 20_000)["fits"]


def test_what_does_not_fit_is_told_with_the_windows_that_do():
    found = rehearse(RECORD | {"recipe": RECORD["recipe"] | {"batch": 100_000}}, "cpu", 1, 20_000)
    assert not found["fits"] and 0 < found["windows_that_fit"] < 100_000
    assert found["memory"]["mib"] > 20_000
    assert rehearse(RECORD, "cpu", 1, 1)["windows_that_fit"] == 0


def test_parts_of_a_batch_are_counted_up():
    parts = RECORD | {"recipe": RECORD["recipe"] | {"batch": 4000, "micro_batch": 4}}
    found = rehearse(parts, "cpu", 1, 20_000)
    assert found["fits"] and found["windows_that_fit"] == 4
    assert found["seconds_a_step"] > 100 * rehearse(RECORD, "cpu", 1, 20_000)["seconds_a_step"]


def test_networks_on_cells_are_rehearsed_too():
    found = rehearse(CELLS, "cpu", 1, 20_000)
    assert found["fits"] and found["mapped"]["pixels"] == 32**2 and found["parameters"] > 0


def test_a_series_whose_dates_nobody_lists_is_told_to_be_made_first():
    with pytest.raises(
        HeadscarpError, match=r"only a/cube.json tells, .* run `snakemake --cores 2 a/cube.json`"
    ):
        rehearse(RECORD | {"dates": "a/cube.json"}, "cpu", 1, 20_000)
