"""What a lost frame costs a forecast: scores with one of the observed frames lost.

    python benchmarks/missing_frames.py STORE… --out docs/results/missing_frames.csv

Forecasts of the central square are made from the same frames four times: all are there; one frame
before the last is lost, whole or half, and is filled from the others; that frame is taken for dry;
and from all frames a step earlier, as if one waited for complete frames in vain. The scores are the
CSI at 0.5 mm/h, pooled over the cases of all stores and averaged over the leads.
"""

import argparse
import time

import numpy as np
import pandas as pd

from nowcastlib.data import centre, open_frames
from nowcastlib.forecasting import forecaster
from nowcastlib.units import exceeds
from nowcastlib.verification import issue_times

FORECASTERS = ("radar", "extrapolation", "sprog")
LEADS = 6
SIZE = 128  # px of the central square
THRESHOLD = 0.5  # mm/h
CASES = 6  # of a store, evenly spread


def variants(frames: np.ndarray) -> dict[str, np.ndarray]:
    """Observed frames (T + 1, y, x), the oldest unused but for the earlier forecast, by name."""
    whole = frames[1:]
    lost, half, dry = whole.copy(), whole.copy(), whole.copy()
    lost[-2] = np.nan
    half[-2, : whole.shape[1] // 2] = np.nan
    dry[-2] = 0.0
    return {"complete": whole, "lost": lost, "half lost": half, "taken for dry": dry}


def contingency(forecast: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Hits, and pixels with an event in forecast or observation, by lead: (2, lead)."""
    seen = np.isfinite(truth)
    a, b = exceeds(forecast, THRESHOLD) & seen, exceeds(truth, THRESHOLD) & seen
    return np.stack([(a & b).sum((1, 2)), (a | b).sum((1, 2))])


def score_store(path: str, sums: dict) -> None:
    """Add the contingency tables of a store to ``sums`` by forecaster and variant."""
    frames = centre(open_frames(path), SIZE)
    runs = {name: forecaster(name) for name in FORECASTERS}
    longest = max(run.n_in for run in runs.values()) + 1
    times = frames.indexes["time"]
    possible = issue_times(frames, longest, LEADS)
    for at in possible[:: max(1, len(possible) // CASES)][:CASES]:
        now = times.get_loc(at)
        rain = frames[now - longest + 1 : now + LEADS + 1].values.astype("f8")
        truth = rain[longest:]
        for name, run in runs.items():
            for variant, observed in variants(rain[longest - run.n_in - 1 : longest]).items():
                sums[name, variant] = sums.get((name, variant), 0) + contingency(
                    run(observed, LEADS), truth
                )
            earlier = run(rain[longest - run.n_in - 1 : longest - 1], LEADS + 1)[1:]
            key = (name, "a step earlier")
            sums[key] = sums.get(key, 0) + contingency(earlier, truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("stores", nargs="+")
    parser.add_argument("--out")
    options = parser.parse_args()

    sums: dict = {}
    for path in options.stores:
        score_store(path, sums)
        print(f"{path}: scored after {time.process_time():.0f} s of processor time", flush=True)
    csi = {key: (hits / events).mean() for key, (hits, events) in sums.items()}
    table = pd.Series(csi).unstack().round(3)
    table = table[["complete", "lost", "half lost", "taken for dry", "a step earlier"]]
    print(table)
    if options.out:
        table.rename_axis("forecaster").to_csv(options.out)


if __name__ == "__main__":
    main()
