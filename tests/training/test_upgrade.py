"""Configurations that version 0.1 wrote are read as those of today."""

import json
from pathlib import Path

import pytest

import nowcastlib
from nowcastlib.errors import NowcastError
from nowcastlib.networks import FORECASTING, ConvEDLSTMConfig, GuidedConfig
from nowcastlib.training import TrainConfig, default_config, load_config
from nowcastlib.training.config import from_dict, to_dict
from nowcastlib.training.upgrade import upgrade

# As the shipped network `radar` was written by version 0.1, with two older names
RADAR = """
{"model": {"hidden": [32, 32], "kernel": [5, 3], "stride": 1, "patch": 4, "peephole": true,
           "skip": true, "kind": "guided", "cell": "convlstm", "state_kernel": 0, "size": 0,
           "norm": "layer", "leaky_slope": 0.0, "bias": true, "max_pool": false,
           "transpose": null, "use_lstm_output": false, "motion": true},
 "scale": {"rate0": 0.1, "rate_max": 128.0, "zr_a": 200.0, "zr_b": 1.6, "no_echo": -32.0},
 "n_in": 6, "n_out": 12, "curriculum": [], "curriculum_in": false, "restart": false, "crop": 160,
 "epochs": 5, "steps": 100, "batch": 2, "optimiser": "adamw", "weight_decay": 0.0001,
 "lr": 0.0005, "schedule": "cosine", "gamma": 0.9, "warmup": 0.05, "loss": "exceedance_alike",
 "strides": [1, 2], "vary": 0.3, "least": 1000, "keep": "last", "sampling": 0.0,
 "decay": "exponential", "clip": 1.0, "patience": 0, "precision": "bf16", "compile": false,
 "seed": 0}
"""

# As the shipped network `convedlstm` was written, before most options existed
FIRST = """
{"model": {"hidden": [32, 64, 48, 16], "kernel": [5, 5, 5, 3], "stride": 2, "patch": 2,
           "peephole": true, "skip": true},
 "scale": {"rate0": 0.1, "rate_max": 128.0, "zr_a": 200.0, "zr_b": 1.6, "no_echo": -32.0},
 "n_in": 6, "n_out": 12, "curriculum": [2, 6, 12], "crop": 128, "epochs": 12, "steps": 100,
 "batch": 8, "lr": 0.001, "loss": "balanced", "sampling": 0.5, "clip": 1.0, "precision": "bf16",
 "seed": 0}
"""


def read(text: str, **changes) -> TrainConfig:
    """The configuration in an old text, with changed entries."""
    return from_dict(upgrade(json.loads(text) | changes))


def test_guided_network_of_version_0_1_is_upgraded():
    expected = default_config("guided").changed(
        model=GuidedConfig((32, 32), (5, 3), patch=4, norm="layer"),
        n_in=6, n_out=12, crop=160, strides=(1, 2), vary=0.3, min_windows=1000,
        loss="exceedance_unbalanced", weight_decay=1e-4, lr=5e-4, warmup=0.05,
        epochs=5, steps=100, batch=2, keep="last", precision="bf16",
    )  # fmt: skip
    assert read(RADAR) == expected


def test_configuration_of_the_first_shipped_network_is_upgraded():
    expected = TrainConfig().changed(
        n_out=12, curriculum=(2, 6, 12), sampling=0.5, epochs=12, precision="bf16"
    )
    assert read(FIRST) == expected
    assert type(read(FIRST).model) is ConvEDLSTMConfig


def test_options_without_effect_are_left_out_and_others_are_kept():
    old = json.loads(RADAR)
    model = {"hidden": [3], "kernel": [3], "stride": 1, "transpose": None, "cell": "convgru"}
    model |= {"peephole": False}
    changes = {"model": model, "loss": "mse", "sampling": 0.5, "schedule": "step"}
    config = from_dict(upgrade(old | changes))
    assert config.model == ConvEDLSTMConfig((3,), (3,), stride=1, cell="convgru")
    assert config.rollout.decay == "exponential"
    assert config.optimisation.gamma == 0.9

    pooled = {"hidden": [3, 3], "kernel": [3, 3], "max_pool": True, "transpose": False}
    assert read(FIRST, model=pooled).model == ConvEDLSTMConfig(
        (3, 3), (3, 3), max_pool=True, transpose=False
    )


@pytest.mark.parametrize("kind", FORECASTING)
def test_configuration_of_today_is_not_changed(kind):
    written = to_dict(default_config(kind).changed(curriculum=(2, 6), restart=True))
    assert upgrade(written) == written


@pytest.mark.parametrize(
    ("lengths", "idle"),
    [
        ({"curriculum": [4]}, {"restart": True}),
        ({"curriculum": [3, 6], "n_in": 3}, {"curriculum_in": True}),
        ({"n_out": 1}, {"sampling": 0.5, "decay": "exponential"}),
        ({"curriculum": [1, 1]}, {"sampling": 0.5}),
    ],
)
def test_options_that_had_no_effect_with_the_lengths_are_left_out(lengths, idle):
    expected = TrainConfig().changed(
        **{name: tuple(v) if isinstance(v, list) else v for name, v in lengths.items()}
    )
    written = to_dict(expected)
    written["rollout"] |= idle
    assert from_dict(upgrade(written)) == expected
    assert from_dict(upgrade({"model": written["model"]} | lengths | idle)) == expected


@pytest.mark.parametrize("name", ["radar", "mnist", "convedlstm"])
def test_shipped_configurations_can_be_read(name):
    folder = Path(nowcastlib.__file__).parent / "weights" / name
    config = load_config(folder)
    assert config.run.precision == "bf16"
    assert from_dict(json.loads(json.dumps(to_dict(config)))) == config


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "{}",
        json.dumps({"config": json.loads(FIRST) | {"zzz": 1}}),
        json.dumps({"config": json.loads(FIRST) | {"model": {"zzz": 1}}}),
        json.dumps({"config": json.loads(FIRST) | {"model": {"kind": "zzz"}}}),
        json.dumps({"config": json.loads(FIRST) | {"epochs": 0}}),
        json.dumps({"config": json.loads(FIRST) | {"epochs": "many"}}),
        json.dumps({"config": {"run": 3}}),
    ],
)
def test_a_folder_that_cannot_be_upgraded_is_named_with_the_remedy(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(NowcastError, match=r"config\.json is not a readable .* train again"):
        load_config(tmp_path)
