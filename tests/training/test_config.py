"""Lengths, truth and learning rate along a run by hand; what cannot be meant is refused."""

import json
from dataclasses import asdict, replace
from math import exp

import numpy as np
import pytest
import torch
from made_networks import CONFIG

from nowcastlib.networks import ModelConfig
from nowcastlib.networks.losses import mse, ssim_mse
from nowcastlib.training.config import DECAYS, TrainConfig
from nowcastlib.units import RainScale

PLAIN = TrainConfig(n_in=4, n_out=8, epochs=10, steps=4, lr=0.1)
GROWING = replace(PLAIN, curriculum=(2, 4, 8))


def test_lengths_share_the_epochs():
    assert [GROWING.length(e) for e in range(10)] == [2, 2, 2, 2, 4, 4, 4, 8, 8, 8]
    assert GROWING.length(3.99) == 2 and GROWING.length(4.01) == 4
    assert {PLAIN.length(e) for e in range(10)} == {8}
    assert [replace(GROWING, epochs=3).length(e) for e in range(3)] == [2, 4, 8]


def test_frames_to_see_grow_along_up_to_n_in_if_asked_for():
    growing = replace(GROWING, curriculum_in=True)
    assert [growing.seen(e) for e in range(10)] == [2, 2, 2, 2, 4, 4, 4, 4, 4, 4]
    assert {GROWING.seen(e) for e in range(10)} == {PLAIN.seen(0)} == {4}


def test_truth_falls_linearly_along_its_share():
    config = replace(PLAIN, sampling=0.5)
    assert [config.truth(e) for e in range(10)] == pytest.approx(
        [1, 0.8, 0.6, 0.4, 0.2, 0, 0, 0, 0, 0]
    )
    assert config.truth(0.5) == pytest.approx(0.9) and config.truth(4.75) == pytest.approx(0.05)
    assert {PLAIN.truth(e) for e in range(10)} == {0}


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("share", [0.3, 0.5, 1.0])
def test_truth_falls_from_1_to_exactly_0_and_stays_there(decay, share):
    config = replace(PLAIN, sampling=share, decay=decay)
    times = np.arange(0, 10 * share - 1e-9, 0.05)
    truth = [config.truth(t) for t in times]
    assert truth[0] == pytest.approx(1, abs=1e-12) and (np.diff(truth) < 0).all()
    assert config.truth(10 * share - 1e-6) == pytest.approx(0, abs=1e-4)  # without a jump
    assert {config.truth(t) for t in np.arange(10 * share, 10, 0.05)} <= {0.0} and config.truth(
        10 * share
    ) == 0


def test_exponential_is_below_linear_and_inverse_sigmoid_is_symmetric():
    linear, exponential, sigmoid = (replace(PLAIN, sampling=0.8, decay=name) for name in DECAYS)
    times = np.arange(0.25, 8, 0.25)
    assert all(exponential.truth(t) < linear.truth(t) for t in times)
    assert [sigmoid.truth(t) + sigmoid.truth(8 - t) for t in times] == pytest.approx(
        [1] * len(times)
    )
    assert sigmoid.truth(1) > linear.truth(1) and sigmoid.truth(7) < linear.truth(7)
    below = 1 / (exp(5) - 1)  # it is a true exponential lowered by so much
    ratios = [
        (exponential.truth(t + 1) + below) / (exponential.truth(t) + below) for t in times[:4]
    ]
    assert ratios == pytest.approx([exp(-5 / 8)] * 4)


def test_rate_falls_along_half_a_cosine_by_steps_or_not():
    assert [PLAIN.rate(e) for e in (0, 2.5, 5, 10)] == pytest.approx(
        [0.1, 0.05 * (1 + 0.5**0.5), 0.05, 0]
    )
    step = replace(PLAIN, schedule="step", gamma=0.5)
    assert [step.rate(e) for e in (0, 0.75, 1, 2.25, 3)] == pytest.approx(
        [0.1, 0.1, 0.05, 0.025, 0.0125]
    )
    assert {replace(PLAIN, schedule="constant").rate(e) for e in (0, 2.5, 9.75)} == {0.1}


@pytest.mark.parametrize("schedule", ["cosine", "step", "constant"])
def test_rate_rises_to_its_full_height_during_the_warm_up(schedule):
    plain = replace(PLAIN, schedule=schedule)
    config = replace(plain, warmup=0.2)  # 2 epochs of 4 steps
    when = np.arange(0, 10, 0.25)
    risen = [config.rate(t) / plain.rate(t) for t in when]
    assert risen == pytest.approx([*np.arange(1, 9) / 8, *[1.0] * 32])


@pytest.mark.parametrize("schedule", ["cosine", "step", "constant"])
def test_rate_begins_anew_with_each_length_if_asked_for(schedule):
    config = replace(GROWING, schedule=schedule, gamma=0.5, warmup=0.5, restart=True)
    for first, epochs in ((0, 4), (4, 3), (7, 3)):
        alone = replace(config, curriculum=(), restart=False, epochs=epochs)
        when = np.arange(0, epochs, 0.25)
        assert [config.rate(first + t) for t in when] == pytest.approx(
            [alone.rate(t) for t in when]
        )
    on = replace(config, restart=False)
    assert [on.rate(t) for t in (3, 5, 8)] == [
        replace(on, curriculum=()).rate(t) for t in (3, 5, 8)
    ]


