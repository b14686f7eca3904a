"""pysteps, imported once and quietly: on import it prints the path of its settings file."""

import contextlib
import io

with contextlib.redirect_stdout(io.StringIO()):
    import pysteps  # noqa: F401
