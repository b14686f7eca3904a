"""The Conv-Encoder-Decoder-LSTM: a stack of cells that feeds its own forecast back."""

import torch
from torch import Tensor, nn

from nowcastlib.networks import stacks
from nowcastlib.networks.base import FrameNetwork
from nowcastlib.networks.config import ConvEDLSTMConfig
from nowcastlib.networks.moved_frame import MovedFrame, misfits
from nowcastlib.networks.packing import pack, unpack


class ConvEDLSTM(FrameNetwork):
    """A stack of convolutional cells through which one frame at a time passes.

    The first half of the cells halves height and width, the second half doubles them. Every cell
    keeps its state. The output of the highest cell becomes the next frame, which is the next input
    while forecasting. Works at any height and width, unless ``config.size`` is set.

    Two options help it to find the motion of the frames: it can ``compare`` each frame with the one
    before, and ``move`` the frame that skips to the output layer.

    Parameters
    ----------
    config : ConvEDLSTMConfig
    channels : int
        Channels of a frame.

    References
    ----------
    Zampar 2025 (Conv-ED-LSTM). Bengio et al. 2015, arXiv 1506.03099 (scheduled sampling).
    """

    config: ConvEDLSTMConfig

    def __init__(self, config: ConvEDLSTMConfig, channels: int = 1):
        super().__init__(config)
        packed = channels * config.patch**2
        self.cells = self._make_cells(packed + config.displacements)

        top = config.hidden[-1]
        maps = top + config.displacements
        self.moved = MovedFrame(maps, config.move, config.patch) if config.move else None
        seen = top + (packed if config.skip else 0)
        self.head = nn.Conv2d(seen, packed, 1, bias=config.head_bias)
        if config.skip:
            self._start_at_persistence(top)

    @torch.no_grad()
    def _start_at_persistence(self, top: int) -> None:
        """Initial weights with which the output is nearly the frame that entered."""
        packed = self.head.out_channels
        self.head.weight[:, top:] = torch.eye(packed)[..., None, None]
        if self.config.move:
            self.head.weight[:, :top] = 0  # the frame is moved; correcting it is learned later
        if self.head.bias is not None:
            self.head.bias.zero_()

    def _make_cells(self, in_channels: int) -> nn.ModuleList:
        config = self.config
        cells = nn.ModuleList()
        size = config.size // config.patch  # px of the states; 0: any
        for k, (hidden, kernel) in enumerate(zip(config.hidden, config.kernel, strict=True)):
            options: dict = {"state_bias": config.state_bias}
            if config.stride == 2:
                halves = k < len(config.hidden) // 2
                options |= self._halving(kernel) if halves else self._doubling()
                size = size // 2 if halves else size * 2
            if size:
                options["size"] = (size, size)
            if config.cell == "convlstm":
                # The output layer sees the hidden state of the highest cell in any case.
                highest = k == len(config.hidden) - 1
                options["gate_out"] = config.use_lstm_output and not highest
                options["peephole_init"] = config.peephole_init
                options["forget_bias"] = config.forget_bias
            cells.append(stacks.make_cell(config, in_channels, hidden, kernel, **options))
            in_channels = hidden
        return cells

    def _halving(self, kernel: int) -> dict:
        if not self.config.max_pool:
            return {"stride": 2}
        return {"stride": 2, "pool": self.config.pool_window or kernel}

    def _doubling(self) -> dict:
        return {"double": "nearest" if self.config.transpose is False else "transpose"}

    def forward(
        self, x: Tensor, n_out: int, truth: Tensor | None = None, coins: Tensor | None = None
    ) -> Tensor:
        """Logits of the ``n_out`` frames after ``x``; see ``ForecastNetwork.forward``.

        Coins may also be tossed for single pixels of patches:
        (B, n_out - 1, C·patch², H/patch, W/patch). It does not help.
        """
        size = x.shape[-2:]
        x = self._pack(x)  # (B, T, C·patch², H/patch, W/patch)
        entered = self.inputs(x)
        _, states = stacks.read(self.cells, entered)
        if coins is not None:
            if truth is None:
                raise ValueError("coins choose true frames: give truth, too")
            truth = self._pack(truth)
            coins = coins[(..., *[None] * (5 - coins.ndim))]  # (B, n_out - 1, 1, 1, 1)

        frame = x[:, -1]
        top = states[-1][0]  # hidden state of the highest cell: (B, hidden, H/patch, W/patch)
        logits = [self.output(top, entered[:, -1])]
        for t in range(n_out - 1):
            before, frame = frame, torch.sigmoid(logits[-1])  # (B, C·patch², H/patch, W/patch)
            if truth is not None and coins is not None:
                frame = torch.where(coins[:, t], truth[:, t], frame)
            fed_back = self.input(frame, before)
            top, states = stacks.step(self.cells, fed_back, states)
            logits.append(self.output(top, fed_back))

        # (B, n_out, C·patch², H/patch, W/patch) → (B, n_out, C, H, W)
        return unpack(torch.stack(logits, 1).contiguous(), self.config.patch, size)

    def _pack(self, frames: Tensor) -> Tensor:
        return pack(frames, self.config.patch, self.config.size_multiple)

    def inputs(self, x: Tensor) -> Tensor:
        """What enters the first cell while it reads packed frames (B, T, C·patch², …): (B, T, …).

        (B, T - 1, …) where each frame is compared with the one before.
        """
        if not self.config.compare:
            return x
        if x.shape[1] < self.config.fewest_frames:
            raise ValueError("frames are compared: give two input frames or more")
        inputs = self.input(x[:, 1:].flatten(0, 1), x[:, :-1].flatten(0, 1))
        return inputs.unflatten(0, (len(x), -1))

    def input(self, frame: Tensor, before: Tensor) -> Tensor:
        """What enters the first cell: the frame, and how it fits the frame before.

        Parameters
        ----------
        frame, before : Tensor
            In model units, (B, C·patch², H/patch, W/patch).

        Returns
        -------
        Tensor
            (B, C·patch² + displacements, H/patch, W/patch).
        """
        if not self.config.compare:
            return frame
        fit = misfits(frame, before, self.config).to(frame.dtype)
        return torch.cat([frame, fit], 1)

    def output(self, top: Tensor, entered: Tensor) -> Tensor:
        """Logits of the next frame.

        Parameters
        ----------
        top : Tensor
            Hidden state of the highest cell, (B, hidden, H/patch, W/patch).
        entered : Tensor
            What ``input`` has given to the first cell.

        Returns
        -------
        Tensor
            (B, C·patch², H/patch, W/patch).
        """
        if not self.config.skip:
            return self.head(top)
        packed = self.head.out_channels
        frame, fit = entered[:, :packed], entered[:, packed:]
        if self.moved is not None:
            frame = self.moved(frame, torch.cat([top, fit], 1))
        return self.head(torch.cat([top, torch.logit(frame, eps=0.01)], 1))
