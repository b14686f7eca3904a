"""Times of stores as numbers: in UTC, and exact enough."""

import numpy as np
import pytest

from nowcastlib.data import as_frames, open_frames
from nowcastlib.errors import NowcastError

SECONDS = 12 * 3600 + 300 * np.arange(5)  # after 2024-06-01 00:00
EXPECTED = np.datetime64("2024-06-01T12:00") + 300 * np.arange(5).astype("m8[s]")


def store(folder, numbers, units):
    """A store with times as these numbers."""
    frames = as_frames(np.ones((5, 3, 4), "f4"))
    counted = frames.assign_coords(time=("time", np.asarray(numbers), {"units": units}))
    counted.to_dataset(name="rain").to_zarr(folder / "theirs.zarr", zarr_format=2)
    return folder / "theirs.zarr"


@pytest.mark.parametrize(
    ("numbers", "units"),
    [
        ((SECONDS / 3600).astype("f4"), "hours since 2024-06-01"),
        (19875 + SECONDS / 86400, "days since 1970-01-01"),
        (SECONDS, "seconds since 2024-06-01 00:00:00 UTC"),
        (SECONDS, "seconds since 2024-06-01T00:00:00Z"),
        (SECONDS, "seconds since 2024-06-01 02:00:00 +02:00"),
        (SECONDS, "seconds since 2024-05-31 19:00:00 -0500"),
        ((SECONDS // 60 - 720).astype("u1"), "minutes since 2024-06-01 12:00"),
    ],
)
def test_times_are_those_of_their_numbers(tmp_path, numbers, units):
    frames = open_frames(store(tmp_path, numbers, units))
    np.testing.assert_array_equal(frames.time, EXPECTED)


@pytest.mark.parametrize("zone", ["CEST", "EST", "JST", "MSK"])
def test_a_zone_by_name_is_refused(tmp_path, zone):
    """xarray leaves the word out: 14:00 CEST would be 14:00 UTC."""
    path = store(tmp_path, SECONDS, f"seconds since 2024-06-01 00:00:00 {zone}")
    with pytest.raises(NowcastError, match=rf"theirs\.zarr .*{zone}.*offset such as \+02:00"):
        open_frames(path)


@pytest.mark.parametrize(
    ("numbers", "units"),
    [
        (19875 + SECONDS / 86400, "days since 1970-01-01"),
        (1.09e6 + SECONDS / 3600, "hours since 1900-01-01"),
        (1.7e9 + SECONDS, "seconds since 1970-01-01"),
    ],
)
def test_times_that_are_not_known_to_the_second_are_refused(tmp_path, numbers, units):
    path = store(tmp_path, numbers.astype("f4"), units)
    with pytest.raises(NowcastError, match=r"theirs\.zarr .*float32 .* s apart.*float64"):
        open_frames(path)
