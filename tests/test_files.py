"""Files and folders are written whole or not at all."""

import os

import pytest

from nowcastlib.errors import NowcastError
from nowcastlib.files import write_atomically, written_folder


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


def test_what_a_killed_run_left_is_not_kept(tmp_path):
    (tmp_path / "store.partial").mkdir()
    (tmp_path / "store.partial" / "half").write_text("half")
    with written_folder(tmp_path / "store") as partial:
        partial.mkdir()
    assert names(tmp_path) == ["store"]
    assert names(tmp_path / "store") == []
