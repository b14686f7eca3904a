"""Scores as in the textbook, as pysteps has them and as physics wants them; cases that are alike for all."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from made_forecasts import RUNS, moving_rain
from pysteps.utils.spectral import rapsd
from pysteps.verification import ensscores, probscores
from pysteps.verification.detcatscores import det_cat_fct
from pysteps.verification.detcontscores import det_cont_fct
from pysteps.verification.spatialscores import fss_accum, fss_compute, fss_init
from scipy.ndimage import gaussian_filter
from torchmetrics.functional.image import structural_similarity_index_measure

from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import BASELINES, Baseline, baselines, forecast
from nowcastlib.units import RainScale
from nowcastlib.verification import (
    SCORES,
    EvaluationOptions,
    effective_resolution,
    evaluate,
    interval,
    issue_times,
    mean_csi,
    observed_at,
    roc,
    score,
    table,
)
from nowcastlib.verification.counts import COUNTS, PROBABILITIES, SCALES, count


@pytest.fixture(scope="module")
def storm():
    return moving_rain()


@pytest.fixture(scope="module")
def pairs():
    """Three cases of 2 leads, 30×40 px, of rain that forecast and observation half agree on; holes in both."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(3):
        common, *own = rng.gamma(0.4, 6, (3, 2, 30, 40))
        predicted, observed = (0.5 * common + 0.5 * field for field in own)
        predicted[0, :4], observed[:, :, :3] = np.nan, np.nan
        made.append((predicted, observed))
    return made


@pytest.fixture(scope="module")
def ensembles():
    """Two cases of 10 members, 2 leads, 24×20 px, that know something of the observation."""
    rng = np.random.default_rng(1)
    made = []
    for _ in range(2):
        intensity = rng.gamma(1, 3, (2, 24, 20))
        members, observed = (
            intensity * rng.gamma(2, 0.5, (10, 2, 24, 20)),
            intensity * rng.gamma(2, 0.5, (2, 24, 20)),
        )
        observed[:, 3:6] = np.nan
        made.append((members, observed))
    return made


def of(pair, name, threshold=0.5, **options):
    """The pooled score of one pair, at its only threshold, by lead."""
    return score(count([pair], [threshold], **options).sum("case").squeeze("threshold"), name)


def stacked(pairs, lead):
    """Forecast and observation of all cases at a lead, observed pixels only, the unknown dry: what the scores see."""
    predicted, observed = (np.stack([pair[k][..., lead, :, :] for pair in pairs]) for k in (0, 1))
    seen = np.isfinite(observed)
    return np.nan_to_num(predicted)[seen], observed[seen]


def field(*values):
    """A field of one lead and one row."""
    return np.array(values, "f8").reshape(1, 1, -1)


# the textbook


def test_scores_of_the_textbook():
    """The tornadoes of 1884 (Finley; Wilks 2011, example 8.1): 28 hits, 72 false alarms, 23 misses, 2680 neither."""
    events = [28, 72, 23, 2680]
    counts = (
        count(
            [tuple(field(*np.repeat(v, events)) for v in ([1, 1, 0, 0], [1, 0, 1, 0]))], [0.5], [2]
        )
        .sum("case")
        .squeeze()
    )
    assert [
        float(counts[c]) for c in ("hits", "false_alarms", "misses", "correct_negatives")
    ] == events
    found = [
        float(score(counts, name))
        for name in ("csi", "pod", "far", "bias", "hss", "mse", "mae", "mean_error")
    ]
    wrong = 95 / 2803
    assert found == pytest.approx(
        [0.2276, 0.549, 0.72, 1.9608, 0.3553, wrong, wrong, 49 / 2803], abs=5e-5
    )
    assert float(score(counts, "brier")) == pytest.approx(wrong)


def test_brier_and_reliability_of_a_table():
    """Four members, ten pixels: all say rain at 4 (3 rain), two at 4 (1 rains), none at 2 (none rains)."""
    members = np.repeat([[1, 1, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0]], [4, 4, 2], axis=1).reshape(
        4, 1, 1, 10
    )
    counts = (
        count([(members.astype("f8"), field(1, 1, 1, 0, 1, 0, 0, 0, 0, 0))], [0.5], [2])
        .sum("case")
        .squeeze()
    )
    assert float(score(counts, "brier")) == pytest.approx((1 + 4 * 0.25) / 10)
    assert (
        counts.probability_forecasts.values[[0, 5, 10]].tolist() == [2, 4, 4]
        and counts.probability_forecasts.sum() == 10
    )
    assert counts.probability_events.values[[0, 5, 10]].tolist() == [0, 1, 3]
    reliable = score(counts, "reliability")
    assert reliable.values[[0, 5, 10]].tolist() == [0, 0.25, 0.75] and reliable.isnull().sum() == 8


def test_crps_of_two_members():
    """The squared area between the members' stairs and the observation's step: 1 and 3 for 2 is 0.5, for 5 is 2.5."""
    members = np.array([[1.0, 1.0], [3.0, 3.0]]).reshape(2, 1, 1, 2)
    assert count([(members, field(2, 5))], [0.5]).crps_sum.item() == pytest.approx(0.5 + 2.5)


