"""Kinds of networks: the class of each, and how to build one from its configuration."""

from nowcastlib.networks.base import ForecastNetwork
from nowcastlib.networks.conv_ed_lstm import ConvEDLSTM
from nowcastlib.networks.encoder_forecaster import EncoderForecaster
from nowcastlib.networks.fc_lstm import FCLSTM
from nowcastlib.networks.motion_guided import MotionGuided

NETWORKS: dict[str, type[ForecastNetwork]] = {
    "convedlstm": ConvEDLSTM,
    "forecaster": EncoderForecaster,
    "fclstm": FCLSTM,
    "guided": MotionGuided,
}


def build(config, channels: int = 1) -> ForecastNetwork:
    """The network of a configuration, with random weights.

    Parameters
    ----------
    config
        Configuration of one kind of network.
    channels : int
        Channels of a frame.
    """
    return NETWORKS[config.kind](config, channels)
