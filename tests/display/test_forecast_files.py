"""A forecast as a file or a folder: each format holds the same rain, whole or not at all."""

import json
import resource
from contextlib import contextmanager

import imageio.v3 as iio
import numpy as np
import pytest
import xarray as xr
from PIL import Image

from nowcastlib.data import as_frames
from nowcastlib.data.feeds.images import Images
from nowcastlib.display import forecast_files, save_forecast
from nowcastlib.display.plots import animations
from nowcastlib.display.rain_scale import COLOURS, UNKNOWN
from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import forecast, forecaster


def a_forecast(rate: float = 3.0) -> xr.DataArray:
    """Two leads of 6 × 8 px: rain in one pixel, and one without an observation."""
    frames = np.zeros((3, 6, 8), "f4")
    frames[:, 1, 2], frames[:, 5, 7] = rate, np.nan
    return forecast(forecaster("persistence"), as_frames(frames), leads=2)


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_array_is_read_back_with_numpy_and_its_times(tmp_path):
    predicted = a_forecast()
    save_forecast(predicted, tmp_path / "rain.npy")
    assert names(tmp_path) == ["rain.npy", "times.json"]

    rate = np.load(tmp_path / "rain.npy")
    assert rate.dtype == np.float32
    np.testing.assert_array_equal(rate, predicted.values)
    times = json.loads((tmp_path / "times.json").read_text())
    assert times["dimensions"] == ["lead_time", "y", "x"]
    assert times["units"] == "mm/h"
    assert times["lead_minutes"] == [5, 10]
    assert times["issued"] == "2024-06-01T00:10:00Z"
    assert times["valid_times"] == ["2024-06-01T00:15:00Z", "2024-06-01T00:20:00Z"]


def test_netcdf_holds_the_same_forecast(tmp_path):
    save_forecast(a_forecast(), tmp_path / "rain.nc")
    save_forecast(a_forecast(7), tmp_path / "rain.nc")
    with xr.open_dataset(tmp_path / "rain.nc", decode_timedelta=False) as saved:
        np.testing.assert_array_equal(saved.rainfall_rate, a_forecast(7))
        assert saved.lead_time.values.tolist() == [5, 10]
    assert names(tmp_path) == ["rain.nc"]


def test_a_folder_has_a_picture_for_each_valid_time(tmp_path):
    save_forecast(a_forecast(), tmp_path / "rain")
    pictures = ["20240601_001500.png", "20240601_002000.png"]
    assert names(tmp_path / "rain") == [*pictures, "forecast.npy", "times.json"]
    with Image.open(tmp_path / "rain" / pictures[1]) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    colour = {name: tuple(bytes.fromhex(name[1:])) for name in (COLOURS[3], UNKNOWN, "#ffffff")}
    assert tuple(pixels[1, 2]) == colour[COLOURS[3]]  # more than 2, up to 5 mm/h
    assert tuple(pixels[5, 7]) == colour[UNKNOWN]
    assert tuple(pixels[0, 0]) == colour["#ffffff"]


def test_grey_pictures_are_read_back_by_the_feed(tmp_path):
    predicted = a_forecast(40.0)
    save_forecast(predicted, tmp_path / "rain", grey=True)
    feed = Images(str(tmp_path / "rain"))
    rows = feed.list()
    assert (rows.time.values == predicted.valid_time.values).all()
    read = np.stack([feed.read(row).values for row in rows.itertuples()])
    np.testing.assert_allclose(read, predicted, atol=0.5 * 100 / 255)


@pytest.mark.parametrize("ending", [".gif", ".mp4"])
def test_an_animation_has_a_picture_for_each_lead(tmp_path, ending):
    save_forecast(a_forecast(), tmp_path / f"rain{ending}")
    assert len(list(iio.imiter(tmp_path / f"rain{ending}"))) == 2
    assert names(tmp_path) == [f"rain{ending}"]


