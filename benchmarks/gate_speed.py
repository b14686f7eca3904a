"""What the check of rain rates costs: shares of the time of reading a store and of ingest.

    python benchmarks/gate_speed.py [--frames 96] [--repeats 25] [--json docs/results/gate.json]

The time in the check is measured within each run; the shortest times of several runs are compared.
All are processor times, on which other work on the machine has little influence. Also the time to
open a store of a terabyte, almost all of it without a chunk.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import numpy as np
import xarray as xr
import zarr

from nowcastlib.data import IngestOptions, as_frames, checked_frames, ingest, open_frames, storms
from nowcastlib.data.feeds.cf_zarr import CfZarr
from nowcastlib.data.ingest_reading import Reading
from nowcastlib.data.rain_check import RainCheck

SIZE = 256  # px
DECLARED = 100_000, 1600, 1700  # frames, rows and columns of the store that is opened only: 1.09 TB
GATES = ((RainCheck, "check"),)  # the check of the rates
GATES_OF_INGEST = (*GATES, (Reading, "_through_the_gate"))  # and that of units, axes and grid
QUIET = IngestOptions(progress=False)
ENCODINGS = {
    "float32": {"dtype": "f4"},
    "float64": {"dtype": "f8"},
    "packed int16": {"dtype": "i2", "scale_factor": 0.01, "_FillValue": -1},
}


def seconds(run: Callable[[], object]) -> float:
    """Processor time of one run, of all its threads."""
    start = time.process_time()
    run()
    return time.process_time() - start


def share_of_check(run: Callable[[], object], repeats: int, gates=GATES) -> dict[str, float]:
    """Shortest time of a run, and the share that the shortest time in its checks has of it.

    ``gates`` are the methods that check: (class, name).
    """
    in_check = [0.0] * repeats
    whole = [0.0] * repeats

    for k in range(repeats):
        with ExitStack() as stack:
            for owner, name in gates:
                timed = timed_method(getattr(owner, name), in_check, k)
                stack.enter_context(mock.patch.object(owner, name, timed))
            whole[k] = seconds(run)
    return {"seconds": round(min(whole), 4), "share": round(min(in_check) / min(whole), 4)}


def timed_method(method: Callable, times: list[float], number: int) -> Callable:
    """The method, which adds its processor time to one of the times."""

    def timed(*arguments):
        start = time.thread_time()
        result = method(*arguments)
        times[number] += time.thread_time() - start
        return result

    return timed


def measure_reading(root: Path, frames: xr.DataArray, repeats: int) -> dict[str, dict]:
    """Share of the check in reading all frames of stores of several types."""
    results = {}
    for name, encoding in ENCODINGS.items():
        path = root / f"{encoding['dtype']}.zarr"
        chunks = {"chunks": (16, SIZE, SIZE)}
        frames.to_dataset().to_zarr(
            path, encoding={"rainfall_rate": encoding | chunks}, zarr_format=2
        )
        results[name] = share_of_check(lambda path=path: open_frames(path).values, repeats)
    return results


def measure_ingest(root: Path, repeats: int) -> dict[str, float]:
    """Share of the check in ingest from a store, the fastest feed."""
    numbers = iter(range(10_000))
    feed = CfZarr(str(root / "f4.zarr"))

    def run() -> None:
        ingest(feed, root / f"out{next(numbers)}.zarr", options=QUIET)

    return share_of_check(run, repeats, GATES_OF_INGEST)


def measure_opening(root: Path, repeats: int) -> dict[str, float]:
    """Time to open a store of many declared frames, and to let frames in memory pass the door."""
    path, number = root / "long.zarr", DECLARED[0]
    frames = as_frames(np.zeros((2, *DECLARED[1:]), "f4"))
    encoding = {"time": {"chunks": (number,)}, "rainfall_rate": {"chunks": (1, *DECLARED[1:])}}
    frames.to_dataset().to_zarr(path, encoding=encoding, consolidated=False, zarr_format=2)
    rate, times = (zarr.open_array(path / name, mode="r+") for name in ("rainfall_rate", "time"))
    rate.resize(DECLARED)
    times.resize((number,))
    times[:] = 5 * np.arange(number)
    zarr.consolidate_metadata(path)

    opening = min(seconds(lambda: open_frames(path)) for _ in range(repeats))
    door = min(seconds(lambda: checked_frames(frames)) for _ in range(repeats))
    opened = open_frames(path)
    return {
        "frames": len(opened),
        "terabytes": round(opened.nbytes / 1e12, 2),
        "seconds": round(opening, 4),
        "door_seconds": round(door, 5),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    rain = storms.rain(storms.Storm(seed=3, size=64, wet_fraction=0.5, lifetime=600), 20)
    rain[:, :10, :10] = np.nan
    tiles = np.tile(rain.astype("f4"), (-(-options.frames // len(rain)), SIZE // 64, SIZE // 64))
    frames = as_frames(tiles[: options.frames])

    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        results = {
            "frames": options.frames,
            "pixels": SIZE,
            "reading": measure_reading(root, frames, options.repeats),
            "ingest": measure_ingest(root, max(3, options.repeats // 3)),
            "opening": measure_opening(root, options.repeats),
        }
    print(json.dumps(results, indent=2))
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
