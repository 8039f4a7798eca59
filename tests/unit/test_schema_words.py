"""The words that the schema and the plan know are those of the code that does the work."""

import numpy as np
import pytest

from headscarp.schema import schema_of
from headscarp.scoring import metric_names
from headscarp.scoring.classes import flat_metrics
from headscarp.scoring.pixel import pixel_metrics
from headscarp.site.indices import INDICES
from headscarp.sources.patch_sets import cas, gdcld, hr_gldd, landslide4sense, sen12landslides
from headscarp.sources.patch_sets.channel_names import channel_names
from headscarp.sources.patch_sets.registry import FORMATS
from headscarp.sources.stac_sensors import SENSORS as CATALOGUE
from headscarp.sources.twin.files import SENSORS
from headscarp.sources.twin.vhr_spec import SENSORS as VHR_SENSORS
from headscarp.training.losses import PIXEL_LOSSES
from headscarp.training.recipe import CHOICES, LOSSES, PRETRAINING_DEFAULTS, SCHEDULES, Recipe
from headscarp.training.space import LOSS_KEYS, RECIPE_KEYS


def test_the_recipe_is_that_of_the_schema():
    known = schema_of("training")["properties"]
    assert list(known) == [*Recipe().to_record(), "by_protocol"]
    assert set(known["loss"]["enum"]) == set(LOSSES) == set(PIXEL_LOSSES)
    assert set(known["schedule"]["enum"]) == set(SCHEDULES)
    assert {key: tuple(known[key]["enum"]) for key in CHOICES} == CHOICES
    for key, choices in (("loss_params", LOSSES), ("schedule_params", SCHEDULES)):
        assert set(known[key]["properties"]) == {name for own in choices.values() for name in own}
    assert set(known["pretraining"]["properties"]) == set(PRETRAINING_DEFAULTS)
    assert set(schema_of("search")["properties"]["space"]["properties"]) == {*RECIPE_KEYS, *LOSS_KEYS}


def test_sensors_formats_and_indices_are_those_of_the_schema():
    landscape, _, vhr = schema_of("twin")["oneOf"]
    assert landscape["properties"]["sensor"]["enum"] == list(SENSORS)
    image = vhr["properties"]["images"]["additionalProperties"]["properties"]
    assert image["sensor"]["enum"] == list(VHR_SENSORS)
    assert schema_of("origin")["properties"]["stac"]["enum"] == list(CATALOGUE)
    formats = [
        name for one in schema_of("patch_set")["oneOf"] for name in one["properties"]["format"]["enum"]
    ]
    assert formats == list(FORMATS)
    indices = schema_of("layers")["properties"]["indices"]["properties"]
    assert {name: tuple(one["required"]) for name, one in indices.items()} == {
        name: bands for name, (_, bands) in INDICES.items()
    }


@pytest.mark.parametrize(
    ("name", "module"),
    [("landslide4sense", landslide4sense), ("hr_gldd", hr_gldd), ("gdcld", gdcld), ("cas", cas)],
)
def test_channels_of_patches_are_those_of_the_reader(name, module):
    assert list(channel_names({"format": name})) == [channel.name for channel in module.CHANNELS]


@pytest.mark.parametrize("sensor", sen12landslides.SENSORS)
def test_channels_of_series_of_patches_are_those_of_the_sensor(sensor):
    known = (*sen12landslides.SENSORS[sensor], "elevation")
    assert channel_names({"format": "sen12landslides", "sensor": sensor}) == known


def test_metrics_are_those_that_are_measured():
    probability, truth = np.array([0.2, 0.8], np.float32), np.array([False, True])
    assert tuple(pixel_metrics(probability, truth, 0.5)) == metric_names.METRICS
    assert tuple(flat_metrics(np.eye(6))) == metric_names.FLAT_METRICS
