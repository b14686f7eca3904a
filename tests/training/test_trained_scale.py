"""A run knows the pixels and time steps that it was trained at."""

import json

import numpy as np
import pytest
from small_networks import CONFIG, Clock, train, windows
from torch.utils.data import ConcatDataset

from nowcastlib.data import RadarWindows, as_frames
from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import WEIGHTS, Network
from nowcastlib.training import load_trained_scale, trained_scale
from nowcastlib.units import TrainedScale

ROWS = np.array([[0, 1, 2], [0, 2, 4]])  # windows of each frame, and of every second


def radar_windows(step=5.0, y_km=1.0, x_km=1.0, units="m") -> RadarWindows:
    frames = as_frames(np.zeros((5, 8, 8)), step=step)
    axes = {"y": -1000 * y_km, "x": 1000 * x_km}
    coords = {a: (a, m * np.arange(8), {"units": units}) for a, m in axes.items()}
    return RadarWindows(frames.assign_coords(coords), ROWS)


def test_scale_of_training_data_spans_all_stores_strides_and_both_axes():
    parts = [radar_windows(step=5), radar_windows(step=6, y_km=1.1, x_km=0.8)]
    assert trained_scale(ConcatDataset(parts)) == TrainedScale((0.8, 1.1), (5, 12))


def test_scale_is_unknown_if_one_part_does_not_know_it():
    parts = [radar_windows(), radar_windows(units="1")]
    assert trained_scale(ConcatDataset(parts)) == TrainedScale(None, (5, 10))
    assert trained_scale(Clock()) == TrainedScale()


def test_seconds_off_do_not_change_the_step():
    part = radar_windows()
    late = np.array([0, 2, 0, 1, 0], "m8[s]")
    part.frames = part.frames.assign_coords(time=part.frames.time + late)
    assert trained_scale(part) == TrainedScale((1, 1), (5, 10))


def test_fit_writes_the_scale_and_the_forecaster_knows_it(tmp_path):
    train(tmp_path, CONFIG.changed(epochs=2, curriculum=()))
    scale = TrainedScale((1.0, 1.0), (5.0, 5.0))
    assert trained_scale(windows()) == scale
    assert load_trained_scale(tmp_path) == scale
    assert Network.load(tmp_path).trained_at == scale


def test_run_of_an_earlier_version_loads_and_its_scale_is_unknown(tmp_path):
    train(tmp_path, CONFIG.changed(epochs=1, curriculum=()))
    path = tmp_path / "config.json"
    written = json.loads(path.read_text())
    del written["trained_at"]
    path.write_text(json.dumps(written))
    assert Network.load(tmp_path).trained_at == TrainedScale()


@pytest.mark.parametrize("scale", [{"pixel_km": [2, 1]}, {"pixel_km": 1}, {"km": [1, 1]}, [1]])
def test_scale_that_cannot_be_read_is_refused_with_its_file(scale, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"trained_at": scale}))
    with pytest.raises(NowcastError, match=r"config\.json: trained_at"):
        load_trained_scale(tmp_path)


def test_shipped_weights_know_their_scale():
    assert load_trained_scale(WEIGHTS / "radar") == TrainedScale((0.71, 1.12), (4, 12))
    assert load_trained_scale(WEIGHTS / "convedlstm") == TrainedScale((0.961, 1.02), (5, 10))
    assert load_trained_scale(WEIGHTS / "mnist") == TrainedScale()
