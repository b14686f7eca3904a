"""``nowcast train --jobs`` and ``nowcast plot``."""

import os
import re

import pytest
from command_line import TINY

from nowcastlib.cli import main

RUN = "--data {place.frames} --out {root}/{name} " + TINY


def write_jobs(place, root, *names, more=""):
    lines = [RUN.format(place=place, root=root, name=name) for name in names]
    path = root / "jobs.txt"
    path.write_text("# a comment\n\n" + "\n".join(lines) + f"\n{more}\n")
    return path


def test_each_line_of_a_file_of_jobs_leaves_a_whole_run(place, tmp_path, capsys):
    jobs = write_jobs(place, tmp_path, "a", "b")
    assert main(["train", "--jobs", str(jobs)]) == 0
    for name in ("a", "b"):
        files = {path.name for path in (tmp_path / name).iterdir()}
        assert files == {
            "config.json", "history.csv", "batches.csv", "last.pt", "model.safetensors",
            "train.log", "losses.png", "train.gif", "validation.gif",
        }  # fmt: skip
    log = (tmp_path / "a" / "train.log").read_text()
    assert log.count("epoch ") == 2
    assert "finished" in log

    # a second time nothing is trained, and a run that was interrupted is continued
    (tmp_path / "b" / "history.csv").write_text("epoch,length\n0,2\n")
    before = (tmp_path / "a" / "last.pt").stat().st_mtime_ns
    assert main(["train", "--jobs", str(jobs)]) == 0
    assert (tmp_path / "a" / "last.pt").stat().st_mtime_ns == before
    assert "a: finished before" in capsys.readouterr().out
    assert len((tmp_path / "b" / "history.csv").read_text().splitlines()) == 3


def test_one_job_of_an_array_and_its_picture(place, tmp_path, capsys):
    jobs = write_jobs(place, tmp_path, "a", "b")
    assert main(["train", "--jobs", str(jobs), "--job", "2"]) == 0
    assert not (tmp_path / "a").exists()
    (tmp_path / "b" / "losses.png").unlink()
    assert main(["plot", str(tmp_path / "b")]) == 0
    assert capsys.readouterr().out.strip().endswith("losses.png")
    assert (tmp_path / "b" / "losses.png").exists()


def test_a_job_that_fails_does_not_stop_the_next(place, tmp_path, capsys):
    dry = RUN.format(place=place, root=tmp_path, name="dry").replace(
        str(place.frames), str(place.dry)
    )
    (tmp_path / "jobs.txt").write_text(
        f"{dry}\n{RUN.format(place=place, root=tmp_path, name='a')}\n"
    )
    assert main(["train", "--jobs", str(tmp_path / "jobs.txt")]) == 2
    complaint = capsys.readouterr().err
    assert "line 1: " in complaint
    assert "holds no rain" in complaint
    assert "1 of 2 jobs failed (lines 1 of" in complaint
    assert (tmp_path / "a" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("--data x --out y --config.zzz 1", "line 5 of .*jobs.txt: unknown option"),
        ("--data x", "line 5 of .*jobs.txt: --out is required"),
        ("--data x --out '", "line 5 of .*jobs.txt cannot be read"),
        ("--jobs other.txt", "line 5 of .*jobs.txt names a file of jobs"),
        ("--jobs=other.txt", "line 5 of .*jobs.txt names a file of jobs"),
        ("--help", "line 5 of .*jobs.txt is no run"),
        ("--data x --out {root}/a", "lines 3 and 5 of .* have the same folder"),
    ],
)
def test_a_wrong_line_is_named_before_anything_is_trained(place, tmp_path, capsys, more, message):
    jobs = write_jobs(place, tmp_path, "a", "b", more=more.format(root=tmp_path))
    assert main(["train", "--jobs", str(jobs)]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "a").exists()


def test_files_without_jobs_are_refused(tmp_path, capsys):
    path = tmp_path / "jobs.txt"
    for content, message in (
        (b"# nothing\n", "has no jobs"),
        (b"\xff\xfe\x00", "it is no text"),
        (b"\xef\xbb\xbf# with a mark\n", "has no jobs"),
        (b"#" * (1 << 20) + b"\n", "has 1.0 MiB, more than"),
        (None, "cannot read"),
    ):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        assert main(["train", "--jobs", str(path)]) == 2
        assert message in capsys.readouterr().err


def test_a_job_that_is_not_in_the_file_is_refused(place, tmp_path, capsys):
    jobs = write_jobs(place, tmp_path, "a")
    assert main(["train", "--jobs", str(jobs), "--job", "2"]) == 2
    assert "has 1 jobs: there is no job 2" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["train --jobs", "ingest --source images --out o --palette"])
def test_text_without_an_end_is_refused(tmp_path, capsys, option):
    (tmp_path / "radar_20240601_1200.png").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    folder = ["--path", str(tmp_path)] if "ingest" in option else []
    for path in ("/dev/zero", str(tmp_path / "pipe")):
        assert main([*option.split(), path, *folder]) == 2
        assert f"{path} is not a regular file" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["evaluate --data {frames}", "live --source demo"])
def test_forecasters_without_a_name_are_refused(place, capsys, command):
    assert main([*command.format(frames=place.frames).split(), "--forecasters", " ,"]) == 2
    assert "--forecasters ' ,' has no name: write such as radar,sprog" in capsys.readouterr().err
