"""``nowcast compact``: copy a store with its frames in ascending time."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Compact:
    """Copy a store with its frames in ascending time, for readers other than nowcast and for speed.

    Needed only if older frames were added to a store later. The store itself stays as it is.
    """

    # A store that nowcast ingest made.
    data: Path

    # The copy to write, such as sorted.zarr.
    out: Path

    def run(self) -> None:
        """Write the copy, then print one line about its frames."""
        from nowcastlib.data import compact, describe, open_frames

        compact(self.data, self.out)
        print(f"{self.out}: {describe(open_frames(self.out))}")
