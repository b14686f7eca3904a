"""The command line from files to scores, and what it answers to each mistake: one line, exit code 2, nothing left."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from made_archive import START, field, truncate, write, write_all

from nowcastlib import sources, store, synthetic
from nowcastlib.__main__ import main
from nowcastlib.sources import archive, demo
from nowcastlib.sources.archive import Archive
from nowcastlib.sources.demo import Demo

TINY = "--config.model.hidden 4 4 --config.model.kernel 3 3 --config.n-in 3 --config.n-out 2 --config.crop 32 "
TINY += "--config.epochs 2 --config.steps 2 --config.batch 2 --config.loss mse"
INGEST = "ingest --source archive --product mch --path {files} --out"


def nowcast(place, line: str) -> int:
    """Run a command line; names in braces are those of ``place``."""
    return main(line.format(**vars(place)).split())


def complaints(err: str) -> list[str]:
    """The lines on stderr that are neither progress nor logged warnings."""
    lines = re.split(r"[\r\n]+", err)
    return [line for line in lines if line.strip() and not re.search(r"\[\d\d:\d\d[<,]|WARNING", line)]


def everything(folder):
    # the table of frames that is kept beside a store is not the command's output
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.suffix != ".csv"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Files of 40 MeteoSwiss frames, the store and the trained run made of them, and things that are broken."""
    root = tmp_path_factory.mktemp("cli")
    rain = synthetic.rain(synthetic.Storm(size=64, wet_fraction=0.4, seed=3), 40)
    place = SimpleNamespace(root=root, files=root / "files", frames=root / "frames.zarr", run=root / "run")
    place.empty, place.broken, place.file = root / "empty", root / "broken", root / "file"
    place.dry, place.nowhere, place.new = root / "dry.zarr", root / "nowhere", root / "new"
    place.rain = rain
    write_all("mch", place.files, rain)
    place.empty.mkdir()
    truncate(write("mch", place.broken))
    place.file.write_text("in the way")
    write_all("mch", root / "dry", np.zeros((40, 64, 64)))
    store.ingest(Archive("mch", str(root / "dry")), place.dry, progress=False)
    place.results = [
        nowcast(place, f"{INGEST} {{frames}}"),
        nowcast(place, f"train --data {{frames}} --out {{run}} {TINY}"),
    ]
    return place


def test_files_become_a_store_and_the_store_a_trained_run(place):
    assert place.results == [0, 0]
    frames = store.open_frames(place.frames)
    assert frames.shape == (40, 64, 64) and frames.time.values[0] == np.datetime64(START)
    np.testing.assert_allclose(frames.where(frames > 0.1, 0), np.where(frames > 0.1, place.rain, 0), rtol=0.04)
    assert {p.name for p in place.run.iterdir()} == {"config.json", "history.csv", "last.pt", "model.safetensors"}
    assert "validation" in json.loads((place.run / "config.json").read_text())["data"]


def test_moving_mnist_is_trained_on_by_name(place, tmp_path, capsys):
    assert nowcast(place, f"train --data moving-mnist --out {tmp_path}/run --tensorboard {TINY}") == 0
    assert "4,000 training digits" in json.loads((tmp_path / "run" / "config.json").read_text())["data"]
    assert "best validation loss" in capsys.readouterr().out and list((tmp_path / "run" / "tensorboard").iterdir())


@pytest.mark.parametrize("weights", ["{run}", "{run}/model.safetensors", "persistence", "extrapolation", "sprog"])
def test_forecast_is_rain_rate_by_lead_time(place, tmp_path, weights):
    line = f"forecast --weights {weights} --data {{frames}} --at 2024-06-01T14:00 --leads 4 --out {tmp_path}/f.zarr"
    assert nowcast(place, line) == 0
    predicted = xr.open_zarr(tmp_path / "f.zarr", decode_timedelta=False).rainfall_rate
    assert predicted.dims == ("lead_time", "y", "x") and predicted.shape == (4, 64, 64)
    assert predicted.attrs["units"] == "mm h-1" and predicted.lead_time.attrs["units"] == "minutes"
    expected = np.datetime64(START) + np.array([125, 130, 135, 140]) * np.timedelta64(1, "m")
    assert (predicted.valid_time.values == expected).all()
    assert np.nanmin(predicted) >= 0 and [p.name for p in tmp_path.iterdir()] == ["f.zarr"]


def test_forecast_of_the_centre_is_smaller(place, tmp_path):
    assert nowcast(place, f"forecast --weights persistence --data {{frames}} --size 32 --out {tmp_path}/f.zarr") == 0
    saved, frames = (
        xr.open_zarr(tmp_path / "f.zarr", decode_timedelta=False).rainfall_rate,
        store.open_frames(place.frames),
    )
    assert (saved[0].values == frames.values[-1, 16:48, 16:48]).all() and (saved.x == frames.x[16:48]).all()


