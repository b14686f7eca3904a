"""How a Conv-ED-LSTM sees motion, and how it moves a frame.

``misfits`` compares a frame with the one before at several displacements. ``MovedFrame`` moves a
frame along the motion that the network forecasts.

References
----------
Niklaus et al. 2017, arXiv 1708.01692 (adaptive separable convolution). Sun et al. 2018, arXiv
1709.02371 (costs of displacements as input of a network).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nowcastlib.networks.config import ConvEDLSTMConfig

WINDOW = 7  # patches; frames are compared in windows of this side
LITTLE = 1e-3  # squared model units; windows that differ less tell little about the motion
STAY = 0.5  # untrained, a weight is smaller by the factor exp(-STAY) for each px of displacement


def misfits(frames: Tensor, before: Tensor, config: ConvEDLSTMConfig) -> Tensor:
    """How well each displacement explains the change from one frame to the next.

    Parameters
    ----------
    frames, before : Tensor
        (B, C·patch², H, W) in model units; ``before`` is one step older. Means over the channels C
        and over squares of ``config.compare_step`` px are compared.
    config : ConvEDLSTMConfig
        Its ``compare`` is the largest displacement along y and along x, px.

    Returns
    -------
    Tensor
        (B, displacements, H, W): for each displacement of ``before``, row by row from the top left,
        the mean squared difference in a window, relative to the mean of all displacements: at most
        1, for a perfect fit, and 0 where nothing changes.
    """
    patch, step = config.patch, config.compare_step
    now, old = (_squares(frame, patch, step) for frame in (frames, before))  # (B, 1, H', W')
    height, width = now.shape[-2:]
    reach = config.compare // step
    old = F.pad(old, (reach,) * 4, mode="replicate")

    differences = []
    for y in range(2 * reach, -1, -1):
        for x in range(2 * reach, -1, -1):
            moved = old[..., y : y + height, x : x + width]
            differences.append((now - moved) ** 2)

    squared = F.avg_pool2d(torch.cat(differences, 1), patch // step)  # (B, displacement, H, W)
    squared = F.pad(squared, (WINDOW // 2,) * 4, mode="replicate")
    squared = F.avg_pool2d(squared, WINDOW, 1)
    mean = squared.mean(1, keepdim=True)
    return (mean - squared) / (mean + LITTLE)


def _squares(frame: Tensor, patch: int, step: int) -> Tensor:
    """Means over squares of ``step`` px: (B, C·patch², H, W) → (B, 1, H·patch/step, …)."""
    pixels = F.pixel_shuffle(frame.float(), patch).mean(1, keepdim=True)
    return F.avg_pool2d(pixels, step)


class MovedFrame(nn.Module):
    """Moves a frame by up to ``reach`` px, by two small kernels for each patch.

    Each pixel becomes a weighted mean of the pixels of its row, then of those of its column. The
    weights of all pixels in a patch are the same and sum to 1. Untrained, the nearest pixels weigh
    most, equally on all sides.

    Parameters
    ----------
    channels : int
        Channels of the maps that the weights are computed from.
    reach : int
        Largest displacement along each axis, px.
    patch : int
        Side of a patch, px.
    """

    def __init__(self, channels: int, reach: int, patch: int):
        super().__init__()
        self.reach = reach
        self.patch = patch
        self.kernels = nn.Conv2d(channels, 2 * (2 * reach + 1), 1)
        with torch.no_grad():
            self.kernels.weight.mul_(0.3)
        distance = torch.arange(-reach, reach + 1.0).abs()
        self.kernels.bias = nn.Parameter(-STAY * torch.cat([distance, distance]))

    def forward(self, frame: Tensor, maps: Tensor) -> Tensor:
        """The moved frame.

        Parameters
        ----------
        frame : Tensor
            (B, C·patch², H, W).
        maps : Tensor
            What the weights are computed from, (B, channels, H, W).

        Returns
        -------
        Tensor
            (B, C·patch², H, W). Beyond the edge, the pixels of the border continue.
        """
        # float32: in half precision the weights would not sum to 1
        along_y, along_x = self.kernels(maps).float().chunk(2, 1)  # (B, K, H, W) each

        moved = F.pixel_shuffle(frame, self.patch).float()  # (B, C, H·patch, W·patch)
        moved = self._mean_along(moved, self._of_pixels(along_x))
        moved = self._mean_along(moved.mT, self._of_pixels(along_y).mT).mT
        return F.pixel_unshuffle(moved, self.patch)

    def _of_pixels(self, logits: Tensor) -> Tensor:
        """Weights of each pixel: (B, K, H, W) → (B, K, H·patch, W·patch)."""
        weights = logits.softmax(1)
        return weights.repeat_interleave(self.patch, 2).repeat_interleave(self.patch, 3)

    def _mean_along(self, frame: Tensor, weights: Tensor) -> Tensor:
        """Weighted means along the last axis: frame (B, C, H, W), weights (B, K, H, W)."""
        width = frame.shape[-1]
        padded = F.pad(frame, (self.reach, self.reach, 0, 0), mode="replicate")
        windows = padded.unfold(-1, width, 1)  # (B, C, H, K, W)
        return (windows.transpose(2, 3) * weights[:, None]).sum(2)
