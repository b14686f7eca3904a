"""From the words of a command line to a command: tyro reads the dataclasses of the commands."""

import contextlib
import io
import re
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import takewhile
from typing import Any, Protocol

import tyro

from nowcastlib.cli.classify import CLASSIFY, Classify
from nowcastlib.cli.compact import Compact
from nowcastlib.cli.config_options import explain_unused, kind_of_network
from nowcastlib.cli.evaluate import Evaluate
from nowcastlib.cli.forecast import Forecast
from nowcastlib.cli.ingest import Ingest
from nowcastlib.cli.jobs import JOBS, TrainJobs
from nowcastlib.cli.live import Live
from nowcastlib.cli.plot import Plot
from nowcastlib.cli.table import Table
from nowcastlib.cli.train import Train, train_command
from nowcastlib.cli.values import check_values
from nowcastlib.errors import NowcastError, did_you_mean


class Command(Protocol):
    """Options of a command, and what it does with them."""

    def run(self) -> None:
        """Do the work."""
        ...


COMMANDS: dict[str, Callable[..., Any]] = {
    "ingest": Ingest,
    "train": Train,
    "forecast": Forecast,
    "evaluate": Evaluate,
    "classify": Classify,
    "plot": Plot,
    "live": Live,
    "compact": Compact,
    "table": Table,
}


def parse(arguments: list[str] | None = None) -> Command:
    """The command that the arguments ask for.

    Raises
    ------
    NowcastError
        If the arguments are not valid: one sentence in place of tyro's frame of several lines.
    SystemExit
        After ``--help``.
    """
    words = sys.argv[1:] if arguments is None else arguments
    _check_command(words, COMMANDS)
    command = words[0] if words and words[0] in COMMANDS else ""
    commands, prog = COMMANDS, "nowcast"

    # classify consists of two commands with options of their own
    if command == "classify" and words[1:2] and words[1] not in ("-h", "--help"):
        _check_command(words[1:], CLASSIFY)
        commands, prog, words = CLASSIFY, "nowcast classify", words[1:]
        command = f"classify {words[0]}"

    # the options of train depend on the kind of network; a file of jobs has its own options
    kind = ""
    if command == "train" and any(word.split("=")[0] == JOBS for word in words):
        commands = COMMANDS | {"train": TrainJobs}
    elif command == "train":
        kind = kind_of_network(words)
        commands = COMMANDS | {"train": train_command(kind)}

    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            parsed = tyro.extras.subcommand_cli_from_dict(commands, prog=prog, args=words)
    except SystemExit as stop:
        if not stop.code:
            raise
        sentence = one_sentence(complaint.getvalue())
        if kind:
            sentence = explain_unused(sentence, kind)
        help_command = " ".join(filter(None, ["nowcast", command, "--help"]))
        raise NowcastError(f"{sentence}; see {help_command}") from stop
    check_values(parsed)
    return parsed


def _check_command(words: Sequence[str], known: Collection[str]) -> None:
    """NowcastError unless the first word is a command, or an option of no command (--help)."""
    if not words or words[0] in known:
        return
    commands = ", ".join(known)
    first = words[0]
    if not first.startswith("-"):
        hint = did_you_mean(first, known)
        raise NowcastError(f"there is no command {first!r}{hint}: the commands are {commands}")
    if any(word in known for word in words):
        raise NowcastError(f"the command must come before {first}: one of {commands}")


def one_sentence(complaint: str) -> str:
    """The mistake in one sentence, taken from a complaint that tyro has drawn as a box."""
    lines = [line.strip("╭╮╰╯│─ \t") for line in complaint.splitlines()]
    lines = [line for line in lines if line.strip("-")][1:]  # without the title
    words = " ".join(lines)

    if words.startswith("Missing from"):
        required = takewhile(lambda line: not line.startswith("Unrecognized"), lines)
        return f"{', '.join(_options(required))} is required"

    options = _options(lines)
    if unknown := re.match(
        r"Unrecognized(?: or misplaced)? options: (.*?)( Perhaps| Available| For full|$)", words
    ):
        given = [word for word in unknown[1].split(", ") if word.startswith("-")]
        if not given:
            return f"{unknown[1]!r} was not expected here"
        hint = f" (did you mean {options[0]}?)" if options else ""
        return f"unknown option {', '.join(given)}{hint}"

    # a setting that its configuration class refuses: the class has written the whole sentence
    if refused := re.match(
        r"Error parsing \S+\.config\.\w+: (.*?)( Argument helptext| For full helptext|$)", words
    ):
        return refused[1]

    if invalid := re.match(r"Error parsing (--?[\w.-]+): .*?\[('.*?')\]", words):
        return f"{invalid[1]} cannot be {invalid[2]}"

    return re.split(r"\.? Argument helptext:|\.? For full helptext", words)[0]


def _options(lines: Iterable[str]) -> list[str]:
    """The options that tyro writes on lines of their own."""
    return [line.split()[0].rstrip(",") for line in lines if line.startswith("--")]