def test_members_stay_in_the_array_and_pictures_show_their_mean(tmp_path):
    members = xr.concat([a_forecast(0), a_forecast(60)], "member")
    save_forecast(members, tmp_path / "rain", grey=True)
    assert np.load(tmp_path / "rain" / "forecast.npy").shape == (2, 2, 6, 8)
    times = json.loads((tmp_path / "rain" / "times.json").read_text())
    assert times["dimensions"] == ["member", "lead_time", "y", "x"]
    with Image.open(tmp_path / "rain" / "20240601_001500.png") as picture:
        assert picture.getpixel((2, 1))[0] == round(255 * 0.3)


@pytest.mark.parametrize("name", ["rain.tiff", "rain.NPZ", "rain.zar"])
def test_an_unknown_ending_is_refused_with_the_known_ones(tmp_path, name):
    with pytest.raises(NowcastError, match=rf"{name}.*\.zarr.*\.npy.*\.mp4"):
        save_forecast(a_forecast(), tmp_path / name)
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["rain", "rain.nc", "rain.npy", "rain.gif"])
def test_something_else_of_that_name_stays(tmp_path, name):
    if name in ("rain", "rain.gif"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").write_text("notes")
    elif name == "rain.nc":
        xr.Dataset({"rain": ("time", [1.0])}).to_netcdf(tmp_path / name)
    else:
        np.save(tmp_path / name, np.ones(3))
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    with pytest.raises(NowcastError, match=rf"{name} .*choose another name"):
        save_forecast(a_forecast(), tmp_path / name)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


def test_two_arrays_do_not_share_their_times(tmp_path):
    save_forecast(a_forecast(), tmp_path / "a.npy")
    with pytest.raises(NowcastError, match=r"times\.json belongs .*another folder"):
        save_forecast(a_forecast(), tmp_path / "b.npy")
    assert names(tmp_path) == ["a.npy", "times.json"]


def test_a_disk_that_fills_up_among_the_pictures_keeps_the_older_folder(tmp_path, monkeypatch):
    save_forecast(a_forecast(1), tmp_path / "rain")
    calls, draw = [], forecast_files.picture

    def full_at_the_second(rate, grey):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return draw(rate, grey)

    monkeypatch.setattr(forecast_files, "picture", full_at_the_second)
    with pytest.raises(NowcastError, match=r"rain: No space left .*free some space"):
        save_forecast(a_forecast(2), tmp_path / "rain")
    assert names(tmp_path) == ["rain"]
    assert np.nanmax(np.load(tmp_path / "rain" / "forecast.npy")) == 1
    assert len(names(tmp_path / "rain")) == 4


@contextmanager
def full_disk(at: int):
    """No file may grow beyond a number of bytes, here and in ffmpeg."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("ending", [".gif", ".mp4", ".nc"])
def test_a_disk_that_fills_up_in_the_middle_of_a_file_keeps_the_older_one(tmp_path, ending):
    out = tmp_path / f"rain{ending}"
    save_forecast(a_forecast(1), out)
    before = out.read_bytes()
    with full_disk(1500), pytest.raises(NowcastError, match=rf"rain\{ending}.*free some space"):
        save_forecast(a_forecast(2), out)
    assert names(tmp_path) == [out.name]
    assert out.read_bytes() == before


def test_a_video_that_ffmpeg_cuts_short_is_not_kept(tmp_path, monkeypatch):
    """ffmpeg ends without an error where it could not write the last frames."""
    write = animations.iio.imwrite
    monkeypatch.setattr(
        animations.iio, "imwrite", lambda path, film, **options: write(path, film[:1], **options)
    )
    with pytest.raises(NowcastError, match=r"rain\.mp4: ffmpeg could not write all of it"):
        save_forecast(a_forecast(2), tmp_path / "rain.mp4")
    assert names(tmp_path) == []


def test_a_disk_that_fills_up_keeps_the_older_array(tmp_path, monkeypatch):
    save_forecast(a_forecast(1), tmp_path / "rain.npy")

    def full(path, values):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(forecast_files.np, "save", full)
    with pytest.raises(NowcastError, match="No space left"):
        save_forecast(a_forecast(2), tmp_path / "rain.npy")
    assert names(tmp_path) == ["rain.npy", "times.json"]
    assert np.nanmax(np.load(tmp_path / "rain.npy")) == 1
