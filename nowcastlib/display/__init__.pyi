from .player import CellPlayer as CellPlayer
from .player import EnsemblePlayer as EnsemblePlayer
from .player import ForecastPlayer as ForecastPlayer
from .player import FramePlayer as FramePlayer
from .rain_scale import credit as credit
from .run_report import save_films as save_films
from .run_report import save_losses as save_losses
