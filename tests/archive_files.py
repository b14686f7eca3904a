"""Tiny files in the formats of the national services, with known rain, to test that it is read."""

import gzip
from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pandas as pd
import pyproj
import rasterio
from PIL import Image

PIXEL = {  # metres
    "mch": 1000.0,
    "fmi": 1000.0,
    "fmi-geotiff": 250.0,
    "knmi": 1000.0,
    "bom": 500.0,
    "odim": 2000.0,
    "geotiff": 500.0,
}
MINUTES = (5, 5, 5, 5, 6, 15, 10)
STEP = dict(zip(PIXEL, MINUTES, strict=True))
START = pd.Timestamp("2024-06-01T12:00")

FMI_CRS = "+proj=stere +lon_0=25 +lat_0=90 +lat_ts=60 +a=6371288 +x_0=380886.310 +y_0=3395677.920"
KNMI_CRS = "+proj=stere +lat_0=90 +lon_0=0.0 +lat_ts=60.0 +a=6378.137 +b=6356.752 +x_0=0 +y_0=0"
ODIM_CRS = "+proj=laea +lat_0=55.0 +lon_0=10.0 +x_0=1950000.0 +y_0=-2100000.0 +units=m +ellps=WGS84"


def field(rows: int = 12, columns: int = 16) -> np.ndarray:
    """Rain (y, x) in mm/h whose orientation is unmistakable.

    It is 6 near the north-west corner, 30 near the south-east corner, not observed at the east edge
    and dry elsewhere. The three logarithmic formats hold it within 4 %, the others exactly.
    """
    rate = np.zeros((rows, columns))
    rate[2, 3] = 6.0
    rate[-3, -4] = 30.0
    rate[:, -1] = np.nan
    return rate


def write(product: str, folder: Path, time=START, rate: np.ndarray | None = None) -> Path:
    """Write one file with the rain `rate` (y, x) in mm/h, NaN where not observed; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    return WRITERS[product](folder, pd.Timestamp(time), field() if rate is None else rate)


def write_all(product: str, folder: Path, rates) -> list[Path]:
    """Write one file for each frame, at the service's own step from `START` on; their paths."""
    times = START + pd.to_timedelta(np.arange(len(rates)) * STEP[product], unit="min")
    return [write(product, folder, time, rate) for time, rate in zip(times, rates, strict=True)]


