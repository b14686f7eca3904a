"""A store with lost and half lost frames: the same rule for all commands, and nearly the scores."""

import contextlib
import json

import numpy as np
import pytest
import xarray as xr

from nowcastlib.cli import main
from nowcastlib.data import (
    TrainingStores,
    WindowOptions,
    as_frames,
    mark_complete,
    open_frames,
    storms,
    training_data,
)
from nowcastlib.data.rain_check import LazyRates
from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import BASELINES, forecast
from nowcastlib.live.fetching import latest_times
from nowcastlib.verification import EvaluationOptions, evaluate, issue_times, mean_csi
from nowcastlib.verification.case_times import count_missing

LOST = [4, 15, 27, 33, 41, 56, 63, 72, 88, 95]
HALF_LOST = [9, 38, 50, 67, 81]
NEGATIVE = 21  # this frame has some pixels of -0.6 mm/h
INCOMPLETE = sorted(LOST + HALF_LOST)
EXTRAPOLATION = BASELINES["extrapolation"]


@pytest.fixture(scope="module")
def whole():
    """100 frames of rain that moves 2 px east and 1 px south in a step; two corners are unseen."""
    storm = storms.Storm(seed=3, size=64, wet_fraction=0.4, lifetime=600)
    rain = storms.rain(storm, 100)
    rain[:, :6, :6] = rain[:, -6:, -6:] = np.nan
    return as_frames(rain)


@pytest.fixture(scope="module")
def holed(whole):
    """The same frames after ten were lost and five half lost."""
    frames = whole.copy(deep=True)
    frames[LOST] = np.nan
    frames[HALF_LOST, :, :32] = np.nan
    return frames


@pytest.fixture(scope="module")
def stores(tmp_path_factory, whole, holed):
    """Paths of the stores of both; the one with losses has small negative values, too."""
    root = tmp_path_factory.mktemp("lost")
    negative = holed.copy(deep=True)
    negative[NEGATIVE, 30, 30:34] = -0.6
    for name, frames in {"whole": whole, "holed": negative}.items():
        frames.to_dataset().to_zarr(root / f"{name}.zarr", zarr_format=2)
    return root / "whole.zarr", root / "holed.zarr"


def counts_of(frames):
    options = EvaluationOptions(leads=3, thresholds=(0.5,), size=0, scales=(2,))
    return evaluate(frames, {"extrapolation": EXTRAPOLATION}, options, progress=False)


def test_scores_with_lost_frames_are_within_two_percent_of_those_without(whole, holed):
    """CSI of the cases that can be made in spite of the losses."""
    of_whole, of_holed = counts_of(whole[:60]), counts_of(holed[:60])
    same = of_whole.isel(case=np.isin(of_whole.issued, of_holed.issued))
    assert same.sizes["case"] == of_holed.sizes["case"] > 15
    csi, csi_of_holed = (mean_csi(c.sum("case")).item() for c in (same, of_holed))
    print(f"CSI {csi:.3f}, with lost frames {csi_of_holed:.3f}")
    assert csi_of_holed == pytest.approx(csi, rel=0.02)

    assert of_whole.attrs["incomplete_frames"] == of_whole.attrs["cases_left_out"] == 0
    attributes = of_holed.attrs
    assert attributes["incomplete_frames"] == len([k for k in INCOMPLETE if k < 60])
    assert attributes["cases_left_out"] == of_whole.sizes["case"] - of_holed.sizes["case"]
    assert attributes["cases_with_missing_frames"] > 5


def test_forecasts_from_the_frames_around_a_lost_one_are_as_good(whole, holed):
    """The last frame but one is lost: the forecast is nearly the one of all frames."""
    for lost in LOST[1:4] + HALF_LOST[:2]:
        at = whole.time.values[lost + 1]
        complete, filled = (forecast(EXTRAPOLATION, f, at, 3) for f in (whole, holed))
        both = np.isfinite(complete.values) & np.isfinite(filled.values)
        assert both.mean() > 0.7
        rain, error = complete.values[both], (filled - complete).values[both]
        assert np.abs(error).mean() < 0.1 * rain.mean()