# pysteps


def test_contingency_scores_equal_pysteps(pairs):
    counts = count(pairs, [0.5, 5.0]).sum("case")
    for lead in range(2):
        for t, threshold in enumerate([0.5, 5.0]):
            expected = det_cat_fct(
                *stacked(pairs, lead), threshold, ["CSI", "POD", "FAR", "HSS", "BIAS"]
            )
            for name, value in expected.items():
                assert float(score(counts, name.lower())[lead, t]) == pytest.approx(value, abs=1e-9)


def test_continuous_scores_equal_pysteps(pairs):
    counts = count(pairs, [0.5]).sum("case")
    names = {"MSE": "mse", "MAE": "mae", "ME": "mean_error", "corr_p": "correlation"}
    for lead in range(2):
        for name, value in det_cont_fct(*stacked(pairs, lead), list(names)).items():
            assert float(score(counts, names[name])[lead]) == pytest.approx(value, abs=1e-9)


def test_fractions_skill_score_equals_pysteps(pairs):
    scales = [1, 2, 3, 8, 64]
    found = score(count(pairs, [0.5, 5.0], scales).sum("case"), "fss")
    for lead in range(2):
        for t, threshold in enumerate([0.5, 5.0]):
            for s, scale in enumerate(scales):
                pooled = fss_init(threshold, scale)
                for predicted, observed in pairs:  # pysteps takes NaN for dry
                    fss_accum(
                        pooled,
                        np.where(np.isnan(observed), np.nan, predicted)[lead],
                        observed[lead],
                    )
                assert float(found[lead, t, s]) == pytest.approx(fss_compute(pooled), abs=1e-9)


def test_spectra_equal_pysteps(pairs):
    counts = count(pairs, [0.5], pixel_km=2.0)
    for case, (predicted, observed) in enumerate(pairs):
        for lead in range(2):
            seen = np.isfinite(observed[lead])
            for name, rain in {"forecast_power": predicted, "observed_power": observed}.items():
                power, frequency = rapsd(
                    np.where(seen, np.nan_to_num(rain[lead]), 0),
                    fft_method=np.fft,
                    return_freq=True,
                    d=2.0,
                )
                np.testing.assert_allclose(counts[name][case, lead], power[1:], atol=1e-9)
                np.testing.assert_allclose(counts.wavelength, 1 / frequency[1:])


def test_crps_equals_pysteps(ensembles):
    found = score(count(ensembles, [0.5]).sum("case"), "crps")
    for lead in range(2):
        expected = probscores.CRPS_init()
        for members, observed in ensembles:  # pysteps leaves NaN out
            probscores.CRPS_accum(expected, members[:, lead], observed[lead])
        assert float(found[lead]) == pytest.approx(probscores.CRPS_compute(expected), abs=1e-9)


@pytest.mark.parametrize("threshold", [0.5, 2.0])
def test_reliability_and_roc_equal_pysteps(ensembles, threshold):
    counts = count(ensembles, [threshold]).sum("case").squeeze("threshold")
    curve, reliable = roc(counts), score(counts, "reliability")
    for lead in range(2):
        diagram, expected = (
            probscores.reldiag_init(threshold, 11, 1),
            probscores.ROC_curve_init(threshold, 11),
        )
        for members, observed in ensembles:
            chance = PROBABILITIES[(members[:, lead] > threshold).sum(0)]
            probscores.reldiag_accum(diagram, chance, observed[lead])
            probscores.ROC_curve_accum(expected, chance, observed[lead])
        with np.errstate(invalid="ignore"):
            said, happened = probscores.reldiag_compute(diagram)
        pofd, pod, area = probscores.ROC_curve_compute(expected, compute_area=True)
        np.testing.assert_allclose(reliable[lead], happened, atol=1e-9)
        np.testing.assert_allclose(
            said, np.where(np.isnan(happened), np.nan, PROBABILITIES), atol=1e-9
        )
        found = curve.isel(lead=lead)
        np.testing.assert_allclose(found.pod, pod, atol=1e-9)
        np.testing.assert_allclose(found.pofd, pofd, atol=1e-9)
        assert found.area.item() == pytest.approx(area, abs=1e-9) and 0.5 < area < 1


def test_rank_histogram_equals_pysteps(ensembles):
    found = count(ensembles, [0.5]).ranks.sum("case")
    for lead in range(2):
        expected = ensscores.rankhist_init(10)
        for members, observed in ensembles:  # no ties, for no value comes twice
            rainy = (np.nan_to_num(observed) > 0.1) | (members.max(0) > 0.1)
            ensscores.rankhist_accum(
                expected, members[:, lead], np.where(rainy[lead], observed[lead], np.nan)
            )
        assert (
            found[lead].values.tolist()
            == ensscores.rankhist_compute(expected, normalize=False).tolist()
        )


