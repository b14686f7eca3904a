"""Odd inputs: each function makes one from a random generator and gives it to the library."""

import json
import tempfile
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import xarray as xr
from PIL import Image

from nowcastlib.data import describe, grid, nearest_frames, open_frames, place, usual_step, utc
from nowcastlib.data.feeds.images import Images
from nowcastlib.data.feeds.palettes import rates_of_pixels
from nowcastlib.data.feeds.rate_palettes import rate_palette
from nowcastlib.display import coastlines
from nowcastlib.units import amount_of_water, is_rain

# fmt: off
UNITS = ["mm", "cm", "m", "kg", "m-2", "/", " per ", "(", ")", "**", "^", ".", " ", "-1", "h",
         "hr", "s", "min", "day", "0", "5", "1e9", "dBZ", "%", "²", "٣", "\n", "\x00", "scan"]
TIMES = ["2024", "-", "06", "01", "T", " ", "12", ":", "00", "Z", "+02:00", "-99", "now", "NaT",
         "1e9", "9999", "0001", ".5", "٣", "\n", "Jun", "infinity"]
WORDS = ["rainfall_rate", "lat", "lon", "degrees_north", "degrees", "m", "km", "5 minutes", "PT5M",
         "time: sum (interval: 5 minutes)", "time: mean", "-1 hours", "nan", "1e308 days", "X", "Y",
         "crs", "time_bnds", "projection_x_coordinate", "grid_latitude", "", " ", "\x00",
         "days since 2000-01-01", "minutes since 0000-13-45"]
NUMBERS = [0, 1, -1, 0.5, 1e-300, 1e300, -9999.0, 255, 90.0, 361.0, float("nan"), float("inf")]
MAPPINGS = ["rotated_latitude_longitude", "polar_stereographic", "mercator", "latitude_longitude",
            "transverse_mercator", "lambert_conformal_conic", "vertical_perspective", "", "x"]
COLOURS = ["#ffffff", "#000000", "#0a96ff", "#0A96FF", "#00c85", "red", "transparent", "",
           "#-1ffff"]
RATES = ["nan", -1, 1e9, "1,5", True, [], {}, "", float("inf"), 10**400, None, "50", "none"]
# fmt: on


def joined(random: Random, pieces: list[str]) -> str:
    return "".join(random.choices(pieces, k=random.randint(0, 7)))


def units(random: Random) -> None:
    """Units and names of a variable."""
    text = joined(random, UNITS)
    kind, factor = amount_of_water(text)
    assert kind in ("rate", "amount", "")
    assert 0 < factor < float("inf")
    assert not is_rain(text, "rain") or kind


def times(random: Random) -> None:
    """Times that a user or a feed writes, and tables of them."""
    gaps = random.choices([0, 1, 10, 300, 300, 300, 301, 86400], k=random.randint(1, 9))
    stamps = pd.Timestamp("2024-06-01") + pd.to_timedelta(np.cumsum(gaps), unit="s")
    stamps = pd.DatetimeIndex(stamps.unique())
    usual_step(stamps)
    numbers = nearest_frames(stamps, stamps)
    assert ((numbers == np.arange(len(stamps))) | (numbers == -1)).all()
    text = list("2024-06-01T12:00:30.5+02:00"[: random.randint(10, 27)])
    for _ in range(random.randint(0, 2)):
        text[random.randrange(len(text))] = random.choice(TIMES) if random.random() < 0.5 else "1"
    assert utc("".join(text)).tzinfo is None


