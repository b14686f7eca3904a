"""A mistake on the command line is one line on stderr, exit code 2, and leaves nothing behind."""

import re
import subprocess
import sys

import pytest
from command_line import INGEST, TINY, complaints, contents, nowcast

from nowcastlib.cli import main
from nowcastlib.data.feeds import archive

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
        "empty holds no mch frames; nor .*mch, fmi, ",
    ),
    "frames of another product": (
        "ingest --source archive --product fmi --path {files} --out {new}",
        "files holds no fmi frames; it holds mch: give --product",
    ),
    "only a truncated file": (
        "ingest --source archive --path {broken} --out {new}",
        r"not one of 1 frames .*AQC241531200F_00005\.801\.gif.*fetch it again",
    ),
    "nothing in the time": (f"{INGEST} {{new}} --start 2025-01-01", "none in the time asked for"),
    "no time": (f"{INGEST} {{new}} --start noon", "'noon' is not a time"),
    "ingest below a file": (f"{INGEST} {{file}}/frames.zarr", "cannot write .*file/frames.zarr"),
    "ingest onto a file": (f"{INGEST} {{file}}", "file was not made by ingest"),
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
        r"127\.0\.0\.1:9/radars/1/products: no answer .*Connection refused.*no network\?",
    ),
    "missing pictures": (
        "ingest --source images --path {nowhere} --out {new}",
        "nowhere is not a folder",
    ),
    "missing cloud store": (
        "ingest --source cloud --path {nowhere} --out {new}",
        "nowhere does not exist: make it with nowcast ingest",
    ),
    "training without rain": (
        f"train --data {{dry}} --out {{new}} {TINY}",
        r"dry\.zarr holds no rain",
    ),
    "training on no store": (
        f"train --data {{nowhere}} --out {{new}} {TINY}",
        "nowhere does not exist: make it with nowcast ingest",
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
    "shares that are not used": (
        f"train --data {{frames}} --validation {{frames}} --out {{new}} {TINY} --shares 1 0 0",
        "stores for validation leave no store to split",
    ),
    "start of a resumed run": (
        f"train --data {{frames}} --out {{run}} {TINY} --resume --start {{run}}",
        "carries on with its own weights.* leave out start",
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
        "no forecaster 'zzz': .*radar-members",
    ),
    "misspelt forecaster": (
        "forecast --weights radr --data {frames} --out {new}",
        "'radr' .did you mean radar",
    ),
    "folder without weights": (
        "forecast --weights {empty} --data {frames} --out {new}",
        r"empty.*config\.json",
    ),
    "forecast of no store": (
        "forecast --weights persistence --data {empty} --out {new}",
        "empty is not a Zarr store",
    ),
    "forecast of a folder of stores": (
        "forecast --weights persistence --data {root} --out {new}",
        r"folder of stores: name one of them \(dry\.zarr, frames\.zarr\)",
    ),
    "forecast of a file": (
        "forecast --weights persistence --data {file} --out {new}",
        "file is not a (Zarr store|NetCDF file)",
    ),
    "forecast at a missing time": (
        "forecast --weights persistence --data {frames} --at 2024-06-01T18:00 --out {new}",
        "the store holds 2024-06-01 12:00 to 2024-06-01 15:15.*possible time is 2024-06-01 15:15",
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
        r"3 \+ 38 .*ask for fewer leads",
    ),
    "no frames to score": (
        "evaluate --data {frames} --forecasters persistence --end 2024-06-01",
        "frames.zarr holds frames from 2024-06-01 12:00 to 2024-06-01 15:15, but none",
    ),
    "scores of nobody": (
        "evaluate --data {frames} --forecasters persistence,zzz",
        "no forecaster 'zzz'",
    ),
    "no case at all": (
        "evaluate --data {frames} --forecasters persistence --every 0",
        "--every 0 is below 1",
    ),
    "margin below 0": (
        "evaluate --data {frames} --forecasters persistence --margin -3",
        "--margin -3 is below 0",
    ),
    "thresholds in words": (
        "evaluate --data {frames} --thresholds some",
        "thresholds 'some' are not numbers",
    ),
    "scores below a file": (
        "evaluate --data {frames} --forecasters persistence --leads 2 --every 20 "
        "--json {file}/s.json",
        "cannot write .*file/s.json",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_one_line_exit_2_and_nothing_left(place, capsys, mistake):
    line, message = MISTAKES[mistake]
    before = contents(place.root)
    assert nowcast(place, line) == 2

    (complaint,) = complaints(capsys.readouterr().err)
    assert re.search(message, complaint), complaint
    assert contents(place.root) == before


def test_weights_of_another_network_are_refused(place, tmp_path, capsys):
    for file in place.run.iterdir():
        content = file.read_bytes()
        (tmp_path / file.name).write_bytes(content.replace(b'"skip": true', b'"skip": false'))
    assert nowcast(place, f"forecast --weights {tmp_path} --data {{frames}} --out {{new}}") == 2

    (complaint,) = complaints(capsys.readouterr().err)
    assert "model.safetensors cannot be loaded" in complaint
    assert not place.new.exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "Expected one of .*ingest"),
        ("forcast --data {frames} --out {new}", "'forcast' .did you mean forecast"),
        (
            "zzz",
            "no command 'zzz': .*train, .*, plot, live, compact, table$",
        ),
        ("--out {new} ingest", "command must come before --out"),
        ("ingest", "--out is required"),
        ("forecast --data {frames} --start 3", "error: --out is required"),
        ("ingest --out {new} --sorce demo", r"unknown option --sorce .*--source"),
        ("ingest --out {new} --source radio", "'radio'.*demo.*archive"),
        ("ingest --out {new} --pixels large", "--pixels cannot be 'large'"),
        ("ingest --out {new} --pixels", "--pixels"),
        ("ingest --out {new} --crop 1 2 3", "--crop"),
        ("ingest --out {new} more", "'more' was not expected"),
        ("train --data {frames} --out {new} --config.model.knots 3", "--config.model.knots"),
        ("live --out {new} --every -1", "--every -1 is below 0"),
    ],
)
def test_words_that_are_no_options(place, capsys, line, message):
    assert nowcast(place, line) == 2
    (complaint,) = complaints(capsys.readouterr().err)
    assert re.search(message, complaint), complaint
    assert not re.search("[─-╿]|---", complaint), "a line of tyro's box"
    assert len(complaint) < 200
    assert not place.new.exists()


