"""Scores equal those of a textbook, of pysteps and of torchmetrics."""

import numpy as np
import pytest
import torch
from made_forecasts import one_row, pooled_score
from pysteps.utils.spectral import rapsd
from pysteps.verification import ensscores, probscores
from pysteps.verification.detcatscores import det_cat_fct
from pysteps.verification.detcontscores import det_cont_fct
from pysteps.verification.spatialscores import fss_accum, fss_compute, fss_init
from torchmetrics.functional.image import structural_similarity_index_measure

from nowcastlib.units import ModelScale
from nowcastlib.verification import PROBABILITIES, count, roc, score


def observed_pixels(pairs, lead):
    """Forecast and observation of all cases at a lead, observed pixels only; no forecast is dry."""
    predicted, observed = (np.stack([pair[k][..., lead, :, :] for pair in pairs]) for k in (0, 1))
    is_observed = np.isfinite(observed)
    return np.nan_to_num(predicted)[is_observed], observed[is_observed]


def test_scores_equal_the_textbook_example_of_tornadoes():
    """Finley's forecasts of 1884 (Wilks 2011, example 8.1)."""
    table = {"hits": 28, "false_alarms": 72, "misses": 23, "correct_negatives": 2680}
    predicted = one_row(*np.repeat([1, 1, 0, 0], [*table.values()]))
    observed = one_row(*np.repeat([1, 0, 1, 0], [*table.values()]))
    counts = count([(predicted, observed)], [0.5], [2]).sum("case").squeeze()
    assert {name: int(counts[name]) for name in table} == table

    wrong = 95 / 2803  # share of wrong forecasts
    expected = {"csi": 0.2276, "pod": 0.549, "far": 0.72, "bias": 1.9608, "hss": 0.3553}
    expected |= {"mse": wrong, "mae": wrong, "mean_error": 49 / 2803, "brier": wrong}
    for name, value in expected.items():
        assert float(score(counts, name)) == pytest.approx(value, abs=5e-5), name


def test_brier_score_and_reliability_of_four_members_by_hand():
    """All forecast rain at 4 px (3 with rain), two at 4 px (1 with rain), none at 2 px (none)."""
    members = np.stack([one_row(*[1] * 8, 0, 0)] * 2 + [one_row(*[1] * 4, *[0] * 6)] * 2)
    observed = one_row(1, 1, 1, 0, 1, 0, 0, 0, 0, 0)
    counts = count([(members, observed)], [0.5], [2]).sum("case").squeeze()
    assert float(score(counts, "brier")) == pytest.approx((1 + 4 * 0.25) / 10)

    none, half, all_members = 0, 2, 4  # bins of these probabilities
    used = [none, half, all_members]
    assert counts.probability_forecasts.values[used].tolist() == [2, 4, 4]
    assert counts.probability_forecasts.sum() == 10
    assert counts.probability_events.values[used].tolist() == [0, 1, 3]
    reliability = score(counts, "reliability")
    assert reliability.values[used].tolist() == [0, 0.25, 0.75]
    assert reliability.isnull().sum() == 2


def test_crps_of_two_members_by_hand():
    """Members 1 and 3: the squared area between the distributions is 0.5 for 2, 2.5 for 5."""
    members = np.stack([one_row(1, 1), one_row(3, 3)])
    assert count([(members, one_row(2, 5))], [0.5]).crps_sum.item() == pytest.approx(0.5 + 2.5)


def test_contingency_scores_equal_pysteps(pairs):
    counts = count(pairs, [0.5, 5.0]).sum("case")
    for lead in range(2):
        for t, threshold in enumerate([0.5, 5.0]):
            names = ["CSI", "POD", "FAR", "HSS", "BIAS"]
            expected = det_cat_fct(*observed_pixels(pairs, lead), threshold, names)
            for name, value in expected.items():
                assert float(score(counts, name.lower())[lead, t]) == pytest.approx(value, abs=1e-9)


def test_continuous_scores_equal_pysteps(pairs):
    counts = count(pairs, [0.5]).sum("case")
    names = {"MSE": "mse", "MAE": "mae", "ME": "mean_error", "corr_p": "correlation"}
    for lead in range(2):
        for name, value in det_cont_fct(*observed_pixels(pairs, lead), list(names)).items():
            assert float(score(counts, names[name])[lead]) == pytest.approx(value, abs=1e-9)


