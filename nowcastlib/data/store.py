"""Reading a store: any CF-Zarr of rain, on disk, on S3 or behind another URL, as frames in mm/h."""

import json
import re
from contextlib import suppress
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pyproj
import xarray as xr

from nowcastlib.data.grid import RAIN_RATE
from nowcastlib.data.times import time_step
from nowcastlib.errors import NowcastError
from nowcastlib.units import DRY, amount_of_water

# name, path, licence and maker, from github.com/mlcast-community/mlcast-datasets; Denmark's is no rain but reflectivity
MLCAST = """\
be-rmi radar_precipitation/BE-RMI-radclim-mfb/v0.1.1/5_minutes.zarr CC-BY-4.0 Royal Meteorological Institute of Belgium
de-dwd radklim/v0.1.1/5_minutes.zarr CC-BY-4.0 Deutscher Wetterdienst, doi:10.5676/DWD/RADKLIM_YW_V2017.002
de-dwd-hourly radklim/v0.1.1/hourly.zarr CC-BY-4.0 Deutscher Wetterdienst, doi:10.5676/DWD/RADKLIM_RW_V2017.002
fr-mf FR-MF-prate/v0.1.0/fr-mf-prate-5min.zarr CC-BY-4.0 Météo-France
it-dpc-sri IT-DPC-SRI/v0.1.0/italian-radar-dpc-sri.zarr CC-BY-SA-4.0 Dipartimento Protezione Civile (DPC)
uk-metoffice UK-METOFFICE-RADAR/v0.1.0/uk-metoffice-c-band-rain-radar.zarr OGL-UK-3.0 UK Met Office C-band rain radar
"""
ARCHIVES: dict[str, tuple[str, str, str, str]] = {  # path, endpoint, who made it, licence
    name: (
        f"s3://mlcast-source-datasets/{path}",
        "https://object-store.os-api.cci2.ecmwf.int",
        maker,
        licence,
    )
    for name, path, licence, maker in (line.split(maxsplit=3) for line in MLCAST.splitlines())
}
# a server that is not there is told within seconds; a silent one, for s3fs and botocore ask ten times, within a minute
PATIENCE = {"connect_timeout": 5, "read_timeout": 5, "retries": {"max_attempts": 1}}
SLAB = 64 << 20  # bytes of whole frames that are held in memory together
AXES = {  # by standard name, units, axis or usual name
    "time": {"time", "t"},
    "y": {
        "y",
        "latitude",
        "lat",
        "projection_y_coordinate",
        "grid_latitude",
        "degrees_north",
        "northing",
    },
    "x": {
        "x",
        "longitude",
        "lon",
        "projection_x_coordinate",
        "grid_longitude",
        "degrees_east",
        "easting",
    },
}
METRES = dict.fromkeys(["m", "metre", "metres", "meter", "meters"], 1.0)
METRES |= dict.fromkeys(["km", "kilometre", "kilometres", "kilometer", "kilometers"], 1000.0)
MAKER = ("attribution", "institution", "institute", "copyright", "source", "references", "title")


