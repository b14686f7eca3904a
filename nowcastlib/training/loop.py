"""Training: one visible loop, on Hugging Face accelerate, for one CPU, one GPU or many."""

import ctypes
import io
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, replace
from functools import wraps
from pathlib import Path
from time import monotonic

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import broadcast_object_list, set_seed
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset
from tqdm.auto import tqdm

from nowcastlib.errors import NowcastError
from nowcastlib.files import write_atomically
from nowcastlib.networks import build, compile_cells
from nowcastlib.training.config import OPTIMISERS, PRECISIONS, TrainConfig

HISTORY = ["epoch", "length", "truth", "lr", "train", "validation", "test", "seconds"]


def keep_memory() -> None:
    """Let this process keep what is freed between batches: to ask the system for it anew costs time in every step.

    For training on a CPU, with the GNU C library; elsewhere it does nothing.
    """
    if sys.platform == "linux" and not torch.cuda.is_available():
        mallopt = getattr(ctypes.CDLL(None), "mallopt", lambda option, value: None)
        mallopt(-4, 0)  # M_MMAP_MAX
        mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


def _explain_memory(function):
    """PyTorch's words on memory say what was asked for, not what to do."""

    @wraps(function)
    def wrapped(config: TrainConfig, *args, **options):
        try:
            return function(config, *args, **options)
        except (RuntimeError, MemoryError) as error:  # of GPU, CPU and NumPy
            if not isinstance(error, MemoryError) and not re.search(
                "out of memory|allocate memory", str(error)
            ):
                raise
            sizes = f"batch ({config.batch}), crop ({config.crop}), n_out ({config.n_out}) or {config.model.hidden = }"
            raise NowcastError(f"a batch does not fit into memory: lower {sizes}") from error

    return wrapped


