"""Sums of one case: the forecasts of several forecasters, compared with the same observation.

Each case can be counted by any process. Only its sums are given back.
"""

import threading
import zlib
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.data import frames_at, local_store
from nowcastlib.forecasting import Forecaster, forecasts
from nowcastlib.verification.counts import count
from nowcastlib.verification.kept_sums import KeptSums, Sums, settings_of
from nowcastlib.workers import in_order, packed, unpacked

if TYPE_CHECKING:
    from nowcastlib.verification.evaluation import EvaluationOptions

_one_at_a_time = threading.Lock()  # pysteps uses NumPy's global random numbers, and stdout


@dataclass(frozen=True)
class Counting:
    """How the cases of an evaluation are counted."""

    frames: xr.DataArray  # (time, y, x) in mm/h, with ``is_complete``
    forecasters: Mapping[str, Forecaster]
    options: "EvaluationOptions"
    pooled_km: float  # side of a pixel, or of a square of ``options.pool`` px
    step: float  # minutes between frames

    def sums(self, issued: pd.DatetimeIndex) -> list[Sums]:
        """The sums of some cases, whose forecasts a network makes at once."""
        options = self.options
        predicted = {
            name: forecasts(run, self.frames, issued, options.leads)
            for name, run in self.forecasters.items()
        }
        cases = []
        for case in zip(*predicted.values(), strict=True):
            by_name = dict(zip(predicted, case, strict=True))
            rates, truth = _fields_to_compare(by_name, self.frames, options)
            cases.append(
                {
                    name: count([(r, truth)], options.thresholds, options.scales, self.pooled_km)
                    for name, r in rates.items()
                }
            )
        return cases

    def checksum(self, issued: pd.Timestamp) -> int:
        """Checksum of all frames that a case depends on."""
        n_in = max(run.n_in for run in self.forecasters.values())
        step = pd.Timedelta(minutes=self.step)
        first, last = issued - (n_in + 1) * step, issued + (self.options.leads + 1) * step
        used = self.frames.sel(time=slice(first, last))
        checksum = 0
        for values in (used.time.values, used.is_complete.values, used.values):
            checksum = zlib.crc32(np.ascontiguousarray(values).tobytes(), checksum)
        return checksum


def counted(
    counting: Counting, batches: Sequence[pd.DatetimeIndex], client: Any = None
) -> Generator[Sums, None, None]:
    """The sums of all cases, in order.

    Parameters
    ----------
    counting : Counting
        How they are counted.
    batches : sequence of pandas.DatetimeIndex
        Times of issue of the cases that are counted at once.
    client : distributed.Client, optional
        Its workers count; without it, this process does.
    """
    if counting.options.counts is None:
        tasks: list[Task] = [(batch, None) for batch in batches]
        with closing(_results(counting, tasks, client)) as results:
            for cases in results:
                yield from (case.sums for case in cases)
        return

    with KeptSums(counting.options.counts, settings_of(counting)) as kept:
        tasks = [(batch, [kept.checksum(time) for time in batch]) for batch in batches]
        with closing(_results(counting, tasks, client)) as results:
            for batch, cases in zip(batches, results, strict=True):
                for time, case in zip(batch, cases, strict=True):
                    if case.is_kept:
                        yield kept.load(time)
                    else:
                        kept.save(time, case.checksum, case.sums)
                        yield case.sums


class Counted(NamedTuple):
    """What a task gave for one case."""

    sums: Sums  # empty if they are kept already
    checksum: int = 0  # of its frames; 0 if no sums are kept
    is_kept: bool = False


Task = tuple[pd.DatetimeIndex, list[int | None] | None]


def _results(
    counting: Counting, tasks: Sequence[Task], client: Any
) -> Generator[list[Counted], None, None]:
    """The cases of each task, in order."""
    if client is None:
        for task in tasks:
            yield _count(counting, *task)
        return
    content = packed(client, [counting], local_store(counting.frames))
    yield from in_order(client, _count_packed, ((content, *task) for task in tasks))


def _count_packed(
    content: bytes, issued: pd.DatetimeIndex, known: list[int | None] | None
) -> list[Counted]:
    """Count some cases: a worker's task."""
    (counting,) = unpacked(content)
    with _one_at_a_time:
        return _count(counting, issued, known)


def _count(
    counting: Counting, issued: pd.DatetimeIndex, known: list[int | None] | None
) -> list[Counted]:
    """The sums of some cases, unless the checksums of all their frames are known.

    Parameters
    ----------
    counting : Counting
        How they are counted.
    issued : pandas.DatetimeIndex
        Times of issue.
    known : list, optional
        Checksum of the frames of each case when its sums were kept, or None.
    """
    if known is None:
        return [Counted(sums) for sums in counting.sums(issued)]
    checksums = [counting.checksum(time) for time in issued]
    if checksums == known:
        return [Counted({}, checksum, is_kept=True) for checksum in checksums]
    cases = zip(counting.sums(issued), checksums, strict=True)
    return [Counted(sums, checksum) for sums, checksum in cases]


def _fields_to_compare(
    predicted: Mapping[str, xr.DataArray], frames: xr.DataArray, options: "EvaluationOptions"
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Forecasts by name and the observation (…, lead, y, x) in mm/h, from lead 0, as scored."""
    first = next(iter(predicted.values()))
    now = frames.sel(time=first.issued.values).values
    later = frames_at(frames, pd.DatetimeIndex(first.valid_time.values))
    truth = np.concatenate([now[None], later.values])
    truth = _scored_area(truth, options)

    rates = {}
    for name, field in predicted.items():
        lead_0 = np.broadcast_to(now, (*field.shape[:-3], 1, *now.shape))
        rates[name] = _scored_area(np.concatenate([lead_0, field.values], axis=-3), options)

    if options.common:
        without = [np.isnan(rate).reshape(-1, *truth.shape).all(0) for rate in rates.values()]
        truth = np.where(np.any(without, axis=0), np.nan, truth)
    return rates, truth


def _scored_area(rate: np.ndarray, options: "EvaluationOptions") -> np.ndarray:
    """The part (…, y, x) inside the margin; with ``pool``, the highest rates in its squares."""
    inside = slice(options.margin, -options.margin or None)
    return _highest(rate[..., inside, inside], options.pool)


def _highest(rate: np.ndarray, pool: int) -> np.ndarray:
    """The highest rates in squares of ``pool`` px, without incomplete squares at the far edges."""
    rows, columns = (n // pool for n in rate.shape[-2:])
    complete = rate[..., : rows * pool, : columns * pool]
    blocks = complete.reshape(*rate.shape[:-2], rows, pool, columns, pool)
    return np.fmax.reduce(np.fmax.reduce(blocks, axis=-1), axis=-2)
