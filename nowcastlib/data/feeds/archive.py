"""Files of national weather services, read by pysteps' importers and by rasterio.

The layout is that of the pysteps example archive (github.com/pySTEPS/pysteps-data), which ``download`` fetches, but any
folder will do: files are found by their names.
"""

import re
import shutil
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlcleanup
from zipfile import BadZipFile

import numpy as np
import pandas as pd
import rasterio
import xarray as xr

from nowcastlib import _pysteps  # noqa: F401
from nowcastlib.data.feeds import odim
from nowcastlib.data.grid import frame
from nowcastlib.data.times import within
from nowcastlib.errors import NowcastError

from pysteps import datasets  # isort: skip
from pysteps.io import importers  # isort: skip
from pysteps.utils import to_rainrate  # isort: skip

# FMI's lowest level, -32 dBZ, is "no echo", and no echo is no rain; pysteps would take the frame's own lowest
NO_ECHO = {"zerovalue": -32.0, "threshold": -31.75}


def by_pysteps(path: str, importer: str, zr: dict | None = None, **options) -> xr.DataArray:
    """A file as a frame, (y, x) in mm/h, by an ``importer`` of pysteps.io.importers with its ``options``.

    ``zr`` is the Z-R relation (``zr_a``, ``zr_b``) where the file holds reflectivity. Raises what the importer raises.
    """
    values, _, meta = getattr(importers, importer)(path, **options)
    rate, meta = to_rainrate(
        values, meta | (NO_ECHO if meta["unit"] == "dBZ" else {}), **(zr or {})
    )
    if meta["yorigin"] == "lower":
        rate = rate[::-1]
    metres = 1000.0 if meta["cartesian_unit"] == "km" else 1.0
    rows, columns = rate.shape
    dx, dy = (float(meta[name]) * metres for name in ("xpixelsize", "ypixelsize"))
    x = float(meta["x1"]) * metres + dx * (np.arange(columns) + 0.5)
    y = float(meta["y2"]) * metres - dy * (np.arange(rows) + 0.5)
    crs = meta["projection"]
    if metres != 1:  # pysteps gives KNMI's ellipsoid, like its grid, in km; PROJ wants metres
        crs = re.sub(r"\+([ab])=([\d.]+)", lambda m: f"+{m[1]}={float(m[2]) * metres}", crs)
    return frame(rate, x, y, crs)


def by_rasterio(path: str, gain: float, offset: float, unknown: int, zr: dict) -> xr.DataArray:
    """A GeoTIFF of 8-bit reflectivity levels as a frame, (y, x) in mm/h; its grid and projection are in the file.

    dBZ = ``gain`` * level + ``offset``, ``unknown`` is the level of "not observed" and ``zr`` the Z-R relation. Raises
    what rasterio raises.
    """
    with rasterio.open(path) as file:
        levels, at, crs = file.read(1), file.transform, file.crs
    dbz = gain * np.arange(256.0) + offset
    dbz[unknown] = np.nan
    rates, _ = to_rainrate(dbz, {"unit": "dBZ", "transform": "dB"} | NO_ECHO, **zr)
    x, y = (
        at.c + at.a * (np.arange(levels.shape[1]) + 0.5),
        at.f + at.e * (np.arange(levels.shape[0]) + 0.5),
    )
    # 256 rates looked up: FMI's composite has 36 million pixels
    return frame(rates.astype("f4")[levels], x, y, crs.to_wkt()).sortby("y", ascending=False)


@dataclass(frozen=True)
class Product:
    """How one service names and writes its frames."""

    pattern: str  # of the file name; its first group is the time
    time: str  # strptime format of that group
    reader: Callable[..., xr.DataArray]  # of a file's path and the options: the frame
    options: dict
    attribution: str
    licence: str


FMI_ZR = {"zr_a": 223.0, "zr_b": 1.53}
PRODUCTS = {
    "mch": Product(
        r"AQC(\d{9})[A-Z]_00005\.801\.gif",
        "%y%j%H%M",
        by_pysteps,
        {"importer": "import_mch_gif", "product": "AQC", "unit": "mm", "accutime": 5},
        "MeteoSwiss, AQC composite",
        "see meteoswiss.admin.ch",  # the example archive names none
    ),
    "fmi": Product(
        r"(\d{12})_fmi\.radar\.composite\.lowest_FIN_SUOMI1\.pgm\.gz",
        "%Y%m%d%H%M",
        by_pysteps,
        {"importer": "import_fmi_pgm", "gzipped": True, "zr": FMI_ZR},
        "Finnish Meteorological Institute, lowest composite",
        "CC BY 4.0",
    ),
    "fmi-geotiff": Product(
        r"(\d{12})_(?:FINUTM|FIN-DBZ-3067-250M)\.tif",  # the example archive's, and FMI's open data on AWS
        "%Y%m%d%H%M",
        by_rasterio,
        {
            "gain": 0.5,
            "offset": -32.0,
            "unknown": 255,
            "zr": FMI_ZR,
        },  # en.ilmatieteenlaitos.fi/radar-data-on-aws-s3
        "Finnish Meteorological Institute, reflectivity composite (GeoTIFF)",
        "CC BY 4.0",
    ),
    "knmi": Product(
        r"RAD_NL25_RAP_5min_(\d{12})\.h5",
        "%Y%m%d%H%M",
        by_pysteps,
        {"importer": "import_knmi_hdf5"},
        "KNMI, 5-minute accumulation",
        "CC BY 4.0",
    ),
    "bom": Product(
        r"\d+_(\d{8}_\d{6})\.prcp-cscn\.nc",
        "%Y%m%d_%H%M%S",
        by_pysteps,
        {"importer": "import_bom_rf3"},
        "Commonwealth of Australia, Bureau of Meteorology",
        "see http://www.bom.gov.au/other/copyright.shtml",  # the files' own attribute
    ),
    "odim": Product(
        r".*?(\d{12})(?:\d\d)?(?:_\w+)?\.(?:hdf|h5)",
        "%Y%m%d%H%M",
        odim.decode,
        {},
        "see the files' own attributes (ODIM HDF5)",
        "see their maker's terms",
    ),
}


