"""Cells against independent references: equations, options, gradients, causality."""

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d
from small_networks import seeded

from nowcastlib.networks.cells import ConvGRUCell, ConvLSTMCell, LSTMCell


def reference_step(cell, x, h, c, stride):
    """Equations (3) of Shi et al. 2015 in NumPy: x (C, H, W), h and c (hidden, H', W')."""
    w = {name: p.detach().numpy() for name, p in cell.named_parameters()}

    def convolve(maps, kernels):
        return np.stack(
            [
                sum(correlate2d(m, k, "same") for m, k in zip(maps, of, strict=True))
                for of in kernels
            ]
        )

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    from_x = (
        convolve(x, w["from_x.weight"])[:, ::stride, ::stride] + w["from_x.bias"][:, None, None]
    )
    i, f, g, o = np.split(from_x + convolve(h, w["from_h.weight"]), 4)
    w_ci, w_cf, w_co = w["peephole"]
    c_new = sigmoid(f + w_cf * c) * c + sigmoid(i + w_ci * c) * np.tanh(g)
    return sigmoid(o + w_co * c_new) * np.tanh(c_new), c_new


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (5, 2)])
def test_cell_equals_the_papers_equations_in_numpy(kernel, stride):
    cell = seeded(lambda: ConvLSTMCell(2, 3, kernel, stride=stride))
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
    return np.stack(
        [
            sum(correlate2d(m, k, "same") for m, k in zip(maps, bank, strict=True))
            for bank in kernels
        ]
    )


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
        xz, xr, xg = np.split(
            convolve(w["from_x.weight"], x[0, t].numpy()) + w["from_x.bias"][:, None, None], 3
        )
        hz, hr, hg = np.split(convolve(w["from_h.weight"], h), 3)
        z, r = 1 / (1 + np.exp(-xz - hz)), 1 / (1 + np.exp(-xr - hr))
        h = (1 - z) * np.tanh(xg + r * hg) + z * h
        np.testing.assert_allclose(output[0].detach(), h, atol=1e-12)
        assert len(state) == 1
        assert state[0] is output


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
    (ConvLSTMCell, {"stride": 2, "pool": 2}, (3, 4)),
    (ConvLSTMCell, {"double": "transpose"}, (12, 16)),
    (ConvLSTMCell, {"double": "nearest", "gate_out": True}, (12, 16)),
    (ConvLSTMCell, {"leaky_slope": 0.3}, (6, 8)),
    (ConvLSTMCell, {"bias": False}, (6, 8)),
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
    assert list(trace) == list(cell.gate_names)
    assert all(t.shape == outputs.shape for t in trace.values())
    torch.testing.assert_close(trace[cell.output], outputs)
    for gate in {"i", "f", "o", "z", "r"} & set(trace):
        assert ((trace[gate] > 0) & (trace[gate] < 1)).all()


@pytest.mark.parametrize(("kind", "options", "size"), SHAPES)
def test_gradients_of_the_cell_are_right(kind, options, size):
    options = options | ({"size": (4, 4)} if "size" in options else {})
    cell = seeded(lambda: kind(1, 2, **options))
    x = torch.randn(1, 2, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, *_: cell.sequence(x)[0], (x, *cell.parameters()), fast_mode=True
    )


@pytest.mark.parametrize("kind", [ConvLSTMCell, ConvGRUCell])
def test_cell_without_input_evolves_its_state(kind):
    cell, fed = seeded(lambda: kind(0, 3)), seeded(lambda: kind(2, 3))
    with torch.no_grad():  # the same cell, but for an input that is 0
        fed.from_h.weight.copy_(cell.from_h.weight)
        if kind is ConvLSTMCell:
            fed.peephole.copy_(cell.peephole)
            fed.from_x.bias.copy_(cell.from_h.bias)
        else:  # R weighs the bias of the new content where it comes from the state
            cell.from_h.bias.zero_()
            fed.from_x.bias.zero_()
    state = tuple(torch.randn(2, 3, 5, 6, dtype=torch.float64) for _ in range(kind.n_states))
    ours, _ = cell.sequence(None, state, steps=4)
    theirs, _ = fed.sequence(torch.zeros(2, 4, 2, 5, 6, dtype=torch.float64), state)
    torch.testing.assert_close(ours, theirs)
    with pytest.raises(ValueError, match="without input needs"):
        cell(None)
    with pytest.raises(ValueError, match="has no input"):
        cell(torch.zeros(2, 1, 5, 6), state)


