"""The scheduled sampling of Zampar (2025), rebuilt to see what it does to the training.

Each batch writes zeros into one mask of pixels, which is never set back to one. The mask acts on
the observed frames: where it is zero, the network sees its own forecast in place of the observed
pixel. The first frame is always observed. While forecasting, the network sees its own frames only.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from unittest import mock

import torch
from torch import Tensor

from nowcastlib.networks import stacks
from nowcastlib.networks.conv_ed_lstm import ConvEDLSTM
from nowcastlib.training import TrainConfig, loop, schedules

SHARES_AT = (1, 5, 10, 20, 40, 80, 160, 240)  # batches after which the share is reported
BATCHES = loop.batches
FORWARD = ConvEDLSTM.forward


class PixelMask:
    """A mask in which pixels become False, never True again.

    Parameters
    ----------
    shape : tuple of int
        (B, n_in - 1, C, H, W): the pixels of all observed frames but the first.
    seed : int
        Seed of the draws.
    """

    def __init__(self, shape: tuple[int, ...], seed: int):
        self.values = torch.ones(shape, dtype=torch.bool)
        self.rng = torch.Generator().manual_seed(seed)

    def darken(self, probability: float) -> Tensor:
        """Keep each pixel that is still True with a probability; the mask after that."""
        self.values = self.values & (
            torch.rand(self.values.shape, generator=self.rng) < probability
        )
        return self.values


def masked_forward(
    self: ConvEDLSTM, x: Tensor, n_out: int, truth: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    """``ConvEDLSTM.forward`` with a mask (B, n_in - 1, C, H, W) on the observed frames.

    For networks with ``patch=1``. Without a mask it is the usual one.
    """
    if mask is None:
        return FORWARD(self, x, n_out)

    n_in = x.shape[1]
    outputs, states = stacks.read(self.cells, x[:, :1])
    logits = [self.output(outputs[:, -1], x[:, 0])]
    for t in range(1, n_in + n_out - 1):
        frame = torch.sigmoid(logits[-1])  # (B, C, H, W)
        if t < n_in:
            frame = torch.where(mask[:, t - 1], x[:, t], frame)
        top, states = stacks.step(self.cells, frame, states)
        logits.append(self.output(top, frame))
    return torch.stack(logits[n_in - 1 :], 1)  # (B, n_out, C, H, W)


class MaskedTraining:
    """While active, ``fit`` trains with the mask; it notes which share of the input is true.

    Parameters
    ----------
    config : TrainConfig
        Its scheduled sampling gives the probability with which a pixel stays in each batch.
    is_active : bool
        False notes the shares only, of usual scheduled sampling or of none.
    """

    def __init__(self, config: TrainConfig, is_active: bool = True):
        self.is_active = is_active
        windows, size = config.windows, config.model.size
        self.inputs = windows.n_in + windows.n_out - 1  # frames that the network sees
        shape = (config.run.batch, windows.n_in - 1, 1, size, size)
        self.mask = PixelMask(shape, config.run.seed)
        self.shares: list[float] = []  # of true pixels among all that the network sees, by batch

    def __enter__(self) -> "MaskedTraining":
        with ExitStack() as stack:
            stack.enter_context(mock.patch.object(loop, "batches", self.batches))
            if self.is_active:
                stack.enter_context(mock.patch.object(ConvEDLSTM, "forward", masked_forward))
            self._exit = stack.pop_all()
        return self

    def __exit__(self, *error) -> None:
        self._exit.close()

    def batches(self, config: TrainConfig, *args) -> Iterator:
        """The batches of an epoch, with the mask in place of the draws."""
        for time, frames, coins in BATCHES(config, *args):
            if self.is_active:
                coins = self.mask.darken(schedules.truth_probability(config, time))
                n_true = 1 + float(coins.float().mean()) * (config.windows.n_in - 1)
            else:
                drawn = 0.0 if coins is None else float(coins.float().mean())
                n_true = config.windows.n_in + drawn * (config.windows.n_out - 1)
            self.shares.append(n_true / self.inputs)
            yield time, frames, coins

    def table(self) -> dict[str, float]:
        """Share of true pixels after some numbers of batches, as columns of a table."""
        return {f"true_{k}": self.shares[k - 1] for k in SHARES_AT if k <= len(self.shares)}
