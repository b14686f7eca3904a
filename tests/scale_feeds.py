"""Feeds and forecasters for worker processes, which import this module."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nowcastlib.data import Feed, frame, within
from nowcastlib.data.feeds import ServerUnreachable, WrongSettings
from nowcastlib.errors import NowcastError

START = pd.Timestamp("2024-06-01T22:00")


def kill_once(flag: Path, group: bool = False) -> None:
    """Kill this process, or all processes of its group, unless ``flag`` exists: then nothing."""
    if flag.exists():
        return
    flag.touch()
    os.kill(-os.getpgid(0) if group else os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Rain(Feed):
    """Random rain every five minutes, with a day without frames after the first twenty."""

    folder: str = ""  # for notes
    n: int = 40
    broken: tuple[int, ...] = ()  # numbers of frames
    other_grid: tuple[int, ...] = ()
    empty: tuple[int, ...] = ()  # nothing is observed
    unreachable: tuple[int, ...] = ()
    wrong: int = -1  # the frame that shows wrong settings
    kill: int = -1  # the frame at which a worker dies, once
    kill_all: int = -1  # the frame at which all processes die, once
    noise: float = -0.5  # mm/h of one pixel, set to 0
    size: int = 16
    attribution: str = "a test"
    is_local: bool = True

    def list(self, start=None, end=None):
        number = np.arange(self.n)
        minutes = 5 * number + 1440 * (number >= 20)
        times = START + pd.to_timedelta(minutes, unit="min")
        table = pd.DataFrame({"time": times, "number": number})
        return table[within(table.time, start, end)].reset_index(drop=True)

    def read(self, row):
        number = row.number
        if number == self.kill:
            kill_once(Path(self.folder) / "killed")
        if number == self.kill_all:
            kill_once(Path(self.folder) / "all killed", group=True)
        if number in self.broken:
            raise NowcastError(f"frame {number} is broken")
        if number in self.unreachable:
            raise ServerUnreachable("no answer: run again later")
        if number == self.wrong:
            raise WrongSettings("other settings are needed")

        size = self.size + (number in self.other_grid)
        rate = np.random.default_rng(number).gamma(0.3, 3, (size, size)).astype("f4")
        rate[0] = np.nan
        rate[1, 1] = self.noise
        if number in self.empty:
            rate[:] = np.nan
        metres = 1000.0 * np.arange(size)
        return frame(rate, metres, -metres)


class Dying:
    """Persistence; its process dies at its first forecast."""

    def __init__(self, flag: Path):
        self.flag = flag

    def __call__(self, observed, n):
        kill_once(self.flag)
        return np.repeat(observed[-1:], n, axis=0)


class Signalling:
    """Persistence; once some cases are kept, all processes of its group get a signal, once."""

    n_in = 3

    def __init__(self, counts: Path, kept: int, number: signal.Signals):
        self.counts = counts
        self.kept = kept
        self.number = number
        self.calls = 0

    def __call__(self, observed, n):
        self.calls += 1
        flag = self.counts.with_name(f"{self.number.name} was sent")
        if len(list(self.counts.glob("*.npz"))) >= self.kept and not flag.exists():
            flag.touch()
            os.kill(-os.getpgid(0), self.number)
        return np.repeat(observed[-1:], n, axis=0)
