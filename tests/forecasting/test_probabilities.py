"""Rain rates from probabilities: quantiles, matched areas, noise and ensembles."""

import numpy as np
import pytest
import torch
from scipy.special import logit

from nowcastlib.forecasting import ensembles, probabilities
from nowcastlib.networks.losses import LOSSES
from nowcastlib.networks.scales import N_SCALES
from nowcastlib.units import RATES, ModelScale, exceeds

SCALE = ModelScale()
LEVELS = torch.tensor(SCALE.to_model(np.array(RATES)))


def about(middle, spread=0.05):
    """Logits (rate, H, W) of logistic distributions around ``middle`` (H, W) in model units."""
    return (middle - LEVELS.view(-1, 1, 1)) / spread


@pytest.fixture(scope="module")
def middle():
    return torch.rand(48, 48, generator=torch.Generator().manual_seed(0), dtype=torch.double) * 0.75


def test_median_is_the_centre_and_a_more_probable_rate_is_lower(middle):
    logits = about(middle)
    inside = (middle > LEVELS[0]) & (middle < LEVELS[-1])
    median = probabilities.quantile(logits, torch.zeros(1, 1, 1), SCALE)
    torch.testing.assert_close(SCALE.to_model(median[inside]), middle[inside])
    probable = probabilities.quantile(logits, torch.full((1, 1, 1), float(logit(0.8))), SCALE)
    wet = inside & (probable > 0)
    torch.testing.assert_close(SCALE.to_model(probable[wet]), middle[wet] - 0.05 * logit(0.8))
    assert (median[middle < LEVELS[0]] == 0).all()


def test_rate_is_exceeded_where_its_probability_is_above_its_threshold(middle):
    logits = about(middle)
    thresholds = torch.linspace(-1, 1, len(RATES)).view(-1, 1, 1)
    forecast = probabilities.quantile(logits, thresholds.double(), SCALE)
    for k, rate in enumerate(RATES):
        expected = (logits[: k + 1] > thresholds[: k + 1]).all(0)
        assert ((forecast > rate) == expected).float().mean() > 0.999


def test_heaviest_rate_is_bounded():
    high = probabilities.quantile(torch.full((len(RATES), 1, 1), 30.0), torch.zeros(1, 1, 1), SCALE)
    assert 60 < high < 120


def test_probabilities_that_rise_with_the_rate_are_lowered():
    logits = torch.tensor([2.0, -1.0, 3.0, 3.0, 3.0, 3.0, 3.0]).view(-1, 1, 1)
    assert RATES[0] < probabilities.quantile(logits, torch.zeros(1, 1, 1), SCALE) < RATES[1]


def test_expected_rate_exceeds_the_same_rates_and_has_the_lower_squared_error(middle):
    """The rain is drawn from the probabilities: logistic distributions about ``middle``."""
    logits = about(middle, 0.1)
    threshold = probabilities.matched_threshold(logits, SCALE.from_model(middle))
    quantile = probabilities.quantile(logits, threshold, SCALE)
    expected = probabilities.expected_within_class(logits, threshold, SCALE)
    for rate in RATES:
        assert torch.equal(exceeds(expected, rate), exceeds(quantile, rate)), rate

    uniform = torch.rand(200, 48, 48, generator=torch.Generator().manual_seed(0)).double()
    rain = SCALE.from_model((middle + 0.1 * torch.logit(uniform)).clamp(min=0)).clamp(max=50)
    errors = [((rain - forecast) ** 2).mean() for forecast in (expected, quantile)]
    assert errors[0] < 0.99 * errors[1]


def test_rain_above_the_last_rate_is_the_lower_the_less_probable_it_is():
    threshold = torch.full((len(RATES), 1, 1), -3.0)
    rates = []
    for logit_above in (-2.0, 0.0, 4.0):
        logits = torch.tensor([5.0, 5.0, 5.0, 5.0, 5.0, 4.5, logit_above]).view(-1, 1, 1)
        rates.append(float(probabilities.expected_within_class(logits, threshold, SCALE)))
    assert 20 < rates[0] < rates[1] < rates[2]
    assert rates[0] < 25
    assert rates[2] > 40


