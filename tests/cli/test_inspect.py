"""`lattice inspect` says what a file is, and what is wrong with it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wasmtime


def signed(payload: object) -> bytes:
    """A module with a token section."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    token = f"{part({'alg': 'Ed25519'})}.{part(payload)}.c2ln"
    return wasmtime.wat2wasm(f'(module (memory 1 4) (func (export "__guest_call")) (@custom "jwt" "{token}"))')


@pytest.mark.parametrize(
    ("wat", "kind"),
    [
        ('(module (func (export "__guest_call")))', "wapc"),
        ('(module (func (export "_start")))', "command"),
        ("(component)", "component"),
        ("(module)", "unknown"),
    ],
)
def test_the_kind_and_the_digest(tmp_path: Path, lattice: Callable[..., Any], wat: str, kind: str) -> None:
    file = tmp_path / "x.wasm"
    file.write_bytes(wasmtime.wat2wasm(wat))
    result = lattice("inspect", file, "-o", "json")
    document = json.loads(result.out)
    assert result.code == 0
    assert (document["kind"], document["valid"], document["reason"], document["claims"]) == (kind, True, None, None)
    assert document["size"] == file.stat().st_size
    assert document["digest"].startswith("sha256:")


def test_claims_are_shown_as_not_verified(tmp_path: Path, lattice: Callable[..., Any]) -> None:
    file = tmp_path / "x.wasm"
    file.write_bytes(signed({"iss": "AX", "sub": "MX", "exp": 2, "wascap": {"name": "n", "caps": ["a:b"], "rev": 3}}))
    document = json.loads(lattice("inspect", file, "-o", "json").out)
    assert document["verified"] is False
    claims = document["claims"]
    assert (claims["issuer"], claims["subject"], claims["name"], claims["caps"]) == ("AX", "MX", "n", ["a:b"])
    assert (claims["rev"], claims["expires"]) == (3, 2)
    text = lattice("inspect", file).out
    assert "decoded, not verified" in text
    assert "1970-01-01T00:00:02" in text
    assert "1 pages of 64 KiB, at most 4" in text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"hello", "magic number"),
        (b"\0asm\1\0\0\0\x01\x7f", "section of 127 bytes"),
        (b"\0asm\1\0\0\0\x00\x04\x03jwt", "1 parts"),
        (b"\0asm\1\0\0\0" + b"\x00\x04\x03jwt" * 2, "2 tokens"),
    ],
)
def test_what_cannot_be_used_fails_with_the_reason(
    tmp_path: Path, lattice: Callable[..., Any], content: bytes, reason: str
) -> None:
    file = tmp_path / "x.wasm"
    file.write_bytes(content)
    result = lattice("inspect", file, "-o", "json")
    document = json.loads(result.out)
    assert result.code == 1
    assert document["valid"] is False
    assert reason in document["reason"]
    assert lattice("inspect", file).code == 1


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path, lattice: Callable[..., Any]) -> None:
    result = lattice("inspect", tmp_path / "gone.wasm")
    assert (result.code, result.out) == (1, "")
    assert "cannot be read: No such file" in result.err


def test_names_in_a_file_cannot_steer_the_terminal(tmp_path: Path, lattice: Callable[..., Any]) -> None:
    file = tmp_path / "x.wasm"
    file.write_bytes(wasmtime.wat2wasm(r'(module (func (export "\1b[2Jevil")))'))
    result = lattice("inspect", file)
    assert "\x1b" not in result.out
    assert "[2Jevil" in result.out


def test_expiry_beyond_any_calendar_is_still_printed(tmp_path: Path, lattice: Callable[..., Any]) -> None:
    file = tmp_path / "x.wasm"
    file.write_bytes(signed({"iss": "A", "sub": "M", "exp": 10**18, "wascap": {}}))
    assert f"{10**18} seconds" in lattice("inspect", file).out
