"""Networks: options by hand, gradients, causality, refusals."""

from functools import reduce
from itertools import product
from operator import or_
from pathlib import Path

import pytest
import torch
from small_networks import seeded

import nowcastlib
from nowcastlib.data import storms
from nowcastlib.networks import (
    CONFIGS,
    FORECASTING,
    ConvEDLSTMConfig,
    EncoderForecasterConfig,
    FCLSTMConfig,
    GuidedConfig,
    build,
    config_class,
    option_names,
)
from nowcastlib.networks.cells import ConvGRUCell, ConvLSTMCell, LSTMCell
from nowcastlib.networks.conv_ed_lstm import ConvEDLSTM
from nowcastlib.networks.losses import LOSSES
from nowcastlib.training import load
from nowcastlib.units import RATES, ModelScale

TINY = ConvEDLSTMConfig(hidden=(3, 4, 4, 3), kernel=(3, 3, 3, 3))
KINDS = {
    "convedlstm": TINY,
    "convedlstm of GRUs": ConvEDLSTMConfig((3, 4, 4, 3), (3, 3, 3, 3), cell="convgru"),
    "forecaster": EncoderForecasterConfig((3, 4), (3, 5), state_kernel=3, patch=4),
    "forecaster of GRUs": EncoderForecasterConfig((3, 4), (3, 5), cell="convgru"),
    "fclstm": FCLSTMConfig((6, 5), size=32),
}

