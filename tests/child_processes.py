"""Work in a forked process, which a test may kill: it starts at once, with all imports done."""

import os
import signal
import sys
import traceback
from collections.abc import Callable

from nowcastlib.errors import NowcastError

REFUSED = 2  # exit code of a child whose work ended with a NowcastError, as of the command line


def fork(work: Callable[[], object]) -> int:
    """Start ``work`` in a child process; the child's number.

    Its error goes to stderr and makes its exit code 2 (NowcastError) or 1 (any other).
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child

    code = 1
    try:
        work()
        code = 0
    except NowcastError as error:
        os.write(2, f"{error}\n".encode())
        code = REFUSED
    except BaseException:  # whatever it is, the child must not go on as a second test run
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def exit_code(child: int) -> int:
    """Wait for a child; its exit code, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill(child: int) -> int:
    """Kill a child, if it is still at work, and return its exit code."""
    os.kill(child, signal.SIGKILL)  # it is not waited for yet, so its number is its own
    return exit_code(child)
