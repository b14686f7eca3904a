"""The weather radars of the Protezione Civile of Friuli Venezia Giulia (Italy), over HTTP."""

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from tqdm.auto import tqdm

from nowcastlib.data.feeds import odim, palettes
from nowcastlib.data.feeds.http import Answer, Client
from nowcastlib.data.feeds.odim_times import ListedTime
from nowcastlib.data.feeds.protocol import Feed, ServerUnreachable, TimeLike
from nowcastlib.data.feeds.server_limits import Budget, Limits
from nowcastlib.data.grid import frame
from nowcastlib.data.times import utc, within
from nowcastlib.errors import NowcastError, printable

log = logging.getLogger("nowcastlib")

FVG = "https://monitor.protezionecivile.fvg.it/api"
HDF5, PNG = "application/x-hdf5", "image/png"
SIGNATURES = {b"\x89HDF\r\n\x1a\n": HDF5, b"\x89PNG\r\n\x1a\n": PNG}  # first 8 bytes of a file
TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
LARGEST_ID = 2**63 - 1


@dataclass(frozen=True)
class Fvg(Feed):
    """Frames of one product of one radar: HDF5 files, or pictures where there is no HDF5.

    A request is repeated after a busy or failing answer (429, 5xx, a lost connection), more slowly
    each time and no sooner than the server asks for.

    Parameters
    ----------
    radar
        Number of the radar; 1 is Fossalon di Grado.
    product
        Name of the product. SRI is the surface rainfall intensity.
    base
        Address of the server; any server with this interface will do, such as `demo_server.serve`.
    palette
        Colours of the product's pictures.
    pixel
        Width of a pixel in metres, for files that do not describe their grid.
    page
        Rows of the list to ask for at once.
    concurrency
        Files that are downloaded at the same time.
    limits
        How much patience the feed has with the server.
    """

    radar: int = 1
    product: str = "SRI"
    base: str = FVG
    palette: palettes.Palette = palettes.SRI
    pixel: float = 500.0
    page: int = 10_000
    concurrency: int = 4
    limits: Limits = field(default=Limits(), repr=False)

    @property
    def source(self) -> str:
        """The feed's name, the radar, and whether the server is the original one."""
        return f"fvg radar {self.radar}" + ("" if self._is_original else " of another server")

    @property
    def attribution(self) -> str:
        """Who made the data."""
        if self._is_original:
            return "Fonte: Protezione Civile della Regione Friuli Venezia Giulia; processed"
        return f"radar {self.radar} of {self.base}"

    @property
    def licence(self) -> str:
        """The licence of the data; "" for another server, whose licence is unknown."""
        return "CC BY 4.0" if self._is_original else ""

    @property
    def _is_original(self) -> bool:
        return self.base.rstrip("/") == FVG

    def list(self, start: TimeLike | None = None, end: TimeLike | None = None) -> pd.DataFrame:
        """Table of the frames in [start, end), by default of the last two hours.

        Each time has one file: HDF5, which holds physical values, before a picture; the latest file
        before an earlier one.

        Returns
        -------
        pandas.DataFrame
            Columns: `time` (UTC), `id` and `format` of the file, and `hdf5_ids`, the ids of some
            HDF5 files of the product, whose grid the pictures share.

        Raises
        ------
        NowcastError
            If there is no file of the product; the message names the products that there are.
        """
        offered = self.products(start, end)
        is_frame = (offered["name"] == self.product) & offered.format.isin([HDF5, PNG])
        table = offered[is_frame]
        if table.empty:
            names = ", ".join(sorted(offered["name"].unique()))
            others = f" (it has: {names}): ask for another time or product"
            raise NowcastError(
                f"radar {self.radar} has no {self.product} from {start or 'two hours ago'} to "
                f"{end or 'now'}"
                + (others if names else " and no other product: ask for another time")
            )

        # "application/x-hdf5" sorts before "image/png"
        table = table.sort_values(["time", "format", "id"], ascending=[True, True, False])
        table = table.drop_duplicates("time")
        hdf5_ids = tuple(table.id[table.format == HDF5].iloc[:3])
        table = table[["time", "id", "format"]].reset_index(drop=True)
        table["hdf5_ids"] = [hdf5_ids] * len(table)
        return table

    def products(self, start: TimeLike | None = None, end: TimeLike | None = None) -> pd.DataFrame:
        """Table of all files of the radar in [start, end), by default of the last two hours.

        Files without a valid time or id are left out with a warning.

        Returns
        -------
        pandas.DataFrame
            Columns: `time` (UTC, ascending), `id`, `name` and `format`.

        Raises
        ------
        NowcastError
            If the server's answer is not a list of products.
        """
        end = utc(end) if end else pd.Timestamp.now("UTC").tz_localize(None).floor("s")
        start = utc(start) if start else end - pd.Timedelta(hours=2)

        rows, invalid = [], []
        days = _days(start, end)
        whole = Budget(self.limits.list_seconds * len(days), self.limits.list_bytes * len(days))
        for first, last in tqdm(days, desc="list", unit="day", disable=len(days) < 4):
            for product in self._pages(first, last, whole):
                try:
                    rows.append(_row(**product))
                except (TypeError, ValueError, NowcastError) as error:
                    invalid.append(f"{printable(product)} ({printable(error)})")
        if invalid:
            log.warning("%s: left out %d products, such as %s", self.base, len(invalid), invalid[0])

        table = pd.DataFrame(rows, columns=["time", "id", "name", "format"])
        table = table.astype({"time": "datetime64[s]"})
        table = table[within(table.time, start, end)].drop_duplicates()
        table = self._without_contradictions(table)
        return table.sort_values(["time", "id"], ignore_index=True)

    def _without_contradictions(self, table: pd.DataFrame) -> pd.DataFrame:
        """The table without the files for which the list gives several times."""
        times = table.groupby("id").time.nunique()
        twice = times.index[times > 1]
        if len(twice):
            listed = table.time[table.id == twice[0]].sort_values().astype(str)
            log.warning(
                "%s: left out %d files for which the list gives several times, such as %d (%s)",
                self.base,
                len(twice),
                twice[0],
                printable(", ".join(listed)),
            )
        return table[~table.id.isin(twice)]

    def _pages(self, start: pd.Timestamp, end: pd.Timestamp, budget: Budget) -> Iterator[Any]:
        """The products of a day, from as many pages as the server needs."""
        offset, previous = 0, None
        for _ in range(self.limits.pages):
            answer = self._client.get(
                f"{self.base}/radars/{self.radar}/products",
                budget,
                **{"from": start.strftime(TIME_FORMAT), "to": end.strftime(TIME_FORMAT)},
                last=self.page,
                offset=offset,
            )
            products = _products(answer)
            if products and products == previous:
                if len(products) < self.page:  # the server has no pages and sends all at once
                    return
                raise NowcastError(
                    f"{answer.url} answered the same page twice: its offset does not work"
                )
            if not products:
                return
            yield from products

            # a server may send fewer than we ask for, so the next page begins where this one ends
            offset, previous = offset + len(products), products
        raise NowcastError(
            f"{answer.url}: the list of {start:%Y-%m-%d} has more than {self.limits.pages} pages: "
            "it has no end"
        )

    def read(self, row: Any) -> xr.DataArray:
        """Download and decode one frame.

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
        ServerUnreachable
            If the server does not answer.
        NowcastError
            If the file is missing or cannot be decoded.
        """
        content = self.fetch(row.id)
        name = f"{self.base}/products/{int(row.id)}"
        if SIGNATURES[content[:8]] == HDF5:
            return odim.decode(content, name, self.pixel, listed=ListedTime(row.time))

        rate = palettes.decode(content, self.palette, name)
        # a picture has the grid of the product's HDF5 files; one of these may be broken
        for hdf5_id in row.hdf5_ids:
            try:
                grid = _read_hdf5(self, hdf5_id)
            except ServerUnreachable:  # the grid is not known now, but will be later
                raise
            except NowcastError:
                continue
            if grid.shape == rate.shape:
                return grid.copy(data=rate)

        y, x = (self.pixel * (np.arange(n) - (n - 1) / 2) for n in rate.shape)
        return frame(rate, x, -y)

    def fetch(self, id: int) -> bytes:
        """Content of the file with an `id` of `products`; NowcastError unless it is HDF5 or PNG."""
        budget = Budget(self.limits.file_seconds, self.limits.file_bytes)
        answer = self._client.get(f"{self.base}/products/{int(id)}", budget)
        if answer.content[:8] not in SIGNATURES:
            content = "an empty file"
            if answer.content:
                content = f"{answer.kind or 'no content type'}, {answer.content[:20]!r}…"
            raise NowcastError(
                f"{answer.url} answered {content} instead of HDF5 or PNG: try again later"
            )
        return answer.content

    @cached_property
    def _client(self) -> Client:
        return Client(self.limits)


