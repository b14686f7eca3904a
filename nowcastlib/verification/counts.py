"""Sums that the scores are computed from: forecasts compared with observations.

Pixels without an observation are left out. Pixels without a forecast (NaN: their rain would have
come over the edge) count as dry, for every forecaster. Rates up to ``DRY`` are 0 in forecast
and observation. Rain exceeds a threshold if its rate is higher, compared as float32:
``units.exceeds``.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import xarray as xr
from skimage.metrics import structural_similarity

from nowcastlib.errors import NowcastError
from nowcastlib.networks import SSIM_WINDOW
from nowcastlib.units import DRY, ModelScale, exceeds
from nowcastlib.verification.cases import Case, Sums
from nowcastlib.verification.members import member_sums, probabilities
from nowcastlib.verification.scores import COUNTS

SCALES = (2, 4, 8, 16, 32, 64)  # px: sides of the windows of the fractions skill score


def count(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    thresholds: Sequence[float],
    scales: Sequence[int] = SCALES,
    pixel_km: float = 1.0,
) -> xr.Dataset:
    """All sums that the scores need, by case and lead.

    Parameters
    ----------
    pairs : Iterable[tuple[np.ndarray, np.ndarray]]
        One (forecast, observation) for each case, in mm/h. The observation is (lead, y, x), the
        forecast (lead, y, x) or, of an ensemble, (member, lead, y, x).
    thresholds : Sequence[float]
        Rain rates in mm/h, ``DRY`` or more.
    scales : Sequence[int]
        Sides of the windows of the fractions skill score, px.
    pixel_km : float
        Size of a pixel in km.

    Returns
    -------
    xr.Dataset
        Sums over the observed pixels, with the dimensions case, lead and

        - none: ``pixels``, ``forecast``, ``observed``, ``products``, ``forecast_squares``,
          ``observed_squares``, ``squared_errors``, ``absolute_errors``, ``crps_sum``, ``frames``
          and the ``similarity`` (SSIM in model units) of these frames;
        - threshold: the contingency table ``COUNTS`` and ``brier_sum``;
        - threshold, scale: ``fraction_errors`` and ``fraction_squares``;
        - threshold, probability: ``probability_forecasts``, the number of pixels for which the
          probability was forecast, and ``probability_events``, those of them with an event. An
          ensemble has a bin for each number of its members, a single forecast those of ten;
        - wavelength (km): ``forecast_power``, ``observed_power`` and, of the first member,
          ``member_power``, in (mm/h)²;
        - rank: ``ranks``, the number of pixels with rain above ``DRY`` in a member or the
          observation, by the number of members that are drier than the observation; ties are
          broken at random.

        In similarity, power and ranks a pixel that is not observed is dry.

    Raises
    ------
    NowcastError
        If forecast and observation differ in shape, if two forecasts do, if there is no case, or
        if a threshold is below ``DRY``.
    """
    check_thresholds(thresholds)
    cases = []
    shape = None
    rng = np.random.default_rng(0)  # for ties of ranks
    with ThreadPoolExecutor() as pool:
        for predicted, observed in pairs:
            shape = _checked_shape(predicted, observed, shape)
            case = Case.from_pair(predicted, observed)
            parts = [
                pool.submit(_fractions, case, thresholds, scales),  # takes the longest
                pool.submit(_similarity_and_spectra, case),
                pool.submit(_continuous, case),
                pool.submit(_contingency, case, thresholds),
                pool.submit(member_sums, case, thresholds, rng),
            ]
            cases.append({name: sums for part in parts for name, sums in part.result().items()})
    if shape is None:
        raise NowcastError("there is no case to verify")

    coordinates = {"threshold": list(thresholds), "scale": list(scales)}
    return xr.Dataset(_stacked(cases), coordinates | _bins(cases[0], max(shape[-2:]), pixel_km))


def check_thresholds(thresholds: Sequence[float]) -> None:
    """NowcastError for a threshold among the rates that count as 0."""
    if min(thresholds) < DRY:
        raise NowcastError(
            f"a threshold is {min(thresholds):g} mm/h, and rates up to {DRY:g} mm/h count as dry: "
            f"it must be {DRY:g} or more"
        )


def _checked_shape(
    predicted: np.ndarray, observed: np.ndarray, before: tuple[int, ...] | None
) -> tuple[int, ...]:
    """Shape of a forecast. NowcastError if it differs from the observation, or from ``before``."""
    if predicted.shape[-3:] != observed.shape:
        raise NowcastError(
            f"forecast {predicted.shape} and observation {observed.shape} differ in shape"
        )
    if before not in (None, predicted.shape):
        raise NowcastError(f"the forecasts differ in shape: {before} and {predicted.shape}")
    return predicted.shape


def _stacked(cases: list[Sums]) -> dict:
    """The sums of all cases, as variables of a dataset."""
    variables = {}
    for name, (dims, _) in cases[0].items():
        values = np.stack([sums[name][1] for sums in cases])
        variables[name] = (("case", "lead", *dims), values)
    return variables


def _bins(sums: Sums, side: int, pixel_km: float) -> dict[str, np.ndarray]:
    """Wavelengths (km) in frames whose longer side has ``side`` px, probabilities, and ranks."""
    _, power = sums["observed_power"]  # (lead, wavelength)
    _, ranks = sums["ranks"]  # (lead, rank)
    frequency = np.fft.rfftfreq(side, pixel_km)[1 : 1 + power.shape[1]]
    return {
        "wavelength": 1 / frequency,
        "probability": probabilities(ranks.shape[1] - 1),
        "rank": np.arange(ranks.shape[1]),
    }


def _continuous(case: Case) -> Sums:
    """Sums of which errors and correlation are made; unobserved pixels contribute 0."""
    mean, truth = case.mean, case.truth
    fields = {
        "pixels": case.is_observed,
        "forecast": mean,
        "observed": truth,
        "products": mean * truth,
        "forecast_squares": mean**2,
        "observed_squares": truth**2,
        "squared_errors": (mean - truth) ** 2,
        "absolute_errors": np.abs(mean - truth),
    }
    return {name: ((), field.sum((1, 2), dtype="f8")) for name, field in fields.items()}


def _events(field: np.ndarray, is_observed: np.ndarray, thresholds: Sequence[float]) -> np.ndarray:
    """Where a field (lead, y, x) is observed and above each threshold: (lead, threshold, y, x)."""
    above = np.stack([exceeds(field, threshold) for threshold in thresholds], 1)
    return above & is_observed[:, None]


def _contingency(case: Case, thresholds: Sequence[float]) -> Sums:
    """The contingency table (Wilks 2011, section 8.2)."""
    forecast = _events(case.mean, case.is_observed, thresholds)
    observed = _events(case.truth, case.is_observed, thresholds)

    hits = (forecast & observed).sum((2, 3), dtype="f8")  # (lead, threshold)
    forecasts = forecast.sum((2, 3), dtype="f8")
    events = observed.sum((2, 3), dtype="f8")
    pixels = case.is_observed.sum((1, 2))[:, None]
    table = (hits, events - hits, forecasts - hits, pixels - forecasts - events + hits)
    return {name: (("threshold",), values) for name, values in zip(COUNTS, table, strict=True)}


def _fractions(case: Case, thresholds: Sequence[float], scales: Sequence[int]) -> Sums:
    """Sums of the fractions skill score; outside the domain it is dry (Roberts and Lean 2008)."""
    forecast = _events(case.mean, case.is_observed, thresholds)
    observed = _events(case.truth, case.is_observed, thresholds)

    errors, squares = [], []
    for scale in scales:
        in_forecast, in_observed = _window_sums(forecast, scale), _window_sums(observed, scale)
        errors.append(_sum_of_squares(in_forecast - in_observed, scale))
        squares.append(_sum_of_squares(in_forecast, scale) + _sum_of_squares(in_observed, scale))
    dims = ("threshold", "scale")
    return {
        "fraction_errors": (dims, np.stack(errors, -1)),
        "fraction_squares": (dims, np.stack(squares, -1)),
    }


def _window_sums(events: np.ndarray, n: int) -> np.ndarray:
    """Number of events in the ``n`` × ``n`` px around each pixel, from running sums."""
    padding = [(0, 0), (0, 0)] + 2 * [(1 + n // 2, (n - 1) // 2)]
    sums = np.pad(events, padding).cumsum(2, dtype="i4").cumsum(3, dtype="i4")
    return sums[..., n:, n:] - sums[..., :-n, n:] - sums[..., n:, :-n] + sums[..., :-n, :-n]


def _sum_of_squares(events: np.ndarray, n: int) -> np.ndarray:
    """Squared share of events in windows of ``n`` px, summed over pixels: (lead, threshold)."""
    return np.einsum("tkyx,tkyx->tk", events, events, dtype="f8") / n**4


def _similarity_and_spectra(case: Case) -> Sums:
    """Structural similarity of the observed frames (Wang et al. 2004), and power spectra."""
    has_similarity = case.is_observed.any((1, 2)) & (min(case.truth.shape[1:]) >= SSIM_WINDOW)
    similarity = np.zeros(len(has_similarity))
    for lead in np.flatnonzero(has_similarity):
        similarity[lead] = structural_similarity(
            ModelScale().to_model(case.mean[lead]),
            ModelScale().to_model(case.truth[lead]),
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )

    forecast_power = _power(case.mean)
    member_power = _power(case.members[0]) if len(case.members) > 1 else forecast_power
    return {
        "frames": ((), has_similarity.astype("f8")),
        "similarity": ((), similarity),
        "forecast_power": (("wavelength",), forecast_power),
        "observed_power": (("wavelength",), _power(case.truth)),
        "member_power": (("wavelength",), member_power),
    }


def _power(field: np.ndarray) -> np.ndarray:
    """Radially averaged power spectrum (lead, wavelength) in (mm/h)², without the mean.

    Waves of all directions are averaged by their frequency in cycles per px, in bins of one cycle
    per longer side.

    References
    ----------
    Ruzanski, E., and V. Chandrasekar (2011): Scale filtering for improved nowcasting performance
    in a high-resolution X-band radar network. IEEE Trans. Geosci. Remote Sens. 49, 2296-2307.
    """
    height, width = field.shape[1:]
    side = max(height, width)
    cycles = side * np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))  # (y, x)
    bins = cycles.round().astype(int).ravel()
    n_bins = (side + 1) // 2
    waves = np.bincount(bins)[:n_bins]  # number of waves in each bin

    spectra = []
    for frame in field:
        waves_of_frame = np.fft.fft2(frame)
        power = (waves_of_frame.real**2 + waves_of_frame.imag**2) / frame.size  # (y, x)
        spectra.append(np.bincount(bins, power.ravel())[:n_bins] / waves)
    return np.stack(spectra)[:, 1:]
