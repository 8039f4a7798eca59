"""Learning rates as pure functions of the step, so that a resumed run needs no scheduler state."""

import math

from headscarp.training.recipe import Recipe

# torch.optim.lr_scheduler.OneCycleLR's div_factor and final_div_factor.
ONE_CYCLE_START = 25.0
ONE_CYCLE_END = 1e4


def learning_rate_at(recipe: Recipe, step: int, steps: int) -> float:
    """Learning rate of optimiser step `step` (from 0) in a training of `steps` steps; same values as torch's
    own schedulers."""
    top, params = recipe.learning_rate, recipe.schedule_params
    if recipe.schedule == "step":
        return top * params["factor"] ** (step // int(params["every"]))
    if recipe.schedule == "cosine":
        return _cosine(top, params["minimum"], step / steps)
    if recipe.schedule == "one_cycle":
        start = top / ONE_CYCLE_START
        peak = params["warm_up"] * steps - 1
        if step <= peak:
            return _cosine(start, top, step / peak if peak else 1.0)
        return _cosine(top, start / ONE_CYCLE_END, (step - peak) / (steps - 1 - peak))
    return top


def _cosine(first: float, last: float, share: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2
