"""Cells and networks against independent references; gradients everywhere; nothing from the future; losses by hand."""

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d

from nowcastlib.cells import ConvGRUCell, ConvLSTMCell, LSTMCell
from nowcastlib.losses import LOSSES, bce
from nowcastlib.models import ConvEDLSTM, ModelConfig, build
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


def convolve(kernels, maps):
    """W ∗ X of the paper, one sample, 'same' borders: kernels (out, in, k, k), maps (in, H, W)."""
    return np.stack([sum(correlate2d(m, k, "same") for m, k in zip(maps, bank, strict=True)) for bank in kernels])


def test_full_size_peepholes_weigh_each_pixel_by_itself():
    cell = seeded(lambda: ConvLSTMCell(2, 3, 3, size=(5, 6)))
    assert cell.peephole.shape == (3, 3, 5, 6)
    x, h, c = (torch.randn(n, 5, 6, dtype=torch.float64) for n in (2, 3, 3))
    _, (ours_h, ours_c) = cell(x[None], (h[None], c[None]))
    w = {name: p.detach().numpy() for name, p in cell.named_parameters()}
    pre = convolve(w["from_x.weight"], x.numpy()) + convolve(w["from_h.weight"], h.numpy())
    i, f, g, o = np.split(pre + w["from_x.bias"][:, None, None], 4)
    sigmoid = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    c_new = sigmoid(f + w["peephole"][1] * c.numpy()) * c.numpy()
    c_new += sigmoid(i + w["peephole"][0] * c.numpy()) * np.tanh(g)
    h_new = sigmoid(o + w["peephole"][2] * c_new) * np.tanh(c_new)
    np.testing.assert_allclose(ours_c[0].detach(), c_new, atol=1e-12)
    np.testing.assert_allclose(ours_h[0].detach(), h_new, atol=1e-12)
    with pytest.raises(ValueError, match=r"peepholes are for maps of \(5, 6\) px"):
        cell(torch.randn(1, 2, 6, 6, dtype=torch.float64))


@pytest.mark.parametrize("state_kernel", [0, 1])
def test_gru_equals_its_equations_in_numpy(state_kernel):
    cell = seeded(lambda: ConvGRUCell(2, 3, 3, state_kernel=state_kernel))
    x, h = torch.randn(1, 4, 2, 5, 6, dtype=torch.float64), np.zeros((3, 5, 6))
    w = {name: p.detach().numpy() for name, p in cell.named_parameters()}
    assert w["from_h.weight"].shape[2:] == ((1, 1) if state_kernel else (3, 3))
    state = None
    for t in range(4):
        output, state = cell(x[:, t], state)
        xz, xr, xg = np.split(convolve(w["from_x.weight"], x[0, t].numpy()) + w["from_x.bias"][:, None, None], 3)
        hz, hr, hg = np.split(convolve(w["from_h.weight"], h), 3)
        z, r = 1 / (1 + np.exp(-xz - hz)), 1 / (1 + np.exp(-xr - hr))
        h = (1 - z) * np.tanh(xg + r * hg) + z * h
        np.testing.assert_allclose(output[0].detach(), h, atol=1e-12)
        assert len(state) == 1 and state[0] is output


def test_lstm_by_hand_is_torchs_lstm():
    cell, lstm = seeded(lambda: LSTMCell(3, 5), peepholes=False), torch.nn.LSTMCell(3, 5).double()
    with torch.no_grad():
        lstm.weight_ih.copy_(cell.from_x.weight)
        lstm.weight_hh.copy_(cell.from_h.weight)
        lstm.bias_ih.copy_(cell.from_x.bias)
        lstm.bias_hh.zero_()
    ours = theirs = None
    for x in torch.randn(4, 2, 3, dtype=torch.float64):
        _, ours = cell(x, ours)
        theirs = lstm(x, theirs)
        torch.testing.assert_close(ours, theirs)


SHAPES = [
    (ConvLSTMCell, {}, (6, 8)),
    (ConvLSTMCell, {"stride": 2}, (3, 4)),
    (ConvLSTMCell, {"stride": 2, "pool": True}, (3, 4)),
    (ConvLSTMCell, {"transpose": True}, (12, 16)),
    (ConvLSTMCell, {"norm": "layer", "state_kernel": 1}, (6, 8)),
    (ConvLSTMCell, {"norm": "group", "size": (6, 8)}, (6, 8)),
    (ConvGRUCell, {}, (6, 8)),
    (ConvGRUCell, {"stride": 2, "norm": "group"}, (3, 4)),
]


