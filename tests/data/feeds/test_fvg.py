"""The HTTP feed: against the demo's server, and against servers on loopback that misbehave in all known ways."""

import io
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import archive_files
import h5py
import numpy as np
import pandas as pd
import pytest
import requests
from fvg_server import SPAN, TIMES, Answer, feed, row
from PIL import Image

from nowcastlib.data import coverage, ingestion, store
from nowcastlib.data.feeds import ServerUnreachable, demo_server, palettes
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.data.feeds.fvg import FVG, HDF5, PNG, Fvg
from nowcastlib.errors import NowcastError


def ingest(server, tmp_path, **options):
    path = ingestion.ingest(feed(server, **options), tmp_path / "f.zarr", *SPAN, progress=False)
    return store.open_frames(path)


def picture(rate=1.5, size=(12, 16)) -> bytes:
    return palettes.draw(np.full(size, rate))


# ---- the demo's server: the whole way, as notebook 01 goes it


def test_download_gives_the_same_rain_as_the_demo_itself_within_its_disc(tmp_path):
    rain = Demo(events=2, frames=12, size=40)
    with demo_server.serve(rain) as url:
        radar = Fvg(base=url)
        path = ingestion.ingest(
            radar, tmp_path / "f.zarr", "2024-06-01", "2024-06-03", progress=False
        )
        assert len(radar.list("2024-06-01", "2024-06-03")) == 24
    frames = store.open_frames(path)
    assert frames.indexes["time"].equals(pd.DatetimeIndex(rain.list().time, name="time"))
    seen = np.isfinite(frames.values)
    assert (seen == seen[0]).all() and seen.mean() == pytest.approx(np.pi / 4, abs=0.02)
    truth = np.stack([rain.read(r).values for r in rain.list().itertuples()])
    physical = np.arange(24) != 7  # the one that came as a picture
    np.testing.assert_allclose(
        frames.values[physical][seen[physical]], truth[physical][seen[physical]], atol=0.0051
    )
    classes = np.digitize(
        [frames.values[7][seen[7]], truth[7][seen[7]]], [e for e, _ in palettes.SRI.rain]
    )
    assert (classes[0] == classes[1]).all() and (classes[0] > 0).any()


def test_the_demo_serves_a_rate_a_reflectivity_and_an_hours_sum_of_the_same_rain():
    rain = Demo(events=2, frames=14, size=32)
    with demo_server.serve(rain, trouble=0) as url:
        radars = {name: Fvg(base=url, product=name) for name in demo_server.PRODUCTS}
        last = {
            name: next(r.list("2024-06-01", "2024-06-02").iloc[[-1]].itertuples())
            for name, r in radars.items()
        }
        rate, reflected, hourly = (
            radars[name].read(last[name]).values for name in demo_server.PRODUCTS
        )
        offered = radars["SRI"].products("2024-06-01", "2024-06-02")
        next_day = radars["SRT_1"].read(
            next(radars["SRT_1"].list("2024-06-02", "2024-06-03").itertuples())
        )
    seen = np.isfinite(rate)
    assert offered.groupby(["name", "format"]).size().tolist() == [13, 14, 14, 14, 14, 14]
    np.testing.assert_allclose(
        reflected[seen], rate[seen], rtol=0.05, atol=0.011
    )  # half a dB is 4 %
    truth = [rain.read(r).values for r in rain.list().itertuples()]
    np.testing.assert_allclose(hourly[seen], np.mean(truth[2:14], axis=0)[seen], atol=0.0051)
    np.testing.assert_allclose(
        next_day.values[seen], truth[14][seen] / 12, atol=0.0051
    )  # nothing before it
    assert (hourly[seen] > 0).mean() > (rate[seen] > 0).mean()


def test_the_demo_server_has_holes_and_a_day_of_null():
    rain = Demo(events=6, frames=20, size=16)
    with demo_server.serve(rain) as url:
        radar = Fvg(base=url)
        with pytest.raises(
            NowcastError, match=r"no SRI from 2024-06-03 to 2024-06-04 \(it has: nothing at all\)"
        ):
            radar.list("2024-06-03", "2024-06-04")
        gaps = radar.list("2024-06-01", "2024-06-10").time.diff().dt.total_seconds().div(60)
        with pytest.raises(NowcastError, match="404"):
            radar.fetch(1)
        day = {"from": "2024-06-03 00:00:00", "to": "2024-06-04 00:00:00", "last": 9, "offset": 0}
        assert requests.get(f"{url}/radars/1/products", day).content == b"null"
    holes = gaps[(gaps > 5) & (gaps < 300)]
    assert len(holes) == 2 and holes.between(10, 40).all()


