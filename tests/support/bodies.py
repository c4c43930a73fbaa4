"""A caller with bodies beside its call, as the HTTP server is one: a pipe each way."""

from __future__ import annotations

from collections.abc import Callable

from lattice.bodies import BodyPipe, BodyReader, BodyWriter, gather
from lattice.contracts.message import Message


class Beside:
    """`sent` is the pipe of the request's body, None for a call without one; `whole` makes a payload of a body."""

    def __init__(
        self, sent: BodyPipe | None = None, whole: Callable[[bytes], bytes] = bytes, bytes_max: int = 1 << 20
    ) -> None:
        self.request = None if sent is None else BodyReader(sent)
        self.whole = whole
        self.bytes_max = bytes_max
        self.untouched = True
        self.reply: Message | None = None
        self.length: int | None = None
        self.received = BodyPipe(limit=1 << 22)

    @property
    def begun(self) -> bool:
        return self.reply is not None

    def begin(self, reply: Message, length: int | None) -> BodyWriter:
        self.reply, self.length = reply, length
        return BodyWriter(self.received)

    async def body(self) -> bytes:
        """What was written into the reply's body. It has to have ended."""
        assert self.received.ended
        return await gather(BodyReader(self.received), 1 << 22)