@_explain_memory
def fit(
    config: TrainConfig,
    train: Dataset,
    validation: Dataset,
    out: str | Path,
    resume: bool = False,
    data: str = "",
    progress: bool = True,
    on_epoch: Callable[[pd.DataFrame], None] = lambda history: None,
    test: Dataset | None = None,
    workers: int = 0,
    tensorboard: bool = False,
    start: str | Path | None = None,
) -> tuple[nn.Module, pd.DataFrame]:
    """Train a network; return the best model (by validation loss, in free rollout) and the history.

    Samples are (n_in + n_out, C, H, W) in model units, NaN = not observed. The history has one row an epoch:
    ``epoch, length, truth, lr, train, validation, test, seconds`` (``test``: the loss on that dataset, if there is one;
    it decides nothing); ``on_epoch`` is called with it. After each epoch ``out`` holds the best weights
    (``model.safetensors``, ``config.json``, ``history.csv``) and the last state (``last.pt``), from which ``resume``
    carries on exactly. ``data`` says in words what was trained on. ``workers`` processes load the batches beside the
    training; ``tensorboard`` also logs to ``out/tensorboard``. Under ``accelerate launch`` each process takes its part
    of every batch, ``config.batch`` samples of ``batch · processes``. ``start`` is a run from whose weights to start,
    in place of random ones.

    Raises NowcastError if ``out`` holds another run, if there is nothing to resume or it was trained on other data, if
    a dataset is empty or its samples too short, if a batch does not fit into memory, and if the loss is not finite.
    """
    out = Path(out)
    keep_memory()
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    if resume and not (out / "last.pt").exists():
        raise NowcastError(f"{out} holds no run to resume: train without resuming")
    known = _check(
        config,
        {"train": train, "validation": validation} | ({} if test is None else {"test": test}),
    )
    config = _settle(config, accelerator.device, out if resume else None)
    set_seed(config.seed)
    model = build(config.model)
    if start and not resume:
        model.load_state_dict(_same(load(start), config, start))
    model = model.to(accelerator.device, memory_format=torch.channels_last)
    optimiser = OPTIMISERS[config.optimiser](
        model.parameters(), lr=config.lr, weight_decay=config.weight_decay
    )
    scaler = torch.amp.GradScaler(accelerator.device.type, enabled=config.precision == "fp16")
    parts = {"model": model, "optimiser": optimiser, "scaler": scaler}
    history = _resume(out, config, known, parts) if resume else _start(out, config, data, known)
    log = _tensorboard(out) if tensorboard and accelerator.is_main_process else None
    if config.compile:
        compile_cells(model)
    network = accelerator.prepare(model)

    quiet = not (progress and accelerator.is_main_process)
    bar = tqdm(
        total=config.epochs * config.steps, initial=len(history) * config.steps, disable=quiet
    )
    for epoch in range(len(history), config.epochs):
        if _stale(config, history):
            break
        began, losses = monotonic(), []
        seen, length, criterion = config.seen(epoch), config.length(epoch), config.criterion(epoch)
        if config.restart and config.phase(epoch) != config.phase(max(epoch - 1, 0)):
            optimiser.state.clear()
        network.train()
        for when, frames, coins in _batches(config, train, epoch, accelerator, workers):
            x, y = (
                torch.nan_to_num(frames[:, config.n_in - seen : config.n_in]),
                frames[:, config.n_in :][:, :length],
            )
            optimiser.param_groups[0]["lr"] = config.rate(when)
            with _autocast(config, accelerator):
                logits = network(x, length, torch.nan_to_num(y), coins)
            loss = criterion(logits.float(), y)
            accelerator.backward(scaler.scale(loss))
            scaler.unscale_(optimiser)
            nn.utils.clip_grad_norm_(model.parameters(), config.clip)
            scaler.step(optimiser)
            scaler.update()
            optimiser.zero_grad()
            losses.append(
                _finite(
                    accelerator.reduce(loss.detach(), "mean").item(),
                    f"batch {len(losses)}",
                    epoch,
                    out,
                )
            )
            bar.set_description(
                f"epoch {epoch + 1}/{config.epochs} loss {np.mean(losses[-20:]):.4f}", refresh=False
            )
            bar.update()
        score = _finite(validate(model, config, validation, accelerator), "validation", epoch, out)
        of_test = float("nan") if test is None else validate(model, config, test, accelerator)
        row = (
            epoch,
            length,
            config.truth(epoch),
            config.rate(epoch),
            float(np.mean(losses)),
            score,
            of_test,
        )
        history.append(dict(zip(HISTORY, (*row, monotonic() - began), strict=True)))
        if accelerator.is_main_process:
            _save(out, parts, history, config.keep)
        accelerator.wait_for_everyone()  # whoever stops here and resumes must find the same checkpoint
        if log:
            log.add_scalars(
                "loss", {name: history[-1][name] for name in ("train", "validation", "test")}, epoch
            )
            log.flush()
        on_epoch(pd.DataFrame(history, columns=HISTORY))
    bar.close()
    accelerator.wait_for_everyone()
    return load(out)[0], pd.DataFrame(history, columns=HISTORY)


@torch.no_grad()
def validate(
    model, config: TrainConfig, dataset: Dataset, accelerator: Accelerator | None = None
) -> float:
    """Mean loss over a dataset in free rollout to ``config.n_out`` frames; of all processes together."""
    accelerator = accelerator or Accelerator(cpu=not torch.cuda.is_available())
    model.eval()
    mine = Subset(
        dataset, range(accelerator.process_index, len(dataset), accelerator.num_processes)
    )
    criterion, total = (
        config.criterion(),
        torch.zeros(2, dtype=torch.double, device=accelerator.device),
    )
    for frames in DataLoader(mine, config.batch):
        frames = frames[:, : config.n_in + config.n_out].to(accelerator.device)
        with _autocast(config, accelerator):
            logits = model(torch.nan_to_num(frames[:, : config.n_in]), config.n_out)
        total += len(frames) * torch.stack(
            [criterion(logits.float(), frames[:, config.n_in :]), total.new_ones(())]
        )
    loss, n = accelerator.reduce(total, "sum").tolist()
    return loss / n


