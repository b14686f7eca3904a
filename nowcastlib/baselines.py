"""Forecasts without learning, the ones to beat. Each: observed (T, y, x) in mm/h, n → (n, y, x) in mm/h.

Rain that is carried in over the edge of the domain is not known: NaN. Not observed pixels are NaN as well.
"""

import contextlib
import io

import numpy as np

from . import _pysteps  # noqa: F401

from pysteps import motion as pysteps_motion  # isort: skip
from pysteps.extrapolation.semilagrangian import extrapolate  # isort: skip
from pysteps.nowcasts import sprog as pysteps_sprog  # isort: skip
from pysteps.utils.transformation import dB_transform  # isort: skip

DRY = 0.1  # mm/h; less is no rain to a radar


def persistence(observed: np.ndarray, n: int) -> np.ndarray:
    """The last frame, unchanged."""
    return np.repeat(observed[-1:], n, axis=0)


def motion(observed: np.ndarray) -> np.ndarray:
    """Motion of the rain by Lucas–Kanade optical flow (Bouguet 2000, through pysteps) over the last three frames.

    (T, y, x) in mm/h → (2, y, x) in px per step: to the right first, then downwards. Dry frames stand still.
    """
    if not (np.nan_to_num(observed[-3:]) > DRY).any():
        return np.zeros((2, *observed.shape[1:]))
    return pysteps_motion.get_method("LK")(_decibel(observed[-3:]))


def extrapolation(observed: np.ndarray, n: int) -> np.ndarray:
    """The last frame carried along its motion, backward semi-Lagrangian (Germann and Zawadzki 2002)."""
    return extrapolate(observed[-1], motion(observed), n, allow_nonfinite_values=True)


def sprog(observed: np.ndarray, n: int) -> np.ndarray:
    """S-PROG (Seed 2003, through pysteps): extrapolation that lets each scale fade as fast as it forgets itself."""
    velocity = motion(observed)
    carried = extrapolate(observed[-1], velocity, n, allow_nonfinite_values=True)
    if not (np.nan_to_num(observed[-3:]) > DRY).any(axis=(1, 2)).all():
        return carried  # a frame without rain has no cascade
    levels = int(np.clip(np.log2(min(observed.shape[1:])) - 2, 2, 6))
    with contextlib.redirect_stdout(io.StringIO()):  # it prints three pages about itself
        decibel = pysteps_sprog.forecast(
            _decibel(observed[-3:]), velocity, n, precip_thr=10 * np.log10(DRY), n_cascade_levels=levels
        )
    rate = dB_transform(decibel, threshold=10 * np.log10(DRY), inverse=True)[0]
    return np.where(np.isfinite(carried), np.nan_to_num(rate), np.nan)


def _decibel(rate: np.ndarray) -> np.ndarray:
    """10 log10 of the rain rate; dry and not observed: -15."""
    return dB_transform(np.nan_to_num(rate), threshold=DRY, zerovalue=-15.0)[0]


BASELINES = {f.__name__: f for f in (persistence, extrapolation, sprog)}