@pytest.mark.parametrize(("kind", "options", "size"), SHAPES)
def test_sequence_and_trace_equal_steps(kind, options, size):
    cell, x = seeded(lambda: kind(2, 3, **options)), torch.randn(2, 4, 2, 6, 8, dtype=torch.float64)
    outputs, last = cell.sequence(x)
    assert outputs.shape == (2, 4, 3, *size)
    state = None
    for t in range(4):
        output, state = cell(x[:, t], state)
        torch.testing.assert_close(outputs[:, t], output)
    torch.testing.assert_close(last, state)
    trace = cell.trace(x)
    assert list(trace) == list(cell.names) and all(t.shape == outputs.shape for t in trace.values())
    torch.testing.assert_close(trace["H"], outputs)
    for gate in {"i", "f", "o", "z", "r"} & set(trace):
        assert ((trace[gate] > 0) & (trace[gate] < 1)).all()


@pytest.mark.parametrize(("kind", "options", "size"), SHAPES)
def test_gradients_of_the_cell_are_right(kind, options, size):
    options = options | ({"size": (4, 4)} if "size" in options else {})
    cell = seeded(lambda: kind(1, 2, **options))
    x = torch.randn(1, 2, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: cell.sequence(x)[0], (x, *cell.parameters()), fast_mode=True)


@pytest.mark.parametrize("kind", [ConvLSTMCell, ConvGRUCell])
def test_a_cell_without_input_carries_its_state_on(kind):
    cell, fed = seeded(lambda: kind(0, 3)), seeded(lambda: kind(2, 3))
    with torch.no_grad():  # the same cell, but for an input that is 0
        fed.from_h.weight.copy_(cell.from_h.weight)
        if kind is ConvLSTMCell:
            fed.peephole.copy_(cell.peephole)
            fed.from_x.bias.copy_(cell.from_h.bias)
        else:  # R weighs the bias of the new content where it comes from the state
            cell.from_h.bias.zero_()
            fed.from_x.bias.zero_()
    state = tuple(torch.randn(2, 3, 5, 6, dtype=torch.float64) for _ in range(kind.states))
    ours, _ = cell.sequence(None, state, steps=4)
    theirs, _ = fed.sequence(torch.zeros(2, 4, 2, 5, 6, dtype=torch.float64), state)
    torch.testing.assert_close(ours, theirs)
    with pytest.raises(ValueError, match="needs a state to start from"):
        cell(None)
    with pytest.raises(ValueError, match="takes no input"):
        cell(torch.zeros(2, 1, 5, 6), state)


@pytest.mark.parametrize(
    ("x", "why"),
    [
        (torch.zeros(2, 3, 6, 8), r"C = 2 and none of them 0; this has the shape \(2, 3, 6, 8\)"),
        (torch.zeros(2, 6, 8), r"this has the shape \(2, 6, 8\)"),
        (torch.zeros(2, 4, 2, 6, 8), r"this has the shape \(2, 4, 2, 6, 8\)"),
        (torch.zeros(0, 2, 6, 8), "none of them 0"),
        (torch.zeros(2, 0, 6, 8), "none of them 0"),
        (None, "this has None"),
    ],
)
def test_a_frame_of_another_shape_is_refused(x, why):
    for kind in (ConvLSTMCell, ConvGRUCell):
        with pytest.raises(ValueError, match=why):
            kind(2, 3)(x)


@pytest.mark.parametrize("shape", [(1, 3, 6, 8), (2, 3, 8, 6)])
def test_a_state_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"the state is for \("):
        ConvLSTMCell(2, 3)(torch.zeros(2, 2, 6, 8), (torch.zeros(shape), torch.zeros(shape)))


@pytest.mark.parametrize(("options", "size"), [({}, (7, 9)), ({"stride": 2}, (4, 5)), ({"transpose": True}, (14, 18))])
def test_odd_sizes_one_frame_and_one_sample(options, size):
    for pool in [{}, {"pool": True}][: 1 + ("stride" in options)]:
        outputs, _ = ConvLSTMCell(2, 3, 5, **options, **pool).sequence(torch.zeros(1, 1, 2, 7, 9))
        assert outputs.shape == (1, 1, 3, *size)


@pytest.mark.parametrize("kind", [ConvLSTMCell, ConvGRUCell])
def test_what_moves_in_comes_out_moved(kind):
    cell = seeded(lambda: kind(1, 3, 3))
    x = torch.zeros(1, 3, 1, 24, 24, dtype=torch.float64)
    x[..., 9:13, 9:13] = torch.rand(4, 4, dtype=torch.float64)  # three frames reach 6 px, far from the border
    here, there = (cell.sequence(frames)[0] for frames in (x, x.roll((3, -2), (3, 4))))
    torch.testing.assert_close(here[..., 5:17, 5:17], there[..., 8:20, 3:15])
    assert (here - there).abs().max() > 0.01


