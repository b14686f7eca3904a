"""The command line: ``nowcast``, or ``python -m nowcastlib``, with one module for each command.

The options of a command are a dataclass that loads neither torch nor pysteps, so that ``--help``
answers at once. What the command needs is imported when it runs.
"""

import logging
import os
import sys

from nowcastlib.cli.parser import parse
from nowcastlib.errors import NowcastError, is_lack_of_memory, printable

MISTAKE = 2  # exit code for a mistake that the user can correct
INTERRUPTED = 130  # exit code after Ctrl-C, as in any shell
BROKEN_PIPE = 141  # exit code if nobody reads the output, as in any shell
LONGEST_WARNING = 1000  # characters

CONTINUE = {  # how to continue a command that was interrupted
    "ingest": "; run the command again to continue",
    "evaluate": "; with --counts DIR a run continues where it was interrupted",
    "train": "; run the command again with --resume to continue",
    "classify": "; run the command again, a training with --resume, to continue",
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
    handler = logging.StreamHandler()
    handler.setFormatter(_PrintableLines("nowcastlib: %(levelname)s: %(message)s"))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("nowcastlib").setLevel("INFO")

    words = sys.argv[1:] if arguments is None else arguments
    try:
        try:
            return _run(words)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output, such as head, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE


def _run(words: list[str]) -> int:
    """Run one command and return its exit code; mistakes become one line on stderr."""
    try:
        parse(words).run()
    except BrokenPipeError:
        raise
    except (NowcastError, OSError) as error:
        return _complain(str(error))
    except (MemoryError, RuntimeError) as error:
        if not is_lack_of_memory(error):
            raise
        return _complain(
            "there is not enough memory: give fewer pixels (--size, --crop or --regrid) or leads, "
            "or close other programs"
        )
    except KeyboardInterrupt:
        print(f"nowcastlib: interrupted{CONTINUE.get(words[0], '')}", file=sys.stderr)
        return INTERRUPTED
    return 0


def _complain(message: str) -> int:
    """Print what the user can correct; the exit code."""
    line = " ".join(printable(message, None).split())  # torch's messages have several lines
    print(f"nowcastlib: error: {line}", file=sys.stderr)
    return MISTAKE


class _PrintableLines(logging.Formatter):
    """Warnings without control characters: they may quote a server or a file."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), LONGEST_WARNING)
