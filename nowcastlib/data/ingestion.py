"""Writing a store: frames of any feed become one CF-Zarr ``rainfall_rate(time, y, x)`` in mm/h, NaN = not observed, 0 = dry."""

import contextlib
import json
import logging
import os
import shutil
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
import zarr
from tqdm.auto import tqdm

from nowcastlib.data import grid
from nowcastlib.data.feeds import NoAnswer, Source
from nowcastlib.data.grid import RAIN_RATE
from nowcastlib.data.store import SLAB, open_frames
from nowcastlib.errors import NowcastError
from nowcastlib.files import write_atomically

log = logging.getLogger("nowcastlib")

TITLE = "rain rate"  # tells the stores that ingest made, and may add to, from others
TIME = {
    "units": "seconds since 1970-01-01",
    "calendar": "proleptic_gregorian",
    "standard_name": "time",
    "axis": "T",
}
TILE = 256  # px; a chunk is a tile of as many frames as make CHUNK bytes, for training reads windows and crops
CHUNK = 4 << 20  # bytes of a chunk


def ingest(
    source: Source,
    out: str | Path,
    start=None,
    end=None,
    crop: tuple[int, int, int, int] | None = None,
    regrid: int = 0,
    progress: bool = True,
    every: int = 1,
) -> Path:
    """Write the frames of ``source`` in [start, end) to the store ``out`` and return its path.

    ``crop`` is the rectangle to keep, as (x, y, width, height) in px from the upper left; ``regrid`` the number of
    columns to make the grid coarser to; of the frames every ``every``-th is kept. The store grows in
    ``out + ".partial"``, some frames at a time (their times are written last), and takes its name when all frames are
    in: what is called ``out`` is always whole, ascending in time, and a rerun after an interruption carries on. A
    store that exists is completed with the frames that it lacks. A frame that cannot be read, or in which nothing is
    observed, is skipped with a warning that names it; its time stays a gap.

    Raises NowcastError if the source has no readable frame or does not answer, if a frame has another grid than the
    store, and if ``out`` cannot be written.
    """
    out = Path(out)
    partial = out.with_name(out.name + ".partial")
    rows = source.list(start, end).drop_duplicates("time").sort_values("time").iloc[::every]
    if rows.empty:
        raise NowcastError(
            f"there are no frames from {start or 'the first'} to {end or 'the last'}: ask for others"
        )
    how = _how(source, crop, regrid, every)
    whole, fresh = out.exists(), not partial.exists()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if whole:
            done = open_frames(out).time.values
            group = zarr.open_group(str(out), mode="r")
            if group.attrs.get("title") != TITLE or "rainfall_rate" not in group:
                raise NowcastError(f"{out} was not made by ingest: choose another name")
            if group.attrs.get("history", how) != how:
                made = group.attrs["history"]
                raise NowcastError(
                    f"{out} was made otherwise ({made}), not ({how}): do as then, or use another store"
                )
            if np.isin(rows.time.values, done).all():
                return out
            shutil.rmtree(
                partial, ignore_errors=True
            )  # of a run that was killed after the other took the name
            out.rename(partial)
        elif fresh and not os.access(out.parent, os.W_OK):
            raise PermissionError(13, "the folder is not writable", str(out.parent))
        try:
            _append(source, rows, partial, crop, regrid, progress, how)
        except NowcastError as error:
            if whole:  # back to its name, with the frames that could be added
                _finish(partial, out)
            elif fresh and not isinstance(error, NoAnswer):
                shutil.rmtree(partial, ignore_errors=True)
            raise
        _finish(partial, out)
    except OSError as error:
        raise NowcastError(
            f"cannot write {out}: {error.strerror or error}; free the place or choose another, then run again"
        ) from error
    return out


