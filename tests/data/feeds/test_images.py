"""Pictures and videos of one's own: brightness, order, and errors that name the file."""

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
from archive_files import truncate
from PIL import Image

from nowcastlib.data import find_windows, frames_table, ingest, open_frames
from nowcastlib.data.feeds import grey_check, picture_files
from nowcastlib.data.feeds.images import Images
from nowcastlib.errors import NowcastError

LOSSLESS = {"plugin": "FFMPEG", "fps": 10, "codec": "ffv1", "pixelformat": "bgr0"}
MINUTE = pd.Timedelta(minutes=1)
GREY = np.linspace(0, 255, 24).astype("u1").reshape(4, 6)
OPACITY = np.where(GREY < 100, 0, 255).astype("u1")
SIXTEEN_BITS = GREY.astype("u2") * 256 + 7


def write_video(path, levels=(0, 51, 102, 255), **options):
    """Write a video of grey frames, lossless (.mkv, .avi) or an animated GIF; its path."""
    frames = np.stack([np.full((32, 48, 3), level, "u1") for level in levels])
    iio.imwrite(path, frames, **({} if path.suffix == ".gif" else LOSSLESS) | options)
    return path


def write_picture(path, level, shape=(4, 6, 3)):
    iio.imwrite(path, np.full(shape, level, "u1"))


def first_frame(feed):
    return feed.read(next(feed.list().itertuples()))


def levels_of(feed):
    """The level of each frame, 0 to 255, at the lower left pixel."""
    frames = [feed.read(row) for row in feed.list().itertuples()]
    return [float(frame[-1, 0]) * 255 / feed.white for frame in frames]


# ---- pictures


@pytest.fixture
def numbered(tmp_path):
    """Pictures with the numbers 2, 3 and 10."""
    for number, level in ((10, 255), (2, 51), (3, 0)):
        write_picture(tmp_path / f"frame_{number}.png", level)
    return Images(str(tmp_path), start="2024-06-01", spacing=10, white=50)


def test_numbers_of_pictures_give_their_times(numbered):
    expected = [pd.Timestamp("2024-06-01") + minutes * MINUTE for minutes in (0, 10, 80)]
    assert numbered.list().time.tolist() == expected
    assert len(numbered.list(start="2024-06-01T00:10", end="2024-06-01T01:20")) == 1


def folder_of(path, *names):
    """A feed of small pictures with these names."""
    path.mkdir(exist_ok=True)
    for name in names:
        write_picture(path / name, 100)
    return Images(str(path))


@pytest.mark.parametrize(
    "names",
    [
        ("radar_202406011145.png", "radar_202406011150.png", "radar_202406011200.png"),
        ("20240601114500.png", "20240601115000.png", "20240601120000.png"),
        ("202406011145_x2.png", "202406011150_x2.png", "202406011200_x2.png"),
        ("r_20240601_1145.png", "r_20240601_1150.png", "r_20240601_1200.png"),
        ("r7_20240601T114500Z.png", "r7_20240601T115000Z.png", "r7_20240601T120000Z.png"),
        ("2024-06-01T11-45.png", "2024-06-01T11-50.png", "2024-06-01T12-00.png"),
        ("2024-06-01 11-45-00.png", "2024-06-01 11-50-00.png", "2024-06-01 12-00-00.png"),
        ("2024_2024-06-01_1145_9.png", "2024_2024-06-01_1150_9.png", "2024_2024-06-01_1200_9.png"),
    ],
)
def test_names_state_their_times_in_several_spellings(tmp_path, names):
    table = folder_of(tmp_path, *reversed(names)).list()
    expected = pd.to_datetime(["2024-06-01T11:45", "2024-06-01T11:50", "2024-06-01T12:00"])
    assert table.time.tolist() == expected.tolist()
    assert [path.rsplit("/", 1)[1] for path in table.path] == list(names)


