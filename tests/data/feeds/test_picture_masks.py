"""Masks of pictures: what they cover is not observed, never dry."""

import numpy as np
import pytest
from PIL import Image

from nowcastlib.data import ingest, open_frames
from nowcastlib.data.feeds.images import Images
from nowcastlib.errors import NowcastError

COVERED = np.s_[1:3, 4:]  # rows and columns below a logo


@pytest.fixture
def place(tmp_path):
    """Two pictures of 4 × 6 px, and a mask that covers a corner of them."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in (1, 2):
        Image.fromarray(np.full((4, 6), 51, "u1")).save(folder / f"{number}.png")
    mask = np.full((4, 6), 255, "u1")
    mask[COVERED] = 0
    Image.fromarray(mask).save(tmp_path / "mask.png")
    return tmp_path


def feed(place, **options) -> Images:
    return Images(str(place / "pictures"), mask=str(place / "mask.png"), **options)


@pytest.mark.parametrize("mode", ["L", "RGB", "1", "LA"])
def test_what_a_mask_covers_is_not_observed_and_all_else_is(place, mode):
    with Image.open(place / "mask.png") as mask:
        mask.convert(mode).save(place / "mask.png")
    frames = open_frames(ingest(feed(place), place / "out.zarr"))
    assert np.isnan(frames.values[(..., *COVERED)]).all()
    assert np.isfinite(frames).sum() == 2 * (24 - 4)
    assert np.nanmin(frames) == pytest.approx(20)  # 51 of 255, white is 100 mm/h


def test_a_mask_lies_on_pictures_that_begin_in_the_south(place):
    one = feed(place, north_up=False)
    values = one.read(next(one.list().itertuples())).values
    assert np.isnan(values[::-1][COVERED]).all()
    assert np.isfinite(values).sum() == 20


def test_a_mask_covers_all_channels_of_colours(place):
    one = feed(place, colours=True)
    frame = one.read(next(one.list().itertuples()))
    assert frame.dims == ("channel", "y", "x")
    assert np.isnan(frame.values[(slice(None), *COVERED)]).all()
    assert np.isfinite(frame).sum() == 3 * 20


def test_a_store_is_not_continued_with_another_mask(place):
    ingest(feed(place), place / "out.zarr")
    ingest(feed(place), place / "out.zarr")
    with pytest.raises(NowcastError, match="other settings"):
        ingest(Images(str(place / "pictures")), place / "out.zarr")


@pytest.mark.parametrize(
    ("mask", "complaint"),
    [
        (Image.new("L", (5, 4), 255), r"mask\.png has 4×5 px, but .*1\.png has 4×6 px: draw it"),
        (Image.new("L", (6, 4), 0), r"mask\.png has no white pixel"),
        (None, r"mask\.png cannot be read .*give a picture"),
    ],
)
def test_a_bad_mask_is_named_and_nothing_is_written(place, mask, complaint):
    if mask:
        mask.save(place / "mask.png")
    else:
        (place / "mask.png").write_bytes(b"no picture")
    with pytest.raises(NowcastError, match=complaint):
        ingest(feed(place), place / "out.zarr")
    assert not (place / "out.zarr").exists()
