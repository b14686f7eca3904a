from .player import CellPlayer as CellPlayer
from .player import ForecastPlayer as ForecastPlayer
from .player import FramePlayer as FramePlayer
from .plots import credit as credit
