"""``nowcast forecast``."""

import numpy as np
import pytest
import torch
import xarray as xr
from archive_files import START
from command_line import nowcast

from nowcastlib.cli import main
from nowcastlib.data import open_frames
from nowcastlib.forecasting import BASELINES


@pytest.mark.parametrize("weights", ["{run}", "{run}/model.safetensors", *BASELINES])
def test_forecast_is_rain_rate_by_lead_time(place, tmp_path, weights):
    line = f"forecast --weights {weights} --data {{frames}} --at 2024-06-01T14:00 --leads 4"
    assert nowcast(place, f"{line} --out {tmp_path}/f.zarr") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["f.zarr"]

    predicted = xr.open_zarr(tmp_path / "f.zarr", decode_timedelta=False).rainfall_rate
    members = {"member": 10} if weights == "steps" else {}
    assert dict(predicted.sizes) == members | {"lead_time": 4, "y": 64, "x": 64}
    assert predicted.attrs["units"] == "mm h-1"
    assert predicted.lead_time.attrs["units"] == "minutes"

    attributes = xr.open_zarr(tmp_path / "f.zarr", decode_timedelta=False).attrs
    assert attributes["forecaster"] == weights.format(run=place.run)
    assert str(place.frames) in attributes["history"]

    expected = np.datetime64(START) + np.array([125, 130, 135, 140]) * np.timedelta64(1, "m")
    assert (predicted.valid_time.values == expected).all()
    assert np.nanmin(predicted) >= 0


def test_forecast_of_the_centre_is_smaller(place, tmp_path):
    line = "forecast --weights persistence --data {frames} --size 32"
    assert nowcast(place, f"{line} --out {tmp_path}/f.zarr") == 0

    saved = xr.open_zarr(tmp_path / "f.zarr", decode_timedelta=False).rainfall_rate
    frames = open_frames(place.frames)
    assert (saved[0].values == frames.values[-1, 16:48, 16:48]).all()
    assert (saved.x == frames.x[16:48]).all()


@pytest.mark.parametrize("command", ["forecast", "evaluate", "live"])
def test_rows_without_coordinates_give_one_warning_and_no_north(place, tmp_path, caplog, command):
    bare = xr.open_zarr(place.frames).rainfall_rate.load().drop_vars(["y", "x"])
    bare.attrs.pop("grid_mapping", None)
    bare.encoding = {}
    bare.to_dataset(name="rain").to_zarr(tmp_path / "bare.zarr", zarr_format=2)
    out, extra = tmp_path / "out", "--leads 2 --size 32"
    line = {
        "forecast": f"forecast --data {tmp_path}/bare.zarr --weights persistence --out {out}",
        "evaluate": f"evaluate --data {tmp_path}/bare.zarr --forecasters persistence --every 20",
        "live": f"live --source cloud --path {tmp_path}/bare.zarr --no-open --out {out} "
        "--forecasters persistence",
    }[command]
    caplog.clear()
    assert main(f"{line} {extra}".split()) == 0
    (warning,) = (m for m in map(str, caplog.messages) if "bare.zarr" in m and "north" in m)
    assert "first row of each frame is taken for the north; give --south-up" in warning
    assert "\n" not in warning
    if command == "live":
        assert '"degrees": []' in out.read_text()  # the map shows N and E only with degrees


def test_device_that_is_not_there_is_one_line_and_cpu_is_the_same_as_auto(
    place, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    line = f"forecast --weights {{run}} --data {{frames}} --leads 2 --out {tmp_path}"
    for device in ("auto", "cpu"):
        assert nowcast(place, f"{line}/{device}.zarr --device {device}") == 0
    auto, cpu = (
        xr.open_zarr(tmp_path / f"{name}.zarr", decode_timedelta=False).rainfall_rate
        for name in ("auto", "cpu")
    )
    assert auto.identical(cpu)

    capsys.readouterr()
    assert nowcast(place, f"{line}/gpu.zarr --device cuda") == 2
    assert "no NVIDIA GPU" in capsys.readouterr().err
    assert not (tmp_path / "gpu.zarr").exists()
