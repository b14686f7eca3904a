"""Products of weather services: how their files are named and read, and who made them."""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import xarray as xr

from nowcastlib import _pysteps  # noqa: F401
from nowcastlib.data.feeds import geotiff, odim
from nowcastlib.data.feeds.file_limits import check_file, named
from nowcastlib.data.grid import frame
from nowcastlib.data.read_options import ReadOptions
from nowcastlib.data.reflectivity import HAIL_CAP

from pysteps.io import importers  # isort: skip
from pysteps.utils import to_rainrate  # isort: skip

# FMI's lowest level, -32 dBZ, means "no echo" and thus no rain. Without these numbers pysteps would
# take the lowest value of each frame instead.
NO_ECHO = {"zerovalue": -32.0, "threshold": -31.75}


@dataclass(frozen=True)
class Product:
    """A product of a weather service.

    Parameters
    ----------
    pattern
        Regular expression of the whole file name; its first group is the time.
    time
        Format of that group, as for `strptime`.
    reader
        Function that reads a frame: `reader(path, **options)` returns (y, x) in mm/h.
    options
        Options of the reader.
    attribution
        Who made the data.
    licence
        The licence of the data, or where to find it.
    reads
        The fields of `ReadOptions` that the reader takes as `options`, for files of any maker.
    checks_time
        Whether the reader takes the time of the file's name as `listed`, and refuses a file that
        states another.
    """

    pattern: str
    time: str
    reader: Callable[..., xr.DataArray]
    options: dict[str, Any]
    attribution: str
    licence: str
    reads: tuple[str, ...] = ()
    checks_time: bool = False


def read_by_pysteps(
    path: str, importer: str, zr: dict[str, float] | None = None, **options: Any
) -> xr.DataArray:
    """Read a file by one of pysteps' importers.

    Parameters
    ----------
    path
        The file.
    importer
        Name of a function in `pysteps.io.importers`.
    zr
        The Z-R relation (`zr_a`, `zr_b`), if the file holds reflectivity.
    **options
        Options of the importer.

    Returns
    -------
    xarray.DataArray
        (y, x) in mm/h, north up.

    Raises
    ------
    Exception
        Whatever the importer raises.
    """
    with named(path):
        check_file(path)
    values, _, metadata = getattr(importers, importer)(path, **options)
    capped = 0
    if metadata["unit"] == "dBZ":
        metadata |= NO_ECHO
        capped = int((values > HAIL_CAP).sum())
        values = np.minimum(values, HAIL_CAP)  # NaN stays NaN
    rate, metadata = to_rainrate(values, metadata, **(zr or {}))
    if metadata["yorigin"] == "lower":
        rate = rate[::-1]

    metres = 1000.0 if metadata["cartesian_unit"] == "km" else 1.0
    rows, columns = rate.shape
    dx = float(metadata["xpixelsize"]) * metres
    dy = float(metadata["ypixelsize"]) * metres
    x = float(metadata["x1"]) * metres + dx * (np.arange(columns) + 0.5)
    y = float(metadata["y2"]) * metres - dy * (np.arange(rows) + 0.5)
    counts = {"capped_pixels": capped} if capped else {}
    return frame(rate, x, y, _in_metres(metadata["projection"], metres), **counts)


def _in_metres(projection: str, metres: float) -> str:
    """The projection with its ellipsoid in metres; KNMI gives it in km."""

    def scaled(match: re.Match) -> str:
        return f"+{match[1]}={float(match[2]) * metres}"

    return projection if metres == 1 else re.sub(r"\+([ab])=([\d.]+)", scaled, projection)


