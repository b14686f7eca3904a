"""The command line from files to scores, and what it answers to each mistake: one line, exit code 2, nothing left."""

import contextlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from archive_files import START, field, truncate, write, write_all

from nowcastlib.cli import main
from nowcastlib.data import feeds, ingest, store, storms
from nowcastlib.data.feeds import archive, demo_server
from nowcastlib.data.feeds.archive import Archive
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.forecasting.baselines import BASELINES
from nowcastlib.verification.counts import COUNTS

TINY = "--config.model.hidden 4 4 --config.model.kernel 3 3 --config.n-in 3 --config.n-out 2 --config.crop 32 "
TINY += "--config.epochs 2 --config.steps 2 --config.batch 2 --config.loss mse"
INGEST = "ingest --source archive --product mch --path {files} --out"


def nowcast(place, line: str) -> int:
    """Run a command line; names in braces are those of ``place``."""
    return main(line.format(**vars(place)).split())


def complaints(err: str) -> list[str]:
    """The lines on stderr that are neither progress nor logged warnings."""
    lines = re.split(r"[\r\n]+", err)
    return [
        line for line in lines if line.strip() and not re.search(r"\[\d\d:\d\d[<,]|WARNING", line)
    ]


def everything(folder):
    # the table of frames that is kept beside a store is not the command's output
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.suffix != ".csv"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Files of 40 MeteoSwiss frames, the store and the trained run made of them, and things that are broken."""
    root = tmp_path_factory.mktemp("cli")
    rain = storms.rain(storms.Storm(size=64, wet_fraction=0.4, seed=3), 40)
    place = SimpleNamespace(
        root=root, files=root / "files", frames=root / "frames.zarr", run=root / "run"
    )
    place.empty, place.broken, place.file = root / "empty", root / "broken", root / "file"
    place.dry, place.nowhere, place.new = root / "dry.zarr", root / "nowhere", root / "new"
    place.rain = rain
    write_all("mch", place.files, rain)
    place.empty.mkdir()
    truncate(write("mch", place.broken))
    place.file.write_text("in the way")
    write_all("mch", root / "dry", np.zeros((40, 64, 64)))
    ingest(Archive("mch", str(root / "dry")), place.dry)
    place.results = [
        nowcast(place, f"{INGEST} {{frames}}"),
        nowcast(place, f"train --data {{frames}} --out {{run}} {TINY}"),
    ]
    return place


def test_files_become_a_store_and_the_store_a_trained_run(place):
    assert place.results == [0, 0]
    frames = store.open_frames(place.frames)
    assert frames.shape == (40, 64, 64) and frames.time.values[0] == np.datetime64(START)
    np.testing.assert_allclose(
        frames.where(frames > 0.1, 0), np.where(frames > 0.1, place.rain, 0), rtol=0.04
    )
    assert {p.name for p in place.run.iterdir()} == {
        "config.json",
        "history.csv",
        "last.pt",
        "model.safetensors",
    }
    assert "validation" in json.loads((place.run / "config.json").read_text())["data"]


def test_moving_mnist_is_trained_on_by_name(place, tmp_path, capsys):
    assert (
        nowcast(place, f"train --data moving-mnist --out {tmp_path}/run --tensorboard {TINY}") == 0
    )
    assert (
        "4,000 training digits"
        in json.loads((tmp_path / "run" / "config.json").read_text())["data"]
    )
    assert "lowest validation loss" in capsys.readouterr().out and list(
        (tmp_path / "run" / "tensorboard").iterdir()
    )


@pytest.mark.parametrize("weights", ["{run}", "{run}/model.safetensors", *BASELINES])
def test_forecast_is_rain_rate_by_lead_time(place, tmp_path, weights):
    line = f"forecast --weights {weights} --data {{frames}} --at 2024-06-01T14:00 --leads 4 --out {tmp_path}/f.zarr"
    assert nowcast(place, line) == 0
    predicted = xr.open_zarr(tmp_path / "f.zarr", decode_timedelta=False).rainfall_rate
    members = {"member": 10} if weights == "steps" else {}
    assert dict(predicted.sizes) == members | {"lead_time": 4, "y": 64, "x": 64}
    assert predicted.attrs["units"] == "mm h-1" and predicted.lead_time.attrs["units"] == "minutes"
    expected = np.datetime64(START) + np.array([125, 130, 135, 140]) * np.timedelta64(1, "m")
    assert (predicted.valid_time.values == expected).all()
    assert np.nanmin(predicted) >= 0 and [p.name for p in tmp_path.iterdir()] == ["f.zarr"]


def test_forecast_of_the_centre_is_smaller(place, tmp_path):
    assert (
        nowcast(
            place,
            f"forecast --weights persistence --data {{frames}} --size 32 --out {tmp_path}/f.zarr",
        )
        == 0
    )
    saved, frames = (
        xr.open_zarr(tmp_path / "f.zarr", decode_timedelta=False).rainfall_rate,
        store.open_frames(place.frames),
    )
    assert (saved[0].values == frames.values[-1, 16:48, 16:48]).all() and (
        saved.x == frames.x[16:48]
    ).all()


@pytest.fixture(scope="module")
def evaluation(place, tmp_path_factory):
    """The report on five forecasters, and what was printed."""
    names, out = (
        f"{place.run},persistence,extrapolation,sprog,steps",
        tmp_path_factory.mktemp("new") / "new" / "scores.json",
    )
    line = f"evaluate --data {{frames}} --forecasters {names} --leads 3 --thresholds 0.5,99 --size 0 --margin 4"
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert nowcast(place, f"{line} --every 8 --json {out}") == 0
    return (
        names.split(","),
        json.loads(out.read_text(), parse_constant=pytest.fail),
        said.getvalue(),
    )  # NaN is no JSON


def test_evaluation_reports_its_protocol(evaluation):
    _, report, said = evaluation
    assert list(report) == [
        "protocol", "mean_csi", "mean_csi_interval", "mean_csi_by_event", "effective_resolution_km", "scores", "fss"
    ]  # fmt: skip
    protocol = report["protocol"]
    numbers = {"cases": 5, "events": 1, "step_minutes": 5, "pixel_km": 1, "size": 0, "margin": 4}
    assert {name: protocol[name] for name in numbers} == numbers
    assert "MeteoSwiss" in protocol["source"] and protocol["unknown"].endswith(
        "NaN in a forecast counts as dry"
    )
    assert protocol["data"].endswith("frames.zarr") and "pooled over cases" in protocol["csi"]
    line = next(line for line in said.splitlines() if line.startswith("persistence"))
    csi, (low, high) = (
        report[key]["persistence"]["0.5"] for key in ("mean_csi", "mean_csi_interval")
    )
    assert f"{csi:.3f} ({low:.2f}–{high:.2f})" in line and "nan (nan–nan)" in line


def test_evaluation_reports_scores_with_their_counts(evaluation):
    names, report, _ = evaluation
    scores = pd.DataFrame(report["scores"])
    assert len(scores) == 5 * 4 * 2 and list(scores.forecaster.unique()) == names
    assert (scores[[*COUNTS]].sum(axis=1) == 5 * 56 * 56).all() and (scores.cases == 5).all()
    undefined = scores.threshold == 99
    assert (
        scores[undefined][["csi", "pod", "far", "hss", "bias", "csi_low", "csi_averaged"]]
        .isna()
        .all(axis=None)
    )
    assert (scores[undefined].csi_defined == 0).all() and (
        scores[~undefined].csi_defined == 5
    ).all()
    assert (scores.csi[~undefined & (scores.lead_time == 0)] == 1).all()
    rain = scores[~undefined & (scores.lead_time > 0)]
    assert (rain.csi == rain.hits / (rain.hits + rain.misses + rain.false_alarms)).all()
    assert (
        (rain.csi_low <= rain.csi) & (rain.csi <= rain.csi_high) & (rain.csi_low < rain.csi_high)
    ).all()
    of_steps = rain.forecaster == "steps"
    assert (rain.crps[of_steps] < rain.mae[of_steps]).all()
    assert rain.crps[~of_steps].tolist() == pytest.approx(rain.mae[~of_steps].tolist())
    for name, of in report["mean_csi"].items():
        assert of == {"0.5": pytest.approx(rain.csi[rain.forecaster == name].mean()), "99.0": None}
        low, high = report["mean_csi_interval"][name]["0.5"]
        assert low < of["0.5"] < high and report["mean_csi_interval"][name]["99.0"] == [None, None]
    assert report["mean_csi"]["extrapolation"]["0.5"] > report["mean_csi"]["persistence"]["0.5"] > 0
    assert list(report["mean_csi_by_event"]) == ["2024-06-01 12:00"]
    assert report["mean_csi_by_event"]["2024-06-01 12:00"] == report["mean_csi"]


def test_evaluation_reports_scales(evaluation):
    names, report, _ = evaluation
    fss = pd.DataFrame(report["fss"])
    assert len(fss) == 5 * 4 * 2 * 6 and fss.fss[fss.threshold == 99].isna().all()
    by_scale = fss[
        (fss.forecaster == "persistence") & (fss.lead_time == 15) & (fss.threshold == 0.5)
    ].fss
    assert (np.diff(by_scale) > 0).all() and 0 < by_scale.iloc[0] < by_scale.iloc[-1] <= 1
    resolution = report["effective_resolution_km"]
    assert list(resolution) == names and all(len(of) == 4 for of in resolution.values())
    finest = 56 / 27  # km; the shortest wave of 56 px that is counted
    assert [of[0] for of in resolution.values()] == pytest.approx([finest] * 5)
    assert (
        resolution["sprog"][3] > 3 * finest and resolution["steps"][3] > 3 * finest
    )  # a mean of members is blurred


def test_evaluation_by_event(place, tmp_path):
    root, names = tmp_path / "demo.zarr", "persistence,extrapolation"
    assert main(f"ingest --events 2 --pixels 64 --out {root}".split()) == 0
    line = f"evaluate --data {root} --forecasters {names} --leads 2 --thresholds 0.5 --every 9 --json {tmp_path}/s.json"
    assert main(line.split()) == 0
    report = json.loads((tmp_path / "s.json").read_text())
    assert report["protocol"]["events"] == 2 and len(report["mean_csi_by_event"]) == 2
    first, second = (of["persistence"]["0.5"] for of in report["mean_csi_by_event"].values())
    assert min(first, second) < report["mean_csi"]["persistence"]["0.5"] < max(first, second)


@pytest.mark.parametrize("name", ["sprog", "steps"])
@pytest.mark.parametrize("common", [False, True])
def test_evaluation_agrees_with_the_forecasts_that_are_written(place, tmp_path, name, common):
    """CSI once more, from the forecasts' files and the store's, with nothing but NumPy."""
    times = "--start 2024-06-01T12:30 --end 2024-06-01T13:05"  # 7 frames: forecasts at 12:40, 12:45 and 12:50
    line = f"evaluate --data {{frames}} --forecasters {name} --leads 2 --thresholds 0.5,2 --size 0 {times}"
    assert nowcast(place, f"{line} --json {tmp_path}/s.json" + " --common" * common) == 0
    report, frames = json.loads((tmp_path / "s.json").read_text()), store.open_frames(place.frames)
    assert ("nor is NaN in any forecast" in report["protocol"]["unknown"]) == common
    tables = {(lead, threshold): np.zeros(3, int) for lead in (5, 10) for threshold in (0.5, 2.0)}
    for number, minute in enumerate((40, 45, 50)):
        out = tmp_path / f"{minute}.zarr"
        line = f"forecast --weights {name} --data {{frames}} --at 2024-06-01T12:{minute} --leads 2 --out {out}"
        assert nowcast(place, line) == 0
        rain = xr.open_zarr(out, decode_timedelta=False).rainfall_rate.values.reshape(-1, 2, 64, 64)
        knows = np.isfinite(rain)
        mean = np.where(knows, rain, 0).astype("f8").sum(0) / np.maximum(knows.sum(0), 1)
        for lead in (5, 10):
            truth = frames.values[8 + number + lead // 5]
            seen = np.isfinite(truth) & (knows[:, lead // 5 - 1].any(0) | (not common))
            for threshold in (0.5, 2.0):
                said, came = mean[lead // 5 - 1] > threshold, truth > threshold
                tables[lead, threshold] += [
                    (w & seen).sum() for w in (said & came, said & ~came, ~said & came)
                ]
    assert report["protocol"]["cases"] == 3
    for of_it in report["scores"]:
        if of_it["lead_time"]:
            hits, alarms, misses = tables[of_it["lead_time"], of_it["threshold"]]
            assert (of_it["hits"], of_it["false_alarms"], of_it["misses"]) == (hits, alarms, misses)
            assert of_it["csi"] == pytest.approx(hits / (hits + alarms + misses), abs=1e-12)
    for threshold in (0.5, 2.0):
        csi = [tables[lead, threshold][0] / tables[lead, threshold].sum() for lead in (5, 10)]
        assert report["mean_csi"][name][str(threshold)] == pytest.approx(np.mean(csi), abs=1e-12)


def test_evaluation_of_one_case_has_no_interval(place, tmp_path):
    line = f"evaluate --data {{frames}} --forecasters persistence --leads 2 --size 0 --json {tmp_path}/s.json"
    assert nowcast(place, f"{line} --start 2024-06-01T12:30 --end 2024-06-01T12:55") == 0
    report = json.loads((tmp_path / "s.json").read_text(), parse_constant=pytest.fail)
    assert report["protocol"]["cases"] == 1 and report["mean_csi_interval"]["persistence"][
        "0.5"
    ] == [None, None]
    assert report["mean_csi"]["persistence"]["0.5"] > 0


def test_demo_feed_needs_nothing(tmp_path, capsys):
    assert (
        main(
            f"ingest --events 1 --pixels 32 --end 2024-06-01T12:30 --out {tmp_path}/d.zarr".split()
        )
        == 0
    )
    assert (
        "6 frames of 32×32 px, 2024-06-01 12:00:00 to 2024-06-01 12:25:00 UTC"
        in capsys.readouterr().out
    )


def test_the_interface_of_the_real_radar_is_one_address_away(tmp_path, capsys):
    with demo_server.serve(Demo(events=1, frames=6, size=40)) as url:
        line = f"ingest --source fvg --base {url} --start 2024-06-01 --end 2024-06-02 --crop 6 6 28 28 --regrid 14"
        assert main(f"{line} --out {tmp_path}/d.zarr".split()) == 0
    assert "6 frames of 14×14 px, 2024-06-01 12:00:00" in capsys.readouterr().out
    frames = store.open_frames(tmp_path / "d.zarr")
    assert np.isfinite(frames.values).all() and url in frames.attrs["source"]


@pytest.mark.parametrize(
    ("source", "options", "expected"),
    [
        ("demo", "--events 3 --pixels 9", {"events": 3, "size": 9}),
        ("archive", "--path p --product q", {"path": "p", "product": "q"}),
        ("fvg", "--radar 2 --product q --base b", {"radar": 2, "product": "q", "base": "b"}),
        (
            "cloud",
            "--path p --endpoint e --variable v",
            {"path": "p", "endpoint": "e", "variable": "v"},
        ),
        ("images", "--path p --spacing 7", {"path": "p", "spacing": 7}),
    ],
)
def test_every_option_of_a_feed_reaches_it(monkeypatch, tmp_path, source, options, expected):
    given = {}
    monkeypatch.setattr(
        feeds, "feed", lambda name, **options: given.update(options) or Demo(1, 6, 16)
    )
    assert main(f"ingest --source {source} {options} --out {tmp_path}/d.zarr".split()) == 0
    assert given == expected


def test_archive_that_is_not_there_is_fetched_when_asked(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        archive, "download", lambda folder: write_all("mch", Path(folder), [field()] * 2)
    )
    line = f"ingest --source archive --path {tmp_path}/radar --out {tmp_path}/d.zarr"
    assert main(line.split()) == 2 and "add --download to fetch" in capsys.readouterr().err
    assert (
        main(f"{line} --download".split()) == 0
        and "2 frames of 12×16 px" in capsys.readouterr().out
    )


def test_interrupted_ingest_says_how_to_carry_on(tmp_path, capsys, monkeypatch):
    line, read = (
        f"ingest --events 1 --pixels 16 --end 2024-06-01T12:30 --out {tmp_path}/d.zarr".split(),
        Demo.read,
    )
    monkeypatch.setattr(
        Demo, "read", lambda self, row: read(self, row) if row.number < 3 else _interrupt()
    )
    assert main(line) == 130 and "to continue" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["d.zarr.partial"]
    monkeypatch.undo()
    assert main(line) == 0 and [p.name for p in tmp_path.iterdir()] == ["d.zarr"]
    assert store.open_frames(tmp_path / "d.zarr").sizes["time"] == 6


def _interrupt():
    raise KeyboardInterrupt


MISTAKES = {
    "unknown product": (
        "ingest --source archive --product zzz --path {files} --out {new}",
        "unknown product 'zzz': choose one of mch, fmi, fmi-geotiff, knmi, bom, odim",
    ),
    "missing folder": (
        "ingest --source archive --path {nowhere} --out {new}",
        "nowhere is not a folder",
    ),
    "folder without frames": (
        "ingest --source archive --path {empty} --out {new}",
        "empty holds no mch frames",
    ),
    "frames of another product": (
        "ingest --source archive --product fmi --path {files} --out {new}",
        "files holds no fmi frames",
    ),
    "only a truncated file": (
        "ingest --source archive --path {broken} --out {new}",
        r"not one of 1 frames .*AQC241531200F_00005\.801\.gif.*fetch it again",
    ),
    "nothing in the time": (f"{INGEST} {{new}} --start 2025-01-01", "none in the time asked for"),
    "no time": (f"{INGEST} {{new}} --start noon", "'noon' is not a time"),
    "ingest below a file": (f"{INGEST} {{file}}/frames.zarr", "cannot write .*file/frames.zarr"),
    "ingest onto a file": (f"{INGEST} {{file}}", "file is not a Zarr store"),
    "option of another feed": (
        "ingest --radar 2 --out {new}",
        "--radar is not an option of the source demo: it has --events, --pixels",
    ),
    "no path": ("ingest --source images --out {new}", "the source images needs a path"),
    "crop beyond the frame": (
        f"{INGEST} {{new}} --crop 10 0 60 60",
        "crop .* reaches beyond frames of 64×64 px",
    ),
    "finer grid": (f"{INGEST} {{new}} --regrid 65", "64 columns cannot be regridded to 65"),
    "another grid than before": (
        f"{INGEST} {{frames}} --regrid 32",
        "was made by other settings .* use .*another store",
    ),
    "download of a feed without one": (
        "ingest --download --out {new}",
        "--download is not an option of the source demo",
    ),
    "feed that is not there": (
        "ingest --source fvg --base http://127.0.0.1:9 --out {new}",
        r"127\.0\.0\.1:9/radars/1/products: no answer .*run again later",
    ),
    "missing pictures": (
        "ingest --source images --path {nowhere} --out {new}",
        "nowhere is not a folder",
    ),
    "missing cloud store": (
        "ingest --source cloud --path {nowhere} --out {new}",
        "nowhere is not a Zarr store",
    ),
    "training without rain": (
        f"train --data {{dry}} --out {{new}} {TINY}",
        r"dry\.zarr holds no rain",
    ),
    "training on no store": (
        f"train --data {{nowhere}} --out {{new}} {TINY}",
        "nowhere is not a Zarr store",
    ),
    "training window too long": (
        f"train --data {{frames}} --out {{new}} {TINY} --config.n-in 40",
        "no window of 42 frames.*ask for shorter windows",
    ),
    "crop too large": (
        f"train --data {{frames}} --out {{new}} {TINY} --config.crop 65",
        "lower the crop",
    ),
    "nothing to validate on": (
        f"train --data {{frames}} --out {{new}} {TINY} --shares 1 0 0",
        "give both a share",
    ),
    "training below a file": (
        f"train --data {{frames}} --out {{file}}/run {TINY}",
        "cannot write .*file/run",
    ),
    "training over a run": (
        f"train --data {{frames}} --out {{run}} {TINY}",
        "run already holds a run",
    ),
    "nothing to resume": (
        f"train --data {{frames}} --out {{new}} {TINY} --resume",
        "new holds no run to resume",
    ),
    "unknown forecaster": (
        "forecast --weights zzz --data {frames} --out {new}",
        "no forecaster 'zzz'",
    ),
    "folder without weights": (
        "forecast --weights {empty} --data {frames} --out {new}",
        r"empty.config\.json is not a readable configuration",
    ),
    "forecast of no store": (
        "forecast --weights persistence --data {empty} --out {new}",
        "empty is not a Zarr store",
    ),
    "forecast of a file": (
        "forecast --weights persistence --data {file} --out {new}",
        "file is not a Zarr store",
    ),
    "forecast at a missing time": (
        "forecast --weights persistence --data {frames} --at 2024-06-01T18:00 --out {new}",
        "the store holds 2024-06-01 12:00:00 to 2024-06-01 15:15:00",
    ),
    "forecast below a file": (
        "forecast --weights persistence --data {frames} --out {file}/f.zarr",
        "cannot write",
    ),
    "forecast onto the frames": (
        "forecast --weights persistence --data {frames} --out {frames}",
        "is not a forecast",
    ),
    "scores without rain": (
        "evaluate --data {dry} --forecasters persistence --leads 2",
        "no rain above 0.5 mm/h",
    ),
    "leads too long": (
        "evaluate --data {frames} --forecasters persistence --leads 38",
        r"hold no 3 \+ 38 in a row",
    ),
    "no frames to score": (
        "evaluate --data {frames} --forecasters persistence --end 2024-06-01",
        "0 frames hold no",
    ),
    "scores of nobody": (
        "evaluate --data {frames} --forecasters persistence,zzz",
        "no forecaster 'zzz'",
    ),
    "no case at all": (
        "evaluate --data {frames} --forecasters persistence --every 0",
        "every is at least 1",
    ),
    "margin below 0": (
        "evaluate --data {frames} --forecasters persistence --margin -3",
        "nor margin nor a threshold",
    ),
    "thresholds in words": (
        "evaluate --data {frames} --thresholds some",
        "thresholds 'some' are not numbers",
    ),
    "scores below a file": (
        "evaluate --data {frames} --forecasters persistence --leads 2 --every 20 --json {file}/s.json",
        "cannot write .*file/s.json",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_one_line_exit_2_and_nothing_left(place, capsys, mistake):
    line, message = MISTAKES[mistake]
    before = everything(place.root)
    assert nowcast(place, line) == 2
    said = complaints(capsys.readouterr().err)
    assert len(said) == 1 and re.search(message, said[0]), said
    assert everything(place.root) == before


def test_weights_of_another_network_are_one_line_too(place, tmp_path, capsys):
    for file in place.run.iterdir():
        content = file.read_bytes()
        (tmp_path / file.name).write_bytes(content.replace(b'"skip": true', b'"skip": false'))
    assert nowcast(place, f"forecast --weights {tmp_path} --data {{frames}} --out {{new}}") == 2
    said = complaints(capsys.readouterr().err)
    assert (
        len(said) == 1
        and "model.safetensors cannot be loaded" in said[0]
        and not place.new.exists()
    )


def test_process_exits_with_2_and_one_line(tmp_path):
    line = f"-m nowcastlib ingest --source archive --product zzz --path {tmp_path} --out {tmp_path}/new.zarr"
    done = subprocess.run(
        [sys.executable, *line.split()], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2 and done.stdout == ""
    known = ", ".join(archive.PRODUCTS)
    assert done.stderr == f"nowcastlib: error: unknown product 'zzz': choose one of {known}\n"
    assert list(tmp_path.iterdir()) == []
