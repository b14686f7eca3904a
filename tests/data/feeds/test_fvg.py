"""The radar of Friuli over HTTP, against a server on loopback whose answers are chosen."""

import io
import json
import re
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import archive_files
import h5py
import numpy as np
import pandas as pd
import pytest
from fvg_server import LIST, SPAN, TIMES, Answer, feed, row

from nowcastlib import data
from nowcastlib.data.feeds import ServerUnreachable, palettes
from nowcastlib.data.feeds.fvg import FVG, HDF5, PNG, Fvg
from nowcastlib.data.feeds.server_limits import Limits
from nowcastlib.errors import NowcastError


def ingest(server, tmp_path, **options):
    """The frames of the server's list, written to a store."""
    out = data.ingest(feed(server, **options), tmp_path / "f.zarr", *SPAN)
    return data.open_frames(out)


def read_first(server, **options):
    radar = feed(server, **options)
    return radar.read(next(radar.list(*SPAN).itertuples()))


def picture(rate=1.5, shape=(12, 16)) -> bytes:
    """A picture of the same rain everywhere."""
    return palettes.draw(np.full(shape, rate))


def list_answer(rows) -> Answer:
    return Answer(json.dumps({"products": rows}).encode())


# ---- the list


def test_list_reads_all_pages_and_keeps_one_file_for_each_time(server):
    server.rows = []
    for k in (3, 2, 1, 0):
        server.rows += [row(100 + k, TIMES[k]), row(200 + k, TIMES[k], PNG)]
    server.rows.insert(2, row(300, TIMES[3], "application/bufr"))
    table = feed(server, page=3).list(*SPAN)
    assert list(table.id) == [100, 101, 102, 103]
    assert table.time.is_monotonic_increasing
    assert server.requests.count(LIST) == 4  # 9 rows in pages of 3, and an empty page


def test_requests_name_the_library(server):
    feed(server).list(*SPAN)
    assert server.agents == {"nowcastlib (a course on precipitation nowcasting)"}


def test_list_is_requested_day_by_day(server):
    feed(server).products("2024-05-30T18:00", "2024-06-02T06:00")
    assert list(dict.fromkeys(server.days)) == [
        "2024-05-30",
        "2024-05-31",
        "2024-06-01",
        "2024-06-02",
    ]
    server.days.clear()
    feed(server).list("2024-06-01", "2024-06-02")
    assert set(server.days) == {"2024-06-01"}


def test_days_without_data_may_be_null(server):
    full = list_answer(server.rows)  # the answer to all later requests, too
    server.answers[LIST] = [Answer(b"null"), Answer(b'{"products": null}'), full]
    assert len(feed(server).products("2024-05-30T18:00", "2024-06-02T06:00")) == 4


def test_server_may_send_shorter_pages_than_requested(server):
    pages = [server.rows[:2], server.rows[2:], []]
    server.answers[LIST] = [list_answer(page) for page in pages]
    assert list(feed(server).list(*SPAN).id) == [100, 101, 102, 103]


def test_list_without_times_is_that_of_the_last_two_hours_in_any_time_zone(server, monkeypatch):
    now = pd.Timestamp.now("UTC").floor("s").tz_localize(None)
    server.rows = [row(k, now - pd.Timedelta(minutes=k)) for k in (-30, 1, 119, 121)]
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert list(feed(server).list().id) == [119, 1]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_latest_file_of_a_time_is_used_and_time_zones_are_understood(server):
    server.rows = [
        row(7, TIMES[1]),
        row(9, "2024-06-01T14:05:00+02:00"),
        row(8, TIMES[1]),
        row(3, TIMES[0]),
    ]
    table = feed(server).list(*SPAN)
    assert list(table.id) == [3, 9]
    assert table.time.tolist() == TIMES[:2].tolist()


