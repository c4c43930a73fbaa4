"""What messages, operations and contracts are made of.

Structs travel as MessagePack maps with camelCase keys; an absent optional field is left out, and readers accept it
missing or nil. Scalars travel bare; a void request or reply is zero bytes (`None` as its type here).
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, gc=False):
    """A request or reply record of a contract."""


U16 = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]
U32 = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF_FFFF)]
I32 = Annotated[int, msgspec.Meta(ge=-0x8000_0000, le=0x7FFF_FFFF)]
I64 = Annotated[int, msgspec.Meta(ge=-0x8000_0000_0000_0000, le=0x7FFF_FFFF_FFFF_FFFF)]
U64 = Annotated[int, msgspec.Meta(ge=0)]


class Operation(msgspec.Struct, frozen=True):
    """One operation: its name on the wire, the method a provider answers it with, and the types of its messages."""

    name: str
    method: str
    request: Any
    reply: Any


class Contract(msgspec.Struct, frozen=True):
    """One capability: `operations` are answered by the provider, `actor_operations` by the actors linked to it."""

    id: str
    operations: tuple[Operation, ...] = ()
    actor_operations: tuple[Operation, ...] = ()
    built_in: bool = False
    """A built-in is there on every host and needs no link."""
