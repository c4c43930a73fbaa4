"""Bodies, piece by piece and never past their limits."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Protocol

from lattice.bodies import BodySink, BodySource, pieces, write
from lattice.errors import CallError, PayloadTooLarge, ProviderError, ProviderUnavailable

DECODABLE = frozenset({"gzip", "x-gzip", "deflate"})
ACCEPT_ENCODING = "gzip, deflate"
PIECE_BYTES = 64 * 1024
"""What is inflated at a time: a few bytes may come to a thousand times as many."""


class Decoder(Protocol):
    def decoded(self, data: bytes) -> Iterator[bytes]:
        """The next bytes of the body, in pieces."""
        ...

    def finish(self) -> None:
        """Raises `ProviderError` when the body ended too early."""


class Identity:
    def decoded(self, data: bytes) -> Iterator[bytes]:
        yield data

    def finish(self) -> None:
        pass


class Inflater:
    """gzip (of any number of members) and deflate (with or without the zlib wrapper: servers send both)."""

    def __init__(self, encoding: str) -> None:
        self._gzip = encoding != "deflate"
        self._inflate: zlib._Decompress | None = None

    def decoded(self, data: bytes) -> Iterator[bytes]:
        """Raises `ProviderError` for what is not compressed as it says. Trailing bytes of a gzip body are refused."""
        while data:
            if self._inflate is None or (self._gzip and self._inflate.eof):
                self._inflate = zlib.decompressobj(self._window(data))
            inflate = self._inflate
            piece = self._inflated(data)
            while piece:
                yield piece
                # More of it may come without further bytes.
                piece = b"" if inflate.eof else self._inflated(inflate.unconsumed_tail)
            data = inflate.unused_data if inflate.eof and self._gzip else b""

    def _inflated(self, data: bytes) -> bytes:
        assert self._inflate is not None, "made when the first bytes came"
        try:
            return self._inflate.decompress(data, PIECE_BYTES)
        except zlib.error as error:
            raise ProviderError(f"the response is not compressed as it says: {error}") from None

    def finish(self) -> None:
        if self._inflate is not None and not self._inflate.eof:
            raise ProviderError("the compressed response ended too early")

    def _window(self, data: bytes) -> int:
        if self._gzip:
            return zlib.MAX_WBITS | 16
        # RFC 1950: the low four bits of the first byte are 8; of raw deflate data they never are in practice.
        return zlib.MAX_WBITS if data[0] & 0x0F == 8 else -zlib.MAX_WBITS


async def read_body(incoming: AsyncIterator[bytes], decoder: Decoder, bytes_max: int) -> bytes:
    """The whole body. Raises `PayloadTooLarge` as soon as it has more than `bytes_max` bytes, and reads no further."""
    body = bytearray()
    async for data in incoming:
        for piece in decoder.decoded(data):
            body += piece
            if len(body) > bytes_max:
                raise response_too_large(bytes_max)
    decoder.finish()
    return bytes(body)


async def pass_on(incoming: AsyncIterator[bytes], decoder: Decoder, bytes_max: int, sink: BodySink) -> None:
    """The whole body into `sink`, as it takes it. Raises as `read_body`, and `StreamClosed` when nobody reads on."""
    size = 0
    async for data in incoming:
        for piece in decoder.decoded(data):
            size += len(piece)
            if size > bytes_max:
                raise response_too_large(bytes_max)
            await write(sink, piece)
    decoder.finish()
    sink.end(None)


class Upload:
    """A request body that is sent as it comes. `failure` is why it broke off, if it did."""

    def __init__(self, source: BodySource, bytes_max: int) -> None:
        self.failure: CallError | None = None
        self.ended = False
        self._taken = False
        self.length = source.length
        self._source = source
        self._bytes_max = bytes_max
        if self.length is not None and self.length > bytes_max:
            raise request_too_large(f"{self.length}", bytes_max)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The client library begins again when the server had just closed the connection; what was taken by then is
        gone, and the rest is another body."""
        size = 0
        try:
            if self._taken:
                raise ProviderUnavailable("the server closed the connection when a part of the body was sent")
            async for piece in pieces(self._source):
                self._taken = True
                size += len(piece)
                if size > self._bytes_max:
                    raise request_too_large("more", self._bytes_max)
                yield piece
            self.ended = True
        except CallError as error:
            # The client library makes it a broken connection; whoever sends tells the reason.
            self.failure = error
            raise


def request_too_large(size: str, bytes_max: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"the request body has {size} bytes, the link allows {bytes_max}",
        remedy="raise request_bytes_max on the link",
    )


def response_too_large(bytes_max: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"the response has more than {bytes_max} bytes, the most the link allows",
        remedy="raise response_bytes_max on the link",
    )
