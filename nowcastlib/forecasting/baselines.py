"""Forecasts without learning: the ones that a network has to beat.

Each baseline takes the observed rain rate (T, y, x) in mm/h and the number ``n`` of steps to
forecast. It returns the rain rate (n, y, x) in mm/h; an ensemble returns (member, n, y, x).

NaN marks pixels without a forecast: the last frame does not show them or where their rain is from.
For motion and scales, pixels that are lost in some frames are filled: see ``fill_lost``.
"""

import contextlib
import inspect
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nowcastlib._pysteps import in_this_process
from nowcastlib.forecasting.lost_pixels import fill_lost
from nowcastlib.units import DRY, exceeds

from pysteps import motion as pysteps_motion  # isort: skip
from pysteps.extrapolation.semilagrangian import extrapolate  # isort: skip
from pysteps.nowcasts import anvil as pysteps_anvil  # isort: skip
from pysteps.nowcasts import sprog as pysteps_sprog  # isort: skip
from pysteps.nowcasts import steps as pysteps_steps  # isort: skip
from pysteps.utils.transformation import dB_transform  # isort: skip

DRY_DECIBEL = 10 * np.log10(DRY)  # DRY (mm/h) in decibels
MIN_SIDE = 16  # px; narrower frames show no motion


@dataclass(frozen=True)
class Baseline:
    """Forecaster without learning: a function and the number of frames that it needs.

    Parameters
    ----------
    function : Callable[[np.ndarray, int], np.ndarray]
        Takes the observed rain rate (T, y, x) in mm/h and the number of steps to forecast.
        Returns the rain rate (n, y, x) or (member, n, y, x) in mm/h.
    n_in : int
        Number of frames that the function needs, the last one included.

    Examples
    --------
    >>> dry = Baseline(lambda observed, n: np.zeros((n, *observed.shape[1:])), n_in=1)
    >>> dry(np.full((1, 20, 30), 4.0), 12).shape
    (12, 20, 30)
    """

    function: Callable[[np.ndarray, int], np.ndarray]
    n_in: int = 3

    def __call__(self, observed: np.ndarray, n: int) -> np.ndarray:
        """Rain rate (n, y, x) in mm/h of the ``n`` steps after ``observed`` (T, y, x)."""
        with in_this_process():
            return self.function(observed, n)

    @property
    def description(self) -> str:
        """One sentence for readers of a forecast: the first line of the function's docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]


def persistence(observed: np.ndarray, n: int) -> np.ndarray:
    """Persistence: the last frame stays as it is."""
    return np.repeat(observed[-1:], n, axis=0)


def motion(observed: np.ndarray, method: str = "LK") -> np.ndarray:
    """Motion of the rain by optical flow, computed by pysteps.

    Parameters
    ----------
    observed : np.ndarray
        Rain rate (T, y, x) in mm/h. "LK" uses the last three frames, "proesmans" the last two.
    method : str
        "LK" tracks corners and interpolates between them (Lucas and Kanade 1981, Bouguet 2000).
        "proesmans" finds a smooth field that agrees forwards and backwards in time (Proesmans et
        al. 1994).

    Returns
    -------
    np.ndarray
        Motion (2, y, x) in px per step: first to the right, then downwards. It is zero where
        nothing can be tracked: in dry frames and in frames with a side below 16 px.

    References
    ----------
    Lucas, B. D., and T. Kanade (1981): An iterative image registration technique with an
    application to stereo vision. IJCAI, 674-679.

    Bouguet, J.-Y. (2000): Pyramidal implementation of the Lucas Kanade feature tracker.
    Intel Corporation.

    Proesmans, M., L. Van Gool, E. Pauwels, and A. Oosterlinck (1994): Determination of
    optical flow and its discontinuities using non-linear diffusion. ECCV, 295-304.
    """
    recent = fill_lost(observed)[-3 if method == "LK" else -2 :]
    side = min(observed.shape[1:])
    if side < MIN_SIDE or not exceeds(recent, DRY).any():
        return np.zeros((2, *observed.shape[1:]))

    options = {}
    if method == "proesmans":
        # pysteps halves the image this often; a side below 2 px would be read beyond its edge
        options["num_levels"] = min(6, int(np.log2(side)))
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        # Two or three tracked corners are too few for pysteps' search for outliers: it keeps them
        # all, as it should, but warns of the arithmetic of its search
        for message in ("Singular matrix during outlier", "Degrees of freedom"):
            warnings.filterwarnings("ignore", message)
        return pysteps_motion.get_method(method)(_to_decibel(recent), **options)


def extrapolation(observed: np.ndarray, n: int, method: str = "LK") -> np.ndarray:
    """Extrapolation: the last frame moves along with the rain and does not change.

    The scheme is backward semi-Lagrangian (Germann and Zawadzki 2002).

    Parameters
    ----------
    observed : np.ndarray
        Rain rate (T, y, x) in mm/h.
    n : int
        Number of steps to forecast.
    method : str
        Optical flow, "LK" or "proesmans": see ``motion``.

    References
    ----------
    Germann, U., and I. Zawadzki (2002): Scale-dependence of the predictability of
    precipitation from continental radar images. Part I: Description of the methodology.
    Mon. Wea. Rev. 130, 2859-2873.
    """
    if not np.isfinite(observed[-1]).any():
        return persistence(observed, n)
    return extrapolate(observed[-1], motion(observed, method), n, allow_nonfinite_values=True)


def proesmans(observed: np.ndarray, n: int) -> np.ndarray:
    """Extrapolation along a smooth motion field by the method of Proesmans et al. (1994)."""
    return extrapolation(observed, n, "proesmans")


def sprog(observed: np.ndarray, n: int) -> np.ndarray:
    """S-PROG: extrapolation in which small scales of the rain fade before large ones.

    Each scale fades at the rate at which it changed in the last three frames (Seed 2003);
    computed by pysteps.

    Parameters
    ----------
    observed : np.ndarray
        Rain rate (T, y, x) in mm/h, three frames or more.
    n : int
        Number of steps to forecast.

    References
    ----------
    Seed, A. W. (2003): A dynamic and spatial scaling approach to advection forecasting.
    J. Appl. Meteor. 42, 381-388.
    """

    def run(recent: np.ndarray, velocity: np.ndarray, levels: int) -> np.ndarray:
        options = {"precip_thr": DRY_DECIBEL, "n_cascade_levels": levels}
        decibel = pysteps_sprog.forecast(_to_decibel(recent), velocity, n, **options)
        return np.nan_to_num(_to_rate(decibel))

    return _by_scales(observed, n, 3, run)


def anvil(observed: np.ndarray, n: int) -> np.ndarray:
    """ANVIL: extrapolation with growth and decay of the rain, estimated for each place.

    An autoregressive model of the rain rate is fitted in a window around each pixel, scale by
    scale (Pulkkinen et al. 2020); computed by pysteps.

    Parameters
    ----------
    observed : np.ndarray
        Rain rate (T, y, x) in mm/h, four frames or more.
    n : int
        Number of steps to forecast.

    Returns
    -------
    np.ndarray
        Rain rate (n, y, x) in mm/h.

    References
    ----------
    Pulkkinen, S., V. Chandrasekar, A. von Lerber, and A.-M. Harri (2020): Nowcasting of
    convective rainfall using volumetric radar observations. IEEE Trans. Geosci. Remote Sens.
    58, 7845-7859.
    """

    def run(recent: np.ndarray, velocity: np.ndarray, levels: int) -> np.ndarray:
        recent[(recent >= DRY) & ~exceeds(recent, DRY)] = 0.0  # for pysteps DRY itself is rain
        rain = np.where((observed >= DRY) & ~exceeds(observed, DRY), 0.0, observed)
        rate = pysteps_anvil.forecast(recent, velocity, n, n_cascade_levels=levels)
        return np.where(np.isfinite(rate), rate, extrapolation(rain, n))  # not in older frames

    return _by_scales(observed, n, 4, run)


def steps(observed: np.ndarray, n: int, members: int = 10) -> np.ndarray:
    """STEPS: an ensemble of equally likely forecasts.

    As in S-PROG small scales fade, but noise with the texture of rain replaces them, and each
    member has its own disturbed motion (Bowler et al. 2006); computed by pysteps. pysteps
    calibrated the size of the disturbance for pixels of 1 km and steps of 5 minutes, so these are
    assumed. The same frames always give the same members.

    Parameters
    ----------
    observed : np.ndarray
        Rain rate (T, y, x) in mm/h, three frames or more.
    n : int
        Number of steps to forecast.
    members : int
        Number of members.

    Returns
    -------
    np.ndarray
        Rain rate (member, n, y, x) in mm/h. Near the edge only some members may have a forecast.

    References
    ----------
    Bowler, N. E., C. E. Pierce, and A. W. Seed (2006): STEPS: A probabilistic
    precipitation forecasting scheme which merges an extrapolation nowcast with downscaled NWP.
    Q. J. R. Meteorol. Soc. 132, 2127-2155.
    """

    def run(recent: np.ndarray, velocity: np.ndarray, levels: int) -> np.ndarray:
        before = np.random.get_state()  # noqa: NPY002 (pysteps seeds NumPy's global generator)
        decibel = pysteps_steps.forecast(
            _to_decibel(recent),
            velocity,
            n,
            n_ens_members=members,
            n_cascade_levels=levels,
            precip_thr=DRY_DECIBEL,
            kmperpixel=1.0,
            timestep=5,
            seed=0,
        )
        np.random.set_state(before)  # noqa: NPY002
        return _to_rate(decibel)

    rate = _by_scales(observed, n, 3, run, outside=0.0)
    return np.broadcast_to(rate, (members, n, *observed.shape[1:]))


def _by_scales(
    observed: np.ndarray,
    n: int,
    frames: int,
    run: Callable[[np.ndarray, np.ndarray, int], np.ndarray],
    outside: float = np.nan,
) -> np.ndarray:
    """Forecast ``run(recent, motion, scales)`` where extrapolation has one, else NaN.

    ``recent``: the last ``frames`` frames, without lost pixels; ``outside`` is the rain rate (mm/h)
    assumed beyond the edge. Frames that cannot be decomposed are extrapolated.
    """
    recent = np.nan_to_num(fill_lost(observed)[-frames:])
    if not np.isfinite(observed[-1]).any() or not _can_be_decomposed(recent):
        return extrapolation(observed, n)

    velocity = motion(recent)
    advected = extrapolate(observed[-1], velocity, n, outval=outside, allow_nonfinite_values=True)
    levels = int(np.clip(np.log2(min(observed.shape[1:])) - 2, 3, 6))
    try:
        quiet = np.errstate(divide="ignore", invalid="ignore")
        with contextlib.redirect_stdout(io.StringIO()), quiet:  # pysteps prints its settings
            rate = run(recent, velocity, levels)
    except ValueError as error:
        # pysteps moves the earlier frames along the motion; fast motion can leave them no rain
        if "non-finite" not in str(error):
            raise
        return extrapolation(observed, n)
    return np.where(np.isfinite(advected), rate, np.nan)


def _can_be_decomposed(recent: np.ndarray) -> bool:
    """Whether frames (T, y, x) are wide and rainy enough, and no frame equals the one before."""
    rainy_px = exceeds(recent, DRY).sum(axis=(1, 2))
    repeated = (recent[1:] == recent[:-1]).all(axis=(1, 2)).any()
    return bool(rainy_px.min() > 1 and not repeated and min(recent.shape[1:]) >= MIN_SIDE)


def _to_decibel(rate: np.ndarray) -> np.ndarray:
    """10 log10 of the rain rate (mm/h); -15 where it is dry or not observed."""
    rain = np.where(exceeds(rate, DRY), rate, 0.0)  # DRY itself is dry
    return dB_transform(rain.astype("f8"), threshold=DRY, zerovalue=-15.0)[0]


def _to_rate(decibel: np.ndarray) -> np.ndarray:
    """Rain rate (mm/h) from decibels."""
    return dB_transform(decibel, threshold=DRY_DECIBEL, inverse=True)[0]


# Persistence would need one frame only; equal numbers give the baselines the same cases.
BASELINES = {
    "persistence": Baseline(persistence, n_in=3),
    "extrapolation": Baseline(extrapolation, n_in=3),
    "proesmans": Baseline(proesmans, n_in=3),
    "sprog": Baseline(sprog, n_in=3),
    "anvil": Baseline(anvil, n_in=4),
    "steps": Baseline(steps, n_in=3),
}
