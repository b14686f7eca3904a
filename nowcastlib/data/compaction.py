"""A copy of a store with its frames in ascending time."""

import json
from pathlib import Path

from nowcastlib.data.store import SLAB, open_frames
from nowcastlib.data.store_writer import StoreWriter, settings_of
from nowcastlib.errors import NowcastError
from nowcastlib.files import one_writer, real_path, written_folder


def compact(store: str | Path, out: str | Path) -> Path:
    """Copy a store with its frames in ascending time, each time once, in whole chunks.

    Frames that ``ingest`` added later than newer ones stand at the end of a store. ``open_frames``
    shows them in order; for other readers, and for speed, this copy has them in order. The store
    itself stays as it is: processes that read it go on to read the right frames.

    Parameters
    ----------
    store : str or Path
        A store that ``ingest`` made.
    out : str or Path
        The copy: written whole or not at all, and with the settings of the store, so that
        ``ingest`` can extend it.

    Returns
    -------
    Path
        The copy.

    Raises
    ------
    NowcastError
        If ``ingest`` did not make the store, if ``out`` exists, or if it cannot be written.
    """
    store, out = Path(store), Path(out)
    frames = open_frames(store)
    if settings_of(store) is None:
        raise NowcastError(f"{store} was not made by ingest: it cannot be compacted")
    attributes = json.loads((store / ".zattrs").read_text())
    seconds = frames.indexes["time"].as_unit("s").astype("int64")

    with one_writer(out):
        if real_path(out).exists():
            raise NowcastError(f"{out} exists: choose another name for the copy")
        with written_folder(out) as new, StoreWriter(new) as writer:
            writer.create(frames[0], attributes)
            n = max(1, SLAB // (4 * frames[0].size))  # frames that are in memory together
            for start in range(0, len(frames), n):
                slab = slice(start, start + n)
                for time, values in zip(seconds[slab], frames[slab].values, strict=True):
                    writer.add(time, values)
    return out
