from .config import TrainConfig as TrainConfig
from .loop import fit as fit
from .loop import load as load
from .loop import load_config as load_config
from .loop import validate as validate
