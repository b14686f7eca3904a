"""Reflectivity becomes rain: the cap for hail, no echo, and marks of missing pixels."""

import conformance_files as files
import numpy as np
import pytest
import xarray as xr
from archive_files import field, write

from nowcastlib.data import IngestOptions, ReadOptions, ingest, open_frames
from nowcastlib.data.feeds.archive import Archive
from nowcastlib.data.reflectivity import HAIL_CAP, rain_of_dbz
from nowcastlib.errors import NowcastError
from nowcastlib.units import RainScale

CAP = (10 ** (HAIL_CAP / 10) / 200) ** (1 / 1.6)  # mm/h


def test_stronger_echoes_have_the_rain_of_the_cap_and_are_counted():
    rate, capped = rain_of_dbz(np.array([23.0103, 54.9, 55.0, 55.1, 74.0, 95.0]))
    np.testing.assert_allclose(rate, [1, 98.4, CAP, CAP, CAP, CAP], rtol=1e-3)
    assert pytest.approx(100, rel=0.01) == CAP
    assert capped == 3


def test_no_echo_is_dry_and_an_unobserved_pixel_stays_unobserved():
    rate, capped = rain_of_dbz(np.array([-np.inf, -32.0, -89.0, np.nan]))
    np.testing.assert_array_equal(rate, [0, 0, 0, np.nan])
    assert capped == 0


def test_the_relation_of_a_file_is_used():
    rate, _ = rain_of_dbz(np.array([10 * np.log10(300.0)]), RainScale(zr_a=300.0, zr_b=1.4))
    assert rate == pytest.approx([1.0])


@pytest.mark.parametrize("value", [-9999.0, 9.96921e36, np.inf, 255.0, -888.0, -99.9, -99.0, -90.0])
def test_what_can_be_no_reflectivity_is_refused_by_value(value):
    with pytest.raises(
        NowcastError, match=r"dBZ \(possible: above -90, to 100\).*_FillValue or nodata"
    ):
        rain_of_dbz(np.array([10.0, value, np.nan]))


def test_a_store_of_reflectivity_warns_once_of_capped_pixels(tmp_path, caplog):
    dbz = files.reflectivity()
    dbz[0, 0, :3] = 60
    store = files.written(files.dataset(dbz, name="DBZH", units="dBZ"), tmp_path)
    frames = open_frames(store, options=ReadOptions(units="dBZ"))
    np.testing.assert_allclose(frames[0, 0, :3], CAP, rtol=1e-5)
    frames.load()
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 1
    assert "3 pixels above 55 dBZ" in messages[0]


def odim_with_hail(folder):
    """ODIM files of reflectivity; two frames have four pixels of 75 dBZ together."""
    dbz = np.where(files.RAIN == 0, 0, files.reflectivity())
    dbz[2, 1, :3] = dbz[5, 2, 4] = 75.0
    return Archive("odim", files.odim(folder, rate=dbz, units={"quantity": "DBZH"}))


def test_ingest_counts_capped_pixels_in_one_warning(tmp_path, caplog):
    (tmp_path / "in").mkdir()
    out = ingest(
        odim_with_hail(tmp_path / "in"),
        tmp_path / "out.zarr",
        options=IngestOptions(progress=False),
    )
    frames = open_frames(out)
    assert frames.sizes["time"] == 10  # no frame is lost
    np.testing.assert_allclose(frames[2, 1, :3], CAP, rtol=1e-5)
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    change = "4 pixels of 2 frames above 55 dBZ (hail or clutter) set to that"
    assert change in warnings[0]
    history = xr.open_zarr(out).attrs["history"].splitlines()
    assert any(change in line for line in history[1:])


@pytest.mark.parametrize("product", ["fmi", "fmi-geotiff"])
def test_products_of_reflectivity_have_the_same_cap(tmp_path, product):
    rate = field()
    rate[2, 3] = 3000.0
    write(product, tmp_path, rate=rate)
    source = Archive(product, str(tmp_path))
    frame = source.read(next(source.list().itertuples()))
    cap = (10 ** (HAIL_CAP / 10) / 223) ** (1 / 1.53)
    assert float(frame[2, 3]) == pytest.approx(cap, rel=1e-5)
    assert float(frame[-3, -4]) == pytest.approx(30, rel=0.04)
    assert frame.attrs["capped_pixels"] == 1


def test_options_about_reading_stand_in_the_history_and_cannot_change(tmp_path):
    (tmp_path / "in").mkdir()
    folder = files.geotiff(tmp_path / "in", units="")
    quiet = IngestOptions(progress=False)

    def source(units):
        return Archive("geotiff", folder, ReadOptions(units=units))

    out = ingest(source("mm/h"), tmp_path / "out.zarr", options=quiet)
    assert "--units mm/h" in xr.open_zarr(out).attrs["history"]
    with pytest.raises(NowcastError, match=r"other settings .*--units mm/h.*--units mm/s"):
        ingest(source("mm/s"), out, options=quiet)
