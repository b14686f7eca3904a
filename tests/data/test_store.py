"""Stores of other makers, on disk and on S3: of any names, axes and units, they open in mm/h."""

import tracemalloc
import warnings
from pathlib import Path

import boto3
import numpy as np
import pandas as pd
import pyproj
import pytest
import xarray as xr
import zarr
from moto.server import ThreadedMotoServer

from nowcastlib.data.grid import RAIN_RATE, as_frames
from nowcastlib.data.public_archives import ARCHIVES
from nowcastlib.data.read_options import ReadOptions
from nowcastlib.data.store import describe, open_frames
from nowcastlib.errors import NowcastError

TIMES = pd.date_range("2024-01-01", periods=3, freq="10min")


def foreign(
    rates=("rain",),
    units="kg m-2 s-1",
    times=("2024-01-01T00:10", "2024-01-01T00:00", "2024-01-01T00:00"),
):
    """A store with south up, degrees, mm per second, and times in disorder, one of them twice."""
    data = np.arange(3 * 2 * 4, dtype="f4").reshape(3, 2, 4) / 3600
    axes = {
        "t": ("t", np.array(times, "datetime64[ns]"), {"standard_name": "time"}),
        "latitude": ("latitude", [50.0, 51.0], {"units": "degrees_north"}),
        "longitude": ("longitude", [5.0, 6, 7, 8], {"units": "degrees_east"}),
    }
    return xr.Dataset({name: (tuple(axes), data, {"units": units}) for name in rates}, axes)


def tidy(
    units="mm h-1", name="rain", times=TIMES, axis=("y", "x"), dims=("time", "y", "x"), **attrs
):
    """A store in order: the rain of its frames is 1, 2, 3 in its unit; one pixel is unobserved."""
    data = np.arange(1, 1 + len(times), dtype="f4")[:, None, None] * np.ones((1, 2, 2), "f4")
    data[:, 0, 1] = np.nan
    data = data.reshape([{"time": len(times), "y": 2, "x": 2}.get(d, 1) for d in dims])
    coords = {
        "time": times,
        "y": ("y", [1000.0, 0.0], {"units": "m"}),
        "x": ("x", [0.0, 1000.0], {"units": "m"}),
    }
    return xr.Dataset({name: (dims, data, {"units": units} | attrs)}, coords)


def written(dataset, folder, **options) -> str:
    path = folder / "theirs.zarr"
    dataset.to_zarr(path, **({"zarr_format": 2} | options))
    return str(path)


def rates(path, **options) -> list:
    """The rain of each frame at the first pixel; the second is unobserved."""
    frames = open_frames(path, **options)
    assert np.isnan(frames[:, 0, 1]).all()
    assert frames.attrs["units"] == "mm h-1"
    return frames[:, 0, 0].values.tolist()


@pytest.mark.parametrize(
    "names", [{}, {"latitude": "row", "longitude": "column"}], ids=["by name", "by degrees"]
)
def test_frames_are_in_order_north_up_and_in_mm_per_hour(tmp_path, names):
    frames = open_frames(written(foreign().rename(names), tmp_path))
    assert frames.dims == ("time", "y", "x")
    assert frames.time.values.astype("M8[s]").astype(str).tolist() == [
        "2024-01-01T00:00:00",
        "2024-01-01T00:10:00",
    ]
    assert frames.y.values.tolist() == [51, 50]
    assert frames.attrs["units"] == "mm h-1"
    np.testing.assert_allclose(frames[1], [[4, 5, 6, 7], [0, 1, 2, 3]], rtol=1e-5)