@pytest.mark.parametrize(
    ("command", "hint"),
    [("live", "interrupted$"), ("train", "--resume"), ("forecast", "interrupted$")],
)
def test_hint_after_an_interruption_is_that_of_the_command(capsys, monkeypatch, command, hint):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("nowcastlib.cli.parse", interrupted)
    assert main([command]) == 130
    (complaint,) = complaints(capsys.readouterr().err)
    assert re.search(hint, complaint), complaint


def test_a_forecast_is_not_taken_for_observed_frames(place, tmp_path, capsys):
    line = f"forecast --weights persistence --data {{frames}} --out {tmp_path}/f.zarr"
    assert nowcast(place, line) == 0
    again = f"forecast --weights persistence --data {tmp_path}/f.zarr --out {tmp_path}/g.zarr"
    assert main(again.split()) == 2
    (complaint,) = complaints(capsys.readouterr().err)
    assert "f.zarr is a forecast, not observed frames" in complaint


def test_process_exits_with_2_and_one_line(tmp_path):
    line = f"ingest --source archive --product zzz --path {tmp_path} --out {tmp_path}/new.zarr"
    command = [sys.executable, "-m", "nowcastlib", *line.split()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stdout == ""

    products = ", ".join(archive.PRODUCTS)
    assert done.stderr == f"nowcastlib: error: unknown product 'zzz': choose one of {products}\n"
    assert list(tmp_path.iterdir()) == []
