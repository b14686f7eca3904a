"""Cells and networks against independent references; gradients everywhere; nothing from the future; losses by hand."""

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d

from nowcastlib.cells import ConvLSTMCell
from nowcastlib.losses import LOSSES, bce
from nowcastlib.models import ConvEDLSTM, ModelConfig
from nowcastlib.training import TrainConfig
from nowcastlib.units import RainScale

SCALE = RainScale()
TINY = ModelConfig(hidden=(3, 4, 4, 3), kernel=(3, 3, 3, 3))


def seeded(build, peepholes=True, dtype=torch.float64):
    """A network with random weights, its peepholes (which start at 0) too."""
    torch.manual_seed(0)
    module = build().to(dtype)
    if peepholes:
        for name, parameter in module.named_parameters():
            if "peephole" in name:
                torch.nn.init.normal_(parameter, std=0.3)
    return module


def reference_step(cell, x, h, c, stride):
    """Equations (3) of Shi et al. 2015 in NumPy, one sample: x (C, H, W), h and c (hidden, H', W')."""
    w = {name: p.detach().numpy() for name, p in cell.named_parameters()}

    def convolve(maps, kernels):
        return np.stack([sum(correlate2d(m, k, "same") for m, k in zip(maps, of, strict=True)) for of in kernels])

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    from_x = convolve(x, w["from_x.weight"])[:, ::stride, ::stride] + w["from_x.bias"][:, None, None]
    i, f, g, o = np.split(from_x + convolve(h, w["from_h.weight"]), 4)
    w_ci, w_cf, w_co = w["peephole"]
    c_new = sigmoid(f + w_cf * c) * c + sigmoid(i + w_ci * c) * np.tanh(g)
    return sigmoid(o + w_co * c_new) * np.tanh(c_new), c_new


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (5, 2)])
def test_cell_equals_the_papers_equations_in_numpy(kernel, stride):
    cell = seeded(lambda: ConvLSTMCell(2, 3, kernel, stride))
    x = torch.randn(1, 4, 2, 6, 8, dtype=torch.float64)
    h = c = np.zeros((3, 6 // stride, 8 // stride))
    state = None
    for t in range(4):
        output, state = cell(x[:, t], state)
        h, c = reference_step(cell, x[0, t].numpy(), h, c, stride)
        for ours, theirs in ((output, h), (state[0], h), (state[1], c)):
            np.testing.assert_allclose(ours[0].detach(), theirs, atol=1e-12)


def test_cell_on_one_pixel_is_torchs_lstm():
    cell = seeded(lambda: ConvLSTMCell(3, 5, kernel=3), peepholes=False)
    lstm = torch.nn.LSTMCell(3, 5).double()
    with torch.no_grad():
        lstm.weight_ih.copy_(cell.from_x.weight[:, :, 1, 1])
        lstm.weight_hh.copy_(cell.from_h.weight[:, :, 1, 1])
        lstm.bias_ih.copy_(cell.from_x.bias)
        lstm.bias_hh.zero_()
    ours = theirs = None
    for x in torch.randn(4, 2, 3, dtype=torch.float64):
        _, ours = cell(x[..., None, None], ours)
        theirs = lstm(x, theirs)
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a[..., 0, 0], b)


SHAPES = [({}, (6, 8)), ({"stride": 2}, (3, 4)), ({"transpose": True}, (12, 16))]


@pytest.mark.parametrize(("options", "size"), SHAPES)
def test_sequence_equals_steps(options, size):
    cell, x = seeded(lambda: ConvLSTMCell(2, 3, **options)), torch.randn(2, 4, 2, 6, 8, dtype=torch.float64)
    outputs, last = cell.sequence(x)
    assert outputs.shape == (2, 4, 3, *size)
    state = None
    for t in range(4):
        output, state = cell(x[:, t], state)
        torch.testing.assert_close(outputs[:, t], output)
    torch.testing.assert_close(last, state)


@pytest.mark.parametrize(("options", "size"), SHAPES)
def test_gradients_of_the_cell_are_right(options, size):
    cell = seeded(lambda: ConvLSTMCell(1, 2, **options))
    x = torch.randn(1, 2, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: cell.sequence(x)[0], (x, *cell.parameters()), fast_mode=True)


@pytest.mark.parametrize("changes", [{}, {"stride": 1}, {"skip": False}, {"peephole": False}, {"patch": 1}])
def test_every_weight_gets_a_gradient(changes):
    config = ModelConfig(**{"hidden": TINY.hidden, "kernel": TINY.kernel} | changes)
    model = seeded(lambda: ConvEDLSTM(config))
    model(torch.rand(2, 3, 1, 32, 32, dtype=torch.float64), 3).square().sum().backward()
    unused = {n: p.grad is None or int((p.grad == 0).sum()) for n, p in model.named_parameters()}
    assert not any(unused.values()), unused
    assert any("peephole" in n for n in unused) == config.peephole


def test_convedlstm_is_made_of_convlstm_cells():
    assert [type(cell) for cell in ConvEDLSTM(TINY).cells] == [ConvLSTMCell] * 4
    assert [cell.hidden for cell in ConvEDLSTM(TINY).cells] == [3, 4, 4, 3]


@pytest.mark.parametrize("size", [(37, 50), (64, 64), (1, 9)])
@pytest.mark.parametrize("config", [TINY, ModelConfig((3,), (3,), stride=1, patch=4)], ids=["halving", "flat"])
def test_any_size_comes_out_as_it_went_in(config, size):
    assert ConvEDLSTM(config)(torch.rand(2, 3, 1, *size), 4).shape == (2, 4, 1, *size)


@pytest.fixture(scope="module")
def rollout():
    """A model, three frames, the truth of the next five, and coins that all say truth."""
    model = seeded(lambda: ConvEDLSTM(TINY)).eval()
    x, truth = torch.rand(2, 3, 1, 16, 16, dtype=torch.float64), torch.rand(2, 5, 1, 16, 16, dtype=torch.float64)
    return model, x, truth, torch.ones(2, 4, dtype=torch.bool)


@pytest.mark.parametrize("t", [0, 2, 3, 4])
def test_no_frame_reaches_an_output_before_or_at_its_time(rollout, t):
    model, x, truth, coins = rollout
    changed = truth.clone()
    changed[:, t] = 1 - changed[:, t]
    difference = (model(x, 5, truth, coins) - model(x, 5, changed, coins)).abs().amax(dim=(0, 2, 3, 4))
    assert (difference[: t + 1] == 0).all() and (difference[t + 1 :] > 0).all()


def test_coins_choose_truth_frame_by_frame_and_sample_by_sample(rollout):
    model, x, truth, coins = rollout
    free, fed = model(x, 5), model(x, 5, truth, coins)
    assert torch.equal(model(x, 5, truth, ~coins), free)
    mixed = model(x, 5, truth, torch.tensor([[False] * 4, [True] * 4]))
    assert torch.equal(mixed[0], free[0]) and torch.equal(mixed[1], fed[1])
    first = model(x, 5, truth, torch.tensor([[True, False, False, False]] * 2))
    assert torch.equal(first[:, :2], fed[:, :2]) and (first[:, 2:] != fed[:, 2:]).any()
    assert torch.equal(model(x, 2), free[:, :2])


@pytest.mark.parametrize(
    ("build", "why"),
    [
        (lambda: ModelConfig(hidden=(3, 3), kernel=(3,)), "give one kernel for each cell"),
        (lambda: ModelConfig(hidden=(3,), kernel=(3,)), "give an even number"),
        (lambda: ModelConfig(stride=3), "neither 1 nor 2"),
        (lambda: ConvLSTMCell(1, 2, kernel=4), "is even"),
        (lambda: ConvLSTMCell(1, 2, stride=2, transpose=True), "choose one"),
        (lambda: TrainConfig(loss="zzz"), "unknown loss 'zzz'"),
        (lambda: TrainConfig(n_out=4, curriculum=(2, 5)), "asks for more frames than n_out"),
    ],
)
def test_impossible_configurations_are_refused(build, why):
    with pytest.raises(ValueError, match=why):
        build()


def logit(p):
    return torch.logit(torch.tensor(p, dtype=torch.float64))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_perfect_forecast_costs_nothing_and_another_does(name):
    target = torch.tensor([0.1, 0.5, 0.93], dtype=torch.float64)
    assert LOSSES[name](torch.logit(target), target, SCALE).item() == pytest.approx(0, abs=1e-12)
    assert LOSSES[name](torch.logit(target) + 0.5, target, SCALE) > 1e-3
    assert LOSSES[name](torch.logit(target) - 0.5, target, SCALE) > 1e-3


def test_bce_of_certain_and_right_is_zero_and_of_doubt_is_log_2():
    target = torch.tensor([0.0, 1.0])
    assert bce(torch.tensor([-200.0, 200.0]), target, SCALE) == 0
    assert bce(torch.zeros(2), target, SCALE).item() == pytest.approx(np.log(2))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_pixels_not_observed_count_for_nothing(name):
    logits, target = torch.randn(2, 5, requires_grad=True), torch.rand(2, 5)
    target[0, :3] = torch.nan
    loss = LOSSES[name](logits, target, SCALE)
    observed = torch.isfinite(target)
    torch.testing.assert_close(loss, LOSSES[name](logits[observed], target[observed], SCALE))
    loss.backward()
    assert (logits.grad[0, :3] == 0).all() and torch.isfinite(logits.grad).all()
    assert LOSSES[name](logits, torch.full_like(target, torch.nan), SCALE) == 0


def test_mse_and_mae_by_hand():
    logits, target = logit([0.5, 0.5]), torch.tensor([0.5, 0.9], dtype=torch.float64)
    assert LOSSES["mse"](logits, target, SCALE).item() == pytest.approx(0.08)
    assert LOSSES["mae"](logits, target, SCALE).item() == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("rate", "weight"),
    [(0, 1), (1.99, 1), (2, 2), (4.99, 2), (5, 5), (9.99, 5), (10, 10), (29.9, 10), (30, 30), (128, 30)],
)
def test_balanced_loss_has_the_published_weights(rate, weight):
    target = SCALE.to_model(torch.tensor([float(rate)], dtype=torch.float64))
    error = 0.5 - target.item()
    loss = LOSSES["balanced"](logit([0.5]), target, SCALE).item()
    assert loss == pytest.approx(weight * (error**2 + abs(error)))
