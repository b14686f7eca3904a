"""The pictures of a training run: losses and films."""

import imageio.v3 as iio
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from small_networks import CONFIG, train, windows

from nowcastlib.display import plots, save_films, save_losses
from nowcastlib.errors import NowcastError
from nowcastlib.training import finished


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Folder of a tiny run with forecasts of 1, then 3 frames."""
    out = tmp_path_factory.mktemp("run") / "run"
    train(out)
    return out


def test_a_run_keeps_the_loss_of_each_batch(run):
    batches, history = pd.read_csv(run / "batches.csv"), pd.read_csv(run / "history.csv")
    assert len(batches) == CONFIG.run.epochs * CONFIG.run.steps
    np.testing.assert_allclose(batches.groupby("epoch").loss.mean(), history.train)
    assert batches.groupby("epoch").length.first().tolist() == history.length.tolist()


def test_medians_of_the_losses_picture_are_those_of_the_batches(run):
    batches, history = pd.read_csv(run / "batches.csv"), pd.read_csv(run / "history.csv")
    axis = plots.show_history(history, batches=batches)
    drawn = [bar.get_segments()[0][0][1] for bar in axis.collections]
    assert drawn == pytest.approx(batches.groupby("length").loss.median().tolist())
    assert drawn != pytest.approx(history.groupby("length").train.median().tolist(), rel=1e-9)


def test_losses_are_drawn_again_from_the_folder_of_a_run(run):
    path = save_losses(run)
    assert path == run / "losses.png"
    assert iio.imread(path).shape[:2] == (600, 1050)
    assert not plt.get_fignums(), "all figures are closed"


def test_a_folder_without_losses_is_refused(run, tmp_path):
    with pytest.raises(NowcastError, match=r"history\.csv is not a readable table"):
        save_losses(tmp_path)
    (tmp_path / "history.csv").write_text("a,b\n1,2\n")
    with pytest.raises(NowcastError, match=r"history\.csv has no losses"):
        save_losses(tmp_path)


@pytest.mark.parametrize("grey", [False, True])
def test_films_show_the_wettest_sample_and_its_forecast(run, grey, monkeypatch):
    drawn = {}

    def keep(panels, path, titles=(), grey=False):
        drawn.update(panels=panels, titles=titles, grey=grey)
        return path

    monkeypatch.setattr("nowcastlib.display.run_report.save_animation", keep)
    data = windows(random=False)
    assert save_films(run, {"validation": data}, grey) == [run / "validation.gif"]

    wettest = max((data[i][:, 0] for i in range(len(data))), key=torch.mean)
    expected = wettest if grey else CONFIG.scale.from_model(wettest)
    truth, forecast = drawn["panels"].values()
    np.testing.assert_allclose(truth, expected, atol=1e-4)
    np.testing.assert_allclose(forecast[:2], expected[:2], atol=1e-4)
    assert np.abs(forecast[2:] - truth[2:]).max() > 0.01
    assert drawn["titles"] == [
        "input frame 1", "input frame 2",
        "forecast frame 1", "forecast frame 2", "forecast frame 3",
    ]  # fmt: skip
    assert drawn["grey"] is grey


def test_a_grey_animation_shows_brightness(tmp_path):
    panels = {"ramp": np.linspace(0, 1, 16).reshape(1, 4, 4).repeat(2, 0)}
    path = plots.save_animation(panels, tmp_path / "a.gif", titles=["one", "two"], grey=True)
    picture = iio.imread(path)[0].astype(int)
    assert np.ptp(picture, axis=-1).max() <= 8, "no colours"


def test_a_run_is_finished_after_all_its_epochs(run, tmp_path):
    assert finished(run)
    assert not finished(tmp_path)
    for name in ("last.pt", "model.safetensors", "config.json"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    pd.read_csv(run / "history.csv")[:2].to_csv(tmp_path / "history.csv", index=False)
    assert not finished(tmp_path)
