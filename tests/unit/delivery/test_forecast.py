"""The forecast: hours, memory and disk from what rehearsals measured, by hand."""

import json
import math

import pandas as pd
import pytest

from headscarp.delivery.forecast import expected, grown, pixels_of, request, write_forecast
from headscarp.samples.windows import Window, write_windows

TWIN = {
    "size": 0.1,
    "seconds": 2.0,
    "bytes": 10**7,
    "rasters": {
        "bands.tif": {"pixels": 10_000, "area_m2": 1e6},
        "dem.tif": {"pixels": 400, "area_m2": 1e6},
    },
}
TRAINING = {
    "parameters": 1000,
    "seconds_a_step": 0.9,
    "seconds_a_validation_batch": 0.3,
    "memory": {"mib": 3000.0, "of": "process"},
    "fits": True,
    "windows_that_fit": 4,
    "mapped": {"seconds": 0.5, "pixels": 1000},
    "device": "cpu (1 thread)",
    "threads": 1,
}
SITE = {
    "twins": [{"site": "valley", "like": "bands.tif", "resolution_m": None}],
    "cube": "none.json",
    "resolution_m": None,
}
RUN = {
    "run": "results/runs/a",
    "training": "unet-1",
    "of_cells": False,
    "folds": 1,
    "epochs": 10,
    "steps_per_epoch": 36,
    "batch": 4,
    "windows": "none.csv",
    "stride": 10,
    "most_windows": None,
    "site": SITE,
    "places": [SITE],
}


@pytest.fixture
def forecast(tmp_path):
    def made(training=TRAINING, size=1.0, **changes):
        (tmp_path / "t.json").write_text(json.dumps(training))
        (tmp_path / "valley.json").write_text(json.dumps(TWIN))
        record = {
            "scale": "full",
            "device": "auto",
            "trainings": {"unet-1": tmp_path / "t.json"},
            "what": {"unet-1": "unet, windows of 64 (card)"},
            "twins": {
                "valley": {"file": tmp_path / "valley.json", "size": size, "memory_mb": 5347.7376 * size}
            },
            "runs": [RUN, RUN | {"run": "results/runs/b"} | changes],
            "searches": [],
            "fetched": [{"site": "real", "files": 3, "source": "archive"}],
        }
        files = [tmp_path / f"forecast.{ending}" for ending in ("csv", "md", "html", "json")]
        write_forecast(record, files[0], files[1:3], files[3])
        return pd.read_csv(files[0]).set_index("rule"), files[1].read_text(), json.loads(files[3].read_text())

    return made


def test_hours_are_steps_and_pixels_times_what_each_takes(forecast):
    frame, page, asked = forecast()
    train, mapped, twin = (frame.loc[rule] for rule in ("train_network", "map_scene", "simulate_twin"))
    assert train["jobs"] == 2 and train["steps"] == 360
    assert train["hours_a_job"] == pytest.approx(360 * (0.9 + 0.3 / 3) / 3600)
    assert train["hours"] == pytest.approx(2 * train["hours_a_job"])
    assert mapped["hours"] == pytest.approx(
        2 * 1_000_000 * 0.5 / 1000 / 3600
    )  # 100 times the small twin's pixels
    assert twin["hours"] == pytest.approx(200 / 3600) and twin["memory_mib"] == pytest.approx(5100)
    assert twin["disk_gb"] == pytest.approx(1.0)
    total = train["hours"] + mapped["hours"] + twin["hours"]
    assert f"{total:,.1f} hours one after the other" in page
    assert asked["runs"]["results/runs/a"] == {
        "train": {"mem_mb": 3750, "runtime": 20},
        "map": {"mem_mb": 3750, "runtime": math.ceil(1.25 * 500 / 60)} | {"runtime": 20},
    }
    assert asked["twins"]["valley"] == {"mem_mb": 6375, "runtime": 20}


def test_steps_of_an_epoch_are_its_windows_where_no_number_is_set(forecast):
    frame, _, _ = forecast(steps_per_epoch=None)
    assert frame.loc["train_network", "steps"] == 10 * (1_000_000 / 2 / 10**2) / 4
    frame, _, _ = forecast(steps_per_epoch=None, stride=None)  # cells
    assert "1 of 2 jobs are not counted" in frame.loc["train_network", "note"]
    frame, _, _ = forecast(steps_per_epoch=None, most_windows=400)
    assert frame.loc["train_network", "steps"] == 10 * 400 / 4


def test_windows_that_are_drawn_are_counted(forecast, tmp_path):
    """Not estimated from the size of the site."""
    windows = [Window(0, 0, 64, 0, split) for split in ("train",) * 20 + ("validation",) * 7]
    write_windows(tmp_path / "windows.csv", windows)
    frame, _, _ = forecast(steps_per_epoch=None, windows=tmp_path / "windows.csv")
    assert frame.loc["train_network", "steps"] == max(10 * 20 / 4, 10 * 36)
    frame, _, _ = forecast(steps_per_epoch=None, windows=tmp_path / "windows.csv", epochs=100)
    assert frame.loc["train_network", "steps"] == 100 * 20 / 4


def test_the_user_of_an_area_is_told_how_long_it_takes(forecast):
    """2 trainings of 360 steps of one second, and 2 maps of a million pixels at 0.5 ms."""
    frame, _, _ = forecast()
    told = expected(frame.drop("simulate_twin").reset_index(), "valley", "results/forecasts/valley.html")
    assert "valley: at most 29 min of computing" in told
    assert "2 trainings 12 min, 2 maps 17 min" in told and "results/forecasts/valley.html" in told


def test_what_does_not_fit_names_the_key_to_change(forecast):
    frame, page, _ = forecast(TRAINING | {"fits": False, "windows_that_fit": 3})
    assert "micro_batch: 3" in frame.loc["train_network", "note"] and "do not fit" in page
    frame, _, _ = forecast(TRAINING | {"fits": False, "windows_that_fit": 0})
    assert "`width`, or `sampling.window`, smaller" in frame.loc["train_network", "note"]
    frame, _, _ = forecast(size=100.0)
    assert "make the scale's `size` smaller" in frame.loc["simulate_twin", "note"]


def test_places_of_unknown_size_are_said_not_guessed(forecast, tmp_path):
    real = {"twins": [], "cube": str(tmp_path / "cube.json"), "resolution_m": 5}
    frame, _, asked = forecast(places=[real])
    assert "1 of 2 jobs are not counted" in frame.loc["map_scene", "note"]
    assert "runtime" not in asked["runs"]["results/runs/b"]["map"]
    grid = {"height": 10, "width": 20, "transform": [10, 0, 0, 0, -10, 0]}
    (tmp_path / "cube.json").write_text(json.dumps({"grid": grid}))
    assert pixels_of(real, {}) == 800 and pixels_of(real | {"resolution_m": None}, {}) == 200


def test_a_site_has_the_grid_of_the_raster_that_it_names():
    twins = {"valley": grown(TWIN, 0.2, 100.0)}
    on = {"twins": [{"site": "valley", "like": "dem.tif", "resolution_m": None}]}
    assert pixels_of(on, twins) == 1600
    on["twins"][0]["resolution_m"] = 20
    assert pixels_of(on, twins) == pytest.approx(4e6 / 400)


def test_nothing_is_asked_for_that_is_not_known():
    assert request(math.nan, math.nan) == {} and request(10.0, 1.0) == {"mem_mb": 2000, "runtime": 20}
