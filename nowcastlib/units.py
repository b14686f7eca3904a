"""Units of rain: rain rate (mm/h), reflectivity (dBZ) and the networks' own scale."""

import re
import sys
from dataclasses import dataclass

import numpy as np

DRY = 0.1  # mm/h; a radar cannot distinguish less from no rain
RATES = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)  # mm/h; thresholds of a network's probabilities

HOURLY = {  # number of each unit in an hour
    **dict.fromkeys(["s", "sec", "secs", "second", "seconds"], 3600.0),
    **dict.fromkeys(["min", "mins", "minute", "minutes"], 60.0),
    **dict.fromkeys(["h", "hr", "hrs", "hour", "hours"], 1.0),
    **dict.fromkeys(["d", "day", "days"], 1 / 24),
}


def amount_of_water(units: str) -> tuple[str, float]:
    """Recognise a unit of rain, in the spellings of CF and of weather services.

    Parameters
    ----------
    units : str
        Such as mm h-1, mm/hr, kg m-2 s-1, m s**-1, mm, mm/5min.

    Returns
    -------
    kind : str
        "rate", "amount", or "" if it is not a unit of water.
    factor : float
        Multiply by it to get mm/h (of a rate) or mm (of an amount).

    Examples
    --------
    >>> amount_of_water("kg m-2 s-1")
    ('rate', 3600.0)
    >>> amount_of_water("cm")
    ('amount', 10.0)
    """
    text = re.sub(r"\*\*|\^", "", str(units).strip().lower()).replace(" per ", "/")
    text = re.sub(r"[ .]\(?(\d*) ?([a-z]+)\)? ?-1$", r"/\1\2", text)  # "mm h-1" becomes "mm/h"

    depth = r"(mm|cm|m|kg[ .]?(?:/ ?m|m-)2)"
    number = "(0*[1-9][0-9]{0,5})?"  # not 0: nothing falls in no time
    time = rf" ?/ ?\(?{number} ?({'|'.join(HOURLY)})\)?"  # "/5min": number and unit
    match = re.fullmatch(f"{depth}(?:{time})?", text)
    if not match:
        return "", 1.0

    unit, count, time_unit = match.groups()
    mm = {"cm": 10.0, "m": 1000.0}.get(unit, 1.0)  # 1 kg of water on 1 m2 is 1 mm
    if not time_unit:
        return "amount", mm
    return "rate", mm * HOURLY[time_unit] / float(count or 1)


def kind_of_rain(units: str) -> tuple[str, float]:
    """Recognise a unit of water as ``amount_of_water`` does, and dBZ as a "reflectivity".

    Examples
    --------
    >>> kind_of_rain("dBZ")
    ('reflectivity', 1.0)
    """
    if str(units).strip().lower() == "dbz":
        return "reflectivity", 1.0
    return amount_of_water(units)


def exceeds(rate, threshold: float):
    """Where a rain rate is above a threshold. Both are compared as float32.

    Stores and forecasts hold float32: 0.1 mm/h is 0.100000001 there, and not above 0.1 mm/h.

    Parameters
    ----------
    rate : array_like or torch.Tensor
        Rain rate in mm/h, of any shape and precision.
    threshold : float
        Rain rate in mm/h.

    Returns
    -------
    np.ndarray or torch.Tensor of bool
        The same shape; False where the rate is NaN.

    Examples
    --------
    >>> bool(exceeds(np.float64(np.float32(0.1)), 0.1))
    False
    """
    if _module(rate) is not np:
        return rate.float() > float(np.float32(threshold))
    return np.asarray(rate, "f4") > np.float32(threshold)


def is_rain(units: str, names: str) -> bool:
    """Whether a quantity with a unit of water is rain, by its names.

    A rate in mm/h or kg m-2 s-1 without any name can only be rain. A length may be anything, and
    m/s is a velocity, such as that of the rain drops: there a name has to speak of rain.

    Parameters
    ----------
    units : str
        Such as mm h-1.
    names : str
        Standard name, long name and name, as far as they say what the quantity is.

    Examples
    --------
    >>> is_rain("mm h-1", ""), is_rain("m s-1", ""), is_rain("m s-1", "rain rate")
    (True, False, True)
    """
    kind, _ = amount_of_water(units)
    names = str(names)  # a store may hold a number there
    could_be_other = kind == "amount" or bool(re.match(r"\s*c?m\b", str(units), re.IGNORECASE))
    if kind and not names.strip() and not could_be_other:
        return True
    return bool(kind and re.search("rain|precip", names, re.IGNORECASE))


@dataclass(frozen=True)
class ModelScale:
    """Rain rate (mm/h) to the networks' own units and back.

    Model units are ``log(1 + R/rate0) / log(1 + rate_max/rate0)``: 0 is dry, 1 is ``rate_max``. The
    logarithm gives drizzle and cloudbursts similar shares of the scale. All methods take and return
    NumPy arrays or torch tensors of any shape; 0 stays exactly 0 and NaN stays NaN.
    """

    rate0: float = 0.1  # mm/h; far below it the scale is linear, far above logarithmic
    rate_max: float = 128.0  # mm/h; this rain rate becomes 1 in model units

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
    no_echo: float = -32.0  # dBZ that stands for no rain; about 0.0004 mm/h

    def to_dbz(self, rate):
        """Rain rate (mm/h) → reflectivity (dBZ); no or too little rain becomes ``no_echo``."""
        xp = _module(rate)
        smallest = (10 ** (self.no_echo / 10) / self.zr_a) ** (1 / self.zr_b)
        echo = 10 * xp.log10(self.zr_a * xp.clip(rate, smallest, None) ** self.zr_b)
        return xp.where(rate <= smallest, xp.full_like(echo, self.no_echo), echo)

    def from_dbz(self, dbz):
        """Reflectivity (dBZ) → rain rate (mm/h); ``no_echo`` and below become exactly 0."""
        xp = _module(dbz)
        rate = (10 ** (dbz / 10) / self.zr_a) ** (1 / self.zr_b)
        return xp.where(dbz <= self.no_echo, xp.zeros_like(rate), rate)


@dataclass(frozen=True)
class TrainedScale:
    """Pixels and time steps that a network was trained at; None where that is not known.

    Raises
    ------
    ValueError
        If a range is not above 0 and in ascending order.
    """

    pixel_km: tuple[float, float] | None = None  # shortest and longest side of a pixel, km
    step_minutes: tuple[float, float] | None = None  # shortest and longest time step, minutes

    def __post_init__(self):
        for name in ("pixel_km", "step_minutes"):
            span = getattr(self, name)
            if span is not None and not 0 < span[0] <= span[1]:
                raise ValueError(f"{name} {span} must be two numbers above 0 in ascending order")


def _module(array):
    """torch for a tensor, else NumPy; torch is not imported for it."""
    torch = sys.modules.get("torch")  # whoever has a tensor has imported torch
    return torch if torch and isinstance(array, torch.Tensor) else np
