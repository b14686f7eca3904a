"""Rain in its three units: rain rate (mm/h), reflectivity (dBZ) and the network's own scale."""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class RainScale:
    """Convert rain rate; zero stays exactly zero, NaN stays NaN, and every conversion has its inverse.

    All methods take and return NumPy arrays or torch tensors of any shape. Model units are
    ``log(1 + R/rate0) / log(1 + rate_max/rate0)``: 0 is dry, 1 is ``rate_max``; the logarithm gives drizzle and
    cloudburst a like share of the scale. Reflectivity follows Z = a R^b (Marshall and Palmer 1948).
    """

    rate0: float = 0.1  # mm/h; far below it the scale is linear, far above logarithmic
    rate_max: float = 128.0  # mm/h that is written as 1
    zr_a: float = 200.0  # a of Z = a R^b
    zr_b: float = 1.6  # b of Z = a R^b
    no_echo: float = -32.0  # dBZ written for no rain at all; about 0.0004 mm/h

    def to_model(self, rate):
        """Rain rate (mm/h) → model units."""
        return _module(rate).log1p(rate / self.rate0) / float(np.log1p(self.rate_max / self.rate0))

    def from_model(self, value):
        """Model units → rain rate (mm/h)."""
        return _module(value).expm1(value * float(np.log1p(self.rate_max / self.rate0))) * self.rate0

    def to_dbz(self, rate):
        """Rain rate (mm/h) → reflectivity (dBZ); no rain, and all that is weaker, becomes ``no_echo``."""
        xp = _module(rate)
        smallest = (10 ** (self.no_echo / 10) / self.zr_a) ** (1 / self.zr_b)
        echo = 10 * xp.log10(self.zr_a * xp.clip(rate, smallest, None) ** self.zr_b)
        return xp.where(rate <= smallest, xp.full_like(echo, self.no_echo), echo)

    def from_dbz(self, dbz):
        """Reflectivity (dBZ) → rain rate (mm/h); ``no_echo`` and below become exactly 0."""
        xp = _module(dbz)
        rate = (10 ** (dbz / 10) / self.zr_a) ** (1 / self.zr_b)
        return xp.where(dbz <= self.no_echo, xp.zeros_like(rate), rate)


def _module(array):
    return torch if isinstance(array, torch.Tensor) else np
