"""A server on loopback with the interface of Friuli Venezia Giulia; a test chooses its answers."""

import json
import threading
from dataclasses import fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, urlparse

import archive_files
import pandas as pd
import pytest

from nowcastlib.data.feeds.fvg import HDF5, Fvg
from nowcastlib.data.feeds.server_limits import Limits

SPAN = ("2024-06-01T12:00", "2024-06-01T13:00")
TIMES = pd.date_range(SPAN[0], periods=4, freq="5min")
LIST = "/radars/1/products"


class Answer(NamedTuple):
    body: bytes = b""
    status: int = 200
    headers: dict = {}  # noqa: RUF012 (never changed)
    cut: int | None = None  # bytes after which the connection breaks
    wait: float = 0.0  # seconds before the first byte


class Server(ThreadingHTTPServer):
    """Answers from `answers`, or with a page of `rows`, and records the requests."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.rows: list[dict] = []  # of the list of products
        self.answers: dict[str, list[Answer]] = {}  # by id or path, in turn; the last one repeats

        self.requests: list[str] = []  # paths
        self.days: list[str] = []  # of requests for the list
        self.agents: set[str] = set()
        self.at_once = 0  # requests that are being answered
        self.most_at_once = 0
        self.lock = threading.Lock()
        self.closing = threading.Event()

    def answer(self, path: str, query: dict[str, str]) -> Answer:
        """The next answer to a request."""
        answers = self.answers.get(path.removeprefix("/products/"))
        if path == LIST:
            self.days.append(query["from"][:10])
            first = int(query["offset"])
            page = self.rows[first : first + int(query["last"])]
            answers = answers or [Answer(json.dumps({"products": page}).encode())]
        return answers.pop(0) if len(answers) > 1 else answers[0]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        url = urlparse(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        self.server.requests.append(url.path)
        self.server.agents.add(self.headers["User-Agent"])

        with self.server.lock:
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        answer = self.server.answer(url.path, query)
        self.server.closing.wait(answer.wait)
        with self.server.lock:
            self.server.at_once -= 1

        self.send_response(answer.status)
        for name, value in ({"Content-Length": len(answer.body)} | answer.headers).items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(answer.body[: answer.cut])

    def log_message(self, *args):
        """Log nothing."""


@pytest.fixture
def server(tmp_path):
    """A server of four HDF5 frames with the ids 100 to 103; a test changes `rows` and `answers`."""
    rates = [archive_files.field() * (k + 1) for k in range(4)]
    paths = archive_files.write_all("odim", tmp_path / "served", rates)
    with Server() as running:
        running.answers = {f"{100 + k}": [Answer(p.read_bytes())] for k, p in enumerate(paths)}
        running.rows = [row(100 + k, TIMES[k]) for k in range(4)]
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield running
        running.closing.set()
        running.shutdown()


def row(id, time, format=HDF5, name="SRI") -> dict:
    """One product as the server lists it."""
    return {"id": id, "name": name, "format": format, "dt": str(time)}


def feed(server: Server, **options) -> Fvg:
    """A feed that asks this server; by default it repeats a request once.

    Options may also be fields of its limits.
    """
    names = {field.name for field in fields(Limits)}
    limits = {"retries": 1} | {key: options.pop(key) for key in names & options.keys()}
    base = f"http://127.0.0.1:{server.server_port}"
    return Fvg(base=base, limits=Limits(**limits), **options)
