"""Kinds of synthetic storms, calibrated on events of real radars.

``benchmarks/rain_statistics.py`` compares the shares of the rates, the spectrum, the lifetimes, the
motion and the growth of these storms with those of real rain; docs/results/rain_statistics.csv.
"""

from dataclasses import dataclass

import numpy as np

from nowcastlib.data.storms import Storm

Span = tuple[float, float]  # smallest and largest value


@dataclass(frozen=True)
class Kind:
    """Ranges from which the parameters of a storm are drawn; see `Storm`."""

    wet_fraction: Span
    intensity: Span
    slope: Span
    outer_scale: Span
    stretch: Span
    lifetime: Span
    cells: Span
    cell_scale: Span
    cell_share: Span
    speed: Span = (1.2, 3.0)  # px per step
    line: Span = (0.0, 0.0)


KINDS = {
    "convective day": Kind(
        wet_fraction=(0.28, 0.42),
        intensity=(2.1, 2.5),
        slope=(2.7, 3.1),
        outer_scale=(45, 60),
        stretch=(1.0, 1.5),
        lifetime=(130, 180),
        cells=(2.3, 2.9),
        cell_scale=(14, 19),
        cell_share=(0.4, 0.6),
    ),
    "squall line": Kind(
        wet_fraction=(0.24, 0.36),
        intensity=(1.8, 2.1),
        slope=(2.7, 3.1),
        outer_scale=(60, 90),
        stretch=(1.0, 1.5),
        lifetime=(150, 220),
        cells=(1.6, 2.1),
        cell_scale=(10, 14),
        cell_share=(0.05, 0.1),
        speed=(1.8, 3.0),
        line=(1.3, 1.7),
    ),
    "widespread rain with cells": Kind(
        wet_fraction=(0.7, 0.9),
        intensity=(1.8, 2.1),
        slope=(2.7, 3.1),
        outer_scale=(80, 100),
        stretch=(1.0, 2.0),
        lifetime=(180, 240),
        cells=(1.6, 2.1),
        cell_scale=(12, 18),
        cell_share=(0.2, 0.35),
        speed=(1.0, 2.5),
    ),
    "showers in streets": Kind(
        wet_fraction=(0.15, 0.24),
        intensity=(2.2, 2.6),
        slope=(2.7, 3.1),
        outer_scale=(24, 34),
        stretch=(2.0, 3.0),
        lifetime=(80, 110),
        cells=(1.6, 2.2),
        cell_scale=(9, 12),
        cell_share=(0.5, 0.7),
        speed=(1.5, 3.0),
    ),
}
TURNING = 0.006  # radians per step; the largest
GROWTH = 0.15  # per hour; the largest
LIFETIME_EXPONENT = 1.0
BLUR = (0.3, 1.1)  # px; radars differ


def draw(kind: str, rng: np.random.Generator, size: int = 128) -> Storm:
    """Draw a storm of a kind.

    Parameters
    ----------
    kind : str
        A key of ``KINDS``.
    rng : numpy.random.Generator
        Decides the storm.
    size : int
        Height and width of a frame in px of 1 km.

    Returns
    -------
    Storm
        It moves in any direction; the streets of showers lie along the motion.

    Examples
    --------
    >>> draw("squall line", np.random.default_rng(0)).line > 0
    True
    """
    spans = dict(vars(KINDS[kind]))
    drawn = {name: float(rng.uniform(*span)) for name, span in spans.items()}

    speed = drawn.pop("speed")
    direction = rng.uniform(0, 2 * np.pi)
    orientation = direction if kind == "showers in streets" else rng.uniform(0, np.pi)
    return Storm(
        seed=int(rng.integers(2**31)),
        size=size,
        velocity=(speed * np.cos(direction), speed * np.sin(direction)),
        rotation=rng.uniform(-TURNING, TURNING),
        orientation=orientation,
        growth=rng.uniform(-GROWTH, GROWTH),
        lifetime_exponent=LIFETIME_EXPONENT,
        blur=rng.uniform(*BLUR),
        **drawn,
    )
