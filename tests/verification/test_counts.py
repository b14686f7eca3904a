"""Sums of count: simple fields, missing values, and frames of any shape."""

import numpy as np
import pytest
import xarray as xr
from made_forecasts import one_row, pooled_score, without_drizzle

from nowcastlib.errors import NowcastError
from nowcastlib.verification import COUNTS, PROBABILITIES, SCALES, SCORES, count, roc, score


def cluster(row, column, side=4, size=32):
    """Rain of 4 mm/h on ``side`` × ``side`` px."""
    rain = np.zeros((1, size, size))
    rain[0, row : row + side, column : column + side] = 4.0
    return rain


def test_fss_of_misplaced_rain_grows_with_the_scale():
    counts = count([(cluster(14, 10), cluster(14, 16))], [0.5], [1, *SCALES[:5]]).sum("case")
    fss = score(counts, "fss").squeeze().values
    assert score(counts, "csi").item() == 0
    assert fss[0] == 0
    assert (np.diff(fss)[1:] > 0).all()
    assert fss[-1] > 0.7


def test_fss_of_a_pixel_displaced_by_one_by_hand():
    """A pixel lies in 3×3 windows of 3 px; 3 + 3 of these hold only one of the two pixels."""
    computed = pooled_score((cluster(15, 15, 1), cluster(15, 16, 1)), "fss", scales=[1, 3, 5])
    assert computed.squeeze().values == pytest.approx([0, 1 - 6 / 18, 1 - 10 / 50])


def test_misplaced_rain_has_twice_the_squared_error_of_no_rain():
    truth, moved, dry = cluster(14, 10), cluster(14, 20), np.zeros((1, 32, 32))
    assert pooled_score((moved, truth), "mse") == 2 * pooled_score((dry, truth), "mse") > 0
    assert pooled_score((dry, truth), "mean_error") < 0
    assert pooled_score((moved, truth), "mean_error") == 0


def test_power_of_a_wave_is_at_its_wavelength():
    wave = 1 + np.sin(2 * np.pi * np.arange(64) / 8) * np.ones((1, 64, 1))
    counts = count([(wave, wave)], [0.5], pixel_km=0.5)
    assert counts.wavelength[counts.observed_power.argmax("wavelength")] == 4.0  # km
    assert (counts.wavelength[0], counts.sizes["wavelength"]) == (32, 31)


@pytest.mark.parametrize("shape", [(64, 256), (256, 64), (48, 100)])
@pytest.mark.parametrize("axis", [0, 1])
def test_power_of_a_wave_is_at_its_wavelength_on_grids_that_are_not_square(shape, axis):
    """Waves of 8 km along the long or the short side, and nothing else."""
    position = np.indices(shape)[axis]
    wave = 1 + np.sin(2 * np.pi * position / 8)[None]
    counts = count([(wave, wave)], [0.5])
    strongest = counts.wavelength[counts.observed_power.argmax("wavelength")].item()
    assert strongest == pytest.approx(8, rel=0.05)


def test_mean_of_members_loses_power_and_a_member_does_not():
    members = np.random.default_rng(0).gamma(0.5, 4, (9, 1, 64, 64))
    counts = count([(members[:8], members[8])], [0.5]).sum("case")
    assert score(counts, "spectrum").mean() < 0.2
    assert score(counts, "member_spectrum").mean() == pytest.approx(1, 0.1)


