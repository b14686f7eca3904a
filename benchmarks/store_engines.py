"""A day of radar frames into a store: our plain CF-Zarr beside Icechunk, a transactional engine.

Both append 288 frames of 256×256 px, and readers see each append at once: the store writer of
``ingest`` appends a chunk of 16 frames at a time, Icechunk commits 64 at a time in chunks of 16.
Icechunk is no dependency of this project: ``pip install icechunk`` first.

    python benchmarks/store_engines.py [--frames 288] [--repeats 5]

Nothing else should run meanwhile.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import icechunk
import numpy as np
import xarray as xr

from nowcastlib.data import frame, open_frames, storms
from nowcastlib.data.store_writer import StoreWriter

SIZE = 256  # px
APPEND = 64  # frames


def seconds(work: Callable, *arguments) -> float:
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def day_of_rain(n: int) -> np.ndarray:
    """Frames (time, y, x) in mm/h."""
    return storms.rain(storms.Storm(size=SIZE), n).astype("f4")


def write_ours(path: Path, rain: np.ndarray) -> None:
    with StoreWriter(path) as writer:
        writer.create(frame(rain[0], 1000.0 * np.arange(SIZE), -1000.0 * np.arange(SIZE)), {})
        for number, values in enumerate(rain):
            writer.add(300 * number, values)


def write_icechunk(path: Path, rain: np.ndarray) -> None:
    repository = icechunk.Repository.create(icechunk.local_filesystem_storage(str(path)))
    for start in range(0, len(rain), APPEND):
        part = rain[start : start + APPEND]
        times = np.datetime64(0, "s") + 300 * np.arange(start, start + len(part))
        dataset = xr.Dataset({"rain": (("time", "y", "x"), part)}, {"time": times})
        session = repository.writable_session("main")
        options = {"append_dim": "time"} if start else {"encoding": encoding()}
        dataset.to_zarr(session.store, consolidated=False, **options)
        session.commit("append")


def encoding() -> dict:
    return {"rain": {"chunks": (16, SIZE, SIZE)}, "time": {"units": "seconds since 1970-01-01"}}


def read_ours(path: Path) -> None:
    open_frames(path).load()


def read_icechunk(path: Path) -> None:
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(str(path)))
    session = repository.readonly_session("main")
    xr.open_zarr(session.store, consolidated=False, chunks=None).rain.load()


def megabytes(path: Path) -> float:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=288)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    rain = day_of_rain(options.frames)

    for name, write, read in (
        ("plain CF-Zarr", write_ours, read_ours),
        (f"Icechunk {icechunk.__version__}", write_icechunk, read_icechunk),
    ):
        with tempfile.TemporaryDirectory() as root:
            paths = [Path(root) / f"{k}" for k in range(options.repeats + 1)]
            written = [seconds(write, path, rain) for path in paths]
            opened = [seconds(read, path) for path in paths]
            print(
                f"{name}: {options.frames} frames written in {min(written[1:]):.2f} s, "
                f"read in {min(opened[1:]):.2f} s, {megabytes(paths[0]):.1f} MB, "
                f"{sum(file.is_file() for file in paths[0].rglob('*'))} files"
            )


if __name__ == "__main__":
    main()
