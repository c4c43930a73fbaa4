"""The way in: which function of the actor answers a call of the host."""

from __future__ import annotations

import re
import sys
import traceback

from nanolattice import answering, msgpack
from nanolattice.errors import Error

HEALTHY = msgpack.pack({"healthy": True})


def serve(operation: str, payload: bytes) -> bytes:
    """Answers one call. Raises `Error`, and nothing else: what nobody meant to raise is in the actor's log."""
    try:
        return _serve(operation, payload)
    except Error:
        raise
    except Exception as error:
        tell(error)
        raise Error(
            "exception", f"{type(error).__name__} in the actor's code for {operation}; its log has where"
        ) from error


def _serve(operation: str, payload: bytes) -> bytes:
    handler = answering.handlers.get(operation)
    if handler is not None:
        return handler(payload)
    if operation == "Actor.HealthRequest":
        return HEALTHY
    raise Error("operation_unknown", f"this actor has no operation {operation}")


def tell(error: Exception) -> None:
    """The traceback, as far as it is the actor's own, on standard error: that is its log."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_ours(frame.filename)]
    for frame in frames:
        # In a component each folder of Python's path has a number, and sources are not there.
        print(f"  {re.sub(r'^/[0-9]+/', '', frame.filename)}:{frame.lineno} in {frame.name}", file=sys.stderr)
    print("".join(traceback.format_exception_only(error)).rstrip(), file=sys.stderr)


def _is_ours(file: str) -> bool:
    return file.startswith(__file__.removesuffix("guest.py"))


def reseed() -> None:
    """Gives `random` new numbers: its state is of the time of the build, and the same in every instance."""
    random = sys.modules.get("random")
    if random is not None:
        random.seed()
