"""The log of a training run: each epoch and all warnings."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging.handlers import MemoryHandler
from pathlib import Path

import pandas as pd

LOG = "train.log"
KEPT = 1000  # lines that are kept in memory before the first epoch ends


@contextmanager
def training_log(out: Path, first_line: str) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Append to ``train.log`` in the folder of a run; yields a function that logs an epoch.

    Nothing is written before the first epoch ends, so that a run that is refused leaves no folder.

    Parameters
    ----------
    out : Path
        Folder of the run.
    first_line : str
        What is trained, in words.
    """
    log = logging.getLogger("nowcastlib")
    waiting = MemoryHandler(KEPT, flushLevel=logging.CRITICAL + 1)
    log.addHandler(waiting)

    def note(message: str) -> None:
        # Straight to the file: on the screen the progress bar shows the same.
        waiting.handle(log.makeRecord(log.name, logging.INFO, __file__, 0, message, (), None))
        waiting.flush()

    def note_epoch(history: pd.DataFrame) -> None:
        if waiting.target is None:
            waiting.setTarget(_file_handler(out / LOG))
        row = history.iloc[-1].dropna()
        note(", ".join(f"{name} {value:g}" for name, value in row.items()))

    note(first_line)
    try:
        yield note_epoch
        note("finished")
    except BaseException as error:  # whatever ends the run is worth a line, and is raised again
        note(f"stopped: {type(error).__name__} {error}".rstrip())
        raise
    finally:
        log.removeHandler(waiting)
        if waiting.target is not None:
            waiting.target.close()
        waiting.close()


def _file_handler(path: Path) -> logging.FileHandler:
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    return handler
