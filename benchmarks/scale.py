"""Ingest, table and evaluation of a long archive by one process and by several.

Radar pictures become a store, the store a table of frames, and a network and S-PROG are scored on
it; by this process, and by one and two processes of dask.distributed. Ingest and table are repeated
for 250, 500, 1,000 and 2,000 frames: their cost per frame and the memory of a process should not
depend on the number of frames. From the costs a year on 64 processes is projected.

    OMP_NUM_THREADS=1 python benchmarks/scale.py [--frames 2000] [--cases 64] [--json]

Nothing else should run meanwhile. One process counts on several cores: the evaluation is measured
on one core, too, and its processor time says how many cores it kept busy. Two processes cannot be
faster than its processor time, divided by the cores. With --json the last line is one JSON object.
"""

import argparse
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nowcastlib.data import Feed, IngestOptions, frame, frames_table, ingest, open_frames, storms
from nowcastlib.data.feeds import palettes
from nowcastlib.forecasting import forecaster
from nowcastlib.verification import EvaluationOptions, evaluate, issue_times
from nowcastlib.workers import connected

SIZE = 256  # px of a picture
PICTURES = 72  # that differ: six hours of rain, repeated
LEADS = 12
YEAR = 365 * 288  # frames, one every five minutes
MANY = 64  # processes of the projection
PROCESSES = (0, 1, 2)  # 0: this process alone
CORES = len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Pictures(Feed):
    """The first ``n`` of endless rain: the pictures of a folder, repeated."""

    path: str
    n: int
    attribution: str = "benchmark"
    is_local: bool = True

    def list(self, start=None, end=None):
        paths = sorted(Path(self.path).glob("*.png"))
        minutes = pd.to_timedelta(5 * np.arange(self.n), unit="min")
        chosen = [paths[k % len(paths)] for k in range(self.n)]
        return pd.DataFrame({"time": pd.Timestamp("2024-06-01") + minutes, "path": chosen})

    def read(self, row):
        metres = 1000.0 * np.arange(SIZE)
        return frame(palettes.decode(row.path.read_bytes(), name=str(row.path)), metres, -metres)


def make_pictures(folder: Path) -> None:
    """Draw rain as pictures of 256×256 px."""
    folder.mkdir()
    for k, rate in enumerate(storms.rain(storms.Storm(size=SIZE), PICTURES)):
        (folder / f"{k:03d}.png").write_bytes(palettes.draw(rate))


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def memory() -> float:
    """Largest memory of this process, MB."""
    status = Path("/proc/self/status").read_text()
    return round(int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024)


def memory_of_workers(client: Any) -> float:
    """Largest memory of a worker, MB; NaN if there is none."""
    return max(client.run(memory).values()) if client else float("nan")


def ready_to_ingest() -> None:
    """Import what the tasks of ingest and table need: a start is not compared."""
    import nowcastlib.data.ingest_tasks
    import nowcastlib.data.slabs  # noqa: F401


def ready_to_evaluate() -> None:
    """Import what the tasks of an evaluation need."""
    forecaster("radar", "cpu")
    forecaster("sprog")


def measure_frames(root: Path, frames: int, processes: int) -> dict[str, float]:
    """Seconds of ingest and table, and memory of a process (MB)."""
    out = root / f"{frames}-{processes}.zarr"
    with connected(processes) as client:
        if client:
            client.run(ready_to_ingest)
        feed = Pictures(str(root / "pictures"), frames)
        options = IngestOptions(progress=False, client=client)
        ingesting = seconds(lambda: ingest(feed, out, options=options))
        opened = open_frames(out)
        measuring = seconds(lambda: frames_table(opened, client=client))
        used = memory_of_workers(client)
    return {
        "frames": frames,
        "processes": processes,
        "ingest_seconds": round(ingesting, 2),
        "table_seconds": round(measuring, 2),
        "worker_megabytes": used,
    }


