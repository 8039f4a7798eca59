"""How a network is trained: loss, optimiser, schedule, lengths."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from headscarp.errors import HeadscarpError
from headscarp.vocabulary import require_known

# Each choice with its parameters and their defaults. Focal: Lin et al. 2017. Step: xia2021's "x0.1 every
# 15,000 steps".
LOSSES: dict[str, dict[str, float]] = {
    "bce": {},
    "cross_entropy": {},
    "focal": {"alpha": 0.25, "gamma": 2.0},
    "mse_bce": {},
}
SCHEDULES: dict[str, dict[str, float]] = {
    "constant": {},
    "step": {"every": 15000, "factor": 0.1},
    "cosine": {"minimum": 0.0},
    "one_cycle": {"warm_up": 0.3},
}
# Settings of the pre-training of a deep belief network with their defaults.
PRETRAINING_DEFAULTS: dict[str, float] = {"epochs": 10, "pixels": 20000, "batch": 100, "learning_rate": 0.01}


# What other settings may be; a wrong word would go by unseen.
CHOICES: dict[str, tuple[str | None, ...]] = {
    "optimiser": ("adam", "sgd"),
    "initialisation": ("default", "positive_unit_ball"),
    "precision": ("auto", "float32", "bfloat16"),
    "class_weights": ("balanced", None),
}


@dataclass(frozen=True)
class Recipe:
    """A training recipe.

    The plan checks records of cards against their schema (section `training`); here what depends on the loss
    and the schedule is checked.

    Attributes:
        loss: bce, cross_entropy, focal or mse_bce (MSE/2 + BCE); `loss_params`: alpha and gamma of focal.
        optimiser: adam or sgd (`momentum` is sgd's).
        schedule: constant, step (`every` steps times `factor`), cosine (down to `minimum`), one_cycle
            (`warm_up` share); `schedule_params`.
        batch: windows per step.
        epochs: 0 keeps the weights that the run starts from.
        steps_per_epoch: None is one pass over the training windows.
        patience: epochs without a higher validation score before training stops; None is never.
        augment: random flips and quarter turns of training windows, aspect turned with them.
        jitter: spread of a random gain and offset of every channel of a training window, in standard
            deviations; against shifts of light, season and height between places.
        positive_weight: factor on the loss of pixels whose label is not 0.
        class_weights: balanced weighs the cells of susceptibility, or the pixels of windows, so that all
            classes of the training samples count the same.
        precision: auto is bfloat16 on CUDA, float32 on every CPU.
        micro_batch: windows that go through the network at once, for batches beyond a device's memory; their
            gradients add up to that of the batch, but batch norms see the statistics of so many windows only.
            None is the whole batch.
        pretraining: of the network's deep belief network, layer by layer, before all of it is trained:
            `epochs` of each layer over `pixels` drawn from the training windows, `batch` of them per step,
            `learning_rate`. None is none.

    Raises:
        HeadscarpError: an unknown word, or a parameter that is not that of the loss or schedule.
    """

    loss: str = "bce"
    loss_params: dict[str, float] = field(default_factory=dict)
    optimiser: str = "adam"
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    momentum: float = 0.9
    schedule: str = "constant"
    schedule_params: dict[str, float] = field(default_factory=dict)
    batch: int = 2
    epochs: int = 100
    steps_per_epoch: int | None = None
    patience: int | None = None
    augment: bool = False
    jitter: float = 0.0
    initialisation: str = "default"
    precision: str = "auto"
    positive_weight: float | None = None
    class_weights: str | None = None
    micro_batch: int | None = None
    pretraining: dict[str, float] | None = None

    def __post_init__(self) -> None:
        for key, words in CHOICES.items():
            if getattr(self, key) is not None or None not in words:
                require_known(getattr(self, key), filter(None, words), f"recipe, {key}:")
        for key, known in (("loss", LOSSES), ("schedule", SCHEDULES)):
            name = require_known(getattr(self, key), known, f"recipe, {key}:")
            given = getattr(self, f"{key}_params")
            for parameter in given:
                require_known(parameter, known[name], f"recipe, {key}_params: parameter of {name}")
            object.__setattr__(self, f"{key}_params", known[name] | given)
        if self.pretraining is not None:
            object.__setattr__(self, "pretraining", PRETRAINING_DEFAULTS | self.pretraining)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Recipe":
        """Make a recipe from the keys of a card; what is not given takes its default.

        Raises:
            HeadscarpError: as the class, or an unknown key (the nearest one is named).
        """
        for key in record:
            require_known(key, [one.name for one in fields(cls)], "recipe: key")
        return cls(**record)

    def require_fit_in_part(self) -> None:
        """Refuse what has no meaning where labels say of some ground only that it is no landslide.

        Raises:
            HeadscarpError: the loss is another than the cross-entropy, or classes are weighed.
        """
        if self.loss != "cross_entropy" or self.positive_weight or self.class_weights:
            raise HeadscarpError(
                "labels that say of some ground only that it is no landslide need `loss: cross_entropy`, "
                "without positive_weight and class_weights"
            )

    def to_record(self) -> dict[str, Any]:
        return asdict(self)
