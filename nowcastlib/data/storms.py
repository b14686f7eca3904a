"""Synthetic rain with a spectrum, a growth and decay, and a motion that are known exactly.

A Gaussian field with a power-law spectrum lives on a periodic plane; each of its scales forgets itself at its own
pace (small cells in minutes, rain bands in hours: Germann and Zawadzki 2002; the cascade idea of S-PROG, Seed
2003). The plane is carried by translation and rotation, and what exceeds a threshold rains.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, special

from nowcastlib.units import DRY


@dataclass(frozen=True)
class Storm:
    """One synthetic event. Everything follows from these numbers: the same storm is the same rain."""

    seed: int = 0
    size: int = 128  # px, height and width of a frame; a pixel is 1 km
    step: float = 5.0  # minutes between frames
    velocity: tuple[float, float] = (
        2.0,
        1.0,
    )  # px per step: x to the right (east), y downwards (south)
    rotation: float = 0.0  # radians per step about the centre of the frame, from x towards y
    wet_fraction: float = 0.25  # share of the plane with rain
    intensity: float = (
        2.7  # how fast the log rain rate rises from the edge inwards: 2 is stratiform, 3 thundery
    )
    slope: float = (
        2.6  # exponent of the power spectrum, summed over all directions, at small scales
    )
    outer_scale: float = 90.0  # px; above it the spectrum is flat
    stretch: float = 1.0  # length of the rain bands over their width
    orientation: float = 0.0  # radians; direction of the bands, from x towards y
    lifetime: float = (
        150.0  # minutes in which a structure of the outer scale loses 1 - 1/e of itself
    )
    lifetime_exponent: float = 0.9  # lifetime ~ scale ** this


def positions(storm: Storm, steps: float, inverse: bool = True) -> np.ndarray:
    """Where the air over each pixel was ``steps`` steps ago (``inverse``), or will be: (2, y, x) in px, row first."""
    y, x = np.mgrid[: storm.size, : storm.size].astype(float)
    centre = (storm.size - 1) / 2
    sign = -1.0 if inverse else 1.0
    angle, (vx, vy) = sign * storm.rotation * steps, storm.velocity
    if inverse:  # undo the translation, then the rotation
        x, y = x - vx * steps, y - vy * steps
    dx, dy = x - centre, y - centre
    x, y = (
        centre + np.cos(angle) * dx - np.sin(angle) * dy,
        centre + np.sin(angle) * dx + np.cos(angle) * dy,
    )
    if not inverse:
        x, y = x + vx * steps, y + vy * steps
    return np.stack([y, x])


def motion(storm: Storm, step: int = 0) -> np.ndarray:
    """Velocity of the rain at time ``step``: (2, y, x) in px per step, component x (right) first, then y (down)."""
    was = positions(storm, step)
    centre = (storm.size - 1) / 2
    angle = storm.rotation * step  # velocity = V + ω × (turned distance from the centre)
    dy, dx = was - centre
    dx, dy = np.cos(angle) * dx - np.sin(angle) * dy, np.sin(angle) * dx + np.cos(angle) * dy
    vx, vy = storm.velocity
    return np.stack([vx - storm.rotation * dy, vy + storm.rotation * dx])


def advect(plane: np.ndarray, storm: Storm, steps: float) -> np.ndarray:
    """The frame that is seen after a periodic plane (at least as large as the frame) has moved ``steps`` steps.

    Cubic splines: at whole-pixel shifts the values are kept to rounding.
    """
    margin = (np.array(plane.shape) - storm.size) / 2
    return ndimage.map_coordinates(
        plane, positions(storm, steps) + margin[:, None, None], mode="grid-wrap"
    )


def rain(storm: Storm, n_frames: int) -> np.ndarray:
    """Rain rate, (time, y, x) in mm/h, float32: ``n_frames`` frames of the storm, ``storm.step`` minutes apart."""
    threshold = special.ndtri(1 - storm.wet_fraction)
    frames = (
        advect(plane, storm, t) for t, plane in zip(range(n_frames), _planes(storm), strict=False)
    )
    return np.stack([_rate(g - threshold, storm.intensity) for g in frames]).astype("f4")


def _rate(excess: np.ndarray, intensity: float) -> np.ndarray:
    """mm/h: DRY at the edge of the rain, steep just inside, levelling off towards the core; 0 outside."""
    return DRY * np.exp(intensity * np.maximum(excess, 0) ** 0.7) * (excess > 0)


def _planes(storm: Storm) -> Iterator[np.ndarray]:
    """Gaussian fields of mean 0 and variance 1 on a periodic plane of twice the frame's size, evolving in place."""
    n = 2 * storm.size
    rng = np.random.default_rng(storm.seed)
    ky, kx = np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None]  # cycles per px
    along = np.cos(storm.orientation) * kx + np.sin(storm.orientation) * ky
    across = np.cos(storm.orientation) * ky - np.sin(storm.orientation) * kx
    k = np.hypot(along * np.sqrt(storm.stretch), across / np.sqrt(storm.stretch))
    amplitude = (1 + (k * storm.outer_scale) ** 2) ** (-(storm.slope + 1) / 4)
    amplitude[0, 0] = 0
    weight = np.where(
        np.arange(n // 2 + 1) % (n // 2) == 0, 1, 2
    )  # rfft2 keeps one of two conjugate columns
    amplitude *= n / np.sqrt((weight * amplitude**2).sum())  # unit variance
    scale = np.minimum(
        1 / np.maximum(k * storm.outer_scale, 1e-9), 1.0
    )  # 1 at the outer scale, less below
    keep = np.exp(-storm.step / (storm.lifetime * scale**storm.lifetime_exponent))
    noise = amplitude * np.fft.rfft2(rng.standard_normal((n, n)))
    while True:
        yield np.fft.irfft2(noise, s=(n, n))
        noise = keep * noise + np.sqrt(1 - keep**2) * amplitude * np.fft.rfft2(
            rng.standard_normal((n, n))
        )
