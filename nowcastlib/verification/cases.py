"""One case of a verification: forecast and observation, prepared in the same way for all sums."""

from dataclasses import dataclass

import numpy as np

from nowcastlib.units import DRY, exceeds

Sums = dict[str, tuple[tuple[str, ...], np.ndarray]]  # name → dimensions after lead, values


@dataclass(frozen=True)
class Case:
    """Forecast and observation of one case in mm/h; 0 where not observed.

    Forecasters forecast 0 instead of rates up to ``DRY``, while radars report them. So that no
    score compares the two, such rates are 0 in the members and in the observation.
    """

    members: np.ndarray  # (member, lead, y, x); a single forecast is one member
    mean: np.ndarray  # (lead, y, x), of the members
    truth: np.ndarray  # (lead, y, x)
    is_observed: np.ndarray  # (lead, y, x), bool

    @classmethod
    def from_pair(cls, predicted: np.ndarray, observed: np.ndarray) -> "Case":
        """Members without a forecast get the mean of the others; 0 if no member has one."""
        members = predicted[None] if predicted.ndim == 3 else predicted
        is_observed = np.isfinite(observed)
        is_forecast = np.isfinite(members)

        rain = _without_drizzle(members)  # (member, lead, y, x); NaN becomes 0
        mean = rain.sum(0) / np.maximum(is_forecast.sum(0), 1)
        mean = np.where(is_observed, mean, 0.0)
        filled = np.where(is_observed & is_forecast, rain, _without_drizzle(mean))
        return cls(filled, mean, _without_drizzle(observed), is_observed)


def _without_drizzle(rate: np.ndarray) -> np.ndarray:
    """Rain rates (mm/h) as float64, with 0 in place of rates up to ``DRY`` and of NaN."""
    return np.where(exceeds(rate, DRY), rate, 0.0).astype("f8")
