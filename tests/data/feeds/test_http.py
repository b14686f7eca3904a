"""The HTTP client against a hostile server: every answer has an end, in time and in bytes."""

import signal
import threading
import time

import pytest
from fvg_server import LIST, SPAN, TIMES, row
from hostile import feed_server as attacks

from nowcastlib import data
from nowcastlib.data.feeds import ServerUnreachable, demo_server
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.data.feeds.fvg import Fvg
from nowcastlib.data.feeds.server_limits import Limits
from nowcastlib.errors import NowcastError

FILE = "/products/100"
PNG = b"\x89PNG\r\n\x1a\n"  # the first bytes of a picture


@pytest.fixture
def server():
    with attacks.serve() as running:
        yield running


def feed(server, **limits) -> Fvg:
    patience = {"retries": 0, "file_seconds": 0.6, "list_seconds": 0.6, "file_bytes": 1 << 20}
    return Fvg(base=server.url, limits=Limits(**(patience | limits)))


def fetch(server, attack, **limits) -> bytes:
    server.attacks[FILE] = attack
    return feed(server, **limits).fetch(100)


@pytest.mark.parametrize("attack", [attacks.byte_a_moment, attacks.header_a_moment])
def test_slow_answer_ends_with_its_budget_of_time(server, attack):
    with pytest.raises(ServerUnreachable, match=r"products/100: no whole answer within 0\.6 s"):
        fetch(server, attack)


@pytest.mark.parametrize("attack", [attacks.byte_a_moment, attacks.silence])
def test_slow_list_ends_with_its_budget_of_time(server, attack):
    server.attacks[LIST] = attack
    with pytest.raises(ServerUnreachable, match=r"no whole answer within 0\.6 s: run again later"):
        feed(server).list(*SPAN)


def test_silent_server_is_unreachable(server):
    with pytest.raises(ServerUnreachable, match=r"no answer .*run again later"):
        fetch(server, attacks.silence, silence=0.2)


def test_endless_wait_that_a_server_asks_for_is_refused(server, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    busy = attacks.status("429 Too Many Requests", "Retry-After: 1000000000")
    with pytest.raises(NowcastError, match=r"answered 429 .* asks to wait 1e\+09 s: try again"):
        fetch(server, busy, retries=5)
    assert waits == []


def test_wait_above_the_cap_is_refused_even_if_there_is_time_for_it(server, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    limits = {"retries": 2, "retry_after": 5, "file_seconds": 1000}
    for seconds, waited in ((6, []), (5, [5, 5])):
        busy = attacks.status("503 Busy", f"Retry-After: {seconds}")
        with pytest.raises(NowcastError, match=f"asks to wait {seconds} s: try again"):
            fetch(server, busy, **limits)
        assert waits == waited


@pytest.mark.parametrize("attack", [attacks.endless_body, attacks.gzip_bomb()])
def test_endless_answer_is_refused(server, attack):
    with pytest.raises(NowcastError, match="the answer is larger than 1 MiB"):
        fetch(server, attack, file_seconds=30)


def test_list_without_an_end_is_refused(server):
    server.attacks[LIST] = attacks.endless_pages
    with pytest.raises(NowcastError, match="the list of 2024-06-01 has more than 7 pages"):
        feed(server, pages=7, list_seconds=30).list(*SPAN)
    assert len(server.requests) == 7


@pytest.mark.parametrize("is_reset", [False, True])
def test_request_is_repeated_at_once_if_the_server_closed_a_kept_connection(server, is_reset):
    server.attacks["*"] = attacks.closes_kept_connection(is_reset)
    radar = feed(server, failures=1, file_seconds=30)
    for id in (1, 2, 3):
        assert radar.fetch(id) == PNG

    asked = [path.rpartition("/")[2] for path in server.requests]
    assert asked == ["1", "2", "2", "3", "3"], "was no connection kept?"


def test_request_on_a_new_connection_that_the_server_closes_is_a_failure(server):
    with pytest.raises(ServerUnreachable, match="no answer"):
        fetch(server, attacks.closed_without_an_answer)
    assert len(server.requests) == 1


def test_list_deeper_than_python_can_read_is_one_line(server):
    server.attacks[LIST] = attacks.deep_json
    with pytest.raises(NowcastError, match="did not answer with a list of products"):
        feed(server, list_seconds=30).list(*SPAN)


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("http://other.example/products/100", "another server, http://other.example/products/100"),
        ("https://127.0.0.1/products/100", "another server, https://127"),
        ("file:///etc/passwd", "another server, file:"),
        ("http://[::1", "which is no address"),
        (b"\xff\xfe", "more than 5 redirections|404"),
        (FILE, "more than 5 redirections"),
    ],
)
def test_redirection_to_another_server_is_refused(server, location, message):
    with pytest.raises(NowcastError, match=message):
        fetch(server, attacks.redirect(location))


