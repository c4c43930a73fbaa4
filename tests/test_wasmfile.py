"""The container reader against real modules, cut ones, padded ones and noise."""

from __future__ import annotations

import time

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from lattice import errors, wasmfile

MODULE = wasmtime.wat2wasm(
    """(module
      (import "wapc" "__guest_request" (func (param i32 i32)))
      (import "env" "table" (table 1 funcref))
      (import "env" "memory" (memory 1 2))
      (import "env" "counter" (global (mut i64)))
      (import "env" "oops" (tag (param i32)))
      (@custom "jwt" "a.b.c")
      (export "memory" (memory 0))
      (func (export "__guest_call") (param i32 i32) (result i32) i32.const 1)
      (@custom "note" "hello"))"""
)
COMPONENT = wasmtime.wat2wasm(
    """(component
      (import "wasi:http/types@0.2.0" (instance (export "fields" (type (sub resource)))))
      (import "f" (func (param "a" u32)))
      (core module $inner
        (@custom "jwt" "not mine")
        (import "wapc" "__guest_request" (func))
        (memory (export "memory") 1))
      (export "inner" (core module $inner))
      (@custom "jwt" "mine"))"""
)


def leb(value: int, width: int = 1) -> bytes:
    """LEB128 in at least `width` bytes."""
    out = bytearray()
    while value > 0x7F or len(out) < width - 1:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def section(kind: int, content: bytes, width: int = 1) -> bytes:
    return bytes([kind]) + leb(len(content), width) + content


HEADER = b"\0asm\1\0\0\0"


@given(st.integers(0, 2**64 - 1))
def test_numbers_are_written_as_they_are_read(value: int) -> None:
    written = wasmfile.leb128(value)
    assert written == leb(value)
    assert wasmfile.Cursor(written, 0, len(written)).u64("a number") == value


def test_a_negative_number_is_not_written() -> None:
    with pytest.raises(ValueError, match="-1 has no"):
        wasmfile.leb128(-1)


def test_a_module_lists_what_it_imports_and_exports() -> None:
    file = wasmfile.describe(MODULE)
    assert (file.format, file.guest, file.size) == ("module", "wapc", len(MODULE))
    assert [(item.module, item.name, item.kind) for item in file.imports] == [
        ("wapc", "__guest_request", "func"),
        ("env", "table", "table"),
        ("env", "memory", "memory"),
        ("env", "counter", "global"),
        ("env", "oops", "tag"),
    ]
    assert [(item.name, item.kind) for item in file.exports] == [("memory", "memory"), ("__guest_call", "func")]
    assert file.memories == (wasmfile.Memory(1, 2, imported=True),)


def test_a_component_shows_only_its_outermost_level() -> None:
    file = wasmfile.describe(COMPONENT)
    assert (file.format, file.guest) == ("component", "component")
    assert [(item.name, item.kind) for item in file.imports] == [("wasi:http/types@0.2.0", "instance"), ("f", "func")]
    assert [(item.name, item.kind) for item in file.exports] == [("inner", "module")]
    assert file.memories == ()
    (token,) = file.custom("jwt", "wasmcloud_jwt")
    assert COMPONENT[token.content : token.end] == b"mine"


@pytest.mark.parametrize(
    ("wat", "kind"),
    [
        ('(module (func (export "_start")))', "command"),
        ('(module (func (export "_start")) (func (export "__guest_call")))', "wapc"),
        ('(module (global (export "__guest_call") i32 (i32.const 0)))', "unknown"),
        ("(module)", "unknown"),
        ("(component)", "component"),
    ],
)
def test_the_exports_tell_the_kind_of_guest(wat: str, kind: str) -> None:
    assert wasmfile.describe(wasmtime.wat2wasm(wat)).guest == kind


def test_sections_cover_the_file_without_gaps_and_hold_their_content() -> None:
    for data in (MODULE, COMPONENT):
        position = 8
        for found in wasmfile.describe(data).sections:
            assert found.start == position
            assert data[found.start] == found.id
            assert found.start < found.content <= found.end
            position = found.end
        assert position == len(data)


def test_padded_lengths_are_read_and_their_bytes_kept() -> None:
    padded = section(0, leb(3, 4) + b"jwt" + b"token", width=5)
    data = HEADER + padded + section(0, leb(1) + b"x")
    (token,) = wasmfile.describe(data).custom("jwt")
    assert data[token.start : token.end] == padded
    assert data[token.content : token.end] == b"token"


def test_memories_of_every_shape() -> None:
    memories = b"\x00\x01" + b"\x01\x01\x02" + b"\x03\x01\x04" + b"\x05\x01" + leb(1 << 40) + b"\x08\x07\x00"
    file = wasmfile.describe(HEADER + section(5, leb(5) + memories))
    assert [(memory.pages_min, memory.pages_max) for memory in file.memories] == [
        (1, None),
        (1, 2),
        (1, 4),
        (1, 1 << 40),
        (7, None),
    ]


