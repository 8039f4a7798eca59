"""Nothing is tested on ground that trained under another site's name."""

import pytest

from headscarp.errors import HeadscarpError
from headscarp.plan.grounds import shares_ground
from headscarp.plan.plan import load_plan
from tests.conftest import REPOSITORY

CONFIG = {"cards": ["four_regions"], "scale": "tiny"}
BORROWED = {"iburi": {"of": "iburi2018"}, "iburi_west": {"of": "xing2026_real"}}


def planned(overlay):
    return load_plan(CONFIG | {"overlay": {"four_regions": {"sites": BORROWED} | overlay}}, REPOSITORY)


@pytest.mark.parametrize(
    "overlay",
    [
        {"exhibits": {"cross_scene": {"sites": ["l4s_iburi", "iburi"]}}},
        {"exhibits": {"fig_cross": {"sites": ["l4s_nepal", "iburi_west", "l4s_iburi"]}}},
        {"exhibits": {"fig_unseen_taiwan": {"target": "iburi"}}},
        {"apply": [{"experiment": "unet", "site": "l4s_iburi", "target": "iburi"}]},
        {
            "experiments": {"taiwan_10": {"start": {"site": "iburi", "experiment": "resu_cbnet"}}},
            "exhibits": {"few_taiwan": {"sites": ["l4s_iburi"]}},
        },
    ],
    ids=["cross", "part of the raw files", "collage", "apply", "start"],
)
def test_training_and_test_on_one_ground_are_refused(overlay):
    with pytest.raises(
        HeadscarpError, match=r"four_regions, .*iburi\w* shows the ground of \w*iburi.*trained"
    ):
        planned(overlay)


def test_a_region_left_out_may_be_tested_under_any_name():
    planned({"exhibits": {"fig_unseen_iburi": {"target": "iburi"}}})


def test_only_a_said_ground_is_shared():
    sites = planned({}).sites
    assert shares_ground(sites["l4s_iburi"], sites["iburi"]) and shares_ground(
        sites["iburi_east"], sites["l4s_iburi"]
    )
    assert not shares_ground(sites["iburi_west"], sites["iburi_east"])  # parts that do not meet
    assert not shares_ground(sites["l4s_iburi"], sites["l4s_iburi"])
    assert not shares_ground(sites["l4s_nepal"], sites["l4s_kodagu"])


def test_an_unknown_ground_is_named():
    with pytest.raises(HeadscarpError, match=r"l4s_iburi: ground 'ibury'.*iburi"):
        planned({"sites": {"l4s_iburi": {"ground": "ibury"}}})


def test_a_crs_is_for_a_local_folder():
    with pytest.raises(
        HeadscarpError, match=r"without_taiwan: the key `crs` is for rasters of a local folder"
    ):
        planned({"sites": {"without_taiwan": {"crs": "EPSG:32651"}}})
