"""Formulas of the scores. Each takes the sums of ``count`` and returns the score.

Sums of single cases give the score of each case, sums over cases the pooled score. A division by
zero gives NaN or infinity here; ``scores.score`` makes both NaN.
"""

from collections.abc import Callable

import xarray as xr


def csi(counts: xr.Dataset) -> xr.DataArray:
    """Critical success index (threat score): share of the observed or forecast rain that was hit.

    References
    ----------
    Schaefer, J. T. (1990): The critical success index as an indicator of warning skill. Wea.
    Forecasting 5, 570-575.
    """
    return counts.hits / (counts.hits + counts.misses + counts.false_alarms)


def pod(counts: xr.Dataset) -> xr.DataArray:
    """Probability of detection: share of the observed rain that was forecast (Wilks 2011, 8.2)."""
    return counts.hits / (counts.hits + counts.misses)


def far(counts: xr.Dataset) -> xr.DataArray:
    """False alarm ratio: share of the forecast rain that was not observed (Wilks 2011, 8.2)."""
    return counts.false_alarms / (counts.hits + counts.false_alarms)


def hss(counts: xr.Dataset) -> xr.DataArray:
    """Heidke skill score: correct forecasts beyond those expected by chance.

    References
    ----------
    Wilks, D. S. (2011): Statistical Methods in the Atmospheric Sciences, 3rd ed., section 8.2.
    """
    hits, misses = counts.hits, counts.misses
    false_alarms, correct_negatives = counts.false_alarms, counts.correct_negatives
    return (
        2
        * (hits * correct_negatives - misses * false_alarms)
        / (
            (hits + misses) * (misses + correct_negatives)
            + (hits + false_alarms) * (false_alarms + correct_negatives)
        )
    )


def bias(counts: xr.Dataset) -> xr.DataArray:
    """Frequency bias: area of the forecast rain over that of the observed rain; 1 is unbiased."""
    return (counts.hits + counts.false_alarms) / (counts.hits + counts.misses)


def mse(counts: xr.Dataset) -> xr.DataArray:
    """Mean squared error in (mm/h)².

    References
    ----------
    Shi, X., et al. (2015): Convolutional LSTM network: a machine learning approach for
    precipitation nowcasting. NeurIPS. There it is called Rainfall-MSE.
    """
    return counts.squared_errors / counts.pixels


def mae(counts: xr.Dataset) -> xr.DataArray:
    """Mean absolute error in mm/h."""
    return counts.absolute_errors / counts.pixels


def mean_error(counts: xr.Dataset) -> xr.DataArray:
    """Mean error in mm/h; above 0 the forecast has too much rain."""
    return (counts.forecast - counts.observed) / counts.pixels


def correlation(counts: xr.Dataset) -> xr.DataArray:
    """Pearson correlation over pixels; NaN if forecast or observation is constant."""
    covariance = counts.products - counts.forecast * counts.observed / counts.pixels
    forecast_spread = _spread(counts.forecast_squares, counts.forecast, counts.pixels)
    observed_spread = _spread(counts.observed_squares, counts.observed, counts.pixels)
    return covariance / (forecast_spread * observed_spread) ** 0.5


def _spread(squares: xr.DataArray, total: xr.DataArray, pixels: xr.DataArray) -> xr.DataArray:
    """Sum of squared distances from the mean; NaN where it is only rounding error."""
    spread = squares - total**2 / pixels
    return spread.where(spread > 1e-12 * squares)


def ssim(counts: xr.Dataset) -> xr.DataArray:
    """Structural similarity of the rain in model units.

    References
    ----------
    Wang, Z., A. C. Bovik, H. R. Sheikh, and E. P. Simoncelli (2004): Image quality assessment:
    from error visibility to structural similarity. IEEE Trans. Image Process. 13, 600-612.
    """
    return counts.similarity / counts.frames


def fss(counts: xr.Dataset) -> xr.DataArray:
    """Fractions skill score: agreement of the share of rain in windows of ``scale`` px.

    References
    ----------
    Roberts, N. M., and H. W. Lean (2008): Scale-selective verification of rainfall accumulations
    from high-resolution forecasts of convective events. Mon. Wea. Rev. 136, 78-97.
    """
    return 1 - counts.fraction_errors / counts.fraction_squares


def spectrum(counts: xr.Dataset) -> xr.DataArray:
    """Power of the forecast at each wavelength, over that of the observation; below 1 is blur."""
    return counts.forecast_power / counts.observed_power


def member_spectrum(counts: xr.Dataset) -> xr.DataArray:
    """The same for the first member of an ensemble, while ``spectrum`` is for the mean."""
    return counts.member_power / counts.observed_power


def crps(counts: xr.Dataset) -> xr.DataArray:
    """Continuous ranked probability score in mm/h; the mean absolute error of a single forecast.

    References
    ----------
    Gneiting, T., and A. E. Raftery (2007): Strictly proper scoring rules, prediction, and
    estimation. J. Amer. Stat. Assoc. 102, 359-378.
    """
    return counts.crps_sum / counts.pixels


def brier(counts: xr.Dataset) -> xr.DataArray:
    """Brier score: mean squared error of the forecast probability of exceeding a threshold.

    References
    ----------
    Brier, G. W. (1950): Verification of forecasts expressed in terms of probability. Mon. Wea.
    Rev. 78, 1-3.
    """
    return counts.brier_sum / counts.pixels


def reliability(counts: xr.Dataset) -> xr.DataArray:
    """How often it rained where a ``probability`` was forecast (Wilks 2011, section 8.4)."""
    return counts.probability_events / counts.probability_forecasts


_FORMULAS: tuple[Callable[[xr.Dataset], xr.DataArray], ...] = (
    csi, pod, far, hss, bias, mse, mae, mean_error, correlation, ssim, fss, spectrum,
    member_spectrum, crps, brier, reliability,
)  # fmt: skip
SCORES = {formula.__name__: formula for formula in _FORMULAS}