def test_a_frame_without_observations_is_as_no_frame(whole, holed):
    without = whole.isel(time=np.delete(np.arange(100), LOST))
    for number in (LOST[0] + 1, LOST[2] + 1, LOST[3] + 4):
        at = whole.time.values[number]
        lost, absent = (forecast(EXTRAPOLATION, f, at, 2) for f in (holed, without))
        xr.testing.assert_identical(lost, absent)
    for number in (LOST[0], LOST[0] + 2):
        for frames in (holed, without):
            with pytest.raises(NowcastError, match="nearest possible time is"):
                forecast(EXTRAPOLATION, frames, whole.time.values[number], 2)


def test_forecast_evaluate_and_live_take_the_same_times(holed):
    times = holed.indexes["time"]
    possible, live = [], []
    for k in range(20, 60):
        until = holed[: k + 1]
        try:
            forecast(EXTRAPOLATION, until, times[k], 1)
            possible.append(k)
        except NowcastError:
            pass
        newest, _ = latest_times(mark_complete(until), times[: k + 1], {EXTRAPOLATION.n_in})
        if newest[-1] == times[k]:
            live.append(k)
    assert live == possible

    verified = times.get_indexer(issue_times(holed, EXTRAPOLATION.n_in, 1))
    expected = [k for k in possible if k + 1 not in INCOMPLETE]
    assert [k for k in verified if 20 <= k < 60] == expected
    lost_before = [k for k in possible if k - 1 in INCOMPLETE]
    assert lost_before == [28, 34, 39, 42, 51, 57]


def test_coverage_that_halves_for_good_is_judged_alike_by_forecast_and_evaluate(whole):
    """The first frames after the change are incomplete; then the new coverage is usual."""
    halved = whole.copy(deep=True)
    halved[50:, :, :32] = np.nan
    halved[2, :, :32] = np.nan  # judged by the frames after it: there are few before
    times, possible = halved.indexes["time"], []
    for k in range(75):
        with contextlib.suppress(NowcastError):
            forecast(EXTRAPOLATION, halved, times[k], 1)
            possible.append(k)

    is_complete = mark_complete(halved).is_complete.values
    assert np.flatnonzero(~is_complete).tolist() == [2, *range(50, 56)]
    verified = times.get_indexer(issue_times(halved, EXTRAPOLATION.n_in, 1))
    assert [k for k in verified if k < 75] == [k for k in possible if is_complete[k + 1]]
    assert possible == [3, *range(5, 50), *range(58, 75)]


@pytest.mark.parametrize("every", [1, 4])
def test_cases_left_out_are_those_that_the_whole_store_has_more(whole, holed, every):
    """They do not depend on how frames are lost: without observations, or absent."""
    absent = holed.isel(time=np.delete(np.arange(100), LOST))
    n_in, leads = {EXTRAPOLATION.n_in}, 3
    left_out = []
    for frames in (whole, holed, absent):
        marked = mark_complete(frames)
        cases = issue_times(marked, n_in, leads, every)
        counts = count_missing(marked, n_in, cases, leads, every)
        left_out.append(counts["cases_left_out"])
        assert len(cases) + counts["cases_left_out"] == len(issue_times(whole, n_in, leads, every))
    assert left_out[0] == 0
    assert left_out[1] == left_out[2] > 10


def test_an_hour_without_frames_ends_an_event(whole):
    """No case is counted as left out there, whether frames are absent or show nothing."""
    lost = np.arange(40, 60)
    unobserved = whole.copy(deep=True)
    unobserved[lost] = np.nan
    for frames in (unobserved, whole.isel(time=np.delete(np.arange(100), lost))):
        marked = mark_complete(frames)
        cases = issue_times(marked, {3}, 3)
        assert count_missing(marked, {3}, cases, 3)["cases_left_out"] == 0


def test_without_a_time_the_last_complete_frame_is_used(holed):
    predicted = forecast(BASELINES["persistence"], holed[:96], leads=1)
    assert predicted.issued == holed.time[94]
    assert "missing_frames" not in predicted.attrs
    predicted = forecast(BASELINES["persistence"], holed[:82], leads=1)
    assert predicted.issued == holed.time[80]


