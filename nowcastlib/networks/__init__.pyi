from .cells import ConvGRUCell as ConvGRUCell
from .cells import ConvLSTMCell as ConvLSTMCell
from .cells import LSTMCell as LSTMCell
from .cells import compile_cells as compile_cells
from .config import SEED as SEED
from .config import ModelConfig as ModelConfig
from .losses import LOSSES as LOSSES
from .registry import build as build
