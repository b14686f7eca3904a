"""Rain in its three units: rain rate (mm/h), reflectivity (dBZ) and the network's own scale."""

import re
import sys
from dataclasses import dataclass

import numpy as np

DRY = 0.1  # mm/h; a radar cannot tell less from no rain
RATES = (
    0.1,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    20.0,
)  # mm/h; a guided network answers the probability of more than each


def amount_of_water(units: str) -> tuple[str, float]:
    """What a unit measures, "rate", "amount" or "" (no water), and how many mm/h or mm one of it is.

    Understands the spellings of CF and of weather services: mm h-1, mm/hr, kg m-2 s-1, m s**-1, mm, mm/5min, ….
    """
    text = re.sub(r"\*\*|\^", "", str(units).strip().lower()).replace(" per ", "/")
    text = re.sub(r"[ .]\(?(\d*) ?([a-z]+)\)? ?-1$", r"/\1\2", text)  # h-1 is /h
    water = re.fullmatch(
        r"(mm|cm|m|kg[ .]?(?:/ ?m|m-)2)(?: ?/ ?\(?(\d*) ?(s|min|h|d)[a-z]*\)?)?", text
    )
    if not water:
        return "", 1.0
    depth = {"cm": 10.0, "m": 1000.0}.get(water[1], 1.0)  # a kg of water on a m2 is a mm
    if not water[3]:
        return "amount", depth
    return "rate", depth / float(water[2] or 1) * {"s": 3600, "min": 60, "h": 1, "d": 1 / 24}[
        water[3]
    ]


@dataclass(frozen=True)
class ModelScale:
    """Rain rate (mm/h) to the networks' own units and back.

    Model units are ``log(1 + R/rate0) / log(1 + rate_max/rate0)``: 0 is dry, 1 is ``rate_max``. The
    logarithm gives drizzle and cloudbursts similar shares of the scale. All methods take and return
    NumPy arrays or torch tensors of any shape; 0 stays exactly 0 and NaN stays NaN.
    """

    rate0: float = 0.1  # mm/h; far below it the scale is linear, far above logarithmic
    rate_max: float = 128.0  # mm/h; it becomes 1

    def to_model(self, rate):
        """Rain rate (mm/h) → model units."""
        return _module(rate).log1p(rate / self.rate0) / float(np.log1p(self.rate_max / self.rate0))

    def from_model(self, value):
        """Model units → rain rate (mm/h)."""
        exponent = value * float(np.log1p(self.rate_max / self.rate0))
        return _module(value).expm1(exponent) * self.rate0


@dataclass(frozen=True)
class RainScale(ModelScale):
    """Model units, and reflectivity (dBZ) by Z = a R^b (Marshall and Palmer 1948)."""

    zr_a: float = 200.0  # a of Z = a R^b
    zr_b: float = 1.6  # b of Z = a R^b
    no_echo: float = -32.0  # dBZ written for no rain at all; about 0.0004 mm/h

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
    torch = sys.modules.get(
        "torch"
    )  # whoever has a tensor has imported torch; others need not wait for it
    return torch if torch and isinstance(array, torch.Tensor) else np
