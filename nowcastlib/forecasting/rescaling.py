"""Forecasts at other pixels and time steps than a network was trained at.

A network counts in pixels and time steps, not in kilometres and minutes. Frames of other pixel
sizes or steps are resampled to the nearest scale of its training and forecast there. Then the
forecast is resampled to the scale of the frames:

- Finer pixels are averaged over whole blocks. Back on the fine grid, the detail of the last frame
  moves along with the rain, and the mean over each block is that of the forecast.
- Coarser pixels are divided, smoothly and with their means kept; the forecast is averaged again.
- Frames between two frames, and leads between two leads, are interpolated along the motion.
"""

import logging
import math
from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from nowcastlib.data import Window
from nowcastlib.forecasting import probabilities, resampling
from nowcastlib.forecasting.forecasters import Forecaster
from nowcastlib.forecasting.network import Network
from nowcastlib.forecasting.scale_change import ScaleChange, caution, change_for, describe
from nowcastlib.networks import fill_unobserved, motion

log = logging.getLogger("nowcastlib")

MOTION_FRAMES = 4  # newest frames from which the motion is estimated


def at_trained_scale(
    forecaster: Forecaster, frames: xr.DataArray, name: str = "the network"
) -> Forecaster:
    """The forecaster for frames of these pixels and time steps.

    Of frames that a network was not trained for, and that cannot be brought to its scale without
    loss, one warning is logged.

    Parameters
    ----------
    forecaster : Forecaster
        Any forecaster; only a network is ever changed.
    frames : xr.DataArray
        Rain rate (time, y, x) with the coordinates of the frames to forecast from.
    name : str
        Name of the forecaster for the warning.

    Returns
    -------
    Forecaster
        The same forecaster if the frames suit it, else a ``Rescaled`` one.
    """
    if not isinstance(forecaster, Network):
        return forecaster
    trained = forecaster.trained_at
    change = change_for(trained, frames, keeps_size=bool(forecaster.config.model.fixed_size))
    warning = caution(trained, change, frames)
    if warning:
        log.warning("%s %s", name, warning)
    if change != ScaleChange():
        description = describe(change, frames)
        log.info("%s: %s", name, description)
        return Rescaled(forecaster, change, description)
    return Rescaled(forecaster, change, f"the network {warning}") if warning else forecaster


