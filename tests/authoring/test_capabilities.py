"""Which contracts a module uses: looked for in real modules of every kind, and in made-up ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice import wasmfile
from lattice.authoring import capabilities
from lattice.contracts import messaging

ACTORS = Path(__file__).parents[2] / "actors"
HTTP, KEYS = "wasmcloud:httpserver", "wasmcloud:keyvalue"
MESSAGES, BLOBS = "wasmcloud:messaging", "wasmcloud:blobstore"
LOG, NUMBERS, CRON = "wasmcloud:builtin:logging", "wasmcloud:builtin:numbergen", "lattice:cron"


def looked_at(name: str) -> tuple[frozenset[str], bool]:
    data = (ACTORS / name / f"{name}.wasm").read_bytes()
    file = wasmfile.describe(data)
    return capabilities.contracts(data, file), capabilities.takes_messages(data, file)


@pytest.mark.parametrize(
    ("name", "contracts", "takes_messages"),
    [
        ("echo", {HTTP}, False),
        ("counter", {HTTP, KEYS}, False),
        ("counter-as", {HTTP, KEYS}, False),
        ("counter-component", {HTTP, KEYS}, False),
        ("counter-wagi", {HTTP}, False),
        ("shortener", {HTTP, KEYS, MESSAGES, LOG, NUMBERS}, False),
        ("clicks", {KEYS, MESSAGES}, True),
        ("report", {HTTP, KEYS, BLOBS, CRON, LOG}, False),
    ],
)
def test_examples_use_what_their_pages_say(name: str, contracts: set[str], takes_messages: bool) -> None:
    assert looked_at(name) == (contracts, takes_messages)


def module(*texts: bytes, section: int = 11) -> bytes:
    body = b"\0".join(texts)
    return b"\0asm\1\0\0\0" + bytes([section]) + wasmfile.leb128(len(body)) + body


def test_names_are_found_as_utf_8_and_utf_16_and_only_in_data() -> None:
    for encoding in ("utf-8", "utf-16-le"):
        data = module(b"xx" + KEYS.encode(encoding) + b"yy" + "KeyValue.Get".encode(encoding))
        assert capabilities.contracts(data, wasmfile.describe(data)) == {KEYS}
    custom = module(b"\4name" + KEYS.encode() + b"KeyValue.Get", section=0)
    assert capabilities.contracts(custom, wasmfile.describe(custom)) == frozenset()


def test_a_contract_without_an_operation_is_a_constant_that_nothing_uses() -> None:
    data = module(KEYS.encode(), BLOBS.encode(), b"Blobstore.PutObject")
    assert capabilities.contracts(data, wasmfile.describe(data)) == {BLOBS}


def test_an_operation_of_actors_stands_for_its_contract() -> None:
    data = module(messaging.HANDLE_MESSAGE.name.encode())
    file = wasmfile.describe(data)
    assert capabilities.contracts(data, file) == {MESSAGES}
    assert capabilities.takes_messages(data, file)


def test_a_module_without_data_uses_nothing() -> None:
    file = wasmfile.describe(b"\0asm\1\0\0\0")
    assert capabilities.contracts(b"\0asm\1\0\0\0", file) == frozenset()
