"""One name decides where networks run; results do not depend on the device."""

import numpy as np
import pytest
import torch
from small_networks import CONFIG, train, windows

from nowcastlib.devices import resolve_device
from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import WEIGHTS, Network, forecaster
from nowcastlib.training import fit, load, process_state, validate

DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()
OF_FLOAT32 = 5e-3  # mm/h; GPUs multiply float32 with fewer digits


def frames(seed=0) -> np.ndarray:
    """Rain rate (T, y, x) in mm/h that moves two pixels to the right in each step."""
    spots = np.random.default_rng(seed).gamma(0.3, 4.0, (64, 80)).astype("f4")
    return np.stack([np.roll(spots, 2 * t, 1)[:, :64] for t in range(6)])


def test_auto_is_a_gpu_where_there_is_one(monkeypatch):
    for cuda, mps, expected in [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")]:
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: mps)
        assert resolve_device().type == expected
        assert resolve_device("cpu").type == "cpu"


@pytest.mark.parametrize(
    ("name", "message"), [("cuda", "no NVIDIA GPU"), ("mps", "no Apple GPU"), ("cude", "mean cuda")]
)
def test_device_that_is_not_there_is_refused_with_the_choices(monkeypatch, name, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for use in (resolve_device, process_state):
        with pytest.raises(NowcastError, match=f"{message}.*choose.*cpu"):
            use(name)
    with pytest.raises(NowcastError, match=message):
        load(WEIGHTS / "radar", name)
    with pytest.raises(NowcastError, match=message):
        forecaster("radar-members", name)


def test_training_on_a_device_that_is_not_there_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(NowcastError, match="no NVIDIA GPU"):
        train(tmp_path / "run", device="cuda")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["radar", "convedlstm", "radar-members"])
def test_forecasts_are_those_of_the_cpu(device, name):
    run = forecaster(name, device)
    assert run.device.type == device
    expected = forecaster(name, "cpu")(frames(), 2)
    np.testing.assert_allclose(run(frames(), 2), expected, atol=OF_FLOAT32, rtol=OF_FLOAT32)


def test_network_runs_on_the_device_of_its_weights():
    model, config = load(WEIGHTS / "convedlstm", "cpu")
    assert Network(model.to("meta"), config).device.type == "meta"


@pytest.mark.parametrize("device", DEVICES)
def test_training_is_that_of_the_cpu(tmp_path, device):
    _, history = train(tmp_path / "run", device=device)
    _, expected = train(tmp_path / "cpu", device="cpu")
    losses = ["train", "validation"]
    np.testing.assert_allclose(history[losses], expected[losses], rtol=1e-3)


@pytest.mark.parametrize("device", DEVICES)
def test_validation_uses_the_device_of_the_model(tmp_path, device):
    model, _ = fit(CONFIG.changed(epochs=2), windows(), windows(random=False), tmp_path / "run")
    on_cpu = validate(model, CONFIG, windows(random=False))
    assert validate(model.to(device), CONFIG, windows(random=False)) == pytest.approx(
        on_cpu, rel=1e-3
    )
