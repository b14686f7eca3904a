"""The registry: which network class belongs to which configuration class."""

from collections.abc import Callable

from nowcastlib.networks.base import ForecastNetwork
from nowcastlib.networks.classifier import ConvLSTMClassifier
from nowcastlib.networks.config import (
    ClassifierConfig,
    ConvEDLSTMConfig,
    EncoderForecasterConfig,
    FCLSTMConfig,
    GuidedConfig,
    NetworkConfig,
)
from nowcastlib.networks.conv_ed_lstm import ConvEDLSTM
from nowcastlib.networks.encoder_forecaster import EncoderForecaster
from nowcastlib.networks.fc_lstm import FCLSTM
from nowcastlib.networks.motion_guided import MotionGuided
from nowcastlib.units import ModelScale

NETWORKS: dict[type[NetworkConfig], Callable[..., ForecastNetwork]] = {
    ConvEDLSTMConfig: ConvEDLSTM,
    EncoderForecasterConfig: EncoderForecaster,
    FCLSTMConfig: FCLSTM,
    GuidedConfig: MotionGuided,
    ClassifierConfig: ConvLSTMClassifier,
}


def build(
    config: NetworkConfig,
    channels: int = 1,
    scale: ModelScale = ModelScale(),  # noqa: B008 (frozen)
) -> ForecastNetwork:
    """Build the network of a configuration, with random weights.

    Parameters
    ----------
    config : NetworkConfig
        Configuration of one kind of network.
    channels : int
        Channels of a frame.
    scale : ModelScale
        Scale of the frames. The initial weights of a network that gives probabilities depend on it.

    Examples
    --------
    >>> import torch
    >>> from nowcastlib.networks import ConvEDLSTMConfig
    >>> network = build(ConvEDLSTMConfig(hidden=(4, 4), kernel=(3, 3)))
    >>> network(torch.zeros(1, 3, 1, 16, 16), n_out=2).shape
    torch.Size([1, 2, 1, 16, 16])
    """
    network = NETWORKS[type(config)](config, channels)
    network.start_with_scale(scale)
    return network
