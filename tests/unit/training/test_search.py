"""Searches of hyper-parameters: objectives against scikit-learn, a journal that survives a kill, and what
users may get wrong."""

import csv
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution
from sklearn.metrics import accuracy_score, average_precision_score

from headscarp.errors import HeadscarpError
from headscarp.schema import validate
from headscarp.training import search
from headscarp.training.search import make_space, run_search, train_trial
from headscarp.training.trainer import train_run
from headscarp.training.validation import average_precision
from headscarp.training.weights import load_network
from headscarp.training.windows import open_samples
from tests.conftest import REPOSITORY
from tests.unit.training.test_training import CHANNELS, make_site

SPEC = {
    "network": {"name": "unet", "width": 0.0625, "params": {}},
    "channels": CHANNELS,
    "classes": 1,
    "seed": 4,
    "recipe": {"loss": "focal", "batch": 4, "epochs": 1, "steps_per_epoch": 1, "precision": "float32"},
    "sampler": "random",
    "trials": 4,
    "space": {
        "optimiser": ["adam", "sgd"],
        "learning_rate": [1e-2, 1e-3, 1e-4],
        "alpha": {"low": 0, "high": 1},
        "gamma": {"low": 0, "high": 5},
    },
}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def trials_of(folder: Path) -> list[dict[str, str]]:
    """Rows of trials.csv but for the seconds."""
    with open(folder / "trials.csv", newline="") as stream:
        return [
            {key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(stream)
        ]


def search_here(site, folder: Path, **changes) -> list[dict[str, str]]:
    run_search(*site, folder, SPEC | changes, device="cpu")
    return trials_of(folder)


def validation_of(model, samples) -> tuple[np.ndarray, np.ndarray]:
    """Probability and truth of every counted pixel of the validation windows, window by window."""
    probability, truth = [], []
    for index in range(len(samples.windows["validation"])):
        image, target, mask = samples.read("validation", index)
        with torch.no_grad():
            probability.append(model.eval()(torch.from_numpy(image)[None])[0, 0].sigmoid().numpy()[mask])
        truth.append(target[mask] == 1)
    return np.concatenate(probability), np.concatenate(truth)


def test_an_empty_map_does_not_win():
    """On rare landslides it has the highest accuracy at 0.5, and the lowest average precision that is no
    worse than chance."""
    rng = np.random.default_rng(0)
    truth = rng.random(5000) < 0.01
    empty, skilled = np.zeros(5000), np.clip(rng.normal(0.3, 0.15, 5000) + 0.4 * truth, 0, 1)
    accuracy = [np.mean((one >= 0.5) == truth) for one in (empty, skilled)]
    assert accuracy[0] > accuracy[1]
    ranked = [average_precision(*map(torch.from_numpy, (one, truth))) for one in (empty, skilled)]
    assert ranked[0] == pytest.approx(truth.mean()) and ranked[1] > 10 * truth.mean()


@pytest.mark.parametrize(
    ("protocol", "named", "objective"),
    [
        ("published", {}, "average_precision"),
        ("published", {"objective": "accuracy"}, "accuracy"),
        ("blocked", {"objective": "accuracy"}, "average_precision"),
    ],
)
def test_the_objective_is_that_of_a_run_trained_alike(tmp_path, protocol, named, objective):
    """A trial trains as train_run does with the same recipe; its value is scikit-learn's score of that run's
    network.

    An epoch of one step validates on four of the six windows only; the objective is of all.
    """
    site = make_site(tmp_path, protocol)
    rows = search_here(site, tmp_path / "search", trials=3, **named)
    best = json.loads((tmp_path / "search" / "best.json").read_text())
    chosen = rows[best["trial"] - 1]
    spec = {key: SPEC[key] for key in ("network", "channels", "classes", "seed")} | {
        "recipe": SPEC["recipe"] | best["recipe"]
    }
    train_run(*site, tmp_path / "run", spec, "cpu", progress=False)
    probability, truth = validation_of(load_network(tmp_path / "run")[0], open_samples(*site, CHANNELS))
    score = {
        "accuracy": lambda t, p: accuracy_score(t, p >= 0.5),
        "average_precision": average_precision_score,
    }
    assert best["value"] == pytest.approx(score[objective](truth, probability), abs=1e-3)
    assert best["objective"] == objective
    assert any("the test set tunes" in note for note in best["notes"]) == (protocol == "published")
    assert float(chosen["value"]) == best["value"] == max(float(row["value"]) for row in rows)
    recipe = best["recipe"]
    assert recipe["loss"] == "focal" and chosen["optimiser"] == recipe["optimiser"]
    assert float(chosen["learning_rate"]) == recipe["learning_rate"]
    assert recipe["loss_params"] == {key: float(chosen[key]) for key in ("alpha", "gamma")}


@pytest.mark.parametrize(
    ("protocol", "named", "score"),
    [
        ("published", {"objective": "accuracy"}, accuracy_score),
        ("published", {}, average_precision_score),
        ("blocked", {}, average_precision_score),
    ],
)
def test_a_search_that_is_no_better_than_a_map_without_skill_says_so(
    tmp_path, monkeypatch, protocol, named, score
):
    """Beside scikit-learn's score of a map of one value, 0, on the labels of the validation windows."""
    site = make_site(tmp_path, protocol)
    samples = open_samples(*site, CHANNELS)
    truth = np.concatenate(
        [
            target[mask] == 1
            for _, target, mask in (
                samples.read("validation", index) for index in range(len(samples.windows["validation"]))
            )
        ]
    )
    wanted = score(truth, np.zeros(truth.shape))
    for value, expected in ((wanted, True), (wanted + 1e-6, False)):
        monkeypatch.setattr(search, "train_trial", lambda *_, value=value: (value, value))
        search_here(site, tmp_path / str(expected), **named)
        best = json.loads((tmp_path / str(expected) / "best.json").read_text())
        assert best["no_skill"] == pytest.approx(wanted, rel=1e-12)
        assert any("found nothing" in note for note in best["notes"]) == expected


def test_results_and_what_is_left_behind(tmp_path, monkeypatch):
    values = iter([0.2, 0.7, 0.7, 0.1])
    monkeypatch.setattr(search, "train_trial", lambda *_: (next(values), 0.5))
    rows = search_here(make_site(tmp_path), tmp_path / "search")
    assert [(row["trial"], row["value"], row["best"]) for row in rows] == [
        ("1", "0.2", "0.2"),
        ("2", "0.7", "0.7"),
        ("3", "0.7", "0.7"),
        ("4", "0.1", "0.7"),
    ]
    with open(tmp_path / "search" / "trials.csv") as stream:
        assert stream.readline().strip() == "trial,value,best,optimiser,learning_rate,alpha,gamma,seconds"
    assert len({(row["alpha"], row["gamma"]) for row in rows}) == 4
    assert all(0 <= float(row["alpha"]) <= 1 and 0 <= float(row["gamma"]) <= 5 for row in rows)
    assert json.loads((tmp_path / "search" / "best.json").read_text())["trial"] == 2
    assert sorted(path.name for path in (tmp_path / "search").iterdir()) == [
        "best.json",
        "journal.log",
        "trials.csv",
    ]


def test_of_equally_accurate_trials_the_one_that_ranks_best_is_taken(tmp_path, monkeypatch):
    """Accuracy at 0.5 of rare landslides: most trials answer an empty map, and tie."""
    answers = iter([(0.98, 0.02), (0.97, 0.6), (0.98, 0.3), (0.98, 0.1)])
    monkeypatch.setattr(search, "train_trial", lambda *_: next(answers))
    search_here(make_site(tmp_path, "published"), tmp_path / "search", objective="accuracy")
    best = json.loads((tmp_path / "search" / "best.json").read_text())
    assert best["trial"] == 3 and best["value"] == 0.98
    assert (
        "3 of 4 trials are equally good; of these that of highest average precision is taken" in best["notes"]
    )


def test_trials_differ_in_their_hyperparameters_only(tmp_path):
    """Asked for the same point twice, whatever ran between, a search gives the same value."""
    samples = open_samples(*make_site(tmp_path), CHANNELS)
    recipes = [
        SPEC["recipe"] | {"learning_rate": rate, "jitter": 0.1, "augment": True}
        for rate in (1e-2, 1e-3, 1e-2)
    ]
    first, other, again = (
        train_trial(SPEC | {"recipe": recipe}, samples, "average_precision", torch.device("cpu"), "trial")
        for recipe in recipes
    )
    assert first == again != other


def test_patience_brings_back_the_best_weights(tmp_path):
    site = make_site(tmp_path, "published")
    recipe = SPEC["recipe"] | {"epochs": 12, "steps_per_epoch": 2, "patience": 1, "learning_rate": 0.3}
    value, _ = train_trial(
        SPEC | {"recipe": recipe}, open_samples(*site, CHANNELS), "accuracy", torch.device("cpu"), "trial"
    )
    spec = {key: SPEC[key] for key in ("network", "channels", "classes", "seed")}
    train_run(*site, tmp_path / "run", spec | {"recipe": recipe}, "cpu", progress=False)
    probability, truth = validation_of(load_network(tmp_path / "run")[0], open_samples(*site, CHANNELS))
    assert json.loads((tmp_path / "run" / "run.json").read_text())["epochs"] < 12
    assert value == pytest.approx(accuracy_score(truth, probability >= 0.5), abs=1e-3)


def test_a_loss_that_is_not_finite_counts_as_nothing(tmp_path):
    space = {"optimiser": ["sgd"], "learning_rate": [1e30, 1e-3]}
    rows = search_here(make_site(tmp_path), tmp_path / "search", space=space, trials=5)
    diverged = [row for row in rows if float(row["learning_rate"]) > 1]
    assert diverged and {row["value"] for row in diverged} == {"0.0"}
    assert all(float(row["value"]) > 0 for row in rows if row not in diverged)
    notes = json.loads((tmp_path / "search" / "best.json").read_text())["notes"]
    assert sum("counted as 0" in note for note in notes) == len(diverged)


KILLED = """
import logging, sys, time
import torch
from pathlib import Path
sys.path.insert(0, {tests!r})
from tests.unit.training import test_search as here
torch.set_num_threads(1)
logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
here.search.train_trial = lambda *told: time.sleep(0.1) or both(here.toy(told[0]))
both = here.both
here.search_here((Path({site!r}) / "cube", Path({site!r}) / "samples"), Path({out!r}), **{changes!r})
"""


def toy(spec) -> float:
    recipe = spec["recipe"]
    return (
        1
        - (recipe["loss_params"]["alpha"] - 0.3) ** 2
        - 0.1 * (recipe["optimiser"] == "sgd")
        - 1e-3 / recipe["learning_rate"]
    )


def both(value: float) -> tuple[float, float]:
    """What a trial gives whose objective is its average precision."""
    return value, value


@pytest.mark.slow
def test_a_killed_search_ends_as_one_left_alone(tmp_path, monkeypatch):
    """SIGKILL in the twelfth trial, when the Gaussian process has taken over; then, with half a line and a
    lock in the journal, on."""
    site = make_site(tmp_path)
    changes = {"sampler": "gp", "trials": 13}
    killed = tmp_path / "killed"
    code = KILLED.format(tests=str(REPOSITORY), site=str(tmp_path), out=str(killed), changes=changes)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert any(line.startswith("trial 11/13") for line in process.stdout)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert not (killed / "trials.csv").exists()
    with open(killed / "journal.log", "ab") as stream:
        stream.write(b'{"op_code":4,"wor')
    if not (killed / "journal.log.lock").is_symlink():
        (killed / "journal.log.lock").symlink_to("journal.log")
    asked = []
    monkeypatch.setattr(search, "train_trial", lambda spec, *_: asked.append(spec) or both(toy(spec)))
    resumed = search_here(site, killed, **changes)
    assert len(asked) == 2
    assert resumed == search_here(site, tmp_path / "whole", **changes)
    assert len({tuple(row[key] for key in SPEC["space"]) for row in resumed}) == 13
    assert json.loads((killed / "best.json").read_text()) == json.loads(
        (tmp_path / "whole" / "best.json").read_text()
    )


def test_a_longer_search_continues_and_a_changed_one_begins_anew(tmp_path, monkeypatch, caplog):
    site, asked = make_site(tmp_path), []
    monkeypatch.setattr(search, "train_trial", lambda spec, *_: asked.append(spec) or both(toy(spec)))
    first = search_here(site, tmp_path / "search")
    with caplog.at_level(logging.INFO, "headscarp"):
        longer = search_here(site, tmp_path / "search", trials=6)
    assert len(asked) == 6 and longer[:4] == first
    assert [message.split(":")[0] for message in caplog.messages] == ["trial 5/6", "trial 6/6"]
    assert search_here(site, tmp_path / "search", trials=2) == first[:2] and len(asked) == 6
    changed = search_here(site, tmp_path / "search", seed=5)
    assert len(asked) == 10 and changed != first
    windows = (site[1] / "windows.csv").read_text().splitlines(keepends=True)
    (site[1] / "windows.csv").write_text("".join(windows[:-1]))
    search_here(site, tmp_path / "search", seed=5)
    assert len(asked) == 14


def test_both_samplers_begin_alike_and_then_part(tmp_path, monkeypatch):
    monkeypatch.setattr(search, "train_trial", lambda spec, *_: both(toy(spec)))
    site = make_site(tmp_path)
    gp, random = (search_here(site, tmp_path / name, sampler=name, trials=12) for name in ("gp", "random"))
    assert gp[:10] == random[:10] and gp[10:] != random[10:]


def test_a_space_is_made_from_a_card():
    rates = {"low": 1e-4, "high": 1e-2}
    assert make_space({"gamma": {"low": 0, "high": 5}, "optimiser": ["adam"], "learning_rate": rates}) == {
        "gamma": FloatDistribution(0.0, 5.0),
        "optimiser": CategoricalDistribution(("adam",)),
        "learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
    }


def test_every_decade_of_learning_rates_is_tried(tmp_path, monkeypatch):
    """Drawn linearly from 1e-4 to 1e-2, a trial below 1e-3 is one in eleven; by its logarithm, one in two."""
    monkeypatch.setattr(search, "train_trial", lambda *_: (0.5, 0.5))
    space = {"learning_rate": {"low": 1e-4, "high": 1e-2}}
    rows = search_here(make_site(tmp_path), tmp_path / "search", space=space, trials=40)
    low = sum(float(row["learning_rate"]) < 1e-3 for row in rows)
    assert 12 <= low <= 28


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"sampler": "pg"}, "sampler 'pg' does not exist; did you mean 'gp'"),
        ({"space": {"alpha": {"low": 1, "high": 0}}}, "search, space, alpha: low 1 and .*low below high"),
        ({"recipe": {"loss": "bce"}}, "parameter of bce 'alpha' does not exist"),
        ({"channels": ["rad"]}, "'red'"),
    ],
)
def test_wrong_searches_are_told_before_the_first_trial(tmp_path, change, told):
    with pytest.raises(HeadscarpError, match=told):
        search_here(make_site(tmp_path), tmp_path / "search", **change)
    assert not (tmp_path / "search").exists()


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ({"learning_rat": [0.1]}, "space: unknown key 'learning_rat'; did you mean 'learning_rate'"),
        ({"optimiser": ["adam", "adm"]}, "optimiser, entry 2: 'adm' does not exist; did you mean 'adam'"),
        ({"learning_rate": ["1e-3"]}, "learning_rate, entry 1: '1e-3' will not do.*with the point"),
        ({"alpha": {"low": 0, "hihg": 1}}, "did you mean 'high'"),
        ({"alpha": {"low": 0}}, "alpha: the key 'high' is missing"),
        ({"alpha": 0.5}, "alpha: 0.5 will not do; it must be a list .* or a mapping of low, high"),
        ({}, "space: {} will not do"),
    ],
)
def test_wrong_spaces_are_told_before_any_job(space, told):
    search = {"site": "a", "network": "unet", "inputs": ["a"], "training": {}, "trials": 1}
    with pytest.raises(HeadscarpError, match=told):
        validate("search", search | {"samplers": ["gp"], "space": space}, "search")


def test_windows_without_landslides_are_told_where_they_matter(tmp_path):
    blocked, published = make_site(tmp_path / "blocked"), make_site(tmp_path / "published", "published")
    for cube, _ in (blocked, published):
        np.save(cube / "label.npy", np.zeros((96, 80), np.uint8))
    with pytest.raises(HeadscarpError, match="no landslide pixel"):
        search_here(blocked, tmp_path / "none")
    assert len(search_here(published, tmp_path / "some", trials=1, objective="accuracy")) == 1
    lines = (published[1] / "windows.csv").read_text().splitlines(keepends=True)
    (published[1] / "windows.csv").write_text("".join(line for line in lines if "validation" not in line))
    with pytest.raises(HeadscarpError, match="no mapped pixel"):
        search_here(published, tmp_path / "unvalidated")
