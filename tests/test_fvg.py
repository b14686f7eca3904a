"""The HTTP feed, against a server on loopback that speaks its interface."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import made_archive
import numpy as np
import pandas as pd
import pytest

from nowcastlib import NowcastError, store
from nowcastlib.sources.fvg import Fvg


class Server(ThreadingHTTPServer):
    """Six frames, newest first as the real one, in both formats; the third file answers 503 once, the last is cut."""

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        times = made_archive.START + pd.to_timedelta(np.arange(6) * 5, unit="min")
        self.rates = [made_archive.field() * (k + 1) for k in range(6)]
        paths = [made_archive.write("odim", folder, t, r) for t, r in zip(times, self.rates, strict=True)]
        self.files = {100 + k: path.read_bytes() for k, path in enumerate(paths)}
        self.files[105] = self.files[105][:500]
        rows = [{"id": 100 + k, "name": "SRI", "dt": str(t)} for k, t in enumerate(times)]
        formats = ("application/x-hdf5", "image/png")
        self.rows = [row | {"format": f} for row in reversed(rows) for f in formats]
        self.busy = {102}
        self.asked = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        url, server = urlparse(self.path), self.server
        server.asked.append(url.path)
        if url.path.startswith("/products/"):
            number = int(url.path.split("/")[-1])
            if number in server.busy:
                server.busy.discard(number)
                return self.answer(503, b"busy")
            return self.answer(200, server.files[number])
        query = {k: v[0] for k, v in parse_qs(url.query).items()}
        if url.path == "/radars/2/products":
            return self.answer(200, b"null")
        if url.path == "/radars/3/products":
            return self.answer(200, b"<html>maintenance</html>")
        first, last = int(query["offset"]), int(query["last"])
        return self.answer(200, json.dumps({"products": server.rows[first : first + last]}).encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Quiet."""


@pytest.fixture
def server(tmp_path):
    with Server(tmp_path / "served") as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def feed(server, **options) -> Fvg:
    return Fvg(base=f"http://127.0.0.1:{server.server_port}", **options)


SPAN = ("2024-06-01T12:00", "2024-06-01T13:00")


def test_list_pages_through_all_answers_and_keeps_one_row_a_time_ascending(server):
    table = feed(server, page=5).list(*SPAN)
    assert list(table.id) == [100, 101, 102, 103, 104, 105]
    assert table.time.is_monotonic_increasing
    assert server.asked.count("/radars/1/products") == 3  # 12 rows in pages of 5


def test_ingest_asks_a_busy_server_again_and_skips_a_cut_file(server, tmp_path, caplog):
    frames = store.open_frames(store.ingest(feed(server), tmp_path / "f.zarr", *SPAN, progress=False))
    assert frames.sizes["time"] == 5 and server.asked.count("/products/102") == 2
    np.testing.assert_allclose(frames.values, server.rates[:5], atol=0.01)
    assert "SRI-105" in caplog.text
    assert "Protezione Civile" in frames.attrs["source"]


@pytest.mark.parametrize(("radar", "words"), [(2, "has no SRI"), (3, "something else than a list")])
def test_a_day_without_data_and_a_page_instead_of_a_list_are_clear_errors(server, radar, words):
    with pytest.raises(NowcastError, match=words):
        feed(server, radar=radar).list(*SPAN)


def test_no_server_is_a_clear_error():
    with pytest.raises(NowcastError, match=r"no answer .* try again later"):
        Fvg(base="http://127.0.0.1:9", retries=1).list(*SPAN)
