"""Time and memory of a forecast and of its verification on this machine.

Run nothing else meanwhile (3 minutes):

    python benchmarks/forecast_speed.py [--json] [--write docs/results/forecast_speed.json]

The rain is synthetic, 256 × 256 px. The report holds

- ``forecast_seconds``: 12 leads by the shipped weights, without loading them, the best of five;
- ``of_sprog``: the same, divided by the time of S-PROG in the same run;
- ``processor_time_of_sprog``: that ratio of the processor times, on which other work on the machine
  has less influence;
- ``large_grids``: the same forecast on 1226 × 760 px (Finland) and 2200 × 1900 px (Europe): its
  seconds and the peak of the memory of a process that does nothing else;
- ``verification_seconds``: sums and scores of 100 cases of 12 leads and 3 thresholds.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from nowcastlib.data import storms
from nowcastlib.forecasting import forecaster
from nowcastlib.verification import count, table

LEADS = 12
SIZE = 256  # px
CASES = 100
FINLAND, EUROPE = (1226, 760), (2200, 1900)  # px


class Cost(NamedTuple):
    """Time of one call."""

    seconds: float
    processor_seconds: float  # of all threads


def cost_of(task: Callable[[], object]) -> Cost:
    """Time of one call."""
    start, processor = time.perf_counter(), time.process_time()
    task()
    return Cost(time.perf_counter() - start, time.process_time() - processor)


def forecast_costs(names: list[str], rain: np.ndarray, rounds: int = 5) -> dict[str, Cost]:
    """Smallest times of several forecasts by each forecaster; they take turns."""
    runs = {name: forecaster(name, "cpu") for name in names}
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, run in runs.items():
            costs[name].append(cost_of(lambda run=run: run(rain[:LEADS], LEADS)))

    best = {name: Cost(*map(min, zip(*of, strict=True))) for name, of in costs.items()}
    for name, cost in best.items():
        print(f"{name}: {cost.seconds:.2f} s for {LEADS} leads of {SIZE} × {SIZE} px")
    return best


def on_large_grid(name: str, height: int, width: int) -> dict:
    """Time of one forecast on a large grid, and the peak memory of this process."""
    small = storms.rain(storms.Storm(size=SIZE, seed=1), LEADS).astype("f4")
    run = forecaster(name, "cpu")
    repeats = (1, -(-height // SIZE), -(-width // SIZE))
    rain = np.tile(small[-run.n_in :], repeats)[:, :height, :width]
    rain = rain.astype("f8")  # as ``forecast`` gives it

    cost = cost_of(lambda: run(rain, LEADS))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # GB, where it is in kB
    return {
        "forecaster": name,
        "grid": [height, width],
        "seconds": round(cost.seconds, 1),
        "processor_seconds": round(cost.processor_seconds, 1),
        "peak_memory_gb": round(peak, 2),
    }


def apart(name: str, height: int, width: int) -> dict:
    """``on_large_grid`` in a process of its own."""
    command = [sys.executable, __file__, "--large", name, str(height), str(width)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    print(done.stdout.strip())
    return json.loads(done.stdout.splitlines()[-1])


def verify(rain: np.ndarray) -> None:
    """All sums and the table of scores of a forecast that neither fits nor is far off."""
    half_an_hour_old = np.repeat(rain[LEADS - 6 :][:1], LEADS, 0)
    pairs = ((half_an_hour_old, rain[LEADS:]) for _ in range(CASES))
    counts = count(pairs, (0.5, 2.0, 5.0)).rename(lead="lead_time")
    counts = counts.expand_dims(forecaster=["persistence"])
    table(counts.assign_coords(lead_time=np.arange(1.0, LEADS + 1)))


def full_report(weights: str) -> dict:
    """All measurements."""
    rain = storms.rain(storms.Storm(size=SIZE, seed=1), 2 * LEADS).astype("f8")
    costs = forecast_costs([weights, "extrapolation", "sprog"], rain)
    large = [apart(weights, *FINLAND), apart("sprog", *FINLAND), apart(weights, *EUROPE)]
    verification = cost_of(lambda: verify(rain)).seconds
    print(f"verification: {verification:.1f} s for {CASES} cases of {LEADS} leads, 3 thresholds")

    ours, sprog = costs[weights], costs["sprog"]
    return {
        "forecast_seconds": round(ours.seconds, 3),
        "of_sprog": round(ours.seconds / sprog.seconds, 3),
        "processor_time_of_sprog": round(ours.processor_seconds / sprog.processor_seconds, 3),
        "large_grids": large,
        "verification_seconds": round(verification, 1),
        "device": f"CPU, {torch.get_num_threads()} threads",
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--write", type=Path, metavar="JSON", help="write the report to a file")
    parser.add_argument("--weights", default="radar", help="shipped weights or a run's folder")
    parser.add_argument(
        "--large", nargs=3, metavar=("NAME", "HEIGHT", "WIDTH"), help="one forecast on this grid"
    )
    options = parser.parse_args()

    if options.large:
        name, height, width = options.large
        print(json.dumps(on_large_grid(name, int(height), int(width))))
        return
    report = full_report(options.weights)
    if options.json:
        print(json.dumps(report))
    if options.write:
        options.write.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
