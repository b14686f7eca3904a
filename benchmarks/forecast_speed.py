"""How long a forecast and its verification take on this machine; nothing else should run meanwhile (1 minute):

    python benchmarks/forecast_speed.py [--json]

Synthetic rain, 256 × 256 px. ``forecast_seconds``: 12 leads by the shipped weights, after loading, the best of five;
``of_sprog``: the same over S-PROG's time in the same run; ``verification_seconds``: all scores but those of ensembles
of 100 cases of 12 leads and 3 thresholds (in truth they are counted, too: of one member they cost next to nothing).
"""

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
import torch

from nowcastlib.data import storms
from nowcastlib.forecasting import forecaster
from nowcastlib.verification import table
from nowcastlib.verification.counts import count

LEADS, SIZE, CASES = 12, 256, 100


def best(work: Callable, rounds: int = 5) -> float:
    """Seconds of the fastest of several calls."""
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--weights", default="radar")
    options = parser.parse_args()
    rain = storms.rain(storms.Storm(size=SIZE, seed=1), 2 * LEADS).astype("f8")
    found = {}
    for name in (options.weights, "extrapolation", "sprog"):
        run = forecaster(name)
        found[name] = best(lambda: run(rain[:LEADS], LEADS))  # noqa: B023
        print(f"{name}: {found[name]:.2f} s for {LEADS} leads of {SIZE} × {SIZE} px")
    # persistence, half an hour late: neither equal to the observation nor far from it
    pairs = ((np.repeat(rain[LEADS - 6 :][:1], LEADS, 0), rain[LEADS:]) for _ in range(CASES))
    began = time.perf_counter()
    counts = (
        count(pairs, (0.5, 2.0, 5.0))
        .rename(lead="lead_time")
        .expand_dims(forecaster=["persistence"])
    )
    table(counts.assign_coords(lead_time=np.arange(1.0, LEADS + 1)))
    seconds = time.perf_counter() - began
    print(
        f"verification: {seconds:.1f} s for {CASES} cases of {LEADS} leads and 3 thresholds, {SIZE} × {SIZE} px"
    )
    if options.json:
        print(
            json.dumps({
                "forecast_seconds": round(found[options.weights], 3),
                "of_sprog": round(found[options.weights] / found["sprog"], 3),
                "verification_seconds": round(seconds, 1),
                "device": f"CPU, {torch.get_num_threads()} threads",
            })
        )  # fmt: skip


if __name__ == "__main__":
    main()
