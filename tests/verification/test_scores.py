"""Pooled and averaged scores, their intervals, ROC and effective resolution."""

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from made_forecasts import one_row
from scipy.ndimage import gaussian_filter

from nowcastlib.verification import (
    COUNTS,
    count,
    effective_resolution,
    interval,
    mean_csi,
    roc,
    score,
    table,
)


def three_cases():
    """Counts of cases of 20 px with a CSI of 8/10, of 0/2, and undefined."""

    def rain(pixels):
        return one_row(*[1] * pixels, *[0] * (20 - pixels))

    counts = count([(rain(8), rain(10)), (rain(0), rain(2)), (rain(0), rain(0))], [0.5])
    return counts.rename(lead="lead_time").assign_coords(lead_time=[5])


def many_cases(csi):
    """Counts of cases with rain at all of 20 px, with this CSI in each case."""
    pairs = [(one_row(*(np.arange(20) < 20 * share)), np.ones((1, 1, 20))) for share in csi]
    return count(pairs, [0.5], [2]).rename(lead="lead_time").assign_coords(lead_time=[5])


def test_pooled_and_averaged_csi_differ():
    counts = three_cases().assign_coords(event=("case", ["monday", "monday", "tuesday"]))
    assert score(counts.sum("case"), "csi").item() == 8 / 12
    np.testing.assert_array_equal(score(counts, "csi").squeeze(), [0.8, 0.0, np.nan])
    assert score(counts, "csi").mean("case").item() == 0.4
    by_event = score(counts.groupby("event").sum(), "csi").squeeze()
    assert by_event.sel(event="monday") == 8 / 12
    assert by_event.sel(event="tuesday").isnull()


def test_table_has_pooled_and_averaged_csi_with_their_counts():
    rows = table(three_cases().expand_dims(forecaster=["b", "a"]))
    assert rows.forecaster.tolist() == ["b", "a"]  # in their own order
    assert rows.columns[:4].tolist() == ["forecaster", "threshold", "lead_time", "cases"]
    row = rows.iloc[0]
    assert row[["cases", "csi", "csi_averaged", "csi_defined"]].tolist() == [3, 8 / 12, 0.4, 2]
    assert row[[*COUNTS]].tolist() == [8, 4, 0, 48]
    assert rows.hits.dtype.kind == "i"
    assert row[["mse", "pod", "far"]].tolist() == [4 / 60, 8 / 12, 0]
    assert np.isnan(row.ssim)


def test_table_has_the_interval_of_the_csi():
    cases = many_cases([0.2, 0.4, 0.9]).expand_dims(forecaster=["a"])
    bounds = interval(cases, level=0.5).squeeze().values.tolist()
    assert table(cases, level=0.5).loc[0, ["csi_low", "csi_high"]].tolist() == bounds


def test_interval_widens_with_the_spread_of_the_cases():
    low, high = [], []
    for shares in ([0.5] * 12, [0.4, 0.6] * 6, [0.1, 0.9] * 6):
        counts = many_cases(shares)
        bounds = interval(counts).squeeze()
        assert mean_csi(counts.sum("case")).item() == pytest.approx(0.5)
        assert bounds.bound.values.tolist() == ["low", "high"]
        assert bounds.equals(interval(counts).squeeze())  # reproducible
        low.append(bounds[0].item())
        high.append(bounds[1].item())
    assert low[0] == high[0] == 0.5
    assert low[2] < low[1] < 0.5 < high[1] < high[2]
    # mean of 12 draws of 0.1 or 0.9 with equal chances: 0.5 ± 1.645 · 0.4 / √12
    assert (low[2], high[2]) == pytest.approx((0.31, 0.69), abs=0.05)
    wide, narrow = (np.ptp(interval(counts, level=level).values) for level in (0.99, 0.5))
    assert wide > high[2] - low[2] > narrow > 0


def test_interval_resamples_the_sums_of_any_score():
    counts = many_cases([0.2, 0.4, 0.5, 0.7, 1.0])
    bounds = interval(counts, lambda sums: score(sums, "pod"), draws=200, seed=3).squeeze()
    repeats = np.random.default_rng(3).multinomial(5, np.full(5, 0.2), size=200)
    resampled = (repeats @ np.array([4, 8, 10, 14, 20])) / 100
    assert bounds.values == pytest.approx(np.quantile(resampled, [0.05, 0.95]))