def test_similarity_equals_torchmetrics(pairs):
    found = of(pairs[0], "ssim")
    for lead in range(2):
        seen = np.isfinite(pairs[0][1][lead])
        frames = [
            RainScale().to_model(np.where(seen, np.nan_to_num(rain[lead]), 0.0))
            for rain in pairs[0]
        ]
        a, b = (torch.from_numpy(frame)[None, None] for frame in frames)
        _, everywhere = structural_similarity_index_measure(
            a, b, sigma=1.5, data_range=1.0, return_full_image=True
        )
        inner = everywhere[..., 5:-5, 5:-5]  # as Wang et al.: only windows that lie in the frame
        assert float(found[lead]) == pytest.approx(float(inner.mean()), abs=1e-9)


# physics


def cluster(row, column, side=4, size=32):
    """Rain of 4 mm/h on ``side`` × ``side`` px."""
    rain = np.zeros((1, size, size))
    rain[0, row : row + side, column : column + side] = 4.0
    return rain


def test_misplaced_rain_is_forgiven_at_larger_scales():
    counts = count([(cluster(14, 10), cluster(14, 16))], [0.5], [1, *SCALES[:5]]).sum("case")
    fss = score(counts, "fss").squeeze().values
    assert score(counts, "csi").item() == 0 and fss[0] == 0
    assert (np.diff(fss)[1:] > 0).all() and fss[-1] > 0.7


def test_fractions_of_a_pixel_that_is_one_off():
    """Windows of 3 px: each pixel's share covers 3×3 px, two of them moved by one share 6 px: 1 - 6 / (9 + 9)…"""
    found = of((cluster(15, 15, 1), cluster(15, 16, 1)), "fss", scales=[1, 3, 5])
    assert found.squeeze().values == pytest.approx([0, 1 - 6 / 18, 1 - 10 / 50])


def test_misplaced_rain_is_punished_twice():
    truth, moved, dry = cluster(14, 10), cluster(14, 20), np.zeros((1, 32, 32))
    assert of((moved, truth), "mse") == 2 * of((dry, truth), "mse") > 0
    assert of((dry, truth), "mean_error") < 0 == of((moved, truth), "mean_error")


def test_wave_has_its_power_at_its_length():
    wave = 1 + np.sin(2 * np.pi * np.arange(64) / 8) * np.ones((1, 64, 1))
    counts = count([(wave, wave)], [0.5], pixel_km=0.5)
    assert counts.wavelength[counts.observed_power.argmax("wavelength")] == 4.0  # km
    assert (counts.wavelength[0], counts.sizes["wavelength"]) == (32, 31)


@pytest.mark.parametrize(("sigma", "pixel"), [(1.0, 1.0), (2.0, 1.0), (2.0, 0.5)])
def test_effective_resolution_is_what_the_blur_leaves(sigma, pixel):
    """A Gaussian blur halves the power at the wavelength 2 π σ / √(ln 2), seven and a half times its σ."""
    rain = np.random.default_rng(0).gamma(0.5, 4, (3, 128, 128))
    blurred = np.stack([gaussian_filter(frame, sigma, mode="wrap") for frame in rain])
    found = effective_resolution(count([(blurred, rain)], [0.5], pixel_km=pixel).sum("case"))
    assert found.values == pytest.approx([7.547 * sigma * pixel] * 3, rel=0.1)
    sharp = effective_resolution(count([(rain, rain)], [0.5], pixel_km=pixel).sum("case"))
    assert sharp.values == pytest.approx([2 * pixel] * 3, rel=0.05)


def test_effective_resolution_needs_a_spectrum():
    rain = np.random.default_rng(0).gamma(0.5, 4, (1, 16, 16))
    assert effective_resolution(count([(rain * 0, rain)], [0.5]).sum("case")) == pytest.approx(
        16 / 3
    )
    for pair in ((rain, rain * 0), (rain, rain * np.nan), (rain[:, :5, :5], rain[:, :5, :5])):
        assert effective_resolution(count([pair], [0.5]).sum("case")).isnull().all()


def test_members_keep_the_spectrum_that_their_mean_loses():
    members = np.random.default_rng(0).gamma(0.5, 4, (9, 1, 64, 64))
    counts = count([(members[:8], members[8])], [0.5]).sum("case")
    assert score(counts, "spectrum").mean() < 0.2 and score(
        counts, "member_spectrum"
    ).mean() == pytest.approx(1, 0.1)


