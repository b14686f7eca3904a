"""The one kind of error that a user is expected to see, and hints for its messages."""

import difflib
from collections.abc import Iterable


class NowcastError(Exception):
    """A mistake in the input: one sentence that names the file and the remedy."""


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A hint to the choice that is spelled most like a word; empty if none is similar."""
    nearest = difflib.get_close_matches(word, list(choices), n=1)
    return f" (did you mean {nearest[0]}?)" if nearest else ""