class Rescaled:
    """Forecaster that brings frames to the scale of a network, and its forecast back.

    Parameters
    ----------
    network : Network
        The network.
    change : ScaleChange
        How the frames are brought to its scale.
    description : str
        What is done, in words.
    """

    def __init__(self, network: Network, change: ScaleChange, description: str):
        self.network = network
        self.change = change
        self.description = description

    @property
    def n_in(self) -> int:
        """Number of frames that it needs, at the time step of the store."""
        return math.ceil(round((self.network.n_in - 1) * self.change.stride, 6)) + 1

    @property
    def device(self) -> torch.device:
        """The device that the network runs on."""
        return self.network.device

    def __call__(self, observed: np.ndarray, n: int) -> np.ndarray:
        """Rain rate (n, y, x), or (member, n, y, x), in mm/h after ``observed`` (T, y, x)."""
        return self.with_chances(observed, n, ())[0]

    def with_chances(
        self, observed: np.ndarray, n: int, windows: Sequence[Window]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """The forecast, and probabilities at some places; see ``Network.with_chances``.

        Probabilities are those of the pixels of the network that cover the place. Between two
        leads of the network, and between now and the first one, they are interpolated.
        """
        if self.change == ScaleChange():
            return self.network.with_chances(observed, n, windows)

        frames = self._to_network(observed[-self.n_in :])
        leads = [round(lead / self.change.stride, 6) for lead in range(1, n + 1)]
        covering = [self._network_window(window) for window in windows]
        rate, chances = self.network.with_chances(frames, math.ceil(leads[-1]), covering)

        velocity = self._flow(frames[None, -MOTION_FRAMES:])  # (1, 2, Y, X) px per network's step
        members = rate.reshape(-1, *rate.shape[-3:])
        members = np.stack([self._at(leads, frames[-1], each, velocity) for each in members])
        fine = self._to_store(members, observed[-1], velocity)
        fine = fine.reshape(*rate.shape[:-3], *fine.shape[1:])
        if chances is None:
            return fine, None
        now = [probabilities.share_above(observed[-1], window) for window in windows]
        return fine, resampling.between(np.concatenate([[now], chances]), leads)

    def of_cases(self, observed: np.ndarray, n: int) -> np.ndarray:
        """Forecasts of several cases (case, T, y, x); see ``Network.of_cases``."""
        if self.change == ScaleChange():
            return self.network.of_cases(observed, n)
        return np.stack([self(case, n) for case in observed])

    def _network_window(self, window: Window) -> Window:
        """The pixels of the network that cover some of the frames."""
        factors = zip(window, self.change.averaged, self.change.divided, strict=True)
        covering = [
            slice(side.start // n * parts, -(-side.stop // n) * parts) for side, n, parts in factors
        ]
        return Window(*covering)

    def _to_network(self, observed: np.ndarray) -> np.ndarray:
        """Frames of the store (T, y, x) → those of the network (n_in, Y, X)."""
        frames = np.stack([self._to_grid(frame) for frame in self._needed(observed)])
        if self.change.stride.is_integer():
            return frames

        frames = self._filled(frames)
        pairs = np.stack([frames[:-1], frames[1:]], axis=1)  # (T - 1, 2, Y, X)
        velocity = self._flow(pairs)
        ages = [round(k * self.change.stride, 6) for k in range(self.network.n_in - 1, -1, -1)]
        positions = [len(frames) - 1 - age for age in ages]
        return np.stack([resampling.at_position(frames, velocity, at) for at in positions])

    def _filled(self, frames: np.ndarray) -> np.ndarray:
        """Frames (T, Y, X) whose lost pixels are filled as in the network's own input."""
        scale = self.network.config.scale
        filled = fill_unobserved(scale.to_model(torch.from_numpy(frames.astype("f4")))[None])[0]
        return np.where(np.isfinite(frames), frames, scale.from_model(filled).numpy())

    def _needed(self, observed: np.ndarray) -> np.ndarray:
        """Those frames (T, y, x) that the network needs: every N-th if the stride is N."""
        stride = self.change.stride
        return observed[:: int(stride)] if stride.is_integer() else observed

    def _to_grid(self, frame: np.ndarray) -> np.ndarray:
        """A frame (y, x) on the grid of the network."""
        frame = resampling.block_mean(frame, self.change.averaged)
        divided = self.change.divided
        known = np.isfinite(frame).repeat(divided[0], 0).repeat(divided[1], 1)
        return resampling.refine(frame, divided, known)

    def _flow(self, frames: np.ndarray) -> Tensor:
        """Motion (B, 2, Y, X) in px per step of frames (B, T, Y, X) in mm/h."""
        rate = torch.from_numpy(np.nan_to_num(frames).astype("f4"))
        observed = torch.from_numpy(np.isfinite(frames))
        return motion.flow(self.network.config.scale.to_model(rate), observed)

    @staticmethod
    def _at(
        leads: list[float], now: np.ndarray, forecast: np.ndarray, velocity: Tensor
    ) -> np.ndarray:
        """A forecast (T, Y, X) after the frame ``now`` at ``leads``: (n, Y, X)."""
        fields = np.concatenate([now[None], forecast])
        velocity = velocity.expand(len(forecast), -1, -1, -1)
        return np.stack([resampling.at_position(fields, velocity, lead) for lead in leads])

    def _to_store(self, rates: np.ndarray, now: np.ndarray, velocity: Tensor) -> np.ndarray:
        """Forecasts (member, n, Y, X) on the store's grid, with the detail of ``now`` (y, x)."""
        change = self.change
        path = motion.follow(velocity / change.stride, rates.shape[1])[0]  # (n, 2, Y, X)
        known = np.isfinite(now)
        filled = np.where(known, now, 0)

        fine = np.empty((*rates.shape[:2], *now.shape), "f4")
        for lead, displacement in enumerate(path):
            pattern: np.ndarray | float = 1.0
            if change.averaged != (1, 1):
                moved = resampling.advect(filled, self._on_store(displacement, now.shape))
                pattern = resampling.detail(moved, change.averaged)
            for member, forecast in zip(fine, rates, strict=True):
                means = resampling.block_mean(forecast[lead], change.divided)
                member[lead] = resampling.refine(means, change.averaged, known, pattern)
        return fine

    def _on_store(self, displacement: Tensor, shape: tuple[int, int]) -> Tensor:
        """A displacement (2, Y, X) in px of the network → (2, y, x) in px of the store."""
        change = self.change
        parts = []
        for axis, part in zip((1, 0), displacement.numpy(), strict=True):  # x first
            part = resampling.block_mean(part, change.divided) / change.divided[axis]
            parts.append(resampling.bilinear(part, change.averaged, shape) * change.averaged[axis])
        return torch.from_numpy(np.stack(parts).astype("f4"))
