"""Layer normalisation with weights for each pixel."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PixelNorm(nn.Module):
    """Layer normalisation over channels and pixels, with a weight and a bias for each of them.

    ``torch.nn.LayerNorm`` over (C, H, W) has the same weights. It takes maps of 1 × 1 px, too,
    which stand for maps with the same value at each pixel.

    Parameters
    ----------
    channels : int
        Channels C of the maps.
    size : tuple of int
        Height and width of the maps, px.

    References
    ----------
    Ba et al. 2016, arXiv 1607.06450. Zampar 2025 (Conv-ED-LSTM).
    """

    def __init__(self, channels: int, size: tuple[int, int]):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, *size))
        self.bias = nn.Parameter(torch.zeros(channels, *size))

    def forward(self, maps: Tensor) -> Tensor:
        """Normalise maps (B, C, H, W) or (B, C, 1, 1) to (B, C, H, W).

        Raises
        ------
        ValueError
            For maps of another size.
        """
        size = maps.shape[2:]
        if size not in (self.weight.shape[1:], (1, 1)):
            raise ValueError(
                f"the normalisation is for maps of {tuple(self.weight.shape[1:])} px, "
                f"not {tuple(size)}"
            )
        return F.layer_norm(maps, maps.shape[1:]) * self.weight + self.bias