@contextmanager
def on_cores(n: int) -> Iterator[None]:
    """Let the threads that start meanwhile, and this one, use ``n`` cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:n])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def processor_seconds(client: Any) -> tuple[float, list[float]]:
    """Processor seconds of this process and of each worker until now."""
    of_workers = client.run(time.process_time) if client else {}
    return time.process_time(), [of_workers[key] for key in sorted(of_workers)]


def measure_cases(store: Path, cases: int, processes: int, cores: int) -> dict[str, Any]:
    """Seconds of an evaluation of a network and S-PROG, and memory of a process (MB)."""
    frames = open_frames(store)
    runs = {name: forecaster(name, "cpu") for name in ("radar", "sprog")}
    every = max(1, len(issue_times(frames, 6, LEADS)) // cases)
    options = EvaluationOptions(leads=LEADS, size=128, every=every)
    begin = time.perf_counter()
    with on_cores(cores), connected(processes) as client:
        if client:
            client.run(ready_to_evaluate)
        start = time.perf_counter()
        before, before_in_workers = processor_seconds(client)
        counts = evaluate(frames, runs, options, progress=False, client=client)
        spent = time.perf_counter() - start
        after, after_in_workers = processor_seconds(client)
        used = memory_of_workers(client)
    in_workers = [b - a for a, b in zip(before_in_workers, after_in_workers, strict=True)]
    return {
        "cases": counts.sizes["case"],
        "processes": processes,
        "cores": cores,
        "start_seconds": round(start - begin, 2),
        "evaluate_seconds": round(spent, 2),
        "processor_seconds": round(after - before, 2),
        "worker_processor_seconds": [round(seconds, 2) for seconds in in_workers],
        "worker_megabytes": used,
    }


def compare(of_cases: list[dict]) -> dict[str, float]:
    """How much faster two processes are than one, and how much faster they could be."""
    one_core, alone, one, two = of_cases
    seconds = "evaluate_seconds"
    return {
        "cores": CORES,
        "cores_kept_busy_by_one_process": round(alone["processor_seconds"] / alone[seconds], 2),
        # if the same processor time were spread over all cores, at no cost
        "largest_possible_speed_up": round(CORES * alone[seconds] / alone["processor_seconds"], 2),
        "speed_up": round(alone[seconds] / two[seconds], 2),
        "speed_up_over_one_core": round(one_core[seconds] / two[seconds], 2),
        "speed_up_over_one_process_of_dask": round(one[seconds] / two[seconds], 2),
    }


def projection(of_frames: list[dict], of_cases: list[dict]) -> str:
    """Minutes of a year on many processes, if they scaled as one does."""
    last = of_frames[-1]
    per_frame = (last["ingest_seconds"] + last["table_seconds"]) / last["frames"]
    per_case = of_cases[-1]["evaluate_seconds"] / of_cases[-1]["cases"]
    n = last["processes"]
    minutes = n * (per_frame * YEAR + per_case * YEAR / 12) / MANY / 60
    return (
        f"projection, not measured: {YEAR:,} frames and an hourly evaluation on {MANY} processes: "
        f"{minutes:.1f} minutes, if these scale and a disk serves them as it serves {n}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--cases", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    numbers = [options.frames // part for part in (8, 4, 2, 1)]

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_pictures(root / "pictures")
        ready_to_evaluate()
        measure_frames(root, 32, 0)  # imports and first calls are not compared
        of_frames = [measure_frames(root, options.frames, n) for n in PROCESSES[:2]]
        of_frames += [measure_frames(root, n, PROCESSES[-1]) for n in numbers]
        table = pd.DataFrame(of_frames)
        table["ms_per_frame"] = (
            1000 * (table.ingest_seconds + table.table_seconds) / table.frames
        ).round(2)
        print(table.to_string(index=False))

        store = root / f"{options.frames}-0.zarr"
        of_cases = [measure_cases(store, options.cases, 0, cores=1)]
        of_cases += [measure_cases(store, options.cases, n, CORES) for n in PROCESSES]
        print(pd.DataFrame(of_cases).to_string(index=False))
    speed = compare(of_cases)
    for name, value in speed.items():
        print(f"{name.replace('_', ' ')}: {value:g}")
    print(projection(of_frames, of_cases))
    if options.json:
        result = {"frames": table.to_dict("records"), "cases": of_cases, "speed": speed}
        print(json.dumps(result).replace("NaN", "null"))


if __name__ == "__main__":
    main()
