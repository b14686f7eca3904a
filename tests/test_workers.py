"""Several processes write the same bytes and count the same sums as one process does."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import dask
import distributed
import numpy as np
import pandas as pd
import psutil
import pytest
import xarray as xr
from command_line import complaints
from made_forecasts import moving_rain
from PIL import Image
from scale_feeds import Dying, Rain, Signalling

from nowcastlib import workers
from nowcastlib.cli import main
from nowcastlib.data import (
    IngestOptions,
    as_frames,
    feed,
    frames_table,
    ingest,
    open_colours,
    open_frames,
    slabs,
    store_layout,
    store_writer,
    storms,
)
from nowcastlib.data.feeds import ServerUnreachable, WrongSettings
from nowcastlib.errors import NowcastError
from nowcastlib.files import one_writer
from nowcastlib.forecasting import BASELINES, Baseline, forecaster
from nowcastlib.verification import EvaluationOptions, evaluate
from nowcastlib.workers import connected, in_order, packed, unpacked

ROOT = Path(__file__).parents[1]
QUIET = IngestOptions(progress=False)


def listening(process: int) -> set[tuple[str, int]]:
    """Addresses and ports at which a process listens."""
    connections = psutil.Process(process).net_connections()
    return {tuple(each.laddr) for each in connections if each.status == psutil.CONN_LISTEN}


@pytest.fixture(scope="module")
def two_processes():
    """Their client, and the addresses and ports at which this process listens for it."""
    before = listening(os.getpid())
    with connected(workers=2) as client:
        yield client, listening(os.getpid()) - before


@pytest.fixture(scope="module")
def client(two_processes):
    return two_processes[0]


@pytest.fixture(scope="module")
def threads():
    """A cluster of four threads in this process, which any client may join."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0"
    ) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def local(threads):
    """The client of these threads."""
    with distributed.Client(threads) as client:
        yield client


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Four frames of 16 × 16 px a chunk, in two times two tiles."""
    monkeypatch.setattr(store_layout, "CHUNK", 4 * 4 * 8 * 8)
    monkeypatch.setattr(store_layout, "TILE", 8)


def by(client) -> IngestOptions:
    return IngestOptions(progress=False, client=client)


def files(store: Path) -> dict[str, bytes]:
    return {str(f.relative_to(store)): f.read_bytes() for f in store.rglob("*") if f.is_file()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix)


def warnings(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "nowcastlib"]


IRREGULAR = {"broken": (0, 6, 7, 25), "other_grid": (9, 30), "empty": (14,)}


@pytest.mark.parametrize(
    ("skipped", "changes", "n"),
    [
        ({}, {}, 40),
        (IRREGULAR, {}, 33),
        (IRREGULAR, {"crop": (2, 2, 12, 10), "regrid": 6, "every": 3}, 10),
    ],
    ids=["all frames", "some are skipped", "cut, coarser, every third"],
)
def test_workers_write_the_same_bytes_and_the_same_warnings(
    local, tmp_path, caplog, skipped, changes, n
):
    feed = Rain(**skipped)
    one = ingest(feed, tmp_path / "one" / "a.zarr", options=replace(QUIET, **changes))
    expected = warnings(caplog)
    caplog.clear()
    two = ingest(feed, tmp_path / "two" / "a.zarr", options=replace(by(local), **changes))
    assert warnings(caplog) == expected
    assert len(expected) >= (1 if n == 40 else 4)
    assert files(one) == files(two)
    assert len(open_frames(two)) == n
    assert names(tmp_path / "two") == ["a.zarr"]  # nothing beside it


def test_workers_write_the_same_colours(local, tmp_path):
    for k in range(12):
        Image.fromarray(np.full((8, 12, 3), 20 * k, "u1")).save(tmp_path / f"a{k:02d}.png")
    films = feed("images", path=str(tmp_path), colours=True)
    one, two = (
        ingest(films, tmp_path / name / "a.zarr", options=options)
        for name, options in (("one", QUIET), ("two", by(local)))
    )
    assert files(one) == files(two)
    assert open_colours(two).sizes["time"] == 12


def test_a_process_that_dies_is_replaced_and_its_range_done_again(client, tmp_path):
    feed = Rain(str(tmp_path), kill=17, **IRREGULAR)
    two = ingest(feed, tmp_path / "two" / "a.zarr", options=by(client))
    assert (tmp_path / "killed").exists()
    assert files(two) == files(
        ingest(Rain(**IRREGULAR), tmp_path / "one" / "a.zarr", options=QUIET)
    )


def test_after_a_kill_of_all_processes_a_new_run_carries_on(local, tmp_path):
    program = f"""
