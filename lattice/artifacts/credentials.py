"""Who logs in at a registry: what Docker's config.json says, and the programs that it names.

Formats: docker/cli, cli/config/configfile (`auths`, `credHelpers`, `credsStore`) and docker/docker-credential-helpers
(a program `docker-credential-NAME` that is told `get`, reads the registry on standard input and writes JSON). No
password stands among arguments, in a log or in an error.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import os
import re
import signal
from pathlib import Path

import msgspec

from lattice import errors

CONFIG_NAME = "config.json"
CONFIG_BYTES_MAX = 1024 * 1024
"""Docker's file has some hundred bytes for each registry."""
ANSWER_BYTES_MAX = 64 * 1024
"""What a credential program may write; the longest tokens have some kilobytes."""
PROGRAM_S_MAX = 15.0
"""A credential program may ask a keychain or a cloud; one that asks a person would wait for ever."""
TOKEN_USER = "<token>"  # noqa: S105  # the user name that says that the secret is a token
HUB, HUB_KEY = "docker.io", "https://index.docker.io/v1/"
NOT_FOUND = b"credentials not found"
OWN = "LATTICE_"
"""Variables that begin so are this program's."""
_PROGRAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Credential(msgspec.Struct, frozen=True):
    """A user with a password, or with `identity` a token that buys others. It shows itself to nobody."""

    user: str
    password: str
    identity: str = ""

    def __repr__(self) -> str:
        return "Credential(…)"

    @property
    def basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no text may show."""
        basic = self.basic.removeprefix("Basic ") if self.password else ""
        return tuple(secret for secret in (self.password, self.identity, basic) if secret)


class Login(msgspec.Struct, frozen=True):
    """A credential and the one registry it is for."""

    registry: str
    credential: Credential


class _Auth(msgspec.Struct, frozen=True):
    auth: str = ""
    username: str = ""
    password: str = ""
    identitytoken: str = ""


class _File(msgspec.Struct, frozen=True, rename="camel"):
    auths: dict[str, _Auth] = {}
    cred_helpers: dict[str, str] = {}
    creds_store: str = ""


class _Answer(msgspec.Struct, frozen=True, rename="pascal"):
    username: str
    secret: str


async def find(registry: str, login: Login | None, folder: Path | None) -> Credential | None:
    """The credential for a registry, None for none. `folder` has Docker's config.json. Raises `errors.ConfigError`."""
    if login is not None and login.registry == registry:
        return login.credential
    if folder is None:
        return None
    path = folder / CONFIG_NAME
    file = await asyncio.to_thread(_read, path)
    if file is None:
        return None
    keys = _keys(registry)
    program = next((file.cred_helpers[key] for key in keys if key in file.cred_helpers), "") or file.creds_store
    if program:
        found = await _ask(program, keys[0], path)
        if found is not None:
            return found
    wanted = {_host(key) for key in keys}
    for key, auth in file.auths.items():
        if _host(key) in wanted and (credential := _credential(auth, path, registry)) is not None:
            return credential
    return None


def _keys(registry: str) -> tuple[str, ...]:
    """Under which names Docker knows a registry; the first is what programs are asked for."""
    return (HUB_KEY, HUB) if registry == HUB else (registry, f"https://{registry}")


def _host(key: str) -> str:
    """Docker's keys are hosts, and in older files addresses with a scheme and a path."""
    return re.sub(r"^https?://", "", key).partition("/")[0].lower()


def _read(path: Path) -> _File | None:
    try:
        with path.open("rb") as file:
            data = file.read(CONFIG_BYTES_MAX + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise errors.ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > CONFIG_BYTES_MAX:
        raise errors.ConfigError(f"{path} is larger than {CONFIG_BYTES_MAX // 1024} KiB")
    try:
        return msgspec.json.decode(data, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The reason could quote what stands there.
        raise errors.ConfigError(f"{path} is not what Docker writes", remedy="log in again: docker login") from None


def _credential(auth: _Auth, path: Path, registry: str) -> Credential | None:
    user, password = auth.username, auth.password
    if auth.auth:
        try:
            text = base64.b64decode(auth.auth, validate=True).decode().rstrip("\0")
        except (binascii.Error, ValueError):
            raise errors.ConfigError(
                f"{path}: the entry of {registry} cannot be read", remedy="log in again: docker login"
            ) from None
        user, _, password = text.partition(":")
    if auth.identitytoken:
        return Credential(user, password, auth.identitytoken)
    return Credential(user, password) if user and password else None


async def _ask(program: str, key: str, path: Path) -> Credential | None:
    """What a credential program has for a registry, None when it knows none."""
    if not _PROGRAM.fullmatch(program):
        raise errors.ConfigError(f"{path} names a credential program with no such name: {program[:100]!r}")
    name = f"docker-credential-{program}"
    # It may need a cloud's own variables. Ours are none of its business, and secrets are among them.
    environment = {variable: value for variable, value in os.environ.items() if not variable.startswith(OWN)}
    try:
        child = await asyncio.create_subprocess_exec(
            name,
            "get",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=ANSWER_BYTES_MAX,
            env=environment,
            start_new_session=True,  # it cannot ask at the terminal
        )
    except OSError as error:
        raise errors.ConfigError(
            f"{name}, which {path} names, cannot be run: {error.strerror or error}",
            remedy=f"install it, or remove it from {CONFIG_NAME}",
        ) from error
    try:
        async with asyncio.timeout(PROGRAM_S_MAX):
            answer = await _told(child, key.encode())
            status = await child.wait()
    except TimeoutError:
        raise errors.ConfigError(f"{name} did not answer within {PROGRAM_S_MAX:g} s") from None
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)  # and what it has started
            await child.wait()
    if status != 0:
        if NOT_FOUND in answer:
            return None
        raise errors.ConfigError(f"{name} failed with status {status}", remedy=f"try: echo {key} | {name} get")
    try:
        found = msgspec.json.decode(answer, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise errors.ConfigError(f"{name} did not write what it should") from None
    if not found.secret:
        return None
    if found.username == TOKEN_USER:
        return Credential("", "", found.secret)
    return Credential(found.username, found.secret)


async def _told(child: asyncio.subprocess.Process, text: bytes) -> bytes:
    """Writes to a program and reads its answer, of which no more than the limit is kept."""
    assert child.stdin is not None
    assert child.stdout is not None
    with contextlib.suppress(ConnectionError):
        child.stdin.write(text)
        await child.stdin.drain()
    child.stdin.close()
    answer = b""
    while part := await child.stdout.read(ANSWER_BYTES_MAX):
        answer += part
        if len(answer) > ANSWER_BYTES_MAX:
            child.kill()
            return b""
    return answer
