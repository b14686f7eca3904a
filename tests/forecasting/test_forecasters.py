"""Forecasters by name, and networks as forecasters."""

import doctest

import numpy as np
import pytest
import torch
from made_forecasts import network
from torch.utils._python_dispatch import TorchDispatchMode

from nowcastlib.data import as_frames, storms
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import (
    BASELINES,
    Network,
    baselines,
    forecast,
    forecaster,
    forecasters,
    shipped,
)
from nowcastlib.networks import motion_guided
from nowcastlib.units import DRY


def test_forecaster_is_found_by_its_name():
    assert all(forecaster(name) is run for name, run in BASELINES.items())
    assert all(forecaster(name).n_in >= 1 for name in shipped())


def test_unknown_forecaster_is_refused_with_the_known_names(tmp_path):
    with pytest.raises(NowcastError, match=r"'zzz': .*persistence, extrapolation, .*sprog.*radar"):
        forecaster("zzz")
    (tmp_path / "last.pt").write_text("a checkpoint is not a forecaster")
    with pytest.raises(NowcastError, match=r"no forecaster .*last\.pt"):
        forecaster(tmp_path / "last.pt")


@pytest.mark.parametrize("name", ["convedlstm-members", "sprog-members"])
def test_only_networks_that_forecast_probabilities_have_members(name):
    with pytest.raises(NowcastError, match=f"{name}.* has members"):
        forecaster(name)


def test_members_of_a_network_without_probabilities_are_refused():
    run = network()
    with pytest.raises(NowcastError, match="probabilities"):
        Network(run.model, run.config, members=2)


def test_network_forecasts_where_the_last_frame_is_observed():
    rain = np.random.default_rng(0).gamma(0.5, 4, (6, 21, 30))
    rain[-1, :3], rain[:-1, 5] = np.nan, np.nan
    predicted = network()(rain, 5)
    assert predicted.shape == (5, 21, 30)
    assert np.isnan(predicted[:, :3]).all()
    assert np.isfinite(predicted[:, 3:]).all()
    rate = predicted[:, 3:]
    assert ((rate == 0) | (rate >= DRY)).all()


NETWORK = "nowcastlib.forecasting.network"


def test_only_large_grids_return_their_memory(monkeypatch):
    calls = []
    monkeypatch.setattr(f"{NETWORK}.return_memory", lambda: calls.append("returned"))
    monkeypatch.setattr(f"{NETWORK}.LARGE_GRID", 32 * 32)
    run, rain = network(), np.ones((6, 32, 32))
    run(rain[:, :31], 2)
    assert calls == []
    run(rain, 2)
    assert calls == ["returned"]


class LargestTensor(TorchDispatchMode):
    """Remembers the number of values of the largest tensor that is made."""

    values = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **kwargs or {})
        made = result if isinstance(result, tuple | list) else [result]
        sizes = [each.numel() for each in made if isinstance(each, torch.Tensor)]
        self.values = max([self.values, *sizes])
        return result


def test_forecast_of_a_large_grid_holds_one_lead_time_and_few_frames_at_once(monkeypatch):
    """Only the displacements of all lead times are held together: two values a pixel and lead."""
    size, leads = 400, 12
    monkeypatch.setattr(motion_guided, "LARGE_FRAME", size**2)
    rain = np.random.default_rng(0).gamma(0.5, 4, (6, size, size)).astype("f4")
    with LargestTensor() as largest:
        forecaster("radar", "cpu")(rain, leads)
    assert largest.values <= 2 * leads * size**2


@pytest.mark.parametrize("shape", [(128, 128), (61, 93), (300, 40)])
def test_shipped_network_moves_a_shower(shape):
    rate = np.zeros((6, *shape))
    row, column = shape[0] // 2, shape[1] // 4
    for t in range(6):
        rate[t, row - 3 : row + 3, column + t : column + t + 6] = 12.0

    predicted = forecast(forecaster("radar"), as_frames(rate), leads=4)
    for lead in (1, 4):
        field = predicted.values[lead - 1]
        assert field.max() > 1
        centre = np.average(np.indices(shape)[1], weights=field)
        assert centre == pytest.approx(column + 5 + lead + 2.5, abs=1.5)


@pytest.mark.parametrize("shape", [(128, 128), (61, 93), (300, 40)])
def test_shipped_network_keeps_dry_frames_dry(shape):
    assert (forecast(forecaster("radar"), as_frames(np.zeros((6, *shape))), leads=4) == 0).all()


def test_ensemble_of_the_shipped_network_has_as_much_rain_as_its_single_forecast():
    demo = Demo(1, frames=6, size=128, seed=5)
    frames = as_frames(np.stack([demo.read(row) for row in demo.list().itertuples()]))
    members = forecast(forecaster("radar-members"), frames, leads=3)
    assert members.dims == ("member", "lead_time", "y", "x")
    assert members.shape == (10, 3, 128, 128)

    single = forecast(forecaster("radar"), frames, leads=3)
    for threshold in (0.5, 2.0):
        areas = (members > threshold).mean(["lead_time", "y", "x"])
        assert 0.4 < float(areas.mean() / (single > threshold).mean()) < 2.5
        assert float(areas.std()) > 0


def test_cells_in_bfloat16_hardly_change_the_probabilities_of_the_shipped_network():
    run = forecaster("radar", "cpu")
    rain = storms.rain(storms.Storm(size=64, seed=2), 6).astype("f4")
    x = run.config.scale.to_model(torch.from_numpy(rain))[None, :, None]  # (1, T, 1, H, W)
    found = []
    for in_bfloat16 in (False, True):
        run.model.cells_in_bfloat16 = in_bfloat16
        with torch.inference_mode():
            found.append(run.model.probabilities(run.model(x, 12)))
    change = (found[0] - found[1]).abs().max()
    assert 0 < change < 0.005  # on real radar about 0.003


@pytest.mark.parametrize("module", [baselines, forecasters])
def test_examples_of_the_docstrings_run(module):
    results = doctest.testmod(module)
    assert results.attempted
    assert not results.failed
