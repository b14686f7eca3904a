"""Connections that end with the time of their request, whatever the server does.

A timeout of a socket ends only a silence. A server that sends a byte now and then would hold a
request for ever; therefore a timer shuts the connection.
"""

import socket
import threading
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

AGENT = "nowcastlib (a course on precipitation nowcasting)"


class Watch:
    """Ends the request of this thread when its time is over, whatever it waits for.

    Parameters
    ----------
    seconds
        Time for the request.

    Attributes
    ----------
    is_late
        Whether the time is over.
    is_reused
        Whether the request went out on a connection that had served another request before.
    """

    def __init__(self, seconds: float) -> None:
        self.is_late = False
        self.is_reused = False
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(max(seconds, 0), self._end)
        self._timer.daemon = True

    def __enter__(self) -> "Watch":
        _this_thread.watch = self
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:  # the connection may serve another thread from now on
            self._socket = None
        _this_thread.watch = None

    def guard(self, connection: socket.socket) -> None:
        """Take the connection that the request uses."""
        with self._lock:
            self._socket = connection
            if self.is_late:
                _shut(connection)

    def _end(self) -> None:
        with self._lock:
            self.is_late = True
            if self._socket is not None:
                _shut(self._socket)


_this_thread = threading.local()


def _shut(connection: socket.socket) -> None:
    """End a connection, so that a thread that reads from it wakes up."""
    try:
        # not that of SSLSocket, which would wait for the other side
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:
        return  # it has ended already


class _WatchedConnection(HTTPConnection):
    """A connection that a watch can end, and that knows whether it was used before."""

    has_answered = False

    def connect(self) -> None:
        self.has_answered = False
        super().connect()

    def request(self, *args: Any, **options: Any) -> None:
        watch = getattr(_this_thread, "watch", None)
        if watch is not None:
            watch.is_reused = self.has_answered and self.sock is not None
        super().request(*args, **options)

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
        watch = getattr(_this_thread, "watch", None)
        if watch is not None and isinstance(self.sock, socket.socket):
            watch.guard(self.sock)
        answer = super().getresponse()
        self.has_answered = True
        return answer


class _WatchedTlsConnection(_WatchedConnection, HTTPSConnection):
    """An encrypted connection that a watch can end."""


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _WatchedConnection


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _WatchedTlsConnection


POOLS = {"http": _HttpPool, "https": _HttpsPool}


class _Adapter(HTTPAdapter):
    """Connections that a watch can end, also those to a proxy."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, *args: Any, **options: Any) -> urllib3.ProxyManager:
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = POOLS
        return manager


class Session(requests.Session):
    def __init__(self) -> None:
        super().__init__()
        self.headers.update({"User-Agent": AGENT, "Accept-Encoding": "gzip, deflate"})
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter())

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None: `Client` follows redirections itself, without reading their bodies."""
        return None