@pytest.mark.parametrize(
    ("x", "why"),
    [
        (torch.zeros(2, 3, 6, 8), r"C = 2, none of them 0; .* has the shape \(2, 3, 6, 8\)"),
        (torch.zeros(2, 6, 8), r"has the shape \(2, 6, 8\)"),
        (torch.zeros(2, 4, 2, 6, 8), r"has the shape \(2, 4, 2, 6, 8\)"),
        (torch.zeros(0, 2, 6, 8), "none of them 0"),
        (torch.zeros(2, 0, 6, 8), "none of them 0"),
        (None, "has None"),
    ],
)
def test_frame_of_another_shape_is_refused(x, why):
    for kind in (ConvLSTMCell, ConvGRUCell):
        with pytest.raises(ValueError, match=why):
            kind(2, 3)(x)


@pytest.mark.parametrize("shape", [(1, 3, 6, 8), (2, 3, 8, 6)])
def test_state_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"the state has the shape \("):
        ConvLSTMCell(2, 3)(torch.zeros(2, 2, 6, 8), (torch.zeros(shape), torch.zeros(shape)))


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({}, (7, 9)),
        ({"stride": 2}, (4, 5)),
        ({"double": "transpose"}, (14, 18)),
        ({"double": "nearest"}, (14, 18)),
    ],
)
def test_odd_sizes_one_frame_and_one_sample(options, size):
    for pool in [{}, {"pool": 2}][: 1 + ("stride" in options)]:
        outputs, _ = ConvLSTMCell(2, 3, 5, **options, **pool).sequence(torch.zeros(1, 1, 2, 7, 9))
        assert outputs.shape == (1, 1, 3, *size)


@pytest.mark.parametrize("kind", [ConvLSTMCell, ConvGRUCell])
def test_cell_commutes_with_translation(kind):
    cell = seeded(lambda: kind(1, 3, 3))
    x = torch.zeros(1, 3, 1, 24, 24, dtype=torch.float64)
    x[..., 9:13, 9:13] = torch.rand(
        4, 4, dtype=torch.float64
    )  # three frames reach 6 px, far from the border
    here, there = (cell.sequence(frames)[0] for frames in (x, x.roll((3, -2), (3, 4))))
    torch.testing.assert_close(here[..., 5:17, 5:17], there[..., 8:20, 3:15])
    assert (here - there).abs().max() > 0.01


@pytest.mark.parametrize("kind", [ConvLSTMCell, ConvGRUCell])
def test_cell_is_causal(kind):
    cell, x = seeded(lambda: kind(1, 3, 3)), torch.rand(1, 5, 1, 6, 6, dtype=torch.float64)
    changed = x.clone()
    changed[:, 3] = 1 - changed[:, 3]
    difference = (cell.sequence(x)[0] - cell.sequence(changed)[0]).abs().amax(dim=(0, 2, 3, 4))
    assert (difference[:3] == 0).all()
    assert (difference[3:] > 0).all()


def test_gate_out_changes_the_output_but_not_the_state():
    plain, gated = (
        seeded(lambda gate=gate: ConvLSTMCell(2, 3, gate_out=gate)) for gate in (False, True)
    )
    x = torch.randn(2, 4, 2, 5, 6, dtype=torch.float64)
    (hidden, last), (gate, state) = plain.sequence(x), gated.sequence(x)
    torch.testing.assert_close(state, last)
    torch.testing.assert_close(gate, plain.trace(x)["o"])
    torch.testing.assert_close(gate[:, -1] * torch.tanh(state[1]), hidden[:, -1])