@pytest.mark.parametrize(
    ("dataset", "why"),
    [
        (foreign(("rain", "shower")), r"should hold one rain rate .* rain \[kg m-2 s-1\], shower"),
        (foreign(units="K"), r"should hold one rain rate .* rain \[K\]"),
        (
            tidy("dBZ", standard_name="equivalent_reflectivity_factor"),
            r"should hold one .* rain \[dBZ\]",
        ),
        (tidy("m s-1", standard_name="wind_speed"), r"should hold one .* rain \[m s-1\]"),
        (tidy("m s-1", name="VRADH"), r"should hold one .* VRADH \[m s-1\]"),
        (
            tidy("m s-1", name="v", long_name="radial velocity").merge(tidy("dBZ", name="DBZH")),
            r"(?=.*v \[m s-1\])(?=.*DBZH \[dBZ\])",
        ),
        (tidy("mm/scan"), r"it has: rain \[mm/scan\]"),
        (
            tidy("kg m-2", name="tqv", long_name="water vapour"),
            r"should hold one .* tqv \[kg m-2\]",
        ),
        (foreign(()), "it has: nothing"),
        (foreign().isel(t=slice(0)), "holds no frames"),
        (tidy().rename(y="height"), "has the axes"),
        (tidy().drop_vars("time"), "has the axes"),
        (tidy().assign_coords(x=("x", [0, 1], {"standard_name": "latitude"})), "has the axes"),
        (tidy(times=[1, 2, 3]), "has no dates, but times such as 1"),
        (tidy().expand_dims(number=2), "has the axes"),
        (tidy().expand_dims(lat=2), "has the axes"),
    ],
)
def test_store_without_one_rain_rate_on_a_grid_is_refused(tmp_path, dataset, why):
    path = written(dataset, tmp_path)
    with pytest.raises(NowcastError, match=f"theirs.zarr .*{why}"):
        open_frames(path)


@pytest.mark.parametrize(
    ("units", "first"),
    [
        *(
            (u, 1)
            for u in ("mm h-1", "mm/h", "mm/hr", "mm h**-1", "mm h^-1", "kg m-2 h-1", "mm per hour")
        ),
        *((u, 3600) for u in ("kg m-2 s-1", "kg m**-2 s**-1", "kg/m2/s", "kg.m-2.s-1", "mm/s")),
        *((u, 12) for u in ("mm/5min", "mm (5 min)-1", "mm / 5 minutes")),
        ("m s-1", 3.6e6),
        ("mm day-1", 1 / 24),
    ],
)
def test_a_rate_is_recognised_in_every_spelling_of_its_unit(tmp_path, units, first):
    """A number of 1 is ``first`` mm/h; of large units the store holds small numbers."""
    part = min(1.0, 100 / first)
    dataset = tidy(units) * part
    dataset.rain.attrs["units"] = units
    rate = first * part
    assert rates(written(dataset, tmp_path)) == pytest.approx([rate, 2 * rate, 3 * rate])


@pytest.mark.parametrize(
    "names",
    [
        {"name": "rainrate"},
        {"name": "tp", "long_name": "Precipitation rate"},
        {"name": "v", "standard_name": "lwe_precipitation_rate"},
    ],
)
def test_metres_per_second_are_rain_where_a_name_says_so(tmp_path, names):
    dataset = tidy("m s-1", **names)
    dataset[names["name"]] *= 1e-6
    dataset[names["name"]].attrs = tidy("m s-1", **names)[names["name"]].attrs
    assert rates(written(dataset, tmp_path)) == pytest.approx([3.6, 7.2, 10.8])


def test_of_a_store_with_rain_and_wind_the_rain_is_read(tmp_path):
    both = tidy("mm/h").merge(tidy("m s-1", name="VRADH"))
    assert rates(written(both, tmp_path)) == [1, 2, 3]


def bounds(minutes):
    """Time bounds of frames that hold the rain of some minutes."""
    return np.stack([TIMES - pd.to_timedelta(minutes, unit="min"), TIMES], axis=1)


@pytest.mark.parametrize(
    ("units", "mm"), [("mm", 1), ("kg m-2", 1), ("kg m**-2", 1), ("cm", 10), ("m", 1000)]
)
@pytest.mark.parametrize(
    ("given", "minutes"),
    [
        (("cell_methods", "bounds"), 15),  # the interval is that of the samples that were added
        (("bounds",), 15),
        (("period",), 60),
        (("cell_methods", "period"), 60),
        ((), 10),  # the step of its times
    ],
)
def test_amount_is_divided_by_the_time_in_which_it_fell(tmp_path, units, mm, given, minutes):
    part = 0.01 if units == "m" else 1.0  # 1 m in 5 minutes is no rain
    dataset = tidy(units, standard_name="precipitation_amount")
    dataset["rain"] = (dataset.rain * part).assign_attrs(dataset.rain.attrs)
    if "cell_methods" in given:
        dataset.rain.attrs["cell_methods"] = "time: sum (interval: 5 minutes)"
    if "bounds" in given:
        dataset = dataset.assign(time_bnds=(("time", "nv"), bounds(15)))
        dataset.time.attrs["bounds"] = "time_bnds"
    if "period" in given:
        dataset.rain.attrs["accumulation_period"] = "PT1H"
    rate = 60 / minutes * mm * part
    assert rates(written(dataset, tmp_path)) == pytest.approx([rate, 2 * rate, 3 * rate])


