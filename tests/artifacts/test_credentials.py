"""Docker's file and the programs that it names, and what variables say. No secret in any text."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from lattice import errors
from lattice.artifacts import credentials
from lattice.artifacts.credentials import Credential, Login, find
from lattice.artifacts.settings import registry_settings

SECRET = "a-password-that-nobody-may-see"
BASIC = base64.b64encode(f"user:{SECRET}".encode()).decode()


def config(folder: Path, document: Any) -> Path:
    text = document if isinstance(document, str) else json.dumps(document)
    (folder / "config.json").write_text(text)
    return folder


def program(folder: Path, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A credential program on the path."""
    path = folder / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(
    "key", ["registry.example:5000", "https://registry.example:5000", "http://Registry.example:5000/v1/"]
)
async def test_an_entry_of_docker_s_file_is_found_as_docker_writes_it(tmp_path: Path, key: str) -> None:
    folder = config(tmp_path, {"auths": {"other.example": {"auth": "eDp5"}, key: {"auth": BASIC}}, "more": 1})
    found = await find("registry.example:5000", None, folder)
    assert found == Credential("user", SECRET)
    assert await find("registry.example", None, folder) is None
    assert await find("egistry.example:5000", None, folder) is None


async def test_the_hub_is_known_by_its_old_address(tmp_path: Path) -> None:
    folder = config(tmp_path, {"auths": {"https://index.docker.io/v1/": {"auth": BASIC}}})
    assert await find("docker.io", None, folder) == Credential("user", SECRET)


async def test_other_forms_of_an_entry(tmp_path: Path) -> None:
    folder = config(tmp_path, {"auths": {"a.example": {"username": "user", "password": SECRET}}})
    assert await find("a.example", None, folder) == Credential("user", SECRET)
    config(tmp_path, {"auths": {"a.example": {"auth": "dXNlcjo=", "identitytoken": SECRET}}})
    assert await find("a.example", None, folder) == Credential("user", "", SECRET)
    config(tmp_path, {"auths": {"a.example": {}}})
    assert await find("a.example", None, folder) is None


async def test_without_a_file_there_is_no_credential(tmp_path: Path) -> None:
    assert await find("a.example", None, None) is None
    assert await find("a.example", None, tmp_path) is None
    assert await find("a.example", None, tmp_path / "missing") is None


async def test_what_variables_say_goes_before_and_is_for_one_registry(tmp_path: Path) -> None:
    folder = config(tmp_path, {"auths": {"a.example": {"auth": BASIC}, "b.example": {"auth": BASIC}}})
    login = Login("a.example", Credential("other", "word"))
    assert await find("a.example", login, folder) == Credential("other", "word")
    assert await find("b.example", login, folder) == Credential("user", SECRET)


@pytest.mark.parametrize(
    "document",
    [
        f'{{"auths": {{"a.example": {{"auth": "{SECRET}!"}}}}}}',
        f'{{"auths": {{"a.example": "{SECRET}"}}}}',
        f'{{"auths": {{"a.example": {{"auth": "{SECRET}"',
        '{"auths": {"a.example": {"auth": "/w=="}}}',
        "[" * 100_000,
        "\ufeff{}",
    ],
)
async def test_a_file_that_cannot_be_read_is_an_error_that_quotes_nothing(tmp_path: Path, document: str) -> None:
    with pytest.raises(errors.ConfigError, match=r"cannot be read|is not what") as caught:
        await find("a.example", None, config(tmp_path, document))
    assert SECRET not in f"{caught.value!r}{caught.value.remedy}"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


async def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError, match="is larger than 1024 KiB"):
        await find("a.example", None, config(tmp_path, " " * 2**21))


async def test_a_folder_in_place_of_the_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    with pytest.raises(errors.ConfigError, match="cannot be read"):
        await find("a.example", None, tmp_path)


# Programs.


async def test_a_program_is_asked_on_its_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = json.dumps({"ServerURL": "x", "Username": "user", "Secret": SECRET})
    alone = '[ -z "$LATTICE_REGISTRY_PASSWORD$LATTICE_SECRET_A" ]'
    script = f'[ "$1" = get ] && [ "$(cat)" = a.example:5000 ] && {alone} && echo \'{answer}\''
    program(tmp_path, "test", script, monkeypatch)
    monkeypatch.setenv("LATTICE_REGISTRY_PASSWORD", "other")
    monkeypatch.setenv("LATTICE_SECRET_A", "of no program's business")
    for document in ({"credsStore": "test"}, {"credHelpers": {"a.example:5000": "test"}, "credsStore": "no-such"}):
        assert await find("a.example:5000", None, config(tmp_path, document)) == Credential("user", SECRET)


