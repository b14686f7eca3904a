"""The answers of servers: their status, their bodies within a budget, and why a request failed."""

import re
import zlib
from collections.abc import Iterator

import requests

from nowcastlib.data.feeds.connections import Watch
from nowcastlib.data.feeds.protocol import ServerUnreachable
from nowcastlib.data.feeds.server_limits import Budget
from nowcastlib.errors import NowcastError, printable

BUSY = (429, 500, 502, 503, 504)  # HTTP status codes after which a request is repeated
PIECE = 1 << 16  # bytes that are read at once


class Failure(Exception):
    """A request that failed and may be repeated."""

    def __init__(self, kind: str, reason: str = "", wait: float = 0, is_late: bool = False):
        super().__init__(kind)
        self.kind, self.reason, self.wait, self.is_late = kind, reason, wait, is_late

    def explained(self, url: str, attempts: int, budget: Budget) -> NowcastError:
        """The error for the user."""
        times = f"{attempts} times" if attempts > 1 else "once"
        if self.is_late:
            return ServerUnreachable(
                f"{url}: no whole answer within {budget.seconds:g} s: run again later"
            )
        if self.kind == "silent":
            return ServerUnreachable(
                f"{url}: no answer ({self.reason}): no network? Connect, or run again later"
            )
        if self.kind == "cut off":
            return NowcastError(f"{url}: the answer was cut off ({times}): try again later")

        wait = f" and asks to wait {self.wait:g} s" if self.wait else ""
        return NowcastError(f"{url}: answered {self.reason} ({times}){wait}: try again later")


def check_status(answer: requests.Response, url: str) -> None:
    """Failure or NowcastError if an answer is an error."""
    status = f"{answer.status_code} {printable(answer.reason or '')}".strip()
    if answer.status_code in BUSY:
        raise Failure("busy", status, _seconds(answer.headers.get("Retry-After", "")))
    if not answer.ok:
        raise NowcastError(f"{url}: answered {status}: try again later")


def parts_of(answer: requests.Response, url: str, budget: Budget, watch: Watch) -> Iterator[bytes]:
    """The body of an answer as it is sent, piece by piece, within the budget."""
    while part := answer.raw.read(PIECE, decode_content=False):
        budget.received += len(part)
        if budget.bytes_left < 0:
            raise too_large(url, budget)
        yield part
    if watch.is_late:  # the end of a connection may look like that of an answer
        raise Failure("silent", is_late=True)


def too_large(url: str, budget: Budget) -> NowcastError:
    size = budget.size / (1 << 20)
    return NowcastError(f"{url}: the answer is larger than {size:g} MiB: this is no radar's file")


def decompressed(content: bytes, encoding: str, limit: int) -> bytes | None:
    """The content without its encoding, checked to its end; None if it exceeds the limit.

    Raises Failure if it is cut off, ValueError if its encoding is unknown or its checksum wrong.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return content
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise ValueError(f"its Content-Encoding is {printable(encoding)}")

    decoder = zlib.decompressobj(wbits=47)  # 47: gzip or zlib, by its header
    try:
        plain = decoder.decompress(content, limit + 1)
    except zlib.error as error:
        raise ValueError(f"its {encoding} is broken: {error}") from error
    if len(plain) > limit:
        return None
    if not decoder.eof:
        raise Failure("cut off")
    return plain


def _seconds(retry_after: str) -> float:
    """The seconds of a Retry-After; 0 if it is a date or no number."""
    return float(retry_after) if re.fullmatch(r"\d{1,12}", retry_after.strip()) else 0.0
