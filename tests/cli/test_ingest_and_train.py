"""``nowcast ingest`` and ``nowcast train``."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from archive_files import START, field, write_all
from command_line import TINY, nowcast

from nowcastlib.cli import main
from nowcastlib.cli.source_options import SOURCE_OPTIONS
from nowcastlib.data import ReadOptions, feeds, open_frames
from nowcastlib.data.feeds import demo_server, example_archive
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.data.feeds.server_limits import Limits


def test_files_become_a_store_and_the_store_a_trained_run(place):
    assert place.exit_codes == [0, 0]

    frames = open_frames(place.frames)
    assert frames.shape == (40, 64, 64)
    assert frames.time.values[0] == np.datetime64(START)
    wet = frames > 0.1
    np.testing.assert_allclose(frames.where(wet, 0), np.where(wet, place.rain, 0), rtol=0.04)

    files = {path.name for path in place.run.iterdir()}
    assert files == {
        "config.json", "history.csv", "batches.csv", "last.pt", "model.safetensors",
        "train.log", "losses.png", "train.gif", "validation.gif",
    }  # fmt: skip
    assert "validation" in json.loads((place.run / "config.json").read_text())["data"]


def test_moving_mnist_is_trained_on_by_name(place, tmp_path, capsys):
    whole = TINY.replace("--config.crop 32", "--config.crop 0")
    line = f"train --data moving-mnist --out {tmp_path}/run --tensorboard {whole}"
    assert nowcast(place, line) == 0
    assert "lowest validation loss" in capsys.readouterr().out

    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert "4,000 training digits" in config["data"]
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_official_films_of_moving_mnist_are_trained_on(place, tmp_path):
    films = np.random.default_rng(0).integers(0, 256, (20, 10, 64, 64), dtype="u1")
    (tmp_path / "MovingMNIST").mkdir()
    np.save(tmp_path / "MovingMNIST" / "mnist_test_seq.npy", films)
    whole = TINY.replace("--config.crop 32", "--config.crop 0")
    line = f"train --data moving-mnist:{tmp_path} --shares 0.8 0.1 0.1 --out {tmp_path}/run {whole}"
    assert nowcast(place, line) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert "windows of the first 8 films" in config["data"]
    assert (tmp_path / "run" / "validation.gif").exists()


def test_demo_feed_needs_nothing(tmp_path, capsys):
    line = f"ingest --events 1 --pixels 32 --end 2024-06-01T12:30 --out {tmp_path}/d.zarr"
    assert main(line.split()) == 0
    printed = capsys.readouterr().out
    assert "6 frames of 32×32 px, 2024-06-01 12:00:00 to 2024-06-01 12:25:00 UTC" in printed


def test_another_server_with_the_interface_of_the_real_radar(tmp_path, capsys):
    options = "--start 2024-06-01 --end 2024-06-02 --crop 6 6 28 28 --regrid 14"
    with demo_server.serve(Demo(events=1, frames=6, size=40)) as url:
        line = f"ingest --source fvg --base {url} {options} --out {tmp_path}/d.zarr"
        assert main(line.split()) == 0
    assert "6 frames of 14×14 px, 2024-06-01 12:00:00" in capsys.readouterr().out

    frames = open_frames(tmp_path / "d.zarr")
    assert np.isfinite(frames.values).all()
    assert url in frames.attrs["source"]


PICTURES = {"spacing": None, "palette": None, "brightness": False, "mask": None, "colours": False}
SOUTH_UP = {"options": ReadOptions(north_up=False)}


@pytest.mark.parametrize(
    ("source", "options", "expected"),
    [
        ("demo", "--events 3 --pixels 9", {"events": 3, "size": 9}),
        ("archive", "--path p --product q", {"path": "p", "product": "q"}),
        ("archive", "--south-up", {"path": None, "product": None} | SOUTH_UP),
        (
            "fvg",
            "--radar 2 --product q --base b",
            {"radar": 2, "product": "q", "base": "b", "limits": Limits()},
        ),
        (
            "cloud",
            "--path p --endpoint e --variable v --units mm --accumulation-minutes 5 --pixel-km 2",
            {"path": "p", "endpoint": "e", "options": ReadOptions("v", "mm", 5.0, 2.0)},
        ),
        (
            "images",
            "--path p --spacing 7 --palette q --brightness",
            PICTURES | {"path": "p", "spacing": 7, "palette": "q", "brightness": True},
        ),
        (
            "images",
            "--path p --pixel-km 2 --north-up",
            PICTURES | {"path": "p", "pixel": 2000.0, "north_up": True},
        ),
        (
            "images",
            "--path p --mask m --colours",
            PICTURES | {"path": "p", "mask": "m", "colours": True},
        ),
    ],
)
def test_every_option_of_a_feed_reaches_it(monkeypatch, tmp_path, source, options, expected):
    given = {}

    def feed(name, **keywords):
        given.update(keywords)
        return Demo(1, 6, 16)

    monkeypatch.setattr(feeds, "feed", feed)
    assert main(f"ingest --source {source} {options} --out {tmp_path}/d.zarr".split()) == 0
    assert given == expected


@pytest.mark.parametrize(
    ("source", "option"),
    [
        ("demo", "--units mm"),
        ("fvg", "--pixel-km 1"),
        ("fvg", "--units mm"),
        ("fvg", "--north-up"),
        ("fvg", "--variable SRI"),
        ("images", "--variable rain"),
        ("images", "--units mm"),
        ("images", "--accumulation-minutes 5"),
        ("demo", "--south-up"),
    ],
)
def test_an_option_about_reading_that_a_source_does_not_use_is_refused(
    tmp_path, capsys, source, option
):
    line = f"ingest --source {source} {option} --out {tmp_path}/out"
    assert main(line.split()) == 2
    name = option.split()[0]
    assert f"{name} does not apply to the source {source}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("--units parsec", "--units 'parsec' is no unit of rain: .* mm/h"),
        ("--pixel-km 0", "--pixel-km 0 is 0 or below"),
        ("--accumulation-minutes -5", "--accumulation-minutes -5 is 0 or below"),
        ("--north-up --south-up", "--north-up and --south-up contradict each other"),
    ],
)
def test_a_senseless_option_about_reading_is_refused(tmp_path, capsys, options, why):
    line = f"forecast --data {tmp_path} --out {tmp_path}/f.zarr {options}"
    assert main(line.split()) == 2
    assert re.search(why, capsys.readouterr().err)


OTHERS = [
    (source, option)
    for source, own in SOURCE_OPTIONS.items()
    for option in {name for options in SOURCE_OPTIONS.values() for name in options} - own.keys()
]


@pytest.mark.parametrize(("source", "option"), sorted(OTHERS))
@pytest.mark.parametrize("command", ["ingest", "live"])
def test_option_of_another_source_is_refused_by_name(tmp_path, capsys, command, source, option):
    flag = f"--{option.replace('_', '-')}"
    value = "" if option in ("brightness", "colours", "redirects") else "9"  # these have no value
    line = f"{command} --source {source} {flag} {value} --out {tmp_path}/out"
    assert main(line.split()) == 2
    assert f"{flag} is not an option of the source {source}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_download_fetches_an_archive_that_is_missing(tmp_path, monkeypatch, capsys):
    def download(folder):
        write_all("mch", Path(folder), [field()] * 2)

    monkeypatch.setattr(example_archive, "download", download)
    line = f"ingest --source archive --path {tmp_path}/radar --out {tmp_path}/d.zarr"
    assert main(line.split()) == 2
    assert "add --download to fetch" in capsys.readouterr().err

    assert main(f"{line} --download".split()) == 0
    assert "2 frames of 12×16 px" in capsys.readouterr().out


def test_interrupted_ingest_says_how_to_continue(tmp_path, capsys, monkeypatch):
    line = f"ingest --events 1 --pixels 16 --end 2024-06-01T12:30 --out {tmp_path}/d.zarr"
    read = Demo.read

    def read_three_frames(self, row):
        if row.number == 3:
            raise KeyboardInterrupt
        return read(self, row)

    monkeypatch.setattr(Demo, "read", read_three_frames)
    assert main(line.split()) == 130
    assert "to continue" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["d.zarr"]

    monkeypatch.undo()
    assert main(line.split()) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["d.zarr"]
    assert open_frames(tmp_path / "d.zarr").sizes["time"] == 6
