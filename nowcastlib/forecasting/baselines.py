"""Forecasts without learning, the ones to beat. Each: observed (T, y, x) in mm/h, n → (n, y, x) in mm/h.

An ensemble answers (member, n, y, x). Rain that is carried in over the edge of the domain is not known: NaN. Not
observed pixels are NaN as well.
"""

import contextlib
import io
from collections.abc import Callable

import numpy as np

from nowcastlib import _pysteps  # noqa: F401
from nowcastlib.units import DRY

from pysteps import motion as pysteps_motion  # isort: skip
from pysteps.extrapolation.semilagrangian import extrapolate  # isort: skip
from pysteps.nowcasts import anvil as pysteps_anvil  # isort: skip
from pysteps.nowcasts import sprog as pysteps_sprog  # isort: skip
from pysteps.nowcasts import steps as pysteps_steps  # isort: skip
from pysteps.utils.transformation import dB_transform  # isort: skip

THRESHOLD = 10 * np.log10(DRY)  # the same in decibel
NARROW = 16  # px; in less there is no motion to be seen


def persistence(observed: np.ndarray, n: int) -> np.ndarray:
    """The last frame, unchanged."""
    return np.repeat(observed[-1:], n, axis=0)


def motion(observed: np.ndarray, method: str = "LK") -> np.ndarray:
    """Motion of the rain by optical flow, through pysteps, over the last three frames (the last two: "proesmans").

    (T, y, x) in mm/h → (2, y, x) in px per step: to the right first, then downwards. Dry frames, and those narrower
    than 16 px, stand still. ``method`` "LK" follows corners and smooths between them (Lucas and Kanade 1981, Bouguet
    2000); "proesmans" asks for a smooth field whose way back agrees with the way there (Proesmans et al. 1994).
    """
    recent, side = observed[-3:] if method == "LK" else observed[-2:], min(observed.shape[1:])
    if side < NARROW or not (np.nan_to_num(recent) > DRY).any():
        return np.zeros((2, *observed.shape[1:]))
    # halved more often than to 2 px, Proesmans' images would be read beyond their edges
    options = {"num_levels": min(6, int(np.log2(side)))} if method == "proesmans" else {}
    return pysteps_motion.get_method(method)(_decibel(recent), **options)


def extrapolation(observed: np.ndarray, n: int, method: str = "LK") -> np.ndarray:
    """The last frame carried along its motion, backward semi-Lagrangian (Germann and Zawadzki 2002)."""
    if not np.isfinite(observed[-1]).any():
        return persistence(observed, n)
    return extrapolate(observed[-1], motion(observed, method), n, allow_nonfinite_values=True)


def proesmans(observed: np.ndarray, n: int) -> np.ndarray:
    """``extrapolation`` along another motion field, that of Proesmans et al. (1994)."""
    return extrapolation(observed, n, "proesmans")


def sprog(observed: np.ndarray, n: int) -> np.ndarray:
    """S-PROG (Seed 2003, through pysteps): extrapolation that lets each scale fade as fast as it forgets itself."""

    def run(velocity, levels):
        options = {"precip_thr": THRESHOLD, "n_cascade_levels": levels}
        return np.nan_to_num(
            _rate(pysteps_sprog.forecast(_decibel(observed[-3:]), velocity, n, **options))
        )

    return _along(observed, n, 3, run)


def anvil(observed: np.ndarray, n: int) -> np.ndarray:
    """ANVIL (Pulkkinen et al. 2020, through pysteps) of rain rate: extrapolation, with growth and decay by place."""

    def run(velocity, levels):
        rate = pysteps_anvil.forecast(
            np.nan_to_num(observed[-4:]), velocity, n, n_cascade_levels=levels
        )
        return np.where(
            np.isfinite(rate), rate, extrapolation(observed, n)
        )  # of what older frames did not see

    return _along(observed, n, 4, run)


def steps(observed: np.ndarray, n: int, members: int = 10) -> np.ndarray:
    """STEPS (Bowler et al. 2006, through pysteps): an ensemble (member, n, y, x) of equally likely forecasts.

    What S-PROG lets fade is replaced by noise that looks like rain, and the motion is disturbed. pysteps knows how
    much for pixels of 1 km and steps of 5 minutes; for these they are taken. A pixel near the edge may be known to
    some members only.
    """

    def run(velocity, levels):
        before = np.random.get_state()  # noqa: NPY002 (pysteps seeds what others may be using)
        rain = pysteps_steps.forecast(
            _decibel(observed[-3:]), velocity, n, n_ens_members=members, n_cascade_levels=levels, precip_thr=THRESHOLD,
            kmperpixel=1.0, timestep=5, seed=0,
        )  # fmt: skip
        np.random.set_state(before)  # noqa: NPY002
        return _rate(rain)

    return np.broadcast_to(
        _along(observed, n, 3, run, outside=0.0), (members, n, *observed.shape[1:])
    )


anvil.n_in = 4  # frames; of the others 3 are enough


def _along(
    observed: np.ndarray,
    n: int,
    frames: int,
    run: Callable[[np.ndarray, int], np.ndarray],
    outside: float = np.nan,
) -> np.ndarray:
    """What ``run(motion, levels of the cascade)`` forecasts where extrapolation knows something.

    ``outside`` is what extrapolation takes for the rain beyond the edge. Frames that are dry (but for a pixel), narrow
    or the same again have no cascade that could fade: they are extrapolated.
    """
    recent = np.nan_to_num(observed[-frames:])
    rainy, same = (
        (recent > DRY).sum(axis=(1, 2)).min() > 1,
        (recent[1:] == recent[:-1]).all(axis=(1, 2)).any(),
    )
    if not rainy or same or min(observed.shape[1:]) < NARROW:
        return extrapolation(observed, n)
    velocity = motion(observed)
    carried = extrapolate(observed[-1], velocity, n, outval=outside, allow_nonfinite_values=True)
    with contextlib.redirect_stdout(io.StringIO()):  # they print three pages about themselves
        rate = run(velocity, int(np.clip(np.log2(min(observed.shape[1:])) - 2, 3, 6)))
    return np.where(np.isfinite(carried), rate, np.nan)


def _decibel(rate: np.ndarray) -> np.ndarray:
    """10 log10 of the rain rate; dry and not observed: -15."""
    return dB_transform(np.nan_to_num(rate).astype("f8"), threshold=DRY, zerovalue=-15.0)[0]


def _rate(decibel: np.ndarray) -> np.ndarray:
    return dB_transform(decibel, threshold=THRESHOLD, inverse=True)[0]


BASELINES = {f.__name__: f for f in (persistence, extrapolation, proesmans, sprog, anvil, steps)}
