"""Every option of every kind of network, and of its training, has an effect.

The table below has another value for each option. For each kind of network, two tiny trainings are
compared, which differ in this one option: weights, history or compilation must differ. An option
without an entry in the table fails as well, so that no new option can be forgotten.
"""

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from small_networks import one_thread, quiet  # noqa: F401

from nowcastlib.data import (
    ClipOptions,
    TrainingStores,
    as_frames,
    ingest,
    training_clips,
    training_data,
)
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.networks import CONFIGS, EncoderForecasterConfig, option_names
from nowcastlib.networks.registry import NETWORKS
from nowcastlib.training import RolloutConfig, TrainConfig, default_config, fit, loop

# Another value for each option. A dictionary has the option and what it needs to have an effect;
# the training that it is compared with has that, too.
OTHER = {
    # networks
    "hidden": (4, 3),
    "kernel": (5, 3),
    "patch": 1,
    "cell": "convgru",
    "peephole": False,
    "state_kernel": 1,
    "norm": "group",
    "leaky_slope": 0.2,
    "bias": False,
    "stride": 1,
    "max_pool": True,
    "transpose": False,
    "skip": False,
    "compare": 1,
    "move": 2,
    "use_lstm_output": True,
    "size": 16,
    "pool_window": {"pool_window": 3, "max_pool": True},
    "peephole_init": "xavier",
    "forget_bias": 0.0,
    "state_bias": True,
    "head_bias": False,
    "motion": False,
    "lifetimes": True,
    "edge": True,
    "coarse": 2,
    "padding": "valid",
    "gate": "hard_sigmoid",
    "pool": 1,
    "batch_norm": False,
    "head": "dense",
    "pooling": "mean",
    "dropout": 0.5,
    # scale
    "rate0": 0.5,
    "rate_max": 60.0,
    # windows
    "n_in": 4,
    "n_out": 3,
    "crop": 12,
    "strides": (2,),
    "vary": 0.5,
    "min_windows": 100,
    "channels": {"channels": 3, "loss": "mse"},
    # labels of clips
    "rate": 1.0,
    "share": {"share": 0.4, "batch": 8},
    "centre": 10,
    "first_lead": 2,
    "shift": True,
    "oversample": {"oversample": True, "batch": 8},
    # rollout
    "curriculum": (1, 2),
    "curriculum_in": {"curriculum_in": True, "curriculum": (2, 2)},
    "restart": {"restart": True, "curriculum": (1, 2)},
    "sampling": 1.0,
    "decay": {"decay": "exponential", "sampling": 1.0},
    # optimisation
    "loss": "mse",
    "weight_decay": 0.5,
    "l1": 0.1,
    "l2": 0.1,
    "pos_weight": 3.0,
    "lr": 5e-3,
    "schedule": "constant",
    "gamma": {"gamma": 0.5, "schedule": "step"},
    "warmup": 0.5,
    "clip": 1e-3,
    "average": 0.9,
    # run
    "epochs": 3,
    "steps": 3,
    "batch": 3,
    "patience": {"patience": 1, "lr": 1e-30, "epochs": 3},
    "keep": "last",
    "precision": "bf16",
    "compile": True,
    "seed": 1,
}
OTHER_OF_KIND = {
    ("fclstm", "hidden"): (4,),
    ("fclstm", "size"): {"size": 12, "crop": 12},
    ("fclstm", "crop"): {"size": 12, "crop": 12},
    ("guided", "loss"): "exceedance_unbalanced",
    ("guided", "channels"): 3,
    ("classifier", "channels"): 3,
    # the statistics of the batch normalisation change even where the weights do not
    ("classifier", "patience"): {"patience": 1, "lr": 1e-30, "epochs": 3, "batch_norm": False},
}


def refused(kind: str, name: str) -> str:
    """What the error says if a kind of network refuses an option; "" if it has a use for it."""
    if name == "channels" and kind in ("guided", "classifier"):
        return "is for rain, one channel"
    if kind == "classifier":
        if name in option_names(RolloutConfig):
            return "a classifier forecasts no frames"
        return "does not suit a classifier" if name == "loss" else ""
    if name in option_names(ClipOptions):
        return "labels of clips are for a classifier"
    if name == "pos_weight":
        return "pos_weight is for a classifier"
    if name in ("sampling", "decay") and not CONFIGS[kind].feeds_back:
        return "nothing to sample"
    return ""


SMALL = {
    "convedlstm": {"hidden": (3, 3), "kernel": (3, 3)},
    "forecaster": {"hidden": (3, 3), "kernel": (3, 3)},
    "fclstm": {"hidden": (3,), "size": 16},
    "guided": {"hidden": (3, 3), "kernel": (3, 3), "norm": ""},
    "classifier": {
        "hidden": (3, 3), "kernel": (3, 3), "rate": 4.0, "share": 0.2, "centre": 6, "first_lead": 1,
    },
}  # fmt: skip


def small_config(kind: str) -> TrainConfig:
    """A configuration that trains in a moment."""
    return default_config(kind).changed(
        **SMALL[kind], n_in=3, n_out=2, crop=16, epochs=2, steps=2, batch=2, precision="no"
    )


def all_options(config: TrainConfig) -> list[str]:
    """Names of the options of all parts of a configuration."""
    parts = [getattr(config, part.name) for part in fields(config)]
    return [name for part in parts for name in option_names(part)]


