"""Forecasters: what they have in common, and how to get one by its name."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from nowcastlib.errors import NowcastError, did_you_mean
from nowcastlib.forecasting.network import Network
from nowcastlib.training import load_config

if TYPE_CHECKING:
    from nowcastlib.forecasting.baselines import Baseline

WEIGHTS = Path(__file__).parents[1] / "weights"  # one folder for each shipped network
MEMBERS = 10  # members of an ensemble that is asked for by name


class Forecaster(Protocol):
    """What a forecaster has to offer: ``n_in``, and the forecast when it is called."""

    @property
    def n_in(self) -> int:
        """Number of frames that it needs, the last one included."""

    def __call__(self, observed: np.ndarray, n: int) -> np.ndarray:
        """Rain rate of the next steps, NaN where there is no forecast.

        Parameters
        ----------
        observed : np.ndarray
            Rain rate (T, y, x) in mm/h, at least ``n_in`` frames, NaN where not observed.
        n : int
            Number of steps to forecast.

        Returns
        -------
        np.ndarray
            Rain rate (n, y, x) in mm/h; of an ensemble (member, n, y, x).
        """


def shipped() -> list[str]:
    """Names of the networks that come with the library."""
    return sorted(path.parent.name for path in WEIGHTS.glob("*/config.json"))


def forecaster(name: str | Path, device: str = "auto") -> Forecaster:
    """Forecaster by name.

    Parameters
    ----------
    name : str | Path
        A baseline ("persistence", "sprog", …), a shipped network ("radar", …), the folder of a
        training run, or the file model.safetensors in it. A run that was trained on colours
        forecasts colours, see ``forecasting.ColourNetwork``. With "-members" appended, a network
        that forecasts probabilities gives an ensemble of ten members.
    device : str
        Where a network runs: "cpu", "cuda" or "mps"; "auto" is a GPU where there is one. Baselines
        run on the CPU.

    Raises
    ------
    NowcastError
        If there is no such forecaster or no such device, or if it has no members.

    Examples
    --------
    >>> forecaster("sprog").n_in
    3
    """
    text = str(name)
    path = Path(name)
    if text in shipped():  # first: the baselines need pysteps, which takes seconds to import
        return Network.load(WEIGHTS / text, device=device)
    if text in _shipped_ensembles():
        return _ensemble(text, device)
    is_bare_name = path.name == text  # only a bare name can be that of a baseline
    if is_bare_name and text in _baselines():
        return _baselines()[text]
    if path.is_file() and path.name == "model.safetensors":
        path = path.parent
    if path.is_dir():
        from nowcastlib.forecasting.colours import ColourNetwork

        is_of_colours = load_config(path).windows.channels > 1
        return (ColourNetwork if is_of_colours else Network).load(path, device=device)
    if text.endswith("-members"):
        return _ensemble(text, device)
    known = [*_baselines(), *shipped(), *_shipped_ensembles()]
    raise NowcastError(
        f"no forecaster {text!r}{did_you_mean(text, known)}: give the folder of a run, or one of "
        f"{', '.join(known)}"
    )


def describe_baseline(name: str) -> str:
    """Say in a sentence what a baseline does.

    Parameters
    ----------
    name : str
        Name of a forecaster, or the folder of a run.

    Returns
    -------
    str
        "" for a network.
    """
    if name in shipped() or name in _shipped_ensembles():  # first: pysteps takes seconds to import
        return ""
    baseline = _baselines().get(name)
    return baseline.description if baseline else ""


def _baselines() -> "dict[str, Baseline]":
    """The baselines, imported when one is asked for: trained networks also run without pysteps."""
    from nowcastlib.forecasting.baselines import BASELINES

    return BASELINES


def _shipped_ensembles() -> list[str]:
    """Names of the ensembles of those shipped networks that forecast probabilities."""
    return [
        f"{name}-members"
        for name in shipped()
        if load_config(WEIGHTS / name).model.gives_probabilities
    ]


def _ensemble(name: str, device: str) -> Network:
    """The ensemble of the network before "-members"."""
    network = forecaster(name.removesuffix("-members"), device)
    if isinstance(network, Network) and network.config.model.gives_probabilities:
        return Network(
            network.model, network.config, MEMBERS, network.training_data, network.trained_at
        )
    raise NowcastError(
        f"no forecaster {name!r}: only a network that forecasts probabilities has members"
    )
