"""Trials of stores and runs beside a hostile world: readers, kills, second writers, full disks.

Each trial is a function ``(folder, number, rng) -> Counter``: it repeats itself ``number`` times in
an empty folder and counts what happened. What must not happen is counted under a name that begins
with ``WRONG``. Children are forked, so that each trial takes a fraction of a second.
"""

import os
import resource
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
import pandas as pd
import xarray as xr
from child_processes import REFUSED, exit_code, fork, kill

from nowcastlib.data import Feed, IngestOptions, ingest, open_frames, store_layout
from nowcastlib.data.grid import frame
from nowcastlib.errors import NowcastError

WRONG = "WRONG: "
QUIET = IngestOptions(progress=False)
START = pd.Timestamp("1970-01-01")  # its time is 0
SIZE = 16  # px
# four tiles a frame, four frames a chunk
small_chunks = patch.multiple(store_layout, TILE=8, CHUNK=4 * 4 * 64)


@dataclass(frozen=True)
class Rain(Feed):
    """Frames whose pixels all have one rate, which follows from the time: half frames show."""

    attribution = licence = "a test"
    numbers: tuple[int, ...] = ()
    more: float = 0.0  # mm/h
    pause: float = 0.0  # seconds for which reading a frame takes
    concurrency: int = 1

    def list(self, start=None, end=None) -> pd.DataFrame:
        times = START + pd.to_timedelta(5 * np.array(self.numbers), unit="min")
        return pd.DataFrame({"time": times, "number": self.numbers})

    def read(self, row) -> xr.DataArray:
        time.sleep(self.pause)
        rate = np.full((SIZE, SIZE), row.number + 1.0 + self.more)
        return frame(rate, 1000.0 * np.arange(SIZE), -1000.0 * np.arange(SIZE), "")


def faults(frames: xr.DataArray, numbers: tuple[int, ...] = ()) -> str:
    """What is wrong with frames of ``Rain``, "" if nothing: values, times, lost frames."""
    minutes = (frames.time.values - np.datetime64(START, "ns")) / np.timedelta64(1, "m")
    if not (frames.values == (minutes / 5 + 1)[:, None, None]).all():
        return "values"
    if len(set(minutes)) != len(minutes):
        return "a time twice"
    lost = {5.0 * number for number in numbers} - set(minutes)
    return "frames lost" if lost else ""


def check(count: Counter, path: Path, numbers: tuple[int, ...] = ()) -> None:
    """Count what is wrong with a store for both kinds of readers."""
    for name, read in (("open_frames", open_frames), ("xarray", plain)):
        try:
            frames = read(path)
            fault = faults(frames, numbers)
            if read is open_frames and not frames.indexes["time"].is_monotonic_increasing:
                fault = "not in order"
        except (NowcastError, OSError, ValueError, KeyError) as error:
            fault = type(error).__name__
        if fault:
            count[f"{WRONG}{name}: {fault}"] += 1


def plain(path: Path) -> xr.DataArray:
    return xr.open_zarr(path).rainfall_rate


def work_quietly(work: Callable[[], object]) -> int:
    """Start a child that prints nothing."""

    def in_silence():
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        work()

    return fork(in_silence)


@small_chunks
def reading_while_writing(folder: Path, number: int, rng: np.random.Generator) -> Counter:
    """Readers open a store again and again while it grows at both ends, and keep what they opened.

    Every second time a reader opens the store, it reads the frames only when the writer has ended.
    """
    count, numbers = Counter(), tuple(range(24))
    for trial in range(number):
        out, views = folder / f"{trial}.zarr", []
        ingest(Rain(numbers[8:12]), out, options=QUIET)
        child = work_quietly(lambda out=out: ingest(Rain(numbers, 0, 0.002), out, options=QUIET))
        while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            check(count, out, numbers[8:12])
            count["reads beside the writer"] += 2
            views += [open_frames(out), plain(out)]
        if exit_code(child):
            count[f"{WRONG}the writer failed"] += 1

        for view in views:
            count[f"{WRONG}an older view changed"] += bool(faults(view, numbers[8:12]))
            count["views that were read later"] += 1
        check(count, out, numbers)
        shutil.rmtree(out)
    return +count


@small_chunks
def kills_of_ingest(folder: Path, number: int, rng: np.random.Generator) -> Counter:
    """A new ingest is killed at any moment, then run again."""
    return _kills(folder, number, rng, stored=())


@small_chunks
def kills_of_extension(folder: Path, number: int, rng: np.random.Generator) -> Counter:
    """An ingest that adds newer and older frames to a store is killed, then run again."""
    return _kills(folder, number, rng, stored=tuple(range(6, 12)))


def _kills(folder: Path, number: int, rng: np.random.Generator, stored: tuple[int, ...]) -> Counter:
    count, numbers, out = Counter(), tuple(range(20)), folder / "a.zarr"
    began = time.monotonic()
    ingest(Rain(numbers, pause=0.001), folder / "first.zarr", options=QUIET)
    duration = time.monotonic() - began
    shutil.rmtree(folder / "first.zarr")

    for _ in range(number):
        if stored:
            ingest(Rain(stored), out, options=QUIET)
        child = work_quietly(lambda: ingest(Rain(numbers, pause=0.001), out, options=QUIET))
        time.sleep(rng.uniform(0, 1.1 * duration))
        count["killed" if kill(child) == -signal.SIGKILL else "ended before the kill"] += 1

        if out.exists():
            check(count, out, stored)
            count["frames after the kill"] += open_frames(out).sizes["time"]
        elif stored:
            count[f"{WRONG}the store has lost its name"] += 1
        _rerun(count, folder, out, numbers)
    return +count


