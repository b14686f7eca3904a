"""The command line: ``nowcast``, or ``python -m nowcastlib``, with one module for each command.

The options of a command are a dataclass that loads neither torch nor pysteps, so that ``--help``
answers at once. What the command needs is imported when it runs.
"""

import logging
import sys

from nowcastlib.cli.parser import parse
from nowcastlib.errors import NowcastError

MISTAKE = 2  # exit code for a mistake that the user can correct
INTERRUPTED = 130  # exit code after Ctrl-C, as in any shell

CONTINUE = {  # how to continue a command that was interrupted
    "ingest": "; run the command again to continue",
    "train": "; run the command again with --resume to continue",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    arguments
        Command and options, such as ``["ingest", "--out", "frames.zarr"]``. By default those with
        which the process was started.

    Returns
    -------
    int
        0 if the command succeeded, 2 after a mistake (one line on stderr says what to correct),
        130 after Ctrl-C.
    """
    logging.basicConfig(format="nowcastlib: %(levelname)s: %(message)s")
    logging.getLogger("nowcastlib").setLevel("INFO")
    # urllib3 warns at every retry; the feed reports the failure once, when it gives up
    logging.getLogger("urllib3").setLevel("ERROR")

    try:
        parse(arguments).run()
    except (NowcastError, OSError) as error:
        message = " ".join(str(error).split())  # torch's messages have several lines
        print(f"nowcastlib: error: {message}", file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        command = (sys.argv[1:] if arguments is None else arguments)[0]
        print(f"nowcastlib: interrupted{CONTINUE.get(command, '')}", file=sys.stderr)
        return INTERRUPTED
    return 0