@dataclass(frozen=True)
class Archive:
    """The frames of one product below a folder.

    Raises NowcastError for an unknown product, a missing folder, a folder without its files, an unreadable file.
    """

    product: str = "mch"
    path: str = "data/archive"

    def __post_init__(self):
        if self.product not in PRODUCTS:
            raise NowcastError(
                f"unknown product {self.product!r}: choose one of {', '.join(PRODUCTS)}"
            )

    @property
    def attribution(self) -> str:
        return PRODUCTS[self.product].attribution

    @property
    def licence(self) -> str:
        return PRODUCTS[self.product].licence

    def list(self, start=None, end=None) -> pd.DataFrame:
        """Table of files: ``time`` (UTC; of the end of the accumulation) and ``path``."""
        product, folder = PRODUCTS[self.product], Path(self.path)
        if not folder.is_dir():
            raise NowcastError(
                f"{folder} is not a folder: give the one that holds the archive's files; or add --download to fetch "
                "the pysteps example archive (335 MB)"
            )
        found = (
            (re.fullmatch(product.pattern, p.name), p) for p in folder.rglob("*") if p.is_file()
        )
        rows = [(m[1], str(p)) for m, p in found if m]
        if not rows:
            raise NowcastError(
                f"{folder} holds no {self.product} frames (files named like {product.pattern})"
            )
        table = pd.DataFrame(rows, columns=["time", "path"])
        table["time"] = pd.to_datetime(table.time, format=product.time)
        table = table.sort_values(["time", "path"]).drop_duplicates("time")
        chosen = table[within(table.time, start, end)].reset_index(drop=True)
        if chosen.empty:
            first, last = table.time.iloc[0], table.time.iloc[-1]
            raise NowcastError(
                f"{folder} holds {self.product} frames from {first} to {last}, none in the time asked for"
            )
        return chosen

    def read(self, row) -> xr.DataArray:
        """One file as a frame, (y, x) in mm/h; raises NowcastError, naming the file, if it cannot be read."""
        return decode(row.path, self.product)


def decode(path: str | Path, product: str) -> xr.DataArray:
    """A file of a product as a frame, (y, x) in mm/h; raises NowcastError, naming it, if it cannot be read."""
    how = PRODUCTS[product]
    try:
        return how.reader(str(path), **how.options)
    except NowcastError:  # a reader that has its own sentence
        raise
    except (
        Exception
    ) as error:  # whatever a broken file makes a library raise, the user's remedy is the same
        raise NowcastError(
            f"{path} cannot be read ({type(error).__name__}: {error}): fetch it again"
        ) from error


def download(folder: str | Path) -> Path:
    """Fetch the pysteps example archive (335 MB: some hours of each service) and return its folder.

    What is called ``folder`` is whole: the archive is unpacked in ``folder + ".partial"``, which an interruption or a
    failure removes. A folder that holds something is left alone. Raises NowcastError if the archive cannot be had or
    written. Source: github.com/pySTEPS/pysteps-data, by way of pysteps.datasets.
    """
    folder = Path(folder).absolute()
    partial = folder.with_name(folder.name + ".partial")
    try:
        if folder.exists() and any(folder.iterdir()):
            return folder
        shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
        datasets.download_pysteps_data(str(partial))
        if folder.exists():
            folder.rmdir()  # empty; Windows would not replace it
        partial.rename(folder)
    except (OSError, HTTPException, BadZipFile, EOFError, zlib.error) as error:
        raise NowcastError(
            f"cannot fetch the pysteps example archive into {folder} ({type(error).__name__}: {str(error)[:200]}): try "
            f"again, with 1.5 GB free there and in {tempfile.gettempdir()}, or fetch it by hand from "
            "github.com/pySTEPS/pysteps-data"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        urlcleanup()  # the zip, which pysteps leaves in the temporary folder
    return folder