def test_forecasters_get_complete_frames_as_they_are(whole):
    """Nothing is filled, and corners that no frame shows stay unobserved."""
    seen = []

    def spy(observed, n):
        seen.append(observed)
        return observed[-1:].repeat(n, 0)

    run = type(EXTRAPOLATION)(spy)
    predicted = forecast(run, whole, whole.time.values[30], 2)
    np.testing.assert_array_equal(seen[0], whole.values[28:31].astype("f8"))
    assert "missing_frames" not in predicted.attrs
    assert np.isnan(predicted.values[:, :6, :6]).all()


def test_a_forecast_reads_few_frames_of_a_store(stores, monkeypatch):
    read = []
    unspied = LazyRates._read

    def spy(self, key):
        rate = unspied(self, key)
        read.append(rate.shape[0] if rate.ndim == 3 else 1)
        return rate

    monkeypatch.setattr(LazyRates, "_read", spy)
    forecast(BASELINES["persistence"], open_frames(stores[0]), leads=2)
    assert sum(read) < 30


def test_training_windows_hold_no_lost_frame(stores):
    sets = training_data(TrainingStores((stores[1],)), WindowOptions(3, 3, crop=32))
    rows = np.concatenate([part.rows.ravel() for data in sets[:2] for part in data.datasets])
    assert len(np.unique(rows)) > 20
    assert not np.isin(rows, INCOMPLETE).any()
    assert "15 incomplete frames" in sets[2]


def test_commands_run_on_a_store_with_lost_frames_and_say_so(stores, tmp_path, capsys, caplog):
    report, predicted = tmp_path / "scores.json", tmp_path / "forecast.zarr"
    assert main(
        f"evaluate --data {stores[1]} --forecasters persistence --leads 4 --size 0 --every 9 "
        f"--json {report}".split()
    ) == 0  # fmt: skip
    printed = capsys.readouterr().out
    assert "15 frames incomplete (less than 90% of the usual pixels observed)" in printed
    protocol = json.loads(report.read_text())["protocol"]
    assert protocol["incomplete_frames"] == 15
    whole = (100 - 4 + 8) // 9  # every 9th of the cases of a whole store
    assert protocol["cases_left_out"] == whole - protocol["cases"] > 2
    assert f"times without a frame {protocol['cases_left_out']} cases left out" in printed
    assert "0.9" in protocol["missing"]

    line = f"forecast --data {stores[1]} --weights extrapolation --leads 3 --out {predicted} --at"
    assert main([*line.split(), "2024-06-01T02:20"]) == 0  # the frame before it is lost
    assert "missing or incomplete, filled from the others: 2024-06-01 02:15" in caplog.text
    rain = xr.open_zarr(predicted, decode_timedelta=False).rainfall_rate
    assert rain.attrs["missing_frames"] == "2024-06-01 02:15"
    assert main([*line.split(), "2024-06-01T02:15"]) == 2
    complaint = capsys.readouterr().err
    assert "shows only 0% of its pixels" in complaint
    assert "the nearest possible time is 2024-06-01 02:" in complaint


def test_the_live_page_starts_from_the_newest_frames_that_are_enough(stores, tmp_path, capsys):
    lost, half_lost = "02:15", "03:10"
    for now, issued, missing in (
        ("02:21", "02:20", lost),
        ("02:16", "02:10", lost),
        ("02:26", "02:20", lost),
        ("03:11", "03:05", half_lost),
        ("03:16", "03:15", half_lost),
    ):
        line = f"live --source cloud --path {stores[1]} --no-open --forecasters extrapolation"
        out = ["--out", str(tmp_path / "live.html"), "--at", f"2024-06-01T{now}"]
        assert main([*line.split(), *out]) == 0
        assert f"forecast from 2024-06-01 {issued} UTC" in capsys.readouterr().out
        page = (tmp_path / "live.html").read_text()
        assert f"{missing} is missing or incomplete" in page