def test_reliable_ensemble_is_flat_and_on_the_diagonal():
    """Members and observation are drawn alike; rain of a place falls with a chance and a strength of its own."""
    rng = np.random.default_rng(0)
    chance, strength = rng.uniform(0, 1, (1, 200, 200)), rng.gamma(1, 4, (1, 200, 200))
    drawn = np.where(
        rng.uniform(size=(11, 1, 200, 200)) < chance,
        rng.exponential(strength, (11, 1, 200, 200)),
        0.0,
    )
    members, observed = drawn[:10], drawn[10]
    counts = count([(members, observed)], [0.5], scales=[2]).sum("case").squeeze()
    ranks = counts.ranks / counts.ranks.sum()
    assert counts.ranks.sum() > 30000 and ranks.values == pytest.approx(
        np.full(11, 1 / 11), abs=0.006
    )
    crps = float(score(counts, "crps"))
    alone = [of((member, observed), "crps", scales=[2]).item() for member in members[:3]]
    assert crps < 0.8 * min(alone) and 0.6 < roc(counts).area < 0.95
    picked = np.take_along_axis(members, rng.integers(0, 10, (1, 1, 200, 200)), 0)[
        0
    ]  # as likely as the members say
    reliable = score(count([(members, picked)], [0.5], scales=[2]), "reliability").squeeze()
    assert reliable.values == pytest.approx(PROBABILITIES, abs=0.03)
    narrow = count(
        [(members * 0.2 + 0.8 * members.mean(0), observed)], [0.5], scales=[2]
    ).ranks.squeeze()
    assert (
        narrow[[0, -1]].sum() > 0.4 * narrow.sum()
    )  # overconfident: too often outside of all members


def test_area_under_roc_tells_knowledge_from_noise():
    rng = np.random.default_rng(0)
    observed = rng.gamma(0.5, 2, (1, 100, 100))
    noise = rng.permuted(
        np.broadcast_to(observed, (10, 1, 100, 100)).reshape(10, -1), axis=1
    ).reshape(10, 1, 100, 100)
    known = [
        roc(count([(f, observed)], [1.0], [2]).sum("case")).area.item()
        for f in (noise, observed, observed * 0)
    ]
    assert known == pytest.approx([0.5, 1, 0.5], abs=0.02)


def test_single_forecast_is_an_ensemble_of_one(pairs):
    single = count(pairs, [0.5])
    np.testing.assert_allclose(score(single, "crps"), score(single, "mae"))
    np.testing.assert_allclose(single.member_power, single.forecast_power)
    one = count([(predicted[None], observed) for predicted, observed in pairs], [0.5])
    xr.testing.assert_identical(single, one)
    assert single.ranks.sum() <= single.pixels.sum() and single.sizes["rank"] == 2


def test_ties_are_broken_by_the_same_lot_every_time():
    """Members and observation all equal: every rank is as likely, and a second count finds the same."""
    wet = np.ones((1, 100, 100))
    ranks, again = (
        count([(np.ones((4, 1, 100, 100)), wet)], [0.5], [2]).ranks.squeeze() for _ in range(2)
    )
    assert ranks.equals(again) and ranks.sum() == 10000
    assert ranks.values == pytest.approx(np.full(5, 2000), abs=150)
    assert (
        count([(np.zeros((4, 1, 8, 8)), np.zeros((1, 8, 8)))], [0.5]).ranks.sum() == 0
    )  # nobody says rain


# what is not known, or not defined


def test_unknown_forecast_counts_as_dry_and_unobserved_as_nothing():
    counts = count([(field(np.nan, np.nan, 3, 3), field(4, 0, np.nan, 3))], [1.0]).sum("case")
    assert [counts[c].item() for c in COUNTS] == [1, 1, 0, 1] and counts.pixels == 3
    assert score(counts, "mse") == pytest.approx(16 / 3) and score(counts, "mae") == pytest.approx(
        4 / 3
    )


@pytest.mark.parametrize("ensemble", [False, True])
@pytest.mark.parametrize("value", [99.0, np.nan])
def test_forecast_of_the_unobserved_counts_for_nothing(ensembles, ensemble, value):
    members, observed = ensembles[0]
    predicted = members if ensemble else members[0]
    changed = np.where(np.isnan(observed), value, predicted)
    xr.testing.assert_identical(
        *(count([(f, observed)], [0.5, 5.0], [2, 8]) for f in (predicted, changed))
    )


def test_what_a_member_does_not_know_the_others_tell():
    members = np.array([[np.nan, np.nan, 2.0], [4.0, np.nan, 4.0], [2.0, np.nan, 0.0]]).reshape(
        3, 1, 1, 3
    )
    filled = np.array([[3.0, 0.0, 2.0], [4.0, 0.0, 4.0], [2.0, 0.0, 0.0]]).reshape(3, 1, 1, 3)
    xr.testing.assert_identical(
        *(count([(f, field(3, 3, 3))], [0.5, 2.5]) for f in (members, filled))
    )
    assert count([(members, field(3, 3, 3))], [0.5]).forecast == 3 + 0 + 2


