"""Films in colour: videos → store → network of three channels → pictures, array, GIF."""

import json
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pytest
import xarray as xr
from command_line import TINY, complaints, nowcast
from PIL import Image

from nowcastlib.data import open_colours

LOSSLESS = {"plugin": "FFMPEG", "fps": 10, "codec": "ffv1", "pixelformat": "bgr0"}
RED, BLUE = (200, 40, 0), (0, 60, 180)


def film(frames: int, colour: tuple[int, int, int], speed: int = 1) -> np.ndarray:
    """A square of 12 px in a colour that moves to the right: (time, y, x, RGB) uint8."""
    pixels = np.zeros((frames, 32, 48, 3), "u1")
    for k in range(frames):
        pixels[k, 8:20, 2 + speed * k : 14 + speed * k] = colour
    return pixels


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Three videos in colour to train on, a hidden one, a store of them, and a run."""
    root = tmp_path_factory.mktemp("colours")
    place = SimpleNamespace(
        root=root, films=root / "films", hidden=root / "hidden", frames=root / "frames.zarr",
        run=root / "run", rain=root / "rain.zarr",
    )  # fmt: skip
    for folder, colours in ((place.films, (RED, BLUE, RED)), (place.hidden, (BLUE,))):
        folder.mkdir()
        for k, colour in enumerate(colours, 1):
            iio.imwrite(folder / f"clip{k}.mkv", film(9, colour), **LOSSLESS)
    train = "train --data {frames} --out {run} " + TINY.replace("crop 32", "crop 16")
    place.exit_codes = [
        nowcast(place, "ingest --source images --path {films} --colours --out {frames}"),
        nowcast(place, f"{train} --config.channels 3 --shares 0.67 0.33 0"),
        nowcast(place, "ingest --events 1 --pixels 32 --out {rain}"),
    ]
    return place


def test_a_store_of_colours_holds_the_pixels_of_each_video(place):
    assert place.exit_codes == [0, 0, 0]
    films = open_colours(place.frames)
    assert films.dims == ("time", "channel", "y", "x")
    assert films.dtype == np.float32
    assert len(np.unique(films.time.values.astype("M8[D]"))) == 3  # each video has its day
    by_video = films.values.reshape(3, 9, 3, 32, 48)
    np.testing.assert_allclose(by_video[1], np.moveaxis(film(9, BLUE) / 255, -1, 1), atol=1e-6)


def test_a_run_on_colours_forecasts_colours_in_every_format(place, tmp_path):
    line = f"forecast --data {{frames}} --weights {{run}} --leads 2 --out {tmp_path}/"
    outs = ("a.npy", "b.gif", "c.mp4", "d.zarr", "e.nc", "folder")
    assert [nowcast(place, line + out) for out in outs] == [0] * 6

    colours = np.load(tmp_path / "a.npy")
    assert colours.shape == (2, 32, 48, 3)
    assert colours.min() >= 0
    assert colours.max() <= 1
    times = json.loads((tmp_path / "times.json").read_text())
    assert times["dimensions"] == ["lead_time", "y", "x", "channel"]
    assert times["units"] == "1"
    assert len(list(iio.imiter(tmp_path / "b.gif"))) == 2
    assert len(list(iio.imiter(tmp_path / "c.mp4"))) == 2
    with xr.open_zarr(tmp_path / "d.zarr", decode_timedelta=False) as saved:
        np.testing.assert_array_equal(saved.colour, colours)
    with xr.open_dataset(tmp_path / "e.nc", decode_timedelta=False) as saved:
        np.testing.assert_array_equal(saved.colour, colours)
    with Image.open(tmp_path / "folder" / "20000103_004500.png") as picture:
        assert picture.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(picture), np.round(255 * colours[0]))
    assert {"train.gif", "validation.gif"} <= {path.name for path in place.run.iterdir()}


def test_a_network_of_colours_tells_the_channels_apart(place):
    """Red squares give redder forecasts than blue ones: channels are neither mixed up nor lost."""
    from nowcastlib.forecasting import forecaster

    run = forecaster(place.run)
    films = np.moveaxis(film(3, RED) / 255, -1, 1).astype("f4")
    straight = run(films, 1)
    swapped = run(films[:, ::-1].copy(), 1)
    assert straight.shape == (1, 3, 32, 48)
    assert not np.allclose(straight, swapped)


def test_forecasts_go_beyond_the_end_of_videos_in_colour(place, tmp_path):
    line = f"forecast --beyond --data {{hidden}} --weights {{run}} --leads 2 --out {tmp_path}"
    assert nowcast(place, line) == 0
    assert np.load(tmp_path / "clip1" / "forecast.npy").shape == (2, 32, 48, 3)
    with Image.open(tmp_path / "clip1" / "20000101_004500.png") as picture:
        assert picture.size == (48, 32)


def test_colours_are_scored_by_mse_psnr_and_ssim(place, tmp_path, capsys):
    line = "evaluate --data {frames} --forecasters {run},persistence --leads 2 --every 3"
    assert nowcast(place, f"{line} --json {tmp_path}/scores.json") == 0
    assert "psnr" in capsys.readouterr().out
    rows = json.loads((tmp_path / "scores.json").read_text())["scores"]
    first = next(row for row in rows if row["forecaster"] == "persistence")
    # a square of 12 rows moves by one column: 12 px differ in front, 12 px behind
    red, blue = (12 * 2 * np.sum(np.square(c)) / 255**2 / (32 * 48 * 3) for c in (RED, BLUE))
    assert first["cases"] == 5  # every third of 15 possible times, five of each video
    assert blue < first["mse"] < red
    assert {row["lead"] for row in rows} == {1, 2}
    assert all(0 < row["ssim"] <= 1 for row in rows)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("train --data {frames} --out {root}/new", "holds colours, not rain: train on it with"),
        ("train --data {rain} --out {root}/new --config.channels 3 --config.loss mse",
         "holds no colours"),
        ("train --data {frames} --out {root}/new --config.channels 3", "loss balanced weighs rain"),
        ("train --data {frames} --out {root}/new --config.channels 3 --config.model.kind guided",
         "guided network is for rain"),
        ("train --data {frames} --out {root}/new --config.channels 3 --config.loss mse "
         "--config.vary 0.5", "vary is the variation of rain rates"),
        ("train --data moving-mnist --out {root}/new --config.channels 3 --config.loss mse",
         "moving-mnist has no channels"),
        ("train --data {frames} --out {root}/new --config.channels 2", "1 for rain, or 3"),
        ("forecast --data {frames} --weights persistence --out {root}/new", "is for rain"),
        ("forecast --data {rain} --weights {run} --out {root}/new", "these frames are rain"),
        ("forecast --data {frames} --weights {run} --grey --out {root}/new", "leave out --grey"),
        ("forecast --data {frames} --weights {run} --at 2000-01-02 --out {root}/new",
         "needs 3 frames"),
        ("evaluate --data {frames} --forecasters persistence,sprog", "sprog forecasts rain"),
        ("evaluate --data {rain} --forecasters {run} --size 32", "these frames are rain"),
        ("evaluate --data {frames} --forecasters persistence --margin 3", "--margin is for rain"),
        ("evaluate --data {frames} --forecasters persistence --by-event", "--by-event is for rain"),
        ("evaluate --data {frames} --forecasters persistence --workers 2", "--workers and --sched"),
        ("compact --data {frames} --out {root}/new", "holds colours, not rain"),
        ("ingest --source images --path {films} --brightness --out {frames}", "other settings"),
        ("ingest --source images --path {films} --colours --brightness --out {root}/new",
         "leave out brightness"),
        ("ingest --source demo --colours --out {root}/new", "--colours is not an option"),
    ],
)  # fmt: skip
def test_colours_are_never_taken_for_rain(place, capsys, line, complaint):
    capsys.readouterr()
    assert nowcast(place, line) == 2
    (message,) = complaints(capsys.readouterr().err)
    assert complaint in message
    assert not (place.root / "new").exists()
