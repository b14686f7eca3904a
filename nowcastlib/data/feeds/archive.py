"""Files of national weather services in a folder, such as the pysteps example archive."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from nowcastlib.data.feeds.odim_times import ListedTime
from nowcastlib.data.feeds.products import PRODUCTS
from nowcastlib.data.feeds.protocol import Feed, TimeLike
from nowcastlib.data.read_options import AS_STATED, ReadOptions
from nowcastlib.data.times import within
from nowcastlib.errors import NowcastError


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
    def is_local(self) -> bool:
        """True: no server is asked."""
        return True

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