@pytest.mark.parametrize(
    "invalid",
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
def test_product_with_an_invalid_id_or_time_is_left_out_with_a_warning(server, caplog, invalid):
    server.rows = [*server.rows[:2], invalid]
    assert list(feed(server).list(*SPAN).id) == [100, 101]
    assert "left out 1 products" in caplog.text
    assert str(invalid)[:12] in caplog.text
    assert set(server.requests) == {LIST}


@pytest.mark.parametrize(
    "body", [b"<html>maintenance</html>", b"", b'"products"', b'{"products": 3}']
)
def test_answer_that_is_not_a_list_of_products_is_an_error(server, body):
    server.answers[LIST] = [Answer(body)]
    with pytest.raises(NowcastError, match=rf"{LIST}.* did not answer with a list of products"):
        feed(server).list(*SPAN)


def test_repeated_full_page_is_an_error(server):
    server.answers[LIST] = [list_answer(server.rows)]
    with pytest.raises(NowcastError, match="the same page twice"):
        feed(server, page=4).list(*SPAN)


def test_error_for_a_missing_product_names_those_that_there_are(server):
    with pytest.raises(NowcastError, match=r"has no VMI from .* \(it has: SRI\): ask for another"):
        feed(server, product="VMI").list(*SPAN)


# ---- the files


def test_picture_is_used_where_there_is_no_hdf5_and_has_its_grid(server, tmp_path):
    server.rows[0] = row(200, TIMES[0], PNG)  # the first, so that the store begins with it
    server.answers["200"] = [Answer(picture())]
    frames = ingest(server, tmp_path)
    assert frames.sizes["time"] == 4
    assert frames.attrs["crs"]
    assert np.unique(frames[0].values) == pytest.approx(np.sqrt(2))  # the mean of 1 and 2 mm/h
    assert float(frames.x[0]) == pytest.approx(1000)
    assert float(frames.y[-1]) == pytest.approx(1000)


def test_picture_gets_its_grid_although_an_hdf5_file_is_broken(server, tmp_path):
    server.rows[1] = row(200, TIMES[1], PNG)
    server.answers["200"] = [Answer(picture())]
    server.answers["100"] = [Answer(b"<html>")]
    assert ingest(server, tmp_path).indexes["time"].equals(TIMES[1:].rename("time"))


def test_picture_without_any_hdf5_file_is_centred_at_the_radar(server):
    server.rows = [row(200, TIMES[0], PNG)]
    server.answers["200"] = [Answer(picture())]
    frame = read_first(server)
    assert frame.x.values[[0, -1]].tolist() == [-3750, 3750]
    assert frame.y.values[[0, -1]].tolist() == [2750, -2750]


def test_hdf5_file_that_does_not_describe_its_grid_is_centred_at_the_radar(server):
    content = io.BytesIO(server.answers["100"][0].body)
    with h5py.File(content, "r+") as file:
        del file["where"]
    server.answers["100"] = [Answer(content.getvalue())]
    frame = read_first(server, pixel=250.0)
    assert frame.x.values[[0, -1]].tolist() == [-1875, 1875]
    assert frame.y.values[[0, -1]].tolist() == [1375, -1375]


def unobserved_frame() -> bytes:
    with TemporaryDirectory() as folder:
        path = archive_files.write("odim", Path(folder), rate=np.full((12, 16), np.nan))
        return path.read_bytes()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", r"products/102 answered .*an empty file"),
        (
            b"<html>closed</html>",
            r"products/102 answered text/html.*closed.* instead of HDF5 or PNG",
        ),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), r"products/102 .*fetch it again"),
        (picture()[:60], r"products/102 is a PNG that is cut off"),
        (unobserved_frame(), r"frame of 2024-06-01 12:10:00: nothing in it is observed"),
    ],
    ids=["empty", "html", "truncated hdf5", "truncated picture", "all nodata"],
)
def test_broken_file_is_named_in_a_warning_and_stays_a_gap(server, tmp_path, caplog, body, message):
    server.answers["102"] = [Answer(body, headers={"Content-Type": "text/html"})]
    times = ingest(server, tmp_path).indexes["time"]
    assert times.equals(TIMES[[0, 1, 3]].rename("time"))
    skipped, summary = caplog.messages
    assert re.search(message, skipped)
    assert "1 of 4 frames skipped" in summary


def test_picture_of_another_size_is_skipped_by_name(server, tmp_path, caplog):
    server.answers["102"] = [Answer(picture(shape=(5, 5)))]
    assert ingest(server, tmp_path).indexes["time"].equals(TIMES[[0, 1, 3]].rename("time"))
    assert re.search(r"12:10:00: .*it has 5×5 px", caplog.messages[0])


