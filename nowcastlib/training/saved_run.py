"""Reading of the folder of a run: configuration, weights, and what they were trained on."""

import json
from pathlib import Path

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from nowcastlib.devices import resolve_device
from nowcastlib.errors import NowcastError, printable
from nowcastlib.networks import ForecastNetwork, build
from nowcastlib.training.config import TrainConfig, from_dict
from nowcastlib.training.upgrade import upgrade
from nowcastlib.units import TrainedScale

CONFIG, WEIGHTS, STATE, HISTORY = "config.json", "model.safetensors", "last.pt", "history.csv"
LARGEST_CONFIG = 16 << 20  # bytes


def finished(run: str | Path) -> bool:
    """Whether a folder holds a run that has trained all its epochs.

    A run that stopped early, by its ``patience``, is finished only for ``resume``, which ends at
    once.
    """
    run = Path(run)
    if not all((run / name).exists() for name in (STATE, HISTORY, WEIGHTS)):
        return False
    try:
        rows = len(pd.read_csv(run / HISTORY))
    except (OSError, ValueError) as error:
        raise NowcastError(
            f"{run / HISTORY} cannot be read ({printable(error)}): remove it and resume the run"
        ) from error
    return rows >= load_config(run).run.epochs


def read_about(run: str | Path) -> dict:
    """What ``config.json`` of a run's folder holds.

    Raises
    ------
    NowcastError
        If it is missing, no regular file, huge, or no JSON object.
    """
    path = Path(run) / CONFIG
    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is not a regular file")
        if path.stat().st_size > LARGEST_CONFIG:
            raise ValueError("it is too large")
        about = json.loads(path.read_text())
        if not isinstance(about, dict):
            raise ValueError("it is not a JSON object")
    # RecursionError: lists within lists, thousands deep
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or printable(error)
        raise NowcastError(
            f"{path} is not a readable configuration ({reason}): name a folder written by train, "
            "or train again"
        ) from error
    return about


def load_config(run: str | Path) -> TrainConfig:
    """The configuration of a run's folder, also of one that an earlier version wrote.

    Raises
    ------
    NowcastError
        If the file is missing, or cannot be read or upgraded.
    """
    path = Path(run) / CONFIG
    try:
        return from_dict(upgrade(read_about(run)["config"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise NowcastError(
            f"{path} is not a readable configuration ({reason}): name a folder written by train, "
            "or train again"
        ) from error


def load_description(run: str | Path) -> str:
    """What the network of a run's folder was trained on, in words; "" if that is not known."""
    return printable(read_about(run).get("data", ""), None)


def load_trained_scale(run: str | Path) -> TrainedScale:
    """Pixels and time steps that the network of a run's folder was trained at.

    Runs of earlier versions do not tell: both are None then.

    Raises
    ------
    NowcastError
        If the entry ``trained_at`` of the configuration cannot be read.
    """
    path = Path(run) / CONFIG
    written = read_about(run).get("trained_at") or {}
    try:
        return TrainedScale(**{k: v and (v[0], v[1]) for k, v in written.items()})
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        raise NowcastError(
            f"{path}: trained_at cannot be read ({error}): give pixel_km and step_minutes as two "
            "numbers each, or remove the entry"
        ) from error


def load(run: str | Path, device: str = "cpu") -> tuple[ForecastNetwork, TrainConfig]:
    """The trained network of a run's folder, ready to forecast.

    Parameters
    ----------
    run : str or Path
        Folder with ``config.json`` and ``model.safetensors``.
    device : str
        Where the network runs: "cpu", "cuda" or "mps"; "auto" is a GPU where there is one.

    Returns
    -------
    network : ForecastNetwork
    config : TrainConfig

    Raises
    ------
    NowcastError
        If a file is missing or broken, or there is no such device; the message names it.
    """
    run, place = Path(run), resolve_device(device)
    config = load_config(run)
    try:
        _check_shapes(run / WEIGHTS, config)
        network = build(config.model, config.windows.channels)
        network.load_state_dict(load_file(run / WEIGHTS))
    # TypeError: torch's word for sizes beyond 64 bits
    except (OSError, RuntimeError, ValueError, TypeError, SafetensorError) as error:
        raise NowcastError(
            f"{run / WEIGHTS} cannot be loaded ({printable(error)}): train again"
        ) from error

    broken = [key for key, value in network.state_dict().items() if not value.isfinite().all()]
    if broken:
        raise NowcastError(
            f"{run / WEIGHTS} holds weights that are not finite, such as {broken[0]}: train again, "
            "with a lower learning rate"
        )
    # Convolutions of few channels are faster with the channels last in memory.
    return network.to(place).to(memory_format=torch.channels_last).eval(), config


def _check_shapes(weights: Path, config: TrainConfig) -> None:
    """ValueError unless a file holds the weights of a network, without building it.

    A configuration may describe a network that does not fit into memory.
    """
    if not weights.is_file():
        raise ValueError("it is not a regular file")
    with torch.device("meta"):  # shapes only
        network = build(config.model, config.windows.channels)
        wanted = {key: [*value.shape] for key, value in network.state_dict().items()}
    with safe_open(weights, framework="pt") as file:
        found = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
    if wanted != found:
        differing = sorted(k for k in wanted | found if wanted.get(k) != found.get(k))
        raise ValueError(f"its {differing[0]} is not that of the network in {CONFIG}")


def initial_weights(run: str | Path, config: TrainConfig) -> dict[str, torch.Tensor]:
    """The weights of a run from which another run starts.

    Raises NowcastError if that run has another network, another scale, or other channels.
    """
    network, before = load(run)
    if before.windows.channels != config.windows.channels:
        kinds = {1: "rain", 3: "colours"}
        raise NowcastError(
            f"{run} was trained on {kinds[before.windows.channels]}, not on "
            f"{kinds[config.windows.channels]}: start from a run with the same channels"
        )
    if (before.model, before.scale) != (config.model, config.scale):
        raise NowcastError(
            f"{run} holds another network, or another scale of rain: start from a run with the same"
        )
    return network.state_dict()
