"""Configuration of a training run besides its data. Imports no torch.

``TrainConfig`` consists of parts; each part belongs to one concern. All field names are unique
across the parts, so that ``TrainConfig.changed`` and the command line can use them without naming
the part.
"""

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Literal

from nowcastlib.data import ClipOptions, WindowOptions
from nowcastlib.networks import (
    CONFIGS,
    FRAME_LOSSES,
    SSIM_WINDOW,
    ConvEDLSTMConfig,
    NetworkConfig,
    check_choices,
    config_class,
    option_names,
)
from nowcastlib.units import ModelScale

LEADS_OF_LABELS = 12  # default of n_out for a classifier: its labels look this far ahead


@dataclass(frozen=True)
class RolloutConfig:
    """How far the network forecasts in each epoch, and what is fed back to it meanwhile."""

    # numbers of frames to forecast, one after the other, each for an equal share of the epochs;
    # none: always n_out
    curriculum: tuple[int, ...] = ()
    # the number of input frames grows with the forecast length, up to n_in
    curriculum_in: bool = False
    restart: bool = False  # optimiser and learning-rate schedule restart with each length
    # scheduled sampling: feed true frames back during this first share of the run; 0: never
    sampling: float = 0.0
    # decay of the probability of a true frame
    decay: Literal["linear", "exponential", "inverse-sigmoid"] = "linear"

    def __post_init__(self):
        check_choices(self)
        _check_share(self, "sampling")
        if self.curriculum and min(self.curriculum) < 1:
            raise ValueError(f"curriculum {self.curriculum}: each length must be 1 or more")
        if not self.curriculum:
            _check_unused(self, ("curriculum_in", "restart"), "a curriculum")
        if len(self.curriculum) == 1:
            _check_unused(self, ("restart",), "a curriculum of two lengths or more")
        if not self.sampling:
            _check_unused(self, ("decay",), "sampling above 0")


