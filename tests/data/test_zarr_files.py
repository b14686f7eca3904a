"""Files of foreign Zarr stores: pipes, devices, links out of the store and endless answers."""

import contextlib
import json
import os
import shutil
import threading
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from nowcastlib.data import ingest, open_frames, zarr_files
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.errors import NowcastError


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return ingest(Demo(events=1, frames=6, size=16), tmp_path_factory.mktemp("zarr") / "f.zarr")


@pytest.fixture
def theirs(ours, tmp_path):
    return shutil.copytree(ours, tmp_path / "theirs.zarr")


@pytest.mark.parametrize("name", [".zmetadata", "zarr.json", "time/.zarray", "rainfall_rate/0.0.0"])
@pytest.mark.parametrize("kind", ["pipe", "device", "link"])
def test_files_without_an_end_or_outside_are_refused(theirs, tmp_path, name, kind):
    file = theirs / name
    file.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(file)
        message = "which is not a regular file"
    else:
        outside = tmp_path / "outside"
        outside.write_bytes(b"{}")
        file.symlink_to("/dev/zero" if kind == "device" else outside)
        message = "has a link out of the store"
    with pytest.raises(NowcastError, match=rf"theirs\.zarr has .*{message}|{message}, {name}"):
        open_frames(theirs)


def test_link_to_a_store_and_within_it_are_read(theirs, ours, tmp_path):
    (theirs / "rainfall_rate" / "0.0.0").rename(theirs / "first")
    (theirs / "rainfall_rate" / "0.0.0").symlink_to(theirs / "first")
    (tmp_path / "link.zarr").symlink_to(theirs)
    np.testing.assert_array_equal(open_frames(tmp_path / "link.zarr"), open_frames(ours))


def test_huge_metadata_are_refused(theirs):
    with (theirs / ".zmetadata").open("r+b") as file:
        file.truncate(65 << 20)  # a sparse file
    with pytest.raises(NowcastError, match=r"theirs\.zarr has metadata of more than 64 MiB"):
        open_frames(theirs)


def test_more_times_than_any_radar_has_are_refused(theirs):
    about = json.loads((theirs / ".zmetadata").read_text())
    for name in ("time", "rainfall_rate"):
        about["metadata"][f"{name}/.zarray"]["shape"][0] = 5_000_001
    (theirs / ".zmetadata").write_text(json.dumps(about))
    with pytest.raises(NowcastError, match=r"theirs\.zarr claims 5,000,001 values of time"):
        open_frames(theirs)


@contextlib.contextmanager
def server(handler):
    """The address of a web server on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        web.daemon_threads = True
        web.block_on_close = False
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{web.server_port}"
        web.shutdown()


def test_store_of_a_web_server_is_read(ours):
    class Files(SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(ours.parent))

        def log_message(self, *args):
            pass

    with server(Files) as address:
        frames = open_frames(f"{address}/{ours.name}").load()
    np.testing.assert_array_equal(frames, open_frames(ours))


def test_endless_metadata_of_a_web_server_are_refused(monkeypatch):
    monkeypatch.setattr(zarr_files, "MAX_METADATA", 1 << 20)
    sent = []

    class Endless(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while len(sent) < 64:
                    self.wfile.write(b" " * (1 << 20))
                    sent.append(1)

        def log_message(self, *args):
            pass

    with server(Endless) as address, pytest.raises(NowcastError, match="more than 1 MiB"):
        open_frames(f"{address}/theirs.zarr")
    assert len(sent) < 64


def test_silent_web_server_is_given_up(monkeypatch):
    monkeypatch.setitem(zarr_files.HTTP_PATIENCE, "sock_read", 0.2)
    ended = threading.Event()

    class Silent(BaseHTTPRequestHandler):
        def do_GET(self):
            ended.wait(20)

    with server(Silent) as address, pytest.raises(NowcastError, match=r"theirs\.zarr .*Timeout"):
        open_frames(f"{address}/theirs.zarr")
    ended.set()
