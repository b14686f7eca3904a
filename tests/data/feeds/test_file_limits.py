"""Foreign files: false sizes, false checksums and ways out of the file are refused by name."""

import gzip
import io
import os
import struct
import zlib

import archive_files
import h5py
import numpy as np
import pytest
import rasterio
from PIL import Image

from nowcastlib.data.feeds import odim, palettes
from nowcastlib.data.feeds.archive import Archive
from nowcastlib.data.feeds.file_limits import check_png
from nowcastlib.data.feeds.images import Images
from nowcastlib.errors import NowcastError


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I4s", len(content), kind)
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png(width, height, pixels: bytes, colour=0, *more: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            *more,
            chunk(b"IDAT", pixels),
            chunk(b"IEND", b""),
        ]
    )


def noisy_picture() -> bytes:
    """A picture of the palette with all classes in all places."""
    return palettes.draw(np.random.default_rng(0).uniform(0, 80, (24, 24)))


def read_only_frame(feed):
    return feed.read(next(feed.list().itertuples()))


# ---- PNG


def test_each_flipped_bit_of_a_png_is_refused_or_leaves_the_picture_as_it_is():
    content = noisy_picture()
    expected = palettes.classify(content)
    wrong = 0
    for k in range(0, 8 * len(content), 7):
        flipped = bytearray(content)
        flipped[k // 8] ^= 1 << (k % 8)
        try:
            wrong += not np.array_equal(palettes.classify(bytes(flipped)), expected)
        except NowcastError:
            continue
    assert wrong == 0


def test_wrong_checksum_of_the_pixels_is_named():
    content = noisy_picture()
    place = content.index(b"IDAT") + 40
    broken = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    with pytest.raises(NowcastError, match=r"the picture has a wrong checksum in its IDAT"):
        palettes.decode(broken)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (png(13_000, 13_000, zlib.compress(b"")), "claims 13000×13000 px"),
        (png(4, 4, zlib.compress(bytes(10))), "fewer or more pixels"),
        (png(4, 4, zlib.compress(bytes(10_000_000))), "fewer or more pixels"),
        (png(4, 4, zlib.compress(bytes(20))[:-2] + b"zz"), "broken pixels"),
        (png(4, 4, zlib.compress(bytes(20)), 3), "without its palette"),
        (png(4, 4, zlib.compress(bytes(20)), 0, chunk(b"IHDR", bytes(13))), "two headers"),
        (noisy_picture()[:-12], "cut off"),
    ],
    ids=["pixels", "short", "bomb", "zlib", "no palette", "two headers", "no end"],
)
def test_png_that_contradicts_itself_is_refused(content, message):
    with pytest.raises(NowcastError, match=f"radar.png .*{message}"):
        palettes.decode(content, name="radar.png")


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (16, 9)])
def test_good_png_of_every_kind_passes(mode, size):
    content = io.BytesIO()
    values = np.arange(size[0] * size[1], dtype="u1").reshape(size[::-1])
    Image.fromarray(values).convert(mode).save(content, "PNG")
    check_png(content.getvalue())


def test_interlaced_png_passes():
    pixels = zlib.compress(bytes(15))  # of 3×3 px: passes of 1, 0, 0, 1×1, 2×1, 1×2 and 3×1 px
    header = struct.pack(">IIBBBBB", 3, 3, 8, 0, 0, 0, 1)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b""))
    content = b"\x89PNG\r\n\x1a\n" + b"".join(parts)
    check_png(content)
    assert Image.open(io.BytesIO(content)).convert("L").getextrema() == (0, 0)

    short = chunk(b"IDAT", zlib.compress(bytes(14)))
    with pytest.raises(NowcastError, match="fewer or more"):
        check_png(content.replace(parts[1], short))


# ---- gzip, GIF, GeoTIFF


@pytest.mark.parametrize("place", [-8, -2, 40])
def test_wrong_checksum_or_length_of_a_gzip_is_refused(tmp_path, place):
    path = archive_files.write("fmi", tmp_path)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(NowcastError, match=rf"{path.name} .*gzip.*fetch it again"):
        read_only_frame(Archive("fmi", str(tmp_path)))


def test_gzip_bomb_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("nowcastlib.data.feeds.file_limits.MAX_BYTES", 1 << 20)
    path = archive_files.write("fmi", tmp_path)
    path.write_bytes(gzip.compress(bytes(2 << 20)))
    with pytest.raises(NowcastError, match=rf"{path.name} unpacks to more than 1 MiB"):
        read_only_frame(Archive("fmi", str(tmp_path)))


