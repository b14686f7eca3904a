"""The classifier of clips: equal to Keras, gradients, heads, options, refusals."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import one_thread, seeded  # noqa: F401

from nowcastlib.networks import SEED_CLASSIFIER, ClassifierConfig, build, probability
from nowcastlib.networks.cells import ConvGRUCell, hard_sigmoid
from nowcastlib.networks.losses import label_bce
from nowcastlib.units import ModelScale

KERAS = Path(__file__).with_name("keras_classifier.npz")  # see make_keras_reference.py
SMALL = ClassifierConfig(hidden=(3, 4), kernel=(3, 3))


def clips(*shape):
    torch.manual_seed(1)
    return torch.rand(*(shape or (2, 3, 1, 16, 16)), dtype=torch.float64)


def small(**changes):
    return ClassifierConfig(**{"hidden": (3, 4), "kernel": (3, 3)} | changes)


def like_keras(arrays) -> torch.nn.Module:
    """The network of ``SEED_CLASSIFIER`` with the weights of the Keras model."""
    weights = [torch.from_numpy(arrays[f"weight{k}"].astype("f4")) for k in range(10)]
    kernels = [weights[k].permute(3, 2, 0, 1) for k in (0, 1, 6, 7)]  # (y, x, in, out) → ours
    names = ["cells.0.from_x", "cells.0.from_h", "cells.1.from_x", "cells.1.from_h"]
    state = {f"{name}.weight": kernel for name, kernel in zip(names, kernels, strict=True)}
    norm = ("weight", "bias", "running_mean", "running_var")
    state |= {f"between.0.1.{name}": weights[k] for k, name in enumerate(norm, 2)}
    state |= {"head.weight": weights[8].T, "head.bias": weights[9]}

    network = build(SEED_CLASSIFIER, channels=4)
    state["between.0.1.num_batches_tracked"] = torch.tensor(0)
    network.load_state_dict(state)
    return network.eval()


def test_the_seeds_shape_equals_a_stack_of_keras_convlstm2d():
    """The file was written by Keras 3 itself, with the hard sigmoid of Keras 2."""
    assert KERAS.stat().st_size < 200_000
    with np.load(KERAS) as arrays:
        network = like_keras(arrays)
        x = torch.from_numpy(arrays["clips"].astype("f4")).permute(0, 1, 4, 2, 3)  # (B, T, C, H, W)
        lower, _ = network.cells[0].sequence(x)
        expected = torch.from_numpy(arrays["lower"]).permute(0, 3, 1, 2)
        torch.testing.assert_close(lower[:, -1], expected, rtol=1e-4, atol=1e-5)
        upper = torch.from_numpy(arrays["upper"]).permute(0, 3, 1, 2)
        torch.testing.assert_close(network.last_state(x), upper, rtol=1e-4, atol=1e-5)
        answer = torch.from_numpy(arrays["answer"])[:, 0]
        torch.testing.assert_close(probability(network, x), answer, rtol=1e-4, atol=1e-5)


def test_hard_sigmoid_is_that_of_keras_2():
    x = torch.tensor([-9.0, -2.5, 0.0, 1.0, 2.5, 9.0])
    torch.testing.assert_close(hard_sigmoid(x), torch.tensor([0, 0, 0.5, 0.7, 1, 1]))


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"head": "dense"}, {"pooling": "mean"}, {"head": "dense", "pooling": "mean"},
        {"padding": "valid"}, {"batch_norm": False}, {"pool": 1}, {"cell": "convgru"},
        {"gate": "hard_sigmoid"}, {"norm": "layer"}, {"patch": 1},
        {"hidden": (3, 3, 4), "kernel": (3, 3, 5)},
    ],
    ids=str,
)  # fmt: skip
def test_every_weight_gets_a_gradient_and_each_clip_one_logit(changes):
    network = seeded(lambda: build(small(**changes)))
    logits = network(clips(4, 3, 1, 24, 24))
    assert logits.shape == (4, 1)
    logits.square().sum().backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without
    if changes.get("cell") == "convgru":
        assert all(isinstance(cell, ConvGRUCell) for cell in network.cells)


@pytest.mark.parametrize("size", [(16, 16), (37, 50), (9, 8)])
def test_it_works_at_any_size(size):
    assert build(SMALL)(torch.rand(2, 3, 1, *size)).shape == (2, 1)


def test_max_pooling_finds_one_bright_pixel_wherever_it_is():
    """The largest pixel of the map decides: moving the pattern moves the map, not the answer."""
    network = seeded(lambda: build(small(patch=1, pool=1, pooling="max"))).eval()
    x = torch.zeros(2, 3, 1, 24, 24, dtype=torch.float64)
    x[0, :, :, 8:11, 8:11] = x[1, :, :, 12:15, 11:14] = 1
    maps = network.answer_map(x)
    torch.testing.assert_close(maps[0, :, 6:14, 6:14], maps[1, :, 10:18, 9:17])
    logits = network(x)
    torch.testing.assert_close(logits[0], logits[1])
    torch.testing.assert_close(logits[:, 0], maps.amax((1, 2, 3)))


def test_mean_pooling_averages_the_map():
    network = seeded(lambda: build(small(pooling="mean"))).eval()
    torch.testing.assert_close(network(clips())[:, 0], network.answer_map(clips()).mean((1, 2, 3)))


def test_only_the_head_map_has_a_map():
    with pytest.raises(ValueError, match="only a classifier with the head map"):
        build(small(head="dense")).answer_map(torch.rand(1, 2, 1, 16, 16))


def test_the_order_of_the_frames_matters():
    network = seeded(lambda: build(SMALL)).eval()
    x = clips()
    assert (network(x) - network(x.flip(1))).abs().min() > 1e-4


def test_dropout_acts_in_training_only():
    network = seeded(lambda: build(small(dropout=0.5)))
    x = clips()
    network.train()
    assert len({network(x)[0].item() for _ in range(6)}) > 1
    network.eval()
    assert torch.equal(network(x), network(x))


def test_frames_that_valid_windows_shrink_to_nothing_are_refused():
    network = build(SEED_CLASSIFIER)
    assert network(torch.rand(1, 2, 1, 8, 8)).shape == (1, 1)
    with pytest.raises(ValueError, match=r"too small: cell 2 gets maps of \(2, 2\) px"):
        network(torch.rand(1, 2, 1, 7, 7))


def test_questions_that_it_cannot_answer_are_refused():
    network = build(SMALL)
    with pytest.raises(ValueError, match="nothing to sample"):
        network(torch.rand(1, 2, 1, 16, 16), coins=torch.ones(1, 0, dtype=torch.bool))
    with pytest.raises(ValueError, match="one answer for a clip, not 3"):
        network(torch.rand(1, 2, 1, 16, 16), 3)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"pool": 0}, "pool is 0"),
        ({"dropout": 1.0}, "dropout is 1.0: it must be 0 or more and below 1"),
        ({"gate": "hard_sigmoid", "cell": "convgru"}, "gate hard_sigmoid is for a convlstm"),
        ({"padding": "zzz"}, "unknown padding 'zzz'"),
        ({"hidden": (3,), "kernel": (3,)}, "stand between two cells, and there is only one"),
    ],
    ids=str,
)
def test_contradictory_options_are_refused(changes, why):
    with pytest.raises(ValueError, match=why):
        small(**changes)


def test_loss_by_hand_with_a_weight_and_without_unknown_labels():
    logits = torch.tensor([[0.0], [2.0], [1.0]])
    target = torch.tensor([[1.0], [0.0], [torch.nan]])
    yes, no = np.log(2), np.log(1 + np.exp(2))
    plain = label_bce(logits, target, ModelScale())
    weighted = label_bce(logits, target, ModelScale(), pos_weight=3.0)
    assert plain.item() == pytest.approx((yes + no) / 2)
    assert weighted.item() == pytest.approx((3 * yes + no) / 2)
