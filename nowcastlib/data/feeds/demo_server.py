"""A server on loopback that speaks the interface of `feeds.fvg` and offers synthetic rain.

With it the course shows how to download from a radar without a network.
"""

import io
import itertools
import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse

import h5py
import numpy as np
import pandas as pd
import pyproj

from nowcastlib.data.feeds import palettes
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.units import RainScale

PRODUCTS = {"SRI": "RATE", "VMI": "DBZH", "SRT_1": "ACRR"}  # and their ODIM quantities
HDF5, PNG = "application/x-hdf5", "image/png"
FILES = list(itertools.product(PRODUCTS, (HDF5, PNG)))  # of each frame
FIRST_ID = 2_447_000  # of the first file
CRS = "+proj=aeqd +lat_0=45.7 +lon_0=13.5 +units=m +ellps=WGS84"  # of a radar that does not exist
PIXEL = 1000.0  # metres
NO_DATA = 65535  # level of a pixel that is not observed


@contextmanager
def serve(demo: Demo | None = None, trouble: int = 20) -> Iterator[str]:
    """Serve the rain of a demo feed within the disc that a radar would observe.

    As with a real radar there are holes, days without a frame (`null`), and one SRI in 25 exists
    only as a picture.

    Parameters
    ----------
    demo
        The rain to serve; by default that of `Demo()`.
    trouble
        Every `trouble`-th file fails at the first attempt: the server is busy (503), or the
        connection breaks within the answer. 0: no file fails.

    Yields
    ------
    str
        The server's address, for `Fvg(base=...)`.
    """
    with _Server(demo or Demo(), trouble) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/api"
        finally:
            server.shutdown()


@dataclass(frozen=True)
class _File:
    """One file that the server offers."""

    frame: int  # number of the frame in the demo's table
    index: int  # within FILES

    @property
    def id(self) -> int:
        return FIRST_ID + len(FILES) * self.frame + self.index

    @property
    def product(self) -> str:
        return FILES[self.index][0]

    @property
    def format(self) -> str:
        return FILES[self.index][1]

    @property
    def is_listed(self) -> bool:
        """Whether the list names it: one SRI in 25 exists only as a picture."""
        return self.frame % 25 != 7 or FILES[self.index] != ("SRI", HDF5)


class _Server(ThreadingHTTPServer):
    """Offers the files and decides which of them fail."""

    daemon_threads = True

    def __init__(self, demo: Demo, trouble: int):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.demo = demo
        self.trouble = trouble
        self.table = demo.list()
        self.failed: set[int] = set()  # ids of the files that have failed once
        self.lock = threading.Lock()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report what went wrong, unless the client has only gone away."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def products(self, query: dict[str, str]) -> list[dict[str, Any]]:
        """The files from one time to another, newest first, as the real server lists them."""
        start, end = pd.Timestamp(query["from"]), pd.Timestamp(query["to"])
        rows = []
        for number in reversed(range(len(self.table))):
            time = self.table.time[number]
            if not start <= time <= end:
                continue
            for index in range(len(FILES)):
                file = _File(number, index)
                if file.is_listed:
                    rows.append(
                        {
                            "id": file.id,
                            "name": file.product,
                            "format": file.format,
                            "dt": f"{time:%Y-%m-%d %H:%M:%S}",
                        }
                    )
        return rows

    def file(self, id: int) -> _File | None:
        """The file of an id, if there is one."""
        file = _File(*divmod(id - FIRST_ID, len(FILES)))
        return file if 0 <= file.frame < len(self.table) else None

    def fails_now(self, file: _File) -> bool:
        """Whether the file is to fail: some do, at the first attempt."""
        if not self.trouble or file.id in self.failed:
            return False
        if (file.frame + file.index) % self.trouble != self.trouble // 2:
            return False
        self.failed.add(file.id)
        return True

    def content(self, file: _File) -> bytes:
        """What the file holds."""
        with self.lock:  # the first frame of a storm computes the whole storm: once is enough
            rate = self._rate(file.frame)
            if file.product == "SRI":
                value = rate
            elif file.product == "VMI":
                value = RainScale().to_dbz(rate)
            else:
                value = self._hourly_sum(file.frame)

        observed = _disc(self.demo.size)
        if file.format == PNG:
            drawn = rate if file.product == "VMI" else value
            return palettes.draw(np.where(observed, drawn, np.nan))

        is_wet = value > 0 if file.product == "SRT_1" else rate > 0
        gain, offset = (0.5, -32.5) if file.product == "VMI" else (0.01, -0.01)
        levels = np.where(is_wet, np.rint((value - offset) / gain), 0)
        levels = np.where(observed, np.clip(levels, 0, NO_DATA - 1), NO_DATA).astype("u2")
        time = self.table.time[file.frame]
        return _odim_file(levels, time, PRODUCTS[file.product], gain, offset)

    def _rate(self, number: int) -> np.ndarray:
        """Rain rate of a frame, (y, x) in mm/h."""
        row = next(self.table.iloc[[number]].itertuples())
        return self.demo.read(row).values

    def _hourly_sum(self, number: int) -> np.ndarray:
        """Rain of the hour before a frame, (y, x) in mm; missing frames count as dry."""
        time = self.table.time[number]
        recent = self.table[max(0, number - 11) : number + 1]
        recent = recent[recent.time > time - pd.Timedelta(hours=1)]
        rates = [self.demo.read(row).values for row in recent.itertuples()]
        return np.sum(rates, axis=0) / 12


