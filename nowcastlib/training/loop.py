"""Training: one visible loop, on Hugging Face accelerate, for one CPU, one GPU or many."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from nowcastlib.errors import NowcastError
from nowcastlib.networks import (
    LOSSES,
    ForecastNetwork,
    build,
    compile_cells,
    network_input,
    ssim_mse,
)
from nowcastlib.training import checkpoint, schedules
from nowcastlib.training.batches import batches, check_datasets, part_of_process
from nowcastlib.training.checkpoint import TrainingState
from nowcastlib.training.config import TrainConfig
from nowcastlib.training.memory import explain_lack_of_memory
from nowcastlib.training.precision import autocast, keep_memory, settle_precision
from nowcastlib.training.progress import ProgressBar, tensorboard_logger
from nowcastlib.training.scale_of_data import trained_scale

Criterion = Callable[[Tensor, Tensor], Tensor]  # logits, target → loss


@dataclass(frozen=True)
class FitOptions:
    """How ``fit`` runs; nothing here changes what is learned, except ``start``.

    Raises NowcastError for ``start`` together with ``resume``.
    """

    resume: bool = False  # carry on an interrupted run
    start: str | Path | None = None  # folder of a run from whose weights to start
    description: str = ""  # of the data, in words; written into config.json
    test: Dataset | None = None  # its loss is written into the history and decides nothing
    workers: int = 0  # processes that load batches beside the training
    progress: bool = True  # show a progress bar
    tensorboard: bool = False  # log the losses to OUT/tensorboard
    on_epoch: Callable[[pd.DataFrame], None] | None = None  # is called with the history

    def __post_init__(self):
        if self.resume and self.start:
            raise NowcastError(
                f"a resumed run carries on with its own weights, not with those of {self.start}: "
                "leave out start"
            )


@explain_lack_of_memory
@checkpoint.one_run_at_a_time
def fit(
    config: TrainConfig,
    train: Dataset,
    validation: Dataset,
    out: str | Path,
    options: FitOptions = FitOptions(),
) -> tuple[ForecastNetwork, pd.DataFrame]:
    """Train a network.

    Parameters
    ----------
    config : TrainConfig
    train, validation : Dataset
        Samples (n_in + n_out, C, H, W) in model units, NaN = not observed.
    out : str or Path
        Folder of the run. After each epoch it holds the weights to keep (``model.safetensors``),
        ``config.json``, ``history.csv``, the loss of each batch (``batches.csv``) and the last
        state (``last.pt``), from which ``options.resume`` carries on exactly.
    options : FitOptions

    Returns
    -------
    network : ForecastNetwork
        With the weights to keep: those of the epoch with the lowest validation loss, or the last.
    history : DataFrame
        One row an epoch: epoch, length, truth, lr, train, validation, test,
        validation_at_length, test_at_length, seconds. The losses ``validation`` and ``test`` are
        those of ``n_out`` frames, the others those of the ``length`` frames of this epoch.

    Raises
    ------
    NowcastError
        If ``out`` holds another run, or another process trains into it; if there is nothing to
        resume, or it was trained on other data; if a dataset is empty or its samples do not fit the
        network; if a batch does not fit into memory; if the loss is not finite.

    Notes
    -----
    Under ``accelerate launch`` each process takes its part of every batch: ``batch`` samples of
    ``batch · processes``.
    """
    out = Path(out)
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    config, state = _prepare(config, (train, validation), out, options, accelerator.device)
    network = accelerator.prepare(state.model)
    observers = _observers(out, options, accelerator)
    bar = _progress_bar(config, state, options, accelerator)

    for epoch in range(len(state.history), config.run.epochs):
        if schedules.out_of_patience(config, state.history):
            break
        if config.rollout.restart and schedules.starts_new_length(config, epoch):
            state.optimiser.state.clear()
        began = monotonic()
        losses: list[float] = []
        loss_of = criterion(config, epoch)

        network.train()
        for time, frames, coins in batches(config, train, epoch, accelerator, options.workers):
            x, target = _split(config, frames, epoch)
            with autocast(config, accelerator):
                logits = network(x, target.shape[1], torch.nan_to_num(target), coins)
            loss = loss_of(logits.float(), target)
            accelerator.backward(state.scaler.scale(loss))
            _update_weights(config, state, time)

            mean_loss = accelerator.reduce(loss.detach(), "mean").item()
            losses.append(_finite(mean_loss, f"epoch {epoch}, batch {len(losses)}", out))
            bar.step(epoch, losses)

        row = _settings(config, epoch) | {"train": float(np.mean(losses))}
        row |= _scores(config, state.model, (validation, options.test), accelerator, epoch)
        _finite(row["validation"], f"epoch {epoch}, validation", out)
        state.add_epoch(row | {"seconds": monotonic() - began}, losses)

        if accelerator.is_main_process:
            checkpoint.save_state(out, config, state)
        accelerator.wait_for_everyone()  # a process that stops here must find this checkpoint
        for observer in observers:
            observer(state.table())

    bar.close()
    accelerator.wait_for_everyone()
    return checkpoint.load(out)[0], state.table()


@torch.no_grad()
def validate(
    model: nn.Module,
    config: TrainConfig,
    dataset: Dataset,
    accelerator: Accelerator | None = None,
    length: int | None = None,
) -> float:
    """Mean loss over a dataset, of all processes together.

    The network is fed its own forecasts only.

    Parameters
    ----------
    model : ForecastNetwork
    config : TrainConfig
    dataset : Dataset
        Samples (n_in + n_out, C, H, W) in model units, NaN = not observed.
    accelerator : Accelerator, optional
        That of the running training.
    length : int, optional
        Number of frames to forecast; ``n_out`` by default.
    """
    accelerator = accelerator or Accelerator(cpu=not torch.cuda.is_available())
    n_in = config.windows.n_in
    n_out = length or config.windows.n_out
    loss_of = criterion(config)
    totals = torch.zeros(2, dtype=torch.double, device=accelerator.device)  # loss, samples

    model.eval()
    for frames in DataLoader(part_of_process(dataset, accelerator), config.run.batch):
        frames = frames[:, : n_in + n_out].to(accelerator.device)  # (B, T, C, H, W)
        with autocast(config, accelerator):
            logits = model(network_input(frames[:, :n_in], config.model), n_out)
        loss = loss_of(logits.float(), frames[:, n_in:])
        totals += len(frames) * torch.stack([loss, totals.new_ones(())])

    loss_sum, samples = accelerator.reduce(totals, "sum").tolist()
    return loss_sum / samples


def _scores(
    config: TrainConfig,
    model: nn.Module,
    datasets: tuple[Dataset, Dataset | None],
    accelerator: Accelerator,
    epoch: int,
) -> dict[str, float]:
    """Losses on the validation set and the test set, NaN without one.

    They are measured at ``n_out`` frames, and at the length of the epoch.
    """
    length = schedules.forecast_length(config, epoch)
    scores: dict[str, float] = {}
    for name, dataset in zip(("validation", "test"), datasets, strict=True):
        loss = at_length = float("nan")
        if dataset is not None:
            loss = at_length = validate(model, config, dataset, accelerator)
            if length < config.windows.n_out:
                at_length = validate(model, config, dataset, accelerator, length)
        scores |= {name: loss, f"{name}_at_length": at_length}
    return scores


def criterion(config: TrainConfig, epoch: float | None = None) -> Criterion:
    """The loss function of an epoch; without an epoch, that of the run's end.

    It is the same throughout, except ``ssim_mse``: the weight of SSIM grows by 0.05 with each
    length of the curriculum.
    """
    if config.optimisation.loss != "ssim_mse":
        return partial(LOSSES[config.optimisation.loss], scale=config.scale)
    at = schedules.last_phase(config) if epoch is None else schedules.phase(config, epoch)
    return partial(ssim_mse, scale=config.scale, alpha=max(0.0, 1 - 0.05 * at))


def _prepare(
    config: TrainConfig,
    datasets: tuple[Dataset, Dataset],
    out: Path,
    options: FitOptions,
    device: torch.device,
) -> tuple[TrainConfig, TrainingState]:
    """The configuration with its precision settled, and the state of a new or a resumed run."""
    keep_memory()
    if options.resume:
        checkpoint.check_resumable(out)
    named = dict(zip(("train", "validation"), datasets, strict=True)) | {"test": options.test}
    samples = check_datasets(config, named)
    config = settle_precision(config, device, out if options.resume else None)

    state = _initial_state(config, options.start, device)
    if options.resume:
        checkpoint.resume(out, config, samples, state)
    else:
        checkpoint.start(out, config, options.description, samples, trained_scale(datasets[0]))
    if config.run.compile:
        compile_cells(state.model)
    return config, state


def _initial_state(
    config: TrainConfig, start: str | Path | None, device: torch.device
) -> TrainingState:
    """A network with random weights, or with those of a run, and its optimiser."""
    set_seed(config.run.seed)
    model = build(config.model, scale=config.scale)
    if start:
        model.load_state_dict(checkpoint.initial_weights(start, config))
    model = model.to(device).to(memory_format=torch.channels_last)

    options = config.optimisation
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=options.lr, weight_decay=options.weight_decay
    )
    scaler = torch.amp.GradScaler(device.type, enabled=config.run.precision == "fp16")
    return TrainingState(model, optimiser, scaler)


def _split(config: TrainConfig, frames: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
    """Input, see ``network_input``, and target: (B, seen, C, H, W) and (B, length, C, H, W)."""
    n_in = config.windows.n_in
    seen = schedules.input_length(config, epoch)
    length = schedules.forecast_length(config, epoch)
    x = network_input(frames[:, n_in - seen : n_in], config.model)
    return x, frames[:, n_in : n_in + length]


def _update_weights(config: TrainConfig, state: TrainingState, time: float) -> None:
    """One step of the optimiser along the clipped gradient; ``time`` is in epochs."""
    state.optimiser.param_groups[0]["lr"] = schedules.learning_rate(config, time)
    state.scaler.unscale_(state.optimiser)
    if config.optimisation.clip:
        nn.utils.clip_grad_norm_(state.model.parameters(), config.optimisation.clip)
    state.scaler.step(state.optimiser)
    state.scaler.update()
    state.optimiser.zero_grad()


def _settings(config: TrainConfig, epoch: int) -> dict[str, float]:
    """What the schedules say about an epoch, for the history."""
    return {
        "epoch": epoch,
        "length": schedules.forecast_length(config, epoch),
        "truth": schedules.truth_probability(config, epoch),
        "lr": schedules.learning_rate(config, epoch),
    }


def _finite(loss: float, where: str, out: Path) -> float:
    """The loss. Raises NowcastError if it is not finite."""
    if np.isfinite(loss):
        return loss
    saved = (out / checkpoint.STATE).exists()
    kept = f"{out} keeps the last good weights" if saved else "no weights were kept"
    raise NowcastError(f"the loss is {loss} at {where}: lower lr; {kept}")


def _observers(
    out: Path, options: FitOptions, accelerator: Accelerator
) -> list[Callable[[pd.DataFrame], None]]:
    """Functions that are called with the history after each epoch."""
    observers = []
    if options.tensorboard and accelerator.is_main_process:
        observers.append(tensorboard_logger(out))
    if options.on_epoch:
        observers.append(options.on_epoch)
    return observers


def _progress_bar(
    config: TrainConfig, state: TrainingState, options: FitOptions, accelerator: Accelerator
) -> ProgressBar:
    shown = options.progress and accelerator.is_main_process
    return ProgressBar(config.run, len(state.history), disable=not shown)
