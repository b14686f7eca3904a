"""The download of the example archive: whole or not at all, from a server that may be hostile."""

import errno
import io
import zipfile
from dataclasses import replace

import pytest
from archive_files import write
from hostile import feed_server as attacks

from nowcastlib.data.feeds import example_archive
from nowcastlib.data.feeds.archive import Archive
from nowcastlib.data.feeds.example_archive import download
from nowcastlib.errors import NowcastError

PATH = "/archive/master.zip"
TOP = "pysteps-data-master"
BY_HAND = r"try again.*by hand from github.com/pySTEPS/pysteps-data"


@pytest.fixture
def zipped(tmp_path) -> bytes:
    """A small example archive, zipped as GitHub does it."""
    top = tmp_path / "example" / TOP
    write("fmi", top / "radar" / "fmi")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for path in (top, *sorted(top.rglob("*"))):
            file.write(path, path.relative_to(top.parent))
    return content.getvalue()


def zip_of(*names: str, content: bytes = b"", compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of files with one content."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as file:
        for name in names:
            file.writestr(name, content)
    return packed.getvalue()


@pytest.fixture
def server(monkeypatch):
    """A server in place of GitHub, asked once and with little patience."""
    with attacks.serve() as running:
        few = replace(
            example_archive.LIMITS, retries=0, file_seconds=0.6, silence=0.3, file_bytes=1 << 20
        )
        monkeypatch.setattr(example_archive, "LIMITS", few)
        monkeypatch.setattr(example_archive, "ADDRESS", running.url + PATH)
        yield running


def fetch(server, attack, folder):
    server.attacks[PATH] = attack
    return download(folder)


def test_archive_is_downloaded_completely_and_once(server, tmp_path, zipped):
    folder = fetch(server, attacks.answer(zipped), tmp_path / "data" / "archive")
    feed = Archive("fmi", str(folder))
    assert feed.read(next(feed.list().itertuples())).shape == (12, 16)
    assert [p.name for p in folder.parent.iterdir()] == ["archive"]
    assert download(folder) == folder
    assert server.requests == [PATH]


def test_archive_is_downloaded_from_the_host_to_which_github_redirects(server, tmp_path, zipped):
    with attacks.serve() as other:
        other.attacks["/codeload"] = attacks.answer(zipped)
        fetch(server, attacks.redirect(f"{other.url}/codeload"), tmp_path / "archive")
    assert [p.name for p in (tmp_path / "archive").iterdir()] == ["radar"]


def test_download_that_is_cut_off_begins_anew(server, tmp_path, zipped, monkeypatch):
    limits = replace(example_archive.LIMITS, retries=1, file_seconds=30)
    monkeypatch.setattr(example_archive, "LIMITS", limits)
    half = attacks.cut_off(zipped)

    def first_half(h):
        attack = half if len(server.requests) == 1 else attacks.answer(zipped)
        attack(h)

    folder = fetch(server, first_half, tmp_path / "archive")
    assert len(server.requests) == 2
    assert Archive("fmi", str(folder)).list().time.size == 1


def test_download_fills_an_empty_folder(server, tmp_path, zipped):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.partial").mkdir()  # left by a run that was killed
    (tmp_path / "empty.partial" / "half.gif").touch()
    folder = fetch(server, attacks.answer(zipped), tmp_path / "empty")
    assert [p.name for p in folder.iterdir()] == ["radar"]


def test_download_leaves_a_folder_that_holds_anything(server, tmp_path):
    (tmp_path / "filled").mkdir()
    (tmp_path / "filled" / "mine.txt").write_text("mine")
    assert [p.name for p in download(tmp_path / "filled").iterdir()] == ["mine.txt"]
    assert server.requests == []


def broken(zipped: bytes, how: str) -> bytes:
    return {
        "no zip": b"<html>log in to the network</html>",
        "truncated": zipped[:-40],
        "damaged": zipped.replace(b"\x1f\x8b", b"\x1f\x8c", 1),  # the head of the gzipped frame
        "outside": zip_of(f"{TOP}/../../evil"),
        "absolute": zip_of("/tmp/evil"),
        "no folder": zip_of("evil"),
        "a file as folder": zip_of(f"{TOP}/a", f"{TOP}/a/b"),
        "large": zip_of(f"{TOP}/a", content=bytes(3 << 20)),
        "many": zip_of(*(f"{TOP}/{k}" for k in range(30))),
        "odd compression": zip_of(f"{TOP}/a", content=b"x" * 99, compression=zipfile.ZIP_LZMA),
    }[how]


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("no zip", "BadZipFile"),
        ("truncated", "BadZipFile"),
        ("damaged", "BadZipFile: Bad CRC-32"),
        ("outside", "it holds 'pysteps-data-master/../../evil', outside of its folder"),
        ("absolute", "outside of its folder"),
        ("no folder", "outside of its folder"),
        ("a file as folder", "FileExistsError|NotADirectoryError"),
        ("large", "1 files of 3 MiB: too many"),
        ("many", "30 files of 0 MiB: too many"),
        ("odd compression", "its compression is not that of GitHub's archives"),
    ],
)
def test_broken_or_hostile_zip_leaves_nothing_and_names_the_remedy(
    server, tmp_path, zipped, monkeypatch, how, reason
):
    monkeypatch.setattr(example_archive, "MAX_FILES", 20)
    monkeypatch.setattr(example_archive, "MAX_UNPACKED", 2 << 20)
    with pytest.raises(NowcastError, match=f"{reason}.*{BY_HAND}"):
        fetch(server, attacks.answer(broken(zipped, how)), tmp_path / "data" / "archive")
    assert list((tmp_path / "data").iterdir()) == []
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("attack", "reason"),
    [
        (attacks.silence, "no answer .*read timed? ?out"),
        (attacks.byte_a_moment, r"no whole answer within 0\.6 s"),
        (attacks.header_a_moment, r"no whole answer within 0\.6 s"),
        (attacks.endless_body, "the answer is larger than 1 MiB"),
        (attacks.gzip_bomb(), "its Content-Encoding is gzip"),
        (attacks.status("500 Oh no"), "answered 500"),
        (attacks.closed_without_an_answer, "no answer"),
        (attacks.cut_off(b"PK" * 9), "was cut off"),
    ],
)
def test_hostile_server_is_given_up_within_limits(server, tmp_path, attack, reason):
    with pytest.raises(NowcastError, match=f"(?i){reason}.*{BY_HAND}"):
        fetch(server, attack, tmp_path / "data" / "archive")
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_full_disk_or_ctrl_c_leaves_nothing(server, tmp_path, zipped, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(example_archive.shutil, "copyfileobj", fail)
    with pytest.raises((NowcastError, KeyboardInterrupt), match=r"No space left.*1\.5 GB free|^$"):
        fetch(server, attacks.answer(zipped), tmp_path / "data" / "archive")
    assert list((tmp_path / "data").iterdir()) == []


def test_download_into_a_file_is_refused(server, tmp_path, zipped):
    (tmp_path / "archive").write_text("a file")
    with pytest.raises(NowcastError, match=r"cannot fetch .* into .*archive"):
        fetch(server, attacks.answer(zipped), tmp_path / "archive")
    assert (tmp_path / "archive").read_text() == "a file"
