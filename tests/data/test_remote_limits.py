"""Zarr stores of web and S3 servers whose answers have no end, in bytes or in time."""

import contextlib
import pickle
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from nowcastlib.data import ingest, open_frames, remote_limits
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.errors import NowcastError

MIB = 1 << 20


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return ingest(Demo(events=1, frames=6, size=16), tmp_path_factory.mktemp("zarr") / "f.zarr")


@pytest.fixture
def small(monkeypatch):
    """Limits of 1 MiB."""
    monkeypatch.setattr(remote_limits, "MAX_METADATA", MIB)
    monkeypatch.setattr(remote_limits, "MAX_ANSWER", MIB)


class Server(ThreadingHTTPServer):
    """Serves the files of a store, also as a bucket would; attacks by the end of a path."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.attacks: dict[str, Callable] = {}
        self.asked: list[str] = []
        self.sent = 0  # MiB of endless answers
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        for end, attack in self.server.attacks.items():
            if path.endswith(end):
                with contextlib.suppress(OSError):
                    attack(self)
                return
        whole(self)

    def do_HEAD(self):
        whole(self)

    def log_message(self, *args):
        """Log nothing."""


def whole(h: Handler) -> None:
    """The file of the store."""
    file = h.server.folder / h.path.partition("?")[0].partition(".zarr/")[2]
    content = file.read_bytes() if file.is_file() else b""
    h.send_response(200 if content else 404)
    h.send_header("Content-Length", str(len(content)))
    h.end_headers()
    if h.command == "GET":
        h.wfile.write(content)


def endless(h: Handler) -> None:
    """Spaces without an end; the test stops them at 64 MiB."""
    h.send_response(200)
    h.end_headers()
    while h.server.sent < 64:
        h.wfile.write(b" " * MIB)
        h.server.sent += 1


def byte_a_moment(h: Handler) -> None:
    h.send_response(200)
    h.end_headers()
    while not h.server.closing.wait(0.05):
        h.wfile.write(b" ")


def silent(h: Handler) -> None:
    h.server.closing.wait(20)


def from_time(n: int, attack: Callable) -> Callable:
    """The file itself at first, and the attack from the n-th request on."""
    count = []

    def later(h: Handler) -> None:
        count.append(1)
        (attack if len(count) >= n else whole)(h)

    return later


@pytest.fixture
def server(ours) -> Iterator[Server]:
    with Server(ours) as running:
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield running
        running.closing.set()
        running.shutdown()


KINDS = ["http", "s3"]


def frames_of(server: Server, kind: str):
    if kind == "s3":
        return open_frames("s3://bucket/theirs.zarr", server.url)
    return open_frames(f"{server.url}/theirs.zarr")


@pytest.mark.parametrize("kind", KINDS)
def test_store_of_a_server_is_read_also_in_another_process(server, ours, kind):
    frames = frames_of(server, kind)
    copy = pickle.loads(pickle.dumps(frames))
    np.testing.assert_array_equal(frames, open_frames(ours))
    np.testing.assert_array_equal(copy, open_frames(ours))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["zarr.json", ".zmetadata"])
@pytest.mark.parametrize("request_number", [1, 2, 3])
def test_endless_metadata_are_refused_whenever_they_are_read(
    server, small, kind, name, request_number
):
    server.attacks[name] = from_time(request_number, endless)
    try:
        frames_of(server, kind)
    except NowcastError as error:
        assert "more than 1 MiB" in str(error)  # noqa: PT017 (or it is not asked for as often)
    assert server.sent < 64


@pytest.mark.parametrize("kind", KINDS)
def test_endless_chunk_is_refused_when_it_is_read(server, small, kind):
    frames = frames_of(server, kind)
    server.attacks["rainfall_rate/0.0.0"] = endless
    with pytest.raises(NowcastError, match=r"theirs\.zarr.*more than 1 MiB, .*0\.0\.0"):
        frames.load()
    assert 0 < server.sent < 64


def test_endless_list_of_files_is_refused(server, small):
    server.attacks[".zmetadata"] = lambda h: h.send_error(404)
    server.attacks["theirs.zarr"] = server.attacks["theirs.zarr/"] = endless
    with pytest.raises(NowcastError, match=r"theirs\.zarr.*more than 1 MiB"):
        frames_of(server, "http")
    assert 0 < server.sent < 64


@pytest.mark.parametrize("kind", KINDS)
def test_silent_server_is_given_up(server, monkeypatch, kind):
    monkeypatch.setitem(remote_limits.HTTP_PATIENCE, "sock_read", 0.2)
    monkeypatch.setitem(remote_limits.S3_PATIENCE, "read_timeout", 0.2)
    server.attacks["zarr.json"] = silent
    with pytest.raises(NowcastError, match=r"theirs\.zarr .*Timeout"):
        frames_of(server, kind)
    assert len(server.asked) <= 2


@pytest.mark.parametrize(("kind", "message"), [("http", "Timeout"), ("s3", "no whole .* 0\\.4 s")])
def test_server_that_sends_a_byte_a_moment_is_given_up(server, monkeypatch, kind, message):
    monkeypatch.setattr(remote_limits, "ANSWER_SECONDS", 0.4)
    monkeypatch.setitem(remote_limits.HTTP_PATIENCE, "total", 0.4)
    server.attacks["zarr.json"] = byte_a_moment
    with pytest.raises(NowcastError, match=rf"theirs\.zarr .*{message}"):
        frames_of(server, kind)
    assert len(server.asked) == 1
