"""The parameters in the schema of networks are those of the builders and of scikit-learn's models."""

import inspect

import pytest
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression

from headscarp import networks
from headscarp.errors import HeadscarpError
from headscarp.networks import _builder
from headscarp.schema import parts, schema_of, validate

MODELS = {
    "random_forest": (RandomForestClassifier,),
    "cell_forest": (RandomForestClassifier,),
    "logistic_regression": (LogisticRegression,),
    "gbdt_lr": (HistGradientBoostingClassifier, GradientBoostingClassifier),
}
# What the card says elsewhere: dates of the experiment; and the arguments of every builder.
OTHERWISE = {"in_channels", "classes", "width", "dates"}


def own_parameters(name):
    signature = inspect.signature(_builder(name))
    return {key: one for key, one in signature.parameters.items() if key not in OTHERWISE}


def test_every_network_and_model_is_described():
    assert sorted(parts("network")) == sorted([*networks.names(), *MODELS])


@pytest.mark.parametrize("name", networks.names())
def test_parameters_are_those_of_the_builder(name):
    own = own_parameters(name)
    assert list(schema_of(f"network/{name}")["properties"]) == list(own)
    for key, parameter in own.items():
        validate(f"network/{name}", {key: parameter.default}, name)


@pytest.mark.parametrize("name", MODELS)
def test_parameters_of_models_are_those_of_scikit_learn(name):
    known = {key for model in MODELS[name] for key in model().get_params()} | {"leaves"}
    assert set(schema_of(f"network/{name}")["properties"]) <= known


@pytest.mark.parametrize("leaves", [False, True])
def test_the_variants_of_gbdt_have_their_own_parameters(leaves):
    model = MODELS["gbdt_lr"][leaves]
    branch = schema_of("network/gbdt_lr")["then" if leaves else "else"]
    assert set(branch["propertyNames"]["enum"]) - {"leaves"} <= set(model().get_params())
    with pytest.raises(HeadscarpError, match="does not go with the others"):
        validate("network/gbdt_lr", {"leaves": leaves, "max_bins" if leaves else "subsample": 1}, "gbdt_lr")