def test_undefined_scores_stay_undefined_with_their_counts():
    dry, wet, blind = np.zeros((1, 2, 2)), np.ones((1, 2, 2)), np.full((1, 2, 2), np.nan)

    def scores(*pair):
        counts = count([pair], [0.5]).sum("case")
        return {n: np.unique(score(counts, n)) for n in SCORES} | {
            c: counts[c].item() for c in COUNTS
        }

    def undefined(found):
        return {name for name, value in found.items() if np.isnan(value).all()}

    ratios = {
        "csi",
        "pod",
        "far",
        "bias",
        "hss",
        "fss",
        "correlation",
        "ssim",
        "spectrum",
        "member_spectrum",
    }
    nothing, alarm, missed, unseen = (
        scores(dry, dry),
        scores(wet, dry),
        scores(dry, wet),
        scores(dry, blind),
    )
    assert (
        undefined(nothing) == ratios and nothing["correct_negatives"] == 4 and nothing["mse"] == 0
    )
    assert undefined(alarm) == ratios - {"csi", "far", "hss", "fss"} and alarm["false_alarms"] == 4
    assert (alarm["csi"], alarm["far"], alarm["hss"], alarm["fss"]) == (0, 1, 0, 0)
    assert undefined(missed) == ratios - {"csi", "pod", "bias", "hss", "fss"} and missed["pod"] == 0
    assert undefined(unseen) == {*SCORES} and sum(unseen[c] for c in COUNTS) == 0
    assert roc(count([(dry, dry)], [0.5]).sum("case")).area.isnull().all()
    assert roc(count([(wet, wet)], [0.5]).sum("case")).area.isnull().all()


def test_threshold_that_is_never_reached_is_undefined_at_it_alone(pairs):
    counts = count(pairs, [0.5, 1e6]).sum("case")
    for name in ("csi", "pod", "far", "bias", "hss", "fss"):
        assert score(counts.isel(threshold=0), name).notnull().all()
        assert score(counts.isel(threshold=1), name).isnull().all()


def test_frame_that_was_not_observed_leaves_the_others_alone():
    rain = np.random.default_rng(0).gamma(0.5, 4, (2, 2, 16, 16))
    rain[1, 0] = np.nan
    counts = count([(rain[0], rain[1])], [0.5])
    assert counts.frames.values.tolist() == [[0, 1]] and counts.pixels.values.tolist() == [[0, 256]]
    assert np.isnan(score(counts, "ssim").values).tolist() == [[True, False]]
    twice = count([(rain[0], rain[0]), (rain[0], rain[1])], [0.5]).sum("case")
    assert score(twice, "ssim")[0] == 1 > score(twice, "ssim")[1]


@pytest.mark.parametrize("value", [0.1, 0.3, 1.1, 3.3])
def test_constant_field_has_no_correlation(value):
    rain = np.random.default_rng(0).gamma(0.5, 4, (1, 17, 23))
    assert of((np.full((1, 17, 23), value), rain), "correlation").isnull()
    assert of((2 * rain + value, rain), "correlation") == pytest.approx(1)


def test_rain_at_the_threshold_is_none():
    rain = field(0.5, 0.5001)
    counts = count([(rain, rain)], [0.5]).sum("case")
    assert (
        counts.hits == 1
        and counts.probability_events.sum() == 1
        and counts.probability_forecasts.squeeze()[-1] == 1
    )


def test_frames_of_any_shape_are_counted():
    for shape in ((1, 1), (1, 30), (30, 1), (2, 2), (5, 7), (12, 31)):
        rain = np.random.default_rng(0).gamma(0.5, 4, (2, *shape))
        counts = count([(rain, rain)], [0.5]).sum("case")
        assert (counts.misses + counts.false_alarms == 0).all() and (
            counts.pixels == np.prod(shape)
        ).all()
        assert score(counts, "ssim").notnull().all() == (min(shape) > 10)


def test_pairs_that_do_not_fit_are_told():
    rain = np.zeros((1, 2, 3))
    with pytest.raises(
        NowcastError, match=r"forecast \(1, 2, 3\) and observation \(1, 3, 2\) differ in shape"
    ):
        count([(rain, np.zeros((1, 3, 2)))], [0.5])
    with pytest.raises(
        NowcastError, match=r"forecasts differ in shape: \(4, 1, 2, 3\) and \(1, 2, 3\)"
    ):
        count([(np.stack([rain] * 4), rain), (rain, rain)], [0.5])
    with pytest.raises(NowcastError, match="no case"):
        count([], [0.5])
    with pytest.raises(NowcastError, match="unknown score 'skill': choose one of csi, pod"):
        score(count([(rain, rain)], [0.5]), "skill")


# pooled and averaged, and how sure


def three_cases():
    """CSI of 8/10, of 0/2, and of nothing, by case."""
    hit, miss, dry = [1.0] * 8 + [1, 1] + [0] * 10, [1.0] * 8 + [0, 0] + [0] * 10, [0.0] * 20
    rows = (miss, hit), (dry, [1.0, 1.0] + [0] * 18), (dry, dry)
    return (
        count([(field(*f), field(*o)) for f, o in rows], [0.5])
        .rename(lead="lead_time")
        .assign_coords(lead_time=[5])
    )


def test_pooled_is_not_averaged():
    counts = three_cases().assign_coords(event=("case", ["monday", "monday", "tuesday"]))
    assert score(counts.sum("case"), "csi").item() == 8 / 12
    np.testing.assert_array_equal(score(counts, "csi").squeeze(), [0.8, 0.0, np.nan])
    assert score(counts, "csi").mean("case").item() == 0.4
    by_event = score(counts.groupby("event").sum(), "csi").squeeze()
    assert by_event.sel(event="monday") == 8 / 12 and by_event.sel(event="tuesday").isnull()


