"""Opening a foreign NetCDF file first in a child process, which may crash or hang in its place."""

import os
import subprocess
import sys
from functools import lru_cache

from nowcastlib.errors import NowcastError

SECONDS = 10.0  # after which a file that is still not open is refused

# Opens the file and reads all attributes. An error is left to the parent, which explains it.
PROGRAM = """
import sys
path, *sys.path = sys.argv[1:]
import netCDF4
print("ready", flush=True)
with netCDF4.Dataset(path) as content:
    for variable in content.variables.values():
        [variable.getncattr(name) for name in variable.ncattrs()]
"""


def check_opens(path: str) -> None:
    """Check that the C libraries open a NetCDF file, in a child process with a time limit.

    Raises
    ------
    NowcastError
        If they crash, or do not come to an end within `SECONDS`. The message does not name the
        file.
    """
    about = os.stat(path)
    _check_opens(path, about.st_mtime_ns, about.st_size)


@lru_cache
def _check_opens(path: str, modified: int, size: int) -> None:
    """Check a file once for each of its states."""
    command = [sys.executable, "-c", PROGRAM, path, *sys.path]
    nothing = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=nothing, stdout=subprocess.PIPE, stderr=nothing) as child:
        assert child.stdout is not None
        child.stdout.readline()  # the time to start Python does not count
        try:
            code = child.wait(SECONDS)
        except subprocess.TimeoutExpired as error:
            raise NowcastError(
                f"cannot be opened within {SECONDS:g} s: it is broken; fetch it again"
            ) from error
        finally:
            child.kill()
    if code < 0:  # ended by a signal
        raise NowcastError(f"crashes the NetCDF library (signal {-code}): fetch it again")
