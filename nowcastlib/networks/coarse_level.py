"""A second, coarser level of cells for a motion-guided network."""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nowcastlib.networks import stacks
from nowcastlib.networks.config import GuidedConfig
from nowcastlib.networks.packing import pad
from nowcastlib.networks.recurrence import State

RATIO = 4  # patches along the side of a coarse pixel


class CoarseLevel(nn.Module):
    """Cells that see averages over wide pixels, and so the rain of a whole region.

    One cell reads the past, another one forecasts, as on the fine level. Its answer is added to
    that of the fine cells; it is 0 before training.

    Parameters
    ----------
    config : GuidedConfig
        ``config.coarse`` is the number of hidden channels.
    surroundings : int
        Channels that are seen besides the rain.
    answers : int
        Channels of the answer, those of the network's output layer.
    """

    def __init__(self, config: GuidedConfig, surroundings: int, answers: int):
        super().__init__()
        self.side = RATIO * config.patch  # px of a coarse pixel
        one_cell = replace(config, hidden=(config.coarse,), kernel=(3,))
        self.encoder = stacks.make_stack(one_cell, 2 + surroundings)  # rain, its mask
        self.forecaster = stacks.make_stack(one_cell, 1 + surroundings)  # rain
        self.head = nn.Conv2d(config.coarse, answers, 1)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)

    def read(self, frames: list[Tensor], surroundings: Tensor) -> list[State]:
        """States of the cells after T frames (B, 2, H, W): the rain and its mask.

        ``surroundings`` are (B, C, H/patch, W/patch).
        """
        seen = [self._inputs(frame, surroundings) for frame in frames]
        _, states = stacks.read(self.encoder, torch.stack(seen, 1))
        return states

    def step(
        self, rain: Tensor, surroundings: Tensor, states: list[State]
    ) -> tuple[Tensor, list[State]]:
        """The answer (B, answers, H/patch, W/patch) for rain (B, 1, H, W), and new states."""
        top, states = stacks.step(self.forecaster, self._inputs(rain, surroundings), states)
        answer = F.interpolate(self.head(top), scale_factor=RATIO, mode="bilinear")
        return answer, states

    def _inputs(self, frame: Tensor, surroundings: Tensor) -> Tensor:
        """Averages over coarse pixels: (B, C, H, W) → (B, C + surroundings, H/side, W/side)."""
        averages = F.avg_pool2d(pad(frame, self.side), self.side)
        return torch.cat([averages, F.avg_pool2d(surroundings, RATIO)], 1)