@pytest.mark.parametrize("kind", [ConvLSTMCell, ConvGRUCell])
@pytest.mark.parametrize("norm", ["layer", "group"])
def test_norm_gives_each_convolution_mean_0_and_variance_1_before_its_own_scale(kind, norm):
    cell = seeded(lambda: kind(2, 6, norm=norm))
    x, h = (
        torch.randn(2, 2, 8, 8, dtype=torch.float64),
        torch.randn(2, 6, 8, 8, dtype=torch.float64),
    )
    h = 3 * h + 5
    for got, convolution, affine in (
        (cell._inputs(x), cell.from_x(x), cell.norm_x),
        (cell._from_h(h, torch.zeros(())), cell.from_h(h), cell.norm_h),
    ):
        per_channel = (slice(None), None, None)
        bare = ((got - affine.bias[per_channel]) / affine.weight[per_channel]).detach()
        groups = bare.reshape(2, 1 if norm == "layer" else kind.n_gates, -1)
        np.testing.assert_allclose(groups.mean(-1), 0, atol=1e-12)
        np.testing.assert_allclose(groups.var(-1, unbiased=False), 1, atol=1e-3)
        before = convolution.detach().reshape(groups.shape)
        expected = (before - before.mean(-1, keepdim=True)) / (
            before.var(-1, unbiased=False, keepdim=True) + 1e-5
        ).sqrt()
        np.testing.assert_allclose(groups, expected, atol=1e-10)


@pytest.mark.parametrize("kind", [ConvLSTMCell, ConvGRUCell])
def test_leaky_slope_scales_negative_values_of_each_convolution(kind):
    cell = seeded(lambda: kind(2, 3, leaky_slope=0.2))
    x, h = (
        torch.randn(2, 2, 8, 8, dtype=torch.float64),
        torch.randn(2, 3, 8, 8, dtype=torch.float64),
    )
    for got, convolution in (
        (cell._inputs(x), cell.from_x(x)),
        (cell._from_h(h, torch.zeros(())), cell.from_h(h)),
    ):
        assert (convolution < 0).any()
        assert (convolution > 0).any()
        torch.testing.assert_close(
            got, torch.where(convolution > 0, convolution, 0.2 * convolution)
        )


@pytest.mark.parametrize(
    "options", [{"norm": "layer"}, {"leaky_slope": 0.2}, {"norm": "group", "leaky_slope": 0.2}]
)
def test_norm_and_activation_are_part_of_the_step(options):
    plain, cell = (seeded(lambda o=o: ConvLSTMCell(1, 3, **o)) for o in ({}, options))
    x = torch.randn(1, 2, 1, 6, 6, dtype=torch.float64)
    h, c = (
        torch.zeros(1, 3, 6, 6, dtype=torch.float64),
        torch.zeros(1, 3, 6, 6, dtype=torch.float64),
    )
    for t in range(2):
        i, f, g, o = (cell._inputs(x[:, t]) + cell._from_h(h, torch.zeros(()))).chunk(4, 1)
        w_ci, w_cf, w_co = cell.peephole
        c = torch.sigmoid(f + w_cf * c) * c + torch.sigmoid(i + w_ci * c) * torch.tanh(g)
        h = torch.sigmoid(o + w_co * c) * torch.tanh(c)
    torch.testing.assert_close(cell.sequence(x)[1], (h, c))
    assert (plain.sequence(x)[0][:, -1] - h).abs().max() > 1e-3


