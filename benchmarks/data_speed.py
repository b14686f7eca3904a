"""Pictures to stored frames, stored frames to training windows, and the memory of both, beside the way of the work
that the course grows from (Pillow, one ``torch.save`` a frame; one ``torch.load`` a frame). Both in one run, by hand:

    python benchmarks/data_speed.py [--frames 500] [--json]

Nothing else should run meanwhile. The last line, with --json, is one JSON object.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from nowcastlib.data import Feed, IngestOptions, ingest, store, storms
from nowcastlib.data.feeds import palettes
from nowcastlib.data.frame_table import arrange, drop, find_windows, frames_table
from nowcastlib.data.grid import frame
from nowcastlib.data.splits import check_leakage, split_by_event
from nowcastlib.data.windows import RadarWindows

GRID = frame(np.zeros((500, 500)), 500.0 * np.arange(500), -500.0 * np.arange(500))
SQUARE, SIZE = (73, 73, 354, 354), 128  # the square inscribed in the disc; px of a stored frame


class Folder(Feed):
    """Radar pictures in a folder, as a feed; with ``repeats``, each several times."""

    attribution = "benchmark"
    concurrency = 2

    def __init__(self, folder: Path, repeats: int = 1):
        self.paths = sorted(folder.glob("*.png")) * repeats

    def list(self, start=None, end=None):
        times = pd.Timestamp("2024-06-01") + pd.to_timedelta(
            5 * np.arange(len(self.paths)), unit="min"
        )
        return pd.DataFrame({"time": times, "path": self.paths})

    def read(self, row):
        return GRID.copy(data=palettes.decode(row.path.read_bytes(), name=str(row.path)))


def make_pictures(folder: Path, n: int, mode: str) -> None:
    """``n`` pictures of 500×500 px: a disc of rain in the feed's colours; ``mode`` P (indexed colours) or RGBA."""
    y, x = np.indices((500, 500))
    outside = (y - 249.5) ** 2 + (x - 249.5) ** 2 > 250**2
    for k, rate in enumerate(storms.rain(storms.Storm(size=500), n)):
        rate[outside] = np.nan
        path = folder / f"{k:05d}.png"
        path.write_bytes(palettes.draw(rate))
        if mode != "P":
            Image.open(path).convert(mode).save(path)


def seed_store(paths: list[Path], out: Path) -> None:
    """One picture after the other: grey, crop, resize, one file a frame."""
    x, y, width, height = SQUARE
    for k, path in enumerate(paths):
        picture = (
            Image.open(path).convert("L").crop((x, y, x + width, y + height)).resize((SIZE, SIZE))
        )
        torch.save(torch.from_numpy(np.array(picture)).float() / 255, out / f"{k}.pt")


def our_store(feed: Folder, out: Path) -> None:
    ingest(feed, out, options=IngestOptions(crop=SQUARE, regrid=SIZE))


def decode_only(paths: list[Path]) -> None:
    for path in paths:
        palettes.decode(path.read_bytes())


def seed_windows(rows: np.ndarray, out: Path) -> float:
    return sum(
        float(torch.stack([torch.load(out / f"{k}.pt") for k in window]).sum()) for window in rows
    )


def our_windows(rows: np.ndarray, path: Path) -> float:
    dataset = RadarWindows(store.open_frames(path), rows)  # a store below 1 GB is read once
    return sum(float(dataset[k].sum()) for k in range(len(dataset)))


def seconds(work, *arguments) -> float:
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def peak_memory(folder: Path, repeats: int) -> float:
    """MB at most while ingesting the pictures ``repeats`` times, in a process of its own."""
    with tempfile.TemporaryDirectory() as out:
        command = [
            sys.executable,
            __file__,
            "--ingest",
            str(folder),
            str(repeats),
            f"{out}/frames.zarr",
        ]
        return float(
            subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]
        )


def catalogue_of_a_season(n: int = 23_000) -> None:
    """Everything the catalogue does, from a listing of ``n`` irregular times with what was measured of each frame."""
    rng = np.random.default_rng(0)
    gaps = rng.choice([5, 10, 40, 300], n, p=[0.7, 0.27, 0.02, 0.01])
    wet = np.clip(rng.normal(0.1, 0.1, n), 0, 1)
    table = arrange(pd.DataFrame({
        "time": pd.Timestamp("2024-04-01") + pd.to_timedelta(gaps.cumsum(), unit="min"),
        "valid": 1.0, "wet": wet, "mean": wet, "max": 10 * wet,
    }))  # fmt: skip
    table = split_by_event(drop(table, shortest=4, driest=0.5))
    check_leakage(table, find_windows(table, 4, 5, "train"), find_windows(table, 4, 5, "test"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--ingest", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ingest:
        folder, repeats, out = options.ingest
        ingest(
            Folder(Path(folder), int(repeats)), out, options=IngestOptions(crop=SQUARE, regrid=SIZE)
        )
        status = Path(
            "/proc/self/status"
        ).read_text()  # ru_maxrss would count the parent's memory, too
        print(int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024)
        return

    result = {"frames": options.frames}
    for mode in ("P", "RGBA"):
        with tempfile.TemporaryDirectory() as temporary:
            root = Path(temporary)
            for name in ("pictures", "seed", "warm"):
                (root / name).mkdir()
            make_pictures(root / "pictures", options.frames, mode)
            feed = Folder(root / "pictures", repeats=4)
            seed_store(
                feed.paths[:20], root / "warm"
            )  # imports and first calls are not what is compared
            our_store(Folder(root / "pictures"), root / "warm.zarr")
            theirs = min(seconds(seed_store, feed.paths, root / "seed") for _ in range(2))
            ours = min(seconds(our_store, feed, root / f"{k}.zarr") for k in range(2))
            alone = min(seconds(decode_only, feed.paths) for _ in range(2))
            result[f"picture_to_frame_{mode}"] = round(theirs / ours, 2)
            result[f"decoding_alone_{mode}"] = round(theirs / alone, 2)  # one thread
            print(f"{mode} pictures to frames: {len(feed.paths) / theirs:.0f} a second their way, "
                  f"{len(feed.paths) / ours:.0f} ours: {theirs / ours:.1f} times (to decode them, in one thread, "
                  f"{len(feed.paths) / alone:.0f} a second)")  # fmt: skip
            if mode == "P":
                table = frames_table(root / "0.zarr")
                rows = np.random.default_rng(0).permutation(find_windows(table, 12, 5))
                rows = np.tile(rows, (4, 1))  # four epochs
                theirs, ours = (
                    seconds(seed_windows, rows, root / "seed"), seconds(our_windows, rows, root / "0.zarr")
                )  # fmt: skip
                result["window_reading"] = round(theirs / ours, 1)
                print(f"windows of 12 frames, four epochs: {len(rows) / theirs:.0f} a second their way, "
                      f"{len(rows) / ours:.0f} ours: {theirs / ours:.1f} times")  # fmt: skip
                few, many = (peak_memory(root / "pictures", repeats) for repeats in (1, 10))
                result["peak_memory_ratio"] = round(many / few, 3)
                print(f"peak memory: {few:.0f} MB for {options.frames} frames, {many:.0f} MB for ten times as many: "
                      f"{many / few:.2f} times")  # fmt: skip
    result["catalogue_seconds"] = round(seconds(catalogue_of_a_season), 2)
    print(
        f"catalogue of 23,000 frames, with drop, split, windows and leakage check: {result['catalogue_seconds']} s"
    )
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
