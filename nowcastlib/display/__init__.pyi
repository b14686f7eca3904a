from .player import CellPlayer as CellPlayer
from .player import ForecastPlayer as ForecastPlayer
from .player import FramePlayer as FramePlayer
from .rain_scale import credit as credit
