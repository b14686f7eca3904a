"""Files of a radar, the store and the run that the command line makes of them."""

from types import SimpleNamespace

import numpy as np
import pytest
from archive_files import truncate, write, write_all
from command_line import INGEST, TINY, nowcast

from nowcastlib.data import ingest, storms
from nowcastlib.data.feeds.archive import Archive


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """40 MeteoSwiss frames, what the commands make of them, and paths that are no good."""
    root = tmp_path_factory.mktemp("cli")
    place = SimpleNamespace(
        root=root,
        files=root / "files",
        frames=root / "frames.zarr",
        run=root / "run",
        # paths that are no good
        empty=root / "empty",
        broken=root / "broken",
        file=root / "file",
        dry=root / "dry.zarr",
        nowhere=root / "nowhere",
        new=root / "new",
    )

    place.rain = storms.rain(storms.Storm(size=64, wet_fraction=0.4, seed=3), 40)
    write_all("mch", place.files, place.rain)
    place.exit_codes = [
        nowcast(place, f"{INGEST} {{frames}}"),
        nowcast(place, f"train --data {{frames}} --out {{run}} {TINY}"),
    ]

    place.empty.mkdir()
    truncate(write("mch", place.broken))
    place.file.write_text("in the way")
    write_all("mch", root / "dry", np.zeros((40, 64, 64)))
    ingest(Archive("mch", str(root / "dry")), place.dry)
    return place
