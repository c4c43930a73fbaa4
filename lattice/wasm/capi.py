"""The one door to wasmtime's C API. Nothing else in the project touches the package's private bindings.

The public Python classes of wasmtime are synchronous and keep process-wide state; the C API below them has the
asynchronous calls that make a guest call a fiber. These are private to the package, so its version is pinned exactly,
`check` refuses any other, and the engine proves at its start that a guest suspends and resumes (docs/adr/0002).

Functions that may run guest code or take long release the interpreter lock (`_running`); the short ones keep it
(`_short`), which saves a third of their cost. Addresses are plain integers.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import mmap
from ctypes import c_bool, c_char_p, c_int64, c_size_t, c_uint64, c_void_p
from typing import Any

import wasmtime
from wasmtime import _ffi

from lattice import errors

WASMTIME_VERSION = "50.0.1"

Val: Any = _ffi.wasmtime_val_t
"""A typed value: kind (one byte), then the value."""
Func: Any = _ffi.wasmtime_func_t
Memory: Any = _ffi.wasmtime_memory_t
InstanceStruct: Any = _ffi.wasmtime_instance_t
Extern: Any = _ffi.wasmtime_extern_t
ByteVec: Any = _ffi.wasm_byte_vec_t

EXTERN_FUNCTION, EXTERN_MEMORY = 0, 3
"""Kinds of exports."""
VALUE_OFFSET: int = Val.of.offset
SLOT_BYTES = (4 * 1024 + 64) * 1024 * 1024
"""Address space of one pooled instance: 4 GiB, so that compiled code needs no bounds checks, and its guard pages."""
MAP_NORESERVE = 0x4000
"""Missing from Python's mmap module before 3.13."""


class RawArguments(ctypes.Structure):
    """Up to nine untyped values, in halves of 32 bits: `a0` is the lower one, `h0` the upper. The result, if any,
    replaces the first."""

    _fields_ = [
        field
        for i in range(9)
        for field in ((f"a{i}", ctypes.c_uint32), (f"h{i}", ctypes.c_uint32), (f"_{i}", ctypes.c_uint64))
    ]


class TypedArguments(ctypes.Structure):
    """Up to nine typed values (`Val`), in halves as `RawArguments`: what asynchronous host functions get."""

    _fields_ = [
        field
        for i in range(9)
        for field in (
            (f"_k{i}", ctypes.c_uint64),
            (f"a{i}", ctypes.c_uint32),
            (f"h{i}", ctypes.c_uint32),
            (f"_{i}", ctypes.c_uint8 * 16),
        )
    ]


class Continuation(ctypes.Structure):
    """What an asynchronous host function leaves behind: asked at each poll whether it is done."""

    _fields_ = [("callback", c_void_p), ("env", c_void_p), ("finalizer", c_void_p)]


class Cells(ctypes.Structure):
    """What the C API reads and writes for one instance, in one piece of memory: `Val` arguments and result (kind, then
    value), the records of the instance, its memory and the function that is called, and where failures are put.

    `ready` is the C string that `string_length` measures: "" (0) while a host function is being waited for, and a
    string of one character (READY) when the guest may go on."""

    _fields_ = (
        ("argument_kind_0", ctypes.c_uint64),
        ("argument_0", ctypes.c_int32),
        ("_0", ctypes.c_uint8 * 20),
        ("argument_kind_1", ctypes.c_uint64),
        ("argument_1", ctypes.c_int32),
        ("_1", ctypes.c_uint8 * 20),
        ("result_kind", ctypes.c_uint64),
        ("result", ctypes.c_int32),
        ("_2", ctypes.c_uint8 * 20),
        ("instance", InstanceStruct),
        ("memory", Memory),
        ("function", Func),
        ("export", Extern),
        ("trap", c_void_p),
        ("error", c_void_p),
        ("ready", ctypes.c_uint16),
    )


EXPORT_VALUE_OFFSET: int = Extern.of.offset


def address(pointer: Any) -> int:
    """The address inside a ctypes pointer or callback object."""
    value = ctypes.cast(pointer, c_void_p).value
    assert value is not None
    return value


def _bind(prototype: Any, name: str, result: Any, *arguments: Any) -> Any:
    return prototype(result, *arguments)((name, _ffi.dll))


def _short(name: str, result: Any, *arguments: Any) -> Any:
    return _bind(ctypes.PYFUNCTYPE, name, result, *arguments)


def _running(name: str, result: Any, *arguments: Any) -> Any:
    return _bind(ctypes.CFUNCTYPE, name, result, *arguments)


def _address_of_strlen() -> int:
    return address(ctypes.CDLL(None).strlen)


_p = c_void_p