def test_ssim_gains_on_mse_with_each_length():
    torch.manual_seed(0)
    frames = torch.randn(1, 2, 1, 12, 12), torch.rand(1, 2, 1, 12, 12)
    config = replace(GROWING, loss="ssim_mse")
    for epoch, alpha in ((0, 1.0), (3, 1.0), (4, 0.95), (7, 0.9), (9, 0.9), (None, 0.9)):
        expected = ssim_mse(*frames, config.scale, alpha=alpha)
        torch.testing.assert_close(config.criterion(epoch)(*frames), expected)
    torch.testing.assert_close(config.criterion(0)(*frames), mse(*frames, config.scale))
    torch.testing.assert_close(
        replace(config, curriculum=()).criterion()(*frames), mse(*frames, config.scale)
    )
    long = replace(config, curriculum=(1,) * 30, epochs=30)
    torch.testing.assert_close(
        long.criterion()(*frames), ssim_mse(*frames, config.scale, alpha=0.0)
    )


def test_criterion_weighs_by_the_scale_of_the_configuration():
    logits, target = torch.zeros(1), torch.ones(1)
    heavy, light = (
        TrainConfig(scale=RainScale(rate_max=rate)).criterion()(logits, target) for rate in (128, 3)
    )
    assert heavy.item() == pytest.approx(30 * 0.75) and light.item() == pytest.approx(2 * 0.75)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"loss": "zzz"}, "unknown loss 'zzz': choose one of bce, kl, mse, mae, ssim_mse, balanced"),
        ({"optimiser": "sgd"}, "unknown optimiser 'sgd': choose one of adam, adamw"),
        ({"schedule": "linear"}, "unknown schedule 'linear': choose one of cosine, step, constant"),
        ({"decay": "zzz"}, "unknown decay 'zzz': choose one of linear, exponential, inverse-sigmoid"),
        ({"precision": "fp8"}, "unknown precision 'fp8': choose one of auto, no, bf16, fp16"),
        *(({name: 0}, f"{name} is 0: it must be 1 or more") for name in ("n_in", "n_out", "epochs", "steps", "batch")),
        ({"loss": "ssim_mse", "crop": 10}, "windows of 11 px: a crop of 10 is too small"),
        *(({name: -1}, f"{name} is -1: it must not be below 0") for name in ("crop", "weight_decay", "patience")),
        *(({name: value}, "must be above 0") for name in ("lr", "clip", "gamma") for value in (0.0, float("nan"))),
        ({"gamma": 1.1}, "at most 1"),
        *(({name: value}, f"{name} {value} is a share of the run") for name in ("sampling", "warmup")
          for value in (-0.1, 1.1)),
        ({"weight_decay": 0.1}, "weight_decay needs the optimiser adamw"),
        ({"model": ModelConfig((3,), (3,), kind="forecaster"), "sampling": 0.5}, "a forecaster feeds no forecast back"),
        ({"n_out": 4, "curriculum": (2, 5)}, r"the curriculum \(2, 5\) asks for lengths outside 1…n_out = 4"),
        ({"n_out": 4, "curriculum": (0, 4)}, "asks for lengths outside"),
        ({"epochs": 2, "curriculum": (1, 2, 3)}, "2 epochs are too few for the 3 lengths"),
        ({"curriculum_in": True}, "need a curriculum"),
        ({"strides": ()}, "must be numbers of 1 or more"),
        ({"strides": (0, 1)}, "must be numbers of 1 or more"),
        ({"vary": -0.1}, "vary is -0.1: it must not be below 0"),
        ({"keep": "first"}, "unknown keep 'first': choose one of best, last"),
        ({"loss": "exceedance", "n_in": 1, "model": ModelConfig((3,), (3,), stride=1, kind="guided")},
         "one frame has no motion"),
        ({"loss": "exceedance"}, "a guided network answers probabilities"),
        ({"model": ModelConfig((3,), (3,), stride=1, kind="guided")}, "a guided network answers probabilities"),
        ({"restart": True}, "need a curriculum"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(options, why):
    with pytest.raises(ValueError, match=why):
        TrainConfig(**options)


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        TrainConfig(),
        TrainConfig(
            ModelConfig((3, 4), (3, 5), size=32, norm="group", leaky_slope=0.1, bias=False, max_pool=True,
                        transpose=False, use_lstm_output=True),
            RainScale(rate_max=60), 3, 8, (2, 8), True, True, 64, 9, 7, 5, "adamw", 0.1, 2e-4, "step", 0.9, 0.1,
            "ssim_mse", (1, 2), 0.3, 50, "last", 0.5, "exponential", 2.0, 4, "bf16", True, 3,
        ),
    ],
    ids=["small", "default", "everything"],
)  # fmt: skip
def test_configuration_survives_json(config):
    assert TrainConfig.from_dict(json.loads(json.dumps(asdict(config)))) == config
    with pytest.raises(TypeError, match="zzz"):
        TrainConfig.from_dict(asdict(config) | {"zzz": 1})