def test_reliable_ensemble_has_flat_ranks_and_diagonal_reliability():
    """Members and observation have the same distribution, which differs from pixel to pixel."""
    rng = np.random.default_rng(0)
    chance, strength = rng.uniform(0, 1, (1, 200, 200)), rng.gamma(1, 4, (1, 200, 200))
    raining = rng.uniform(size=(11, 1, 200, 200)) < chance
    rain = np.where(raining, rng.exponential(strength, (11, 1, 200, 200)), 0.0)
    members, observed = rain[:10], rain[10]

    def counts_of(predicted, truth):
        return count([(predicted, truth)], [0.5], scales=[2]).sum("case").squeeze()

    counts = counts_of(members, observed)
    ranks = counts.ranks / counts.ranks.sum()
    assert counts.ranks.sum() > 30000
    assert ranks.values == pytest.approx(np.full(11, 1 / 11), abs=0.006)

    alone = [float(score(counts_of(member, observed), "crps")) for member in members[:3]]
    assert float(score(counts, "crps")) < 0.8 * min(alone)
    assert 0.6 < roc(counts).area < 0.95

    # a member picked at random at each pixel rains as often as the members say
    picked = np.take_along_axis(members, rng.integers(0, 10, (1, 1, 200, 200)), 0)[0]
    reliability = score(counts_of(members, picked), "reliability")
    assert reliability.values == pytest.approx(PROBABILITIES, abs=0.03)

    # too narrow: the observation is too often outside of all members
    narrow = counts_of(members * 0.2 + 0.8 * members.mean(0), observed).ranks
    assert narrow[[0, -1]].sum() > 0.4 * narrow.sum()


@pytest.fixture(scope="module")
def drizzle():
    """Ten members and an observation of one distribution: 40 % are rates from 0 to 0.1 mm/h."""
    rng = np.random.default_rng(0)
    strength = rng.lognormal(-1.5, 1.5, (1, 200, 200))
    rain = strength * rng.gamma(1, 1, (11, 1, 200, 200))
    assert 0.3 < ((rain > 0) & (rain <= 0.1)).mean() < 0.5
    return rain[:10], rain[10]


@pytest.mark.parametrize("are_members_cut", [True, False])
@pytest.mark.parametrize("is_observation_cut", [True, False])
def test_ranks_are_flat_whoever_leaves_out_the_drizzle(
    drizzle, are_members_cut, is_observation_cut
):
    """Forecasters forecast 0 instead of rates up to 0.1 mm/h, and radars report them."""
    members, observed = drizzle
    predicted = without_drizzle(members) if are_members_cut else members
    truth = without_drizzle(observed) if is_observation_cut else observed
    ranks = count([(predicted, truth)], [0.5], [2]).ranks.squeeze()
    assert ranks.sum() > 20000
    np.testing.assert_allclose(ranks / ranks.sum(), 1 / 11, atol=0.006)


def test_no_score_depends_on_who_leaves_out_the_drizzle(drizzle):
    """CRPS, Brier score, errors, structural similarity, spectra: each sum is the same."""
    members, observed = (field.copy() for field in drizzle)
    members[:3, :, :50, :50] = np.nan  # members without a forecast
    members[:, :, :9, :9] = np.nan
    forecasts, truths = ((field, without_drizzle(field)) for field in (members, observed))
    expected = count([(forecasts[1], truths[1])], [0.1, 0.5], [2])
    assert expected.pixels == 40000
    for predicted in forecasts:
        for truth in truths:
            xr.testing.assert_identical(count([(predicted, truth)], [0.1, 0.5], [2]), expected)


@pytest.mark.parametrize("n", [4, 10, 20, 25])
def test_reliability_has_one_bin_for_each_number_of_members(n):
    """Each number of rainy members is forecast at 3 pixels; with k members it rains at k % 3."""
    numbers = np.repeat(np.arange(n + 1), 3)
    members = np.where(np.arange(n)[:, None] < numbers, 4.0, 0.0)[:, None, None]
    observed = np.where(np.tile(np.arange(3), n + 1) < numbers % 3, 4.0, 0.0)[None, None]
    counts = count([(members, observed)], [0.5], [2]).sum("case").squeeze()
    np.testing.assert_allclose(counts.probability, np.arange(n + 1) / n)
    assert counts.probability_forecasts.values.tolist() == [3] * (n + 1)
    assert counts.probability_events.values.tolist() == [k % 3 for k in range(n + 1)]