UncheckedCallback = ctypes.CFUNCTYPE(c_void_p, _p, _p, _p, c_size_t)
"""(env, caller, arguments and results, count) -> trap or None."""
AsyncCallback = ctypes.CFUNCTYPE(None, _p, _p, _p, c_size_t, _p, c_size_t, _p, _p)
"""(env, caller, arguments, count, results, count, trap out, continuation out)."""
EpochCallback = ctypes.CFUNCTYPE(c_void_p, _p, _p, _p, _p)
"""(store context, data, ticks to the next deadline out, what to do out) -> error or None."""
GO_ON, GIVE_WAY = 0, 1
"""What a guest does that met its epoch deadline."""
READY, NOT_READY = 1, 0

string_length: int = _address_of_strlen()
"""The continuation of every asynchronous host function: C's strlen, called with the address of `Cells.ready`. It
answers 0 or 1, which is false or true, without entering Python: twice for each host call, at a microsecond each."""

engine_increment_epoch = _short("wasmtime_engine_increment_epoch", None, _p)
module_new = _running("wasmtime_module_new", _p, _p, c_char_p, c_size_t, _p)
module_serialize = _running("wasmtime_module_serialize", _p, _p, _p)
module_deserialize_file = _running("wasmtime_module_deserialize_file", _p, _p, c_char_p, _p)
module_delete = _short("wasmtime_module_delete", None, _p)
store_new = _short("wasmtime_store_new", _p, _p, _p, _p)
store_context = _short("wasmtime_store_context", _p, _p)
store_limiter = _short("wasmtime_store_limiter", None, _p, c_int64, c_int64, c_int64, c_int64, c_int64)
store_delete = _running("wasmtime_store_delete", None, _p)
set_epoch_deadline = _short("wasmtime_context_set_epoch_deadline", None, _p, c_uint64)
set_epoch_yield = _short("wasmtime_context_epoch_deadline_async_yield_and_update", _p, _p, c_uint64)
linker_new = _short("wasmtime_linker_new", _p, _p)
linker_delete = _short("wasmtime_linker_delete", None, _p)
linker_define = _short(
    "wasmtime_linker_define_func_unchecked", _p, _p, c_char_p, c_size_t, c_char_p, c_size_t, _p, _p, _p, _p
)
linker_define_async = _short(
    "wasmtime_linker_define_async_func", _p, _p, c_char_p, c_size_t, c_char_p, c_size_t, _p, _p, _p, _p
)
linker_instantiate_pre = _short("wasmtime_linker_instantiate_pre", _p, _p, _p, _p)
instance_pre_delete = _short("wasmtime_instance_pre_delete", None, _p)
instance_pre_instantiate_async = _short("wasmtime_instance_pre_instantiate_async", _p, _p, _p, _p, _p, _p)
instance_export_get = _short("wasmtime_instance_export_get", c_bool, _p, _p, c_char_p, c_size_t, _p)
instance_new = _short("wasmtime_instance_new", _p, _p, _p, _p, c_size_t, _p, _p)
linker_clone = _short("wasmtime_linker_clone", _p, _p)
linker_define_item = _short("wasmtime_linker_define", _p, _p, _p, c_char_p, c_size_t, c_char_p, c_size_t, _p)
linker_instantiate_async = _short("wasmtime_linker_instantiate_async", _p, _p, _p, _p, _p, _p, _p)
linker_get = _short("wasmtime_linker_get", c_bool, _p, _p, c_char_p, c_size_t, c_char_p, c_size_t, _p)
caller_export_get = _short("wasmtime_caller_export_get", c_bool, _p, c_char_p, c_size_t, _p)
func_call_async = _short("wasmtime_func_call_async", _p, _p, _p, _p, c_size_t, _p, c_size_t, _p, _p)
func_call_unchecked = _running("wasmtime_func_call_unchecked", _p, _p, _p, _p, c_size_t, _p)
set_epoch_callback = _short("wasmtime_store_epoch_deadline_callback", None, _p, _p, _p, _p)
error_new = _short("wasmtime_error_new", _p, c_char_p)
_func_type = _short("wasmtime_func_type", ctypes.POINTER(_ffi.wasm_functype_t), _p, _p)
future_poll = _running("wasmtime_call_future_poll", c_bool, _p)
future_delete = _running("wasmtime_call_future_delete", None, _p)
memory_data = _short("wasmtime_memory_data", _p, _p, _p)
memory_data_size = _short("wasmtime_memory_data_size", c_size_t, _p, _p)
trap_new = _short("wasmtime_trap_new", _p, c_char_p, c_size_t)
_trap_message = _short("wasm_trap_message", None, _p, _p)
_trap_delete = _short("wasm_trap_delete", None, _p)
_error_message = _short("wasmtime_error_message", None, _p, _p)
_error_delete = _short("wasmtime_error_delete", None, _p)
_byte_vec_delete = _short("wasm_byte_vec_delete", None, _p)


@functools.cache
def _bytes_type(size: int) -> Any:
    """An array type of that many bytes. Making one takes 20 microseconds, and ctypes forgets those not in use; the
    sizes of memories are multiples of 64 KiB, so there are few."""
    return ctypes.c_ubyte * size