def test_wrong_content_type_is_ignored(server, tmp_path):
    for answers in server.answers.values():
        answers[0] = answers[0]._replace(headers={"Content-Type": "text/plain"})
    rain = ingest(server, tmp_path)[2]
    np.testing.assert_allclose(rain, archive_files.field() * 3, atol=0.01)


# ---- the connection


def test_request_is_repeated_when_the_server_is_busy(server, tmp_path):
    good = server.answers["101"][0]
    server.answers["101"] = [Answer(status=429, headers={"Retry-After": 1}), good]
    server.answers["102"] = [Answer(status=429), Answer(status=502), server.answers["102"][0]]
    server.answers["103"] = [good._replace(cut=300), server.answers["103"][0]]
    start = time.monotonic()
    assert ingest(server, tmp_path, retries=2).sizes["time"] == 4
    assert time.monotonic() - start >= 1  # Retry-After
    requests = [server.requests.count(f"/products/{k}") for k in (100, 101, 102, 103)]
    assert requests == [1, 2, 3, 2]


@pytest.mark.parametrize(
    ("answer", "requests", "message"),
    [
        (Answer(status=500), 6, "answered 500 .*6 times"),
        (Answer(status=404), 1, "404"),
        (Answer(bytes(1000), cut=10), 6, "cut off .6 times"),
    ],
    ids=["500", "404", "cut off"],
)
def test_file_that_cannot_be_downloaded_stays_a_gap(
    server, tmp_path, caplog, monkeypatch, answer, requests, message
):
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)  # urllib3's and our own
    server.answers["102"] = [answer]
    assert ingest(server, tmp_path, retries=5).sizes["time"] == 3
    assert re.search(message, caplog.text)
    assert "products/102" in caplog.text
    assert server.requests.count("/products/102") == requests
    assert bool(waits) == (requests > 1)
    assert waits == sorted(set(waits))  # longer each time


def test_all_files_are_requested_while_the_server_answers(server, tmp_path, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: None)
    for id, status in (("100", 404), ("101", 500), ("102", 404)):
        server.answers[id] = [Answer(status=status)]
    assert ingest(server, tmp_path).indexes["time"].tolist() == [TIMES[3]]


def test_ingest_stops_when_the_server_falls_silent_and_a_rerun_continues(server, tmp_path):
    good = {id: list(answers) for id, answers in server.answers.items()}
    good |= {f"{id}": [good["103"][0]] for id in range(104, 120)}
    server.rows += [row(100 + k, TIMES[0] + pd.Timedelta(minutes=8 + 2 * k)) for k in range(4, 20)]

    server.answers = good | {f"{id}": [Answer(wait=30)] for id in range(102, 120)}
    with pytest.raises(ServerUnreachable, match=r"products/10\d: no answer .*run again later"):
        ingest(server, tmp_path, silence=0.2, retries=0)
    assert data.open_frames(tmp_path / "f.zarr").sizes["time"] == 2  # those before the silence
    assert len(server.requests) < 15

    server.answers = good
    server.requests.clear()
    assert ingest(server, tmp_path).sizes["time"] == 20
    assert not {"/products/100", "/products/101"} & set(server.requests)


def test_missing_server_is_an_error():
    with pytest.raises(
        ServerUnreachable, match=r"no answer \([^()]*refused\): no network\? .* run again later"
    ):
        Fvg(base="http://127.0.0.1:9", limits=Limits(retries=0)).list(*SPAN)


def test_four_files_are_downloaded_at_a_time(server, tmp_path):
    slow = server.answers["100"][0]._replace(wait=0.1)
    server.rows = [row(100 + k, TIMES[0] + pd.Timedelta(minutes=k)) for k in range(12)]
    server.answers = {f"{100 + k}": [slow] for k in range(12)}
    assert ingest(server, tmp_path).sizes["time"] == 12
    assert server.most_at_once == 4


# ---- attribution


def test_original_server_has_an_attribution_and_a_licence():
    radar = Fvg()
    assert "Protezione Civile della Regione Friuli Venezia Giulia" in radar.attribution
    assert radar.attribution.startswith("Fonte: ")
    assert radar.licence == "CC BY 4.0"
    assert radar.base == FVG


def test_another_server_is_not_attributed_to_the_original_one(server, tmp_path):
    attributes = ingest(server, tmp_path).attrs
    assert "Protezione" not in attributes["source"]
    assert attributes["license"] == ""
