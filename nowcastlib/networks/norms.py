"""Normalisation of maps after a convolution, in the precision of the maps.

Under autocast, PyTorch normalises in float32 on a GPU. There this took as long as all else in a
step; means and variances are summed in float32 anyway.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GroupNorm(nn.GroupNorm):
    """``torch.nn.GroupNorm`` whose result has the type of the maps, under autocast, too.

    References
    ----------
    Wu and He 2018, arXiv 1803.08494.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Normalise maps (B, C, H, W)."""
        weight, bias = self.weight.to(maps.dtype), self.bias.to(maps.dtype)
        with torch.autocast(maps.device.type, enabled=False):
            return F.group_norm(maps, self.num_groups, weight, bias, self.eps)


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
        weight, bias = self._like(self.weight, maps), self._like(self.bias, maps)
        with torch.autocast(maps.device.type, enabled=False):
            # A single group is all channels. layer_norm would first copy maps with channels last.
            return torch.addcmul(bias, F.group_norm(maps, 1), weight)

    @staticmethod
    def _like(parameter: Tensor, maps: Tensor) -> Tensor:
        """A parameter (C, H, W) as (1, C, H, W), with the type and the layout of the maps."""
        is_last = maps.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if is_last else torch.contiguous_format
        return parameter[None].to(maps.dtype, memory_format=layout)