def _append(
    source: Source, rows: pd.DataFrame, partial: Path, crop, regrid: int, progress: bool, how: str
) -> None:
    """Add to the store ``partial`` those frames of ``rows`` that it does not hold yet."""
    writer, skipped, unanswered = _resume(partial), [], 0
    seconds = rows.time.astype("datetime64[s]").astype("int64")
    missing = rows[~seconds.isin(writer.done if writer else [])]
    first = None  # frame of this run; the others have to lie where it lies
    with tqdm(total=len(rows), initial=len(rows) - len(missing), desc=f"→ {partial.stem}", unit="frame",
              disable=not progress) as bar:  # fmt: skip
        try:
            for row, read in _read_ahead(source, missing, crop, regrid):
                bar.update()
                try:
                    rate, values = read()
                    if values is not None and not np.isfinite(values).any():
                        raise NowcastError("nothing in it is observed")
                    unanswered = 0
                except NowcastError as error:
                    unanswered = unanswered + 1 if isinstance(error, NoAnswer) else 0
                    if unanswered == 3:  # the next thousand frames would fare no better
                        raise
                    log.warning("skipped the frame of %s: %s", row.time, error)
                    skipped.append(str(error))
                    continue
                if first is None:
                    first, shaped = rate, grid.coarser(grid.cut(rate, crop), regrid)
                    writer = writer or _create(partial, shaped, source, how)
                    _check_grid(writer.grid, shaped, row.time, partial)
                _check_grid(first, rate, row.time, partial)
                writer.add(int(row.time.timestamp()), values)
        finally:
            if writer:
                writer.flush()  # what was read is kept, whatever happened after
    if writer is None:
        why = f"; the first: {skipped[0]}" if skipped else ""
        raise NowcastError(f"not one of {len(rows)} frames could be read{why}")


def _read_ahead(source: Source, rows: pd.DataFrame, crop, regrid: int) -> Iterator[tuple]:
    """Each row and a function that returns its frame, as read and as stored; ``source.concurrency`` read at a time."""

    x, y, width, height = crop or (0, 0, None, None)
    window = slice(y, crop and y + height), slice(x, crop and x + width)

    def read(row):
        rate = source.read(row)
        values = rate.values[window]
        return rate, grid.area_mean(values, regrid) if values.size else None

    workers, waiting = getattr(source, "concurrency", 1), deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for row in rows.itertuples():
                waiting.append((row, pool.submit(read, row).result))
                if len(waiting) > workers:
                    yield waiting.popleft()
            yield from waiting
        finally:
            pool.shutdown(cancel_futures=True)


def _check_grid(ours: xr.DataArray, theirs: xr.DataArray, time, partial: Path) -> None:
    if ours.shape != theirs.shape:
        raise NowcastError(
            f"the frame of {time} is {theirs.shape} px, the store {partial} {ours.shape}: use another store"
        )
    if not all(ours.get_index(d).equals(theirs.get_index(d)) for d in "yx"):
        raise NowcastError(
            f"the frame of {time} lies elsewhere than those of {partial}: use another store"
        )


def _how(source: Source, crop, regrid: int, every: int) -> str:
    """What the frames are and what was done to them, for the store's history."""
    product = f"product {source.product}, " if hasattr(source, "product") else ""
    return (
        f"nowcastlib ingest: {product}crop {','.join(map(str, crop or ['none']))}, regrid {regrid or 'none'}"
        + (f", every {every} frames" if every > 1 else "")
    )


def _fill_times(path: Path, value: int | None) -> None:
    """What stands for a time that is not written yet: 0 while a store grows, nothing in a whole one (CF wants none)."""
    about = path / "time" / ".zarray"
    write_atomically(
        about, json.dumps(json.loads(about.read_text()) | {"fill_value": value}).encode()
    )


