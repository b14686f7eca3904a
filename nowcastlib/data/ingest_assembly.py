"""Parts that workers have written become chunks, and these go into the store, in order.

Where frames are skipped, a chunk is joined from two parts or more, by a worker too.
"""

import shutil
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

from nowcastlib.data.ingest_reading import Reading
from nowcastlib.data.ingest_tasks import Part, Piece, Written, frames_of, join
from nowcastlib.data.rain_check import RainCheck
from nowcastlib.data.store_files import existing_keys
from nowcastlib.data.store_writer import StoreWriter

FIRST = 10  # priority of a join: its parts wait for it


class _Chunk(NamedTuple):
    """A chunk of the store that is being joined."""

    times: list[int]  # of its new frames, seconds since 1970
    array: Any  # it, or its future
    used: list[Piece]  # parts that nobody needs after it


class Assembly:
    """Puts parts together to chunks, and these into the store, in order."""

    def __init__(self, writer: StoreWriter, client: Any, content: Any):
        self.writer = writer
        self.client = client
        self.content = content
        self.size = writer.about["chunks"][0]  # frames of a chunk
        self.pieces: list[Piece] = []  # frames that fill no chunk yet
        self.times: list[int] = []  # of those that the store has not
        self.chunks: deque[_Chunk] = deque()

        stored = len(writer.times)
        if begun := stored % self.size:
            folder = writer.frames_folder
            last = Written(folder, existing_keys(folder, writer.about, stored - begun))
            self.pieces = [Piece(last, stored - begun, stored)]

    def add(self, part: Part, reading: Reading) -> None:
        """Add the frames of a part that are kept.

        Raises ServerUnreachable and WrongSettings as ``Reading.is_kept``, after the frames before.
        """
        kept: list[int] = []
        try:
            for outcome in part.outcomes:
                if not reading.is_kept(outcome.time, outcome.error):
                    continue
                reading.check.add(outcome.check or RainCheck())
                if outcome.wrong:
                    reading.skip(outcome.time, outcome.wrong)
                else:
                    kept.append(int(outcome.time.timestamp()))
        finally:
            self._append(Piece(part.array, 0, len(kept)), kept)
            self.publish()

    def _append(self, piece: Piece, times: list[int]) -> None:
        """Add frames, and begin to join each chunk that is full."""
        self.times += times
        while (space := self.size - self._waiting()) <= piece.stop - piece.start:
            middle = piece.start + space
            self.pieces.append(piece._replace(stop=middle))
            self._join()
            piece = piece._replace(start=middle)
        if piece.stop > piece.start:
            self.pieces.append(piece)

    def _waiting(self) -> int:
        return sum(p.stop - p.start for p in self.pieces)

    def _join(self) -> None:
        """Begin to make a chunk of the pieces; a part that is one already stays as it is."""
        stored = sum(p.stop - p.start for p in self.pieces if not self._is_part(p))
        times, self.times = self.times[: self.size - stored], self.times[self.size - stored :]
        if len(self.pieces) == 1:
            array: Any = self.pieces[0].array
        else:
            array = self.client.submit(join, self.content, self.pieces, pure=False, priority=FIRST)
        self.chunks.append(_Chunk(times, array, self.pieces))
        self.pieces = []

    def _is_part(self, piece: Piece) -> bool:
        """Whether frames were written by a worker, and not stored before."""
        return piece.array.folder.parent == self.writer.scratch / "parts"

    def publish(self, wait: bool = False) -> None:
        """Put the chunks that are joined into the store."""
        while self.chunks:
            array = self.chunks[0].array
            if not isinstance(array, Written):
                if not (wait or array.done()):
                    return
                array = array.result()
            chunk = self.chunks.popleft()
            self.writer.take(chunk.times, *array)
            self._remove(array.folder, chunk.used)

    def _remove(self, folder: Path, used: list[Piece]) -> None:
        """Remove the folders that are no longer needed."""
        waiting = [*self.pieces, *(piece for chunk in self.chunks for piece in chunk.used)]
        needed = {piece.array.folder for piece in waiting}
        unused = {folder, *(piece.array.folder for piece in used if self._is_part(piece))}
        for each in unused - needed:
            shutil.rmtree(each, ignore_errors=True)

    def finish(self) -> None:
        """Store the frames that are left, also after an error, by this process alone."""
        pieces = [piece for chunk in self.chunks for piece in chunk.used] + self.pieces
        times = iter([time for chunk in self.chunks for time in chunk.times] + self.times)
        for piece in filter(self._is_part, pieces):
            for values, time in zip(frames_of([piece]), times, strict=False):
                self.writer.add(time, values)
        self.writer.flush()