def test_hourly_sums_of_samples_of_five_minutes_lasted_an_hour(tmp_path):
    times = pd.date_range("2024-01-01", periods=3, freq="h")
    hourly = tidy("mm", times=times, cell_methods="time: sum (interval: 5 minutes)")
    hourly = hourly.assign(
        time_bnds=(("time", "nv"), np.stack([times - pd.Timedelta("1h"), times], axis=1))
    ).assign_coords(time=("time", times, {"bounds": "time_bnds"}))
    hourly.rain.attrs["standard_name"] = "precipitation_amount"
    assert rates(written(hourly, tmp_path)) == pytest.approx([1, 2, 3])


def test_a_running_hour_every_five_minutes_is_divided_by_its_hour(tmp_path):
    running = tidy("mm", times=FIVE_MINUTES[:3], standard_name="precipitation_amount")
    running.rain.attrs["cell_methods"] = "time: sum (interval: 1 hour)"
    assert rates(written(running, tmp_path)) == pytest.approx([1, 2, 3])


FIVE_MINUTES = pd.date_range("2024-01-01", periods=6, freq="5min")
TEN_THEN_FIVE = FIVE_MINUTES[0] + pd.to_timedelta([0, 10, 20, 30, 35, 40], unit="min")


@pytest.mark.parametrize(
    ("times", "attributes"),
    [
        (TEN_THEN_FIVE, {}),
        (FIVE_MINUTES, {"long_name": "rain of the last hour (1 h)"}),
        (FIVE_MINUTES, {"long_name": "hourly precipitation"}),
        (FIVE_MINUTES, {"comment": "hourly accumulation of rain"}),
        (FIVE_MINUTES, {"long_name": "precip_24h"}),
        (FIVE_MINUTES, {"long_name": "rain in 60 mins"}),
        (FIVE_MINUTES, {"long_name": "one-hour rain"}),
        (FIVE_MINUTES, {"long_name": "rain PT1H"}),
        (FIVE_MINUTES[::2], {"cell_methods": "time: sum (interval: 5 minutes)"}),
    ],
    ids=[
        "10 then 5 minutes",
        "1 h",
        "hourly",
        "comment",
        "24h",
        "60 mins",
        "one-hour",
        "PT1H",
        "steps of two intervals",
    ],
)
def test_steps_that_do_not_tell_how_long_a_sum_lasted_are_refused(tmp_path, times, attributes):
    dataset = tidy("mm", times=times, standard_name="precipitation_amount", **attributes)
    with pytest.raises(NowcastError, match="accumulation_period such as '5 minutes'"):
        open_frames(written(dataset, tmp_path))
    dataset.rain.attrs["accumulation_period"] = "1 hour"
    assert rates(written(dataset, tmp_path / "with period"))[:3] == pytest.approx([1, 2, 3])


def test_a_name_that_agrees_with_the_steps_is_no_contradiction(tmp_path):
    dataset = tidy("mm", times=FIVE_MINUTES[:3], long_name="rain, sum of 5 min")
    assert rates(written(dataset, tmp_path)) == pytest.approx([12, 24, 36])


def test_bounds_and_a_period_that_contradict_each_other_are_refused(tmp_path):
    dataset = tidy("mm", standard_name="precipitation_amount", accumulation_period="PT1H")
    dataset = dataset.assign(time_bnds=(("time", "nv"), bounds(15)))
    dataset.time.attrs["bounds"] = "time_bnds"
    with pytest.raises(NowcastError, match=r"bounds .* 15 minutes, .*_period .* 60 min"):
        open_frames(written(dataset, tmp_path))


@pytest.mark.parametrize("name", ["time_bnds", "time_bounds"])
def test_bounds_that_the_times_do_not_name_are_used(tmp_path, name):
    dataset = tidy("mm", standard_name="precipitation_amount")
    path = written(dataset.assign({name: (("time", "nv"), bounds(60))}), tmp_path)
    assert rates(path) == pytest.approx([1, 2, 3])


def test_bounds_in_reverse_have_the_same_length(tmp_path):
    dataset = tidy("mm", standard_name="precipitation_amount")
    dataset = dataset.assign(time_bnds=(("time", "nv"), bounds(60)[:, ::-1]))
    dataset.time.attrs["bounds"] = "time_bnds"
    assert rates(written(dataset, tmp_path)) == pytest.approx([1, 2, 3])


