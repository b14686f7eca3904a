"""``nowcast evaluate``: the report, and that its scores are those of the forecasts."""

import contextlib
import io
import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from command_line import nowcast

from nowcastlib.cli import main
from nowcastlib.data import open_frames
from nowcastlib.verification import COUNTS


@pytest.fixture(scope="module")
def evaluation(place, tmp_path_factory):
    """Names of five forecasters, the report on them, and what was printed."""
    names = f"{place.run},persistence,extrapolation,sprog,steps"
    file = tmp_path_factory.mktemp("new") / "new" / "scores.json"
    line = f"evaluate --data {{frames}} --forecasters {names} --leads 3 --thresholds 0.5,99"

    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert nowcast(place, f"{line} --size 0 --margin 4 --every 8 --json {file}") == 0
    return names.split(","), read_json(file), printed.getvalue()


def read_json(file):
    """The content of a JSON file; NaN is not JSON."""
    return json.loads(file.read_text(), parse_constant=pytest.fail)


def test_report_has_a_protocol(evaluation):
    _, report, _ = evaluation
    assert list(report) == [
        "protocol",
        "mean_csi",
        "mean_csi_interval",
        "mean_csi_by_event",
        "effective_resolution_km",
        "scores",
        "fss",
    ]

    protocol = report["protocol"]
    numbers = {"cases": 5, "events": 1, "step_minutes": 5, "pixel_km": 1, "size": 0, "margin": 4}
    assert {name: protocol[name] for name in numbers} == numbers
    assert "MeteoSwiss" in protocol["source"]
    assert protocol["unknown"].endswith("NaN in a forecast counts as dry")
    assert protocol["data"].endswith("frames.zarr")
    assert "pooled over cases" in protocol["csi"]


def test_summary_shows_the_mean_csi_and_its_interval(evaluation):
    _, report, printed = evaluation
    line = next(line for line in printed.splitlines() if line.startswith("persistence"))
    csi = report["mean_csi"]["persistence"]["0.5"]
    low, high = report["mean_csi_interval"]["persistence"]["0.5"]
    assert f"{csi:.3f} ({low:.2f}–{high:.2f})" in line
    assert "nan (nan–nan)" in line


def test_summary_says_what_was_scored(evaluation):
    _, _, printed = evaluation
    extent = printed.splitlines()[0]
    assert extent == "5 cases, 1 event, inside a margin of 4 px: 56 × 56 px, 3 leads"
    assert "without a forecast count as dry" in printed
    assert "Only 5 cases" in printed


def test_evaluation_warns_of_rain_that_the_network_was_trained_on(place, tmp_path, caplog):
    times = "--start 2024-06-01T12:30 --end 2024-06-01T12:55"
    line = f"evaluate --data {{frames}} --forecasters {place.run},persistence --leads 2 --size 32"
    assert nowcast(place, f"{line} {times}") == 0
    (warning,) = caplog.messages
    assert "was trained on these frames (MeteoSwiss" in warning


@pytest.fixture
def scores(evaluation) -> pd.DataFrame:
    """The scores of the report: 5 forecasters, 4 lead times, 2 thresholds."""
    return pd.DataFrame(evaluation[1]["scores"])


def test_report_has_a_row_for_each_forecaster_lead_and_threshold(evaluation, scores):
    names, _, _ = evaluation
    assert len(scores) == 5 * 4 * 2
    assert list(scores.forecaster.unique()) == names
    assert (scores[[*COUNTS]].sum(axis=1) == 5 * 56 * 56).all()
    assert (scores.cases == 5).all()


def test_scores_without_an_event_are_undefined(scores):
    never = scores[scores.threshold == 99]
    undefined = ["csi", "pod", "far", "hss", "bias", "csi_low", "csi_averaged"]
    assert never[undefined].isna().all(axis=None)
    assert (never.csi_defined == 0).all()


def test_scores_follow_from_their_counts(scores):
    rain = scores[(scores.threshold == 0.5) & (scores.lead_time > 0)]
    assert (rain.csi == rain.hits / (rain.hits + rain.misses + rain.false_alarms)).all()
    assert (rain.csi_defined == 5).all()
    assert (rain.csi_low <= rain.csi).all()
    assert (rain.csi <= rain.csi_high).all()
    assert (rain.csi_low < rain.csi_high).all()

    observation = scores[(scores.threshold == 0.5) & (scores.lead_time == 0)]
    assert (observation.csi == 1).all()


