"""One's own pictures and videos: their brightness in their order, each video an event; and what is wrong is named."""

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
from archive_files import truncate
from PIL import Image

from nowcastlib.data import frame_table, ingest, store
from nowcastlib.data.feeds import images
from nowcastlib.data.feeds.images import Images
from nowcastlib.errors import NowcastError

LOSSLESS = {"plugin": "FFMPEG", "fps": 10, "codec": "ffv1", "pixelformat": "bgr0"}
MINUTE = pd.Timedelta(minutes=1)


def video(path, levels=(0, 51, 102, 255), **options):
    """A video of grey frames, lossless (.mkv, .avi) or animated GIF."""
    frames = np.stack([np.full((32, 48, 3), level, "u1") for level in levels])
    iio.imwrite(path, frames, **({} if path.suffix == ".gif" else LOSSLESS) | options)
    return path


def only(source):
    """The first frame of a feed."""
    return source.read(next(source.list().itertuples()))


def brightness(source):
    """The level of each frame, by its lower left pixel: 0 … 255."""
    return [
        float(source.read(row)[-1, 0]) * 255 / source.white for row in source.list().itertuples()
    ]


def test_pictures_become_frames_in_the_order_of_their_numbers(tmp_path):
    for number, white in ((10, 255), (2, 51), (3, 0)):
        iio.imwrite(tmp_path / f"frame_{number}.png", np.full((4, 6, 3), white, "u1"))
    source = Images(str(tmp_path), start="2024-06-01", spacing=10, white=50)
    table = source.list()
    assert table.time.tolist() == [pd.Timestamp("2024-06-01") + m * MINUTE for m in (0, 10, 80)]
    assert [source.read(row).values.max() for row in table.itertuples()] == pytest.approx(
        [10, 0, 50]
    )
    assert len(source.list(start="2024-06-01T00:10", end="2024-06-01T01:20")) == 1


GREY = np.linspace(0, 255, 24).astype("u1").reshape(4, 6)
CLEAR = np.where(GREY < 100, 0, 255).astype("u1")


