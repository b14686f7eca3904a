"""The mask of Zampar's scheduled sampling, as ``benchmarks/zampar_mask.py`` rebuilds it."""

import importlib.util
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch.utils.data import Subset

from nowcastlib.networks import ConvEDLSTMConfig
from nowcastlib.networks.conv_ed_lstm import ConvEDLSTM
from nowcastlib.training import TrainConfig

FILE = Path(__file__).parents[2] / "benchmarks" / "zampar_mask.py"
SPEC = importlib.util.spec_from_file_location("zampar_mask", FILE)
zampar_mask = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(zampar_mask)

TINY = ConvEDLSTMConfig(hidden=(2, 2), kernel=(3, 3), patch=1, skip=False, size=8)
CONFIG = TrainConfig().changed(
    model=TINY, n_in=3, n_out=2, crop=0, curriculum=(), epochs=2, steps=20, batch=2, sampling=1.0
)
FILMS = Subset(torch.rand(4, 5, 1, 8, 8), range(4))


def trained_batches(is_active, config=CONFIG):
    """What a training of two epochs yields, and the shares of true pixels that were noted."""
    training = zampar_mask.MaskedTraining(config, is_active)
    accelerator = Accelerator(cpu=True)
    coins = [c for k in (0, 1) for *_, c in training.batches(config, FILMS, k, accelerator, 0)]
    return coins, training.shares


def test_a_pixel_of_the_mask_never_becomes_true_again():
    mask = zampar_mask.PixelMask((1, 2, 1, 100, 100), seed=0)
    before = mask.values
    for batch, probability in enumerate((1.0, 0.5, 0.5, 1.0)):
        after = mask.darken(probability)
        assert not (after & ~before).any()
        expected = (1, 0.5, 0.25, 0.25)[batch]
        assert after.float().mean() == pytest.approx(expected, abs=0.02)
        before = after
    assert not mask.darken(0).any()


def test_the_mask_outlives_an_epoch_while_draws_follow_their_probability():
    masks, kept = trained_batches(is_active=True)
    coins, drawn = trained_batches(is_active=False)
    assert masks[0].shape == (2, 2, 1, 8, 8)
    assert coins[0].shape == (2, 1)
    assert kept == sorted(kept, reverse=True)
    assert kept[0] == 3 / 4  # all three observed frames, of four that the network sees
    assert kept[20] < 0.27  # the first frame is left, and hardly a pixel of the others
    assert kept[-1] == 1 / 4
    assert max(drawn[20:]) > 3 / 4  # true frames are still drawn in the second epoch
    assert drawn[-1] == 3 / 4


def test_without_sampling_only_observed_frames_are_true():
    _, shares = trained_batches(is_active=False, config=CONFIG.changed(sampling=0.0))
    assert shares == [3 / 4] * 40


def test_a_dark_mask_leaves_the_first_frame_only():
    torch.manual_seed(0)
    network, x = ConvEDLSTM(TINY), torch.rand(2, 3, 1, 8, 8)
    mask = torch.ones(2, 2, 1, 8, 8, dtype=torch.bool)
    forward = zampar_mask.masked_forward
    torch.testing.assert_close(forward(network, x, 4, None, mask), network(x, 4))
    dark = forward(network, x, 4, None, ~mask)
    torch.testing.assert_close(dark, network(x[:, :1], 6)[:, 2:])
    assert not torch.allclose(dark, network(x, 4), atol=1e-4)


def test_training_with_the_mask_leaves_the_network_as_it_was():
    usual = ConvEDLSTM.forward
    with zampar_mask.MaskedTraining(CONFIG):
        assert ConvEDLSTM.forward is zampar_mask.masked_forward
    assert ConvEDLSTM.forward is usual