@pytest.mark.parametrize("kind", [ConvLSTMCell, ConvGRUCell])
def test_no_frame_reaches_an_earlier_output_of_a_cell(kind):
    cell, x = seeded(lambda: kind(1, 3, 3)), torch.rand(1, 5, 1, 6, 6, dtype=torch.float64)
    changed = x.clone()
    changed[:, 3] = 1 - changed[:, 3]
    difference = (cell.sequence(x)[0] - cell.sequence(changed)[0]).abs().amax(dim=(0, 2, 3, 4))
    assert (difference[:3] == 0).all() and (difference[3:] > 0).all()


KINDS = {
    "convedlstm": TINY,
    "convedlstm of GRUs": ModelConfig((3, 4, 4, 3), (3, 3, 3, 3), cell="convgru"),
    "forecaster": ModelConfig((3, 4), (3, 5), kind="forecaster", state_kernel=3, patch=4),
    "forecaster of GRUs": ModelConfig((3, 4), (3, 5), kind="forecaster", cell="convgru"),
    "fclstm": ModelConfig((6, 5), kind="fclstm", size=32),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_weight_of_every_network_gets_a_gradient_is_saved_and_moves(name):
    model = seeded(lambda: build(KINDS[name]))
    x = torch.rand(2, 3, 1, 32, 32, dtype=torch.float64)
    assert model(x, 4).shape == (2, 4, 1, 32, 32)
    model(x, 4).square().sum().backward()
    unused = {n: p.grad is None or int((p.grad == 0).sum()) for n, p in model.named_parameters()}
    assert not any(unused.values()), unused
    held = {id(t) for module in model.modules() for t in vars(module).values() if isinstance(t, torch.Tensor)}
    assert not held, "a tensor that is no parameter would stay behind on the CPU"
    assert set(model.state_dict()) == set(unused)
    assert all(t.dtype == torch.float32 for t in model.to(torch.float32).state_dict().values())


@pytest.mark.parametrize(("name", "cell"), [(n, ConvGRUCell if "GRU" in n else ConvLSTMCell) for n in KINDS])
def test_the_cell_that_was_asked_for_is_the_one_that_is_built(name, cell):
    cells = [m for m in build(KINDS[name]).modules() if isinstance(m, ConvLSTMCell | ConvGRUCell | LSTMCell)]
    assert cells and {type(m) for m in cells} == {LSTMCell if name == "fclstm" else cell}


@pytest.mark.parametrize("name", ["forecaster", "forecaster of GRUs"])
def test_forecaster_equals_the_papers_network_step_by_step(name):
    model, x = seeded(lambda: build(KINDS[name])), torch.rand(2, 3, 1, 16, 16, dtype=torch.float64)
    patch, states, expected = KINDS[name].patch, [None] * 2, []
    for t in range(3):
        up = torch.nn.functional.pixel_unshuffle(x[:, t], patch)
        for k, cell in enumerate(model.encoder):
            up, states[k] = cell(up, states[k])
    for _ in range(4):
        up, seen = None, []
        for k, cell in enumerate(model.forecaster):
            up, states[k] = cell(up, states[k])
            seen.append(up)
        expected.append(torch.nn.functional.pixel_shuffle(model.head(torch.cat(seen, 1)), patch))
    torch.testing.assert_close(model(x, 4), torch.stack(expected, 1))


def test_fully_connected_network_works_at_its_size_only():
    with pytest.raises(ValueError, match=r"for frames of \(1, 32, 32\), not \(1, 16, 16\)"):
        build(KINDS["fclstm"])(torch.rand(2, 3, 1, 16, 16), 4)


@pytest.mark.parametrize("name", ["forecaster", "fclstm"])
def test_a_network_that_feeds_nothing_back_refuses_coins(name):
    with pytest.raises(ValueError, match="nothing to sample"):
        build(KINDS[name])(torch.rand(2, 3, 1, 32, 32), 4, coins=torch.ones(2, 3, dtype=torch.bool))


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
        (lambda: ModelConfig(kind="zzz"), "unknown kind of network 'zzz'"),
        (lambda: ModelConfig(cell="zzz"), "unknown cell 'zzz'"),
        (lambda: ModelConfig((3,), kind="fclstm"), "give its size"),
        (lambda: ConvLSTMCell(1, 2, kernel=4), "is even"),
        (lambda: ConvLSTMCell(1, 2, state_kernel=2), "is even"),
        (lambda: ConvLSTMCell(1, 2, stride=3), "neither 1 nor 2"),
        (lambda: ConvLSTMCell(1, 2, pool=True), "needs stride 2"),
        (lambda: ConvLSTMCell(1, 2, norm="batch"), "choose layer or group"),
        (lambda: TrainConfig(KINDS["forecaster"], sampling=0.5), "nothing to sample"),
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
