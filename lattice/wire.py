"""Messages to bytes and back, errors to codes and back. The only codec; every limit on bytes is checked by its caller.

MessagePack by msgspec (docs/adr/0003): it checks types while it reads, and no codec of the format for Python is faster.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from lattice import errors
from lattice.contracts.message import Operation

_encoder = msgspec.msgpack.Encoder()

encode: Callable[[Any], bytes] = _encoder.encode
"""One message as MessagePack. Raises `TypeError` for what no contract holds."""


def decoder(type_: Any, what: str) -> Callable[[bytes], Any]:
    """A function that reads a `type_` from MessagePack; its errors call the message `what`.

    Raises `errors.MalformedMessage` for anything else than exactly one such value.
    """
    if type_ is None:
        return _nothing
    decode = msgspec.msgpack.Decoder(type_).decode

    def read(data: bytes) -> Any:
        try:
            return decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise errors.MalformedMessage(f"{what} cannot be read: {error}") from error

    return read


def encoder(type_: Any) -> Callable[[Any], bytes]:
    """The counterpart of `decoder`: a void message is zero bytes."""
    return _no_bytes if type_ is None else encode


def request_decoder(operation: Operation) -> Callable[[bytes], Any]:
    return decoder(operation.request, f"the request of {operation.name}")


def reply_decoder(operation: Operation) -> Callable[[bytes], Any]:
    return decoder(operation.reply, f"the reply of {operation.name}")


def decode_any(data: bytes) -> Any:
    """Any MessagePack value as plain Python data, for people to look at."""
    return decoder(Any, "the message")(data)


def error_text(error: errors.LatticeError) -> str:
    """An error as the one string that waPC guests and reply envelopes have room for: `code: message`."""
    return f"{error.code}: {error.message}"


def error_from_text(text: str) -> errors.CallError:
    """The inverse of `error_text`; a text without a known code is a plain `ProviderError`."""
    code, separator, message = text.partition(": ")
    cls = errors.error_classes().get(code) if separator else None
    if cls is None or not issubclass(cls, errors.CallError):
        return errors.ProviderError(text)
    return cls(message)


def _nothing(_data: bytes) -> None:
    """Void requests are zero bytes by the contract; old actors send a nil or an empty map, which says as much."""


def _no_bytes(_message: Any) -> bytes:
    return b""