def pair(kind: str, name: str) -> tuple[TrainConfig, TrainConfig]:
    """Two configurations that differ in one option."""
    changes = OTHER_OF_KIND.get((kind, name), OTHER[name])
    if not isinstance(changes, dict):
        changes = {name: changes}
    config = small_config(kind)
    changed = config.changed(**changes)
    needed = {option: value for option, value in changes.items() if option != name}
    if kind == "fclstm" and name in ("size", "crop"):
        needed = {}  # both have to change together
    return config.changed(**needed), changed


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """Two short storms."""
    path = tmp_path_factory.mktemp("store") / "frames.zarr"
    return ingest(Demo(2, frames=16, size=24), path)


@pytest.fixture(scope="module")
def spots(tmp_path_factory) -> Path:
    """Two events of showers that come and go, so that clips of both have both labels."""
    rng = np.random.default_rng(0)
    rain = np.zeros((32, 24, 24), "f4")
    for frame in rain:
        for y, x in rng.integers(0, 20, (4, 2)):
            frame[y : y + 5, x : x + 5] = rng.uniform(0.5, 8)
    times = pd.date_range("2024-06-01", periods=16, freq="5min")
    both = times.append(times + pd.Timedelta(days=1))
    frames = as_frames(rain).assign_coords(time=both)
    path = tmp_path_factory.mktemp("spots") / "frames.zarr"
    frames.to_dataset(name="rainfall_rate").to_zarr(path, consolidated=False)
    return path


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    """Two films in colour."""
    times = pd.date_range("2024-06-01", periods=16, freq="5min")
    both = times.append(times + pd.Timedelta(days=1))
    values = np.random.default_rng(0).random((32, 3, 24, 24), "f4")
    colours = xr.DataArray(values, {"time": both}, ["time", "channel", "y", "x"], "colour")
    path = tmp_path_factory.mktemp("films") / "frames.zarr"
    colours.to_dataset().to_zarr(path, zarr_format=2)
    return path


@pytest.fixture(scope="module")
def train(store, spots, films, tmp_path_factory):
    """A function that trains and returns all that an option can change."""
    results = {}

    def run(config: TrainConfig, worse_each_epoch: bool = False) -> dict:
        key = config, worse_each_epoch
        if key not in results:
            classifies = config.model.classifies
            rain = spots if classifies else store
            data = films if config.windows.channels > 1 else rain
            stores = TrainingStores([data], shares=(0.5, 0.5, 0))
            seed = config.run.seed
            if classifies:
                data = training_clips(stores, config.windows, config.clips, config.scale, seed)
            else:
                data = training_data(stores, config.windows, config.scale, seed)
            out = tmp_path_factory.mktemp("run") / "run"
            with pytest.MonkeyPatch.context() as patch:
                compiled = []
                patch.setattr(torch, "compile", lambda f: compiled.append(f) or f)
                if worse_each_epoch:
                    losses = iter(range(1, 100))
                    patch.setattr(loop, "validate", lambda *_: float(next(losses)))
                network, history = fit(config, data[0], data[1], out, quiet())
            results[key] = {
                "weights": network.state_dict(),
                # not what the schedules say, which an option changes without being used
                "history": history[["epoch", "train", "validation"]].to_numpy(),
                "compiled": len(compiled),
            }
        return results[key]

    return run


def differ(a: dict, b: dict) -> bool:
    """Whether the results of two trainings differ."""
    if a["compiled"] != b["compiled"]:
        return True
    if not np.array_equal(a["history"], b["history"]):
        return True
    shapes = [{name: w.shape for name, w in r["weights"].items()} for r in (a, b)]
    if shapes[0] != shapes[1]:
        return True
    return any(not torch.equal(w, b["weights"][name]) for name, w in a["weights"].items())


CASES = [(kind, name) for kind in CONFIGS for name in all_options(small_config(kind))]


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_every_option_has_an_effect_or_is_refused(kind, name, train):
    if why := refused(kind, name):
        with pytest.raises(ValueError, match=why):
            pair(kind, name)
        return
    default, changed = pair(kind, name)
    worse = name == "keep"  # the best epoch must not be the last one
    results = train(default, worse), train(changed, worse)
    assert differ(*results), f"{name} of {kind} changes nothing"


def test_the_same_configuration_has_the_same_result(train):
    once = train(small_config("forecaster"))
    again = train(small_config("forecaster").changed(clip=1.0 + 1e-12))  # not in the cache
    assert not differ(once, again)


@dataclass(frozen=True)
class IgnoringConfig(EncoderForecasterConfig):
    """A configuration with an option that its network ignores."""

    ignored: int = 0


def test_an_ignored_option_would_be_found(train, monkeypatch):
    monkeypatch.setitem(NETWORKS, IgnoringConfig, NETWORKS[EncoderForecasterConfig])
    monkeypatch.setitem(CONFIGS, "forecaster", IgnoringConfig)
    monkeypatch.setitem(OTHER, "ignored", 1)
    default, changed = pair("forecaster", "ignored")
    assert changed.model == replace(default.model, ignored=1)
    assert not differ(train(default), train(changed))


def test_an_option_without_another_value_would_be_found():
    assert {name for _, name in CASES} == set(OTHER)
    with pytest.raises(KeyError):
        pair("forecaster", "ignored")