def truncate(path: Path) -> None:
    """Keep the first half of a file, as a broken download does."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _levels(rate: np.ndarray, level: np.ndarray, unknown: int, dtype: str) -> np.ndarray:
    """Levels as stored: 0 where dry, `unknown` where not observed, else the rounded `level`."""
    level = np.where(np.nan_to_num(rate) > 0, np.nan_to_num(level, neginf=0), 0)
    return np.where(np.isnan(rate), unknown, np.rint(level)).astype(dtype)


def _corners(crs: str, rate: np.ndarray, pixel: float) -> tuple[tuple, tuple]:
    """(Longitude, latitude) of the south-west and north-east corner of a grid that begins at 0."""
    rows, columns = rate.shape
    project = pyproj.Proj(crs)
    south_west = project(0, 0, inverse=True)
    north_east = project(columns * pixel, rows * pixel, inverse=True)
    return south_west, north_east


def _write_mch(folder, time, rate):
    with np.errstate(divide="ignore"):
        level = 71.5 + 20 * np.log10(316.0 * (rate / 12) ** 1.5)  # of mm in 5 minutes

    picture = Image.fromarray(_levels(rate, level, 255, "u1"), "P")
    picture.putpalette(np.random.default_rng(0).permutation(768).astype("u1").tobytes())
    path = folder / f"AQC{time:%y%j%H%M}F_00005.801.gif"
    picture.save(path, optimize=False)
    return path


def _fmi_levels(rate):
    with np.errstate(divide="ignore"):
        dbz = 10 * np.log10(223.0 * rate**1.53)
    return _levels(rate, 64 + 2 * dbz, 255, "u1")


FMI_HEADER = """P5
# obstime {time:%Y%m%d%H%M}
# param CorrectedReflectivity
# metersperpixel_x {pixel:f}
# metersperpixel_y {pixel:f}
# projection radar {{
# type stereographic
# centrallongitude 25
# centrallatitude 90
# truelatitude 60
# bottomleft {west:.9f} {south:.9f}
# topright {east:.9f} {north:.9f}
# }}
{columns} {rows}
255
"""


def _write_fmi(folder, time, rate):
    rows, columns = rate.shape
    pixel = PIXEL["fmi"]
    (west, south), (east, north) = _corners(FMI_CRS, rate, pixel)
    header = FMI_HEADER.format(
        **{"time": time, "pixel": pixel, "columns": columns, "rows": rows},
        **{"west": west, "south": south, "east": east, "north": north},
    )

    path = folder / f"{time:%Y%m%d%H%M}_fmi.radar.composite.lowest_FIN_SUOMI1.pgm.gz"
    path.write_bytes(gzip.compress(header.encode() + _fmi_levels(rate).tobytes()))
    return path


def _write_fmi_geotiff(folder, time, rate):
    path = folder / f"{time:%Y%m%d%H%M}_FINUTM.tif"
    pixel = PIXEL["fmi-geotiff"]
    profile = {
        "driver": "GTiff",
        "crs": "EPSG:3067",
        "transform": rasterio.Affine(pixel, 0, -196_000, 0, -pixel, 8_084_000),
        "height": rate.shape[0],
        "width": rate.shape[1],
        "count": 1,
        "dtype": "uint8",
    }
    with rasterio.open(path, "w", **profile) as file:
        file.write(_fmi_levels(rate), 1)
    return path


def _write_knmi(folder, time, rate):
    path = folder / f"RAD_NL25_RAP_5min_{time:%Y%m%d%H%M}.h5"
    with h5py.File(path, "w") as file:
        hundredths = rate / 12 * 100  # 0.01 mm in 5 minutes
        file["image1/image_data"] = _levels(rate, hundredths, 65535, "u2")

        geographic = file.create_group("geographic")
        geographic.attrs["geo_dim_pixel"] = np.bytes_("KM,KM")
        numbers = {"column_offset": 0, "row_offset": 3650, "pixel_size_x": 1, "pixel_size_y": -1}
        for name, value in numbers.items():
            geographic.attrs[f"geo_{name}"] = np.array([value], "f4")
        for name, value in zip(("rows", "columns"), rate.shape, strict=True):
            geographic.attrs[f"geo_number_{name}"] = np.array([value], "i4")

        projection = geographic.create_group("map_projection")
        projection.attrs["projection_proj4_params"] = np.bytes_(KNMI_CRS)
    return path


def _write_bom(folder, time, rate):
    path = folder / f"2_{time:%Y%m%d_%H%M%S}.prcp-cscn.nc"
    with netCDF4.Dataset(path, "w") as file:
        for name, n, sign in (("x", rate.shape[1], 1), ("y", rate.shape[0], -1)):
            file.createDimension(name, n)
            axis = file.createVariable(name, "f4", (name,))
            axis.units = "km"
            axis[:] = sign * (np.arange(n) - n / 2) * PIXEL["bom"] / 1000
            axis.valid_min = axis[:].min()
            axis.valid_max = axis[:].max()

        projection = file.createVariable("proj", "i1")
        projection.grid_mapping_name = "albers_conical_equal_area"
        projection.standard_parallel = [-18.0, -36.0]
        projection.longitude_of_central_meridian = 144.752
        projection.latitude_of_projection_origin = -37.852

        for name, minutes in (("valid_time", 0), ("start_time", 6)):
            seconds = file.createVariable(name, "i8")
            seconds.units = "seconds since 1970-01-01 00:00:00 UTC"
            seconds[...] = int((time - pd.Timedelta(minutes=minutes)).timestamp())

        rain = file.createVariable("precipitation", "i2", ("y", "x"), fill_value=-32768)
        rain.units = "kg m-2"
        rain.scale_factor = 0.05
        rain.add_offset = 0.0
        rain[:] = np.ma.masked_array(np.nan_to_num(rate) / 10, np.isnan(rate))  # in 6 minutes
    return path


def _write_odim(folder, time, rate):
    path = folder / f"T_PAAH21_C_EUOC_{time:%Y%m%d%H%M%S}.hdf"
    pixel = PIXEL["odim"]
    (west, south), (east, north) = _corners(ODIM_CRS, rate, pixel)
    with h5py.File(path, "w") as file:
        file["dataset1/data1/data"] = _levels(rate, rate * 100, 65535, "u2")
        what = file.create_group("dataset1/data1/what")
        what.attrs["quantity"] = np.bytes_("RATE")
        what.attrs.update({"gain": 0.01, "offset": 0.0, "nodata": 65535.0, "undetect": 0.0})

        where = file.create_group("where")
        where.attrs["projdef"] = np.bytes_(ODIM_CRS)
        where.attrs.update({"LL_lon": west, "LL_lat": south, "UR_lon": east, "UR_lat": north})
        where.attrs.update({"xscale": pixel, "yscale": pixel})
    return path


def _write_geotiff(folder, time, rate):
    path = folder / f"radar_{time:%Y%m%d%H%M}.tif"
    pixel = PIXEL["geotiff"]
    profile = {
        "driver": "GTiff",
        "crs": "EPSG:32633",
        "transform": rasterio.Affine(pixel, 0, 300_000, 0, -pixel, 5_100_000),
        "height": rate.shape[0],
        "width": rate.shape[1],
        "count": 1,
        "dtype": "uint16",
        "nodata": 65535,
    }
    with rasterio.open(path, "w", **profile) as file:
        file.write(_levels(rate, rate * 100, 65535, "u2"), 1)
        file.scales, file.units = (0.01,), ("mm/h",)
    return path


WRITERS = {
    "mch": _write_mch,
    "fmi": _write_fmi,
    "fmi-geotiff": _write_fmi_geotiff,
    "knmi": _write_knmi,
    "bom": _write_bom,
    "odim": _write_odim,
    "geotiff": _write_geotiff,
}