def test_probabilities_of_ensembles_of_10_and_20_members_share_their_bins():
    dry = np.zeros((1, 8, 8))
    ten, twenty = (count([(np.stack([dry] * n), dry)], [0.5]) for n in (10, 20))
    assert set(ten.probability.values) < set(twenty.probability.values)


def test_single_forecast_is_an_ensemble_of_one(pairs):
    single = count(pairs, [0.5])
    np.testing.assert_allclose(score(single, "crps"), score(single, "mae"))
    np.testing.assert_allclose(single.member_power, single.forecast_power)
    one = count([(predicted[None], observed) for predicted, observed in pairs], [0.5])
    xr.testing.assert_identical(single, one)
    assert single.ranks.sum() <= single.pixels.sum()
    assert single.sizes["rank"] == 2


def test_ties_of_ranks_are_broken_at_random_and_reproducibly():
    """Members and observation are equal: all ranks are equally likely."""
    wet = np.ones((1, 100, 100))
    pair = (np.ones((4, 1, 100, 100)), wet)
    ranks, again = (count([pair], [0.5], [2]).ranks.squeeze() for _ in range(2))
    assert ranks.equals(again)
    assert ranks.sum() == 10000
    assert ranks.values == pytest.approx(np.full(5, 2000), abs=150)


def test_pixels_without_rain_have_no_rank():
    dry = (np.zeros((4, 1, 8, 8)), np.zeros((1, 8, 8)))
    assert count([dry], [0.5]).ranks.sum() == 0


def test_missing_forecast_is_dry_and_missing_observation_is_left_out():
    counts = count([(one_row(np.nan, np.nan, 3, 3), one_row(4, 0, np.nan, 3))], [1.0]).sum("case")
    assert [counts[c].item() for c in COUNTS] == [1, 1, 0, 1]
    assert counts.pixels == 3
    assert score(counts, "mse") == pytest.approx(16 / 3)
    assert score(counts, "mae") == pytest.approx(4 / 3)


@pytest.mark.parametrize("ensemble", [False, True])
@pytest.mark.parametrize("value", [99.0, np.nan])
def test_forecast_does_not_matter_where_nothing_is_observed(ensembles, ensemble, value):
    members, observed = ensembles[0]
    predicted = members if ensemble else members[0]
    changed = np.where(np.isnan(observed), value, predicted)
    before, after = (count([(f, observed)], [0.5, 5.0], [2, 8]) for f in (predicted, changed))
    xr.testing.assert_identical(before, after)


def test_missing_member_is_replaced_by_the_mean_of_the_others():
    """At the second pixel no member has a forecast: dry."""
    observed = one_row(3, 3, 3)
    members = np.stack([one_row(np.nan, np.nan, 2), one_row(4, np.nan, 4), one_row(2, np.nan, 0)])
    filled = np.stack([one_row(3, 0, 2), one_row(4, 0, 4), one_row(2, 0, 0)])
    by_count, by_hand = (count([(f, observed)], [0.5, 2.5]) for f in (members, filled))
    xr.testing.assert_identical(by_count, by_hand)
    assert count([(members, observed)], [0.5]).forecast == 3 + 0 + 2


def test_undefined_scores_are_nan_with_their_counts():
    dry, wet, unobserved = np.zeros((1, 2, 2)), np.ones((1, 2, 2)), np.full((1, 2, 2), np.nan)

    def scores(predicted, observed):
        counts = count([(predicted, observed)], [0.5]).sum("case")
        table = {name: counts[name].item() for name in COUNTS}
        return {name: np.unique(score(counts, name)) for name in SCORES} | table

    def undefined(values):
        return {name for name, value in values.items() if np.isnan(value).all()}

    ratios = {"csi", "pod", "far", "bias", "hss", "fss", "correlation", "ssim"}
    ratios |= {"spectrum", "member_spectrum"}

    no_rain = scores(dry, dry)
    assert undefined(no_rain) == ratios
    assert no_rain["correct_negatives"] == 4
    assert no_rain["mse"] == 0

    false_alarm = scores(wet, dry)
    assert undefined(false_alarm) == ratios - {"csi", "far", "hss", "fss"}
    assert false_alarm["false_alarms"] == 4
    assert [false_alarm[name] for name in ("csi", "far", "hss", "fss")] == [0, 1, 0, 0]

    missed = scores(dry, wet)
    assert undefined(missed) == ratios - {"csi", "pod", "bias", "hss", "fss"}
    assert missed["pod"] == 0

    nothing_observed = scores(dry, unobserved)
    assert undefined(nothing_observed) == {*SCORES}
    assert sum(nothing_observed[name] for name in COUNTS) == 0
    assert roc(count([(dry, dry)], [0.5]).sum("case")).area.isnull().all()
    assert roc(count([(wet, wet)], [0.5]).sum("case")).area.isnull().all()