@pytest.mark.parametrize(
    ("name", "picture", "expected"),
    [
        ("grey.png", Image.fromarray(GREY), GREY / 255),
        (
            "sixteen_bits.png",
            Image.fromarray(GREY.astype("u2") * 256 + 7),
            (GREY * 256.0 + 7) / 65535,
        ),
        (
            "sixteen_bits.tif",
            Image.fromarray(GREY.astype("u2") * 256 + 7),
            (GREY * 256.0 + 7) / 65535,
        ),
        ("bool.png", Image.fromarray(GREY > 100), GREY > 100),
        ("palette.png", Image.fromarray(255 - GREY).convert("P"), 1 - GREY / 255),
        ("still.gif", Image.fromarray(GREY), GREY / 255),
        (
            "colour.bmp",
            Image.fromarray(np.stack([GREY, GREY * 0, GREY * 0], axis=-1)),
            GREY / 255 / 3,
        ),
        (
            "rgba.png",
            Image.fromarray(np.stack([GREY] * 3 + [CLEAR], axis=-1)),
            np.where(CLEAR, GREY / 255, np.nan),
        ),
        (
            "grey_alpha.png",
            Image.fromarray(np.stack([GREY, CLEAR], axis=-1)),
            np.where(CLEAR, GREY / 255, np.nan),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_pictures_of_all_kinds_are_brightness_and_transparent_is_not_observed(
    tmp_path, name, picture, expected
):
    picture.save(tmp_path / name.replace(".", "_1."))
    rate = only(Images(str(tmp_path), white=50))
    assert rate.dtype == "f4" and rate.dims == ("y", "x") and rate.y[0] > rate.y[-1]
    np.testing.assert_allclose(rate, expected * 50.0, atol=1e-4)


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_transparent_colour_of_a_palette_is_not_observed(tmp_path, suffix):
    Image.fromarray(GREY).convert("P").save(
        tmp_path / f"frame_1{suffix}", transparency=int(GREY[1, 2])
    )
    rate = only(Images(str(tmp_path)))
    assert np.isnan(rate[1, 2]) and np.isfinite(rate).sum() == 23


def test_still_gifs_are_pictures_in_the_order_of_their_numbers(tmp_path):
    for number in (9, 10):
        Image.fromarray(np.full((4, 6), number, "u1")).save(tmp_path / f"{number}.gif")
    source = Images(str(tmp_path))
    assert source.list().time.diff()[1] == 5 * MINUTE and brightness(source) == pytest.approx(
        [9, 10]
    )


def test_picture_mistakes_are_told(tmp_path):
    with pytest.raises(NowcastError, match="nowhere is not a folder"):
        Images(str(tmp_path / "nowhere")).list()
    with pytest.raises(NowcastError, match="no numbered pictures"):
        Images(str(tmp_path)).list()
    (tmp_path / "frame_1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(NowcastError, match=r"frame_1\.png cannot be read"):
        only(Images(str(tmp_path)))
    with pytest.raises(NowcastError, match=r"frame_1\.png is not a folder or a video"):
        Images(str(tmp_path / "frame_1.png")).list()
    (tmp_path / "frame_01.png").touch()
    with pytest.raises(
        NowcastError, match=r"frame_(01|1)\.png and frame_(01|1)\.png have the same number"
    ):
        Images(str(tmp_path)).list()


@pytest.mark.parametrize("values", [GREY.astype("f4"), GREY.astype("i4")], ids=["float", "int"])
def test_picture_of_32_bits_is_refused(tmp_path, values):
    Image.fromarray(values).save(tmp_path / "frame_1.tif")
    with pytest.raises(NowcastError, match=r"frame_1\.tif cannot be read .*32 bits"):
        only(Images(str(tmp_path)))


@pytest.mark.parametrize("name", ["a.mkv", "a.AVI", "a.gif"])
def test_video_becomes_frames_of_its_brightness(tmp_path, name):
    source = Images(str(video(tmp_path / name)), start="2024-06-01", spacing=10)
    assert source.list().time.tolist() == [
        pd.Timestamp("2024-06-01") + 10 * k * MINUTE for k in range(4)
    ]
    assert source.list().number.tolist() == [0, 1, 2, 3] and set(source.list().path) == {
        source.path
    }
    assert brightness(source) == pytest.approx([0, 51, 102, 255]) and only(source).shape == (32, 48)
    assert source.list(start="2024-06-01T00:20").number.tolist() == [2, 3]


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.webm"])
def test_compressed_video_is_nearly_its_brightness(tmp_path, name):
    levels = [0, 60, 120, 180, 240]
    codec = "libvpx-vp9" if name == "a.webm" else "libx264"
    source = Images(str(video(tmp_path / name, levels, codec=codec, pixelformat="yuv420p")))
    assert brightness(source) == pytest.approx(levels, abs=3)


def test_frames_of_a_video_count_once_however_long_they_are_shown(tmp_path):
    slower = ["-vf", "setpts='N*N/10/TB'", "-fps_mode", "passthrough"]
    source = Images(str(video(tmp_path / "a.mkv", output_params=slower)))
    assert brightness(source) == pytest.approx([0, 51, 102, 255])


def test_videos_are_events_of_their_own_in_natural_order(tmp_path):
    for name, number in (("b10.mkv", 3), ("b9.gif", 4), ("b11.mkv", 2)):
        video(tmp_path / name, range(10, 60, 10)[:number])
    (tmp_path / "notes.txt").write_text("not a video")
    source = Images(str(tmp_path), start="2024-06-01")
    table = source.list()
    assert [p.rsplit(".")[0][-2:] for p in table.path] == ["b9"] * 4 + ["10"] * 3 + ["11"] * 2
    assert table.time[table.number == 0].astype(str).tolist() == [
        "2024-06-01",
        "2024-06-02",
        "2024-06-03",
    ]
    assert brightness(source) == pytest.approx([10, 20, 30, 40, 10, 20, 30, 10, 20])


def test_windows_never_cross_from_a_video_to_the_next_even_a_day_long_one(tmp_path):
    for name in ("1.mkv", "2.mkv"):
        video(tmp_path / name, [40] * 5)
    source = Images(
        str(tmp_path), spacing=288
    )  # the five frames would last till the next day begins
    frames = store.open_frames(ingest(source, tmp_path / "out.zarr", progress=False))
    table = frame_table.frames_table(frames, max_gap=288)
    assert [list(w) for w in frame_table.find_windows(table, 4, 288)] == [
        [0, 1, 2, 3],
        [1, 2, 3, 4],
        [5, 6, 7, 8],
        [6, 7, 8, 9],
    ]


def test_reading_in_order_decodes_a_video_once_and_going_back_is_right(tmp_path, monkeypatch):
    decoded, pictures = [], images._decode

    def counted(path):
        for picture in pictures(path):
            decoded.append(path.name)
            yield picture

    source = Images(str(video(tmp_path / "a.mkv", range(0, 200, 10)).parent))
    rows = list(source.list().itertuples())
    monkeypatch.setattr(images, "_decode", counted)
    values = [float(source.read(row)[0, 0]) for row in rows]
    assert len(decoded) == 20
    again = [float(source.read(rows[k])[0, 0]) for k in (17, 3, 3, 4)]
    assert again == [values[k] for k in (17, 3, 3, 4)] and len(decoded) == 20 + 18 + 4 + 4 + 1


@pytest.mark.parametrize(
    ("name", "why"), [("a.mkv", "it ends before its frame 19"), ("a.gif", ".+")]
)
def test_video_that_was_cut_keeps_the_frames_that_are_there(tmp_path, name, why):
    noise = np.random.default_rng(0).integers(0, 255, (20, 32, 48, 3)).astype("u1")
    path = tmp_path / name
    iio.imwrite(path, noise, **({} if name == "a.gif" else LOSSLESS))
    truncate(path)
    source = Images(str(path))
    table = source.list()
    assert 5 < len(table) < 15 and all(
        source.read(row).shape == (32, 48) for row in table.itertuples()
    )
    beyond = next(table.iloc[[-1]].assign(number=19).itertuples())
    with pytest.raises(NowcastError, match=rf"{name} cannot be read \({why}\): save it again"):
        source.read(beyond)


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100], ids=["empty", "rubbish"])
def test_broken_video_is_named(tmp_path, content):
    video(tmp_path / "1.mkv")
    (tmp_path / "2.mp4").write_bytes(content)
    with pytest.raises(
        NowcastError, match=r"2\.mp4 holds no frame that can be read: save it again, or remove it"
    ):
        Images(str(tmp_path)).list()
    gone = next(pd.DataFrame({"path": [str(tmp_path / "2.mp4")], "number": [0]}).itertuples())
    with pytest.raises(
        NowcastError, match=r"2\.mp4 cannot be read \([^\n]*\): save it again$"
    ):  # without ffmpeg's log
        Images(str(tmp_path)).read(gone)


def test_videos_and_numbered_pictures_in_one_folder_are_refused(tmp_path):
    video(tmp_path / "a.mkv")
    iio.imwrite(tmp_path / "cover.png", GREY)
    assert len(Images(str(tmp_path)).list()) == 4  # a picture without a number is no frame
    iio.imwrite(tmp_path / "frame_1.png", GREY)
    with pytest.raises(NowcastError, match="both videos and numbered pictures"):
        Images(str(tmp_path)).list()
