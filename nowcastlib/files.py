"""Files and folders that are written whole or not at all, and by one process at a time."""

import errno
import fcntl
import logging
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

from nowcastlib.errors import NowcastError

log = logging.getLogger("nowcastlib")

OURS = "nowcastlib: "  # how lock files begin: a file that begins otherwise is left alone
MARKER = ".nowcastlib"  # in each temporary folder of ours: one without it is left alone
PARTIAL = ".partial"  # how the names of temporary folders end
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # file systems without flock say so

_held: set[int] = set()  # descriptors of the locks that this process holds


def real_path(path: str | Path) -> Path:
    """The absolute path without symbolic links, so that what is written keeps a link to it.

    Raises NowcastError if the links lead in a circle.
    """
    try:
        return Path(path).resolve()
    except (OSError, RuntimeError) as error:
        raise NowcastError(f"{path} leads in a circle of links: choose another place") from error


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file whole or not at all: even after a kill it has the old content or the new.

    Parameters
    ----------
    path : str or Path
        The file; missing folders are made. If it is a link, the file that it leads to is written.
    content : bytes
        What to write.

    Raises
    ------
    NowcastError
        If the file cannot be written.
    """
    path = real_path(path)
    try:
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "there is something that is not a file")
        with scratch_folder(path) as scratch:
            (scratch / "new").write_bytes(content)
            os.replace(scratch / "new", path)
    except OSError as error:
        raise cannot_write(path, error) from error


@contextmanager
def written_folder(path: str | Path) -> Iterator[Path]:
    """Write a folder whole or not at all, in place of an older one.

    Parameters
    ----------
    path : str or Path
        The folder; missing parents are made. If it is a link, the folder that it leads to is
        replaced.

    Yields
    ------
    Path
        A name for the folder while it is being written; the block makes it. It takes the name
        ``path`` when the block ends, and is removed if the block raises an error.

    Raises
    ------
    NowcastError
        If the folder cannot be written.

    Examples
    --------
    >>> with written_folder("new") as partial:  # doctest: +SKIP
    ...     dataset.to_zarr(partial)
    """
    path = real_path(path)
    try:
        with scratch_folder(path) as scratch:
            new, old = scratch / "new", scratch / "old"
            yield new
            try:
                if path.is_dir():
                    os.rename(path, old)
                os.rename(new, path)  # after a kill here, the next run does this
            finally:
                if old.exists() and not path.exists():
                    os.rename(old, path)
    except OSError as error:
        raise cannot_write(path, error) from error


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """An empty folder beside ``path``, which is removed in the end.

    Its name cannot be predicted, and what a killed process left of such folders is removed: only
    folders with our marker that no process holds.

    Parameters
    ----------
    path : Path
        What will be written, without links; missing parents are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_left_over(path)

    marker = None
    while marker is None:  # another process may take a folder without its marker for left over
        folder = Path(tempfile.mkdtemp(PARTIAL, _prefix(path), path.parent))
        try:
            marker = _lock(folder / MARKER)
        except FileNotFoundError:
            continue
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    try:
        yield folder
    finally:
        _remove(folder)
        _release(marker)


def _remove(folder: Path) -> None:
    """Remove a scratch folder, its marker last: after a kill meanwhile the next run goes on."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.name != MARKER:
                os.unlink(entry)
    shutil.rmtree(folder, ignore_errors=True)


def _prefix(path: Path) -> str:
    """How the names of the scratch folders of a path begin."""
    return f".{path.name[:80]}."


def remove_left_over(path: Path) -> None:
    """Remove the scratch folders of ``path`` that killed processes left.

    A folder that had all but taken the name ``path`` takes it.
    """
    ours = re.compile(re.escape(_prefix(path)) + r"[a-z0-9_]{8}" + re.escape(PARTIAL))
    folders = [path.parent / name for name in os.listdir(path.parent) if ours.fullmatch(name)]
    for folder in folders:
        marker = folder / MARKER
        if folder.is_symlink() or marker.is_symlink():
            continue
        with suppress(OSError):  # it has just gone, or is another user's
            if not marker.exists():
                folder.rmdir()  # killed before it had its marker; fails if it holds anything
                continue
            descriptor = _lock(marker)
            if descriptor is None:  # its process is at work
                continue
            if (folder / "old").is_dir() and not path.exists():
                os.rename(folder / "new", path)
            _remove(folder)
            _release(descriptor)


@contextmanager
def one_writer(path: str | Path, lock_file: Path | None = None) -> Iterator[None]:
    """Let only one process at a time write something.

    The lock is the operating system's (``flock``): it ends with its process, however that ends, so
    a lock is never stale. A lock file without an owner, as a killed process leaves it, is taken
    over. It holds host, process and time of its owner for the message to others.

    Parameters
    ----------
    path : str or Path
        What is written.
    lock_file : Path, optional
        By default a hidden file beside ``path``.

    Raises
    ------
    NowcastError
        If another process writes it.
    """
    path = real_path(path)
    lock_file = lock_file or path.with_name(f".{path.name[:80]}.lock")
    try:
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _lock(lock_file)
    except OSError as error:
        raise cannot_write(path, error) from error
    if descriptor is None:
        raise NowcastError(
            f"{path} is being written by {_owner(lock_file)}: wait until that ends, "
            "or write to another place"
        )
    try:
        yield
    finally:
        lock_file.unlink(missing_ok=True)
        _release(descriptor)


def _lock(file: Path) -> int | None:
    """Lock a file, with its owner in it: the descriptor, or None if another process has the lock.

    Raises OSError if the file is not a lock of ours, or cannot be made.
    """
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            if os.pread(descriptor, len(OURS), 0) not in (b"", OURS.encode()):
                raise FileExistsError(errno.EEXIST, f"{file} is in the way")
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = _is_at(file, descriptor)  # else its owner removed the file just now
            if is_ours:
                _write_owner(descriptor)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                os.close(descriptor)
                raise
            log.warning("%s: this file system has no locks: start no second command there", file)
            is_ours = True

        if is_ours:
            _held.add(descriptor)
            return descriptor
        os.close(descriptor)


def _is_at(file: Path, descriptor: int) -> bool:
    """Whether an open file still has its name."""
    try:
        return os.path.samestat(os.stat(file), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _write_owner(descriptor: int) -> None:
    """Write who has the lock, and since when."""
    now = datetime.now(timezone.utc)
    owner = f"process {os.getpid()} on {socket.gethostname()} since {now:%Y-%m-%d %H:%M:%S} UTC"
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{OURS}{owner}".encode(), 0)


def _owner(lock_file: Path) -> str:
    """The owner of a lock, in words."""
    try:
        return lock_file.read_text().removeprefix(OURS) or "another process"
    except OSError:  # it has just ended
        return "another process"


def _release(descriptor: int | None) -> None:
    """Give a lock back."""
    if descriptor is not None:
        _held.discard(descriptor)
        os.close(descriptor)


def _release_in_child() -> None:
    """Close the locks in a forked process: else they would outlive the process that has them."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_release_in_child)


def cannot_write(path: Path, error: OSError) -> NowcastError:
    """The error for a place that cannot be written, with the reason and the remedy."""
    reason = error.strerror or error
    return NowcastError(
        f"cannot write {path}: {reason}; free some space or choose another place, then run again"
    )
