"""The training loop: history, weights, schedules, precision, and refusals."""

import json
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from small_networks import CONFIG, Clock, one_thread, quiet, same, train, weights, windows  # noqa: F401
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import Dataset, Subset

from nowcastlib.data.windows import Augmentation, RadarWindows
from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import Network
from nowcastlib.networks import (
    ConvEDLSTMConfig,
    EncoderForecasterConfig,
    FCLSTMConfig,
    GuidedConfig,
    build,
)
from nowcastlib.networks.conv_ed_lstm import ConvEDLSTM
from nowcastlib.training import (
    default_config,
    fastest_precision,
    fit,
    load,
    load_config,
    loop,
    precision,
    save_network,
    trained_scale,
)
from nowcastlib.training.checkpoint import COLUMNS
from nowcastlib.training.config import to_dict
from nowcastlib.training.schedules import learning_rate
from nowcastlib.units import RATES

CLOCK = CONFIG.changed(
    model=ConvEDLSTMConfig((2,), (1,), stride=1, patch=1), n_in=3, curriculum=(1, 2, 3), epochs=3
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run: its folder, model and history."""
    out = tmp_path_factory.mktemp("run") / "run"
    return out, *train(out, description="synthetic rain")


@pytest.fixture
def fed(monkeypatch):
    """What the network is given while it is trained: x, n_out, truth and coins of each batch."""
    forward, calls = ConvEDLSTM.forward, []

    def spy(model, x, n_out, truth=None, coins=None):
        if model.training:
            calls.append((x, n_out, truth, coins))
        return forward(model, x, n_out, truth, coins)

    monkeypatch.setattr(ConvEDLSTM, "forward", spy)
    return calls


def states(out, name="optimiser"):
    """A list, and a function that appends a part of the saved state to it after each epoch."""
    saved = []
    return saved, lambda _: saved.append(torch.load(out / "last.pt", weights_only=True)[name])


def test_history_has_one_row_for_each_epoch(run):
    out, _, history = run
    assert history.columns.tolist() == COLUMNS
    assert history.epoch.tolist() == [0, 1, 2, 3]
    assert history.length.tolist() == [1, 1, 3, 3]
    assert history.truth.tolist() == [
        1,
        0.75,
        0.5,
        0.25,
    ]
    assert history.lr.tolist() == pytest.approx(
        [1e-3 * (1 + np.cos(np.pi * e / 4)) / 2 for e in range(4)]
    )
    assert np.isfinite(history[["train", "validation"]]).all(axis=None)
    assert (history.seconds > 0).all()
    assert history.test.isna().all()
    pd.testing.assert_frame_equal(pd.read_csv(out / "history.csv"), history)
    assert json.loads((out / "config.json").read_text())["data"] == "synthetic rain"


def test_losses_are_also_measured_at_the_lengths_of_the_curriculum(run):
    _, model, history = run
    last = history.iloc[3]  # epochs of 3 frames: the whole forecast
    assert last.validation_at_length == last.validation
    assert (history.validation_at_length != history.validation).tolist() == [True] * 2 + [False] * 2
    data = windows(random=False)
    one = loop.validate(model, CONFIG, data, length=1)
    x, truth = (torch.stack([s[t] for s in data]) for t in (slice(0, 2), slice(2, 3)))
    with torch.no_grad():
        error = (torch.sigmoid(model(x, 1)) - truth).square().mean().item()
    assert one == pytest.approx(error, rel=1e-4)


def test_run_holds_the_best_weights(run):
    out, model, history = run
    loaded, config = load(out)
    assert config == CONFIG
    assert same(weights(loaded), weights(model))
    assert not loaded.training
    assert loop.validate(loaded, CONFIG, windows(random=False)) == pytest.approx(
        history.validation.min()
    )


def test_best_weights_are_kept_when_later_ones_are_worse(tmp_path, monkeypatch):
    scores = iter([3.0, 1.0, 2.0, 4.0])
    # without the losses at the lengths of the curriculum, which come with a fifth argument
    monkeypatch.setattr(loop, "validate", lambda *a: next(scores) if len(a) < 5 else 0.0)
    models, keep = states(tmp_path, "model")
    model, _ = train(tmp_path, on_epoch=keep)
    assert same(weights(model), models[1])
    assert not same(models[1], models[3])


def test_keep_last_keeps_the_weights_of_the_last_epoch(tmp_path, monkeypatch):
    scores = iter([3.0, 1.0, 2.0, 4.0])
    # without the losses at the lengths of the curriculum, which come with a fifth argument
    monkeypatch.setattr(loop, "validate", lambda *a: next(scores) if len(a) < 5 else 0.0)
    models, keep = states(tmp_path, "model")
    config, data = CONFIG.changed(keep="last"), windows()
    model, _ = fit(config, data, data, tmp_path, quiet(on_epoch=keep))
    assert same(weights(model), models[3])
    assert not same(models[1], models[3])


def test_training_starts_from_the_weights_of_another_run(run, tmp_path):
    config, data = (
        CONFIG.changed(epochs=1, curriculum=(), steps=1, lr=1e-12, keep="last", n_out=3),
        windows(),
    )
    begun, _ = fit(config, data, data, tmp_path / "a", quiet(start=run[0]))
    torch.testing.assert_close(weights(begun), weights(run[1]), atol=1e-9, rtol=0)
    anew, _ = fit(config, data, data, tmp_path / "b", quiet())
    assert not same(weights(anew), weights(begun))
    other = config.changed(peephole=False)
    with pytest.raises(NowcastError, match="holds another network, or another scale"):
        fit(other, data, data, tmp_path / "c", quiet(start=run[0]))


def test_guided_network_starts_with_the_scale_of_the_configuration(tmp_path):
    config = default_config("guided").changed(
        hidden=(3,), kernel=(3,), n_in=2, n_out=3, crop=16, rate_max=60.0, lr=1e-12, epochs=1,
        steps=1, batch=2, precision="no",
    )  # fmt: skip
    network, _ = train(tmp_path, config)
    levels = config.scale.to_model(torch.tensor(RATES)).view(-1, 1, 1)
    torch.testing.assert_close(network.levels.detach(), levels)


def test_start_and_resume_together_are_refused(run):
    with pytest.raises(NowcastError, match=r"its own weights.*leave out start"):
        quiet(resume=True, start=run[0])


def test_loss_on_the_test_set_is_reported_and_decides_nothing(run, tmp_path):
    model, history = train(tmp_path, test=windows(random=False, seed=7))
    assert same(weights(model), weights(run[1]))
    others = ["test", "test_at_length", "seconds"]
    pd.testing.assert_frame_equal(history.drop(columns=others), run[2].drop(columns=others))
    best = history.validation.argmin()
    of_best = loop.validate(model, CONFIG, windows(random=False, seed=7))
    assert history.test[best] == pytest.approx(of_best) != pytest.approx(history.validation[best])


def test_each_epoch_draws_different_samples(tmp_path):
    class Spy(RadarWindows):
        def __getitem__(self, i):
            drawn.append((self.epoch, i))
            return super().__getitem__(i)

    drawn, data = [], windows()
    fit(CONFIG, Spy(data.frames, data.rows, 16, Augmentation()), data, tmp_path, quiet())
    assert drawn.pop(0) == (0, 0)  # one look at what the data is
    of_epoch = [[i for epoch, i in drawn if epoch == e] for e in range(4)]
    assert [len(rows) for rows in of_epoch] == [4] * 4
    assert len(set(map(tuple, of_epoch))) > 1


def test_true_frames_are_fed_back_as_scheduled(tmp_path, fed):
    train(tmp_path, CONFIG.changed(sampling=0.5, steps=1, batch=40))
    assert [(n_out, truth.shape[1]) for _, n_out, truth, _ in fed] == [
        (1, 1),
        (1, 1),
        (3, 3),
        (3, 3),
    ]
    shares = [0.0 if coins is None else coins.double().mean().item() for *_, coins in fed]
    assert shares == pytest.approx([1, 0.5, 0, 0], abs=0.15)


def test_coins_are_independent_and_follow_the_schedule_within_an_epoch(tmp_path, fed):
    config = CLOCK.changed(n_out=41, curriculum=(), epochs=1, steps=4, batch=100)
    fit(config, Clock(44), Clock(44), tmp_path, quiet())
    coins = torch.stack([coins for *_, coins in fed])
    assert coins.shape == (4, 100, 40)
    assert coins.double().mean((1, 2)).tolist() == pytest.approx([1, 0.75, 0.5, 0.25], abs=0.05)
    assert len(torch.unique(coins[2], dim=0)) == 100
    assert (coins[2] & ~coins[1]).any()  # although the truth has become rarer
    assert coins[2].double().mean(0).sub(0.5).abs().max() < 0.2  # no lead time is preferred


@pytest.mark.parametrize("grow", [False, True])
def test_shorter_input_consists_of_the_newest_frames(tmp_path, fed, grow):
    fit(CLOCK.changed(curriculum_in=grow, steps=1), Clock(6), Clock(6), tmp_path, quiet())
    clocks = [
        [x[0, :, 0, 0, 0].mul(10).round().int().tolist() for x in (x, truth)]
        for x, _, truth, _ in fed
    ]
    seen = [[2], [1, 2], [0, 1, 2]] if grow else [[0, 1, 2]] * 3
    assert clocks == [[x, y] for x, y in zip(seen, ([3], [3, 4], [3, 4, 5]), strict=True)]


def test_unobserved_pixels_enter_as_0(tmp_path, fed):
    data = windows(random=False)
    data.values = np.where(np.arange(24) < 12, data.values, np.nan)
    fit(CONFIG.changed(steps=1), data, data, tmp_path, quiet())
    x, _, truth, _ = fed[-1]
    assert (x[..., 8:] == 0).all()
    assert (truth[..., 8:] == 0).all()
    assert (x[..., :8] > 0).any()


@pytest.mark.parametrize("restart", [False, True])
def test_restart_clears_the_optimiser_at_each_new_length_only(tmp_path, restart):
    saved, keep = states(tmp_path)
    train(tmp_path, CONFIG.changed(curriculum=(1, 2, 3), epochs=6, restart=restart), on_epoch=keep)
    steps = [{int(part["step"]) for part in state["state"].values()} for state in saved]
    assert steps == [{n} for n in ([2, 4] * 3 if restart else [2, 4, 6, 8, 10, 12])]


@pytest.mark.parametrize("options", [{}, {"schedule": "step", "warmup": 0.3, "restart": True}])
def test_optimiser_uses_the_learning_rate_of_the_schedule(tmp_path, options):
    config, (saved, keep) = CONFIG.changed(**options), states(tmp_path)
    _, history = train(tmp_path, config, on_epoch=keep)
    assert [state["param_groups"][0]["lr"] for state in saved] == [
        learning_rate(config, e + 0.5) for e in range(4)
    ]
    assert history.lr.tolist() == [learning_rate(config, e) for e in range(4)]


def test_weight_decay_shrinks_the_weights(tmp_path):
    sizes = []
    for decay in (0.0, 30.0):
        out = tmp_path / str(decay)
        train(out, CONFIG.changed(weight_decay=decay))
        last = torch.load(out / "last.pt", weights_only=True)["model"]
        sizes.append(torch.cat([w.flatten() for w in last.values()]).norm())
    assert 0.8 * sizes[0] < sizes[1] < 0.97 * sizes[0]  # 8 steps, each by 3 % of a falling rate


def test_gradients_are_clipped(tmp_path):
    saved, keep = states(tmp_path)
    train(tmp_path, CONFIG.changed(curriculum=(), epochs=1, steps=1, clip=1e-4), on_epoch=keep)
    first = torch.cat(
        [part["exp_avg"].flatten() for part in saved[0]["state"].values()]
    )  # a tenth of the gradient
    assert first.norm().item() == pytest.approx(1e-5, rel=1e-2)


@pytest.mark.parametrize(
    ("options", "scores", "epochs"),
    [
        ({"curriculum": (), "patience": 2}, [3, 1, 2, 2, 0, 0, 0, 0], 4),
        ({"curriculum": (), "patience": 2}, [1, 1, 1, 0, 0, 0, 0, 0], 3),  # as good is not better
        ({"curriculum": (), "patience": 0}, [1, 2, 2, 2, 2, 2, 2, 2], 8),
        (
            {"curriculum": (1, 3), "patience": 2},
            [1, 2, 2, 2, 2, 2, 0, 0],
            6,
        ),  # the last length begins with epoch 4
        ({"curriculum": (1, 3), "patience": 1}, [1, 2, 2, 2, 2, 0, 0, 0], 5),
        ({"curriculum": (1, 3), "patience": 2}, [5, 5, 5, 5, 5, 4, 6, 3], 8),
        ({"curriculum": (1, 3), "patience": 2}, [5, 5, 5, 5, 4, 6, 6, 0], 7),
    ],
)
def test_training_stops_when_patience_is_exhausted(tmp_path, monkeypatch, options, scores, epochs):
    left = iter(map(float, scores))
    monkeypatch.setattr(loop, "validate", lambda *a: next(left) if len(a) < 5 else 0.0)
    config = CONFIG.changed(**options, epochs=8, steps=1)
    _, history = train(tmp_path, config)
    assert history.validation.tolist() == scores[:epochs]
    before = (tmp_path / "last.pt").read_bytes()
    assert len(train(tmp_path, config, resume=True)[1]) == epochs
    assert (tmp_path / "last.pt").read_bytes() == before


def test_seed_determines_the_weights(run, tmp_path):
    again, _ = train(tmp_path / "again")
    other, _ = train(tmp_path / "other", CONFIG.changed(seed=1))
    assert same(weights(again), weights(run[1]))
    assert not same(weights(other), weights(run[1]))


def test_number_of_workers_does_not_change_the_result(run, tmp_path):
    model, history = train(tmp_path, workers=1)
    assert same(weights(model), weights(run[1]))
    pd.testing.assert_frame_equal(
        history.drop(columns="seconds"), run[2].drop(columns="seconds"), check_exact=True
    )


@pytest.mark.parametrize("loss", sorted(CONFIG.model.losses))
def test_loss_falls(tmp_path, loss):
    config = CONFIG.changed(loss=loss, curriculum=(), sampling=0.0, epochs=2, steps=60, lr=1e-2)
    data = windows(random=False)
    _, history = fit(config, data, data, tmp_path, quiet())
    untrained = loop.validate(build(config.model), config, data)
    p = torch.stack([data[i][2:] for i in range(5)]).double()
    least = -(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p)).mean().item() if loss == "bce" else 0.0
    assert history.train[1] - least < 0.9 * (history.train[0] - least)
    assert least < history.validation[1] < least + 0.65 * (untrained - least)


def test_tiny_model_overfits_one_batch(tmp_path):
    data = windows(random=False, crop=8)
    data.rows = data.rows[[0, 4]]
    model = ConvEDLSTMConfig((16, 16), (3, 3))
    config = CONFIG.changed(model=model, curriculum=(), sampling=0.0, epochs=1, steps=300, lr=1e-2)
    _, history = fit(config, data, data, tmp_path, quiet())
    assert (
        history.validation[0]
        < 0.05 * torch.stack([sample[2:] for sample in (data[0], data[1])]).var()
    )


@pytest.mark.parametrize(
    "model",
    [
        ConvEDLSTMConfig((3,), (3,), stride=1, patch=4, cell="convgru"),
        EncoderForecasterConfig((3, 4), (3, 3), patch=4, state_kernel=1, norm="group"),
        FCLSTMConfig((5,), size=16),
        ConvEDLSTMConfig((3, 4), (3, 3), size=16, norm="layer", leaky_slope=0.2, bias=False,
                         max_pool=True, transpose=False, use_lstm_output=True),
        GuidedConfig((3, 4), (3, 3), patch=2),
    ],
    ids=["convgru", "forecaster", "fclstm", "all options", "guided"],
)  # fmt: skip
def test_every_kind_of_network_is_trained_saved_and_loaded(tmp_path, model):
    loss = "mse" if "mse" in model.losses else model.losses[0]
    config = CONFIG.changed(model=model, sampling=0.0, loss=loss)
    data = windows()
    trained, history = fit(config, data, data, tmp_path, quiet())
    loaded, again = load(tmp_path)
    assert again == config
    assert len(history) == config.run.epochs
    x = torch.rand(1, config.windows.n_in, 1, 16, 16)
    torch.testing.assert_close(loaded(x, 4), trained(x, 4))
    assert Network.load(tmp_path)(np.ones((config.windows.n_in, 16, 16)), 4).shape == (4, 16, 16)


@pytest.mark.parametrize("name", ["no", "bf16"])
def test_precision_auto_is_decided_once_for_a_run(tmp_path, monkeypatch, name):
    monkeypatch.setattr(precision, "fastest_precision", lambda _: name)
    auto = CONFIG.changed(precision="auto")
    _, history = train(tmp_path / "auto", auto)
    _, said = train(tmp_path / "said", CONFIG.changed(precision=name))
    assert (
        load_config(tmp_path / "auto")
        == load_config(tmp_path / "said")
        == CONFIG.changed(precision=name)
    )
    pd.testing.assert_frame_equal(
        history.drop(columns="seconds"), said.drop(columns="seconds"), check_exact=True
    )
    monkeypatch.delattr(precision, "fastest_precision")  # not to be asked again
    assert len(train(tmp_path / "auto", auto, resume=True)[1]) == 4


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_gives_nearly_the_same_losses(run, tmp_path, precision):
    _, history = train(tmp_path, CONFIG.changed(precision=precision))
    ours, full = (table[["train", "validation"]].to_numpy() for table in (history, run[2]))
    np.testing.assert_allclose(ours, full, rtol=0.02)
    assert (ours != full).all()
    assert all(w.dtype == torch.float32 for w in load(tmp_path)[0].state_dict().values())


def test_fastest_precision_is_no_or_bf16():
    assert fastest_precision() in ("no", "bf16")


def test_tensorboard_shows_the_losses_of_the_history(tmp_path):
    _, history = train(tmp_path, test=windows(random=False, seed=7), tensorboard=True)
    for name in ("train", "validation", "test"):
        events = (
            EventAccumulator(str(tmp_path / "tensorboard" / f"loss_{name}"))
            .Reload()
            .Scalars("loss")
        )
        assert [e.step for e in events] == [0, 1, 2, 3]
        assert [e.value for e in events] == pytest.approx(history[name].tolist())
    assert (
        len(train(tmp_path, test=windows(random=False, seed=7), tensorboard=True, resume=True)[1])
        == 4
    )


def test_without_tensorboard_its_installation_is_advised(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(NowcastError, match="TensorBoard is not installed: pip install tensorboard"):
        train(tmp_path, tensorboard=True)
    assert len(train(tmp_path)[1]) == 4


def fit_sets(sets, out):
    """Train on named datasets, one of them for the test loss."""
    return fit(CONFIG, sets["train"], sets["validation"], out, quiet(test=sets["test"]))


@pytest.mark.parametrize("empty", ["train", "validation", "test"])
def test_empty_or_short_data_is_named(tmp_path, empty):
    sets = {"train": windows(), "validation": windows(), "test": windows()}
    for bad, why in (
        (Subset(windows(), []), f"the {empty} set is empty: give it data"),
        (Clock(4), f"the {empty} set has samples of 4 frames, but n_in \\+ n_out = 5: lower them"),
    ):
        with pytest.raises(NowcastError, match=why):
            fit_sets(sets | {empty: bad}, tmp_path / "run")
    assert not (tmp_path / "run").exists()


class Huge(Dataset):
    """Samples that are views of one number, and have no place in memory as a batch."""

    def __len__(self) -> int:
        return 10**6

    def __getitem__(self, i: int) -> torch.Tensor:
        return torch.zeros(1).expand(
            5, 1, *((2**24, 2**24) if i else (8, 8))
        )  # petabytes, but for the first


@pytest.mark.parametrize(
    ("data", "batch"), [(Huge(), 2), (Clock(), 10**14)], ids=["samples", "batch"]
)
def test_too_large_a_batch_is_explained(tmp_path, data, batch):
    remedy = rf"lower batch \({batch}\), crop \(16\) or n_out \(3\), .* convedlstm network"
    with pytest.raises(NowcastError, match=remedy):
        fit(CONFIG.changed(batch=batch), data, Clock(), tmp_path, quiet())


def test_other_errors_of_torch_are_passed_on(tmp_path):
    class Broken(Clock):
        def __getitem__(self, i):
            return super().__getitem__(i).add_(1)  # a view of which pixels share their place

    with pytest.raises(RuntimeError, match="refers to a single memory location") as error:
        fit(CONFIG, Broken(), Clock(), tmp_path, quiet())
    assert not isinstance(error.value, NowcastError)


def test_weights_that_cannot_be_loaded_are_named(run, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(NowcastError, match=r"run.config\.json is not a readable configuration"):
        load(out)
    out.mkdir()
    for content in ("{", "[]", '{"config": {"zzz": 1}}', '{"config": {"loss": "zzz"}}'):
        (out / "config.json").write_text(content)
        with pytest.raises(NowcastError, match=r"run.config\.json is not a readable configuration"):
            load(out)
    (out / "config.json").write_bytes((run[0] / "config.json").read_bytes())
    with pytest.raises(NowcastError, match=r"model\.safetensors cannot be loaded"):
        load(out)
    (out / "model.safetensors").write_bytes((run[0] / "model.safetensors").read_bytes()[:-100])
    with pytest.raises(NowcastError, match=r"model\.safetensors cannot be loaded"):
        load(out)
    (out / "model.safetensors").write_bytes((run[0] / "model.safetensors").read_bytes())
    other = {"config": to_dict(CONFIG.changed(hidden=(5, 5)))}
    (out / "config.json").write_text(json.dumps(other))
    with pytest.raises(NowcastError, match=r"model\.safetensors cannot be loaded"):
        load(out)


def test_compiled_cells_train_to_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(
        torch, "compile", partial(torch.compile, backend="eager")
    )  # traced, but no C++ is built
    torch._dynamo.reset()
    models = [train(tmp_path / str(way), CONFIG.changed(compile=way))[0] for way in (False, True)]
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    for plain, compiled in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(plain, compiled)


def test_minutes_stop_after_whole_epochs_and_resuming_carries_on(tmp_path, monkeypatch):
    now = iter(range(0, 10_000, 40))  # seconds: the clock of the run is read once after each epoch
    monkeypatch.setattr("nowcastlib.training.processes.monotonic", lambda: next(now))
    monkeypatch.setattr(loop, "monotonic", lambda: 0.0)  # epochs that seem to take no time
    _, history = train(tmp_path / "short", minutes=1.0)
    assert len(history) == 2  # 40 s after the first epoch, 80 s after the second
    monkeypatch.undo()
    resumed, _ = train(tmp_path / "short", resume=True)
    whole, _ = train(tmp_path / "whole")
    assert same(weights(resumed), weights(whole))


@pytest.mark.parametrize("minutes", [0, -1.0, float("nan")])
def test_minutes_must_be_above_zero(minutes):
    with pytest.raises(NowcastError, match=r"minutes is .* above 0"):
        quiet(minutes=minutes)


def test_a_network_trained_by_an_own_loop_is_saved_as_one_that_forecasts(tmp_path):
    torch.manual_seed(3)
    network = build(CONFIG.model)
    data = windows()
    out = save_network(network, CONFIG, tmp_path / "own", data, "synthetic rain")
    kept, config = load(out)
    assert config == CONFIG
    assert same(weights(kept), weights(network))

    run = Network.load(out)
    assert run.training_data == "synthetic rain"
    assert run.trained_at == trained_scale(data)
    assert run.trained_at.step_minutes is not None

    torch.nn.init.ones_(network.head.bias)  # a second training replaces the first
    save_network(network, CONFIG, out, data)
    assert same(weights(load(out)[0]), weights(network))


def test_a_network_is_not_saved_over_a_run_of_fit(run):
    out, model, _ = run
    before = (out / "config.json").read_bytes()
    with pytest.raises(NowcastError, match="holds a run of fit"):
        save_network(model, CONFIG, out, windows())
    assert (out / "config.json").read_bytes() == before


def test_average_is_the_exponential_mean_of_the_weights_after_each_step(tmp_path):
    config = CONFIG.changed(epochs=4, steps=1, keep="last", schedule="constant")
    after = []
    train(tmp_path / "plain", config, on_epoch=lambda _: after.append(kept(tmp_path / "plain")))
    expected = after[0]
    for latest in after[1:]:
        expected = {name: 0.6 * expected[name] + 0.4 * latest[name] for name in latest}

    model, _ = train(tmp_path / "average", config.changed(average=0.6))
    torch.testing.assert_close(dict(model.state_dict()), expected)
    assert not same(weights(model), weights(load(tmp_path / "plain")[0]))


def kept(run):
    """The weights that a run keeps."""
    return dict(load(run)[0].state_dict())


def test_the_average_is_what_is_validated(tmp_path):
    config = CONFIG.changed(epochs=2, curriculum=(), average=0.9, lr=1e-2)
    model, history = train(tmp_path, config)
    loss = loop.validate(model, config, windows(random=False))
    assert history.validation.min() == pytest.approx(loss)
