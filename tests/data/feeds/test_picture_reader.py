"""Tasks of one process share a reader of pictures: each gets its own picture."""

from concurrent.futures import ThreadPoolExecutor
from time import sleep

import numpy as np

from nowcastlib.data.feeds import picture_files


def test_tasks_that_read_at_the_same_time_get_their_own_pictures(monkeypatch):
    monkeypatch.setattr(picture_files, "decode", lambda path: iter([np.array(int(path.stem))]))
    monkeypatch.setattr(picture_files, "_check_still", lambda path: sleep(0.01))
    reader = picture_files.PictureReader()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda k: int(reader.read(f"{k}.png", 0, True)), range(24)))
    assert found == list(range(24))
