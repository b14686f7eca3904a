"""Answers and baselines for clips of rain."""

import logging

import numpy as np
import pandas as pd
import pytest
import torch

from nowcastlib.data import GivenClips, as_frames
from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import (
    Network,
    answers,
    calibrated,
    classify,
    wettest_extrapolated,
    wettest_now,
)
from nowcastlib.networks import ClassifierConfig, build, probability
from nowcastlib.training import default_config
from nowcastlib.verification import auc

CONFIG = default_config("classifier").changed(
    model=ClassifierConfig(hidden=(2, 2), kernel=(3, 3), patch=2), n_in=3, n_out=4, first_lead=2,
    crop=32, centre=8, rate=1.0,
)  # fmt: skip


def moving_shower(x, frames=3, size=32, step=3):
    """A clip (T, 1, H, W) in which a shower of 20 mm/h moves to the right."""
    rain = np.zeros((frames, 1, size, size), "f4")
    for t in range(frames):
        left = x + step * t
        rain[t, 0, 12:20, left : left + 6] = np.linspace(5, 20, 6)
    return CONFIG.scale.to_model(torch.from_numpy(rain))


def test_rules_look_at_the_centre_now_and_along_the_motion():
    here = moving_shower(7)  # x = 13 … 18 in the last frame: in the centre, 12 … 19
    clips = GivenClips(torch.stack([here, moving_shower(0)]), [1, 0])
    now = wettest_now(clips, CONFIG)
    assert now[0] == pytest.approx(20.0, rel=1e-3)
    assert now[1] == 0  # x = 6 … 11
    later = wettest_extrapolated(clips, CONFIG)
    assert later[1] > 10  # six to twelve pixels on, it is there


def test_calibration_keeps_the_order_and_gives_the_frequencies():
    rng = np.random.default_rng(0)
    rate = rng.gamma(1.0, 3.0, 4000)
    labels = rng.random(4000) < rate / (rate + 5)
    p = calibrated(rate[:2000], labels[:2000], rate[2000:])
    assert auc(labels[2000:], p) == pytest.approx(auc(labels[2000:], rate[2000:]))
    assert p.mean() == pytest.approx(labels[2000:].mean(), abs=0.03)


def rain_with_a_gap():
    """Ten frames, an hour without any, ten more."""
    rng = np.random.default_rng(0)
    frames = as_frames(rng.gamma(0.3, 2.0, (20, 40, 40)).astype("f4"))
    times = frames.indexes["time"]
    return frames.assign_coords(time=times + pd.to_timedelta(2 * (np.arange(20) // 10), "h"))


def test_answers_are_those_of_the_network_at_every_possible_time():
    frames = rain_with_a_gap()
    torch.manual_seed(0)
    network = build(CONFIG.model).eval()
    table = classify(network, CONFIG, frames)
    assert table.issued.tolist() == frames.indexes["time"][[*range(2, 10), *range(12, 20)]].tolist()
    assert (table.valid_from - table.issued == pd.Timedelta("10min")).all()
    assert (table.valid_to - table.issued == pd.Timedelta("20min")).all()
    assert table.observed.notna().tolist() == 2 * (4 * [True] + 4 * [False])

    square = torch.from_numpy(frames.values[:3, 4:36, 4:36])
    alone = probability(network, CONFIG.scale.to_model(square)[None, :, None])
    assert table.probability[0] == pytest.approx(alone.item(), rel=1e-5)


def test_what_happened_is_the_question_answered_by_the_frames():
    frames = rain_with_a_gap()
    table = classify(build(CONFIG.model), CONFIG.changed(rate=1.0, share=0.21), frames)
    for row in table[table.observed.notna()].itertuples():
        span = frames.sel(time=slice(row.valid_from, row.valid_to)).values[:, 16:24, 16:24]
        assert row.observed == ((span > 1.0).mean((1, 2)) >= 0.21).any()
    assert 0 < table.observed.mean() < 1


def test_no_frames_after_the_clips_leave_the_observation_open():
    table = classify(build(CONFIG.model), CONFIG, rain_with_a_gap()[:5])
    assert len(table) == 3
    assert table.observed.isna().all()


def test_fewer_frames_than_a_clip_needs_are_refused_with_both_numbers():
    model, frames = build(CONFIG.model), as_frames(np.ones((1, 40, 40)))
    with pytest.raises(NowcastError, match="there are 1 frames, and a clip needs 3"):
        classify(model, CONFIG, frames)


def test_lost_pixels_are_filled_before_the_network_sees_them():
    clip = moving_shower(7)
    clip[1, 0, :4] = torch.nan
    p = answers(build(CONFIG.model), GivenClips(clip[None], [1]))
    assert np.isfinite(p).all()


def test_a_classifier_is_no_forecaster_of_frames():
    with pytest.raises(NowcastError, match="use nowcast classify predict"):
        Network(build(CONFIG.model), CONFIG)


def test_other_pixels_and_steps_are_warned_of(tmp_path, caplog):
    from nowcastlib.forecasting import warn_of_other_scale
    from nowcastlib.training.checkpoint import start
    from nowcastlib.units import TrainedScale

    run = tmp_path / "run"
    run.mkdir()
    start(run, CONFIG, "", {}, TrainedScale((1.0, 1.0), (10.0, 10.0)))
    with caplog.at_level(logging.WARNING):
        warn_of_other_scale(run, rain_with_a_gap())
    assert "a time step of 5 minutes, and the classifier was trained at 10 to 10" in caplog.text
    assert "pixels" not in caplog.text
