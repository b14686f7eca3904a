"""The one HTTP client of the feeds: every answer has an end, in time and in bytes.

A server may be slow, silent, endless or hostile. Each request therefore has a budget, and a file or
a list that exceeds it is given up with one error that says so.
"""

import re
import time
import zlib
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from nowcastlib.data.feeds.connections import Session, Watch
from nowcastlib.data.feeds.protocol import ServerUnreachable
from nowcastlib.data.feeds.server_limits import Budget, Limits
from nowcastlib.errors import NowcastError, printable

BUSY = (429, 500, 502, 503, 504)  # HTTP status codes after which a request is repeated
REDIRECTS = (301, 302, 303, 307, 308)
MOST_REDIRECTS = 5
FIRST_WAIT = 0.3  # seconds before a request is repeated; then twice as long each time
CONNECT = 10.0  # seconds to connect
PIECE = 1 << 16  # bytes that are read at once


class Answer(NamedTuple):
    """A whole answer."""

    url: str
    content: bytes
    kind: str  # its Content-Type, printable


class Client:
    """Asks a server within limits. Several threads may use one client.

    Parameters
    ----------
    limits
        How much patience it has.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._session = Session()
        self._failures = 0  # requests that failed one after the other
        self._rest_until = 0.0  # time.monotonic

    def get(self, url: str, budget: Budget, **query: Any) -> Answer:
        """The whole answer to a request.

        Parameters
        ----------
        url
            Address.
        budget
            Time, repetitions included, and bytes that the answer may take.
        **query
            The query of the address.

        Raises
        ------
        ServerUnreachable
            If the server does not answer in time, or after too many failures in a row.
        NowcastError
            If the answer is an error, too large, or a redirection to another server.
        """
        self._check_rest(url)
        attempt = 0
        while True:
            try:
                answer = self._attempt(url, budget, query)
            except _Failure as failure:
                wait = max(FIRST_WAIT * 2**attempt, failure.wait)
                attempt += 1
                is_patient = failure.wait <= self.limits.retry_after
                if attempt > self.limits.retries or not is_patient or wait >= budget.seconds_left:
                    self._count_failure()
                    raise failure.explained(url, attempt, budget) from failure
                time.sleep(wait)
            else:
                self._failures = 0
                return answer

    def _check_rest(self, url: str) -> None:
        """ServerUnreachable while the server gets a rest."""
        if time.monotonic() < self._rest_until:
            raise ServerUnreachable(
                f"{url}: not asked, because {self._failures} requests in a row have failed: run "
                "again later, it continues from here"
            )

    def _count_failure(self) -> None:
        self._failures += 1
        if self._failures >= self.limits.failures:
            self._rest_until = time.monotonic() + self.limits.rest

    def _attempt(self, url: str, budget: Budget, query: dict[str, Any]) -> Answer:
        """The answer to one request. _Failure if it is worth repeating."""
        with Watch(budget.seconds_left) as watch:
            try:
                answer = self._follow(url, query, watch)
                return _whole(answer, url, budget, watch)
            except (requests.ConnectionError, requests.Timeout) as error:
                raise _Failure("silent", _reason(error), is_late=watch.is_late) from error
            except urllib3.exceptions.ReadTimeoutError as error:
                raise _Failure("silent", "silent", is_late=watch.is_late) from error
            except (requests.RequestException, ValueError) as error:
                raise NowcastError(
                    f"{url}: no answer ({printable(error)}): check the address"
                ) from error
            except urllib3.exceptions.HTTPError as error:
                raise _Failure("cut off", is_late=watch.is_late) from error

    def _follow(self, url: str, query: dict[str, Any], watch: Watch) -> requests.Response:
        """The answer after redirections, its body not yet read."""
        target = url
        for _ in range(MOST_REDIRECTS + 1):
            answer = self._send(target, query, watch)
            if answer.status_code not in REDIRECTS:
                return answer
            answer.close()
            target = self._redirected(answer)
            query = {}  # the new address has its own
        raise NowcastError(f"{url}: more than {MOST_REDIRECTS} redirections: try again later")

    def _send(self, url: str, query: dict[str, Any], watch: Watch) -> requests.Response:
        """The answer of one address, its body not yet read.

        A server may close a connection that waits for the next request at any moment, also just
        when that request is on its way. This is no failure: the request goes out again at once.
        Each connection that was closed is dropped, so that the last attempt has a new one.
        """
        timeout = (min(CONNECT, self.limits.silence), self.limits.silence)
        while True:
            watch.is_reused = False
            try:
                return self._session.get(url, params=query, timeout=timeout, stream=True)
            except requests.ConnectionError as error:
                if watch.is_late or not (watch.is_reused and _is_closed(error)):
                    raise

    def _redirected(self, answer: requests.Response) -> str:
        """The address to which an answer redirects."""
        location = answer.headers.get("Location", "")
        try:
            target = urljoin(answer.url, location)
            is_same = _server(target) == _server(answer.url)
        except ValueError as error:
            raise NowcastError(
                f"{answer.url} redirects to {printable(location)!r}, which is no address: try "
                "again later"
            ) from error
        if not (is_same or self.limits.other_hosts):
            raise NowcastError(
                f"{answer.url} redirects to another server, {printable(target)}: give its address, "
                "or allow redirections"
            )
        return target


class _Failure(Exception):
    """A request that failed and may be repeated."""

    def __init__(self, kind: str, reason: str = "", wait: float = 0, is_late: bool = False):
        super().__init__(kind)
        self.kind, self.reason, self.wait, self.is_late = kind, reason, wait, is_late

    def explained(self, url: str, attempts: int, budget: Budget) -> NowcastError:
        """The error for the user."""
        times = f"{attempts} times" if attempts > 1 else "once"
        if self.is_late:
            return ServerUnreachable(
                f"{url}: no whole answer within {budget.seconds:g} s: run again later, it "
                "continues from here"
            )
        if self.kind == "silent":
            return ServerUnreachable(
                f"{url}: no answer ({self.reason}): no network? Connect, or run again later: it "
                "continues from here"
            )
        if self.kind == "cut off":
            return NowcastError(f"{url}: the answer was cut off ({times}): try again later")

        wait = f" and asks to wait {self.wait:g} s" if self.wait else ""
        return NowcastError(f"{url}: answered {self.reason} ({times}){wait}: try again later")


def _whole(answer: requests.Response, url: str, budget: Budget, watch: Watch) -> Answer:
    """The body of an answer, decompressed. Errors are raised by their status."""
    with answer:
        status = f"{answer.status_code} {printable(answer.reason or '')}".strip()
        if answer.status_code in BUSY:
            raise _Failure("busy", status, _seconds(answer.headers.get("Retry-After", "")))
        if not answer.ok:
            raise NowcastError(f"{url}: answered {status}: try again later")

        parts = []
        limit = budget.bytes_left
        while part := answer.raw.read(PIECE, decode_content=False):
            parts.append(part)
            budget.received += len(part)
            if budget.bytes_left < 0:
                raise _too_large(url, budget)
        if watch.is_late:  # the end of a connection may look like that of an answer
            raise _Failure("silent", is_late=True)

    content = _decompressed(b"".join(parts), answer.headers.get("Content-Encoding", ""), limit)
    if content is None:
        raise _too_large(url, budget)
    return Answer(answer.url, content, printable(answer.headers.get("Content-Type", "")))


def _too_large(url: str, budget: Budget) -> NowcastError:
    size = budget.size / (1 << 20)
    return NowcastError(f"{url}: the answer is larger than {size:g} MiB: this is no radar's file")


def _decompressed(content: bytes, encoding: str, limit: int) -> bytes | None:
    """The content without its encoding, checked to its end; None if it exceeds the limit.

    Raises _Failure if it is cut off, ValueError if its encoding is unknown or its checksum wrong.
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
        raise _Failure("cut off")
    return plain


def _seconds(retry_after: str) -> float:
    """The seconds of a Retry-After; 0 if it is a date or no number."""
    return float(retry_after) if re.fullmatch(r"\d{1,12}", retry_after.strip()) else 0.0


def _server(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of an address. ValueError if it is no address."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _is_closed(error: requests.ConnectionError) -> bool:
    """Whether the server closed the connection before the first byte of its answer."""
    cause = error.args[0] if error.args else error  # of urllib3; it holds a text and its own cause
    return any(isinstance(part, ConnectionError) for part in cause.args)


def _reason(error: requests.RequestException) -> str:
    """The first cause of a failed request, without the names of urllib3's objects."""
    cause = error.args[0] if error.args else error
    cause = getattr(cause, "reason", cause)  # of urllib3's MaxRetryError
    return printable(re.sub(r"^\S*(Connection|Pool)(\(.*?\)| object at \w+>): ", "", str(cause)))
