from .baselines import BASELINES as BASELINES
from .nowcast import Forecaster as Forecaster
from .nowcast import Network as Network
from .nowcast import forecast as forecast
from .nowcast import forecaster as forecaster
from .nowcast import observed_until as observed_until
from .nowcast import save as save
