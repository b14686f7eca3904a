"""The one kind of error that a user is expected to see."""


class NowcastError(Exception):
    """A mistake in the input that its user can mend: one sentence, naming the file and the remedy."""