def test_gif_that_claims_too_many_pixels_is_refused(tmp_path):
    path = archive_files.write("mch", tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[:6] + struct.pack("<HH", 9_000, 9_000) + content[10:])
    with pytest.raises(NowcastError, match=rf"{path.name} claims 9000×9000 px"):
        read_only_frame(Archive("mch", str(tmp_path)))


def test_geotiff_that_claims_too_many_pixels_is_refused(tmp_path):
    path = archive_files.write("fmi-geotiff", tmp_path)
    profile = {"driver": "GTiff", "width": 9_000, "height": 9_000, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", sparse_ok=True, crs="EPSG:3067", **profile):
        pass
    with pytest.raises(NowcastError, match=rf"{path.name} claims .* px"):
        read_only_frame(Archive("fmi-geotiff", str(tmp_path)))


def test_description_of_another_file_is_not_a_geotiff(tmp_path):
    good = archive_files.write("fmi-geotiff", tmp_path / "secret")
    virtual = tmp_path / "feed" / good.name
    virtual.parent.mkdir()
    virtual.write_text(
        '<VRTDataset rasterXSize="16" rasterYSize="12"><SRS>EPSG:3067</SRS>'
        '<VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename>'
        f"{good}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
        "</VRTDataset>"
    )
    with rasterio.open(virtual) as file:
        assert file.read(1).any()  # rasterio itself would read the other file
    with pytest.raises(NowcastError, match=r"FINUTM\.tif cannot be read"):
        read_only_frame(Archive("fmi-geotiff", str(virtual.parent)))


# ---- HDF5


def odim_content(tmp_path, change) -> bytes:
    path = archive_files.write("odim", tmp_path / "odim")
    with h5py.File(path, "r+") as file:
        change(file)
    return path.read_bytes()


def external_data(file):
    del file["dataset1/data1/data"]
    file.create_dataset(
        "dataset1/data1/data", (2, 4), "u1", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
    )


def virtual_data(file):
    del file["dataset1/data1/data"]
    layout = h5py.VirtualLayout((2, 4), "u1")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", (2, 4))
    file.create_virtual_dataset("dataset1/data1/data", layout)


def external_link(file):
    del file["where"]
    file["where"] = h5py.ExternalLink("/tmp/other.h5", "/where")


def many_pixels(file):
    del file["dataset1/data1/data"]
    file.create_dataset("dataset1/data1/data", (10_000, 10_000), "u2", chunks=(100, 100))


def huge_chunk(file):
    del file["dataset1/data1/data"]
    options = {"chunks": (40_000, 40_000), "maxshape": (None, None), "compression": "gzip"}
    file.create_dataset("dataset1/data1/data", (2, 4), "u1", **options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (external_data, "keeps dataset1/data1/data in another file"),
        (virtual_data, "keeps dataset1/data1/data in another file"),
        (external_link, "links to another file .where."),
        (many_pixels, "claims 10000×10000 px"),
        (huge_chunk, "has chunks of 1525 MiB"),
    ],
)
def test_hdf5_file_that_reaches_for_others_or_claims_too_much_is_refused(tmp_path, change, message):
    with pytest.raises(NowcastError, match=f"radar.h5 {message}"):
        odim.decode(odim_content(tmp_path, change), "radar.h5")


@pytest.mark.parametrize("product", ["knmi", "bom"])
def test_files_of_pysteps_importers_are_checked_too(tmp_path, product):
    path = archive_files.write(product, tmp_path)
    with h5py.File(path, "r+") as file:
        file["more"] = h5py.ExternalLink("/tmp/other.h5", "/x")
    with pytest.raises(NowcastError, match=rf"{path.name} links to another file"):
        read_only_frame(Archive(product, str(tmp_path)))


# ---- regular files


def test_a_pipe_among_pictures_does_not_block(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "frame_001.png")
    os.mkfifo(tmp_path / "frame_002.png")
    os.mkfifo(tmp_path / "film_1.gif")
    assert len(Images(str(tmp_path)).list()) == 1
    with pytest.raises(NowcastError, match="is not a folder or a video"):
        Images(str(tmp_path / "film_1.gif")).list()


def test_a_pipe_is_not_an_hdf5_file(tmp_path):
    os.mkfifo(tmp_path / "radar.h5")
    with pytest.raises(NowcastError, match=r"radar\.h5 is not a regular file"):
        odim.decode(tmp_path / "radar.h5")


@pytest.mark.parametrize("names", [(1, 2, 10**25), (1, 2, 10**200)])
def test_picture_numbers_far_apart_are_refused_by_name(tmp_path, names):
    for number in names:
        Image.new("L", (4, 4)).save(tmp_path / f"f{number}.png")
    with pytest.raises(NowcastError, match=r"f2\.png and f1000.*apart: number the pictures"):
        Images(str(tmp_path)).list()
