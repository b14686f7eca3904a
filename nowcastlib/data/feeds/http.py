"""The one HTTP client of the feeds: every answer has an end, in time and in bytes.

A server may be slow, silent, endless or hostile. Each request therefore has a budget, and a file or
a list that exceeds it is given up with one error that says so.
"""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from nowcastlib.data.feeds.answers import (
    Failure,
    check_status,
    decompressed,
    parts_of,
    too_large,
)
from nowcastlib.data.feeds.connections import Session, Watch
from nowcastlib.data.feeds.protocol import ServerUnreachable
from nowcastlib.data.feeds.server_limits import Budget, Limits
from nowcastlib.errors import NowcastError, printable

REDIRECTS = (301, 302, 303, 307, 308)
MOST_REDIRECTS = 5
FIRST_WAIT = 0.3  # seconds before a request is repeated; then twice as long each time
CONNECT = 10.0  # seconds to connect


class Answer(NamedTuple):
    """A whole answer."""

    url: str
    content: bytes
    kind: str  # its Content-Type, printable


Received = TypeVar("Received")
Receiver = Callable[[requests.Response, Iterator[bytes]], Received]  # of the parts of the body


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

        def whole(answer: requests.Response, parts: Iterator[bytes]) -> Answer:
            limit = budget.bytes_left
            encoding = answer.headers.get("Content-Encoding", "")
            content = decompressed(b"".join(parts), encoding, limit)
            if content is None:
                raise too_large(url, budget)
            return Answer(answer.url, content, printable(answer.headers.get("Content-Type", "")))

        return self._repeated(url, budget, query, whole)

    def save(
        self, url: str, budget: Budget, file: BinaryIO, progress: Callable[[int], Any]
    ) -> None:
        """Write the answer to a request into a file, piece by piece.

        Parameters
        ----------
        url
            Address.
        budget
            Time and bytes that the answer may take, repetitions included.
        file
            An empty file that is open for writing; it is emptied again for each repetition.
        progress
            It is called with the number of bytes of each piece.

        Raises
        ------
        ServerUnreachable, NowcastError
            As in `get`. Compressed answers are refused.
        """

        def write(answer: requests.Response, parts: Iterator[bytes]) -> None:
            if encoding := answer.headers.get("Content-Encoding"):
                raise ValueError(f"its Content-Encoding is {printable(encoding)}")
            file.seek(0)
            file.truncate()
            for part in parts:
                file.write(part)
                progress(len(part))

        self._session.headers["Accept-Encoding"] = "identity"
        self._repeated(url, budget, {}, write)

    def _repeated(
        self, url: str, budget: Budget, query: dict[str, Any], receive: Receiver[Received]
    ) -> Received:
        """What `receive` makes of the answer, after as many attempts as the limits allow."""
        self._check_rest(url)
        attempt = 0
        while True:
            try:
                received = self._attempt(url, budget, query, receive)
            except Failure as failure:
                wait = max(FIRST_WAIT * 2**attempt, failure.wait)
                attempt += 1
                is_patient = failure.wait <= self.limits.retry_after
                if attempt > self.limits.retries or not is_patient or wait >= budget.seconds_left:
                    self._count_failure()
                    raise failure.explained(url, attempt, budget) from failure
                time.sleep(wait)
            else:
                self._failures = 0
                return received

    def _check_rest(self, url: str) -> None:
        """ServerUnreachable while the server gets a rest."""
        if time.monotonic() < self._rest_until:
            raise ServerUnreachable(
                f"{url}: not asked, because {self._failures} requests in a row have failed: run "
                "again later"
            )

    def _count_failure(self) -> None:
        self._failures += 1
        if self._failures >= self.limits.failures:
            self._rest_until = time.monotonic() + self.limits.rest

    def _attempt(
        self, url: str, budget: Budget, query: dict[str, Any], receive: Receiver[Received]
    ) -> Received:
        """What `receive` makes of the answer. Failure if the request is worth repeating."""
        with Watch(budget.seconds_left) as watch:
            try:
                with self._follow(url, query, watch) as answer:
                    check_status(answer, url)
                    return receive(answer, parts_of(answer, url, budget, watch))
            except (requests.ConnectionError, requests.Timeout) as error:
                raise Failure("silent", _reason(error), is_late=watch.is_late) from error
            except urllib3.exceptions.ReadTimeoutError as error:
                raise Failure("silent", "silent", is_late=watch.is_late) from error
            except (requests.RequestException, ValueError) as error:
                raise NowcastError(
                    f"{url}: no answer ({printable(error)}): check the address"
                ) from error
            except urllib3.exceptions.HTTPError as error:
                raise Failure("cut off", is_late=watch.is_late) from error

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
