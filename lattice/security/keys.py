"""nkeys: Ed25519 keys as text that says what it is for. `M…` is an actor's public key, `N…` a host's, `S…` a seed.

The form is that of NATS and wasmCloud: base32 without padding over prefix, 32 bytes and a checksum (CRC-16/XMODEM,
little endian). Reading is strict: wrong letters, lengths, prefixes, bits or checksums are refused. Keys of the role
"curve" (`X…`) seal instead of signing: `sealing.py` has what is done with them, and only their text form is here.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import stat
import tempfile
from pathlib import Path
from typing import Literal, get_args

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey
from nacl.signing import SigningKey, VerifyKey

from lattice import errors

_log = logging.getLogger("lattice.keys")

Role = Literal["account", "cluster", "actor", "host", "operator", "user", "provider", "curve"]

_PREFIXES: dict[Role, int] = {
    "account": 0,
    "cluster": 2,
    "actor": 12,
    "host": 13,
    "operator": 14,
    "user": 20,
    "provider": 21,
    "curve": 23,
}
PUBLIC_ROLES: tuple[Role, ...] = tuple(_PREFIXES)
_SEED = 18
_ROLES: dict[int, Role] = {value: role for role, value in _PREFIXES.items()}
PUBLIC_CHARS, SEED_CHARS = 56, 58
_LETTER_ORDER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_LETTERS = frozenset(_LETTER_ORDER)
SEED_FILE_CHARS_MAX = 4096
"""A file with a seed has one line; a larger one is something else."""
HOST_KEY_FILE = "host.nk"
"""The seed of a host's key, in its data folder: a host that comes back is the same host."""


class KeyPair:
    """A private key that signs, and its role. `public` is the text others know it by."""

    def __init__(self, role: Role, seed: bytes) -> None:
        """`seed` has 32 bytes. Raises `errors.ConfigError` for the role of keys that do not sign."""
        if role == "curve":
            raise errors.ConfigError("a curve key (X...) seals and does not sign", remedy="use a key of another role")
        self.role = role
        self._seed = seed
        self._private = SigningKey(seed)
        self.public = encode_public(role, bytes(self._private.verify_key))

    def __repr__(self) -> str:
        return f"KeyPair({self.public})"

    @property
    def seed(self) -> str:
        """The private key as text. Not for logs."""
        return encode_seed(self.role, self._seed)

    def sign(self, data: bytes) -> bytes:
        """64 bytes."""
        return self._private.sign(data).signature


def generate(role: Role) -> KeyPair:
    return KeyPair(role, os.urandom(32))


def from_seed(text: str) -> KeyPair:
    """Raises `errors.ConfigError`; the message never holds the seed."""
    return KeyPair(*decode_seed(text))


def encode_seed(role: Role, seed: bytes) -> str:
    """`seed` has 32 bytes. Not for logs."""
    prefix = _PREFIXES[role]
    return _text(bytes(((_SEED << 3) | (prefix >> 2) & 7, (prefix & 3) << 6)) + seed)


def decode_seed(text: str) -> tuple[Role, bytes]:
    """The role and the 32 bytes of a private key. Raises `errors.ConfigError`; the message never holds the seed."""
    data = _bytes(text, SEED_CHARS, "a seed")
    # Five bits say that it is a seed, the next five what for, and the rest of the two bytes is zero.
    role = _ROLES.get((data[0] & 7) << 2 | data[1] >> 6) if data[1] & 63 == 0 else None
    if data[0] >> 3 != _SEED or role is None:
        raise errors.ConfigError("this is not the seed of a key", remedy="seeds begin with S and the letter of a role")
    return role, data[2:34]


def generate_seed(role: Role) -> str:
    """A new private key of any role, also "curve", as text. Not for logs."""
    return encode_seed(role, os.urandom(32))


def public_of(seed: str) -> tuple[Role, str]:
    """The role and the public key that belong to a seed. Raises `errors.ConfigError`, as `decode_seed`."""
    role, data = decode_seed(seed)
    if role == "curve":
        return role, encode_public(role, bytes(PrivateKey(data).public_key))
    return role, KeyPair(role, data).public


def encode_public(role: Role, key: bytes) -> str:
    """`key` has 32 bytes."""
    return _text(bytes((_PREFIXES[role] << 3,)) + key)


def decode_public(text: str, role: Role | None = None) -> tuple[Role, bytes]:
    """The role and the 32 bytes of a public key; with `role`, no other is taken. Raises `errors.ConfigError`."""
    data = _bytes(text, PUBLIC_CHARS, "a public key")
    found = _ROLES.get(data[0] >> 3) if data[0] & 7 == 0 else None
    if found is None or (role is not None and found != role):
        raise errors.ConfigError(f"{text} is not the public key of {'a known role' if role is None else f'an {role}'}")
    return found, data[1:33]


