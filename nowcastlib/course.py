"""The course's knobs, from the environment: how large (NOWCAST_PRESET), which feed (NOWCAST_SOURCE), and where.

NOWCAST_PRESET: ``tiny`` (tests: seconds), ``laptop`` (minutes on two cores), ``gpu``, or ``seed``, the networks and
settings that this course grew from (Zampar 2025; for a GPU, too); the same code runs all four.
NOWCAST_SOURCE: ``demo`` (synthetic rain), ``archive`` or ``archive:PRODUCT``, ``fvg`` (the newest two hours),
``cloud:URL``, ``images:FOLDER``; with ``@FROM/TO`` behind it, only those days: ``fvg@2024-06-01/2024-06-08``.
NOWCAST_DATA: where data and runs live (``data/``). NOWCAST_ARCHIVE: a folder that holds the archive's files; with
it, ``archive`` is the default feed.
"""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import xarray as xr

from nowcastlib.data import feeds, store
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.errors import NowcastError
from nowcastlib.networks import SEED, ModelConfig
from nowcastlib.training import TrainConfig

ARCHIVE = "NOWCAST_ARCHIVE"


@dataclass(frozen=True)
class Preset:
    """How large the course runs."""

    name: str
    events: int  # synthetic storms
    pixels: int  # their height and width
    size: int  # px of the central square that is forecast and scored
    leads: int  # steps to forecast
    every: int  # score every so-manieth case
    mnist: TrainConfig  # the warm-up
    radar: TrainConfig  # the rain
    guided: TrainConfig  # the rain, with its motion given


_SMALL = ModelConfig(hidden=(8, 16, 16, 8), kernel=(3, 3, 3, 3))
_SEED = TrainConfig(
    SEED, n_in=6, n_out=6, curriculum=(2, 3, 4, 5, 6), curriculum_in=True, restart=True, crop=0, epochs=10, steps=140,
    batch=64, lr=0.01, schedule="step", loss="bce",
)  # fmt: skip
_WARM = TrainConfig(
    ModelConfig((64,), (5,), stride=1, patch=4),
    n_in=3,
    n_out=5,
    loss="kl",
    crop=0,
    lr=3e-3,
    curriculum=(1, 1, 3, 5, 5, 5),
)
_GUIDED = TrainConfig(
    ModelConfig((64, 64), (5, 3), stride=1, patch=4, kind="guided", norm="layer"), n_in=6, n_out=12, crop=256,
    epochs=60, steps=500, batch=16, optimiser="adamw", weight_decay=1e-4, warmup=0.05, loss="exceedance", vary=0.3,
    keep="last", precision="bf16",
)  # fmt: skip
PRESETS = {
    "tiny": Preset(
        "tiny",
        events=4,
        pixels=64,
        size=64,
        leads=6,
        every=12,
        mnist=replace(
            _WARM, model=replace(_WARM.model, hidden=(16,), kernel=(3,)), epochs=6, steps=5, batch=4
        ),
        radar=TrainConfig(
            _SMALL,
            n_in=4,
            n_out=4,
            crop=64,
            epochs=3,
            steps=5,
            batch=4,
            curriculum=(1, 4),
            sampling=0.5,
        ),
        guided=replace(
            _GUIDED,
            model=replace(_GUIDED.model, hidden=(8,), kernel=(3,)),
            n_in=4,
            n_out=4,
            crop=64,
            epochs=2,
            steps=4,
            batch=2,
            lr=3e-3,
            precision="auto",
        ),
    ),
    "laptop": Preset(
        "laptop",
        events=8,
        pixels=128,
        size=256,
        leads=12,
        every=4,
        mnist=replace(_WARM, epochs=6, steps=60, batch=16),
        radar=TrainConfig(
            ModelConfig((64,), (5,), stride=1, patch=4),
            n_in=4,
            crop=96,
            epochs=12,
            steps=40,
            lr=3e-3,
            curriculum=(1, 1, 3, 6),
        ),
        guided=replace(
            _GUIDED,
            model=replace(_GUIDED.model, hidden=(16, 16)),
            n_out=6,
            crop=96,
            epochs=5,
            steps=6,
            batch=4,
            lr=3e-3,
            precision="auto",
        ),
    ),
    "gpu": Preset(
        "gpu",
        events=100,
        pixels=256,
        size=256,
        leads=12,
        every=1,
        mnist=replace(
            _WARM,
            model=ModelConfig((128, 64, 64), (5, 5, 5), stride=1, patch=4),
            n_in=10,
            n_out=10,
            curriculum=(1, 3, 6, 10, 10),
            epochs=100,
            steps=500,
            batch=64,
            lr=1e-3,
            precision="bf16",
        ),
        radar=TrainConfig(
            n_out=12,
            epochs=60,
            steps=500,
            batch=32,
            curriculum=(2, 4, 8, 12),
            sampling=0.5,
            precision="bf16",
        ),
        guided=_GUIDED,
    ),
    "seed": Preset(
        "seed",
        events=100,
        pixels=128,
        size=128,
        leads=6,
        every=1,
        mnist=_SEED,
        radar=replace(_SEED, model=replace(SEED, size=128), crop=128, batch=16, steps=500),
        guided=replace(_GUIDED, n_out=6, crop=128),
    ),
}


def preset() -> Preset:
    """The preset that NOWCAST_PRESET names; without it, ``gpu`` where there is one, else ``laptop``."""
    name = os.environ.get("NOWCAST_PRESET") or ("gpu" if torch.cuda.is_available() else "laptop")
    if name not in PRESETS:
        raise NowcastError(f"NOWCAST_PRESET is {name!r}: choose one of {', '.join(PRESETS)}")
    return PRESETS[name]


def data_folder() -> Path:
    """Where this preset's and feed's data and runs live."""
    root = Path(__file__).parents[1]
    root = root if (root / "pyproject.toml").exists() else Path.cwd()
    name, rest, span = _source()
    name = re.sub(r"[^\w.-]+", "-", "-".join(filter(None, [preset().name, name, rest, *span])))
    return Path(os.environ.get("NOWCAST_DATA") or root / "data") / name


def _source() -> tuple[str, str, list[str]]:
    """What NOWCAST_SOURCE asks for: the name of the feed, what stands after the colon, and first and last day."""
    source = os.environ.get("NOWCAST_SOURCE") or ("archive" if os.environ.get(ARCHIVE) else "demo")
    source, _, days = source.partition("@")
    name, _, rest = source.partition(":")
    span = days.split("/") if days else []
    if len(span) not in (0, 2):
        raise NowcastError(
            f"NOWCAST_SOURCE ends in @{days}: write days like @2024-06-01/2024-06-08"
        )
    return name, rest, span


def feed() -> feeds.Source:
    """The feed that NOWCAST_SOURCE names."""
    name, rest, _ = _source()
    if name == "archive":
        folder = os.environ.get(ARCHIVE) or str(data_folder().parent / "archive")
        return feeds.feed(name, path=folder, product=rest)
    if (
        name == "demo"
    ):  # other storms than those of seed 0, on which the shipped weights were trained
        return Demo(preset().events, size=preset().pixels, seed=1)
    return feeds.feed(name, path=rest)


def frames() -> xr.DataArray:
    """The feed's frames, ingested into ``data_folder()`` if they are not there yet: lazy (time, y, x), mm/h."""
    return store.open_frames(store.ingest(feed(), data_folder() / "frames.zarr", *_source()[2]))