def test_evaluation_reports_protocol_counts_and_scores(place, tmp_path, capsys):
    runs, out = f"{place.run},persistence,extrapolation,sprog", tmp_path / "new" / "scores.json"
    line = (
        f"evaluate --data {{frames}} --forecasters {runs} --leads 3 --thresholds 0.5,99 --size 0 --margin 4 --every 8"
    )
    assert nowcast(place, f"{line} --json {out}") == 0
    assert "sprog" in capsys.readouterr().out
    report = json.loads(out.read_text())
    assert list(report) == ["protocol", "mean_csi", "scores"] and list(report["mean_csi"]) == runs.split(",")
    protocol = report["protocol"]
    assert (protocol["cases"], protocol["step_minutes"], protocol["pixel_km"], protocol["margin"]) == (5, 5, 1, 4)
    assert "MeteoSwiss" in protocol["source"] and len(report["scores"]) == 4 * 4 * 2
    for score in report["scores"]:
        counts = sum(score[c] for c in ("hits", "misses", "false_alarms", "correct_negatives"))
        assert counts == 5 * 56 * 56 and score["cases"] == 5
        if score["lead_time"] == 0:
            assert score["csi"] == (1 if score["threshold"] == 0.5 else None)
    csi = {name: of["0.5"] for name, of in report["mean_csi"].items()}
    assert csi["extrapolation"] > csi["persistence"] > 0
    rows = [s for s in report["scores"] if s["forecaster"] == "sprog" and s["lead_time"] and s["threshold"] == 0.5]
    assert csi["sprog"] == pytest.approx(np.mean([s["csi"] for s in rows]))


def test_evaluation_keeps_to_its_times(place, tmp_path):
    line = f"evaluate --data {{frames}} --forecasters persistence --leads 2 --size 0 --json {tmp_path}/s.json"
    assert nowcast(place, f"{line} --start 2024-06-01T12:30 --end 2024-06-01T13:00") == 0
    assert json.loads((tmp_path / "s.json").read_text())["protocol"]["cases"] == 2  # 12:40 and 12:45, of 6 frames


def test_demo_feed_needs_nothing(tmp_path, capsys):
    assert main(f"ingest --events 1 --pixels 32 --end 2024-06-01T12:30 --out {tmp_path}/d.zarr".split()) == 0
    assert "6 frames of 32×32 px, 2024-06-01 12:00:00 to 2024-06-01 12:25:00 UTC" in capsys.readouterr().out


def test_the_interface_of_the_real_radar_is_one_address_away(tmp_path, capsys):
    with demo.serve(Demo(events=1, frames=6, size=40)) as url:
        line = f"ingest --source fvg --base {url} --start 2024-06-01 --end 2024-06-02 --crop 6 6 28 28 --regrid 14"
        assert main(f"{line} --out {tmp_path}/d.zarr".split()) == 0
    assert "6 frames of 14×14 px, 2024-06-01 12:00:00" in capsys.readouterr().out
    frames = store.open_frames(tmp_path / "d.zarr")
    assert np.isfinite(frames.values).all() and url in frames.attrs["source"]


def test_every_option_of_a_feed_reaches_it(monkeypatch, tmp_path):
    given = {}
    monkeypatch.setattr(sources, "feed", lambda name, **options: given.update(options) or Demo(1, 6, 16))
    line = "ingest --path p --product q --radar 2 --base b --endpoint e --variable v --spacing 7 --events 3 --pixels 9"
    assert main(f"{line} --out {tmp_path}/d.zarr".split()) == 0
    assert given == {"path": "p", "product": "q", "radar": 2, "base": "b", "endpoint": "e", "variable": "v",
                     "spacing": 7, "events": 3, "size": 9}  # fmt: skip