def resembles(text: str, *roles: Role) -> bool:
    """Whether people and programs would take `text` for the public key of one of these roles, be it genuine or not."""
    if len(text) != PUBLIC_CHARS or text[0] not in {_LETTER_ORDER[_PREFIXES[role]] for role in roles}:
        return False
    return set(text) <= _LETTERS


def verify(public: str, data: bytes, signature: bytes) -> bool:
    """Whether `signature` over `data` is by the holder of `public`. Raises `errors.ConfigError` for a malformed key."""
    _, key = decode_public(public)
    try:
        VerifyKey(key).verify(data, signature)
    except (CryptoError, ValueError):  # ValueError: a signature of another length
        return False
    return True


def host_key(folder: Path) -> KeyPair:
    """The key of the host whose data folder this is, made when there is none. Raises `errors.ConfigError`."""
    path = folder / HOST_KEY_FILE
    if not path.exists():
        pair = generate("host")
        write_seed(path, pair)
        return pair
    try:
        return read_seed(path, "host")
    except errors.ConfigError as error:
        raise errors.ConfigError(str(error), remedy="remove the file; the host then gets a new key") from error


def read_seed(path: Path, role: Role) -> KeyPair:
    """The key whose seed a file holds, and nothing else. Raises `errors.ConfigError`; the message never holds it."""
    text = read_seed_text(path)
    found, data = decode_seed(text)
    if found != role:
        raise errors.ConfigError(f"{path} holds the key of an {found}, not of an {role}")
    return KeyPair(found, data)


def read_pair(path: Path) -> KeyPair:
    """The key, of any role that signs, whose seed a file holds. Raises `errors.ConfigError`."""
    return from_seed(read_seed_text(path))


def read_seed_text(path: Path) -> str:
    """The seed that a file holds, of any role. Raises `errors.ConfigError`; the message never holds it."""
    try:
        with path.open() as file:
            others = os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO)
            text = file.read(SEED_FILE_CHARS_MAX).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise errors.ConfigError(f"the key cannot be read from {path}: {error}") from error
    try:
        decode_seed(text)
    except errors.ConfigError as error:
        raise errors.ConfigError(f"{path}: {error}", remedy=error.remedy) from error
    if others:
        _log.warning("the key in %s can be read by others on this machine: chmod 600", path)
    return text


def write_seed(path: Path, pair: KeyPair) -> None:
    """Writes a seed for its owner only; whole or not at all. Raises `errors.ConfigError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".key-")  # made with mode 0600
        try:
            _fill(handle, pair.seed)
            os.rename(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise errors.ConfigError(f"the key cannot be written to {path}: {error.strerror or error}") from error


def write_new_seed(path: Path, seed: str) -> None:
    """The same for the text of a seed, and never over a file that is there: a lost key cannot be made again. Raises
    `errors.ConfigError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            _fill(handle, seed)
        except BaseException:
            os.unlink(path)
            raise
    except FileExistsError as error:
        raise errors.ConfigError(
            f"{path} is there already and is not overwritten", remedy="choose another name, or move the file away"
        ) from error
    except OSError as error:
        raise errors.ConfigError(f"the key cannot be written to {path}: {error.strerror or error}") from error


def _fill(handle: int, seed: str) -> None:
    with os.fdopen(handle, "w") as file:
        file.write(seed + "\n")
        file.flush()
        os.fsync(file.fileno())


def _text(data: bytes) -> str:
    return base64.b32encode(data + binascii.crc_hqx(data, 0).to_bytes(2, "little")).decode().rstrip("=")


def _bytes(text: str, chars: int, what: str) -> bytes:
    """The bytes before the checksum."""
    if len(text) != chars or not text.isascii():
        raise errors.ConfigError(f"{what} has {chars} letters and digits, this has {len(text)}")
    try:
        data = base64.b32decode(text + "=" * (-len(text) % 8))
    except binascii.Error as error:
        raise errors.ConfigError(f"{what} has letters A to Z and digits 2 to 7 only") from error
    if binascii.crc_hqx(data[:-2], 0).to_bytes(2, "little") != data[-2:] or _text(data[:-2]) != text:
        raise errors.ConfigError(f"the checksum of {what} is wrong: a letter is missing or changed")
    return data[:-2]


assert set(get_args(Role)) == set(_PREFIXES)
