"""What decides a training run besides its data."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import cos, exp, pi, tanh

import torch
from torch import Tensor

from nowcastlib.networks import LOSSES, ModelConfig
from nowcastlib.units import RainScale

# scheduled sampling (Bengio et al. 2015, arXiv 1506.03099): done share of the schedule → probability of the truth. Each
# falls from 1 to exactly 0: a network that still sees the truth at the end has not been trained for what it is used for
DECAYS = {
    "linear": lambda done: 1 - done,
    "exponential": lambda done: (exp(-5 * done) - exp(-5)) / (1 - exp(-5)),
    "inverse-sigmoid": lambda done: (1 / (1 + exp(10 * done - 5)) - 1 / (1 + exp(5))) / tanh(2.5),
}
SCHEDULES = ("cosine", "step", "constant")
OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
PRECISIONS = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run besides its data. ValueError for what cannot be meant."""

    model: ModelConfig = field(default_factory=ModelConfig)
    scale: RainScale = field(default_factory=RainScale)
    n_in: int = 6  # frames that the network sees
    n_out: int = 6  # frames that it is trained to forecast
    curriculum: tuple[
        int, ...
    ] = ()  # frames to forecast, one length after the other, for like shares of the epochs
    curriculum_in: bool = False  # the frames to see grow along with those to forecast, up to n_in
    restart: bool = False  # optimiser and schedule begin anew with each length
    crop: int = 128  # px; side of the squares that it is trained on
    epochs: int = 10
    steps: int = 100  # batches in an epoch
    batch: int = 8  # windows in a batch, on each device
    optimiser: str = "adam"  # or adamw
    weight_decay: float = 0.0  # of adamw
    lr: float = 1e-3  # learning rate at its highest
    schedule: str = "cosine"  # of the learning rate: half a cosine to 0; "step": times gamma each epoch; "constant"
    gamma: float = 0.95  # of "step"
    warmup: float = 0.0  # share of the schedule in which the learning rate rises to lr
    loss: str = "balanced"  # bce, kl, mse, mae, ssim_mse, balanced; of a guided network exceedance, exceedance_alike
    strides: tuple[int, ...] = (1,)  # windows take every so-manieth frame, each stride counts alike
    vary: float = 0.0  # rain rates of a window are multiplied by e^N(0, vary): drizzle and cloudburst move alike
    least: int = 0  # a store with fewer training windows repeats them: in an epoch each gives one square only
    keep: str = "best"  # weights of the epoch with the lowest validation loss; or the "last" ones
    sampling: float = 0.0  # scheduled sampling: share of the run after which no true frame is fed while forecasting
    decay: str = "linear"  # of the probability of the truth; or exponential, inverse-sigmoid
    clip: float = 1.0  # largest norm of the gradient
    patience: int = (
        0  # stop after so many epochs at the last length without a better validation loss; 0: never
    )
    precision: str = (
        "auto"  # no (float32), bf16 or fp16; auto: bf16 where a short measurement finds it faster
    )
    compile: bool = False  # torch.compile the cells' steps: minutes at the start, can pay on a GPU
    seed: int = 0

    def __post_init__(self):
        choices = {"loss": LOSSES, "optimiser": OPTIMISERS, "schedule": SCHEDULES, "decay": DECAYS,
                   "precision": ["auto", *PRECISIONS], "keep": ["best", "last"]}  # fmt: skip
        for name, known in choices.items():
            if (value := getattr(self, name)) not in known:
                raise ValueError(f"unknown {name} {value!r}: choose one of {', '.join(known)}")
        for name in ("n_in", "n_out", "epochs", "steps", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 1 or more")
        if not self.lr > 0 or not self.clip > 0:
            raise ValueError(f"lr {self.lr} and clip {self.clip} must be above 0")
        for name in ("crop", "weight_decay", "patience", "vary", "least"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must not be below 0")
        if not 0 < self.gamma <= 1:
            raise ValueError(f"gamma {self.gamma} must be above 0 and at most 1")
        for name in ("sampling", "warmup"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"{name} {getattr(self, name)} is a share of the run: it must be within 0…1"
                )
        if self.loss == "ssim_mse" and 0 < self.crop < 11:
            raise ValueError(
                f"ssim_mse looks through windows of 11 px: a crop of {self.crop} is too small"
            )
        if self.weight_decay and self.optimiser != "adamw":
            raise ValueError("weight_decay needs the optimiser adamw")
        if not self.strides or min(self.strides) < 1:
            raise ValueError(f"strides {self.strides} must be numbers of 1 or more")
        if (self.model.kind == "guided") != self.loss.startswith("exceedance"):
            raise ValueError(
                "a guided network answers probabilities: it goes with the loss exceedance, and only it"
            )
        if self.model.kind == "guided" and self.n_in < 2:
            raise ValueError("one frame has no motion: a guided network needs n_in of 2 or more")
        if self.sampling and self.model.kind != "convedlstm":
            raise ValueError(
                f"a {self.model.kind} feeds no forecast back, there is nothing to sample: set sampling 0"
            )
        if self.curriculum and not 1 <= min(self.curriculum) <= max(self.curriculum) <= self.n_out:
            raise ValueError(
                f"the curriculum {self.curriculum} asks for lengths outside 1…n_out = {self.n_out}"
            )
        if len(self.curriculum) > self.epochs:
            raise ValueError(
                f"{self.epochs} epochs are too few for the {len(self.curriculum)} lengths of the curriculum"
            )
        if (self.curriculum_in or self.restart) and not self.curriculum:
            raise ValueError("curriculum_in and restart need a curriculum")

    def phase(self, epoch: float) -> int:
        """Which length of the curriculum an epoch has, counted from 0."""
        return int(epoch) * max(len(self.curriculum), 1) // self.epochs

    def length(self, epoch: float) -> int:
        """Frames to forecast in an epoch."""
        return self.curriculum[self.phase(epoch)] if self.curriculum else self.n_out

    def seen(self, epoch: float) -> int:
        """Frames to see in an epoch."""
        return min(self.length(epoch), self.n_in) if self.curriculum_in else self.n_in

    def truth(self, epoch: float) -> float:
        """Probability that a true frame is fed while forecasting; 1.5 is the middle of the second epoch."""
        done = epoch / (self.sampling * self.epochs) if self.sampling else 1
        return float(DECAYS[self.decay](done)) if done < 1 else 0.0

    def rate(self, epoch: float) -> float:
        """Learning rate; 1.5 is the middle of the second epoch."""
        run = range(self.epochs)
        mine = [e for e in run if self.phase(e) == self.phase(epoch)] if self.restart else run
        done = (epoch - mine[0]) / len(mine)
        rise = min(1.0, (done + 1 / (len(mine) * self.steps)) / self.warmup) if self.warmup else 1.0
        fall = {
            "cosine": (1 + cos(pi * done)) / 2,
            "step": self.gamma ** int(epoch - mine[0]),
            "constant": 1.0,
        }
        return self.lr * rise * fall[self.schedule]

    def criterion(self, epoch: float | None = None) -> Callable[[Tensor, Tensor], Tensor]:
        """The loss of logits and target; that of ``ssim_mse`` changes along the curriculum, None stands for its end."""
        phase = max(len(self.curriculum) - 1, 0) if epoch is None else self.phase(epoch)
        options = {"alpha": max(0.0, 1 - 0.05 * phase)} if self.loss == "ssim_mse" else {}
        return partial(LOSSES[self.loss], scale=self.scale, **options)

    @classmethod
    def from_dict(cls, d: dict) -> "TrainConfig":
        """The inverse of ``dataclasses.asdict`` (by way of JSON); a field it does not know raises TypeError."""
        tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in d.items()}
        model = {k: tuple(v) if isinstance(v, list) else v for k, v in d.get("model", {}).items()}
        return cls(
            **tuples | {"model": ModelConfig(**model), "scale": RainScale(**d.get("scale", {}))}
        )
