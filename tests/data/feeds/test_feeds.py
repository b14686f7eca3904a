"""What all feeds have in common, the registry, and the synthetic feed."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nowcastlib.cli.parser import parse
from nowcastlib.data import as_frames, feeds, open_frames, times
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.data.feeds.registry import FEEDS
from nowcastlib.errors import NowcastError

DOCUMENTATION = (Path(__file__).parents[3] / "docs" / "feeds.md").read_text()
FEED_PACKAGES = ["pysteps", "rasterio", "pyproj", "s3fs", "botocore", "requests"]
SEVERAL_PROCESSES = ["dask", "distributed"]


def run_without_packages(script: str, packages=FEED_PACKAGES, **options) -> str:
    """What a script prints in a new process in which these packages cannot be imported."""
    block = f"import sys\nsys.modules.update(dict.fromkeys({packages}))\n"
    options = {"capture_output": True, "text": True, "check": True} | options
    return subprocess.run([sys.executable, "-c", block + script], **options).stdout


# ---- the protocol and the registry


@pytest.mark.parametrize("name", FEEDS)
def test_every_feed_has_all_attributes_of_the_protocol(tmp_path, name):
    path = tmp_path / "frames.zarr"
    as_frames(np.ones((2, 4, 4), "f4")).assign_attrs(units="mm h-1").to_zarr(path, zarr_format=2)
    feed = feeds.feed(name, **({"path": str(path)} if name in ("cloud", "images") else {}))
    assert isinstance(feed.attribution, str)
    assert feed.attribution
    assert isinstance(feed.licence, str)
    assert isinstance(feed.product, str)
    assert isinstance(feed.concurrency, int)
    assert feed.concurrency >= 1
    assert callable(feed.list)
    assert callable(feed.read)


def test_an_unknown_feed_is_refused_with_the_known_names():
    with pytest.raises(
        NowcastError, match=r"unknown source 'zzz'.* demo, archive, fvg, cloud, images"
    ):
        feeds.feed("zzz")


def test_empty_options_keep_their_defaults():
    assert feeds.feed("demo", events=2, size=None) == Demo(events=2)
    assert feeds.feed("demo", path="") == Demo()


def test_an_unknown_option_is_refused_with_the_known_ones():
    with pytest.raises(
        NowcastError, match=r"the source demo has no option 'path'.* events, frames"
    ):
        feeds.feed("demo", path="x")


def test_a_missing_option_is_named():
    with pytest.raises(NowcastError, match="the source images needs a path"):
        feeds.feed("images")


def test_times_are_utc_and_must_be_valid():
    series = pd.Series(pd.date_range("2024-06-01T12:00", periods=4, freq="5min"))
    marked = times.within(series, "2024-06-01T14:05+02:00", None)
    assert marked.tolist() == [False, True, True, True]
    with pytest.raises(NowcastError, match="'rubbish' is not a time"):
        times.within(series, "rubbish", None)


# ---- what is imported


def test_importing_the_feeds_imports_nothing_that_one_of_them_depends_on():
    script = """
import nowcastlib.data.feeds
from nowcastlib.data import Feed, feed
print([name for name in ("pysteps", "rasterio", "botocore", "requests") if name in sys.modules])
"""
    assert run_without_packages(script, packages=[]).strip() == "[]"


def test_windows_need_no_packages_of_feeds_or_of_several_processes(tmp_path):
    script = """
import nowcastlib.data
from nowcastlib.data import (
    RadarWindows, feed, find_windows, frames_table, ingest, open_frames, time_step
)

out = ingest(feed("demo", events=1, frames=8, size=16), "frames.zarr")
frames = open_frames(out)
rows = find_windows(frames_table(frames), 4, time_step(frames))
print(tuple(RadarWindows(frames, rows)[0].shape))
"""
    packages = FEED_PACKAGES + SEVERAL_PROCESSES
    assert run_without_packages(script, packages, cwd=tmp_path).strip() == "(4, 1, 16, 16)"


@pytest.mark.parametrize(
    ("name", "package"),
    [("archive", "rasterio"), ("archive", "pysteps"), ("fvg", "requests"), ("cloud", "botocore")],
)
def test_a_feed_whose_package_is_not_installed_names_it(name, package):
    script = f"""
