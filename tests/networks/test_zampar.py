"""The network of Zampar (2025), weight for weight.

``PlainNetwork`` is written from the description of the network alone: one convolution after the
other, full-size states, no option shared with the library.
"""

from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import nn

from nowcastlib.errors import NowcastError
from nowcastlib.networks import SEED, ConvEDLSTMConfig, build, load_zampar_weights

SIDE = 16  # px


class PlainCell(nn.Module):
    """One cell; ``halve`` and ``double`` say what happens to the size."""

    def __init__(self, inputs, hidden, config, kernel, side, change):
        super().__init__()
        self.hidden, self.gate_out = hidden, False
        bias, pad, channels = config.bias, kernel // 2, 4 * hidden
        pools = change == "halve" and config.max_pool
        if change == "double" and config.transpose:
            first = nn.ConvTranspose2d(inputs, channels, kernel, 2, pad, 1, bias=bias)
        else:
            stride = 2 if change == "halve" and not pools else 1
            first = nn.Conv2d(inputs, channels, kernel, stride, pad, bias=bias)
        self.enlarge = change == "double" and not config.transpose

        conv_x, conv_h = [first], [nn.Conv2d(hidden, channels, kernel, 1, pad, bias=bias)]
        if pools:
            conv_x.append(nn.MaxPool2d(kernel, 2, pad))
        for layers in (conv_x, conv_h):
            if config.norm == "pixel":
                layers.append(nn.LayerNorm([channels, side, side]))
            if config.leaky_slope:
                layers.append(nn.LeakyReLU(config.leaky_slope))
        self.conv_x, self.conv_h = nn.Sequential(*conv_x), nn.Sequential(*conv_h)
        self.w_ci, self.w_cf, self.w_co = (
            nn.Parameter(torch.randn(hidden, side, side) / 3) for _ in range(3)
        )

    def forward(self, x, h, c):
        if self.enlarge:
            x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        i, f, g, o = torch.split(self.conv_x(x) + self.conv_h(h), self.hidden, dim=1)
        i = torch.sigmoid(i + self.w_ci * c)
        f = torch.sigmoid(f + self.w_cf * c)
        c = f * c + i * torch.tanh(g)
        o = torch.sigmoid(o + self.w_co * c)
        return o * torch.tanh(c), c, o


class PlainNetwork(nn.Module):
    """The stack of cells; one frame at a time passes through it."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.cell_list = nn.ModuleList()
        self.sides, inputs, side = [], 1, config.size
        for k, (hidden, kernel) in enumerate(zip(config.hidden, config.kernel, strict=True)):
            change = "" if config.stride == 1 else ("halve", "double")[k >= len(config.hidden) // 2]
            side = {"halve": side // 2, "double": side * 2, "": side}[change]
            self.cell_list.append(PlainCell(inputs, hidden, config, kernel, side, change))
            self.sides.append(side)
            inputs = hidden
        self.conv_last = nn.Conv2d(inputs, 1, 1, bias=config.head_bias)

    def forward(self, frames, n_out):
        batch, seen = frames.shape[:2]
        states = [
            [torch.zeros(batch, cell.hidden, side, side).to(frames)] * 2
            for cell, side in zip(self.cell_list, self.sides, strict=True)
        ]
        outputs = []
        for t in range(seen + n_out - 1):
            x = frames[:, t] if t < seen else outputs[-1]
            for k, cell in enumerate(self.cell_list):
                h, c, o = cell(x, *states[k])
                states[k] = [h, c]
                x = o if self.config.use_lstm_output else h
            outputs.append(torch.sigmoid(self.conv_last(h)))
        return torch.stack(outputs[seen - 1 :], 1)


def plain(config, seed=0):
    """A plain network with weights that all have an effect."""
    torch.manual_seed(seed)
    network = PlainNetwork(config).double()
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim == 3 and ".w_c" not in name:  # of the normalisation
                weight.add_(torch.randn_like(weight) / 5)
    return network


CHOICES = {
    "size change": [
        {"max_pool": True, "pool_window": 0},
        {"max_pool": False, "pool_window": 2},
        {"max_pool": True, "pool_window": 0, "transpose": False},
        {"stride": 1, "max_pool": False, "pool_window": 2},
    ],
    "norm": [{"norm": "pixel"}, {"norm": "", "forget_bias": 1.0}],
    "bias": [{}, {"bias": True}],
    "leaky": [{}, {"leaky_slope": 0.2}],
    "output": [{}, {"use_lstm_output": True}],
    "kernel": [{"kernel": (5, 5, 5, 5)}, {"kernel": (3, 5, 3, 3)}],
}


def combinations() -> list[ConvEDLSTMConfig]:
    """All combinations of the options of Zampar's runs, at a small size."""
    small = {"hidden": (4, 3, 3, 2), "size": SIDE}
    configs = []
    for parts in product(*CHOICES.values()):
        options = small | {name: value for part in parts for name, value in part.items()}
        if options.get("bias") and not options["norm"]:
            options["state_bias"] = True
        configs.append(replace(SEED, **options))
    return configs


