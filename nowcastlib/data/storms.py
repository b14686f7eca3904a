"""Synthetic rain whose spectrum, growth, decay and motion are known exactly.

A Gaussian field with a power-law spectrum lives on a periodic plane. Each of its scales changes at
its own pace: small cells within minutes, rain bands within hours (Germann and Zawadzki 2002; Seed
2003). It rains where the field exceeds a threshold. Convective cells are added where a second,
smooth field is large, or along a squall line. The plane is moved by translation and rotation.

``draw`` in ``nowcastlib.data.storm_kinds`` makes storms that resemble those of real radars.

References
----------
Germann, U. and Zawadzki, I. (2002): Scale-dependence of the predictability of precipitation from
continental radar images. Part I. Monthly Weather Review 130, 2859-2873.

Seed, A. W. (2003): A dynamic and spatial scaling approach to advection forecasting. Journal of
Applied Meteorology 42, 381-388.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage, special

from nowcastlib.units import DRY

COMMON, HEADROOM = 5.0, 1.9  # log of rate over DRY: rates above 15 mm/h approach 100 mm/h
CELL_SLOPE, CELL_THRESHOLD = 3.2, 0.7  # of the field whose peaks are the cells
REGION, REGION_SLOPE = 45.0, 4.0  # px; size of the regions with cells; their field is smooth


@dataclass(frozen=True)
class Storm:
    """One synthetic event: equal storms have equal rain."""

    seed: int = 0
    size: int = 128  # px, height and width of a frame; a pixel is 1 km
    step: float = 5.0  # minutes between frames
    velocity: tuple[float, float] = (2.0, 1.0)  # px per step: x to the east, y to the south
    rotation: float = 0.0  # radians per step about the centre of the frame, from x towards y
    wet_fraction: float = 0.25  # share of the plane with rain
    intensity: float = 2.7  # steepness of log rain rate from the edge: 2 stratiform, 3 convective
    slope: float = 2.6  # exponent of the power spectrum, summed over directions, at small scales
    blur: float = 0.0  # px; standard deviation of the beam that smooths the smallest scales
    outer_scale: float = 90.0  # px; above it the spectrum is flat
    stretch: float = 1.0  # length of the rain bands over their width
    orientation: float = 0.0  # radians; direction of the bands, from x towards y
    lifetime: float = 150.0  # minutes until the outer scale decorrelates to 1/e
    lifetime_exponent: float = 0.9  # lifetime ~ scale ** lifetime_exponent
    growth: float = 0.0  # rise of the field per hour; above 0 the rain spreads and gets stronger
    cells: float = 0.0  # strength of convective cells; 0 for none
    cell_scale: float = 14.0  # px; size and distance of the cells
    cell_share: float = 0.3  # share of the plane in which cells may form
    line: float = 0.0  # strength of a squall line, which moves with the storm; 0 for none
    line_at: float = 18.0  # steps until the line reaches the centre of the frame


def rain(storm: Storm, n_frames: int) -> np.ndarray:
    """Make the frames of a storm.

    Parameters
    ----------
    storm : Storm
        The storm; its frames are ``storm.step`` minutes apart.
    n_frames : int
        Number of frames.

    Returns
    -------
    array (time, y, x), float32
        Rain rate in mm/h.

    Examples
    --------
    >>> rain(Storm(size=64), 3).shape
    (3, 64, 64)
    """
    excess = _excess_planes(storm)
    frames = [_rain_rate(advect(next(excess), storm, t)) for t in range(n_frames)]
    return np.stack(frames).astype("f4")


def motion(storm: Storm, step: int = 0) -> np.ndarray:
    """Velocity of the rain at time ``step``.

    Returns
    -------
    array (2, y, x)
        In px per step: first the component along x (to the right), then along y (down).
    """
    y, x = positions(storm, step)  # at the beginning
    centre = (storm.size - 1) / 2
    dy, dx = _rotated(y - centre, x - centre, storm.rotation * step)  # now, from the moving centre
    vx, vy = storm.velocity
    return np.stack([vx - storm.rotation * dy, vy + storm.rotation * dx])


def positions(storm: Storm, steps: float, inverse: bool = True) -> np.ndarray:
    """Where the air over each pixel was ``steps`` steps ago, or will be.

    Parameters
    ----------
    storm : Storm
        The storm.
    steps : float
        Number of time steps.
    inverse : bool
        True: where the air came from. False: where it goes.

    Returns
    -------
    array (2, y, x)
        In px: rows first, then columns.
    """
    y, x = np.mgrid[: storm.size, : storm.size].astype(float)
    centre = (storm.size - 1) / 2
    angle = storm.rotation * steps
    shift_x, shift_y = (v * steps for v in storm.velocity)

    if inverse:  # undo the translation, then the rotation
        dy, dx = _rotated(y - shift_y - centre, x - shift_x - centre, -angle)
        return np.stack([centre + dy, centre + dx])
    dy, dx = _rotated(y - centre, x - centre, angle)
    return np.stack([centre + dy + shift_y, centre + dx + shift_x])


def _rotated(dy: np.ndarray, dx: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Distances from the centre (dy, dx), rotated from x towards y."""
    return np.sin(angle) * dx + np.cos(angle) * dy, np.cos(angle) * dx - np.sin(angle) * dy


def advect(plane: np.ndarray, storm: Storm, steps: float) -> np.ndarray:
    """Move a periodic plane with the storm, and cut out the frame.

    Parameters
    ----------
    plane : array (y, x)
        A field at least as large as the frame.
    storm : Storm
        The storm.
    steps : float
        Number of time steps.

    Returns
    -------
    array (y, x)
        The frame, by cubic splines: a shift by whole pixels keeps all values.
    """
    margin = (np.array(plane.shape) - storm.size) / 2
    places = positions(storm, steps) + margin[:, None, None]  # (2, y, x)
    return ndimage.map_coordinates(plane, places, mode="grid-wrap")


