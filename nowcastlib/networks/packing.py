"""Space to depth: patches of pixels become channels before the cells, and pixels after them."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F


def pad(x: Tensor, multiple: int) -> Tensor:
    """Zeros to the right and below, so that height and width divide by ``multiple``.

    (…, H, W) → (…, H', W').
    """
    height, width = x.shape[-2:]
    return F.pad(x, (0, -width % multiple, 0, -height % multiple))


def pack(x: Tensor, patch: int, multiple: int) -> Tensor:
    """Pad, then patches become channels: (…, C, H, W) → (…, C·patch², H'/patch, W'/patch)."""
    return F.pixel_unshuffle(pad(x, multiple), patch)


def unpack(x: Tensor, patch: int, size: Sequence[int]) -> Tensor:
    """Inverse of ``pack``, cut to ``size``: (…, C·patch², H'/patch, W'/patch) → (…, C, H, W)."""
    height, width = size
    return F.pixel_shuffle(x, patch)[..., :height, :width]
