"""The same ten frames of rain, written in the many ways in which stores and files come."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import rasterio
import rasterio.warp
import xarray as xr
from PIL import Image

TIMES = pd.date_range("2024-06-01T12:00", periods=10, freq="5min")
ROWS, COLUMNS = 7, 9
X = 500 + 1000.0 * np.arange(COLUMNS)  # metres
Y = 500 + 1000.0 * np.arange(ROWS)[::-1]
LATITUDES = np.round(45.2 + 0.01 * np.arange(ROWS)[::-1], 2)
LONGITUDES = np.round(9.1 + 0.01 * np.arange(COLUMNS), 2)
M, NORTH, EAST = {"units": "m"}, {"units": "degrees_north"}, {"units": "degrees_east"}
UTM = "EPSG:32632"


def rain() -> np.ndarray:
    """Rain (time, y, x) in mm/h: an L that moves east; no turn and no mirror maps it to itself.

    All rates are multiples of 0.5 mm/h, so that packed numbers hold them exactly.
    """
    rate = np.zeros((len(TIMES), ROWS, COLUMNS))
    for t in range(len(TIMES)):
        column = t % 5
        rate[t, 1:5, column] = [6.0, 12.0, 12.0, 24.0]
        rate[t, 4, column + 1 : column + 3] = [48.0, 3.5]
    rate[:, 0, -1] = np.nan  # not observed
    return rate


RAIN = rain()


def reflectivity() -> np.ndarray:
    """The rain as reflectivity (time, y, x) in dBZ by Z = 200 R^1.6; -inf where it is dry."""
    with np.errstate(divide="ignore"):
        return 10 * np.log10(200 * RAIN**1.6)


def dataset(
    rate: np.ndarray = RAIN, name: str = "rain", y=(Y, M), x=(X, M), **attributes
) -> xr.Dataset:
    """A data set in order: rain (time, y, x) in mm/h, metres, north up; pass what differs."""
    axes = {"y": ("y", *y), "x": ("x", *x), "time": TIMES}
    variable = (("time", "y", "x"), rate, {"units": "mm h-1"} | attributes)
    return xr.Dataset({name: variable}, axes)


def in_degrees(y="y", x="x", longitudes=LONGITUDES, attributes=(NORTH, EAST)) -> xr.Dataset:
    """A data set in degrees; its axes have these names."""
    made = dataset(y=(LATITUDES, attributes[0]), x=(longitudes, attributes[1]))
    return made.rename({"y": y, "x": x} if y != "y" else {})


def two_dimensional(south_up=False, is_rotated=False) -> xr.Dataset:
    """A data set without coordinates of its own, but with latitudes and longitudes (y, x)."""
    lon, lat = np.meshgrid(LONGITUDES, LATITUDES)
    if is_rotated:
        lat = lat + 0.05 * (lon - lon[0, 0])
    made = dataset().drop_vars(["y", "x"])
    made = made.assign_coords(lat=(("y", "x"), lat, NORTH), lon=(("y", "x"), lon, EAST))
    return made.isel(y=slice(None, None, -1)) if south_up else made


def amount(minutes: float, units="mm", mm=1.0, **attributes) -> xr.Dataset:
    """Sums of the rain of some minutes, in a unit of some mm."""
    sums = RAIN * minutes / 60 / mm
    return dataset(sums, units=units, **{"standard_name": "rainfall_amount"} | attributes)


def with_bounds(made: xr.Dataset, minutes: float) -> xr.Dataset:
    """The data set with bounds of its times: its frames hold the rain of some minutes."""
    bounds = np.stack([TIMES - pd.Timedelta(minutes=minutes), TIMES], axis=1)
    made = made.assign(time_bnds=(("time", "nv"), bounds))
    made.time.attrs["bounds"] = "time_bnds"
    return made


def with_times(values, units: str, calendar: str = "standard") -> xr.Dataset:
    """The data set with times as numbers of some unit and calendar."""
    return dataset().assign_coords(
        time=("time", np.asarray(values), {"units": units, "calendar": calendar})
    )


def since(start: str, unit: str) -> np.ndarray:
    """The times as numbers of days, hours, … since a day."""
    return np.asarray((TIMES - pd.Timestamp(start)) / pd.Timedelta(1, unit))


def marked(value: float, declared: str = "") -> xr.Dataset:
    """The data set with a number for pixels that were not observed, declared or not."""
    attributes = {declared: np.float32(value)} if declared else {}
    return dataset(np.nan_to_num(RAIN, nan=value).astype("f4"), **attributes)


def written(made: xr.Dataset, folder: Path, **encoding) -> str:
    """Write a data set as Zarr 2; ``encoding`` is that of the rain."""
    path = folder / "theirs.zarr"
    name = next(iter(made.data_vars))
    made.to_zarr(path, zarr_format=2, encoding={name: encoding} if encoding else None)
    return str(path)


def odim(folder: Path, rate=RAIN, where=None, units=None, dtype="f4", **others) -> str:
    """Ten files of ODIM HDF5 with nodata -1 and undetect -2; ``others`` are further data sets."""
    what = {"quantity": "RATE", "nodata": -1.0, "undetect": -2.0, "gain": 1.0, "offset": 0.0}
    what = {key: value for key, value in (what | (units or {})).items() if value is not None}
    for time, values in zip(TIMES, rate, strict=True):
        with h5py.File(folder / f"radar_{time:%Y%m%d%H%M}.h5", "w") as file:
            raw = np.where(np.isnan(values), -1, np.where(values == 0, -2, values))
            file["dataset1/data1/data"] = raw.astype(dtype)
            file.create_group("dataset1/data1/what").attrs.update(what)
            file.create_group("where").attrs.update(odim_where() if where is None else where)
            for name, extra in others.items():
                file[name] = extra
    return str(folder)


def odim_where(*without: str) -> dict:
    """ODIM's description of the grid in UTM; its south-west corner is at x = y = 0 m."""
    corners = rasterio.warp.transform(UTM, "EPSG:4326", [0, COLUMNS * 1000.0], [0, ROWS * 1000.0])
    (west, east), (south, north) = corners
    described = {
        "projdef": "+proj=utm +zone=32 +datum=WGS84",
        "xscale": 1000.0,
        "yscale": 1000.0,
        "LL_lon": west,
        "LL_lat": south,
        "UR_lon": east,
        "UR_lat": north,
    }
    return {key: value for key, value in described.items() if key not in without}


