"""Networks that forecast frames from frames: (B, T, C, H, W) → (B, n_out, C, H, W)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .cells import ConvLSTMCell


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a ConvEDLSTM."""

    hidden: tuple[int, ...] = (32, 64, 48, 16)  # hidden channels of each cell; the first half encodes
    kernel: tuple[int, ...] = (5, 5, 5, 3)  # kernel size of each cell, px
    stride: int = 2  # 2: each encoding cell halves height and width, each decoding cell doubles them; 1: none does
    patch: int = 2  # space-to-depth before the first cell: patch × patch px become channels
    peephole: bool = True  # the gates see the cell state
    skip: bool = True  # the output layer also sees the frame that entered, so that details need no memory

    def __post_init__(self):
        if len(self.hidden) != len(self.kernel):
            raise ValueError(f"{len(self.hidden)} cells but {len(self.kernel)} kernels: give one kernel for each cell")
        if self.stride == 2 and len(self.hidden) % 2:
            raise ValueError(f"{len(self.hidden)} cells cannot halve as often as they double: give an even number")
        if self.stride not in (1, 2):
            raise ValueError(f"stride {self.stride} is neither 1 nor 2")


class ConvEDLSTM(nn.Module):
    """Conv-Encoder-Decoder-LSTM (Zampar 2025): a stack of ConvLSTM cells through which one frame at a time passes up.

    Every cell keeps its state; what comes out at the top is the next frame, and the next input while forecasting.
    Inputs are in model units (0 = dry … 1), 0 where not observed; outputs are logits: ``sigmoid`` makes frames.
    """

    def __init__(self, config: ModelConfig = ModelConfig(), channels: int = 1):
        super().__init__()
        self.config = config
        n, c = len(config.hidden), channels * config.patch**2
        self.cells = nn.ModuleList()
        for k, (hidden, kernel) in enumerate(zip(config.hidden, config.kernel, strict=True)):
            scale = {
                "stride": config.stride if k < n // 2 else 1,
                "transpose": config.stride == 2 and k >= n // 2,
            }
            self.cells.append(ConvLSTMCell(c, hidden, kernel, peephole=config.peephole, **scale))
            c = hidden
        outs = channels * config.patch**2
        self.head = nn.Conv2d(c + (outs if config.skip else 0), outs, 1)
        if config.skip:  # untrained, it answers nearly with the frame that entered: training starts at persistence
            with torch.no_grad():
                self.head.weight[:, c:] = torch.eye(outs)[..., None, None]
                self.head.bias.zero_()

    def forward(self, x: Tensor, n_out: int, truth: Tensor | None = None, coins: Tensor | None = None) -> Tensor:
        """Logits of the ``n_out`` frames after ``x``: (B, T, C, H, W) → (B, n_out, C, H, W); any height and width.

        Scheduled sampling (Bengio et al. 2015): where ``coins`` (B, n_out - 1; bool) is true the next input is the
        true frame of ``truth`` (B, n_out, C, H, W), else the network's own. Without coins: free rollout.
        """
        height, width = x.shape[-2:]
        x = self._pack(x)  # (B, T, C·patch², H/patch, W/patch)
        up, states = x, []
        for cell in self.cells:  # the observed frames are all known: layer by layer
            up, state = cell.sequence(up)
            states.append(state)
        last, top = x[:, -1], up[:, -1]
        if coins is not None:
            truth = self._pack(truth)
        outputs = []
        for t in range(n_out):
            if t:
                last = torch.sigmoid(outputs[-1])
                if coins is not None:
                    last = torch.where(coins[:, t - 1, None, None, None], truth[:, t - 1], last)
                top = last
                for k, cell in enumerate(self.cells):  # these are not: frame by frame
                    top, states[k] = cell(top, states[k])
            entered = [torch.logit(last, eps=0.01)] if self.config.skip else []
            outputs.append(self.head(torch.cat([top, *entered], 1)))
        logits = torch.stack(outputs, 1)  # (B, n_out, C·patch², H/patch, W/patch)
        logits = F.pixel_shuffle(logits, self.config.patch)
        return logits[..., :height, :width]

    def _pack(self, x: Tensor) -> Tensor:
        """Pad height and width to what the cells can halve, then space to depth."""
        halvings = len(self.config.hidden) // 2 if self.config.stride == 2 else 0
        multiple = self.config.patch * 2**halvings
        height, width = x.shape[-2:]
        x = F.pad(x, (0, -width % multiple, 0, -height % multiple))
        return F.pixel_unshuffle(x, self.config.patch)