def test_trouble_on_the_way_changes_nothing(tmp_path):
    rain = Demo(events=1, frames=12, size=24)
    for name, trouble in (("calm", 0), ("rough", 2)):
        with demo_server.serve(rain, trouble) as url:
            ingestion.ingest(
                Fvg(base=url), tmp_path / name, "2024-06-01", "2024-06-02", progress=False
            )
    calm, rough = (store.open_frames(tmp_path / name) for name in ("calm", "rough"))
    assert calm.equals(rough) and calm.sizes["time"] == 12
    with demo_server.serve(rain, trouble=1) as url:
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            requests.get(f"{url}/products/{demo_server.FIRST_ID}")
        asked = [
            requests.get(f"{url}/products/{demo_server.FIRST_ID + 6 * k}").status_code
            for k in (0, 1, 1)
        ]
    assert asked == [200, 503, 200]  # the second attempt is answered


# ---- what the list may look like


def test_list_pages_through_all_answers_and_keeps_one_row_a_time_ascending(server):
    server.rows = [
        r for k in range(3, -1, -1) for r in (row(100 + k, TIMES[k]), row(200 + k, TIMES[k], PNG))
    ]
    server.rows.insert(2, row(300, TIMES[3], "application/bufr"))  # no format of ours
    table = feed(server, page=3).list(*SPAN)
    assert list(table.id) == [100, 101, 102, 103] and table.time.is_monotonic_increasing
    assert server.requests.count("/radars/1/products") == 4  # 9 rows in pages of 3: the last is empty
    assert server.agents == {"nowcastlib (a course on precipitation nowcasting)"}


def test_list_asks_day_by_day_and_a_day_may_be_null(server):
    server.answers["/radars/1/products"] = [Answer(b"null"), Answer(b'{"products": null}'),
                                            Answer(json.dumps({"products": server.rows}).encode())]  # fmt: skip
    assert (
        len(feed(server).products("2024-05-30T18:00", "2024-06-02T06:00")) == 4
    )  # told twice, listed once
    assert list(dict.fromkeys(server.days)) == [
        "2024-05-30",
        "2024-05-31",
        "2024-06-01",
        "2024-06-02",
    ]
    server.days.clear()
    feed(server).list("2024-06-01", "2024-06-02")
    assert set(server.days) == {"2024-06-01"}


def test_a_server_may_give_fewer_at_a_time_than_asked_for(server):
    pages = [server.rows[:2], server.rows[2:], []]
    server.answers["/radars/1/products"] = [
        Answer(json.dumps({"products": page}).encode()) for page in pages
    ]
    assert list(feed(server).list(*SPAN).id) == [100, 101, 102, 103]


def test_without_times_it_is_the_last_two_hours_wherever_the_clock_stands(server, monkeypatch):
    now = pd.Timestamp.now("UTC").floor("s").tz_localize(None)
    server.rows = [row(k, now - pd.Timedelta(minutes=k)) for k in (-30, 1, 119, 121)]
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert list(feed(server).list().id) == [119, 1]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_latest_file_of_a_time_counts_and_zones_are_understood(server):
    server.rows = [
        row(7, TIMES[1]),
        row(9, "2024-06-01T14:05:00+02:00"),
        row(8, TIMES[1]),
        row(3, TIMES[0]),
    ]
    table = feed(server).list(*SPAN)
    assert list(table.id) == [3, 9] and table.time.tolist() == TIMES[:2].tolist()


@pytest.mark.parametrize(
    "bad",
    [
        row("../../secrets", TIMES[2]),
        row("12; rm", TIMES[2]),
        row(-4, TIMES[2]),
        row(2.5, TIMES[2]),
        row(5, "yesterday, about noon"),
        row(5, ""),
        {"id": 5, "name": "SRI", "format": HDF5},
        {"id": 5, "name": "SRI", "format": HDF5, "dt": None},
        "SRI",
    ],
    ids=str,
)
def test_a_product_with_a_false_id_or_time_is_left_out_and_named(server, caplog, bad):
    server.rows = [*server.rows[:2], bad]
    assert list(feed(server).list(*SPAN).id) == [100, 101]
    assert "left out 1 products" in caplog.text and str(bad)[:12] in caplog.text
    assert set(server.requests) == {"/radars/1/products"}


