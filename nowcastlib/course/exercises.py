"""Checks of the exercises: they print a hint and never stop a notebook."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def checking(name: str) -> Iterator[None]:
    """Check an exercise, and print whether it is solved or what is still missing.

    The notebook goes on in any case. The solution of a learner can raise any error: it is printed
    as the hint.

    Parameters
    ----------
    name : str
        Name of the exercise, such as ``Exercise 1``.

    Examples
    --------
    >>> answer = ...
    >>> with checking("Exercise 1"):
    ...     assert answer == 42, "multiply six by seven"
    Exercise 1: not solved yet: multiply six by seven
    """
    try:
        yield
    except AssertionError as missing:
        print(f"{name}: not solved yet: {missing or 'a check failed'}")
    except Exception as error:
        print(f"{name}: not solved yet: {type(error).__name__}: {error}")
    else:
        print(f"{name}: solved")