def test_rain_at_a_rate_does_not_count_as_above_it():
    logits = 2 - torch.linspace(0, 1, 100).view(10, 10).expand(len(RATES), 10, 10)
    threshold = probabilities.matched_threshold(logits, torch.full((10, 10), 5.0))
    pixels = (logits > threshold).sum((1, 2)).tolist()
    assert pixels[RATES.index(5.0)] == 0
    assert pixels[RATES.index(2.0)] > 90


def test_expected_rate_of_sure_rain_is_that_rain():
    logits = about(torch.full((4, 4), float(SCALE.to_model(np.array(45.0)))), 0.01)
    rate = probabilities.expected_within_class(logits, torch.zeros(len(RATES), 1, 1), SCALE)
    assert (rate > 35).all()
    dry = probabilities.expected_within_class(logits * 0 - 9, torch.zeros(7, 1, 1), SCALE)
    assert (dry == 0).all()


@pytest.mark.parametrize("wet_share", [0.25, 1.0])
def test_matched_area_is_the_geometric_mean_of_the_current_and_that_of_the_best_csi(
    middle, wet_share
):
    logits = about(middle, 0.2)
    now = SCALE.from_model(middle) * (torch.arange(48) < 48 * wet_share)
    threshold = probabilities.matched_threshold(logits, now)
    best = probabilities.area_of_best_csi(logits.flatten(1))
    for k in range(5):
        area = ((now > RATES[k]).sum() * best[k]) ** 0.5
        assert (logits[k] > threshold[k]).sum() == pytest.approx(float(area), abs=1)