@pytest.mark.parametrize(
    "body", [b"<html>maintenance</html>", b"", b'"products"', b'{"products": 3}']
)
def test_a_page_instead_of_a_list_is_a_clear_error(server, body):
    server.answers["/radars/1/products"] = [Answer(body)]
    with pytest.raises(
        NowcastError, match=r"/radars/1/products.* did not answer with a list of products"
    ):
        feed(server).list(*SPAN)


def test_a_server_that_does_not_know_pages_is_told_from_one_with_many(server):
    server.answers["/radars/1/products"] = [Answer(json.dumps({"products": server.rows}).encode())]
    with pytest.raises(NowcastError, match="the same page twice"):
        feed(server, page=4).list(*SPAN)


def test_another_product_than_those_offered_is_told_with_what_there_is(server):
    with pytest.raises(
        NowcastError, match=r"has no VMI from .* \(it has: SRI\): ask for another time or product"
    ):
        feed(server, product="VMI").list(*SPAN)


# ---- what a file may look like


def test_pictures_fill_in_where_there_is_no_hdf5_and_lie_where_the_others_lie(server, tmp_path):
    server.rows[0] = row(200, TIMES[0], PNG)  # the first, so that the store begins with it
    server.answers["200"] = [Answer(picture())]
    frames = ingest(server, tmp_path)
    assert frames.sizes["time"] == 4 and frames.attrs["crs"]
    assert np.unique(frames[0].values) == pytest.approx(np.sqrt(2))  # the middle of 1 to 2 mm/h
    assert float(frames.x[0]) == pytest.approx(1000) and float(frames.y[-1]) == pytest.approx(1000)


def test_pictures_find_their_place_though_an_hdf5_file_is_broken(server, tmp_path):
    server.rows[1] = row(200, TIMES[1], PNG)
    server.answers["200"], server.answers["100"] = [Answer(picture())], [Answer(b"<html>")]
    assert ingest(server, tmp_path).indexes["time"].equals(TIMES[1:].rename("time"))


def test_pictures_alone_lie_around_the_radar(server):
    server.rows, server.answers["200"] = [row(200, TIMES[0], PNG)], [Answer(picture())]
    radar = feed(server)
    frame = radar.read(next(radar.list(*SPAN).itertuples()))
    assert frame.x.values[[0, -1]].tolist() == [-3750, 3750] and frame.y.values[
        [0, -1]
    ].tolist() == [2750, -2750]


def all_nodata() -> bytes:
    with TemporaryDirectory() as folder:
        return archive_files.write("odim", Path(folder), rate=np.full((12, 16), np.nan)).read_bytes()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", r"products/102 answered .*an empty file"),
        (
            b"<html>maintenance</html>",
            r"products/102 answered text/html.*maintenance.* instead of HDF5 or PNG",
        ),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), r"products/102 .*fetch it again"),
        (picture()[:60], r"products/102 cannot be read as a picture"),
        (picture(size=(5, 5)), r"is \(5, 5\) px, the store"),
        (all_nodata(), r"frame of 2024-06-01 12:10:00: nothing in it is observed"),
    ],
    ids=["empty", "html", "cut hdf5", "cut picture", "wrong size", "all nodata"],
)
def test_a_file_that_is_none_is_named_and_stays_a_gap(server, tmp_path, caplog, body, words):
    server.answers["102"] = [Answer(body, headers={"Content-Type": "text/html"})]
    if "px" in words:  # another grid is an error: it would go on for ever
        with pytest.raises(NowcastError, match=words):
            ingest(server, tmp_path)
        return
    assert ingest(server, tmp_path).indexes["time"].equals(TIMES[[0, 1, 3]].rename("time"))
    assert len(caplog.records) == 1 and pd.Series(caplog.text).str.contains(words).all()


def test_a_file_that_does_not_say_where_it_lies_is_put_around_the_radar(server):
    content = io.BytesIO(server.answers["100"][0].body)
    with h5py.File(content, "r+") as file:
        del file["where"]
    server.answers["100"] = [Answer(content.getvalue())]
    frame = feed(server, pixel=250.0).read(next(feed(server).list(*SPAN).itertuples()))
    assert frame.x.values[[0, -1]].tolist() == [-1875, 1875] and frame.y.values[
        [0, -1]
    ].tolist() == [1375, -1375]


def test_a_wrong_content_type_does_no_harm(server, tmp_path):
    for answers in server.answers.values():
        answers[0] = answers[0]._replace(headers={"Content-Type": "text/plain"})
    np.testing.assert_allclose(ingest(server, tmp_path)[2], archive_files.field() * 3, atol=0.01)


# ---- how the connection may fail


