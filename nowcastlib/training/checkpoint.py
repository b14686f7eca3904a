"""Writing of the folder of a run, and its last state; saved_run.py reads the folder."""

import io
import json
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, field, fields
from functools import wraps
from pathlib import Path

import pandas as pd
import torch
from accelerate import PartialState
from safetensors.torch import save
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import Dataset

from nowcastlib.errors import NowcastError
from nowcastlib.files import one_writer, remove_left_over, write_atomically
from nowcastlib.networks import option_names
from nowcastlib.training.config import TrainConfig, to_dict
from nowcastlib.training.options import FitOptions
from nowcastlib.training.processes import process_state
from nowcastlib.training.saved_run import (
    CONFIG,
    HISTORY,
    STATE,
    WEIGHTS,
    load_config,
    read_about,
)
from nowcastlib.training.scale_of_data import trained_scale
from nowcastlib.units import TrainedScale

LOCK = ".lock"  # is there while a process trains
BATCHES = "batches.csv"
COLUMNS = [
    "epoch", "length", "truth", "lr", "train", "validation", "test",
    "validation_at_length", "test_at_length", "seconds",
]  # fmt: skip


@dataclass
class TrainingState:
    """What changes while a network is trained, and is saved after each epoch."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler  # of the loss, in half precision
    average: AveragedModel | None = None  # of the weights over the steps
    history: list[dict] = field(default_factory=list)  # one row an epoch
    batch_losses: list[dict] = field(default_factory=list)  # one row a batch

    def table(self) -> pd.DataFrame:
        """The history as a table."""
        return pd.DataFrame(self.history, columns=COLUMNS)

    def add_epoch(self, row: dict, losses: list[float]) -> None:
        """Add an epoch to the history, and the losses of its batches."""
        self.history.append(row)
        at = {"epoch": row["epoch"], "length": row["length"]}
        self.batch_losses += [at | {"loss": loss} for loss in losses]

    def update_average(self) -> None:
        """Move the average of the weights towards those of the last step."""
        if self.average is not None:
            self.average.update_parameters(self.model)

    def result(self) -> nn.Module:
        """The network that is validated and kept: the average of the weights, if there is one."""
        return self.model if self.average is None else self.average.module

    def restart_optimiser(self) -> None:
        """Let the optimiser start anew, in the same memory, because a graph refers to it."""
        for moments in self.optimiser.state.values():
            for tensor in moments.values():
                tensor.zero_()

    def parts(self) -> dict:
        """The parts with a ``state_dict``, by name."""
        parts = {"model": self.model, "optimiser": self.optimiser, "scaler": self.scaler}
        return parts if self.average is None else parts | {"average": self.average}


def one_run_at_a_time(fit):
    """Let only one training at a time write a folder: a second one is refused at once."""

    @wraps(fit)
    def wrapped(config, train, validation, out, options=FitOptions()):  # noqa: B008 (frozen)
        out = Path(out)
        is_main = process_state(options.device).is_main_process
        existed = out.exists()
        try:
            with one_writer(out, out / LOCK) if is_main else nullcontext():
                for name in (CONFIG, WEIGHTS, STATE, HISTORY) if is_main else ():
                    remove_left_over(out / name)
                return fit(config, train, validation, out, options)
        finally:
            if is_main and not existed:
                with suppress(OSError):  # it holds something
                    out.rmdir()

    return wrapped


def start(
    out: Path,
    config: TrainConfig,
    description: str,
    samples: dict[str, str],
    trained_at: TrainedScale,
) -> None:
    """Write the configuration of a new run. Raises NowcastError if the folder holds a run."""
    # A run that was killed in its first epoch has written neither of these files.
    if any((out / name).exists() for name in (WEIGHTS, STATE)):
        raise NowcastError(f"{out} already holds a run: resume it, or train into another folder")
    if PartialState().is_main_process:
        about = _about(config, description, trained_at) | {"samples": samples}
        write_atomically(out / CONFIG, json.dumps(about, indent=1).encode())


def check_resumable(out: Path) -> None:
    """Raise NowcastError if a folder holds no run to resume."""
    if not (out / STATE).exists():
        raise NowcastError(f"{out} holds no run to resume: train without resuming")


def resume(out: Path, config: TrainConfig, samples: dict[str, str], state: TrainingState) -> None:
    """Put the last state of a run into ``state``.

    Raises
    ------
    NowcastError
        If configuration or data are not those of the run, or if its last state cannot be read.
    """
    _check_same_config(out, config)
    _check_same_data(out, samples)
    try:
        saved = torch.load(out / STATE, weights_only=True, map_location="cpu")
        for name, part in state.parts().items():
            part.load_state_dict(saved[name])
        state.history = saved["history"]
        if not [row["validation"] for row in state.history]:
            raise ValueError("its history is empty")
        state.batch_losses = saved.get("batch_losses", [])  # version 0.1 kept none
    # A broken file makes torch raise errors of many types; the remedy is always the same.
    except Exception as error:
        raise NowcastError(
            f"{out / STATE} is not a whole checkpoint ({error}): train without resuming"
        ) from error
    # The run may have been killed after its state and before its weights were written.
    if PartialState().is_main_process:
        _publish(out, config, state)


def save_state(out: Path, config: TrainConfig, state: TrainingState) -> None:
    """Write the last state, then the weights to keep and the history."""
    buffer = io.BytesIO()
    saved = {name: part.state_dict() for name, part in state.parts().items()}
    lists = {"history": state.history, "batch_losses": state.batch_losses}
    torch.save(saved | lists, buffer)
    write_atomically(out / STATE, buffer.getvalue())
    _publish(out, config, state)


def save_network(
    network: nn.Module, config: TrainConfig, out: str | Path, data: Dataset, description: str = ""
) -> Path:
    """Save a network that was trained without ``fit``, so that it can forecast and be evaluated.

    Parameters
    ----------
    network : ForecastNetwork
        The network that ``networks.build(config.model)`` makes, trained.
    config : TrainConfig
        The configuration with which it was trained.
    out : str or Path
        Folder for ``config.json`` and ``model.safetensors``; those of an earlier call are replaced.
    data : Dataset
        What it was trained on: its pixel sizes and time steps are written down.
    description : str
        What it was trained on, in words.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    NowcastError
        If the folder holds a run of ``fit``.
    """
    out = Path(out)
    if (out / STATE).exists():
        raise NowcastError(f"{out} holds a run of fit: save the network into another folder")
    out.mkdir(parents=True, exist_ok=True)
    about = _about(config, description, trained_scale(data))
    write_atomically(out / CONFIG, json.dumps(about, indent=1).encode())
    write_atomically(out / WEIGHTS, _weights(network))
    return out


def _about(config: TrainConfig, description: str, trained_at: TrainedScale) -> dict:
    """What ``config.json`` holds of every run."""
    return {"config": to_dict(config), "data": description, "trained_at": asdict(trained_at)}


def _weights(network: nn.Module) -> bytes:
    """The content of ``model.safetensors``."""
    return save({k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()})


def _publish(out: Path, config: TrainConfig, state: TrainingState) -> None:
    """Write the files that follow from the last state."""
    losses = [row["validation"] for row in state.history]
    if config.run.keep == "last" or losses[-1] <= min(losses):
        write_atomically(out / WEIGHTS, _weights(state.result()))
    write_atomically(out / HISTORY, state.table().to_csv(index=False).encode())
    batches = pd.DataFrame(state.batch_losses, columns=["epoch", "length", "loss"])
    write_atomically(out / BATCHES, batches.to_csv(index=False).encode())


def _check_same_config(out: Path, config: TrainConfig) -> None:
    before = load_config(out)
    if before == config:
        return
    other = []
    for part in fields(config):
        old, new = getattr(before, part.name), getattr(config, part.name)
        if type(old) is not type(new):
            other.append(part.name)
            continue
        other += [n for n in option_names(new) if getattr(old, n) != getattr(new, n)]
    raise NowcastError(
        f"{out} was trained with another {', '.join(other)}: resume with the same configuration"
    )


def _check_same_data(out: Path, samples: dict[str, str]) -> None:
    before = read_about(out).get("samples", samples)
    other = [name for name in ("train", "validation") if samples[name] != before.get(name)]
    if other:
        raise NowcastError(
            f"{out} was trained with other data ({', '.join(other)}): resume with the same data"
        )
