"""A server on loopback that speaks the interface of Friuli Venezia Giulia, and misbehaves as told."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, urlparse

import made_archive
import pandas as pd
import pytest

from nowcastlib.data.feeds.fvg import HDF5, Fvg

SPAN = ("2024-06-01T12:00", "2024-06-01T13:00")
TIMES = pd.date_range(SPAN[0], periods=4, freq="5min")


class Answer(NamedTuple):
    body: bytes = b""
    status: int = 200
    headers: dict = {}  # noqa: RUF012 (never changed)
    cut: int | None = None  # bytes after which the connection breaks
    wait: float = 0.0  # seconds before the first byte


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlparse(self.path)
        self.server.asked.append(url.path)
        self.server.agents.add(self.headers["User-Agent"])
        answers = self.server.answers.get(url.path.removeprefix("/products/"))
        if url.path == "/radars/1/products":
            query = {k: v[0] for k, v in parse_qs(url.query).items()}
            self.server.days.append(query["from"][:10])
            first, last = int(query["offset"]), int(query["last"])
            answers = answers or [
                Answer(json.dumps({"products": self.server.rows[first : first + last]}).encode())
            ]
        with self.server.lock:
            self.server.busy += 1
            self.server.most = max(self.server.most, self.server.busy)
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        self.server.done.wait(answer.wait)
        with self.server.lock:
            self.server.busy -= 1
        self.send_response(answer.status)
        for name, value in ({"Content-Length": len(answer.body)} | answer.headers).items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(answer.body[: answer.cut])

    def log_message(self, *args):
        """Quiet."""


@pytest.fixture
def server(tmp_path):
    """Four frames as HDF5; a test adds to ``rows`` (the list) and to ``answers`` (id or path → what comes, in turn)."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads, running.lock, running.done = (
            True,
            threading.Lock(),
            threading.Event(),
        )
        running.asked, running.days, running.agents, running.busy, running.most = (
            [],
            [],
            set(),
            0,
            0,
        )
        paths = made_archive.write_all(
            "odim", tmp_path / "served", [made_archive.field() * (k + 1) for k in range(4)]
        )
        running.answers = {
            f"{100 + k}": [Answer(path.read_bytes())] for k, path in enumerate(paths)
        }
        running.rows = [row(100 + k, TIMES[k]) for k in range(4)]
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield running
        running.done.set()
        running.shutdown()


def row(number, when, form=HDF5, name="SRI") -> dict:
    return {"id": number, "name": name, "format": form, "dt": str(when)}


def feed(server, **options) -> Fvg:
    return Fvg(base=f"http://127.0.0.1:{server.server_port}", **({"retries": 1} | options))
