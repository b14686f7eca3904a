"""Sentences computed from scores."""

from math import isnan

import xarray as xr


def verdict(scores: xr.DataArray, name: str, reference: str = "persistence") -> str:
    """Sentences that compare a forecaster's scores with those of another one.

    Parameters
    ----------
    scores : xarray.DataArray, dimensions (forecaster, threshold)
        Mean CSI as ``verification.mean_csi`` gives it; more is better.
    name, reference : str
        The forecaster to judge, and the one to compare it with.

    Returns
    -------
    str
        One line for each threshold.

    Examples
    --------
    >>> csi = xr.DataArray([[0.3], [0.2]], {"forecaster": ["mine", "persistence"],
    ...     "threshold": [0.5]}, ("forecaster", "threshold"))
    >>> print(verdict(csi, "mine"))
    rain above 0.5 mm/h: mine 0.300, persistence 0.200: 50 % better than persistence
    """
    lines = []
    for threshold in scores.threshold.values:
        ours, theirs = (
            float(scores.sel(forecaster=forecaster, threshold=threshold))
            for forecaster in (name, reference)
        )
        pair = f"{name} {ours:.3f}, {reference} {theirs:.3f}"
        lines.append(
            f"rain above {threshold:g} mm/h: {pair}: {_difference(ours, theirs, reference)}"
        )
    return "\n".join(lines)


def _difference(ours: float, theirs: float, reference: str) -> str:
    """The relative difference of two scores in words."""
    if isnan(ours) or isnan(theirs):
        return "no such rain, no comparison"
    if not theirs:
        return f"better than {reference}" if ours > 0 else f"no better than {reference}"
    percent = round(100 * (ours / theirs - 1))
    if not percent:
        return f"equal to {reference}, within half a percent"
    return f"{abs(percent)} % {'better' if percent > 0 else 'worse'} than {reference}"