def test_scores_are_undefined_only_at_a_threshold_that_is_never_exceeded(pairs):
    counts = count(pairs, [0.5, 1e6]).sum("case")
    for name in ("csi", "pod", "far", "bias", "hss", "fss"):
        assert score(counts.isel(threshold=0), name).notnull().all()
        assert score(counts.isel(threshold=1), name).isnull().all()


def test_unobserved_frame_does_not_change_the_scores_of_others():
    rain = np.random.default_rng(0).gamma(0.5, 4, (2, 2, 16, 16))
    rain[1, 0] = np.nan
    counts = count([(rain[0], rain[1])], [0.5])
    assert counts.frames.values.tolist() == [[0, 1]]
    assert counts.pixels.values.tolist() == [[0, 256]]
    assert np.isnan(score(counts, "ssim").values).tolist() == [[True, False]]
    twice = count([(rain[0], rain[0]), (rain[0], rain[1])], [0.5]).sum("case")
    assert score(twice, "ssim")[0] == 1 > score(twice, "ssim")[1]


@pytest.mark.parametrize("value", [0.1, 0.3, 1.1, 3.3])
def test_constant_field_has_no_correlation(value):
    rain = 0.2 + np.random.default_rng(0).gamma(0.5, 4, (1, 17, 23))
    assert pooled_score((np.full((1, 17, 23), value), rain), "correlation").isnull()
    assert pooled_score((2 * rain + value, rain), "correlation") == pytest.approx(1)


def test_rain_equal_to_the_threshold_is_no_event():
    rain = one_row(0.5, 0.5001)
    counts = count([(rain, rain)], [0.5]).sum("case")
    assert counts.hits == 1
    assert counts.probability_events.sum() == 1
    assert counts.probability_forecasts.squeeze()[-1] == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (2, 2), (5, 7), (12, 31)])
def test_frames_of_any_shape_are_counted(shape):
    rain = np.random.default_rng(0).gamma(0.5, 4, (2, *shape))
    counts = count([(rain, rain)], [0.5]).sum("case")
    assert (counts.misses + counts.false_alarms == 0).all()
    assert (counts.pixels == np.prod(shape)).all()
    assert score(counts, "ssim").notnull().all() == (min(shape) > 10)


def test_pairs_of_different_shapes_are_refused():
    rain = np.zeros((1, 2, 3))
    message = r"forecast \(1, 2, 3\) and observation \(1, 3, 2\) differ in shape"
    with pytest.raises(NowcastError, match=message):
        count([(rain, np.zeros((1, 3, 2)))], [0.5])
    message = r"forecasts differ in shape: \(4, 1, 2, 3\) and \(1, 2, 3\)"
    with pytest.raises(NowcastError, match=message):
        count([(np.stack([rain] * 4), rain), (rain, rain)], [0.5])


def test_counting_without_a_case_is_refused():
    with pytest.raises(NowcastError, match="no case"):
        count([], [0.5])


def test_unknown_score_is_refused_with_the_known_ones():
    rain = np.zeros((1, 2, 3))
    with pytest.raises(NowcastError, match="'skill': choose one of csi, pod"):
        score(count([(rain, rain)], [0.5]), "skill")
