"""Files and folders that are written whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nowcastlib.errors import NowcastError


def partial_path(path: str | Path) -> Path:
    """Name of a file or folder while it is being written: ``path`` + ".partial"."""
    path = Path(path)
    return path.with_name(path.name + ".partial")


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file whole or not at all: even after a crash it has the old content or the new.

    Parameters
    ----------
    path : str or Path
        The file; missing folders are made.
    content : bytes
        What to write.

    Raises
    ------
    NowcastError
        If the file cannot be written.
    """
    path = Path(path)
    partial = partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError as error:
        raise cannot_write(path, error) from error


@contextmanager
def written_folder(path: str | Path) -> Iterator[Path]:
    """Write a folder whole or not at all, in place of an older one.

    Parameters
    ----------
    path : str or Path
        The folder; missing parents are made.

    Yields
    ------
    Path
        A name for the folder while it is being written. It takes the name ``path`` when the block
        ends, and is removed if the block raises an error.

    Raises
    ------
    NowcastError
        If the folder cannot be written.

    Examples
    --------
    >>> with written_folder("new") as partial:  # doctest: +SKIP
    ...     dataset.to_zarr(partial)
    """
    path = Path(path)
    partial = partial_path(path)
    try:
        shutil.rmtree(partial, ignore_errors=True)  # left by a run that was killed
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        shutil.rmtree(path, ignore_errors=True)
        partial.rename(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def cannot_write(path: Path, error: OSError) -> NowcastError:
    """The error for a place that cannot be written, with the reason and the remedy."""
    reason = error.strerror or error
    return NowcastError(
        f"cannot write {path}: {reason}; free some space or choose another place, then run again"
    )