def _rain_rate(log_rate: np.ndarray) -> np.ndarray:
    """Rain rate in mm/h from the logarithm of the rate over DRY; 0 where it is negative."""
    beyond = np.maximum(log_rate - COMMON, 0)
    capped = np.minimum(log_rate, COMMON) + HEADROOM * -np.expm1(-beyond / HEADROOM)
    return DRY * np.exp(capped) * (log_rate > 0)


def _excess_planes(storm: Storm) -> Iterator[np.ndarray]:
    """Logarithm of the rain rate over DRY on the plane, step by step; negative where it is dry."""
    threshold = special.ndtri(1 - storm.wet_fraction)
    fields = _planes(storm)
    has_cells = storm.cells > 0 or storm.line > 0
    cell_fields = _planes(_part(storm, 1, storm.cell_scale, CELL_SLOPE))
    region_fields = _planes(_part(storm, 2, REGION, REGION_SLOPE))

    step = 0
    while True:
        field = next(fields) - threshold + storm.growth * step * storm.step / 60
        if not has_cells:
            yield _log_rate(field, storm.intensity)
        else:
            region = next(region_fields)
            front, trail = _squall_line(storm, region)
            likely = special.expit(4 * (region - special.ndtri(1 - storm.cell_share))) + front
            cells = np.maximum(next(cell_fields) - CELL_THRESHOLD, 0) * np.minimum(likely, 1)
            yield _log_rate(field + trail, storm.intensity) + storm.cells * cells + 1.3 * front
        step += 1


def _log_rate(excess: np.ndarray, intensity: float) -> np.ndarray:
    """Steep just inside the edge of the rain, flatter in its core."""
    return intensity * np.sign(excess) * np.abs(excess) ** 0.7


def _part(storm: Storm, number: int, outer_scale: float, slope: float) -> Storm:
    """A storm whose field has another size and lives as long as rain of that size in ``storm``."""
    shorter = (outer_scale / storm.outer_scale) ** storm.lifetime_exponent
    return replace(
        storm,
        seed=storm.seed + number * 1_000_003,
        outer_scale=outer_scale,
        slope=slope,
        lifetime=storm.lifetime * shorter,
    )


def _squall_line(storm: Storm, wiggle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Narrow front of a squall line and the wide rain behind it, each (y, x); 0 without a line."""
    if not storm.line:
        return np.zeros_like(wiggle), np.zeros_like(wiggle)
    n = len(wiggle)
    y, x = np.mgrid[:n, :n] - (n - 1) / 2  # from the centre of the frame at the beginning
    vx, vy = storm.velocity
    speed = np.hypot(vx, vy) or 1.0
    ahead = (x * vx + y * vy) / speed + speed * storm.line_at + 7 * wiggle
    ahead = (ahead + n / 2) % n - n / 2

    front = np.exp(-((ahead / np.where(ahead > 0, 4.0, 11.0)) ** 2))
    trail = np.exp(-((ahead / np.where(ahead > 0, 4.0, 45.0)) ** 2))
    return storm.line * front, storm.line * trail


def _planes(storm: Storm) -> Iterator[np.ndarray]:
    """Fields of mean 0 and variance 1 on a plane of twice the frame's size, step by step."""
    n = 2 * storm.size
    rng = np.random.default_rng(storm.seed)
    wave_number = _wave_number(storm, n)
    amplitude = _amplitude(storm, wave_number)

    # autoregression: what each scale keeps from one step to the next
    scale = np.minimum(1 / np.maximum(wave_number * storm.outer_scale, 1e-9), 1.0)  # of the outer
    keep = np.exp(-storm.step / (storm.lifetime * scale**storm.lifetime_exponent))

    spectrum = amplitude * np.fft.rfft2(rng.standard_normal((n, n)))
    while True:
        yield np.fft.irfft2(spectrum, s=(n, n))
        noise = amplitude * np.fft.rfft2(rng.standard_normal((n, n)))
        spectrum = keep * spectrum + np.sqrt(1 - keep**2) * noise


def _wave_number(storm: Storm, n: int) -> np.ndarray:
    """Wave numbers of rfft2, (n, n // 2 + 1) in cycles per px; smaller along the rain bands."""
    ky = np.fft.fftfreq(n)[:, None]
    kx = np.fft.rfftfreq(n)[None]
    along = np.cos(storm.orientation) * kx + np.sin(storm.orientation) * ky
    across = np.cos(storm.orientation) * ky - np.sin(storm.orientation) * kx
    return np.hypot(along * np.sqrt(storm.stretch), across / np.sqrt(storm.stretch))


def _amplitude(storm: Storm, wave_number: np.ndarray) -> np.ndarray:
    """Amplitude of each wave, so that the field has mean 0 and variance 1."""
    n = len(wave_number)
    amplitude = (1 + (wave_number * storm.outer_scale) ** 2) ** (-(storm.slope + 1) / 4)
    ky, kx = np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None]
    amplitude *= np.exp(-2 * (np.pi * storm.blur) ** 2 * (ky**2 + kx**2))
    amplitude[0, 0] = 0

    columns = np.arange(n // 2 + 1)
    weight = np.where(columns % (n // 2) == 0, 1, 2)  # rfft2 keeps one of two conjugate columns
    return amplitude * n / np.sqrt((weight * amplitude**2).sum())
