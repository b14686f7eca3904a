"""Pictures of rain: from colours to classes and rain rates, however the picture was saved."""

import io

import numpy as np
import pytest
from PIL import Image

from nowcastlib.data.coverage import inscribed_square
from nowcastlib.data.feeds import palettes
from nowcastlib.errors import NowcastError


def disc() -> np.ndarray:
    """Rain (500, 500) in mm/h: a block of each class, not observed outside a disc of 250 px."""
    rate = np.zeros((500, 500))
    for k, edge in enumerate(palettes.SRI.edges):
        rate[100 + 30 * k : 124 + 30 * k, 150:350] = edge * 1.1
    y, x = np.indices(rate.shape)
    return np.where((y - 249.5) ** 2 + (x - 249.5) ** 2 <= 250**2, rate, np.nan)


def png(values) -> bytes:
    """A PNG of RGB or RGBA values."""
    content = io.BytesIO()
    Image.fromarray(np.asarray(values, "u1")).save(content, "PNG")
    return content.getvalue()


# ---- ways to save a picture


def as_indexed(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def as_jpeg(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.convert("RGB").save(content, "JPEG", quality=50)
    return content.getvalue()


def antialiased(picture: Image.Image) -> bytes:
    large = picture.convert("RGB").resize((1700, 1700), Image.Resampling.BILINEAR)
    return png(large.resize((500, 500), Image.Resampling.BOX))


def with_transparent_pixels(picture: Image.Image) -> bytes:
    values = np.asarray(picture.convert("RGBA")).copy()
    values[(values[..., :3] == 255).all(axis=-1)] = 0
    return png(values)


def with_transparent_index(picture: Image.Image) -> bytes:
    return _save_with_black_outside(picture, transparency=0)


def with_opacity_of_each_index(picture: Image.Image) -> bytes:
    return _save_with_black_outside(picture, transparency=bytes([0, *[255] * 10, 0]))


def _save_with_black_outside(picture: Image.Image, transparency: int | bytes) -> bytes:
    picture.putpalette(bytes(3) + bytes(picture.getpalette())[3:])
    content = io.BytesIO()
    picture.save(content, "PNG", transparency=transparency)
    return content.getvalue()


@pytest.mark.parametrize(
    "save",
    [
        as_indexed,
        as_jpeg,
        antialiased,
        with_transparent_pixels,
        with_transparent_index,
        with_opacity_of_each_index,
    ],
)
def test_classes_and_disc_do_not_depend_on_how_the_picture_was_saved(save):
    content = palettes.draw(disc())
    exact = palettes.classify(content)
    classes = palettes.classify(save(Image.open(io.BytesIO(content))))
    assert set(np.unique(exact)) == set(range(len(palettes.SRI.rain) + 2))
    assert (classes != exact).mean() < 0.005
    assert inscribed_square(classes > 0) == (73, 73, 354, 354)


# ---- rates


def test_rates_rise_with_the_classes_while_grey_does_not():
    content = palettes.draw(disc())
    rate = palettes.decode(content)
    grey = np.asarray(Image.open(io.BytesIO(content)).convert("L"))
    rows = 110 + 30 * np.arange(9)  # one in each block
    assert (np.diff(rate[rows, 250]) > 0).all()

    # drizzle is brighter than dry pixels, heavier rain is darker
    dry = grey[250, 20]
    assert grey[rows[0], 250] > dry > grey[rows[5], 250]


def test_rate_of_a_class_lies_above_its_lower_edge():
    rate = palettes.decode(palettes.draw(disc()))
    for k, edge in enumerate(palettes.SRI.edges):
        assert rate[110 + 30 * k, 250] > edge


def test_dry_is_0_and_outside_is_not_observed():
    rate = palettes.decode(palettes.draw(disc()))
    assert rate[250, 20] == 0
    assert np.isnan(rate[0, 0])


# ---- colours outside the palette


def test_lines_of_a_map_take_the_class_beside_them():
    content = palettes.draw(disc())
    values = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).copy()
    values[:, 200] = values[250, :] = 0  # black
    classes = palettes.classify(png(values))
    assert (classes != palettes.classify(content)).mean() < 0.001


def test_mixture_of_two_colours_does_not_become_a_third_class():
    _, _, weakest, second, *_ = palettes.SRI.colours
    mixture = 0.7 * 255 + 0.3 * second  # an antialiased edge of the disc
    assert abs(mixture - weakest).sum() < abs(mixture - second).sum()
    row = [[255] * 3] * 9 + [mixture] + [second] * 9
    assert set(np.unique(palettes.classify(png([row] * 9)))) == {palettes.OUTSIDE, 3}


@pytest.mark.parametrize(
    "colours", [["#12f0a0"], ["#780000"], ["#ff00ff", "#ff00ff", "#12f0a0"]], ids=len
)
def test_picture_with_another_palette_is_refused_with_its_commonest_colour(colours):
    row = [list(bytes.fromhex(colour[1:])) for colour in colours]
    with pytest.raises(NowcastError, match=rf"100% of SRI\.png .* most often {colours[0]}: give"):
        palettes.decode(png([row] * 6), name="SRI.png")


def test_a_fifth_of_foreign_colours_is_accepted_and_a_third_is_refused():
    dry, line = palettes.SRI.colours[palettes.NO_RAIN], [255, 0, 255]
    assert (palettes.classify(png([[dry] * 4 + [line]] * 6)) == palettes.NO_RAIN).all()
    with pytest.raises(NowcastError, match=r"33% of the picture .* not in the palette"):
        palettes.classify(png([[dry] * 2 + [line]] * 6))