def view(start: int, size: int) -> memoryview:
    """The memory at an address, as bytes to read and write, for as long as it stays there."""
    return memoryview(_bytes_type(size).from_address(start)).cast("B")


def take_bytes(vector: Any) -> bytes:
    """The content of a byte vector of the C API, which is freed."""
    data = ctypes.string_at(vector.data, vector.size) if vector.size else b""
    _byte_vec_delete(ctypes.addressof(vector))
    return data


def take_error(error: int | None) -> str | None:
    """The text of an error of the C API, which is freed; None for no error."""
    if not error:
        return None
    vector = ByteVec()
    _error_message(error, ctypes.addressof(vector))
    _error_delete(error)
    return take_bytes(vector).decode("utf-8", "replace")


def take_trap(trap: int | None) -> str | None:
    """The first line of a trap's message, which is freed; None for no trap."""
    if not trap:
        return None
    vector = ByteVec()
    _trap_message(trap, ctypes.addressof(vector))
    _trap_delete(trap)
    return take_bytes(vector).rstrip(b"\0").decode("utf-8", "replace")


def new_trap(message: str) -> int:
    """A trap for a host function to return."""
    text = message.encode()
    trap: int = trap_new(text, len(text))
    return trap


def function_type(parameters: str, results: str) -> Any:
    """A function type from letters: i for i32, l for i64, f for f32, d for f64. The caller keeps it until it is
    defined."""
    value = wasmtime.ValType
    kinds = {"i": value.i32, "l": value.i64, "f": value.f32, "d": value.f64}
    return wasmtime.FuncType([kinds[c]() for c in parameters], [kinds[c]() for c in results])


def signature(context: int, function: int) -> str:
    """The type of the function at this address, as in `function_type`: "ii->i"."""
    type_ = wasmtime.FuncType._from_ptr(_func_type(context, function), None)
    letters = {"i32": "i", "i64": "l", "f32": "f", "f64": "d"}
    parameters, results = ("".join(letters.get(str(t), "?") for t in side) for side in (type_.params, type_.results))
    return f"{parameters}->{results}"


def engine_config(*, instances_max: int, memory_bytes_max: int, stack_bytes_max: int, table_elements_max: int) -> Any:
    """A configuration for one engine: fibers, epochs, pooled instances. It is consumed by the engine that gets it."""
    config = wasmtime.Config()
    pointer = config.ptr()
    _ffi.wasmtime_config_epoch_interruption_set(pointer, True)
    _ffi.wasmtime_config_max_wasm_stack_set(pointer, stack_bytes_max)
    # The host's callbacks run on the fiber's stack too, so it is larger than what the guest may use of it.
    _ffi.wasmtime_config_async_stack_size_set(pointer, stack_bytes_max + 512 * 1024)
    pool = _ffi.wasmtime_pooling_allocation_config_new()
    for name, value in {
        "total_core_instances": instances_max,
        "total_memories": instances_max,
        "total_tables": instances_max,
        "total_stacks": instances_max + 1,  # one more for the engine's own proof at start
        "max_memory_size": memory_bytes_max,
        "table_elements": table_elements_max,
        # Pages below these sizes are zeroed in place when an instance ends, which is cheaper than giving them back.
        "linear_memory_keep_resident": 64 * 1024,
        "table_keep_resident": 64 * 1024,
        "max_unused_warm_slots": 100,
    }.items():
        getattr(_ffi, f"wasmtime_pooling_allocation_config_{name}_set")(pool, value)
    _ffi.wasmtime_pooling_allocation_strategy_set(pointer, pool)
    _ffi.wasmtime_pooling_allocation_config_delete(pool)
    return config


def room_for(instances: int) -> bool:
    """Whether the address space holds the pool of this many instances. The engine aborts the process where it does
    not, so this is asked first: by reserving as much, without memory behind it, and letting go again."""
    size = instances * SLOT_BYTES
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE, prot=0).close()
    except (OSError, ValueError, OverflowError):
        return False
    return True


def check() -> None:
    """Raises `errors.EngineError` unless this is the wasmtime that the declarations above were written for."""
    found_version = importlib.metadata.version("wasmtime")
    if found_version != WASMTIME_VERSION:
        raise errors.EngineError(
            f"wasmtime {found_version} is installed and {WASMTIME_VERSION} is needed",
            remedy=f"pip install wasmtime=={WASMTIME_VERSION}",
        )
    sizes = {
        "value": (ctypes.sizeof(Val), 32),
        "value's offset": (VALUE_OFFSET, 8),
        "function": (ctypes.sizeof(Func), 16),
        "memory": (ctypes.sizeof(Memory), 24),
        "extern": (ctypes.sizeof(Extern), 32),
    }
    for what, (found, expected) in sizes.items():
        if found != expected:
            raise errors.EngineError(f"the engine's {what} takes {found} bytes and {expected} were expected")
