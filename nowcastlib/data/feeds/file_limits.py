"""Checks of a foreign file before it is decoded: its kind, its size and its checksums.

Errors are predicates, such as "has a wrong checksum …", and do not name the file: the caller does.
"""

import gzip
import io
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
from PIL import Image

from nowcastlib.data.feeds.hdf5_heaps import check_heaps_of
from nowcastlib.errors import NowcastError, printable

MAX_PIXELS = 25_000_000  # of a picture or an HDF5 image; the MRMS mosaic has 24,500,000
MAX_COMPOSITE_PIXELS = 40_000_000  # of GeoTIFF and stores; FMI's composite has 36,000,000
MAX_BYTES = 256 << 20  # of a file, and of what its compression unpacks
MAX_CHUNK_BYTES = 512 << 20  # of a chunk of HDF5 after decompression
MAX_OBJECTS = 10_000  # groups and datasets of an HDF5 file, chunks of a PNG
MAX_FRAMES = 100_000  # of a video or an animation

PNG, GZIP, HDF5, NETCDF = b"\x89PNG\r\n\x1a\n", b"\x1f\x8b", b"\x89HDF\r\n\x1a\n", b"CDF"
GREY, RGB, INDEXED, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6  # PNG's colour types
CHANNELS = {GREY: 1, RGB: 3, INDEXED: 1, GREY_ALPHA: 2, RGBA: 4}
# x and y of the first pixel of each pass of an interlaced PNG, and the steps between its pixels
PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)


@contextmanager
def named(path: str | Path) -> Iterator[None]:
    """Begin the errors of checks with the name of the file."""
    try:
        yield
    except NowcastError as error:
        raise NowcastError(f"{path} {error}") from error


def check_pixels(width: int, height: int, limit: int = MAX_PIXELS) -> None:
    """NowcastError if an image claims more pixels than any radar has."""
    if width * height > limit:
        raise NowcastError(
            f"claims {width}×{height} px: no radar image has more than {limit:,} pixels"
        )


def check_regular(path: str | Path, limit: int = MAX_BYTES) -> None:
    """NowcastError for a pipe or a device, which may have no end, and for a huge file."""
    about = os.stat(path)
    if not stat.S_ISREG(about.st_mode):
        raise NowcastError("is not a regular file: remove it")
    if about.st_size > limit:
        raise NowcastError(
            f"has {about.st_size / 2**20:.1f} MiB, more than the {limit >> 20} MiB of such a file"
        )


def check_file(path: str | Path) -> None:
    """Check a file of any format of the archives before a library decodes it.

    Raises
    ------
    NowcastError
        If the file is not regular, claims too many pixels, reaches for other files, or contradicts
        its own checksums. The message does not name the file.
    """
    check_regular(path)
    with open(path, "rb") as file:
        head = file.read(8)
    if head == HDF5 or head[:3] == NETCDF or h5py.is_hdf5(path):
        check_netcdf(path)
    elif head[:2] == GZIP:
        _check_picture_size(io.BytesIO(_unpacked(path)))
    else:
        content = Path(path).read_bytes()
        if head == PNG:
            check_png(content)
        _check_picture_size(io.BytesIO(content))


def check_png(content: bytes) -> None:
    """Check the size, the checksum of each chunk and that of the pixels of a PNG.

    Pillow does not check those of the pixels.
    """
    chunks = _chunks(content)
    if not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
        raise NowcastError("is a PNG without a header: fetch it again")

    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", chunks[0][1])
    check_pixels(width, height)
    kinds = [kind for kind, _ in chunks]
    if kinds.count(b"IHDR") > 1 or (colour == INDEXED and kinds.count(b"PLTE") != 1):
        raise NowcastError("is a PNG without its palette, or with two headers: fetch it again")

    bits = depth * CHANNELS.get(colour, 1)
    expected = _unpacked_size(width, height, bits, bool(interlace))
    _check_pixel_data([part for kind, part in chunks if kind == b"IDAT"], expected)


def _chunks(content: bytes) -> list[tuple[bytes, memoryview]]:
    """Kind and content of each chunk of a PNG up to IEND; NowcastError for a wrong checksum."""
    view, offset = memoryview(content), len(PNG)
    chunks: list[tuple[bytes, memoryview]] = []
    while True:
        if offset + 12 > len(content) or len(chunks) > MAX_OBJECTS:
            raise NowcastError("is a PNG that is cut off: fetch it again")
        length, kind = struct.unpack_from(">I4s", content, offset)
        end = offset + 8 + length
        if end + 4 > len(content):
            raise NowcastError("is a PNG that is cut off: fetch it again")

        (checksum,) = struct.unpack_from(">I", content, end)
        if zlib.crc32(view[offset + 4 : end]) != checksum:
            raise NowcastError(
                f"has a wrong checksum in its {printable(kind.decode('latin-1'))}: fetch it again"
            )
        if kind == b"IEND":
            return chunks
        chunks.append((kind, view[offset + 8 : end]))
        offset = end + 4