def open_frames(path: str | Path, endpoint: str = "", variable: str = "") -> xr.DataArray:
    """The rain rate of a CF-Zarr: lazy DataArray (time, y, x), mm/h, ascending time, north up, axes in m or degrees.

    ``path`` is a folder, a URL that fsspec understands or a name in ``ARCHIVES``; S3 is read anonymously, and from
    ``endpoint`` where it is not Amazon's. The axes are found by standard name, units, ``axis`` or usual name, the
    variable by its units; ``variable`` names it where several hold rain. An amount is divided by the time in which it
    fell: that of cell_methods, of the time's bounds, of accumulation_period, or else the regular step of the times.
    Attributes: ``source``, who made the data; ``license``, "" where it is not told; ``crs``, WKT, where it is known.

    Raises NowcastError if there is no store, or not one variable, interval and set of axes that is understood.
    """
    path, endpoint, *made = ARCHIVES.get(str(path), (str(path), endpoint))
    dataset = _open(path, endpoint)
    rain = _choose(dataset, path, variable)
    frames = rain.reset_coords(
        drop=True
    )  # two-dimensional latitudes would be read again with every frame
    frames = frames.squeeze(
        [d for d, n in frames.sizes.items() if n == 1 and _axis(frames[d]) not in AXES], drop=True
    )
    axes = {_axis(frames[d]): d for d in frames.dims}
    if set(axes) != set(AXES) or frames.ndim != len(AXES) or axes["time"] not in frames.indexes:
        raise NowcastError(
            f"{path} has the axes {rain.dims}; a time and two horizontal ones are needed"
        )
    frames = frames.rename({d: axis for axis, d in axes.items() if d != axis}).transpose(*AXES)
    frames = _in_order(frames, path)
    for axis in {"x", "y"} & set(frames.indexes):
        coordinate = frames[axis]
        usual = "m" if "projection" in coordinate.attrs.get("standard_name", "") else ""
        if metres := METRES.get(coordinate.attrs.get("units", usual)):
            frames[axis] = (axis, coordinate.values * metres, coordinate.attrs | {"units": "m"})
        if coordinate.size > 1 and (coordinate[0] < coordinate[-1]) == (axis == "y"):
            frames = frames.isel({axis: slice(None, None, -1)})
    kind, factor = amount_of_water(rain.attrs.get("units", ""))
    if kind == "amount":
        factor /= _hours(frames, dataset.get(frames.time.attrs.get("bounds")), path)
    frames = _unwritten(frames)
    if (
        factor != 1
    ):  # as CF's own scale factor it is applied when a frame is read: an archive has terabytes
        scaled = frames.assign_attrs(scale_factor=np.float32(factor)).to_dataset(name="rain")
        frames = _unwritten(xr.decode_cf(scaled, decode_times=False).rain)
    said, (maker, licence) = (
        {k.lower(): str(v) for k, v in dataset.attrs.items() if v},
        made or ("", ""),
    )
    source = maker or next((said[k] for k in MAKER if k in said), path)
    attrs = RAIN_RATE | {
        "source": source,
        "license": said.get("license", said.get("licence", licence)),
    }
    mapping = dataset.get(str((rain.attrs | rain.encoding).get("grid_mapping", "")).split(":")[0])
    if mapping is not None and (crs := _crs(mapping.attrs)):
        attrs["crs"] = crs
    return frames.drop_attrs(deep=False).rename("rainfall_rate").assign_attrs(attrs)


def _open(path: str, endpoint: str) -> xr.Dataset:
    options = (
        {"anon": True, "endpoint_url": endpoint or None, "config_kwargs": PATIENCE}
        if path[:3] == "s3:"
        else {}
    )
    try:
        disk, root = fsspec.url_to_fs(path, **options)
        try:  # xarray, if it is not told, warns where the metadata are not in one place
            consolidated = json.loads(disk.cat_file(f"{root}/zarr.json")).get(
                "consolidated_metadata"
            )
        except FileNotFoundError:  # format 2, or no store at all
            consolidated = disk.exists(f"{root}/.zmetadata") or not disk.cat_file(f"{root}/.zgroup")
        return xr.open_zarr(
            path, chunks=None, consolidated=bool(consolidated), storage_options=options or None
        )
    except Exception as error:  # zarr, fsspec, botocore and xarray each have errors of their own
        where = f"{path} at {endpoint}" if endpoint else path
        remedy = "and the network" if "://" in path else f"or give one of {', '.join(ARCHIVES)}"
        raise NowcastError(
            f"{where} is no Zarr store that can be read ({type(error).__name__}: {error}): check the address {remedy}"
        ) from error


def _choose(dataset: xr.Dataset, path: str, variable: str) -> xr.DataArray:
    """The variable of that name, else the only one of rain, else the only one with the name of a rain rate."""
    rain = {}
    for name, v in dataset.data_vars.items():
        kind, standard = (
            amount_of_water(v.attrs.get("units", ""))[0],
            v.attrs.get("standard_name", ""),
        )
        words = standard or (
            f"{v.attrs.get('long_name')} {name}" if kind == "amount" else "rain"
        )  # mm may be anything
        if kind and (
            name == variable
            if variable
            else v.ndim >= 3 and re.search("rain|precip", words, re.IGNORECASE)
        ):
            rain[name] = standard
    names = (
        list(rain) if len(rain) < 2 else [n for n in rain if rain[n].endswith(("_rate", "_flux"))]
    )
    if len(names) != 1:
        found = ", ".join(
            f"{n} [{v.attrs.get('units', 'no units')}]" for n, v in dataset.data_vars.items()
        )
        what = (
            f"rain called {variable}"
            if variable
            else "one rain rate or amount, or be asked for one by name"
        )
        raise NowcastError(
            f"{path} should hold {what} (units such as mm h-1 or mm); it has: {found or 'nothing'}"
        )
    return dataset[names[0]]


