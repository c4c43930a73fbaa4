"""wasmcloud:keyvalue - values, counters, lists and sets under string keys."""

from __future__ import annotations

from lattice.contracts.message import I32, U32, Contract, Message, Operation


class GetResponse(Message, frozen=True, kw_only=True):
    value: str
    exists: bool


class SetRequest(Message, frozen=True, kw_only=True):
    """`expires` in seconds from now; 0 means never."""

    key: str
    value: str
    expires: U32 | None = 0


class IncrementRequest(Message, frozen=True, kw_only=True):
    key: str
    value: I32


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


CONTRACT = Contract(
    "wasmcloud:keyvalue",
    operations=(
        Operation("KeyValue.Get", "get", str, GetResponse),
        Operation("KeyValue.Set", "set", SetRequest, None),
        Operation("KeyValue.Del", "delete", str, bool),
        Operation("KeyValue.Contains", "contains", str, bool),
        Operation("KeyValue.Increment", "increment", IncrementRequest, I32),
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
    ),
)