def test_a_busy_server_is_asked_again_when_it_wishes(server, tmp_path):
    good = server.answers["101"][0]
    server.answers["101"] = [Answer(status=429, headers={"Retry-After": 1}), good]
    server.answers["102"] = [Answer(status=429), Answer(status=502), server.answers["102"][0]]
    server.answers["103"] = [good._replace(cut=300), server.answers["103"][0]]
    start = time.monotonic()
    assert ingest(server, tmp_path, retries=2).sizes["time"] == 4
    assert time.monotonic() - start >= 1  # as the server wished
    assert [server.requests.count(f"/products/{k}") for k in (100, 101, 102, 103)] == [1, 2, 3, 2]


@pytest.mark.parametrize(
    ("answer", "asked", "words"),
    [
        (Answer(status=500), 6, "too many 500 error responses"),
        (Answer(status=404), 1, "404"),
        (Answer(bytes(1000), cut=10), 6, "cut off again and again"),
    ],
    ids=["500 five times", "404", "cut"],
)
def test_a_file_that_cannot_be_had_stays_a_gap(
    server, tmp_path, caplog, monkeypatch, answer, asked, words
):
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)  # urllib3's and our own
    server.answers["102"] = [answer]
    assert ingest(server, tmp_path, retries=5).sizes["time"] == 3
    assert words in caplog.text and "products/102" in caplog.text
    assert server.requests.count("/products/102") == asked
    assert (asked == 1) == (waits == []) and waits == sorted(set(waits))  # ever more slowly


def test_a_server_that_answers_but_has_not_the_files_is_asked_for_them_all(
    server, tmp_path, monkeypatch
):
    monkeypatch.setattr(time, "sleep", lambda _: None)
    server.answers |= {
        "100": [Answer(status=404)],
        "101": [Answer(status=500)],
        "102": [Answer(status=404)],
    }
    assert ingest(server, tmp_path).indexes["time"].tolist() == [TIMES[3]]


def test_a_server_that_falls_silent_ends_the_ingest_and_a_rerun_carries_on(server, tmp_path):
    files = {name: list(answers) for name, answers in server.answers.items()}
    server.rows += [row(100 + k, TIMES[0] + pd.Timedelta(minutes=8 + 2 * k)) for k in range(4, 20)]
    files |= {f"{k}": [files["103"][0]] for k in range(104, 120)}
    hanging = {f"{k}": [Answer(wait=30)] for k in range(102, 120)}
    server.answers = files | hanging
    with pytest.raises(ServerUnreachable, match=r"products/10\d: no answer .*run again later"):
        ingest(server, tmp_path, timeout=0.2, retries=0)
    assert not (tmp_path / "f.zarr").exists() and len(server.requests) < 15
    server.answers = files
    before = len(server.requests)
    assert ingest(server, tmp_path).sizes["time"] == 20
    assert not {"/products/100", "/products/101"} & set(server.requests[before:])


def test_no_server_is_a_clear_error():
    with pytest.raises(ServerUnreachable, match=r"no answer .* run again later"):
        Fvg(base="http://127.0.0.1:9", retries=0).list(*SPAN)


def test_four_files_are_fetched_at_a_time_and_no_more(server, tmp_path):
    server.rows = [row(100 + k, TIMES[0] + pd.Timedelta(minutes=k)) for k in range(12)]
    server.answers = {
        f"{100 + k}": [server.answers["100"][0]._replace(wait=0.1)] for k in range(12)
    }
    assert ingest(server, tmp_path).sizes["time"] == 12
    assert server.most_at_once == 4


def test_the_store_names_the_real_feed_and_its_licence_only_where_it_was_asked(server, tmp_path):
    assert Fvg().attribution.startswith(
        "Fonte: Protezione Civile della Regione Friuli Venezia Giulia"
    )
    assert (Fvg().licence, Fvg().base) == ("CC BY 4.0", FVG)
    told = ingest(server, tmp_path).attrs
    assert "Protezione" not in told["source"] and told["license"] == ""


# ---- pictures


def disc(rate=0.0) -> np.ndarray:
    """Rain (500, 500), not observed outside a disc of 250 px, with a block of each class."""
    y, x = np.indices((500, 500))
    field = np.full((500, 500), rate)
    for k, (edge, _) in enumerate(palettes.SRI.rain):
        field[100 + 30 * k : 124 + 30 * k, 150:350] = edge * 1.1
    return np.where((y - 249.5) ** 2 + (x - 249.5) ** 2 <= 250**2, field, np.nan)


def as_jpeg(content: bytes) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(content)).convert("RGB").save(out, "JPEG", quality=50)
    return out.getvalue()


