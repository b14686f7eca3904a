"""Ctrl-C at points where nothing is half done."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def deferred_interrupts() -> Iterator[Callable[[], None]]:
    """Note Ctrl-C while the block lasts; the function that it gives raises KeyboardInterrupt then.

    An interrupt may come while dask releases a result. Python cannot raise it there: it is lost.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not (in_main_thread and callable(signal.getsignal(signal.SIGINT))):
        yield lambda: None  # other threads get no interrupts, a job in the background ignores them
        return

    noted = threading.Event()

    def check() -> None:
        if noted.is_set():
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, lambda *_: noted.set())
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)
