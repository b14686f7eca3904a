"""The embedded feed: synthetic rain from a radar that does not exist, with no network and no files."""

import io
import itertools
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import h5py
import numpy as np
import pandas as pd
import pyproj
import xarray as xr

from nowcastlib.data import storms
from nowcastlib.data.feeds import palettes
from nowcastlib.data.grid import frame
from nowcastlib.data.times import within
from nowcastlib.units import RainScale


@dataclass(frozen=True)
class Demo:
    """Synthetic storms, one a day from 2024-06-01 noon UTC, a frame each 5 minutes; no two storms are alike.

    As with a real radar not all is there: every third storm has a hole of 10 to 40 minutes, and every third day has
    no frame at all.
    """

    events: int = 6  # storms
    frames: int = 36  # frames of each storm
    size: int = 128  # px, which are km
    seed: int = 0
    attribution: str = "synthetic rain (nowcastlib)"
    licence: str = "CC0 1.0"

    def storm(self, event: int) -> storms.Storm:
        """The numbers behind an event, its motion among them."""
        rng = np.random.default_rng([self.seed, event])
        speed, towards = rng.uniform(1, 4), rng.uniform(0, 2 * np.pi)
        return storms.Storm(
            seed=int(rng.integers(2**31)),
            size=self.size,
            velocity=(speed * np.cos(towards), speed * np.sin(towards)),
            rotation=rng.uniform(-0.01, 0.01),
            wet_fraction=rng.uniform(0.12, 0.35),
            intensity=rng.uniform(2.0, 3.2),
            slope=rng.uniform(2.4, 3.0),
            stretch=rng.uniform(1.0, 2.5),
            orientation=rng.uniform(0, np.pi),
        )

    def list(self, start=None, end=None) -> pd.DataFrame:
        """Table of frames: ``time`` (UTC), ``event`` and ``number`` within it."""
        rows = pd.MultiIndex.from_product(
            [range(self.events), range(self.frames)], names=["event", "number"]
        )
        table = rows.to_frame(index=False)
        noon = pd.Timestamp("2024-06-01T12:00")
        day = table.event + table.event // 2
        table.insert(0, "time", noon + pd.to_timedelta(day * 1440 + table.number * 5, unit="min"))
        missing = np.random.default_rng([self.seed, 3]).integers(1, 8, size=self.events)
        hole = (table.event % 3 == 2) & (
            (table.number - self.frames // 3 - 1).between(0, missing[table.event] - 1)
        )
        return table[~hole & within(table.time, start, end)].reset_index(drop=True)

    def read(self, row) -> xr.DataArray:
        """One frame, (y, x) in mm/h."""
        km = (np.arange(self.size) - (self.size - 1) / 2) * 1000.0
        return frame(_event(self.storm(row.event), self.frames)[row.number], km, -km)


@lru_cache(maxsize=2)
def _event(storm: storms.Storm, frames: int) -> np.ndarray:
    return storms.rain(storm, frames)


PRODUCTS = {
    "SRI": "RATE",
    "VMI": "DBZH",
    "SRT_1": "ACRR",
}  # what the loopback server offers, and its ODIM quantity
CRS = "+proj=aeqd +lat_0=45.7 +lon_0=13.5 +units=m +ellps=WGS84"  # of a radar that does not exist
FIRST = 2_447_000  # number of the first file


@contextmanager
def serve(demo: Demo = Demo(), trouble: int = 20) -> Iterator[str]:
    """A server on loopback that speaks the interface of ``sources.fvg`` and offers what ``demo`` sees within its disc.

    Yields the address to give to ``Fvg(base=…)``. As in life, there are holes and days without a frame (``null``),
    one SRI in twenty-five comes as a picture only, and every ``trouble``-th file (0: none) is not to be had at the
    first attempt: the server is busy (503), or the connection breaks within the answer.
    """
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.demo, server.trouble, server.asked = demo, trouble, set()
        server.daemon_threads, server.lock, server.frames = True, threading.Lock(), demo.list()
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/api"
        finally:
            server.shutdown()


def _offered(server) -> Iterator[tuple[int, pd.Timestamp, str, str]]:
    """(id, time, product, format) of every file, newest first, as the real server lists them."""
    for k in range(len(server.frames) - 1, -1, -1):
        for j, (name, form) in enumerate(
            itertools.product(PRODUCTS, ("application/x-hdf5", "image/png"))
        ):
            if k % 25 != 7 or (name, form) != ("SRI", "application/x-hdf5"):
                yield FIRST + 6 * k + j, server.frames.time[k], name, form


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlparse(self.path)
        query = {k: v[0] for k, v in parse_qs(url.query).items()}
        if url.path == "/api/radars/1/products" and {"from", "to", "last", "offset"} <= set(query):
            return self._answer(self._list(query), "application/json")
        number = re.fullmatch(r"/api/products/(\d+)", url.path)
        k, j = divmod(int(number[1]) - FIRST, 6) if number else (-1, 0)
        if not 0 <= k < len(self.server.frames):
            return self.send_error(404)
        name, form = list(itertools.product(PRODUCTS, ("application/x-hdf5", "image/png")))[j]
        with (
            self.server.lock
        ):  # a storm is computed when its first frame is asked for: once is enough
            content = self._file(k, name, form)
        trouble = self.server.trouble and (k + j) % self.server.trouble == self.server.trouble // 2
        if trouble and url.path not in self.server.asked:
            self.server.asked.add(url.path)
            if k % 2:
                return self.send_error(503)
            self.close_connection = True
            return self._answer(content, form, len(content) // 2)
        return self._answer(content, form)

    def _list(self, query) -> bytes:
        start, end = pd.Timestamp(query["from"]), pd.Timestamp(query["to"])
        rows = [
            {"id": number, "name": name, "format": form, "dt": f"{time:%Y-%m-%d %H:%M:%S}"}
            for number, time, name, form in _offered(self.server)
            if start <= time <= end
        ]
        first = int(query["offset"])
        return json.dumps(
            {"products": rows[first : first + int(query["last"])]} if rows else None
        ).encode()

    def _file(self, k: int, name: str, form: str) -> bytes:
        demo, rows = self.server.demo, self.server.frames.iloc[max(0, k - 11) : k + 1]
        time, size, rate = (
            rows.time.iloc[-1],
            demo.size,
            demo.read(next(rows.iloc[[-1]].itertuples())).values,
        )
        value = rate if name == "SRI" else RainScale().to_dbz(rate)
        if name == "SRT_1":  # mm in the hour before; where frames are missing there was no rain
            hour = rows[rows.time > time - pd.Timedelta(hours=1)]
            value = sum(demo.read(row).values for row in hour.itertuples()) / 12
        y, x = np.indices((size, size), sparse=True)
        seen = (y - (size - 1) / 2) ** 2 + (x - (size - 1) / 2) ** 2 <= (size / 2) ** 2
        if form == "image/png":
            return palettes.draw(np.where(seen, rate if name == "VMI" else value, np.nan))
        gain, offset = (0.5, -32.5) if name == "VMI" else (0.01, -0.01)
        levels = np.where(
            rate > 0 if name != "SRT_1" else value > 0, np.rint((value - offset) / gain), 0
        )
        levels = np.where(seen, np.clip(levels, 0, 65534), 65535).astype("u2")
        return _odim(levels, PRODUCTS[name], gain, offset, time)

    def _answer(self, content: bytes, kind: str, cut: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:cut])

    def log_message(self, *args):
        """Quiet."""


def _odim(
    levels: np.ndarray, quantity: str, gain: float, offset: float, time: pd.Timestamp
) -> bytes:
    """An image as ODIM HDF5 (EUMETNET OPERA): level 0 is dry, 65535 not observed; of an hour if it accumulates."""
    since = time - pd.Timedelta(hours=1) if quantity == "ACRR" else time
    half, content = levels.shape[0] * 500.0, io.BytesIO()  # metres
    with h5py.File(content, "w") as file:
        file.attrs["Conventions"] = np.bytes_("ODIM_H5/V2_3")
        file.create_dataset(
            "dataset1/data1/data", data=levels, compression="gzip", compression_opts=1
        )
        groups = {
            "what": {"object": "IMAGE", "date": f"{time:%Y%m%d}", "time": f"{time:%H%M%S}", "source": "NOD:nowhere"},
            "dataset1/what": {
                "startdate": f"{since:%Y%m%d}", "starttime": f"{since:%H%M%S}",
                "enddate": f"{time:%Y%m%d}", "endtime": f"{time:%H%M%S}",
            },
            "dataset1/data1/what": {
                "quantity": quantity, "gain": gain, "offset": offset, "nodata": 65535.0, "undetect": 0.0
            },
            "where": {"projdef": CRS, "xsize": levels.shape[1], "ysize": levels.shape[0],
                      "xscale": 1000.0, "yscale": 1000.0},
        }  # fmt: skip
        for corner, x, y in (
            ("LL", -half, -half),
            ("UL", -half, half),
            ("UR", half, half),
            ("LR", half, -half),
        ):
            lon, lat = pyproj.Proj(CRS)(x, y, inverse=True)
            groups["where"] |= {f"{corner}_lon": lon, f"{corner}_lat": lat}
        for name, attributes in groups.items():
            for key, value in attributes.items():
                file.require_group(name).attrs[key] = (
                    np.bytes_(value) if isinstance(value, str) else value
                )
    return content.getvalue()