def test_fractions_skill_score_equals_pysteps(pairs):
    scales = [1, 2, 3, 8, 64]
    computed = score(count(pairs, [0.5, 5.0], scales).sum("case"), "fss")
    for lead in range(2):
        for t, threshold in enumerate([0.5, 5.0]):
            for s, scale in enumerate(scales):
                pooled = fss_init(threshold, scale)
                for predicted, observed in pairs:  # pysteps takes NaN for dry
                    compared = np.where(np.isnan(observed), np.nan, predicted)
                    fss_accum(pooled, compared[lead], observed[lead])
                assert float(computed[lead, t, s]) == pytest.approx(fss_compute(pooled), abs=1e-9)


def test_spectra_of_square_frames_equal_pysteps(pairs):
    """On other frames pysteps takes waves along the short side for longer ones."""
    pairs = [(predicted[..., :30], observed[..., :30]) for predicted, observed in pairs]
    counts = count(pairs, [0.5], pixel_km=2.0)
    for case, (predicted, observed) in enumerate(pairs):
        for lead in range(2):
            is_observed = np.isfinite(observed[lead])
            for name, rain in {"forecast_power": predicted, "observed_power": observed}.items():
                frame = np.where(is_observed, np.nan_to_num(rain[lead]), 0)
                power, frequency = rapsd(frame, fft_method=np.fft, return_freq=True, d=2.0)
                np.testing.assert_allclose(counts[name][case, lead], power[1:], atol=1e-9)
                np.testing.assert_allclose(counts.wavelength, 1 / frequency[1:])


def test_crps_equals_pysteps(ensembles):
    computed = score(count(ensembles, [0.5]).sum("case"), "crps")
    for lead in range(2):
        expected = probscores.CRPS_init()
        for members, observed in ensembles:  # pysteps leaves NaN out
            probscores.CRPS_accum(expected, members[:, lead], observed[lead])
        assert float(computed[lead]) == pytest.approx(probscores.CRPS_compute(expected), abs=1e-9)


@pytest.mark.parametrize("threshold", [0.5, 2.0])
def test_reliability_and_roc_equal_pysteps(ensembles, threshold):
    counts = count(ensembles, [threshold]).sum("case").squeeze("threshold")
    curve, reliability = roc(counts), score(counts, "reliability")
    for lead in range(2):
        diagram = probscores.reldiag_init(threshold, 11, 1)
        expected = probscores.ROC_curve_init(threshold, 11)
        for members, observed in ensembles:
            probability = PROBABILITIES[(members[:, lead] > threshold).sum(0)]
            probscores.reldiag_accum(diagram, probability, observed[lead])
            probscores.ROC_curve_accum(expected, probability, observed[lead])

        with np.errstate(invalid="ignore"):
            forecast, observed = probscores.reldiag_compute(diagram)
        np.testing.assert_allclose(reliability[lead], observed, atol=1e-9)
        used = np.where(np.isnan(observed), np.nan, PROBABILITIES)
        np.testing.assert_allclose(forecast, used, atol=1e-9)

        pofd, pod, area = probscores.ROC_curve_compute(expected, compute_area=True)
        computed = curve.isel(lead=lead)
        np.testing.assert_allclose(computed.pod, pod, atol=1e-9)
        np.testing.assert_allclose(computed.pofd, pofd, atol=1e-9)
        assert computed.area.item() == pytest.approx(area, abs=1e-9)
        assert 0.5 < area < 1


def test_rank_histogram_equals_pysteps(ensembles):
    computed = count(ensembles, [0.5]).ranks.sum("case")
    for lead in range(2):
        expected = ensscores.rankhist_init(10)
        for members, observed in ensembles:  # no ties, for no value comes twice
            rainy = (np.nan_to_num(observed) > 0.1) | (members.max(0) > 0.1)
            compared = np.where(rainy[lead], observed[lead], np.nan)
            ensscores.rankhist_accum(expected, members[:, lead], compared)
        histogram = ensscores.rankhist_compute(expected, normalize=False)
        assert computed[lead].values.tolist() == histogram.tolist()


def test_similarity_equals_torchmetrics(pairs):
    computed = pooled_score(pairs[0], "ssim")
    for lead in range(2):
        is_observed = np.isfinite(pairs[0][1][lead])
        rates = [np.where(is_observed, np.nan_to_num(rain[lead]), 0.0) for rain in pairs[0]]
        a, b = (torch.from_numpy(ModelScale().to_model(rate))[None, None] for rate in rates)
        _, everywhere = structural_similarity_index_measure(
            a, b, sigma=1.5, data_range=1.0, return_full_image=True
        )
        inner = everywhere[..., 5:-5, 5:-5]  # as Wang et al.: only windows that lie in the frame
        assert float(computed[lead]) == pytest.approx(float(inner.mean()), abs=1e-9)
