from .cell_player import CellPlayer as CellPlayer
from .forecast_player import ForecastPlayer as ForecastPlayer
from .frame_player import FramePlayer as FramePlayer
