from .cell_player import CellPlayer as CellPlayer
from .ensemble_player import EnsemblePlayer as EnsemblePlayer
from .forecast_player import ForecastPlayer as ForecastPlayer
from .frame_player import FramePlayer as FramePlayer