def test_redirection_within_the_server_is_followed_and_to_another_if_allowed(server):
    server.attacks["/moved"] = attacks.answer(PNG)
    assert fetch(server, attacks.redirect("/moved")) == PNG

    with attacks.serve() as other:
        other.attacks["/moved"] = attacks.answer(PNG + b"other")
        location = attacks.redirect(f"{other.url}/moved")
        assert fetch(server, location, other_hosts=True) == PNG + b"other"
        with pytest.raises(NowcastError, match="or allow redirections"):
            fetch(server, location)


@pytest.mark.parametrize(
    ("encoding", "body", "message"),
    [
        ("gzip", b"\x1f\x8b" + bytes(30), "its gzip is broken"),
        ("br", b"xyz", "its Content-Encoding is br"),
        ("gzip, gzip", b"xyz", "its Content-Encoding is gzip, gzip"),
    ],
)
def test_broken_or_unknown_encoding_is_refused(server, encoding, body, message):
    with pytest.raises(NowcastError, match=message):
        fetch(server, attacks.answer(body, f"Content-Encoding: {encoding}"))


def test_a_server_that_fails_again_and_again_gets_a_rest(server):
    server.attacks["*"] = attacks.status("500 Oh no")
    radar = feed(server, failures=3, rest=0.5)
    for id in (1, 2, 3):
        with pytest.raises(NowcastError, match="answered 500"):
            radar.fetch(id)
    with pytest.raises(ServerUnreachable, match="not asked, because 3 requests in a row"):
        radar.fetch(4)
    assert len(server.requests) == 3

    time.sleep(0.5)
    server.attacks["*"] = attacks.answer(PNG)
    assert radar.fetch(5)
    assert radar.fetch(6)


@pytest.mark.parametrize(
    "attack",
    [
        attacks.status(f"503 {attacks.ESCAPES}" + "x" * 10_000),
        attacks.status(f"404 {attacks.ESCAPES}" + "x" * 10_000),
        attacks.answer(b"text", f"Content-Type: {attacks.ESCAPES}" + "x" * 10_000),
        attacks.redirect("http://a/" + attacks.ESCAPES + "x" * 10_000),
    ],
)
def test_words_of_a_server_are_printable_and_short(server, attack):
    with pytest.raises(NowcastError) as raised:
        fetch(server, attack)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 400


def test_names_of_products_are_printable_and_short(server, caplog):
    evil = attacks.ESCAPES + "x" * 200_000
    server.attacks[LIST] = attacks.products(row(1, TIMES[0], name=evil), row(evil, TIMES[0]))
    with pytest.raises(NowcastError) as raised:
        feed(server, list_seconds=30).list(*SPAN)
    for text in (str(raised.value), caplog.records[0].getMessage()):
        assert text.isprintable()
        assert len(text) < 1000


@pytest.mark.parametrize("base", ["http://" + "a" * 70 + ".example", "http://[::1", "ftp://x", "x"])
def test_impossible_address_is_one_line(base):
    with pytest.raises(NowcastError, match="no answer"):
        Fvg(base=base, limits=Limits(retries=0)).list(*SPAN)


# ---- times


def test_file_that_the_list_gives_for_several_times_is_left_out_by_name(server, caplog):
    rows = [row(100, time) for time in TIMES] + [row(101, TIMES[1])]
    server.attacks[LIST] = attacks.products(*rows)
    assert feed(server).list(*SPAN).id.tolist() == [101]
    assert "1 files for which the list gives several times, such as 100" in caplog.text


def test_files_under_swapped_ids_are_refused_by_name(tmp_path, caplog):
    with demo_server.serve(Demo(events=1, frames=6, size=16), trouble=0) as url:
        right = Fvg(base=url)
        table = right.list("2024-06-01T12:00", "2024-06-01T12:30")
        assert right.read(next(table.itertuples())).shape == (16, 16)

        table.loc[[0, 1], "id"] = table.id[[1, 0]].values
        for row_ in list(table.itertuples())[:2]:
            with pytest.raises(NowcastError, match=r"products/\d+ is of .*, but is listed as of"):
                right.read(row_)
        right.read(list(table.itertuples())[2])


@pytest.mark.parametrize("time", ["now", "today", "12:00", "Jun", ""])
def test_times_that_depend_on_the_clock_are_left_out(server, caplog, time):
    server.attacks[LIST] = attacks.products(row(100, TIMES[0]), row(101, time))
    assert feed(server).list(*SPAN).id.tolist() == [100]
    assert "left out 1 products" in caplog.text


# ---- interruption


def test_ctrl_c_ends_an_ingest_within_a_second_while_files_load(server, tmp_path):
    server.attacks[LIST] = attacks.products(*(row(100 + k, TIMES[k]) for k in range(4)))
    server.attacks["*"] = attacks.byte_a_moment
    ended = []

    def interrupt() -> None:
        while not any("/products/10" in path for path in server.requests):
            time.sleep(0.02)
        time.sleep(0.2)
        ended.append(time.monotonic())
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    radar = feed(server, file_seconds=20, list_seconds=20)
    # A shell lets programs in the background ignore Ctrl-C, and these tests with them.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Thread(target=interrupt, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            data.ingest(radar, tmp_path / "f.zarr", *SPAN)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - ended[0] < 2
