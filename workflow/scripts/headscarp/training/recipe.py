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
OPTIMISERS = ("adam", "sgd")
INITIALISATIONS = ("default", "positive_unit_ball")
PRECISIONS = ("auto", "float32", "bfloat16")
CLASS_WEIGHTS = ("balanced",)
# Settings of the pre-training of a deep belief network with their defaults.
PRETRAINING_DEFAULTS: dict[str, float] = {"epochs": 10, "pixels": 20000, "batch": 100, "learning_rate": 0.01}

AT_LEAST_ONE = ("batch", "steps_per_epoch", "patience", "micro_batch")
ABOVE_ZERO = ("learning_rate", "positive_weight")
NOT_NEGATIVE = ("weight_decay", "momentum", "jitter", "epochs")
OPTIONAL = ("steps_per_epoch", "patience", "positive_weight", "micro_batch")


@dataclass(frozen=True)
class Recipe:
    """A training recipe, checked when made.

    Attributes:
        loss: bce, cross_entropy, focal or mse_bce (MSE/2 + BCE); `loss_params`: alpha and gamma of focal.
        optimiser: adam or sgd (`momentum` is sgd's).
        schedule: constant, step (`every` steps times `factor`), cosine (down to `minimum`), one_cycle
            (`warm_up` share); `schedule_params`.
        batch: windows per step.
        epochs: 0 keeps the weights that the run starts from.
        steps_per_epoch: None is one pass over the training windows.
        patience: epochs without a lower validation loss before training stops and the best weights come back;
            None is never, last weights.
        augment: random flips and quarter turns.
        jitter: spread of a random gain and offset of every channel of a training window, in standard
            deviations; against shifts of light, season and height between places.
        positive_weight: factor on the loss of pixels whose label is not 0.
        class_weights: balanced weighs the cells of susceptibility, or the pixels of windows, so that all
            classes of the training samples count the same.
        precision: auto is bfloat16 where the device is fast in it.
        micro_batch: windows that go through the network at once, for batches beyond a device's memory; their
            gradients add up to that of the batch, but batch norms see the statistics of so many windows only.
            None is the whole batch.
        pretraining: of the network's deep belief network, layer by layer, before all of it is trained:
            `epochs` of each layer over `pixels` drawn from the training windows, `batch` of them per step,
            `learning_rate`. None is none.

    Raises:
        HeadscarpError: an unknown choice or a value out of range.
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
        for key, known in (
            ("loss", LOSSES),
            ("optimiser", OPTIMISERS),
            ("schedule", SCHEDULES),
            ("initialisation", INITIALISATIONS),
            ("precision", PRECISIONS),
        ):
            require_known(getattr(self, key), known, f"recipe.{key}:")
        if self.class_weights is not None:
            require_known(self.class_weights, CLASS_WEIGHTS, "recipe.class_weights:")
        if not isinstance(self.augment, bool):
            raise HeadscarpError(f"recipe.augment must be true or false, not {self.augment!r}")
        for key in AT_LEAST_ONE + ABOVE_ZERO + NOT_NEGATIVE:
            self._check_number(key)
        for key, known in (("loss", LOSSES), ("schedule", SCHEDULES)):
            self._complete(f"{key}_params", f"parameter of {getattr(self, key)}", known[getattr(self, key)])
        if self.pretraining is not None:
            self._complete("pretraining", "key", PRETRAINING_DEFAULTS)
            for key, value in self.pretraining.items():
                require_number(
                    f"recipe.pretraining.{key}",
                    value,
                    whole_from=None if key == "learning_rate" else 1,
                    above_zero=True,
                )

    def _check_number(self, key: str) -> None:
        value = getattr(self, key)
        if value is None and key in OPTIONAL:
            return
        whole_from = None
        if key in AT_LEAST_ONE:
            whole_from = 1
        elif key == "epochs":
            whole_from = 0
        require_number(f"recipe.{key}", value, whole_from, above_zero=key in ABOVE_ZERO)

    def _complete(self, key: str, what: str, defaults: dict[str, float]) -> None:
        given = getattr(self, key)
        if not isinstance(given, dict):
            raise HeadscarpError(
                f"recipe.{key} must be a mapping of {', '.join(defaults) or 'nothing'}, not {given!r}"
            )
        for name in given:
            require_known(name, defaults, f"recipe.{key}: {what}")
        object.__setattr__(self, key, defaults | given)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Recipe":
        """Make a recipe from the keys of a card; what is not given takes its default.

        Raises:
            HeadscarpError: an unknown key (the nearest one is named), an unknown choice or a value out of
                range.
        """
        for key in record:
            require_known(key, [f.name for f in fields(cls)], "recipe: key")
        return cls(**record)

    def to_record(self) -> dict[str, Any]:
        return asdict(self)


def require_number(name: str, value: Any, whole_from: int | None, above_zero: bool) -> None:
    """Refuse what is not a number; with `whole_from`, not a whole one from there on; else below 0 or, if it
    must be above, 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        # YAML 1.1 reads 1e-4, without a point, as text.
        raise HeadscarpError(f"{name} must be a number, not {value!r}; in YAML write 1.0e-4, with the point")
    if whole_from is not None and not (value >= whole_from and value % 1 == 0):
        raise HeadscarpError(f"{name} must be a whole number from {whole_from} on, not {value}")
    if not (value > 0 if above_zero else value >= 0):
        raise HeadscarpError(f"{name} must not be {value}; give a positive number")
