from .cells import ConvGRUCell as ConvGRUCell
from .cells import ConvLSTMCell as ConvLSTMCell
from .cells import LSTMCell as LSTMCell
from .losses import LOSSES as LOSSES
from .models import SEED as SEED
from .models import ModelConfig as ModelConfig
from .models import build as build
from .models import compile_cells as compile_cells