class _Handler(BaseHTTPRequestHandler):
    """Answers the two requests of the interface: the list of files, and one file."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        url = urlparse(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if url.path == "/api/radars/1/products" and {"from", "to", "last", "offset"} <= set(query):
            self._send_list(query)
        elif match := re.fullmatch(r"/api/products/(\d+)", url.path):
            self._send_file(int(match[1]))
        else:
            self.send_error(404)

    def _send_list(self, query: dict[str, str]) -> None:
        rows = self.server.products(query)
        first = int(query["offset"])
        page = {"products": rows[first : first + int(query["last"])]} if rows else None
        self._send(json.dumps(page).encode(), "application/json")

    def _send_file(self, id: int) -> None:
        file = self.server.file(id)
        if file is None:
            self.send_error(404)
        elif not self.server.fails_now(file):
            self._send(self.server.content(file), file.format)
        elif file.frame % 2:
            self.send_error(503)
        else:
            content = self.server.content(file)
            self.close_connection = True
            self._send(content, file.format, cut=len(content) // 2)

    def _send(self, content: bytes, kind: str, cut: int | None = None) -> None:
        """Send an answer; the connection breaks after `cut` bytes."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:cut])

    def log_message(self, *args) -> None:
        """Log nothing."""


def _disc(size: int) -> np.ndarray:
    """Which pixels a radar in the centre observes, (y, x) bool."""
    y, x = np.indices((size, size), sparse=True)
    centre = (size - 1) / 2
    return (y - centre) ** 2 + (x - centre) ** 2 <= (size / 2) ** 2


def _odim_file(
    levels: np.ndarray, time: pd.Timestamp, quantity: str, gain: float, offset: float
) -> bytes:
    """An image as ODIM HDF5 (EUMETNET OPERA); level 0 is dry, 65535 not observed."""
    groups = {
        "what": {"object": "IMAGE", "source": "NOD:nowhere", **_odim_time(time)},
        "where": _where(*levels.shape),
        "dataset1/what": _span(time, hours=1 if quantity == "ACRR" else 0),
        "dataset1/data1/what": {
            "quantity": quantity,
            "gain": gain,
            "offset": offset,
            "nodata": float(NO_DATA),
            "undetect": 0.0,
        },
    }

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.attrs["Conventions"] = np.bytes_("ODIM_H5/V2_3")
        file.create_dataset(
            "dataset1/data1/data", data=levels, compression="gzip", compression_opts=1
        )
        for name, attributes in groups.items():
            for key, value in attributes.items():
                text = np.bytes_(value) if isinstance(value, str) else value
                file.require_group(name).attrs[key] = text
    return content.getvalue()


def _odim_time(time: pd.Timestamp, edge: str = "") -> dict[str, str]:
    """ODIM's date and time; `edge` is "start" or "end" for those of a span."""
    return {f"{edge}date": f"{time:%Y%m%d}", f"{edge}time": f"{time:%H%M%S}"}


def _span(end: pd.Timestamp, hours: int) -> dict[str, str]:
    """ODIM's description of the hours before a time."""
    return _odim_time(end - pd.Timedelta(hours=hours), "start") | _odim_time(end, "end")


def _where(rows: int, columns: int) -> dict[str, Any]:
    """ODIM's description of a grid that is centred on the radar."""
    north, east = rows * PIXEL / 2, columns * PIXEL / 2
    corners = {
        "LL": (-east, -north),
        "UL": (-east, north),
        "UR": (east, north),
        "LR": (east, -north),
    }
    where: dict[str, Any] = {
        "projdef": CRS,
        "xsize": columns,
        "ysize": rows,
        "xscale": PIXEL,
        "yscale": PIXEL,
    }
    project = pyproj.Proj(CRS)
    for corner, (x, y) in corners.items():
        where[f"{corner}_lon"], where[f"{corner}_lat"] = project(x, y, inverse=True)
    return where
