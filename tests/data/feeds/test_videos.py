"""Videos: uneven times and lost ends are reported, and no window joins two of them."""

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
from archive_files import truncate

from nowcastlib.data import ingest, open_frames, split_by_event
from nowcastlib.data.feeds import videos
from nowcastlib.data.feeds.images import Images
from nowcastlib.data.feeds.video_times import frame_times
from nowcastlib.data.frame_table import arrange

LOSSLESS = {"plugin": "FFMPEG", "fps": 10, "codec": "ffv1", "pixelformat": "bgr0"}


def write(path, levels=(0, 51, 102, 153, 204, 255), **options):
    """Write a video of grey frames, 10 a second; its path."""
    frames = np.stack([np.full((32, 48, 3), level, "u1") for level in levels])
    iio.imwrite(path, frames, **LOSSLESS | options)
    return path


def test_a_variable_frame_rate_is_reported_with_its_times(tmp_path, caplog):
    slower = ["-vf", "setpts='N*N/10/TB'", "-fps_mode", "passthrough"]
    path = write(tmp_path / "a.mkv", output_params=slower)
    np.testing.assert_allclose(np.diff(frame_times(path)), [0.1, 0.3, 0.5, 0.7, 0.9], atol=2e-3)
    assert len(Images(str(path)).list()) == 6
    assert "a.mkv has a variable frame rate (0.1 to 0.9 s between frames)" in caplog.text


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.mkv", {"fps": 30}), ("a.mp4", {"fps": 24, "codec": "libx264", "pixelformat": "yuv420p"})],
)
def test_a_constant_frame_rate_is_not_reported(tmp_path, caplog, name, options):
    path = write(tmp_path / name, **options)  # times of .mkv are rounded, .mp4 reorders frames
    assert len(frame_times(path)) == 6
    Images(str(path)).list()
    assert "variable" not in caplog.text


def test_the_lost_end_of_a_video_is_reported(tmp_path, monkeypatch, caplog):
    def breaks_off(path):
        yield from np.zeros((3, 4, 6, 3), "u1")
        raise OSError("the disk is broken\nlog of ffmpeg")

    monkeypatch.setattr(videos, "decode", breaks_off)
    path = write(tmp_path / "a.mkv")
    assert len(Images(str(path)).list()) == 3
    assert "a.mkv breaks off after 3 frames (the disk is broken): the rest is left" in caplog.text


def test_a_video_of_one_frame_is_one_frame(tmp_path):
    feed = Images(str(write(tmp_path / "a.mkv", [9])))
    assert len(open_frames(ingest(feed, tmp_path / "out.zarr"))) == 1


def test_a_truncated_video_beside_whole_ones_keeps_what_it_shows(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (12, 32, 48, 3)).astype("u1")
    for name in ("1.mkv", "2.mkv"):
        iio.imwrite(tmp_path / name, noise, **LOSSLESS)
    truncate(tmp_path / "1.mkv")
    counts = Images(str(tmp_path), brightness=True).list().groupby("path").size()
    assert 2 < counts.iloc[0] < 12
    assert counts.iloc[1] == 12


@pytest.mark.parametrize("spacing", [1, 5, 61, 288, 1440])
def test_every_video_is_in_one_split_however_long_its_steps(tmp_path, spacing):
    """Steps of more than an hour do not make an event of each frame."""
    starts = list(videos_begin([6, 6, 6, 6], spacing))
    times = np.concatenate([start + spacing * np.arange(6) for start in starts])
    table = pd.DataFrame({"time": pd.Timestamp("2000-01-01") + pd.to_timedelta(times, "min")})
    frames = table.assign(valid=1.0, wet=0.5, mean=np.tile([3.0, 1, 2, 1, 2, 1], 4), max=9.0)
    split = split_by_event(arrange(frames), (0.5, 0.25, 0.25)).split.to_numpy().reshape(4, 6)
    assert (split == split[:, :1]).all()
    assert set(split[:, 0]) == {"train", "validation", "test"}


def videos_begin(lengths, spacing):
    """The minute at which each of several videos begins."""
    begin = 0.0
    for length in lengths:
        yield begin
        begin = videos.next_begin(begin, begin + spacing * (length - 1), spacing)
