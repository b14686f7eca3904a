"""Samples and frames that do not fit the network: one error that says what to do."""

import numpy as np
import pytest
import torch
from small_networks import CONFIG, Clock, quiet
from torch.utils.data import TensorDataset

from nowcastlib.cli import main
from nowcastlib.data import as_frames
from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import Network, forecast
from nowcastlib.networks import ConvEDLSTMConfig, FCLSTMConfig, build
from nowcastlib.training import TrainConfig, fit

FIXED = {
    "fclstm": FCLSTMConfig((4,), size=32),
    "peepholes of each pixel": ConvEDLSTMConfig((3, 3), (3, 3), peephole="per-pixel", size=32),
}


class Films(TensorDataset):
    """Two random films (T, C, H, W)."""

    def __init__(self, *shape):
        super().__init__(torch.rand(2, *shape))

    def __getitem__(self, i):
        return super().__getitem__(i)[0]


def test_films_of_three_channels_are_refused(tmp_path):
    films = Films(5, 3, 16, 16)
    with pytest.raises(NowcastError, match=r"3 channels.*one channel.*mean"):
        fit(CONFIG, films, films, tmp_path / "run", quiet())
    assert not (tmp_path / "run").exists()


def test_samples_without_a_channel_axis_are_refused(tmp_path):
    films = Films(5, 16, 16)
    with pytest.raises(NowcastError, match=r"\(5, 16, 16\).*\(T, 1, H, W\)"):
        fit(CONFIG, films, films, tmp_path / "run", quiet())


@pytest.mark.parametrize("kind", FIXED)
def test_training_a_network_of_fixed_size_on_another_size_is_refused(tmp_path, kind):
    config = TrainConfig().changed(model=FIXED[kind], n_in=2, n_out=3, crop=32, precision="no")
    films = Clock(size=64)
    with pytest.raises(NowcastError, match=r"64×64 px.*32×32 px only.*crop"):
        fit(config, films, films, tmp_path / "run", quiet())


@pytest.mark.parametrize("kind", FIXED)
def test_forecast_by_a_network_of_fixed_size_on_another_size_is_refused(kind):
    config = TrainConfig().changed(model=FIXED[kind], n_in=2, n_out=3, crop=32)
    network = Network(build(config.model), config)
    frames = as_frames(np.full((4, 64, 96), 2.0))
    with pytest.raises(NowcastError, match=r"64×96 px.*32×32 px only.*size 32"):
        forecast(network, frames, leads=2)
    assert forecast(network, frames[:, :32, :32], leads=2).shape == (2, 32, 32)


def test_forecast_command_says_what_to_do_about_a_network_of_fixed_size(tmp_path, capsys):
    config = CONFIG.changed(model=FIXED["fclstm"], crop=32, sampling=0.0, epochs=2)
    fit(config, Clock(size=32), Clock(size=32), tmp_path / "run", quiet())
    frames = as_frames(np.full((4, 64, 96), 2.0))
    frames.to_dataset().to_zarr(tmp_path / "frames.zarr", zarr_format=2)
    out = tmp_path / "forecast.zarr"
    words = ["--weights", tmp_path / "run", "--data", tmp_path / "frames.zarr", "--out", out]
    assert main(["forecast", *map(str, words)]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "--size 32" in message
    assert not out.exists()
    assert main(["forecast", *map(str, words), "--size", "32"]) == 0
