"""The decoders under attack: for each a valid input, and what is made of it."""

import gzip
import io
import json
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import archive_files
import netCDF4
import numpy as np
from fvg_server import SPAN, TIMES, row
from PIL import Image

from hostile.mutations import mutated_bytes, mutated_json
from nowcastlib.data import ingest, open_frames
from nowcastlib.data.feeds import answers, fvg, http, odim, palettes
from nowcastlib.data.feeds.archive import Archive
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.data.feeds.images import Images
from nowcastlib.errors import NowcastError

ROW = SimpleNamespace(number=0, time=archive_files.START)


@dataclass(frozen=True)
class Decoder:
    """One kind of input."""

    content: bytes  # a valid input
    decode: Callable[[bytes], Any]  # an array, or something else that can be compared
    has_checksum: bool = False  # a changed input must be refused, or give the same
    mutate: Callable[[bytes, random.Random], bytes] = mutated_bytes


def all_decoders(folder: Path) -> dict[str, Decoder]:
    """All kinds of input by name; files are written into `folder`."""
    return {
        **_pictures(folder),
        **_archives(folder),
        **_stores(folder),
        "odim": Decoder(_odim(folder), lambda content: odim.decode(content, "radar.h5").values),
        "list": Decoder(_listing(), _listed, mutate=mutated_json),
        "gzip answer": Decoder(gzip.compress(_listing()), _unpacked, has_checksum=True),
        "picture names": Decoder(b"f1\nf2\nf3\nradar_7\nx_12\n", _names),
    }


# ---- pictures


def _pictures(folder: Path) -> dict[str, Decoder]:
    rate = np.random.default_rng(0).uniform(0, 80, (24, 24))
    indexed = palettes.draw(rate)
    coloured = io.BytesIO()
    Image.open(io.BytesIO(indexed)).convert("RGBA").save(coloured, "PNG")

    decoders = {
        "png palette": Decoder(indexed, palettes.classify, has_checksum=True),
        "png colour": Decoder(coloured.getvalue(), palettes.classify, has_checksum=True),
    }
    grey = Image.fromarray((rate * 3).astype("u1"))
    for kind in ("png", "gif", "tif", "bmp", "jpg"):
        content = io.BytesIO()
        grey.save(content, {"tif": "TIFF", "jpg": "JPEG"}.get(kind, kind.upper()))
        path = folder / f"picture_1.{kind}"
        feed = Images(str(folder), brightness=True)
        read = _reading_file(path, lambda feed=feed, path=path: _read_picture(feed, path))
        decoders[f"picture {kind}"] = Decoder(content.getvalue(), read, kind == "png")
    return decoders


def _read_picture(feed: Images, path: Path) -> np.ndarray:
    fresh = Images(feed.path, brightness=True)  # which has no open file
    return fresh.read(SimpleNamespace(path=str(path), number=0, time=ROW.time)).values


def _names(content: bytes) -> list:
    names = re.split(r"[\n/\0]", content.decode("latin-1"))
    paths = [Path(f"{name}.png") for name in names if re.search(r"\d", name)]
    if not paths:
        raise NowcastError("no names")
    return [time for time, _ in Images("x")._pictures_by_time(paths)]


# ---- files of weather services


def _archives(folder: Path) -> dict[str, Decoder]:
    decoders = {}
    for product in ("mch", "fmi", "fmi-geotiff", "knmi", "bom"):
        path = archive_files.write(product, folder / product)
        feed = Archive(product, str(folder / product))
        found = next(feed.list().itertuples())
        read = _reading_file(path, lambda feed=feed, found=found: feed.read(found).values)
        decoders[product] = Decoder(path.read_bytes(), read, product == "fmi")
    return decoders


def _odim(folder: Path) -> bytes:
    return archive_files.write("odim", folder / "odim").read_bytes()


def _reading_file(path: Path, read: Callable[[], Any]) -> Callable[[bytes], Any]:
    """What is read after a content was written to a file."""

    def decode(content: bytes) -> Any:
        path.write_bytes(content)
        return read()

    return decode


# ---- stores


def _stores(folder: Path) -> dict[str, Decoder]:
    ours = ingest(Demo(events=1, frames=4, size=8), folder / "ours.zarr")
    frames = open_frames(ours).to_dataset().drop_encoding()
    decoders = {}
    for version, name in ((2, ".zmetadata"), (3, "zarr.json")):
        store = folder / f"zarr{version}.zarr"
        frames.to_zarr(store, zarr_format=version, consolidated=True)
        read = _reading_file(store / name, lambda store=store: open_frames(store).values)
        content = (store / name).read_bytes()
        decoders[f"zarr {version} metadata"] = Decoder(content, read, mutate=mutated_json)

    damaged = shutil.copytree(folder / "zarr2.zarr", folder / "chunks.zarr")
    (chunk,) = (damaged / "rainfall_rate").glob("0*")
    read = _reading_file(chunk, lambda: open_frames(damaged).values)
    decoders["zarr chunk"] = Decoder(chunk.read_bytes(), read)

    (chunk,) = (ours / "rainfall_rate").glob("0*")
    read = _reading_file(chunk, lambda: open_frames(ours).values)
    decoders["our chunk"] = Decoder(chunk.read_bytes(), read, has_checksum=True)

    for form, name in (("NETCDF3_CLASSIC", "classic"), ("NETCDF4", "4")):
        path = folder / f"{name}.nc"
        _write_netcdf(path, form)
        read = _reading_file(path, lambda path=path: _open_here(path))
        decoders[f"netcdf {name}"] = Decoder(path.read_bytes(), read)
    return decoders


def _write_netcdf(path: Path, form: str) -> None:
    with netCDF4.Dataset(path, "w", format=form) as file:
        for axis, n in (("time", 3), ("y", 8), ("x", 8)):
            file.createDimension(axis, n)
            coordinate = file.createVariable(axis, "i4", (axis,))
            coordinate.units = "minutes since 2024-06-01" if axis == "time" else "m"
            coordinate[:] = np.arange(n) * 1000
        rain = file.createVariable("rain", "f4", ("time", "y", "x"))
        rain.units = "mm h-1"
        rain[:] = 1.0


@patch("nowcastlib.data.store.check_opens")  # which opens the file in a child: too slow here
def _open_here(path: Path, _: Any) -> np.ndarray:
    """The frames of a NetCDF file: what the checks in this process let through must not hang."""
    return open_frames(path).values


# ---- the server of Friuli Venezia Giulia


def _listing() -> bytes:
    return json.dumps({"products": [row(100 + k, TIMES[k]) for k in range(4)]}).encode()


def _listed(content: bytes) -> list:
    feed = fvg.Fvg(base="http://x")
    pages = iter((content, b"null", b"null"))
    answer = lambda url, budget, **query: http.Answer(url, next(pages), "json")  # noqa: E731
    feed.__dict__["_client"] = SimpleNamespace(get=answer)
    return feed.list(*SPAN)[["time", "id"]].values.tolist()


def _unpacked(content: bytes) -> bytes:
    try:
        plain = answers.decompressed(content, "gzip", 1 << 20)
    except (ValueError, answers.Failure) as error:
        raise NowcastError(error) from error
    if plain is None:
        raise NowcastError("too large")
    return plain
