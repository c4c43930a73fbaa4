"""xkeys: curve keys (`X…`, seeds `SX…`) that seal bytes for one recipient, who can tell from whom they are.

The form is that of NATS' nkeys: "xkv1", a nonce of 24 bytes, and a box of NaCl (X25519, XSalsa20, Poly1305). Whoever
holds either of the two private keys can open what was sealed, and could have sealed it.
"""

from __future__ import annotations

import os
from pathlib import Path

from nacl.exceptions import CryptoError
from nacl.public import Box, PrivateKey, PublicKey

from lattice import errors
from lattice.security import keys

VERSION = b"xkv1"
SEALED_BYTES_MORE = len(VERSION) + Box.NONCE_SIZE + 16
"""How much longer than its content something sealed is."""
SEEDS_MAX = 16
"""Seeds of one file: the one in use, and those before it that something may still be sealed for."""


class CurvePair:
    """A private key that seals and opens. `public` is the text others know it by."""

    def __init__(self, seed: bytes) -> None:
        """`seed` has 32 bytes."""
        self._seed = seed
        self._private = PrivateKey(seed)
        self.public = keys.encode_public("curve", bytes(self._private.public_key))

    def __repr__(self) -> str:
        return f"CurvePair({self.public})"

    @property
    def seed(self) -> str:
        """The private key as text. Not for logs."""
        return keys.encode_seed("curve", self._seed)

    def seal(self, data: bytes, recipient: str) -> bytes:
        """For the holder of the public key `recipient`. Raises `errors.ConfigError` for what is no such key."""
        return VERSION + bytes(self._box(recipient).encrypt(data))

    def open(self, sealed: bytes, sender: str) -> bytes:
        """What `sender` sealed for this key. Raises `errors.TokenInvalid` for anything else, `errors.ConfigError` for a
        malformed `sender`."""
        box = self._box(sender)
        if len(sealed) < SEALED_BYTES_MORE or not sealed.startswith(VERSION):
            raise errors.TokenInvalid("this is not sealed by a curve key: it is too short, or of another version")
        try:
            return box.decrypt(sealed[len(VERSION) :])
        except CryptoError as error:
            raise errors.TokenInvalid(f"this was not sealed by {sender} for {self.public}, or was changed") from error

    def _box(self, other: str) -> Box:
        _, key = keys.decode_public(other, "curve")
        try:
            return Box(self._private, PublicKey(key))
        except CryptoError as error:  # a point that gives the same secret with every key
            raise errors.ConfigError(f"{other} is no usable curve key") from error


def generate() -> CurvePair:
    return CurvePair(os.urandom(32))


def from_seed(text: str) -> CurvePair:
    """Raises `errors.ConfigError`; the message never holds the seed."""
    role, seed = keys.decode_seed(text)
    if role != "curve":
        raise errors.ConfigError(f"this is the seed of an {role}, and one of a curve key (SX...) is wanted")
    return CurvePair(seed)


def read_seeds(path: Path) -> tuple[CurvePair, ...]:
    """The keys of a file, a seed in each line: the first seals, all open. Empty lines, and those that begin with #, say
    nothing. Raises `errors.ConfigError`; the message never holds a seed."""
    try:
        with path.open() as file:
            text = file.read(keys.SEED_FILE_CHARS_MAX + 1)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise errors.ConfigError(f"the keys cannot be read from {path}: {why}") from None
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    seeds = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not seeds or len(seeds) > SEEDS_MAX or len(text) > keys.SEED_FILE_CHARS_MAX:
        raise errors.ConfigError(f"{path} has to hold 1 to {SEEDS_MAX} seeds of curve keys (SX...), one in a line")
    pairs = []
    for number, line in seeds:
        try:
            pairs.append(from_seed(line))
        except errors.ConfigError as error:
            raise errors.ConfigError(f"{path}: line {number}: {error}", remedy=error.remedy) from None
    return tuple(pairs)
