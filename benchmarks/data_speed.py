"""Speed of the way from pictures to stored frames and to training windows, and its memory.

Compared with the way of the course's model: Pillow and one ``torch.save`` a frame, and one
``torch.load`` a frame. Both are measured in the same run:

    python benchmarks/data_speed.py [--frames 500] [--json]

Nothing else should run meanwhile. With --json the last line is one JSON object.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from nowcastlib.data import Feed, IngestOptions, RadarWindows, ingest, open_frames, storms
from nowcastlib.data.feeds import palettes
from nowcastlib.data.frame_table import arrange, drop, find_windows, frames_table
from nowcastlib.data.grid import frame
from nowcastlib.data.splits import check_leakage, split_by_event
from nowcastlib.data.store_writer import StoreWriter

GRID = frame(np.zeros((500, 500)), 500.0 * np.arange(500), -500.0 * np.arange(500))
SQUARE = (73, 73, 354, 354)  # x, y, width, height in px: the square inscribed in the disc
SIZE = 128  # px of a stored frame
OPTIONS = IngestOptions(crop=SQUARE, regrid=SIZE, progress=False)


class Folder(Feed):
    """Radar pictures in a folder, as a feed; each of them ``repeats`` times."""

    attribution = "benchmark"
    concurrency = 2

    def __init__(self, folder: Path, repeats: int = 1):
        self.paths = sorted(folder.glob("*.png")) * repeats

    def list(self, start=None, end=None):
        minutes = pd.to_timedelta(5 * np.arange(len(self.paths)), unit="min")
        return pd.DataFrame({"time": pd.Timestamp("2024-06-01") + minutes, "path": self.paths})

    def read(self, row):
        return GRID.copy(data=palettes.decode(row.path.read_bytes(), name=str(row.path)))


def make_pictures(folder: Path, n: int, mode: str) -> None:
    """Draw ``n`` pictures of 500×500 px, a disc of rain; ``mode`` is P (indexed) or RGBA."""
    y, x = np.indices((500, 500))
    outside = (y - 249.5) ** 2 + (x - 249.5) ** 2 > 250**2
    for k, rate in enumerate(storms.rain(storms.Storm(size=500), n)):
        rate[outside] = np.nan
        path = folder / f"{k:05d}.png"
        path.write_bytes(palettes.draw(rate))
        if mode != "P":
            Image.open(path).convert(mode).save(path)


def simple_store(paths: list[Path], out: Path) -> None:
    """One picture after the other: grey, crop, resize, one file a frame."""
    x, y, width, height = SQUARE
    for k, path in enumerate(paths):
        picture = Image.open(path).convert("L").crop((x, y, x + width, y + height))
        values = np.array(picture.resize((SIZE, SIZE)))
        torch.save(torch.from_numpy(values).float() / 255, out / f"{k}.pt")


def decode_only(paths: list[Path]) -> None:
    for path in paths:
        palettes.decode(path.read_bytes())


def simple_windows(rows: np.ndarray, out: Path) -> float:
    """One file after the other."""
    total = 0.0
    for window in rows:
        total += float(torch.stack([torch.load(out / f"{k}.pt") for k in window]).sum())
    return total


def our_windows(rows: np.ndarray, path: Path) -> float:
    dataset = RadarWindows(open_frames(path), rows)  # a store below 1 GB is read once
    return sum(float(dataset[k].sum()) for k in range(len(dataset)))


def seconds(work: Callable, *arguments) -> float:
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def peak_memory(folder: Path, repeats: int) -> float:
    """Largest memory (MB) of a process that ingests the pictures ``repeats`` times."""
    with tempfile.TemporaryDirectory() as out:
        arguments = ["--ingest", str(folder), str(repeats), f"{out}/frames.zarr"]
        process = subprocess.run(
            [sys.executable, __file__, *arguments], check=True, capture_output=True, text=True
        )
        return float(process.stdout.split()[-1])


def ingest_and_print_memory(folder: str, repeats: str, out: str) -> None:
    ingest(Folder(Path(folder), int(repeats)), out, options=OPTIONS)
    status = Path("/proc/self/status").read_text()  # ru_maxrss would include the parent's memory
    print(int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024)


def table_of_a_season(n: int = 23_000) -> None:
    """Arrange, drop, split, find windows and check leakage for ``n`` irregular times."""
    rng = np.random.default_rng(0)
    gaps = rng.choice([5, 10, 40, 300], n, p=[0.7, 0.27, 0.02, 0.01])
    times = pd.Timestamp("2024-04-01") + pd.to_timedelta(gaps.cumsum(), unit="min")
    wet = np.clip(rng.normal(0.1, 0.1, n), 0, 1)
    columns = {"time": times, "valid": 1.0, "wet": wet, "mean": wet, "max": 10 * wet}
    table = arrange(pd.DataFrame(columns))
    table = split_by_event(drop(table, shortest=4, driest=0.5))
    check_leakage(table, find_windows(table, 4, 5, "train"), find_windows(table, 4, 5, "test"))


def measure_pictures(root: Path, frames: int, mode: str) -> dict[str, float]:
    """Pictures to stored frames, both ways; the stores stay in ``root``."""
    for name in ("pictures", "simple", "warm"):
        (root / name).mkdir()
    make_pictures(root / "pictures", frames, mode)
    feed = Folder(root / "pictures", repeats=4)

    # imports and first calls are not compared
    simple_store(feed.paths[:20], root / "warm")
    ingest(Folder(root / "pictures"), root / "warm.zarr", options=OPTIONS)

    simple = min(seconds(simple_store, feed.paths, root / "simple") for _ in range(2))
    ours = min(
        seconds(lambda out: ingest(feed, out, options=OPTIONS), root / f"{k}.zarr")
        for k in range(2)
    )
    decoding = min(seconds(decode_only, feed.paths) for _ in range(2))  # in one thread
    n = len(feed.paths)
    print(
        f"{mode} pictures to frames: {n / simple:.0f} a second simply, {n / ours:.0f} ours: "
        f"{simple / ours:.1f} times (decoding alone, in one thread: {n / decoding:.0f} a second)"
    )
    return {
        f"picture_to_frame_{mode}": round(simple / ours, 2),
        f"decoding_alone_{mode}": round(simple / decoding, 2),
    }


def measure_windows(root: Path) -> dict[str, float]:
    """Stored frames to training windows, both ways, after ``measure_pictures``."""
    table = frames_table(root / "0.zarr")
    rows = np.random.default_rng(0).permutation(find_windows(table, 12, 5))
    rows = np.tile(rows, (4, 1))  # four epochs
    simple = seconds(simple_windows, rows, root / "simple")
    ours = seconds(our_windows, rows, root / "0.zarr")
    n = len(rows)
    print(
        f"windows of 12 frames, four epochs: {n / simple:.0f} a second simply, "
        f"{n / ours:.0f} ours: {simple / ours:.1f} times"
    )
    return {"window_reading": round(simple / ours, 1)}


def measure_memory(root: Path, frames: int) -> dict[str, float]:
    """Memory of ingesting some and ten times as many frames, after ``measure_pictures``."""
    few, many = (peak_memory(root / "pictures", repeats) for repeats in (1, 10))
    print(
        f"peak memory: {few:.0f} MB for {frames} frames, {many:.0f} MB for ten times as many: "
        f"{many / few:.2f} times"
    )
    return {"peak_memory_ratio": round(many / few, 3)}


def measure_opening(root: Path, frames: int = 100_000) -> dict[str, float]:
    """Opening a long store: its metadata and its times."""
    path, size = root / "long.zarr", 8
    field = frame(np.ones((size, size), "f4"), 1000.0 * np.arange(size), -1000.0 * np.arange(size))
    with StoreWriter(path) as writer:
        writer.create(field, {})
        for number in range(frames):
            writer.add(300 * number, field.values)

    opening = min(seconds(open_frames, path) for _ in range(5))
    print(f"opening a store of {frames:,} frames: {opening:.3f} s")
    return {"opening_100000_frames_seconds": round(opening, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--ingest", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ingest:
        ingest_and_print_memory(*options.ingest)
        return

    result: dict[str, float] = {"frames": options.frames}
    for mode in ("P", "RGBA"):
        with tempfile.TemporaryDirectory() as temporary:
            root = Path(temporary)
            result |= measure_pictures(root, options.frames, mode)
            if mode == "P":
                result |= measure_windows(root)
                result |= measure_memory(root, options.frames)

    with tempfile.TemporaryDirectory() as temporary:
        result |= measure_opening(Path(temporary))
    result["table_seconds"] = round(seconds(table_of_a_season), 2)
    print(f"table of 23,000 frames, with split and windows: {result['table_seconds']} s")
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
