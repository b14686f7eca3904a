"""Answers of the web and S3 servers of Zarr stores: each has an end, in time and in bytes.

fsspec reads an answer whole, however long it is. What it reads with is replaced here by what counts
the bytes, so that the limits hold for whoever asks: the check of the metadata, zarr and xarray.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiobotocore.session import AioSession

from nowcastlib.data.zarr_files import MAX_METADATA, METADATA
from nowcastlib.errors import NowcastError, printable

MAX_ANSWER = 512 << 20  # bytes of a chunk as it is stored, or of a list of files
ANSWER_SECONDS = 300.0
HTTP_PATIENCE = {"total": ANSWER_SECONDS, "sock_connect": 10.0, "sock_read": 60.0}  # seconds
# An S3 server that does not exist or is silent is reported within seconds.
S3_PATIENCE = {"connect_timeout": 5, "read_timeout": 5, "retries": {"max_attempts": 1}}
PIECE = 1 << 18  # bytes that are read at once


def storage_options(path: str, endpoint: str) -> dict[str, Any]:
    """Options of fsspec with which each answer of a server has an end.

    Parameters
    ----------
    path
        Address of the store.
    endpoint
        Address of the S3 server; "" is Amazon's.
    """
    if path.startswith("s3:"):
        return {
            "anon": True,
            "endpoint_url": endpoint or None,
            "config_kwargs": S3_PATIENCE,
            "session": _session(),
            "max_concurrency": 1,  # else s3fs trusts the size that the server claims
        }
    if path.startswith(("http:", "https:")):
        timeout = aiohttp.ClientTimeout(**HTTP_PATIENCE)
        return {"client_kwargs": {"timeout": timeout, "response_class": _Response}}
    return {}


async def _whole(read: Callable[[int], Awaitable[bytes]], url: str) -> bytes:
    """All that `read` gives; NowcastError if it is more than the file at an address may have."""
    name = urlsplit(url).path.rpartition("/")[2]
    limit = MAX_METADATA if name in METADATA else MAX_ANSWER
    content = bytearray()
    while piece := await read(PIECE):
        content += piece
        if len(content) > limit:
            kind = "metadata" if name in METADATA else "a file"
            raise NowcastError(
                f"has {kind} of more than {limit >> 20} MiB, {printable(url)}: this is refused"
            )
    return bytes(content)


class _Response(aiohttp.ClientResponse):
    """The answer of a web server; its time is limited by the session."""

    async def read(self) -> bytes:
        return await _whole(self.content.read, str(self.url))

    async def text(self, encoding: str | None = None, errors: str = "replace") -> str:
        return (await self.read()).decode(encoding or "utf-8", errors)


class _Body:
    """The body of an answer of an S3 server."""

    def __init__(self, body: Any, url: str) -> None:
        self._body = body
        self._url = url

    async def read(self) -> bytes:
        try:
            return await asyncio.wait_for(_whole(self._body.read, self._url), ANSWER_SECONDS)
        except asyncio.TimeoutError as error:  # for which s3fs would ask again
            raise NowcastError(
                f"has no whole answer within {ANSWER_SECONDS:g} s, {printable(self._url)}: try "
                "again later"
            ) from error

    def close(self) -> None:
        self._body.close()


class _Session(AioSession):
    """Makes S3 clients whose answers have limits; a copy in another process does so, too."""

    def __init__(self) -> None:
        super().__init__()
        self.register("after-call.s3.GetObject", _limit_body)

    def __reduce__(self) -> tuple:
        return _session, ()


@functools.cache
def _session() -> _Session:
    """The session of this process: fsspec compares its options."""
    return _Session()


def _limit_body(http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
    """Put limits on the body of an answer, before s3fs gets it."""
    if "Body" in parsed:
        parsed["Body"] = _Body(parsed["Body"], http_response.url)