from PIL import Image
from scale_feeds import Rain
from nowcastlib.data import IngestOptions, ingest, store_layout
from nowcastlib.workers import connected
if __name__ == "__main__":
    store_layout.CHUNK, store_layout.TILE = 4 * 4 * 8 * 8, 8
    with connected(workers=2) as client:
        feed = Rain({str(tmp_path)!r}, kill_all=29, noise=0.0)
        ingest(feed, "two/a.zarr", options=IngestOptions(progress=False, client=client))
"""
    (tmp_path / "program.py").write_text(program)
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        start_new_session=True,
        capture_output=True,
        text=True,
    )
    assert done.returncode == -9, done.stderr
    kept = len(open_frames(tmp_path / "two" / "a.zarr"))
    assert 3 <= kept <= 28
    two = ingest(Rain(noise=0.0), tmp_path / "two" / "a.zarr", options=by(local))
    one = ingest(Rain(noise=0.0), tmp_path / "one" / "a.zarr", options=QUIET)
    assert files(two) == files(one)
    assert names(tmp_path / "two") == ["a.zarr"]


def test_a_store_with_other_chunks_is_extended_in_its_own(local, tmp_path, monkeypatch):
    monkeypatch.setattr(store_layout, "CHUNK", 4 * 3 * 8 * 8)  # three frames a chunk
    stores = [tmp_path / name / "a.zarr" for name in ("one", "two")]
    for store in stores:
        ingest(Rain(n=7), store, options=QUIET)
    monkeypatch.undo()
    ingest(Rain(), stores[0], options=QUIET)
    ingest(Rain(), stores[1], options=by(local))
    assert files(stores[0]) == files(stores[1])
    assert xr.open_zarr(stores[1]).rainfall_rate.encoding["chunks"] == (3, 8, 8)


@pytest.mark.parametrize(
    ("broken", "error"),
    [({"unreachable": (18, 19, 20, 21)}, ServerUnreachable), ({"wrong": 18}, WrongSettings)],
)
def test_what_ends_an_ingest_leaves_the_same_store(local, tmp_path, broken, error):
    stores = [tmp_path / name / "a.zarr" for name in ("one", "two")]
    for store, options in zip(stores, (QUIET, by(local)), strict=True):
        ingest(Rain(n=6), store, options=QUIET)
        with pytest.raises(error):
            ingest(Rain(**broken), store, options=options)
    one, two = (xr.open_zarr(store).load() for store in stores)
    assert len(one.time) == (6 if "wrong" in broken else 18)
    xr.testing.assert_identical(one, two)
    ingest(Rain(), stores[1], options=by(local))
    assert len(open_frames(stores[1])) == 40


def test_two_runs_do_not_write_one_store(local, tmp_path):
    out = ingest(Rain(n=6), tmp_path / "a.zarr", options=QUIET)
    before = files(out)
    with one_writer(out), pytest.raises(NowcastError, match=r"a\.zarr is being written by process"):
        ingest(Rain(), out, options=by(local))
    assert files(out) == before


class Busy(Rain):
    """A server; it notes how many frames are read at the same time."""

    concurrency = 2
    lock = threading.Lock()
    now = most = 0

    def read(self, row):
        with Busy.lock:
            Busy.now += 1
            Busy.most = max(Busy.most, Busy.now)
        time.sleep(0.03)
        with Busy.lock:
            Busy.now -= 1
        return super().read(row)


def test_a_server_is_asked_for_no_more_frames_at_a_time_than_its_limit(local, tmp_path):
    """Four threads could ask for four."""
    Busy.most = 0
    ingest(Busy(is_local=False), tmp_path / "a.zarr", options=by(local))
    assert Busy.most == 2
    assert len(open_frames(tmp_path / "a.zarr")) == 40


def test_the_table_of_frames_is_the_same(local, tmp_path, monkeypatch):
    monkeypatch.setattr(slabs, "SLAB", 3 * 4 * 16 * 16)  # three frames
    store = ingest(Rain(empty=(5,)), tmp_path / "a.zarr", options=QUIET)
    one = frames_table(open_frames(store))
    two = frames_table(open_frames(store), client=local)
    pd.testing.assert_frame_equal(one, two, check_exact=True)
    assert len(one) == 39


@pytest.fixture(scope="module")
def storm(tmp_path_factory):
    """A store of moving rain, as another process can open it."""
    path = tmp_path_factory.mktemp("storm") / "storm.zarr"
    moving_rain().to_dataset(name="rainfall_rate").to_zarr(path, zarr_format=2)
    return path


OPTIONS = EvaluationOptions(leads=3, thresholds=(0.5, 2.0), size=0, scales=(2, 8))


def test_two_processes_count_the_same_sums(client, storm):
    runs = {name: forecaster(name, "cpu") for name in ("radar", "sprog", "steps")}
    one = evaluate(open_frames(storm), runs, OPTIONS, progress=False)
    two = evaluate(open_frames(storm), runs, OPTIONS, progress=False, client=client)
    assert one.sizes["case"] > 3
    xr.testing.assert_identical(one, two)


def test_counting_survives_a_worker_that_dies(client, storm, tmp_path):
    alive = {"persistence": BASELINES["persistence"]}
    dying = {"persistence": Baseline(Dying(tmp_path / "killed"))}
    kept = replace(OPTIONS, counts=tmp_path / "counts")
    two = evaluate(open_frames(storm), dying, kept, progress=False, client=client)
    assert (tmp_path / "killed").exists()
    xr.testing.assert_identical(two, evaluate(open_frames(storm), alive, OPTIONS, progress=False))
    assert len(list(kept.counts.glob("*.npz"))) == two.sizes["case"]
    xr.testing.assert_identical(two, evaluate(open_frames(storm), dying, kept, progress=False))


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A store of 64 frames of small moving rain."""
    path = tmp_path_factory.mktemp("film") / "film.zarr"
    rain = storms.rain(storms.Storm(size=32, wet_fraction=0.5, lifetime=600), 64)
    as_frames(rain).to_dataset(name="rainfall_rate").to_zarr(path, zarr_format=2)
    return path