@pytest.mark.parametrize("shape", [(6, 8), (7, 9)])
def test_pooling_keeps_the_largest_of_four_after_a_convolution_of_stride_1(shape):
    pooled, plain = (
        seeded(lambda o=o: ConvLSTMCell(2, 3, **o)) for o in ({"stride": 2, "pool": 2}, {})
    )
    x = torch.randn(1, 2, *shape, dtype=torch.float64)
    before, after = plain._inputs(x), pooled._inputs(x)
    rows, columns = (range(0, n, 2) for n in shape)
    for r in rows:
        for c in columns:
            corner = before[..., r : r + 2, c : c + 2].amax((-2, -1))
            torch.testing.assert_close(after[..., r // 2, c // 2], corner)
    assert after.shape[2:] == (len(rows), len(columns))


def test_nearest_doubling_repeats_pixels_and_then_convolves():
    doubled, plain = (
        seeded(lambda o=o: ConvLSTMCell(2, 3, 5, **o)) for o in ({"double": "nearest"}, {})
    )
    x = torch.randn(1, 2, 3, 4, dtype=torch.float64)
    repeated = x.repeat_interleave(2, -1).repeat_interleave(2, -2)
    torch.testing.assert_close(doubled(x), plain(repeated))


def test_transposed_doubling_spreads_each_pixel_over_its_kernel():
    cell = seeded(lambda: ConvLSTMCell(1, 2, 3, double="transpose"))
    x = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    x[0, 0, 1, 2] = 1.0
    spread = (cell._inputs(x)[0] - cell.from_x.bias[:, None, None]).detach()
    torch.testing.assert_close(spread[:, 1:4, 3:6], cell.from_x.weight[0].detach())
    assert (spread.abs() > 1e-12).sum() == cell.from_x.weight.numel()


@pytest.mark.parametrize("kind", [ConvLSTMCell, ConvGRUCell])
@pytest.mark.parametrize("channels", [0, 2])
def test_bias_off_leaves_the_convolutions_without(kind, channels):
    def biases(**options):
        return {n for n, _ in kind(channels, 3, **options).named_parameters() if n.endswith("bias")}

    assert biases() == ({"from_x.bias"} if channels else {"from_h.bias"})
    assert biases(bias=False) == set()
    assert biases(bias=False, norm="layer") == {
        f"norm_{part}.bias" for part in ("xh" if channels else "h")
    }


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"norm": "layer"},
        {"norm": "group"},
        {"norm": "layer", "bias": False},
        {"in_channels": 0},
    ],
)
def test_bias_of_the_forget_gate_starts_at_1(options):
    cell, maps = ConvLSTMCell(**{"in_channels": 2, "hidden": 3} | options), torch.zeros(1, 3, 6, 6)
    with (
        torch.no_grad()
    ):  # of the convolutions only what is added to them is left; of normed ones nothing
        for name, parameter in cell.named_parameters():
            if name.startswith("from") and (name.endswith("weight") or "norm" in options):
                parameter.zero_()
    x = torch.zeros(1, 2, 6, 6) if cell.in_channels else None
    forget = cell._gates(cell._inputs(x), (maps, maps))[1]
    torch.testing.assert_close(forget, torch.sigmoid(torch.ones(1, 3, 6, 6)))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"kernel": 4}, "kernel size 4 is even"),
        ({"state_kernel": 2}, "kernel size 2 is even"),
        ({"stride": 3}, "stride is 3: choose 1 or 2"),
        ({"pool": 2}, "needs stride 2"),
        ({"norm": "batch"}, "unknown norm 'batch': choose layer, group or pixel"),
        (
            {"double": "cubic"},
            "unknown double 'cubic': choose transpose or nearest",
        ),
        ({"double": "transpose", "stride": 2}, "stride 2 halves the size and double doubles it"),
        ({"double": "nearest", "stride": 2}, "stride 2 halves the size and double doubles it"),
    ],
)
@pytest.mark.parametrize("kind", [ConvLSTMCell, ConvGRUCell])
def test_contradictory_cell_options_are_refused(kind, options, why):
    with pytest.raises(ValueError, match=why):
        kind(1, 2, **options)
