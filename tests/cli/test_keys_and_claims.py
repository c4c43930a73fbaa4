"""`lattice keys` and `lattice claims sign`: keys are kept well, signing is plain and can be repeated."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from lattice import wasmfile
from lattice.security import admission, keys
from lattice.security.settings import ActorTrust
from tests.support.hosts import guest_wasm

SEED = re.compile(r"\bS[A-Z2-7]{57}\b")
Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LATTICE_KEYS", str(tmp_path / "keys"))
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    return tmp_path / "keys"


@pytest.fixture
def echo(tmp_path: Path) -> Path:
    path = tmp_path / "echo.wasm"
    path.write_bytes(guest_wasm("echo"))
    return path


@pytest.mark.parametrize("role", keys.PUBLIC_ROLES)
def test_a_key_of_each_role_is_made_shown_and_its_seed_kept_quiet(lattice: Run, folder: Path, role: keys.Role) -> None:
    made = lattice("keys", "gen", role, "--name", "one", "-o", "json")
    assert made.code == 0, made.err
    document = json.loads(made.out)
    assert keys.decode_public(document["public"], role)
    assert (document["name"], document["role"], document["file"]) == ("one", role, str(folder / "one.nk"))
    assert stat.S_IMODE((folder / "one.nk").stat().st_mode) == 0o600
    seed = (folder / "one.nk").read_text().strip()
    shown = [made, lattice("keys", "list"), lattice("keys", "list", "-o", "json"), lattice("keys", "get", "one")]
    for result in shown:
        assert document["public"] in result.out
        assert not SEED.search(result.out + result.err)
    assert seed in lattice("keys", "get", "one", "--show-seed").out
    assert json.loads(lattice("keys", "get", folder / "one.nk", "--show-seed", "-o", "json").out)["seed"] == seed


def test_a_key_is_never_overwritten(lattice: Run, folder: Path, tmp_path: Path) -> None:
    assert lattice("keys", "gen", "account").code == 0
    before = (folder / "account.nk").read_bytes()
    for again in (("actor", "--name", "account"), ("account",), ("actor", "--out", folder / "account.nk")):
        result = lattice("keys", "gen", *again)
        assert (result.code, result.out) == (1, "")
        assert "not overwritten" in result.err
    assert (folder / "account.nk").read_bytes() == before
    out = tmp_path / "elsewhere" / "cluster.nk"
    assert lattice("keys", "gen", "cluster", "--out", out).code == 0
    assert keys.read_seed(out, "cluster")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("gen", "king"), "roles: account"),
        (("gen", "account", "--name", "../up"), "cannot be the name"),
        (("gen", "account", "--name", ".hidden"), "cannot be the name"),
        (("get", "gone"), "no key 'gone'"),
        (("get", "S" + "A" * 57), "does not belong on a command line"),
    ],
)
def test_what_is_no_key_is_said(lattice: Run, arguments: tuple[str, ...], says: str) -> None:
    result = lattice("keys", *arguments)
    assert (result.code, result.out) == (1, "")
    assert says in result.err
    assert "A" * 57 not in result.err


def test_a_file_that_is_no_key_does_not_hide_the_others(lattice: Run, folder: Path) -> None:
    assert lattice("keys", "list", "-o", "json").out == "[]\n"
    lattice("keys", "gen", "account")
    (folder / "broken.nk").write_text("nothing")
    rows = json.loads(lattice("keys", "list", "-o", "json").out)
    assert [(row["name"], row["role"]) for row in rows] == [("account", "account"), ("broken", None)]
    assert "has 58" in rows[1]["error"]
    assert "unreadable" in lattice("keys", "list").out


def test_keys_are_beside_contexts_unless_a_folder_is_named(
    lattice: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LATTICE_KEYS")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert lattice("keys", "gen", "user").code == 0
    assert (tmp_path / "config" / "nanolattice" / "keys" / "user.nk").is_file()
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert lattice("keys", "list", "-o", "json").out == "[]\n"


# Signing.


def admitted(path: Path, *issuers: str) -> Any:
    data = path.read_bytes()
    return admission.admit(data, wasmfile.describe(data), ActorTrust(issuers=frozenset(issuers)), 1_800_000_000)


def public(lattice: Run, name: str) -> str:
    return str(json.loads(lattice("keys", "get", name, "-o", "json").out)["public"])


def test_signing_works_for_a_beginner(lattice: Run, echo: Path) -> None:
    result = lattice("claims", "sign", echo, "--cap", "wasmcloud:keyvalue")
    assert result.code == 0, result.err
    target = echo.with_name("echo_s.wasm")
    assert f"signed {target}" in result.out
    assert "made the account key A" in result.err
    assert "made the actor's key M" in result.err
    claims = admitted(target, public(lattice, "development"))
    assert (claims.name, claims.caps, claims.rev) == ("echo", ("wasmcloud:keyvalue",), 1)
    assert claims.subject == public(lattice, "echo")
    before = target.read_bytes()
    again = lattice("claims", "sign", echo, "--cap", "wasmcloud:keyvalue", "-o", "json")
    assert (again.code, again.err) == (0, "")
    assert json.loads(again.out)["claims"]["subject"] == claims.subject
    assert target.read_bytes() == before, "the same again"
    assert lattice("claims", "sign", target, "--cap", "wasmcloud:keyvalue").code == 0
    assert target.read_bytes() == before, "signed in its place"
    assert not echo.with_name("echo_s_s.wasm").exists()


def test_everything_that_a_token_may_say_can_be_said(lattice: Run, echo: Path, tmp_path: Path) -> None:
    lattice("keys", "gen", "account", "--name", "shop")
    actor = keys.generate("actor").public
    said = ("--name", "Echo 2", "--cap", "a:b", "--cap", "c:d", "--rev", 7, "--ver", "1.2", "--alias", "demo/echo")
    more = ("--tag", "x", "--tag", "y", "--issuer", "shop", "--subject", actor, "--out", tmp_path / "out.wasm")
    result = lattice("claims", "sign", echo, *said, *more, "--nbf", "2020-01-01", "--expires", "2100-01-01T00:00:00Z")
    assert (result.code, result.err) == (0, "")
    claims = admitted(tmp_path / "out.wasm", public(lattice, "shop"))
    assert (claims.name, claims.caps, claims.rev, claims.ver) == ("Echo 2", ("a:b", "c:d"), 7, "1.2")
    assert (claims.alias, claims.tags, claims.subject) == ("demo/echo", ("x", "y"), actor)
    assert (claims.nbf, claims.expires, claims.issued) == (1_577_836_800, 4_102_444_800, 0)


def test_times_count_from_the_time_that_a_build_believes_in(
    lattice: Run, echo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1799990000")
    for text, seconds in (("30d", 30 * 86_400), ("12h", 43_200), ("2w", 14 * 86_400), ("90000s", 90_000)):
        document = json.loads(lattice("claims", "sign", echo, "--expires", text, "-o", "json").out)
        assert document["claims"]["expires"] == 1_799_990_000 + seconds
        assert document["claims"]["issued"] == 1_799_990_000
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    assert "SOURCE_DATE_EPOCH is a number" in lattice("claims", "sign", echo).err
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert lattice("claims", "sign", echo, "--expires", "1h").code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--issuer", "gone"), "no key 'gone'"),
        (("--issuer", "S" + "A" * 57), "does not belong on a command line"),
        (("--subject", "M" + "A" * 55), "checksum"),
        (("--subject", "development"), "one of an actor is needed"),
        (("--issuer", "echo"), "one of an account is needed"),
        (("--name", "development"), "one of an actor is needed"),
        (("--expires", "soon"), "such as 30d"),
        (("--expires", "2001-01-01", "--nbf", "2002-01-01"), "would expire before"),
        (("--rev", "-1"), "rev is a number"),
        (("--alias", "a:b"), "looks like a contract"),
        (("--out", "/nowhere/at/all.wasm"), "cannot be written"),
    ],
)
def test_what_cannot_be_signed_is_said_and_nothing_is_written(
    lattice: Run, echo: Path, arguments: tuple[str, ...], says: str
) -> None:
    lattice("claims", "sign", echo, "--out", echo.with_name("first.wasm"))
    result = lattice("claims", "sign", echo, *arguments)
    assert (result.code, result.out) == (1, "")
    assert says in result.err
    assert not echo.with_name("echo_s.wasm").exists()


def test_no_keys_are_made_for_what_is_not_webassembly(lattice: Run, tmp_path: Path, folder: Path) -> None:
    (tmp_path / "x.wasm").write_bytes(b"hello")
    result = lattice("claims", "sign", tmp_path / "x.wasm")
    assert result.code == 1
    assert "x.wasm: the file does not begin with" in result.err
    assert "cannot be read" in lattice("claims", "sign", tmp_path / "gone.wasm").err
    assert not folder.exists()


def test_a_component_is_signed_too(lattice: Run, tmp_path: Path) -> None:
    path = tmp_path / "component.wasm"
    path.write_bytes(wasmtime.wat2wasm("(component (core module))"))
    assert lattice("claims", "sign", path).code == 0
    document = json.loads(lattice("inspect", tmp_path / "component_s.wasm", "-o", "json").out)
    assert (document["kind"], document["verified"]) == ("component", True)


def test_an_odd_name_still_names_a_key(lattice: Run, echo: Path, folder: Path) -> None:
    assert lattice("claims", "sign", echo, "--name", "Écho / zwei").code == 0
    for name in ("日本", "中国"):
        assert lattice("claims", "sign", echo, "--name", name).code == 0
    made = sorted(path.name.partition("-")[0] for path in folder.iterdir())
    assert made == ["actor", "actor", "cho", "development.nk"], "two actors, two keys"
