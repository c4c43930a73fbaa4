"""`lattice secret`: values come in by standard input, a file or a prompt, and never go out again."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lattice import errors
from lattice.control.secret_store import VALUE_BYTES_MAX
from lattice.security import keys, sealing
from tests.support.servers import Server, nats_server

VALUE = "sword-fish-7"
Lattice = Callable[..., Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with nats_server(tmp_path_factory.mktemp("nats")) as server:
        yield server


class Place:
    """A lattice of this test alone, and the file of its keys."""

    def __init__(self, folder: Path, url: str, lattice: Lattice, monkeypatch: pytest.MonkeyPatch) -> None:
        self.to = ("--nats", url, "--lattice", f"l{time.time_ns()}")
        self.keys = folder / "secrets.xk"
        self.pair = sealing.generate()
        self.keys.write_text(self.pair.seed + "\n")
        self._lattice = lattice
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: str | Path, given: bytes = b"") -> Any:
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        result = self._lattice("secret", *arguments, *self.to)
        assert VALUE not in result.out + result.err
        return result

    def put(self, name: str, *more: str | Path, given: bytes = VALUE.encode()) -> Any:
        return self("put", name, "--keys", self.keys, *more, given=given)

    def listed(self) -> Any:
        result = self("list", "-o", "json")
        assert result.code == 0, result.err
        return json.loads(result.out)


@pytest.fixture
def place(server: Server, tmp_path: Path, lattice: Lattice, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return Place(tmp_path, server.url, lattice, monkeypatch)


def test_a_secret_from_its_first_version_to_its_end(place: Place) -> None:
    assert place.put("redis/url").out == "stored redis/url, version 1\n"
    result = place.put("redis/url", "--application", "shop", "--application", "bank", "-o", "json")
    stored = {"name": "redis/url", "version": 2, "applications": ["shop", "bank"], "sealed_for": place.pair.public}
    assert json.loads(result.out) == stored
    (listed,) = place.listed()
    assert (listed["name"], listed["applications"]) == ("redis/url", ["shop", "bank"])
    assert [(one["version"], one["sealed_by"]) for one in listed["versions"]] == [
        (1, place.pair.public),
        (2, place.pair.public),
    ]
    shown = place("list").out.splitlines()[1].split()
    assert shown[:5] == ["redis/url", "2", "2", "shop,", "bank"]
    refused = place.put("redis/url")
    assert (refused.code, "would leave it to all" in refused.err) == (1, True)
    assert place.put("redis/url", "--any-application").code == 0
    assert place.listed()[0]["applications"] == []
    assert place("del", "redis/url").out == "deleted redis/url\n"
    assert place.listed() == []
    assert "no secret" in place("del", "redis/url").err


def test_a_value_comes_from_a_file_too(place: Place, tmp_path: Path) -> None:
    (tmp_path / "value").write_text(VALUE + "\n")
    assert place.put("one", "--file", tmp_path / "value").code == 0
    assert "cannot be read" in place.put("one", "--file", tmp_path / "none").err


@pytest.mark.parametrize(
    ("given", "said"),
    [(b"", "empty"), (b"\n", "empty"), (b"\xff", "not UTF-8"), (b"x" * (VALUE_BYTES_MAX + 1), "larger than 32 KiB")],
)
def test_a_value_that_cannot_be_one_is_refused(given: bytes, said: str, place: Place) -> None:
    result = place.put("one", given=given)
    assert (result.code, said in result.err) == (1, True)
    assert place.put("one", given=b"x" * VALUE_BYTES_MAX + b"\r\n").code == 0


def test_options_that_make_no_sense_are_refused(place: Place) -> None:
    assert "exclude each other" in place.put("one", "--application", "a", "--any-application").err
    assert "public key" in place.put("one", "--to", "X").err
    assert "curve" in place.put("one", "--to", keys.generate("account").public).err
    assert "cannot be the name" in place.put("a b").err


def test_no_option_or_argument_takes_a_value(place: Place) -> None:
    """Arguments of a process are for everybody on the machine to see."""
    assert place("put", "one", "value", "--keys", place.keys).code == 2


def test_keys_rotate_and_what_cannot_be_opened_is_named(place: Place, tmp_path: Path) -> None:
    place.put("mine")
    theirs, new = sealing.generate(), sealing.generate()
    (tmp_path / "theirs.xk").write_text(theirs.seed)
    place("put", "theirs", "--keys", tmp_path / "theirs.xk", "--to", place.pair.public, given=b"other")
    place.keys.write_text(f"{new.seed}\n{place.pair.seed}\n")
    result = place("rotate", "--keys", place.keys, "-o", "json")
    assert result.code == 1
    document = json.loads(result.out)
    assert (document["rotated"], list(document["failed"])) == (["mine"], ["theirs"])
    assert "nobody here trusts" in result.err
    again = place("rotate", "--keys", place.keys, "--trust", theirs.public)
    assert (again.code, again.out) == (0, "sealed theirs again\n")
    assert {one["sealed_for"] for secret in place.listed() for one in secret["versions"]} == {new.public}
    assert "public key" in place("rotate", "--keys", place.keys, "--trust", "X").err
    assert place("rotate", "--keys", place.keys).out == "nothing to do: everything is sealed so\n"


@pytest.mark.parametrize(("again", "result"), [(VALUE, "stored typed, version 1"), ("other", "the two values differ")])
def test_a_prompt_shows_nothing_of_what_is_typed(again: str, result: str, place: Place) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "lattice", "secret", "put", "typed", "--keys", str(place.keys), *place.to]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    try:
        said = read_until(ours, "value of typed: ")
        os.write(ours, f"{VALUE}\n".encode())
        said += read_until(ours, "the same again: ")
        os.write(ours, f"{again}\n".encode())
        said += read_until(ours, result)
        assert process.wait(20) == (0 if again == VALUE else 1), said
    finally:
        process.kill() if process.poll() is None else None
        process.wait()
        os.close(ours)
    assert VALUE not in said


def read_until(terminal: int, words: str) -> str:
    said = ""
    deadline = time.monotonic() + 20
    while words not in said:
        assert time.monotonic() < deadline, said
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                said += os.read(terminal, 4096).decode()
            except OSError:
                break
    return said


def test_the_code_of_a_secret_that_is_missing_is_its_own() -> None:
    assert errors.error_classes()["secret_unavailable"] is errors.SecretUnavailable
