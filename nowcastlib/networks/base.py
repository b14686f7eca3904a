"""What all forecasting networks have in common."""

import torch
from torch import Tensor, nn

from nowcastlib.networks.config import NetworkConfig
from nowcastlib.units import ModelScale


class ForecastNetwork(nn.Module):
    """A network that forecasts frames from frames.

    Its ``config`` describes it: ``feeds_back``, ``fewest_frames``,
    ``gives_probabilities`` and ``losses``.

    Parameters
    ----------
    config : NetworkConfig
    """

    config: NetworkConfig

    def __init__(self, config: NetworkConfig):
        super().__init__()
        self.config = config

    def start_with_scale(self, scale: ModelScale) -> None:
        """Set the initial weights that depend on the scale of rain; most networks have none."""

    def forward(
        self, x: Tensor, n_out: int, truth: Tensor | None = None, coins: Tensor | None = None
    ) -> Tensor:
        """Forecast the ``n_out`` frames after ``x``.

        Parameters
        ----------
        x : Tensor
            Observed frames (B, T, C, H, W) in model units: 0 (dry) … 1; where not observed, NaN if
            ``config.takes_unobserved``, else 0: see ``network_input``.
        n_out : int
            Number of frames to forecast.
        truth : Tensor, optional
            The true frames, (B, n_out, C, H, W), for scheduled sampling.
        coins : Tensor, optional
            Booleans (B, n_out - 1): true where the next input is the true frame, else the network's
            own forecast. Not given: always the network's own.

        Returns
        -------
        Tensor
            Logits (B, n_out, C, H, W), or (B, n_out, rate, H, W) of a network that gives
            probabilities.

        Raises
        ------
        ValueError
            For ``coins`` if the network feeds no forecast back.
        """
        raise NotImplementedError

    def refuse_coins(self, coins: Tensor | None) -> None:
        """Raise ValueError if there are coins: this network feeds no forecast back."""
        if coins is not None:
            raise ValueError(
                f"a {self.config.kind} network feeds no forecast back, so there is nothing to "
                "sample: set sampling to 0"
            )


class FrameNetwork(ForecastNetwork):
    """A network whose logits are those of frames in model units."""

    @staticmethod
    def rain_rate(logits: Tensor, scale: ModelScale) -> Tensor:
        """The forecast rain rate in mm/h, of the shape of ``logits``."""
        return scale.from_model(torch.sigmoid(logits))