def test_bounds_without_a_length_do_not_say_how_long_a_sum_lasted(tmp_path):
    dataset = tidy("mm", standard_name="precipitation_amount")
    dataset = dataset.assign(time_bnds=(("time", "nv"), bounds(0)))
    dataset.time.attrs["bounds"] = "time_bnds"
    with pytest.raises(NowcastError, match=r"does not say in which time.*--accumulation-minutes"):
        open_frames(written(dataset, tmp_path))
    dataset.rain.attrs["accumulation_period"] = "1 hour"
    assert rates(written(dataset, tmp_path / "with period")) == pytest.approx([1, 2, 3])


def test_packed_amount_is_unpacked(tmp_path):
    packing = {"rain": {"dtype": "i2", "scale_factor": 0.5, "add_offset": 1.0, "_FillValue": -1}}
    assert rates(written(tidy("mm"), tmp_path, encoding=packing)) == [6, 12, 18]


def test_the_step_of_the_times_is_found_although_frames_are_missing(tmp_path):
    times = pd.to_datetime(
        ["2024-01-01T00:00", "2024-01-01T00:05", "2024-01-01T00:10", "2024-01-01T02:00"]
    )
    dataset = tidy("mm", times=times, standard_name="rainfall_amount")
    assert rates(written(dataset, tmp_path)) == pytest.approx([12, 24, 36, 48])


@pytest.mark.parametrize(
    "dataset",
    [
        tidy("mm", times=TIMES[:1]),
        tidy("mm", times=TIMES + pd.to_timedelta([0, 0, 7], unit="min")),
        tidy("mm")
        .assign(time_bnds=(("time", "nv"), bounds([5, 10, 10])))
        .assign_coords(time=("time", TIMES, {"bounds": "time_bnds"})),
    ],
    ids=[
        "one frame",
        "no regular step",
        "bounds of two lengths",
    ],
)
def test_an_amount_of_unknown_duration_is_refused(tmp_path, dataset):
    path = written(dataset, tmp_path)
    with pytest.raises(
        NowcastError, match=r"does not say in which time .* accumulation_period such as '5 minutes'"
    ):
        open_frames(path)


@pytest.mark.parametrize(
    ("attribute", "span", "shown"),
    [
        ("accumulation_period", "5", "'5'"),
        ("accumulation_period", np.int64(60), "'60'"),
        ("accumulation_period", 3_600_000_000_000, "'3600000000000'"),
        ("accumulation_period", "soon", "'soon'"),
        ("accumulation_period", "1:00", "'1:00'"),
        ("accumulation_time", "60", "'60'"),
        ("cell_methods", "time: sum (interval: 1 fortnight)", "'1 fortnight'"),
        ("cell_methods", "time: sum over 60 area: mean", "'60'"),
        ("cell_methods", "time: sum within days", "'days'"),
    ],
)
def test_a_stated_duration_that_is_not_understood_is_refused(tmp_path, attribute, span, shown):
    path = written(tidy("mm", times=FIVE_MINUTES, **{attribute: span}), tmp_path)
    with pytest.raises(NowcastError, match=rf"{attribute} .*{shown}.*--accumulation-minutes"):
        open_frames(path)
    assert rates(path, options=ReadOptions(accumulation_minutes=60))[:3] == pytest.approx([1, 2, 3])


@pytest.mark.parametrize(
    ("attribute", "span"),
    [
        ("accumulation_time", "60 minutes"),
        ("cell_methods", "time: sum over 60 minutes"),
        ("cell_methods", "area: mean time: sum over 1 hour (comment: by the radar) area: mean"),
    ],
)
def test_a_duration_is_read_from_other_attributes(tmp_path, attribute, span):
    path = written(tidy("mm", times=FIVE_MINUTES[:3], **{attribute: span}), tmp_path)
    assert rates(path) == pytest.approx([1, 2, 3])


def test_two_attributes_that_contradict_each_other_are_refused(tmp_path):
    spans = {"accumulation_period": "5 minutes", "accumulation_time": "1 hour"}
    with pytest.raises(NowcastError, match=r"_period = 5 minutes, .*_time = 60 minutes"):
        open_frames(written(tidy("mm", **spans), tmp_path))


