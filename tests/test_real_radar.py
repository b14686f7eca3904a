"""The national services' own frames, where NOWCAST_ARCHIVE names a folder that holds them."""

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

# product, first day, frames, rows, columns, share > 0.1 mm/h, share > 5 mm/h, decimals that are published, a city
EVENTS = {
    "mch 2015": (
        "mch",
        "2015-05-15",
        40,
        (640, 710),
        (0.118, 0.009),
        (3, 3),
        (8.54, 47.38),
    ),  # Zurich
    "mch 2017": (
        "mch",
        "2017-01-31",
        40,
        (640, 710),
        (0.148, 0.004),
        (3, 3),
        (7.45, 46.95),
    ),  # Bern
    "fmi": (
        "fmi",
        "2017-05-09",
        40,
        (1226, 760),
        (0.072, 0.0003),
        (3, 4),
        (24.94, 60.17),
    ),  # Helsinki
    "knmi": (
        "knmi",
        "2010-08-26",
        92,
        (765, 700),
        (0.135, 0.0009),
        (3, 4),
        (5.12, 52.09),
    ),  # Utrecht
    "bom": (
        "bom",
        "2018-06-16",
        61,
        (512, 512),
        (0.311, 0.035),
        (3, 3),
        (144.96, -37.81),
    ),  # Melbourne
}


@pytest.fixture(scope="module")
def summers_day(archive, tmp_path_factory):
    """The store of 2015-05-15 in Switzerland."""
    out = tmp_path_factory.mktemp("real") / "frames.zarr"
    return open_frames(ingest(Archive("mch", str(archive)), out, "2015-05-15", "2015-05-16"))


@pytest.mark.parametrize("event", EVENTS)
def test_event_has_its_frames_shares_and_place(archive, event):
    product, day, number, shape, shares, decimals, city = EVENTS[event]
    source = Archive(product, str(archive))
    start = np.datetime64(day)
    rows = source.list(start, start + 2)
    frames = [source.read(row) for row in rows.itertuples()]
    assert len(frames) == number
    assert {f.shape for f in frames} == {shape}
    for threshold, share, digits in zip((0.1, 5), shares, decimals, strict=True):
        assert round(float(np.mean([(f > threshold).mean() for f in frames])), digits) == share
    first = frames[0]
    assert (np.diff(first.x) > 0).all()
    assert (np.diff(first.y) < 0).all()
    x, y = pyproj.Transformer.from_crs("EPSG:4326", first.attrs["crs"], always_xy=True).transform(
        *city
    )
    at = first.sel(x=x, y=y, method="nearest")
    assert abs(float(at.x) - x) < 1000
    assert abs(float(at.y) - y) < 1000
    assert np.isfinite(at)


def test_store_of_the_summers_day_is_as_published(summers_day):
    assert summers_day.shape == (40, 640, 710)
    assert time_step(summers_day) == 5
    assert round(float(summers_day.max()), 1) == 115.5
    assert "maximum 115.5 mm/h, share above 0.1 mm/h 0.118" in store.describe(summers_day)


def test_baselines_are_scored_on_real_rain(summers_day):
    options = EvaluationOptions(leads=6, size=128, every=12, common=True, scales=(2, 16))
    counts = evaluate(summers_day, BASELINES, options, progress=False)
    pooled = counts.sum("case")
    assert counts.sizes["case"] == 3
    assert (score(pooled.sel(lead_time=0), "csi") == 1).all()
    csi = mean_csi(pooled).sel(threshold=0.5).to_series()
    assert csi["sprog"] > csi["extrapolation"] > csi["persistence"] > 0.4
    assert (
        abs(csi["proesmans"] - csi["extrapolation"]) < 0.05
    )
    assert (
        csi["anvil"] > csi["extrapolation"]
    )
    soon = score(pooled.sel(lead_time=5, threshold=0.5), "csi").to_series()
    assert soon.drop("persistence").min() > soon["persistence"] > 0.5
    crps = score(pooled.sel(lead_time=30), "crps").to_series()
    assert crps["steps"] < crps.drop("steps").min()


def test_sprog_blurs_real_rain(summers_day):
    runs = {name: BASELINES[name] for name in ("extrapolation", "sprog")}
    options = EvaluationOptions(leads=6, every=12, scales=(2,))
    counts = evaluate(summers_day, runs, options, progress=False).sum("case")
    resolution = effective_resolution(counts.sel(lead_time=30)).to_series()
    assert resolution["sprog"] > 15 > resolution["extrapolation"]  # km


def test_store_beside_the_archive_opens_north_up(archive):
    """MRMS, a CF-Zarr of others on a grid of latitude and longitude."""
    path = archive.parent / "mrms-20190610.zarr"
    if path.exists():
        frames = open_frames(path)
        assert frames.dims == ("time", "y", "x")
        assert frames.shape == (36, 3500, 7000)
        assert frames.y[0] - frames.y[-1] > 30
        assert time_step(frames) == 2
        assert grid.pixel_km(frames) == pytest.approx(1.11, abs=0.01)


@pytest.mark.parametrize("event", EVENTS)
def test_the_shipped_network_forecasts_every_product(archive, tmp_path, event):
    product, day, *_ = EVENTS[event]
    source = Archive(product, str(archive))
    out = ingest(source, tmp_path / "six.zarr", *_six(source, day))
    frames = store.open_frames(out)
    rain = forecast(forecaster("radar"), grid.centre(frames, 201), leads=3)
    assert rain.shape == (3, 201, 201)
    assert 2 < float(rain.max()) < 300
    first, seen = rain[0].values, np.isfinite(grid.centre(frames, 201).values[-1])
    assert (np.isfinite(first) == seen).all()
    now = grid.centre(frames, 201).values[-1] > 0.5
    assert (now & (first > 0.5)).sum() > 0.4 * (now | (first > 0.5))[seen].sum(), (
        "much of it is there a step later"
    )


def _six(source, day):
    """Beginning and end of six of its frames."""
    times = source.list(np.datetime64(day), np.datetime64(day) + 2).time.sort_values()
    return times.iloc[18], times.iloc[24]


def test_the_shipped_network_forecasts_a_piece_of_mrms(archive):
    path = archive.parent / "mrms-20190610.zarr"
    if path.exists():
        frames = open_frames(path).isel(y=slice(2000, 2111), x=slice(4300, 4551))
        rain = forecast(forecaster("radar"), frames, leads=12)
        assert rain.shape == (12, 111, 251)
        assert 5 < float(rain.max()) < 300
        assert rain.lead_time.values.tolist() == list(range(2, 26, 2))
