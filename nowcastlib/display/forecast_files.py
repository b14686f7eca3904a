"""A forecast as a file or a folder; the ending of the name decides the format."""

import json
import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.data import are_colours
from nowcastlib.errors import NowcastError
from nowcastlib.files import cannot_write, real_path, scratch_folder, written_folder
from nowcastlib.forecasting import as_dataset, encoding, save

WHITE = 100.0  # mm/h of a white pixel in grey pictures, as the feed ``images`` reads them
TIMES = "times.json"  # beside forecast.npy
ARRAY = "forecast.npy"  # in a folder
ORIGIN = ("forecaster", "source", "license", "history")  # attributes
ENDINGS = (".zarr", ".nc", ".npy", ".gif", ".mp4")


def check_ending(out: str | Path) -> str:
    """Return the ending of a name that ``save_forecast`` can write; "" for a folder.

    Raises
    ------
    NowcastError
        If no format has this ending.
    """
    ending = Path(out).suffix.lower()
    if ending and ending not in ENDINGS:
        raise NowcastError(
            f"{out} ends in {ending}: write a forecast as {', '.join(ENDINGS)}, or give a name "
            "without an ending for a folder of PNG"
        )
    return ending


def save_forecast(predicted: xr.DataArray, out: str | Path, grey: bool = False) -> None:
    """Save a forecast in the format that the ending of the name says, whole or not at all.

    ``.zarr`` and ``.nc`` are CF-Zarr and NetCDF. ``.npy`` is a float32 array (lead_time, y, x) in
    mm/h with the times in ``times.json`` beside it; of an ensemble (member, lead_time, y, x).
    ``.gif`` and ``.mp4`` are animations. A name without an ending is a folder with forecast.npy,
    times.json and one PNG for each lead time, named by its valid time (UTC). Pictures of an
    ensemble show the mean of its members. Pictures of colours have these colours, and arrays of
    them are (lead_time, y, x, channel) from 0 to 1. An older forecast of that name is replaced.

    Parameters
    ----------
    predicted : xarray.DataArray, dimensions (…, lead_time, y, x)
        Rain rate in mm/h, or colours (lead_time, y, x, channel), as ``forecasting.forecast``
        returns it.
    out : str or pathlib.Path
        What to write.
    grey : bool
        Pictures are grey, white is 100 mm/h, instead of the colours of the rain scale.

    Raises
    ------
    NowcastError
        If no format has this ending, if something else has this name, or if it cannot be written.
    """
    ending, out = check_ending(out), Path(out)
    if ending == ".zarr":
        save(predicted, out)
    elif ending == ".nc":
        _check_netcdf(out)
        dataset = as_dataset(predicted).drop_encoding()
        _write_file(out, lambda path: _write_netcdf(dataset, path))
    elif ending == ".npy":
        _save_array(predicted, out)
    elif ending:
        _write_file(out, lambda path: _draw_animation(predicted, path, grey))
    else:
        _save_folder(predicted, out, grey)


def is_forecast_folder(out: Path) -> bool:
    """Whether a folder is one that ``save_forecast`` made."""
    return _is_ours(out / TIMES, ARRAY)


def times_of(predicted: xr.DataArray, name: str = ARRAY) -> dict:
    """What the numbers of a ``.npy`` mean: its dimensions, units and times (UTC), for JSON."""
    return {
        "file": name,
        "dimensions": [str(dim) for dim in predicted.dims],
        "units": "1" if are_colours(predicted) else "mm/h",
        "issued": _text(predicted.issued.values),
        "lead_minutes": [float(minutes) for minutes in predicted.lead_time.values],
        "valid_times": [_text(time) for time in predicted.valid_time.values],
        **{key: str(predicted.attrs.get(key, "")) for key in ORIGIN},
    }


def _text(time: np.datetime64) -> str:
    """A time such as 2024-06-01T12:05:00Z."""
    return f"{pd.Timestamp(time):%Y-%m-%dT%H:%M:%SZ}"


def _save_array(predicted: xr.DataArray, out: Path) -> None:
    """Write the array and its times; a kill in between leaves no array with other times."""
    times = out.with_name(TIMES)
    if times.exists() and not _is_ours(times, out.name):
        raise NowcastError(
            f"{times} belongs to something else than {out.name}: choose another folder"
        )
    if out.exists() and not times.exists():
        raise NowcastError(f"{out} exists and is not a forecast: choose another name")

    target = real_path(out)
    try:
        with scratch_folder(target) as scratch:
            _write_array(predicted, scratch, out.name)
            target.unlink(missing_ok=True)
            os.replace(scratch / TIMES, times)
            os.replace(scratch / out.name, target)
    except OSError as error:
        raise cannot_write(out, error) from error


