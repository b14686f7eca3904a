"""Check of an HDF5 file's global heaps, in which attributes of variable length are kept.

The HDF5 library reads a heap object by object. A free object of size 0, as a broken file may have
it, makes it read that object for ever, for example when netCDF4 opens a file whose attribute
DIMENSION_LIST lies there.

References
----------
The HDF Group (2023): HDF5 File Format Specification, version 3.0, sections II.A and III.E.
"""

import mmap
import struct
from pathlib import Path

from nowcastlib.errors import NowcastError

HEAP = b"GCOL\x01"  # those of a global heap
HEADER = 16  # bytes of the header of a heap, and of each object in it


def check_heaps_of(path: str | Path) -> None:
    """Check the file of a path: see `check_heaps`. A file of any size is mapped, not read."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        check_heaps(content)


def check_heaps(content: bytes | mmap.mmap) -> None:
    """Check that the library comes to an end in each global heap of an HDF5 file.

    Parameters
    ----------
    content
        The whole file.

    Raises
    ------
    NowcastError
        If an object of a heap has no size, or one that exceeds the heap; if the file counts its
        lengths in other than 8 bytes. The message does not name the file.
    """
    if len(content) < HEADER:
        raise NowcastError("is cut off: fetch it again")
    version = content[8]
    if content[10 if version >= 2 else 14] != 8:
        raise NowcastError("counts lengths in other than 8 bytes: fetch it again")

    place = content.find(HEAP)
    while place >= 0:
        _check_heap(content, place)
        place = content.find(HEAP, place + 1)


def _check_heap(content: bytes | mmap.mmap, start: int) -> None:
    """Go through the objects of a heap as the library does."""
    if start + HEADER > len(content):
        return
    (size,) = struct.unpack_from("<Q", content, start + 8)
    end = start + size
    if end > len(content):  # no heap, or one that the library refuses
        return

    place = start + HEADER
    while place + HEADER <= end:
        number, length = struct.unpack_from("<H6xQ", content, place)
        # free space has the number 0, and its length includes its header
        step = HEADER + (length + 7) // 8 * 8 if number else length
        if step < HEADER or place + step > end:
            raise NowcastError("has a broken heap of attributes: fetch it again")
        place += step
