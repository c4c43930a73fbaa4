"""`lattice inspect` says what a file is, and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from tests.support.signed import ACTOR, ISSUER, payload, section, signed, token

MODULE = bytes(wasmtime.wat2wasm('(module (memory 1 4) (func (export "__guest_call")))'))


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


def test_claims_that_are_genuine_are_shown_as_verified(tmp_path: Path, lattice: Callable[..., Any]) -> None:
    file = tmp_path / "x.wasm"
    file.write_bytes(signed(MODULE, name="n", caps=("a:b",), rev=3, issued=5, expires=2**33))
    result = lattice("inspect", file, "-o", "json")
    document = json.loads(result.out)
    assert result.code == 0
    assert (document["signed"], document["verified"], document["valid"]) == (True, True, True)
    claims = document["claims"]
    assert (claims["issuer"], claims["subject"]) == (ISSUER.public, ACTOR.public)
    assert (claims["name"], claims["caps"], claims["rev"], claims["expires"]) == ("n", ["a:b"], 3, 2**33)
    text = lattice("inspect", file).out
    assert "genuine and valid now" in text
    assert "2242-03-16T12:56:32" in text
    assert "1970-01-01T00:00:05" in text
    assert "1 pages of 64 KiB, at most 4" in text


def test_everything_that_is_wrong_with_a_token_is_shown(tmp_path: Path, lattice: Callable[..., Any]) -> None:
    file = tmp_path / "x.wasm"
    file.write_bytes(MODULE + section(token(payload(MODULE, exp=2, iss="AX", wascap={"hash": "00"}))))
    for command in (("inspect",), ("claims", "inspect")):
        result = lattice(*command, file, "-o", "json")
        document = json.loads(result.out)
        assert result.code == 1
        assert (document["signed"], document["verified"], document["valid"]) == (True, False, False)
        assert document["claims"]["expires"] == 2, "shown all the same"
        messages = " ".join(problem["message"] for problem in document["problems"])
        assert len(document["problems"]) == 3
        result = lattice(*command, file)
        assert result.code == 1
        assert "NOT to be believed" in result.out
        for reason in ("another module", "is no key", "expired"):
            assert reason in messages
            assert reason in document["reason"]
            assert reason in result.out


def test_an_unsigned_file_is_valid_and_said_to_be_unsigned(tmp_path: Path, lattice: Callable[..., Any]) -> None:
    file = tmp_path / "x.wasm"
    file.write_bytes(MODULE)
    for command in (("inspect",), ("claims", "inspect")):
        document = json.loads(lattice(*command, file, "-o", "json").out)
        assert (document["valid"], document["signed"], document["verified"]) == (True, False, False)
        result = lattice(*command, file)
        assert result.code == 0
        assert "the file is not signed" in result.out


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
    file.write_bytes(MODULE + section(token(payload(MODULE, exp=10**15))))
    assert f"{10**15} seconds" in lattice("inspect", file).out


def test_an_expiry_that_is_no_time_is_a_problem_and_no_crash(tmp_path: Path, lattice: Callable[..., Any]) -> None:
    file = tmp_path / "x.wasm"
    file.write_bytes(MODULE + section(token(payload(MODULE, exp=10**18))))
    result = lattice("inspect", file)
    assert result.code == 1
    assert "$.exp" in result.out
