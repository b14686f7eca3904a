"""Training: one visible loop, on Hugging Face accelerate, for one CPU, one GPU or many."""

import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from time import monotonic

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset, RandomSampler, WeightedRandomSampler
from tqdm.auto import tqdm

from . import NowcastError
from .losses import LOSSES
from .models import ModelConfig, build
from .store import write
from .units import RainScale


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run besides its data."""

    model: ModelConfig = field(default_factory=ModelConfig)
    scale: RainScale = field(default_factory=RainScale)
    n_in: int = 6  # frames that the network sees
    n_out: int = 6  # frames that it is trained to forecast
    curriculum: tuple[int, ...] = ()  # frames to forecast, one length after the other, for like shares of the epochs
    crop: int = 128  # px; side of the squares that it is trained on
    epochs: int = 10
    steps: int = 100  # batches in an epoch
    batch: int = 8  # windows in a batch, on each device
    lr: float = 1e-3  # Adam's learning rate at the start; it falls to 0 along half a cosine
    loss: str = "balanced"  # bce, mse, mae or balanced
    sampling: float = 0.0  # scheduled sampling: share of the run after which no true frame is fed while forecasting
    clip: float = 1.0  # largest norm of the gradient
    precision: str = "no"  # no (float32), bf16 or fp16; "bf16" pays on GPUs and on CPUs with AVX512-BF16 or AMX
    seed: int = 0

    def __post_init__(self):
        if self.loss not in LOSSES:
            raise ValueError(f"unknown loss {self.loss!r}: choose one of {', '.join(LOSSES)}")
        if self.sampling and self.model.kind != "convedlstm":
            raise ValueError(f"a {self.model.kind} feeds no forecast back, there is nothing to sample: set sampling 0")
        if max(self.curriculum, default=0) > self.n_out:
            raise ValueError(f"the curriculum {self.curriculum} asks for more frames than n_out = {self.n_out}")

    def length(self, epoch: int) -> int:
        """Frames to forecast in an epoch."""
        lengths = self.curriculum or (self.n_out,)
        return lengths[min(epoch * len(lengths) // max(self.epochs, 1), len(lengths) - 1)]

    def truth(self, epoch: int) -> float:
        """Probability that a true frame is fed while forecasting: falls linearly to 0."""
        return max(0.0, 1 - epoch / (self.sampling * self.epochs)) if self.sampling else 0.0

    @classmethod
    def from_dict(cls, d: dict) -> "TrainConfig":
        """The inverse of ``dataclasses.asdict`` (by way of JSON); a field it does not know raises TypeError."""
        tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in d.items()}
        model = {k: tuple(v) if isinstance(v, list) else v for k, v in d.get("model", {}).items()}
        return cls(**tuples | {"model": ModelConfig(**model), "scale": RainScale(**d.get("scale", {}))})


def fit(
    config: TrainConfig,
    train: Dataset,
    validation: Dataset,
    out: str | Path,
    resume: bool = False,
    data: str = "",
    progress: bool = True,
    on_epoch: Callable[[pd.DataFrame], None] = lambda history: None,
) -> tuple[nn.Module, pd.DataFrame]:
    """Train a network; return the best model (by validation loss, in free rollout) and the history.

    Samples are (n_in + n_out, C, H, W) in model units, NaN = not observed. The history has one row an epoch:
    ``epoch, length, truth, train, validation, seconds``; ``on_epoch`` is called with it. After each epoch ``out``
    holds the best weights (``model.safetensors``, ``config.json``, ``history.csv``) and the last state
    (``last.pt``), from which ``resume`` carries on exactly. ``data`` says in words what was trained on.

    Raises NowcastError if ``out`` holds another run, if there is nothing to resume, or if the loss is not finite.
    """
    out = Path(out)
    accelerator = Accelerator(mixed_precision=config.precision, cpu=not torch.cuda.is_available())
    set_seed(config.seed)
    model = build(config.model)
    optimiser = torch.optim.Adam(model.parameters(), lr=config.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.epochs * config.steps)
    history = _resume(out, config, model, optimiser, schedule) if resume else _start(out, config, data)

    model, optimiser = accelerator.prepare(model, optimiser)
    bar = tqdm(total=config.epochs * config.steps, initial=len(history) * config.steps, disable=not progress)
    for epoch in range(len(history), config.epochs):
        began, length, losses = monotonic(), config.length(epoch), []
        model.train()
        for frames, coins in _batches(config, train, epoch, accelerator):
            x, y = torch.nan_to_num(frames[:, : config.n_in]), frames[:, config.n_in : config.n_in + length]
            with accelerator.autocast():
                logits = model(x, length, torch.nan_to_num(y), coins)
            loss = LOSSES[config.loss](logits.float(), y, config.scale)
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(model.parameters(), config.clip)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad()
            losses.append(loss.item())
            if not np.isfinite(losses[-1]):
                where = f"epoch {epoch}, batch {len(losses) - 1}"
                raise NowcastError(f"the loss is {losses[-1]} at {where}: lower lr; {out} keeps the last good weights")
            bar.set_description(f"epoch {epoch + 1}/{config.epochs} loss {np.mean(losses[-20:]):.4f}", refresh=False)
            bar.update()
        score = validate(model, config, validation, accelerator)
        row = (epoch, length, config.truth(epoch), float(np.mean(losses)), score)
        history.append(dict(zip(HISTORY, row, strict=False)))
        history[-1]["seconds"] = monotonic() - began
        if accelerator.is_main_process:
            _save(out, config, accelerator.unwrap_model(model), optimiser, schedule, history)
        on_epoch(pd.DataFrame(history, columns=HISTORY))
    bar.close()
    best = build(config.model)
    best.load_state_dict(load_file(out / "model.safetensors"))
    return best.eval(), pd.DataFrame(history, columns=HISTORY)


HISTORY = ["epoch", "length", "truth", "train", "validation", "seconds"]


@torch.no_grad()
def validate(model, config: TrainConfig, dataset: Dataset, accelerator: Accelerator | None = None) -> float:
    """Mean loss over a dataset in free rollout to ``config.n_out`` frames."""
    accelerator = accelerator or Accelerator(cpu=not torch.cuda.is_available())
    model.eval()
    losses, sizes = [], []
    for frames in DataLoader(dataset, config.batch):
        frames = frames.to(accelerator.device)
        with accelerator.autocast():
            logits = model(torch.nan_to_num(frames[:, : config.n_in]), config.n_out)
        losses.append(LOSSES[config.loss](logits.float(), frames[:, config.n_in :], config.scale).item())
        sizes.append(len(frames))
    return float(np.average(losses, weights=sizes))


def _batches(config: TrainConfig, dataset: Dataset, epoch: int, accelerator: Accelerator):
    """The epoch's batches and coins; both depend on nothing but seed, epoch and device, so that resuming is exact."""
    for part in dataset.datasets if isinstance(dataset, ConcatDataset) else [dataset]:
        part.epoch = epoch
    generator = torch.Generator().manual_seed(
        int(np.random.default_rng([config.seed, epoch, accelerator.process_index]).integers(2**31))
    )
    n, truth = config.steps * config.batch, config.truth(epoch)
    if isinstance(dataset, ConcatDataset):  # every store counts alike, however long it is
        weights = np.concatenate([np.full(len(part), 1 / len(part)) for part in dataset.datasets])
        sampler = WeightedRandomSampler(weights, n, generator=generator)
    else:
        sampler = RandomSampler(dataset, True, n, generator=generator)
    for frames in DataLoader(dataset, config.batch, sampler=sampler):
        coins = torch.rand(len(frames), config.n_out - 1, generator=generator) < truth if truth else None
        yield frames.to(accelerator.device), None if coins is None else coins.to(accelerator.device)


