"""``nowcast train --jobs``: the runs of a text file, one job a line."""

import logging
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from nowcastlib.errors import NowcastError

log = logging.getLogger("nowcastlib")
JOBS = "--jobs"


@dataclass(frozen=True)
class Job:
    """One line of a file of jobs."""

    line: int  # its number, from 1
    arguments: list[str]  # options of nowcast train


@dataclass(frozen=True)
class TrainJobs:
    """Train the networks of a text file, one after the other.

    Each line has the options of one run, as "nowcast train" takes them: --data, --out and others.
    Empty lines and lines that begin with # are left out. A run that was interrupted is continued,
    and one that is finished is left as it is.
    """

    # Text file with the options of one run in each line.
    jobs: Path

    # Train the N-th job of the file only, counted from 1, as for an array of Slurm; 0 trains all.
    job: Annotated[int, tyro.conf.arg(metavar="N")] = 0

    def run(self) -> None:
        """Train each network. A job that fails does not stop the next ones.

        Raises
        ------
        NowcastError
            Before the first run if a line is no valid command; at the end if a job has failed.
        """
        from nowcastlib.cli.parser import parse

        jobs = read_jobs(self.jobs)
        commands = [_parsed(self.jobs, job, parse) for job in jobs]
        _check_folders(self.jobs, jobs, commands)
        chosen = list(zip(jobs, commands, strict=True))
        if self.job:
            if not 1 <= self.job <= len(jobs):
                raise NowcastError(f"{self.jobs} has {len(jobs)} jobs: there is no job {self.job}")
            chosen = [chosen[self.job - 1]]

        failed = []
        for number, (job, command) in enumerate(chosen, 1):
            print(f"job {number} of {len(chosen)} (line {job.line}): {command.out}")
            try:
                _train(command)
            except (NowcastError, OSError) as error:
                print(f"nowcastlib: error: line {job.line}: {error}", file=sys.stderr)
                failed.append(str(job.line))
        if failed:
            raise NowcastError(
                f"{len(failed)} of {len(chosen)} jobs failed (lines {', '.join(failed)} of "
                f"{self.jobs}): correct them and run the command again; finished runs are left out"
            )


def read_jobs(path: Path) -> list[Job]:
    """The jobs of a file.

    Raises
    ------
    NowcastError
        If the file cannot be read, is no regular file or larger than 1 MiB, has no jobs, or a line
        has an open quotation mark.
    """
    from nowcastlib.data.feeds import text_files

    try:
        lines = text_files.read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise NowcastError(f"cannot read {path}: {reason}") from error

    jobs = []
    for number, line in enumerate(lines, 1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise NowcastError(f"line {number} of {path} cannot be read: {error}") from error
        if words:
            jobs.append(Job(number, words))
    if not jobs:
        raise NowcastError(f"{path} has no jobs: write the options of one run in each line")
    return jobs


def _parsed(path: Path, job: Job, parse: Callable[[list[str]], Any]) -> Any:
    """The train command of a line."""
    if any(word.split("=")[0] == JOBS for word in job.arguments):
        raise NowcastError(
            f"line {job.line} of {path} names a file of jobs: give it options of a run"
        )
    try:
        return parse(["train", *job.arguments])
    except NowcastError as error:
        raise NowcastError(f"line {job.line} of {path}: {error}") from error
    except SystemExit as stop:  # --help in a line
        raise NowcastError(f"line {job.line} of {path} is no run") from stop


def _check_folders(path: Path, jobs: Sequence[Job], commands: Sequence[Any]) -> None:
    """Raise NowcastError if two jobs have the same folder."""
    seen: dict[Path, int] = {}
    for job, command in zip(jobs, commands, strict=True):
        out = command.out.resolve()
        if out in seen:
            raise NowcastError(
                f"lines {seen[out]} and {job.line} of {path} have the same folder {command.out}: "
                "give each run its own"
            )
        seen[out] = job.line


def _train(command: Any) -> None:
    """Train a network, continue its run, or leave it if it is finished."""
    from nowcastlib.training import finished

    if finished(command.out):
        print(f"{command.out}: finished before")
        return
    resume = (command.out / "last.pt").exists()
    replace(command, resume=resume).run()