TINY_OF = {
    "convedlstm": TINY,
    "forecaster": KINDS["forecaster"],
    "guided": GuidedConfig((3, 4), (3, 3), patch=2),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_weight_of_every_network_gets_a_gradient_and_is_saved(name):
    model = seeded(lambda: build(KINDS[name]))
    x = torch.rand(2, 3, 1, 32, 32, dtype=torch.float64)
    assert model(x, 4).shape == (2, 4, 1, 32, 32)
    model(x, 4).square().sum().backward()
    unused = {n: p.grad is None or int((p.grad == 0).sum()) for n, p in model.named_parameters()}
    assert not any(unused.values()), unused
    held = {
        id(t)
        for module in model.modules()
        for t in vars(module).values()
        if isinstance(t, torch.Tensor)
    }
    assert not held, "a tensor that is no parameter would stay behind on the CPU"
    assert set(model.state_dict()) == set(unused)
    assert all(t.dtype == torch.float32 for t in model.to(torch.float32).state_dict().values())


@pytest.mark.parametrize(
    ("name", "cell"), [(n, ConvGRUCell if "GRU" in n else ConvLSTMCell) for n in KINDS]
)
def test_networks_use_the_configured_cell(name, cell):
    cells = [
        m
        for m in build(KINDS[name]).modules()
        if isinstance(m, ConvLSTMCell | ConvGRUCell | LSTMCell)
    ]
    assert cells
    assert {type(m) for m in cells} == {LSTMCell if name == "fclstm" else cell}


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
def test_network_without_feedback_refuses_coins(name):
    with pytest.raises(ValueError, match="nothing to sample"):
        build(KINDS[name])(torch.rand(2, 3, 1, 32, 32), 4, coins=torch.ones(2, 3, dtype=torch.bool))


OPTIONS = {  # each together with each
    "stride": [
        {},
        {"stride": 1},
        {"max_pool": True},
        {"transpose": False},
        {"max_pool": True, "transpose": False},
    ],
    "norm": [{}, {"norm": "layer", "leaky_slope": 0.2}, {"norm": "group"}],
    "bias": [{}, {"bias": False}],
    "output": [{}, {"use_lstm_output": True}, {"cell": "convgru"}],
    "peephole": [{}, {"size": 32}, {"peephole": False}],
    "skip": [{}, {"skip": False, "patch": 1, "state_kernel": 1}],
}
COMBINATIONS = [reduce(or_, parts) for parts in product(*OPTIONS.values())]


def tiny(**changes):
    return ConvEDLSTMConfig(**{"hidden": TINY.hidden, "kernel": TINY.kernel} | changes)


def unused_weights(model, x, n_out=3):
    model(x, n_out).square().sum().backward()
    return {n: count for n, p in model.named_parameters() if (count := int((p.grad == 0).sum()))}


@pytest.mark.parametrize(
    "changes", OPTIONS["norm"] + OPTIONS["stride"] + OPTIONS["output"] + OPTIONS["peephole"][1:]
    + [{"compare": 1, "move": 2}],
)  # fmt: skip
def test_every_weight_gets_a_gradient(changes):
    model = seeded(lambda: ConvEDLSTM(tiny(**changes)))
    assert unused_weights(model, torch.rand(2, 3, 1, 32, 32, dtype=torch.float64)) == {}
    assert any("peephole" in n for n, _ in model.named_parameters()) == (
        changes.get("peephole", True) and changes.get("cell") != "convgru"
    )


def test_every_combination_of_options_works():
    x, tried = torch.rand(1, 2, 1, 32, 32, dtype=torch.float64), 0
    for changes in COMBINATIONS:
        has_peephole_option = changes.get("size") or changes.get("peephole") is False
        if changes.get("cell") == "convgru" and has_peephole_option:
            continue  # a GRU has no peepholes
        model = seeded(
            lambda changes=changes: ConvEDLSTM(tiny(hidden=(2, 2), kernel=(3, 3), **changes))
        )
        unused = unused_weights(model, x, 2)
        assert unused == {}, (changes, unused)
        tried += 1
    assert tried == 5 * 3 * 2 * 7 * 2


@pytest.mark.parametrize(
    "changes",
    [
        {"stride": 1}, {"patch": 1}, {"peephole": False}, {"skip": False}, {"cell": "convgru"},
        {"state_kernel": 1}, {"norm": "layer"}, {"norm": "group"}, {"leaky_slope": 0.2},
        {"bias": False}, {"max_pool": True}, {"transpose": False}, {"use_lstm_output": True},
        {"size": 16},
    ],
    ids=str,
)  # fmt: skip
def test_every_option_changes_the_forecast(changes):
    x = torch.rand(1, 3, 1, 16, 16, dtype=torch.float64)
    plain, other = (seeded(lambda c=c: ConvEDLSTM(tiny(**c))) for c in ({}, changes))
    assert (plain(x, 2) - other(x, 2)).abs().max() > 1e-5


@pytest.mark.parametrize("max_pool", [False, True])
@pytest.mark.parametrize("transpose", [True, False])
def test_cells_halve_and_double_as_configured(max_pool, transpose):
    cells = ConvEDLSTM(tiny(max_pool=max_pool, transpose=transpose)).cells
    kinds = [type(cell.from_x) for cell in cells]
    assert (
        kinds
        == [torch.nn.Conv2d] * 2 + [torch.nn.ConvTranspose2d if transpose else torch.nn.Conv2d] * 2
    )
    assert [cell.from_x.stride[0] for cell in cells] == [1 if max_pool else 2] * 2 + [
        2 if transpose else 1
    ] * 2
    up, sizes = torch.zeros(1, 2, 4, 24, 40), []
    for cell in cells:
        up, _ = cell.sequence(up)
        sizes.append(tuple(up.shape[-2:]))
    assert sizes == [(12, 20), (6, 10), (12, 20), (24, 40)]


@pytest.mark.parametrize("gate", [False, True])
def test_use_lstm_output_passes_the_output_gate_on(gate):
    model = seeded(lambda: ConvEDLSTM(tiny(use_lstm_output=gate, skip=False)))
    x = torch.rand(2, 3, 1, 16, 16, dtype=torch.float64)
    up = torch.nn.functional.pixel_unshuffle(x, 2)
    for cell in model.cells:
        traced = cell.trace(up)
        assert (traced["o"] - traced["H"]).abs().max() > 0.1
        up = traced["o" if gate else "H"]
    # The output layer sees the hidden state of the highest cell in any case.
    torch.testing.assert_close(
        model(x, 1)[:, 0], torch.nn.functional.pixel_shuffle(model.head(traced["H"][:, -1]), 2)
    )


@pytest.mark.parametrize("options", [{}, {"max_pool": True}, {"transpose": False}, {"stride": 1}])
def test_size_gives_one_peephole_weight_for_each_pixel(options):
    model = ConvEDLSTM(tiny(size=32, **options))
    sides = [16] * 4 if options == {"stride": 1} else [8, 4, 8, 16]
    assert [cell.peephole.shape for cell in model.cells] == [
        (3, hidden, side, side) for hidden, side in zip(TINY.hidden, sides, strict=True)
    ]
    assert model(torch.rand(1, 2, 1, 32, 32), 2).shape == (1, 2, 1, 32, 32)
    for shape in ((40, 40), (32, 40), (16, 16)):
        with pytest.raises(ValueError, match=r"peepholes are for maps of \(\d+, \d+\) px, not"):
            model(torch.rand(1, 2, 1, *shape), 2)


def test_peephole_weight_of_a_pixel_acts_on_this_pixel_only():
    model = seeded(
        lambda: ConvEDLSTM(
            tiny(hidden=(2,), kernel=(1,), stride=1, size=16, patch=1, state_kernel=1)
        )
    )
    x = torch.rand(1, 3, 1, 16, 16, dtype=torch.float64)
    before = model(x, 2)
    with torch.no_grad():
        model.cells[0].peephole[..., 5, 9] += 1
    changed = (
        (model(x, 2) - before).abs().sum((0, 1, 2)).nonzero().tolist()
    )  # with kernels of 1 px nothing spreads
    assert changed == [[5, 9]]


def test_shipped_convedlstm_loads_and_beats_persistence():
    folder = Path(nowcastlib.__file__).parent / "weights" / "convedlstm"
    model, config = load(folder)
    assert (config.model.stride, config.model.norm) == (2, "layer")
    assert (config.windows.n_in, config.windows.n_out) == (6, 12)
    assert config.rollout.curriculum[-1] == 12
    assert config.rollout.sampling > 0
    assert [type(cell.from_x) for cell in model.cells] == [torch.nn.Conv2d] * 2 + [
        torch.nn.ConvTranspose2d
    ] * 2
    rain = storms.rain(storms.Storm(seed=5, size=96, wet_fraction=0.5), 9)
    frames = config.scale.to_model(torch.from_numpy(rain))[None, :, None]
    with torch.no_grad():
        forecast = torch.sigmoid(model(frames[:, :6], 3))
    of_forecast, of_persistence = (
        (guess - frames[:, 6:]).square().mean() for guess in (forecast, frames[:, 5:6])
    )
    assert of_forecast < 0.9 * of_persistence  # where an untrained one starts


def test_convedlstm_is_made_of_convlstm_cells():
    assert [type(cell) for cell in ConvEDLSTM(TINY).cells] == [ConvLSTMCell] * 4
    assert [cell.hidden for cell in ConvEDLSTM(TINY).cells] == [3, 4, 4, 3]


@pytest.mark.parametrize("size", [(37, 50), (64, 64), (1, 9)])
@pytest.mark.parametrize(
    "config",
    [
        TINY,
        ConvEDLSTMConfig((3,), (3,), stride=1, patch=4),
        ConvEDLSTMConfig((3, 3), (3, 3), max_pool=True, transpose=False),
    ],
    ids=["halving", "flat", "pooled"],
)
def test_output_has_the_size_of_the_input(config, size):
    assert ConvEDLSTM(config)(torch.rand(2, 3, 1, *size), 4).shape == (2, 4, 1, *size)


@pytest.fixture(scope="module")
def rollout():
    """A model, three frames, the truth of the next five, and coins that all say truth."""
    model = seeded(lambda: ConvEDLSTM(TINY)).eval()
    x, truth = (
        torch.rand(2, 3, 1, 16, 16, dtype=torch.float64),
        torch.rand(2, 5, 1, 16, 16, dtype=torch.float64),
    )
    return model, x, truth, torch.ones(2, 4, dtype=torch.bool)


@pytest.mark.parametrize("t", [0, 2, 3, 4])
def test_true_frames_affect_later_outputs_only(rollout, t):
    model, x, truth, coins = rollout
    changed = truth.clone()
    changed[:, t] = 1 - changed[:, t]
    difference = (
        (model(x, 5, truth, coins) - model(x, 5, changed, coins)).abs().amax(dim=(0, 2, 3, 4))
    )
    assert (difference[: t + 1] == 0).all()
    assert (difference[t + 1 :] > 0).all()


def test_coins_choose_the_truth_for_each_frame_and_sample(rollout):
    model, x, truth, coins = rollout
    free, fed = model(x, 5), model(x, 5, truth, coins)
    assert torch.equal(model(x, 5, truth, ~coins), free)
    mixed = model(x, 5, truth, torch.tensor([[False] * 4, [True] * 4]))
    assert torch.equal(mixed[0], free[0])
    assert torch.equal(mixed[1], fed[1])
    first = model(x, 5, truth, torch.tensor([[True, False, False, False]] * 2))
    assert torch.equal(first[:, :2], fed[:, :2])
    assert (first[:, 2:] != fed[:, 2:]).any()
    assert torch.equal(model(x, 2), free[:, :2])


@pytest.mark.parametrize(
    ("kind", "options", "why"),
    [
        ("convedlstm", {"kernel": (3,)}, "hidden has 2 cells, but kernel has 1: give one kernel"),
        ("convedlstm", {"hidden": (3,), "kernel": (3,)}, "needs an even number of cells, not 1"),
        ("convedlstm", {"hidden": (), "kernel": (), "stride": 1}, "at least one cell"),
        ("convedlstm", {"hidden": (3, 0)}, r"hidden is \(3, 0\): it must be 1 or more"),
        ("convedlstm", {"patch": 0}, "patch is 0: it must be 1 or more"),
        ("convedlstm", {"kernel": (3, 4)}, "kernel size 4 must be odd"),
        ("convedlstm", {"state_kernel": 2}, "kernel size 2 must be odd"),
        ("convedlstm", {"kernel": (3, -1)}, "must be 1 or more"),
        ("convedlstm", {"state_kernel": -3}, "kernel size -3 must be odd and above 0"),
        ("convedlstm", {"stride": 3}, "unknown stride 3: choose one of 1, 2"),
        ("convedlstm", {"cell": "zzz"}, "unknown cell 'zzz': choose one of convlstm, convgru"),
        ("convedlstm", {"norm": "zzz"}, "unknown norm 'zzz': choose one of '', layer, group"),
        ("convedlstm", {"stride": 1, "max_pool": True}, "stride 1 keeps the size: max_pool"),
        ("convedlstm", {"stride": 1, "transpose": False}, "stride 1 keeps the size: .*transpose"),
        ("convedlstm", {"size": 18}, "size 18 px does not divide by 4"),
        ("convedlstm", {"size": 32, "cell": "convgru"}, "size is for peepholes of a convlstm"),
        ("convedlstm", {"size": 32, "peephole": False}, "size is for peepholes of a convlstm"),
        ("convedlstm", {"use_lstm_output": True, "cell": "convgru"}, "convgru has no output gate"),
        ("convedlstm", {"peephole": False, "cell": "convgru"}, "convgru has no peepholes"),
        ("forecaster", {"peephole": False, "cell": "convgru"}, "convgru has no peepholes"),
        ("fclstm", {"size": 0}, "size is 0: it must be 1 or more"),
        ("fclstm", {"hidden": ()}, "at least one cell"),
    ],
    ids=str,
)
def test_contradictory_options_are_refused(kind, options, why):
    convolutions = {} if kind == "fclstm" else {"hidden": (3, 3), "kernel": (3, 3)}
    with pytest.raises(ValueError, match=why):
        CONFIGS[kind](**convolutions | options)


@pytest.mark.parametrize("kind", CONFIGS)
def test_only_the_options_of_a_kind_are_accepted(kind):
    every_option = {name for config in CONFIGS.values() for name in option_names(config)}
    for name in every_option - set(option_names(CONFIGS[kind])):
        with pytest.raises(TypeError, match=name):
            CONFIGS[kind](**{name: 1})


def test_unknown_kinds_are_refused():
    with pytest.raises(ValueError, match="unknown kind of network 'zzz': choose one of convedlstm"):
        config_class("zzz")


@pytest.mark.parametrize("kind", FORECASTING)
def test_network_behaves_as_its_configuration_tells(kind):
    config = CONFIGS[kind](hidden=(3,), size=16) if kind == "fclstm" else TINY_OF[kind]
    network = build(config)
    x, truth = torch.rand(2, 3, 1, 16, 16), torch.rand(2, 4, 1, 16, 16)
    coins = torch.ones(2, 3, dtype=torch.bool)
    if config.feeds_back:
        assert (network(x, 4) != network(x, 4, truth, coins)).any()
    else:
        with pytest.raises(ValueError, match="nothing to sample"):
            network(x, 4, truth, coins)

    rates = len(RATES) if config.gives_probabilities else 1
    assert network(x[:, : config.fewest_frames], 4).shape == (2, 4, rates, 16, 16)
    target = torch.rand(2, 4, 1, 16, 16)
    for name in config.losses:
        assert torch.isfinite(LOSSES[name](network(x, 4), target, ModelScale()))


def test_logits_of_frames_become_rain_rates():
    logits = torch.tensor([-100.0, 0.0, 100.0])
    rate = build(TINY).rain_rate(logits, ModelScale(rate0=0.1, rate_max=128.0))
    torch.testing.assert_close(rate, torch.tensor([0.0, 0.1 * (1281**0.5 - 1), 128.0]))
