"""Time of a forecast and of its verification on this machine (1 minute; run nothing else):

    python benchmarks/forecast_speed.py [--json]

The rain is synthetic, 256 × 256 px. The report holds

- ``forecast_seconds``: 12 leads by the shipped weights, without loading them, the best of five;
- ``of_sprog``: the same, divided by the time of S-PROG in the same run;
- ``verification_seconds``: sums and scores of 100 cases of 12 leads and 3 thresholds.
"""

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
import torch

from nowcastlib.data import storms
from nowcastlib.forecasting import forecaster
from nowcastlib.verification import count, table

LEADS = 12
SIZE = 256  # px
CASES = 100


def seconds_of(task: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def forecast_seconds(name: str, rain: np.ndarray, rounds: int = 5) -> float:
    """Seconds of the fastest of several forecasts."""
    run = forecaster(name)
    seconds = min(seconds_of(lambda: run(rain[:LEADS], LEADS)) for _ in range(rounds))
    print(f"{name}: {seconds:.2f} s for {LEADS} leads of {SIZE} × {SIZE} px")
    return seconds


def verify(rain: np.ndarray) -> None:
    """All sums and the table of scores of a forecast that neither fits nor is far off."""
    half_an_hour_old = np.repeat(rain[LEADS - 6 :][:1], LEADS, 0)
    pairs = ((half_an_hour_old, rain[LEADS:]) for _ in range(CASES))
    counts = count(pairs, (0.5, 2.0, 5.0)).rename(lead="lead_time")
    counts = counts.expand_dims(forecaster=["persistence"])
    table(counts.assign_coords(lead_time=np.arange(1.0, LEADS + 1)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--weights", default="radar", help="shipped weights or a run's folder")
    options = parser.parse_args()

    rain = storms.rain(storms.Storm(size=SIZE, seed=1), 2 * LEADS).astype("f8")
    names = (options.weights, "extrapolation", "sprog")
    seconds = {name: forecast_seconds(name, rain) for name in names}
    verification = seconds_of(lambda: verify(rain))
    print(f"verification: {verification:.1f} s for {CASES} cases of {LEADS} leads, 3 thresholds")

    if options.json:
        report = {
            "forecast_seconds": round(seconds[options.weights], 3),
            "of_sprog": round(seconds[options.weights] / seconds["sprog"], 3),
            "verification_seconds": round(verification, 1),
            "device": f"CPU, {torch.get_num_threads()} threads",
        }
        print(json.dumps(report))


if __name__ == "__main__":
    main()
