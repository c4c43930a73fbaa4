"""wasmcloud:keyvalue - values, counters, lists and sets under string keys.

The published contract has text in 32 bits. What it lacks for wasi:keyvalue is added here and is this project's own:
`wide` of an increment, and the last four operations. The key-value providers of this project know them; one of
another's making answers `operation_unknown`, or in its own words. To actors that do not ask for them all is as it was.
"""

from __future__ import annotations

from lattice.contracts.message import I32, I64, U32, Contract, Message, Operation


class GetResponse(Message, frozen=True, kw_only=True):
    value: str
    exists: bool


class SetRequest(Message, frozen=True, kw_only=True):
    """`expires` in seconds from now; 0 means never."""

    key: str
    value: str
    expires: U32 | None = 0


class IncrementRequest(Message, frozen=True, kw_only=True):
    """With `wide` the counter may take 64 bits, and so may `value`; without it both keep to 32."""

    key: str
    value: I64
    wide: bool = False


class ListAddRequest(Message, frozen=True, kw_only=True):
    list_name: str
    value: str


class ListDelRequest(Message, frozen=True, kw_only=True):
    list_name: str
    value: str


class ListRangeRequest(Message, frozen=True, kw_only=True):
    """Both ends are included; a negative index counts from the end, -1 being the last."""

    list_name: str
    start: I32
    stop: I32


class SetAddRequest(Message, frozen=True, kw_only=True):
    set_name: str
    value: str


class SetDelRequest(Message, frozen=True, kw_only=True):
    set_name: str
    value: str


class GetBytesResponse(Message, frozen=True, kw_only=True):
    value: bytes
    exists: bool


class SetBytesRequest(Message, frozen=True, kw_only=True):
    """`expires` in seconds from now; 0 means never."""

    key: str
    value: bytes
    expires: U32 | None = 0


class ListKeysRequest(Message, frozen=True, kw_only=True):
    """`cursor` is that of the page before, and missing for the first."""

    cursor: str | None = None


class ListKeysResponse(Message, frozen=True, kw_only=True):
    """Keys of any kind, in no order. A page may be empty and not the last: that one has no `cursor`.

    A key that is there all the while is on a page; one that is changed meanwhile may be on two, or on none.
    """

    keys: list[str]
    cursor: str | None = None


class CompareAndSwapRequest(Message, frozen=True, kw_only=True):
    """`expected` is the value that the key has to hold; missing, it must hold nothing. An expiry stays as it was."""

    key: str
    value: bytes
    expected: bytes | None = None


class CompareAndSwapResponse(Message, frozen=True, kw_only=True):
    """`value` and `exists` are what the key held when it was looked at, also when it was swapped."""

    swapped: bool
    value: bytes
    exists: bool


EXTENSION = (
    Operation("KeyValue.GetBytes", "get_bytes", str, GetBytesResponse),
    Operation("KeyValue.SetBytes", "set_bytes", SetBytesRequest, None),
    Operation("KeyValue.ListKeys", "list_keys", ListKeysRequest, ListKeysResponse),
    Operation("KeyValue.CompareAndSwap", "compare_and_swap", CompareAndSwapRequest, CompareAndSwapResponse),
)
"""What the published contract does not have."""

CONTRACT = Contract(
    "wasmcloud:keyvalue",
    operations=(
        Operation("KeyValue.Get", "get", str, GetResponse),
        Operation("KeyValue.Set", "set", SetRequest, None),
        Operation("KeyValue.Del", "delete", str, bool),
        Operation("KeyValue.Contains", "contains", str, bool),
        Operation("KeyValue.Increment", "increment", IncrementRequest, I64),
        Operation("KeyValue.ListAdd", "list_add", ListAddRequest, U32),
        Operation("KeyValue.ListDel", "list_del", ListDelRequest, bool),
        Operation("KeyValue.ListClear", "list_clear", str, bool),
        Operation("KeyValue.ListRange", "list_range", ListRangeRequest, list[str]),
        Operation("KeyValue.SetAdd", "set_add", SetAddRequest, U32),
        Operation("KeyValue.SetDel", "set_del", SetDelRequest, U32),
        Operation("KeyValue.SetUnion", "set_union", list[str], list[str]),
        Operation("KeyValue.SetIntersection", "set_intersection", list[str], list[str]),
        Operation("KeyValue.SetQuery", "set_query", str, list[str]),
        Operation("KeyValue.SetClear", "set_clear", str, bool),
        *EXTENSION,
    ),
)