def test_crps_is_the_absolute_error_of_a_single_forecast(scores):
    rain = scores[(scores.threshold == 0.5) & (scores.lead_time > 0)]
    ensemble = rain[rain.forecaster == "steps"]
    single = rain[rain.forecaster != "steps"]
    assert (ensemble.crps < ensemble.mae).all()
    assert single.crps.tolist() == pytest.approx(single.mae.tolist())


def test_mean_csi_is_the_mean_over_leads(evaluation, scores):
    _, report, _ = evaluation
    rain = scores[(scores.threshold == 0.5) & (scores.lead_time > 0)]
    for name, csi in report["mean_csi"].items():
        expected = rain.csi[rain.forecaster == name].mean()
        assert csi == {"0.5": pytest.approx(expected), "99.0": None}

        low, high = report["mean_csi_interval"][name]["0.5"]
        assert low < csi["0.5"] < high
        assert report["mean_csi_interval"][name]["99.0"] == [None, None]

    assert report["mean_csi"]["extrapolation"]["0.5"] > report["mean_csi"]["persistence"]["0.5"] > 0
    assert report["mean_csi_by_event"] == {"2024-06-01 12:00": report["mean_csi"]}


def test_fss_rises_with_the_scale(evaluation):
    fss = pd.DataFrame(evaluation[1]["fss"])
    assert len(fss) == 5 * 4 * 2 * 6
    assert fss.fss[fss.threshold == 99].isna().all()

    shown = (fss.forecaster == "persistence") & (fss.lead_time == 15) & (fss.threshold == 0.5)
    by_scale = fss.fss[shown]
    assert (np.diff(by_scale) > 0).all()
    assert 0 < by_scale.iloc[0] < by_scale.iloc[-1] <= 1


def test_a_mean_of_members_has_a_coarse_resolution(evaluation):
    names, report, _ = evaluation
    resolution = report["effective_resolution_km"]
    assert list(resolution) == names
    assert all(len(by_lead) == 4 for by_lead in resolution.values())

    finest = 56 / 27  # km; the shortest wave of 56 px that is counted
    assert [by_lead[0] for by_lead in resolution.values()] == pytest.approx([finest] * 5)
    assert resolution["sprog"][3] > 3 * finest
    assert resolution["steps"][3] > 3 * finest


def test_report_by_event(tmp_path):
    frames = tmp_path / "demo.zarr"
    assert main(f"ingest --events 2 --pixels 64 --out {frames}".split()) == 0
    line = f"evaluate --data {frames} --forecasters persistence,extrapolation --leads 2"
    assert main(f"{line} --thresholds 0.5 --every 9 --json {tmp_path}/s.json".split()) == 0

    report = read_json(tmp_path / "s.json")
    assert report["protocol"]["events"] == 2
    first, second = (event["persistence"]["0.5"] for event in report["mean_csi_by_event"].values())
    assert min(first, second) < report["mean_csi"]["persistence"]["0.5"] < max(first, second)


def contingency(rain: np.ndarray, truth: np.ndarray, threshold: float, common: bool) -> np.ndarray:
    """Hits, false alarms and misses of members (member, y, x) against the truth (y, x)."""
    known = np.isfinite(rain)
    mean = np.where(known, rain, 0).astype("f8").sum(0) / np.maximum(known.sum(0), 1)
    scored = np.isfinite(truth)
    if common:
        scored &= known.any(0)

    forecast, observed = mean > threshold, truth > threshold
    cells = [forecast & observed, forecast & ~observed, ~forecast & observed]
    return np.array([(cell & scored).sum() for cell in cells])


