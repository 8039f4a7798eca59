"""Pixel losses from logits.

All take logits of shape (n, classes, row, col) and targets (n, row, col) int64 in 0..classes-1 (0 or 1 for a
single logit), and return the loss of each pixel, (n, row, col) float32. No-data pixels are left out
afterwards by `masked_mean`. Labels that tell classes in part are for the loss that `in_part` makes of the
cross-entropy.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from headscarp.codes import LANDSLIDE, NOT_LANDSLIDE
from headscarp.training.recipe import Recipe


def bce(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy; with several classes the mean over one-against-the-rest."""
    return functional.binary_cross_entropy_with_logits(
        logits, one_hot(target, logits), reduction="none"
    ).mean(1)


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of the softmax; for a single logit, of the sigmoid."""
    return (
        bce(logits, target)
        if logits.shape[1] == 1
        else functional.cross_entropy(logits, target, reduction="none")
    )


def focal(logits: Tensor, target: Tensor, alpha: float, gamma: float) -> Tensor:
    """-alpha_t (1 - p_t)^gamma log p_t, with alpha_t = alpha where the label is not 0, else 1 - alpha (Lin et
    al. 2017, eq. 5)."""
    log_p = -cross_entropy(logits, target)
    alpha_t = torch.where(target > 0, alpha, 1 - alpha)
    return -alpha_t * (1 - log_p.exp()) ** gamma * log_p


def mse_bce(logits: Tensor, target: Tensor) -> Tensor:
    """MSE/2 + cross-entropy (stfusion); the square error is the mean over classes."""
    p = logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)
    return (p - one_hot(target, logits)).square().mean(1) / 2 + cross_entropy(logits, target)


def one_hot(target: Tensor, logits: Tensor) -> Tensor:
    """Targets as (n, classes, row, col) of the logits' type; for a single logit the target itself."""
    classes = logits.shape[1]
    if classes == 1:
        return target.unsqueeze(1).to(logits.dtype)
    return functional.one_hot(target, classes).movedim(-1, 1).to(logits.dtype)


PIXEL_LOSSES: dict[str, Callable[..., Tensor]] = {
    "bce": bce,
    "cross_entropy": cross_entropy,
    "focal": focal,
    "mse_bce": mse_bce,
}


def cross_entropy_in_part(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of the softmax over what a label tells: -log(1 - p of landslides) where it says only that
    the ground is no landslide (code 254), as -log of the sum of p over all classes that it leaves open."""
    # Slices, since a list of codes would be sent to the device in every step, which waits for it.
    others = torch.cat([logits[:, :LANDSLIDE], logits[:, LANDSLIDE + 1 :]], 1)
    in_part = logits.logsumexp(1) - others.logsumexp(1)
    whole = functional.cross_entropy(logits, target, ignore_index=NOT_LANDSLIDE, reduction="none")
    return torch.where(target == NOT_LANDSLIDE, in_part, whole)


def make_loss(recipe: Recipe, in_part: bool = False) -> Callable[[Tensor, Tensor], Tensor]:
    """The recipe's pixel loss with its parameters, times `positive_weight` where the label is not 0.

    Args:
        in_part: whether labels tell classes in part (code 254).

    Raises:
        HeadscarpError: they do, and the recipe's loss or weights are not meant for it.
    """
    if in_part:
        recipe.require_fit_in_part()
        return cross_entropy_in_part
    pixel_loss = partial(PIXEL_LOSSES[recipe.loss], **recipe.loss_params)
    weight = recipe.positive_weight
    if weight is None:
        return pixel_loss
    return lambda logits, target: pixel_loss(logits, target) * torch.where(target > 0, weight, 1.0)


def masked_mean(losses: Tensor, mask: Tensor, counted: Tensor | None = None) -> Tensor:
    """Mean over the pixels whose mask is 1; 0 where there is none.

    `counted` is the sum of the masks of a whole batch, of which these are a part: the results of all parts
    add up to the batch's mean.
    """
    return (losses * mask).sum() / (mask.sum() if counted is None else counted).clamp(min=1)
