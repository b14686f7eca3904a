"""Seed D's three steps as three commands: videos → network → the frames after their end."""

import json
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pytest
from command_line import TINY, complaints, nowcast

from nowcastlib.data import open_frames
from nowcastlib.data.feeds.images import Images
from nowcastlib.forecasting import forecast, forecaster, last_frames


def film(frames: int, speed: int) -> np.ndarray:
    """A grey square of 12 px that moves to the right: (time, y, x, RGB) uint8."""
    pixels = np.zeros((frames, 32, 48, 3), "u1")
    for k in range(frames):
        pixels[k, 8:20, 2 + speed * k : 14 + speed * k] = 160
    return pixels


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Three videos to train on, two hidden ones, and a run on the former."""
    root = tmp_path_factory.mktemp("videos")
    place = SimpleNamespace(
        root=root, films=root / "films", hidden=root / "hidden", out=root / "future",
        frames=root / "frames.zarr", run=root / "run",
    )  # fmt: skip
    for folder, speeds in ((place.films, (1, 2, 1)), (place.hidden, (1, 2))):
        folder.mkdir()
        for k, speed in enumerate(speeds, 1):
            iio.imwrite(folder / f"clip{k}.mp4", film(9, speed), fps=5)
    ingest = "ingest --source images --path {films} --out {frames}"
    train = "train --data {frames} --out {run} " + TINY.replace("crop 32", "crop 0")
    place.exit_codes = [
        nowcast(place, ingest),
        nowcast(place, f"{train} --shares 0.67 0.33 0"),
        nowcast(place, "forecast --beyond --data {hidden} --weights {run} --leads 3 --out {out}"),
    ]
    return place


def test_three_commands_give_the_frames_after_each_video(place):
    assert place.exit_codes == [0, 0, 0]
    assert sorted(path.name for path in place.out.iterdir()) == ["clip1", "clip2"]
    files = sorted(path.name for path in (place.out / "clip2").iterdir())
    # frames 0 to 8 were observed: 00:00 to 00:40
    pictures = [f"20000101_00{minute}00.png" for minute in (45, 50, 55)]
    assert files == [*pictures, "forecast.npy", "times.json"]
    times = json.loads((place.out / "clip2" / "times.json").read_text())
    assert times["issued"] == "2000-01-01T00:40:00Z"
    assert iio.imread(place.out / "clip2" / files[2]).shape[:2] == (32, 48)


def test_python_gives_the_same_array_as_the_command_line(place):
    frames = last_frames(Images(str(place.hidden / "clip2.mp4")), 3)
    assert len(frames) == 9
    predicted = forecast(forecaster(place.run), frames, leads=3)
    saved = np.load(place.out / "clip2" / "forecast.npy")
    assert saved.shape == (3, 32, 48)
    np.testing.assert_array_equal(saved, predicted)


def test_each_video_is_an_event_of_its_own(place):
    days = np.unique(open_frames(place.frames).time.values.astype("M8[D]"))
    assert len(days) == 3


def test_a_rerun_makes_only_what_is_missing_or_has_changed(place, tmp_path, capsys):
    line = f"forecast --beyond --data {{hidden}} --weights persistence --out {tmp_path}/out"
    assert nowcast(place, f"{line} --leads 2 --job 2") == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["clip2"]
    before = (tmp_path / "out" / "clip2").stat().st_ino

    capsys.readouterr()
    assert nowcast(place, f"{line} --leads 2") == 0
    assert "clip2: done before" in capsys.readouterr().out
    assert (tmp_path / "out" / "clip2").stat().st_ino == before
    assert (tmp_path / "out" / "clip1" / "times.json").exists()

    assert nowcast(place, f"{line} --leads 3") == 0
    assert len(np.load(tmp_path / "out" / "clip2" / "forecast.npy")) == 3


def test_a_video_that_fails_is_named_and_does_not_stop_the_others(place, tmp_path, capsys):
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "broken.mp4").write_bytes(b"")
    iio.imwrite(folder / "one.mp4", film(1, 1), fps=5)
    iio.imwrite(folder / "whole.mp4", film(6, 1), fps=5)
    line = f"forecast --beyond --data {folder} --weights persistence --leads 2"
    capsys.readouterr()
    assert nowcast(place, f"{line} --out {tmp_path}/out") == 2
    first, second, summary = complaints(capsys.readouterr().err)
    assert "broken.mp4 holds no frame" in first
    assert "one.mp4" in second
    assert "needs 3 frames" in second
    assert "2 of 3 videos failed (broken.mp4, one.mp4)" in summary
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["whole"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("--data {hidden} --beyond --out {root}/f.npy", "--out a folder, not"),
        ("--data {hidden} --beyond --at 2000-01-01 --out {root}/f", "leave out --at"),
        ("--data {hidden} --beyond --job 3 --out {root}/f", "holds 2 videos: there is no job 3"),
        ("--data {root} --beyond --out {root}/f", "holds no videos: name a folder"),
        ("--data {frames} --palette {root}/p.csv --out {root}/f", "--palette goes with --beyond"),
        ("--data {root}/nothing --out {root}/f.tiff", r"f.tiff ends in .tiff"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(place, capsys, line, complaint):
    capsys.readouterr()
    assert nowcast(place, f"forecast --weights persistence {line}") == 2
    (message,) = complaints(capsys.readouterr().err)
    assert complaint in message
    assert not [name for name in ("f", "f.npy", "f.tiff") if (place.root / name).exists()]


def test_a_folder_of_pictures_is_sent_to_ingest(tmp_path, capsys):
    for number in range(3):
        iio.imwrite(tmp_path / f"{number}.png", np.zeros((16, 16), "u1"))
    place = SimpleNamespace(root=tmp_path)
    line = "forecast --weights persistence --data {root} --beyond --out {root}/f"
    assert nowcast(place, line) == 2
    assert "its 3 pictures by ingest --source images" in capsys.readouterr().err
