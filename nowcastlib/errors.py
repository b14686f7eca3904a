"""The one kind of error that a user is expected to see."""


class NowcastError(Exception):
    """A mistake in the input: one sentence that names the file and the remedy."""
