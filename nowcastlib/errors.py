"""The one kind of error that a user is expected to see, and text that is safe to print."""

import difflib
import re
from collections.abc import Iterable

LONGEST_TEXT = 200  # characters of a text that a server or a file sends
LONGEST_MESSAGE = 800  # characters of a whole message
ENDING = 200  # of these characters, those of the end: the remedy stands there


class NowcastError(Exception):
    """A mistake in the input: one sentence that names the file and the remedy.

    The message is printable: control characters become spaces, and a very long one is cut in its
    middle.
    """

    def __init__(self, message: object) -> None:
        text = printable(message, None)
        if len(text) > LONGEST_MESSAGE:
            text = f"{text[: LONGEST_MESSAGE - ENDING]} … {text[-ENDING:]}"
        super().__init__(text)


def printable(text: object, longest: int | None = LONGEST_TEXT) -> str:
    """A text of foreign origin as one line without control characters, cut if it is long.

    Terminals obey control characters: they could clear the screen or write a false message.

    Parameters
    ----------
    text
        What a server or a file sent.
    longest
        Number of characters that are kept; None keeps all.

    Examples
    --------
    >>> printable("rain\\x1b[2J", 5)
    'rain …'
    """
    line = "".join(letter if letter.isprintable() else " " for letter in str(text))
    return line if longest is None or len(line) <= longest else f"{line[:longest]}…"


def is_lack_of_memory(error: BaseException) -> bool:
    """Whether an error of Python, NumPy, torch or OpenCV says that memory ran out."""
    words = "out of memory|allocate memory|Unable to allocate|Insufficient memory"
    return isinstance(error, MemoryError) or bool(re.search(words, str(error)))


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A hint to the choice that is spelled most like a word; empty if none is similar."""
    nearest = difflib.get_close_matches(word, list(choices), n=1)
    return f" (did you mean {nearest[0]}?)" if nearest else ""