def antialiased(content: bytes) -> bytes:
    out = io.BytesIO()
    large = Image.open(io.BytesIO(content)).convert("RGB")
    large.resize((1700, 1700), Image.Resampling.BILINEAR).resize(
        (500, 500), Image.Resampling.BOX
    ).save(out, "PNG")
    return out.getvalue()


def transparent(content: bytes) -> bytes:
    out, opaque = io.BytesIO(), Image.open(io.BytesIO(content)).convert("RGBA")
    values = np.asarray(opaque).copy()
    values[(values[..., :3] == 255).all(axis=-1)] = 0
    Image.fromarray(values).save(out, "PNG")
    return out.getvalue()


def clear(content: bytes, spare: int | None = None) -> bytes:
    """With a palette whose black class 0 is transparent, told as one number or, with a ``spare`` one, as a table."""
    out, picture = io.BytesIO(), Image.open(io.BytesIO(content))
    picture.putpalette(bytes(3) + bytes(picture.getpalette())[3:])
    picture.save(out, "PNG", transparency=0 if spare is None else bytes([0, *[255] * 10, spare]))
    return out.getvalue()


def clear_by_table(content: bytes) -> bytes:
    return clear(content, 0)


@pytest.mark.parametrize("spoil", [bytes, as_jpeg, antialiased, transparent, clear, clear_by_table])
def test_classes_and_disc_survive_how_a_picture_is_written(spoil):
    exact = palettes.classify(palettes.draw(disc()))
    found = palettes.classify(spoil(palettes.draw(disc())))
    assert (found != exact).mean() < 0.005
    assert coverage.inscribed_square(found > 0) == (73, 73, 354, 354)
    assert set(np.unique(exact)) == set(range(len(palettes.SRI.rain) + 2))


def test_rates_of_a_picture_ascend_with_its_classes_while_its_grey_does_not():
    content = palettes.draw(disc())
    rate, grey = palettes.decode(content), np.asarray(Image.open(io.BytesIO(content)).convert("L"))
    column = [grey[110 + 30 * k, 250] for k in range(9)]
    assert (
        column[0] > grey[250, 20] > column[5]
    )  # drizzle is brighter than dry, heavier rain darker
    assert (np.diff([rate[110 + 30 * k, 250] for k in range(9)]) > 0).all()
    assert rate[250, 20] == 0 and np.isnan(rate[0, 0])
    assert all(e < rate[110 + 30 * k, 250] for k, (e, _) in enumerate(palettes.SRI.rain))


def test_lines_of_a_map_take_the_class_beside_them():
    picture = Image.open(io.BytesIO(palettes.draw(disc()))).convert("RGB")
    values = np.asarray(picture).copy()
    values[:, 200] = values[250, :] = 0  # black
    out = io.BytesIO()
    Image.fromarray(values).save(out, "PNG")
    exact, found = palettes.classify(palettes.draw(disc())), palettes.classify(out.getvalue())
    assert (found != exact).mean() < 0.001


def png(values) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.asarray(values, "u1")).save(out, "PNG")
    return out.getvalue()


def test_a_colour_between_two_classes_is_not_a_third():
    _, _, weakest, second, *_ = palettes.SRI.colours
    between = (
        0.7 * 255 + 0.3 * second
    )  # the edge of the disc; nearer to the weakest rain than to either side
    assert abs(between - weakest).sum() < abs(between - second).sum()
    found = palettes.classify(png([[[255] * 3] * 9 + [between] + [second] * 9] * 9))
    assert set(np.unique(found)) == {palettes.OUTSIDE, 3}


@pytest.mark.parametrize(
    "colours", [["#12f0a0"], ["#780000"], ["#ff00ff", "#ff00ff", "#12f0a0"]], ids=len
)
def test_a_picture_in_other_colours_is_refused_with_its_commonest_colour(colours):
    foreign = [list(bytes.fromhex(c[1:])) for c in colours]
    with pytest.raises(
        NowcastError, match=rf"100% of SRI\.png .* in the palette, most often {colours[0]}: give"
    ):
        palettes.decode(png([foreign] * 6), name="SRI.png")


def test_a_fifth_of_lines_is_borne_and_a_third_is_not():
    dry, line = palettes.SRI.colours[palettes.NO_RAIN], [255, 0, 255]
    assert (palettes.classify(png([[dry] * 4 + [line]] * 6)) == palettes.NO_RAIN).all()
    with pytest.raises(
        NowcastError, match="33% of the picture has colours that are not in the palette"
    ):
        palettes.classify(png([[dry] * 2 + [line]] * 6))
