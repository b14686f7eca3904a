"""The settings of the course, read from environment variables: size, feed and folders.

NOWCAST_PRESET
    ``tiny`` (tests: seconds), ``laptop`` (minutes on two CPU cores), ``gpu``, or ``seed``: the
    network and training settings of the work that this course grew from (Zampar 2025), also for
    a GPU. All four run the same code. Default: ``gpu`` on a machine with a GPU, else ``laptop``.
NOWCAST_SOURCE
    ``demo`` (synthetic rain), ``archive`` or ``archive:PRODUCT``, ``fvg`` (the newest two hours),
    ``cloud:URL`` or ``images:FOLDER``. A period can follow, as in ``fvg@2024-06-01/2024-06-08``;
    its last day is not included.
    Default: ``archive`` if NOWCAST_ARCHIVE is set, else ``demo``.
NOWCAST_DATA
    The folder for data and training runs. Default: ``data/``.
NOWCAST_ARCHIVE
    The folder with the files of the feed ``archive``.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from math import isnan
from pathlib import Path

import torch
import xarray as xr
from torch.utils.data import ConcatDataset

from nowcastlib.data import (
    DigitScene,
    TrainingStores,
    feeds,
    ingest,
    labels_of,
    store,
    training_clips,
)
from nowcastlib.errors import NowcastError
from nowcastlib.networks import SEED, SEED_CLASSIFIER, ClassifierConfig, ConvEDLSTMConfig
from nowcastlib.training import TrainConfig, default_config

ARCHIVE = "NOWCAST_ARCHIVE"
PERIOD = r"[\dT:.Z+-]*/[\dT:.Z+-]*|\d{4}-\d\S*"  # after @ in NOWCAST_SOURCE; else it is a path


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
    n_in=5, n_out=4, first_lead=1, crop=0, epochs=10, steps=170, batch=32, lr=4e-3, warmup=0.2,
    keep="last", precision="no",
)  # fmt: skip
_POUR = _CLASSIFIER.changed(
    model=ClassifierConfig(hidden=(8, 16), kernel=(3, 3), patch=4), epochs=4, steps=40, batch=8,
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
        radar=_RADAR.changed(
            model=_SMALL,
            n_in=4,
            n_out=4,
            crop=64,
            epochs=3,
            steps=5,
            batch=4,
            lr=3e-3,
            curriculum=(1, 2, 4),
            sampling=0.5,
            keep="last",
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
        radar=_RADAR.changed(
            model=_MOVING,
            n_in=4,
            n_out=6,
            crop=128,
            epochs=12,
            steps=40,
            batch=4,
            lr=3e-3,
            warmup=0.03,
            curriculum=(1, 2, 4, 6, 6, 6),
            sampling=0.5,
            keep="last",
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
        touch=_TOUCH.changed(hidden=(48, 64), epochs=30),
        pour=_POUR.changed(hidden=(32, 64), epochs=20, steps=200, batch=32),
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


@dataclass(frozen=True)
class _Source:
    """NOWCAST_SOURCE, taken apart: ``name:option@start/end``."""

    name: str
    option: str = ""  # a product, a URL or a folder
    start: str | None = None
    end: str | None = None  # not included


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


def data_folder() -> Path:
    """The folder for data and runs of the current preset and feed, inside NOWCAST_DATA.

    Without NOWCAST_DATA it lies in ``data/`` of the repository, or of the working directory if the
    library is installed from a wheel.
    """
    repository = Path(__file__).parents[1]
    is_checkout = (repository / "pyproject.toml").exists()
    default = (repository if is_checkout else Path.cwd()) / "data"

    source = _source()
    parts = [preset().name, source.name, source.option, source.start, source.end]
    folder = re.sub(r"[^\w.-]+", "-", "-".join(filter(None, parts)))

    return Path(os.environ.get("NOWCAST_DATA") or default) / folder


def _source() -> _Source:
    """Read NOWCAST_SOURCE."""
    default = "archive" if os.environ.get(ARCHIVE) else "demo"
    text = os.environ.get("NOWCAST_SOURCE") or default

    feed_and_option, at, days = text.rpartition("@")
    is_path = ":" in feed_and_option and not re.fullmatch(PERIOD, days)
    if not at or is_path:  # such as images:/home/me@work/film
        name, _, option = text.partition(":")
        return _Source(name, option)
    name, _, option = feed_and_option.partition(":")

    start, slash, end = days.partition("/")
    if not slash or "/" in end:
        raise NowcastError(
            f"NOWCAST_SOURCE ends in @{days}: write a period like @2024-06-01/2024-06-08"
        )
    return _Source(name, option, start, end)


def feed() -> feeds.Feed:
    """The feed that NOWCAST_SOURCE names.

    Raises
    ------
    NowcastError
        If the feed is unknown, or its option is missing or not supported.
    """
    source = _source()

    if source.name == "demo":  # seed 1: the shipped weights were trained on the storms of seed 0
        return feeds.demo.Demo(preset().events, size=preset().pixels, seed=1)

    if source.name == "archive":
        folder = os.environ.get(ARCHIVE) or str(data_folder().parent / "archive")
        return feeds.feed(source.name, path=folder, product=source.option)

    return feeds.feed(source.name, path=source.option)


def frames() -> xr.DataArray:
    """The frames of the course's feed; the first call ingests them into ``data_folder()``.

    Returns
    -------
    xarray.DataArray
        Rain rate (time, y, x) in mm/h, loaded from disk when it is used.
    """
    source = _source()
    path = ingest(feed(), data_folder() / "frames.zarr", source.start, source.end)
    return store.open_frames(path)


QUESTIONS = (5.0, 2.0, 1.0, 0.5, 0.2)  # rain rates to ask for, mm/h


def clips_of_rain(config: TrainConfig) -> tuple[TrainConfig, ConcatDataset, ConcatDataset]:
    """Clips of the course's rain, with a question that has both answers.

    Parameters
    ----------
    config : TrainConfig
        Of a classifier; its rate is replaced.

    Returns
    -------
    config : TrainConfig
        With the highest of ``QUESTIONS`` that at least a twentieth of the clips of each part answer
        with yes, and a twentieth with no; if there is none, the rate with the rarer answer most
        frequent.
    training, unseen : ConcatDataset
        Clips of 60 % and of 40 % of the events.

    Notes
    -----
    If the course's rain has no such question, for example because it is a single event, the clips
    are those of synthetic rain, and a printed line says so.
    """
    path = data_folder() / "frames.zarr"
    if not path.exists():
        frames()
    try:
        return _question(config, path)
    except NowcastError as mistake:
        synthetic = feeds.demo.Demo(preset().events, size=preset().pixels, seed=1)
        _print_once(f"These clips are synthetic rain, because of the course's rain {mistake}")
        return _question(config, ingest(synthetic, data_folder() / "synthetic.zarr"))


@cache
def _print_once(text: str) -> None:
    """Print a line, unless this process has printed it before."""
    print(text)


def _question(config: TrainConfig, path: Path) -> tuple[TrainConfig, ConcatDataset, ConcatDataset]:
    """Configuration and clips of ``clips_of_rain``; NowcastError if no rate has both answers."""
    stores = TrainingStores([path], shares=(0.6, 0.4, 0))
    found = []
    for rate in QUESTIONS:
        asked = config.changed(rate=rate)
        try:
            parts = training_clips(stores, asked.windows, asked.clips, asked.scale)[:2]
        except NowcastError as error:
            mistake = error
            continue
        rarer = min(min(r, 1 - r) for r in (labels_of(part).mean() for part in parts))
        found.append((rarer, asked, *parts))
        if rarer >= 0.05:
            break
    if not found:
        raise mistake
    return max(found, key=lambda question: question[0])[1:]


@contextmanager
def checking(name: str) -> Iterator[None]:
    """Check an exercise, and print whether it is solved or what is still missing.

    The notebook goes on in any case. The solution of a learner can raise any error: it is printed
    as the hint.

    Parameters
    ----------
    name : str
        Name of the exercise, such as ``Exercise 1``.

    Examples
    --------
    >>> answer = ...
    >>> with checking("Exercise 1"):
    ...     assert answer == 42, "multiply six by seven"
    Exercise 1: not solved yet: multiply six by seven
    """
    try:
        yield
    except AssertionError as missing:
        print(f"{name}: not solved yet: {missing or 'a check failed'}")
    except Exception as error:
        print(f"{name}: not solved yet: {type(error).__name__}: {error}")
    else:
        print(f"{name}: solved")


def verdict(scores: xr.DataArray, name: str, reference: str = "persistence") -> str:
    """Sentences that compare a forecaster's scores with those of another one.

    Parameters
    ----------
    scores : xarray.DataArray, dimensions (forecaster, threshold)
        Mean CSI as ``verification.mean_csi`` gives it; more is better.
    name, reference : str
        The forecaster to judge, and the one to compare it with.

    Returns
    -------
    str
        One line for each threshold.

    Examples
    --------
    >>> csi = xr.DataArray([[0.3], [0.2]], {"forecaster": ["mine", "persistence"],
    ...     "threshold": [0.5]}, ("forecaster", "threshold"))
    >>> print(verdict(csi, "mine"))
    rain above 0.5 mm/h: mine 0.300, persistence 0.200: 50 % better than persistence
    """
    lines = []
    for threshold in scores.threshold.values:
        ours, theirs = (
            float(scores.sel(forecaster=forecaster, threshold=threshold))
            for forecaster in (name, reference)
        )
        pair = f"{name} {ours:.3f}, {reference} {theirs:.3f}"
        lines.append(
            f"rain above {threshold:g} mm/h: {pair}: {_difference(ours, theirs, reference)}"
        )
    return "\n".join(lines)


def _difference(ours: float, theirs: float, reference: str) -> str:
    """The relative difference of two scores in words."""
    if isnan(ours) or isnan(theirs):
        return "no such rain, no comparison"
    if not theirs:
        return f"better than {reference}" if ours > 0 else f"no better than {reference}"
    percent = round(100 * (ours / theirs - 1))
    if not percent:
        return f"equal to {reference}, within half a percent"
    return f"{abs(percent)} % {'better' if percent > 0 else 'worse'} than {reference}"
