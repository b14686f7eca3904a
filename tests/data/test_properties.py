"""Times, grids and palettes of all kinds: what must hold whichever numbers a feed brings."""

import contextlib

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from property_settings import PROPERTY

from nowcastlib.data import grid, nearest_frames, place, usual_step, utc
from nowcastlib.data.coordinates import in_direction
from nowcastlib.data.feeds import palettes
from nowcastlib.data.feeds.rate_palettes import rate_palette
from nowcastlib.errors import NowcastError

# ---- times

STAMPS = st.datetimes(pd.Timestamp("1950-01-01"), pd.Timestamp("2200-01-01")).map(
    lambda time: pd.Timestamp(time).floor("s")
)


@PROPERTY
@given(STAMPS, st.integers(-12 * 4, 14 * 4))
def test_a_time_with_any_zone_is_the_same_moment(time, quarters):
    zone = pd.Timedelta(minutes=15 * quarters)
    hours, minutes = divmod(15 * abs(quarters), 60)
    sign = "-" if quarters < 0 else "+"
    written = f"{time + zone:%Y-%m-%dT%H:%M:%S}{sign}{hours:02}:{minutes:02}"
    assert utc(written) == time
    assert utc(f"{time:%Y-%m-%d %H:%M:%S}Z") == time
    assert utc(time) == utc(time.to_datetime64()) == time


@PROPERTY
@given(st.text("0123456789-:TZ+ .,٣eNa", max_size=24))
def test_a_text_is_a_time_without_a_zone_or_refused(text):
    with contextlib.suppress(NowcastError):
        time = utc(text)
        assert time.tzinfo is None
        assert utc(time) == time


def film(start, seconds, steps, jitter):
    """Times of frames, `steps` of them to the next frame, some seconds off."""
    elapsed = seconds * np.cumsum([0, *steps]) + np.resize(jitter, len(steps) + 1)
    return pd.DatetimeIndex(start + pd.to_timedelta(elapsed, unit="s"))


STEPS = st.lists(st.sampled_from([1, 1, 1, 1, 2, 3, 7]), min_size=6, max_size=30).filter(
    lambda steps: steps.count(1) > len(steps) / 2
)


@PROPERTY
@given(STAMPS, st.integers(10, 86400), STEPS)
def test_missing_frames_do_not_change_the_usual_step(start, seconds, steps):
    times = film(start, seconds, steps, [0])
    assert usual_step(times) == pd.Timedelta(seconds=seconds)
    assert usual_step(times.as_unit("s")) == usual_step(times + pd.Timedelta("1h"))


@PROPERTY
@given(STAMPS, st.integers(60, 3600), STEPS, st.integers(0, 9))
def test_each_time_finds_its_own_frame_and_no_time_another(start, seconds, steps, off):
    times = film(start, seconds, steps, [0])
    step = pd.Timedelta(seconds=seconds)
    number = np.arange(len(times))
    delay = pd.Timedelta(seconds=off)  # less than a third of the step, and than half a minute
    for wanted in (times, times + delay, times - delay):
        np.testing.assert_array_equal(nearest_frames(times, wanted, step), number)
    gaps = times[:-1][np.array(steps) > 1]
    assert (nearest_frames(times, gaps + step, step) == -1).all()
    assert (nearest_frames(times, times + step / 2, step) == -1).all()


# ---- grids

SIZES = st.integers(2, 24)


@st.composite
def fields(draw):
    """A field (y, x) of rates, some of them not observed."""
    shape = draw(SIZES), draw(SIZES)
    values = draw(arrays("f4", shape, elements=st.floats(0, 200, width=32)))
    if draw(st.booleans()):
        values = np.where(draw(arrays("?", shape)), values, np.float32(np.nan))
    return values


def framed(values, height=1000.0, width=1000.0):
    y, x = (n * np.arange(k) for n, k in zip((-height, width), values.shape, strict=True))
    return grid.frame(values, x, y)


@PROPERTY
@given(fields(), st.booleans(), st.booleans())
def test_a_turned_store_is_turned_back(values, is_south_up, is_west_right):
    frame = framed(values)
    turned = frame[:: -1 if is_south_up else 1, :: -1 if is_west_right else 1]
    back = in_direction(in_direction(turned, "y", "it"), "x", "it")
    xr.testing.assert_identical(back, frame)
    assert grid.pixel_size(turned) == grid.pixel_size(frame)


