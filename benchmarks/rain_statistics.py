"""Statistics of rain, real and synthetic: what the storms of the feed `demo` are calibrated on.

    python benchmarks/rain_statistics.py STORE.zarr STORE.zarr …    # real radar

Up to four windows of 128 × 128 km over two hours are taken from each store: the wettest ones that
do not overlap. Each kind of synthetic storm is represented by eight storms.
docs/results/rain_statistics.csv has one row for each store and each kind, with means over its
windows:

- above_0.1, …: share of the pixels above a rain rate in mm/h;
- wet_mean: mean rate of the pixels above 0.1 mm/h, in mm/h;
- slope: exponent of the spectrum of the rain in decibels, summed over directions, 4 to 32 km;
- life_4km, …: minutes until the rain of a scale, followed on its way, keeps 1/e of its pattern;
- speed: km in five minutes; turning: degrees in five minutes, from the curl of the motion;
- growth: typical factor by which the rain of a followed square of 32 km changes in half an hour,
  or its inverse.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import ndimage

from nowcastlib.data import open_frames, pixel_size, storm_kinds, storms, time_step
from nowcastlib.forecasting import baselines
from nowcastlib.units import DRY, exceeds

from pysteps.extrapolation.semilagrangian import extrapolate  # isort: skip

SIZE = 128  # px of 1 km
MINUTES = 120  # length of a window
WINDOWS = 4  # of each store
STORMS = 8  # of each kind
RATES = (0.1, 1.0, 5.0, 20.0)  # mm/h
SCALES = (4, 8, 16, 32)  # km
MARGIN = 16  # px at the edge of a followed window that are not compared
RESULTS = Path("docs/results/rain_statistics.csv")


class Window(NamedTuple):
    """Frames of one place and time."""

    rain: np.ndarray  # (T, y, x) in mm/h, without NaN
    step: float  # minutes


def real_windows(path: str) -> list[Window]:
    """The wettest windows of a store that do not overlap, of pixels of about 1 km."""
    frames = open_frames(path)
    size = pixel_size(frames)
    if size and size.mean < 0.75:  # Melbourne: 0.5 km
        frames = frames.coarsen(y=2, x=2, boundary="trim").mean()
    every = int(np.ceil(5 / time_step(frames)))
    frames = frames.isel(time=slice(None, None, every))
    step = time_step(frames)
    length = min(int(MINUTES / step), len(frames.time))

    places = []  # wet share, first frame, row, column
    for start in sorted({0, len(frames.time) - length}):
        middle = frames.isel(time=start + length // 2).values
        for y in range(0, middle.shape[0] - SIZE + 1, SIZE):
            for x in range(0, middle.shape[1] - SIZE + 1, SIZE):
                tile = middle[y : y + SIZE, x : x + SIZE]
                if np.isfinite(tile).mean() > 0.95:
                    places.append((exceeds(tile, DRY).mean(), start, y, x))

    windows = []
    for _, start, y, x in sorted(places, reverse=True)[:WINDOWS]:
        box = {"time": slice(start, start + length), "y": slice(y, y + SIZE)}
        rain = frames.isel(box | {"x": slice(x, x + SIZE)}).values
        windows.append(Window(np.nan_to_num(rain), step))
    return windows


def synthetic_windows(kind: str) -> list[Window]:
    """Storms of one kind, as the feed `demo` draws them."""
    rngs = (np.random.default_rng([99, n]) for n in range(STORMS))
    drawn = [storm_kinds.draw(kind, rng, SIZE) for rng in rngs]
    return [Window(storms.rain(storm, int(MINUTES / storm.step)), storm.step) for storm in drawn]


def decibel(rain: np.ndarray) -> np.ndarray:
    """Rain rate in dB; dry pixels are at 0.1 mm/h."""
    return 10 * np.log10(np.maximum(rain, DRY))


def spectral_slope(rain: np.ndarray) -> float:
    """Exponent of the spectrum of frames (T, y, x) between 4 and 32 km, summed over directions."""
    taper = np.hanning(SIZE)[:, None] * np.hanning(SIZE)
    field = decibel(rain)
    field = (field - field.mean((1, 2), keepdims=True)) * taper
    power = (np.abs(np.fft.fft2(field)) ** 2).mean(0)

    wave = np.fft.fftfreq(SIZE) * SIZE
    ring = np.rint(np.hypot(wave[:, None], wave)).astype(int)
    sums = np.bincount(ring.ravel(), power.ravel())
    rings = np.arange(SIZE // 32, SIZE // 4 + 1)
    return float(-np.polyfit(np.log(rings), np.log(sums[rings]), 1)[0])


def followed(window: Window, flow: np.ndarray, minutes: float) -> Iterator[np.ndarray]:
    """Pairs (2, y, x) of frames some minutes apart: the earlier one moved along, and the later."""
    lag = round(minutes / window.step)
    for start in range(0, len(window.rain) - lag, 3):
        moved = extrapolate(window.rain[start], flow, lag, allow_nonfinite_values=True)[-1]
        yield np.stack([moved, window.rain[start + lag]])


def lifetimes(window: Window, flow: np.ndarray) -> dict[str, float]:
    """Minutes until the rain of a scale keeps 1/e of its pattern, from half an hour."""
    pairs = [decibel(pair) for pair in followed(window, flow, 30)]
    lives = {}
    for scale in SCALES:
        inner, outer = scale / 4, scale / 2
        parts = []
        for pair in pairs:
            known = np.isfinite(pair[0])
            pair = np.where(known, pair, -10.0)
            band = [_smooth(p, inner) - _smooth(p, outer) for p in pair]
            known[:MARGIN] = known[-MARGIN:] = known[:, :MARGIN] = known[:, -MARGIN:] = False
            known = ndimage.binary_erosion(known, iterations=4)
            parts.append([b[known] for b in band])
        before, after = (np.concatenate(p) for p in zip(*parts, strict=True))
        correlation = np.corrcoef(before, after)[0, 1] if len(before) > 9 else np.nan
        lives[f"life_{scale}km"] = -30 / np.log(np.clip(correlation, 1e-3, 0.999))
    return lives


def _smooth(field: np.ndarray, width: float) -> np.ndarray:
    return ndimage.gaussian_filter(field, width)


def growth(window: Window, flow: np.ndarray) -> float:
    """Typical factor of the rain of followed squares of 32 km in half an hour."""
    logs = [np.empty(0)]
    for before, after in followed(window, flow, 30):
        known = np.isfinite(before)
        sums = [np.where(known, f, 0).reshape(4, 32, 4, 32).sum((1, 3)) for f in (before, after)]
        rains = (known.reshape(4, 32, 4, 32).mean((1, 3)) > 0.8) & (sums[0] + sums[1] > 200)
        logs.append(np.log((sums[1][rains] + 10) / (sums[0][rains] + 10)))
    changes = np.concatenate(logs)
    return float(np.exp(np.sqrt(np.mean(changes**2)))) if len(changes) else np.nan


def statistics(window: Window) -> dict[str, float]:
    """All statistics of one window."""
    rain, step = window
    flow = baselines.motion(rain[len(rain) // 2 :][:3])  # (2, y, x) in px per step
    wet = exceeds(rain[len(rain) // 2], DRY)
    per_five = flow[:, wet].mean(1) * 5 / step if wet.any() else np.zeros(2)
    curl = np.gradient(flow[1], axis=1) - np.gradient(flow[0], axis=0)

    row = {f"above_{rate:g}": float(exceeds(rain, rate).mean()) for rate in RATES}
    row["wet_mean"] = float(rain[exceeds(rain, DRY)].mean())
    row["slope"] = spectral_slope(rain)
    row |= lifetimes(window, flow)
    row["speed"] = float(np.hypot(*per_five))
    row["turning"] = float(np.degrees(np.abs(curl[wet].mean() / 2)) * 5 / step)
    row["growth"] = growth(window, flow)
    return row


def row_of(name: str, windows: list[Window]) -> dict:
    """Means over the windows of a store or a kind."""
    table = pd.DataFrame([statistics(window) for window in windows])
    return {"rain": name, "windows": len(windows), **table.mean()}


def main() -> None:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stores", nargs="+", help="stores of real radar")
    stores = parser.parse_args().stores

    rows = []
    for path in stores:
        windows = real_windows(path)
        if windows:
            rows.append(row_of(Path(path).stem, windows))
            print({k: v if isinstance(v, str) else round(v, 3) for k, v in rows[-1].items()})
    rows += [row_of(f"synthetic {kind}", synthetic_windows(kind)) for kind in storm_kinds.KINDS]

    table = pd.DataFrame(rows).set_index("rain").round(4)
    print(table.to_string())
    table.to_csv(RESULTS)


if __name__ == "__main__":
    main()
