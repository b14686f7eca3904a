"""The training loop learns, stops, resumes bit for bit, and refuses what it cannot honestly do."""

import json
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import ConcatDataset

from nowcastlib import NowcastError, store, synthetic, training
from nowcastlib.datasets import RadarWindows
from nowcastlib.forecast import Network
from nowcastlib.losses import LOSSES, mse
from nowcastlib.models import ConvEDLSTM, ModelConfig
from nowcastlib.training import HISTORY, TrainConfig, fit, load
from nowcastlib.units import RainScale

CONFIG = TrainConfig(
    ModelConfig(hidden=(4, 4), kernel=(3, 3)), n_in=2, n_out=3, curriculum=(1, 3), crop=16, epochs=4, steps=2, batch=2,
    loss="mse", sampling=1.0,
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Networks this small are slower on two."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def windows(random=True, crop=16):
    frames = store.as_frames(synthetic.rain(synthetic.Storm(seed=5, size=24, wet_fraction=0.5), 9))
    rows = np.arange(5)[:, None] + np.arange(5)
    return RadarWindows(frames, rows, crop, random)


def train(out, config=CONFIG, **options):
    parts = ConcatDataset([windows(), windows()])
    return fit(config, parts, windows(random=False), out, progress=False, **options)


def weights(model):
    return {name: w.clone() for name, w in model.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


class Kill(Exception):
    pass


def killed(out, epoch):
    def stop(history):
        if history.epoch.iloc[-1] == epoch:
            raise Kill

    with pytest.raises(Kill):
        train(out, on_epoch=stop)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run: its folder, model and history."""
    out = tmp_path_factory.mktemp("run") / "run"
    return out, *train(out, data="rain that was made up")


def test_history_has_a_row_an_epoch_with_its_curriculum(run):
    out, _, history = run
    assert history.columns.tolist() == HISTORY and history.epoch.tolist() == [0, 1, 2, 3]
    assert history.length.tolist() == [1, 1, 3, 3] and history.truth.tolist() == [1, 0.75, 0.5, 0.25]
    assert np.isfinite(history[["train", "validation"]]).all(axis=None) and (history.seconds > 0).all()
    pd.testing.assert_frame_equal(pd.read_csv(out / "history.csv"), history)
    assert json.loads((out / "config.json").read_text())["data"] == "rain that was made up"


def test_run_holds_the_best_weights(run):
    out, model, history = run
    loaded, config = load(out)
    assert config == CONFIG and same(weights(loaded), weights(model)) and not loaded.training
    assert training.validate(loaded, CONFIG, windows(random=False)) == pytest.approx(history.validation.min())


def test_best_weights_are_kept_when_later_ones_are_worse(tmp_path, monkeypatch):
    scores, states = iter([3.0, 1.0, 2.0, 4.0]), []
    monkeypatch.setattr(training, "validate", lambda *_: next(scores))
    last = tmp_path / "run" / "last.pt"
    model, _ = train(last.parent, on_epoch=lambda _: states.append(torch.load(last, weights_only=True)["model"]))
    assert same(weights(model), states[1]) and not same(states[1], states[3])


def test_each_epoch_draws_other_samples(tmp_path):
    class Spy(RadarWindows):
        def __getitem__(self, i):
            drawn.setdefault(self.epoch, []).append(i)
            return super().__getitem__(i)

    drawn, data = {}, windows()
    fit(CONFIG, Spy(data.frames, data.windows, 16, True), data, tmp_path / "run", progress=False)
    assert list(drawn) == [0, 1, 2, 3] and len(set(map(tuple, drawn.values()))) > 1
    assert {len(of_epoch) for of_epoch in drawn.values()} == {4}


def test_true_frames_are_fed_as_scheduled(tmp_path, monkeypatch):
    forward, fed = ConvEDLSTM.forward, []

    def spy(model, x, n_out, truth=None, coins=None):
        if model.training:
            fed.append((n_out, truth.shape[1], 0.0 if coins is None else coins.double().mean().item()))
        return forward(model, x, n_out, truth, coins)

    monkeypatch.setattr(ConvEDLSTM, "forward", spy)
    train(tmp_path / "run", replace(CONFIG, sampling=0.5, steps=1, batch=40))
    assert [lengths for *lengths, _ in fed] == [[1, 1], [1, 1], [3, 3], [3, 3]]
    assert [share for *_, share in fed] == pytest.approx([1, 0.5, 0, 0], abs=0.15)


def test_same_seed_trains_to_the_same_weights_and_another_does_not(run, tmp_path):
    again, _ = train(tmp_path / "again")
    other, _ = train(tmp_path / "other", replace(CONFIG, seed=1))
    assert same(weights(again), weights(run[1])) and not same(weights(other), weights(run[1]))


@pytest.mark.parametrize("epoch", [0, 2])
def test_resumed_run_equals_an_uninterrupted_one_bit_for_bit(run, tmp_path, epoch):
    killed(tmp_path / "run", epoch)
    model, history = train(tmp_path / "run", resume=True)
    pd.testing.assert_frame_equal(history.drop(columns="seconds"), run[2].drop(columns="seconds"), check_exact=True)
    last, expected = (torch.load(out / "last.pt", weights_only=True) for out in (tmp_path / "run", run[0]))
    assert same(weights(model), weights(run[1])) and same(last["model"], expected["model"])


def test_resuming_a_finished_run_changes_nothing(run):
    before = (run[0] / "last.pt").read_bytes()
    model, history = train(run[0], resume=True)
    assert same(weights(model), weights(run[1])) and len(history) == 4
    assert (run[0] / "last.pt").read_bytes() == before


def test_run_killed_in_its_first_epoch_can_start_again(tmp_path, monkeypatch):
    def kill(*_):
        raise Kill

    monkeypatch.setattr(training, "validate", kill)
    with pytest.raises(Kill):
        train(tmp_path / "run")
    monkeypatch.undo()
    with pytest.raises(NowcastError, match="holds no run to resume: train without resuming"):
        train(tmp_path / "run", resume=True)
    train(tmp_path / "run")


def test_runs_are_not_mixed_up(run, tmp_path):
    with pytest.raises(NowcastError, match="already holds a run: resume it, or train into another folder"):
        train(run[0])
    with pytest.raises(NowcastError, match="holds no run to resume"):
        train(tmp_path / "nowhere", resume=True)
    with pytest.raises(NowcastError, match="trained with another lr, seed: resume with the same configuration"):
        train(run[0], replace(CONFIG, lr=0.5, seed=3), resume=True)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("content", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"a letter"])
def test_broken_checkpoint_is_named(tmp_path, content):
    killed(tmp_path / "run", 0)
    last = tmp_path / "run" / "last.pt"
    last.write_bytes(content(last.read_bytes()))
    with pytest.raises(NowcastError, match=r"last\.pt is not a whole checkpoint"):
        train(tmp_path / "run", resume=True)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_loss_that_is_not_finite_stops_and_keeps_the_last_good_weights(tmp_path, monkeypatch, bad):
    killed(tmp_path / "run", 1)
    good, _ = load(tmp_path / "run")
    monkeypatch.setitem(LOSSES, "mse", lambda *args: mse(*args) * bad)
    with pytest.raises(NowcastError, match=f"the loss is {bad} at epoch 2, batch 0: lower lr"):
        train(tmp_path / "run", resume=True)
    kept, _ = load(tmp_path / "run")
    assert same(weights(kept), weights(good)) and len(pd.read_csv(tmp_path / "run" / "history.csv")) == 2
    assert all(torch.isfinite(w).all() for w in weights(kept).values())


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_loss_falls(tmp_path, loss):
    config = replace(CONFIG, loss=loss, curriculum=(), sampling=0.0, epochs=2, steps=60, lr=1e-2)
    data = windows(random=False)
    _, history = fit(config, data, data, tmp_path / "run", progress=False)
    untrained = training.validate(training.build(config.model), config, data)
    assert history.train[1] < 0.9 * history.train[0] and history.validation[1] < 0.6 * untrained


def test_tiny_model_overfits_one_batch(tmp_path):
    data = windows(random=False, crop=8)
    data.windows = data.windows[[0, 4]]
    model = ModelConfig((16, 16), (3, 3))
    config = replace(CONFIG, model=model, curriculum=(), sampling=0.0, epochs=1, steps=300, lr=1e-2)
    _, history = fit(config, data, data, tmp_path / "run", progress=False)
    assert history.validation[0] < 0.05 * torch.stack([sample[2:] for sample in (data[0], data[1])]).var()


def test_schedules_cover_the_run():
    config = replace(CONFIG, epochs=10, n_out=8, curriculum=(2, 4, 8), sampling=0.5)
    assert [config.length(e) for e in range(10)] == [2, 2, 2, 2, 4, 4, 4, 8, 8, 8]
    assert [config.truth(e) for e in range(10)] == pytest.approx([1, 0.8, 0.6, 0.4, 0.2, 0, 0, 0, 0, 0])
    plain = replace(config, curriculum=(), sampling=0.0)
    assert {plain.length(e) for e in range(10)} == {8} and {plain.truth(e) for e in range(10)} == {0}


def test_configuration_survives_json():
    config = replace(CONFIG, scale=RainScale(rate_max=60), precision="bf16")
    assert TrainConfig.from_dict(json.loads(json.dumps(asdict(config)))) == config
    with pytest.raises(TypeError, match="zzz"):
        TrainConfig.from_dict(asdict(config) | {"zzz": 1})


def test_weights_that_cannot_be_loaded_are_named(run, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(NowcastError, match=r"run holds no readable config\.json"):
        load(out)
    out.mkdir()
    for content in ("{", "[]", '{"config": {"zzz": 1}}', '{"config": {"loss": "zzz"}}'):
        (out / "config.json").write_text(content)
        with pytest.raises(NowcastError, match=r"run holds no readable config\.json"):
            load(out)
    (out / "config.json").write_bytes((run[0] / "config.json").read_bytes())
    with pytest.raises(NowcastError, match=r"model\.safetensors cannot be loaded"):
        load(out)
    (out / "model.safetensors").write_bytes((run[0] / "model.safetensors").read_bytes()[:-100])
    with pytest.raises(NowcastError, match=r"model\.safetensors cannot be loaded"):
        load(out)
    (out / "model.safetensors").write_bytes((run[0] / "model.safetensors").read_bytes())
    other = {"config": asdict(replace(CONFIG, model=ModelConfig((5, 5), (3, 3))))}
    (out / "config.json").write_text(json.dumps(other))
    with pytest.raises(NowcastError, match=r"model\.safetensors cannot be loaded"):
        load(out)


@pytest.mark.parametrize(
    "model",
    [
        ModelConfig((3,), (3,), stride=1, patch=4, cell="convgru"),
        ModelConfig((3, 4), (3, 3), kind="forecaster", patch=4, state_kernel=1),
        ModelConfig((5,), kind="fclstm", size=16),
    ],
    ids=["convgru", "forecaster", "fclstm"],
)
def test_other_networks_are_trained_saved_and_loaded_alike(tmp_path, model):
    config = replace(CONFIG, model=model, sampling=0.0)
    data = windows()
    trained, history = fit(config, data, data, tmp_path / "run", progress=False)
    loaded, again = load(tmp_path / "run")
    assert again == config and len(history) == config.epochs
    x = torch.rand(1, config.n_in, 1, 16, 16)
    torch.testing.assert_close(loaded(x, 4), trained(x, 4))
    assert Network(tmp_path / "run")(np.ones((config.n_in, 16, 16)), 4).shape == (4, 16, 16)