def test_the_step_as_the_duration_of_sums_is_named_in_a_warning(tmp_path, caplog):
    path = written(tidy("mm", times=FIVE_MINUTES), tmp_path)
    open_frames(path)
    (message,) = caplog.messages
    assert path in message
    assert "5 minutes, the time step" in message
    assert "--accumulation-minutes" in message


def test_a_stated_duration_needs_no_warning(tmp_path, caplog):
    open_frames(written(tidy("mm", accumulation_period="10 minutes"), tmp_path))
    assert not caplog.messages


def test_of_several_variables_the_rain_rate_or_the_named_one_is_read(tmp_path):
    both = tidy("mm", name="acrr", long_name="precipitation").merge(
        tidy("mm/h", name="RATE") * 0 + 7
    )
    both.RATE.attrs = {"units": "mm/h", "standard_name": "rainfall_rate"}
    both["rain_mask"], both["rain_of_a_gauge"] = ((), 0), ("time", [0.0, 1, 2], both.RATE.attrs)
    path = written(
        both.assign(wind=both.RATE.assign_attrs(units="m s-1", standard_name="wind_speed")),
        tmp_path,
    )
    assert rates(path) == [7, 7, 7]
    assert rates(path, variable="acrr") == [6, 12, 18]
    for name in ("snow", "rain_mask"):
        with pytest.raises(
            NowcastError, match=rf"rain called {name} .*(?=.*acrr \[mm\])(?=.*RATE \[mm/h\])"
        ):
            open_frames(path, variable=name)


def test_axes_of_any_name_and_order_become_time_y_x_in_metres(tmp_path):
    dataset = tidy(dims=("number", "time", "x", "height", "y")).isel(time=slice(None, None, -1))
    dataset = dataset.rename(time="valid", y="nj", x="ni").assign_coords(
        nj=("nj", [0.0, 1.0], {"standard_name": "projection_y_coordinate", "units": "km"}),
        ni=("ni", [3.0, 2.0], {"axis": "X", "units": "km"}),
        lat=(
            ("nj", "ni"),
            np.ones((2, 2)),
            {"standard_name": "latitude", "units": "degrees_north"},
        ),
        number=[0],
    )
    dataset.valid.attrs["axis"] = "T"
    frames = open_frames(written(dataset, tmp_path))
    assert frames.dims == ("time", "y", "x")
    assert set(frames.coords) == {"time", "y", "x"}
    assert frames.y.values.tolist() == [1000, 0]
    assert frames.x.values.tolist() == [2000, 3000]
    assert frames.y.attrs["units"] == frames.x.attrs["units"] == "m"
    assert frames[:, 0, 0].values.tolist() == [1, 2, 3]
    assert frames.indexes["time"].equals(TIMES.rename("time"))
    assert np.isnan(frames[0].values).tolist() == [
        [False, True],
        [False, False],
    ]  # the first x, the last y


def test_dates_of_another_calendar_are_read_if_its_days_exist(tmp_path):
    for days, calendar in ((59, "noleap"), (0, "360_day"), (0, "julian")):
        dataset = tidy(times=[days, days + 1, days + 2])
        dataset.time.attrs = {"units": "days since 2023-01-01", "calendar": calendar}
        path = written(dataset, tmp_path, mode="w")
        if calendar == "noleap":
            assert open_frames(path).indexes["time"][0] == pd.Timestamp("2023-03-01")
        else:
            with pytest.raises(NowcastError, match=rf"theirs\.zarr .*{calendar}.*2023-01-01"):
                open_frames(path)


CF_STEREO = {
    "grid_mapping_name": "polar_stereographic",
    "latitude_of_projection_origin": 90.0,
    "straight_vertical_longitude_from_pole": 10.0,
    "standard_parallel": 60.0,
    "false_easting": 0.0,
    "false_northing": 0.0,
    "earth_radius": 6370040.0,
}


def projected(frames, lon=10.0, lat=51.0):
    crs = pyproj.CRS(frames.attrs["crs"])
    return pyproj.Transformer.from_crs(crs.geodetic_crs, crs, always_xy=True).transform(lon, lat)


