"""What the metadata of a foreign Zarr store may ask for, checked before it is opened.

Metadata name the functions that decode the values. One of them, pickle, runs any program that the
store holds, and others belong to packages that nobody here has looked at.
"""

import json
import math
from collections.abc import Iterator
from typing import Any

from nowcastlib.data.zarr_files import metadata_files
from nowcastlib.errors import NowcastError, printable

CODECS = {
    # bytes and their order
    *("bytes", "endian", "transpose", "sharding_indexed", "vlen-utf8", "vlen-bytes", "json2"),
    # compression
    *("gzip", "zlib", "zstd", "blosc", "bz2", "lzma", "lz4", "lzf", "zfpy", "pcodec"),
    # numbers
    *("shuffle", "delta", "fixedscaleoffset", "scale_offset", "cast_value", "quantize"),
    *("bitround", "packbits", "astype", "categorize"),
    # checksums
    *("crc32", "crc32c", "adler32", "fletcher32", "jenkins_lookup3"),
}
MAX_CHUNK_BYTES = 4 << 30  # of a chunk after decompression
MAX_LENGTH = 5_000_000  # of an axis: 47 years of 5 minutes
MAX_ARRAYS = 1000


def check_zarr(disk: Any, root: str, is_consolidated: bool) -> None:
    """Check the metadata of all arrays of a store before it is opened.

    Parameters
    ----------
    disk
        The fsspec file system.
    root
        The store's path on it.
    is_consolidated
        Whether the metadata of all arrays are in one file.

    Raises
    ------
    NowcastError
        If an array uses a codec that is not in `CODECS`, or claims huge chunks or axes; if
        metadata are no JSON objects. The message does not name the store.
    """
    for name, array in _arrays(disk, root, is_consolidated):
        for codec in _codecs(array):
            if codec.removeprefix("numcodecs.") not in CODECS:
                raise NowcastError(
                    f"asks for the codec {printable(codec)!r} in {printable(name)}: it is refused, "
                    f"because it may run programs; known ones are {', '.join(sorted(CODECS))}"
                )
        _check_length(name, array)
        _check_chunks(name, array)


def _arrays(disk: Any, root: str, is_consolidated: bool) -> Iterator[tuple[str, dict]]:
    """Name and metadata of each array, as the files of the store say."""
    paths = [f"{root}/{name}" for name in (".zmetadata", ".zarray", "zarr.json")]
    if not is_consolidated:
        entries = disk.ls(root, detail=True)
        folders = [entry["name"] for entry in entries if entry["type"] != "file"]
        if len(folders) > MAX_ARRAYS:
            raise NowcastError(f"has {len(folders)} folders: no store of rain has as many")
        paths += [f"{folder}/{name}" for folder in folders for name in (".zarray", "zarr.json")]

    for path, content in metadata_files(disk, paths).items():
        about = _parsed(content)
        name = path.rstrip("/").split("/")[-2]
        inner = about.get("consolidated_metadata") or about
        for key, array in {name: about, **(inner.get("metadata") or {})}.items():
            if not isinstance(array, dict):
                raise NowcastError(f"has metadata of {printable(key)} that are no JSON object")
            yield key, array


def _parsed(content: bytes) -> dict:
    """A file of metadata; NowcastError unless it is a JSON object."""
    try:
        about = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise NowcastError(f"has metadata that are no JSON ({printable(error)})") from error
    if not isinstance(about, dict):
        raise NowcastError("has metadata that are no JSON object")
    return about


def _codecs(array: Any) -> Iterator[str]:
    """Names of the codecs of an array; those within a shard too."""
    if isinstance(array, dict):
        for key, value in array.items():
            if key in ("codecs", "index_codecs", "filters"):
                for codec in value or ():
                    yield _name(codec)
            elif key == "compressor" and value:
                yield _name(value)
            if key != "attributes":
                yield from _codecs(value)
    elif isinstance(array, list):
        for value in array:
            yield from _codecs(value)


def _name(codec: Any) -> str:
    """The name of a codec: Zarr 3 calls it name, Zarr 2 id."""
    if isinstance(codec, str):
        return codec
    return str(codec.get("name", codec.get("id"))) if isinstance(codec, dict) else str(codec)


def _check_length(name: str, array: dict) -> None:
    """NowcastError if an array of one dimension is too long: such are read when a store opens."""
    shape = array.get("shape")
    length = shape[0] if isinstance(shape, list) and len(shape) == 1 else 0
    if isinstance(length, int) and length > MAX_LENGTH:
        raise NowcastError(
            f"claims {length:,} values of {printable(name)}: no more than {MAX_LENGTH:,} times "
            "are read, so divide the store"
        )


def _check_chunks(name: str, array: dict) -> None:
    """NowcastError if the chunks of an array are huge; 8 bytes are assumed for a value."""
    chunks = array.get("chunks")  # of Zarr 2
    grid = array.get("chunk_grid")
    if isinstance(grid, dict) and isinstance(grid.get("configuration"), dict):
        chunks = grid["configuration"].get("chunk_shape")
    if chunks is None:
        return
    try:
        size = 8 * math.prod(int(length) for length in chunks)
    except (TypeError, ValueError, OverflowError) as error:
        raise NowcastError(f"has chunks of {printable(name)} that are no numbers") from error
    if not 0 < size <= MAX_CHUNK_BYTES:
        raise NowcastError(f"has chunks of {size:.3g} bytes in {printable(name)}: this is refused")
