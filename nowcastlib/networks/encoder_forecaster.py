"""The encoding-forecasting network of the ConvLSTM paper."""

from torch import Tensor, nn

from nowcastlib.networks import stacks
from nowcastlib.networks.base import FrameNetwork
from nowcastlib.networks.config import EncoderForecasterConfig
from nowcastlib.networks.packing import pack, unpack


class EncoderForecaster(FrameNetwork):
    """An encoder reads the frames; a forecaster starts from copies of its last states.

    The lowest cell of the forecaster has no input, each other cell the one below. The hidden states
    of all cells make a frame, by a 1 × 1 convolution. No forecast is fed back. Works at any height
    and width.

    Parameters
    ----------
    config : EncoderForecasterConfig
    channels : int
        Channels of a frame.

    References
    ----------
    Shi et al. 2015, arXiv 1506.04214, section 3.2.
    """

    config: EncoderForecasterConfig

    def __init__(self, config: EncoderForecasterConfig, channels: int = 1):
        super().__init__(config)
        packed = channels * config.patch**2
        self.encoder = stacks.make_stack(config, packed)
        self.forecaster = stacks.make_stack(config, 0)
        self.head = nn.Conv2d(sum(config.hidden), packed, 1)

    def forward(
        self, x: Tensor, n_out: int, truth: Tensor | None = None, coins: Tensor | None = None
    ) -> Tensor:
        """Logits of the ``n_out`` frames after ``x``; see ``ForecastNetwork.forward``."""
        self.refuse_coins(coins)
        size = x.shape[-2:]
        patch = self.config.patch
        x = pack(x, patch, self.config.size_multiple)  # (B, T, C·patch², H/patch, W/patch)

        _, states = stacks.read(self.encoder, x)
        hidden = stacks.unroll(self.forecaster, states, n_out)  # (B, n_out, sum of hidden, …)

        logits = self.head(hidden.flatten(0, 1)).unflatten(0, hidden.shape[:2]).contiguous()
        return unpack(logits, patch, size)  # (B, n_out, C, H, W)
