"""Radar archives that anyone may read: the national data sets of MLCast, by a short name.

Paths, makers and licences are from github.com/mlcast-community/mlcast-datasets. The Danish data set
is left out, since it holds reflectivity and not rain.
"""

from typing import NamedTuple

BUCKET = "s3://mlcast-source-datasets"
ENDPOINT = "https://object-store.os-api.cci2.ecmwf.int"


class PublicArchive(NamedTuple):
    """Address, maker and licence of a CF-Zarr of rain."""

    path: str
    endpoint: str = ""  # of an S3 server; "" is Amazon's
    maker: str = ""  # "" if the store names its maker itself
    licence: str = ""


ARCHIVES = {
    "be-rmi": PublicArchive(
        f"{BUCKET}/radar_precipitation/BE-RMI-radclim-mfb/v0.1.1/5_minutes.zarr",
        ENDPOINT,
        "Royal Meteorological Institute of Belgium",
        "CC-BY-4.0",
    ),
    "de-dwd": PublicArchive(
        f"{BUCKET}/radklim/v0.1.1/5_minutes.zarr",
        ENDPOINT,
        "Deutscher Wetterdienst, doi:10.5676/DWD/RADKLIM_YW_V2017.002",
        "CC-BY-4.0",
    ),
    "de-dwd-hourly": PublicArchive(
        f"{BUCKET}/radklim/v0.1.1/hourly.zarr",
        ENDPOINT,
        "Deutscher Wetterdienst, doi:10.5676/DWD/RADKLIM_RW_V2017.002",
        "CC-BY-4.0",
    ),
    "fr-mf": PublicArchive(
        f"{BUCKET}/FR-MF-prate/v0.1.0/fr-mf-prate-5min.zarr",
        ENDPOINT,
        "Météo-France",
        "CC-BY-4.0",
    ),
    "it-dpc-sri": PublicArchive(
        f"{BUCKET}/IT-DPC-SRI/v0.1.0/italian-radar-dpc-sri.zarr",
        ENDPOINT,
        "Dipartimento Protezione Civile (DPC)",
        "CC-BY-SA-4.0",
    ),
    "uk-metoffice": PublicArchive(
        f"{BUCKET}/UK-METOFFICE-RADAR/v0.1.0/uk-metoffice-c-band-rain-radar.zarr",
        ENDPOINT,
        "UK Met Office C-band rain radar",
        "OGL-UK-3.0",
    ),
}
