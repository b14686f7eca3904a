"""A server on loopback that speaks the interface of Friuli Venezia Giulia and means harm."""

import gzip
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fvg_server import LIST, TIMES, row

ESCAPES = "\x1b[2J\x1b]0;owned\x07"  # clear the terminal, change its title
Attack = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers a request by the attack that the server has for its path."""

    protocol_version = "HTTP/1.1"
    server: "HostileServer"
    answered = 0  # requests of this connection

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.requests.append(self.path)
        self.close_connection = True
        attack = self.server.attacks.get(path, self.server.attacks.get("*", not_found))
        try:
            attack(self)
        except OSError:
            return  # the client has gone

    def raw(self, *parts: bytes | str) -> None:
        for part in parts:
            self.wfile.write(part.encode("latin-1") if isinstance(part, str) else part)

    def head(self, status: str, *headers: str) -> None:
        """Send the head of an answer, which says that the connection ends with it."""
        lines = (f"HTTP/1.1 {status}", *headers, "Connection: close", "")
        self.raw(*(f"{line}\r\n" for line in lines))

    def pause(self, seconds: float) -> None:
        if self.server.closing.wait(seconds):
            raise ConnectionError("the test is over")

    def log_message(self, *args: object) -> None:
        """Log nothing."""


class HostileServer(ThreadingHTTPServer):
    """Attacks by path; "*" is for all others."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.attacks: dict[str, Attack] = {LIST: products(row(100, TIMES[0]))}
        self.requests: list[str] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serve() -> Iterator[HostileServer]:
    """Run a server in a thread."""
    with HostileServer() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.closing.set()
        server.shutdown()


# ---- attacks


def answer(body: bytes, *headers: str) -> Attack:
    """A whole answer."""
    return lambda h: (h.head("200 OK", f"Content-Length: {len(body)}", *headers), h.raw(body))[0]


def cut_off(body: bytes) -> Attack:
    """The first half of an answer."""
    half = body[: len(body) // 2]
    return lambda h: (h.head("200 OK", f"Content-Length: {len(body)}"), h.raw(half))[0]


def products(*rows: dict) -> Attack:
    """One page with these rows, then empty pages."""

    def attack(h: Handler) -> None:
        page = list(rows) if "offset=0" in h.path else []
        answer(json.dumps({"products": page}).encode())(h)

    return attack


def not_found(h: Handler) -> None:
    h.head("404 Not Found", "Content-Length: 0")


def status(line: str, *headers: str) -> Attack:
    """An answer without a body."""
    return lambda h: h.head(line, "Content-Length: 0", *headers)


def closes_kept_connection(is_reset: bool = False) -> Attack:
    """An answer that promises to keep the connection, which ends with the next request."""

    def attack(h: Handler) -> None:
        if h.answered:
            if is_reset:  # with a reset instead of an orderly end
                linger = struct.pack("ii", 1, 0)
                h.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                h.connection.close()
            return
        h.answered += 1
        h.close_connection = False
        h.raw("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\x89PNG\r\n\x1a\n")

    return attack


def closed_without_an_answer(h: Handler) -> None:
    """Nothing at all."""


def byte_a_moment(h: Handler) -> None:
    """A body that comes byte by byte and is never whole."""
    h.head("200 OK", "Content-Length: 1000000")
    while True:
        h.raw(b"x")
        h.wfile.flush()
        h.pause(0.05)


def header_a_moment(h: Handler) -> None:
    """Headers without an end."""
    h.raw("HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        h.raw(b"x")
        h.wfile.flush()
        h.pause(0.05)


def silence(h: Handler) -> None:
    h.pause(60)


def endless_body(h: Handler) -> None:
    """A chunked body without an end."""
    h.head("200 OK", "Transfer-Encoding: chunked")
    while not h.server.closing.is_set():
        h.raw(b"10000\r\n", bytes(0x10000), b"\r\n")


def gzip_bomb(size: int = 64 << 20) -> Attack:
    """Some kilobytes that unpack to `size` bytes."""
    return answer(gzip.compress(bytes(size), 9), "Content-Encoding: gzip")


def endless_pages(h: Handler) -> None:
    """Each page has one more product, with a new id."""
    offset = int(h.path.partition("offset=")[2])
    answer(json.dumps({"products": [row(1000 + offset, TIMES[0])]}).encode())(h)


def deep_json(h: Handler) -> None:
    answer(b"[" * 100_000 + b"]" * 100_000)(h)


def redirect(location: str | bytes) -> Attack:
    """A redirection with a body that nobody should read."""

    def attack(h: Handler) -> None:
        h.raw("HTTP/1.1 302 Found\r\nLocation: ", location)
        h.raw("\r\nContent-Length: 9999999\r\nConnection: close\r\n\r\n")
        h.pause(60)

    return attack
