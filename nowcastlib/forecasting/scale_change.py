"""How frames are brought to the pixels and time steps that a network was trained at.

What cannot be brought to the trained scale stays as it is, with a warning.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from nowcastlib.data import PixelSize, pixel_size, time_step
from nowcastlib.forecasting.resampling import Factor
from nowcastlib.units import TrainedScale

PIXEL_TOLERANCE = 1.3  # pixels this factor outside the trained range are taken as they are
STEP_TOLERANCE = 1.1  # and time steps
LARGEST_DIVISION = 3  # a pixel or a step is divided into at most this number of parts


@dataclass(frozen=True)
class ScaleChange:
    """How frames are brought to the scale of a network."""

    averaged: Factor = (1, 1)  # pixels of the frames along one of the network, in y and x
    divided: Factor = (1, 1)  # pixels of the network along one of the frames, in y and x
    stride: float = 1.0  # time step of the network in time steps of the frames

    @property
    def interpolates(self) -> bool:
        """Whether the network needs more detail or shorter steps than the frames have."""
        return self.divided != (1, 1) or not self.stride.is_integer()

    def side(self, size: PixelSize) -> PixelSize:
        """Height and width in km of a pixel of the network, of frames with that size."""
        factors = zip(size, self.averaged, self.divided, strict=True)
        return PixelSize(*(side * n / parts for side, n, parts in factors))


def change_for(trained: TrainedScale, frames: xr.DataArray, keeps_size: bool) -> ScaleChange:
    """The change that brings frames nearest to the scale of a network.

    Parameters
    ----------
    trained : TrainedScale
        What the network was trained at.
    frames : xr.DataArray
        Rain rate (time, y, x).
    keeps_size : bool
        Whether the network works on frames of one size only, so that pixels stay as they are.

    Returns
    -------
    ScaleChange
        Whole factors, in y and x separately. What is not known stays as it is.
    """
    averaged, divided = [1, 1], [1, 1]
    size = pixel_size(frames)
    if trained.pixel_km and size and not keeps_size:
        for axis, side in enumerate(size):
            averaged[axis], divided[axis] = _pixel_factors(float(side), *trained.pixel_km)

    change = ScaleChange((averaged[0], averaged[1]), (divided[0], divided[1]))
    step = time_step(frames)
    if trained.step_minutes and np.isfinite(step):
        change = replace(change, stride=_stride(step, *trained.step_minutes))
    return change


def _pixel_factors(side: float, shortest: float, longest: float) -> tuple[int, int]:
    """Number of pixels to average, and number of parts to divide a pixel into; one of them is 1."""
    if _is_within(side, (shortest, longest), PIXEL_TOLERANCE):
        return 1, 1
    middle = math.sqrt(shortest * longest)
    if side < middle:
        return _nearest_whole(middle / side), 1
    parts = _nearest_whole(side / middle)
    return 1, parts if parts <= LARGEST_DIVISION else 1


def _nearest_whole(ratio: float) -> int:
    """The whole number of 1 or more that differs from a ratio by the smallest factor."""
    below = max(1, math.floor(ratio))
    return below if ratio / below <= (below + 1) / ratio else below + 1


def _stride(step: float, shortest: float, longest: float) -> float:
    """Trained time step in steps of the frames: a whole number, or else 1 over it, if possible."""
    low, high = shortest / STEP_TOLERANCE, longest * STEP_TOLERANCE
    if low <= step <= high:
        return 1.0
    if step < low:
        n = math.ceil(low / step)
        return float(n) if n * step <= high else shortest / step
    parts = math.ceil(step / high)
    if parts > LARGEST_DIVISION:
        return 1.0
    return 1 / parts if step / parts >= low else longest / step


def _is_within(value: float, span: tuple[float, float], tolerance: float) -> bool:
    return span[0] / tolerance <= value <= span[1] * tolerance


def describe(change: ScaleChange, frames: xr.DataArray) -> str:
    """What a change does to frames (time, y, x), in words."""
    size, step = pixel_size(frames), time_step(frames)
    at = _text(change.side(size) if size else None, step * change.stride)
    return f"frames of {_text(size, step)} are forecast at {at} and brought back"


def _text(size: PixelSize | None, step: float) -> str:
    """Size of a pixel and time step: "0.5 km every 5 minutes"."""
    pixel = f"{size.mean:.3g} km" if size else "pixels of unknown size"
    return f"{pixel} every {step:.3g} minutes"


def caution(trained: TrainedScale, change: ScaleChange, frames: xr.DataArray) -> str:
    """What to know before a forecast from frames (time, y, x) is believed; "" if nothing.

    Parameters
    ----------
    trained : TrainedScale
        What the network was trained at.
    change : ScaleChange
        How the frames are brought there.
    frames : xr.DataArray
        Rain rate (time, y, x), as they are.
    """
    if not trained.pixel_km or not trained.step_minutes:
        return (
            "does not tell at which pixel size and time step it was trained: the frames are taken "
            "as they are; train it again, and its configuration will tell"
        )
    size, step = pixel_size(frames), time_step(frames)
    km = f"{trained.pixel_km[0]:g} to {trained.pixel_km[1]:g} km"
    minutes = f"{trained.step_minutes[0]:g} to {trained.step_minutes[1]:g} minutes"
    was = f"was trained at pixels of {km} every {minutes}; these frames have {_text(size, step)}"

    if not size:
        return (
            f"{was} and are taken as they are: give y and x their units (m, km or degrees) or pass "
            "--pixel-km"
        )
    sides_fit = [_is_within(s, trained.pixel_km, PIXEL_TOLERANCE**2) for s in change.side(size)]
    step_fits = _is_within(step * change.stride, trained.step_minutes, STEP_TOLERANCE**2)
    if not all(sides_fit) or not step_fits:
        return (
            f"{was}, too far to be brought there, and it is untested at them: give frames nearer "
            "to its scale, or train a network on these"
        )
    if change.interpolates:
        return (
            f"{was}: they are interpolated, and detail that they lack lowers its scores (see "
            "docs/results.md)"
        )
    return ""