from nowcastlib.data import feed
from nowcastlib.errors import NowcastError
try:
    feed({name!r}, path="x" if {name!r} != "fvg" else "")
except NowcastError as error:
    print(error)
"""
    said = run_without_packages(script, packages=[package])
    assert re.match(rf"the source {name} needs the package {package}\b.*: install it", said)


# ---- the documentation


def test_every_feed_and_product_is_documented():
    from nowcastlib.data.feeds.products import PRODUCTS

    for name in FEEDS:
        assert f"## {name}\n" in DOCUMENTATION
        assert f"--source {name} " in DOCUMENTATION
    for name, product in PRODUCTS.items():
        row = next(line for line in DOCUMENTATION.splitlines() if line.startswith(f"| `{name}` |"))
        assert product.licence in row or product.licence.split("/")[-1] in row


@pytest.mark.parametrize(
    "command", re.findall(r"^nowcast (ingest .*)$", DOCUMENTATION, re.MULTILINE)
)
def test_commands_of_the_documentation_make_their_feed(command):
    options = parse(shlex.split(command))
    assert type(options.feed()).__module__ == FEEDS[options.source].partition(":")[0]


def test_the_feed_of_the_documentation_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my_radar").mkdir()
    for minute in (0, 5, 10):
        np.save(f"my_radar/20240601T12{minute:02}.npy", np.full((4, 6), minute, "f4"))
    examples = re.findall(r"```python\n(.*?)```", DOCUMENTATION, re.DOTALL)
    (code,) = [example for example in examples if "class " in example]
    exec(code, {})
    frames = open_frames("frames.zarr")
    assert frames[:, 0, 0].values.tolist() == [0, 5, 10]
    assert frames.indexes["time"][-1] == pd.Timestamp("2024-06-01T12:10")
    assert frames.attrs["source"] == "the radar on our roof"


# ---- the synthetic feed


def test_demo_is_deterministic():
    demo = Demo(events=3, frames=20, size=16)
    last = next(demo.list().iloc[[-1]].itertuples())
    assert demo.read(last).identical(Demo(events=3, frames=20, size=16).read(last))
    assert (demo.read(last) != Demo(events=3, frames=20, size=16, seed=1).read(last)).any()


def test_demo_has_pixels_of_1_km_north_up():
    demo = Demo(events=1, frames=2, size=16)
    frame = demo.read(next(demo.list().itertuples()))
    assert (np.diff(frame.x) == 1000).all()
    assert (np.diff(frame.y) == -1000).all()


def test_third_storm_of_the_demo_has_a_hole_and_follows_a_day_without_frames():
    table = Demo(events=3, frames=20, size=16).list()
    gaps = table.time.diff().dt.total_seconds().div(60)
    third = gaps[table.event == 2].iloc[1:]
    assert third.value_counts().to_dict() == {5: 11, 40: 1}
    assert gaps[table.event != 2].value_counts().to_dict() == {5: 38, 1345: 1}
    assert table.time.dt.day.unique().tolist() == [1, 2, 4]


def test_holes_of_the_demo_last_10_to_40_minutes():
    gaps = Demo(events=300, frames=20).list().time.diff().dt.total_seconds().div(60)
    assert set(gaps[(gaps > 5) & (gaps < 300)]) == set(range(10, 45, 5))


def test_storms_of_the_demo_move_1_to_3_px_per_frame_in_all_directions():
    velocity = np.array([Demo().storm(event).velocity for event in range(60)])
    speed = np.hypot(*velocity.T)
    assert speed.min() >= 1
    assert speed.max() <= 3
    assert np.ptp(speed) > 1.5
    assert len(np.unique(velocity > 0, axis=0)) == 4
