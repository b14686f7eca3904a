"""Files of national weather services, read by pysteps' importers.

The layout is that of the pysteps example archive (github.com/pySTEPS/pysteps-data), but any folder will do: files
are found by their names.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from .. import NowcastError, _pysteps  # noqa: F401
from . import frame, within

from pysteps.io import importers  # isort: skip
from pysteps.utils import to_rainrate  # isort: skip


@dataclass(frozen=True)
class Product:
    """How one service names and writes its frames."""

    pattern: str  # of the file name; its first group is the time
    time: str  # strptime format of that group
    importer: str  # of pysteps.io.importers
    options: dict  # for the importer
    zr: dict  # Z-R relation where the file holds reflectivity
    attribution: str


PRODUCTS = {
    "mch": Product(
        r"AQC(\d{9})[A-Z]_00005\.801\.gif",
        "%y%j%H%M",
        "import_mch_gif",
        {"product": "AQC", "unit": "mm", "accutime": 5},
        {},
        "MeteoSwiss, AQC composite",
    ),
    "fmi": Product(
        r"(\d{12})_fmi\.radar\.composite\.lowest_FIN_SUOMI1\.pgm\.gz",
        "%Y%m%d%H%M",
        "import_fmi_pgm",
        {"gzipped": True},
        {"zr_a": 223.0, "zr_b": 1.53},
        "Finnish Meteorological Institute, lowest composite (CC BY 4.0)",
    ),
    "knmi": Product(
        r"RAD_NL25_RAP_5min_(\d{12})\.h5",
        "%Y%m%d%H%M",
        "import_knmi_hdf5",
        {},
        {},
        "KNMI, 5-minute accumulation (CC BY 4.0)",
    ),
    "bom": Product(
        r"\d+_(\d{8}_\d{6})\.prcp-cscn\.nc",
        "%Y%m%d_%H%M%S",
        "import_bom_rf3",
        {},
        {},
        "Commonwealth of Australia, Bureau of Meteorology",
    ),
    "odim": Product(
        r".*?(\d{12})(?:\d\d)?(?:_\w+)?\.(?:hdf|h5)",
        "%Y%m%d%H%M",
        "import_opera_hdf5",
        {"qty": "RATE"},
        {},
        "see the files' own attributes (ODIM HDF5)",
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
            raise NowcastError(f"unknown product {self.product!r}: choose one of {', '.join(PRODUCTS)}")

    @property
    def attribution(self) -> str:
        return PRODUCTS[self.product].attribution

    def list(self, start=None, end=None) -> pd.DataFrame:
        """Table of files: ``time`` (UTC; of the end of the accumulation) and ``path``."""
        product, folder = PRODUCTS[self.product], Path(self.path)
        if not folder.is_dir():
            raise NowcastError(f"{folder} is not a folder: give the one that holds the archive's files")
        found = ((re.fullmatch(product.pattern, p.name), p) for p in folder.rglob("*") if p.is_file())
        rows = [(m[1], str(p)) for m, p in found if m]
        if not rows:
            raise NowcastError(f"{folder} holds no {self.product} frames (files named like {product.pattern})")
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
        values, _, meta = getattr(importers, how.importer)(str(path), **how.options)
        if meta["unit"] == "dBZ":  # FMI's lowest level is "no echo"; pysteps would take the frame's own lowest
            meta |= {"zerovalue": -32.0, "threshold": -31.75}
        rate, meta = to_rainrate(values, meta, **how.zr)
    except Exception as error:  # whatever a broken file makes an importer raise, the user's remedy is the same
        raise NowcastError(f"{path} cannot be read ({type(error).__name__}: {error}): fetch it again") from error
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
