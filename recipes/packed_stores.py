"""Stores of rain in few bytes, to carry them to another machine.

    python recipes/packed_stores.py pack FOLDER STORE…
    python recipes/packed_stores.py unpack FOLDER OUT

The first writes STORE.xz and STORE.json into FOLDER for each store. The second makes CF-Zarr
stores of them again, in OUT.

A pixel is one byte: its rain rate in model units in 100 levels (0.07 mm/h apart where it drizzles,
7 % apart where it pours), or 255 where it was not observed.
"""

import json
import lzma
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import xarray as xr

from nowcastlib.data import open_frames
from nowcastlib.data.store_writer import StoreWriter
from nowcastlib.errors import NowcastError
from nowcastlib.files import one_writer, write_atomically
from nowcastlib.units import ModelScale

LEVELS = 100  # of the model unit 1, which is 128 mm/h
HIGHEST = 254  # level; heavier rain is stored as this level
NOT_OBSERVED = 255
SCALE = ModelScale()
TEXTS = ("source", "license", "crs", "comment")  # attributes that are kept


def pack(store: str, folder: Path) -> Path:
    """Pack a store into a folder; a store that is packed already is left as it is."""
    out = folder / f"{Path(store).name.removesuffix('.zarr')}.xz"
    if out.exists():
        return out
    frames = open_frames(store)
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "seconds": frames.time.values.astype("M8[s]").astype(int).tolist(),
        "y": frames.y.values.tolist(),
        "x": frames.x.values.tolist(),
        "units": frames.y.attrs.get("units", ""),
        "attributes": {name: frames.attrs[name] for name in TEXTS if name in frames.attrs},
    }
    packed = np.stack([_levels(frame.values) for frame in frames])  # (time, y, x) uint8
    write_atomically(out.with_suffix(".json"), json.dumps(about).encode())
    write_atomically(out, lzma.compress(packed.tobytes(), preset=6))
    return out


def _levels(rate: np.ndarray) -> np.ndarray:
    """Rain rates (y, x) in mm/h as levels."""
    levels = np.clip(np.rint(SCALE.to_model(rate) * LEVELS), 0, HIGHEST)
    return np.where(np.isfinite(rate), levels, NOT_OBSERVED).astype("u1")


def unpack(packed: Path, out: Path) -> Path:
    """Write the store of a packed file; one that is there already is left as it is."""
    store = out / f"{packed.name.removesuffix('.xz')}.zarr"
    if store.exists():
        return store
    about = json.loads(packed.with_suffix(".json").read_text())
    seconds, y, x = about["seconds"], about["y"], about["x"]
    levels = np.frombuffer(lzma.decompress(packed.read_bytes()), "u1")
    if levels.size != len(seconds) * len(y) * len(x):
        raise NowcastError(f"{packed} is not whole: pack its store again")

    rates = SCALE.from_model(np.arange(256, dtype="f4") / LEVELS)
    rates[NOT_OBSERVED] = np.nan
    units = {"units": about["units"]} if about["units"] else {}
    axes = {"y": ("y", y, units), "x": ("x", x, units)}
    empty = xr.DataArray(
        np.zeros((len(y), len(x)), "f4"), axes, ("y", "x"), attrs=about["attributes"]
    )

    out.mkdir(parents=True, exist_ok=True)
    texts = {name: text for name, text in about["attributes"].items() if name != "crs"}
    with one_writer(store), StoreWriter(store) as writer:
        writer.create(empty, texts)
        for second, frame in zip(seconds, levels.reshape(-1, len(y), len(x)), strict=True):
            writer.add(second, rates[frame].astype("f4"))
    return store


def main(task: str, folder: str, *rest: str) -> None:
    """Run a task of the command line on all processors."""
    with ProcessPoolExecutor() as processes:
        if task == "pack":
            done = [processes.submit(pack, store, Path(folder)) for store in rest]
        else:
            files = sorted(Path(folder).glob("*.xz"))
            done = [processes.submit(unpack, path, Path(rest[0])) for path in files]
        for job in done:
            print(job.result(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
