"""Frames of the weather services; these tests run where NOWCAST_ARCHIVE names their folder."""

from dataclasses import dataclass

import numpy as np
import pyproj
import pytest

from nowcastlib.data import grid, ingest, store, time_step
from nowcastlib.data.feeds.archive import Archive
from nowcastlib.data.store import open_frames
from nowcastlib.forecasting import forecast, forecaster
from nowcastlib.forecasting.baselines import BASELINES
from nowcastlib.verification import (
    EvaluationOptions,
    effective_resolution,
    evaluate,
    mean_csi,
    score,
)


@dataclass(frozen=True)
class Event:
    """Frames of a service on one day, and what their service has published."""

    product: str
    day: str
    frames: int
    shape: tuple[int, int]  # px
    share_of_rain: float  # share of the pixels above 0.1 mm/h, as published, …
    share_of_heavy_rain: float  # … and above 5 mm/h
    decimals: tuple[int, int]  # of these shares
    city: tuple[float, float]  # longitude and latitude of a place on the grid


EVENTS = {
    "mch 2015": Event(
        "mch",
        "2015-05-15",
        40,
        (640, 710),
        0.118,
        0.009,
        (3, 3),
        (8.54, 47.38),  # Zurich
    ),
    "mch 2017": Event(
        "mch",
        "2017-01-31",
        40,
        (640, 710),
        0.148,
        0.004,
        (3, 3),
        (7.45, 46.95),  # Bern
    ),
    "fmi": Event(
        "fmi",
        "2017-05-09",
        40,
        (1226, 760),
        0.072,
        0.0003,
        (3, 4),
        (24.94, 60.17),  # Helsinki
    ),
    "knmi": Event(
        "knmi",
        "2010-08-26",
        92,
        (765, 700),
        0.135,
        0.0009,
        (3, 4),
        (5.12, 52.09),  # Utrecht
    ),
    "bom": Event(
        "bom",
        "2018-06-16",
        61,
        (512, 512),
        0.311,
        0.035,
        (3, 3),
        (144.96, -37.81),  # Melbourne
    ),
}


@pytest.fixture(scope="module")
def summer_day(archive, tmp_path_factory):
    """The store of 2015-05-15 in Switzerland."""
    out = tmp_path_factory.mktemp("real") / "frames.zarr"
    return open_frames(ingest(Archive("mch", str(archive)), out, "2015-05-15", "2015-05-16"))


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_frames_have_the_published_size_and_shares_of_rain(archive, event):
    feed = Archive(event.product, str(archive))
    start = np.datetime64(event.day)
    frames = [feed.read(row) for row in feed.list(start, start + 2).itertuples()]
    assert len(frames) == event.frames
    assert {frame.shape for frame in frames} == {event.shape}

    thresholds = {0.1: event.share_of_rain, 5: event.share_of_heavy_rain}
    for (threshold, share), decimals in zip(thresholds.items(), event.decimals, strict=True):
        mean_share = np.mean([(frame > threshold).mean() for frame in frames])
        assert round(float(mean_share), decimals) == share


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_grid_is_north_up_and_holds_a_city_at_its_place(archive, event):
    feed = Archive(event.product, str(archive))
    start = np.datetime64(event.day)
    frame = feed.read(next(feed.list(start, start + 2).itertuples()))
    assert (np.diff(frame.x) > 0).all()
    assert (np.diff(frame.y) < 0).all()

    to_grid = pyproj.Transformer.from_crs("EPSG:4326", frame.attrs["crs"], always_xy=True)
    x, y = to_grid.transform(*event.city)
    nearest = frame.sel(x=x, y=y, method="nearest")
    assert abs(float(nearest.x) - x) < 1000
    assert abs(float(nearest.y) - y) < 1000
    assert np.isfinite(nearest)


def test_store_of_the_summer_day_is_as_published(summer_day):
    assert summer_day.shape == (40, 640, 710)
    assert time_step(summer_day) == 5
    assert round(float(summer_day.max()), 1) == 115.5

    # 0.118 of all pixels, as published, are 0.171 of those that are observed
    wet = int((summer_day > 0.1).sum())
    assert round(wet / summer_day.size, 3) == 0.118
    assert round(wet / int(np.isfinite(summer_day).sum()), 3) == 0.171
    assert "maximum 115.5 mm/h, share above 0.1 mm/h 0.171" in store.describe(summer_day)


def test_order_of_the_baselines_on_real_rain(summer_day):
    options = EvaluationOptions(leads=6, size=128, every=12, common=True, scales=(2, 16))
    counts = evaluate(summer_day, BASELINES, options, progress=False)
    pooled = counts.sum("case")
    assert counts.sizes["case"] == 3
    assert (score(pooled.sel(lead_time=0), "csi") == 1).all()

    csi = mean_csi(pooled).sel(threshold=0.5).to_series()
    assert csi["sprog"] > csi["extrapolation"] > csi["persistence"] > 0.4
    assert abs(csi["proesmans"] - csi["extrapolation"]) < 0.05
    assert csi["anvil"] > csi["extrapolation"]
    soon = score(pooled.sel(lead_time=5, threshold=0.5), "csi").to_series()
    assert soon.drop("persistence").min() > soon["persistence"] > 0.5
    crps = score(pooled.sel(lead_time=30), "crps").to_series()
    assert crps["steps"] < crps.drop("steps").min()


def test_sprog_blurs_real_rain(summer_day):
    runs = {name: BASELINES[name] for name in ("extrapolation", "sprog")}
    options = EvaluationOptions(leads=6, every=12, scales=(2,))
    counts = evaluate(summer_day, runs, options, progress=False).sum("case")
    resolution = effective_resolution(counts.sel(lead_time=30)).to_series()
    assert resolution["sprog"] > 15 > resolution["extrapolation"]  # km


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_shipped_network_forecasts_every_product(archive, tmp_path, event):
    feed = Archive(event.product, str(archive))
    start = np.datetime64(event.day)
    times = feed.list(start, start + 2).time.sort_values()
    out = ingest(feed, tmp_path / "six.zarr", times.iloc[18], times.iloc[24])
    frames = grid.centre(open_frames(out), 201)
    rain = forecast(forecaster("radar"), frames, leads=3)
    assert rain.shape == (3, 201, 201)
    assert 2 < float(rain.max()) < 300

    now, next_step = frames.values[-1], rain[0].values
    observed = np.isfinite(now)
    assert (np.isfinite(next_step) == observed).all()
    both, either = (now > 0.5) & (next_step > 0.5), (now > 0.5) | (next_step > 0.5)
    assert both.sum() > 0.4 * either[observed].sum()  # most of the rain stays for one step
