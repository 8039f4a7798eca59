"""How well a network does on its validation windows while it is trained."""

import torch
from torch import Tensor

from headscarp.codes import LANDSLIDE

NOT_COUNTED = -1.0  # no probability: picking those that count from a batch would wait for the device


class ValidationScore:
    """Average precision of the landslides, or, of more than two classes, the mean F1 of those that occur.

    A loss may fall, or rise, for long after the order of probabilities has settled, and accuracy of rare
    landslides is that of an empty map: neither says when a network has learned. Nothing waits for a device
    before `value`.
    """

    def __init__(self) -> None:
        self._probability: list[Tensor] = []
        self._truth: list[Tensor] = []
        self._confusion: Tensor | float = 0.0

    def add(self, logits: Tensor, target: Tensor, counted: Tensor) -> None:
        """Count logits (n, output, row, col) or (n, output) and the classes of their targets where the mask
        `counted` is true."""
        outputs = logits.shape[1]
        if outputs > 2:
            told = target.long().clamp(max=outputs)  # one more row: no landslide, class not told
            codes = (told * outputs + logits.argmax(1)).flatten()
            if not isinstance(self._confusion, Tensor):
                self._confusion = torch.zeros(
                    outputs * (outputs + 1), dtype=torch.float64, device=logits.device
                )
            self._confusion.scatter_add_(0, codes, counted.flatten().double())
            return
        probability = logits.sigmoid()[:, 0] if outputs == 1 else logits.softmax(1)[:, LANDSLIDE]
        self._probability.append(probability.masked_fill(~counted, NOT_COUNTED).flatten())
        self._truth.append((target == LANDSLIDE).flatten())

    def value(self) -> float | None:
        """Between 0 and 1; None without a landslide, or without a class."""
        if not self._truth:
            return mean_f1(self._confusion) if isinstance(self._confusion, Tensor) else None
        probability = torch.cat(self._probability)
        counted = probability != NOT_COUNTED
        return average_precision(probability[counted], torch.cat(self._truth)[counted])


def average_precision(probability: Tensor, truth: Tensor) -> float | None:
    """Sum of precision times step in recall over the distinct probabilities (n,); None without a true one."""
    if not truth.any():
        return None
    ordered, order = probability.sort(descending=True)
    found = truth[order].double().cumsum(0)
    last = torch.cat([ordered[1:] != ordered[:-1], ordered.new_ones(1, dtype=torch.bool)]).nonzero()[:, 0]
    found = found[last]
    step = found.diff(prepend=found.new_zeros(1))
    return float((found / (last + 1) * step).sum() / found[-1])


def mean_f1(confusion: Tensor) -> float | None:
    """Mean F1 of the classes that the truth holds, of counts ((classes + 1) * classes,), rows the truth; the
    last row is ground that is no landslide, of which nothing else is told."""
    classes = int(confusion.numel() ** 0.5)
    table = confusion.reshape(classes + 1, classes)
    square = table[:classes]
    right, true, mapped = square.diagonal(), square.sum(1), square.sum(0)
    mapped[LANDSLIDE] += table[classes, LANDSLIDE]
    present = true > 0
    return float((2 * right / (true + mapped))[present].mean()) if present.any() else None