def read_by_rasterio(
    path: str, gain: float, offset: float, unknown: int, zr: dict[str, float]
) -> xr.DataArray:
    """Read a GeoTIFF of 8-bit reflectivity; its grid and projection are in the file.

    Parameters
    ----------
    path
        The file.
    gain, offset
        Reflectivity in dBZ is `gain` * level + `offset`.
    unknown
        The level of pixels that are not observed.
    zr
        The Z-R relation (`zr_a`, `zr_b`).

    Returns
    -------
    xarray.DataArray
        (y, x) in mm/h, north up.

    Raises
    ------
    Exception
        Whatever rasterio raises.
    """
    with geotiff.opened(path) as file:
        levels = file.read(1)  # (y, x) uint8
        grid, crs = file.transform, file.crs

    # convert 256 levels and look them up: FMI's composite has 36 million pixels
    dbz = gain * np.arange(256.0) + offset
    dbz[unknown] = np.nan
    is_capped = dbz > HAIL_CAP
    dbz[is_capped] = HAIL_CAP
    rates, _ = to_rainrate(dbz, {"unit": "dBZ", "transform": "dB"} | NO_ECHO, **zr)

    capped = int(is_capped[levels].sum())
    counts = {"capped_pixels": capped} if capped else {}
    return geotiff.placed(rates.astype("f4")[levels], grid, crs, path).assign_attrs(counts)


ALL_OPTIONS = tuple(field.name for field in fields(ReadOptions))

FMI_ZR = {"zr_a": 223.0, "zr_b": 1.53}

PRODUCTS = {
    "mch": Product(
        pattern=r"AQC(\d{9})[A-Z]_00005\.801\.gif",
        time="%y%j%H%M",
        reader=read_by_pysteps,
        options={"importer": "import_mch_gif", "product": "AQC", "unit": "mm", "accutime": 5},
        attribution="MeteoSwiss, AQC composite",
        licence="see meteoswiss.admin.ch",  # the example archive names none
    ),
    "fmi": Product(
        pattern=r"(\d{12})_fmi\.radar\.composite\.lowest_FIN_SUOMI1\.pgm\.gz",
        time="%Y%m%d%H%M",
        reader=read_by_pysteps,
        options={"importer": "import_fmi_pgm", "gzipped": True, "zr": FMI_ZR},
        attribution="Finnish Meteorological Institute, lowest composite",
        licence="CC BY 4.0",
    ),
    "fmi-geotiff": Product(
        # the names in the example archive, and in FMI's open data on AWS
        pattern=r"(\d{12})_(?:FINUTM|FIN-DBZ-3067-250M)\.tif",
        time="%Y%m%d%H%M",
        reader=read_by_rasterio,
        # from en.ilmatieteenlaitos.fi/radar-data-on-aws-s3
        options={"gain": 0.5, "offset": -32.0, "unknown": 255, "zr": FMI_ZR},
        attribution="Finnish Meteorological Institute, reflectivity composite (GeoTIFF)",
        licence="CC BY 4.0",
    ),
    "knmi": Product(
        pattern=r"RAD_NL25_RAP_5min_(\d{12})\.h5",
        time="%Y%m%d%H%M",
        reader=read_by_pysteps,
        options={"importer": "import_knmi_hdf5"},
        attribution="KNMI, 5-minute accumulation",
        licence="CC BY 4.0",
    ),
    "bom": Product(
        pattern=r"\d+_(\d{8}_\d{6})\.prcp-cscn\.nc",
        time="%Y%m%d_%H%M%S",
        reader=read_by_pysteps,
        options={"importer": "import_bom_rf3"},
        attribution="Commonwealth of Australia, Bureau of Meteorology",
        licence="see http://www.bom.gov.au/other/copyright.shtml",  # the files' own attribute
    ),
    "odim": Product(
        pattern=r".*?(\d{12})(?:\d\d)?(?:_\w+)?\.(?:hdf|h5)",
        time="%Y%m%d%H%M",
        reader=odim.decode,
        options={},
        attribution="see the files' own attributes (ODIM HDF5)",
        licence="see the publisher's terms",
        reads=ALL_OPTIONS,
        checks_time=True,
    ),
    "geotiff": Product(
        pattern=r".*?(\d{12})(?:\d\d)?(?:[_.-].*)?\.tiff?",
        time="%Y%m%d%H%M",
        reader=geotiff.read,
        options={},
        attribution="see the publisher of the files (GeoTIFF)",
        licence="see the publisher's terms",
        reads=ALL_OPTIONS,
    ),
}