def _rerun(count: Counter, folder: Path, out: Path, numbers: tuple[int, ...]) -> None:
    """Run the ingest again: all frames must be there, and nothing else; then remove the store."""
    ingest(Rain(numbers), out, options=QUIET)
    check(count, out, numbers)
    beside = [path.name for path in folder.iterdir() if path != out]
    if beside:
        count[f"{WRONG}left over: {beside}"] += 1
    shutil.rmtree(out)


@small_chunks
def pairs_of_writers(folder: Path, number: int, rng: np.random.Generator) -> Counter:
    """Two ingests of different rain begin together: all frames must be of one of them.

    Every second time the store is there before.
    """
    count, numbers, out = Counter(), tuple(range(12)), folder / "a.zarr"
    for trial in range(number):
        if trial % 2:  # a store that is there already, of 1000 mm/h
            ingest(Rain((12,), 987.0), out, options=QUIET)
        children = [
            work_quietly(lambda more=more: ingest(Rain(numbers, more, 0.002), out, options=QUIET))
            for more in (0.0, 500.0)
        ]
        codes = sorted(exit_code(child) for child in children)
        count[
            {(0, 0): "one after the other", (0, REFUSED): "second refused"}.get(
                tuple(codes), f"{WRONG}exit codes {codes}"
            )
        ] += 1

        rates = np.unique(plain(out).values[trial % 2 :])
        if rates.tolist() not in ([n + 1.0 for n in numbers], [n + 501.0 for n in numbers]):
            count[f"{WRONG}mixed or lost frames"] += 1
        if len([*folder.iterdir()]) > 1:
            count[f"{WRONG}left over"] += 1
        shutil.rmtree(out)
    return +count


@small_chunks
def full_disks(folder: Path, number: int, rng: np.random.Generator) -> Counter:
    """From some moment on nothing can be written: a new store or an extension, then run again."""
    count, numbers, out = Counter(), tuple(range(20)), folder / "a.zarr"
    for trial in range(number):
        stored = numbers[6:12] if trial % 2 else ()
        if stored:
            ingest(Rain(stored), out, options=QUIET)
        after = int(rng.integers(0, 60))

        def on_a_full_disk(after=after):
            fill_disk(after)
            ingest(Rain(numbers), out, options=QUIET)

        code = exit_code(work_quietly(on_a_full_disk))
        count[
            {0: "ended before the disk was full", REFUSED: "one line"}.get(
                code, f"{WRONG}exit code {code}"
            )
        ] += 1
        if out.exists():
            check(count, out, stored)
        elif stored:
            count[f"{WRONG}the store has lost its name"] += 1
        _rerun(count, folder, out, numbers)
    return +count


def fill_disk(after: int) -> None:
    """Let files be made, moved and written ``after`` times in this process, and then no more.

    At the end no file may be longer than 0 bytes either, however it is written.
    """
    calls = Counter()

    def counted(function):
        def wrapped(*arguments, **options):
            calls["all"] += 1
            if calls["all"] > after:
                resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
                raise OSError(28, "No space left on device")
            return function(*arguments, **options)

        return wrapped

    for name in ("replace", "rename", "mkdir"):
        setattr(os, name, counted(getattr(os, name)))


def kills_of_training(folder: Path, number: int, rng: np.random.Generator) -> Counter:
    """A training is killed at any moment and resumed, until it ends as one that nobody killed."""
    from small_networks import CONFIG, train

    count, config, out = Counter(), CONFIG.changed(epochs=6), folder / "run"
    began = time.monotonic()
    train(folder / "whole", config)
    duration = time.monotonic() - began
    weights = (folder / "whole" / "model.safetensors").read_bytes()

    while count["killed"] < number:
        resume = (out / "last.pt").exists()
        child = work_quietly(lambda resume=resume: train(out, config, resume=resume))
        time.sleep(rng.uniform(0, 0.7 * duration))
        code = kill(child)
        if code == -signal.SIGKILL:
            count["killed"] += 1
            continue
        count["ended" if code == 0 else f"{WRONG}exit code {code}"] += 1
        _check_run(count, out, weights)
    train(out, config, resume=(out / "last.pt").exists())
    _check_run(count, out, weights)
    return +count


def _check_run(count: Counter, out: Path, weights: bytes) -> None:
    """The run must have the weights of the one that nobody killed; then it is removed."""
    if (out / "model.safetensors").read_bytes() != weights:
        count[f"{WRONG}other weights"] += 1
    if left := sorted(path.name for path in out.iterdir() if path.name.startswith(".")):
        count[f"{WRONG}left over: {left}"] += 1
    shutil.rmtree(out)


TRIALS = {  # with how often they are repeated in a long attack
    reading_while_writing: 100,
    kills_of_ingest: 100,
    kills_of_extension: 50,
    kills_of_training: 50,
    pairs_of_writers: 30,
    full_disks: 20,
}


def attack(times: float = 1.0) -> int:
    """Run all trials as often as ``TRIALS`` says, ``times`` over: how often anything was wrong.

    Prints a table with a line for each count of each trial.
    """
    wrong = 0
    print(f"{'trial':24}{'times':>7}  {'number':>8} of what", flush=True)
    for trial, number in TRIALS.items():
        repetitions = max(1, round(times * number))
        with TemporaryDirectory() as folder:
            count = trial(Path(folder), repetitions, np.random.default_rng())
        for name, n in count.items():
            print(f"{trial.__name__:24}{repetitions:7,}  {n:8,} {name}", flush=True)
        wrong += sum(n for name, n in count.items() if name.startswith(WRONG))
    print(f"{'all':24}{'':7}  {wrong:8,} wrong\n", flush=True)
    return wrong
