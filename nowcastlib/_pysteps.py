"""pysteps, imported without the line that it prints about its settings file."""

import contextlib
import io

with contextlib.redirect_stdout(io.StringIO()):
    import pysteps  # noqa: F401