EVALUATE = """
import signal, sys
from pathlib import Path
from scale_feeds import Signalling
from nowcastlib.cli import main
from nowcastlib.forecasting import forecasters
if __name__ == "__main__":
    counts, kept, number, *words = sys.argv[1:]
    signalling = Signalling(Path(counts), int(kept), signal.Signals[number])
    forecasters._baselines = lambda: {"signalling": signalling}  # pysteps would take seconds
    line = f"evaluate --forecasters signalling --leads 2 --size 0 --counts {counts}"
    sys.exit(main([*line.split(), *words]))
"""


@pytest.fixture
def heeds_interrupts():
    """As in a terminal; a test run in the background ignores interrupts, and so do its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def evaluate_until(sent: str, kept: int, counts: Path, words: str) -> tuple[int, str]:
    """Exit code and stderr of ``evaluate``, all processes of which get a signal."""
    program = counts.with_name("program.py")
    program.write_text(EVALUATE)
    child = subprocess.Popen(
        [sys.executable, program, counts, str(kept), sent, *words.split()],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    _, stderr = child.communicate()
    _, alive = psutil.wait_procs(of_group(child.pid), timeout=10)
    assert alive == [], "a process was left behind"
    return child.returncode, stderr


def of_group(number: int) -> list[psutil.Process]:
    """The processes of a group that are at work."""
    return [
        process
        for process in psutil.process_iter(["status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE and os.getpgid(process.pid) == number
    ]


def test_an_evaluation_that_is_killed_and_then_interrupted_counts_the_same_sums(
    heeds_interrupts, film, tmp_path
):
    """All of its processes are killed, then a new run gets Ctrl-C, and a third one carries on."""
    counts = tmp_path / "counts"
    code, _ = evaluate_until("SIGKILL", 2, counts, f"--data {film} --workers 2")
    killed = len(list(counts.glob("*.npz")))
    assert code == -signal.SIGKILL

    code, stderr = evaluate_until("SIGINT", killed + 2, counts, f"--data {film} --workers 1")
    interrupted = len(list(counts.glob("*.npz")))
    assert code == 130, stderr
    assert complaints(stderr) == [
        "nowcastlib: interrupted; with --counts DIR a run continues where it was interrupted"
    ]

    finishing = Signalling(counts, 0, signal.SIGKILL)  # was sent already
    runs = {"signalling": finishing}
    options = EvaluationOptions(leads=2, size=0)
    sums = evaluate(open_frames(film), runs, replace(options, counts=counts), progress=False)
    assert 2 <= killed < interrupted < sums.sizes["case"]
    assert finishing.calls == sums.sizes["case"] - interrupted
    xr.testing.assert_identical(sums, evaluate(open_frames(film), runs, options, progress=False))


def test_processes_on_this_machine_listen_on_the_loopback_interface_only(two_processes):
    client, ours = two_processes
    client.wait_for_workers(2)  # one may have been killed just before
    of_workers = [listening(process) for process in client.run(os.getpid).values()]
    assert ours
    assert len(of_workers) == 2
    assert all(of_workers)
    assert {address for address, _ in ours.union(*of_workers)} == {"127.0.0.1"}
    assert client.scheduler.address.startswith("tls://127.0.0.1:")
    without_its_certificate = pytest.raises((OSError, TypeError), match=r"(?i)timed out|tls")
    with without_its_certificate:
        distributed.Client(client.scheduler.address, timeout=1)


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("tcp://127.0.0.1:9", "no scheduler answers at tcp://127.0.0.1:9"),
        ("nowhere", "nowhere is no address of a scheduler: write such as tcp://node1:8786"),
        ("{folder}/scheduler.json", "scheduler.json is no scheduler file: give the one that dask"),
    ],
)
def test_a_scheduler_that_is_not_there_is_named(tmp_path, capsys, monkeypatch, address, complaint):
    monkeypatch.setattr(workers, "PATIENCE", 1)
    (tmp_path / "scheduler.json").write_text("{}")
    line = f"ingest --events 1 --out {tmp_path}/a.zarr --scheduler {address}"
    assert main(line.format(folder=tmp_path).split()) == 2
    assert complaint in capsys.readouterr().err
    assert names(tmp_path) == ["scheduler.json"]


def test_a_scheduler_without_a_worker_is_named(monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE", 0.5)
    with distributed.LocalCluster(
        n_workers=0, processes=False, dashboard_address="127.0.0.1:0"
    ) as cluster:
        address = cluster.scheduler_address
        with pytest.raises(NowcastError, match=f"{address} has no worker: start some"):
            connected(scheduler=address).__enter__()


def test_commands_share_the_work_of_a_scheduler(threads, tmp_path, capsys):
    where = f"--scheduler {threads.scheduler_address}"

    def shared(line: str) -> str:
        """What a command prints; the scheduler must have had work."""
        before = threads.scheduler.transition_counter
        assert main(f"{line} {where}".split()) == 0
        assert threads.scheduler.transition_counter > before + 5
        return capsys.readouterr().out

    shared(f"ingest --events 1 --pixels 32 --out {tmp_path}/a.zarr")
    printed = shared(f"table --data {tmp_path}/a.zarr --out {tmp_path}/t.csv")
    assert "t.csv: 36 frames, 0 of them incomplete, in 1 sequences" in printed
    line = f"evaluate --data {tmp_path}/a.zarr --forecasters persistence --leads 2 --every 9"
    printed = shared(line)
    assert main(line.split()) == 0
    assert capsys.readouterr().out == printed
    assert main(f"{line} --workers 2 {where}".split()) == 2
    assert "--workers and --scheduler exclude each other" in capsys.readouterr().err


def test_a_scheduler_that_ends_is_reported_and_whole_frames_stay(tmp_path, monkeypatch):
    out, take, calls = tmp_path / "a.zarr", store_writer.StoreWriter.take, []
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),  # to a scheduler that is gone
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):

        def ending(self, *arguments):
            take(self, *arguments)
            calls.append(len(self.times))
            if len(calls) == 2:
                cluster.sync(cluster.scheduler.close)

        monkeypatch.setattr(store_writer.StoreWriter, "take", ending)
        with pytest.raises(NowcastError, match=r"scheduler has ended .* it carries on"):
            ingest(Rain(), out, options=by(client))
    assert len(open_frames(out)) >= calls[-1] > 4
    ingest(Rain(), out, options=QUIET)
    values = open_frames(out).values
    whole = open_frames(ingest(Rain(), tmp_path / "b.zarr", options=QUIET)).values
    np.testing.assert_array_equal(values, whole)


def square(content: bytes, number: int) -> int:
    if number == 7:
        raise NowcastError("seven is refused")
    return unpacked(content)[0] * number**2


def test_results_come_in_order_few_at_a_time_and_errors_as_they_are(local):
    content, taken = packed(local, [2]), []

    def tasks():
        for number in range(50):
            taken.append(number)
            yield content, number

    results = in_order(local, square, tasks(), at_once=2)
    assert [next(results) for _ in range(5)] == [0, 2, 8, 18, 32]
    assert len(taken) < 20  # not all of them
    assert [next(results), next(results)] == [50, 72]
    with pytest.raises(NowcastError, match="seven is refused"):
        next(results)


def slow_at_first(number: int) -> int:
    if number == 0:
        time.sleep(0.3)  # the others are done long before
    return number


def test_few_results_wait_for_an_earlier_one(local):
    taken = []
    tasks = ((number,) for number in range(50) if not taken.append(number))
    assert next(in_order(local, slow_at_first, tasks, at_once=2)) == 0
    assert len(taken) <= 2 * workers.FINISHED


def test_an_interrupt_while_a_result_is_released_is_not_lost(local, heeds_interrupts, monkeypatch):
    """Python drops what is raised in ``__del__``, where dask releases results."""
    release = distributed.Future.release

    def interrupted(future):
        monkeypatch.undo()  # once
        signal.raise_signal(signal.SIGINT)
        release(future)

    results = in_order(local, slow_at_first, [(number,) for number in range(1, 9)], at_once=2)
    assert next(results) == 1
    monkeypatch.setattr(distributed.Future, "release", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(results)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_worker_that_does_not_see_a_file_says_which(local, tmp_path):
    content = packed(local, [2], [tmp_path / "gone.zarr"])
    with pytest.raises(NowcastError, match=r"does not see .*gone\.zarr: put it on a file sys"):
        next(in_order(local, square, [(content, 1)]))


@pytest.mark.parametrize("where", ["--workers 2", "--scheduler tcp://127.0.0.1:9"])
def test_a_missing_package_is_named(tmp_path, capsys, monkeypatch, where):
    monkeypatch.setitem(sys.modules, "distributed", None)  # as if it were not installed
    assert main(f"ingest --events 1 --out {tmp_path}/a.zarr {where}".split()) == 2
    assert "install nowcastlib with its extra [scale]" in capsys.readouterr().err
    assert names(tmp_path) == []
