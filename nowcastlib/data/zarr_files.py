"""The files of a foreign Zarr store: each has an end, and none lies outside the store."""

import os
import stat
from collections import deque
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from nowcastlib.errors import NowcastError, printable

METADATA = (".zmetadata", ".zgroup", ".zattrs", ".zarray", "zarr.json")
MAX_METADATA = 64 << 20  # bytes of a file of metadata
MAX_ENTRIES = 200_000  # files whose kind is checked; 100,000 frames have fewer
MAX_FOLDERS = 10_000  # folders whose files are checked
ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)


def check_local_files(disk: Any, root: str) -> None:
    """Check the kind of the files of a store on this machine's disk before one is opened.

    Files after the first `MAX_ENTRIES` and `MAX_FOLDERS` are not checked, for the time it takes.

    Parameters
    ----------
    disk
        The fsspec file system; others than the local one have no pipes or links.
    root
        The store's path on it.

    Raises
    ------
    NowcastError
        For pipes and devices, which may have no end, for links that lead out of the store, and for
        huge metadata. The message does not name the store.
    """
    if not isinstance(disk, LocalFileSystem):
        return
    root = os.path.realpath(root)
    folders, n = deque([root]), 0
    for name in _metadata_of(root):
        _check_metadata(root, name)
    for _ in range(MAX_FOLDERS):
        if not folders or n > MAX_ENTRIES:
            return
        with os.scandir(folders.popleft()) as entries:
            for entry in entries:
                n += 1
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif not entry.is_file(follow_symlinks=False):
                    _check_odd(root, os.path.relpath(entry.path, root))


def _metadata_of(root: str) -> list[str]:
    """Names, within the store, of the metadata of its group and arrays."""
    with os.scandir(root) as entries:
        arrays = [entry.name for entry in entries if entry.is_dir()]
    names = [os.path.join(folder, name) for folder in ("", *arrays) for name in METADATA]
    return [name for name in names if os.path.lexists(os.path.join(root, name))]


def _check_metadata(root: str, name: str) -> None:
    """NowcastError unless a file of metadata is a file of the store, and of a sensible size."""
    _check_odd(root, name)
    size = os.stat(os.path.join(root, name)).st_size
    if size > MAX_METADATA:
        raise _too_large(name)


def _check_odd(root: str, name: str) -> None:
    """NowcastError unless an entry is, or leads to, a regular file of the store."""
    path = os.path.realpath(os.path.join(root, name))
    if not path.startswith(root + os.sep):
        raise NowcastError(f"has a link out of the store, {printable(name)}: remove it")
    if not os.path.exists(path) or not stat.S_ISREG(os.stat(path).st_mode):
        raise NowcastError(f"has {printable(name)}, which is not a regular file: remove it")


def metadata_files(disk: Any, paths: list[str]) -> dict[str, bytes]:
    """The content of those files of metadata that exist.

    A server that hides what is absent answers that it is forbidden.

    Raises
    ------
    NowcastError
        If one is larger than `MAX_METADATA`.
    Exception
        If a server does not answer: fsspec and its servers have errors of their own.
    """
    contents = disk.cat(paths, on_error="return")
    for path, content in contents.items():
        if isinstance(content, Exception) and not isinstance(content, ABSENT):
            raise content
        if isinstance(content, bytes) and len(content) > MAX_METADATA:
            raise _too_large(path)
    return {path: content for path, content in contents.items() if isinstance(content, bytes)}


def _too_large(name: str) -> NowcastError:
    return NowcastError(
        f"has metadata of more than {MAX_METADATA >> 20} MiB, {printable(name)}: this is refused"
    )
