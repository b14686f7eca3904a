"""Answers for clips of rain: by a trained classifier, and by baselines that need no training.

The baselines are numbers, not probabilities. ``calibrated`` turns them into probabilities by what
happened in the training clips.
"""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr
from sklearn.linear_model import LogisticRegression
from torch.utils.data import DataLoader, Dataset

from nowcastlib.data import (
    LabelledClips,
    RadarWindows,
    find_windows,
    frames_table,
    pixel_size,
    time_step,
)
from nowcastlib.errors import NowcastError
from nowcastlib.forecasting.baselines import extrapolation
from nowcastlib.networks import ConvLSTMClassifier, network_input, probability
from nowcastlib.training import TrainConfig, load, load_trained_scale

log = logging.getLogger("nowcastlib")
BATCH = 32  # clips that are answered together


def load_classifier(
    run: str | Path, device: str = "auto"
) -> tuple[ConvLSTMClassifier, TrainConfig]:
    """The trained classifier of a run's folder.

    Raises
    ------
    NowcastError
        If the folder holds no network that can be read, or one that forecasts frames.
    """
    model, config = load(run, device)
    if not isinstance(model, ConvLSTMClassifier):
        raise NowcastError(
            f"{run} holds a {config.model.kind} network, which forecasts frames: use nowcast "
            "forecast, or name the run of a classifier"
        )
    return model, config


def warn_of_other_scale(run: str | Path, frames: xr.DataArray) -> None:
    """Warn if frames have other pixels or time steps than a classifier was trained at."""
    trained, size = load_trained_scale(run), pixel_size(frames)
    found = {"pixels": (size and max(size), trained.pixel_km, "km")}
    found["a time step"] = (time_step(frames), trained.step_minutes, "minutes")
    for what, (value, span, unit) in found.items():
        if not value or np.isnan(value) or not span:  # a single frame has no time step
            continue
        if not 0.9 * span[0] <= value <= 1.1 * span[1]:
            log.warning(
                "the frames have %s of %g %s, and the classifier was trained at %g to %g: its "
                "answers are untested there", what, value, unit, *span,
            )  # fmt: skip


def answers(model: ConvLSTMClassifier, clips: Dataset) -> np.ndarray:
    """The probability of "yes" for each clip: (clip,).

    ``clips`` are pairs of a clip and a label, or clips alone, (T, 1, H, W) in model units.
    """
    device = next(model.parameters()).device
    parts = []
    for batch in DataLoader(clips, BATCH):
        x = batch if isinstance(batch, torch.Tensor) else batch[0]
        parts.append(probability(model, network_input(x.to(device), model.config)))
    return torch.cat(parts).cpu().numpy()


def classify(model: ConvLSTMClassifier, config: TrainConfig, frames: xr.DataArray) -> pd.DataFrame:
    """Answer the question of a classifier at every time that has enough frames.

    Parameters
    ----------
    model : ConvLSTMClassifier
    config : TrainConfig
        The configuration with which it was trained: it says what the question is.
    frames : xr.DataArray
        Rain rate (time, y, x) in mm/h.

    Returns
    -------
    pandas.DataFrame
        One row for each time: ``issued``, the time of the last frame that was used; ``valid_from``
        and ``valid_to``, UTC, between which the event may happen; ``probability``; ``observed``, 1
        or 0, NaN where the frames do not show it (yet).

    Raises
    ------
    NowcastError
        If no time has enough frames, or if the frames are smaller than the clips.
    """
    windows, options = config.windows, config.clips
    if len(frames) < windows.n_in:
        raise NowcastError(f"there are {len(frames)} frames, and a clip needs {windows.n_in}")
    table, step = frames_table(frames), time_step(frames)
    rows = find_windows(table, windows.n_in, step)
    clips = RadarWindows(frames, rows, windows.crop, scale=config.scale)

    issued = pd.DatetimeIndex(frames.time.values[rows[:, -1]])
    result = pd.DataFrame({"issued": issued})
    result["valid_from"] = issued + pd.Timedelta(minutes=step * options.first_lead)
    result["valid_to"] = issued + pd.Timedelta(minutes=step * windows.n_out)
    result["probability"] = answers(model, clips)
    return result.merge(_observed(frames, table, step, config), "left", "issued")


def _observed(
    frames: xr.DataArray, table: pd.DataFrame, step: float, config: TrainConfig
) -> pd.DataFrame:
    """What happened, where the frames after a clip show it: columns ``issued``, ``observed``."""
    windows = config.windows
    try:
        rows = find_windows(table, windows.n_frames, step)
    except NowcastError:  # no time has the frames after it
        return pd.DataFrame({"issued": table.time.iloc[:0], "observed": np.zeros(0)})
    clips = LabelledClips(
        RadarWindows(frames, rows, windows.crop, scale=config.scale), windows.n_in, config.clips
    )
    return pd.DataFrame({"issued": clips.times, "observed": clips.labels})


def wettest_now(clips: Dataset, config: TrainConfig) -> np.ndarray:
    """Rain rate of the wettest pixel of the centre in the last frame, mm/h: (clip,)."""
    last = np.stack([clips[i][0][-1, 0].numpy() for i in range(_length(clips))])
    rate = config.scale.from_model(torch.from_numpy(last)).numpy()  # (clip, H, W)
    return _wettest(rate, config.clips.centre)


def wettest_extrapolated(clips: Dataset, config: TrainConfig) -> np.ndarray:
    """Rain rate of the wettest pixel that extrapolation brings into the centre, mm/h: (clip,).

    At any of the frames ``first_lead`` … ``n_out`` after the clip. Pixels that the rain would reach
    from beyond the edge count as dry.
    """
    options = config.clips
    values = []
    for i in range(_length(clips)):
        observed = config.scale.from_model(clips[i][0][:, 0]).numpy()  # (T, H, W)
        later = extrapolation(observed, config.windows.n_out)[options.first_lead - 1 :]
        values.append(_wettest(later, options.centre).max())
    return np.array(values)


def calibrated(training: np.ndarray, labels: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Probabilities from numbers such as rain rates, by logistic regression on training clips.

    Parameters
    ----------
    training, labels : array (clip,)
        Numbers, at least 0, and labels of the training clips.
    numbers : array (clip,)
        Numbers to turn into probabilities. Their order stays, so that their AUC is the same.

    References
    ----------
    Wilks 2011, Statistical Methods in the Atmospheric Sciences, section 7.3.2.
    """
    regression = LogisticRegression().fit(np.log1p(training)[:, None], labels)
    return regression.predict_proba(np.log1p(numbers)[:, None])[:, 1]


def _wettest(rate: np.ndarray, centre: int) -> np.ndarray:
    """Largest rain rate in the middle of frames (frame, H, W), mm/h: (frame,)."""
    rows, columns = ((n - centre) // 2 for n in rate.shape[1:])
    square = rate[:, rows : rows + centre, columns : columns + centre]
    return np.nan_to_num(square).max(axis=(1, 2))


def _length(clips: Dataset) -> int:
    """Number of clips; torch declares it for some datasets only."""
    return len(clips)  # type: ignore[arg-type]
