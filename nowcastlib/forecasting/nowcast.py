"""Any forecaster on any store: frames up to a time → the rain of the next hour, with valid times."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr

from nowcastlib.data import RAIN_RATE, pixel_km, time_step, utc
from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import probabilities
from nowcastlib.forecasting.baselines import BASELINES
from nowcastlib.networks import motion
from nowcastlib.training import load
from nowcastlib.units import DRY

WEIGHTS = Path(__file__).parents[1] / "weights"  # a folder a shipped model
MEMBERS = 10  # of an ensemble
# observed (T, y, x) in mm/h, n → (n, y, x) in mm/h, of an ensemble (member, n, y, x)
Forecaster = Callable[[np.ndarray, int], np.ndarray]


class Network:
    """Trained weights as a forecaster; ``n_in`` frames go in, any number comes out, by free rollout.

    A guided network's probabilities become one forecast (see ``probabilities.matched``), or an ensemble of so many
    ``members``, always the same ones. Where nothing rained, nothing will.
    """

    def __init__(self, run: str | Path, members: int = 0):
        self.model, self.config = load(run)
        self.n_in, self.members = self.config.n_in, members

    @torch.inference_mode()
    def __call__(self, observed: np.ndarray, n: int) -> np.ndarray:
        scale = self.config.scale
        x = scale.to_model(torch.from_numpy(np.nan_to_num(observed[-self.n_in :]).astype("f4")))
        logits = self.model(x[None, :, None], n)[0]
        if self.config.model.kind != "guided":
            rate = scale.from_model(torch.sigmoid(logits))[:, 0]
        elif self.members:
            path = motion.follow(self.model.velocity(x[None]), n)[0]
            rate = probabilities.ensemble(
                logits, probabilities.noise(x[-1], path, self.members), scale
            )
        else:
            rate = probabilities.quantile(
                logits, probabilities.matched(logits, scale.from_model(x[-1])), scale
            )
        rate = rate.numpy() * bool((x > scale.to_model(DRY)).any())
        rate[rate < DRY] = 0
        return np.where(np.isfinite(observed[-1]), rate, np.nan)


def shipped() -> list[str]:
    """Names of the weights that come with the library."""
    return sorted(p.parent.name for p in WEIGHTS.glob("*/config.json"))


def forecaster(name: str | Path) -> Forecaster:
    """A forecaster by name: a baseline, shipped weights, a run's folder, or a weights file in one.

    ``radar-members`` are ten members of the ensemble of the weights ``radar``; so with any guided network.

    Raises NowcastError if there is no such thing.
    """
    path = Path(name)
    if str(name) in BASELINES:
        return BASELINES[str(name)]
    if str(name) in shipped():
        return Network(WEIGHTS / str(name))
    if path.is_dir() or (path.is_file() and path.name == "model.safetensors"):
        return Network(path if path.is_dir() else path.parent)
    if str(name).endswith("-members"):
        found = forecaster(str(name).removesuffix("-members"))
        if isinstance(found, Network) and found.config.model.kind == "guided":
            found.members = MEMBERS
            return found
        raise NowcastError(f"no forecaster {str(name)!r}: only a guided network has members")
    known = ", ".join([*BASELINES, *shipped()])
    raise NowcastError(f"no forecaster {str(name)!r}: name a run's folder, or one of {known}")


def observed_until(frames: xr.DataArray, at, n: int) -> xr.DataArray:
    """The ``n`` frames (time, y, x) that end at time ``at`` (None: the last), at the store's own step.

    Raises NowcastError if one of them is missing.
    """
    at = frames.indexes["time"][-1] if at is None else utc(at)
    step = (
        pd.Timedelta(minutes=time_step(frames))
        if frames.sizes["time"] > 1
        else pd.Timedelta(minutes=5)
    )
    wanted = [at - k * step for k in range(n - 1, -1, -1)]
    missing = [str(t) for t in wanted if t not in frames.indexes["time"]]
    if missing:
        first, last = frames.indexes["time"][[0, -1]]
        raise NowcastError(
            f"a forecast at {at} needs {n} frames, {step} apart, but there is none at {missing[0]} "
            f"(the store holds {first} to {last}): choose another time"
        )
    return frames.sel(time=wanted)


def forecast(run: Forecaster, frames: xr.DataArray, at=None, leads: int = 12) -> xr.DataArray:
    """The next ``leads`` steps after time ``at`` (None: the last): DataArray (lead_time, y, x) in mm/h.

    Of an ensemble (member, lead_time, y, x). ``lead_time`` is in minutes; ``valid_time`` (UTC) is the time for which
    each field is forecast. Only frames up to ``at`` are looked at. Raises NowcastError if the frames that the
    forecaster needs are not there.
    """
    if leads < 1:
        raise NowcastError(f"a forecast of {leads} leads is none: ask for at least 1")
    past = observed_until(frames, at, getattr(run, "n_in", 3))
    issued = pd.Timestamp(past.time.values[-1])
    lead = time_step(frames) * np.arange(1, leads + 1)
    rate = run(past.values.astype("f8"), leads)
    return xr.DataArray(
        rate.astype("f4"),
        coords={
            "lead_time": (
                "lead_time",
                lead,
                {"units": "minutes", "standard_name": "forecast_period"},
            ),
            "valid_time": (
                "lead_time",
                issued + pd.to_timedelta(lead, unit="min"),
                {"standard_name": "time"},
            ),
            "issued": ((), issued, {"standard_name": "forecast_reference_time"}),
            "y": past.y,
            "x": past.x,
        },
        dims=("member", "lead_time", "y", "x")[-rate.ndim :],
        name="rainfall_rate",
        attrs=RAIN_RATE
        | {k: past.attrs.get(k, "") for k in ("source", "license")}
        | {"pixel_km": pixel_km(past)},
    )


def save(predicted: xr.DataArray, out: str | Path) -> None:
    """Write a forecast as CF-Zarr, all or nothing; an older forecast of that name is replaced.

    Raises NowcastError if ``out`` exists and is no forecast, or cannot be written.
    """
    out = Path(out)
    partial = out.with_name(out.name + ".partial")
    try:
        if out.exists() and "lead_time" not in (
            xr.open_zarr(out, decode_timedelta=False).dims if out.is_dir() else ()
        ):
            raise NowcastError(f"{out} exists and is not a forecast: choose another name")
        shutil.rmtree(partial, ignore_errors=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        attrs = {
            "Conventions": "CF-1.9",
            "title": "rain forecast",
            "source": predicted.attrs.get("source", ""),
            "license": predicted.attrs.get("license", ""),
        }
        dataset = predicted.to_dataset(name="rainfall_rate").assign_attrs(attrs)
        encoding = {"valid_time": {"units": "seconds since 1970-01-01", "dtype": "i8"}}
        dataset.to_zarr(partial, encoding=encoding, zarr_format=2)
        shutil.rmtree(out, ignore_errors=True)
        partial.rename(out)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise NowcastError(
            f"cannot write {out}: {error.strerror or error}; free the place or choose another"
        ) from error