def test_no_other_area_has_a_higher_csi_over_many_courses_of_the_rain():
    """Rain is drawn 2,000 times from the probabilities; hits and unions are added, as in scores."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 400, generator=generator) * 2 - 2
    areas = probabilities.area_of_best_csi(logits)
    for row, area in zip(logits, areas, strict=True):
        probability = row.sigmoid().sort(descending=True).values
        rain = torch.rand(2000, 400, generator=generator) < probability  # (course, pixel)
        hits = rain.cumsum(1).sum(0)  # if the first 1, 2, … pixels are forecast
        union = 2000 * torch.arange(1, 401) + rain.sum() - hits
        csi = hits / union
        assert csi[int(area) - 1] > csi.max() - 0.002
        assert area > 1.05 * probability.sum()  # the expected area itself scores less


def test_a_sure_forecast_has_the_area_of_its_rain():
    logits = torch.tensor([[9.0] * 30 + [-9.0] * 70])
    assert probabilities.area_of_best_csi(logits).tolist() == [[30]]


def test_threshold_is_the_value_at_its_place_in_the_order_of_all_pixels(middle):
    """Also where a rate is more probable than a lower one, for several lead times at once."""
    logits = torch.stack([about(middle, 0.2), about(middle.roll(9), 0.1)])  # (2, rate, H, W)
    logits[:, 3] += 1
    now = SCALE.from_model(middle)
    threshold = probabilities.matched_threshold(logits, now)

    ordered = logits.cummin(1).values.flatten(2).sort(-1, descending=True).values
    above = torch.stack([now > rate for rate in RATES]).sum((1, 2))
    best = probabilities.area_of_best_csi(logits.cummin(1).values.flatten(2))  # (2, rate, 1)
    area = (above[:, None] * best).sqrt().round().long()
    expected = ordered.gather(-1, area.clamp(max=48 * 48 - 1))
    assert torch.equal(threshold[..., 0], expected.clamp(min=probabilities.MIN_PROBABILITY_LOGIT))


def test_dry_last_frame_gives_a_dry_forecast(middle):
    logits = about(middle, 0.2)
    threshold = probabilities.matched_threshold(logits, middle * 0)
    assert probabilities.quantile(logits, threshold, SCALE).count_nonzero() == 0


def test_rain_below_the_minimum_probability_is_not_forecast():
    logits = torch.full((len(RATES), 20, 20), float(logit(0.03)))
    logits[:, 3, 3] += 0.1
    threshold = probabilities.matched_threshold(logits, torch.ones(20, 20) * 30)
    assert probabilities.quantile(logits, threshold, SCALE).max() == 0


def test_members_together_have_the_forecast_probabilities(middle):
    logits = about(middle, 0.2)[None].repeat(2, 1, 1, 1)
    noise = ensembles.correlated_noise(
        middle, torch.zeros(2, 2, 48, 48).double(), 400, torch.full((N_SCALES,), 0.9).double()
    )
    members = ensembles.ensemble(logits, noise, SCALE)
    assert members.shape == (400, 2, 48, 48)
    for k in (1, 3, 4):
        share = (members > RATES[k]).double().mean(0)
        assert (share - logits[:, k].sigmoid()).abs().mean() < 0.03


def test_noise_has_the_texture_of_rain_moves_with_it_and_is_correlated_in_time():
    y, x = np.indices((64, 64))
    like = torch.from_numpy(np.exp(-((x - 32.0) ** 2 + (y - 32.0) ** 2) / 12))
    path = torch.zeros(3, 2, 64, 64).double()
    path[:, 0] = -4.0 * torch.arange(1, 4).view(-1, 1, 1)  # 4 px per step from the left
    noise = ensembles.correlated_noise(like, path, 8, torch.full((N_SCALES,), 0.9).double())
    assert noise.shape == (8, 3, 64, 64)
    np.testing.assert_allclose(noise.std((-2, -1)), 1, atol=1e-6)

    def correlation(a, b):
        return float((a * b).mean())

    first, second = noise[:, 0], noise[:, 1]
    assert correlation(first, first.roll(1, -1)) > 0.9  # neighbouring pixels
    autocorrelation = correlation(first.roll(4, -1), second)
    assert autocorrelation == pytest.approx(0.9, abs=0.05)
    assert correlation(first, second) < 0.7  # at a fixed place
    assert abs(correlation(noise[0, 0], noise[1, 0])) < 0.5  # two members


@pytest.mark.parametrize("lasting", ["long waves", "short waves"])
def test_each_scale_of_the_noise_lasts_as_long_as_it_is_told(lasting):
    like = torch.randn(64, 64, generator=torch.Generator().manual_seed(1)).double()
    memory = torch.tensor([0.0, 0.0, 0.0, 0.9, 0.9, 0.9]).double()
    if lasting == "short waves":
        memory = memory.flip(0)
    noise = ensembles.correlated_noise(like, torch.zeros(2, 2, 64, 64).double(), 100, memory)
    now, later = torch.fft.rfft2(noise).unbind(1)  # (member, H, W // 2 + 1)

    def correlation(waves):  # in the frame
        a, b = now[:, 0, waves], later[:, 0, waves]
        return float((a * b.conj()).real.sum() / (a.abs() * b.abs()).sum())

    kept, lost = (1, 20) if lasting == "long waves" else (20, 1)
    assert correlation(kept) > 0.65
    assert abs(correlation(lost)) < 0.4


def test_no_noise_lasts_for_ever():
    like = torch.randn(32, 32, generator=torch.Generator().manual_seed(1)).double()
    path = torch.zeros(8, 2, 32, 32).double()
    noise = ensembles.correlated_noise(like, path, 20, torch.ones(N_SCALES).double())
    first, last = noise[:, 0], noise[:, -1]
    assert 0.8 < float((first * last).mean()) < 0.98  # 0.99 in each step


def test_the_loss_is_smallest_for_honest_probabilities():
    rng = torch.Generator().manual_seed(1)
    rate = torch.where(torch.rand(1, 1, 1, 40, 40, generator=rng) < 0.3, 3.0, 0.0)
    target, honest = SCALE.to_model(rate), float((rate > 0).float().mean())
    target[..., 0, 0] = float("nan")
    shape = (1, 1, len(RATES), 40, 40)

    def cost(p, name="exceedance"):
        logits = torch.full(shape, -8.0)
        logits[:, :, :4] = float(logit(p))
        return float(LOSSES[name](logits, target, SCALE))

    for name in ("exceedance", "exceedance_unbalanced"):
        assert cost(honest, name) < min(cost(honest - 0.1, name), cost(honest + 0.1, name))
    entropy = -honest * np.log(honest) - (1 - honest) * np.log(1 - honest)
    assert cost(honest) == pytest.approx(entropy / (entropy + 0.03) * 4 / len(RATES), rel=0.02)
    assert cost(honest, "exceedance_unbalanced") == pytest.approx(
        entropy * 4 / len(RATES), rel=0.02
    )
