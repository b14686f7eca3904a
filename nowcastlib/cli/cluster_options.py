"""Options of the commands that several processes can share."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from nowcastlib.cli.reading import option


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Processes that share the work, by dask.distributed; without these options there is one."""

    # Number of processes to start on this machine.
    workers: Annotated[int, tyro.conf.arg(metavar="N", help_behavior_hint="(default: none)")] = 0

    # A dask scheduler that runs already: its address, such as tcp://node1:8786, or its file.
    scheduler: Annotated[str | None, option("ADDRESS", "none")] = None

    def connected(self) -> AbstractContextManager[Any]:
        """The client of these processes, or None; see ``workers.connected``."""
        from nowcastlib.workers import connected

        return connected(self.workers, self.scheduler)


ClusterOptions = Annotated[Cluster, tyro.conf.arg(name="")]
ALONE = Cluster()  # no option is given