def test_table_names_both_with_their_counts():
    rows = table(three_cases().expand_dims(forecaster=["b", "a"]))
    assert rows.forecaster.tolist() == ["b", "a"] and rows.columns[:4].tolist() == [
        "forecaster",
        "threshold",
        "lead_time",
        "cases",
    ]
    row = rows.iloc[0]
    assert row[["cases", "csi", "csi_averaged", "csi_defined"]].tolist() == [3, 8 / 12, 0.4, 2]
    assert row[[*COUNTS]].tolist() == [8, 4, 0, 48] and (row.mse, row.pod, row.far) == (
        4 / 60,
        8 / 12,
        0,
    )
    cases = many_cases([0.2, 0.4, 0.9]).expand_dims(forecaster=["a"])
    bounds = interval(cases, level=0.5).squeeze().values.tolist()
    assert table(cases, level=0.5).loc[0, ["csi_low", "csi_high"]].tolist() == bounds
    assert row.isnull().to_dict()["ssim"] and rows.hits.dtype.kind == "i"


def many_cases(csi):
    """Cases of 20 px with rain, of which a share is hit."""
    wet = np.ones((1, 1, 20))
    made = [
        (np.where(np.arange(20) < 20 * share, 1.0, 0.0).reshape(1, 1, 20), wet) for share in csi
    ]
    return count(made, [0.5], [2]).rename(lead="lead_time").assign_coords(lead_time=[5])


def test_interval_is_as_wide_as_the_cases_differ():
    low, high = [], []
    for shares in ([0.5] * 12, [0.4, 0.6] * 6, [0.1, 0.9] * 6):
        counts = many_cases(shares)
        bounds = interval(counts).squeeze()
        assert mean_csi(counts.sum("case")).item() == pytest.approx(0.5)
        assert bounds.bound.values.tolist() == ["low", "high"] and bounds.equals(
            interval(counts).squeeze()
        )
        low, high = [*low, bounds[0].item()], [*high, bounds[1].item()]
    assert low[0] == high[0] == 0.5
    assert low[2] < low[1] < 0.5 < high[1] < high[2]
    # of the mean of 12 fair draws of 0.1 or 0.9: 0.5 ± 1.645 · 0.4 / √12
    assert (low[2], high[2]) == pytest.approx((0.31, 0.69), abs=0.05)
    wide, narrow = (np.ptp(interval(counts, level=level).values) for level in (0.99, 0.5))
    assert wide > high[2] - low[2] > narrow > 0


def test_interval_of_any_score_is_made_of_its_pooled_sums():
    counts = many_cases([0.2, 0.4, 0.5, 0.7, 1.0])
    bounds = interval(counts, lambda sums: score(sums, "pod"), draws=200, seed=3).squeeze()
    lot = np.random.default_rng(3).multinomial(5, np.full(5, 0.2), size=200)
    drawn = (lot @ np.array([4, 8, 10, 14, 20])) / 100
    assert bounds.values == pytest.approx(np.quantile(drawn, [0.05, 0.95]))


def test_interval_of_too_little_is_undefined():
    assert interval(many_cases([0.5])).isnull().all()
    assert (
        interval(three_cases(), lambda sums: score(sums, "csi")).isnull().all()
    )  # a draw of dry cases alone
    assert (
        table(many_cases([0.5]).expand_dims(forecaster=["a"]))[["csi_low", "csi_high"]]
        .isna()
        .all(axis=None)
    )


def test_mean_csi_leaves_lead_0_out_and_undefined_undefined():
    wet = np.ones((3, 1, 10))
    third, half = wet.copy(), wet.copy()
    third[1, :, 4:], third[2, :, 2:], half[1, :, 5:] = 0, 0, 0
    observed = wet * [[[1.0]], [[1.0]], [[5.0]]]  # above 2 mm/h it rains at the last lead alone
    cases = [count([(f, observed)], [0.5, 2.0], [2]) for f in (third, half)]
    counts = xr.concat(cases, xr.DataArray(["b", "a"], dims="forecaster", name="forecaster"))
    found = mean_csi(
        counts.rename(lead="lead_time").assign_coords(lead_time=[0, 5, 10]).sum("case")
    )
    assert found.sel(forecaster="b", threshold=0.5) == pytest.approx(0.3)
    assert found.sel(forecaster="a", threshold=0.5) == pytest.approx(0.75)
    assert found.sel(threshold=2.0).isnull().all()


# evaluation


