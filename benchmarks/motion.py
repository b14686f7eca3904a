"""Accuracy and speed of the estimated motion, beside three optical flows of pysteps:

    python benchmarks/motion.py --archive FOLDER [--methods ours …] [--out docs/results/motion.csv]

FOLDER holds the pysteps example archive. The scenes are three synthetic storms and one real frame
of each of its five events. A scene of 256 × 256 px is cut from a larger frame three times, each
time displaced by a known number of pixels, or turned about its middle by a known angle, so that
real rain enters at the edges. The three cuts are the frames from which the motion is estimated.

The error is the median distance, in px per step, between the estimated and the true motion. It is
taken over the pixels of the last frame with rain that was already in the first frame. Seconds are
those of the processor for one call, on one thread, so that other programs on the machine change
them little. With --methods, the rows of the other methods stay as they are in the table.
"""

import argparse
import contextlib
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import ndimage
from tqdm import tqdm

from nowcastlib.data import storms
from nowcastlib.data.feeds import archive
from nowcastlib.forecasting import baselines
from nowcastlib.networks import motion
from nowcastlib.units import DRY, ModelScale, exceeds

SIZE = 256  # px
FRAMES = 3
SPEEDS = (1, 5, 10, 20, 30, 40)  # px per step
DIRECTION = (0.92, -0.39)  # to the right and upwards
TURN = 5  # degrees per step
LARGE = SIZE + 2 * max(SPEEDS)  # px, of the frames from which scenes are cut
MARGIN = 8  # px at the edge that are not judged

STORMS = {
    "scattered": storms.Storm(seed=1, wet_fraction=0.15, intensity=3.0),
    "widespread": storms.Storm(seed=2, wet_fraction=0.8, intensity=2.0),
    "bands": storms.Storm(seed=3, wet_fraction=0.4, stretch=4.0, orientation=0.6),
}
EVENTS = {  # product, beginning and end of each event of the archive
    "mch2015": ("mch", "2015-05-15", "2015-05-16"),
    "mch2017": ("mch", "2017-01-31", "2017-02-01"),
    "fmi": ("fmi", None, None),
    "knmi": ("knmi", None, None),
    "bom": ("bom", None, None),
}


def ours(frames: np.ndarray) -> np.ndarray:
    """The motion that the guided network uses."""
    rain = ModelScale().to_model(torch.from_numpy(frames))[None]
    return motion.flow(rain.nan_to_num(), rain.isfinite())[0].numpy()


def of_pysteps(method: str) -> Callable[[np.ndarray], np.ndarray]:
    """An optical flow of pysteps."""

    def run(frames: np.ndarray) -> np.ndarray:
        with contextlib.redirect_stdout(io.StringIO()):  # VET prints its progress
            return baselines.motion(frames, method)

    return run


METHODS = {
    "ours": ours,
    "lucas_kanade": of_pysteps("LK"),
    "vet": of_pysteps("vet"),
    "proesmans": of_pysteps("proesmans"),
}


def large_frames(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Name and rain rate (LARGE, LARGE), mm/h, of each scene."""
    for name, storm in STORMS.items():
        still = storms.Storm(**{**vars(storm), "size": LARGE, "velocity": (0.0, 0.0)})
        yield name, storms.rain(still, 1)[0]
    for name, (product, start, end) in EVENTS.items():
        feed = archive.Archive(product, str(folder))
        table = feed.list(start, end)
        rows = list(table.itertuples())
        yield name, wettest_part(feed.read(rows[len(rows) // 2]).values)


def wettest_part(rain: np.ndarray) -> np.ndarray:
    """The part (LARGE, LARGE) of a frame with most observed and, among these, most wet pixels."""
    parts = [
        rain[y : y + LARGE, x : x + LARGE]
        for y in range(0, rain.shape[0] - LARGE + 1, 16)
        for x in range(0, rain.shape[1] - LARGE + 1, 16)
    ]
    return max(parts, key=lambda part: (np.isfinite(part).mean().round(2), wet_share(part)))


def wet_share(rain: np.ndarray) -> float:
    """Share of the pixels with rain."""
    return float(exceeds(rain, DRY).mean())


def translated(rain: np.ndarray, speed: float) -> tuple[np.ndarray, np.ndarray]:
    """Frames (time, y, x) that move by whole pixels, and their motion (2, y, x), px per step."""
    right, down = (round(speed * share) for share in DIRECTION)
    margin = (LARGE - SIZE) // 2
    frames = []
    for step in range(-(FRAMES // 2), FRAMES // 2 + 1):
        y, x = margin - step * down, margin - step * right
        frames.append(rain[y : y + SIZE, x : x + SIZE])
    velocity = np.broadcast_to(np.reshape([right, down], (2, 1, 1)), (2, SIZE, SIZE))
    return np.stack(frames).astype("f4"), velocity


def turned(rain: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Frames (time, y, x) that turn about their middle, and their motion (2, y, x), px per step."""
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    frames = []
    for step in range(-(FRAMES // 2), FRAMES // 2 + 1):
        angle = np.deg2rad(degrees) * step
        places = np.cos(angle) * y - np.sin(angle) * x, np.cos(angle) * x + np.sin(angle) * y
        frames.append(ndimage.map_coordinates(rain, np.stack(places) + (LARGE - 1) / 2, order=1))
    return np.stack(frames).astype("f4"), np.deg2rad(degrees) * np.stack([-y, x])


def median_error(estimate: np.ndarray, velocity: np.ndarray, frames: np.ndarray) -> float:
    """Median distance between two motions (2, y, x) where it rains, away from entering rain."""
    y, x = np.indices(frames.shape[1:])
    judged = exceeds(frames[-1], DRY)
    for steps in (0, FRAMES - 1):
        for place, speed in ((x, velocity[0]), (y, velocity[1])):
            before = place - steps * speed
            judged &= (before >= MARGIN) & (before < SIZE - MARGIN)
    return float(np.median(np.hypot(*(estimate - velocity))[judged]))


def measure(name: str, rain: np.ndarray, methods: list[str]) -> Iterator[dict[str, object]]:
    """One row for each movement of a scene and each method."""
    movements = {f"{speed} px": translated(rain, speed) for speed in SPEEDS}
    movements[f"{TURN} degrees"] = turned(rain, TURN)
    for method in methods:
        for movement, (frames, velocity) in movements.items():
            start = time.process_time()
            estimate = METHODS[method](frames)
            seconds = time.process_time() - start
            error = median_error(estimate, velocity, frames)
            yield {
                "scene": name,
                "movement": movement,
                "method": method,
                "error_px": round(error, 3),
                "seconds": round(seconds, 3),
            }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--archive", type=Path, required=True, help="the pysteps example archive")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--out", type=Path, default=Path("docs/results/motion.csv"))
    options = parser.parse_args()

    torch.set_num_threads(1)
    table = pd.DataFrame(columns=["scene", "movement", "method", "error_px", "seconds"])
    if options.out.exists():
        table = pd.read_csv(options.out).query("method not in @options.methods")
    scenes = tqdm(large_frames(options.archive), total=len(STORMS) + len(EVENTS))
    for name, rain in scenes:
        rows = pd.DataFrame(measure(name, rain, options.methods))
        table = pd.concat([table, rows]) if len(table) else rows
        table.to_csv(options.out, index=False)

    wide = table.pivot(index=["scene", "movement"], columns="method", values="error_px")
    print(wide.to_string())
    print(table.groupby("method").seconds.describe().to_string())


if __name__ == "__main__":
    main()