def odim_where_in_degrees(*without: str) -> dict:
    """ODIM's description of the grid in latitudes and longitudes."""
    described = {
        "projdef": "+proj=longlat +datum=WGS84",
        "xscale": 0.01,
        "yscale": 0.01,
        "LL_lon": LONGITUDES[0] - 0.005,
        "LL_lat": LATITUDES[-1] - 0.005,
        "UR_lon": LONGITUDES[-1] + 0.005,
        "UR_lat": LATITUDES[0] + 0.005,
    }
    return {key: value for key, value in described.items() if key not in without}


def geotiff(folder: Path, rate=RAIN, transform=None, crs=UTM, units="mm/h", bands=1) -> str:
    """Ten GeoTIFF files of float32 with nodata -1."""
    transform = transform or rasterio.Affine(1000, 0, 0, 0, -1000, ROWS * 1000)
    profile = {"driver": "GTiff", "height": ROWS, "width": COLUMNS, "count": bands}
    profile |= {"dtype": "float32", "nodata": -1, "transform": transform, "crs": crs}
    for time, values in zip(TIMES, rate, strict=True):
        with rasterio.open(folder / f"radar_{time:%Y%m%d%H%M}.tif", "w", **profile) as file:
            for band in range(1, bands + 1):
                file.write(np.nan_to_num(values, nan=-1).astype("f4"), band)
            file.units = (units,) * bands
    return str(folder)


def pictures(folder: Path, names="radar_{:%Y%m%d%H%M}.png", rate=RAIN) -> str:
    """Ten PNG files: level 255 is 127.5 mm/h, pixels that were not observed are transparent."""
    for number, (time, values) in enumerate(zip(TIMES, rate, strict=True)):
        level = (2 * np.nan_to_num(values)).astype("u1")
        alpha = np.where(np.isnan(values), 0, 255).astype("u1")
        path = folder / names.format(time, number=number)
        Image.fromarray(np.dstack([level, level, level, alpha])).save(path)
    return str(folder)
