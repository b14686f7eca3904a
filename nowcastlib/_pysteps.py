"""pysteps, imported without the line that it prints about its settings file."""

import contextlib
import importlib.util
import io

with contextlib.redirect_stdout(io.StringIO()):
    import pysteps  # noqa: F401


def in_this_process() -> contextlib.AbstractContextManager:
    """While it lasts, pysteps computes here.

    It divides the members of an ensemble by dask and collects them in lists. Where a
    dask.distributed client is active, dask would fill copies of the lists in other processes.
    """
    if importlib.util.find_spec("dask") is None:  # then pysteps does without it
        return contextlib.nullcontext()
    import dask

    return dask.config.set(scheduler="synchronous")