def _start(out: Path, config: TrainConfig, data: str) -> list[dict]:
    if any((out / name).exists() for name in ("model.safetensors", "last.pt")):  # else killed in its first epoch
        raise NowcastError(f"{out} already holds a run: resume it, or train into another folder")
    write(out / "config.json", json.dumps({"config": asdict(config), "data": data}, indent=1).encode())
    return []


def _resume(out: Path, config: TrainConfig, model, optimiser, schedule) -> list[dict]:
    if not (out / "last.pt").exists():
        raise NowcastError(f"{out} holds no run to resume: train without resuming")
    then = load_config(out)
    if then != config:
        other = [f.name for f in fields(config) if getattr(then, f.name) != getattr(config, f.name)]
        raise NowcastError(f"{out} was trained with another {', '.join(other)}: resume with the same configuration")
    try:
        state = torch.load(out / "last.pt", weights_only=True)
        model.load_state_dict(state["model"])
    except Exception as error:  # whatever a broken file makes torch raise, the user's remedy is the same
        raise NowcastError(f"{out / 'last.pt'} is not a whole checkpoint ({error}): train without resuming") from error
    optimiser.load_state_dict(state["optimiser"])
    schedule.load_state_dict(state["schedule"])
    return state["history"]


def _save(out: Path, config: TrainConfig, model, optimiser, schedule, history: list[dict]) -> None:
    weights = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    if history[-1]["validation"] <= min(h["validation"] for h in history):
        write(out / "model.safetensors", save(weights))
    write(out / "history.csv", pd.DataFrame(history, columns=HISTORY).to_csv(index=False).encode())
    state = {"model": weights, "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()}
    buffer = io.BytesIO()
    torch.save(state | {"history": history}, buffer)
    write(out / "last.pt", buffer.getvalue())


def load_config(run: Path) -> TrainConfig:
    """The configuration of a run's folder. Raises NowcastError if it is missing or foreign."""
    try:
        return TrainConfig.from_dict(json.loads((run / "config.json").read_text())["config"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NowcastError(f"{run} holds no readable config.json ({error}): name a folder made by train") from error


def load(run: str | Path) -> tuple[nn.Module, TrainConfig]:
    """The best weights of a run's folder, ready to forecast. Raises NowcastError, naming the file."""
    run = Path(run)
    config = load_config(run)
    model = build(config.model)
    try:
        model.load_state_dict(load_file(run / "model.safetensors"))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise NowcastError(f"{run / 'model.safetensors'} cannot be loaded ({error}): train again") from error
    return model.eval(), config