def _unpacked_size(width: int, height: int, bits: int, interlaced: bool) -> int:
    """Bytes of a PNG's pixels before compression, with a byte for the filter of each row."""
    total = 0
    for x, y, dx, dy in PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = -((x - width) // dx), -((y - height) // dy)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total


def _check_pixel_data(parts: list[memoryview], expected: int) -> None:
    """Unpack a PNG's pixels, piece by piece, to the checksum at their end."""
    decoder, size = zlib.decompressobj(), 0
    try:
        for part in parts:
            rest: bytes | memoryview = part
            while rest and not decoder.eof and size <= expected + MAX_OBJECTS:
                size += len(decoder.decompress(rest, 1 << 20))
                rest = decoder.unconsumed_tail
    except zlib.error as error:
        raise NowcastError(f"has broken pixels ({error}): fetch it again") from error
    if not decoder.eof or size < expected:
        raise NowcastError("has fewer or more pixels than its header says: fetch it again")


def _unpacked(path: str | Path) -> bytes:
    """The content of a gzip file, read to the checksum at its end."""
    try:
        with gzip.open(path) as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise NowcastError(f"is a broken gzip file ({printable(error)}): fetch it again") from error
    if len(content) > MAX_BYTES:
        raise NowcastError(f"unpacks to more than {MAX_BYTES >> 20} MiB: no radar image does")
    return content


def _check_picture_size(content: io.BytesIO) -> None:
    """Check the size in a picture's header. What is not a picture is left to its reader."""
    try:
        with Image.open(content) as picture:
            width, height = picture.size
    except Image.DecompressionBombError as error:
        raise NowcastError(f"claims too many pixels ({error})") from error
    except (OSError, ValueError, SyntaxError):
        return
    check_pixels(width, height)


def check_hdf5(content: h5py.File) -> None:
    """Check all links and datasets of an HDF5 file: none may reach for another file.

    Raises
    ------
    NowcastError
        For external links, external storage and virtual datasets, for images that claim too many
        pixels, for huge chunks, and for too many objects.
    """
    count = 0

    def complaint(name: bytes, link: h5py.h5l.LinkInfo) -> str | None:
        """What is wrong with a link; h5py stops at the first answer, and loses exceptions."""
        nonlocal count
        count += 1
        if count > MAX_OBJECTS:
            return f"has more than {MAX_OBJECTS} objects: no radar file has"
        if link.type not in (h5py.h5l.TYPE_HARD, h5py.h5l.TYPE_SOFT):
            shown = printable(name.decode(errors="replace"))
            return f"links to another file ({shown}): this is refused"
        return None

    if wrong := content.id.links.visit(complaint, info=True):
        raise NowcastError(wrong)
    content.visititems(_check_object)


def _check_object(name: str, item: h5py.HLObject) -> None:
    """Check one object of an HDF5 file, without reading its values."""
    if not isinstance(item, h5py.Dataset):
        return
    plist = item.id.get_create_plist()
    layout = plist.get_layout()
    if layout == h5py.h5d.VIRTUAL or plist.get_external_count():
        raise NowcastError(f"keeps {printable(name)} in another file: this is refused")

    shape = item.id.shape
    rows, columns = ((1, 1, *shape))[-2:]
    check_pixels(columns, rows)
    size = item.id.get_type().get_size()
    if layout == h5py.h5d.CHUNKED:
        for length in plist.get_chunk():
            size *= length
    if size > MAX_CHUNK_BYTES:
        raise NowcastError(f"has chunks of {size >> 20} MiB in {printable(name)}: this is refused")


def check_netcdf(path: str | Path) -> None:
    """Check an HDF5 or a netCDF file of any size: see `check_heaps` and `check_hdf5`."""
    with open(path, "rb") as file:
        head = file.read(8)
    if head == HDF5:
        check_heaps_of(path)
        with h5py.File(path, "r") as content:
            check_hdf5(content)
        return
    if h5py.is_hdf5(path):  # the libraries find HDF5 behind other bytes, too
        raise NowcastError("has other bytes before its HDF5 content: this is refused")
    import netCDF4  # only for files of that format: training works without it

    with netCDF4.Dataset(path) as content:
        for variable in content.variables.values():
            rows, columns = ((1, 1, *variable.shape))[-2:]
            check_pixels(columns, rows)
