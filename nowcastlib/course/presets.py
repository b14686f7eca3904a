"""How large the course runs: the presets that NOWCAST_PRESET names."""

import os
from dataclasses import dataclass, replace

import torch

from nowcastlib.data import DigitScene
from nowcastlib.errors import NowcastError
from nowcastlib.networks import SEED, SEED_CLASSIFIER, ClassifierConfig, ConvEDLSTMConfig
from nowcastlib.training import TrainConfig, default_config


@dataclass(frozen=True)
class Preset:
    """How large the course runs: amount of data, size of the networks, length of training."""

    name: str
    events: int  # number of synthetic storms
    pixels: int  # height and width of their frames
    size: int  # px; height and width of the central square that is forecast and scored
    leads: int  # number of time steps to forecast
    every: int  # evaluation issues a forecast at every N-th frame
    mnist: TrainConfig  # notebook 03: Moving MNIST
    digits: DigitScene  # notebook 03: the films on which its network is trained
    radar: TrainConfig  # notebook 05: a ConvLSTM network on rain
    guided: TrainConfig  # notebook 07: the guided network, which receives the motion of the rain
    touch: TrainConfig  # notebook 08: will the two digits touch?
    pour: TrainConfig  # notebook 08: will it pour?


_SMALL = ConvEDLSTMConfig(
    hidden=(8, 16, 16, 8), kernel=(3, 3, 3, 3), patch=4, norm="layer", compare=4, move=4
)
_MOVING = replace(_SMALL, hidden=(24, 32, 32, 24))
_ONE_CELL = ConvEDLSTMConfig(hidden=(64,), kernel=(5,), stride=1, patch=4)
_RADAR = TrainConfig()
_QUICK = _RADAR.changed(n_in=4, batch=4, lr=3e-3, sampling=0.5, keep="last")  # without a GPU
_SEED = TrainConfig().changed(
    model=SEED, n_in=6, n_out=6, crop=0,
    curriculum=(2, 3, 4, 5, 6), curriculum_in=True,
    epochs=10, steps=1690, batch=64, lr=0.01, schedule="constant", loss="bce", clip=0.0,
)  # fmt: skip
_WARM = TrainConfig().changed(
    model=_ONE_CELL, n_in=3, n_out=5, crop=0, curriculum=(1, 1, 3, 5, 5, 5), lr=3e-3, loss="kl"
)
_SLOW_DIGIT = DigitScene(n_digits=1, speed=(2.0, 4.0))
_GUIDED = default_config("guided").changed(
    hidden=(64, 64), n_in=6, n_out=12, crop=256, vary=0.3, epochs=60, steps=500, batch=16,
    weight_decay=1e-4, warmup=0.05, keep="last", precision="bf16",
)  # fmt: skip
_CLASSIFIER = default_config("classifier")
_TOUCH = _CLASSIFIER.changed(
    model=ClassifierConfig(hidden=(24, 32), kernel=(3, 3), patch=8, pool=1, head="dense"),
    n_in=5, n_out=4, first_lead=1, crop=0, epochs=6, steps=110, batch=32, lr=4e-3, warmup=0.2,
    keep="last", precision="no",
)  # fmt: skip
_POUR = _CLASSIFIER.changed(
    model=ClassifierConfig(hidden=(8, 16), kernel=(3, 3), patch=8), epochs=4, steps=40, batch=8,
    lr=4e-3, warmup=0.1, keep="last", precision="no",
)  # fmt: skip
PRESETS = {
    "tiny": Preset(
        "tiny",
        events=4,
        pixels=64,
        size=64,
        leads=6,
        every=12,
        mnist=_WARM.changed(hidden=(16,), kernel=(3,), epochs=6, steps=5, batch=4),
        digits=_SLOW_DIGIT,
        radar=_QUICK.changed(
            model=_SMALL, n_out=4, crop=64, epochs=3, steps=5, curriculum=(1, 2, 4)
        ),
        guided=_GUIDED.changed(
            hidden=(8,),
            kernel=(3,),
            n_in=4,
            n_out=4,
            crop=64,
            epochs=2,
            steps=4,
            batch=2,
            lr=3e-3,
            precision="auto",
        ),
        touch=_TOUCH.changed(hidden=(6, 8), epochs=3, steps=4, batch=8),
        pour=_POUR.changed(
            hidden=(4, 4),
            n_in=4,
            n_out=6,
            first_lead=3,
            crop=64,
            centre=24,
            epochs=2,
            steps=4,
        ),
    ),
    "laptop": Preset(
        "laptop",
        events=8,
        pixels=128,
        size=256,
        leads=12,
        every=4,
        mnist=_WARM.changed(
            hidden=(32, 32),
            kernel=(5, 3),
            norm="group",
            n_in=4,
            n_out=4,
            curriculum=(1, 1, 2, 3, 4),
            epochs=10,
            steps=150,
            batch=4,
            lr=5e-3,
            warmup=0.05,
        ),
        digits=_SLOW_DIGIT,
        radar=_QUICK.changed(
            model=_MOVING,
            n_out=6,
            crop=128,
            epochs=12,
            steps=40,
            warmup=0.03,
            curriculum=(1, 2, 4, 6, 6, 6),
        ),
        guided=_GUIDED.changed(
            hidden=(16, 16),
            n_out=6,
            crop=96,
            epochs=5,
            steps=6,
            batch=4,
            lr=3e-3,
            precision="auto",
        ),
        touch=_TOUCH,
        pour=_POUR,
    ),
    "gpu": Preset(
        "gpu",
        events=100,
        pixels=256,
        size=256,
        leads=12,
        every=1,
        mnist=_WARM.changed(
            hidden=(128, 64, 64),
            kernel=(5, 5, 5),
            n_in=10,
            n_out=10,
            curriculum=(1, 3, 6, 10, 10),
            epochs=100,
            steps=500,
            batch=64,
            lr=1e-3,
            precision="bf16",
        ),
        digits=DigitScene(),
        radar=_RADAR.changed(
            n_out=12,
            epochs=60,
            steps=500,
            batch=32,
            curriculum=(2, 4, 8, 12),
            sampling=0.5,
            precision="bf16",
        ),
        guided=_GUIDED,
        touch=_TOUCH.changed(hidden=(48, 64), epochs=30, steps=170),
        pour=_POUR.changed(hidden=(32, 64), patch=4, epochs=20, steps=200, batch=32),
    ),
    "seed": Preset(
        "seed",
        events=100,
        pixels=128,
        size=128,
        leads=6,
        every=1,
        mnist=_SEED,
        digits=DigitScene(),
        radar=_SEED.changed(size=128, crop=128, batch=16, steps=500, schedule="step", restart=True),
        guided=_GUIDED.changed(n_out=6, crop=128),
        touch=_TOUCH,
        pour=_POUR.changed(model=SEED_CLASSIFIER, lr=8e-5, batch=4, epochs=20, steps=1000),
    ),
}


def preset() -> Preset:
    """The preset that NOWCAST_PRESET names.

    Returns
    -------
    Preset
        By default ``gpu`` on a machine with a GPU and ``laptop`` elsewhere.

    Raises
    ------
    NowcastError
        If there is no preset of that name.
    """
    name = os.environ.get("NOWCAST_PRESET") or ("gpu" if torch.cuda.is_available() else "laptop")
    if name not in PRESETS:
        raise NowcastError(f"NOWCAST_PRESET is {name!r}: choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