def test_every_combination_of_options_equals_the_plain_network(tmp_path):
    frames = torch.rand(2, 3, 1, SIDE, SIDE, dtype=torch.float64)
    configs = combinations()
    assert len(configs) == 4 * 2**5
    for config in configs:
        reference = plain(config)
        torch.save(reference.state_dict(), tmp_path / "weights.pth")
        network = load_zampar_weights(tmp_path / "weights.pth", config).double()
        ours = torch.sigmoid(network(frames, 3))
        torch.testing.assert_close(ours, reference(frames, 3), atol=1e-5, rtol=0, msg=str(config))


@pytest.mark.parametrize(("size", "millions"), [(64, 4.273424), (128, 14.079248)])
def test_the_seed_has_as_many_weights_as_the_plain_network(size, millions):
    config = replace(SEED, size=size)
    counts = [sum(w.numel() for w in n.parameters()) for n in (build(config), PlainNetwork(config))]
    assert counts == [round(millions * 1e6)] * 2


def test_the_seed_starts_with_random_peepholes_and_without_a_forget_bias():
    torch.manual_seed(0)
    cell = build(SEED).cells[0]
    spread = (6 / (32 * 32 + 64 * 32)) ** 0.5  # Glorot and Bengio 2010, equation 16
    assert cell.peephole.abs().max().item() == pytest.approx(spread, rel=0.01)
    assert cell.peephole.std().item() == pytest.approx(spread / 3**0.5, rel=0.01)
    assert not cell.norm_x.bias.any()
    assert build(replace(SEED, forget_bias=1.0)).cells[0].norm_x.bias[64:128].eq(1).all()


def test_pooling_windows_of_the_kernels_size_overlap():
    config = replace(SEED, hidden=(2, 2), kernel=(5, 3), size=SIDE)
    pools = [cell.pool for cell in build(config).cells]
    assert (pools[0].kernel_size, pools[0].stride, pools[0].padding) == (5, 2, 2)
    assert isinstance(pools[1], nn.Identity)


SMALL = replace(SEED, hidden=(2, 2), kernel=(3, 3), size=SIDE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("conv_last.weight"), "lacks head.weight"),
        (lambda w: w.pop("cell_list.1.w_cf"), "lacks w_cf of cell 1"),
        (lambda w: w.update({"extra": torch.zeros(1)}), "unknown weights extra"),
        (lambda w: w.update({"conv_last.bias": torch.zeros(1)}), "head.bias, which this"),
        (lambda w: w.update({"conv_last.weight": torch.zeros(1, 3, 1, 1)}), "needs"),
        (lambda w: w.update({"step": 3}), "save model.state_dict"),
    ],
)
def test_other_weights_are_refused_by_name(change, message, tmp_path):
    weights = dict(plain(SMALL).state_dict())
    change(weights)
    torch.save(weights, tmp_path / "weights.pth")
    with pytest.raises(NowcastError, match=message) as error:
        load_zampar_weights(tmp_path / "weights.pth", SMALL)
    assert "weights.pth" in str(error.value)


def test_a_file_that_holds_no_tensors_is_not_run(tmp_path):
    (tmp_path / "text.pth").write_text("no weights")
    torch.save(plain(SMALL), tmp_path / "whole.pth")  # a pickled object
    for name in ("text.pth", "whole.pth", "missing.pth"):
        with pytest.raises(NowcastError, match=f"{name} is no file of weights"):
            load_zampar_weights(tmp_path / name, SMALL)
