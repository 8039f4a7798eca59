"""What a search of hyper-parameters may vary of a recipe."""

from collections.abc import Mapping
from typing import Any

from headscarp.errors import HeadscarpError
from headscarp.training.recipe import LOSSES, Recipe
from headscarp.vocabulary import require_known

ALWAYS_REPORTED = ("optimiser", "learning_rate")  # in the results, searched or not
RECIPE_KEYS = (*ALWAYS_REPORTED, "weight_decay")
LOSS_KEYS = ("alpha", "gamma")


def check_space(space: Mapping[str, Any], recipe: dict[str, Any], place: str) -> None:
    """Check what a search varies ({hyper-parameter: [choices] or {low, high}}, which follows section `search`
    of the schema) against the recipe of its trials; `place` begins an error.

    Raises:
        HeadscarpError: a range is none, or the recipe's loss has no such parameter.
    """
    parameters = LOSSES[Recipe.from_record(recipe).loss]
    for name, values in space.items():
        if isinstance(values, Mapping) and not values["low"] < values["high"]:
            raise HeadscarpError(
                f"{place}, space, {name}: low {values['low']:g} and high {values['high']:g} are no "
                f"range; give low below high"
            )
        if name in LOSS_KEYS:
            loss = recipe.get("loss", Recipe.loss)
            require_known(name, parameters, f"{place}, space: parameter of {loss}")


def recipe_of_trial(recipe: dict[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe with the hyper-parameters of a trial."""
    tuned = recipe | {key: params[key] for key in RECIPE_KEYS if key in params}
    return tuned | {
        "loss_params": recipe.get("loss_params", {})
        | {key: params[key] for key in LOSS_KEYS if key in params}
    }
