"""Work on several processes, by dask.distributed: of this machine, or of many.

dask is imported only when processes are asked for.
"""

import functools
import json
import re
import socket
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nowcastlib._interrupts import deferred_interrupts
from nowcastlib._local_cluster import local_cluster, without_logs
from nowcastlib.errors import NowcastError

PATIENCE = 30.0  # seconds to connect to a scheduler, and for its first worker
MOMENT = 0.5  # seconds after which an interrupt is noticed
QUEUED = 2  # tasks that are sent for each thread of the workers: none waits for the next
FINISHED = 4  # results for each of them that may wait for an earlier one
MISSING = (
    "several processes need the package distributed: install nowcastlib with its extra [scale], or "
    "run pip install distributed cryptography"
)
LOST = (
    "the scheduler has ended or cannot be reached any more: start it and its workers, and run the "
    "command again; it carries on"
)


@contextmanager
def connected(workers: int = 0, scheduler: str | None = None) -> Iterator[Any]:
    """A client of processes that share the work, for as long as the block lasts.

    Parameters
    ----------
    workers : int
        Number of processes to start on this machine. They listen on the loopback interface only,
        and only this process can connect to them. 0 starts none.
    scheduler : str, optional
        Address of a scheduler that runs already, such as "tcp://node1:8786", or its scheduler file.

    Yields
    ------
    distributed.Client or None
        None if neither is given: this process does the work alone.

    Raises
    ------
    NowcastError
        If both are given, if dask.distributed is not installed, or if there is no scheduler at the
        address, or none with a worker.

    Examples
    --------
    >>> with connected() as client:
    ...     client is None
    True
    """
    if workers and scheduler:
        raise NowcastError("--workers and --scheduler exclude each other: give one of them")
    if not (workers or scheduler):
        yield None
        return

    distributed = _dask()
    with without_logs():
        if scheduler:
            with _client_of(scheduler) as client:
                yield client
        else:
            with _started(workers) as cluster, distributed.Client(cluster) as client:
                yield client


def _dask() -> Any:
    """The package distributed."""
    try:
        import distributed
    except ModuleNotFoundError as error:
        raise NowcastError(MISSING) from error
    return distributed


def _started(workers: int) -> Any:
    """Processes of this machine. NowcastError without the package cryptography."""
    try:
        return local_cluster(workers)
    except ImportError as error:
        raise NowcastError(MISSING) from error


def _client_of(scheduler: str) -> Any:
    """A client of a scheduler that has workers."""
    address = _address(scheduler)
    try:
        client = _dask().Client(address, timeout=PATIENCE)
    except (OSError, ValueError, TypeError) as error:
        raise NowcastError(
            f"no scheduler answers at {scheduler} ({type(error).__name__}): start one by dask "
            "scheduler, or check the address"
        ) from error

    try:
        client.wait_for_workers(1, timeout=PATIENCE)
        client.run(_hello)
    except TimeoutError as error:
        client.close()
        raise NowcastError(
            f"the scheduler at {scheduler} has no worker: start some by dask worker {scheduler}"
        ) from error
    except ImportError as error:
        client.close()
        raise NowcastError(
            f"a worker of {scheduler} cannot import nowcastlib ({error}): start the workers in the "
            "environment of this command"
        ) from error
    return client