def attributes(random: Random) -> None:
    """A store with odd attributes of its variable, its axes and its map."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "theirs.zarr"
        _dataset(random).to_zarr(path, zarr_format=2)
        _with_odd_attributes(random, path)
        frames = open_frames(path)
        described = describe(frames)
        assert "frames of" in described
        size = grid.pixel_size(frames)
        assert size is None or min(size) >= 0
        place.degrees(frames)
        coastlines.lines(frames)


def _dataset(random: Random) -> xr.Dataset:
    """A store as others write it: 3 frames of 4 × 5 pixels with a map."""
    n, rows, columns = 3, 4, 5
    steps = random.choice([0.1, 1000.0, 1e-9, 45.0, -0.5])
    coords = {
        "time": pd.date_range("2024-06-01", periods=n, freq="5min"),
        "y": ("y", steps * np.arange(rows), {"units": random.choice(WORDS)}),
        "x": ("x", steps * np.arange(columns), {"standard_name": random.choice(WORDS)}),
    }
    rate = np.full((n, rows, columns), random.choice([0.0, 5.0, -0.5, np.nan, 2000.0]), "f4")
    about = {"units": random.choice(["mm h-1", "mm", "dBZ", joined(random, UNITS)])}
    dataset = xr.Dataset({"rain": (("time", "y", "x"), rate, about)}, coords)
    if random.random() < 0.5:
        dataset["crs"] = ((), np.int32(0), {"grid_mapping_name": random.choice(MAPPINGS)})
        dataset.rain.attrs["grid_mapping"] = random.choice(["crs", "crs: x y", "nothing"])
    return dataset


def _with_odd_attributes(random: Random, path: Path) -> None:
    """Change some attributes in the store's metadata, as no library would write them."""
    keys = ["units", "standard_name", "long_name", "cell_methods", "accumulation_period", "axis",
            "bounds", "_FillValue", "scale_factor", "add_offset", "calendar", "coordinates",
            "grid_north_pole_latitude", "standard_parallel", "crs_wkt", "source"]  # fmt: skip
    for _ in range(random.randint(1, 3)):
        file = path / random.choice(["rain", "rain", "x", "y", "time", "crs", ""]) / ".zattrs"
        if not file.exists():
            continue
        values = json.loads(file.read_text())
        odd = random.choice([*WORDS, *NUMBERS, [], [1, 2], {}, None, True, joined(random, UNITS)])
        values[random.choice(keys)] = odd
        file.write_text(json.dumps(values))
    (path / ".zmetadata").unlink(missing_ok=True)


def palettes(random: Random) -> None:
    """Palettes from pairs and from CSV and JSON files."""
    rows = [
        [
            f"#{random.randrange(1 << 24):06x}"
            if random.random() < 0.8
            else random.choice(COLOURS),
            random.choice([0, 1.5, 50]) if random.random() < 0.8 else random.choice(RATES),
        ]
        for _ in range(random.randint(0, 5))
    ]
    if random.random() < 0.2:
        rows = random.choice([[*rows, []], [*rows, "row"], [*rows, [1, 2, 3]], [*rows, None]])
    form = random.choice(["pairs", "csv", "json"])
    if form == "pairs":
        rate_palette(rows)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"scale.{form}"
        if form == "json":
            path.write_text(json.dumps(random.choice([rows, dict(enumerate(rows)), 5, None, "x"])))
        else:
            separator = random.choice([",", ",", ",", ";", ", "])
            lines = [separator.join(map(str, row)) for row in rows if isinstance(row, list)]
            path.write_text(random.choice(["", "\ufeff", "colour,rate\n", '"']) + "\n".join(lines))
        rate_palette(path)


def pictures(random: Random) -> None:
    """Pictures of all sizes and modes, by a palette and by brightness."""
    rng = np.random.default_rng(random.randrange(1 << 30))
    shape = random.randint(1, 9), random.randint(1, 9)
    colours = [f"#{random.randrange(1 << 24):06x}" for _ in range(random.randint(1, 12))]
    scale = [(colour, random.choice([0, 1.5, 50, None])) for colour in dict.fromkeys(colours)]
    palette = rate_palette([("#010203", 1), *((c, r) for c, r in scale if c != "#010203")])
    if random.random() < 0.5:
        pixels = palette.colours[rng.integers(0, len(palette.colours), shape)]
    else:
        pixels = rng.integers(0, 256, (*shape, random.choice([3, 4])), dtype="u1")
    with tempfile.TemporaryDirectory() as folder:
        picture = Image.fromarray(pixels)
        suffix = random.choice(["png", "gif", "jpg", "tif", "bmp"])
        modes = ["RGB", "L", "P", "1", *(["RGBA", "LA"] if suffix in ("png", "tif") else [])]
        mode = random.choice(modes if suffix != "jpg" else ["RGB", "L", "CMYK"])
        picture.convert(mode).save(Path(folder) / f"1.{suffix}")
        given = random.choice([{"palette": palette.entries}, {"brightness": True}, {}])
        feed = Images(folder, **given)
        frame = feed.read(next(feed.list().itertuples()))
        assert frame.shape == shape
        rate, unsure = rates_of_pixels(pixels, palette)
        assert rate.shape == shape
        assert 0 <= unsure <= 0.25


KINDS = {
    "units": units,
    "times": times,
    "attributes": attributes,
    "palettes": palettes,
    "pictures": pictures,
}