async def test_a_program_that_has_a_token_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "test", f'echo \'{{"Username": "<token>", "Secret": "{SECRET}"}}\'', monkeypatch)
    assert await find("a.example", None, config(tmp_path, {"credsStore": "test"})) == Credential("", "", SECRET)


async def test_a_program_that_knows_nothing_leaves_it_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = {"credsStore": "test", "auths": {"a.example": {"auth": BASIC}}}
    program(tmp_path, "test", "echo 'credentials not found in native keychain'; exit 1", monkeypatch)
    assert await find("a.example", None, config(tmp_path, document)) == Credential("user", SECRET)
    program(tmp_path, "test", 'echo \'{"Username": "", "Secret": ""}\'', monkeypatch)
    assert await find("a.example", None, config(tmp_path, {"credsStore": "test"})) is None


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (f"echo {SECRET} >&2; echo {SECRET}; exit 3", "failed with status 3"),
        (f"echo {SECRET}", "did not write what it should"),
        ("exec sleep 3600", "did not answer within"),
        ("sleep 3600 & wait", "did not answer within"),
        ("exec yes", "failed with status"),
    ],
)
async def test_a_program_that_fails_or_never_ends_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    if "sleep" in script:
        monkeypatch.setattr(credentials, "PROGRAM_S_MAX", 0.3)
    program(tmp_path, "test", script, monkeypatch)
    with pytest.raises(errors.ConfigError, match=said) as caught:
        await find("a.example", None, config(tmp_path, {"credsStore": "test"}))
    assert SECRET not in f"{caught.value!r}{caught.value.remedy}"


@pytest.mark.parametrize("name", ["../../bin/sh", "/bin/sh", "a b", "-x", "a;b", "x" * 200])
async def test_a_program_with_a_path_in_its_name_is_not_run(tmp_path: Path, name: str) -> None:
    with pytest.raises(errors.ConfigError, match="no such name"):
        await find("a.example", None, config(tmp_path, {"credsStore": name}))


async def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError, match=r"docker-credential-not-here.*cannot be run"):
        await find("a.example", None, config(tmp_path, {"credsStore": "not-here"}))


def test_a_credential_shows_itself_to_nobody() -> None:
    credential = Credential("user", SECRET, "identity-" + SECRET)
    assert SECRET not in f"{credential!r} {credential} {Login('a', credential)!r} {[credential]}"


# Variables.


def test_variables_and_options_come_together(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.touch()
    environment = {
        "LATTICE_INSECURE_REGISTRIES": "a.example:5000, B.example",
        "LATTICE_REGISTRY_PRIVATE_HOSTS": "store.example",
        "LATTICE_REGISTRY_CA": str(ca),
        "DOCKER_CONFIG": "/docker",
        "LATTICE_REGISTRY": "A.example:5000",
        "LATTICE_REGISTRY_USER": "user",
        "LATTICE_REGISTRY_PASSWORD": SECRET,
    }
    found = registry_settings(environment, insecure=["c.example:1"], private=["Other.example"])
    assert found.insecure == {"a.example:5000", "b.example:80", "c.example:1"}
    assert found.private == {"store.example", "other.example"}
    assert (found.ca, found.docker_config) == (ca, Path("/docker"))
    assert found.login == Login("a.example:5000", Credential("user", SECRET))
    assert found.is_insecure("a.example", 5000)
    assert not found.is_insecure("a.example", None)
    assert SECRET not in repr(found)
    assert registry_settings({"HOME": "/home/x"}).docker_config == Path("/home/x/.docker")
    assert registry_settings({}).docker_config is None


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"LATTICE_REGISTRY_USER": "u", "LATTICE_REGISTRY_PASSWORD": SECRET}, "some are set and some are not"),
        ({"LATTICE_REGISTRY": "a.example", "LATTICE_REGISTRY_PASSWORD": SECRET}, "some are set and some are not"),
        ({"LATTICE_INSECURE_REGISTRIES": "http://a.example"}, "no name of a registry"),
        ({"LATTICE_REGISTRY_CA": "/no/such/file"}, "there is no file"),
    ],
)
def test_variables_that_cannot_be_meant_are_refused(environment: dict[str, str], said: str) -> None:
    with pytest.raises(errors.ConfigError, match=said) as caught:
        registry_settings(environment)
    assert SECRET not in str(caught.value)