def _address(scheduler: str) -> str:
    """The address of a scheduler, from that or from its file."""
    address = scheduler
    if Path(scheduler).is_file():
        try:
            address = str(json.loads(Path(scheduler).read_text())["address"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NowcastError(
                f"{scheduler} is no scheduler file: give the one that dask scheduler "
                "--scheduler-file wrote, or an address"
            ) from error
    if not re.fullmatch(r"\w+://\S+|[^\s/]+:\d+", address):
        raise NowcastError(
            f"{scheduler} is no address of a scheduler: write such as tcp://node1:8786"
        )
    return address


def _hello() -> str:
    """What a worker answers if it can import this module."""
    return socket.gethostname()


def threads_of(client: Any) -> int:
    """Number of threads of all workers, at least 1. NowcastError if the scheduler has ended."""
    if client.status != "running":
        raise NowcastError(LOST)
    try:
        return max(1, sum(client.nthreads().values()))
    except OSError as error:
        raise NowcastError(LOST) from error


def packed(client: Any, objects: Sequence[Any], files: Iterable[str | Path] = ()) -> Any:
    """Objects that many tasks need: they are sent once, and each process unpacks them once.

    Parameters
    ----------
    client : distributed.Client
        The client.
    objects : sequence
        Anything that can be pickled, such as networks and lazy frames.
    files : iterable of str or Path
        Files and folders that the workers must see.

    Returns
    -------
    distributed.Future
        Pass it to tasks; ``unpacked`` gives the objects there. If its worker dies, another one gets
        it from the scheduler.
    """
    import cloudpickle  # comes with dask

    paths = tuple(str(Path(file).absolute()) for file in files)
    content = cloudpickle.dumps((paths, tuple(objects)))
    return client.submit(_same, content, pure=False)


def _same(content: bytes) -> bytes:
    return content


@functools.lru_cache(maxsize=2)
def unpacked(content: bytes) -> tuple[Any, ...]:
    """The objects of ``packed``, the same ones each time.

    Raises
    ------
    NowcastError
        If this process does not see one of the files that they need.
    """
    import cloudpickle  # comes with dask

    paths, objects = cloudpickle.loads(content)
    check_visible(paths)
    return objects


def check_visible(paths: Iterable[str | Path]) -> None:
    """NowcastError if this process does not see one of the paths."""
    for path in paths:
        if not Path(path).exists():
            raise NowcastError(
                f"a worker on {socket.gethostname()} does not see {path}: put it on a file system "
                "that all workers share"
            )


def in_order(
    client: Any,
    function: Callable[..., Any],
    tasks: Iterable[tuple],
    at_once: int | None = None,
) -> Generator[Any, None, None]:
    """Results of a function for many tasks, in the order of the tasks.

    A worker that dies is replaced and its task done again. Few results exist at the same time. When
    the generator is closed, the tasks that have not begun are cancelled.

    Parameters
    ----------
    client : distributed.Client
        The client.
    function : callable
        Called as ``function(*task)`` by a worker.
    tasks : iterable of tuple
        Arguments; also the future of ``packed``.
    at_once : int, optional
        Most tasks at the same time; by default enough to keep all workers busy.

    Raises
    ------
    NowcastError
        If a task ended several workers one after the other, or if the scheduler has ended; errors
        of the function as they are.
    """
    distributed = _dask()
    waiting: deque[Any] = deque()
    rest = iter(tasks)
    try:
        with explained(), deferred_interrupts() as check_interrupts:
            while True:
                check_interrupts()
                _submit(client, function, rest, waiting, at_once or QUEUED * threads_of(client))
                if not waiting:
                    return
                unfinished = [future for future in waiting if not future.done()]
                if unfinished:
                    with suppress(TimeoutError):  # then interrupts are checked
                        distributed.wait(unfinished, MOMENT, return_when="FIRST_COMPLETED")
                while waiting and waiting[0].done():
                    yield waiting.popleft().result()
                    check_interrupts()
    finally:
        if client.status == "running":
            client.cancel(list(waiting))


@contextmanager
def explained() -> Iterator[None]:
    """Errors of dask as a NowcastError."""
    distributed = _dask()
    try:
        yield
    except distributed.KilledWorker as error:
        raise NowcastError(
            f"a task ended {error.allowed_failures + 1} workers one after the other, perhaps for "
            "lack of memory: start fewer workers, or give fewer pixels"
        ) from error
    except (distributed.CancelledError, distributed.comm.CommClosedError) as error:
        raise NowcastError(LOST) from error


def _submit(
    client: Any, function: Callable, rest: Iterator[tuple], waiting: deque, at_once: int
) -> None:
    """Send tasks until enough are at work, or enough results wait."""
    at_work = sum(not future.done() for future in waiting)
    while at_work < at_once and len(waiting) < FINISHED * at_once:
        task = next(rest, None)
        if task is None:
            return
        waiting.append(client.submit(function, *task, pure=False))
        at_work += 1