def _axis(coordinate: xr.DataArray) -> str:
    words = [
        coordinate.name,
        *(coordinate.attrs.get(k) for k in ("standard_name", "units", "axis")),
    ]
    names = {str(word).lower() for word in words}
    return next((axis for axis, usual in AXES.items() if names & usual), str(coordinate.name))


def _in_order(frames: xr.DataArray, path: str) -> xr.DataArray:
    """Each time once, ascending, as a date of the usual calendar."""
    times = frames.indexes["time"]
    if times.empty:
        raise NowcastError(f"{path} holds no frames: ingest again")
    if not isinstance(times, pd.DatetimeIndex):
        try:
            times = pd.to_datetime([t.isoformat() for t in times], format="ISO8601")
        except (AttributeError, ValueError) as error:
            raise NowcastError(
                f"{path} has no dates, but times such as {times[0]}: its time needs units"
            ) from error
    frames["time"] = ("time", times.as_unit("ns"), frames.time.attrs)
    frames = frames if times.is_monotonic_increasing else frames.sortby("time")
    return frames.drop_duplicates("time") if times.has_duplicates else frames


def _hours(frames: xr.DataArray, bounds: xr.DataArray | None, path: str) -> float:
    """In how many hours an amount fell: as the store says, or else the step of its times, if that is regular."""
    said = re.search(
        r"interval: *([\d.]+ *[a-z]+)", str(frames.attrs.get("cell_methods")), re.IGNORECASE
    )
    between = [] if bounds is None else np.unique(np.diff(bounds.values))
    gaps = pd.Series(np.diff(frames.time.values))
    step = [
        s for s in gaps.mode()[:1] if not (gaps % s).any()
    ]  # a missing frame makes a gap of several steps
    for span in (said and said[1], *between, frames.attrs.get("accumulation_period"), *step):
        with suppress(ValueError):
            hours = pd.Timedelta(span) / pd.Timedelta("1h")
            if hours > 0.001 and (said or len(between) < 2):
                return hours
    raise NowcastError(
        f"{path} does not say in which time the {frames.attrs.get('units')} of its frames fell: its variable needs "
        "cell_methods such as 'time: sum (interval: 5 minutes)'"
    )


def _unwritten(frames: xr.DataArray) -> xr.DataArray:
    """Forget how it was written there: it is not how we write. (Older xarray's drop_encoding would read everything.)"""
    for variable in (frames.variable, *(c.variable for c in frames.coords.values())):
        variable.encoding = {}
    return frames


def _crs(mapping: dict) -> str:
    """A CF grid mapping as WKT, in metres; "" if it is not understood."""
    for words in (
        mapping,
        {k: v for k, v in mapping.items() if k not in ("crs_wkt", "spatial_ref")},
    ):
        with suppress(pyproj.exceptions.CRSError, KeyError):
            crs = pyproj.CRS.from_cf(words)
            if (
                crs.is_projected and crs.axis_info[0].unit_conversion_factor == 1000
            ):  # km, as its axes were
                parts = crs.to_json_dict()
                for axis in parts["coordinate_system"]["axis"]:
                    axis["unit"] = "metre"
                crs = pyproj.CRS.from_json_dict({k: v for k, v in parts.items() if k != "id"})
            return crs.to_wkt()
    return ""


def describe(frames: xr.DataArray) -> str:
    """One line about frames (time, y, x): how many, how large, when, how wet. NaN counts as dry."""
    rows = [
        (float(np.nanmax(r, initial=0)), float((r > DRY).mean()))
        for r in (f.values for f in frames)
    ]
    first, last = frames.indexes["time"][[0, -1]]
    return (
        f"{len(rows)} frames of {frames.sizes['y']}×{frames.sizes['x']} px, {first} to {last} UTC, mostly every "
        f"{time_step(frames):g} minutes; maximum {max(m for m, _ in rows):.1f} mm/h, share above {DRY:g} mm/h "
        f"{np.mean([w for _, w in rows]):.3f}"
    )
