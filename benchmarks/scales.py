"""What forecasts lose on frames of other pixels and time steps than the network was trained at.

    python benchmarks/scales.py STORE.zarr STORE.zarr …    # of about 1 km, every 5 minutes

From the central 160 × 160 px of each store come frames of finer and coarser pixels and of shorter
and longer steps. Their forecasts by `radar` are compared with those from the frames as they are, at
the scale that both have: 1 km, or 2 km for frames of 2 km, and at the lead times that both have, up
to an hour. docs/results/scales.csv: CSI, pooled over stores and cases, averaged over lead times:

- native: from the frames as they are;
- rescaled: from the other frames, brought to the scale of the network and back;
- unscaled: from the other frames, as if they had the trained scale, only for comparison.
"""

import argparse
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
import xarray as xr

from nowcastlib.data import centre, open_frames, pixel_size, time_step
from nowcastlib.forecasting import Network, at_trained_scale, forecaster, resampling
from nowcastlib.networks import motion
from nowcastlib.units import ModelScale, exceeds

SIZE = 160  # px
CASES = 2  # of each store
HISTORY, LEADS = 12, 12  # frames before and after the time of a case
THRESHOLDS = (0.5, 2.0, 5.0)  # mm/h
NAMES = ("native", "rescaled", "unscaled")
RESULTS = Path("docs/results/scales.csv")

Key = tuple[str, str]  # name of the variant, and of the forecast
Make = Callable[[np.ndarray], np.ndarray]  # observed frames (T, y, x) → those of another scale


class Variant(NamedTuple):
    """Frames of another scale, made from frames of 1 km every 5 minutes."""

    name: str
    make: Make
    km: float = 1.0
    minutes: float = 5.0
    unscaled: bool = True  # whether to forecast them as they are, too: slow for fine pixels