def test_evaluation_shows_matching_clocks_and_fair_cases(storm):
    options = EvaluationOptions(leads=3, thresholds=(0.5, 5.0), size=0, every=2, scales=(2, 8))
    counts = evaluate(storm, RUNS, options, progress=False)
    assert counts.hits.dims == ("forecaster", "case", "lead_time", "threshold")
    assert counts.forecaster.values.tolist() == list(RUNS) and counts.lead_time.values.tolist() == [
        0,
        5,
        10,
        15,
    ]
    assert counts.lead_time.attrs["units"] == "minutes" and counts.scale.values.tolist() == [2, 8]
    assert (counts.issued.values == storm.time.values[[3, 5, 7]]).all()
    assert (counts.event == storm.time[0]).all()
    pooled = counts.sum("case")
    now = pooled.sel(lead_time=0)
    assert (
        (score(now, "csi") == 1).all()
        and (score(now, "mse") == 0).all()
        and (score(now, "crps") == 0).all()
    )
    later = score(pooled.sel(lead_time=15, threshold=0.5), "csi").to_series()
    assert later["extrapolation"] > later["persistence"] > 0
    assert ((counts.hits + counts.misses).std("forecaster") == 0).all()  # the same rain for all
    assert (counts.pixels == 64 * 64).all()
    ranks = counts.ranks.sel(lead_time=15)
    assert (
        ranks.sel(forecaster="steps").notnull().all()
        and ranks.sel(forecaster="sprog")[:, 2:].isnull().all()
    )
    crps, mae = score(pooled, "crps"), score(pooled, "mae")
    single = [name for name in RUNS if name != "steps"]
    np.testing.assert_allclose(crps.sel(forecaster=single), mae.sel(forecaster=single))
    assert (crps.sel(forecaster="steps")[1:] < mae.sel(forecaster="steps")[1:]).all()


def test_perfect_forecaster_scores_1_at_its_valid_times(storm):
    truth = {f.tobytes(): k for k, f in enumerate(storm.values.astype("f8"))}

    def oracle(observed, n):
        return storm.values[truth[observed[-1].tobytes()] + 1 :][:n]

    options = EvaluationOptions(leads=4, thresholds=(0.5,), size=0)
    counts = evaluate(storm, {"oracle": Baseline(oracle)}, options, progress=False)
    pooled = counts.sum("case")
    assert all(
        (score(pooled, name) == 1).all() for name in ("csi", "hss", "fss", "ssim", "spectrum")
    )
    assert (score(pooled, "mse") == 0).all() and counts.sizes["case"] == 12 - 2 - 4
    assert score(pooled, "correlation").values == pytest.approx(1)


def test_size_and_margin_are_kept_to(storm):
    shapes = []

    def spy(observed, n):
        shapes.append(observed.shape)
        assert (
            observed[-1] == storm.sel(time=storm.time[len(shapes) + 1]).values[16:48, 16:48]
        ).all()
        return baselines.persistence(observed, n)

    options = EvaluationOptions(leads=2, thresholds=(0.5,), size=32, margin=6)
    counts = evaluate(storm, {"spy": Baseline(spy)}, options, progress=False)
    assert set(shapes) == {(3, 32, 32)} and (sum(counts[c] for c in COUNTS) == 20 * 20).all()
    inner = storm.values[:, 22:42, 22:42]
    expected = count([(inner[t : t + 1], inner[t + 2 : t + 3]) for t in range(2, 10)], [0.5])
    for name in (*COUNTS, "squared_errors", "observed_power", "fraction_errors"):
        np.testing.assert_array_equal(
            counts[name][0].sel(lead_time=10), expected[name].squeeze("lead")
        )
    np.testing.assert_allclose(counts.wavelength, 20 / np.arange(1, 10))


def test_common_area_is_what_everybody_knows_something_of(storm):
    def half(observed, n):
        field = baselines.persistence(observed, n).copy()
        field[:, :, :32] = np.nan
        return field

    def pair(observed, n):
        """Members of which one knows all but the first rows, the other only the last."""
        members = np.stack([baselines.persistence(observed, n)] * 2)
        members[0, :, :8], members[1, :, :32] = np.nan, np.nan
        return members

    runs = {"persistence": BASELINES["persistence"], "half": Baseline(half), "pair": Baseline(pair)}
    options = EvaluationOptions(leads=2, thresholds=(0.5,), size=0, every=3, scales=(2,))
    alone = evaluate(storm, runs, options, progress=False).sum("case")
    alike = evaluate(storm, runs, replace(options, common=True), progress=False).sum("case")
    cases = 3
    assert (
        alike.pixels == cases * np.array([64 * 64, 56 * 32, 56 * 32])
    ).all()  # at lead 0 all is known
    assert (alone.pixels == cases * 64 * 64).all()
    for name in ("hits", "misses", "squared_errors", "fraction_errors", "crps_sum"):
        assert (alike[name] == alike[name].sel(forecaster="persistence")).all()
    assert (
        alone.misses.sel(forecaster="half")[1:] > alone.misses.sel(forecaster="persistence")[1:]
    ).all()


