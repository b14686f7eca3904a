"""Configurations: changes by flat names, refusals, JSON, and no import of torch."""

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import torch
from small_networks import CONFIG

from nowcastlib.networks import (
    CONFIGS,
    ConvEDLSTMConfig,
    EncoderForecasterConfig,
    FCLSTMConfig,
    GuidedConfig,
    NetworkConfig,
    option_names,
)
from nowcastlib.networks.losses import LOSSES, mse, ssim_mse
from nowcastlib.training.config import (
    OptimisationConfig,
    TrainConfig,
    default_config,
    from_dict,
    to_dict,
)
from nowcastlib.training.loop import criterion
from nowcastlib.units import ModelScale


def test_importing_the_configurations_loads_no_torch():
    script = "import sys, nowcastlib.training.config, nowcastlib.training.schedules\n"
    script += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_changed_finds_the_part_of_each_field():
    config = TrainConfig().changed(epochs=2, lr=0.5, hidden=(8, 8), kernel=(3, 3), n_in=3)
    assert config.run.epochs == 2
    assert config.optimisation.lr == 0.5
    assert config.model.hidden == (8, 8)
    assert config.windows.n_in == 3
    assert TrainConfig().run.epochs == 10

    other = config.changed(model=GuidedConfig(), hidden=(6,), kernel=(3,), loss="exceedance")
    assert other.model == GuidedConfig(hidden=(6,), kernel=(3,))
    assert other.run == config.run


@pytest.mark.parametrize("kind", CONFIGS)
def test_names_of_fields_are_unique_across_the_parts(kind):
    config = default_config(kind)
    parts = [getattr(config, part.name) for part in fields(config)]
    names = [name for part in parts for name in option_names(part)]
    names += [part.name for part in fields(config)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("guided", "max_pool"),
        ("guided", "stride"),
        ("forecaster", "use_lstm_output"),
        ("forecaster", "size"),
        ("fclstm", "kernel"),
        ("fclstm", "patch"),
        ("convedlstm", "motion"),
    ],
)
def test_options_of_another_kind_of_network_are_refused_by_name(kind, name):
    with pytest.raises(ValueError, match=f"{kind} has no option {name}; it belongs to "):
        default_config(kind).changed(**{name: 1})
    with pytest.raises(ValueError, match=name):
        from_dict({"model": {"kind": kind, name: 1}})


def test_every_option_is_explained_in_the_documentation():
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    for kind in CONFIGS:
        config = default_config(kind)
        for part in ("model", "windows", "clips", "rollout", "optimisation", "run"):
            for name in option_names(getattr(config, part)):
                assert f"`{name}`" in page, name


def test_networks_have_no_options_in_common():
    assert option_names(NetworkConfig) == []


def test_unknown_options_are_refused_by_name():
    with pytest.raises(ValueError, match="no option zzz"):
        TrainConfig().changed(zzz=1)


def test_losses_of_the_configurations_are_those_of_the_library():
    assert {loss for config in CONFIGS.values() for loss in config.losses} == set(LOSSES)
    assert set(get_args(get_type_hints(OptimisationConfig)["loss"])) == set(LOSSES)


def test_weight_of_ssim_grows_with_each_length():
    torch.manual_seed(0)
    frames = torch.randn(1, 2, 1, 12, 12), torch.rand(1, 2, 1, 12, 12)
    config = TrainConfig().changed(n_out=8, curriculum=(2, 4, 8), epochs=10, loss="ssim_mse")
    for epoch, alpha in ((0, 1.0), (3, 1.0), (4, 0.95), (7, 0.9), (9, 0.9), (None, 0.9)):
        expected = ssim_mse(*frames, config.scale, alpha=alpha)
        torch.testing.assert_close(criterion(config, epoch)(*frames), expected)

    plain = mse(*frames, config.scale)
    torch.testing.assert_close(criterion(config, 0)(*frames), plain)
    torch.testing.assert_close(criterion(config.changed(curriculum=()))(*frames), plain)
    long = config.changed(curriculum=(1,) * 30, epochs=30)
    expected = ssim_mse(*frames, config.scale, alpha=0.0)
    torch.testing.assert_close(criterion(long)(*frames), expected)


def test_criterion_uses_the_scale_of_the_configuration():
    logits, target = torch.zeros(1), torch.ones(1)
    heavy, light = (
        criterion(TrainConfig(scale=ModelScale(rate_max=rate)))(logits, target) for rate in (128, 3)
    )
    assert heavy.item() == pytest.approx(30 * 0.75)
    assert light.item() == pytest.approx(2 * 0.75)


