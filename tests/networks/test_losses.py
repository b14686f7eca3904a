"""Losses by hand and against others' code; what was not observed counts for nothing."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure

from nowcastlib.networks.losses import LOSSES, bce, exceedance, kl, mse, ssim_mse
from nowcastlib.units import RATES, RainScale

SCALE = RainScale()
FRAMES = (1, 2, 1, 12, 13)  # (B, T, C, H, W), wide enough for the windows of SSIM

PLAIN = sorted(
    name for name in LOSSES if not name.startswith(("exceedance", "label"))
)  # target and forecast of one shape


def logit(p):
    return torch.logit(torch.as_tensor(p, dtype=torch.float64))


def pair(shape=FRAMES, requires_grad=False):
    """Logits and a target that differ."""
    torch.manual_seed(0)
    logits = torch.randn(shape, dtype=torch.float64, requires_grad=requires_grad)
    return logits, torch.rand(shape, dtype=torch.float64) * 0.8 + 0.1


def entropy(target):
    return -(target * target.log() + (1 - target) * (1 - target).log()).mean()


@pytest.mark.parametrize("name", PLAIN)
def test_perfect_forecast_has_the_lowest_loss(name):
    _, target = pair()
    least = LOSSES[name](torch.logit(target), target, scale=SCALE)
    assert least.item() == pytest.approx(entropy(target).item() if name == "bce" else 0, abs=1e-9)
    for error in (-0.5, 0.5):
        assert LOSSES[name](torch.logit(target) + error, target, scale=SCALE) > least + 1e-3


def test_bce_of_a_grey_target_is_smallest_at_that_grey_but_not_0():
    grey = torch.full((100,), 0.48, dtype=torch.float64)
    guesses = torch.linspace(-1, 1, 2001, dtype=torch.float64)
    losses = torch.stack([bce(guess.expand(100), grey, SCALE) for guess in guesses])
    assert torch.sigmoid(guesses[losses.argmin()]).item() == pytest.approx(0.48, abs=3e-4)
    assert losses.min().item() == pytest.approx(0.6923, abs=1e-4)
    assert kl(logit(grey), grey, SCALE).item() == pytest.approx(0, abs=1e-12)


def test_kl_is_cross_entropy_minus_entropy_of_the_target():
    logits, target = pair()
    outcomes = (
        torch.nn.functional.logsigmoid(torch.stack([logits, -logits])),
        torch.stack([target, 1 - target]),
    )
    by_hand = torch.nn.functional.kl_div(*outcomes, reduction="sum") / target.numel()
    torch.testing.assert_close(kl(logits, target, SCALE), by_hand)
    torch.testing.assert_close(
        kl(logits, target, SCALE), bce(logits, target, SCALE) - entropy(target)
    )


@pytest.mark.parametrize("loss", [bce, kl])
def test_bce_is_0_for_certain_and_correct_and_log_2_for_one_half(loss):
    target = torch.tensor([0.0, 1.0])
    assert loss(torch.tensor([-200.0, 200.0]), target, SCALE) == 0
    assert loss(torch.zeros(2), target, SCALE).item() == pytest.approx(np.log(2))


@pytest.mark.parametrize("name", PLAIN)
def test_unobserved_pixels_have_no_weight(name):
    logits, target = pair(requires_grad=True)
    target[0, 0, 0, :3, 2:] = torch.nan
    observed = torch.isfinite(target)
    loss = LOSSES[name](logits, target, scale=SCALE)
    loss.backward()
    assert (logits.grad[~observed] == 0).all()
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[observed] != 0).all()
    wild = torch.where(observed, logits.detach(), 30.0)
    torch.testing.assert_close(LOSSES[name](wild, target, scale=SCALE), loss.detach())
    if name != "ssim_mse":  # which needs frames
        torch.testing.assert_close(
            LOSSES[name](logits[observed], target[observed], scale=SCALE), loss
        )
    assert LOSSES[name](logits, torch.full_like(target, torch.nan), scale=SCALE) == 0


def test_mse_and_mae_by_hand():
    logits, target = logit([0.5, 0.5]), torch.tensor([0.5, 0.9], dtype=torch.float64)
    assert LOSSES["mse"](logits, target, SCALE).item() == pytest.approx(0.08)
    assert LOSSES["mae"](logits, target, SCALE).item() == pytest.approx(0.2)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.95, 1.0])
def test_ssim_mse_agrees_with_torchmetrics_and_scikit_image(alpha):
    logits, target = pair((2, 3, 1, 16, 20))
    images = torch.sigmoid(logits).flatten(0, 1), target.flatten(0, 1)
    theirs = structural_similarity_index_measure(*images, data_range=1.0)
    padded = [np.pad(x.numpy(), ((0, 0), (0, 0), (5, 5), (5, 5)), mode="reflect") for x in images]
    maps = [
        structural_similarity(
            ours[0],
            of[0],
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )[1][5:-5, 5:-5]
        for ours, of in zip(*padded, strict=True)
    ]
    assert theirs.item() == pytest.approx(np.mean(maps), abs=1e-6)
    expected = alpha * (images[0] - images[1]).square().mean() + (1 - alpha) * (1 - theirs)
    torch.testing.assert_close(ssim_mse(logits, target, SCALE, alpha=alpha), expected)


def test_ssim_mse_of_alpha_1_is_mse_also_with_pixels_not_observed():
    logits, target = pair()
    target[..., 4:] = torch.nan
    torch.testing.assert_close(
        ssim_mse(logits, target, SCALE, alpha=1.0), mse(logits, target, SCALE)
    )
    assert ssim_mse(logits, target, SCALE, alpha=0.9) > mse(logits, target, SCALE)


@pytest.mark.parametrize("shape", [(10, 20), (20, 10)])
def test_frames_smaller_than_the_windows_of_ssim_are_refused(shape):
    logits, target = pair((1, 2, 1, *shape))
    with pytest.raises(
        ValueError, match=r"windows of 11 px: frames of \(\d+, \d+\) px are too small"
    ):
        ssim_mse(logits, target, SCALE)
    ssim_mse(*pair((1, 2, 1, 11, 11)), SCALE)


@pytest.mark.parametrize(
    ("rate", "weight"),
    [
        (0, 1),
        (1.99, 1),
        (2, 2),
        (4.99, 2),
        (5, 5),
        (9.99, 5),
        (10, 10),
        (29.9, 10),
        (30, 30),
        (128, 30),
    ],
)
def test_balanced_loss_has_the_published_weights(rate, weight):
    target = SCALE.to_model(torch.tensor([float(rate)], dtype=torch.float64))
    error = 0.5 - target.item()
    loss = LOSSES["balanced"](logit([0.5]), target, SCALE).item()
    assert loss == pytest.approx(weight * (error**2 + abs(error)))


def test_areas_cost_little_beside_their_place_and_much_of_another_size():
    """A square of rain, certain of itself: moved by 2 px, grown fourfold, or left out."""
    dry = torch.zeros(1, 1, 1, 64, 64)
    rain = dry.clone()
    rain[..., 18:30, 18:30] = SCALE.to_model(torch.tensor(30.0))

    def areas(forecast):
        """The part of the loss that compares areas."""
        sure = torch.full((1, 1, len(RATES), 64, 64), -9.0)
        sure = sure + 18 * (forecast > 0)
        return (
            LOSSES["exceedance_areas"](sure, rain, SCALE) - exceedance(sure, rain, SCALE)
        ).item()

    grown = dry.clone()
    grown[..., 12:36, 12:36] = 1.0
    assert areas(rain) == pytest.approx(0, abs=0.02)
    assert areas(dry) == pytest.approx(1, abs=0.02)
    assert areas(rain.roll(2, -1)) < 0.15 < 0.25 < areas(grown)


def test_areas_leave_out_unobserved_pixels_and_need_room_for_a_square():
    rain = torch.rand(2, 1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    logits = torch.randn(2, 1, len(RATES), 32, 32, generator=torch.Generator().manual_seed(1))
    rain[..., :16] = float("nan")
    other = logits.clone()
    other[..., :16] = 5.0
    assert LOSSES["exceedance_areas"](logits, rain, SCALE) == LOSSES["exceedance_areas"](
        other, rain, SCALE
    )
    with pytest.raises(ValueError, match="needs squares of 16 px"):
        LOSSES["exceedance_areas"](logits[..., :8], rain[..., :8], SCALE)
