"""The weather radars of the Protezione Civile of Friuli Venezia Giulia (Italy), over HTTP."""

import contextlib
import logging
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import requests
import xarray as xr
from requests.adapters import HTTPAdapter
from tqdm.auto import tqdm
from urllib3 import Retry

from nowcastlib.data.feeds import odim, palettes
from nowcastlib.data.feeds.protocol import Feed, ServerUnreachable, TimeLike
from nowcastlib.data.grid import frame
from nowcastlib.data.times import utc, within
from nowcastlib.errors import NowcastError

log = logging.getLogger("nowcastlib")

FVG = "https://monitor.protezionecivile.fvg.it/api"
HDF5, PNG = "application/x-hdf5", "image/png"
SIGNATURES = {b"\x89HDF\r\n\x1a\n": HDF5, b"\x89PNG\r\n\x1a\n": PNG}  # first 8 bytes of a file
TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
BUSY = (429, 500, 502, 503, 504)  # HTTP status codes after which a request is repeated
FIRST_WAIT = 0.3  # seconds before a request is repeated; then twice as long each time


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
    retries
        How many times a request is repeated.
    timeout
        Seconds without a byte after which an answer counts as lost.
    concurrency
        Files that are downloaded at the same time.
    """

    radar: int = 1
    product: str = "SRI"
    base: str = FVG
    palette: palettes.Palette = palettes.SRI
    pixel: float = 500.0
    page: int = 10_000
    retries: int = 5
    timeout: float = 60.0
    concurrency: int = 4

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
            names = ", ".join(sorted(offered["name"].unique())) or "nothing at all"
            raise NowcastError(
                f"radar {self.radar} has no {self.product} from {start or 'two hours ago'} to "
                f"{end or 'now'} (it has: {names}): ask for another time or product"
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
        for first, last in tqdm(days, desc="list", unit="day", disable=len(days) < 4):
            for product in self._pages(first, last):
                try:
                    rows.append(_row(**product))
                except (TypeError, ValueError, NowcastError) as error:
                    invalid.append(f"{product} ({error})")
        if invalid:
            log.warning("%s: left out %d products, such as %s", self.base, len(invalid), invalid[0])

        table = pd.DataFrame(rows, columns=["time", "id", "name", "format"])
        table = table.astype({"time": "datetime64[s]"})
        table = table[within(table.time, start, end)].drop_duplicates()
        return table.sort_values(["time", "id"], ignore_index=True)

    def _pages(self, start: pd.Timestamp, end: pd.Timestamp) -> Iterator[Any]:
        """The products of a day, from as many pages as the server needs."""
        offset, previous = 0, None
        while True:
            answer = self._get(
                f"radars/{self.radar}/products",
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
            return odim.decode(content, name, self.pixel)

        rate = palettes.decode(content, self.palette, name)
        # a picture has the grid of the product's HDF5 files; one of these may be broken
        for hdf5_id in row.hdf5_ids:
            with contextlib.suppress(NowcastError):
                grid = _read_hdf5(self, hdf5_id)
                if grid.shape == rate.shape:
                    return grid.copy(data=rate)

        y, x = (self.pixel * (np.arange(n) - (n - 1) / 2) for n in rate.shape)
        return frame(rate, x, -y)

    def fetch(self, id: int) -> bytes:
        """Content of the file with an `id` of `products`; NowcastError unless it is HDF5 or PNG."""
        answer = self._get(f"products/{int(id)}")
        if answer.content[:8] not in SIGNATURES:
            content = "an empty file"
            if answer.content:
                kind = answer.headers.get("Content-Type", "no content type")
                content = f"{kind}, {answer.content[:20]!r}…"
            raise NowcastError(
                f"{answer.url} answered {content} instead of HDF5 or PNG: try again later"
            )
        return answer.content

    @cached_property
    def _session(self) -> requests.Session:
        session = requests.Session()
        session.headers["User-Agent"] = "nowcastlib (a course on precipitation nowcasting)"
        retry = Retry(self.retries, backoff_factor=FIRST_WAIT, status_forcelist=BUSY)
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=retry))
        return session

    def _get(self, path: str, **query: Any) -> requests.Response:
        """The complete answer to a request."""
        url = f"{self.base}/{path}"
        attempt = 0
        while True:
            try:
                answer = self._session.get(url, params=query, timeout=self.timeout)
                answer.raise_for_status()
                return answer

            # Retry does not see a connection that breaks within the answer
            except requests.exceptions.ChunkedEncodingError as error:
                if attempt == self.retries:
                    raise NowcastError(
                        f"{url}: the answer is cut off again and again: try again later"
                    ) from error
                time.sleep(FIRST_WAIT * 2**attempt)
                attempt += 1

            except (requests.ConnectionError, requests.Timeout) as error:
                raise ServerUnreachable(
                    f"{url}: no answer ({_reason(error)}): no network? Connect, or run again "
                    "later: it continues from here"
                ) from error
            except requests.RequestException as error:
                raise NowcastError(f"{url}: no answer ({error}): try again later") from error


def _reason(error: requests.RequestException) -> str:
    """The first cause of a failed request, without the names of urllib3's objects."""
    cause = error.args[0] if error.args else error
    cause = getattr(cause, "reason", cause)  # of urllib3's MaxRetryError
    return re.sub(r"^\S*(Connection|Pool)(\(.*?\)| object at \w+>): ", "", str(cause))


def _days(start: pd.Timestamp, end: pd.Timestamp) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """[start, end) cut at midnights, because the list of a year is too long for one answer."""
    midnights = pd.date_range(start.ceil("D"), end)
    midnights = midnights[(midnights > start) & (midnights < end)]
    return list(pairwise([start, *midnights, end]))


def _products(answer: requests.Response) -> list[Any]:
    """The products of an answer; a day without data is null."""
    try:
        return list((answer.json() or {}).get("products") or ())
    except (ValueError, AttributeError, TypeError) as error:
        raise NowcastError(f"{answer.url} did not answer with a list of products") from error


def _row(id: Any, dt: Any, name: Any, format: Any, **_: Any) -> tuple[pd.Timestamp, int, str, str]:
    """Time, id, name and format of a product; ValueError if its id or time is invalid."""
    if not str(id).isdecimal():  # it becomes part of an address
        raise ValueError("the id is not a number")
    time = utc(dt) if isinstance(dt, str) else pd.NaT
    if pd.isna(time):
        raise ValueError("there is no time")
    return time, int(id), str(name), str(format)


@lru_cache(maxsize=8)
def _read_hdf5(feed: Fvg, id: int) -> xr.DataArray:
    """The frame of an HDF5 file, whose grid is that of the pictures."""
    return odim.decode(feed.fetch(id), f"{feed.base}/products/{id}", feed.pixel)
