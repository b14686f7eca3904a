"""The classifier of clips: does something happen after these frames, yes or no?"""

from typing import cast

import torch
from torch import Tensor, nn

from nowcastlib.networks import stacks
from nowcastlib.networks.base import ForecastNetwork
from nowcastlib.networks.config import ClassifierConfig
from nowcastlib.networks.packing import pack
from nowcastlib.networks.recurrence import RecurrentCell

BATCH_NORM_EPS = 1e-3  # as in Keras


class ConvLSTMClassifier(ForecastNetwork):
    """Stacked convolutional cells, whose last hidden state becomes one logit for the clip.

    Between two cells each frame is max-pooled and normalised over the batch. The last hidden state
    is reduced to one number by global pooling: the maximum says that a feature is somewhere, the
    mean says how much of it there is. Works at any height and width.

    Parameters
    ----------
    config : ClassifierConfig
    channels : int
        Channels of a frame.

    References
    ----------
    Shi et al. 2015, arXiv 1506.04214 (the cell). Oquab et al. 2015, CVPR, "Is object localization
    for free?" (a 1 × 1 convolution and global max pooling: the map shows where the answer comes
    from). Ioffe and Szegedy 2015, arXiv 1502.03167 (batch normalisation).
    """

    config: ClassifierConfig

    def __init__(self, config: ClassifierConfig, channels: int = 1):
        super().__init__(config)
        self.cells = self._make_cells(channels * config.patch**2)
        self.between = nn.ModuleList(self._between(hidden) for hidden in config.hidden[:-1])
        self.dropout = nn.Dropout2d(config.dropout)

        top = config.hidden[-1]
        self.head = nn.Conv2d(top, 1, 1) if config.head == "map" else nn.Linear(top, 1)

    def _make_cells(self, in_channels: int) -> nn.ModuleList:
        config = self.config
        options: dict = {"padding": config.padding}
        if config.cell == "convlstm":
            options["gate"] = config.gate

        cells = nn.ModuleList()
        for hidden, kernel in zip(config.hidden, config.kernel, strict=True):
            cells.append(stacks.make_cell(config, in_channels, hidden, kernel, **options))
            in_channels = hidden
        return cells

    def _between(self, hidden: int) -> nn.Sequential:
        """Pooling and normalisation of each frame between two cells."""
        layers: list[nn.Module] = []
        if self.config.pool > 1:
            layers.append(nn.MaxPool2d(self.config.pool))
        if self.config.batch_norm:
            layers.append(nn.BatchNorm2d(hidden, eps=BATCH_NORM_EPS))
        return nn.Sequential(*layers)

    def forward(
        self, x: Tensor, n_out: int = 1, truth: Tensor | None = None, coins: Tensor | None = None
    ) -> Tensor:
        """The logit of "yes" for each clip.

        Parameters
        ----------
        x : Tensor
            Observed frames (B, T, C, H, W) in model units: 0 (dry) … 1; 0 where not observed.
        n_out : int
            Number of answers; only 1 is possible.
        truth : Tensor, optional
            Not used: nothing is fed back.
        coins : Tensor, optional
            Refused, as by all networks that feed nothing back.

        Returns
        -------
        Tensor
            Logits (B, 1).

        Raises
        ------
        ValueError
            For more than one answer, for ``coins``, or for frames that are too small.
        """
        self.refuse_coins(coins)
        if n_out != 1:
            raise ValueError(f"a classifier gives one answer for a clip, not {n_out}")

        state = self.dropout(self.last_state(x))  # (B, hidden, H', W')
        if self.config.head == "map":
            return self._pooled(self.head(state))  # (B, 1)
        return self.head(self._pooled(state))  # (B, hidden) → (B, 1)

    def last_state(self, x: Tensor) -> Tensor:
        """The hidden state of the highest cell after the last frame, (B, hidden, H', W')."""
        x = pack(x, self.config.patch, self.config.size_multiple)
        for k, cell in enumerate(self.cells):
            self._check_size(k, x)
            if k:  # each frame for itself: (B, T, C, H, W) → (B·T, C, H, W) and back
                x = self.between[k - 1](x.flatten(0, 1)).unflatten(0, x.shape[:2])
                self._check_size(k, x)
            x, _ = cast(RecurrentCell, cell).sequence(x)
        return x[:, -1]

    def answer_map(self, x: Tensor) -> Tensor:
        """The logits before the pooling, (B, 1, H', W'): where the answer comes from.

        One of its pixels covers ``patch`` · ``pool`` to the power of the cells after the first,
        in px of the frames.

        Raises
        ------
        ValueError
            If the head is no map.
        """
        if self.config.head != "map":
            raise ValueError("only a classifier with the head map has a map before its pooling")
        return self.head(self.last_state(x))

    def _pooled(self, maps: Tensor) -> Tensor:
        """One number for each map: (B, C, H, W) → (B, C)."""
        return maps.amax((2, 3)) if self.config.pooling == "max" else maps.mean((2, 3))

    def _check_size(self, k: int, x: Tensor) -> None:
        """ValueError if the maps are smaller than what comes next needs."""
        smallest = self.config.kernel[k] if self.config.padding == "valid" else 1
        if min(x.shape[-2:]) < smallest:
            raise ValueError(
                f"the frames are too small: cell {k + 1} gets maps of {tuple(x.shape[-2:])} px and "
                f"needs {smallest}"
            )


def probability(network: nn.Module, x: Tensor) -> Tensor:
    """The probability of "yes" for clips (B, T, C, H, W), (B,), without gradients."""
    network.eval()
    with torch.inference_mode():
        return torch.sigmoid(network(x).float())[:, 0]
