"""Processes of dask.distributed on this machine, as ``workers.connected`` starts them."""

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# What the C library of a worker does with freed memory: it keeps blocks of up to 32 MiB for the
# next task. By dask's own setting it returns them to the system, which clears them page by page
# when the next task asks for them: that took as much processor time as the work itself.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": 32 << 20, "MALLOC_TRIM_THRESHOLD_": 128 << 20}  # bytes
ENVIRONMENT = "distributed.nanny.pre-spawn-environ"  # dask's setting: variables of a new worker


def local_cluster(workers: int) -> Any:
    """Processes of one thread on this machine, which only this process can reach.

    A scheduler runs whatever a client sends, so other users of the machine must not reach it:
    certificates, which exist in memory only, let in nobody else.

    Parameters
    ----------
    workers : int
        Number of processes.

    Returns
    -------
    distributed.LocalCluster

    Raises
    ------
    ImportError
        Without the packages distributed and cryptography.
    """
    import dask
    import distributed

    with dask.config.set({ENVIRONMENT: dask.config.get(ENVIRONMENT) | KEEP_MEMORY}):
        return distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host="127.0.0.1",
            security=True,
            preload=__name__,  # for dask_setup
            scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
            silence_logs=logging.CRITICAL,
        )


def dask_setup(worker: Any) -> None:
    """Let a worker ignore Ctrl-C, since its command ends it: dask calls this in each new worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def without_logs() -> Iterator[None]:
    """Keep what dask logs off the terminal; its errors are raised."""
    import distributed  # noqa: F401 (sets up its logging)

    loggers = [logging.getLogger(name) for name in ("distributed", "tornado")]
    before = [(logger.propagate, logger.handlers) for logger in loggers]
    for logger in loggers:
        logger.propagate, logger.handlers = False, [logging.NullHandler()]
    try:
        yield
    finally:
        for logger, kept in zip(loggers, before, strict=True):
            logger.propagate, logger.handlers = kept
