"""Small text files that a user gives: palettes and lists of jobs."""

from pathlib import Path

from nowcastlib.data.feeds.file_limits import check_regular, named

MAX_TEXT = 1 << 20  # bytes


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, without the mark with which some editors begin it.

    Raises
    ------
    NowcastError
        If it is a pipe or a device, which may have no end, or larger than 1 MiB.
    OSError, UnicodeDecodeError
        If it cannot be read or is no text.
    """
    with named(path):
        check_regular(path, MAX_TEXT)
    return path.read_text("utf-8-sig")