def fastest_precision(device: torch.device | str = "cpu") -> str:
    """``bf16`` where a convolution and its gradient are measured to run faster in it than in float32, else ``no``."""
    device, seconds = torch.device(device), {}
    layer = nn.Conv2d(64, 128, 5, padding=2).to(device)
    x = torch.ones(8, 64, 32, 32, device=device)
    for name in ("no", "bf16") * 3:
        began = monotonic()
        with torch.autocast(device.type, torch.bfloat16, enabled=name == "bf16"):
            layer(x).sum().backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds[name] = min(seconds.get(name, float("inf")), monotonic() - began)
    return "bf16" if seconds["bf16"] < 0.9 * seconds["no"] else "no"


def _autocast(config: TrainConfig, accelerator: Accelerator):
    dtype = PRECISIONS.get(config.precision, torch.float32)
    return torch.autocast(accelerator.device.type, dtype, enabled=dtype != torch.float32)


def _settle(config: TrainConfig, device: torch.device, resumed: Path | None) -> TrainConfig:
    """The configuration with its precision decided: that of the run that is resumed, or the faster one."""
    if config.precision != "auto":
        return config
    found = load_config(resumed).precision if resumed else fastest_precision(device)
    return replace(
        config, precision=broadcast_object_list([found])[0]
    )  # of several processes, what the first found


def _check(config: TrainConfig, datasets: dict[str, Dataset]) -> dict[str, str]:
    """What each dataset is, to know it again. Raises NowcastError if one is empty or its samples are too short."""
    known = {}
    for name, dataset in datasets.items():
        if not len(dataset):
            raise NowcastError(f"the {name} set is empty: give it data, or lower n_in and n_out")
        _set_epoch(dataset, 0)
        first = torch.as_tensor(dataset[0])
        if len(first) < config.n_in + config.n_out:
            raise NowcastError(
                f"the {name} set has samples of {len(first)} frames, but n_in + n_out = {config.n_in + config.n_out}: "
                "lower them, or cut longer windows"
            )
        crc = zlib.crc32(first.contiguous().numpy())
        known[name] = f"{len(dataset)} samples of {tuple(first.shape)}, the first {crc:08x}"
    return known


def _set_epoch(dataset: Dataset, epoch: int) -> None:
    for part in dataset.datasets if isinstance(dataset, ConcatDataset) else [dataset]:
        part.epoch = epoch


def _batches(
    config: TrainConfig, dataset: Dataset, epoch: int, accelerator: Accelerator, workers: int
) -> Iterator:
    """The time (in epochs), frames and coins of each of the epoch's batches.

    They depend on nothing but seed and epoch, so that resuming is exact; a process takes its part of what all draw.
    """
    _set_epoch(dataset, epoch)
    rng, whole = (
        np.random.default_rng([config.seed, epoch]),
        config.batch * accelerator.num_processes,
    )
    weights = None
    if isinstance(dataset, ConcatDataset):  # every store counts alike, however long it is
        weights = np.concatenate(
            [np.full(len(p), 1 / len(p) / len(dataset.datasets)) for p in dataset.datasets]
        )
    rows = rng.choice(len(dataset), (config.steps, whole), p=weights)
    coins = torch.from_numpy(rng.random((config.steps, whole, config.n_out - 1), dtype="f4"))
    mine = slice(
        accelerator.process_index * config.batch, (accelerator.process_index + 1) * config.batch
    )
    loader = DataLoader(dataset, batch_sampler=rows[:, mine].tolist(), num_workers=workers)
    for k, frames in enumerate(loader):
        when = epoch + k / config.steps
        truth = config.truth(when)
        yield (
            when,
            frames.to(accelerator.device),
            (coins[k, mine] < truth).to(accelerator.device) if truth else None,
        )


def _finite(loss: float, what: str, epoch: int, out: Path) -> float:
    if not np.isfinite(loss):
        kept = (
            f"{out} keeps the last good weights"
            if (out / "last.pt").exists()
            else "no weights were kept"
        )
        raise NowcastError(f"the loss is {loss} at epoch {epoch}, {what}: lower lr; {kept}")
    return loss


def _same(loaded: tuple[nn.Module, TrainConfig], config: TrainConfig, start: str | Path) -> dict:
    """The weights of a run to start from. Raises NowcastError if its network or scale is another."""
    model, then = loaded
    if (then.model, then.scale) != (config.model, config.scale):
        raise NowcastError(
            f"{start} holds another network, or another scale of rain: start from one that is alike"
        )
    return model.state_dict()


