"""The weather radars of the Protezione Civile of Friuli Venezia Giulia (Italy), over their public HTTP interface."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import requests
import xarray as xr
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from .. import NowcastError
from . import utc, within
from .archive import decode


@dataclass(frozen=True)
class Fvg:
    """Frames of one product of one radar, as ODIM HDF5 in physical values (radar 1: Fossalon di Grado).

    Busy or failing answers (429, 5xx, lost connections) are asked again, ever more slowly, as the server wishes.
    """

    radar: int = 1
    product: str = "SRI"  # surface rainfall intensity
    base: str = "https://monitor.protezionecivile.fvg.it/api"
    page: int = 10_000  # rows in one answer
    retries: int = 5
    attribution: str = "Fonte: Protezione Civile della Regione Friuli Venezia Giulia (CC BY 4.0), processed"

    @cached_property
    def _session(self) -> requests.Session:
        session = requests.Session()
        session.headers["User-Agent"] = "nowcastlib (a course on precipitation nowcasting)"
        patience = Retry(self.retries, backoff_factor=0.3, status_forcelist=(429, 500, 502, 503, 504))
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=patience))
        return session

    def _get(self, path: str, **query) -> requests.Response:
        try:
            answer = self._session.get(f"{self.base}/{path}", params=query, timeout=(10, 60))
            answer.raise_for_status()
        except requests.RequestException as error:
            raise NowcastError(f"{self.base}/{path}: no answer ({error}): try again later") from error
        return answer

    def list(self, start=None, end=None) -> pd.DataFrame:
        """Table of frames in [start, end), by default the last two hours: ``time`` (UTC) and ``id``."""
        end = utc(end) if end else pd.Timestamp.now("UTC").tz_localize(None)
        start = utc(start) if start else end - pd.Timedelta(hours=2)
        rows, answer = [], None
        while answer is None or len(answer) == self.page:
            times = {"from": f"{start:%Y-%m-%d %H:%M:%S}", "to": f"{end:%Y-%m-%d %H:%M:%S}"}
            reply = self._get(f"radars/{self.radar}/products", **times, last=self.page, offset=len(rows))
            try:
                answer = (reply.json() or {}).get("products") or []  # a day without data is null
                rows += [(pd.Timestamp(p["dt"]), int(p["id"]), p["name"], p["format"]) for p in answer]
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise NowcastError(f"{reply.url} answered something else than a list of products ({error})") from error
        table = pd.DataFrame(rows, columns=["time", "id", "name", "format"])
        wanted = (table["name"] == self.product) & (table.format == "application/x-hdf5")
        chosen = table.loc[wanted & within(table.time, start, end), ["time", "id"]]
        if chosen.empty:
            raise NowcastError(f"radar {self.radar} has no {self.product} from {start} to {end}: ask for another time")
        return chosen.sort_values("time").drop_duplicates("time").reset_index(drop=True)

    def read(self, row) -> xr.DataArray:
        """Download one frame, (y, x) in mm/h; raises NowcastError if it cannot be had or decoded."""
        with TemporaryDirectory() as folder:  # pysteps reads files
            path = Path(folder) / f"{self.product}-{int(row.id)}.h5"
            path.write_bytes(self._get(f"products/{int(row.id)}").content)
            return decode(path, "odim")
