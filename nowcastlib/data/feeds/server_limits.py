"""How much time and how many bytes a server may take."""

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """How much patience a feed has with its server.

    Parameters
    ----------
    retries
        How many times a request is repeated after a failure.
    silence
        Seconds without a byte after which an answer counts as lost.
    file_seconds, file_bytes
        Time for a file, repetitions included, and its size, also after decompression.
    list_seconds, list_bytes, pages
        Time, size and number of pages of one day of a list.
    retry_after
        Longest wait in seconds that a server may ask for. If it asks for more, the request fails.
    failures, rest
        After `failures` failed requests in a row, no request is sent for `rest` seconds.
    other_hosts
        Whether a server may redirect to another host, port or scheme.
    """

    retries: int = 5
    silence: float = 60.0
    file_seconds: float = 300.0
    file_bytes: int = 64 << 20
    list_seconds: float = 120.0
    list_bytes: int = 32 << 20
    pages: int = 1000
    retry_after: float = 60.0
    failures: int = 5
    rest: float = 60.0
    other_hosts: bool = False


class Budget:
    """Time and bytes that one or several requests may still use."""

    def __init__(self, seconds: float, size: int) -> None:
        self.seconds, self.size = seconds, size
        self.end = time.monotonic() + seconds
        self.received = 0  # bytes

    @property
    def seconds_left(self) -> float:
        return self.end - time.monotonic()

    @property
    def bytes_left(self) -> int:
        return self.size - self.received