@pytest.mark.parametrize(
    "mapping",
    [
        CF_STEREO,
        CF_STEREO | {"crs_wkt": "a projection"},
        {"crs_wkt": pyproj.CRS.from_cf(CF_STEREO).to_wkt()},
        {"spatial_ref": pyproj.CRS.from_cf(CF_STEREO).to_wkt("WKT1_GDAL")},
        {
            "crs_wkt": pyproj.CRS(
                "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=10 +R=6370040 +units=km"
            ).to_wkt()
        },
    ],
    ids=["CF", "CF beside a broken WKT", "WKT", "WKT 1", "WKT in km"],
)
def test_projection_is_read_in_metres(tmp_path, mapping):
    dataset = tidy(grid_mapping="crs: x y").assign(crs=((), 0, mapping))
    assert projected(open_frames(written(dataset, tmp_path))) == pytest.approx(
        (0, -4_209_286), abs=1
    )


def test_a_projection_that_is_not_understood_is_left_out(tmp_path):
    for mapping in ({}, {"grid_mapping_name": "flat_earth"}):
        dataset = tidy(grid_mapping="crs").assign(crs=((), 0, mapping))
        assert "crs" not in open_frames(written(dataset, tmp_path, mode="w")).attrs


@pytest.mark.parametrize(
    ("attrs", "source", "licence"),
    [
        (
            {"source": "KNMI, precipitation", "license": ""},
            "KNMI, precipitation",
            "",
        ),  # as our own stores say it
        ({"Copyright": "DPC", "title": "rain", "license": "CC-BY-SA-4.0"}, "DPC", "CC-BY-SA-4.0"),
        ({"institution": "DWD", "source": "radar", "licence": "CC BY 4.0"}, "DWD", "CC BY 4.0"),
        ({"title": "rain", "institution": ""}, "rain", ""),
        ({}, "theirs.zarr", ""),
    ],
)
def test_maker_and_licence_are_those_that_the_store_names(tmp_path, attrs, source, licence):
    path = written(tidy().assign_attrs(attrs), tmp_path)
    attributes = open_frames(path).attrs
    maker = path if source == "theirs.zarr" else source
    assert attributes == RAIN_RATE | {"source": maker, "license": licence}


@pytest.mark.parametrize("units", ["mm h-1", "kg m-2"])
def test_frames_are_read_when_they_are_used(tmp_path, units):
    dataset = tidy(units, standard_name="rainfall_amount")
    dataset = dataset.isel(time=[2, 0, 1], y=slice(None, None, -1))
    path = written(dataset, tmp_path, encoding={"rain": {"chunks": (1, 2, 2)}})
    chunks = sorted(p for p in (Path(path) / "rain").iterdir() if not p.name.startswith("."))
    for chunk in chunks[:2]:  # of the last frame and of the first
        chunk.write_bytes(b"broken")

    frames = open_frames(path)
    assert frames[1, 0, 0] == {"mm h-1": 2, "kg m-2": 12}[units]


def test_a_store_of_a_terabyte_opens_without_reading_frames(tmp_path):
    """100,000 declared frames, none of them with a chunk."""
    shape = (100_000, 1600, 1700)
    group = zarr.open_group(str(tmp_path / "large.zarr"), mode="w", zarr_format=2)
    group.create_array("rain", shape=shape, chunks=(1, *shape[1:]), dtype="f4", fill_value=np.nan)
    group["rain"].attrs.update({"units": "mm h-1", "_ARRAY_DIMENSIONS": ["time", "y", "x"]})
    for name, size in zip(("time", "y", "x"), shape, strict=True):
        numbers = np.arange(size, dtype="i4") * (-1000 if name == "y" else 1000)
        units = {"units": "seconds since 2024-06-01" if name == "time" else "m"}
        group.create_array(name, data=numbers).attrs.update(units | {"_ARRAY_DIMENSIONS": [name]})

    tracemalloc.start()
    frames = open_frames(tmp_path / "large.zarr")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert frames.nbytes > 1e12
    assert most < 30e6  # bytes; one frame has 11 million
    assert np.isnan(frames[-1, :2, :2]).all()


@pytest.mark.parametrize("consolidated", [True, False])
@pytest.mark.parametrize("zarr_format", [2, None], ids=["format 2", "the current format"])
def test_a_store_opens_without_a_warning_with_and_without_consolidated_metadata(
    tmp_path, zarr_format, consolidated
):
    path = written(tidy(), tmp_path, zarr_format=zarr_format, consolidated=consolidated)
    if consolidated:  # then those of the arrays are not read
        for name in ("zarr.json", ".zarray", ".zattrs"):
            for file in Path(path).glob(f"*/{name}"):
                file.unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rates(path) == [1, 2, 3]


@pytest.fixture(scope="module")
def server():
    moto = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture
