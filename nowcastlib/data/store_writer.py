"""Stores while they are written: frames are appended a chunk at a time, each whole or not at all.

What readers see is decided by one file, ``.zmetadata``: it holds the number of frames, and it is
replaced when all else is written. A reader beside a writer sees the frames that there were when it
opened the store: chunks are replaced by ones that hold the same frames and more. After a kill or
on a full disk the store has the frames of its last ``.zmetadata``.
"""

import json
import os
import shutil
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from nowcastlib.data.store_files import chunk_keys
from nowcastlib.data.store_layout import (
    TITLES,
    growing,
    read_json,
    set_fill_time,
    write_empty_store,
    zarr_array,
)
from nowcastlib.files import scratch_folder

METADATA = ".zmetadata"  # the metadata of all arrays in one file


class StoreWriter:
    """Appends frames to a store, a chunk at a time; as a context it writes what is waiting.

    The caller must hold the lock of the store: see ``files.one_writer``.

    Parameters
    ----------
    path : Path
        A store, or the name of a new one, without links. A new store takes its name together with
        its first frames.

    Attributes
    ----------
    times : list of int
        Times of the stored frames, in seconds since 1970, in the order in which they were added.
    has_grid : bool
        Whether the store exists or was created.
    grid : xarray.DataArray (y, x) or (channel, y, x)
        Coordinates of the store, if it has any; its values mean nothing.
    scratch : Path
        A folder beside the store for what is not whole yet; it is removed in the end.
    """

    grid: xr.DataArray

    def __init__(self, path: Path):
        self.path = path
        self.times: list[int] = []
        self.has_grid = False
        self._root = path  # the folder of the arrays; elsewhere as long as there is no frame
        self._chunk = 1  # frames of a chunk
        self._waiting: list[tuple[int, np.ndarray]] = []  # frames that are not written yet
        self._before = 0  # frames that the store had when it was opened

    def __enter__(self) -> "StoreWriter":
        with ExitStack() as stack:
            self.scratch = stack.enter_context(scratch_folder(self.path))
            if self.path.exists():
                self._repair()
                self._open()
                self._before = len(self.times)
            self._exit = stack.pop_all()
        return self

    def __exit__(self, *error) -> None:
        with self._exit:
            self.flush()  # keep what was read, whatever happened

    def _repair(self) -> None:
        """Give the arrays their number of frames, if a process was killed when it did that."""
        n = read_json(self.path / METADATA)["metadata"]["time/.zarray"]["shape"][0]
        names = growing(self.path)
        lengths = {read_json(self.path / name / ".zarray")["shape"][0] for name in names}
        if lengths != {n}:
            self._publish(n)

    def _open(self) -> None:
        """Read times and grid of the store."""
        rate, time = (zarr_array(self._root / name) for name in growing(self._root))
        self._chunk = rate.chunks[0]
        self.times = np.asarray(time[:]).tolist()
        known = [axis for axis in ("y", "x") if (self._root / axis).exists()]
        axes = {axis: (axis, np.asarray(zarr_array(self._root / axis)[:])) for axis in known}
        self.has_grid = True
        dimensions = ("channel", "y", "x")[-len(rate.shape[1:]) :]
        self.grid = xr.DataArray(np.empty(rate.shape[1:], "u1"), axes, dimensions)

    @property
    def frames_folder(self) -> Path:
        """Folder of the array of frames."""
        return self._root / growing(self._root)[0]

    @property
    def about(self) -> dict:
        """Metadata (.zarray) of the array of frames: shape, chunks and filters."""
        return read_json(self.frames_folder / ".zarray")

    def create(self, frame: xr.DataArray, attributes: dict[str, str]) -> None:
        """Begin a new store.

        Parameters
        ----------
        frame : xarray.DataArray (y, x) or (channel, y, x)
            A frame of rain or of colours, by its name, with the grid of the store and, if known,
            the attribute ``crs``.
        attributes : dict
            Global attributes, such as ``source`` and ``license``.
        """
        self._root = self.scratch / "store"
        write_empty_store(self._root, frame, attributes)
        self._open()

    def add(self, seconds: int, values: np.ndarray) -> None:
        """Add a frame, as it is stored, and its time in seconds since 1970."""
        self._waiting.append((seconds, values))
        if (len(self.times) + len(self._waiting)) % self._chunk == 0:
            self.flush()

    def flush(self) -> None:
        """Write the frames that are waiting: readers see all of them, or none."""
        if not self._waiting:
            return
        seconds, frames = zip(*self._waiting, strict=True)
        self._append(growing(self._root)[0], np.stack(frames))
        self._append("time", np.array(seconds))
        self._publish(len(self.times) + len(seconds))

        self.times += seconds
        self._waiting = []

    def take(self, seconds: Sequence[int], folder: Path, keys: Collection[str]) -> None:
        """Add frames that another process has written, as the chunk that is not full, or a new one.

        Parameters
        ----------
        seconds : sequence of int
            Times of the new frames, in seconds since 1970.
        folder : Path
            An array of one chunk along the first axis, on the disk of the store. It holds the
            frames of that chunk that the store has already, and then the new ones.
        keys : collection of str
            Names of the files that it has; all is NaN where it has none.
        """
        n, about = len(self.times), self.about
        own = chunk_keys(about, 0, 1)
        for key, new in zip(chunk_keys(about, n, n + 1), own, strict=True):
            self._take_chunk(folder / new, self.frames_folder / key, new in keys)
        self._append("time", np.array(seconds))
        self._publish(n + len(seconds))
        self.times += seconds

    @staticmethod
    def _take_chunk(new: Path, chunk: Path, has_values: bool) -> None:
        """Put a chunk in its place, in place of one that holds fewer frames."""
        if has_values:
            os.replace(new, chunk)
        else:  # all of it is NaN; a killed process may have left rain here
            chunk.unlink(missing_ok=True)

    def undo(self) -> None:
        """Take back all frames that were added; a store that had none before is removed."""
        self._waiting = []
        if self._before:
            self._publish(self._before)
        elif self._root == self.path and self.has_grid:
            self._root = self.scratch / "undone"
            os.rename(self.path, self._root)
        self.times = self.times[: self._before]

    def note(self, line: str) -> None:
        """Add a line to the attribute ``history`` of the store."""
        attributes = read_json(self._root / ".zattrs")
        attributes["history"] = "\n".join(filter(None, [attributes.get("history"), line]))
        metadata = read_json(self._root / METADATA)
        metadata["metadata"][".zattrs"] = attributes
        self._replace(METADATA, metadata)
        self._replace(".zattrs", attributes)

    def _append(self, name: str, values: np.ndarray) -> None:
        """Write the chunks of an array that hold new values; its shape stays as it is.

        They are made in the scratch folder and then moved, because a chunk that holds frames which
        readers may be reading must be replaced by one with the same frames and more, at once.
        """
        n, folder, scratch = len(self.times), self._root / name, self.scratch / name
        about = read_json(folder / ".zarray")
        about["shape"][0] = n + len(values)
        scratch.mkdir(exist_ok=True)
        (scratch / ".zarray").write_text(json.dumps(about))

        for key in chunk_keys(about, n, n + 1):
            if n % about["chunks"][0] and (folder / key).exists():
                shutil.copyfile(folder / key, scratch / key)
        zarr_array(scratch)[n:] = values

        for key in chunk_keys(about, n, n + len(values)):
            self._take_chunk(scratch / key, folder / key, (scratch / key).exists())

    def _publish(self, n: int) -> None:
        """Make the number of frames known to readers; a new store takes its name."""
        metadata = read_json(self._root / METADATA)
        for name in growing(self._root):
            metadata["metadata"][f"{name}/.zarray"]["shape"][0] = n
        self._replace(METADATA, metadata)
        for name in growing(self._root):  # for tools that do not use .zmetadata
            self._replace(f"{name}/.zarray", metadata["metadata"][f"{name}/.zarray"])

        if self._root != self.path:
            os.rename(self._root, self.path)
            self._root = self.path

    def _replace(self, name: str, content: dict) -> None:
        """Replace a file of metadata at once."""
        new = self.scratch / "metadata"
        new.write_text(json.dumps(content, indent=1))
        os.replace(new, self._root / name)


def settings_of(store: Path) -> str | None:
    """The settings with which ingest made a store; None if another maker made it."""
    try:
        attributes = read_json(store / ".zattrs")
    except (OSError, ValueError):
        return None
    name = growing(store)[0]
    has_frames = (store / name / ".zarray").is_file()
    is_ours = has_frames and attributes.get("title") == TITLES[name]
    return str(attributes.get("history", "")).split("\n")[0] if is_ours else None


def adopt_unfinished(path: Path) -> None:
    """Give the store that an earlier version left unfinished (``path`` + ".partial") its name.

    Such a store has no ``.zmetadata``, and a time of 0 where a frame was not whole yet.
    """
    partial = path.with_name(path.name + ".partial")
    if path.exists() or partial.is_symlink() or (partial / METADATA).exists():
        return
    if settings_of(partial) is None:
        return

    rate, time = (zarr_array(partial / name) for name in growing(partial))
    times = np.asarray(time[:])
    whole = int(np.argmax(times == 0)) if (times == 0).any() else len(times)
    if whole:
        rate.resize((whole, *rate.shape[1:]))
        time.resize((whole,))
        set_fill_time(partial)
        zarr.consolidate_metadata(str(partial))
        partial.rename(path)
