"""Helpers of the tests of the command line."""

import re
from pathlib import Path

from nowcastlib.cli import main

INGEST = "ingest --source archive --product mch --path {files} --out"
TINY = (
    "--config.model.hidden 4 4 --config.model.kernel 3 3 --config.n-in 3 --config.n-out 2 "
    "--config.crop 32 --config.epochs 2 --config.steps 2 --config.batch 2 --config.loss mse"
)


def nowcast(place, line: str) -> int:
    """The exit code of a command; names in braces are attributes of ``place``."""
    return main(line.format(**vars(place)).split())


def complaints(stderr: str) -> list[str]:
    """The lines on stderr that are neither progress bars nor logged warnings."""
    lines = re.split(r"[\r\n]+", stderr)
    return [
        line for line in lines if line.strip() and not re.search(r"\[\d\d:\d\d[<,]|WARNING", line)
    ]


def contents(folder: Path) -> dict[Path, int]:
    """Everything in a folder, files with their time of change.

    A store's table of frames does not count, nor when a folder was changed: a lock comes and goes.
    """
    return {
        path: path.stat().st_mtime_ns if path.is_file() else 0
        for path in folder.rglob("*")
        if path.suffix != ".csv"
    }