def _stale(config: TrainConfig, history: list[dict]) -> bool:
    """Whether patience is at its end: so many epochs, all at the curriculum's last length, came after the best."""
    if not config.patience or not history:
        return False
    best = min(history, key=lambda row: row["validation"])["epoch"]
    last = next(
        e for e in range(config.epochs) if config.phase(e) == config.phase(config.epochs - 1)
    )
    return history[-1]["epoch"] - max(best, last - 1) >= config.patience


def _tensorboard(out: Path):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise NowcastError(
            "TensorBoard is not installed: pip install tensorboard, or do without it"
        ) from error
    return SummaryWriter(str(out / "tensorboard"))


def _start(out: Path, config: TrainConfig, data: str, known: dict[str, str]) -> list[dict]:
    if any(
        (out / name).exists() for name in ("model.safetensors", "last.pt")
    ):  # else killed in its first epoch
        raise NowcastError(f"{out} already holds a run: resume it, or train into another folder")
    if PartialState().is_main_process:
        about = {"config": asdict(config), "data": data, "samples": known}
        write_atomically(out / "config.json", json.dumps(about, indent=1).encode())
    return []


def _resume(out: Path, config: TrainConfig, known: dict[str, str], parts: dict) -> list[dict]:
    then = load_config(out)
    if then != config:
        other = [f.name for f in fields(config) if getattr(then, f.name) != getattr(config, f.name)]
        raise NowcastError(
            f"{out} was trained with another {', '.join(other)}: resume with the same configuration"
        )
    before = json.loads((out / "config.json").read_text()).get("samples", known)
    if other := [name for name in ("train", "validation") if known[name] != before.get(name)]:
        raise NowcastError(
            f"{out} was trained with other data ({', '.join(other)}): resume with the same data"
        )
    try:
        state = torch.load(out / "last.pt", weights_only=True, map_location="cpu")
        for name, part in parts.items():
            part.load_state_dict(state[name])
        history = state["history"]
    except (
        Exception
    ) as error:  # whatever a broken file makes torch raise, the user's remedy is the same
        raise NowcastError(
            f"{out / 'last.pt'} is not a whole checkpoint ({error}): train without resuming"
        ) from error
    if PartialState().is_main_process:
        _publish(
            out, parts["model"], history, config.keep
        )  # it may have been killed right before that
    return history


def _save(out: Path, parts: dict, history: list[dict], keep: str) -> None:
    buffer = io.BytesIO()
    torch.save(
        {name: part.state_dict() for name, part in parts.items()} | {"history": history}, buffer
    )
    write_atomically(out / "last.pt", buffer.getvalue())
    _publish(out, parts["model"], history, keep)


def _publish(out: Path, model: nn.Module, history: list[dict], keep: str) -> None:
    """What follows from ``last.pt``: the weights, if they are those to keep, and the history."""
    if keep == "last" or history[-1]["validation"] <= min(h["validation"] for h in history):
        weights = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
        write_atomically(out / "model.safetensors", save(weights))
    write_atomically(
        out / "history.csv", pd.DataFrame(history, columns=HISTORY).to_csv(index=False).encode()
    )


def load_config(run: Path) -> TrainConfig:
    """The configuration of a run's folder. Raises NowcastError if it is missing or foreign."""
    try:
        return TrainConfig.from_dict(json.loads((run / "config.json").read_text())["config"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NowcastError(
            f"{run} holds no readable config.json ({error}): name a folder made by train"
        ) from error


def load(run: str | Path) -> tuple[nn.Module, TrainConfig]:
    """The best weights of a run's folder, ready to forecast. Raises NowcastError, naming the file."""
    run = Path(run)
    config = load_config(run)
    model = build(config.model)
    try:
        model.load_state_dict(load_file(run / "model.safetensors"))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise NowcastError(
            f"{run / 'model.safetensors'} cannot be loaded ({error}): train again"
        ) from error
    return model.eval(), config
