"""Saving a forecast: whole or not at all, and only in place of an older forecast."""

import numpy as np
import pytest
import xarray as xr

from nowcastlib.data import as_frames, ingest, open_frames
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import forecast, forecaster, save


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def a_forecast(rate=1.0):
    return forecast(forecaster("persistence"), as_frames(np.full((3, 4, 4), rate)), leads=2)


def test_saved_forecast_is_cf_and_replaces_an_older_one(tmp_path):
    out = tmp_path / "new" / "f.zarr"
    save(a_forecast(1), out)
    save(a_forecast(2), out)
    saved = xr.open_zarr(out, decode_timedelta=False)
    assert saved.rainfall_rate.dims == ("lead_time", "y", "x")
    assert (saved.rainfall_rate == 2).all()
    assert saved.rainfall_rate.attrs["units"] == "mm h-1"
    assert saved.lead_time.values.tolist() == [5, 10]
    assert saved.valid_time.values[0] == np.datetime64("2024-06-01T00:15")
    assert names(tmp_path / "new") == ["f.zarr"]


def test_failed_save_keeps_the_older_forecast(tmp_path, monkeypatch):
    save(a_forecast(1), tmp_path / "f.zarr")

    def full_disk(self, path, **_):
        path.mkdir()
        (path / "half").write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_zarr", full_disk)
    with pytest.raises(NowcastError, match="No space left"):
        save(a_forecast(2), tmp_path / "f.zarr")
    assert names(tmp_path) == ["f.zarr"]
    assert (xr.open_zarr(tmp_path / "f.zarr", decode_timedelta=False).rainfall_rate == 1).all()


def test_save_replaces_only_a_forecast(tmp_path):
    ingest(Demo(1, frames=5, size=16), tmp_path / "frames.zarr")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("notes")
    (tmp_path / "file").write_text("notes")
    for name in ("frames.zarr", "folder", "file"):
        with pytest.raises(NowcastError, match=name):
            save(a_forecast(), tmp_path / name)
    assert (tmp_path / "folder" / "notes.txt").exists()
    assert (tmp_path / "file").exists()
    assert open_frames(tmp_path / "frames.zarr").sizes["time"] == 5


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(NowcastError, match=r"cannot write .*out.*choose another"):
        save(a_forecast(), tmp_path / "file" / "out.zarr")
    assert names(tmp_path) == ["file"]


def test_forecast_from_a_store_of_another_format_is_saved(tmp_path):
    theirs = as_frames(np.random.default_rng(0).gamma(1, 1, (5, 8, 8)).astype("f4"))
    encoding = {"rainfall_rate": {"dtype": "i2", "scale_factor": 0.01, "_FillValue": -1}}
    theirs.to_dataset().to_zarr(tmp_path / "theirs.zarr", encoding=encoding, consolidated=False)
    frames = open_frames(tmp_path / "theirs.zarr")
    save(forecast(forecaster("persistence"), frames, leads=2), tmp_path / "f.zarr")
    saved = xr.open_zarr(tmp_path / "f.zarr", decode_timedelta=False).rainfall_rate
    np.testing.assert_allclose(saved[1], theirs[-1], atol=0.0051)


def test_saved_forecast_keeps_forecaster_history_and_comment(tmp_path):
    frames = as_frames(np.ones((3, 4, 4))).assign_attrs(comment="radar 3 was off")
    predicted = forecast(forecaster("persistence"), frames, leads=1)
    predicted = predicted.assign_attrs(forecaster="persistence", history="made for a test")
    save(predicted, tmp_path / "f.zarr")

    attributes = xr.open_zarr(tmp_path / "f.zarr", decode_timedelta=False).attrs
    assert attributes["comment"] == "radar 3 was off"
    assert attributes["forecaster"] == "persistence"
    assert attributes["history"] == "made for a test"


def test_a_saved_forecast_is_read_back_exactly_however_the_frames_were_stored(tmp_path):
    """Bytes with the fill value 0 would make every dry pixel, and the coordinate 0, missing."""
    rate = np.zeros((3, 32, 32), "f4")
    rate[:, 8:20, 8:20] = np.random.default_rng(0).gamma(1, 4, (3, 12, 12))
    rate[:, 0, :5] = np.nan
    frames = as_frames(rate)
    frames.x.encoding = {"dtype": "i4", "_FillValue": 0}
    predicted = forecast(forecaster("persistence"), frames, leads=2)
    predicted.encoding = {"dtype": "u1", "_FillValue": 0, "chunks": (1, 16, 16)}
    save(predicted, tmp_path / "f.zarr")

    saved = xr.open_zarr(tmp_path / "f.zarr", decode_timedelta=False)
    np.testing.assert_array_equal(saved.rainfall_rate, predicted)
    assert np.isnan(saved.rainfall_rate[0, 0, :5]).all()
    for name in ("lead_time", "valid_time", "issued", "y", "x"):
        np.testing.assert_array_equal(saved[name], predicted[name])
    stored = xr.open_zarr(tmp_path / "f.zarr", decode_cf=False)
    assert np.isnan(stored.rainfall_rate.attrs["_FillValue"])
    assert not any("_FillValue" in stored[name].attrs for name in stored.coords)
