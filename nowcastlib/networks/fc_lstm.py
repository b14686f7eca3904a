"""The fully connected LSTM that the ConvLSTM paper compares itself with."""

from torch import Tensor, nn

from nowcastlib.networks import stacks
from nowcastlib.networks.base import FrameNetwork
from nowcastlib.networks.cells import LSTMCell
from nowcastlib.networks.config import FCLSTMConfig


class FCLSTM(FrameNetwork):
    """An encoder and a forecaster of fully connected LSTM cells.

    A frame is one vector; a state knows no places. No forecast is fed back. For frames of
    ``config.size`` px only; others raise ValueError.

    Parameters
    ----------
    config : FCLSTMConfig
    channels : int
        Channels of a frame.

    References
    ----------
    Shi et al. 2015, arXiv 1506.04214, section 4.1.
    """

    config: FCLSTMConfig

    def __init__(self, config: FCLSTMConfig, channels: int = 1):
        super().__init__(config)
        self.frame = (channels, config.size, config.size)
        pixels = channels * config.size**2
        self.encoder = self._make_stack(pixels)
        self.forecaster = self._make_stack(0)
        self.head = nn.Linear(sum(config.hidden), pixels)

    def _make_stack(self, inputs: int) -> nn.ModuleList:
        cells = nn.ModuleList()
        for hidden in self.config.hidden:
            cells.append(LSTMCell(inputs, hidden, self.config.peephole))
            inputs = hidden
        return cells

    def forward(
        self, x: Tensor, n_out: int, truth: Tensor | None = None, coins: Tensor | None = None
    ) -> Tensor:
        """Logits of the ``n_out`` frames after ``x``; see ``ForecastNetwork.forward``."""
        self.refuse_coins(coins)
        if x.shape[2:] != self.frame:
            raise ValueError(
                f"this network is for frames of {self.frame}, not {tuple(x.shape[2:])}"
            )

        _, states = stacks.read(self.encoder, x.flatten(2))  # frames as vectors: (B, T, C·H·W)
        hidden = stacks.unroll(self.forecaster, states, n_out)  # (B, n_out, sum of hidden)
        return self.head(hidden).unflatten(2, self.frame)  # (B, n_out, C, H, W)
