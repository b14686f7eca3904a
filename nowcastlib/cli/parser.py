"""From the words of a command line to a command: tyro reads the dataclasses of the commands."""

import contextlib
import io
import re
import sys
from collections.abc import Callable
from typing import Any, Protocol

import tyro

from nowcastlib.cli.config_options import explain_unused, kind_of_network
from nowcastlib.cli.evaluate import Evaluate
from nowcastlib.cli.forecast import Forecast
from nowcastlib.cli.ingest import Ingest
from nowcastlib.cli.live import Live
from nowcastlib.cli.train import Train, train_command
from nowcastlib.errors import NowcastError


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
    "live": Live,
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
    command = words[0] if words and words[0] in COMMANDS else ""
    commands = COMMANDS

    # the options of train depend on the kind of network
    kind = kind_of_network(words) if command == "train" else ""
    if kind:
        commands = COMMANDS | {"train": train_command(kind)}

    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.extras.subcommand_cli_from_dict(commands, prog="nowcastlib", args=words)
    except SystemExit as stop:
        if not stop.code:
            raise
        sentence = one_sentence(complaint.getvalue())
        if kind:
            sentence = explain_unused(sentence, kind)
        help_command = " ".join(filter(None, ["nowcastlib", command, "--help"]))
        raise NowcastError(f"{sentence}; see {help_command}") from stop


def one_sentence(complaint: str) -> str:
    """The mistake in one sentence, taken from a complaint that tyro has drawn as a box."""
    lines = [line.strip("╭╮╰╯│─ \t") for line in complaint.splitlines()]
    lines = [line for line in lines if line.strip("-")][1:]  # without the title
    words = " ".join(lines)
    # tyro writes the options that it talks about on lines of their own
    options = [line.split()[0].rstrip(",") for line in lines if line.startswith("--")]

    if words.startswith("Missing from"):
        return f"{', '.join(options)} is required"

    if unknown := re.match(r"Unrecognized options: (.*?)( Perhaps| Available| For full|$)", words):
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
