"""``nowcast table``: the table of the frames of a store."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from nowcastlib.cli.cluster_options import ALONE, ClusterOptions
from nowcastlib.cli.reading import AS_STATED, ReadingOptions, option


@dataclass(frozen=True, kw_only=True)
class Table:
    """Write the table of a store's frames: time, rain, category and sequence of each.

    It shows which events a store holds. A store on disk keeps the measurements in STORE.csv beside
    it, until its frames change.
    """

    # CF-Zarr store or NetCDF file of rain; a path, a URL, or the name of a public archive.
    data: Annotated[str, tyro.conf.arg(metavar="PATH")]

    # The table to write, as CSV.
    out: Path

    # A pixel counts as wet if its rain rate, mm/h, is above.
    wet: Annotated[float, tyro.conf.arg(metavar="RATE")] = 0.1

    # Most minutes between two frames of a sequence.
    max_gap: Annotated[float | None, option("MINUTES", "10, or 1.5 times the usual step")] = None

    # What the frames of --data are, where the store does not say it or says it wrongly.
    reading: ReadingOptions = AS_STATED

    # Processes that share the work.
    cluster: ClusterOptions = ALONE

    def run(self) -> None:
        """Write the table, then print one line about it."""
        from nowcastlib.data import frames_table
        from nowcastlib.files import write_atomically

        with self.cluster.connected() as client:
            table = frames_table(
                self.data,
                self.wet,
                self.max_gap,
                options=self.reading.options(),
                client=client,
            )
        write_atomically(self.out, table.to_csv(index_label="frame").encode())
        print(
            f"{self.out}: {len(table)} frames, {(~table.complete).sum()} of them incomplete, in "
            f"{table.sequence.nunique()} sequences"
        )
