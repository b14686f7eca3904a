"""The layout of the stores that ``ingest`` writes: arrays, chunks, checksums, attributes."""

import json
import math
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from nowcastlib.data import colours, grid
from nowcastlib.data.store import SLAB

TITLE = "rain rate"  # of the stores that ingest made, and may add to
TIME = {
    "units": "seconds since 1970-01-01",
    "calendar": "proleptic_gregorian",
    "standard_name": "time",
    "axis": "T",
}
TILE = 256  # px: a chunk is a tile of some frames, because training reads windows and crops
CHUNK = 4 << 20  # bytes of a chunk
MAX_CHUNK_FRAMES = 64
RAIN = "rainfall_rate"
# attributes of the arrays of frames, and titles of stores, by the name of the array
ABOUT = {RAIN: grid.RAIN_RATE, colours.COLOUR: colours.COLOUR_ATTRIBUTES}
TITLES = {RAIN: TITLE, colours.COLOUR: colours.TITLE}
CHECKSUM = {"id": "crc32"}  # of numcodecs, which needs no other package for it


def growing(store: Path) -> tuple[str, str]:
    """Names of the arrays of a store that grow: of its frames, and of their times."""
    return (colours.COLOUR if colours.is_colour_store(store) else RAIN), "time"


def write_empty_store(path: Path, frame: xr.DataArray, attributes: dict[str, str]) -> None:
    """Write a store without frames, with the grid of a frame (…, y, x)."""
    name = colours.COLOUR if colours.are_colours(frame) else RAIN
    crs = frame.attrs.get("crs")
    variable = ABOUT[name] | ({"grid_mapping": "crs"} if crs else {})
    empty = frame.drop_attrs(deep=False).assign_attrs(variable).astype("f4")
    dataset = empty.expand_dims(time=np.array([], "datetime64[s]")).to_dataset(name=name)

    if crs:
        dataset["crs"] = ((), np.int32(0), grid.mapping(crs))
    dataset["time"].attrs = {key: TIME[key] for key in ("standard_name", "axis")}
    dataset.attrs = {"Conventions": "CF-1.9", "title": TITLES[name]} | attributes

    encoding = {
        name: {"chunks": _chunks(frame), "_FillValue": np.float32(np.nan)},
        "time": {
            "chunks": (4096,),
            "dtype": "i8",
            "units": TIME["units"],
            "calendar": TIME["calendar"],
        },
    }
    dataset.to_zarr(path, encoding=encoding, consolidated=False, zarr_format=2)
    set_fill_time(path)
    _add_checksums(path)
    zarr.consolidate_metadata(str(path))


def _add_checksums(store: Path) -> None:
    """Let each chunk begin with a checksum of its compressed bytes; write again what there is.

    Blosc has none: a changed byte may be other rain. The checksum stands where Zarr 2 has the
    compressor, which becomes the last filter before it.
    """
    for file in store.glob("*/.zarray"):
        values = zarr_array(file.parent)[...]
        about = read_json(file)
        filters = [*(about["filters"] or []), about["compressor"]]
        about |= {"filters": filters, "compressor": CHECKSUM}
        file.write_text(json.dumps(about, indent=1))
        zarr_array(file.parent)[...] = values


def _chunks(frame: xr.DataArray) -> tuple[int, ...]:
    """Size of a chunk (time, …, y, x): CHUNK bytes, in whole frames never more than SLAB bytes."""
    tile = [min(n, TILE) for n in frame.shape]
    by_chunk = CHUNK // (4 * math.prod(tile))  # 4 bytes a pixel
    by_slab = SLAB // (4 * frame.size)
    return max(1, min(by_chunk, by_slab, MAX_CHUNK_FRAMES)), *tile


def zarr_array(folder: Path) -> zarr.Array:
    """An array on disk, to read and write."""
    return zarr.open_array(str(folder), mode="r+")


def read_json(file: Path) -> dict:
    """The content of a file of metadata."""
    return json.loads(file.read_text())


def set_fill_time(store: Path) -> None:
    """Say that no time is missing, as CF asks: Zarr would take the time 0 for a missing one."""
    file = store / "time" / ".zarray"
    file.write_text(json.dumps(read_json(file) | {"fill_value": None}))
