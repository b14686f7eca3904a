"""Work in threads that nobody waits for when the user interrupts the program."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


def in_background(function: Callable[..., Result], *arguments: object) -> Future[Result]:
    """Call a function in a thread of its own.

    The thread ends with the program. An executor's threads would not: after Ctrl-C Python waits
    for them, for minutes if a server is silent.

    Parameters
    ----------
    function
        What to call; its errors are raised by the future's ``result``.
    *arguments
        Its arguments.
    """
    future: Future[Result] = Future()

    def work() -> None:
        try:
            result = function(*arguments)
        except BaseException as error:  # as an executor does: ``result`` raises it
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=work, daemon=True).start()
    return future