class _Writer:
    """Appends frames to a store, a chunk at a time."""

    def __init__(self, path: Path):
        _fill_times(path, 0)
        group = zarr.open_group(str(path), mode="r+")
        self.rate, self.time = group["rainfall_rate"], group["time"]
        self.grid = xr.DataArray(
            np.empty(self.rate.shape[1:], "u1"),
            {d: (d, np.asarray(group[d][:])) for d in "yx"},
            ("y", "x"),
        )
        times = np.asarray(self.time[:])
        whole = (
            len(times) if (times != 0).all() else int(np.argmax(times == 0))
        )  # resized, its time not yet written
        self.done = times[:whole].tolist()
        self._resize(whole)
        self.frames, self.times = [], []  # that are not written yet

    def _resize(self, n: int) -> None:
        self.rate.resize((n, *self.rate.shape[1:]))
        self.time.resize((n,))

    def add(self, seconds: int, values: np.ndarray) -> None:
        self.frames.append(values)
        self.times.append(seconds)
        if (len(self.done) + len(self.times)) % self.rate.chunks[0] == 0:
            self.flush()

    def flush(self) -> None:
        if self.times:
            n = len(self.done)
            self._resize(n + len(self.times))
            self.rate[n:] = np.stack(self.frames)
            self.time[n:] = np.array(
                self.times
            )  # last: a frame without its time does not count, and is written again
            self.done += self.times
            self.frames, self.times = [], []


def _resume(partial: Path) -> _Writer | None:
    """The store that an interrupted ingest left, cut to its whole frames; None if there is none."""
    if not partial.exists():
        return None
    (partial / ".zmetadata").unlink(missing_ok=True)  # it would go stale
    for half in partial.rglob("*.partial"):  # a file that was being written
        half.unlink()
    with contextlib.suppress(
        Exception
    ):  # killed before its first frame was whole, it may be anything: start again
        return _Writer(partial)
    shutil.rmtree(partial)
    return None


def _create(partial: Path, rate: xr.DataArray, source: Source, how: str) -> _Writer:
    """An empty store for frames like ``rate``."""
    crs = rate.attrs.get("crs")
    data = rate.drop_attrs(deep=False).assign_attrs(
        RAIN_RATE | ({"grid_mapping": "crs"} if crs else {})
    )
    dataset = (
        data.expand_dims(time=np.array([], "datetime64[s]"))
        .astype("f4")
        .to_dataset(name="rainfall_rate")
    )
    if crs:
        dataset["crs"] = ((), np.int32(0), grid.mapping(crs))
    dataset["time"].attrs = {k: v for k, v in TIME.items() if k not in ("units", "calendar")}
    dataset.attrs = {
        "Conventions": "CF-1.9",
        "title": TITLE,
        "source": source.attribution,
        "license": getattr(source, "licence", ""),
        "history": how,
    }
    tile = [min(n, TILE) for n in rate.shape]
    frames = min(CHUNK // (4 * tile[0] * tile[1]), SLAB // (4 * rate.size))
    encoding = {
        "rainfall_rate": {
            "chunks": (max(1, min(frames, 64)), *tile),
            "_FillValue": np.float32(np.nan),
        },
        "time": {
            "chunks": (4096,),
            "dtype": "i8",
            "units": TIME["units"],
            "calendar": TIME["calendar"],
        },
    }
    dataset.to_zarr(partial, encoding=encoding, consolidated=False, zarr_format=2)
    return _Writer(partial)


def _finish(partial: Path, out: Path) -> None:
    """Give a store its name, its frames in ascending time."""
    group = zarr.open_group(str(partial), mode="r+")
    times = np.asarray(group["time"][:])
    if (
        np.diff(times) < 0
    ).any():  # frames from before the store's last came later: copy it in order
        ordered, order = partial.with_name(partial.name + ".sorted"), np.argsort(times)
        shutil.rmtree(ordered, ignore_errors=True)
        shutil.copytree(partial, ordered)
        copy, n = zarr.open_group(str(ordered), mode="r+"), group["rainfall_rate"].chunks[0]
        for k in range(0, len(order), n):
            copy["rainfall_rate"][k : k + n] = group["rainfall_rate"].oindex[order[k : k + n]]
        copy["time"][:] = times[order]
        _fill_times(ordered, None)
        zarr.consolidate_metadata(str(ordered))
        ordered.rename(out)
        shutil.rmtree(partial)
    else:
        _fill_times(partial, None)
        zarr.consolidate_metadata(str(partial))  # one read opens it, from a remote disk too
        partial.rename(out)