def finer(factor: int, detail: bool) -> Make:
    """Pixels divided: smoothly, or with log-normal detail that keeps the mean of each pixel."""

    def make(frames: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng(0)
        both = (factor, factor)
        size = (frames.shape[1] * factor, frames.shape[2] * factor)
        if not detail:
            return np.stack([resampling.bilinear(frame, both, size) for frame in frames])
        noise = np.exp(rng.normal(0, 0.5, size))
        return np.stack([resampling.refine(f, both, np.full(size, True), noise) for f in frames])

    return make


def coarser(frames: np.ndarray) -> np.ndarray:
    """Pixels of twice the size: means of 2 × 2 px."""
    return np.stack([resampling.block_mean(frame, (2, 2)) for frame in frames])


def fewer(every: int) -> Make:
    """Every N-th frame, the last one included."""
    return lambda frames: frames[(len(frames) - 1) % every :: every]


def twice_as_many(frames: np.ndarray) -> np.ndarray:
    """A frame between each two, interpolated along the motion."""
    rate = torch.from_numpy(np.stack([frames[:-1], frames[1:]], 1).astype("f4"))
    velocity = motion.flow(ModelScale().to_model(rate))  # (T - 1, 2, y, x)
    positions = np.arange(0, len(frames) - 0.75, 0.5)
    return np.stack([resampling.at_position(frames, velocity, at) for at in positions])


VARIANTS = [
    Variant("0.5 km, bilinear", finer(2, False), km=0.5),
    Variant("0.5 km, with detail", finer(2, True), km=0.5, unscaled=False),
    Variant("0.25 km, bilinear", finer(4, False), km=0.25, unscaled=False),
    Variant("0.25 km, with detail", finer(4, True), km=0.25, unscaled=False),
    Variant("2 km", coarser, km=2.0),
    Variant("2.5 minutes", twice_as_many, minutes=2.5),
    Variant("10 minutes", fewer(2), minutes=10.0),
    Variant("15 minutes", fewer(3), minutes=15.0),
    Variant("20 minutes", fewer(4), minutes=20.0),
    Variant("30 minutes", fewer(6), minutes=30.0),
    Variant(
        "0.5 km, bilinear, 15 minutes", lambda f: finer(2, False)(fewer(3)(f)), 0.5, 15.0, False
    ),
]


def cases(path: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Observed frames up to a time, with 0 where not observed, and the frames after it."""
    frames = centre(open_frames(path), SIZE)
    size = pixel_size(frames)
    if time_step(frames) != 5 or size is None or not 0.9 < size.mean < 1.1:
        raise SystemExit(f"{path}: give stores of about 1 km, every 5 minutes")
    long_history = 16  # frames: enough for steps of 30 minutes
    last = frames.sizes["time"] - LEADS - 1
    for now in np.linspace(long_history, last, CASES).astype(int):
        values = frames.isel(time=slice(now - long_history, now + LEADS + 1)).values.astype("f8")
        values = np.nan_to_num(values)
        yield values[: long_history + 1], values[long_history + 1 :]


def with_coordinates(frames: np.ndarray, km: float, minutes: float) -> xr.DataArray:
    """Frames (T, y, x) with times and coordinates."""
    times = pd.Timestamp("2024-06-01") + pd.to_timedelta(np.arange(len(frames)) * minutes, "min")
    metres = {
        axis: np.arange(n) * 1000 * km for axis, n in zip("yx", frames.shape[1:], strict=True)
    }
    coords = {axis: (axis, m if axis == "x" else -m, {"units": "m"}) for axis, m in metres.items()}
    return xr.DataArray(frames, {"time": times} | coords, ("time", "y", "x"))


def compare(
    variant: Variant, network: Network, observed: np.ndarray, truth: np.ndarray, native: np.ndarray
) -> dict[str, np.ndarray]:
    """Counts of the native, the rescaled and the unscaled forecast at the common scale."""
    made = variant.make(observed)
    frames = with_coordinates(made, variant.km, variant.minutes)
    n = int(60 / variant.minutes)
    forecasts = {"rescaled": at_trained_scale(network, frames)(made, n)}
    if variant.unscaled:
        forecasts["unscaled"] = network(made, n)

    every = round(variant.minutes / 5) or 1  # of the native leads
    factor = max(1, round(1 / variant.km))
    common = {"native": native[every - 1 :: every]}
    for name, rate in forecasts.items():
        rate = rate[1::2] if variant.minutes < 5 else rate
        common[name] = np.stack([resampling.block_mean(r, (factor, factor)) for r in rate])
    seen = truth[every - 1 :: every]
    if variant.km > 1:
        common["native"], seen = coarser(common["native"]), coarser(seen)
    return {name: contingency(rate, seen) for name, rate in common.items()}


def contingency(forecast: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Hits, and pixels with rain in the forecast or the observation: (2, threshold, lead)."""
    counts = []
    for threshold in THRESHOLDS:
        one, other = exceeds(forecast, threshold), exceeds(observed, threshold)
        counts.append([(one & other).sum((1, 2)), (one | other).sum((1, 2))])
    return np.array(counts).swapaxes(0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stores", nargs="+", type=Path, help="stores of 1 km, every 5 minutes")
    stores = parser.parse_args().stores
    with ProcessPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        write([*pool.map(counts_of_store, stores)])


def counts_of_store(path: Path) -> dict[Key, np.ndarray]:
    """Counts of all cases of a store, by variant and forecast."""
    network = forecaster("radar")
    assert isinstance(network, Network)
    totals: dict[Key, np.ndarray] = {}
    for observed, truth in cases(path):
        native = network(observed, LEADS)
        for variant in VARIANTS:
            for name, counts in compare(variant, network, observed, truth, native).items():
                totals[variant.name, name] = totals.get((variant.name, name), 0) + counts
    return totals


def write(stores: list[dict[Key, np.ndarray]]) -> None:
    """Write and print the table of all stores together."""
    totals = {key: sum(store[key] for store in stores) for key in stores[0]}
    rows = []
    for variant in VARIANTS:
        counts = {name: totals.get((variant.name, name)) for name in NAMES}
        for k, threshold in enumerate(THRESHOLDS):
            row = {
                n: np.nan if c is None else (c[0, k] / c[1, k]).mean() for n, c in counts.items()
            }
            change = 100 * (row["rescaled"] / row["native"] - 1)
            rows.append(
                {"frames": variant.name, "threshold": threshold} | row | {"change_%": change}
            )
    table = pd.DataFrame(rows).round({"native": 4, "rescaled": 4, "unscaled": 4, "change_%": 1})
    table.to_csv(RESULTS, index=False)
    print(table.to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
