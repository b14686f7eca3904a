"""Forecasts of colour films: red, green and blue in place of rain."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr

from nowcastlib.data import (
    COLOUR,
    COLOUR_ATTRIBUTES,
    are_colours,
    check_colours,
    nearest_frames,
    time_text,
    usual_step,
    utc,
)
from nowcastlib.errors import NowcastError
from nowcastlib.networks import ForecastNetwork, network_input
from nowcastlib.training import TrainConfig, load

USUAL_STEP = pd.Timedelta(minutes=5)  # time step of a store that holds a single frame


class ColourNetwork:
    """Forecaster that runs a network that was trained on colours.

    Any number of steps can be forecast. Pixels that are lost in some of the frames are filled from
    the others; there is no forecast where the last frame is not observed.

    Parameters
    ----------
    model : ForecastNetwork
        The network, of three channels.
    config : TrainConfig
        The configuration with which it was trained.
    """

    def __init__(self, model: ForecastNetwork, config: TrainConfig):
        self.model = model.eval()
        self.config = config

    @classmethod
    def load(cls, run: str | Path, device: str = "auto") -> "ColourNetwork":
        """The network with the best weights of a run's folder, on a GPU where there is one.

        Raises
        ------
        NowcastError
            If the folder holds no network that can be read, or if there is no such device.
        """
        return cls(*load(run, device))

    @property
    def n_in(self) -> int:
        """Number of frames that it needs."""
        return self.config.windows.n_in

    @torch.inference_mode()
    def __call__(self, observed: np.ndarray, n: int) -> np.ndarray:
        """Colours of the next steps.

        Parameters
        ----------
        observed : np.ndarray
            Colours (T, channel, y, x) from 0 to 1, at least ``n_in`` frames, NaN where not
            observed.
        n : int
            Number of steps to forecast.

        Returns
        -------
        np.ndarray
            Colours (n, channel, y, x) from 0 to 1.
        """
        _check_are_colours(observed.ndim == 4)
        size = self.config.model.fixed_size
        if size and observed.shape[2:] != (size, size):
            raise NowcastError(
                f"the frames have {observed.shape[2]}×{observed.shape[3]} px, and this network "
                f"works on {size}×{size} px only: cut them with --size {size}"
            )
        device = next(self.model.parameters()).device
        recent = torch.from_numpy(observed[None, -self.n_in :].astype("f4")).to(device)
        logits = self.model(network_input(recent, self.config.model), n)  # (1, n, C, H, W)
        forecast = torch.sigmoid(logits)[0].cpu().numpy()
        forecast[:, ~np.isfinite(observed[-1])] = np.nan
        return forecast


class ColourPersistence:
    """Forecaster of colours that repeats the last frame: the baseline of ``score_colours``."""

    n_in = 1

    def __call__(self, observed: np.ndarray, n: int) -> np.ndarray:
        """Colours (n, channel, y, x) after ``observed`` (T, channel, y, x)."""
        return np.repeat(observed[-1:], n, axis=0)


def _check_are_colours(are: bool) -> None:
    """NowcastError for frames of rain."""
    if not are:
        raise NowcastError(
            "this network forecasts colours, and these frames are rain: give it a store that "
            "nowcast ingest made with --colours, or choose a forecaster of rain"
        )


def forecast_colours(
    run: ColourNetwork | ColourPersistence,
    films: xr.DataArray,
    at: str | datetime | np.datetime64 | None = None,
    leads: int = 12,
) -> xr.DataArray:
    """Forecast of the frames after a time. It uses no frame after that time.

    Parameters
    ----------
    run : ColourNetwork or ColourPersistence
        The forecaster.
    films : xr.DataArray
        Colours (time, channel, y, x) from 0 to 1, as ``data.open_colours`` gives them.
    at : str | datetime | np.datetime64 | None
        Time of the last frame to use, UTC; None for the last frame.
    leads : int
        Number of steps to forecast.

    Returns
    -------
    xr.DataArray
        ``colour`` (lead_time, y, x, channel) from 0 to 1: each lead is a picture. ``lead_time`` is
        in minutes, ``valid_time`` and ``issued`` are UTC.

    Raises
    ------
    NowcastError
        If a frame that the forecaster needs is missing, or if the frames are no colours.
    """
    if leads < 1:
        raise NowcastError(f"a forecast needs leads, not {leads}: ask for at least 1")
    _check_are_colours(are_colours(films))
    observed, step = _observed_until(films, at, run.n_in)
    values = check_colours(observed.transpose("time", "channel", "y", "x").values, "the film")
    forecast = run(values, leads)  # (lead_time, channel, y, x)

    issued, steps = observed.indexes["time"][-1], pd.TimedeltaIndex(step * np.arange(1, leads + 1))
    times = {
        "lead_time": ("lead_time", steps / pd.Timedelta(minutes=1), {"units": "minutes"}),
        "valid_time": ("lead_time", issued + steps, {"standard_name": "time"}),
        "issued": ((), issued, {"standard_name": "forecast_reference_time"}),
    }
    origin = {name: films.attrs.get(name, "") for name in ("source", "license")}
    return xr.DataArray(
        np.moveaxis(forecast, 1, -1).astype("f4"),
        coords=times | {"y": observed.y, "x": observed.x},
        dims=("lead_time", "y", "x", "channel"),
        name=COLOUR,
        attrs=COLOUR_ATTRIBUTES | origin,
    )


def _observed_until(
    films: xr.DataArray, at: str | datetime | np.datetime64 | None, n: int
) -> tuple[xr.DataArray, pd.Timedelta]:
    """The last ``n`` frames up to a time, and the time step. NowcastError if one is missing."""
    available = films.indexes["time"]
    step = usual_step(available) if len(available) > 1 else USUAL_STEP
    last = available[-1] if at is None else utc(at)
    wanted = pd.DatetimeIndex([last - k * step for k in range(n - 1, -1, -1)])
    numbers = nearest_frames(available, wanted, step)
    if (numbers < 0).any():
        missing = time_text(wanted[numbers < 0][-1])
        minutes = step / pd.Timedelta(minutes=1)
        raise NowcastError(
            f"a forecast at {time_text(last)} needs {n} frames, {minutes:g} minutes apart, but "
            f"there is none at {missing} (the film holds {time_text(available[0])} to "
            f"{time_text(available[-1])}): choose another time"
        )
    return films.isel(time=numbers), step
