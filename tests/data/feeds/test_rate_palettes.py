"""Palettes of one's own: files and pairs, and mistakes in them."""

import json

import numpy as np
import pytest

from nowcastlib.data.feeds.palettes import rates_of_pixels
from nowcastlib.data.feeds.rate_palettes import rate_palette
from nowcastlib.errors import NowcastError

PAIRS = [("#ffffff", 0), ("#0a96ff", 1.5), ("#DC0000", 50), ("#808080", "none")]
CSV = "#ffffff,0\n#0a96ff,1.5\n\n#DC0000, 50\n#808080,nodata\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.csv", CSV),
        ("p.csv", "\ufeffcolour,mm/h\r\n" + CSV.replace("\n", "\r\n")),
        ("p.json", json.dumps(PAIRS)),
        ("p.json", json.dumps(dict(PAIRS) | {"#808080": None})),
    ],
    ids=["CSV", "CSV of a spreadsheet", "list", "object"],
)
def test_a_file_gives_the_same_palette_as_its_pairs(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert rate_palette(tmp_path / name) == rate_palette(PAIRS)
    assert rate_palette(str(tmp_path / name)) == rate_palette(PAIRS[::-1])


def test_summaries_differ_where_palettes_differ():
    others = [[*PAIRS[:3]], [*PAIRS, ("transparent", 0)], [*PAIRS[1:], ("#fffffe", 0)]]
    assert len({rate_palette(rows).summary for rows in [PAIRS, *others]}) == 4


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("#ffffff,0\n#0a96ff,1\n#0A96FF,2\n", "#0a96ff two rates, 1 mm/h and 2 mm/h"),
        ("#ffffff,0\n#ffffff,none\n", "#ffffff two rates, 0 mm/h and none"),
        ("0a96ff,1\n", r"row 1 of .*p\.csv begins with '0a96ff', which is no colour"),
        ("#0a96f,1\n", "'#0a96f', which is no colour"),
        ("#0a96ff,-1\n", "the rate '-1': give mm/h from 0 to 1000"),
        ("#ffffff,0\n#0a96ff,1e9\n", "row 2 of .*the rate '1e9'"),
        ("#0a96ff,inf\n", "the rate 'inf'"),
        ("#0a96ff,heavy\n", "the rate 'heavy'"),
        ("#0a96ff;1\n", "is no pair"),
        ("#0a96ff,0,5\n", "is no pair"),
        ("", "no colour a rain rate"),
        ("colour,rate\n", "no colour a rain rate"),
        ("#0a96ff,none\n", "no colour a rain rate"),
        ("transparent,0\n", "no colour a rain rate"),
        ("".join(f"#0000{k:02x},{k}\n" for k in range(251)), "251 colours, more than 250"),
    ],
)
def test_mistakes_in_a_palette_are_named(tmp_path, text, complaint):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(NowcastError, match=rf"(?=.*p\.csv).*{complaint}"):
        rate_palette(tmp_path / "p.csv")


@pytest.mark.parametrize("text", ["{", "5", '"#0a96ff"', "[1, 2]", '[["#0a96ff", true]]', "[[]]"])
def test_mistakes_in_json_are_named(tmp_path, text):
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(NowcastError, match=r"p\.json"):
        rate_palette(tmp_path / "p.json")


def test_an_object_with_one_colour_twice_is_not_shortened(tmp_path):
    (tmp_path / "p.json").write_text('{"#0a96ff": 1, "#0a96ff": 2}')
    with pytest.raises(NowcastError, match="two rates"):
        rate_palette(tmp_path / "p.json")


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"], ids=["missing", "no text"])
def test_a_palette_that_cannot_be_read_is_named(tmp_path, content):
    if content:
        (tmp_path / "p.csv").write_bytes(content)
    with pytest.raises(NowcastError, match=r"p\.csv cannot be read"):
        rate_palette(tmp_path / "p.csv")


def test_a_fine_scale_is_read_after_compression_with_loss():
    """200 shades of blue, two levels apart: a colour that is off by three levels is still sure."""
    shades = np.arange(200)
    palette = rate_palette([(f"#{255 - k:02x}{255 - k:02x}ff", 0.5 * k) for k in shades])
    off = np.random.default_rng(0).integers(-3, 4, (40, 200, 3))
    blue = np.stack([255 - shades, 255 - shades, np.full(200, 255)], axis=-1)
    rate, unsure = rates_of_pixels(np.clip(blue + off, 0, 255).astype("u1"), palette)
    assert unsure == 0
    np.testing.assert_allclose(rate, np.tile(0.5 * shades, (40, 1)), atol=2.5)


def test_near_colours_of_distant_rates_are_not_guessed():
    """Between white (a downpour) and nearly white (not observed) a colour belongs to neither."""
    palette = rate_palette([("#ffffff", 50), ("#f8f8f8", None), ("#ff0000", 0)])
    pixels = np.full((10, 10, 3), 255, "u1")
    pixels[:, 5:] = 248
    pixels[:, 4] = 252
    pixels[0, 3] = 251
    rate, unsure = rates_of_pixels(pixels, palette)
    assert unsure == pytest.approx(0.11)
    assert np.isnan(rate[:, 5:]).all()
    assert (rate[:, :4] == 50).all()
