"""Training: one visible loop, on Hugging Face accelerate, for one CPU, one GPU or many."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from nowcastlib.errors import NowcastError
from nowcastlib.networks import ForecastNetwork, build, compile_cells
from nowcastlib.training import checkpoint, saved_run, schedules
from nowcastlib.training.allocation import keep_memory
from nowcastlib.training.batches import (
    batches,
    check_datasets,
    part_of_process,
    split_samples,
)
from nowcastlib.training.checkpoint import TrainingState
from nowcastlib.training.config import TrainConfig
from nowcastlib.training.memory import explain_lack_of_memory
from nowcastlib.training.options import FitOptions
from nowcastlib.training.precision import autocast, settle_precision
from nowcastlib.training.processes import Clock, accelerator_on
from nowcastlib.training.progress import ProgressBar, tensorboard_logger
from nowcastlib.training.scale_of_data import trained_scale
from nowcastlib.training.step import criterion, make_step


@explain_lack_of_memory
@checkpoint.one_run_at_a_time
def fit(
    config: TrainConfig,
    train: Dataset,
    validation: Dataset,
    out: str | Path,
    options: FitOptions = FitOptions(),  # noqa: B008 (frozen)
) -> tuple[ForecastNetwork, pd.DataFrame]:
    """Train a network.

    Parameters
    ----------
    config : TrainConfig
    train, validation : Dataset
        Samples (n_in + n_out, C, H, W) in model units, NaN = not observed; C is
        ``config.windows.channels``. For a classifier: pairs
        of a clip (n_in, C, H, W) and a label, 1 or 0; see ``data.LabelledClips``.
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
    accelerator = accelerator_on(options.device)
    config, state = _prepare(config, (train, validation), out, options, accelerator.device)
    network = accelerator.prepare(state.model)
    step = make_step(config, state, network, accelerator, options.graph)
    observers = _observers(out, options, accelerator)
    bar = _progress_bar(config, state, options, accelerator)
    clock = Clock(options.minutes)

    for epoch in range(len(state.history), config.run.epochs):
        if schedules.out_of_patience(config, state.history) or clock.is_over(state.history):
            break
        if config.rollout.restart and schedules.starts_new_length(config, epoch):
            state.restart_optimiser()
        began = monotonic()
        losses: list[float] = []

        network.train()
        torch.manual_seed(config.run.seed + epoch)  # a resumed run must drop the same channels out
        seen, length = schedules.lengths(config, epoch)
        for time, samples, coins in batches(config, train, epoch, accelerator, options.workers):
            x, target = split_samples(config, samples, seen, length, accelerator.device)
            loss = step(x, target, coins, time)
            state.update_average()
            mean_loss = accelerator.reduce(loss, "mean").item()
            losses.append(_finite(mean_loss, f"epoch {epoch}, batch {len(losses)}", out))
            bar.step(epoch, losses)

        row = _settings(config, epoch) | {"train": float(np.mean(losses))}
        row |= _scores(config, state.result(), (validation, options.test), accelerator, epoch)
        _finite(row["validation"], f"epoch {epoch}, validation", out)
        state.add_epoch(row | {"seconds": monotonic() - began}, losses)

        if accelerator.is_main_process:
            checkpoint.save_state(out, config, state)
        accelerator.wait_for_everyone()  # a process that stops here must find this checkpoint
        for observer in observers:
            observer(state.table())

    bar.close()
    accelerator.wait_for_everyone()
    return saved_run.load(out)[0], state.table()


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
        Samples as for ``fit``.
    accelerator : Accelerator, optional
        That of the running training, whose processes share the dataset.
    length : int, optional
        Number of frames to forecast; ``n_out`` by default.
    """
    device = next(model.parameters()).device
    n_in = config.windows.n_in
    n_out = length or config.windows.n_out
    loss_of = criterion(config)
    precise = torch.float if device.type == "mps" else torch.double  # Apple's GPUs lack doubles
    totals = torch.zeros(2, dtype=precise, device=device)  # loss, samples
    if accelerator is not None:
        dataset = part_of_process(dataset, accelerator)

    model.eval()
    for samples in DataLoader(dataset, config.run.batch):
        x, target = split_samples(config, samples, n_in, n_out, device)
        with autocast(config, device):
            logits = model(x, target.shape[1])
        loss = loss_of(logits.float(), target)
        totals += len(x) * torch.stack([loss, totals.new_ones(())])

    if accelerator is not None:
        totals = accelerator.reduce(totals, "sum")
    loss_sum, samples = totals.tolist()
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

    state = initial_state(config, options.start, device)
    if options.resume:
        checkpoint.resume(out, config, samples, state)
    else:
        checkpoint.start(out, config, options.description, samples, trained_scale(datasets[0]))
    if config.run.compile:
        compile_cells(state.model)
    return config, state


def initial_state(
    config: TrainConfig, start: str | Path | None, device: torch.device
) -> TrainingState:
    """A network with random weights, or with those of a run, and its optimiser."""
    set_seed(config.run.seed)
    model = build(config.model, config.windows.channels, config.scale)
    if start:
        model.load_state_dict(saved_run.initial_weights(start, config))
    model = model.to(device).to(memory_format=torch.channels_last)

    options = config.optimisation
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=options.lr, weight_decay=options.weight_decay
    )
    scaler = torch.amp.GradScaler(device.type, enabled=config.run.precision == "fp16")
    average = None
    if options.average:
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(options.average))
    return TrainingState(model, optimiser, scaler, average)


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
    saved = (out / saved_run.STATE).exists()
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