def no_credentials(monkeypatch):
    """The surroundings of a reader of public data."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def upload(folder, url: str, endpoint: str, acl: str = "public-read") -> None:
    """Put a store where ``url`` says, on the server at ``endpoint``."""
    bucket, prefix = url.removeprefix("s3://").split("/", 1)
    client = boto3.client(
        "s3",
        "us-east-1",
        endpoint_url=endpoint,
        aws_access_key_id="me",
        aws_secret_access_key="secret",
    )
    client.create_bucket(Bucket=bucket)
    for file in (p for p in Path(folder).rglob("*") if p.is_file()):
        client.put_object(
            Bucket=bucket,
            Key=f"{prefix}/{file.relative_to(folder)}",
            Body=file.read_bytes(),
            ACL=acl,
        )


@pytest.mark.parametrize("zarr_format", [2, None], ids=["format 2", "the current format"])
def test_bucket_is_read_without_credentials(tmp_path, server, no_credentials, zarr_format):
    url = f"s3://rain-{zarr_format or 'today'}/deep/theirs.zarr"
    upload(written(tidy("mm/5min"), tmp_path, zarr_format=zarr_format), url, server)
    assert rates(f"{url}/", endpoint=server) == pytest.approx([12, 24, 36])


def test_a_bucket_that_cannot_be_read_is_refused_with_its_address(tmp_path, server, no_credentials):
    upload(written(tidy(), tmp_path), "s3://private/x.zarr", server, "private")
    for bucket, endpoint, why in (
        ("no", server, "NotFound"),
        ("private", server, "Forbidden"),
        ("private", "http://127.0.0.1:9", "Could not connect"),
    ):
        with pytest.raises(
            NowcastError,
            match=f"s3://{bucket}/x.zarr at {endpoint} .*{why}.*: check the address and",
        ):
            open_frames(f"s3://{bucket}/x.zarr", endpoint)


DWD = (
    'PROJCRS["Stereographic_North_Pole",BASEGEOGCRS["GCS_unnamed ellipse",DATUM["D_unknown",'
    'ELLIPSOID["Unknown",6370040,0,LENGTHUNIT["metre",1]]],PRIMEM["Greenwich",0,'
    'ANGLEUNIT["Degree",0.0174532925199433]]],CONVERSION["unnamed",'
    'METHOD["Polar Stereographic (variant B)"],PARAMETER["Latitude of standard parallel",60,'
    'ANGLEUNIT["Degree",0.0174532925199433]],PARAMETER["Longitude of origin",10,'
    'ANGLEUNIT["Degree",0.0174532925199433]],PARAMETER["False easting",0,LENGTHUNIT["metre",'
    '1000]],PARAMETER["False northing",0,LENGTHUNIT["metre",1000]]],CS[Cartesian,2],AXIS["x",'
    'south,MERIDIAN[90,ANGLEUNIT["degree",0.0174532925199433]],ORDER[1],LENGTHUNIT["metre",'
    '1000]],AXIS["y",south,MERIDIAN[180,ANGLEUNIT["degree",0.0174532925199433]],ORDER[2],'
    'LENGTHUNIT["metre",1000]], BBOX[46.18, 3.09, 55.77, 17.10]]'
)
FRANCE = (
    'PROJCS["unknown", GEOGCS["unknown", DATUM["unknown", SPHEROID["unknown",6378137,'
    '298.252840776245]], PRIMEM["Greenwich",0], UNIT["degree",0.0174532925199433,'
    'AUTHORITY["EPSG","9122"]]], PROJECTION["Polar_Stereographic"],'
    ' PARAMETER["latitude_of_origin",45], PARAMETER["central_meridian",0],'
    ' PARAMETER["false_easting",0], PARAMETER["false_northing",0], UNIT["metre",1],'
    ' AXIS["Easting",SOUTH], AXIS["Northing",SOUTH], USAGE[SCOPE["Engineering survey,'
    ' topographic mapping."], AREA["Europe"], BBOX[39.47, -9.96, 54.18, 14.54]]]'
)
FLUX = {"standard_name": "rainfall_flux", "units": "kg m-2 h-1"}
AMOUNT = {"standard_name": "rainfall_amount", "units": "kg m-2", "long_name": "5 minute rainfall "}
NAMED = {
    axis: {"standard_name": f"projection_{axis}_coordinate", "axis": axis.upper()} for axis in "yx"
}
KM, M = ({axis: {"units": unit} for axis in "yx"} for unit in ("km", "m"))
ITALY = pyproj.CRS("+proj=tmerc +lat_0=42 +lon_0=12.5 +ellps=WGS84").to_wkt()
# What each archive says of itself: variable, its attributes, attributes of the axes, projection,
# first y and step, first x and step; then a city's longitude and latitude, and its row and column.
THEIRS = {
    "be-rmi": (
        "rain_rate",
        FLUX,
        NAMED,
        "EPSG:3812",
        (999_500, -1000),
        (300_500, 1000),
        (4.35, 50.85),
        (328, 348),
    ),
    "de-dwd": (
        "rainfall_amount",
        AMOUNT,
        KM,
        DWD,
        (-4758.144724, 1),
        (-442.962167, 1),
        (13.4, 52.52),
        (733, 682),
    ),
    "fr-mf": (
        "prate",
        FLUX,
        NAMED,
        FRANCE,
        (-3_526_818, -1000),
        (-619_652, 1000),
        (2.35, 48.86),
        (564, 788),
    ),
    "it-dpc-sri": (
        "RR",
        FLUX,
        M,
        ITALY,
        (649_500, -1000),
        (-599_500, 1000),
        (14.25, 40.85),
        (776, 747),
    ),
    "uk-metoffice": (
        "RR",
        FLUX,
        M,
        "EPSG:27700",
        (1_549_500, -1000),
        (-404_500, 1000),
        (-0.1, 51.5),
        (1370, 936),
    ),
}


@pytest.mark.parametrize("name", THEIRS)
def test_national_archive_opens_by_its_name_with_the_rain_in_its_place(
    tmp_path, server, no_credentials, monkeypatch, name
):
    variable, attrs, axes, crs, *starts, city, at = THEIRS[name]
    y, x = (
        first + step * (n + np.arange(-2, 4)) for (first, step), n in zip(starts, at, strict=True)
    )
    rain = np.zeros((3, 6, 6), "f4")
    rain[:, 2, 2], rain[:, :, 5] = (
        0.5 if attrs is AMOUNT else 6,
        np.nan,
    )  # on the city; not observed at an edge
    dataset = xr.Dataset(
        {
            variable: (("time", "y", "x"), rain, attrs | {"grid_mapping": "crs"}),
            "crs": (
                (),
                0,
                {"crs_wkt": pyproj.CRS(crs).to_wkt() if crs.startswith("EPSG") else crs},
            ),
        },
        {
            "time": pd.date_range("2020-01-01", periods=3, freq="5min"),
            "y": ("y", y, axes["y"]),
            "x": ("x", x, axes["x"]),
            "lat": (
                ("y", "x"),
                np.zeros((6, 6)),
                {"standard_name": "latitude", "units": "degrees_north"},
            ),
            "lon": (
                ("y", "x"),
                np.zeros((6, 6)),
                {"standard_name": "longitude", "units": "degrees_east"},
            ),
            "missing_times": TIMES,
        },
    )
    archive = ARCHIVES[name]
    upload(written(dataset, tmp_path), archive.path, server)
    monkeypatch.setitem(ARCHIVES, name, archive._replace(endpoint=server))

    first = open_frames(name)[0].load()
    there_x, there_y = projected(first, *city)
    assert first.sel(x=there_x, y=there_y, method="nearest") == pytest.approx(6)
    assert first.sum() == pytest.approx(6)
    assert abs(first.y - there_y).min() <= 500
    assert abs(first.x - there_x).min() <= 500
    assert first.y[0] > first.y[-1]
    assert first.y.attrs["units"] == first.x.attrs["units"] == "m"
    assert np.isnan(first).sum() == 6
    assert np.isnan(first[:, -1]).all()
    assert first.attrs["source"] == archive.maker
    assert first.attrs["license"] == archive.licence
    assert archive.licence.startswith(("CC-BY-", "OGL-"))


def test_description_leaves_unobserved_pixels_out():
    rate = np.zeros((2, 2, 5))
    rate[0, 0, 0], rate[1] = 7.0, np.nan
    text = describe(as_frames(rate))
    assert "2 frames of 2×5 px" in text
    assert "maximum 7.0 mm/h, share above 0.1 mm/h 0.100 of the observed pixels" in text


def test_comment_of_a_store_is_kept(tmp_path):
    path = written(tidy().assign_attrs(comment="radar 3 was off"), tmp_path)
    assert open_frames(path).attrs["comment"] == "radar 3 was off"