def _write_array(predicted: xr.DataArray, folder: Path, name: str) -> None:
    """Write the array and times.json into a folder."""
    np.save(folder / name, np.asarray(predicted.values, "f4"))
    (folder / TIMES).write_text(json.dumps(times_of(predicted, name), indent=1) + "\n")


def _is_ours(times: Path, name: str) -> bool:
    """Whether a file is the times.json of the array ``name``."""
    try:
        return json.loads(times.read_text())["file"] == name
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _save_folder(predicted: xr.DataArray, out: Path, grey: bool) -> None:
    """Write the array, its times and a PNG for each lead time as a new folder."""
    is_empty = out.is_dir() and not any(out.iterdir())
    if out.exists() and not is_empty and not is_forecast_folder(out):
        raise NowcastError(f"{out} exists and is not a forecast: choose another name")

    with written_folder(out) as folder:
        folder.mkdir()
        _write_array(predicted, folder, ARRAY)
        shown = _shown(predicted)
        for field, time in zip(shown.values, shown.valid_time.values, strict=True):
            name = f"{pd.Timestamp(time):%Y%m%d_%H%M%S}.png"
            drawn = colour_picture(field) if are_colours(predicted) else picture(field, grey)
            (folder / name).write_bytes(drawn)


def picture(rate: np.ndarray, grey: bool = False) -> bytes:
    """Return a field as a PNG of the same number of pixels.

    Parameters
    ----------
    rate : array, shape (y, x)
        Rain rate in mm/h. NaN is grey in the colours of the rain scale, and transparent in grey.
    grey : bool
        White is 100 mm/h, instead of the colours of the rain scale.
    """
    from PIL import Image

    from nowcastlib.display.rain_scale import CMAP, NORM

    if grey:
        level = np.round(255 * np.clip(np.nan_to_num(rate) / WHITE, 0, 1)).astype("u1")
        opacity = np.where(np.isnan(rate), 0, 255).astype("u1")
        pixels = np.stack([level, opacity], axis=-1) if np.isnan(rate).any() else level
    else:
        masked = np.ma.masked_invalid(np.asarray(rate, "f4"))
        pixels = CMAP(NORM(masked), bytes=True)[..., :3]  # (y, x, RGB)

    content = BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def colour_picture(colours: np.ndarray) -> bytes:
    """Return colours (y, x, RGB) from 0 to 1 as a PNG; NaN is transparent."""
    from PIL import Image

    pixels = np.round(255 * np.nan_to_num(colours)).astype("u1")  # (y, x, RGB)
    is_shown = np.isfinite(colours).all(axis=-1)
    if not is_shown.all():
        pixels = np.dstack([pixels, np.where(is_shown, 255, 0).astype("u1")])  # (y, x, RGBA)
    content = BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def _draw_animation(predicted: xr.DataArray, path: Path, grey: bool) -> None:
    """Write a GIF or MP4."""
    from nowcastlib.display.plots import save_animation

    name, shown = str(predicted.attrs.get("forecaster") or "forecast"), _shown(predicted)
    if are_colours(predicted):
        save_animation({name: shown.fillna(0)}, path, grey=True)
        return
    save_animation({name: shown / WHITE if grey else shown}, path, grey=grey)


def _shown(predicted: xr.DataArray) -> xr.DataArray:
    """What pictures show (lead_time, y, x): the forecast, or the mean of its members."""
    if "member" not in predicted.dims:
        return predicted
    return predicted.mean("member", keep_attrs=True)


def _write_netcdf(dataset: xr.Dataset, path: Path) -> None:
    """Write a NetCDF file. OSError if it cannot be written: netCDF4 has another error for it."""
    try:
        dataset.to_netcdf(path, encoding=encoding(dataset))
    except RuntimeError as error:  # such as "NetCDF: HDF error" of a full disk
        raise OSError(f"{error}, as on a full disk") from error


def _check_netcdf(out: Path) -> None:
    """NowcastError if a file exists that is no forecast."""
    if not out.exists():
        return
    try:
        with xr.open_dataset(out, decode_timedelta=False) as dataset:
            is_forecast = "lead_time" in dataset.dims
    except (OSError, ValueError):
        is_forecast = False
    if not is_forecast:
        raise NowcastError(f"{out} exists and is not a forecast: choose another name")


def _write_file(out: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` make a file beside ``out``, which then takes its name."""
    target = real_path(out)
    if target.is_dir():
        raise NowcastError(f"{out} is a folder: choose another name")
    try:
        with scratch_folder(target) as scratch:
            write(scratch / out.name)
            os.replace(scratch / out.name, target)
    except OSError as error:
        raise cannot_write(out, error) from error