CURRICULUM = {"n_out": 4, "curriculum": (2, 4)}
GUIDED = {"model": GuidedConfig(), "loss": "exceedance"}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"loss": "zzz"}, "unknown loss 'zzz': choose one of balanced, bce, kl, mse, mae"),
        ({"schedule": "linear"}, "unknown schedule 'linear': choose one of cosine, step, constant"),
        ({"decay": "zzz"}, "unknown decay 'zzz': choose one of linear, exponential, inverse-sig"),
        ({"precision": "fp8"}, "unknown precision 'fp8': choose one of auto, no, bf16, fp16"),
        ({"keep": "first"}, "unknown keep 'first': choose one of best, last"),
        *(
            ({name: 0}, f"{name} is 0: it must be 1 or more")
            for name in ("n_in", "n_out", "epochs", "steps", "batch")
        ),
        *(
            ({name: -1}, f"{name} is -1: it must not be below 0")
            for name in ("crop", "weight_decay", "patience", "vary", "min_windows", "seed")
        ),
        *(
            ({name: value}, "must be above 0")
            for name in ("lr", "gamma")
            for value in (0.0, float("nan"))
        ),
        *(({"clip": value}, "must not be below 0") for value in (-1.0, float("nan"))),
        ({"gamma": 1.1}, "at most 1"),
        *(
            ({name: value}, f"{name} {value} is a share of the run")
            for name in ("sampling", "warmup")
            for value in (-0.1, 1.1)
        ),
        ({"loss": "ssim_mse", "crop": 10}, "windows of 11 px: a crop of 10 is too small"),
        ({"strides": ()}, "strides"),
        ({"strides": (0, 1)}, "strides"),
        # weights for each pixel, and initial weights
        ({"norm": "pixel"}, "the norm pixel has weights for each pixel: give the size"),
        ({"pool_window": 3}, "pool_window is the window of max_pool: switch max_pool on"),
        ({"pool_window": 1, "max_pool": True}, "pool_window is 1: 2 px or more"),
        ({"peephole": False, "peephole_init": "xavier"}, "peephole_init is for peepholes"),
        ({"cell": "convgru", "forget_bias": 0.0}, "forget_bias is for a convlstm"),
        ({"bias": False, "forget_bias": 0.0}, "forget_bias is for a convlstm with bias"),
        ({"bias": False, "state_bias": True}, "state_bias needs bias"),
        ({"norm": "layer", "state_bias": True}, "state_bias needs bias; with a norm"),
        # options without effect
        ({"gamma": 0.5}, "gamma has no effect here: it needs the schedule step"),
        ({"decay": "exponential"}, "decay has no effect here: it needs sampling above 0"),
        ({"curriculum_in": True}, "curriculum_in has no effect here: it needs a curriculum"),
        ({"restart": True}, "restart has no effect here: it needs a curriculum"),
        (
            {"restart": True, "curriculum": (4,)},
            "restart has no effect here: it needs a curriculum of two lengths",
        ),
        (
            {"curriculum_in": True, "curriculum": (3, 6), "n_in": 3},
            "curriculum_in has no effect here: .* below n_in = 3",
        ),
        ({"sampling": 0.5, "n_out": 1}, "a forecast of one frame feeds nothing back"),
        ({"sampling": 0.5, "curriculum": (1, 1)}, "a forecast of one frame feeds nothing back"),
        # parts that contradict each other
        ({"n_out": 4, "curriculum": (2, 5)}, r"curriculum \(2, 5\) exceeds n_out = 4"),
        ({"n_out": 4, "curriculum": (0, 4)}, r"curriculum \(0, 4\): each length must be 1"),
        ({"epochs": 2, "curriculum": (1, 2, 3)}, "2 epochs are too few for the 3 lengths"),
        ({"model": EncoderForecasterConfig(), "sampling": 0.5}, "forecaster network feeds no"),
        ({"model": GuidedConfig()}, "loss balanced does not suit a guided network: .* exceedance"),
        ({"loss": "exceedance"}, "loss exceedance does not suit a convedlstm network: .* balanced"),
        (GUIDED | {"n_in": 1}, "n_in is 1: a guided network needs 2 input frames"),
        (
            GUIDED | CURRICULUM | {"curriculum": (1, 4), "curriculum_in": True},
            "curriculum_in would give 1 input frames: a guided network needs 2",
        ),
        ({"model": FCLSTMConfig(size=64), "crop": 32}, "size of 64 px only, but crop is 32"),
        ({"model": ConvEDLSTMConfig(size=64), "crop": 32}, "size of 64 px only, but crop is 32"),
    ],
    ids=str,
)
def test_invalid_or_contradictory_settings_are_refused(options, why):
    with pytest.raises(ValueError, match=why):
        TrainConfig().changed(**options)


EVERYTHING = TrainConfig().changed(
    model=ConvEDLSTMConfig(
        (3, 4), (3, 5), size=64, norm="group", leaky_slope=0.1, bias=False, max_pool=True,
        transpose=False, use_lstm_output=True,
    ),
    rate_max=60.0, n_in=3, n_out=8, crop=64, strides=(1, 2), vary=0.3, min_windows=50,
    curriculum=(2, 8), curriculum_in=True, restart=True, sampling=0.5, decay="exponential",
    loss="ssim_mse", weight_decay=0.1, lr=2e-4, schedule="step", gamma=0.9,
    warmup=0.1, clip=2.0, epochs=9, steps=7, batch=5, patience=4, keep="last", precision="bf16",
    compile=True, seed=3,
)  # fmt: skip


@pytest.mark.parametrize(
    "config",
    [CONFIG, EVERYTHING, *(default_config(kind) for kind in CONFIGS)],
    ids=["small", "everything", *CONFIGS],
)
def test_configuration_survives_json(config):
    written = json.loads(json.dumps(to_dict(config)))
    assert from_dict(written) == config
    assert type(from_dict(written).model) is type(config.model)
    written["run"]["zzz"] = 1
    with pytest.raises(ValueError, match="zzz"):
        from_dict(written)
    with pytest.raises(ValueError, match="zzz"):
        from_dict(to_dict(config) | {"zzz": {}})