def test_event_is_a_new_one_after_an_hour_without_frames(storm):
    def cases(run, pause):
        times = [*storm.time.values[:6], *(storm.time.values[6:] + np.timedelta64(pause, "m"))]
        frames = storm.assign_coords(time=times)
        options = EvaluationOptions(leads=2, thresholds=(0.5,), size=0, scales=(2,))
        return times, evaluate(frames, {"run": run}, options, progress=False)

    times, counts = cases(Baseline(baselines.persistence, n_in=3), 65)
    assert counts.issued.values.tolist() == [times[k].tolist() for k in (2, 3, 8, 9)]
    assert counts.event.values.tolist() == [times[k].tolist() for k in (0, 0, 6, 6)]
    by_event = counts.groupby("event").sum().squeeze("forecaster")
    first = count([(storm.values[[k] * 3], storm.values[k : k + 3]) for k in (2, 3)], [0.5], (2,))
    np.testing.assert_array_equal(by_event.hits[0], first.hits.sum("case"))
    times, near = cases(Baseline(baselines.persistence, n_in=3), 55)
    assert near.sizes["case"] == 4 and (near.event == times[0]).all()
    # the first frame of an event is enough for its first forecast
    times, early = cases(Baseline(baselines.persistence, n_in=1), 65)
    assert early.event.values.tolist() == [times[k].tolist() for k in (0, 0, 0, 0, 6, 6, 6, 6)]


def test_one_case_and_holes_in_the_frames_are_borne_with(storm):
    holed = storm[:6].copy(deep=True)
    holed[2, :5], holed[3, :, :5], holed[4] = np.nan, np.nan, np.nan
    options = EvaluationOptions(leads=1, thresholds=(0.5,), size=0, scales=(2,))
    counts = evaluate(holed, RUNS, options, progress=False)
    assert counts.sizes["case"] == 2  # from frames 3 and 4
    assert (counts.pixels == [[64 * 59, 0], [0, 64 * 64]]).all()
    assert score(counts, "csi")[:, 1, 1].values.tolist() == [[0.0]] * len(
        RUNS
    )  # who has seen nothing forecasts nothing
    assert score(counts, "csi").isnull().values[:, :, :, 0].tolist() == [
        [[False, True], [True, False]]
    ] * len(RUNS)
    one = counts.isel(case=[0])
    assert interval(one).isnull().all() and len(table(one)) == len(RUNS) * 2


def test_evaluation_without_a_case_or_a_pixel_or_rain_is_refused(storm):
    runs = {"persistence": BASELINES["persistence"]}

    def refused(match, frames=storm, **changes):
        options = EvaluationOptions(**({"leads": 2} | changes))
        with pytest.raises(NowcastError, match=match):
            evaluate(frames, runs, options, progress=False)

    refused(r"3 \+ 10 consecutive frames, .* 12 have none: ask for fewer leads", leads=10)
    refused(r"need 3 \+ 2 consecutive frames", frames=storm.isel(time=slice(1)))
    refused("a margin of 32 px leaves no pixel", margin=32)
    refused(r"no rain above 0\.5 mm/h", frames=storm * 0)
    refused(r"no rain above 0\.5 mm/h", frames=storm * np.nan)


@pytest.mark.parametrize(
    ("name", "value"),
    [("every", 0), ("every", -1), ("margin", -1), ("size", -1), ("pool", 0), ("leads", 0)],
)
def test_options_below_their_minimum_are_refused(name, value):
    with pytest.raises(NowcastError, match=f"{name} is {value}: it must be"):
        EvaluationOptions(**{name: value})


def test_negative_threshold_is_refused():
    with pytest.raises(NowcastError, match="a threshold is -1 mm/h"):
        EvaluationOptions(thresholds=(0.5, -1))


def test_observation_elsewhere_or_at_another_time_is_refused(storm):
    predicted = forecast(BASELINES["persistence"], storm, storm.time.values[5], 3)
    np.testing.assert_array_equal(observed_at(predicted, storm), storm.values[6:9])
    ensemble = predicted.expand_dims(member=2)
    np.testing.assert_array_equal(observed_at(ensemble, storm), storm.values[6:9])
    for axis, moved in (("x", storm.x + 500), ("y", storm.y + 500), ("y", -storm.y)):
        with pytest.raises(NowcastError, match=f"on different grids: their {axis} differ"):
            observed_at(predicted, storm.assign_coords({axis: moved}))
    with pytest.raises(NowcastError, match="on different grids: their y differ"):
        observed_at(predicted, storm[:, 1:])
    with pytest.raises(NowcastError, match="forecast for 2024-06-01 00:40:00 cannot be verified"):
        observed_at(predicted, storm[:8])
    with pytest.raises(NowcastError, match="forecast for 2024-06-01 00:30:00 cannot be verified"):
        observed_at(predicted, storm.assign_coords(time=storm.time + np.timedelta64(1, "m")))


def test_issue_times_keep_clear_of_gaps(storm):
    holed = storm.isel(time=[0, 1, 2, 3, 4, 6, 7, 8, 9])
    assert issue_times(holed, 2, 2).tolist() == [
        pd.Timestamp(storm.time.values[k]) for k in (1, 2, 7)
    ]
    assert issue_times(holed, 2, 2, every=2).tolist() == [
        pd.Timestamp(storm.time.values[k]) for k in (1, 7)
    ]
