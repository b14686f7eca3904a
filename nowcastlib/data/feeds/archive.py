"""Files of national weather services in a folder, such as the pysteps example archive."""

import re
import tempfile
import zlib
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import urlcleanup
from zipfile import BadZipFile

import pandas as pd
import xarray as xr

from nowcastlib import _pysteps  # noqa: F401
from nowcastlib.data.feeds.odim_times import ListedTime
from nowcastlib.data.feeds.products import PRODUCTS
from nowcastlib.data.feeds.protocol import Feed, TimeLike
from nowcastlib.data.read_options import AS_STATED, ReadOptions
from nowcastlib.data.times import within
from nowcastlib.errors import NowcastError
from nowcastlib.files import real_path, scratch_folder

from pysteps import datasets  # isort: skip


@dataclass(frozen=True)
class Archive(Feed):
    """Frames of one product below a folder; the files are recognised by their names.

    Parameters
    ----------
    product
        A name in `products.PRODUCTS`: mch, fmi, fmi-geotiff, knmi, bom, odim or geotiff.
    path
        The folder. Its subfolders are searched too.
    options
        What the files do not say, or say wrongly; only for products of files of any maker.

    Raises
    ------
    NowcastError
        If the product is unknown, or if options are given that it does not use.
    """

    product: str = "mch"
    path: str = "data/archive"
    options: ReadOptions = AS_STATED

    def __post_init__(self) -> None:
        if self.product not in PRODUCTS:
            raise NowcastError(
                f"unknown product {self.product!r}: choose one of {', '.join(PRODUCTS)}"
            )
        self.options.check_known(PRODUCTS[self.product].reads, f"the product {self.product}")

    @property
    def source(self) -> str:
        """The feed's name: an archive may grow, or move to another folder."""
        return "archive"

    @property
    def attribution(self) -> str:
        """Who made the data."""
        return PRODUCTS[self.product].attribution

    @property
    def licence(self) -> str:
        """The licence of the data, or where to find it."""
        return PRODUCTS[self.product].licence

    def list(self, start: TimeLike | None = None, end: TimeLike | None = None) -> pd.DataFrame:
        """Table of the files in [start, end).

        Returns
        -------
        pandas.DataFrame
            Columns: `time` (UTC; for an accumulation, the time at which it ends) and `path`.

        Raises
        ------
        NowcastError
            If the folder is missing, or holds no file of the product, or none in [start, end).
        """
        folder = Path(self.path)
        if not folder.is_dir():
            raise NowcastError(
                f"{folder} is not a folder: give the one that holds the archive's files, or add "
                "--download to fetch the pysteps example archive (335 MB)"
            )
        table = _files(folder, self.product)
        if table.empty:
            raise NowcastError(
                f"{folder} holds no {self.product} frames; {_other_products(folder)}"
            )

        chosen = table[within(table.time, start, end)].reset_index(drop=True)
        if chosen.empty:
            first, last = table.time.iloc[0], table.time.iloc[-1]
            raise NowcastError(
                f"{folder} holds {self.product} frames from {first} to {last}, but none in the "
                "time asked for"
            )
        return chosen

    def read(self, row: Any) -> xr.DataArray:
        """Read one file.

        Parameters
        ----------
        row
            A row of `list`, as `itertuples` gives it.

        Returns
        -------
        xarray.DataArray
            (y, x) in mm/h; NaN where not observed.

        Raises
        ------
        NowcastError
            If the file cannot be read; the message names it.
        """
        product = PRODUCTS[self.product]
        try:
            options: dict[str, Any] = {"options": self.options} if product.reads else {}
            if product.checks_time:
                options["listed"] = ListedTime(row.time, is_of_name=True)
            return product.reader(row.path, **options, **product.options)
        except NowcastError:  # from a reader that explains the error itself
            raise
        except Exception as error:  # a broken file makes each library raise errors of its own
            raise NowcastError(
                f"{row.path} cannot be read ({type(error).__name__}: {error}): fetch it again"
            ) from error


def _files(folder: Path, product: str) -> pd.DataFrame:
    """`time` and `path` of all files of a product below a folder, one for each time."""
    pattern = re.compile(PRODUCTS[product].pattern)
    rows = []
    for path in folder.rglob("*"):
        match = pattern.fullmatch(path.name)
        if match and path.is_file():
            rows.append((match[1], str(path)))

    table = pd.DataFrame(rows, columns=["time", "path"])
    # a name whose digits are no time is not that of a frame
    table["time"] = pd.to_datetime(table.time, format=PRODUCTS[product].time, errors="coerce")
    return table.dropna().sort_values(["time", "path"]).drop_duplicates("time")


def _other_products(folder: Path) -> str:
    """Which products a folder holds, in words."""
    held = [name for name in PRODUCTS if not _files(folder, name).empty]
    if {"odim", "knmi"} <= {*held}:  # the names of KNMI's files would suit odim, too
        held.remove("odim")
    if {"geotiff", "fmi-geotiff"} <= {*held}:
        held.remove("geotiff")
    if not held:
        return f"nor those of another known product ({', '.join(PRODUCTS)})"
    return f"it holds {', '.join(held)}: give --product"


def download(folder: str | Path) -> Path:
    """Download the pysteps example archive (335 MB), some hours of each service.

    The archive is unpacked in a folder beside it, which is renamed at the end, so that `folder` is
    always complete. A folder that holds anything is left alone.

    Parameters
    ----------
    folder
        Where to put the archive, from github.com/pySTEPS/pysteps-data.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    NowcastError
        If the archive cannot be downloaded or written.
    """
    folder = real_path(folder)
    try:
        if folder.exists() and any(folder.iterdir()):
            return folder
        with scratch_folder(folder) as scratch:
            datasets.download_pysteps_data(str(scratch / "new"))
            (scratch / "new").rename(folder)
    except (OSError, HTTPException, BadZipFile, EOFError, zlib.error) as error:
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        raise NowcastError(
            f"cannot fetch the pysteps example archive into {folder} ({reason}): try again, with "
            f"1.5 GB free there and in {tempfile.gettempdir()}, or download it by hand from "
            "github.com/pySTEPS/pysteps-data"
        ) from error
    finally:
        urlcleanup()  # removes the zip, which pysteps leaves in the temporary folder
    return folder