@PROPERTY
@given(fields(), st.integers(1, 24))
def test_a_coarser_grid_keeps_mean_range_and_place(values, columns):
    frame = framed(values)
    if columns > values.shape[1]:
        with pytest.raises(NowcastError):
            grid.coarser(frame, columns)
        return
    coarse = grid.coarser(frame, columns)
    seen, result = values[np.isfinite(values)], coarse.values[np.isfinite(coarse.values)]
    assert (result >= seen.min(initial=np.inf) - 1e-3).all()
    assert (result <= seen.max(initial=0) + 1e-3).all()
    if len(seen) == values.size:
        np.testing.assert_allclose(result.mean(), seen.mean(), rtol=1e-4, atol=1e-4)
    for axis in ("y", "x"):
        np.testing.assert_allclose(coarse[axis].mean(), frame[axis].mean(), atol=1e-6)


@PROPERTY
@given(SIZES, SIZES, st.floats(1, 1e5), st.floats(1, 1e5))
def test_the_size_of_a_pixel_is_that_of_its_coordinates(rows, columns, height, width):
    frame = framed(np.zeros((rows, columns)), height, width)
    np.testing.assert_allclose(grid.pixel_size(frame), (height / 1000, width / 1000), rtol=1e-6)


@PROPERTY
@given(
    st.lists(st.floats(0.01, 1.5), min_size=2, max_size=30),
    st.floats(-40, 40),
    st.floats(-180, 540),
    st.floats(0.01, 2),
)
def test_pixels_of_degrees_are_where_the_degrees_were(steps, south, west, width):
    """For latitudes of any spacing and longitudes that run beyond 180 degrees."""
    lat, lon = (south + np.cumsum(steps))[::-1], west + width * np.arange(20)
    coords = {
        "y": ("y", lat, {"units": "degrees_north"}),
        "x": ("x", lon, {"units": "degrees_east"}),
    }
    frames = xr.DataArray(np.zeros((len(lat), 20)), coords)
    there = place.degrees(frames, 5)
    x, y = place.pixels(frames, *there.reshape(2, -1)).T
    expected_x = np.tile(np.linspace(0, 19, 5), 5)
    np.testing.assert_allclose(x, expected_x, atol=1e-6)
    np.testing.assert_allclose(y, np.repeat(np.linspace(0, len(lat) - 1, 5), 5), atol=1e-6)


# ---- palettes

COLOURS = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")
SCALES = st.dictionaries(
    COLOURS, st.one_of(st.floats(0, 1000, width=32), st.none()), min_size=2, max_size=40
).filter(lambda scale: any(rate is not None for rate in scale.values()))


def rendered(scale, numbers):
    """Pixels (y, x, RGB) and rates (y, x) of the colours with these numbers."""
    rgb = np.array([list(bytes.fromhex(colour[1:])) for colour in scale], "u1")
    rates = np.array([np.nan if rate is None else rate for rate in scale.values()], "f4")
    return rgb[numbers % len(rgb)], rates[numbers % len(rgb)]


@PROPERTY
@given(SCALES, arrays("i8", (6, 7), elements=st.integers(0, 1 << 30)), st.randoms())
def test_a_field_in_the_colours_of_any_palette_is_decoded_to_itself(scale, numbers, order):
    pixels, rates = rendered(scale, numbers)
    rows = list(scale.items())
    decoded, unsure = palettes.rates_of_pixels(pixels, rate_palette(rows))
    assert unsure == 0
    np.testing.assert_array_equal(decoded, rates)
    order.shuffle(rows)
    assert rate_palette(rows) == rate_palette(scale.items())


@PROPERTY
@given(SCALES, arrays("u1", (5, 6, 3)), st.randoms())
def test_the_order_of_a_palette_decides_about_no_colour(scale, pixels, order):
    rows = list(scale.items())
    order.shuffle(rows)
    one, other = rate_palette(scale.items()), rate_palette(rows)
    colours = pixels.reshape(-1, 3)
    np.testing.assert_array_equal(one.nearest(colours), other.nearest(colours))


@PROPERTY
@given(fields())
def test_a_picture_of_the_feed_has_the_class_of_each_rate(values):
    classes = palettes.classify(palettes.draw(values))
    expected = np.digitize(values, palettes.SRI.edges) + palettes.NO_RAIN
    np.testing.assert_array_equal(classes, np.where(np.isnan(values), palettes.OUTSIDE, expected))
