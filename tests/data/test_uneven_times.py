"""Steps that are no whole minutes, and times that are some seconds off: the same in every room."""

import numpy as np
import pandas as pd
import pytest
from packed_frames import unpack

from nowcastlib.data import as_frames, find_windows, frames_table, open_frames, storms, time_step
from nowcastlib.data.completeness import mark_complete
from nowcastlib.data.times import usual_step
from nowcastlib.display import ForecastPlayer
from nowcastlib.display.player.levels import NOT_KNOWN
from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import BASELINES, Baseline, baselines, forecast
from nowcastlib.live.fetching import latest_times
from nowcastlib.verification import EvaluationOptions, evaluate, issue_times, observed_at

PERSISTENCE = Baseline(baselines.persistence, n_in=3)
SECOND = pd.Timedelta(seconds=1)
START = pd.Timestamp("2024-06-01")


def frames_every(seconds, n=12, off=None):
    """Frames of a storm; each time may be some seconds off."""
    rain = as_frames(storms.rain(storms.Storm(seed=3, size=32, wet_fraction=0.5), n))
    off = np.zeros(n) if off is None else np.asarray(off)
    return rain.assign_coords(time=START + pd.to_timedelta(seconds * np.arange(n) + off, unit="s"))


def stored(frames, path, units, dtype="f8"):
    """The frames in a CF-Zarr store whose times are numbers in some unit."""
    encoding = {"time": {"units": units, "dtype": dtype}}
    frames.to_dataset(name="rain").to_zarr(path, encoding=encoding, zarr_format=2)
    return open_frames(path)


JITTER = [0, 7, -9, 3, 8, -8, 0, 9, -9, 4, 9, -8]  # seconds


@pytest.mark.parametrize("units", ["days since 1970-01-01", "hours since 1900-01-01"])
@pytest.mark.parametrize("seconds", [100, 300])
def test_times_of_a_store_are_whole_seconds(tmp_path, units, seconds):
    frames = stored(frames_every(seconds), tmp_path / "rain.zarr", units)
    assert frames.time.dtype == "datetime64[ns]"
    expected = START + seconds * SECOND * np.arange(12)
    assert frames.indexes["time"].tolist() == expected.tolist()


def test_valid_times_of_a_step_of_100_seconds_are_whole_seconds():
    frames = frames_every(100)
    assert usual_step(frames.indexes["time"]) == 100 * SECOND
    predicted = forecast(PERSISTENCE, frames, frames.time.values[5], 5)
    assert (predicted.valid_time.values == frames.time.values[6:11]).all()
    np.testing.assert_array_equal(observed_at(predicted, frames), frames.values[6:11])


@pytest.mark.parametrize(
    "frames",
    [frames_every(100), frames_every(300, off=JITTER), frames_every(10), frames_every(20)],
    ids=["100 s", "some seconds off", "10 s", "20 s"],
)
def test_forecast_evaluation_and_windows_use_the_same_frames(frames):
    cases = issue_times(frames, 3, 4)
    assert (cases == frames.indexes["time"][2:8]).all()
    windows = find_windows(frames_table(frames), 7, time_step(frames))
    assert windows.tolist() == (np.arange(6)[:, None] + np.arange(7)).tolist()

    for k, at in enumerate(cases):
        seen = []
        spy = Baseline(lambda rate, n, seen=seen: seen.append(rate) or rate[[-1] * n], n_in=3)
        predicted = forecast(spy, frames, at, 4)
        np.testing.assert_array_equal(seen[0], frames.values[k : k + 3])
        np.testing.assert_array_equal(observed_at(predicted, frames), frames.values[k + 3 : k + 7])
        assert predicted.issued.values == at.to_numpy()

    options = EvaluationOptions(leads=4, size=0)
    assert evaluate(frames, {"p": PERSISTENCE}, options, progress=False).sizes["case"] == 6


@pytest.mark.parametrize("seconds", [10, 15, 30, 60])
def test_windows_with_a_missing_frame_hold_no_frame_twice(seconds):
    frames = frames_every(seconds).isel(time=[0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11])
    windows = find_windows(frames_table(frames), 4, time_step(frames))
    expected = [[0, 1, 2, 3], [1, 2, 3, 4], [5, 6, 7, 8], [6, 7, 8, 9], [7, 8, 9, 10]]
    assert windows.tolist() == expected
    assert (issue_times(frames, 2, 2) == frames.indexes["time"][[1, 2, 6, 7, 8]]).all()


def test_a_frame_may_be_a_third_of_a_step_off_but_no_more_than_half_a_minute():
    for seconds, allowed in ((15, 5), (60, 20), (300, 30), (900, 30)):
        for off, used in ((allowed, True), (allowed + 1, False)):
            frames = frames_every(seconds, off=[0, 0, 0, 0, 0, 0, 0, off, 0, 0, 0, 0])
            at = frames.indexes["time"][6]
            assert (at in issue_times(frames, 3, 1)) == used
            windows = find_windows(frames_table(frames), 4, time_step(frames)).tolist()
            assert ([4, 5, 6, 7] in windows) == used
            predicted = forecast(PERSISTENCE, frames, at, 1)
            if used:
                observed_at(predicted, frames)
            else:
                with pytest.raises(NowcastError, match="cannot be verified"):
                    observed_at(predicted, frames)


def test_the_step_of_uneven_times_is_their_mean():
    assert usual_step(frames_every(300, off=JITTER).indexes["time"]) == pytest.approx(
        300 * SECOND, abs=3 * SECOND
    )
    assert usual_step(START + 60 * SECOND * pd.Index([0, 5, 10, 20, 60, 65])) == 300 * SECOND


def test_the_player_shows_the_observation_where_times_are_some_seconds_off():
    frames = frames_every(300, off=JITTER)
    predicted = forecast(BASELINES["persistence"], frames, frames.time.values[6], 4)
    player = ForecastPlayer(frames, {"persistence": predicted})
    levels = unpack(player.sequences[0], (32, 32))
    assert levels.shape == (3 + 4, 32, 32)
    assert (levels != NOT_KNOWN).all()


def test_the_live_page_takes_frames_that_are_some_seconds_off():
    frames = frames_every(300, off=JITTER)
    times, missing = latest_times(mark_complete(frames), frames.indexes["time"], {4})
    assert times.tolist() == frames.indexes["time"][-4:].tolist()
    assert missing == []


def test_a_forecast_of_a_single_frame_has_valid_times():
    frames = frames_every(300, n=12)[:1]
    predicted = forecast(Baseline(baselines.persistence, n_in=1), frames, leads=2)
    valid = pd.DatetimeIndex(predicted.valid_time.values)
    assert valid.tolist() == [START + 300 * SECOND, START + 600 * SECOND]
    assert predicted.lead_time.values.tolist() == [5, 10]