def test_a_counter_of_12_digits_is_no_time(tmp_path):
    table = folder_of(tmp_path, "000000000007.png", "000000000008.png").list()
    assert table.time.tolist() == [pd.Timestamp("2000-01-01"), pd.Timestamp("2000-01-01T00:05")]


@pytest.mark.parametrize(
    "names",
    [
        ["2024.06.01.11.45", "2024.06.01.12.00"],
        ["20240601_11h45", "20240601_12h00"],
        ["11-45", "12-00"],
        ["Screenshot 2024-06-01 at 11.45.05", "Screenshot 2024-06-01 at 11.50.04"],
    ],
)
def test_names_of_which_more_than_the_last_number_changes_are_refused(tmp_path, names):
    for name in names:  # ordered by their last number, they would stand in another order
        Image.new("L", (4, 4)).save(tmp_path / f"{name}.png")
    with pytest.raises(NowcastError, match="differ in more than their last number"):
        Images(tmp_path).list()


@pytest.mark.parametrize(
    ("names", "word"),
    [
        (["20240601T1145+0200", "20240601T1150+0200"], r"\+0200"),
        (["20240601_1145_CEST", "20240601_1150_CEST"], "CEST"),
        (["202406011145EDT", "202406011150EDT"], "EDT"),
        (["2024-06-01_01-00PM", "2024-06-01_11-55-AM"], "AM|PM"),
    ],
)
def test_times_of_another_zone_are_refused(tmp_path, names, word):
    for name in names:
        Image.new("L", (4, 4)).save(tmp_path / f"{name}.png")
    with pytest.raises(NowcastError, match=rf"({word}) follows the time: write times in UTC"):
        Images(tmp_path).list()


@pytest.mark.parametrize(
    "name",
    [
        *(
            "r_1717243200.png",
            "1717243200000.png",
            "1717243200000000.png",
            "1717243200000000000.png",
        ),
        *("010620241200.png", "01-06-2024_12-00.png", "01062024_120000.png"),
        *("radar_20240601.png", "2024-06-01.png", "2024_06_01_rain.png", "2024.06.01.png"),
        *("01062024.png", "01-06-2024.png"),
    ],
)
def test_a_time_in_an_unknown_spelling_is_not_taken_for_a_number(tmp_path, name):
    with pytest.raises(NowcastError, match=r"seems to hold a time.*20240601_1145") as error:
        folder_of(tmp_path, name).list()
    assert name in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name",
    [
        *("120624.png", "0000000042.png", "r_20240601_007.png", "0000000000042.png"),
        *("00000042.png", "12345678.png", "20241301.png", "9999999999999.png"),
    ],
)
def test_plain_counters_stay_numbers(tmp_path, name):
    assert folder_of(tmp_path, name).list().time.tolist() == [pd.Timestamp("2000-01-01")]


def test_numbers_that_count_in_larger_steps_are_one_spacing_apart(tmp_path):
    table = folder_of(tmp_path, "10.png", "20.png", "30.png").list()
    assert table.time.diff().tolist()[1:] == [5 * MINUTE, 5 * MINUTE]


@pytest.mark.parametrize("numbers", [(1145, 1150, 1155, 1200), (1158, 1159, 1200), (5, 7, 10)])
def test_numbers_that_jump_unevenly_are_refused(tmp_path, numbers):
    """Clock times, for example: 1155 and 1200 are 5 minutes apart, not 45."""
    feed = folder_of(tmp_path, *(f"radar_{number}.png" for number in numbers))
    with pytest.raises(NowcastError, match=r"jump by \d+, others by .*times such as 202406011145"):
        feed.list()


def test_names_with_and_without_a_time_are_refused_together(tmp_path):
    feed = folder_of(tmp_path, "radar_202406011145.png", "radar_2.png")
    with pytest.raises(NowcastError, match=r"radar_2\.png has no time"):
        feed.list()


@pytest.mark.parametrize("option", [{"start": "2024-06-01"}, {"spacing": 10}])
def test_times_in_names_leave_nothing_to_start_and_spacing(tmp_path, option):
    folder_of(tmp_path, "radar_202406011145.png")
    with pytest.raises(NowcastError, match=f"times in their names: leave out {next(iter(option))}"):
        Images(str(tmp_path), **option).list()


