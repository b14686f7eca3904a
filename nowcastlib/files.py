"""Files that are written whole or not at all."""

import os
from pathlib import Path

from nowcastlib.errors import NowcastError


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file whole or not at all: a reader, even after a crash, finds the old content or the new.

    Raises
    ------
    NowcastError
        If the file cannot be written.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError as error:
        raise NowcastError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose another folder"
        ) from error
