"""A batch that does not fit into memory."""

from functools import wraps

from nowcastlib.errors import NowcastError, is_lack_of_memory
from nowcastlib.training.config import TrainConfig


def explain_lack_of_memory(function):
    """If memory runs out, tell the user which settings to lower."""

    @wraps(function)
    def wrapped(config: TrainConfig, *args, **options):
        try:
            return function(config, *args, **options)
        except (RuntimeError, MemoryError) as error:  # of GPU, CPU and NumPy
            if not is_lack_of_memory(error):
                raise
            raise NowcastError(
                f"a batch does not fit into memory: lower batch ({config.run.batch}), "
                f"crop ({config.windows.crop}) or n_out ({config.windows.n_out}), "
                f"or choose a smaller {config.model.kind} network"
            ) from error

    return wrapped