@pytest.mark.parametrize("name", ["sprog", "steps"])
@pytest.mark.parametrize("common", [False, True])
def test_scores_are_those_of_the_written_forecasts(place, tmp_path, name, common):
    """The CSI once more, from the files of the forecasts and the store, with NumPy only."""
    # 7 frames: forecasts at 12:40, 12:45 and 12:50
    times = "--start 2024-06-01T12:30 --end 2024-06-01T13:05"
    line = f"evaluate --data {{frames}} --forecasters {name} --leads 2 --thresholds 0.5,2 --size 0"
    flag = "--common" if common else ""
    assert nowcast(place, f"{line} {times} --json {tmp_path}/s.json {flag}") == 0

    frames = open_frames(place.frames)
    counts = {(lead, threshold): np.zeros(3, int) for lead in (5, 10) for threshold in (0.5, 2.0)}
    for number, minute in enumerate((40, 45, 50)):
        out = tmp_path / f"{minute}.zarr"
        line = f"forecast --weights {name} --data {{frames}} --at 2024-06-01T12:{minute} --leads 2"
        assert nowcast(place, f"{line} --out {out}") == 0

        saved = xr.open_zarr(out, decode_timedelta=False).rainfall_rate
        rain = saved.values.reshape(-1, 2, 64, 64)  # (member, lead, y, x)
        for lead, threshold in counts:
            step = lead // 5
            truth = frames.values[8 + number + step]
            counts[lead, threshold] += contingency(rain[:, step - 1], truth, threshold, common)

    report = read_json(tmp_path / "s.json")
    assert report["protocol"]["cases"] == 3
    assert ("nor is NaN in any forecast" in report["protocol"]["unknown"]) == common
    for row in report["scores"]:
        if row["lead_time"] > 0:
            hits, false_alarms, misses = counts[row["lead_time"], row["threshold"]]
            assert row["hits"] == hits
            assert row["false_alarms"] == false_alarms
            assert row["misses"] == misses
            csi = hits / (hits + false_alarms + misses)
            assert row["csi"] == pytest.approx(csi, abs=1e-12)

    for threshold in (0.5, 2.0):
        csi = [counts[lead, threshold][0] / counts[lead, threshold].sum() for lead in (5, 10)]
        mean = report["mean_csi"][name][str(threshold)]
        assert mean == pytest.approx(np.mean(csi), abs=1e-12)


def test_one_case_has_no_interval(place, tmp_path, capsys):
    line = "evaluate --data {frames} --forecasters persistence --leads 2 --size 48 --common"
    times = "--start 2024-06-01T12:30 --end 2024-06-01T12:55"
    assert nowcast(place, f"{line} {times} --json {tmp_path}/s.json") == 0

    printed = capsys.readouterr().out
    assert printed.startswith("1 case, 1 event, central 48 × 48 px, 2 leads\n")
    assert "90 % interval" not in printed
    assert "nan" not in printed
    assert "Only pixels that every forecaster has" in printed
    assert "One case" in printed

    report = read_json(tmp_path / "s.json")
    assert report["protocol"]["cases"] == 1
    assert report["mean_csi_interval"]["persistence"]["0.5"] == [None, None]
    assert report["mean_csi"]["persistence"]["0.5"] > 0


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("evaluate", "every N-th of the possible times (a number of time steps, not minutes)"),
        ("evaluate", "Otherwise a pixel without a forecast counts as dry"),
        ("ingest", "every N-th frame (a number of frames, not minutes)"),
        ("live", "Minutes (not frames) after which the page is renewed"),
    ],
)
def test_help_says_the_unit_of_every_and_why_common_exists(capsys, command, sentence):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    printed = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert sentence in printed


def test_report_on_pixels_of_unknown_size_has_no_kilometres(place, tmp_path, caplog):
    frames = xr.open_zarr(place.frames).load()
    for axis in ("y", "x"):
        frames[axis] = (axis, np.arange(frames.sizes[axis]))
    frames.rainfall_rate.attrs.pop("grid_mapping", None)
    frames.drop_vars("crs").drop_encoding().to_zarr(tmp_path / "theirs.zarr", zarr_format=2)
    file = tmp_path / "scores.json"
    line = f"evaluate --data {tmp_path / 'theirs.zarr'} --forecasters persistence --leads 2"
    assert nowcast(place, f"{line} --size 0 --every 8 --json {file}") == 0
    report = read_json(file)
    assert report["protocol"]["pixel_km"] is None
    assert "effective_resolution_km" not in report
    assert "size of a pixel is not known" in caplog.text