@pytest.mark.parametrize("data", [MODULE, COMPONENT], ids=["module", "component"])
def test_a_file_cut_anywhere_is_refused_or_ends_between_sections(data: bytes) -> None:
    ends = {8} | {found.end for found in wasmfile.describe(data).sections}
    for size in range(len(data)):
        if size in ends:
            assert wasmfile.describe(data[:size]).size == size
        else:
            with pytest.raises(errors.NotWasm):
                wasmfile.describe(data[:size])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "magic"),
        (b"#!/bin/sh\n", "magic"),
        (b"\0asm\1\0", "header"),
        (b"\0asm\2\0\0\0", "version 2"),
        (b"\0asm\1\0\1\0", "layer 1"),
        (HEADER + b"\x0e\x00", "id 14"),
        (HEADER + b"\x00\x05\x01", "section of 5 bytes"),
        (HEADER + b"\x01\x80\x80\x80\x80\x80\x00", "longer than 5"),
        (HEADER + b"\x01\xff\xff\xff\xff\x7f", "does not fit 32"),
        (HEADER + section(2, leb(0xFFFFFFFF)), "4294967295 imports"),
        (HEADER + section(7, leb(2) + b"\x01a\x00\x00"), "cut short"),
        (HEADER + section(7, leb(1) + b"\x01a\x09\x00"), "export kind 9"),
        (HEADER + section(7, leb(1) + b"\x01\xff\x00\x00"), "UTF-8"),
        (HEADER + section(7, leb(0) + b"!"), "too many"),
        (HEADER + section(2, leb(1) + b"\x01a\x01b\x7f\x00"), "import kind 127"),
        (HEADER + section(5, leb(1) + b"\x40\x00"), "unknown kind"),
        (HEADER + section(7, leb(0)) * 2, "second section"),
        (HEADER + section(0, leb(200_000) + b"x" * 200_000), "200000 bytes"),
    ],
)
def test_what_is_not_wasm_is_refused_with_the_reason(data: bytes, says: str) -> None:
    with pytest.raises(errors.NotWasm, match=says):
        wasmfile.describe(data)


def test_text_format_gets_a_remedy() -> None:
    with pytest.raises(errors.NotWasm) as caught:
        wasmfile.describe(b"  (module)")
    assert "assembled" in caught.value.remedy


def test_a_flood_of_sections_ends_at_the_limit() -> None:
    flood = HEADER + section(0, b"\x00") * (wasmfile.SECTIONS_MAX + 1)
    with pytest.raises(errors.NotWasm, match="more than"):
        wasmfile.describe(flood)


def test_a_flood_of_entries_over_many_sections_ends_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A component may have any number of sections of imports: each may be small, and all together fill the memory."""
    monkeypatch.setattr(wasmfile, "ENTRIES_MAX", 10)
    header = b"\0asm\x0d\0\x01\0"
    imports, exports = section(10, leb(6) + b"\0\x01i\1\0" * 6), section(11, leb(6) + b"\0\x01e\1\0\0" * 6)
    assert len(wasmfile.describe(header + imports + exports).imports) == 6
    for twice in (imports, exports):
        with pytest.raises(errors.NotWasm, match="says that it has 6"):
            wasmfile.describe(header + twice + twice)


def test_reading_a_large_file_takes_no_longer_than_its_sections() -> None:
    large = HEADER + section(10, b"\0" * 50_000_000) + section(7, leb(1) + b"\x01a\x00\x00")
    began = time.perf_counter()
    assert wasmfile.describe(large).exports[0].name == "a"
    assert time.perf_counter() - began < 5, "a byte after the other, this takes half a minute"


@given(st.binary(max_size=200), st.sampled_from([b"", HEADER, b"\0asm\x0d\0\1\0"]))
def test_noise_is_read_or_refused_and_nothing_else(noise: bytes, header: bytes) -> None:
    try:
        file = wasmfile.describe(header + noise)
    except errors.NotWasm:
        return
    assert file.size == len(header + noise)


@given(st.sampled_from([MODULE, COMPONENT]), st.data())
def test_a_changed_byte_is_read_or_refused_and_nothing_else(original: bytes, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(original) - 1))
    changed = bytearray(original)
    changed[position] = data.draw(st.integers(0, 255))
    try:
        file = wasmfile.describe(bytes(changed))
    except errors.NotWasm:
        return
    assert file.size == len(original)


@given(
    header=st.sampled_from([HEADER, b"\0asm\x0d\0\1\0"]),
    parts=st.lists(
        st.tuples(st.sampled_from([b"jwt", b"wasmcloud_jwt", b"x"]), st.binary(max_size=20), st.integers(1, 5))
    ),
    data=st.data(),
)
def test_sections_leave_no_byte_out_whatever_their_lengths(
    header: bytes, parts: list[tuple[bytes, bytes, int]], data: st.DataObject
) -> None:
    """Signatures stand on it: a byte that is in no section, or in two, could be changed."""
    whole = bytearray(header + b"".join(section(0, leb(len(name), 6 - w) + name + rest, w) for name, rest, w in parts))
    for _ in range(data.draw(st.integers(0, 2))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        file = wasmfile.describe(bytes(whole))
    except errors.NotWasm:
        return
    position = 8
    for found in file.sections:
        assert found.start == position < found.content <= found.end
        position = found.end
    assert position == len(whole)
    ends = {found.start: found.end for found in file.sections if found.id == 0}
    assert {custom.start: custom.end for custom in file.custom_sections} == ends
    assert all(custom.start < custom.content <= custom.end for custom in file.custom_sections)