def test_archive_that_is_not_there_is_fetched_when_asked(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(archive, "download", lambda folder: write_all("mch", Path(folder), [field()] * 2))
    line = f"ingest --source archive --path {tmp_path}/radar --out {tmp_path}/d.zarr"
    assert main(line.split()) == 2 and "add --download to fetch" in capsys.readouterr().err
    assert main(f"{line} --download".split()) == 0 and "2 frames of 12×16 px" in capsys.readouterr().out


def test_interrupted_ingest_says_how_to_carry_on(tmp_path, capsys, monkeypatch):
    line, read = f"ingest --events 1 --pixels 16 --end 2024-06-01T12:30 --out {tmp_path}/d.zarr".split(), Demo.read
    monkeypatch.setattr(Demo, "read", lambda self, row: read(self, row) if row.number < 3 else _interrupt())
    assert main(line) == 130 and "run again to carry on" in capsys.readouterr().err
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
    "missing folder": ("ingest --source archive --path {nowhere} --out {new}", "nowhere is not a folder"),
    "folder without frames": ("ingest --source archive --path {empty} --out {new}", "empty holds no mch frames"),
    "frames of another product": (
        "ingest --source archive --product fmi --path {files} --out {new}",
        "files holds no fmi frames",
    ),
    "only a truncated file": (
        "ingest --source archive --path {broken} --out {new}",
        r"not one of 1 frames .*AQC241531200F_00005\.801\.gif.*fetch it again",
    ),
    "nothing in the time": (f"{INGEST} {{new}} --start 2025-01-01", "none in the time asked for"),
    "no time": (f"{INGEST} {{new}} --start noon", "'noon' is no time"),
    "ingest below a file": (f"{INGEST} {{file}}/frames.zarr", "cannot write .*file/frames.zarr"),
    "ingest onto a file": (f"{INGEST} {{file}}", "file is no Zarr store"),
    "option of another feed": (
        "ingest --radar 2 --out {new}",
        "the source demo has no option 'radar': it knows events, frames, size, seed",
    ),
    "no path": ("ingest --source images --out {new}", "the source images needs a path"),
    "crop beyond the frame": (f"{INGEST} {{new}} --crop 10 0 60 60", "crop .* reaches beyond frames of 64×64 px"),
    "finer grid": (f"{INGEST} {{new}} --regrid 65", "64 columns cannot be regridded to 65"),
    "another grid than before": (f"{INGEST} {{frames}} --regrid 32", "was made otherwise .* use another store"),
    "download of a feed without one": ("ingest --download --out {new}", "only the source archive has a download"),
    "feed that is not there": (
        "ingest --source fvg --base http://127.0.0.1:9 --out {new}",
        r"127\.0\.0\.1:9/radars/1/products: no answer .*run again later",
    ),
    "missing pictures": ("ingest --source images --path {nowhere} --out {new}", "nowhere is not a folder"),
    "missing cloud store": ("ingest --source cloud --path {nowhere} --out {new}", "nowhere is no Zarr store"),
    "training without rain": (f"train --data {{dry}} --out {{new}} {TINY}", r"dry\.zarr holds no rain"),
    "training on no store": (f"train --data {{nowhere}} --out {{new}} {TINY}", "nowhere is no Zarr store"),
    "training window too long": (
        f"train --data {{frames}} --out {{new}} {TINY} --config.n-in 40",
        "no window of 42 frames.*ask for shorter windows",
    ),
    "crop too large": (f"train --data {{frames}} --out {{new}} {TINY} --config.crop 65", "lower the crop"),
    "nothing to validate on": (f"train --data {{frames}} --out {{new}} {TINY} --shares 1 0 0", "give both a share"),
    "training below a file": (f"train --data {{frames}} --out {{file}}/run {TINY}", "cannot write .*file/run"),
    "training over a run": (f"train --data {{frames}} --out {{run}} {TINY}", "run already holds a run"),
    "nothing to resume": (f"train --data {{frames}} --out {{new}} {TINY} --resume", "new holds no run to resume"),
    "unknown forecaster": ("forecast --weights zzz --data {frames} --out {new}", "no forecaster 'zzz'"),
    "folder without weights": (
        "forecast --weights {empty} --data {frames} --out {new}",
        r"empty holds no readable config\.json",
    ),
    "forecast of no store": ("forecast --weights persistence --data {empty} --out {new}", "empty is no Zarr store"),
    "forecast of a file": ("forecast --weights persistence --data {file} --out {new}", "file is no Zarr store"),
    "forecast at a missing time": (
        "forecast --weights persistence --data {frames} --at 2024-06-01T18:00 --out {new}",
        "the store holds 2024-06-01 12:00:00 to 2024-06-01 15:15:00",
    ),
    "forecast below a file": ("forecast --weights persistence --data {frames} --out {file}/f.zarr", "cannot write"),
    "forecast onto the frames": ("forecast --weights persistence --data {frames} --out {frames}", "is not a forecast"),
    "scores without rain": ("evaluate --data {dry} --forecasters persistence --leads 2", "no rain above 0.5 mm/h"),
    "leads too long": ("evaluate --data {frames} --forecasters persistence --leads 38", r"hold no 3 \+ 38 in a row"),
    "no frames to score": ("evaluate --data {frames} --forecasters persistence --end 2024-06-01", "0 frames hold no"),
    "scores of nobody": ("evaluate --data {frames} --forecasters persistence,zzz", "no forecaster 'zzz'"),
    "thresholds in words": ("evaluate --data {frames} --thresholds some", "thresholds 'some' are not numbers"),
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
    assert len(said) == 1 and "model.safetensors cannot be loaded" in said[0] and not place.new.exists()


def test_process_exits_with_2_and_one_line(tmp_path):
    line = f"-m nowcastlib ingest --source archive --product zzz --path {tmp_path} --out {tmp_path}/new.zarr"
    done = subprocess.run([sys.executable, *line.split()], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stdout == ""
    known = ", ".join(archive.PRODUCTS)
    assert done.stderr == f"nowcastlib: error: unknown product 'zzz': choose one of {known}\n"
    assert list(tmp_path.iterdir()) == []
