"""Stores while they are written: frames are appended a chunk at a time, each whole or not at all.

Times are written last, and 0 stands for a time that is not written yet: a frame without its time,
as an interrupted process may leave it, does not count.
"""

import json
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from nowcastlib.data import grid
from nowcastlib.data.grid import RAIN_RATE
from nowcastlib.data.store import SLAB
from nowcastlib.files import write_atomically

TITLE = "rain rate"  # of the stores that ingest made, and may add to
TIME = {
    "units": "seconds since 1970-01-01",
    "calendar": "proleptic_gregorian",
    "standard_name": "time",
    "axis": "T",
}
TILE = 256  # px: a chunk is a tile of some frames, because training reads windows and crops
CHUNK = 4 << 20  # bytes of a chunk
MAX_CHUNK_FRAMES = 64


class StoreWriter:
    """Appends frames to a store, a chunk at a time.

    Parameters
    ----------
    path : Path
        A store that ``create_store`` made; frames without a time are cut off.

    Attributes
    ----------
    times : list of int
        Times of the whole frames, in seconds since 1970.
    grid : xarray.DataArray (y, x)
        Coordinates of the store; its values mean nothing.
    """

    def __init__(self, path: Path):
        _set_fill_time(path, 0)
        self.rate = _array(path, "rainfall_rate")
        self.time = _array(path, "time")
        self.grid = xr.DataArray(
            np.empty(self.rate.shape[1:], "u1"),
            {axis: (axis, np.asarray(_array(path, axis)[:])) for axis in ("y", "x")},
            ("y", "x"),
        )

        times = np.asarray(self.time[:])
        has_gap = (times == 0).any()
        whole = int(np.argmax(times == 0)) if has_gap else len(times)
        self.times: list[int] = times[:whole].tolist()
        self._resize(whole)
        self._waiting: list[tuple[int, np.ndarray]] = []  # frames that are not written yet

    def _resize(self, n: int) -> None:
        self.rate.resize((n, *self.rate.shape[1:]))
        self.time.resize((n,))

    def add(self, seconds: int, values: np.ndarray) -> None:
        """Add a frame (y, x) in mm/h and its time in seconds since 1970."""
        self._waiting.append((seconds, values))
        if (len(self.times) + len(self._waiting)) % self.rate.chunks[0] == 0:
            self.flush()

    def flush(self) -> None:
        """Write the frames that are waiting."""
        if not self._waiting:
            return
        times = [seconds for seconds, _ in self._waiting]
        frames = np.stack([values for _, values in self._waiting])

        n = len(self.times)
        self._resize(n + len(times))
        self.rate[n:] = frames
        self.time[n:] = np.array(times)  # last: a frame without its time is written again
        self.times += times
        self._waiting = []


def create_store(path: Path, frame: xr.DataArray, attributes: dict[str, str]) -> StoreWriter:
    """Make an empty store.

    Parameters
    ----------
    path : Path
        The store.
    frame : xarray.DataArray (y, x)
        A frame with the grid of the store and, if known, the attribute ``crs``.
    attributes : dict
        Global attributes, such as ``source`` and ``license``.
    """
    crs = frame.attrs.get("crs")
    variable = RAIN_RATE | ({"grid_mapping": "crs"} if crs else {})
    empty = frame.drop_attrs(deep=False).assign_attrs(variable).astype("f4")
    dataset = empty.expand_dims(time=np.array([], "datetime64[s]")).to_dataset(name="rainfall_rate")

    if crs:
        dataset["crs"] = ((), np.int32(0), grid.mapping(crs))
    dataset["time"].attrs = {key: TIME[key] for key in ("standard_name", "axis")}
    dataset.attrs = {"Conventions": "CF-1.9", "title": TITLE} | attributes

    encoding = {
        "rainfall_rate": {"chunks": _chunks(frame), "_FillValue": np.float32(np.nan)},
        "time": {
            "chunks": (4096,),
            "dtype": "i8",
            "units": TIME["units"],
            "calendar": TIME["calendar"],
        },
    }
    dataset.to_zarr(path, encoding=encoding, consolidated=False, zarr_format=2)
    return StoreWriter(path)


def _chunks(frame: xr.DataArray) -> tuple[int, int, int]:
    """Size of a chunk (time, y, x): CHUNK bytes, in whole frames never more than SLAB bytes."""
    height, width = (min(n, TILE) for n in frame.shape)
    by_chunk = CHUNK // (4 * height * width)  # 4 bytes a pixel
    by_slab = SLAB // (4 * frame.size)
    return max(1, min(by_chunk, by_slab, MAX_CHUNK_FRAMES)), height, width


def resume_store(path: Path) -> StoreWriter | None:
    """Open the store that an interrupted ingest left; None if there is none."""
    if not path.exists():
        return None
    (path / ".zmetadata").unlink(missing_ok=True)  # it would be out of date
    for half_written in path.rglob("*.partial"):
        half_written.unlink()

    with suppress(Exception):  # killed before its first frame, it may be anything: start again
        return StoreWriter(path)
    shutil.rmtree(path)
    return None


def finish_store(partial: Path, out: Path) -> None:
    """Give a store its name, its frames in ascending time."""
    times = np.asarray(_array(partial, "time")[:])
    if (np.diff(times) >= 0).all():
        _close(partial)
        partial.rename(out)
    else:  # frames were added that are older than the last one
        ordered = _sorted_copy(partial, np.argsort(times))
        _close(ordered)
        ordered.rename(out)
        shutil.rmtree(partial)


def _sorted_copy(path: Path, order: np.ndarray) -> Path:
    """Copy a store with its frames in another order, a chunk at a time."""
    copy_path = path.with_name(path.name + ".sorted")
    shutil.rmtree(copy_path, ignore_errors=True)  # left by a run that was killed
    shutil.copytree(path, copy_path)

    source, copy = _array(path, "rainfall_rate"), _array(copy_path, "rainfall_rate")
    n = source.chunks[0]
    for k in range(0, len(order), n):
        copy[k : k + n] = source.oindex[order[k : k + n]]
    _array(copy_path, "time")[:] = np.asarray(_array(path, "time")[:])[order]
    return copy_path


def _array(store: Path, name: str) -> zarr.Array:
    """An array of a store, to read and write."""
    return zarr.open_array(str(store / name), mode="r+")


def _close(path: Path) -> None:
    """Make the metadata final: in one file, so that one read opens the store, and as CF asks."""
    _set_fill_time(path, None)
    zarr.consolidate_metadata(str(path))


def _set_fill_time(path: Path, value: int | None) -> None:
    """Set the value of unwritten times: 0 while a store grows, in the end None, as CF asks."""
    metadata = path / "time" / ".zarray"
    content = json.loads(metadata.read_text()) | {"fill_value": value}
    write_atomically(metadata, json.dumps(content).encode())