def _days(start: pd.Timestamp, end: pd.Timestamp) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """[start, end) cut at midnights, because the list of a year is too long for one answer."""
    midnights = pd.date_range(start.ceil("D"), end)
    midnights = midnights[(midnights > start) & (midnights < end)]
    return list(pairwise([start, *midnights, end]))


def _products(answer: Answer) -> list[Any]:
    """The products of an answer; a day without data is null."""
    try:
        return list((json.loads(answer.content) or {}).get("products") or ())
    # RecursionError: lists within lists, thousands deep
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise NowcastError(f"{answer.url} did not answer with a list of products") from error


def _row(id: Any, dt: Any, name: Any, format: Any, **_: Any) -> tuple[pd.Timestamp, int, str, str]:
    """Time, id, name and format of a product; ValueError if its id or time is invalid."""
    # it becomes part of an address
    if not re.fullmatch(r"[0-9]{1,19}", str(id)) or int(id) > LARGEST_ID:
        raise ValueError("the id is not a number")
    if not isinstance(dt, str):
        raise ValueError("there is no time")
    return utc(dt), int(id), str(name), str(format)


@lru_cache(maxsize=8)
def _read_hdf5(feed: Fvg, id: int) -> xr.DataArray:
    """The frame of an HDF5 file, whose grid is that of the pictures."""
    return odim.decode(feed.fetch(id), f"{feed.base}/products/{id}", feed.pixel)
