"""The download of the pysteps example archive: some hours of radar of several weather services."""

import os
import shutil
import zlib
from pathlib import Path, PurePosixPath
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from tqdm.auto import tqdm

from nowcastlib.data.feeds.http import Client
from nowcastlib.data.feeds.server_limits import Budget, Limits
from nowcastlib.errors import NowcastError, printable
from nowcastlib.files import real_path, scratch_folder

ADDRESS = "https://github.com/pySTEPS/pysteps-data/archive/master.zip"
# GitHub redirects to the host of its archives. A download that is cut off begins anew.
LIMITS = Limits(retries=2, file_seconds=7200, file_bytes=2 << 30, other_hosts=True)
MAX_FILES = 100_000  # in the zip; today it has some 1,000
MAX_UNPACKED = 4 << 30  # bytes; today 0.7 GiB


def download(folder: str | Path) -> Path:
    """Download the pysteps example archive (335 MB), some hours of each service.

    The archive is unpacked in a folder beside it, which is renamed at the end, so that `folder` is
    always complete. A folder that holds anything is left alone.

    Parameters
    ----------
    folder
        Where to put the archive, from github.com/pySTEPS/pysteps-data.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    NowcastError
        If the archive cannot be downloaded or written, or exceeds `LIMITS`, `MAX_FILES` or
        `MAX_UNPACKED`.
    """
    folder = real_path(folder)
    try:
        if folder.exists() and any(folder.iterdir()):
            return folder
        with scratch_folder(folder) as scratch:
            _fetch(scratch / "archive.zip")
            _unpack(scratch / "archive.zip", scratch / "new")
            os.rename(scratch / "new", folder)
    except NowcastError as error:
        raise _cannot_fetch(folder, str(error)) from error
    except (OSError, RuntimeError, ValueError, BadZipFile, EOFError, zlib.error) as error:
        raise _cannot_fetch(folder, f"{type(error).__name__}: {error}") from error
    return folder


def _cannot_fetch(folder: Path, reason: str) -> NowcastError:
    return NowcastError(
        f"cannot fetch the pysteps example archive into {folder} ({printable(reason)}): try again, "
        "with 1.5 GB free there, or download it by hand from github.com/pySTEPS/pysteps-data"
    )


def _fetch(path: Path) -> None:
    """Download the zip."""
    budget = Budget(LIMITS.file_seconds, LIMITS.file_bytes)
    bar = tqdm(desc="example archive", unit="B", unit_scale=True)
    with path.open("wb") as file, bar:
        Client(LIMITS).save(ADDRESS, budget, file, bar.update)


def _unpack(path: Path, folder: Path) -> None:
    """Unpack the files below the one folder at the top of the zip; their checksums are checked."""
    with ZipFile(path) as content:
        files = [entry for entry in content.infolist() if not entry.is_dir()]
        _check(files)
        for entry in files:
            target = folder / _place(entry)
            target.parent.mkdir(parents=True, exist_ok=True)
            with content.open(entry) as source, target.open("xb") as file:
                shutil.copyfileobj(source, file)


def _check(files: list[ZipInfo]) -> None:
    """BadZipFile if a zip claims too much; no more bytes than it claims are ever read from it."""
    size = sum(entry.file_size for entry in files)
    if len(files) > MAX_FILES or size > MAX_UNPACKED:
        raise BadZipFile(f"it holds {len(files):,} files of {size / 2**20:,.0f} MiB: too many")
    if any(entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED) for entry in files):
        raise BadZipFile("its compression is not that of GitHub's archives")


def _place(entry: ZipInfo) -> PurePosixPath:
    """Where a file belongs, below the folder at the top of the zip."""
    name = PurePosixPath(entry.filename)
    if name.is_absolute() or ".." in name.parts or len(name.parts) < 2:
        raise BadZipFile(f"it holds {entry.filename!r}, outside of its folder")
    return PurePosixPath(*name.parts[1:])