def test_white_is_the_rain_rate_of_a_white_pixel(numbered):
    maxima = [numbered.read(row).values.max() for row in numbered.list().itertuples()]
    assert maxima == pytest.approx([10, 0, 50])


def test_still_gifs_are_pictures(tmp_path):
    for number in (9, 10):
        Image.fromarray(np.full((4, 6), number, "u1")).save(tmp_path / f"{number}.gif")
    feed = Images(str(tmp_path))
    assert feed.list().time.diff()[1] == 5 * MINUTE
    assert levels_of(feed) == pytest.approx([9, 10])


@pytest.mark.parametrize(
    ("name", "picture", "brightness"),
    [
        ("grey.png", GREY, GREY / 255),
        ("sixteen_bits.png", SIXTEEN_BITS, SIXTEEN_BITS / 65535),
        ("sixteen_bits.tif", SIXTEEN_BITS, SIXTEEN_BITS / 65535),
        ("bool.png", GREY > 100, GREY > 100),
        ("palette.png", Image.fromarray(255 - GREY).convert("P"), 1 - GREY / 255),
        ("still.gif", GREY, GREY / 255),
        ("red.bmp", np.stack([GREY, GREY * 0, GREY * 0], axis=-1), GREY / 255 / 3),
        (
            "rgba.png",
            np.stack([GREY, GREY, GREY, OPACITY], axis=-1),
            np.where(OPACITY, GREY / 255, np.nan),
        ),
        (
            "grey_alpha.png",
            np.stack([GREY, OPACITY], axis=-1),
            np.where(OPACITY, GREY / 255, np.nan),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_pictures_of_all_kinds_are_read_as_brightness(tmp_path, name, picture, brightness):
    if not isinstance(picture, Image.Image):
        picture = Image.fromarray(picture)
    picture.save(tmp_path / name.replace(".", "_1."))
    frame = first_frame(Images(str(tmp_path), white=50, brightness=name == "red.bmp"))
    np.testing.assert_allclose(frame, brightness * 50.0, atol=1e-4)
    assert frame.dims == ("y", "x")
    assert frame.dtype == "f4"
    assert frame.y[0] > frame.y[-1]


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_transparent_colour_of_a_palette_is_not_observed(tmp_path, suffix):
    picture = Image.fromarray(GREY).convert("P")
    picture.save(tmp_path / f"frame_1{suffix}", transparency=int(GREY[1, 2]))
    frame = first_frame(Images(str(tmp_path)))
    assert np.isnan(frame[1, 2])
    assert np.isfinite(frame).sum() == 23


@pytest.mark.parametrize("values", [GREY.astype("f4"), GREY.astype("i4")], ids=["float", "int"])
def test_picture_of_32_bits_is_refused(tmp_path, values):
    Image.fromarray(values).save(tmp_path / "frame_1.tif")
    with pytest.raises(NowcastError, match=r"frame_1\.tif cannot be read .*32 bits"):
        first_frame(Images(str(tmp_path)))


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(NowcastError, match="nowhere is not a folder"):
        Images(str(tmp_path / "nowhere")).list()


def test_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(NowcastError, match="no numbered pictures"):
        Images(str(tmp_path)).list()


def test_broken_picture_is_named(tmp_path):
    (tmp_path / "frame_1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(NowcastError, match=r"frame_1\.png is .* cut off"):
        first_frame(Images(str(tmp_path)))


def test_single_picture_is_not_a_folder(tmp_path):
    (tmp_path / "frame_1.png").touch()
    with pytest.raises(NowcastError, match=r"frame_1\.png is not a folder or a video"):
        Images(str(tmp_path / "frame_1.png")).list()


def test_two_pictures_of_the_same_number_are_named(tmp_path):
    (tmp_path / "frame_1.png").touch()
    (tmp_path / "frame_01.png").touch()
    names = r"frame_(01|1)\.png and frame_(01|1)\.png"
    with pytest.raises(NowcastError, match=rf"{names} have the same number"):
        Images(str(tmp_path)).list()


# ---- colours

SCALE = [("#ffffff", 0), ("#0000ff", 1), ("#00c800", 10), ("#ff0000", 50), ("#808080", None)]
RATES = np.array([rate if rate is not None else np.nan for _, rate in SCALE])
RGB = np.array([list(bytes.fromhex(colour[1:])) for colour, _ in SCALE], "u1")


def blocks(size=24):
    """Blocks of the colours of SCALE, (size, 5 · size), by their number."""
    return np.repeat(np.repeat(np.arange(5, dtype="u1")[None], size, axis=1), size, axis=0)


def coloured(path, **options):
    """A folder with a picture of the blocks, saved by Pillow with these options; its feed."""
    mode = options.pop("mode", "RGB")
    Image.fromarray(RGB[blocks()]).convert(mode).save(path / options.pop("name"), **options)
    return Images(str(path), palette=SCALE)


@pytest.mark.parametrize(
    "options",
    [
        {"name": "1.png"},
        {"name": "1.png", "mode": "RGBA"},
        {"name": "1.png", "mode": "P"},
        {"name": "1.gif", "mode": "P"},
        {"name": "1.bmp"},
        {"name": "1.tif"},
    ],
    ids=lambda options: options["name"] + options.get("mode", ""),
)
def test_colours_are_rain_rates_however_the_picture_was_saved(tmp_path, options):
    if options.get("mode") == "P":  # with exactly these colours
        picture = Image.fromarray(blocks(), "P")
        picture.putpalette(RGB.tobytes())
        picture.save(tmp_path / options["name"])
        feed = Images(str(tmp_path), palette=SCALE)
    else:
        feed = coloured(tmp_path, **options)
    np.testing.assert_array_equal(first_frame(feed), RATES[blocks()].astype("f4"))


@pytest.mark.parametrize(
    "options",
    [{"name": "1.jpg", "quality": 60}, {"name": "1.jpg", "mode": "CMYK", "quality": 95}],
    ids=["JPEG", "CMYK"],
)
def test_colours_that_compression_smeared_keep_their_rates(tmp_path, options):
    rate = first_frame(coloured(tmp_path, **options)).values
    inner = np.abs((np.arange(120) % 24) - 11.5) < 8  # not beside the edge of a block
    np.testing.assert_array_equal(rate[:, inner], RATES[blocks()][:, inner].astype("f4"))
    assert set(np.unique(rate[np.isfinite(rate)])) <= {0, 1, 10, 50}


def test_videos_and_animated_gifs_are_read_by_their_colours(tmp_path):
    frames = np.stack([RGB[blocks(32)], RGB[blocks(32)][:, ::-1]])
    iio.imwrite(tmp_path / "1.mp4", frames, plugin="FFMPEG", fps=5, codec="libx264",
                pixelformat="yuv420p", output_params=["-crf", "12"])  # fmt: skip
    pages = [Image.fromarray(page) for page in frames]
    pages[0].save(tmp_path / "2.gif", save_all=True, append_images=pages[1:])
    feed = Images(str(tmp_path), palette=SCALE)
    expected = RATES[blocks(32)].astype("f4")
    inner = np.abs((np.arange(160) % 32) - 15.5) < 10
    for row in feed.list().itertuples():
        wanted = expected[:, ::-1] if row.number else expected
        np.testing.assert_array_equal(feed.read(row).values[:, inner], wanted[:, inner])


def test_transparent_pixels_are_not_observed_unless_the_palette_says_so(tmp_path):
    pixels = np.dstack([RGB[blocks()], np.where(blocks() == 0, 0, 255).astype("u1")])
    Image.fromarray(pixels).save(tmp_path / "1.png")
    scale = SCALE[1:]
    assert np.isnan(first_frame(Images(str(tmp_path), palette=scale))[:, :24]).all()
    dry = Images(str(tmp_path), palette=[*scale, ("transparent", 0)])
    assert (first_frame(dry)[:, :24] == 0).all()
    assert (first_frame(dry)[:, 24:48] == 1).all()


def test_coastlines_take_the_rate_beside_them_and_their_share_is_reported(tmp_path, caplog):
    pixels = RGB[blocks()]
    pixels[:, 40] = pixels[12] = (255, 0, 255)  # of 120 columns and 24 rows
    Image.fromarray(pixels).save(tmp_path / "1.png")
    feed = Images(str(tmp_path), palette=SCALE)
    np.testing.assert_array_equal(first_frame(feed), RATES[blocks()].astype("f4"))
    assert "5.0% of" in caplog.text
    assert "1.png has colours that are not in the palette" in caplog.text
    caplog.clear()
    first_frame(feed)
    assert not caplog.text  # reported once


def test_a_picture_of_another_palette_is_refused(tmp_path):
    feed = coloured(tmp_path, name="1.png")
    other = Images(feed.path, palette=[("#ffffff", 0), ("#ffaa00", 1), ("#552200", 5)])
    with pytest.raises(NowcastError, match=r"80% of .*1\.png has colours that are not in the pal"):
        first_frame(other)


def test_colours_without_a_palette_are_refused_before_anything_is_read(tmp_path):
    feed = Images(coloured(tmp_path, name="1.png").path)
    with pytest.raises(NowcastError, match=r"1\.png has colours.*--palette.*--brightness"):
        feed.list()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_one_coloured_picture_among_grey_ones_leaves_no_store(tmp_path, mode):
    """The grey pictures may be the dry frames of the colour scale, on its grey background."""
    path = tmp_path / "pictures"
    path.mkdir()
    for number in range(20):
        colour = (128, 128, 140 if number == 11 else 128)
        Image.new("RGB", (4, 6), colour).convert(mode).save(path / f"{number}.png")
    with pytest.raises(NowcastError, match=r"11\.png has colours.*--palette.*--brightness"):
        ingest(Images(str(path)), tmp_path / "store.zarr")
    assert not (tmp_path / "store.zarr").exists()

    # without the coloured picture, and if only some of the grey ones are asked for
    (path / "0.png").replace(path / "11.png")
    assert len(Images(str(path)).list()) == 19
    for number in range(1, 4):
        Image.new("RGB", (4, 6), (255, 0, 0)).save(path / f"{number}.png")
    with pytest.raises(NowcastError, match=r"png has colours"):
        Images(str(path)).list(start="2000-01-01T00:30")


@pytest.mark.parametrize("n_grey", [1, 5, 65])  # less than a grid needs, a chunk, and more
@pytest.mark.parametrize("is_new", [True, False])
def test_a_picture_that_gets_colours_after_it_was_listed_ends_the_ingest(
    tmp_path, caplog, n_grey, is_new
):
    path, store = tmp_path / "pictures", tmp_path / "store.zarr"
    folder_of(path, *(f"{number}.png" for number in range(n_grey + 2)))
    feed = Images(str(path))
    table = feed.list()
    object.__setattr__(feed, "list", lambda start, end: table[:end])
    if not is_new:
        ingest(feed, store, end=1)
    Image.new("RGB", (6, 4), (255, 0, 0)).save(path / f"{n_grey + 1}.png")

    with pytest.raises(NowcastError, match=rf"{n_grey + 1}\.png has colours.*--palette"):
        ingest(feed, store)
    assert "skipped" not in caplog.text
    assert store.exists() == (not is_new)
    if not is_new:
        assert len(open_frames(store)) == 1
        ingest(feed, store, end=n_grey + 1)
        assert len(open_frames(store)) == n_grey + 1


def test_headers_tell_which_pictures_are_grey(tmp_path, monkeypatch):
    for number, mode in enumerate(["1", "L", "LA", "P", "I;16"]):
        grey = SIXTEEN_BITS if mode == "I;16" else GREY
        picture = Image.fromarray(grey)
        picture = picture if mode in ("I;16", "L") else picture.convert(mode)
        picture.save(tmp_path / f"{number}.png")
    decoded = []
    monkeypatch.setattr(grey_check, "decode", lambda path: decoded.append(path))
    assert len(Images(str(tmp_path)).list()) == 5
    assert not decoded


def test_a_video_with_colours_in_its_last_frame_is_refused_without_a_palette(tmp_path):
    frames = np.zeros((3, 32, 48, 3), "u1")
    frames[2, :4] = (0, 90, 200)
    iio.imwrite(tmp_path / "a.mkv", frames, **LOSSLESS)
    with pytest.raises(NowcastError, match=r"a\.mkv has colours"):
        Images(str(tmp_path / "a.mkv")).list()
    assert len(Images(str(tmp_path / "a.mkv"), brightness=True).list()) == 3


def test_a_coloured_picture_among_grey_ones_is_refused_when_it_is_read(tmp_path):
    feed = coloured(tmp_path, name="1.png")
    row = next(feed.list().itertuples())
    with pytest.raises(NowcastError, match=r"1\.png has colours"):
        Images(feed.path).read(row)


def test_grey_pictures_of_16_bits_have_no_colours(tmp_path):
    Image.fromarray(SIXTEEN_BITS).save(tmp_path / "1.png")
    with pytest.raises(NowcastError, match=r"1\.png is grey with 16 bits.*leave out palette"):
        first_frame(Images(str(tmp_path), palette=SCALE))


@pytest.mark.parametrize("option", [{"brightness": True}, {"white": 50.0}])
def test_a_palette_leaves_nothing_to_brightness_and_white(tmp_path, option):
    coloured(tmp_path, name="1.png")
    with pytest.raises(NowcastError, match=f"leave out {next(iter(option))}"):
        Images(str(tmp_path), palette=SCALE, **option).list()


def test_rows_that_begin_in_the_south_are_turned_by_their_colours_too(tmp_path):
    pixels = RGB[blocks()]
    pixels[:12] = RGB[2]
    Image.fromarray(pixels).save(tmp_path / "1.png")
    frame = first_frame(Images(str(tmp_path), palette=SCALE, north_up=False))
    assert (frame[12:] == 10).all()
    assert (frame[:12, :24] == 0).all()


def test_a_time_without_pictures_has_an_empty_table(tmp_path):
    write_picture(tmp_path / "1.png", 100)
    assert len(Images(str(tmp_path)).list(start="2020-01-01")) == 0


def test_a_store_is_not_continued_with_another_palette(tmp_path):
    (tmp_path / "film").mkdir()
    feed = coloured(tmp_path / "film", name="1.png")
    ingest(feed, tmp_path / "out.zarr")
    ingest(Images(feed.path, palette=SCALE[::-1]), tmp_path / "out.zarr")  # the order is no matter
    other = Images(feed.path, palette=[*SCALE[:3], ("#ff0000", 60), SCALE[4]])
    with pytest.raises(NowcastError, match="other settings"):
        ingest(other, tmp_path / "out.zarr")


# ---- videos


@pytest.mark.parametrize("name", ["a.mkv", "a.AVI", "a.gif"])
def test_frames_of_a_video_are_listed_and_read(tmp_path, name):
    feed = Images(str(write_video(tmp_path / name)), start="2024-06-01", spacing=10)
    table = feed.list()
    assert table.time.tolist() == [pd.Timestamp("2024-06-01") + 10 * k * MINUTE for k in range(4)]
    assert table.number.tolist() == [0, 1, 2, 3]
    assert set(table.path) == {feed.path}
    assert feed.list(start="2024-06-01T00:20").number.tolist() == [2, 3]
    assert levels_of(feed) == pytest.approx([0, 51, 102, 255])
    assert first_frame(feed).shape == (32, 48)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.webm"])
def test_compressed_video_has_nearly_its_brightness(tmp_path, name):
    levels = [0, 60, 120, 180, 240]
    codec = "libvpx-vp9" if name == "a.webm" else "libx264"
    path = write_video(tmp_path / name, levels, codec=codec, pixelformat="yuv420p")
    assert levels_of(Images(str(path))) == pytest.approx(levels, abs=3)


def test_each_frame_counts_once_however_long_it_is_shown(tmp_path):
    slower = ["-vf", "setpts='N*N/10/TB'", "-fps_mode", "passthrough"]
    path = write_video(tmp_path / "a.mkv", output_params=slower)
    assert levels_of(Images(str(path))) == pytest.approx([0, 51, 102, 255])


def test_videos_of_a_folder_follow_in_natural_order_a_day_apart(tmp_path):
    write_video(tmp_path / "b10.mkv", [10, 20, 30])
    write_video(tmp_path / "b9.gif", [10, 20, 30, 40])
    write_video(tmp_path / "b11.mkv", [10, 20])
    (tmp_path / "notes.txt").write_text("not a video")
    feed = Images(str(tmp_path), start="2024-06-01")
    table = feed.list()
    names = [path.rsplit("/")[-1] for path in table.path]
    assert names == ["b9.gif"] * 4 + ["b10.mkv"] * 3 + ["b11.mkv"] * 2
    days = table.time[table.number == 0].astype(str).tolist()
    assert days == ["2024-06-01", "2024-06-02", "2024-06-03"]
    assert levels_of(feed) == pytest.approx([10, 20, 30, 40, 10, 20, 30, 10, 20])


def test_windows_do_not_join_two_videos_even_if_one_lasts_a_day(tmp_path):
    for name in ("1.mkv", "2.mkv"):
        write_video(tmp_path / name, [40] * 5)
    feed = Images(str(tmp_path), spacing=288)  # five frames last until the next day begins
    frames = open_frames(ingest(feed, tmp_path / "out.zarr"))
    rows = find_windows(frames_table(frames, max_gap=288), 4, 288)
    assert [list(window) for window in rows] == [
        [0, 1, 2, 3],
        [1, 2, 3, 4],
        [5, 6, 7, 8],
        [6, 7, 8, 9],
    ]


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files of which a frame was decoded, in order."""
    names, decode = [], picture_files.decode

    def recorded(path):
        for picture in decode(path):
            names.append(path.name)
            yield picture

    monkeypatch.setattr(picture_files, "decode", recorded)
    return names


def test_reading_in_order_decodes_a_video_once(tmp_path, decoded):
    feed = Images(str(write_video(tmp_path / "a.mkv", range(0, 200, 10))))
    rows = list(feed.list().itertuples())
    decoded.clear()
    for row in rows:
        feed.read(row)
    assert len(decoded) == 20


def test_going_back_decodes_a_video_again_from_its_beginning(tmp_path, decoded):
    feed = Images(str(write_video(tmp_path / "a.mkv", range(0, 200, 10))))
    rows = list(feed.list().itertuples())
    in_order = [float(feed.read(row)[0, 0]) for row in rows]
    decoded.clear()
    order = [17, 3, 3, 4]
    assert [float(feed.read(rows[k])[0, 0]) for k in order] == [in_order[k] for k in order]
    assert len(decoded) == 18 + 4 + 4 + 1


# ---- pictures with pages


def write_pages(path, levels=(0, 51, 102, 255)):
    pages = [Image.fromarray(np.full((4, 6), level, "u1")) for level in levels]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return path


@pytest.mark.parametrize("name", ["r_202406011200.tif", "r_202406011200.png"])
def test_a_picture_with_pages_is_refused_in_a_folder_and_read_as_a_video_alone(tmp_path, name):
    path = write_pages(tmp_path / name)
    with pytest.raises(NowcastError, match=f"{name} holds 4 pictures.*read as a video"):
        first_frame(Images(str(tmp_path)))
    assert levels_of(Images(str(path))) == pytest.approx([0, 51, 102, 255])


@pytest.mark.parametrize("name", ["r_202406011200.gif", "r_20240601_1200.tif"])
def test_a_video_starts_at_the_time_in_its_name_unless_a_start_is_given(tmp_path, name):
    path = str(write_pages(tmp_path / name))
    noon = pd.Timestamp("2024-06-01T12:00")
    assert Images(path).list().time.tolist() == [noon + k * 5 * MINUTE for k in range(4)]
    assert Images(path, start="2023-01-01").list().time[0] == pd.Timestamp("2023-01-01")


# ---- one store, one source


def test_a_store_of_numbered_pictures_is_not_continued_from_another_folder(tmp_path):
    a, b = (folder_of(tmp_path / name, "1.png", "2.png") for name in "ab")
    out = ingest(a, tmp_path / "out.zarr")
    write_picture(tmp_path / "a" / "3.png", 100)
    assert len(open_frames(ingest(a, out))) == 3
    with pytest.raises(NowcastError, match=r"other settings \(.*/a, .* not \(.*/b, "):
        ingest(b, out)


@pytest.mark.parametrize(
    "option",
    [{"spacing": 10}, {"start": "2024-06-01"}, {"white": 50}, {"brightness": True}, {"pixel": 500}],
)
def test_a_store_of_pictures_is_not_continued_with_other_options(tmp_path, option):
    feed = folder_of(tmp_path / "a", "1.png", "2.png")
    out = ingest(feed, tmp_path / "out.zarr")
    with pytest.raises(NowcastError, match="other settings"):
        ingest(Images(feed.path, **option), out)
    assert len(open_frames(out)) == 2


def test_dated_pictures_of_another_folder_continue_a_store(tmp_path):
    out = ingest(folder_of(tmp_path / "a", "202406011145.png"), tmp_path / "out.zarr")
    ingest(folder_of(tmp_path / "b", "202406011150.png"), out)
    assert len(open_frames(out)) == 2


# ---- broken videos


@pytest.mark.parametrize(
    ("name", "reason"), [("a.mkv", "it ends before its frame 19"), ("a.gif", ".+")]
)
def test_truncated_video_keeps_the_frames_before(tmp_path, name, reason):
    noise = np.random.default_rng(0).integers(0, 255, (20, 32, 48, 3)).astype("u1")
    path = tmp_path / name
    iio.imwrite(path, noise, **({} if name == "a.gif" else LOSSLESS))
    truncate(path)
    feed = Images(str(path), brightness=True)
    table = feed.list()
    assert 5 < len(table) < 15
    assert all(feed.read(row).shape == (32, 48) for row in table.itertuples())

    beyond = next(table.iloc[[-1]].assign(number=19).itertuples())
    with pytest.raises(NowcastError, match=rf"{name} cannot be read \({reason}\): save it again"):
        feed.read(beyond)


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100], ids=["empty", "rubbish"])
def test_broken_video_is_named_without_the_log_of_ffmpeg(tmp_path, content):
    write_video(tmp_path / "1.mkv")
    (tmp_path / "2.mp4").write_bytes(content)
    with pytest.raises(NowcastError, match=r"2\.mp4 holds no frame that can be read: save it"):
        Images(str(tmp_path)).list()

    table = pd.DataFrame({"path": [str(tmp_path / "2.mp4")], "number": [0]})
    with pytest.raises(NowcastError, match=r"2\.mp4 cannot be read \([^\n]*\): save it again$"):
        Images(str(tmp_path)).read(next(table.itertuples()))


def test_picture_without_a_number_is_ignored_beside_videos(tmp_path):
    write_video(tmp_path / "a.mkv")
    iio.imwrite(tmp_path / "cover.png", GREY)
    assert len(Images(str(tmp_path)).list()) == 4


def test_videos_and_numbered_pictures_in_one_folder_are_refused(tmp_path):
    write_video(tmp_path / "a.mkv")
    iio.imwrite(tmp_path / "frame_1.png", GREY)
    with pytest.raises(NowcastError, match="both videos and numbered pictures"):
        Images(str(tmp_path)).list()
