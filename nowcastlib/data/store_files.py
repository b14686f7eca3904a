"""Files of chunks of a store of Zarr format 2, and arrays of their own with a part of a store."""

import itertools
import json
from pathlib import Path

import numpy as np

from nowcastlib.data.store_layout import zarr_array


def write_array(folder: Path, about: dict, values: np.ndarray) -> None:
    """Write a part of a store's array as an array of its own, with the same chunks and filters.

    Parameters
    ----------
    folder : Path
        A folder for the array.
    about : dict
        The metadata (.zarray) of the store's array.
    values : array
        The values; the first axis may have another length than that of the store.
    """
    folder.mkdir(exist_ok=True)
    metadata = about | {"shape": list(values.shape)}
    (folder / ".zarray").write_text(json.dumps(metadata))
    zarr_array(folder)[...] = values


def chunk_keys(about: dict, start: int, stop: int) -> list[str]:
    """Names of the chunks that hold the values from ``start`` to ``stop`` along the first axis."""
    size = about["chunks"][0]
    axes = [range(start // size, (stop - 1) // size + 1)]
    tiles = zip(about["shape"][1:], about["chunks"][1:], strict=True)
    axes += [range(-(-length // tile)) for length, tile in tiles]
    separator = about.get("dimension_separator", ".")
    return [separator.join(map(str, key)) for key in itertools.product(*axes)]


def existing_keys(folder: Path, about: dict, start: int) -> tuple[str, ...]:
    """Names of the chunks of an array that hold the value ``start`` and that have a file."""
    return tuple(key for key in chunk_keys(about, start, start + 1) if (folder / key).exists())
