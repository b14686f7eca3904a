"""Mutated inputs for all decoders, in child processes with limits of memory and time."""

import ctypes
import logging
import multiprocessing
import os
import random
import resource
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hostile.decoders import Decoder, all_decoders
from nowcastlib.errors import NowcastError

OUTCOMES = ("equal", "other", "refused", "wrong", "traceback", "crash", "hang")
BAD = OUTCOMES[3:]  # what must never happen
HANG = 10.0  # seconds for one input
MEMORY = 3 << 30  # bytes that a child may take for itself
KEPT = 5  # inputs that are kept of each kind and bad outcome


@dataclass
class Report:
    """Counts of a run, and the inputs with a bad outcome."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def inputs(self) -> int:
        return sum(sum(row.values()) for row in self.counts.values())

    def line(self, kind: str) -> str:
        """The counts of one kind of input as text."""
        return f"{kind:18}" + "".join(f"{self.counts[kind][name]:11,}" for name in OUTCOMES)

    def table(self) -> str:
        """The counts as text: a line for each kind of input."""
        lines = [f"{'input':18}" + "".join(f"{name:>11}" for name in OUTCOMES)]
        lines += [self.line(kind) for kind in self.counts]
        total = {name: sum(row[name] for row in self.counts.values()) for name in OUTCOMES}
        lines.append(f"{'all':18}" + "".join(f"{total[name]:11,}" for name in OUTCOMES))
        return "\n".join([*lines, f"{self.inputs:,} inputs in {self.seconds:.0f} s", *self.bad])


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return bool(a == b)


def outcome(decoder: Decoder, expected: Any, content: bytes) -> tuple[str, str]:
    """What a decoder makes of an input, and the error that nobody has foreseen."""
    try:
        result = decoder.decode(content)
    except NowcastError:
        return "refused", ""
    except MemoryError:
        return "refused", ""
    except Exception as error:
        return "traceback", f"{type(error).__name__}: {str(error)[:120]}"
    if same(expected, result):
        return "equal", ""
    return ("wrong", "") if decoder.has_checksum else ("other", "")


def mutated(kind: str, seed: int, decoder: Decoder) -> bytes:
    """The input of a number; always the same."""
    return decoder.mutate(decoder.content, random.Random(f"{kind} {seed}"))


class _Shared:
    """What a child tells its parent: counts by outcome, and the input in work."""

    def __init__(self, context: Any) -> None:
        self.counts = context.Array(ctypes.c_long, len(OUTCOMES), lock=False)
        self.seed = context.Value(ctypes.c_long, 0, lock=False)
        self.begun = context.Value(ctypes.c_double, 0, lock=False)
        self.errors = context.SimpleQueue()


def _work(kind: str, decoder: Decoder, numbers: range, until: float, shared: _Shared) -> None:
    """Decode the inputs of these numbers, until the time is over."""
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + MEMORY, in_use + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries in C complain about broken files
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    logging.raiseExceptions = False

    expected = decoder.decode(decoder.content)
    for seed in numbers:
        if time.time() > until:
            return
        shared.seed.value, shared.begun.value = seed, time.time()
        result, error = outcome(decoder, expected, mutated(kind, seed, decoder))
        shared.counts[OUTCOMES.index(result)] += 1
        if result in BAD:
            shared.errors.put(f"{result}: {kind}, input {seed} {error}")
    shared.seed.value = numbers.stop


def _fast_folder() -> str | None:
    return "/dev/shm" if os.path.isdir("/dev/shm") else None


def _attack(kind: str, decoder: Decoder, numbers: range, until: float) -> Iterator[tuple[str, str]]:
    """Outcomes of one kind, from as many children as crash or hang."""
    context = multiprocessing.get_context("fork")
    while numbers and time.time() < until:
        shared = _Shared(context)
        shared.seed.value, shared.begun.value = numbers.start, time.time() + 60  # to start
        child = context.Process(target=_work, args=(kind, decoder, numbers, until, shared))
        child.start()
        is_hanging = False
        while child.is_alive() and not is_hanging:
            child.join(0.2)
            is_hanging = time.time() - shared.begun.value > HANG and child.is_alive()
        if is_hanging and child.pid:
            os.kill(child.pid, signal.SIGKILL)
            child.join()

        for result, count in zip(OUTCOMES, shared.counts, strict=True):
            for _ in range(count):
                yield result, ""
        while not shared.errors.empty():
            yield "", shared.errors.get()
        seed = shared.seed.value
        if is_hanging or child.exitcode:
            result = "hang" if is_hanging else "crash"
            yield result, f"{result}: {kind}, input {seed} (exit code {child.exitcode})"
            numbers = range(seed + 1, numbers.stop)
        else:
            return


def run(
    numbers: range,
    seconds: float,
    only: Sequence[str] = (),
    show: Callable[[str], Any] = lambda line: None,
) -> Report:
    """Attack decoders.

    Parameters
    ----------
    numbers
        The inputs of each kind.
    seconds
        How long altogether; each kind has the same share of what is left.
    only
        Names of the kinds; all if there are none.
    show
        It is called with the counts of each kind as soon as they are known.
    """
    report, begun = Report(), time.time()
    with tempfile.TemporaryDirectory(dir=_fast_folder()) as folder:
        decoders = all_decoders(Path(folder))
        names = list(only) or list(decoders)
        for k, kind in enumerate(names):
            left = seconds - (time.time() - begun)
            until = time.time() + left / (len(names) - k)
            row = report.counts.setdefault(kind, dict.fromkeys(OUTCOMES, 0))
            for result, error in _attack(kind, decoders[kind], numbers, until):
                if result:
                    row[result] += 1
                if error and sum(kind in line for line in report.bad) < KEPT:
                    report.bad.append(error)
            show(report.line(kind))
    report.seconds = time.time() - begun
    return report