@dataclass(frozen=True)
class OptimisationConfig:
    """What is minimised, and by which steps."""

    # bce, kl, mse, mae, ssim_mse or balanced; of a network that gives probabilities: exceedance or
    # exceedance_unbalanced or exceedance_areas; of a classifier: label_bce
    loss: Literal[
        "balanced",
        "bce",
        "kl",
        "mse",
        "mae",
        "ssim_mse",
        "exceedance",
        "exceedance_unbalanced",
        "exceedance_areas",
        "label_bce",
    ] = "balanced"
    weight_decay: float = 0.0  # weight decay (AdamW); 0: Adam
    l1: float = 0.0  # the training loss adds l1 times the sum of all |w| of kernels and matrices
    l2: float = 0.0  # the training loss adds l2 times the sum of their squares
    pos_weight: float = 1.0  # classifier: weight of the clips with the label 1 in the loss
    lr: float = 1e-3  # highest learning rate
    # learning rate. cosine: falls to 0; step: times gamma after each epoch; constant
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    gamma: float = 0.95  # factor of the schedule "step"
    warmup: float = 0.0  # share of the schedule in which the learning rate rises to lr
    clip: float = 1.0  # largest norm of the gradient; 0: any
    # decay of an average of the weights over the steps, which then replaces them; 0: no average
    average: float = 0.0

    def __post_init__(self):
        check_choices(self)
        _check_share(self, "warmup")
        if not 0 <= self.average < 1:
            raise ValueError(f"average {self.average} must be 0 or more and below 1")
        if not self.lr > 0:
            raise ValueError(f"lr {self.lr} must be above 0")
        if not self.clip >= 0:
            raise ValueError(f"clip is {self.clip}: it must not be below 0")
        for name in ("weight_decay", "l1", "l2"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must not be below 0")
        if not self.pos_weight > 0:
            raise ValueError(f"pos_weight is {self.pos_weight}: it must be above 0")
        if not 0 < self.gamma <= 1:
            raise ValueError(f"gamma {self.gamma} must be above 0 and at most 1")
        if self.schedule != "step":
            _check_unused(self, ("gamma",), "the schedule step")


@dataclass(frozen=True)
class RunConfig:
    """How long, how fast, and which result is kept."""

    epochs: int = 10  # each epoch trains on a number of batches, then validates
    steps: int = 100  # batches in an epoch
    batch: int = 8  # windows in a batch, on each device
    # stop after this number of epochs at the last length without a better validation loss; 0: never
    patience: int = 0
    keep: Literal["best", "last"] = "best"  # weights of the epoch with the lowest validation loss
    # no (float32), bf16 or fp16; auto: bf16 where a short measurement finds it faster
    precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    compile: bool = False  # torch.compile the cells: takes minutes at the start, can pay on a GPU
    # random seed for the initial weights, the windows and the coins of scheduled sampling
    seed: int = 0

    def __post_init__(self):
        check_choices(self)
        for name in ("epochs", "steps", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 1 or more")
        for name in ("patience", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must not be below 0")


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run besides its data.

    Raises
    ------
    ValueError
        For invalid or contradictory settings, and for options that would have no effect.

    Examples
    --------
    >>> config = TrainConfig().changed(epochs=2, hidden=(8, 8), kernel=(3, 3))
    >>> config.run.epochs, config.model.hidden
    (2, (8, 8))
    """

    model: NetworkConfig = field(default_factory=ConvEDLSTMConfig)  # the network
    scale: ModelScale = field(default_factory=ModelScale)  # rain rate to model units
    windows: WindowOptions = field(default_factory=WindowOptions)  # windows of frames
    clips: ClipOptions = field(default_factory=ClipOptions)  # labels of clips, for a classifier
    rollout: RolloutConfig = field(default_factory=RolloutConfig)  # curriculum and sampling
    optimisation: OptimisationConfig = field(default_factory=OptimisationConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self):
        self._check_clips()
        self._check_network()
        self._check_curriculum()
        self._check_size()

    def _check_network(self) -> None:
        """Raise ValueError if loss, windows or sampling do not suit the network."""
        model = self.model
        loss = self.optimisation.loss
        if loss not in model.losses:
            raise ValueError(
                f"the loss {loss} does not suit a {model.kind} network: "
                f"choose one of {', '.join(model.losses)}"
            )
        self._check_channels()
        if self.windows.n_in < model.fewest_frames:
            raise ValueError(
                f"n_in is {self.windows.n_in}: a {model.kind} network needs "
                f"{model.fewest_frames} input frames or more"
            )
        if not self.rollout.sampling:
            return
        if not model.feeds_back:
            raise ValueError(
                f"a {model.kind} network feeds no forecast back, so there is nothing to sample: "
                "set sampling to 0"
            )
        if max(self.rollout.curriculum, default=self.windows.n_out) == 1:
            raise ValueError(
                "a forecast of one frame feeds nothing back, so there is nothing to sample: set "
                "sampling to 0"
            )

    def _check_channels(self) -> None:
        """Raise ValueError if network, loss or scale are for rain, and the frames are colours."""
        model, loss = self.model, self.optimisation.loss
        if self.windows.channels == 1:
            return
        if model.classifies or model.gives_probabilities:
            kinds = [kind for kind, other in CONFIGS.items() if other.losses == FRAME_LOSSES]
            raise ValueError(
                f"a {model.kind} network is for rain, one channel: choose {', '.join(kinds)} for "
                "colours"
            )
        if loss == "balanced":
            raise ValueError(
                "the loss balanced weighs rain rates: choose mse, mae, bce, kl or ssim_mse for "
                "colours (--config.loss mse)"
            )
        if self.scale != ModelScale():
            raise ValueError("rate0 and rate_max are the scale of rain: leave them for colours")

    def _check_clips(self) -> None:
        """Raise ValueError for labels without a classifier, or options that it has no use for."""
        kind, windows = self.model.kind, self.windows
        if not self.model.classifies:
            if self.clips != ClipOptions():
                raise ValueError(
                    f"labels of clips are for a classifier: a {kind} network has no use for them"
                )
            if self.optimisation.pos_weight != 1:
                raise ValueError(
                    f"pos_weight is for a classifier: leave it at 1 with a {kind} network"
                )
            return
        if self.rollout != RolloutConfig():
            raise ValueError(
                "a classifier forecasts no frames: leave out curriculum, restart and sampling"
            )
        self.clips.check(windows)

    def _check_curriculum(self) -> None:
        curriculum = self.rollout.curriculum
        if not curriculum:
            return
        if max(curriculum) > self.windows.n_out:
            raise ValueError(
                f"the curriculum {curriculum} exceeds n_out = {self.windows.n_out} frames"
            )
        if len(curriculum) > self.run.epochs:
            raise ValueError(
                f"{self.run.epochs} epochs are too few for the {len(curriculum)} lengths of the "
                "curriculum"
            )
        if not self.rollout.curriculum_in:
            return
        if min(curriculum) >= self.windows.n_in:
            raise ValueError(
                f"curriculum_in has no effect here: it needs a length of the curriculum below n_in "
                f"= {self.windows.n_in}"
            )
        if min(curriculum) < self.model.fewest_frames:
            raise ValueError(
                f"curriculum_in would give {min(curriculum)} input frames: a {self.model.kind} "
                f"network needs {self.model.fewest_frames} or more"
            )

    def _check_size(self) -> None:
        crop = self.windows.crop
        if self.optimisation.loss == "ssim_mse" and 0 < crop < SSIM_WINDOW:
            raise ValueError(
                f"ssim_mse needs windows of {SSIM_WINDOW} px: a crop of {crop} is too small"
            )
        size = self.model.fixed_size
        if size and crop and size != crop:
            raise ValueError(
                f"the network works at its size of {size} px only, but crop is {crop}: "
                "set both to the same value"
            )

    def changed(self, **changes) -> "TrainConfig":
        """A copy with other values, by the names of fields; the part need not be named.

        Parameters
        ----------
        **changes
            Fields of any part, such as ``epochs=2``, or whole parts, such as ``model=…``.

        Raises
        ------
        ValueError
            For a name that no part has, and for invalid or contradictory settings.
        """
        parts = {f.name: changes.pop(f.name, getattr(self, f.name)) for f in fields(self)}
        by_part: dict[str, dict] = {name: {} for name in parts}
        for name, value in changes.items():
            by_part[_part_with(parts, name)][name] = value
        return TrainConfig(**{name: replace(part, **by_part[name]) for name, part in parts.items()})


def default_config(kind: str) -> TrainConfig:
    """Valid defaults to train a kind of network.

    The loss is the network's first; the crop is the network's size where it works at one size only.
    """
    model = config_class(kind)()
    crop = model.fixed_size or WindowOptions().crop
    n_out = LEADS_OF_LABELS if model.classifies else WindowOptions().n_out
    return TrainConfig().changed(model=model, loss=model.losses[0], crop=crop, n_out=n_out)


def to_dict(config: TrainConfig) -> dict:
    """A configuration as plain dictionaries for JSON; ``from_dict`` is the inverse."""
    written = asdict(config)
    written["model"] = {"kind": config.model.kind} | written["model"]
    if not config.model.classifies:
        del written["clips"]
    return written


def from_dict(written: dict) -> TrainConfig:
    """A configuration from the dictionaries of ``to_dict``; missing fields have their defaults.

    Raises
    ------
    ValueError
        For unknown fields, and for invalid or contradictory settings.
    """
    parts = {f.name: getattr(TrainConfig(), f.name) for f in fields(TrainConfig)}
    given = {name: dict(options) for name, options in written.items()}
    if unknown := given.keys() - parts.keys():
        raise ValueError(f"unknown parts of a configuration: {', '.join(sorted(unknown))}")

    parts["model"] = config_class(given.get("model", {}).pop("kind", ConvEDLSTMConfig.kind))()
    for part, options in given.items():
        for name, value in options.items():
            _part_with({part: parts[part]}, name)
            options[name] = tuple(value) if isinstance(value, list) else value
        parts[part] = replace(parts[part], **options)
    return TrainConfig(**parts)


def _part_with(parts: dict, name: str) -> str:
    """The part that has a field. Raises ValueError, naming the option, if none has it."""
    for part, config in parts.items():
        if name in option_names(config):
            return part
    kinds = [kind for kind, config in CONFIGS.items() if name in option_names(config)]
    if kinds and "model" in parts:
        raise ValueError(
            f"{parts['model'].kind} has no option {name}; it belongs to {', '.join(kinds)}"
        )
    raise ValueError(f"there is no option {name}")


def _check_share(config, name: str) -> None:
    value = getattr(config, name)
    if not 0 <= value <= 1:
        raise ValueError(f"{name} {value} is a share of the run: it must be within 0…1")


def _check_unused(config, names: tuple[str, ...], needed: str) -> None:
    """Raise ValueError if a field without effect differs from its default."""
    defaults = {f.name: f.default for f in fields(config)}
    for name in names:
        if getattr(config, name) != defaults[name]:
            raise ValueError(f"{name} has no effect here: it needs {needed}")
