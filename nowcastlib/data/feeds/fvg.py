"""The weather radars of the Protezione Civile of Friuli Venezia Giulia (Italy), over their public HTTP interface."""

import contextlib
import logging
import time
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np
import pandas as pd
import requests
import xarray as xr
from requests.adapters import HTTPAdapter
from tqdm.auto import tqdm
from urllib3 import Retry

from nowcastlib.data.feeds import NoAnswer, odim, palettes
from nowcastlib.data.grid import frame
from nowcastlib.data.times import utc, within
from nowcastlib.errors import NowcastError

log = logging.getLogger("nowcastlib")

FVG = "https://monitor.protezionecivile.fvg.it/api"
HDF5, PNG = "application/x-hdf5", "image/png"  # in the order in which they are preferred
SIGNATURE = {
    b"\x89HDF\r\n\x1a\n": HDF5,
    b"\x89PNG\r\n\x1a\n": PNG,
}  # the first eight bytes of a file


@dataclass(frozen=True)
class Fvg:
    """Frames of one product of one radar (radar 1: Fossalon di Grado), as HDF5, or as pictures where there is no HDF5.

    Busy or failing answers (429, 5xx, lost connections) are asked for again, ever more slowly, as the server wishes.
    ``base`` may be any server that speaks the interface, such as ``demo.serve``'s.
    """

    radar: int = 1
    product: str = "SRI"  # surface rainfall intensity
    base: str = FVG
    palette: palettes.Palette = palettes.SRI  # of the product's pictures
    pixel: float = 500.0  # metres; of files that do not say
    page: int = 10_000  # rows in one answer
    retries: int = 5
    timeout: float = 60.0  # seconds without a byte
    concurrency: int = 4  # files that are fetched at the same time: polite

    @property
    def attribution(self) -> str:
        theirs = "Fonte: Protezione Civile della Regione Friuli Venezia Giulia; processed"
        return theirs if self._theirs else f"radar {self.radar} of {self.base}"

    @property
    def licence(self) -> str:
        return "CC BY 4.0" if self._theirs else ""

    @property
    def _theirs(self) -> bool:
        return self.base.rstrip("/") == FVG

    @cached_property
    def _session(self) -> requests.Session:
        session = requests.Session()
        session.headers["User-Agent"] = "nowcastlib (a course on precipitation nowcasting)"
        patience = Retry(
            self.retries, backoff_factor=0.3, status_forcelist=(429, 500, 502, 503, 504)
        )
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=patience))
        return session

    def _get(self, path: str, **query) -> requests.Response:
        url = f"{self.base}/{path}"
        for patience in range(self.retries, -1, -1):
            try:
                answer = self._session.get(url, params=query, timeout=self.timeout)
                answer.raise_for_status()
                return answer
            except (
                requests.exceptions.ChunkedEncodingError
            ) as error:  # cut within the body: Retry does not see it
                if not patience:
                    raise NowcastError(
                        f"{url}: the answer is cut off again and again: try again later"
                    ) from error
                time.sleep(0.3 * 2 ** (self.retries - patience))
            except (requests.ConnectionError, requests.Timeout) as error:
                raise NoAnswer(
                    f"{url}: no answer ({error}): run again later, it will carry on"
                ) from error
            except requests.RequestException as error:
                raise NowcastError(f"{url}: no answer ({error}): try again later") from error

    def products(self, start=None, end=None) -> pd.DataFrame:
        """All that the radar offers in [start, end), by default the last two hours, in ascending time.

        Columns: ``time`` (UTC), ``id``, ``name`` and ``format``. Rows without a time or with an id that is no number
        are left out with a warning. Raises NowcastError if the answer is no list.
        """
        end = utc(end) if end else pd.Timestamp.now("UTC").tz_localize(None).floor("s")
        start = utc(start) if start else end - pd.Timedelta(hours=2)
        midnights = pd.date_range(start.ceil("D"), end)
        midnights = midnights[(midnights > start) & (midnights < end)]
        days = list(pairwise([start, *midnights, end]))  # a year at once is too much to ask
        rows, bad = [], []
        for first, last in tqdm(days, desc="list", unit="day", disable=len(days) < 4):
            seen, answer, before = 0, None, None
            while answer is None or answer:  # a server may give fewer than asked for
                span = {"from": f"{first:%Y-%m-%d %H:%M:%S}", "to": f"{last:%Y-%m-%d %H:%M:%S}"}
                reply = self._get(
                    f"radars/{self.radar}/products", **span, last=self.page, offset=seen
                )
                try:
                    answer = [
                        *((reply.json() or {}).get("products") or ())
                    ]  # a day without data is null
                except (ValueError, AttributeError, TypeError) as error:
                    raise NowcastError(
                        f"{reply.url} answered something else than a list of products"
                    ) from error
                if answer and answer == before:
                    if len(answer) < self.page:  # all there is, in one page
                        break
                    raise NowcastError(
                        f"{reply.url} answered the same page twice: its offset does not work"
                    )
                seen, before = seen + len(answer), answer
                for product in answer:
                    try:
                        rows.append(_row(**product))
                    except (TypeError, ValueError, NowcastError) as error:
                        bad.append(f"{product} ({error})")
        if bad:
            log.warning("%s: left out %d products, such as %s", self.base, len(bad), bad[0])
        table = pd.DataFrame(rows, columns=["time", "id", "name", "format"]).astype(
            {"time": "datetime64[s]"}
        )
        return (
            table[within(table.time, start, end)]
            .drop_duplicates()
            .sort_values(["time", "id"], ignore_index=True)
        )

    def list(self, start=None, end=None) -> pd.DataFrame:
        """Table of frames in [start, end), by default of the last two hours: ``time`` (UTC), ``id``, ``format``.

        One file a time: HDF5 (physical values) before a picture, the latest before an earlier one; ``like`` are the ids
        of some HDF5 files of that product, to know a picture's place by.
        """
        offered = self.products(start, end)
        table = offered[(offered["name"] == self.product) & offered.format.isin([HDF5, PNG])]
        if table.empty:
            names = ", ".join(sorted(offered["name"].unique())) or "nothing at all"
            raise NowcastError(
                f"radar {self.radar} has no {self.product} from {start or 'two hours ago'} to {end or 'now'} "
                f"(it has: {names}): ask for another time or product"
            )
        table = table.sort_values(
            ["time", "format", "id"], ascending=[True, True, False]
        ).drop_duplicates("time")
        table["like"] = [tuple(table.id[table.format == HDF5].iloc[:3])] * len(table)
        return table[["time", "id", "format", "like"]].reset_index(drop=True)

    def fetch(self, number: int) -> bytes:
        """The content of a product's file, HDF5 or PNG; raises NowcastError if it is neither."""
        answer = self._get(f"products/{int(number)}")
        if answer.content[:8] not in SIGNATURE:
            kind = answer.headers.get("Content-Type", "no content type")
            what = f"{kind}, {answer.content[:20]!r}…" if answer.content else "an empty file"
            raise NowcastError(
                f"{answer.url} answered {what} instead of HDF5 or PNG: try again later"
            )
        return answer.content

    def read(self, row) -> xr.DataArray:
        """Download one frame, (y, x) in mm/h; raises NowcastError if it cannot be had or decoded."""
        content, name = self.fetch(row.id), f"{self.base}/products/{int(row.id)}"
        if SIGNATURE[content[:8]] == HDF5:
            return odim.decode(content, name, self.pixel)
        rate = palettes.decode(content, self.palette, name)
        for number in (
            row.like
        ):  # it is drawn on the grid of the product's HDF5 files; one of them may be broken
            with contextlib.suppress(NowcastError):
                if (grid := _grid(self, number)).shape == rate.shape:
                    return grid.copy(data=rate)
        y, x = (self.pixel * (np.arange(n) - (n - 1) / 2) for n in rate.shape)
        return frame(rate, x, -y)


@lru_cache(maxsize=8)
def _grid(feed: Fvg, number: int) -> xr.DataArray:
    return odim.decode(feed.fetch(number), f"{feed.base}/products/{number}", feed.pixel)


def _row(id, dt, name, format, **_) -> tuple:
    """One product of an answer; raises ValueError where it is not what the interface promises."""
    if not str(id).isdecimal():  # it becomes part of an address
        raise ValueError("the id is no number")
    if not isinstance(dt, str) or pd.isna(when := utc(dt)):
        raise ValueError("there is no time")
    return when, int(id), str(name), str(format)
