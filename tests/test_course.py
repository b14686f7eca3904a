"""Environment variables choose the course's feed, its folder and its preset."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from archive_files import field, write_all

from nowcastlib import course
from nowcastlib.course import rain as rain_of_the_course
from nowcastlib.data import as_frames, labels_of
from nowcastlib.data.feeds.archive import Archive
from nowcastlib.data.feeds.cf_zarr import CfZarr
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.data.feeds.fvg import Fvg
from nowcastlib.data.feeds.images import Images
from nowcastlib.errors import NowcastError
from nowcastlib.networks import SEED, GuidedConfig


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    for name in ("NOWCAST_SOURCE", "NOWCAST_ARCHIVE", "NOWCAST_PRESET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NOWCAST_DATA", str(tmp_path))
    monkeypatch.setenv("NOWCAST_PRESET", "tiny")


def test_the_default_feed_is_the_archive_if_there_is_one_and_synthetic_rain_otherwise(
    monkeypatch, tmp_path
):
    assert course.feed() == Demo(4, size=64, seed=1)
    monkeypatch.setenv("NOWCAST_ARCHIVE", str(tmp_path))
    assert course.feed() == Archive("mch", str(tmp_path))


@pytest.mark.parametrize(
    ("source", "feed", "folder"),
    [
        ("fvg", Fvg(), "tiny-fvg"),
        ("fvg@2024-06-01/2024-06-08", Fvg(), "tiny-fvg-2024-06-01-2024-06-08"),
        (
            "cloud:s3://bucket/rain.zarr",
            CfZarr("s3://bucket/rain.zarr"),
            "tiny-cloud-s3-bucket-rain.zarr",
        ),
        ("images:my films", Images("my films"), "tiny-images-my-films"),
        ("images:/me@work/film", Images("/me@work/film"), "tiny-images--me-work-film"),
    ],
)
def test_each_source_has_its_feed_and_its_own_folder(monkeypatch, tmp_path, source, feed, folder):
    monkeypatch.setenv("NOWCAST_SOURCE", source)
    assert course.feed() == feed
    assert course.data_folder() == tmp_path / folder


@pytest.mark.parametrize("preset", course.PRESETS.values(), ids=lambda preset: preset.name)
def test_configurations_of_a_preset_fit_the_size_and_length_of_its_storms(preset):
    for config in (preset.radar, preset.guided):
        assert config.windows.crop <= preset.pixels
        assert config.windows.n_frames <= Demo().frames
        assert config.windows.crop % config.model.size_multiple == 0
    assert isinstance(preset.guided.model, GuidedConfig)


def test_the_preset_seed_has_the_settings_of_zampars_best_run():
    """Run 1014459: 6 to 6 frames of 64 px, about 16,900 batches of 64, one Adam, no scheduler."""
    config = course.PRESETS["seed"].mnist
    assert config.model == SEED
    assert (config.windows.n_in, config.windows.n_out, config.windows.crop) == (6, 6, 0)
    assert config.rollout.curriculum == (2, 3, 4, 5, 6)
    assert config.rollout.curriculum_in
    assert config.rollout.sampling == 0
    assert config.run.epochs * config.run.steps == 16_900
    assert config.run.batch == 64
    optimisation = config.optimisation
    assert (optimisation.loss, optimisation.lr, optimisation.schedule) == ("bce", 0.01, "constant")
    assert (optimisation.clip, optimisation.weight_decay, optimisation.warmup) == (0, 0, 0)
    assert not config.rollout.restart


def test_frames_are_ingested_only_once(monkeypatch, tmp_path):
    write_all("knmi", tmp_path / "in", [field()] * 3)
    monkeypatch.setenv("NOWCAST_ARCHIVE", str(tmp_path / "in"))
    monkeypatch.setenv("NOWCAST_SOURCE", "archive:knmi")
    np.testing.assert_allclose(course.frames(), [field()] * 3, rtol=1e-6)
    monkeypatch.setattr(Archive, "read", None)
    assert course.frames().sizes["time"] == 3


@pytest.mark.parametrize(
    ("source", "period"),
    [
        ("fvg@2024-06-01/2024-06-08", ("2024-06-01", "2024-06-08")),
        ("fvg", (None, None)),
        ("images:/home/me@work/film", (None, None)),
        ("images:/home/me@work/film@2024-06-01/2024-06-08", ("2024-06-01", "2024-06-08")),
    ],
)
def test_only_the_period_of_the_source_is_ingested(monkeypatch, source, period):
    periods = []
    monkeypatch.setenv("NOWCAST_SOURCE", source)
    monkeypatch.setattr(
        rain_of_the_course, "ingest", lambda feed, out, *period: periods.append(period)
    )
    monkeypatch.setattr(rain_of_the_course.store, "open_frames", lambda _: None)
    course.frames()
    assert periods == [period]


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("NOWCAST_PRESET", "huge", "NOWCAST_PRESET is 'huge': choose one of tiny, laptop, gpu"),
        ("NOWCAST_SOURCE", "radio", "unknown source 'radio'"),
        ("NOWCAST_SOURCE", "fvg@yesterday", "@yesterday.*like @2024-06-01/2024-06-08"),
        ("NOWCAST_SOURCE", "fvg:yesterday", "the source fvg has no option 'path'"),
        ("NOWCAST_SOURCE", "images", "the source images needs a path"),
    ],
)
def test_a_wrong_setting_is_one_clear_error(monkeypatch, variable, value, message):
    monkeypatch.setenv(variable, value)
    with pytest.raises(NowcastError, match=message):
        course.frames()


@pytest.mark.parametrize(
    ("answer", "printed"),
    [
        (lambda: 42, "Exercise 1: solved"),
        (lambda: 41, "Exercise 1: not solved yet: multiply six by seven"),
        (lambda: ..., "Exercise 1: not solved yet: multiply six by seven"),
        (lambda: ... + 1, "Exercise 1: not solved yet: TypeError: unsupported operand"),
    ],
)
def test_a_check_prints_a_hint_and_never_stops_the_notebook(capsys, answer, printed):
    with course.checking("Exercise 1"):
        assert answer() == 42, "multiply six by seven"
    assert capsys.readouterr().out.startswith(printed)


def test_a_learner_can_still_interrupt_a_check():
    with pytest.raises(KeyboardInterrupt), course.checking("Exercise 1"):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("ours", "theirs", "sentence"),
    [
        (0.3, 0.2, "mine 0.300, persistence 0.200: 50 % better than persistence"),
        (0.15, 0.2, "mine 0.150, persistence 0.200: 25 % worse than persistence"),
        (0.2004, 0.2, "mine 0.200, persistence 0.200: equal to persistence"),
        (0.1, 0.0, "mine 0.100, persistence 0.000: better than persistence"),
        (0.0, 0.0, "mine 0.000, persistence 0.000: no better than persistence"),
        (np.nan, 0.2, "no such rain, no comparison"),
    ],
)
def test_the_verdict_follows_from_the_scores(ours, theirs, sentence):
    scores = xr.DataArray(
        [[theirs, 0.5], [ours, 0.5]],
        {"forecaster": ["persistence", "mine"], "threshold": [2.0, 5.0]},
        ("forecaster", "threshold"),
    )
    first, second = course.verdict(scores, "mine").splitlines()
    assert first.startswith("rain above 2 mm/h: ")
    assert sentence in first
    assert second.endswith("equal to persistence, within half a percent")


def test_question_about_rain_has_both_answers_in_both_parts():
    """The highest rate that a twentieth of the clips exceed, and a twentieth do not."""
    rain = np.zeros((48, 64, 64), "f4")
    rain[::8, 24:40, 24:40] = 1.5  # above 1 mm/h, not above 2, in some clips
    times = pd.date_range("2024-06-01", periods=24, freq="5min")
    both = times.append(times + pd.Timedelta("1D"))
    store = course.data_folder() / "frames.zarr"
    frames = as_frames(rain).assign_coords(time=both)
    frames.to_dataset(name="rainfall_rate").to_zarr(store, consolidated=False)

    config, train, unseen = course.clips_of_rain(course.preset().pour)
    assert config.clips.rate == 1.0
    for part in (train, unseen):
        assert 0.05 <= labels_of(part).mean() <= 0.95
