"""A response body, read piece by piece and never past its limit."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from typing import Protocol

from lattice.errors import PayloadTooLarge, ProviderError

DECODABLE = frozenset({"gzip", "x-gzip", "deflate"})
ACCEPT_ENCODING = "gzip, deflate"


class Decoder(Protocol):
    def feed(self, data: bytes, bytes_max: int) -> bytes:
        """At most `bytes_max` + 1 bytes: one more than allowed tells that there is too much."""

    def finish(self) -> None:
        """Raises `ProviderError` when the body ended too early."""


class Identity:
    def feed(self, data: bytes, bytes_max: int) -> bytes:
        return data[: bytes_max + 1]

    def finish(self) -> None:
        pass


class Inflater:
    """gzip (of any number of members) and deflate (with or without the zlib wrapper: servers send both)."""

    def __init__(self, encoding: str) -> None:
        self._gzip = encoding != "deflate"
        self._inflate: zlib._Decompress | None = None

    def feed(self, data: bytes, bytes_max: int) -> bytes:
        """Raises `ProviderError` for what is not compressed as it says. Trailing bytes of a gzip body are refused."""
        out = bytearray()
        try:
            while data and len(out) <= bytes_max:
                if self._inflate is None or (self._gzip and self._inflate.eof):
                    self._inflate = zlib.decompressobj(self._window(data))
                out += self._inflate.decompress(data, bytes_max + 1 - len(out))
                if not self._inflate.eof or not self._gzip:
                    break
                data = self._inflate.unused_data
        except zlib.error as error:
            raise ProviderError(f"the response is not compressed as it says: {error}") from None
        return bytes(out)

    def finish(self) -> None:
        if self._inflate is not None and not self._inflate.eof:
            raise ProviderError("the compressed response ended too early")

    def _window(self, data: bytes) -> int:
        if self._gzip:
            return zlib.MAX_WBITS | 16
        # RFC 1950: the low four bits of the first byte are 8; of raw deflate data they never are in practice.
        return zlib.MAX_WBITS if data[0] & 0x0F == 8 else -zlib.MAX_WBITS


async def read_body(pieces: AsyncIterator[bytes], decoder: Decoder, bytes_max: int) -> bytes:
    """The whole body. Raises `PayloadTooLarge` as soon as it has more than `bytes_max` bytes, and reads no further."""
    body = bytearray()
    async for piece in pieces:
        body += decoder.feed(piece, bytes_max - len(body))
        if len(body) > bytes_max:
            raise PayloadTooLarge(
                f"the response has more than {bytes_max} bytes, the most the link allows",
                remedy="raise response_bytes_max on the link",
            )
    decoder.finish()
    return bytes(body)
