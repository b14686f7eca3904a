"""nowcastlib: from a weather radar's frames to a scored rain forecast, with ConvLSTM networks.

Rain flows one way through the modules: ``sources`` → ``store`` → ``catalogue`` → ``datasets`` → ``models``
(trained by ``training``) → ``forecast`` (beside ``baselines``) → ``verification`` → ``plots`` and ``player``.
"""


class NowcastError(Exception):
    """A mistake in the input that its user can mend: one sentence, naming the file and the remedy."""
