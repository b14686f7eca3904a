"""Files and folders are written whole or not at all."""

import os
import re
import signal
import socket
import time

import pytest
from child_processes import exit_code, fork

from nowcastlib.errors import NowcastError
from nowcastlib.files import one_writer, scratch_folder, write_atomically, written_folder


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def full_disk(*_):
    raise OSError(28, "No space left on device")


def test_a_failed_write_keeps_the_older_file(tmp_path, monkeypatch):
    write_atomically(tmp_path / "a", b"old")
    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(NowcastError, match=r"cannot write .*a: No space left .*choose another"):
        write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_file_below_a_file_is_refused(tmp_path):
    write_atomically(tmp_path / "file", b"in the way")
    with pytest.raises(NowcastError, match=r"cannot write .*out\.json.*choose another"):
        write_atomically(tmp_path / "file" / "out.json", b"{}")


def test_missing_folders_are_made(tmp_path):
    write_atomically(tmp_path / "new" / "a", b"text")
    assert (tmp_path / "new" / "a").read_bytes() == b"text"
    assert names(tmp_path / "new") == ["a"]


def test_a_folder_takes_its_name_when_it_is_whole_and_replaces_an_older_one(tmp_path):
    out = tmp_path / "new" / "store"
    for text in ("old", "new"):
        with written_folder(out) as partial:
            assert not out.exists() or (out / "file").read_text() == "old"
            partial.mkdir()
            (partial / "file").write_text(text)
    assert (out / "file").read_text() == "new"
    assert names(tmp_path / "new") == ["store"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_folder_that_fails_keeps_the_older_one_and_leaves_nothing(tmp_path, error):
    with written_folder(tmp_path / "store") as partial:
        partial.mkdir()

    def write_half():
        with written_folder(tmp_path / "store") as partial:
            partial.mkdir()
            (partial / "half").write_text("half")
            raise error

    expected = NowcastError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        write_half()
    assert names(tmp_path) == ["store"]
    assert names(tmp_path / "store") == []


def test_what_a_killed_run_left_is_removed_and_nothing_else(tmp_path):
    kinds = {"killed_0": ".nowcastlib", "killed_1": "", "foreign0": "notes", "foreign": ""}
    for kind, file in kinds.items():
        (tmp_path / f".store.{kind}.partial").mkdir()
        if file:
            (tmp_path / f".store.{kind}.partial" / file).touch()
    (tmp_path / "store.partial").mkdir()
    for path in (tmp_path / "store", tmp_path / "store.partial"):
        (tmp_path / f".{path.name}.linked_0.partial").symlink_to(
            tmp_path / ".store.foreign0.partial"
        )
    with written_folder(tmp_path / "store") as partial:
        partial.mkdir()
    left = [".store.foreign.partial", ".store.foreign0.partial", ".store.linked_0.partial"]
    left += [".store.partial.linked_0.partial", "store", "store.partial"]
    assert names(tmp_path) == left
    assert names(tmp_path / ".store.foreign0.partial") == ["notes"]


@pytest.mark.parametrize("kept", ["old", "new"])
def test_a_folder_killed_while_it_took_its_name_is_completed(tmp_path, kept):
    left = tmp_path / ".store.12345678.partial"
    for name in ("old", "new"):
        (left / name).mkdir(parents=True)
        (left / name / name).touch()
    (left / ".nowcastlib").touch()
    if kept == "old":  # the older one had not been moved away
        (left / "old").rename(tmp_path / "store")

    def failing():
        with written_folder(tmp_path / "store"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        failing()
    assert names(tmp_path) == ["store"]
    assert names(tmp_path / "store") == [kept]


def test_the_temporary_folder_of_a_living_process_is_left_alone(tmp_path):
    with written_folder(tmp_path / "store") as slow:
        slow.mkdir()
        with written_folder(tmp_path / "store") as fast:
            fast.mkdir()
            (fast / "file").write_text("fast")
        (slow / "file").write_text("slow")
    assert (tmp_path / "store" / "file").read_text() == "slow"
    assert names(tmp_path) == ["store"]


@pytest.mark.parametrize("is_folder", [True, False])
def test_a_link_stays_a_link_and_what_it_leads_to_is_written(tmp_path, is_folder):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "store")
    for _ in range(2):
        if is_folder:
            with written_folder(tmp_path / "link") as partial:
                partial.mkdir()
        else:
            write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "real") == ["store"]
    assert (tmp_path / "real" / "store").is_dir() is is_folder


def test_names_that_others_may_have_taken_are_not_used(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "page.html.partial").symlink_to(tmp_path / "mine")
    write_atomically(tmp_path / "page.html", b"new")
    assert (tmp_path / "mine").read_text() == "mine"
    assert (tmp_path / "page.html.partial").is_symlink()


def test_a_pipe_is_not_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NowcastError, match="pipe: there is something that is not a file"):
        write_atomically(tmp_path / "pipe", b"new")
    assert (tmp_path / "pipe").is_fifo()


def test_a_second_writer_is_told_who_the_first_is_and_since_when(tmp_path):
    second = one_writer(tmp_path / "store")
    with one_writer(tmp_path / "store"), pytest.raises(NowcastError) as refused, second:
        pytest.fail("two writers at a time")
    owner = rf"process {os.getpid()} on {socket.gethostname()} since 20\d\d-\d\d-\d\d .* UTC"
    assert re.search(rf"store is being written by {owner}: wait", str(refused.value))
    with one_writer(tmp_path / "store"):
        pass
    assert names(tmp_path) == []


def test_the_lock_of_a_killed_process_is_free_also_while_its_children_live(tmp_path):
    """Such as the processes that load batches for a training run."""
    read, write = os.pipe()
    if not (killed := os.fork()):
        with one_writer(tmp_path / "store"):
            if not os.fork():
                os.write(write, str(os.getpid()).encode())
                time.sleep(60)
                os._exit(0)
            signal.pause()
    child = int(os.read(read, 20))
    try:
        with (
            pytest.raises(NowcastError, match=f"process {killed} on"),
            one_writer(tmp_path / "store"),
        ):
            pytest.fail("two writers at a time")
        os.kill(killed, signal.SIGKILL)
        os.waitpid(killed, 0)
        assert names(tmp_path) == [".store.lock"]
        with one_writer(tmp_path / "store"):
            os.kill(child, 0)  # is alive
    finally:
        os.kill(child, signal.SIGKILL)
    assert names(tmp_path) == []


def test_a_foreign_file_with_the_name_of_the_lock_is_not_touched(tmp_path):
    (tmp_path / ".store.lock").write_text("mine")
    with pytest.raises(NowcastError, match="is in the way"), one_writer(tmp_path / "store"):
        pytest.fail("the file is not a lock")
    assert (tmp_path / ".store.lock").read_text() == "mine"


def test_a_kill_while_a_temporary_folder_is_removed_leaves_nothing_for_good(tmp_path, monkeypatch):
    """Its files are removed one by one; after each of them a process is killed."""
    unlink, removed = os.unlink, []

    def write():
        with scratch_folder(tmp_path / "store") as scratch:
            for name in "abcdefgh":
                (scratch / name).touch()

    for step in range(9):

        def killed(path, step=step, **options):
            if len(removed) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            unlink(path, **options)
            removed.append(path)

        monkeypatch.setattr(os, "unlink", killed)
        assert exit_code(fork(write)) == -signal.SIGKILL
        monkeypatch.undo()
        assert names(tmp_path) != []
        write()
        assert names(tmp_path) == []