def test_interval_is_undefined_for_one_case_and_for_resamples_without_events():
    one_case = many_cases([0.5])
    assert interval(one_case).isnull().all()
    rows = table(one_case.expand_dims(forecaster=["a"]))
    assert rows[["csi_low", "csi_high"]].isna().all(axis=None)

    # a resample may hold the dry case three times
    assert interval(three_cases(), lambda sums: score(sums, "csi")).isnull().all()


def test_mean_csi_ignores_lead_0_and_is_undefined_if_one_lead_is():
    wet = np.ones((3, 1, 10))
    observed = wet * [[[1.0]], [[1.0]], [[5.0]]]  # above 2 mm/h only at the last lead
    first, second = wet.copy(), wet.copy()
    first[1, :, 4:] = 0  # CSI 0.4
    first[2, :, 2:] = 0  # CSI 0.2
    second[1, :, 5:] = 0  # CSI 0.5

    cases = [count([(forecast, observed)], [0.5, 2.0], [2]) for forecast in (first, second)]
    counts = xr.concat(cases, xr.DataArray(["b", "a"], dims="forecaster", name="forecaster"))
    counts = counts.rename(lead="lead_time").assign_coords(lead_time=[0, 5, 10])
    computed = mean_csi(counts.sum("case"))
    assert computed.sel(forecaster="b", threshold=0.5) == pytest.approx(0.3)
    assert computed.sel(forecaster="a", threshold=0.5) == pytest.approx(0.75)
    assert computed.sel(threshold=2.0).isnull().all()


def test_area_under_roc_is_a_half_for_noise_and_one_for_the_truth():
    rng = np.random.default_rng(0)
    observed = rng.gamma(0.5, 2, (1, 100, 100))
    shuffled = rng.permuted(np.stack([observed.ravel()] * 10), axis=1)
    noise = shuffled.reshape(10, 1, 100, 100)

    def area(predicted):
        return roc(count([(predicted, observed)], [1.0], [2]).sum("case")).area.item()

    areas = [area(noise), area(observed), area(observed * 0)]
    assert areas == pytest.approx([0.5, 1, 0.5], abs=0.02)


@pytest.mark.parametrize(("sigma", "pixel"), [(1.0, 1.0), (2.0, 1.0), (2.0, 0.5)])
def test_effective_resolution_of_blurred_rain_is_the_wavelength_of_half_power(sigma, pixel):
    """A Gaussian blur halves the power at the wavelength 2 π σ / √(ln 2), about 7.5 σ."""
    rain = np.random.default_rng(0).gamma(0.5, 4, (3, 128, 128))
    blurred = np.stack([gaussian_filter(frame, sigma, mode="wrap") for frame in rain])
    computed = effective_resolution(count([(blurred, rain)], [0.5], pixel_km=pixel).sum("case"))
    assert computed.values == pytest.approx([7.547 * sigma * pixel] * 3, rel=0.1)
    sharp = effective_resolution(count([(rain, rain)], [0.5], pixel_km=pixel).sum("case"))
    assert sharp.values == pytest.approx([2 * pixel] * 3, rel=0.05)


def test_effective_resolution_is_undefined_without_rain_and_in_tiny_frames():
    rain = np.random.default_rng(0).gamma(0.5, 4, (1, 16, 16))

    def resolution(predicted, observed):
        return effective_resolution(count([(predicted, observed)], [0.5]).sum("case"))

    assert resolution(rain * 0, rain) == pytest.approx(16 / 3)  # the third wavelength
    assert resolution(rain, rain * 0).isnull().all()
    assert resolution(rain, rain * np.nan).isnull().all()
    assert resolution(rain[:, :5, :5], rain[:, :5, :5]).isnull().all()


def test_scores_load_neither_torch_nor_pysteps():
    code = (
        "import sys, nowcastlib.verification.scores; print({'torch', 'pysteps'} & {*sys.modules})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
